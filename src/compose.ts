/** The composition root: bindings and secrets in, one Worker out. With compose-responder.ts the only file that builds its adapters. */
import type { Hono } from 'hono'
import { composeResponder } from './compose-responder.ts'
import type { Env } from './env.ts'
import { readSettings } from './env.ts'
import type { AdminDeps } from './http/admin-deps.ts'
import { healthApp } from './http/health.ts'
import { consoleLog, observer } from './http/observe.ts'
import { serveOCSP } from './http/ocsp.ts'
import { pagesApp } from './http/pages.ts'
import { DEAD_LETTER_SUFFIX, handleDeadLetters, handleMessages, type QueueMessage } from './jobs/consumer.ts'
import { fanOut } from './jobs/fan-out.ts'
import { repairIssuerPages } from './jobs/issuer-pages.ts'
import { runScheduled } from './jobs/scheduled.ts'
import { changeCanary, runCanaries } from './overlay/canary.ts'
import { pageIssuers } from './overlay/paging.ts'
import { publish, publishChange } from './overlay/publisher.ts'
import { segmentTail, tendSegments } from './overlay/segmenting.ts'
import type { Clock, DerivedStore } from './ports/ports.ts'
import type { Sequence } from './ports/records.ts'
import { parseKeyEncryptionKey } from './signing/key-custody.ts'
import { presign } from './signing/presign.ts'
import { D1AdminStore } from './storage/d1-admin-store.ts'
import { D1CanaryStore } from './storage/d1-canary-store.ts'
import { D1FanOutStore } from './storage/d1-fan-out-store.ts'
import { D1RecoveryStore } from './storage/d1-recovery-store.ts'
import { D1SegmentStore } from './storage/d1-segment-store.ts'
import { D1SlotStore } from './storage/d1-slot-store.ts'
import { withDeadline } from './storage/database.ts'
import { CacheAPIEdgeCache } from './storage/edge-cache.ts'
import { decodeIssuerPage, encodeIssuerPage } from './storage/issuer-page.ts'
import { KVDerivedStore } from './storage/kv-derived-store.ts'

export interface Worker {
  fetch(request: Request): Response | Promise<Response>
  scheduled(): Promise<void>
  queue(batch: { readonly queue: string; readonly messages: readonly QueueMessage[] }): Promise<void>
}

const clock: Clock = { nowMs: () => Date.now() }
const random = () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0
const QUEUE_TIMEOUT_MS = 10_000
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** @param background keeps work alive after the answer has left (waitUntil) */
export function compose(env: Env, background: (work: Promise<unknown>) => void): Worker {
  const { settings, problems } = readSettings(env)
  for (const problem of problems) consoleLog.event('warn', { what: 'setting', problem })
  const boundMs = settings.boundSeconds * 1000
  const secret = (name: string) => secretOf(env, name)
  const kek = () => parseKeyEncryptionKey(env.KEY_ENCRYPTION_KEY)

  const slots = new D1SlotStore(env.DB)
  const record = new D1AdminStore(env.DB)
  const recovery = new D1RecoveryStore(env.DB)
  const canaries = new D1CanaryStore(env.DB)
  const kv = new KVDerivedStore(env.RESPONSES, clock)
  const cache = new CacheAPIEdgeCache(caches.default)
  const {
    ports: responder,
    status,
    overlayStore,
    directory,
    overlay,
    signers,
    live,
  } = composeResponder({
    db: env.DB,
    derived: kv,
    cache,
    clock,
    random,
    boundMs,
    kek,
    secret,
    sleep,
    background,
  })
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
  const segmenting = { store: new D1SegmentStore(env.DB), derived: kv, clock, random }
  const observe = observer(consoleLog, env.METRICS, settings.logSampleRate, Math.random)
  const places = new D1FanOutStore(env.DB)
  const signing = { slots, status, derived: kv, signers, clock, log: consoleLog }
  const sign = (options: { issuer?: number; all: boolean; budget: number }) =>
    presign({ ...signing, random }, { ...options, atOnce: settings.slotsAtOnce })
  const signHere = () => sign({ all: false, budget: settings.signaturesPerRun })
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
      { maxPlanned: settings.signaturesPlanned, maxMessage: settings.signaturesPerMessage },
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
  const administration: AdminDeps = {
    store: record,
    canaries,
    changeCanary: (canary) => changeCanary(canaryPorts, canary, true),
    recovery,
    clock,
    certificatesRecorded() {
      live.absent.clear() // what was just recorded must be answered at once
      responder.memory.forgetUnknown()
    },
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
    presign: ({ signatures = settings.signaturesPerRun, ...scope }) => sign({ ...scope, budget: signatures }),
    kek: orUndefined(kek),
    secret,
    adminToken: env.ADMIN_TOKEN,
    adminHost: env.ADMIN_HOST,
    boundSeconds: settings.boundSeconds,
    writeIssuerPage: (issuer) => kv.writeIssuerPage(issuer.id, encodeIssuerPage(issuer)),
    log: consoleLog,
  }
  const health = healthApp(administration)
  const pages = pagesApp({
    issuerCertificate: async (name) => (await record.findIssuer(name))?.certificate,
    clock,
  })
  let admin: Hono | undefined
  /** Loaded on first use: the X.509 module behind it is never evaluated for OCSP. */
  const administer = async (request: Request): Promise<Response> => {
    admin ??= (await import('./http/admin.ts')).adminApp(administration)
    return admin.fetch(request)
  }

  return {
    fetch(request) {
      switch (ownerOf(request)) {
        case 'ocsp':
          return serveOCSP(request, responder, observe)
        case 'health':
          return health.fetch(request)
        case 'pages':
          return pages.fetch(request)
        case 'admin':
          return administer(request)
      }
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
    queue: ({ queue: name, messages }) =>
      name.endsWith(DEAD_LETTER_SUFFIX)
        ? handleDeadLetters({ fanOut: places, clock, log: consoleLog }, messages)
        : handleMessages({ ...signing, fanOut: places, runs: record }, messages, settings.slotsAtOnce),
  }
}

const overtaken = {
  published: false,
  problem: 'another publisher is at work; the next heartbeat, within a minute, will publish it',
}

const HEALTH = new Set(['/healthz', '/readyz', '/metrics'])
const PAGES = new Set(['/', '', '/favicon.ico', '/robots.txt'])

/** Everything that is not one of a few fixed paths is an OCSP request, under any prefix (R5.13). */
function ownerOf(request: Request): 'ocsp' | 'admin' | 'health' | 'pages' {
  const { url, method } = request
  const path = url.slice(url.indexOf('/', 8)) // after "http://" or "https://" and the host
  if (path.startsWith('/admin/')) return 'admin'
  if (method !== 'GET' && method !== 'HEAD') return 'ocsp'
  if (path.startsWith('/issuers/') && path.endsWith('.cer')) return 'pages'
  const query = path.indexOf('?')
  const plain = query < 0 ? path : path.slice(0, query)
  return HEALTH.has(plain) ? 'health' : PAGES.has(plain) ? 'pages' : 'ocsp'
}

/** A Worker secret by a name that is known only at run time (custody `secret`). */
function secretOf(env: Env, name: string): string | undefined {
  const value: unknown = Object.entries(env).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : undefined
}

function orUndefined(read: () => Uint8Array): Uint8Array | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
