import { describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { MAX_BUNDLE_BYTES } from '../../src/bundle/bundle-layout.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import { content, filler, good, SHA1, sequence, serialOf, WINDOW } from './support.ts'

describe('the writer refuses', () => {
  const entry = good(serialOf(1))
  test.each([
    ['a serial twice', { entries: [entry, entry] }, /twice/],
    ['17 windows', { windows: Array.from({ length: 17 }, () => WINDOW) }, /17 windows/],
    [
      '17 responders',
      { responders: Array.from({ length: 17 }, () => content().responders).flat() },
      /34 responders/,
    ],
    [
      'a window of no responder',
      { windows: [{ ...WINDOW, responder: 2 }] },
      /window 0: there is no responder 2/,
    ],
    [
      'a window that ends before it begins',
      { windows: [{ ...WINDOW, nextUpdate: 5 }] },
      /window 0: nextUpdate/,
    ],
    ['a time before 1970', { windows: [{ ...WINDOW, thisUpdate: -1 }] }, /window 0: a time/],
    ['a time after 9999', { windows: [{ ...WINDOW, nextUpdate: 253_402_300_800 }] }, /window 0: a time/],
    ['a time that is not whole', { windows: [{ ...WINDOW, producedAt: 1.5 }] }, /window 0: a time/],
    [
      'a serial of another slot',
      { k: 1, slot: serialHash(entry.serial) >>> 31 ? 0 : 1, entries: [entry] },
      /belongs to slot/,
    ],
    ['no variant', { variants: [] }, /0 variants/],
    ['a variant twice', { variants: [SHA1, SHA1] }, /second time/],
    [
      'hashes of the wrong length',
      { variants: [{ ...SHA1, hashAlgorithm: 'SHA-256' as const }] },
      /variant 0/,
    ],
    ['an issuer id of 33 bits', { issuer: 2 ** 32 }, /issuer/],
    ['asOf of 2^53', { asOf: 2 ** 53 }, /asOf/],
    ['a missing window', { entries: [{ ...entry, window: 2 }] }, /no window 2/],
    ['an empty serial', { entries: [{ ...entry, serial: new Uint8Array() }] }, /serial/],
    ['a padded serial', { entries: [{ ...entry, serial: Uint8Array.of(0, 1) }] }, /entry 0001: the serial/],
    ['a negative padded serial', { entries: [{ ...entry, serial: Uint8Array.of(0xff, 0x80) }] }, /minimal/],
    [
      'CRLReason 7',
      {
        entries: [
          { ...entry, certStatus: { type: 'revoked' as const, revocationTime: 1, revocationReason: 7 } },
        ],
      },
      /Reason 7/,
    ],
    [
      'CRLReason 11',
      {
        entries: [
          { ...entry, certStatus: { type: 'revoked' as const, revocationTime: 1, revocationReason: 11 } },
        ],
      },
      /Reason 11/,
    ],
    [
      'an entry without a response',
      { entries: [{ ...entry, signatures: [undefined, undefined] }] },
      /no response/,
    ],
    [
      'more signatures than variants',
      { entries: [{ ...entry, signatures: [filler(9, 1), filler(9, 1), filler(9, 1)] }] },
      /more signatures/,
    ],
    [
      'signature and verbatim response for one variant',
      { entries: [{ ...entry, verbatim: [sequence(9, 1)] }] },
      /variant 0/,
    ],
    [
      'a verbatim response that is no SEQUENCE',
      { entries: [{ ...entry, signatures: [], verbatim: [filler(9, 1)] }] },
      /SEQUENCE/,
    ],
    [
      'extensions with a byte behind them',
      { entries: [{ ...entry, singleExtensions: Uint8Array.of(0x30, 0, 0) }] },
      /SEQUENCE/,
    ],
    [
      'a certificate cut short',
      {
        responders: [
          {
            id: 1,
            keyHash: filler(20, 1),
            signatureAlgorithm: sequence(3, 1),
            certs: [sequence(300, 1).slice(0, 299)],
          },
        ],
      },
      /responder 0: a certificate/,
    ],
  ])('%s', async (_what, over, message) => {
    await expect(encodeBundle(content(over))).rejects.toThrow(RangeError)
    await expect(encodeBundle(content(over))).rejects.toThrow(message)
  })

  test('more than 2 MiB, and writes exactly 2 MiB', async () => {
    const entries = Array.from({ length: 31 }, (_, i) =>
      good(serialOf(i), { signatures: [filler(65_535, i), undefined] }),
    )
    const room = MAX_BUNDLE_BYTES - (await encodeBundle(content({ entries }))).length
    // Row of the index, serial and its length, flags, two lengths of signatures, CRC.
    const overhead = 8 + 9 + 1 + 4 + 4
    const last = (octets: number) =>
      good(serialOf(99), { signatures: [filler(octets - overhead, 1), undefined] })
    const full = await encodeBundle(content({ entries: [...entries, last(room)] }))
    expect(full.length).toBe(MAX_BUNDLE_BYTES)
    expect(Bundle.open(full).count).toBe(32)
    await expect(encodeBundle(content({ entries: [...entries, last(room + 1)] }))).rejects.toThrow(
      /2097153 octets/,
    )
  })
})
