/** /healthz (am I alive), /readyz (is everything as it has to be, and if not: what to do), /metrics. Never cacheable. */
import { Hono } from 'hono/tiny'
import type { Problem } from '../admin-api/contract.ts'
import { formatTime } from '../admin-api/time.ts'
import { NO_END, type UnixSeconds } from '../asn1/generalized-time.ts'
import type { AdminStore, Globals, IssuerOutline, IssuerState } from '../ports/admin-store.ts'
import type { CanaryStore } from '../ports/canary-store.ts'
import { StorageError } from '../ports/errors.ts'
import { databaseName } from '../ports/part-store.ts'
import type { Clock } from '../ports/ports.ts'
import { evaluations } from '../x509/evaluations.ts'
import { canaryMetrics, formatMetrics } from './metrics.ts'

/** What readiness is judged by, besides the record. */
export interface HealthConfig {
  readonly adminToken: string | undefined
  /** undefined = KEY_ENCRYPTION_KEY missing or not 32 octets of base64. */
  readonly kek: Uint8Array | undefined
  secret(name: string): string | undefined
  readonly boundSeconds: number
}

export interface HealthDeps extends HealthConfig {
  readonly store: Pick<AdminStore, 'globals' | 'issuerOutlines'>
  readonly canaries: Pick<CanaryStore, 'listCanaries'>
  readonly clock: Clock
}

/** The record, read for judging. */
export interface Reading {
  readonly globals: Globals
  readonly issuers: readonly IssuerOutline[]
}

/** Name under which the scheduled handler records its runs. */
export const CRON_JOB = 'cron'

const CRON_LATE_SECONDS = 180
/** A passing fault is told of for so long. */
const QUEUE_PROBLEM_MS = 15 * 60_000
const METRICS_MEMO_MS = 10_000
/** Shorter: someone who has just done the missing step looks here. */
const READY_MEMO_MS = 1_000
const DAY = 86_400
/** Mozilla 6, TLS BR 4.9.9: a newer response at least every four days (R4.3, R4.30). */
const MAX_AGE_SECONDS = 4 * DAY
/** Below it no response may be signed under public-trust (R4.32). */
const MIN_PUBLIC_SECONDS = 8 * 3600
/** From falling due to being an alarm: three runs of the cron. */
const GRACE_SECONDS = 180

const at = (time: UnixSeconds) => formatTime(time)

/** @param ended issuers that are no more to sign, and are not among `issuers` */
function secretProblems(config: HealthConfig, issuers: readonly IssuerOutline[], ended = 0): Problem[] {
  const problems: Problem[] = []
  const responders = issuers.flatMap((issuer) => issuer.responders).filter(({ retired }) => !retired)
  if ((config.adminToken?.trim() ?? '') === '') {
    problems.push({
      code: 'adminTokenMissing',
      message: 'the secret ADMIN_TOKEN is not set: nobody can administer',
      step: 'openssl rand -hex 32 | wrangler secret put ADMIN_TOKEN',
    })
  }
  // Whoever keeps every key in a secret of its own needs no key to wrap keys.
  const isNew = responders.length === 0 && ended === 0
  const wraps = isNew || responders.some(({ custody }) => custody === 'wrapped')
  if (config.kek === undefined && wraps) {
    problems.push({
      code: 'keyEncryptionKeyMissing',
      message: 'the secret KEY_ENCRYPTION_KEY is not set to base64 of 32 octets: wrapped keys cannot be used',
      step: 'openssl rand -base64 32 | wrangler secret put KEY_ENCRYPTION_KEY (the same one, if keys are wrapped already)',
    })
  }
  for (const { secretName } of responders) {
    if (secretName === undefined || (config.secret(secretName)?.trim() ?? '') !== '') continue
    problems.push({
      code: 'responderSecretMissing',
      message: `the secret ${secretName} is not set: its responder cannot sign`,
      step: `wrangler secret put ${secretName} < key.pk8`,
    })
  }
  return problems
}

function usable(responders: IssuerOutline['responders'], now: UnixSeconds): IssuerOutline['responders'] {
  return responders.filter(
    ({ retired, notBefore, notAfter }) => !retired && notBefore <= now && now < notAfter,
  )
}

function responderProblem(issuer: IssuerOutline, now: UnixSeconds): Problem[] {
  const { name } = issuer
  const step = `edge-ocsp responder add --issuer ${name} --cert ocsp.pem --key ocsp.key`
  const ends = usable(issuer.responders, now).map(({ notAfter }) => notAfter)
  if (ends.length === 0) {
    return [
      { code: 'noUsableResponder', message: `issuer ${name} has no usable responder`, step, issuer: name },
    ]
  }
  const end = Math.max(...ends)
  if (issuer.policy.profile === 'public-trust' && end - now < MIN_PUBLIC_SECONDS) {
    const message = `the last responder of issuer ${name} ends at ${at(end)}: too soon to sign under public-trust`
    return [{ code: 'responderEndsSoon', message, step, issuer: name }]
  }
  return []
}

/** A newer response is due at half of the validity and after four days, and by nextUpdate at the very latest (R4.2, R4.3, R4.32). */
function responseProblem(issuer: IssuerOutline, state: IssuerState, now: UnixSeconds): Problem[] {
  const { oldestThisUpdate: oldest, nearestNextUpdate: next } = state
  if (oldest === undefined || next === undefined) return []
  const due = oldest + Math.min(Math.floor(issuer.policy.validitySeconds / 2), MAX_AGE_SECONDS)
  const deadline = Math.min(due + GRACE_SECONDS, next)
  if (now <= deadline) return []
  const failing = state.slotsFailing > 0 ? `; ${state.slotsFailing} slots failed at their last build` : ''
  return [
    {
      code: next <= now ? 'responseExpired' : 'responseOverdue',
      message: `issuer ${state.name}: the oldest response is of ${at(oldest)}, a newer one was due by ${at(deadline)}${failing}`,
      step: `edge-ocsp presign --wait --issuer ${state.name}, and see the log for signing errors`,
      issuer: state.name,
    },
  ]
}

function cronProblem(globals: Globals, now: UnixSeconds): Problem[] {
  const step = 'check the cron trigger "* * * * *" in wrangler.toml and the log of the scheduled handler'
  const runs = globals.lastRuns.filter(({ job }) => job === CRON_JOB)
  const wanted = globals.databases?.filter(({ fault }) => fault === undefined).length ?? 1
  if (runs.length < wanted) return [{ code: 'cronNeverRan', message: 'the cron job has not run yet', step }]
  const age = now - Math.floor(Math.min(...runs.map(({ finishedMs }) => finishedMs)) / 1000)
  if (age <= CRON_LATE_SECONDS) return []
  return [{ code: 'cronLate', message: `the cron job ran last ${age} s ago`, step }]
}

/** Databases that are away, and what does not fit together. */
function databaseProblems({ databases, faults = [], issuers }: Globals): Problem[] {
  if (databases === undefined) return issuers.flatMap(elsewhere)
  return [
    ...databases.flatMap(({ database, fault }) => (fault === undefined ? [] : unreadable(fault, database))),
    ...faults,
  ]
}

/** Of the only database there is, yet it says that another has some of an issuer. */
function elsewhere({ name, parts = [] }: IssuerState): Problem[] {
  return parts.every(({ away }) => away === 0)
    ? []
    : [
        {
          code: 'digitsUnclaimed',
          message: `issuer ${name}: some of its certificates are in a database whose binding is missing; they are answered tryLater`,
          step: 'put the bindings DB_1, ... back into wrangler.toml, and deploy',
          issuer: name,
        },
      ]
}

function unreadable(fault: StorageError['reason'], database: number): Problem {
  return {
    code: 'storageUnavailable',
    message: `the record in ${databaseName(database)} cannot be read (${fault})`,
    step: `check the D1 binding ${databaseName(database)}, its region and its limits`,
  }
}

function publisherProblem(globals: Globals, boundSeconds: number, nowMs: number): Problem[] {
  const step = 'see the log of the scheduled handler for KV and D1 errors: it publishes every minute'
  const { publishedAtMs, version } = globals.publisher
  if (publishedAtMs === 0 || version === 0) {
    return [{ code: 'rootNeverPublished', message: 'the overlay root was never published', step }]
  }
  const age = Math.floor((nowMs - publishedAtMs) / 1000)
  if (age <= boundSeconds) return []
  const message = `the overlay root is ${age} s old, more than the bound of ${boundSeconds} s`
  return [{ code: 'publisherLate', message, step }]
}

/** What a queue did not do is done by the cron run: these say that it has to, as long as it was lately. */
function queueProblems({ fanOut }: Globals, nowMs: number): Problem[] {
  if (fanOut === undefined) return []
  const isLately = (ms: number) => ms > 0 && nowMs - ms < QUEUE_PROBLEM_MS
  const problems: Problem[] = []
  if (isLately(fanOut.refusedMs))
    problems.push({
      code: 'queueRefused',
      message: 'the queue did not take what was to be signed anew; the cron run signs within its budget',
      step: 'look at the backlog: wrangler queues info edge-ocsp-resign; raise max_concurrency of its consumer',
    })
  if (isLately(fanOut.lostMs))
    problems.push({
      code: 'queueLost',
      message: 'slots were sent to the queue and nobody took them in 15 minutes; the cron run signs them',
      step: 'see that the queue has its consumer and is not paused: wrangler queues info edge-ocsp-resign',
    })
  if (isLately(fanOut.deadMs))
    problems.push({
      code: 'deadLetters',
      message: 'the queue gave up messages; their slots are due again',
      step: 'see the log for "message failed" and "dead letter"',
    })
  return problems
}

/** Its last responses are signed (R4.52): it needs neither key nor responder any more, and nothing of it grows old. */
function isEnded({ finalAt }: IssuerOutline, state: IssuerState | undefined): boolean {
  if (finalAt === undefined || state === undefined || state.frozen) return false
  return state.slotsDue === 0 && (state.nearestNextUpdate ?? NO_END) === NO_END
}

/** Everything that keeps the deployment from being ready, the first step first. */
export function findProblems(reading: Reading, config: HealthConfig, nowMs: number): Problem[] {
  const { globals, issuers } = reading
  const now = Math.floor(nowMs / 1000)
  const states = new Map(globals.issuers.map((state) => [state.id, state]))
  const signing = issuers.filter((issuer) => !isEnded(issuer, states.get(issuer.id)))
  const byID = new Map(signing.map((issuer) => [issuer.id, issuer]))
  const secrets = secretProblems(config, signing, issuers.length - signing.length)
  if (!globals.schema) {
    const without = globals.databases?.filter(({ schema }) => !schema) ?? [{ database: 0 }]
    return [
      ...without.map(({ database }) => ({
        code: 'migrationsMissing',
        message: `the database ${database === 0 ? '' : `${databaseName(database)} `}has no schema`,
        step: `wrangler d1 migrations apply ${databaseName(database)} --remote`,
      })),
      ...secrets,
    ]
  }
  const problems = [...secrets]
  if (issuers.length === 0) {
    problems.push({
      code: 'noIssuer',
      message: 'no issuer: every request is answered unauthorized or tryLater',
      step: 'edge-ocsp issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key',
    })
  }
  for (const state of globals.issuers) {
    const issuer = byID.get(state.id)
    if (issuer === undefined || !state.enabled) continue
    if (state.frozen) {
      problems.push({
        code: 'issuerFrozen',
        message: `issuer ${state.name} is frozen: its record is behind what was published, as after a restored backup`,
        step: `replay the lost changes, then edge-ocsp issuer thaw ${state.name}`,
        issuer: state.name,
      })
    }
    problems.push(...responderProblem(issuer, now), ...responseProblem(issuer, state, now))
  }
  problems.push(...databaseProblems(globals), ...queueProblems(globals, nowMs))
  problems.push(...cronProblem(globals, now), ...publisherProblem(globals, config.boundSeconds, nowMs))
  return problems
}

type Looked = { readonly atMs: number } & ({ readonly reading: Reading } | { readonly fault: StorageError })

const NO_STORE = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }

/** @returns an app of exactly three paths; anything else is left to others (404) */
export function healthApp(deps: HealthDeps): Hono {
  const app = new Hono()
  let last: Looked | undefined

  /** One look at D1 serves many scrapes. A value is kept, never a promise: those end with the request that made them. */
  async function look(maxAgeMs: number): Promise<Looked> {
    const nowMs = deps.clock.nowMs()
    if (last !== undefined && nowMs - last.atMs >= 0 && nowMs - last.atMs < maxAgeMs) return last
    try {
      const globals = await deps.store.globals(Math.floor(nowMs / 1000))
      const issuers = globals.schema ? await deps.store.issuerOutlines() : []
      last = { atMs: nowMs, reading: { globals, issuers } }
    } catch (error) {
      const fault =
        error instanceof StorageError
          ? error
          : new StorageError('unavailable', 'the record could not be read', { cause: error })
      last = { atMs: nowMs, fault }
    }
    return last
  }

  app.get('/healthz', () =>
    Response.json({ status: 'ok', x509Evaluations: evaluations.count }, { headers: NO_STORE }),
  )

  app.get('/readyz', async () => {
    const looked = await look(READY_MEMO_MS)
    const problems =
      'reading' in looked
        ? findProblems(looked.reading, deps, deps.clock.nowMs())
        : storageProblems(looked.fault, deps)
    const ready = problems.length === 0
    return Response.json({ ready, problems }, { status: ready ? 200 : 503, headers: NO_STORE })
  })

  app.get('/metrics', async () => {
    const looked = await look(METRICS_MEMO_MS)
    const headers = { ...NO_STORE, 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }
    if (!('reading' in looked))
      return new Response(`# storage ${looked.fault.reason}\n`, { status: 503, headers })
    const ready = findProblems(looked.reading, deps, deps.clock.nowMs()).length === 0
    const { globals } = looked.reading
    const text = formatMetrics(globals, deps.boundSeconds, deps.clock.nowMs(), ready)
    const canaries = globals.schema ? await deps.canaries.listCanaries().catch(() => []) : []
    return new Response(text + canaryMetrics(canaries, globals), { headers })
  })

  return app
}

function storageProblems(fault: StorageError, config: HealthConfig): Problem[] {
  const missing = fault.reason === 'notSetUp'
  return [
    {
      code: missing ? 'migrationsMissing' : 'storageUnavailable',
      message: missing ? 'the database has no schema' : `the record cannot be read (${fault.reason})`,
      step: missing
        ? 'wrangler d1 migrations apply DB --remote'
        : 'check the D1 binding DB, its region and its limits',
    },
    ...secretProblems(config, []),
  ]
}
