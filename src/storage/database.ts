/**
 * The little of D1 that the adapters use, so that test/support/sqlite-d1.ts fits too; rows read with their types checked;
 * and the one place where a failure of the driver becomes a StorageError.
 */
import { StorageError } from '../ports/errors.ts'
import { ShardError } from '../ports/part-store.ts'
import { decodeHex } from './hex.ts'

export type Value = string | number | null
export type Row = Readonly<Record<string, unknown>>

export interface QueryResult {
  readonly results: Record<string, unknown>[]
  readonly meta: { readonly changes: number }
}

export interface Statement {
  bind(...values: Value[]): Statement
  all(): Promise<QueryResult>
}

/** D1Database fits. Without a session every query goes to the primary: serializable, read-after-write. */
export interface Database {
  prepare(sql: string): Statement
  /** One transaction: all or nothing. */
  batch(statements: Statement[]): Promise<QueryResult[]>
}

export interface StoreOptions {
  /** How long a call may take before it counts as unavailable; what it was to do may still happen. */
  readonly timeoutMs?: number | undefined
}

/** Half of the publisher's lease and more than any healthy call takes. */
const TIMEOUT_MS = 8_000

/**
 * Runs the statements as one transaction, one subrequest.
 * @throws StorageError unavailable | notSetUp | corrupt (a guard of the record refused the write)
 */
export async function transact(
  db: Database,
  statements: readonly Statement[],
  timeoutMs = TIMEOUT_MS,
): Promise<QueryResult[]> {
  const [only] = statements
  try {
    const run =
      statements.length === 1 && only !== undefined ? only.all().then((r) => [r]) : db.batch([...statements])
    return await withDeadline(run, timeoutMs, 'D1')
  } catch (error) {
    throw toStorageError(error)
  }
}

/** Rows of one statement. @throws as transact */
export async function query(db: Database, statement: Statement, timeoutMs?: number): Promise<Row[]> {
  const [result] = await transact(db, [statement], timeoutMs)
  return result?.results ?? []
}

/** Rejects with StorageError `unavailable` when `work` takes longer. */
export async function withDeadline<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StorageError('unavailable', `${what} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    if (timer !== undefined) clearTimeout(timer)
  }
}

function toStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (/no such (table|column)/i.test(message))
    return new StorageError('notSetUp', 'run: wrangler d1 migrations apply DB (the database lacks tables)', {
      cause: error,
    })
  if (message.includes('another database has them'))
    return new ShardError(
      'the certificates are just being moved to another database, and are not written for some minutes: repeat the call',
      { cause: error },
    )
  // A write that the guards in SQL let through and a trigger or CHECK did not: our bug, not a passing fault.
  if (/constraint/i.test(message))
    return new StorageError('corrupt', `the record refused a write: ${message}`, { cause: error })
  return new StorageError('unavailable', `D1 failed: ${message}`, { cause: error })
}

/** Message of the driver under a StorageError of transact(). */
export function driverMessage(error: unknown): string {
  return error instanceof StorageError && error.cause instanceof Error ? error.cause.message : ''
}

/** @throws StorageError corrupt when the column is not an integer or real */
export function numberIn(row: Row, column: string): number {
  const value = row[column]
  if (typeof value === 'number') return value
  throw new StorageError('corrupt', `D1: column ${column} is not a number`)
}

/** NULL is undefined. @throws StorageError corrupt */
export function optionalNumberIn(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : numberIn(row, column)
}

/** @throws StorageError corrupt when the column is not text */
export function textIn(row: Row, column: string): string {
  const value = row[column]
  if (typeof value === 'string') return value
  throw new StorageError('corrupt', `D1: column ${column} is not text`)
}

/** NULL is undefined. @throws StorageError corrupt */
export function optionalTextIn(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : textIn(row, column)
}

/**
 * A BLOB, selected as hex(column): D1 would hand it out as an array of numbers, node:sqlite as octets.
 * @throws StorageError corrupt
 */
export function octetsIn(row: Row, column: string): Uint8Array {
  return decodeHex(textIn(row, column))
}
