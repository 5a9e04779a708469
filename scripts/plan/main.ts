/** `npm run plan`: what a deployment costs and needs. Exit code 0, or 2 for wrong usage. docs/scale.md explains each number. */
import { capacityOf } from './capacity.ts'
import { HELP, readOptions, UsageError } from './input.ts'
import { planOf } from './plan.ts'
import { PRICES } from './prices.ts'
import { printPlan } from './print.ts'

try {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') process.stdout.write(`${HELP}\n`)
  else {
    const { input, json } = options
    const { model, ways } = planOf(input)
    const capacity = capacityOf(input, model)
    const text = json
      ? `${JSON.stringify({ input, prices: PRICES, ways, work: model.work, capacity }, undefined, 2)}\n`
      : printPlan(input, ways, capacity)
    process.stdout.write(text)
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`error: ${error.message}\n\n${HELP}\n`)
  process.exitCode = 2
}
