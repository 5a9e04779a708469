/**
 * Moves issuers that have not changed for a while from the overlay root into pages of the directory, so that the root, and with it
 * the start of an isolate, stays small however many issuers there are. Pages are immutable and written before anything names
 * them. Whoever overtakes another makes the other's commit void, since both may write the same page from different readings.
 * One page is looked for at each run: when it is gone, KV was lost, and all are written anew.
 */
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { Clock, DerivedStore, DirectoryBucket, DirectoryStore } from '../ports/ports.ts'
import type { OverlayIssuer } from '../ports/records.ts'
import { directoryPageName, encodeDirectoryPage } from './directory-page.ts'
import { inParallel } from './in-parallel.ts'

/** When there is something to do. Times in ms. */
export interface PagingRules {
  /** An issuer that has not changed for so long is moved into pages; and the distance of two pagings. */
  readonly quietMs: number
  /** The same while the root names more than `crowd` issuers. */
  readonly crowdedMs: number
  readonly crowd: number
  /** A page this old is written anew, so that KV may drop what nothing names any more. */
  readonly renewMs: number
  readonly keepMs: number
}

export const PAGING_RULES: PagingRules = {
  quietMs: 3_600_000,
  crowdedMs: 600_000,
  crowd: 128,
  renewMs: 3 * 86_400_000,
  keepMs: 7 * 86_400_000,
}

/** By then KV shows a value everywhere, unless it is very late: then a page is written once more than it must be. */
const SETTLED_MS = 600_000
/** Puts under way at once: what a Worker may have. */
const PARALLEL = 6

export interface PagingPorts {
  readonly directory: DirectoryStore
  readonly derived: Pick<DerivedStore, 'readPage' | 'writePage'>
  readonly clock: Clock
}

export interface Paged {
  /** Issuers that the root no longer has to name. */
  readonly issuers: number
  readonly pages: number
}

/**
 * One step of the cron, after the root was published.
 * @returns undefined when there was nothing to do, or another has overtaken this one
 * @throws StorageError when D1 or KV does not answer: nothing has happened then
 */
export async function pageIssuers(
  ports: PagingPorts,
  rules: PagingRules = PAGING_RULES,
): Promise<Paged | undefined> {
  const { directory, derived, clock } = ports
  const nowMs = clock.nowMs()
  const { pagedAtMs, recent, sample } = await directory.readPagingState(nowMs - SETTLED_MS)
  const quietMs = recent > rules.crowd ? rules.crowdedMs : rules.quietMs
  const isLost = sample !== undefined && (await isGone(directoryPageName(sample), derived))
  if (!isLost && nowMs - pagedAtMs < quietMs) return undefined
  const renewMs = isLost ? SETTLED_MS : rules.renewMs
  const { settled, old } = await directory.readUnpaged(nowMs - quietMs, nowMs - renewMs)
  const buckets = distinct([...settled.flatMap(bucketsOf), ...old])
  if (buckets.length === 0) return undefined

  const { version, issuers } = await directory.beginPaging(buckets)
  const seen = new Map(settled.map(({ id, head }) => [id, head]))
  const expiration = Math.ceil((nowMs + rules.keepMs) / 1000)
  const byBucket = Map.groupBy(
    issuers.flatMap((issuer) => bucketsOf(issuer).map((bucket) => ({ issuer, key: keyOf(bucket) }))),
    ({ key }) => key,
  )
  await inParallel(buckets, PARALLEL, (bucket) => {
    const standing = byBucket.get(keyOf(bucket)) ?? []
    const page = { ...bucket, version }
    const bytes = encodeDirectoryPage(
      page,
      standing.map(({ issuer }) => issuer),
    )
    return derived.writePage(directoryPageName(page), bytes, expiration)
  })
  // What has changed since it was found settled, no root may have named yet.
  const heads = issuers.filter(({ id, head, frozen }) => seen.get(id) === head && !frozen)
  const done = await directory.commitPaging(version, buckets, heads, nowMs)
  return done ? { issuers: heads.length, pages: buckets.length } : undefined
}

/** That KV cannot be asked says nothing. */
async function isGone(name: string, derived: Pick<DerivedStore, 'readPage'>): Promise<boolean> {
  const bytes = await derived.readPage(name).catch(() => undefined)
  return bytes === null
}

function bucketsOf(issuer: OverlayIssuer): DirectoryBucket[] {
  return HASH_ALGORITHMS.map((algorithm) => ({
    algorithm,
    octet: issuer.hashes[algorithm].issuerKeyHash[0] ?? 0,
  }))
}

function keyOf({ algorithm, octet }: DirectoryBucket): string {
  return `${algorithm}/${octet}`
}

function distinct(buckets: readonly DirectoryBucket[]): DirectoryBucket[] {
  return [...new Map(buckets.map((bucket) => [keyOf(bucket), bucket])).values()]
}
