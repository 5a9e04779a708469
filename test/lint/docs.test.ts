/** docs/lint.md lists the checks that there are, and every check has advice for people. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ADVISED, adviceOf } from '../../src/cli/lint/advice.ts'
import { checks, type LintCheck, needsOf } from '../../src/lint/index.ts'

const PAGE = join(import.meta.dirname, '../../docs/lint.md')
/** Writes the table instead of comparing it. */
const UPDATE = process.env['UPDATE_DOCS'] === '1'
const TABLE = /(<!-- checks: .* -->\n)([\s\S]*?)(<!-- end of checks -->)/

function rowOf(check: LintCheck): string {
  const level = check.level === 'lightweight' ? 'profile' : check.level
  const needs = needsOf(check).filter((need) => need !== 'octets')
  return `| ${check.id} | \`${check.name}\` | ${level} | ${needs.join(', ')} | ${check.rule} |`
}

function tableOf(list: readonly LintCheck[]): string {
  return ['| Requirement | Check | Level | Needs | Rule |', '|---|---|---|---|---|', ...list.map(rowOf)]
    .map((line) => `${line}\n`)
    .join('')
}

test('docs/lint.md has every check as it is, and no other', () => {
  const page = readFileSync(PAGE, 'utf8')
  if (UPDATE)
    writeFileSync(
      PAGE,
      page.replace(TABLE, (_, begin, __, end) => `${begin}${tableOf(checks)}${end}`),
    )
  const [, , found] = TABLE.exec(readFileSync(PAGE, 'utf8')) ?? []
  expect(found, 'UPDATE_DOCS=1 writes the table').toBe(tableOf(checks))
})

test('every check has one advice, and advice is for checks that there are', () => {
  expect([...ADVISED].sort()).toEqual(checks.map(({ name }) => name).sort())
  for (const { name } of checks) expect(adviceOf(name).todo).toMatch(/^[A-Z].{20,}[.?]$/)
})
