/**
 * The one transaction that changes certificates: recorded, revoked, held, released, dated. What is to happen to each row is
 * decided in SQL (certificate-plan.ts) against the row as it stands in that very transaction; every statement before the
 * writes of the rows evaluates the same plan, so overlay, slots and audit follow exactly the rows that change.
 */
import { serialHash } from '../bundle/slot.ts'
import { NotFoundError } from '../ports/admin-store.ts'
import { StorageError } from '../ports/errors.ts'
import type { Sequence } from '../ports/records.ts'
import { ACTS, type Act, ADD_STATEMENT, CHANGE_STATEMENTS, isWritten } from './certificate-plan.ts'
import { isRecycling, RECYCLE_STATEMENT } from './certificate-recycling.ts'
import {
  type Database,
  numberIn,
  octetsIn,
  optionalNumberIn,
  query,
  type Row,
  type StoreOptions,
  textIn,
  transact,
} from './database.ts'
import { encodeHex } from './hex.ts'
import { mergeExtensions } from './merged-extensions.ts'
import { AUDIT_PRUNED } from './retention.ts'

/** What a row should become. Values are as checked by the caller. */
export interface Wish {
  readonly serial: Uint8Array
  /** Number of the status: 0 good, 1 revoked, 2 hold, 3 released. */
  readonly goal: number
  /** The serial is spoken for, no more (R1.42); `goal` is then 0. */
  readonly reserved: boolean
  readonly revocationTime: number | undefined
  /** 0 = unspecified; undefined = as recorded. */
  readonly reason: number | undefined
  readonly notBefore: number
  readonly notAfter: number
  readonly isCA: boolean
  /** DER of Extensions; undefined = as recorded. */
  readonly extensions: Uint8Array | undefined
}

export interface Applied {
  readonly act: Act
  /** rev of the row after the transaction; 0 when there is none. */
  readonly rev: Sequence
  /** Until when the overlay names the serial; 0 when it does not. */
  readonly keepUntil: number
}

/** What extensions are merged with, and the rev that proves they are still that. */
const READ_BASES = `
  SELECT c.rev, coalesce(hex(c.extensions), '') AS extensions
  FROM json_each(?2) j LEFT JOIN certificates c
    ON c.issuer = ?1 AND c.hash = j.value->>0 AND c.serial = unhex(j.value->>1)
  ORDER BY j.key`

/** For a single row: until when the overlay names it. */
const READ_ITEM = 'SELECT keep_until FROM changes WHERE issuer = ?1 AND hash = ?2 AND serial = unhex(?3)'

/** A revocation time that is not given is the present minute: seconds would tell apart what nobody measured. */
const DEFAULT_TIME_STEP_SECONDS = 60
const BULK_TIMEOUT_MS = 25_000

export interface ApplyOptions extends StoreOptions {
  /** Whether serials that are not recorded are added. */
  readonly add: boolean
  /** The plan is made, and nothing done. */
  readonly dryRun?: boolean
  readonly attempt?: number
}

/** Rows that others change all the time while their extensions are merged. */
const MAX_ATTEMPTS = 5

/**
 * Applies the wishes as one transaction, and those whose rows changed while their extensions were merged as one more. No
 * serial may occur twice among them.
 * @returns one result for each, in order
 * @throws NotFoundError when there is no such issuer; StorageError
 */
export async function applyWishes(
  db: Database,
  issuer: number,
  wishes: readonly Wish[],
  nowMs: number,
  options: ApplyOptions,
): Promise<Applied[]> {
  const applied = await applyOnce(db, issuer, wishes, nowMs, options)
  const places = [...applied.keys()].filter((i) => applied[i]?.act === 'contended')
  if (places.length === 0) return applied
  const attempt = options.attempt ?? 1
  if (attempt >= MAX_ATTEMPTS)
    throw new StorageError('unavailable', 'the certificates are being changed by others at this very moment')
  const left = places.flatMap((i) => wishes[i] ?? [])
  const again = await applyWishes(db, issuer, left, nowMs, { ...options, attempt: attempt + 1 })
  return applied.map((one, i) => again[places.indexOf(i)] ?? one)
}

async function applyOnce(
  db: Database,
  issuer: number,
  wishes: readonly Wish[],
  nowMs: number,
  options: ApplyOptions,
): Promise<Applied[]> {
  const rows = await encodeMerged(db, issuer, wishes, options)
  const json = `[${rows.join(',')}]`
  const minute = Math.floor(nowMs / 1000 / DEFAULT_TIME_STEP_SECONDS) * DEFAULT_TIME_STEP_SECONDS
  const planned = (sql: string) => db.prepare(sql).bind(issuer, json, nowMs, options.add ? 1 : 0, minute)
  // The first reads the plan.
  const statements = CHANGE_STATEMENTS.slice(0, options.dryRun === true ? 1 : undefined).map(planned)
  if (options.add && options.dryRun !== true) {
    if (isRecycling(wishes.length))
      statements.push(planned(RECYCLE_STATEMENT), db.prepare(AUDIT_PRUNED).bind(issuer, nowMs))
    statements.push(planned(ADD_STATEMENT))
  }
  const [single] = wishes
  if (wishes.length === 1 && single !== undefined) {
    statements.push(db.prepare(READ_ITEM).bind(issuer, serialHash(single.serial), encodeHex(single.serial)))
  }
  const results = await transact(db, statements, options.timeoutMs ?? BULK_TIMEOUT_MS)
  const plan = results[0]?.results ?? []
  if (plan.length !== wishes.length) throw new NotFoundError(`no issuer has the id ${issuer}`)
  const raised = results[1]?.results[0]
  const seq = raised === undefined ? 0 : numberIn(raised, 'seq')
  const item = results[statements.length - 1]?.results[0]
  const keepUntil = wishes.length === 1 && item !== undefined ? numberIn(item, 'keep_until') : 0
  return plan.map((row) => decodePlan(row, seq, keepUntil))
}

/** The wishes as the plan reads them: extensions merged with those recorded. Without any, nothing is read. */
async function encodeMerged(
  db: Database,
  issuer: number,
  wishes: readonly Wish[],
  { timeoutMs = BULK_TIMEOUT_MS }: ApplyOptions,
): Promise<string[]> {
  const extended = wishes.filter(({ extensions }) => extensions !== undefined)
  if (extended.length === 0) return wishes.map((wish) => encodeWish(wish))
  const keys = JSON.stringify(extended.map(({ serial }) => [serialHash(serial), encodeHex(serial)]))
  const bases = await query(db, db.prepare(READ_BASES).bind(issuer, keys), timeoutMs)
  const merged = new Map(
    extended.map((wish, i) => {
      const base = bases[i]
      if (base === undefined || wish.extensions === undefined) return [wish, encodeWish(wish)]
      const extensions = mergeExtensions(octetsIn(base, 'extensions'), wish.extensions)
      return [wish, encodeWish({ ...wish, extensions }, optionalNumberIn(base, 'rev'))]
    }),
  )
  return wishes.map((wish) => merged.get(wish) ?? encodeWish(wish))
}

/**
 * A wish as the plan reads it; also what chunks are measured by.
 * @param basis rev of the row whose extensions are in the wish's; undefined = there is no row
 */
export function encodeWish(w: Wish, basis?: Sequence): string {
  const { serial, goal, revocationTime, reason, notBefore, notAfter, reserved, isCA, extensions } = w
  const row = [serialHash(serial), encodeHex(serial), goal, revocationTime ?? null, reason ?? null]
  const later = extensions === undefined ? [] : [encodeHex(extensions), basis ?? null]
  return JSON.stringify([...row, notBefore, notAfter, reserved ? 1 : 0, isCA ? 1 : 0, ...later])
}

function decodePlan(row: Row, seq: Sequence, keepUntil: number): Applied {
  const name = textIn(row, 'act')
  const act = ACTS.find((known) => known === name)
  if (act === undefined) throw new StorageError('corrupt', `plan of a change: ${name}`)
  return { act, rev: isWritten(act) ? seq : (optionalNumberIn(row, 'old_rev') ?? 0), keepUntil }
}
