/** State of the machine: what /readyz, /metrics and `status` show, read in one transaction. */

import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { FanOutState, Globals, IssuerState, RunRecord } from '../ports/admin-store.ts'
import { StorageError } from '../ports/errors.ts'
import { least } from '../ports/least.ts'
import {
  type Database,
  numberIn,
  optionalNumberIn,
  optionalTextIn,
  type Row,
  type StoreOptions,
  textIn,
  transact,
} from './database.ts'
import { decodePart } from './record-codec.ts'
import { COUNT_OVERLAY } from './segment-sql.ts'
import { DUE, isPlanned } from './slot-rules.ts'

const KEPT_RUNS = 100
const RATED_RUNS = 20

/** Times and counts of the era that answers (k); dues and failures of both. ?1 = now, ?2 = 0 (not every new certificate). */
const readIssuers = (told: string) => `
  SELECT ${told}i.away, i.leaving, i.arriving, i.moving, i.fresh, i.id, i.name, i.enabled, i.frozen, i.seq, i.published, i.floor, i.k, i.k_next,
    (SELECT count(*) FROM responders r WHERE r.issuer = i.id AND r.retired = 0) AS active,
    (SELECT min(r.not_after) FROM responders r WHERE r.issuer = i.id AND r.retired = 0) AS responder_not_after,
    count(s.slot) AS slots,
    coalesce(sum(${DUE}), 0) AS due,
    coalesce(sum(s.failures > 0), 0) AS failing,
    coalesce(sum(s.lease_until > ?1 AND ${isPlanned('s.lease')}), 0) AS waiting,
    coalesce(sum(s.lease_until > ?1 AND s.lease IS NOT NULL AND NOT ${isPlanned('s.lease')}), 0) AS building,
    coalesce(sum(iif(s.k = i.k, s.entries, 0)), 0) AS entries,
    coalesce(sum(iif(s.k = i.k, s.added, 0)), 0) AS added,
    min(iif(s.k = i.k AND s.built_seq > 0 AND s.entries > 0, s.this_update, NULL)) AS oldest,
    min(iif(s.k = i.k AND s.built_seq > 0 AND s.entries > 0, s.next_update, NULL)) AS nearest
  FROM issuers i LEFT JOIN slots s ON s.issuer = i.id
  GROUP BY i.id ORDER BY i.id`
/** Of several databases: parts of one issuer have to be configured alike. Of those that are all here there is one. */
const TO_COMPARE = `i.ski, iif(i.away + i.leaving + i.moving + i.fresh = 0, NULL, json_array(
    i.name, i.policy, i.enabled, i.compromised_at, i.final_at, (SELECT json_group_array(responder) FROM (
      SELECT json_array(r.name, hex(r.key_hash), r.retired) AS responder FROM responders r WHERE r.issuer = i.id ORDER BY r.name)))
  ) AS configuration, `
const READ_PUBLISHER = 'SELECT published_version, published_at FROM publisher WHERE id = 1'
const READ_RUNS = 'SELECT * FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY job) ORDER BY id'
/** Runs that had nothing to sign say nothing of how fast it goes. */
const READ_RATE = `
  SELECT built, signatures, started_ms, finished_ms FROM runs WHERE built > 0 ORDER BY id DESC LIMIT ${RATED_RUNS}`
const READ_PLAN = 'SELECT * FROM plan'
const READ_COUNTERS = 'SELECT name, value FROM counters ORDER BY name'

const ADD_RUN = `
  INSERT INTO runs (job, started_ms, finished_ms, ok, built, signatures, failed, remaining, error)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`
/** Of each job, so that a frequent one does not push out the last of a rare one. */
const DROP_RUNS = `
  DELETE FROM runs WHERE job = ?1 AND id NOT IN (SELECT id FROM runs WHERE job = ?1 ORDER BY id DESC LIMIT ${KEPT_RUNS})`

const NOT_SET_UP: Globals = {
  schema: false,
  issuers: [],
  slotsDue: 0,
  slotsFailing: 0,
  oldestThisUpdate: undefined,
  nearestNextUpdate: undefined,
  overlayItems: 0,
  overlaySegments: 0,
  overlaySegmentItems: 0,
  publisher: { version: 0, publishedAtMs: 0 },
  lastRuns: [],
  counters: {},
}

/** @throws StorageError unavailable | corrupt; a missing schema is a result, not an error */
export async function readGlobals(
  db: Database,
  now: UnixSeconds,
  { timeoutMs, database }: StoreOptions & { readonly database?: number | undefined },
): Promise<Globals> {
  const statements = [
    db.prepare(readIssuers(database === undefined ? '' : TO_COMPARE)).bind(now, 0),
    db.prepare(COUNT_OVERLAY),
    db.prepare(READ_PUBLISHER),
    db.prepare(READ_RUNS),
    db.prepare(READ_COUNTERS),
    db.prepare(READ_RATE),
    db.prepare(READ_PLAN),
  ]
  let results: Awaited<ReturnType<typeof transact>>
  try {
    results = await transact(db, statements, timeoutMs)
  } catch (error) {
    if (error instanceof StorageError && error.reason === 'notSetUp') return NOT_SET_UP
    throw error
  }
  const [issuerRows, items, publisher, runs, counters, rate, plans] = results.map((result) => result.results)
  const issuers = (issuerRows ?? []).map((row) => decodeIssuerState(row, database))
  const put = publisher?.[0]
  const itemRow = items?.[0]
  return {
    schema: true,
    issuers,
    slotsDue: issuers.reduce((sum, issuer) => sum + issuer.slotsDue, 0),
    slotsFailing: issuers.reduce((sum, issuer) => sum + issuer.slotsFailing, 0),
    oldestThisUpdate: least(issuers.map((issuer) => issuer.oldestThisUpdate)),
    nearestNextUpdate: least(issuers.map((issuer) => issuer.nearestNextUpdate)),
    overlayItems: itemRow === undefined ? 0 : numberIn(itemRow, 'tail'),
    overlaySegments: itemRow === undefined ? 0 : numberIn(itemRow, 'segments'),
    overlaySegmentItems: itemRow === undefined ? 0 : numberIn(itemRow, 'items'),
    publisher: {
      version: put === undefined ? 0 : numberIn(put, 'published_version'),
      publishedAtMs: put === undefined ? 0 : numberIn(put, 'published_at'),
    },
    lastRuns: (runs ?? []).map(decodeRun),
    counters: Object.fromEntries(
      (counters ?? []).map((row) => [textIn(row, 'name'), numberIn(row, 'value')]),
    ),
    signing: decodeRate(rate ?? []),
    fanOut: (plans ?? []).map((row) => decodePlan(row, issuerRows ?? []))[0],
  }
}

export async function recordRun(db: Database, run: RunRecord, timeoutMs: number | undefined): Promise<void> {
  const { job, startedMs, finishedMs, ok, built, signatures, failed, remaining, error } = run
  await transact(
    db,
    [
      db
        .prepare(ADD_RUN)
        .bind(
          job,
          startedMs,
          finishedMs,
          ok ? 1 : 0,
          built,
          signatures,
          failed,
          remaining,
          error?.slice(0, 500) ?? null,
        ),
      db.prepare(DROP_RUNS).bind(job),
    ],
    timeoutMs,
  )
}

/** @param runs consumers of the queue run side by side: time in which several of them signed is counted once */
function decodeRate(runs: readonly Row[]): Globals['signing'] {
  if (runs.length === 0) return undefined
  const sumOf = (column: string) => runs.reduce((sum, run) => sum + numberIn(run, column), 0)
  const spans = runs.map((run) => ({
    start: numberIn(run, 'started_ms'),
    end: numberIn(run, 'finished_ms'),
  }))
  let [milliseconds, until] = [0, 0]
  for (const { start, end } of spans.sort((a, b) => a.start - b.start)) {
    milliseconds += Math.max(0, end - Math.max(start, until))
    until = Math.max(until, end)
  }
  return { built: sumOf('built'), signatures: sumOf('signatures'), milliseconds }
}

function decodeIssuerState(row: Row, database: number | undefined): IssuerState {
  const part = decodePart(row, database)
  return {
    ...(part === undefined ? undefined : { parts: [part] }),
    ...(database === undefined
      ? undefined
      : { ski: textIn(row, 'ski'), configuration: optionalTextIn(row, 'configuration') }),
    id: numberIn(row, 'id'),
    name: textIn(row, 'name'),
    enabled: numberIn(row, 'enabled') === 1,
    frozen: numberIn(row, 'frozen') === 1,
    head: numberIn(row, 'seq'),
    published: numberIn(row, 'published'),
    floor: numberIn(row, 'floor'),
    k: numberIn(row, 'k'),
    kNext: optionalNumberIn(row, 'k_next'),
    activeResponders: numberIn(row, 'active'),
    responderNotAfter: optionalNumberIn(row, 'responder_not_after'),
    slots: numberIn(row, 'slots'),
    slotsDue: numberIn(row, 'due'),
    slotsFailing: numberIn(row, 'failing'),
    entries: numberIn(row, 'entries'),
    added: numberIn(row, 'added'),
    oldestThisUpdate: optionalNumberIn(row, 'oldest'),
    nearestNextUpdate: optionalNumberIn(row, 'nearest'),
  }
}

/** @param issuers rows of readIssuers(). @returns undefined when nothing was ever planned, consumed or given up */
function decodePlan(row: Row, issuers: readonly Row[]): FanOutState | undefined {
  const sumOf = (column: string) => issuers.reduce((sum, issuer) => sum + numberIn(issuer, column), 0)
  const state = {
    waiting: sumOf('waiting'),
    building: sumOf('building'),
    plannedMs: numberIn(row, 'planned_ms'),
    due: numberIn(row, 'due'),
    planned: numberIn(row, 'planned'),
    messages: numberIn(row, 'messages'),
    lostMs: numberIn(row, 'lost_ms'),
    refusedMs: numberIn(row, 'refused_ms'),
    handledMs: numberIn(row, 'handled_ms'),
    deadMs: numberIn(row, 'dead_ms'),
  }
  return state.plannedMs + state.handledMs + state.deadMs === 0 ? undefined : state
}

function decodeRun(row: Row): RunRecord {
  return {
    job: textIn(row, 'job'),
    startedMs: numberIn(row, 'started_ms'),
    finishedMs: numberIn(row, 'finished_ms'),
    ok: numberIn(row, 'ok') === 1,
    built: numberIn(row, 'built'),
    signatures: numberIn(row, 'signatures'),
    failed: numberIn(row, 'failed'),
    remaining: numberIn(row, 'remaining'),
    error: optionalTextIn(row, 'error'),
  }
}
