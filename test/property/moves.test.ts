/** Moves of certificates between databases under writes, deaths and programs that wake too late (ADR 0016). */
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { type Command, History, type HistoryOptions, SERIALS } from '../support/move-history.ts'

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
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wake' as const) }) },
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: write },
  { weight: 14, arbitrary: step },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('tick' as const), seconds: fc.constantFrom(1, 60, 170, 361) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('beat' as const, 'build' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const) }) },
)
const commands = fc.array(command, { minLength: 20, maxLength: 70, size: 'max' })

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
