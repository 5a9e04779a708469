/** Writes the overlay root: a function of the record alone, but for what is carried over while an issuer is frozen. */
import { hash32 } from '../bundle/hash32.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { OverlaySegment, OverlaySnapshot, RangeFloor, Sequence } from '../ports/records.ts'
import type { Carried } from './root.ts'
import {
  CHECKSUM_AT,
  COUNTS,
  checksum,
  FLOOR_BYTES,
  ISSUER_BYTES,
  ITEM_BYTES,
  itemSeed,
  layoutOf,
  MAGIC,
  PAGE_BYTES,
  PREFIXES_OFFSET,
  readSequence,
  SEGMENT_BYTES,
  writePageVersion,
  writeSequence,
  writeStanding,
} from './root-layout.ts'

/** Beyond this many items the root would be a burden to every isolate: see `encodeRoot`. 1 MiB of items. */
export const MAX_ITEMS = 65_536

interface Item {
  readonly h1: number
  readonly h2: number
  readonly seq: Sequence
}

/**
 * When there are more than MAX_ITEMS, the oldest are dropped and a floor stands for them instead: slower (every answer of that
 * issuer comes from the record until its slots are rebuilt), never wrong. It does not come to that while segments are cut.
 * @param seed uint32, random; with `carried` its seed is used
 * @param frozen issuers whose record is behind the last root: they keep what that root named
 */
export function encodeRoot(
  snapshot: OverlaySnapshot,
  version: number,
  timeMs: number,
  seed: number,
  frozen: ReadonlySet<number> = new Set(),
  carried?: Carried,
): Uint8Array {
  const { issuers, pages } = snapshot
  const kept = [...snapshot.items].sort((a, b) => b.seq - a.seq)
  const floors = highestFloors([
    ...snapshot.floors,
    ...kept.splice(MAX_ITEMS).map(({ issuer, seq }) => wholeIssuer(issuer, seq)),
    ...(carried?.floors ?? []).filter(({ issuer }) => frozen.has(issuer)),
  ])
  const segments = [...snapshot.segments, ...lostSegments(snapshot, carried, timeMs)]
  const inUse = carried?.seed ?? seed
  const items = sorted([
    ...kept.map(({ issuer, serial, seq }) => ({
      h1: hash32(serial, itemSeed(inUse, issuer)),
      h2: hash32(serial, ~itemSeed(inUse, issuer)),
      seq,
    })),
    ...(carried === undefined ? [] : readItems(carried.items)),
  ])

  const counts = {
    issuers: issuers.length,
    pages: pages.length,
    segments: segments.length,
    floors: floors.length,
    items: items.length,
  }
  const layout = layoutOf(counts)
  const bytes = new Uint8Array(layout.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, bytes.length)
  writeSequence(view, 8, version)
  writeSequence(view, 16, timeMs)
  writeSequence(view, 24, snapshot.position)
  view.setUint32(32, inUse)
  view.setUint32(COUNTS.issuers, counts.issuers)
  view.setUint32(COUNTS.pages, counts.pages)
  view.setUint32(COUNTS.segments, counts.segments)
  view.setUint32(COUNTS.floors, counts.floors)
  view.setUint32(COUNTS.items, counts.items)

  issuers.forEach((issuer, index) => {
    const at = layout.issuersAt + index * ISSUER_BYTES
    view.setUint32(at, issuer.id)
    writeStanding(view, at + 4, { ...issuer, frozen: frozen.has(issuer.id) })
    writeSequence(view, at + 8, issuer.head)
    writeSequence(view, at + 16, issuer.floor)
    writeSequence(view, at + 24, issuer.configRev)
    HASH_ALGORITHMS.forEach((algorithm, i) => {
      bytes.set(issuer.hashes[algorithm].issuerKeyHash.subarray(0, 8), at + PREFIXES_OFFSET + i * 8)
    })
  })
  const named = pages.map(({ algorithm, octet, version: of }) => ({
    name: (HASH_ALGORITHMS.indexOf(algorithm) << 8) | octet,
    of,
  }))
  named
    .sort((a, b) => a.name - b.name)
    .forEach(({ name, of }, index) => {
      const at = layout.pagesAt + index * PAGE_BYTES
      view.setUint16(at, name)
      writePageVersion(view, at + 2, of)
    })
  segments.forEach((segment, index) => {
    const at = layout.segmentsAt + index * SEGMENT_BYTES
    writeSequence(view, at, segment.version)
    view.setUint8(at + 8, segment.kind === 'filter' ? 1 : 0)
    view.setUint8(at + 9, segment.bits)
    view.setUint8(at + 10, segment.probes)
    view.setUint32(at + 12, segment.issuer ?? 0)
    view.setUint32(at + 16, segment.seed)
    view.setUint32(at + 20, segment.count)
    writeSequence(view, at + 24, segment.lastSeq)
    writeSequence(view, at + 32, segment.keepUntil ?? 0)
  })
  floors.forEach(({ issuer, from, to, floor }, index) => {
    const at = layout.floorsAt + index * FLOOR_BYTES
    view.setUint32(at, issuer)
    view.setUint32(at + 4, from)
    view.setUint32(at + 8, to)
    writeSequence(view, at + 16, floor)
  })
  items.forEach(({ h1, h2, seq }, index) => {
    const at = layout.itemsAt + index * ITEM_BYTES
    view.setUint32(at, h1)
    view.setUint32(at + 4, h2)
    writeSequence(view, at + 8, seq)
  })
  view.setUint32(CHECKSUM_AT, checksum(bytes))
  return bytes
}

/** Nothing of the issuer is usable below it. */
function wholeIssuer(issuer: number, floor: Sequence): RangeFloor {
  return { issuer, from: 0, to: 0xffff_ffff, floor }
}

/** One for each range. */
function highestFloors(floors: readonly RangeFloor[]): RangeFloor[] {
  const highest = new Map<string, RangeFloor>()
  for (const floor of floors) {
    const key = `${floor.issuer}/${floor.from}/${floor.to}`
    if ((highest.get(key)?.floor ?? 0) < floor.floor) highest.set(key, floor)
  }
  return [...highest.values()]
}

/** What a restored record no longer names; its values are still there, until nothing in them matters any more. */
function lostSegments(
  { segments }: OverlaySnapshot,
  carried: Carried | undefined,
  timeMs: number,
): readonly OverlaySegment[] {
  if (carried === undefined) return []
  const named = new Set(segments.map(({ version }) => version))
  return carried.segments.filter(
    ({ version, keepUntil }) => !named.has(version) && (keepUntil ?? Infinity) * 1000 > timeMs,
  )
}

/** The highest of each serial is enough; carried from root to root, the others would only pile up. */
function sorted(items: Item[]): Item[] {
  items.sort((a, b) => a.h1 - b.h1 || a.h2 - b.h2 || b.seq - a.seq)
  return items.filter(({ h1, h2 }, i) => h1 !== items[i - 1]?.h1 || h2 !== items[i - 1]?.h2)
}

function readItems(items: Uint8Array): Item[] {
  const view = new DataView(items.buffer, items.byteOffset, items.byteLength)
  const out: Item[] = []
  for (let at = 0; at < items.length; at += ITEM_BYTES)
    out.push({ h1: view.getUint32(at), h2: view.getUint32(at + 4), seq: readSequence(view, at + 8) })
  return out
}
