/** What the observed Worker (test/support/observed-worker.ts) tells about itself. */

/** What an exchange is made for; every operation is counted under it. */
export type Phase = 'record' | 'revoke' | 'cron' | 'request' | 'setup'

/** All calls of one SQL statement in one phase. Rows as D1 bills them (meta.rows_read, meta.rows_written). */
export interface StatementCount {
  readonly phase: Phase
  readonly sql: string
  calls: number
  rowsRead: number
  rowsWritten: number
}

/** All operations on one kind of KV key (the part before the first slash, and `o/root` as a whole) in one phase. */
export interface KeyCount {
  readonly phase: Phase
  readonly kind: string
  reads: number
  writes: number
  bytesRead: number
  bytesWritten: number
}

export interface Observation {
  readonly statements: readonly StatementCount[]
  readonly keys: readonly KeyCount[]
  /** Signatures made, by phase. */
  readonly signatures: Readonly<Partial<Record<Phase, number>>>
  readonly queueMessages: number
  /** Octets of the database. */
  readonly databaseBytes: number
}

/** Headers that the driver sets: the virtual time in ms, what the exchange is for, whether the isolate and its data centre are new. */
export const NOW_HEADER = 'plan-now'
export const PHASE_HEADER = 'plan-phase'
export const COLD_HEADER = 'plan-cold'
/** Paths of the driver's own. */
export const CRON_PATH = '/plan/cron'
export const COUNTS_PATH = '/plan/counts'
