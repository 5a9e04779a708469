/** One isolate: the parts of src/compose.ts wired the same way, over drivers that a test can interfere with. */

import { directoryMemory } from '../../src/overlay/directory.ts'
import type { PublisherPorts } from '../../src/overlay/publisher.ts'
import { OverlayReader } from '../../src/overlay/reader.ts'
import { segmentMemory } from '../../src/overlay/segment.ts'
import type { SegmentingPorts } from '../../src/overlay/segmenting.ts'
import { SigningError } from '../../src/ports/errors.ts'
import type {
  Clock,
  DerivedStore,
  DirectoryStore,
  EventLog,
  OverlayStore,
  SlotStore,
  StatusStore,
} from '../../src/ports/ports.ts'
import type { SegmentStore } from '../../src/ports/segment-store.ts'
import { AnswerMemory } from '../../src/responder/answer-memory.ts'
import { BundleSource } from '../../src/responder/bundle-source.ts'
import { IssuerDirectory } from '../../src/responder/issuers.ts'
import { LiveCopies } from '../../src/responder/live-copies.ts'
import { MissedBundles } from '../../src/responder/missed-bundles.ts'
import { Requestors } from '../../src/responder/requestors.ts'
import type { ResponderPorts } from '../../src/responder/respond.ts'
import { Seen } from '../../src/responder/seen.ts'
import { type JudgePorts, SignerJudge } from '../../src/responder/signer-judge.ts'
import { LiveSource } from '../../src/signing/live-source.ts'
import type { PresignPorts } from '../../src/signing/presign.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1DirectoryStore } from '../../src/storage/d1-directory-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1RecoveryStore } from '../../src/storage/d1-recovery-store.ts'
import { D1SegmentStore } from '../../src/storage/d1-segment-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import type { Database } from '../../src/storage/database.ts'
import type { ResponseCache } from '../../src/storage/edge-cache.ts'
import { CacheAPIEdgeCache } from '../../src/storage/edge-cache.ts'
import { decodeIssuerPage } from '../../src/storage/issuer-page.ts'
import type { KeyValue } from '../../src/storage/kv-derived-store.ts'
import { KVDerivedStore } from '../../src/storage/kv-derived-store.ts'
import type { Interference } from './faults.ts'
import { InterferedDatabase, InterferedSignerPool, interferedCache, interferedKV } from './faults.ts'

/** Deliberate mistakes, each in the place of one port: a checker that lets one of them pass is not looking. */
export interface Variant {
  readonly name: string
  /** Instead of the propagation bound. */
  readonly boundMs?: number
  /** False: the root is published after changes only. */
  readonly heartbeat?: boolean
  overlayStore?(inner: OverlayStore, clock: Clock): OverlayStore
  slotStore?(inner: SlotStore, db: Database): SlotStore
  statusStore?(inner: StatusStore, clock: Clock): StatusStore
  overlayReader?(make: () => OverlayReader): ReaderPart
  /** Instead of the publisher's view of KV. */
  publisherDerived?(inner: PublisherPorts['derived']): PublisherPorts['derived']
  adminStore?(inner: D1AdminStore, db: Database): D1AdminStore
  /** Between the clients and the Worker of a colo. */
  front?(request: Request, inner: () => Promise<Response>, at: FrontPlace): Promise<Response>
  directoryStore?(inner: DirectoryStore, db: Database): DirectoryStore
  segmentStore?(inner: SegmentStore, db: Database): SegmentStore
  /** False: an answer signed now is not held against the overlay again. */
  readonly recheck?: boolean
}

export interface FrontPlace {
  readonly colo: number
  readonly clock: Clock
  /** Of this world and colo alone. */
  readonly memory: Map<string, unknown>
}

export type ReaderPart = Pick<OverlayReader, 'fresh' | 'refresh' | 'latest' | 'adopt'>

export interface IsolateOptions {
  readonly kv: KeyValue
  readonly cache: ResponseCache
  readonly db: Database
  readonly clock: Clock & { advance(ms: number): void }
  readonly random: () => number
  readonly boundMs: number
  /** KEY_ENCRYPTION_KEY; undefined = not set. */
  readonly kek: Uint8Array | undefined
  readonly hook: Interference
  readonly variant?: Variant
  /** Weight of the answers kept; default that of AnswerMemory. */
  readonly memoryBytes?: number
  /** Deadline of each call of a store. */
  readonly timeoutMs?: number
  readonly log?: EventLog
  /** With several databases: where the certificate of a requestor is. */
  readonly locate?: JudgePorts['locate']
}

export interface Isolate {
  readonly responder: ResponderPorts
  readonly overlay: ReaderPart
  readonly live: LiveSource
  readonly publisher: PublisherPorts
  readonly presign: PresignPorts
  readonly admin: D1AdminStore
  readonly recovery: D1RecoveryStore
  readonly overlayStore: OverlayStore
  readonly directory: DirectoryStore
  readonly segmenting: SegmentingPorts
  readonly slots: SlotStore
  readonly derived: DerivedStore
  readonly signers: InterferedSignerPool
  /** Work kept alive behind the answers (waitUntil). */
  readonly background: Promise<unknown>[]
}

const SILENT: EventLog = { event() {} }

export function makeIsolate(options: IsolateOptions): Isolate {
  const { clock, random, hook, kek, variant } = options
  const deadline = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }
  const db = new InterferedDatabase(options.db, hook)
  const background: Promise<unknown>[] = []
  const keep = (work: Promise<unknown>) => {
    background.push(work)
  }

  const record = new D1StatusStore(db, deadline)
  const status = variant?.statusStore?.(record, clock) ?? record
  const overlayRecord = new D1OverlayStore(db, deadline)
  const overlayStore = variant?.overlayStore?.(overlayRecord, clock) ?? overlayRecord
  const directoryRecord = new D1DirectoryStore(db, deadline)
  const directory = variant?.directoryStore?.(directoryRecord, options.db) ?? directoryRecord
  const segmentRecord = new D1SegmentStore(db, deadline)
  const segments = variant?.segmentStore?.(segmentRecord, options.db) ?? segmentRecord
  const slotRecord = new D1SlotStore(db, deadline)
  const slots = variant?.slotStore?.(slotRecord, options.db) ?? slotRecord
  const kv = new KVDerivedStore(interferedKV(options.kv, hook), clock, deadline)
  const cache = new CacheAPIEdgeCache(interferedCache(options.cache, hook), deadline)

  const boundMs = variant?.boundMs ?? options.boundMs
  const makeReader = () => {
    const latestPosition = () => overlay.latest?.position ?? 0
    const shared = { derived: kv, cache, clock, background: keep }
    const pages = {
      directory: directoryMemory({ ...shared, record: directory, latestPosition }),
      segments: segmentMemory(shared),
    }
    return new OverlayReader({ ...shared, overlay: overlayStore, pages, random }, boundMs)
  }
  const overlay: ReaderPart = variant?.overlayReader?.(makeReader) ?? makeReader()
  const derived: PublisherPorts['derived'] = {
    readRoot: () => kv.readRoot(),
    readPage: (name) => kv.readPage(name),
    async writeRoot(bytes) {
      await kv.writeRoot(bytes)
      overlay.adopt(bytes)
    },
  }
  const signers = new InterferedSignerPool(
    {
      keys: record,
      kek: () => kek ?? missing(),
      secret: () => undefined,
    },
    hook,
  )
  const recovery = new D1RecoveryStore(db, deadline)
  const missed = new MissedBundles({ recovery, sleep: async () => undefined, background: keep })
  const bundles = new BundleSource({ derived: kv, cache, missed, background: keep })
  const latestRoot = variant?.recheck === false ? () => undefined : () => overlay.latest
  const admin = new D1AdminStore(db, deadline)
  const live = new LiveSource({ status, bundles, signers, clock, latestRoot, background: keep })
  const issuers = new IssuerDirectory({ derived: kv, status, decodePage: decodeIssuerPage, background: keep })
  const seen = new Seen()
  const judge = new SignerJudge({ issuers, status, seen, locate: options.locate })
  return {
    responder: {
      clock,
      status,
      overlay,
      issuers,
      memory: new AnswerMemory(options.memoryBytes),
      bundles,
      copies: new LiveCopies(cache, keep),
      seen,
      live,
      requestors: new Requestors({ judge, seen, clock, background: keep }),
    },
    overlay,
    live,
    publisher: {
      overlay: overlayStore,
      derived: variant?.publisherDerived?.(derived) ?? derived,
      clock,
      random,
      sleep: async (ms) => clock.advance(ms),
    },
    presign: { slots, status, derived: kv, signers, clock, log: options.log ?? SILENT, random },
    admin: variant?.adminStore?.(admin, options.db) ?? admin,
    overlayStore,
    directory,
    segmenting: { store: segments, derived: kv, clock, random: () => 0xc0ffee },
    recovery,
    slots,
    derived: kv,
    signers,
    background,
  }
}

function missing(): never {
  throw new SigningError('keyMissing', 'KEY_ENCRYPTION_KEY is not set')
}
