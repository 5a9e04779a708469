/**
 * Bundles that this isolate asked for and KV did not have. They are answered for from the record meanwhile; who wants them most
 * is told to the record now and then, so that what KV has lost is built again, the hottest first, without anybody noticing.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { MissedSlot, RecoveryStore } from '../ports/recovery-store.ts'

/** One call of D1 an isolate in this time, however much is missed. */
const REPORT_SECONDS = 30
/** What is missed first is seldom alone, and an answer that was signed once is not looked for in a bundle again. */
const GATHER_MS = 5_000
/** Named in one report: a row written each. */
const MAX_REPORTED = 64
/** Kept in mind between two reports. */
const MAX_SLOTS = 1_024

export interface MissedPorts {
  readonly recovery: Pick<RecoveryStore, 'noteMissed'>
  readonly sleep: (ms: number) => Promise<void>
  readonly background: (work: Promise<unknown>) => void
}

export class MissedBundles {
  readonly #ports: MissedPorts
  readonly #missed = new Map<string, MissedSlot>()
  #reportedAt = Number.NEGATIVE_INFINITY
  #isGathering = false

  constructor(ports: MissedPorts) {
    this.#ports = ports
  }

  note(issuer: number, k: number, slot: number, now: UnixSeconds): void {
    const key = `${issuer}/${k}/${slot}`
    const count = (this.#missed.get(key)?.count ?? 0) + 1
    if (count > 1 || this.#missed.size < MAX_SLOTS) this.#missed.set(key, { issuer, k, slot, count })
    if (this.#isGathering || now - this.#reportedAt < REPORT_SECONDS) return
    this.#isGathering = true
    this.#reportedAt = now
    // Lost reports are no loss: what is still missed is noted again.
    this.#ports.background(this.#report(now).catch(() => undefined))
  }

  async #report(now: UnixSeconds): Promise<void> {
    await this.#ports.sleep(GATHER_MS)
    this.#isGathering = false
    const hottest = [...this.#missed.values()].sort((a, b) => b.count - a.count).slice(0, MAX_REPORTED)
    this.#missed.clear()
    await this.#ports.recovery.noteMissed(hottest, now)
  }
}
