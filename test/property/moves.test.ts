/** Moves of certificates between databases under writes, deaths and programs that wake too late (ADR 0016). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Move, MovePlace, MoveStore } from '../../src/ports/move-store.ts'
import { type Command, History, type HistoryOptions, SERIALS } from '../support/move-history.ts'
import { changed } from '../support/move-world.ts'

const n = fc.constantFrom(...SERIALS)
const write: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), n }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('revoke' as const, 'hold' as const, 'release' as const), n }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('addOld' as const, 'reserve' as const, 'fill' as const), n }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('mass' as const, 'prune' as const, 'policy' as const) }),
  },
)
const at = fc.nat(30)
const step: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('step' as const), ends: fc.constant('well' as const), at }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('step' as const),
      ends: fc.constantFrom('dies' as const, 'stops' as const),
      at,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('race' as const), at, write }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('storm' as const), n, at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wake' as const) }) },
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: write },
  { weight: 14, arbitrary: step },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('tick' as const), seconds: fc.constantFrom(1, 60, 170, 361) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('beat' as const, 'build' as const, 'build' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const) }) },
)
/** Most histories begin with a move that is under way: copied, or compared, or with the bound behind it. */
const begun = fc
  .record({ numbers: fc.subarray([...SERIALS], { minLength: 1 }), steps: fc.nat(9), later: fc.boolean() })
  .map(({ numbers, steps, later }): Command[] => [
    ...numbers.map((one): Command => ({ do: 'add', n: one })),
    ...Array<Command>(steps).fill({ do: 'step', ends: 'well', at: 0 }),
    ...(later ? [{ do: 'tick', seconds: 361 } as const, { do: 'build' } as const] : []),
  ])
const commands = fc
  .tuple(begun, fc.array(command, { minLength: 5, maxLength: 40, size: 'max' }))
  .map(([first, more]) => [...first, ...more])

async function holds(history: readonly Command[], options: HistoryOptions = {}): Promise<void> {
  const one = new History(options)
  try {
    await one.setUp()
    await one.run(history)
    await one.finish()
  } finally {
    one.close()
  }
}

describe('a move of certificates', () => {
  test('loses no write, and whoever is asked has what was true within the bound', async () => {
    await fc.assert(
      fc.asyncProperty(commands, (history) => holds(history)),
      { numRuns: 150, interruptAfterTimeLimit: 90_000, markInterruptAsFailure: false },
    )
  })
})

/** The store with a mistake in it, and a history that shows it: where no longer, others are tried. */
const BROKEN: Readonly<Record<string, HistoryOptions & { readonly seed: number; readonly path: string }>> = {
  'what is written meanwhile is not copied': {
    seed: -784976672,
    path: '1',
    wrap: (store) =>
      changed(store, {
        readNotes: async () => ({ rows: [], last: 0 }),
        readPlace: withPlace(store, (place) => ({ ...place, noted: false })),
      }),
  },
  'a note is removed though more was written since': {
    seed: -2061778066,
    path: '128',
    wrap: (store, db) =>
      changed(store, {
        async dropNotes() {
          db.exec('DELETE FROM moved')
        },
      }),
  },
  'the source takes writes while the target begins to': {
    seed: 1221911185,
    path: '41',
    wrap: (store, db) =>
      changed(store, {
        async setPhase(move, phase, nowMs) {
          if (phase === 'givenUp')
            db.exec('UPDATE issuers SET leaving = (SELECT digits FROM moves WHERE ended_ms = 0)')
          await store.setPhase(move, phase, nowMs)
          if (phase === 'barred') db.exec('UPDATE issuers SET leaving = 0')
        },
      }),
  },
  'the source gives up before every root of the target has the claim': {
    seed: -85377472,
    path: '0',
    wrap: (store) => changed(store, { readPlace: withMove(store, (move) => ({ ...move, claimedMs: 1 })) }),
  },
  'who was overtaken writes what it has read': {
    seed: -806154414,
    path: '137',
    wrap: (store, db) => {
      const step = (issuer: number) =>
        Number(db.rows('SELECT step FROM moves WHERE issuer = ?1 AND ended_ms = 0', issuer)[0]?.['step'] ?? 0)
      return changed(store, {
        write: (issuer, _, ...rest) => store.write(issuer, step(issuer), ...rest),
        add: (issuer, _, ...rest) => store.add(issuer, step(issuer), ...rest),
      })
    },
  },
}

function withPlace(store: MoveStore, change: (place: MovePlace) => MovePlace): MoveStore['readPlace'] {
  return async (issuer) => {
    const place = await store.readPlace(issuer)
    return place === undefined ? undefined : change(place)
  }
}

function withMove(store: MoveStore, change: (move: Move) => Move): MoveStore['readPlace'] {
  return withPlace(store, (place) => ({
    ...place,
    move: place.move === undefined ? undefined : change(place.move),
  }))
}

describe('a mistake is found', () => {
  test.each(Object.entries(BROKEN))('%s', async (_, { seed, path, ...options }) => {
    const property = fc.asyncProperty(commands, (history) => holds(history, options))
    const kept = await fc.check(property, { seed, path, endOnFailure: true })
    if (kept.failed) return
    const found = await fc.check(property, {
      numRuns: 2_000,
      endOnFailure: true,
      interruptAfterTimeLimit: 100_000,
      markInterruptAsFailure: false,
    })
    expect(found.failed).toBe(true)
  })
})
