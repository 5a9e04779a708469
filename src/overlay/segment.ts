/**
 * A segment of the overlay: what changed before the tail in the root. 2^bits immutable values, by the top bits of the first hash
 * of an item; each is read in place. All integers are big-endian; a sequence takes 8 octets.
 *
 *   0  magic "EOSG"      4      20  kind      1 (0 items, 1 filter)
 *   4  total length      4      21  bits      1
 *   8  version           8      22  probes    1
 *  16  page              4      23  0         1
 *                               24  CRC-32 of all the rest   4
 *                               28  0                        4
 *  then of kind items, 16 octets each, ascending:  h1 4 | h2 4 | seq 8
 *  or of kind filter: the bits of a Bloom filter, bit i in octet i >> 3 under the mask 1 << (i & 7)
 *
 * h1 and h2 are the seeded hashes of issuer and serial, as in the root. A serial of a filter has `probes` bits set, at
 * x mod (number of bits) with x = h2, y = mixed h1, and before each next probe number n = 1, 2, ...: x += y, y += n.
 */
import { crc32 } from '../bundle/crc32.ts'
import { hash32 } from '../bundle/hash32.ts'
import type { OverlaySegment, Sequence } from '../ports/records.ts'
import { PageMemory, type PageMemoryPorts } from './page-memory.ts'
import { ITEM_BYTES, itemSeed, readSequence, writeSequence } from './root-layout.ts'

const MAGIC = 0x454f5347
export const SEGMENT_PAGE_HEADER_BYTES = 32
const CHECKSUM_AT = 24
/** About what a value is to weigh: half of it on average, and more costs a reader more than it needs. */
const TARGET_BYTES = 32_768
/** For one false match in a hundred. */
const FILTER_BITS_A_SERIAL = 10
export const FILTER_PROBES = 7
const MAX_BITS = 16

/** The value is not the page that its name says: torn, foreign or of another version. */
export class SegmentPageFault extends Error {
  override readonly name = 'SegmentPageFault'
}

/** Key in KV and in the data centre's cache. */
export function segmentPageName(version: number, page: number): string {
  return `o/s/${version}/${page}`
}

export function firstHash(segment: Pick<OverlaySegment, 'seed'>, issuer: number, serial: Uint8Array): number {
  return hash32(serial, itemSeed(segment.seed, issuer))
}

export function secondHash(
  segment: Pick<OverlaySegment, 'seed'>,
  issuer: number,
  serial: Uint8Array,
): number {
  return hash32(serial, ~itemSeed(segment.seed, issuer))
}

/** In which page an item stands. */
export function pageOf(bits: number, h1: number): number {
  return bits === 0 ? 0 : h1 >>> (32 - bits)
}

/** One of the values of a segment. */
export class SegmentPage {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #probes: number
  readonly #isFilter: boolean

  private constructor(bytes: Uint8Array, view: DataView) {
    this.#bytes = bytes
    this.#view = view
    this.#isFilter = view.getUint8(20) === 1
    this.#probes = view.getUint8(22)
  }

  /** @throws SegmentPageFault */
  static open(bytes: Uint8Array, name: string): SegmentPage {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < SEGMENT_PAGE_HEADER_BYTES || view.getUint32(0) !== MAGIC)
      throw new SegmentPageFault('badMagic')
    const kind = view.getUint8(20)
    const body = bytes.length - SEGMENT_PAGE_HEADER_BYTES
    if (view.getUint32(4) !== bytes.length || (kind === 0 && body % ITEM_BYTES !== 0))
      throw new SegmentPageFault('badLength')
    if (kind > 1 || (kind === 1 && (body === 0 || view.getUint8(22) === 0)))
      throw new SegmentPageFault('badKind')
    if (checksum(bytes) !== view.getUint32(CHECKSUM_AT)) throw new SegmentPageFault('badChecksum')
    if (segmentPageName(readSequence(view, 8), view.getUint32(16)) !== name)
      throw new SegmentPageFault('badName')
    return new SegmentPage(bytes, view)
  }

  get byteLength(): number {
    return this.#bytes.length
  }

  /**
   * What the page says of an item: of kind items its seq, of kind filter `matched`; 0 when it is not in here.
   * @param matched the segment's lastSeq
   */
  need(h1: number, h2: number, matched: Sequence): Sequence {
    return this.#isFilter ? (this.#contains(h1, h2) ? matched : 0) : this.#seqOf(h1, h2)
  }

  #seqOf(h1: number, h2: number): Sequence {
    const view = this.#view
    const count = (view.byteLength - SEGMENT_PAGE_HEADER_BYTES) / ITEM_BYTES
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (view.getUint32(SEGMENT_PAGE_HEADER_BYTES + middle * ITEM_BYTES) < h1) low = middle + 1
      else high = middle
    }
    let seq = 0
    for (; low < count; low += 1) {
      const at = SEGMENT_PAGE_HEADER_BYTES + low * ITEM_BYTES
      if (view.getUint32(at) !== h1) break
      if (view.getUint32(at + 4) === h2) seq = Math.max(seq, readSequence(view, at + 8))
    }
    return seq
  }

  #contains(h1: number, h2: number): boolean {
    const size = (this.#bytes.length - SEGMENT_PAGE_HEADER_BYTES) * 8
    let x = h2
    let y = mixed(h1)
    for (let n = 1; n <= this.#probes; n += 1) {
      const bit = x % size
      if (((this.#bytes[SEGMENT_PAGE_HEADER_BYTES + (bit >>> 3)] ?? 0) & (1 << (bit & 7))) === 0) return false
      x = (x + y) >>> 0
      y = (y + n) >>> 0
    }
    return true
  }
}

/** Collects the changes of one segment and makes its values of them; holds them all (a filter: its bits only). */
export class SegmentWriter {
  readonly segment: Pick<OverlaySegment, 'version' | 'kind' | 'bits' | 'probes' | 'seed'>
  readonly #pages: Uint8Array[]
  /** Of kind items: how many there are in each page. */
  readonly #counts: number[]
  count = 0
  lastSeq: Sequence = 0

  /** @param expected how many changes there will be at most; more are right too, in larger pages */
  constructor(kind: OverlaySegment['kind'], version: number, seed: number, expected: number) {
    const bytes = kind === 'filter' ? Math.ceil((expected * FILTER_BITS_A_SERIAL) / 8) : expected * ITEM_BYTES
    let bits = 0
    while (bits < MAX_BITS && bytes / 2 ** bits > TARGET_BYTES) bits += 1
    this.segment = { version, kind, bits, probes: kind === 'filter' ? FILTER_PROBES : 0, seed }
    const size = SEGMENT_PAGE_HEADER_BYTES + Math.max(16, Math.ceil(bytes / 2 ** bits))
    this.#pages = Array.from({ length: 2 ** bits }, () => new Uint8Array(size))
    this.#counts = Array.from({ length: 2 ** bits }, () => 0)
  }

  add(issuer: number, serial: Uint8Array, seq: Sequence): void {
    const h1 = firstHash(this.segment, issuer, serial)
    const h2 = secondHash(this.segment, issuer, serial)
    const page = pageOf(this.segment.bits, h1)
    if (this.segment.kind === 'filter') this.#mark(page, h1, h2)
    else this.#append(page, h1, h2, seq)
    this.count += 1
    this.lastSeq = Math.max(this.lastSeq, seq)
  }

  /** One after the other, each to be written before the next is made. */
  *pages(): Generator<{ name: string; bytes: Uint8Array }> {
    const { version, kind, bits, probes } = this.segment
    for (const [page, collected] of this.#pages.entries()) {
      const bytes = kind === 'filter' ? collected : sortedItems(collected, this.#counts[page] ?? 0)
      const view = new DataView(bytes.buffer)
      view.setUint32(0, MAGIC)
      view.setUint32(4, bytes.length)
      writeSequence(view, 8, version)
      view.setUint32(16, page)
      view.setUint8(20, kind === 'filter' ? 1 : 0)
      view.setUint8(21, bits)
      view.setUint8(22, probes)
      view.setUint32(CHECKSUM_AT, checksum(bytes))
      yield { name: segmentPageName(version, page), bytes }
    }
  }

  #mark(page: number, h1: number, h2: number): void {
    const bytes = this.#pages[page]
    if (bytes === undefined) return
    const size = (bytes.length - SEGMENT_PAGE_HEADER_BYTES) * 8
    let x = h2
    let y = mixed(h1)
    for (let n = 1; n <= FILTER_PROBES; n += 1) {
      const bit = x % size
      const at = SEGMENT_PAGE_HEADER_BYTES + (bit >>> 3)
      bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7))
      x = (x + y) >>> 0
      y = (y + n) >>> 0
    }
  }

  #append(page: number, h1: number, h2: number, seq: Sequence): void {
    let bytes = this.#pages[page]
    if (bytes === undefined) return
    const index = this.#counts[page] ?? 0
    const at = SEGMENT_PAGE_HEADER_BYTES + index * ITEM_BYTES
    if (at + ITEM_BYTES > bytes.length) {
      const larger = new Uint8Array(Math.ceil(bytes.length * 1.5))
      larger.set(bytes)
      this.#pages[page] = larger
      bytes = larger
    }
    const view = new DataView(bytes.buffer)
    view.setUint32(at, h1)
    view.setUint32(at + 4, h2)
    writeSequence(view, at + 8, seq)
    this.#counts[page] = index + 1
  }
}

/** @returns a page with room for its header and no more than its items */
function sortedItems(collected: Uint8Array, count: number): Uint8Array {
  const from = new DataView(collected.buffer)
  const at = (index: number) => SEGMENT_PAGE_HEADER_BYTES + index * ITEM_BYTES
  const order = Array.from({ length: count }, (_, index) => index)
  order.sort(
    (a, b) =>
      from.getUint32(at(a)) - from.getUint32(at(b)) || from.getUint32(at(a) + 4) - from.getUint32(at(b) + 4),
  )
  const bytes = new Uint8Array(at(count))
  for (const [index, source] of order.entries())
    bytes.set(collected.subarray(at(source), at(source + 1)), at(index))
  return bytes
}

/** Finalizer of murmur3: the top bits of h1 are the same throughout a page. */
function mixed(h1: number): number {
  let h = Math.imul(h1 ^ (h1 >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function checksum(bytes: Uint8Array): number {
  return (crc32(bytes, CHECKSUM_AT + 4, bytes.length) ^ crc32(bytes, 0, CHECKSUM_AT)) >>> 0
}

/** As many as a mass event of a million and some weeks of ordinary ones have. */
const MAX_MEMORY_BYTES = 12 * 1024 * 1024

export function segmentMemory(ports: PageMemoryPorts): PageMemory<SegmentPage> {
  return new PageMemory(ports, { open: SegmentPage.open, maxBytes: MAX_MEMORY_BYTES })
}
