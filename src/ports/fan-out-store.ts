/**
 * Re-signing over a queue, as the record sees it (D1 primary). A slot that was sent has a lease that only keeps its place; who
 * takes it from the queue claims it, and nobody else can. Every method may reject with StorageError.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { LeasedSlot } from './ports.ts'

export interface SlotName {
  readonly issuer: number
  readonly k: number
  readonly slot: number
}

/** What a plan found and did. */
export interface PlanRecord {
  readonly plannedMs: number
  /** Slots due. */
  readonly due: number
  /** Of these, sent. */
  readonly planned: number
  readonly messages: number
  /** Slots were sent before, and taken by nobody in time. */
  readonly lost: boolean
  /** The queue took not all of it. */
  readonly refused: boolean
}

export interface FanOutStore {
  /**
   * Leases what is free of `slots` under one name, all until the same time: a place in the queue, under which nobody builds.
   * @param lease begins with "plan:"
   * @returns the slots that now have it
   */
  plan(
    slots: readonly SlotName[],
    lease: string,
    now: UnixSeconds,
    seconds: number,
  ): Promise<readonly SlotName[]>
  /** Frees what still has the planned lease. @param error '' when nothing went wrong with the slots, else noted with each */
  unplan(slots: readonly SlotName[], lease: string, error: string): Promise<void>
  /**
   * A planned slot becomes ours, for the whole time from now.
   * @returns undefined: somebody had it before us, it was planned anew, or its issuer does not sign any more
   */
  claim(slot: SlotName, planned: string, now: UnixSeconds, seconds: number): Promise<LeasedSlot | undefined>
  recordPlan(plan: PlanRecord): Promise<void>
  /** @param overtaken slots of it that were not ours to build */
  recordHandled(messages: number, overtaken: number, nowMs: number): Promise<void>
  recordDead(messages: number, nowMs: number): Promise<void>
}
