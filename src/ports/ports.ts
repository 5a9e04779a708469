/**
 * What the responder needs of the world, each port with the consistency it relies on. Adapters stand in src/storage.
 * Every method may reject with StorageError; none may answer "absent" when it does not know (law 4).
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import type {
  CertificateRow,
  DirectoryPage,
  IssuerRecord,
  OverlayIssuer,
  OverlaySnapshot,
  ResponderRecord,
  Sequence,
  SignatureAlgorithm,
} from './records.ts'

/** Wall clock. In Workers it stands still between I/O: never measure CPU time with it. */
export interface Clock {
  /** Unix milliseconds. */
  nowMs(): number
}

/** The record (D1 primary): serializable, read-after-write. One subrequest a call. */
export interface StatusStore {
  /**
   * Head sequence and row of each serial (same order; undefined = not recorded), read in one transaction.
   * @param serials pairs of serialHash (uint32) and serial octets, 1..100
   */
  readStatuses(
    issuer: number,
    serials: readonly { hash: number; serial: Uint8Array }[],
  ): Promise<{ asOf: Sequence; rows: readonly (CertificateRow | undefined)[] }>
  /** The issuer with its responders, retired ones included; undefined when there is none of that id. */
  readIssuer(id: number): Promise<IssuerRecord | undefined>
}

/** Wrapped private keys (custody `wrapped`), from D1. */
export interface KeyStore {
  /** AES-GCM blob as key-custody.ts made it. */
  readWrappedKey(responder: number): Promise<Uint8Array | undefined>
}

/** Derived values in KV: eventually consistent, may be stale, late or absent. null is never an answer. */
export interface DerivedStore {
  readRoot(): Promise<Uint8Array | null>
  readIssuerPage(issuer: number): Promise<Uint8Array | null>
  /**
   * @param algorithm of the bundle beside the default one; see bundleKey
   * @returns octets of the caller's own, which may release them
   */
  readBundle(
    issuer: number,
    k: number,
    slot: number,
    algorithm?: SignatureAlgorithm,
  ): Promise<Uint8Array | null>
  /** An immutable value that an overlay root names: a page of the issuer directory, or of a segment. */
  readPage(name: string): Promise<Uint8Array | null>
  writeRoot(bytes: Uint8Array): Promise<void>
  writeIssuerPage(issuer: number, bytes: Uint8Array): Promise<void>
  /** @param expiration Unix seconds after which KV may drop it (the last nextUpdate + 1 h; at least 60 s ahead) */
  writeBundle(
    issuer: number,
    k: number,
    slot: number,
    bytes: Uint8Array,
    expiration: UnixSeconds,
    algorithm?: SignatureAlgorithm,
  ): Promise<void>
  /**
   * Under a name that was never used before.
   * @param expiration Unix seconds after which KV may drop it; undefined: never
   */
  writePage(name: string, bytes: Uint8Array, expiration?: UnixSeconds): Promise<void>
}

/** Cache of one data centre (Cache API): may lose anything, may hold old copies until their time is up. */
export interface EdgeCache {
  /**
   * @param key path below our own host name, e.g. "b/3/0/0"
   * @returns octets of the caller's own, which may release them
   */
  match(key: string): Promise<Uint8Array | undefined>
  /** Copies the octets before it returns its promise. */
  put(key: string, bytes: Uint8Array, maxAgeSeconds: number): Promise<void>
}

/** The overlay's source and the publisher's lease (D1 primary). */
export interface OverlayStore {
  /**
   * One transaction.
   * @param all every issuer by its own, and no directory pages; otherwise those that changed since their pages were written
   */
  readOverlay(options?: { readonly all: boolean }): Promise<OverlaySnapshot>
  /**
   * Takes the publisher's lease when it is free, expired or already ours, and the last put is `minGapMs` old.
   * The version is reserved in the same statement, so D1 knows of every version that can ever reach KV: a root seen in KV
   * with a higher one proves that D1 was restored from a backup. That finding is kept in the same statement too, until
   * `freeze` has acted on it, so that a publisher that dies in between does not take it along.
   * @param seenVersion version of the root in KV, read before this call; 0 when there is none
   * @returns the version to publish (max(highest reserved + 1, nowMs)); undefined when another holds the lease or it is
   *   too early
   */
  leasePublisher(
    holder: string,
    nowMs: number,
    leaseMs: number,
    minGapMs: number,
    seenVersion: number,
  ): Promise<{ version: number; restored: boolean } | undefined>
  /**
   * After the put: records version and time if the lease is still ours, advances `published` of each issuer, frees the lease.
   * @returns false when the lease was lost: publish again
   */
  recordPublished(
    holder: string,
    version: number,
    publishedAtMs: number,
    heads: readonly { issuer: number; head: Sequence }[],
  ): Promise<boolean>
  /** Sequence up to which the issuer's changes are in a published root. */
  readPublished(issuer: number): Promise<Sequence>
  /** KV's root was ahead of D1: signing stops for these issuers until `thaw`, and roots name them all the while. */
  freeze(issuers: readonly number[] | 'all', nowMs: number): Promise<void>
  /** Drops overlay items whose keep_until has passed. @returns how many */
  pruneOverlay(now: UnixSeconds): Promise<number>
}

/** An issuer as it stands in the record, and the seq up to which its directory pages know it. */
export interface StandingIssuer {
  readonly issuer: OverlayIssuer
  readonly pagedSeq: Sequence
}

/** Names a directory page whatever its version. */
export type DirectoryBucket = Pick<DirectoryPage, 'algorithm' | 'octet'>

export interface PagingState {
  /** Unix ms; 0 = never. */
  readonly pagedAtMs: number
  /** How many issuers have changed since their pages were written. */
  readonly recent: number
  /** Any of the pages that should be there. */
  readonly sample: DirectoryPage | undefined
}

/** The directory of issuers that have not changed for long (D1 primary). */
export interface DirectoryStore {
  /** Issuers of a page by the record as it is now, the version of the page, and the position of the whole record. One transaction. */
  readDirectoryPage(
    algorithm: HashAlgorithm,
    octet: number,
  ): Promise<{ position: Sequence; version: number; issuers: readonly StandingIssuer[] }>
  /** @param settledMs pages written since are not sampled: KV may not have carried them yet */
  readPagingState(settledMs: number): Promise<PagingState>
  /**
   * @returns issuers that have not changed since `settledMs`, but since their pages were written, unless they are frozen or no root
   *   has named the change yet; and pages written before `writtenMs`
   */
  readUnpaged(
    settledMs: number,
    writtenMs: number,
  ): Promise<{ settled: readonly OverlayIssuer[]; old: readonly DirectoryBucket[] }>
  /**
   * Reserves a version that no page ever had, which voids all that were reserved before, and reads every issuer that stands in one
   * of the pages. One transaction.
   */
  beginPaging(
    buckets: readonly DirectoryBucket[],
  ): Promise<{ version: number; issuers: readonly OverlayIssuer[] }>
  /**
   * After all pages were written: from the next root on they stand for these issuers as far as those have not changed since.
   * @returns false when another has begun since: nothing has happened
   */
  commitPaging(
    version: number,
    buckets: readonly DirectoryBucket[],
    issuers: readonly { id: number; head: Sequence }[],
    nowMs: number,
  ): Promise<boolean>
}

/** A slot that is due, leased to us. */
export interface LeasedSlot {
  readonly issuer: number
  readonly k: number
  readonly slot: number
  readonly lease: string
  /** When the lease was asked for: no put may start long after. */
  readonly since: UnixSeconds
  /** It was never built: no bundle of it stands. */
  readonly isFirst: boolean
}

/** A slot to be built. */
export interface DueSlot {
  readonly issuer: number
  readonly k: number
  readonly slot: number
  /** Certificates in it, as far as counted. */
  readonly size: number
  /** 0 comes first; slots of one number may be built in any order. */
  readonly urgency: number
  /** It was sent to the queue, and nobody took it in time. */
  readonly lost: boolean
}

export interface SlotSurvey {
  /** In the order in which they are to be built, each issuer in its turn within one urgency. */
  readonly slots: readonly DueSlot[]
  /** How many are due in all. */
  readonly due: number
  /** What waits in the queue, by issuer: slots, and the certificates in them. */
  readonly waiting: readonly { readonly issuer: number; readonly slots: number; readonly size: number }[]
  /** Slots would be due if they were not too large for a bundle. */
  readonly oversized: boolean
}

/** What one certificate of an issuer costs to sign. */
export interface IssuerSigning {
  readonly issuer: number
  /** CertID hashes, one signature each. */
  readonly hashes: number
  /** Of the responders that are not retired. */
  readonly keys: readonly { readonly algorithm: SignatureAlgorithm; readonly spkiBytes: number }[]
}

/** Re-signing (D1 primary). */
export interface SlotStore {
  /**
   * Due slots, urgent first (changed since built), then by the nearest refresh time. Frozen or disabled issuers are left out.
   * @param all also slots with any new certificate, however few and young
   */
  dueSlots(
    now: UnixSeconds,
    limit: number,
    options: { all: boolean; issuer?: number },
  ): Promise<readonly { issuer: number; k: number; slot: number }[]>
  /** The same with what a plan wants to know, in one scan. */
  survey(now: UnixSeconds, limit: number, options: { all: boolean; issuer?: number }): Promise<SlotSurvey>
  /** In any order; those that are gone are left out. */
  readSigning(issuers: readonly number[]): Promise<readonly IssuerSigning[]>
  countDue(now: UnixSeconds, options: { all: boolean; issuer?: number }): Promise<number>
  /** @returns undefined when another holder's lease has not expired */
  lease(
    slot: { issuer: number; k: number; slot: number },
    now: UnixSeconds,
    seconds: number,
  ): Promise<LeasedSlot | undefined>
  /**
   * Head sequence, floor and position of the issuer's configuration, and all rows of the slot, ordered by hash and serial, in
   * one transaction. Rows that cannot be read are counted as broken and left out: live answers for them are faults (law 4).
   */
  readSlot(slot: { issuer: number; k: number; slot: number }): Promise<{
    asOf: Sequence
    floor: Sequence
    configRev: Sequence
    rows: readonly CertificateRow[]
    broken: number
  }>
  /** Conditional on the lease being ours and built_seq <= asOf. @returns false: rebuild */
  record(
    lease: LeasedSlot,
    built: {
      asOf: Sequence
      entries: number
      bytes: number
      thisUpdate: UnixSeconds
      nextUpdate: UnixSeconds
      refreshAt: UnixSeconds
      builtAt: UnixSeconds
      signatures: number
      /** What was left out, for the operator. */
      note?: string
    },
  ): Promise<boolean>
  /** Gives the lease back after a failure and notes it. */
  release(lease: LeasedSlot, error: string): Promise<void>
  /** Starts doubling where a slot has passed `maxEntries`; creates the new slots, all due. @returns issuers that grow */
  startGrowth(now: UnixSeconds, maxEntries: number): Promise<readonly number[]>
  /** Switches k of the issuers whose new slots are all built past the start of the growth, in one conditional update each. */
  finishGrowth(): Promise<readonly number[]>
  /** Deletes certificates whose notAfter + retention has passed (bounded). @returns how many */
  pruneCertificates(now: UnixSeconds, limit: number): Promise<number>
}

/** One line a request; never a client address, never a serial number. */
export interface EventLog {
  event(
    level: 'info' | 'warn' | 'error',
    fields: Readonly<Record<string, string | number | boolean | undefined>>,
  ): void
}

export type { ResponderRecord }
