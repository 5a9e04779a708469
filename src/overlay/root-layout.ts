/**
 * The overlay root as octets: what changed lately, which issuers there are, and the names of what stands elsewhere. One value,
 * read in place. All integers are big-endian; a sequence takes 8 octets.
 *
 *   0  magic "EOR3"            4      36  issuer count           4
 *   4  total length            4      40  directory page count   4
 *   8  version                 8      44  segment count          4
 *  16  time, Unix ms           8      48  range floor count      4
 *  24  position                8      52  item count             4
 *  32  hash seed of the items  4      56  CRC-32 of all the rest 4
 *                                     60  0                      4
 *  then, one after the other:
 *  issuers, 64 octets each:     id 4 | k 1 | flags 1 (1 enabled, 2 frozen, 4 moving, 8 fresh) | away 2 | head 8 | floor 8 | configRev 8 |
 *                               key hash prefixes 4 x 8
 *  directory pages, 8 each:     hash algorithm 1 | first octet of the key hash 1 | version 6, ascending
 *  segments, 40 each:           version 8 | kind 1 (0 items, 1 filter) | bits 1 | probes 1 | 0 1 | issuer 4 (0 = of any) |
 *                               seed 4 | item count 4 | last seq 8 | keep until 8, Unix seconds, 0 = no end
 *  range floors, 24 each:       issuer 4 | from 4 | to 4 | 0 4 | floor 8     (from and to: serial hashes, inclusive)
 *  items, 16 each:              h1 4 | h2 4 | seq 8, ascending     (two seeded hashes of issuer and serial)
 *
 * The issuers named here are those that changed since their directory pages were written, the items those that changed since
 * the last segment was: of the rest, immutable pages speak, whose versions stand here. docs/storage.md has the same for operators.
 */
import { crc32 } from '../bundle/crc32.ts'
import type { Sequence, Share } from '../ports/records.ts'

export const MAGIC = 0x454f5233
export const HEADER_BYTES = 64
export const ISSUER_BYTES = 64
export const PAGE_BYTES = 8
export const SEGMENT_BYTES = 40
export const FLOOR_BYTES = 24
export const ITEM_BYTES = 16
/** Within an issuer. */
export const PREFIXES_OFFSET = 32
const ENABLED = 1
const FROZEN = 2
const MOVING = 4
const FRESH = 8
/** Of the header: where the counts stand. */
export const COUNTS = { issuers: 36, pages: 40, segments: 44, floors: 48, items: 52 } as const
export const CHECKSUM_AT = 56

const TWO_32 = 0x1_0000_0000

/** Where each table begins. */
export interface Layout {
  readonly issuersAt: number
  readonly pagesAt: number
  readonly segmentsAt: number
  readonly floorsAt: number
  readonly itemsAt: number
  readonly length: number
}

export function layoutOf(counts: {
  readonly issuers: number
  readonly pages: number
  readonly segments: number
  readonly floors: number
  readonly items: number
}): Layout {
  const issuersAt = HEADER_BYTES
  const pagesAt = issuersAt + counts.issuers * ISSUER_BYTES
  const segmentsAt = pagesAt + counts.pages * PAGE_BYTES
  const floorsAt = segmentsAt + counts.segments * SEGMENT_BYTES
  const itemsAt = floorsAt + counts.floors * FLOOR_BYTES
  return { issuersAt, pagesAt, segmentsAt, floorsAt, itemsAt, length: itemsAt + counts.items * ITEM_BYTES }
}

/** CRC-32 over everything but itself. */
export function checksum(bytes: Uint8Array): number {
  return (crc32(bytes, CHECKSUM_AT + 4, bytes.length) ^ crc32(bytes, 0, CHECKSUM_AT)) >>> 0
}

/** Seed of an item's first hash; its complement is that of the second. */
export function itemSeed(seed: number, issuer: number): number {
  return (seed ^ Math.imul(issuer, 0x9e3779b1)) >>> 0
}

/** k, flags and share of an issuer, the same four octets in a root and in a directory page. */
export interface Standing {
  readonly k: number
  readonly enabled: boolean
  readonly frozen: boolean
  readonly share?: Share | undefined
}

export function readStanding(view: DataView, at: number): Standing {
  const flags = view.getUint8(at + 1)
  const away = view.getUint16(at + 2)
  const [moving, fresh] = [(flags & MOVING) !== 0, (flags & FRESH) !== 0]
  const standing = { k: view.getUint8(at), enabled: (flags & ENABLED) !== 0, frozen: (flags & FROZEN) !== 0 }
  return away === 0 && !moving && !fresh ? standing : { ...standing, share: { away, moving, fresh } }
}

export function writeStanding(view: DataView, at: number, { k, enabled, frozen, share }: Standing): void {
  const shared = share === undefined ? 0 : (share.moving ? MOVING : 0) | (share.fresh ? FRESH : 0)
  view.setUint8(at, k)
  view.setUint8(at + 1, (enabled ? ENABLED : 0) | (frozen ? FROZEN : 0) | shared)
  view.setUint16(at + 2, share?.away ?? 0)
}

export function readSequence(view: DataView, at: number): Sequence {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4)
}

/** 48 bits: a version follows the clock in milliseconds. */
export function readPageVersion(view: DataView, at: number): number {
  return view.getUint16(at) * TWO_32 + view.getUint32(at + 2)
}

export function writePageVersion(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / TWO_32))
  view.setUint32(at + 2, value % TWO_32)
}

export function writeSequence(view: DataView, at: number, value: Sequence): void {
  view.setUint32(at, Math.floor(value / TWO_32))
  view.setUint32(at + 4, value % TWO_32)
}
