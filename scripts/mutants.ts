/**
 * `npm run test:mutants [R1.2 R1.4 ...]`: breaks one clause after the other (test/mutants/mutants.ts) and runs the tests of the
 * clauses against it. A mutant is killed when a test that cites its id fails, and no test does that cites neither it nor
 * what it implies. Ends with `N killed, N not`; exit code 1 when one was not.
 *
 * A general mutation tester breaks every operator and tells which mutants live; ours are sentences of the standards, and the
 * question is whether the test that cites the sentence is the one that notices.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { MUTANTS, type Mutant } from '../test/mutants/mutants.ts'
import { idsIn } from './rfc-coverage.ts'

const ROOT = join(import.meta.dirname, '..')
const CLAUSES = 'test/conformance'

interface Verdict {
  readonly mutant: Mutant
  /** What is wrong; undefined: killed, by as many tests. */
  readonly problem: string | undefined
  readonly killers: number
}

/** As vitest's JSON reporter writes it. */
interface Report {
  readonly numTotalTests: number
  readonly testResults: readonly {
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

const wanted = process.argv.slice(2)
const chosen = MUTANTS.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
if (chosen.length === 0) {
  console.error(`no mutant breaks ${wanted.join(', ')}`)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-mutants-'))
const unbroken = await run(undefined, join(folder, 'unbroken.json'))
const failing = unbroken === undefined ? ['the tests did not run'] : failedIn(unbroken)
if (failing.length > 0) {
  console.error(`tests fail without any mutant: ${failing.join(' | ')}`)
  process.exit(1)
}
const waiting = [...chosen.entries()]
const verdicts: Verdict[] = []
try {
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const alive = verdicts.filter(({ problem }) => problem !== undefined)
console.log(`\n${verdicts.length - alive.length} killed, ${alive.length} not`)
process.exitCode = alive.length === 0 ? 0 : 1

async function work(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [index, mutant] = next
    const verdict = judge(mutant, await run(mutant, join(folder, `${index}.json`)))
    verdicts.push(verdict)
    const { problem, killers } = verdict
    console.log(
      problem === undefined
        ? `killed  ${mutant.id.padEnd(6)} by ${killers} test${killers === 1 ? '' : 's'}: ${mutant.file}`
        : `NOT     ${mutant.id.padEnd(6)} ${problem}`,
    )
  }
}

async function run(mutant: Mutant | undefined, output: string): Promise<Report | undefined> {
  const child = spawn(
    join(ROOT, 'node_modules/.bin/vitest'),
    [
      ...['run', '--project', 'laws', '--project', 'unit', CLAUSES, ...(mutant?.tests ?? [])],
      ...['--reporter=json', `--outputFile=${output}`, '--testTimeout=60000'],
    ],
    {
      cwd: ROOT,
      stdio: 'ignore',
      env: { ...process.env, EDGE_OCSP_MUTANT: `${mutant === undefined ? -1 : MUTANTS.indexOf(mutant)}` },
    },
  )
  await new Promise((resolve) => child.once('close', resolve))
  try {
    const report: Report = JSON.parse(readFileSync(output, 'utf8'))
    return report
  } catch {
    return undefined
  }
}

function failedIn(report: Report): string[] {
  return report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed')
    .map(({ fullName }) => fullName)
}

function judge(mutant: Mutant, report: Report | undefined): Verdict {
  const fail = (problem: string): Verdict => ({ mutant, problem, killers: 0 })
  if (report === undefined || report.numTotalTests === 0) return fail('the tests did not run')
  const broken = report.testResults.find((file) => file.assertionResults.length === 0 && file.message !== '')
  if (broken !== undefined) return fail(`a file of tests did not load: ${broken.message.split('\n')[0]}`)
  const failed = failedIn(report)
  const cites = (title: string, ids: readonly string[]) => idsIn(title).some((id) => ids.includes(id))
  const killers = failed.filter((title) => cites(title, [mutant.id]))
  if (killers.length === 0) {
    const others = failed.length === 0 ? 'no test noticed' : `only others noticed: ${failed.join(' | ')}`
    return fail(others)
  }
  const others = failed.filter((title) => !cites(title, [mutant.id, ...(mutant.implies ?? [])]))
  return others.length > 0
    ? fail(`tests failed that cite something else: ${others.join(' | ')}`)
    : { mutant, problem: undefined, killers: killers.length }
}
