/**
 * The overlay root: what changed lately, and which issuers there are, in one fixed-width value that is read in place.
 *
 *   0  magic "EOR1"            4      28  issuer count           4
 *   4  total length            4      32  item count             4
 *   8  version                 8      36  CRC-32 of bytes 40..   4
 *  16  time, Unix ms           8      40  issuers, 64 bytes each
 *  24  hash seed               4       …  items, 16 bytes each, ascending
 *
 *  issuer: id 4 | k 1 | flags 1 (1 enabled, 2 frozen) | 0 2 | head 8 | floor 8 | configRev 8 | key hash prefixes 4 x 8
 *  item:   h1 4 | h2 4 | seq 8        (h1, h2: two seeded 32-bit hashes of issuer and serial)
 *
 * All integers are big-endian. An item is a claim about a hash, not a serial: a false match costs one lookup further down,
 * a missed one cannot happen. docs/storage.md has the same table for operators.
 */
import { crc32 } from '../bundle/crc32.ts'
import { hash32 } from '../bundle/hash32.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { OverlaySnapshot, Sequence } from '../ports/records.ts'

const MAGIC = 0x454f5231
const HEADER_BYTES = 40
const ISSUER_BYTES = 64
const ITEM_BYTES = 16
const PREFIXES_OFFSET = 32
const ENABLED = 1
const FROZEN = 2
const TWO_32 = 0x1_0000_0000

/** Beyond this many items the root would be a burden to every isolate: see `encodeRoot`. 1 MiB of items. */
export const MAX_ITEMS = 65_536

/** The value is no root that we can read: torn, foreign or of another version. */
export class OverlayFault extends Error {
  override readonly name = 'OverlayFault'
  readonly reason: 'badMagic' | 'badLength' | 'badChecksum'
  constructor(reason: OverlayFault['reason']) {
    super(reason)
    this.reason = reason
  }
}

/** What the root says of one issuer. */
export interface RootIssuer {
  readonly id: number
  readonly k: number
  readonly enabled: boolean
  /** The record was found behind the root (a restored database): nothing new is signed until an operator thaws it. */
  readonly frozen: boolean
  readonly head: Sequence
  readonly floor: Sequence
  readonly configRev: Sequence
}

/** A root, read in place. */
export class OverlayRoot {
  readonly version: number
  /** Taken before D1 was read: every change committed before it is in here. */
  readonly timeMs: number
  readonly #view: DataView
  readonly #seed: number
  readonly #itemsAt: number
  readonly #itemCount: number
  readonly #issuers = new Map<number, RootIssuer>()
  /** First four bytes of a key hash -> positions of issuer records and the hash algorithm's index. */
  readonly #byKeyHash = new Map<number, { at: number; algorithm: number; id: number }[]>()

  private constructor(view: DataView) {
    this.#view = view
    this.version = readSequence(view, 8)
    this.timeMs = readSequence(view, 16)
    this.#seed = view.getUint32(24)
    const issuerCount = view.getUint32(28)
    this.#itemCount = view.getUint32(32)
    this.#itemsAt = HEADER_BYTES + issuerCount * ISSUER_BYTES
    for (let at = HEADER_BYTES; at < this.#itemsAt; at += ISSUER_BYTES) this.#addIssuer(at)
  }

  /** @throws OverlayFault */
  static open(bytes: Uint8Array): OverlayRoot {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < HEADER_BYTES || view.getUint32(4) !== bytes.length) throw new OverlayFault('badLength')
    if (view.getUint32(0) !== MAGIC) throw new OverlayFault('badMagic')
    const expected = HEADER_BYTES + view.getUint32(28) * ISSUER_BYTES + view.getUint32(32) * ITEM_BYTES
    if (expected !== bytes.length) throw new OverlayFault('badLength')
    if (checksum(bytes) !== view.getUint32(36)) throw new OverlayFault('badChecksum')
    return new OverlayRoot(view)
  }

  issuer(id: number): RootIssuer | undefined {
    return this.#issuers.get(id)
  }

  get issuers(): Iterable<RootIssuer> {
    return this.#issuers.values()
  }

  /** Enabled issuers whose key hash starts like this one; the caller compares name and key hash in full (R1.16). */
  candidates(algorithm: HashAlgorithm, keyHash: Uint8Array): readonly number[] {
    const index = HASH_ALGORITHMS.indexOf(algorithm)
    const found = this.#byKeyHash.get(word(keyHash, 0))
    if (found === undefined) return []
    const second = word(keyHash, 4)
    const ids: number[] = []
    for (const { at, algorithm: of, id } of found)
      if (of === index && this.#view.getUint32(at + PREFIXES_OFFSET + index * 8 + 4) === second) ids.push(id)
    return ids
  }

  /** The lowest asOf that an artefact about this serial must have. */
  need(issuer: RootIssuer, serial: Uint8Array): Sequence {
    const h1 = hash32(serial, itemSeed(this.#seed, issuer.id))
    let low = 0
    let high = this.#itemCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#view.getUint32(this.#itemsAt + middle * ITEM_BYTES) < h1) low = middle + 1
      else high = middle
    }
    if (low === this.#itemCount || this.#view.getUint32(this.#itemsAt + low * ITEM_BYTES) !== h1)
      return issuer.floor
    const h2 = hash32(serial, ~itemSeed(this.#seed, issuer.id))
    let need = issuer.floor
    for (; low < this.#itemCount; low += 1) {
      const at = this.#itemsAt + low * ITEM_BYTES
      if (this.#view.getUint32(at) !== h1) break
      if (this.#view.getUint32(at + 4) === h2) need = Math.max(need, readSequence(this.#view, at + 8))
    }
    return need
  }

  get itemCount(): number {
    return this.#itemCount
  }

  /** The items as they stand, to be carried into the next root while an issuer is frozen. */
  get carried(): CarriedItems {
    const from = this.#view.byteOffset + this.#itemsAt
    return { seed: this.#seed, items: new Uint8Array(this.#view.buffer, from, this.#itemCount * ITEM_BYTES) }
  }

  #addIssuer(at: number): void {
    const view = this.#view
    const id = view.getUint32(at)
    const flags = view.getUint8(at + 5)
    const enabled = (flags & ENABLED) !== 0
    this.#issuers.set(id, {
      id,
      k: view.getUint8(at + 4),
      enabled,
      frozen: (flags & FROZEN) !== 0,
      head: readSequence(view, at + 8),
      floor: readSequence(view, at + 16),
      configRev: readSequence(view, at + 24),
    })
    if (!enabled) return
    for (let algorithm = 0; algorithm < HASH_ALGORITHMS.length; algorithm += 1) {
      const prefix = view.getUint32(at + PREFIXES_OFFSET + algorithm * 8)
      const bucket = this.#byKeyHash.get(prefix)
      if (bucket === undefined) this.#byKeyHash.set(prefix, [{ at, algorithm, id }])
      else bucket.push({ at, algorithm, id })
    }
  }
}

/** Items of an earlier root under its own seed. */
export interface CarriedItems {
  readonly seed: number
  readonly items: Uint8Array
}

/**
 * A function of the record alone, but for `frozen`: issuers whose record is behind the last root keep that root's items.
 * When there are more than MAX_ITEMS, the oldest are dropped and their issuers' floor is raised past them instead: slower
 * (every answer of that issuer comes from the record until its slots are rebuilt), never wrong.
 * @param seed uint32, random; with `carried` its seed is used
 */
export function encodeRoot(
  snapshot: OverlaySnapshot,
  version: number,
  timeMs: number,
  seed: number,
  frozen: ReadonlySet<number> = new Set(),
  carried?: CarriedItems,
): Uint8Array {
  const kept = [...snapshot.items].sort((a, b) => b.seq - a.seq)
  const floors = new Map<number, Sequence>()
  for (const dropped of kept.splice(MAX_ITEMS))
    floors.set(dropped.issuer, Math.max(floors.get(dropped.issuer) ?? 0, dropped.seq))

  const inUse = carried?.seed ?? seed
  let items = kept.map(({ issuer, serial, seq }) => ({
    h1: hash32(serial, itemSeed(inUse, issuer)),
    h2: hash32(serial, ~itemSeed(inUse, issuer)),
    seq,
  }))
  if (carried !== undefined) items = items.concat(readItems(carried.items))
  items.sort((a, b) => a.h1 - b.h1 || a.h2 - b.h2 || b.seq - a.seq)
  // The highest of each serial is enough; carried from root to root, the others would only pile up.
  items = items.filter(({ h1, h2 }, i) => h1 !== items[i - 1]?.h1 || h2 !== items[i - 1]?.h2)

  const itemsAt = HEADER_BYTES + snapshot.issuers.length * ISSUER_BYTES
  const bytes = new Uint8Array(itemsAt + items.length * ITEM_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, bytes.length)
  writeSequence(view, 8, version)
  writeSequence(view, 16, timeMs)
  view.setUint32(24, inUse)
  view.setUint32(28, snapshot.issuers.length)
  view.setUint32(32, items.length)
  snapshot.issuers.forEach((issuer, index) => {
    const at = HEADER_BYTES + index * ISSUER_BYTES
    view.setUint32(at, issuer.id)
    view.setUint8(at + 4, issuer.k)
    view.setUint8(at + 5, (issuer.enabled ? ENABLED : 0) | (frozen.has(issuer.id) ? FROZEN : 0))
    writeSequence(view, at + 8, issuer.head)
    writeSequence(view, at + 16, Math.max(issuer.floor, floors.get(issuer.id) ?? 0))
    writeSequence(view, at + 24, issuer.configRev)
    HASH_ALGORITHMS.forEach((algorithm, i) => {
      bytes.set(issuer.hashes[algorithm].issuerKeyHash.subarray(0, 8), at + PREFIXES_OFFSET + i * 8)
    })
  })
  items.forEach(({ h1, h2, seq }, index) => {
    const at = itemsAt + index * ITEM_BYTES
    view.setUint32(at, h1)
    view.setUint32(at + 4, h2)
    writeSequence(view, at + 8, seq)
  })
  view.setUint32(36, checksum(bytes))
  return bytes
}

function readItems(items: Uint8Array): { h1: number; h2: number; seq: Sequence }[] {
  const view = new DataView(items.buffer, items.byteOffset, items.byteLength)
  const out: { h1: number; h2: number; seq: Sequence }[] = []
  for (let at = 0; at < items.length; at += ITEM_BYTES)
    out.push({ h1: view.getUint32(at), h2: view.getUint32(at + 4), seq: readSequence(view, at + 8) })
  return out
}

/** CRC-32 over everything but itself: bytes 0..35 matter as much as the rest. */
function checksum(bytes: Uint8Array): number {
  return (crc32(bytes, 40, bytes.length) ^ crc32(bytes, 0, 36)) >>> 0
}

function itemSeed(seed: number, issuer: number): number {
  return (seed ^ Math.imul(issuer, 0x9e3779b1)) >>> 0
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  )
}

function readSequence(view: DataView, at: number): Sequence {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4)
}

function writeSequence(view: DataView, at: number, value: Sequence): void {
  view.setUint32(at, Math.floor(value / TWO_32))
  view.setUint32(at + 4, value % TWO_32)
}
