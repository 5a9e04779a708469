/**
 * The model of cost beside the real Worker: a small deployment walked through some days of virtual time in workerd, every operation
 * counted. `npm run plan:check` does the same with a larger one, where chance matters less.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { type Check, type CheckRow, compare, TOLERANCE } from '../../scripts/plan/check.ts'
import { observe } from '../../scripts/plan/observe.ts'
import { QUICK_RUN } from '../../scripts/plan/runs.ts'

/** What depends on which slots certificates fall into, with so few of them. */
const BY_CHANCE = /bundles|: build|signatures|queue messages|: record|recycled/

let check: Check
beforeAll(async () => {
  check = compare(QUICK_RUN, await observe(QUICK_RUN))
}, 600_000)

describe('the model of cost', () => {
  test('has a place for every statement that the Worker runs', () => {
    expect(check.unknown).toEqual([])
  })

  test('agrees with what is counted within 5 %, and within 10 % where so few leave it to chance', () => {
    const limit = ({ name }: CheckRow) => (BY_CHANCE.test(name) ? 2 * TOLERANCE : TOLERANCE)
    const off = check.rows.filter((row) => Math.abs(row.difference) > limit(row))
    expect(off).toEqual([])
    expect(check.rows.length).toBeGreaterThan(20)
    for (const { name, observed } of check.rows) expect(observed, name).toBeGreaterThan(0)
  })
})
