/** Contents of bundles for tests. Signatures are filler octets: a bundle carries them, it does not verify them. */

import type { BundleEntry } from '../../src/bundle/bundle-format.ts'
import type { BundleContent } from '../../src/bundle/bundle-writer.ts'
import { crc32 } from '../../src/bundle/crc32.ts'
import { hash32 } from '../../src/bundle/hash32.ts'

export const THIS_UPDATE = Date.UTC(2026, 10, 21) / 1000

export function filler(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + 1) & 0xff)
}

/** AlgorithmIdentifier of ecdsa-with-SHA256: parameters absent. */
export const ECDSA_SHA256 = Uint8Array.of(
  0x30,
  0x0a,
  0x06,
  0x08,
  0x2a,
  0x86,
  0x48,
  0xce,
  0x3d,
  0x04,
  0x03,
  0x02,
)

/** SEQUENCE with `length` octets of filler: stands for a certificate. */
export function sequence(length: number, seed: number): Uint8Array {
  const header =
    length < 0x80
      ? [0x30, length]
      : length < 0x100
        ? [0x30, 0x81, length]
        : [0x30, 0x82, length >> 8, length & 0xff]
  return Uint8Array.from([...header, ...filler(length, seed)])
}

export const SHA1 = {
  hashAlgorithm: 'SHA-1',
  issuerNameHash: filler(20, 1),
  issuerKeyHash: filler(20, 2),
} as const
export const SHA256 = {
  hashAlgorithm: 'SHA-256',
  issuerNameHash: filler(32, 3),
  issuerKeyHash: filler(32, 4),
} as const

export const WINDOW = {
  responder: 0,
  thisUpdate: THIS_UPDATE,
  producedAt: THIS_UPDATE + 300,
  nextUpdate: THIS_UPDATE + 7 * 86_400 - 1,
}

export function content(over: Partial<BundleContent> = {}): BundleContent {
  return {
    issuer: 7,
    k: 0,
    slot: 0,
    asOf: 1_795_000_000_000_000,
    variants: [SHA1, SHA256],
    responders: [
      { id: 3, keyHash: filler(20, 5), signatureAlgorithm: ECDSA_SHA256, certs: [sequence(200, 6)] },
      { id: 4, keyHash: filler(20, 7), signatureAlgorithm: ECDSA_SHA256, certs: [] },
    ],
    windows: [WINDOW, { ...WINDOW, responder: 1, producedAt: THIS_UPDATE + 900 }],
    entries: [],
    ...over,
  }
}

export function good(serial: Uint8Array, over: Partial<BundleEntry> = {}): BundleEntry {
  const seed = serial[serial.length - 1] ?? 0
  return {
    serial,
    certStatus: { type: 'good' },
    window: 0,
    signatures: [filler(71, seed), filler(70, seed + 1)],
    ...over,
  }
}

/** A positive serial of 8 octets, different for each number. */
export function serialOf(number: number): Uint8Array {
  const serial = new Uint8Array(8)
  new DataView(serial.buffer).setBigUint64(0, 0x4000_0000_0000_0000n + BigInt(number))
  return serial
}

/**
 * Two different serials with the same 32-bit hash, by brute force: about 2^16 trials. Both words of each serial vary, for
 * murmur3 is a bijection of any one of them.
 */
export function collidingSerials(): [Uint8Array, Uint8Array] {
  const seen = new Map<number, Uint8Array>()
  for (let i = 1n; ; i++) {
    const serial = new Uint8Array(8)
    new DataView(serial.buffer).setBigUint64(0, ((i * 0x9e3779b97f4a7c15n) >> 2n) & 0x3fff_ffff_ffff_ffffn)
    serial[0] = 0x40 | (serial[0] ?? 0)
    const earlier = seen.get(hash32(serial))
    if (earlier !== undefined) return [earlier, serial]
    seen.set(hash32(serial), serial)
  }
}

/** Makes the CRC of header and index right again after a change, as an attacker would. Entries keep their old CRC. */
export function resealHeader(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = view.getUint32(12) + 8 * view.getUint32(16)
  view.setUint32(end, crc32(bytes, 0, end))
  return bytes
}

/** Makes every CRC right again, whatever the entries say. */
export function resealAll(bytes: Uint8Array): Uint8Array {
  resealHeader(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [index, count] = [view.getUint32(12), view.getUint32(16)]
  const seed = view.getUint32(index + 8 * count)
  for (let i = 0; i < count; i++) {
    const start = view.getUint32(index + 8 * i + 4)
    const end = i + 1 < count ? view.getUint32(index + 8 * i + 12) : bytes.length - 32
    view.setUint32(end - 4, crc32(bytes, start, end - 4, seed))
  }
  return bytes
}
