import { describe, expect, test } from 'vitest'
import { Bundle, type BundleEntry, BundleFault } from '../../src/bundle/bundle-format.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import {
  collidingSerials,
  content,
  filler,
  good,
  resealAll,
  resealHeader,
  sequence,
  serialOf,
  WINDOW,
} from './support.ts'

const find = (bundle: Bundle, serial: Uint8Array) => bundle.find(serial, serialHash(serial))
const SERIALS = [1, 2, 3, 4, 5].map(serialOf)
const revoked: BundleEntry = good(serialOf(2), {
  certStatus: { type: 'revoked', revocationTime: WINDOW.thisUpdate - 60, revocationReason: 1 },
  window: 1,
})
const extended = good(serialOf(3), {
  singleExtensions: sequence(9, 1),
  signatures: [filler(71, 3), undefined],
})
const verbatim = good(serialOf(4), {
  signatures: [filler(71, 4), undefined],
  verbatim: [undefined, sequence(400, 9)],
})
const unknown = good(serialOf(5), { certStatus: { type: 'unknown' }, signatures: [undefined, filler(72, 5)] })
const ENTRIES = [good(serialOf(1)), revoked, extended, verbatim, unknown]

/** What a damaged value may do: answer as before, or fault. Anything else is returned as text. */
function damage(bytes: Uint8Array, expected: readonly BundleEntry[]): string {
  try {
    const bundle = Bundle.open(bytes)
    for (const entry of expected) expect(find(bundle, entry.serial)).toEqual(entry)
    expect([...bundle.entries()]).toHaveLength(expected.length)
    return 'no answer changed'
  } catch (error) {
    if (error instanceof BundleFault) return error.reason
    throw error
  }
}

describe('a bundle', () => {
  test('gives back every entry of every kind, found by its serial', async () => {
    const bundle = Bundle.open(await encodeBundle(content({ entries: ENTRIES })))
    for (const entry of ENTRIES) expect(find(bundle, entry.serial)).toEqual(entry)
    expect(find(bundle, serialOf(6))).toBeUndefined()
    expect(await bundle.verifyDigest()).toBe(true)
  })

  test('describes itself', async () => {
    const { entries, ...header } = content({ k: 24, slot: 0xfedcba, asOf: 2 ** 53 - 1, issuer: 2 ** 32 - 1 })
    const bytes = await encodeBundle({ ...header, entries })
    expect(Bundle.open(bytes)).toMatchObject({ ...header, count: 0, byteLength: bytes.length })
  })

  test('works in a view at an odd place of a larger buffer', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    const larger = new Uint8Array(bytes.length + 10)
    larger.set(bytes, 3)
    const bundle = Bundle.open(larger.subarray(3, 3 + bytes.length))
    expect(find(bundle, revoked.serial)).toEqual(revoked)
    expect(await bundle.verifyDigest()).toBe(true)
  })

  test.each([0, 1, 2, 3, 7, 8, 9])('of %i entries finds all of them and nothing else', async (count) => {
    const entries = Array.from({ length: count }, (_, i) => good(serialOf(i)))
    const bundle = Bundle.open(await encodeBundle(content({ entries })))
    expect(bundle.count).toBe(count)
    for (const entry of entries) expect(find(bundle, entry.serial)).toEqual(entry)
    for (let i = count; i < count + 20; i++) expect(find(bundle, serialOf(i))).toBeUndefined()
    expect([...bundle.entries()]).toHaveLength(count)
  })

  test('tells serials of equal hash apart, also when only one of them is there', async () => {
    const [a, b] = collidingSerials()
    expect(serialHash(a)).toBe(serialHash(b))
    const entries = [good(b, { window: 1 }), good(serialOf(1)), good(a)]
    const both = Bundle.open(await encodeBundle(content({ entries })))
    expect(find(both, a)).toEqual(entries[2])
    expect(find(both, b)).toEqual(entries[0])
    const one = Bundle.open(await encodeBundle(content({ entries: entries.slice(0, 2) })))
    expect(find(one, a)).toBeUndefined()
  })

  test('keeps 16 windows apart', async () => {
    const windows = Array.from({ length: 16 }, (_, i) => ({ ...WINDOW, producedAt: WINDOW.producedAt + i }))
    const entries = windows.map((_, i) => good(serialOf(i), { window: i }))
    const bundle = Bundle.open(await encodeBundle(content({ windows, entries })))
    expect(bundle.windows).toEqual(windows)
    for (const entry of entries) expect(find(bundle, entry.serial)?.window).toBe(entry.window)
  })

  test('keeps times beyond 2106 and up to the year 9999', async () => {
    const late = { responder: 0, thisUpdate: 2 ** 32, producedAt: 2 ** 33, nextUpdate: 253_402_300_799 }
    const certStatus = { type: 'revoked', revocationTime: 2 ** 32 + 5 } as const
    const bytes = await encodeBundle(
      content({ windows: [late], entries: [good(serialOf(1), { certStatus })] }),
    )
    const bundle = Bundle.open(bytes)
    expect(bundle.windows).toEqual([late])
    expect(find(bundle, serialOf(1))?.certStatus).toEqual(certStatus)
  })

  test('is the same bytes whatever the order of the entries', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    expect(await encodeBundle(content({ entries: ENTRIES.toReversed() }))).toEqual(bytes)
    const entries = collidingSerials().map((s) => good(s))
    expect(await encodeBundle(content({ entries: entries.toReversed() }))).toEqual(
      await encodeBundle(content({ entries })),
    )
  })

  test('leaves reason 0 out (R4.22)', async () => {
    const certStatus = { type: 'revoked', revocationTime: 1000, revocationReason: 0 } as const
    const bundle = Bundle.open(await encodeBundle(content({ entries: [good(serialOf(1), { certStatus })] })))
    expect(find(bundle, serialOf(1))?.certStatus).toEqual({ type: 'revoked', revocationTime: 1000 })
  })

  test('answers a verbatim entry with its own bytes and a variant without signature with nothing', async () => {
    const bundle = Bundle.open(await encodeBundle(content({ entries: ENTRIES })))
    const found = find(bundle, verbatim.serial)
    const lacking = find(bundle, extended.serial)
    expect(found && bundle.response(found, 1)).toEqual(verbatim.verbatim?.[1])
    expect(found && bundle.response(found, 0)).toBeInstanceOf(Uint8Array)
    expect(found && bundle.response(found, 2)).toBeUndefined()
    expect(lacking && bundle.response(lacking, 1)).toBeUndefined()
  })

  test('gives its memory back when it is released, and nothing else any more', async () => {
    const bundle = Bundle.open((await encodeBundle(content({ entries: ENTRIES }))).slice())
    const [rebuilt, verbatimOne] = [find(bundle, serialOf(1)), find(bundle, verbatim.serial)]
    if (rebuilt === undefined || verbatimOne === undefined) throw new Error('not found')
    const answer = bundle.response(rebuilt, 0)
    const octets = answer?.slice()
    bundle.release()
    expect(answer).toEqual(octets)
    expect(rebuilt.signatures[0]).toHaveLength(0)
    expect(() => find(bundle, verbatim.serial)).toThrow()
    for (const entry of [rebuilt, verbatimOne])
      for (const variant of [0, 1])
        expect([bundle.response(entry, variant), bundle.responseView(entry, variant)]).toEqual([
          undefined,
          undefined,
        ])
    bundle.release()
  })

  test('takes nothing from those that it shares its buffer with', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    const larger = new Uint8Array(bytes.length + 10)
    larger.set(bytes, 10)
    const bundle = Bundle.open(larger.subarray(10))
    bundle.release()
    expect(larger).toHaveLength(bytes.length + 10)
    expect(find(bundle, verbatim.serial)).toEqual(verbatim)
  })
})

describe('damaged bytes', () => {
  test('one flipped bit anywhere is a fault, or changes no answer and fails the digest', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const outcome = damage(damaged, ENTRIES)
      // Only the trailer has no part in answering.
      expect([bit, outcome === 'no answer changed']).toEqual([bit, bit >= (bytes.length - 32) * 8])
      if (outcome === 'no answer changed') expect(await Bundle.open(damaged).verifyDigest()).toBe(false)
    }
  })

  test('cut off at any length is a fault, and so is anything behind the end', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    for (let length = 0; length < bytes.length; length++) {
      expect(() => Bundle.open(bytes.slice(0, length))).toThrow(BundleFault)
    }
    const longer = new Uint8Array(bytes.length + 1)
    longer.set(bytes)
    expect(() => Bundle.open(longer)).toThrow(expect.objectContaining({ reason: 'badLength' }))
  })

  test('torn between two versions at any octet: a fault, or every answer from one of them', async () => {
    const before = await encodeBundle(content({ entries: SERIALS.map((s) => good(s)) }))
    const after = await encodeBundle(
      content({ asOf: 1_795_000_000_000_001, entries: SERIALS.map((s) => good(s, { window: 1 })) }),
    )
    expect(after.length).toBe(before.length)
    for (let tear = 1; tear < before.length - 32; tear++) {
      const torn = after.slice()
      torn.set(before.subarray(tear), tear)
      const outcomes = SERIALS.map((serial) => {
        try {
          const bundle = Bundle.open(torn)
          return [bundle.asOf, find(bundle, serial)?.window]
        } catch (error) {
          expect(error).toBeInstanceOf(BundleFault)
          return 'fault'
        }
      })
      for (const outcome of outcomes) {
        expect(['fault', [1_795_000_000_000_000, 0], [1_795_000_000_000_001, 1]]).toContainEqual(outcome)
      }
    }
  })

  test.each([
    ['nothing', new Uint8Array(), 'badLength'],
    ['text', new TextEncoder().encode('{"not":"a bundle"}'.repeat(9)), 'badMagic'],
    ['zeros', new Uint8Array(500), 'badMagic'],
  ])('%s is not a bundle', (_what, bytes, reason) => {
    expect(() => Bundle.open(bytes)).toThrow(expect.objectContaining({ reason }))
  })
})

/** Bytes whose checksums are right: what a hostile or broken writer could make. */
describe('hostile bytes', () => {
  const at = {
    version: 4,
    k: 5,
    variants: 6,
    responders: 7,
    header: 12,
    count: 16,
    slot: 24,
    asOf: 28,
    windows: 36,
  }

  test.each([
    ['a version to come', at.version, [2], 'badVersion'],
    ['k above 24', at.k, [25], 'badHeader'],
    ['a slot that k does not have', at.slot, [0, 0, 0, 1], 'badHeader'],
    ['asOf of 2^53', at.asOf, [0, 0x20, 0, 0, 0, 0, 0, 0], 'badHeader'],
    ['no variant', at.variants, [0], 'badHeader'],
    ['more variants than octets', at.variants, [255], 'badHeader'],
    ['more responders than octets', at.responders, [255], 'badHeader'],
    ['more windows than octets', at.windows, [255], 'badHeader'],
    ['a window too few', at.windows, [1], 'badHeader'],
    ['a reserved octet', at.windows + 1, [1], 'badHeader'],
    ['an unknown hash', 40, [9], 'badHeader'],
    ['the same hash twice', 40 + 41, [1], 'badHeader'],
    ['a header of 2^32 - 1 octets', at.header, [0xff, 0xff, 0xff, 0xff], 'badLength'],
    ['a header of 0 octets', at.header, [0, 0, 0, 0], 'badLength'],
    ['2^32 - 1 entries', at.count, [0xff, 0xff, 0xff, 0xff], 'badLength'],
    ['2^29 entries, whose index size wraps 32 bits', at.count, [0x20, 0, 0, 0], 'badLength'],
  ])('with %s are refused', async (_what, offset, patch, reason) => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    bytes.set(patch, offset)
    if (reason === 'badHeader') resealHeader(bytes)
    expect(() => Bundle.open(bytes)).toThrow(expect.objectContaining({ reason }))
  })

  test('with any octet of the index or the entries changed and resealed: an entry, a miss or a fault', async () => {
    const entries = ENTRIES
    const bytes = await encodeBundle(content({ entries }))
    const index = new DataView(bytes.buffer).getUint32(12)
    for (let offset = index; offset < bytes.length - 32; offset++) {
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        const hostile = bytes.slice()
        hostile[offset] = value
        try {
          resealAll(hostile)
        } catch {
          resealHeader(hostile)
        }
        try {
          const bundle = Bundle.open(hostile)
          for (const { serial } of entries) {
            const found = find(bundle, serial)
            if (found === undefined) continue
            expect(found.serial).toEqual(serial)
            for (const variant of [0, 1]) bundle.response(found, variant)
          }
          expect([...bundle.entries()].length).toBeLessThanOrEqual(entries.length)
        } catch (error) {
          expect(error).toBeInstanceOf(BundleFault)
        }
      }
    }
  })

  /** Offsets in an entry of `good(serialOf(n))`: length 1, serial 8, flags 1, then u16 lengths with signatures of 71 and 70. */
  test.each([
    ['a signature one octet shorter than the entry has', 83, [0, 69]],
    ['a signature one octet longer than the entry has', 83, [0, 71]],
    ['a signature as long as a u16 can say', 10, [0xff, 0xff]],
    ['an empty serial', 0, [0]],
    ['a serial that runs over the end', 0, [255]],
    ['a padded serial', 1, [0, 0]],
    ['the unused status', 9, [0x30]],
    ['a window that there is not', 9, [0x02]],
    ['extensions where a signature is', 9, [0x40]],
    ['a verbatim response of variant 4', 9, [0x80, 0x10]],
    ['a verbatim response of 2^32 - 1 octets', 9, [0x80, 0x01, 0xff, 0xff, 0xff, 0xff]],
  ])('with %s in an entry fault on that entry alone', async (_what, place, patch) => {
    const bytes = await encodeBundle(content({ entries: SERIALS.map((s) => good(s)) }))
    const view = new DataView(bytes.buffer)
    const entry = (row: number) => view.getUint32(view.getUint32(12) + 8 * row + 4)
    const [victim, next] = [bytes.slice(entry(0) + 1, entry(0) + 9), bytes.slice(entry(1) + 1, entry(1) + 9)]
    bytes.set(patch, entry(0) + place)
    const bundle = Bundle.open(resealAll(bytes))
    expect(() => [...bundle.entries()]).toThrow(expect.objectContaining({ reason: 'badEntry' }))
    if (place >= 9)
      expect(() => find(bundle, victim)).toThrow(expect.objectContaining({ reason: 'badEntry' }))
    expect(find(bundle, next)?.serial).toEqual(next)
  })

  test('with a verbatim response of a variant that there is not fault', async () => {
    const bytes = await encodeBundle(content({ entries: [verbatim] }))
    const view = new DataView(bytes.buffer)
    const mask = view.getUint32(view.getUint32(12) + 4) + 10
    expect(bytes[mask]).toBe(0b10)
    bytes[mask] = 0b110
    const bundle = Bundle.open(resealAll(bytes))
    expect(() => find(bundle, verbatim.serial)).toThrow(expect.objectContaining({ reason: 'badEntry' }))
  })

  test('with an unsorted index find at most a miss, and listing faults', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    const view = new DataView(bytes.buffer)
    view.setUint32(view.getUint32(12), 0xffffffff)
    resealAll(bytes)
    const bundle = Bundle.open(bytes)
    for (const { serial } of ENTRIES) {
      const found = find(bundle, serial)
      if (found !== undefined) expect(found.serial).toEqual(serial)
    }
    expect(() => [...bundle.entries()]).toThrow(BundleFault)
  })

  test('with every row at one hash and one offset fault at once', async () => {
    const bytes = await encodeBundle(content({ entries: ENTRIES }))
    const view = new DataView(bytes.buffer)
    const index = view.getUint32(12)
    const hash = serialHash(serialOf(6))
    for (let i = 0; i < ENTRIES.length; i++) {
      view.setUint32(index + 8 * i, hash)
      view.setUint32(index + 8 * i + 4, view.getUint32(index + 4))
    }
    resealHeader(bytes)
    expect(() => find(Bundle.open(bytes), serialOf(6))).toThrow(
      expect.objectContaining({ reason: 'badEntry' }),
    )
  })
})
