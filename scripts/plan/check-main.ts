/** `npm run plan:check`: the model beside a run of the real Worker. Exit code 1 when a count differs by more than 5 %. */
import { compare, printCheck } from './check.ts'
import { observe } from './observe.ts'
import { FULL_RUN } from './runs.ts'

const progress = (text: string) => process.stderr.write(`... ${text}\n`)
const check = compare(FULL_RUN, await observe(FULL_RUN, progress))
process.stdout.write(printCheck(check))
if (check.unknown.length > 0 || check.rows.some(({ isWithin }) => !isWithin)) process.exitCode = 1
