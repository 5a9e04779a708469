/** docs/scale.md has the plan for 100 million certificates as the model prints it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { capacityOf } from '../../scripts/plan/capacity.ts'
import { readOptions } from '../../scripts/plan/input.ts'
import { planOf } from '../../scripts/plan/plan.ts'
import { PRICES } from '../../scripts/plan/prices.ts'
import { printPlan } from '../../scripts/plan/print.ts'

const PAGE = join(import.meta.dirname, '../../docs/scale.md')
/** Writes the tables instead of comparing them. */
const UPDATE = process.env['UPDATE_DOCS'] === '1'

function plan(): string {
  const options = readOptions([])
  if (options === 'help') throw new Error('help')
  const { model, ways } = planOf(options.input)
  return `\`\`\`text\n${printPlan(options.input, ways, capacityOf(options.input, model))}\`\`\`\n`
}

function prices(): string {
  const rows = PRICES.map(
    ({ name, included, dollars, per, source, date }) =>
      `| ${name} | ${included.toLocaleString('en-US')} | $${dollars} ${per === 1 ? 'each' : 'a million'} | ${source} | ${date} |`,
  )
  return ['| what | included a month | beyond | source | read |', '| --- | --- | --- | --- | --- |', ...rows]
    .map((line) => `${line}\n`)
    .join('')
}

test.each([
  ['plan', plan],
  ['prices', prices],
])('docs/scale.md has the table "%s" as it is', (name, make) => {
  const table = new RegExp(`(<!-- ${name}: .* -->\\n)([\\s\\S]*?)(<!-- end of ${name} -->)`)
  if (UPDATE)
    writeFileSync(
      PAGE,
      readFileSync(PAGE, 'utf8').replace(table, (_, begin, __, end) => `${begin}${make()}${end}`),
    )
  const [, , found] = table.exec(readFileSync(PAGE, 'utf8')) ?? []
  expect(found, 'UPDATE_DOCS=1 writes the table').toBe(make())
})
