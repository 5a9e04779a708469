/** Pipelines made with a mistake each: the checker that finds nothing wrong with the real one finds them out. */
import { expect, test } from 'vitest'
import { campaign } from './campaign.ts'
import {
  acknowledgedBeforeCommit,
  type ChaosVariant,
  dueInMemory,
  leaseForEver,
  placeForEver,
  recordBeforeWrite,
} from './variants.ts'

/** Each with the calls around its mistake: killed elsewhere it is none. */
const BROKEN: readonly (readonly [string, ChaosVariant, RegExp])[] = [
  [recordBeforeWrite.name, recordBeforeWrite, /kv.put b/],
  [leaseForEver.name, leaseForEver, /pipeline: (signer sign|kv.put b)/],
  [acknowledgedBeforeCommit.name, acknowledgedBeforeCommit, /d1 WITH input/],
  [dueInMemory.name, dueInMemory, /pipeline: (signer sign|kv.put b)/],
  [placeForEver.name, placeForEver, /queue/],
]

test.each(BROKEN)(
  'finds out %s',
  async (_, variant, kinds) => {
    const { failures } = await campaign({ faults: 120, seed: 1, variant, kinds, first: true })
    expect(failures[0]?.problem ?? 'nothing was found').toMatch(
      /\(law \d|not as undisturbed|owed after|never acknowledged/,
    )
  },
  300_000,
)
