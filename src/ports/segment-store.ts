/** What the record knows of the overlay's segments, and how a new one takes effect (D1 primary). */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OverlayItem, OverlaySegment, Sequence } from './records.ts'

/** An issuer with changes that are in no filter. */
export interface SegmentedIssuer {
  readonly issuer: number
  readonly head: Sequence
  /** Changes up to here are in segments; those above are the tail. */
  readonly segmented: Sequence
  /** Changes up to here are in filters of this issuer alone. */
  readonly filtered: Sequence
  /** How many changes the tail has. */
  readonly tail: number
  /** How many are in no filter, the tail included; without `live` asked for those of the tail alone. */
  readonly live: number
  /** No change recorded by now is kept for longer. */
  readonly keepUntil: UnixSeconds
}

export interface SegmentSurvey {
  /** Those with changes in the tail (or, with `live`, in no filter), and those that have a filter. */
  readonly issuers: readonly SegmentedIssuer[]
  readonly segments: readonly (OverlaySegment & { readonly stale: boolean })[]
}

/** Changes of an issuer with from < seq <= to. */
export interface ChangeRange {
  readonly issuer: number
  readonly from: Sequence
  readonly to: Sequence
}

export interface SegmentCommit {
  /** undefined: nothing was found to write. */
  readonly segment: OverlaySegment | undefined
  /** Versions of those that it stands for from now on. */
  readonly replaces: readonly number[]
  /** From now on up to `to` in segments; of a filter also in filters. */
  readonly ranges: readonly ChangeRange[]
  /** The segments of items hold what a filter has taken over: they are to be written anew. */
  readonly stale: boolean
}

export interface SegmentStore {
  /** One transaction. @param live also counts what stands in segments of items: reads a row for each of them */
  survey(now: UnixSeconds, options: { readonly live: boolean }): Promise<SegmentSurvey>
  /**
   * Becomes the one who may commit, until somebody else does or the time is up; with what stands then, in one transaction.
   * @returns version: of the segment, never used before; undefined while another is at work
   */
  begin(nowMs: number, leaseMs: number): Promise<{ version: number; survey: SegmentSurvey } | undefined>
  /** Some thousands at a time. A change that is made meanwhile leaves its range, none comes in. */
  readChanges(
    ranges: readonly (ChangeRange & { readonly count: number })[],
  ): AsyncIterable<readonly OverlayItem[]>
  /** After its values were written. One transaction. @returns false: another has begun, or what is kept was stretched */
  commit(version: number, change: SegmentCommit): Promise<boolean>
  /**
   * Where all that a filter holds was built into bundles some time ago, a floor stands for it: for sixteenths of the hashes, and
   * when all are there for the issuer, whose filters go. Drops all segments of which nothing matters any more.
   * @param settled bundles built by then are in KV everywhere
   * @returns whether anything was raised
   */
  raiseFloors(nowMs: number, settled: UnixSeconds): Promise<boolean>
}
