/** Figures of the model that stand in the code as constants nobody exports: they are looked up where they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as figures from '../../scripts/plan/figures.ts'
import { SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'

const ROOT = join(import.meta.dirname, '../..')

/** The number that a constant or a default has in a source file. */
function numberIn(file: string, pattern: RegExp): number {
  const [, text] = pattern.exec(readFileSync(join(ROOT, file), 'utf8')) ?? []
  return Number(text?.replaceAll('_', ''))
}
const constant = (file: string, name: string) => numberIn(file, new RegExp(`\\b${name} = ([\\d_]+)`))

test.each([
  ['src/jobs/scheduled.ts', 'MAX_SLOT_ENTRIES', figures.SLOT_ENTRIES],
  ['src/jobs/scheduled.ts', 'GROWTH_RUNS', figures.GROWTH_RUNS],
  ['src/jobs/resign-message.ts', 'MAX_MESSAGE_SLOTS', figures.MESSAGE_SLOTS],
  ['src/storage/certificate-plan.ts', 'COUNTED_SINGLY', figures.COUNTED_SINGLY],
  ['src/storage/certificate-plan.ts', 'COUNTED_IN', figures.COUNTED_IN],
  ['src/storage/d1-overlay-store.ts', 'PRUNE_ROWS', figures.ITEMS_LOOKED_AT],
  ['src/responder/windows.ts', 'BACKDATE_SECONDS', figures.BACKDATE_SECONDS],
  ['src/responder/windows.ts', 'BACKDATE_SHARE', figures.BACKDATE_SHARE],
  ['src/responder/windows.ts', 'JITTER_SHARE', figures.JITTER_SHARE],
])('%s: %s', (file, name, figure) => {
  expect(constant(file, name)).toBe(figure)
})

test('what is a product or a default of several', () => {
  const walked =
    constant('src/jobs/scheduled.ts', 'PRUNE_ROWS') * constant('src/storage/prune.ts', 'WALK_FACTOR')
  expect(walked).toBe(figures.WALKED_ROWS)
  expect(constant('src/overlay/reader.ts', 'REFRESH_MS') / 1_000).toBe(figures.ROOT_SECONDS)
  expect(numberIn('src/overlay/segmenting.ts', /tail: ([\d_]+)/)).toBe(figures.TAIL_LIMIT)
  expect(numberIn('src/overlay/segmenting.ts', /segments: ([\d_]+)/)).toBe(figures.SEGMENTS_MERGED)
  expect(numberIn('src/env.ts', /'SIGNATURES_PER_MESSAGE', 1, [\d_]+, ([\d_]+)/)).toBe(
    figures.MESSAGE_SIGNATURES,
  )
})

test('what an algorithm costs is what the code reckons with', () => {
  expect(figures.ALGORITHMS['P-384'].cost).toBe(SIGNATURE_ALGORITHMS['ecdsa-with-SHA384'].cost)
  expect(figures.ALGORITHMS['P-521'].cost).toBe(SIGNATURE_ALGORITHMS['ecdsa-with-SHA512'].cost)
  expect(figures.ALGORITHMS['RSA-2048'].cost).toBe(SIGNATURE_ALGORITHMS.sha256WithRSAEncryption.cost)
})
