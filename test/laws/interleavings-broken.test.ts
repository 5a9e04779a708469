/** Random interleavings can fail: each design with a mistake is found out (world-variants.ts), by its own law, within so many runs. */
import { expect, test } from 'vitest'
import { foundOut } from '../support/world-interleavings.ts'
import type { Variant } from '../support/world-isolate.ts'
import {
  dirtyAsFlag,
  forgetfulReader,
  itemsKeptTenMinutes,
  noHeartbeat,
  positionReadAfterwards,
  readModifyWrite,
  staleReplica,
} from '../support/world-variants.ts'

const broken: readonly [name: string, make: () => Variant, runs: number][] = [
  ['overlay items kept for ten minutes (attack 2)', itemsKeptTenMinutes, 200],
  ['no heartbeat, no bound on the age of a root (attack 1)', noHeartbeat, 200],
  ['a stale replica under the live signer (attack 8)', staleReplica, 200],
  ['a publisher that reads, modifies and writes (attack 3)', readModifyWrite, 400],
  ['a reader that goes back to older roots (attack 3)', forgetfulReader, 200],
  ['dirty as a flag (attack 7)', dirtyAsFlag, 200],
  ['asOf read after the rows (attacks 6 and 7)', positionReadAfterwards, 400],
]

test.each(broken)(
  'finds %s',
  async (_, make, runs) => {
    const found = await foundOut(make, runs)
    expect(found?.problem ?? `not found in ${runs} runs`).toMatch(/law \d/)
  },
  300_000,
)
