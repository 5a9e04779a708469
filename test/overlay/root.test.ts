import { describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { OverlayFault, OverlayRoot } from '../../src/overlay/root.ts'
import { encodeRoot, MAX_ITEMS } from '../../src/overlay/root-encoder.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS, HASH_LENGTH } from '../../src/pkix/algorithm-identifier.ts'
import type {
  IssuerHashes,
  OverlayIssuer,
  OverlayItem,
  OverlaySegment,
  OverlaySnapshot,
  RangeFloor,
} from '../../src/ports/records.ts'
import { Random } from '../support/clock.ts'

const SEQ = 1_795_230_000_000_000

function hashes(fill: number): Record<HashAlgorithm, IssuerHashes> {
  const one = (hash: HashAlgorithm) => ({
    issuerNameHash: new Uint8Array(HASH_LENGTH[hash]).fill(fill + 1),
    issuerKeyHash: new Uint8Array(HASH_LENGTH[hash]).fill(fill),
  })
  return {
    'SHA-1': one('SHA-1'),
    'SHA-256': one('SHA-256'),
    'SHA-384': one('SHA-384'),
    'SHA-512': one('SHA-512'),
  }
}

const issuer = (id: number, over: Partial<OverlayIssuer> = {}): OverlayIssuer => ({
  id,
  head: SEQ + 50,
  floor: 10,
  k: 3,
  configRev: SEQ,
  enabled: true,
  frozen: false,
  hashes: hashes(id),
  ...over,
})
const serialOf = (n: number) => Uint8Array.of(0x51, n >>> 16, n >>> 8, n)
const item = (id: number, n: number, seq: number): OverlayItem => ({ issuer: id, serial: serialOf(n), seq })

const NOTHING: OverlaySnapshot = {
  position: SEQ,
  issuers: [],
  pages: [],
  segments: [],
  floors: [],
  items: [],
}

function open(snapshot: Partial<OverlaySnapshot>, seed = 42): OverlayRoot {
  return OverlayRoot.open(encodeRoot({ ...NOTHING, ...snapshot }, 7, 1_795_230_000_123, seed))
}

const need = (root: OverlayRoot, of: number, serial: Uint8Array): number =>
  root.need(at(root, of), serial, serialHash(serial))

function at(root: OverlayRoot, id: number) {
  const found = root.issuer(id)
  if (found === undefined) throw new Error(`no issuer ${id}`)
  return found
}

describe('a root', () => {
  const items = [item(1, 1, SEQ + 5), item(1, 2, SEQ + 6), item(2, 1, SEQ + 7)]
  const issuers = [issuer(1), issuer(2, { k: 0, enabled: false, floor: 0 }), issuer(900, { frozen: true })]
  const bytes = encodeRoot(
    { ...NOTHING, issuers, items },
    2 ** 45 + 3,
    1_795_230_000_123,
    0xffff_fffe,
    new Set([900]),
  )

  test('reads back as it was written, 64-bit numbers included', () => {
    const root = OverlayRoot.open(bytes)
    expect(root).toMatchObject({ version: 2 ** 45 + 3, timeMs: 1_795_230_000_123, itemCount: 3 })
    expect([...root.issuers]).toEqual([
      { id: 1, k: 3, enabled: true, frozen: false, head: SEQ + 50, floor: 10, configRev: SEQ },
      { id: 2, k: 0, enabled: false, frozen: false, head: SEQ + 50, floor: 0, configRev: SEQ },
      { id: 900, k: 3, enabled: true, frozen: true, head: SEQ + 50, floor: 10, configRev: SEQ },
    ])
    expect(root.issuer(3)).toBeUndefined()
  })

  test('reads in place from the middle of a larger buffer', () => {
    const buffer = new Uint8Array(bytes.length + 20)
    buffer.set(bytes, 7)
    const root = OverlayRoot.open(buffer.subarray(7, 7 + bytes.length))
    expect(need(root, 1, serialOf(2))).toBe(SEQ + 6)
  })

  test('any bit that is another is found out', () => {
    for (let i = 0; i < bytes.length; i += 1) {
      const torn = Uint8Array.from(bytes)
      torn[i] = (torn[i] ?? 0) ^ (1 << (i % 8))
      expect(() => OverlayRoot.open(torn), `octet ${i}`).toThrow(OverlayFault)
    }
  })

  test('truncated, empty, longer or foreign values are no root', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => OverlayRoot.open(bytes.subarray(0, length))).toThrow(OverlayFault)
    expect(() => OverlayRoot.open(Uint8Array.of(...bytes, 0))).toThrow('badLength')
    const random = new Random(1)
    for (let i = 0; i < 50; i += 1) expect(() => OverlayRoot.open(random.octets(200))).toThrow(OverlayFault)
  })
})

describe('the lowest asOf of a serial', () => {
  test('is its own change, or the floor; another issuer of the same serial has another', () => {
    const root = open({ issuers: [issuer(1), issuer(2)], items: [item(1, 1, SEQ + 5), item(2, 1, SEQ + 9)] })
    expect(need(root, 1, serialOf(1))).toBe(SEQ + 5)
    expect(need(root, 2, serialOf(1))).toBe(SEQ + 9)
    expect(need(root, 1, serialOf(2))).toBe(10)
  })

  test('is never below the floor', () => {
    const root = open({ issuers: [issuer(1, { floor: SEQ + 20 })], items: [item(1, 1, SEQ + 5)] })
    expect(need(root, 1, serialOf(1))).toBe(SEQ + 20)
  })

  test.each([0, 1, 42, 0xffff_ffff, 0x8000_0000])(
    'is found for each of many serials, and for no other (seed %i)',
    (seed) => {
      const random = new Random(seed)
      const items = Array.from({ length: 3_000 }, (_, n) =>
        item(1 + (n % 3), n, SEQ + random.between(1, 1_000)),
      )
      const root = open({ issuers: [issuer(1), issuer(2), issuer(3)], items }, seed)
      for (const { issuer: id, serial, seq } of items) expect(need(root, id, serial)).toBe(seq)
      let falsely = 0
      for (let n = 3_000; n < 6_000; n += 1) if (need(root, 1, serialOf(n)) > 10) falsely += 1
      expect(falsely).toBe(0)
    },
  )

  test('serials whose first hash collides are told apart by the second, and equal ones take the highest', () => {
    // murmur3 of 32 bits: among 200,000 serials some pairs collide under any seed.
    const items = Array.from({ length: 60_000 }, (_, n) => item(1, n, SEQ + n))
    const root = open({ issuers: [issuer(1)], items })
    for (let n = 0; n < items.length; n += 1)
      if (need(root, 1, serialOf(n)) !== SEQ + n) throw new Error(`serial ${n}`)
    const twice = open({
      issuers: [issuer(1)],
      items: [item(1, 1, SEQ + 3), item(1, 1, SEQ + 9), item(1, 1, SEQ + 5)],
    })
    expect(need(twice, 1, serialOf(1))).toBe(SEQ + 9)
    expect(twice.itemCount).toBe(1)
  })

  test("more items than a root holds: the oldest raise their issuer's floor instead (attack 12)", () => {
    const extra = 10
    const items = Array.from({ length: MAX_ITEMS + extra }, (_, n) => item(n < extra ? 1 : 2, n, SEQ + n))
    const root = open({ issuers: [issuer(1), issuer(2)], items })
    expect(root.itemCount).toBe(MAX_ITEMS)
    expect(need(root, 1, serialOf(MAX_ITEMS + extra + 7))).toBe(SEQ + extra - 1)
    expect(need(root, 2, serialOf(MAX_ITEMS + extra + 7))).toBe(10)
    for (let n = 0; n < extra; n += 1) expect(need(root, 1, serialOf(n))).toBeGreaterThanOrEqual(SEQ + n)
    for (let n = extra; n < items.length; n += 997) expect(need(root, 2, serialOf(n))).toBe(SEQ + n)
  })
})

describe('candidates', () => {
  test('are the enabled issuers of that key hash, by each algorithm (R2.1)', () => {
    const root = open({ issuers: [issuer(1), issuer(2), issuer(3, { enabled: false })], items: [] })
    for (const algorithm of HASH_ALGORITHMS) {
      const keyHash = (id: number) => hashes(id)[algorithm].issuerKeyHash
      expect(root.candidates(algorithm, keyHash(1))).toEqual([1])
      expect(root.candidates(algorithm, keyHash(2))).toEqual([2])
      expect(root.candidates(algorithm, keyHash(3))).toEqual([])
      expect(root.candidates(algorithm, keyHash(4))).toEqual([])
    }
  })

  test('two issuers of one key are both candidates: the name decides (R1.16)', () => {
    const root = open({ issuers: [issuer(1), issuer(2, { hashes: hashes(1) })], items: [] })
    expect(root.candidates('SHA-256', hashes(1)['SHA-256'].issuerKeyHash)).toEqual([1, 2])
  })

  test('a hash that agrees in its first four octets alone is none', () => {
    const root = open({ issuers: [issuer(1)], items: [] })
    const near = new Uint8Array(20).fill(1)
    near[5] = 9
    expect(root.candidates('SHA-1', near)).toEqual([])
    expect(root.candidates('SHA-1', Uint8Array.of(1, 1))).toEqual([])
  })
})

describe('items carried on while an issuer is frozen', () => {
  test('keep their meaning beside new ones, and do not pile up from root to root', () => {
    const lost = open({ issuers: [issuer(1)], items: [item(1, 1, SEQ + 5), item(1, 2, SEQ + 6)] }, 77)
    let last = lost
    for (let version = 8; version < 20; version += 1) {
      const snapshot = {
        ...NOTHING,
        issuers: [issuer(1, { frozen: true })],
        items: [item(1, 2, SEQ + 90), item(1, 3, SEQ + 91)],
      }
      last = OverlayRoot.open(encodeRoot(snapshot, version, 1, 5, new Set([1]), last.carried))
    }
    expect(need(last, 1, serialOf(1))).toBe(SEQ + 5)
    expect(need(last, 1, serialOf(2))).toBe(SEQ + 90)
    expect(need(last, 1, serialOf(3))).toBe(SEQ + 91)
    expect(last.itemCount).toBe(3)
  })
})

describe('what a root names', () => {
  const page = (algorithm: HashAlgorithm, octet: number, version: number) => ({ algorithm, octet, version })

  test('directory pages are found by algorithm and first octet of the key hash, others are not there', () => {
    const pages = HASH_ALGORITHMS.flatMap((algorithm, a) =>
      [255, 0, 7, 128].map((octet) => page(algorithm, octet, 2 ** 48 - 5_000 + a * 1000 + octet)),
    )
    const root = open({ pages })
    for (const { algorithm, octet, version } of pages)
      expect(root.directoryPage(algorithm, Uint8Array.of(octet, 1, 2))).toBe(version)
    for (const octet of [1, 6, 8, 127, 254])
      expect(root.directoryPage('SHA-256', Uint8Array.of(octet))).toBeUndefined()
    expect(open({}).directoryPage('SHA-1', Uint8Array.of(0))).toBeUndefined()
  })

  test('segments read back as they were written', () => {
    const segments: OverlaySegment[] = [
      {
        version: SEQ,
        kind: 'items',
        bits: 3,
        probes: 0,
        issuer: undefined,
        seed: 0xffff_ffff,
        count: 9,
        lastSeq: SEQ,
        keepUntil: undefined,
      },
      {
        version: SEQ + 1,
        kind: 'filter',
        bits: 6,
        probes: 7,
        issuer: 12,
        seed: 1,
        count: 1e6,
        lastSeq: SEQ + 9,
        keepUntil: 1_795_230_000,
      },
    ]
    expect(open({ segments, items: [item(1, 1, SEQ)], issuers: [issuer(1)] }).segments).toEqual(segments)
  })

  test('a range floor holds for the serials whose hash lies in it, of its issuer alone', () => {
    const hash = serialHash(serialOf(1))
    const range = (from: number, to: number, floor: number) => ({ issuer: 1, from, to, floor: SEQ + floor })
    const of = (...floors: RangeFloor[]) =>
      open({ issuers: [issuer(1), issuer(2)], floors, items: [item(1, 2, SEQ + 3)] })
    expect(need(of(range(hash, hash, 5)), 1, serialOf(1))).toBe(SEQ + 5)
    expect(need(of(range(0, 0xffff_ffff, 5), range(hash, hash, 4)), 1, serialOf(1))).toBe(SEQ + 5)
    expect(need(of(range(0, hash - 1, 5), range(hash + 1, 0xffff_ffff, 5)), 1, serialOf(1))).toBe(10)
    expect(need(of(range(0, 0xffff_ffff, 5)), 2, serialOf(1))).toBe(10)
    expect(need(of(range(0, 0xffff_ffff, 2)), 1, serialOf(2))).toBe(SEQ + 3)
  })
})
