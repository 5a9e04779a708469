/** Canaries: certificates that change all the time, to measure how long a change takes to be seen (D1 primary). */
import type { Sequence } from './records.ts'

export interface Canary {
  readonly issuer: number
  /** Content octets of the INTEGER; recorded under the issuer, never issued. */
  readonly serial: Uint8Array
  readonly enabled: boolean
  /** Of the last change; 0 before the first. */
  readonly changedMs: number
  readonly seq: Sequence
  /** When it was seen; 0 = not yet. */
  readonly seenMs: number
  /** Changes seen, and those that took longer than the bound. */
  readonly rounds: number
  readonly late: number
  readonly lastLagMs: number
  readonly worstLagMs: number
}

export interface CanaryChange {
  readonly issuer: number
  readonly seq: Sequence
  readonly changedMs: number
  readonly to: 'hold' | 'released'
}

export interface CanaryStore {
  listCanaries(): Promise<readonly Canary[]>
  /** The first time with this serial; afterwards the one there is, enabled or not. */
  setCanary(issuer: number, serial: Uint8Array, enabled: boolean): Promise<Canary>
  /**
   * It was changed. Conditional on the change before having been seen. @param supersede also when it was not
   * @returns false: another run was faster
   */
  noteChange(issuer: number, seq: Sequence, nowMs: number, supersede?: boolean): Promise<boolean>
  /** That very change was seen. */
  noteSeen(issuer: number, seq: Sequence, nowMs: number): Promise<void>
  /** It was not seen within the bound: counted once a change. */
  noteLate(issuer: number, seq: Sequence): Promise<void>
}
