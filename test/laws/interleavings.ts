/**
 * All eight laws in random interleavings: short plans of issue, reserve, revoke, hold, release, presign, publish, cron, expire,
 * restart, roll-over of responders of several algorithms, compromise, finalize, failing stores and stopped invocations, with
 * questions of several clients after each step. Law by law: test/support/world-judge.ts (1, 2, 4, 5, 6), world-http.ts and
 * world-client.ts (1, 6, 7), world-published.ts (3, 5, 8).
 *
 * The seeds are the same each time. `EDGE_OCSP_SEED=20001 EDGE_OCSP_RUNS=500 npx vitest run --project laws
 * test/laws/interleavings-1.test.ts test/laws/interleavings-2.test.ts` runs others; each file takes every second one, with one
 * run alone the first file. What fails prints how to repeat it, and is kept in kept-seeds.json.
 */
import { afterAll, describe, expect, test } from 'vitest'
import {
  FIRST_SEED,
  keepLaws,
  keptPlans,
  noTotals,
  RUNS,
  seedsOf,
  type Totals,
} from '../support/world-interleavings.ts'
import { OPERATIONS } from '../support/world-operations.ts'
import { planOf } from '../support/world-run.ts'

const BATCH = 250
const ENOUGH_TO_COUNT = 2_000

export function interleavings(part: number, parts: number): void {
  const seeds = seedsOf(part, parts)
  const totals = noTotals()
  const batches = Array.from({ length: Math.ceil(seeds.length / BATCH) }, (_, n) => {
    const batch = seeds.slice(n * BATCH, (n + 1) * BATCH)
    return { first: batch[0] ?? 0, last: batch.at(-1) ?? 0, batch }
  })

  describe('what once failed', () => {
    test.each(keptPlans().filter((_, n) => n % parts === part))(
      'seed $seed breaks no law: $why',
      (plan) => keepLaws(plan, noTotals(), true),
      60_000,
    )
  })

  if (batches.length === 0) return
  describe('random interleavings of everything that happens', () => {
    test.each(batches)(
      'break no law after any step (laws 1-8; seeds $first to $last)',
      async ({ batch }) => {
        for (const seed of batch) await keepLaws(planOf(seed), totals)
      },
      600_000,
    )

    if (RUNS >= ENOUGH_TO_COUNT) test('leave no operation, client or tier out', () => expectVariety(totals))
  })

  afterAll(() => {
    const questions = Object.values(totals.answers).reduce((sum, count) => sum + count, 0)
    console.log(
      `interleavings ${part + 1} of ${parts}, from seed ${FIRST_SEED}: ${totals.runs} runs, ${totals.steps} steps, ${questions} answers judged`,
    )
  })
}

/** A world that is never changed, or says tryLater to everything, would break no law either. */
function expectVariety({ outcomes, asked, answers }: Totals): void {
  const happened = Object.keys(outcomes)
  for (const name of Object.keys(OPERATIONS))
    expect(
      happened.some((outcome) => outcome.startsWith(`${name}: `) && !/failed|refused|nothing/.test(outcome)),
      name,
    ).toBe(true)
  for (const change of [
    'revoke: changed',
    'hold: changed',
    'release: changed',
    'issue: stopped',
    'cron: stopped',
  ])
    expect(outcomes[change] ?? 0, change).toBeGreaterThan(50)
  for (const way of [
    'GET',
    'POST',
    'GET, nonce',
    'POST, several CertIDs',
    'SHA-1',
    'SHA-256',
    'SHA-384',
    'twin',
  ])
    expect(asked[way] ?? 0, way).toBeGreaterThan(50)
  for (const answer of [
    'good from memory',
    'good from bundle',
    'good from live',
    'good from cache',
    'revoked from bundle',
    'unknown from live',
    'not modified',
    'from its own cache',
    'tryLater',
    'unauthorized',
  ])
    expect(answers[answer] ?? 0, answer).toBeGreaterThan(50)
  const all = Object.values(answers).reduce((sum, count) => sum + count, 0)
  const errors = ['tryLater', 'internalError'].reduce((sum, name) => sum + (answers[name] ?? 0), 0)
  expect(errors / all).toBeLessThan(0.3)
}
