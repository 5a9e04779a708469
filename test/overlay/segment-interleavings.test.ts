/**
 * Cuts, merges, filters, floors, prunes, stretched validities, restores and publishers in any order, each stopped anywhere, some for
 * good (laws 2 and 3, attacks 3, 4, 7, 12). SEGMENT_RUNS sets how many lives, SEGMENT_SEED the first.
 */
import { describe, expect, test } from 'vitest'
import type { SegmentStore } from '../../src/ports/segment-store.ts'
import { type SegmentVariant, SegmentWorld } from '../support/segment-world.ts'

const RUNS = Number(process.env['SEGMENT_RUNS'] ?? 10)
const FIRST = Number(process.env['SEGMENT_SEED'] ?? 1)
const STEPS = 220

/** @returns what went wrong, with the seed */
async function live(
  seed: number,
  variant?: SegmentVariant,
): Promise<{ world: SegmentWorld; problem: string | undefined }> {
  const world = new SegmentWorld(seed, variant)
  await world.begin()
  try {
    for (let step = 0; step < STEPS; step += 1) await world.step()
    return { world, problem: undefined }
  } catch (error) {
    return { world, problem: `seed ${seed}: ${error instanceof Error ? error.message : String(error)}` }
  } finally {
    world.close()
  }
}

describe('every change that matters is in the tail, in a segment that is there, or under a floor', () => {
  const seeds = Array.from({ length: RUNS }, (_, i) => FIRST + i)
  const total: Record<string, number> = {}

  test.each(seeds)('in every root that is put (seed %i)', async (seed) => {
    const { world, problem } = await live(seed)
    expect(problem).toBeUndefined()
    for (const [name, count] of Object.entries(world.counts)) total[name] = (total[name] ?? 0) + count
  })

  test('in worlds where all of it happens', () => {
    for (const name of ['roots', 'items', 'segments', 'filters', 'floors', 'exact'])
      expect(total[name], name).toBeGreaterThan(RUNS)
    expect(total['unread']).toBe(0)
  })
})

/** `inner`, with its methods bound, so that some of them can be replaced. */
function bound(inner: SegmentStore): SegmentStore {
  return {
    survey: (now, options) => inner.survey(now, options),
    begin: (nowMs, leaseMs) => inner.begin(nowMs, leaseMs),
    readChanges: (ranges) => inner.readChanges(ranges),
    commit: (version, change) => inner.commit(version, change),
    raiseFloors: (nowMs, settled) => inner.raiseFloors(nowMs, settled),
  }
}

/** With the first seed tried: near one that finds it. */
const BROKEN: [string, SegmentVariant, number][] = [
  [
    'the tail ends before the values of its segment are written',
    {
      segmentStore: (inner, db) => ({
        ...bound(inner),
        async begin(nowMs, leaseMs) {
          const begun = await inner.begin(nowMs, leaseMs)
          if (begun !== undefined) db.exec('UPDATE issuers SET segmented_seq = seq')
          return begun
        },
      }),
    },
    1,
  ],
  [
    'whoever writes commits, whatever others began or stretched meanwhile',
    {
      segmentStore: (inner, db) => ({
        ...bound(inner),
        commit(version, change) {
          db.exec(`DROP TRIGGER IF EXISTS publisher_segmenting;
            UPDATE publisher SET segmenting = ${version}, segmenting_until = 9000000000000000`)
          return inner.commit(version, change)
        },
      }),
    },
    54,
  ],
  [
    'a segment stands for all up to its commit, with what changed while it was read',
    {
      segmentStore: (inner, db) => ({
        ...bound(inner),
        commit(version, change) {
          const heads = new Map(
            db.rows('SELECT id, seq FROM issuers').map(({ id, seq }) => [Number(id), Number(seq)]),
          )
          const ranges = change.ranges.map((range) => ({ ...range, to: heads.get(range.issuer) ?? range.to }))
          return inner.commit(version, { ...change, ranges })
        },
      }),
    },
    1,
  ],
  [
    'a publisher that reads segments and tail in two transactions',
    {
      overlayStore: (inner) => ({
        readOverlay: async (options) => {
          const { segments, floors } = await inner.readOverlay(options)
          return { ...(await inner.readOverlay(options)), segments, floors }
        },
        leasePublisher: (...lease) => inner.leasePublisher(...lease),
        recordPublished: (...published) => inner.recordPublished(...published),
        readPublished: (issuer) => inner.readPublished(issuer),
        freeze: (issuers, nowMs) => inner.freeze(issuers, nowMs),
        pruneOverlay: (now) => inner.pruneOverlay(now),
      }),
    },
    1,
  ],
  [
    'segments that are not written anew when what is kept was stretched',
    {
      segmentStore: (inner, db) => ({
        ...bound(inner),
        survey: (now, options) => inner.survey(now, options),
        async begin(nowMs, leaseMs) {
          db.exec('DROP TRIGGER IF EXISTS issuers_stretched')
          return inner.begin(nowMs, leaseMs)
        },
      }),
    },
    1,
  ],
]

describe('deliberately broken ones are found out', () => {
  test.each(BROKEN)(
    '%s',
    async (_, variant, first) => {
      for (let seed = first; seed < first + 60; seed += 1) {
        const { problem } = await live(seed, variant)
        if (problem === undefined) continue
        expect(problem).toMatch(/needs \d+, not \d+|named and not there/)
        return
      }
      expect.unreachable('nothing was found in 60 lives')
    },
    120_000,
  )
})
