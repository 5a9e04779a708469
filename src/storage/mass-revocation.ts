/**
 * Revocation by query: the rows of a stretch of hashes that match, planned and written by the SQL of a single change
 * (certificate-plan.ts), one transaction a stretch. The cursor moves in that same transaction.
 */
import { NotFoundError } from '../ports/admin-store.ts'
import { StorageError } from '../ports/errors.ts'
import type {
  MassRefusal,
  MassRequest,
  MassRun,
  MassStep,
  MassTally,
  MassWhere,
  SlotNumber,
} from '../ports/mass-store.ts'
import { ACTS, isWritten, overPlan, PLAN_WRITES, refusalOf } from './certificate-plan.ts'
import {
  type Database,
  numberIn,
  type QueryResult,
  query,
  type Row,
  type Statement,
  type StoreOptions,
  textIn,
  transact,
} from './database.ts'
import { encodeHex } from './hex.ts'
import { parseJSON, recordOf } from './record-codec.ts'

/** Of one transaction: others have their turn between two. Some 100 ms of SQLite here, and a statement has 30 s in D1. */
export const STEP_ROWS = 2_000
/** Rows that a transaction walks for those that match. */
export const STEP_WALK = 20_000
/** Rows of one call of a dry run. */
const TALLY_WALK = 50_000
/** Runs that are done. */
const KEPT_RUNS = 100
const TIMEOUT_MS = 25_000
const TIME_STEP_SECONDS = 60
export const END = 4_294_967_296

/** ?1 issuer, ?2 what is asked for, with the bounds of the stretch: from, to (exclusive). */
const ASKED = `
  WITH asked AS MATERIALIZED (
    SELECT i.id AS issuer, i.policy->>'profile' = 'public-trust' AS public, i.final_at > 0 AS final, i.k, i.k_next,
      ?2->>'from' AS from_hash, ?2->>'to' AS to_hash, ?2->>'goal' AS goal, ?2->>'time' AS time, ?2->>'reason' AS reason,
      ?2->>'issuedAfter' AS issued_after, ?2->>'issuedBefore' AS issued_before, ?2->>'expiresAfter' AS expires_after,
      ?2->>'expiresBefore' AS expires_before, unhex(?2->>'serialFrom') AS serial_from, unhex(?2->>'serialTo') AS serial_to,
      ?2->>'serialPrefix' AS prefix, ?2->>'reserved' AS with_reserved
    FROM issuers i WHERE i.id = ?1
  )`
const STRETCH = 'c.issuer = a.issuer AND c.hash >= a.from_hash AND c.hash < a.to_hash'

/** A minimal INTEGER that is longer is larger; one whose first bit is set is negative, and in no range. */
const SERIALS = `
  (a.serial_from IS NULL OR (c.serial < x'80' AND (length(c.serial), c.serial) >= (length(a.serial_from), a.serial_from)))
  AND (a.serial_to IS NULL OR (c.serial < x'80' AND (length(c.serial), c.serial) <= (length(a.serial_to), a.serial_to)))
  AND (a.prefix IS NULL OR substr(hex(c.serial),
    iif(length(c.serial) > 1 AND substr(c.serial, 1, 1) = x'00', 3, 1), length(a.prefix)) = a.prefix)`
const dates = (unknown: string) => `
  (a.issued_after IS NULL OR iif(c.not_before = 0, ${unknown}, c.not_before >= a.issued_after))
  AND (a.issued_before IS NULL OR iif(c.not_before = 0, ${unknown}, c.not_before < a.issued_before))
  AND (a.expires_after IS NULL OR iif(c.not_after = 0, ${unknown}, c.not_after >= a.expires_after))
  AND (a.expires_before IS NULL OR iif(c.not_after = 0, ${unknown}, c.not_after < a.expires_before))`
const MATCHES = `(${dates('0')} AND ${SERIALS})`
const MAY_MATCH = `(${dates('1')} AND ${SERIALS})`
/** Something is left to do. */
const OPEN = '(c.status NOT IN (1, a.goal) AND (c.reserved = 0 OR a.with_reserved))'

const SELECTED = `${ASKED}, joined AS (
    SELECT 0 AS pos, c.hash, c.serial, a.goal, a.time, a.reason, 0 AS nb, 0 AS na, 0 AS reserved, 0 AS ca, NULL AS ext,
      NULL AS basis, c.issuer, a.public, a.final, c.status AS old, c.revoked_at AS old_time, c.reason AS old_reason,
      c.not_before AS old_nb, c.not_after AS old_na, c.rev AS old_rev, c.reserved AS old_reserved, c.is_ca AS old_ca,
      c.extensions AS old_ext
    FROM asked a CROSS JOIN certificates c
    WHERE ${STRETCH} AND ${OPEN} AND ${MATCHES}
  )`

/** Issuer and hash as they were bound: along the key, row after row. As columns of `asked` all that follows would be sorted first. */
const walkEnd = (rows: number) => `
  coalesce((SELECT hash FROM certificates WHERE issuer = ?1 AND hash >= ?2->>'from' ORDER BY hash LIMIT 1 OFFSET ${rows}), ${END})`
/** Where a stretch ends that walks no more than STEP_WALK rows, and of those that match one more than STEP_ROWS. */
const FIND_STRETCH = `${ASKED}, stretch AS MATERIALIZED (SELECT ${walkEnd(STEP_WALK)} AS stop), found AS MATERIALIZED (
    SELECT c.hash FROM asked a CROSS JOIN stretch s CROSS JOIN certificates c
    WHERE c.issuer = a.issuer AND c.hash >= a.from_hash AND c.hash < s.stop AND ${OPEN} AND ${MATCHES}
    ORDER BY c.hash LIMIT ${STEP_ROWS + 1}
  )
  SELECT stop, (SELECT count(*) FROM found) AS found, coalesce((SELECT max(hash) FROM found), 0) AS last FROM stretch`
const FIND_TALLY = `SELECT ${walkEnd(TALLY_WALK)} AS stop`

const WRITTEN = ACTS.filter(isWritten)
  .map((act) => `'${act}'`)
  .join(', ')
const READ_ACTS = `
  SELECT act, old, old_reserved, iif(act IN (${WRITTEN}), NULL, lower(hex(serial))) AS serial, count(*) AS count
  FROM plan GROUP BY 1, 2, 3, 4`
const READ_SLOTS = `
  SELECT DISTINCT e.k, p.hash >> (32 - e.k) AS slot
  FROM plan p CROSS JOIN (SELECT k FROM asked UNION ALL SELECT k_next FROM asked WHERE k_next IS NOT NULL) e
  WHERE p.act IN (${WRITTEN}) ORDER BY 1, 2`
const READ_LEFT = `${ASKED}
  SELECT coalesce(sum(matches AND done), 0) AS already, coalesce(sum(matches AND left_out), 0) AS left_reserved,
    coalesce(sum(NOT matches AND NOT done AND NOT left_out), 0) AS undated
  FROM (
    SELECT c.status IN (1, a.goal) AS done, c.reserved AND NOT a.with_reserved AS left_out, ${MATCHES} AS matches
    FROM asked a CROSS JOIN certificates c WHERE ${STRETCH} AND ${MAY_MATCH}
  )`

/** Whoever asks for the same at the same time walks the same stretch: what is changed counts, what is refused once. */
const MOVE_CURSOR = `
  UPDATE mass_revocations SET
    changed = changed + (SELECT count(*) FROM plan WHERE act IN (${WRITTEN})),
    refused = refused + iif(cursor <= ?2->>'from', (SELECT count(*) FROM plan WHERE act NOT IN (${WRITTEN})), 0),
    cursor = max(cursor, ?2->>'to'), updated_ms = max(updated_ms, ?3)
  WHERE id = ?2->>'run'`
const PASS_BY = `
  UPDATE mass_revocations SET cursor = max(cursor, ?2), updated_ms = max(updated_ms, ?3) WHERE id = ?1`

/** Of what another database has done. Should this fail, the stretch is walked again, finds nothing, and the counts lack it. */
const PASS = `
  UPDATE mass_revocations SET changed = changed + ?4, refused = refused + iif(cursor <= ?2, ?5, 0), cursor = max(cursor, ?3),
    updated_ms = max(updated_ms, ?6)
  WHERE id = ?1`

const COLUMNS = 'id, issuer, request, revoked_at, cursor, changed, refused, started_ms, updated_ms, busy_ms'
const START = `
  INSERT INTO mass_revocations (issuer, request, revoked_at, started_ms, updated_ms)
  SELECT id, ?2, ?3, ?4, ?4 FROM issuers WHERE id = ?1 AND NOT EXISTS (
    SELECT 1 FROM mass_revocations WHERE issuer = ?1 AND request = ?2 AND cursor < ${END})`
const DROP_RUNS = `
  DELETE FROM mass_revocations
  WHERE cursor = ${END} AND id NOT IN (SELECT id FROM mass_revocations ORDER BY id DESC LIMIT ${KEPT_RUNS})`
const READ_OPEN = `
  SELECT ${COLUMNS} FROM mass_revocations WHERE issuer = ?1 AND request = ?2 AND cursor < ${END} ORDER BY id LIMIT 1`
const NOTE = `UPDATE mass_revocations SET busy_ms = busy_ms + ?2 WHERE id = ?1 RETURNING ${COLUMNS}`
const LIST = `SELECT ${COLUMNS} FROM mass_revocations WHERE issuer = ?1 ORDER BY id DESC LIMIT ?2`

interface StretchOptions extends StoreOptions {
  readonly until?: number | undefined
}

/** See MassStore.startMass. */
export async function startMass(
  db: Database,
  issuer: number,
  request: MassRequest,
  nowMs: number,
  { timeoutMs }: StoreOptions,
): Promise<MassRun> {
  const asked = JSON.stringify(encodeRequest(request))
  // A time a little ahead of this clock becomes now, and stays that for the whole run.
  const time = Math.min(request.revocationTime ?? minuteOf(nowMs), Math.floor(nowMs / 1000))
  const statements = [
    db.prepare(START).bind(issuer, asked, time, nowMs),
    db.prepare(READ_OPEN).bind(issuer, asked),
    db.prepare(DROP_RUNS),
  ]
  const [, open] = await transact(db, statements, timeoutMs)
  const row = open?.results[0]
  if (row === undefined) throw new NotFoundError(`no issuer has the id ${issuer}`)
  return decodeRun(row)
}

/** See PartStore.openMass. */
export async function openMass(
  db: Database,
  issuer: number,
  request: MassRequest,
  { timeoutMs }: StoreOptions,
): Promise<MassRun | undefined> {
  const asked = JSON.stringify(encodeRequest(request))
  return (await query(db, db.prepare(READ_OPEN).bind(issuer, asked), timeoutMs)).map(decodeRun)[0]
}

/** See PartStore.passMass. */
export async function passMass(
  db: Database,
  run: number,
  from: number,
  { cursor, changed, refused }: MassStep,
  nowMs: number,
  { timeoutMs }: StoreOptions,
): Promise<void> {
  await transact(db, [db.prepare(PASS).bind(run, from, cursor, changed, refused.length, nowMs)], timeoutMs)
}

/** See MassStore.stepMass. */
export async function stepMass(
  db: Database,
  run: MassRun,
  request: MassRequest,
  nowMs: number,
  { timeoutMs = TIMEOUT_MS, until = END }: StretchOptions,
): Promise<MassStep> {
  const asked = {
    ...encodeRequest(request),
    time: run.revocationTime,
    run: run.id,
    from: run.cursor,
  }
  const find = db.prepare(FIND_STRETCH).bind(run.issuer, JSON.stringify(asked))
  const [stretch] = await query(db, find, timeoutMs)
  if (stretch === undefined) throw new NotFoundError(`no issuer has the id ${run.issuer}`)
  const found = numberIn(stretch, 'found')
  // A stretch of one hash value still moves on.
  const stop =
    found > STEP_ROWS ? Math.max(numberIn(stretch, 'last'), run.cursor + 1) : numberIn(stretch, 'stop')
  const to = Math.min(stop, until)
  if (found === 0) {
    await transact(db, [db.prepare(PASS_BY).bind(run.id, to, nowMs)], timeoutMs)
    return { cursor: to, changed: 0, refused: [], revision: 0 }
  }
  const { RAISE_SEQ, ADD_ITEMS, MARK_SLOTS, AUDIT, CHANGE_ROWS } = PLAN_WRITES
  const statements = [READ_ACTS, RAISE_SEQ, ADD_ITEMS, MARK_SLOTS, AUDIT, MOVE_CURSOR, CHANGE_ROWS]
  const values = JSON.stringify({ ...asked, to })
  const results = await transact(
    db,
    statements.map((statement) => planned(db, statement, run.issuer, values, nowMs)),
    timeoutMs,
  )
  const { changed, refused } = decodeActs(results[0], goalOf(request))
  const raised = results[1]?.results[0]
  return { cursor: to, changed, refused, revision: raised === undefined ? 0 : numberIn(raised, 'seq') }
}

/** See MassStore.noteMass. */
export async function noteMass(
  db: Database,
  id: number,
  busyMs: number,
  { timeoutMs }: StoreOptions,
): Promise<MassRun> {
  const [row] = await query(db, db.prepare(NOTE).bind(id, Math.max(0, Math.round(busyMs))), timeoutMs)
  if (row === undefined) throw new NotFoundError(`no mass revocation has the id ${id}`)
  return decodeRun(row)
}

/** See MassStore.listMass. */
export async function listMass(
  db: Database,
  issuer: number,
  limit: number,
  { timeoutMs }: StoreOptions,
): Promise<MassRun[]> {
  const rows = await query(db, db.prepare(LIST).bind(issuer, limit), timeoutMs)
  return rows.map(decodeRun)
}

/** See MassStore.tallyMass. */
export async function tallyMass(
  db: Database,
  issuer: number,
  request: MassRequest,
  cursor: number,
  nowMs: number,
  { timeoutMs = TIMEOUT_MS, until = END }: StretchOptions,
): Promise<MassTally> {
  const asked = { ...encodeRequest(request), from: cursor }
  const [stretch] = await query(db, db.prepare(FIND_TALLY).bind(issuer, JSON.stringify(asked)), timeoutMs)
  const stop = stretch === undefined ? END : numberIn(stretch, 'stop')
  const to = Math.min(Math.max(stop, cursor + 1), until)
  const values = JSON.stringify({ ...asked, to })
  const [acts, slots, left] = await transact(
    db,
    [
      planned(db, READ_ACTS, issuer, values, nowMs),
      planned(db, READ_SLOTS, issuer, values, nowMs),
      db.prepare(READ_LEFT).bind(issuer, values),
    ],
    timeoutMs,
  )
  const counted = left?.results[0]
  if (counted === undefined) throw new StorageError('corrupt', 'D1: nothing counted')
  return {
    cursor: to,
    ...decodeActs(acts, goalOf(request)),
    already: numberIn(counted, 'already'),
    leftReserved: numberIn(counted, 'left_reserved'),
    undated: numberIn(counted, 'undated'),
    slots: (slots?.results ?? []).map(
      (row): SlotNumber => ({ k: numberIn(row, 'k'), slot: numberIn(row, 'slot') }),
    ),
  }
}

function planned(db: Database, sql: string, issuer: number, values: string, nowMs: number): Statement {
  return db.prepare(overPlan(SELECTED, sql)).bind(issuer, values, nowMs, 0, minuteOf(nowMs))
}

function goalOf({ to }: MassRequest): number {
  return to === 'hold' ? 2 : 1
}

function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / 1000 / TIME_STEP_SECONDS) * TIME_STEP_SECONDS
}

/** As it is kept, in a fixed order: the same request is the same text. */
function encodeRequest(request: MassRequest): Record<string, string | number | null> {
  const { where, reason, revocationTime } = request
  const hex = (octets: MassWhere['serialFrom']) => (octets === undefined ? null : encodeHex(octets))
  return {
    goal: goalOf(request),
    reason: reason ?? null,
    time: revocationTime ?? null,
    issuedAfter: where.issuedAfter ?? null,
    issuedBefore: where.issuedBefore ?? null,
    expiresAfter: where.expiresAfter ?? null,
    expiresBefore: where.expiresBefore ?? null,
    serialFrom: hex(where.serialFrom),
    serialTo: hex(where.serialTo),
    serialPrefix: where.serialPrefix ?? null,
    reserved: where.reserved ? 1 : 0,
  }
}

function decodeActs(
  result: QueryResult | undefined,
  goal: number,
): { changed: number; toChange: number; held: number; reserved: number; refused: MassRefusal[] } {
  const refused: MassRefusal[] = []
  const counts = { toChange: 0, held: 0, reserved: 0 }
  for (const row of result?.results ?? []) {
    const name = textIn(row, 'act')
    const act = ACTS.find((known) => known === name)
    if (act === undefined) throw new StorageError('corrupt', `plan of a change: ${name}`)
    const count = numberIn(row, 'count')
    if (isWritten(act)) {
      counts.toChange += count
      if (numberIn(row, 'old') === 2) counts.held += count
      if (numberIn(row, 'old_reserved') === 1) counts.reserved += count
    } else {
      refused.push({ serial: textIn(row, 'serial'), message: refusalOf(act, goal) ?? name })
    }
  }
  return { ...counts, changed: counts.toChange, refused }
}

function decodeRun(row: Row): MassRun {
  return {
    id: numberIn(row, 'id'),
    issuer: numberIn(row, 'issuer'),
    request: recordOf(parseJSON(textIn(row, 'request')), 'mass_revocations.request'),
    revocationTime: numberIn(row, 'revoked_at'),
    cursor: numberIn(row, 'cursor'),
    changed: numberIn(row, 'changed'),
    refused: numberIn(row, 'refused'),
    startedMs: numberIn(row, 'started_ms'),
    updatedMs: numberIn(row, 'updated_ms'),
    busyMs: numberIn(row, 'busy_ms'),
  }
}
