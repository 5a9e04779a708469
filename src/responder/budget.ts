/**
 * A token bucket. Its clock is the wall clock, which in Workers stands still within one run of synchronous code: that
 * only makes it stricter.
 */
export class Budget {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAtMs = 0

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes a token if there is one. */
  take(nowMs: number): boolean {
    const gained = (Math.max(0, nowMs - this.#filledAtMs) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#burst, this.#tokens + gained)
    this.#filledAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Gives a token back that was taken for nothing. */
  refund(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }
}
