/** The deployment as a whole: status, pre-signing, publishing, audit, and the API's own description. */
import type { Hono } from 'hono'
import type * as answer from '../admin-api/contract.ts'
import { ADMIN_PREFIX, ADMIN_ROUTES, AuditQuery, formatTime } from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { Globals, IssuerOutline, IssuerState } from '../ports/admin-store.ts'
import { databaseName } from '../ports/part-store.ts'
import { checkInput, readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { openAPIDocument } from './admin-openapi.ts'
import { mount, publishNow, requireIssuer } from './admin-routes.ts'
import { isUsable, sharesView } from './admin-views.ts'
import { findProblems } from './health.ts'

const AUDIT_LIMIT = 100

const timeOrNull = (time: UnixSeconds | undefined) => (time === undefined ? null : formatTime(time))
const timeOfMs = (ms: number) => (ms === 0 ? null : formatTime(Math.floor(ms / 1000)))

function issuerStatus(
  state: IssuerState,
  record: IssuerOutline | undefined,
  now: UnixSeconds,
): answer.IssuerStatus {
  return {
    id: state.id,
    name: state.name,
    enabled: state.enabled,
    frozen: state.frozen,
    compromisedAt: timeOrNull(record?.compromisedAt),
    finalAt: timeOrNull(record?.finalAt),
    usableResponders: record?.responders.filter((one) => isUsable(one, now)).length ?? 0,
    responderNotAfter: timeOrNull(state.responderNotAfter),
    head: state.head,
    published: state.published,
    floor: state.floor,
    k: state.k,
    slotsDue: state.slotsDue,
    slotsFailing: state.slotsFailing,
    entries: state.entries,
    added: state.added,
    oldestThisUpdate: timeOrNull(state.oldestThisUpdate),
    nearestNextUpdate: timeOrNull(state.nearestNextUpdate),
    ...sharesView(state),
  }
}

function queueStatus({ fanOut }: Globals): answer.Status['queue'] {
  if (fanOut === undefined) return null
  const { waiting, building, due, planned, messages, plannedMs, handledMs, deadMs } = fanOut
  return {
    ...{ waiting, building, due, planned, messages },
    plannedAt: timeOfMs(plannedMs),
    handledAt: timeOfMs(handledMs),
    deadAt: timeOfMs(deadMs),
  }
}

function databasesStatus({ databases }: Globals): Pick<answer.Status, 'databases'> {
  if (databases === undefined) return {}
  return {
    databases: databases.map(({ database, fault, schema, slotsDue, publisher }) => ({
      database,
      name: databaseName(database),
      up: fault === undefined && schema,
      slotsDue,
      lastPublishedAt: timeOfMs(publisher.publishedAtMs),
      rootVersion: publisher.version,
    })),
  }
}

/** Left is what nobody has taken yet, and what waits in the queue or is being built. */
function signingRate({ signing, slotsDue, fanOut }: Globals): answer.Status['signing'] {
  if (signing === undefined || signing.built === 0 || signing.milliseconds <= 0) return null
  const left = slotsDue + (fanOut?.waiting ?? 0) + (fanOut?.building ?? 0)
  const perSecond = (count: number) => Math.round((count * 10_000) / signing.milliseconds) / 10
  return {
    bundlesPerSecond: perSecond(signing.built),
    signaturesPerSecond: perSecond(signing.signatures),
    secondsLeft: Math.ceil((left * signing.milliseconds) / signing.built / 1000),
  }
}

export function mountOperations(app: Hono, deps: AdminDeps): void {
  const { store } = deps

  mount(app, deps, 'status', async ({ now, nowMs }) => {
    const globals = await store.globals(now)
    const records = globals.schema ? await store.issuerOutlines() : []
    const problems = findProblems({ globals, issuers: records }, deps, nowMs)
    const { publisher } = globals
    const recordOf = new Map(records.map((record) => [record.id, record]))
    return {
      ready: problems.length === 0,
      problems,
      now: formatTime(now),
      boundSeconds: deps.boundSeconds,
      issuers: globals.issuers.map((state) => issuerStatus(state, recordOf.get(state.id), now)),
      slotsDue: globals.slotsDue,
      oldestThisUpdate: timeOrNull(globals.oldestThisUpdate),
      nearestNextUpdate: timeOrNull(globals.nearestNextUpdate),
      lastPublishedAt: timeOfMs(publisher.publishedAtMs),
      rootVersion: publisher.version,
      overlayItems: globals.overlayItems,
      overlaySegments: globals.overlaySegments,
      overlaySegmentItems: globals.overlaySegmentItems,
      runs: globals.lastRuns.map((run) => ({
        job: run.job,
        finishedAt: formatTime(Math.floor(run.finishedMs / 1000)),
        ok: run.ok,
        built: run.built,
        signatures: run.signatures,
        failed: run.failed,
        remaining: run.remaining,
        ...(run.error !== undefined && { error: run.error }),
        ...(run.database !== undefined && { database: run.database }),
      })),
      ...databasesStatus(globals),
      counters: { ...globals.counters },
      queue: queueStatus(globals),
      signing: signingRate(globals),
    }
  })

  mount(app, deps, 'presign', async ({ request, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.presign.request)
    const issuer = input.issuer === undefined ? undefined : await requireIssuer(deps, input.issuer)
    const { built, signatures, failed, remaining, problems } = await deps.presign({
      all: input.all ?? true,
      ...(issuer !== undefined && { issuer: issuer.id }),
      ...(input.signatures !== undefined && { signatures: input.signatures }),
    })
    if (built > 0) {
      const error = problems?.join('; ')
      const run = { job: 'presign', startedMs: nowMs, finishedMs: deps.clock.nowMs(), ok: failed === 0 }
      const done = { built, signatures, failed, remaining }
      // What was signed is signed, whether or not it is noted how fast.
      await store.recordRun({ ...run, ...done, ...(error && { error }) }).catch(() => undefined)
    }
    return {
      built,
      signatures,
      failed,
      remaining,
      ...(problems !== undefined && { problems: [...problems] }),
    }
  })

  mount(app, deps, 'publish', () => publishNow(deps))

  mount(app, deps, 'audit', async ({ query }) => {
    const { after = 0, limit = AUDIT_LIMIT, database } = checkInput(query(), AuditQuery)
    const rows = await store.audit(after, limit, database)
    return {
      rows: rows.map((row) => ({
        id: row.id,
        at: formatTime(Math.floor(row.atMs / 1000)),
        issuer: row.issuer ?? null,
        action: row.action,
        serial: row.serial ?? null,
        revision: row.seq,
        detail: { ...row.detail },
      })),
      next: rows.length < limit ? null : (rows.at(-1)?.id ?? null),
      ...(store.databases && { databases: [...store.databases] }),
    }
  })

  app.get(`${ADMIN_PREFIX}/openapi.json`, (c) =>
    c.json(openAPIDocument(new URL(c.req.url).origin), 200, { 'Cache-Control': 'no-store' }),
  )
}
