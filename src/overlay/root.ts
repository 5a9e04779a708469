/** The overlay root, read in place; root-layout.ts has its octets, root-encoder.ts writes it. */
import { hash32 } from '../bundle/hash32.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { OverlaySegment, RangeFloor, Sequence, Share } from '../ports/records.ts'
import {
  CHECKSUM_AT,
  COUNTS,
  checksum,
  FLOOR_BYTES,
  HEADER_BYTES,
  ISSUER_BYTES,
  ITEM_BYTES,
  itemSeed,
  type Layout,
  layoutOf,
  MAGIC,
  PAGE_BYTES,
  PREFIXES_OFFSET,
  readPageVersion,
  readSequence,
  readStanding,
  SEGMENT_BYTES,
} from './root-layout.ts'

/** The value is no root that we can read: torn, foreign or of another version. */
export class OverlayFault extends Error {
  override readonly name = 'OverlayFault'
  readonly reason: 'badMagic' | 'badLength' | 'badChecksum'
  constructor(reason: OverlayFault['reason']) {
    super(reason)
    this.reason = reason
  }
}

/** What the overlay says of one issuer. */
export interface RootIssuer {
  readonly id: number
  readonly k: number
  readonly enabled: boolean
  /** The record was found behind the root (a restored database): nothing new is signed until an operator thaws it. */
  readonly frozen: boolean
  /** undefined: all of its certificates are in this database, for good. */
  readonly share?: Share | undefined
  readonly head: Sequence
  readonly floor: Sequence
  readonly configRev: Sequence
}

/** What an earlier root names, items under its own seed. */
export interface Carried {
  readonly seed: number
  readonly items: Uint8Array
  readonly segments: readonly OverlaySegment[]
  readonly floors: readonly RangeFloor[]
}

/** A root, read in place. */
export class OverlayRoot {
  readonly version: number
  /** Taken before D1 was read: every change committed before it is in here. */
  readonly timeMs: number
  /** Of the whole record: of two roots, the one with the lower position knows less. */
  readonly position: Sequence
  /** What changed before the items here; immutable values of their own. */
  readonly segments: readonly OverlaySegment[]
  readonly #view: DataView
  readonly #seed: number
  readonly #layout: Layout
  readonly #floorCount: number
  readonly #pageCount: number
  readonly #itemCount: number
  readonly #issuers = new Map<number, RootIssuer>()
  /** First four bytes of a key hash -> positions of issuer records and the hash algorithm's index. */
  readonly #byKeyHash = new Map<number, { at: number; algorithm: number; id: number }[]>()

  private constructor(view: DataView, layout: Layout) {
    this.#view = view
    this.#layout = layout
    this.version = readSequence(view, 8)
    this.timeMs = readSequence(view, 16)
    this.position = readSequence(view, 24)
    this.#seed = view.getUint32(32)
    this.#pageCount = view.getUint32(COUNTS.pages)
    this.#floorCount = view.getUint32(COUNTS.floors)
    this.#itemCount = view.getUint32(COUNTS.items)
    this.segments = readSegments(view, layout)
    for (let at = layout.issuersAt; at < layout.pagesAt; at += ISSUER_BYTES) this.#addIssuer(at)
  }

  /** @throws OverlayFault */
  static open(bytes: Uint8Array): OverlayRoot {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < HEADER_BYTES || view.getUint32(4) !== bytes.length) throw new OverlayFault('badLength')
    if (view.getUint32(0) !== MAGIC) throw new OverlayFault('badMagic')
    const layout = layoutOf({
      issuers: view.getUint32(COUNTS.issuers),
      pages: view.getUint32(COUNTS.pages),
      segments: view.getUint32(COUNTS.segments),
      floors: view.getUint32(COUNTS.floors),
      items: view.getUint32(COUNTS.items),
    })
    if (layout.length !== bytes.length) throw new OverlayFault('badLength')
    if (checksum(bytes) !== view.getUint32(CHECKSUM_AT)) throw new OverlayFault('badChecksum')
    return new OverlayRoot(view, layout)
  }

  /** Of those named here: an issuer that is not may stand in a directory page. */
  issuer(id: number): RootIssuer | undefined {
    return this.#issuers.get(id)
  }

  /** Those named here. */
  get issuers(): Iterable<RootIssuer> {
    return this.#issuers.values()
  }

  /**
   * Enabled issuers named here whose key hash starts like this one; the caller compares name and key hash in full (R1.16).
   */
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

  /** Version of the directory page where the other issuers of such a key hash stand; undefined: there are none. */
  directoryPage(algorithm: HashAlgorithm, keyHash: Uint8Array): number | undefined {
    const wanted = (HASH_ALGORITHMS.indexOf(algorithm) << 8) | (keyHash[0] ?? 0)
    const { pagesAt } = this.#layout
    let low = 0
    let high = this.#pageCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#view.getUint16(pagesAt + middle * PAGE_BYTES) < wanted) low = middle + 1
      else high = middle
    }
    const at = pagesAt + low * PAGE_BYTES
    return low < this.#pageCount && this.#view.getUint16(at) === wanted
      ? readPageVersion(this.#view, at + 2)
      : undefined
  }

  /**
   * The lowest asOf that an artefact about this serial must have, as far as the root itself knows: what its segments say comes
   * on top.
   * @param hash the serial's uint32 that decides its slot
   */
  need(issuer: RootIssuer, serial: Uint8Array, hash: number): Sequence {
    const floor = this.#floorCount === 0 ? issuer.floor : this.#floorOf(issuer, hash)
    const { itemsAt } = this.#layout
    const h1 = hash32(serial, itemSeed(this.#seed, issuer.id))
    let low = 0
    let high = this.#itemCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#view.getUint32(itemsAt + middle * ITEM_BYTES) < h1) low = middle + 1
      else high = middle
    }
    if (low === this.#itemCount || this.#view.getUint32(itemsAt + low * ITEM_BYTES) !== h1) return floor
    const h2 = hash32(serial, ~itemSeed(this.#seed, issuer.id))
    let need = floor
    for (; low < this.#itemCount; low += 1) {
      const at = itemsAt + low * ITEM_BYTES
      if (this.#view.getUint32(at) !== h1) break
      if (this.#view.getUint32(at + 4) === h2) need = Math.max(need, readSequence(this.#view, at + 8))
    }
    return need
  }

  get itemCount(): number {
    return this.#itemCount
  }

  /** As they stand. */
  get floors(): RangeFloor[] {
    const floors: RangeFloor[] = []
    for (let at = this.#layout.floorsAt; at < this.#layout.itemsAt; at += FLOOR_BYTES)
      floors.push({
        issuer: this.#view.getUint32(at),
        from: this.#view.getUint32(at + 4),
        to: this.#view.getUint32(at + 8),
        floor: readSequence(this.#view, at + 16),
      })
    return floors
  }

  /** What has to be carried into the next root while an issuer is frozen. */
  get carried(): Carried {
    const from = this.#view.byteOffset + this.#layout.itemsAt
    const items = new Uint8Array(this.#view.buffer, from, this.#itemCount * ITEM_BYTES)
    return { seed: this.#seed, items, segments: this.segments, floors: this.floors }
  }

  #floorOf(issuer: RootIssuer, hash: number): Sequence {
    const view = this.#view
    const { floorsAt, itemsAt } = this.#layout
    let floor = issuer.floor
    for (let at = floorsAt; at < itemsAt; at += FLOOR_BYTES) {
      const isOf = view.getUint32(at) === issuer.id
      if (isOf && view.getUint32(at + 4) <= hash && hash <= view.getUint32(at + 8))
        floor = Math.max(floor, readSequence(view, at + 16))
    }
    return floor
  }

  #addIssuer(at: number): void {
    const view = this.#view
    const id = view.getUint32(at)
    const standing = readStanding(view, at + 4)
    this.#issuers.set(id, {
      id,
      ...standing,
      head: readSequence(view, at + 8),
      floor: readSequence(view, at + 16),
      configRev: readSequence(view, at + 24),
    })
    if (!standing.enabled) return
    for (let algorithm = 0; algorithm < HASH_ALGORITHMS.length; algorithm += 1) {
      const prefix = view.getUint32(at + PREFIXES_OFFSET + algorithm * 8)
      const bucket = this.#byKeyHash.get(prefix)
      if (bucket === undefined) this.#byKeyHash.set(prefix, [{ at, algorithm, id }])
      else bucket.push({ at, algorithm, id })
    }
  }
}

function readSegments(view: DataView, { segmentsAt, floorsAt }: Layout): OverlaySegment[] {
  const segments: OverlaySegment[] = []
  for (let at = segmentsAt; at < floorsAt; at += SEGMENT_BYTES) {
    const issuer = view.getUint32(at + 12)
    segments.push({
      version: readSequence(view, at),
      kind: view.getUint8(at + 8) === 1 ? 'filter' : 'items',
      bits: view.getUint8(at + 9),
      probes: view.getUint8(at + 10),
      issuer: issuer === 0 ? undefined : issuer,
      seed: view.getUint32(at + 16),
      count: view.getUint32(at + 20),
      lastSeq: readSequence(view, at + 24),
      keepUntil: readSequence(view, at + 32) || undefined,
    })
  }
  return segments
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
