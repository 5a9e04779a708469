/** Pipelines made with a mistake each: the checker that finds nothing wrong with the real one finds them out. */
import { expect, test } from 'vitest'
import { campaign } from './campaign.ts'
import {
  acknowledgedBeforeCommit,
  dueInMemory,
  leaseForEver,
  placeForEver,
  recordBeforeWrite,
  switchedTooEarly,
} from './variants.ts'

test.each([
  recordBeforeWrite,
  leaseForEver,
  acknowledgedBeforeCommit,
  switchedTooEarly,
  dueInMemory,
  placeForEver,
])(
  'finds out $name',
  async (variant) => {
    const { failures } = await campaign({ faults: 400, seed: 1, variant, first: true })
    expect(failures[0]?.problem ?? 'nothing was found').toMatch(
      /\(law \d|not as undisturbed|owed after|never acknowledged/,
    )
  },
  300_000,
)
