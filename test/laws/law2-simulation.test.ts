/**
 * Laws 1, 2, 4 and 6 in a simulated world (test/support/world.ts): three colos, KV that is up to 2,500 s late and differently
 * everywhere, publishers and builders that stop anywhere and come back later, calls that fail before or after they took
 * effect, a dead cron, stores that are away, restarts, restores, growth, expiry; the overlay is cut into
 * segments and filters at a few changes. LAW_RUNS sets how many lives, LAW_SEED the
 * first; a failure prints its seed.
 */
import { describe, expect, test } from 'vitest'
import type { Variant } from '../support/world-isolate.ts'
import { type LifeOptions, live } from '../support/world-steps.ts'
import {
  itemsKeptTenMinutes,
  noHeartbeat,
  readModifyWrite,
  segmentsThatEndEarly,
  segmentsWithHoles,
  staleReplica,
} from '../support/world-variants.ts'

const RUNS = Number(process.env['LAW_RUNS'] ?? 8)
const FIRST = Number(process.env['LAW_SEED'] ?? 1)
const seeds = Array.from({ length: RUNS }, (_, i) => FIRST + i)

describe('a world as designed', () => {
  const totals = { questions: 0, successful: 0 }

  test.each(seeds)('breaks no law in its life (laws 1, 2, 4, 6, R6.15; seed %i)', async (seed) => {
    const { counts } = await live({ seed, steps: 200, mortal: seed % 2 === 0 })
    const questions = Object.values(counts).reduce((sum, count) => sum + count, 0)
    totals.questions += questions
    totals.successful += counts.successful
    expect(counts.malformedRequest).toBe(0)
    expect(questions).toBeGreaterThan(1_000)
  })

  test('answers: a world that says tryLater to everything would break no law either', () => {
    expect(totals.successful / totals.questions).toBeGreaterThan(0.7)
  })
})

/** The first broken law among some lives. */
async function firstViolation(
  make: () => Variant,
  lives: number,
  options: Partial<LifeOptions>,
): Promise<string | undefined> {
  for (let seed = 1; seed <= lives; seed += 1)
    try {
      await live({ seed, steps: 200, asks: 12, ...options, variant: make() })
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  return undefined
}

describe('deliberately broken worlds are found out', () => {
  const broken: [string, () => Variant, RegExp, Partial<LifeOptions>][] = [
    ['overlay items kept for ten minutes (attack 2)', itemsKeptTenMinutes, /law 2/, {}],
    ['no heartbeat, no bound on the age of a root (attack 1)', noHeartbeat, /law 2/, {}],
    ['a stale replica under the live signer (attack 8)', staleReplica, /law 2|never true/, {}],
    ['a publisher that reads, modifies and writes (attack 3)', readModifyWrite, /law 2/, {}],
    ['segments that leave changes out (attack 12)', segmentsWithHoles, /law 2/, {}],
    ['segments that end before their last change (attack 12)', segmentsThatEndEarly, /law 2/, {}],
  ]

  test.each(broken)(
    '%s',
    async (_, make, law, options) => {
      expect(await firstViolation(make, 12, options)).toMatch(law)
    },
    120_000,
  )
})
