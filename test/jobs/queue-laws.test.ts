/**
 * Messages that are duplicated, dropped, late and reordered, and consumers that stop half-way and come back: in the end every
 * slot is built, nothing was recorded by who had lost the lease, no older bundle stays over a newer one (attack 7).
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { type BrokenStores, CERTIFICATES, QueueWorld, replacing, type Stop } from './queue-world.ts'

type Step =
  | {
      readonly do: 'plan' | 'drop' | 'resume' | 'revoke' | 'pass' | 'dead'
      readonly n: number
      readonly stop?: Stop | undefined
    }
  | { readonly do: 'deliver'; readonly n: number; readonly keep: boolean; readonly stop?: Stop | undefined }
  | { readonly do: 'overtaken'; readonly n: number; readonly stop: Stop }
  | { readonly do: 'full'; readonly n: 0 | 1 }

const small = fc.nat({ max: 7 })
const stop: fc.Arbitrary<Stop> = fc.record({
  port: fc.constantFrom(
    'd1' as const,
    'd1' as const,
    'kv.put' as const,
    'signer' as const,
    'kv.bundle' as const,
  ),
  after: fc.nat({ max: 5 }),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('plan' as const),
      n: small,
      stop: fc.option(stop, { freq: 8, nil: undefined }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      n: small,
      keep: fc.boolean(),
      stop: fc.option(stop, { freq: 2, nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), n: small }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume' as const), n: small }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('revoke' as const), n: fc.nat({ max: CERTIFICATES - 1 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), n: fc.constantFrom(1, 30, 700, 950, 1_250) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dead' as const), n: small }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('full' as const), n: fc.constantFrom(0 as const, 1 as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('overtaken' as const),
      n: fc.nat({ max: CERTIFICATES - 1 }),
      stop,
    }),
  },
)
const history = fc.record({
  seed: fc.nat({ max: 2 ** 31 }),
  steps: fc.array(step, { minLength: 4, maxLength: 16, size: 'max' }),
})

async function take(world: QueueWorld, one: Step): Promise<void> {
  switch (one.do) {
    case 'plan':
      await world.plan(one.stop)
      return
    case 'deliver':
      return world.deliver(one.n, one.keep, one.stop)
    case 'drop':
      return world.drop(one.n)
    case 'resume':
      return world.resume(one.n)
    case 'revoke':
      return world.revoke(one.n)
    case 'pass':
      return world.pass(one.n)
    case 'dead':
      return world.handleDead()
    case 'overtaken':
      return world.overtaken(one.n, one.stop)
    case 'full':
      world.isFull = one.n === 1
  }
}

const base = await QueueWorld.base(1)
afterAll(() => base.close())

/** @returns what was wrong */
async function live({ seed, steps }: { seed: number; steps: readonly Step[] }, broken?: BrokenStores) {
  const world = QueueWorld.from(base, seed, broken)
  try {
    for (const one of steps) await take(world, one)
    await world.settle(seed % 3 > 0)
    return world.check()
  } finally {
    world.close()
  }
}

const check = (broken: BrokenStores | undefined, numRuns: number, seed?: number) =>
  fc.check(
    fc.asyncProperty(history, async (one) => {
      const wrong = await live(one, broken)
      if (wrong.length > 0) throw new Error(wrong.join('; '))
    }),
    { numRuns, ...(seed === undefined ? {} : { seed, endOnFailure: true }) },
  )

test('whatever a queue does to its messages, everything is built, by who may, and nothing old stays', {
  timeout: 120_000,
}, async () => {
  const result = await check(undefined, 250)
  expect(result.failed, fc.defaultReportMessage(result) ?? '').toBe(false)
  expect(result.numRuns).toBe(250)
})

test('a put that arrives after the build that was owed for it stays overwritten', async () => {
  // Two plans that build here, since the queue is full; the second one's put comes when the first has built once more.
  const steps: Step[] = [
    { do: 'full', n: 1 },
    { do: 'revoke', n: 0 },
    { do: 'plan', n: 0, stop: { port: 'd1', after: 0 } },
    { do: 'plan', n: 0, stop: { port: 'kv.put', after: 0 } },
    { do: 'full', n: 1 },
    { do: 'overtaken', n: 0, stop: { port: 'd1', after: 0 } },
  ]
  expect(await live({ seed: 553_503_925, steps })).toEqual([])
})

describe('the same check finds', () => {
  const mistakes: (BrokenStores & { readonly wrong: RegExp })[] = [
    {
      name: 'a claim without condition',
      wrong: /two builders at a time/,
      places: (inner, db) =>
        replacing(inner, {
          async claim({ issuer, k, slot }, _planned, now, seconds) {
            const sql = `UPDATE slots SET lease = hex(randomblob(16)), lease_until = ?4 + ?5
              WHERE issuer = ?1 AND k = ?2 AND slot = ?3 RETURNING lease`
            const { results } = await db.prepare(sql).bind(issuer, k, slot, now, seconds).all()
            return { issuer, k, slot, lease: String(results[0]?.['lease']), since: now, isFirst: false }
          },
        }),
    },
    {
      name: 'a record by who has lost the lease',
      wrong: /by somebody who had lost the lease/,
      slots: (inner, db) =>
        replacing(inner, {
          async record(lease, built) {
            const sql =
              'UPDATE slots SET lease = ?4 WHERE issuer = ?1 AND k = ?2 AND slot = ?3 AND built_seq <= ?5'
            await db.prepare(sql).bind(lease.issuer, lease.k, lease.slot, lease.lease, built.asOf).all()
            return inner.record(lease, built)
          },
        }),
    },
    {
      name: 'no build owed after a lease that ran out in the hands of a builder',
      wrong: /an older bundle stays over a newer one/,
      places: (inner, db) =>
        replacing(inner, {
          async plan(slots, lease, now, seconds) {
            const planned = await inner.plan(slots, lease, now, seconds)
            await db
              .prepare('UPDATE slots SET again = iif(again = 1, 0, again) WHERE lease = ?1')
              .bind(lease)
              .all()
            return planned
          },
        }),
    },
  ]

  test.each(mistakes)('$name', { timeout: 120_000 }, async (broken) => {
    const result = await check(broken, 600, 7)
    expect(result.failed).toBe(true)
    expect(String(result.errorInstance)).toMatch(broken.wrong)
  })
})
