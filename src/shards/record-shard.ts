/** One of several databases, as administration sees it (ADR 0016). */
import type { CanaryStore } from '../ports/canary-store.ts'
import type { PartStore } from '../ports/part-store.ts'
import type { RecoveryStore } from '../ports/recovery-store.ts'

export interface RecordShard {
  /** 0 = the binding DB, n = DB_n. */
  readonly database: number
  readonly record: PartStore
  readonly canaries: CanaryStore
  readonly recovery: RecoveryStore
}
