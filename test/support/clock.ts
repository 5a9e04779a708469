/** A clock that moves only when told, and seeded randomness: a run of the world is repeated by its seed. */
import type { Clock } from '../../src/ports/ports.ts'

/** 2026-11-21T03:00:00Z */
export const EPOCH = 1_795_230_000

export class VirtualClock implements Clock {
  #ms: number

  constructor(startMs = EPOCH * 1000) {
    this.#ms = startMs
  }

  nowMs(): number {
    return this.#ms
  }

  /** Unix seconds, truncated. */
  get seconds(): number {
    return Math.floor(this.#ms / 1000)
  }

  advance(ms: number): void {
    if (ms < 0) throw new RangeError('time does not run backwards')
    this.#ms += ms
  }

  /** @param seconds Unix seconds, not before now */
  moveTo(seconds: number): void {
    this.advance(seconds * 1000 - this.#ms)
  }
}

/** mulberry32: small, fast, good enough to pick interleavings. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }

  /** In [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1))
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.fraction() * items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  octets(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.uint32() & 0xff)
  }
}
