/** The list of mutants fits the code as it stands; `npm run test:mutants` runs it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseRows } from '../../scripts/rfc-coverage.ts'
import { PROJECT_ROOT } from '../support/server.ts'
import { MUTANTS } from './mutants.ts'
import { mutated } from './plugin.ts'

describe('mutants', () => {
  test.each(MUTANTS)('$id breaks text that stands once in $file', (mutant) => {
    const code = readFileSync(join(PROJECT_ROOT, mutant.file), 'utf8')
    expect(mutated(code, mutant)).not.toBe(code)
  })

  test('are of forty clauses or more, each of them a known one with tests', () => {
    const ids = new Set(MUTANTS.map(({ id }) => id))
    expect(ids.size).toBeGreaterThanOrEqual(40)
    const tested = parseRows(readFileSync(join(PROJECT_ROOT, 'docs/rfc-coverage.md'), 'utf8'))
      .filter(({ state }) => state === 'tested')
      .map(({ id }) => id)
    for (const id of ids) expect(tested).toContain(id)
  })
})
