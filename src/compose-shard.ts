/**
 * One database and everything that is derived of it, wired together: what answers from it, what keeps it, what administers it. A
 * deployment has one of these, or several that share nothing but the Worker (ADR 0016).
 */
import { composeResponder, type ResponderResources } from './compose-responder.ts'
import type { Env, Settings } from './env.ts'
import type { AdminDeps, PresignOptions, PresignOutcome, PublishOutcome } from './http/admin-deps.ts'
import { consoleLog } from './http/observe.ts'
import { DEAD_LETTER_SUFFIX, handleDeadLetters, handleMessages, type QueueMessage } from './jobs/consumer.ts'
import { fanOut } from './jobs/fan-out.ts'
import { repairIssuerPages } from './jobs/issuer-pages.ts'
import { runScheduled } from './jobs/scheduled.ts'
import { changeCanary, runCanaries } from './overlay/canary.ts'
import { pageIssuers } from './overlay/paging.ts'
import { publish, publishChange } from './overlay/publisher.ts'
import { segmentTail, tendSegments } from './overlay/segmenting.ts'
import type { Clock, DerivedStore } from './ports/ports.ts'
import type { IssuerRecord, Sequence } from './ports/records.ts'
import type { ResponderPorts } from './responder/respond.ts'
import { presign } from './signing/presign.ts'
import { D1AdminStore } from './storage/d1-admin-store.ts'
import { D1CanaryStore } from './storage/d1-canary-store.ts'
import { D1FanOutStore } from './storage/d1-fan-out-store.ts'
import { D1MoveStore } from './storage/d1-move-store.ts'
import { D1RecoveryStore } from './storage/d1-recovery-store.ts'
import { D1SegmentStore } from './storage/d1-segment-store.ts'
import { D1SlotStore } from './storage/d1-slot-store.ts'
import { withDeadline } from './storage/database.ts'
import { CacheAPIEdgeCache } from './storage/edge-cache.ts'
import { decodeIssuerPage, encodeIssuerPage } from './storage/issuer-page.ts'
import { KVDerivedStore } from './storage/kv-derived-store.ts'

export interface ShardResources {
  /** 0 = binding DB, n = DB_n. */
  readonly database: number
  readonly db: D1Database
  /** How many there are: they share one isolate's memory, and one run's budget. */
  readonly of: number
  readonly env: Env
  readonly settings: Settings
  readonly kek: () => Uint8Array
  readonly secret: (name: string) => string | undefined
  readonly background: (work: Promise<unknown>) => void
  /** With several databases: where the certificate of a requestor is. */
  readonly locate?: ResponderResources['locate']
}

export interface Shard extends Pick<AdminDeps, 'changeCanary'> {
  readonly database: number
  readonly responder: ResponderPorts
  readonly record: D1AdminStore
  readonly canaries: D1CanaryStore
  readonly recovery: D1RecoveryStore
  readonly moveStore: D1MoveStore
  publish(change?: { readonly issuer: number; readonly revision: Sequence }): Promise<PublishOutcome>
  presign(options: PresignOptions): Promise<PresignOutcome>
  writeIssuerPage(issuer: IssuerRecord): Promise<void>
  certificatesRecorded(): void
  scheduled(): Promise<void>
  queue(name: string, messages: readonly QueueMessage[]): Promise<void>
}

/** What the Worker does with its database, or with all of them. */
export interface Composed
  extends Pick<Shard, 'responder' | 'scheduled' | 'queue'>,
    Pick<
      AdminDeps,
      | 'store'
      | 'canaries'
      | 'recovery'
      | 'moves'
      | 'changeCanary'
      | 'publish'
      | 'presign'
      | 'writeIssuerPage'
      | 'certificatesRecorded'
    > {}

export const clock: Clock = { nowMs: () => Date.now() }
const random = () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0
const QUEUE_TIMEOUT_MS = 10_000
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The only database there is. */
export function composeOne(resources: Omit<ShardResources, 'database' | 'db'>): Composed {
  const shard = composeShard({ ...resources, database: 0, db: resources.env.DB })
  return { ...shard, store: shard.record }
}

export function composeShard(resources: ShardResources): Shard {
  const { database, db, of, env, settings, kek, secret, background, locate } = resources
  const boundMs = settings.boundSeconds * 1000
  const prefix = database === 0 ? '' : `${database}/`
  const slots = new D1SlotStore(db)
  const record = new D1AdminStore(db, of === 1 ? {} : { database })
  const recovery = new D1RecoveryStore(db)
  const canaries = new D1CanaryStore(db)
  const kv = new KVDerivedStore(env.RESPONSES, clock, { prefix })
  const cache = new CacheAPIEdgeCache(caches.default, { prefix })
  const composed = composeResponder({
    db,
    derived: kv,
    cache,
    clock,
    random,
    boundMs,
    kek,
    secret,
    sleep,
    background,
    of,
    locate,
  })
  const { ports: responder, status, overlayStore, directory, overlay, signers, live } = composed
  /** What this isolate publishes it also believes at once: a revocation shows where it was made without waiting for KV. */
  const derived: Pick<DerivedStore, 'readRoot' | 'writeRoot' | 'readPage'> = {
    readRoot: () => kv.readRoot(),
    readPage: (name) => kv.readPage(name),
    async writeRoot(bytes) {
      await kv.writeRoot(bytes)
      overlay.adopt(bytes)
    },
  }
  const publisher = { overlay: overlayStore, derived, clock, random, sleep }
  const segmenting = { store: new D1SegmentStore(db), derived: kv, clock, random }
  const places = new D1FanOutStore(db)
  const signing = { slots, status, derived: kv, signers, clock, log: consoleLog }
  const [signaturesPerRun, signaturesPlanned] = [
    settings.signaturesPerRun / of,
    settings.signaturesPlanned / of,
  ]
  const sign = (options: { issuer?: number; all: boolean; budget: number }) =>
    presign({ ...signing, random }, { ...options, atOnce: settings.slotsAtOnce })
  const signHere = () => sign({ all: false, budget: signaturesPerRun })
  const { RESIGN: queue } = env
  const plan = (resign: Queue) =>
    fanOut(
      {
        slots,
        fanOut: places,
        queue: { sendBatch: (batch) => withDeadline(resign.sendBatch(batch), QUEUE_TIMEOUT_MS, 'the queue') },
        clock,
        log: consoleLog,
        leaseName: () => `plan:${crypto.randomUUID()}`,
        presign: signHere,
      },
      { maxPlanned: signaturesPlanned, maxMessage: settings.signaturesPerMessage, database },
    )
  const canaryPorts = {
    canaries,
    record,
    publishChange: (issuer: number, revision: Sequence) => publishChange(publisher, issuer, revision),
    derived: kv,
    clock,
    sleep,
    boundMs,
  }

  return {
    database,
    responder,
    record,
    canaries,
    recovery,
    moveStore: new D1MoveStore(db),
    changeCanary: (canary) => changeCanary(canaryPorts, canary, true),
    async publish(change) {
      if (change !== undefined) {
        const published = await publishChange(publisher, change.issuer, change.revision)
        return published === undefined
          ? overtaken
          : { published: true, publishedAtMs: published.publishedAtMs }
      }
      await segmentTail(segmenting).catch(() => 0) // after a mass event; if it cannot be done the root says so by a floor
      const published = await publish(publisher)
      return published === undefined ? overtaken : { published: true, ...published }
    },
    presign: ({ signatures = signaturesPerRun, ...scope }) => sign({ ...scope, budget: signatures }),
    writeIssuerPage: (issuer) => kv.writeIssuerPage(issuer.id, encodeIssuerPage(issuer)),
    certificatesRecorded() {
      live.absent.clear() // what was just recorded must be answered at once
      responder.memory.forgetUnknown()
    },
    scheduled: () =>
      runScheduled({
        segments: () => tendSegments(segmenting),
        publish: () => publish(publisher),
        presign: queue === undefined ? signHere : () => plan(queue),
        isFannedOut: queue !== undefined,
        canaries: () => runCanaries(canaryPorts),
        pageIssuers: () => pageIssuers({ directory, derived: kv, clock }),
        issuerPages: () =>
          repairIssuerPages({
            recovery,
            status,
            derived: kv,
            clock,
            encodePage: encodeIssuerPage,
            decodePage: decodeIssuerPage,
          }),
        overlay: overlayStore,
        slots,
        runs: record,
        clock,
        log: consoleLog,
      }),
    queue: (name, messages) =>
      name.endsWith(DEAD_LETTER_SUFFIX)
        ? handleDeadLetters({ fanOut: places, clock, log: consoleLog }, messages)
        : handleMessages({ ...signing, fanOut: places, runs: record }, messages, settings.slotsAtOnce),
  }
}

const overtaken = {
  published: false,
  problem: 'another publisher is at work; the next heartbeat, within a minute, will publish it',
}
