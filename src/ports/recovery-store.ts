/** What is known of derived values that are gone (D1 primary): they are built again, the most wanted first (law 3). */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { Sequence } from './records.ts'

/** A bundle that was asked for and that KV did not have. */
export interface MissedSlot {
  readonly issuer: number
  readonly k: number
  readonly slot: number
  /** How often. */
  readonly count: number
}

export interface RecoveryStore {
  /**
   * Makes slots due whose bundle should be there. Those never built, built a moment ago (KV may not have carried them yet) or
   * past their end are left alone. @returns how many are due for it now
   */
  noteMissed(slots: readonly MissedSlot[], now: UnixSeconds): Promise<number>
  /**
   * KV is lost: every bundle ever built is due. @param issuer one issuer; undefined = all @returns how many slots
   */
  markLost(issuer: number | undefined, nowMs: number): Promise<number>
  /** Ids of issuers above this one, ascending: the pages of many are written in parts. */
  issuersAfter(id: number, limit: number): Promise<readonly number[]>
  /** Issuers whose configuration has changed after that position, the last one first. */
  reconfiguredSince(
    configRev: Sequence,
    limit: number,
  ): Promise<readonly { readonly id: number; readonly configRev: Sequence }[]>
}
