/**
 * The only writer of the overlay root. Always a function of D1, every minute even when nothing changed (the heartbeat),
 * at once after a change, at most once a second (KV takes one write a second a key).
 */
import type { Clock, DerivedStore, OverlayStore } from '../ports/ports.ts'
import type { OverlayIssuer, OverlaySnapshot, Sequence } from '../ports/records.ts'
import { pagedIssuers } from './directory.ts'
import { frozenView } from './frozen.ts'
import { OverlayRoot } from './root.ts'
import { encodeRoot } from './root-encoder.ts'

/** Longer than any put should take; a holder that dies delays the next root by no more. */
const LEASE_MS = 15_000
const MIN_GAP_MS = 1_000
const ATTEMPTS = 3

export interface PublisherPorts {
  readonly overlay: OverlayStore
  readonly derived: Pick<DerivedStore, 'readRoot' | 'writeRoot' | 'readPage'>
  readonly clock: Clock
  /** A random uint32: the seed of the item hashes, and part of the lease holder's name. */
  readonly random: () => number
  readonly sleep: (ms: number) => Promise<void>
}

export interface Published {
  readonly version: number
  readonly publishedAtMs: number
  /** Issuers whose record is behind the last root: restored from a backup. */
  readonly frozen: readonly number[]
}

/**
 * Publishes now.
 * @returns undefined when another publisher is at work, or was less than a second ago
 * @throws StorageError when D1 or KV does not answer
 */
export async function publish(ports: PublisherPorts): Promise<Published | undefined> {
  const holder = `${ports.random().toString(16)}${ports.random().toString(16)}`
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const last = await lastRoot(ports) // before the lease: D1 then knows of every version that this one can have
    const nowMs = ports.clock.nowMs()
    const lease = await ports.overlay.leasePublisher(holder, nowMs, LEASE_MS, MIN_GAP_MS, last?.version ?? 0)
    if (lease === undefined) return undefined
    const { version, restored } = lease
    const timeMs = ports.clock.nowMs() // before D1 is read: the root claims to know everything up to here
    const { snapshot, frozen, found } = await readRecord(ports.overlay, last, restored, timeMs)
    // What a reader holds is replaced by this root even though the record has fallen behind it.
    const position = Math.max(snapshot.position, frozen.length > 0 ? (last?.position ?? 0) : 0)
    const ids = new Set(frozen)
    // Found just now: the root that gave it away is the one from before the loss. Later it must be one of ours.
    const left = snapshot.issuers.filter(({ id }) => found.has(id) && last?.issuer(id) === undefined)
    const paged = last === undefined ? undefined : await pagedIssuers(left, last, ports.derived)
    const view = frozenView(snapshot, ids, last, timeMs, ({ id }) => found.has(id), paged)
    await ports.derived.writeRoot(
      encodeRoot({ ...view.snapshot, position }, version, timeMs, ports.random(), ids, view.carried),
    )
    const heads = snapshot.issuers.map(({ id, head }) => ({ issuer: id, head }))
    const publishedAtMs = ports.clock.nowMs()
    if (await ports.overlay.recordPublished(holder, version, publishedAtMs, heads))
      return { version, publishedAtMs, frozen }
    await ports.sleep(MIN_GAP_MS) // the lease was lost: another root may have overtaken ours, so publish again
  }
  return undefined
}

/**
 * After a change: returns once a root that holds it is published, by us or by whoever has the lease.
 * @returns undefined when that did not happen within about six seconds; the next heartbeat will do it
 */
export async function publishChange(
  ports: PublisherPorts,
  issuer: number,
  revision: Sequence,
): Promise<{ publishedAtMs: number } | undefined> {
  for (let attempt = 0; attempt < 12; attempt += 1) {
    const published = await publish(ports)
    if (published !== undefined || (await ports.overlay.readPublished(issuer)) >= revision)
      return { publishedAtMs: published?.publishedAtMs ?? ports.clock.nowMs() }
    await ports.sleep(500)
  }
  return undefined
}

/** The root in KV, to notice a restored database. It may be stale: then a restore is noticed a minute later. */
async function lastRoot(ports: PublisherPorts): Promise<OverlayRoot | undefined> {
  try {
    const bytes = await ports.derived.readRoot()
    return bytes === null ? undefined : OverlayRoot.open(bytes)
  } catch {
    return undefined // unreadable: about to be replaced
  }
}

interface ReadRecord {
  readonly snapshot: OverlaySnapshot
  /** Issuers that must not sign: all of them are in the snapshot. */
  readonly frozen: readonly number[]
  /** Those of them that were not frozen before. */
  readonly found: ReadonlySet<number>
}

/**
 * The record, and what it has lost. A root in KV whose version D1 never reserved, or whose position it has not reached, means that
 * the whole database was restored from a backup (attack 4): every issuer is frozen, and thereby one that the root has to name.
 */
async function readRecord(
  overlay: OverlayStore,
  last: OverlayRoot | undefined,
  restored: boolean,
  timeMs: number,
): Promise<ReadRecord> {
  const snapshot = await overlay.readOverlay()
  if (restored || (last?.position ?? 0) > snapshot.position) {
    const before = new Set(snapshot.issuers.filter(isFrozen).map(({ id }) => id))
    await overlay.freeze('all', timeMs)
    const after = await overlay.readOverlay()
    const frozen = after.issuers.filter(isFrozen).map(({ id }) => id)
    return { snapshot: after, frozen, found: new Set(frozen.filter((id) => !before.has(id))) }
  }
  const behind = snapshot.issuers.filter(({ id, head, frozen }) => {
    return !frozen && (last?.issuer(id)?.head ?? 0) > head
  })
  const found = new Set(behind.map(({ id }) => id))
  const frozen = snapshot.issuers
    .filter((issuer) => issuer.frozen || found.has(issuer.id))
    .map(({ id }) => id)
  if (found.size > 0) await overlay.freeze([...found], timeMs)
  return { snapshot, frozen, found }
}

function isFrozen({ frozen }: OverlayIssuer): boolean {
  return frozen
}
