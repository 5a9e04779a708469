/**
 * What a data centre sees of the platform: KV with a lag of its own for every write, absence cached too, and the Cache API.
 * Both are as unkind as the platform's contract allows: late, out of order, back to old values, lost.
 */
import type { ResponseCache } from '../../src/storage/edge-cache.ts'
import type { KeyValue } from '../../src/storage/kv-derived-store.ts'
import type { VirtualClock } from './clock.ts'
import { Random } from './clock.ts'

interface Version {
  readonly bytes: Uint8Array
  readonly writtenMs: number
  readonly expirationMs: number
  /** From then on this colo never sees an older value; before it may. */
  readonly settledMs: readonly number[]
}

export interface KVOptions {
  readonly clock: VirtualClock
  readonly colos: number
  readonly seed?: number
  /** Longest time, in seconds, until a colo can no longer see an older value. Default 0: every read sees the last write. */
  readonly maxLagSeconds?: number
  /** Share of writes that take up to the maximum at a colo; the others take up to 60 s. */
  readonly slowShare?: number
}

/** One KV namespace. `view(colo)` is what the Workers of a colo are bound to. */
export class LaggingKV {
  readonly #options: Required<KVOptions>
  readonly #random: Random
  readonly #keys = new Map<string, Version[]>()
  /** Writes since the beginning. */
  puts = 0
  /** Told of every value as it is written. */
  onPut: ((key: string, bytes: Uint8Array) => void) | undefined

  constructor(options: KVOptions) {
    this.#options = { seed: 1, maxLagSeconds: 0, slowShare: 0.1, ...options }
    this.#random = new Random(this.#options.seed)
  }

  view(colo: number): KeyValue {
    return {
      get: async (key) => {
        const bytes = this.#read(colo, key)
        return bytes === null ? null : Uint8Array.from(bytes).buffer
      },
      put: async (key, value, options) => {
        const bytes = ArrayBuffer.isView(value)
          ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
          : new Uint8Array(value)
        this.#write(colo, key, Uint8Array.from(bytes), options?.expiration)
      },
    }
  }

  /** The value last written, whatever any colo sees. */
  last(key: string): Uint8Array | undefined {
    return this.#keys.get(key)?.at(-1)?.bytes
  }

  /** The same unless its time is up. */
  now(key: string): Uint8Array | undefined {
    const last = this.#keys.get(key)?.at(-1)
    return last === undefined || last.expirationMs <= this.#options.clock.nowMs() ? undefined : last.bytes
  }

  keys(): string[] {
    return [...this.#keys.keys()]
  }

  /** Puts a value as another writer would, at once visible everywhere. */
  set(key: string, bytes: Uint8Array): void {
    const settledMs = Array.from({ length: this.#options.colos }, () => 0)
    const expirationMs = Number.POSITIVE_INFINITY
    this.#keys.set(key, [{ bytes, writtenMs: this.#options.clock.nowMs(), expirationMs, settledMs }])
  }

  /** Holds what another one holds, with the same times. */
  copy(other: LaggingKV): void {
    for (const [key, versions] of other.#keys) this.#keys.set(key, [...versions])
    this.puts = other.puts
  }

  /** Enough time has passed: every colo sees the last write of every key, or of one. */
  settle(only?: string): void {
    for (const [key, versions] of this.#keys) {
      if (only !== undefined && key !== only) continue
      const last = versions.at(-1)
      if (last !== undefined) this.#keys.set(key, [{ ...last, settledMs: last.settledMs.map(() => 0) }])
    }
  }

  /** Everything is gone: a namespace deleted by mistake. */
  clear(): void {
    this.#keys.clear()
  }

  /** One value is gone. */
  drop(key: string): void {
    this.#keys.delete(key)
  }

  #read(colo: number, key: string): Uint8Array | null {
    const nowMs = this.#options.clock.nowMs()
    const versions = this.#keys.get(key) ?? []
    // The oldest value it may still see; before the first version stands absence, which is cached too.
    let oldest = -1
    versions.forEach((version, i) => {
      if ((version.settledMs[colo] ?? 0) <= nowMs) oldest = i
    })
    const newest = versions.length - 1
    const seen = oldest === newest || this.#random.chance(0.6) ? oldest : this.#random.between(oldest, newest)
    const version = versions[seen]
    return version === undefined || version.expirationMs <= nowMs ? null : version.bytes
  }

  #write(colo: number, key: string, bytes: Uint8Array, expiration: number | undefined): void {
    const { clock, colos, maxLagSeconds, slowShare } = this.#options
    const nowMs = clock.nowMs()
    if (expiration !== undefined && expiration * 1000 < nowMs + 60_000)
      throw new Error(`KV PUT failed: 400 Invalid expiration of ${expiration}. Must be at least 60 s ahead.`)
    this.puts += 1
    this.onPut?.(key, bytes)
    const settledMs = Array.from({ length: colos }, (_, at) => {
      if (at === colo && this.#random.chance(0.8)) return nowMs
      const slow = this.#random.chance(slowShare)
      return nowMs + this.#random.between(0, Math.min(maxLagSeconds, slow ? maxLagSeconds : 60)) * 1000
    })
    const versions = this.#keys.get(key) ?? []
    versions.push({
      bytes,
      writtenMs: nowMs,
      expirationMs: expiration === undefined ? Number.POSITIVE_INFINITY : expiration * 1000,
      settledMs,
    })
    // What no colo can see any more is dropped: everything before the last version that all have settled on.
    const settled = versions.findLastIndex((version) => version.settledMs.every((ms) => ms <= nowMs))
    this.#keys.set(key, settled > 0 ? versions.slice(settled) : versions)
  }
}

/** The Cache API of one colo. It may lose anything at any time; it honours max-age. */
export class ColoCache implements ResponseCache {
  readonly #clock: VirtualClock
  readonly #entries = new Map<string, { bytes: ArrayBuffer; untilMs: number }>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  keys(): string[] {
    return [...this.#entries.keys()]
  }

  clear(): void {
    this.#entries.clear()
  }

  /** Loses one entry, for room. */
  evict(random: Random): void {
    if (this.#entries.size > 0) this.#entries.delete(random.pick([...this.#entries.keys()]))
  }

  async match(request: string): Promise<Response | undefined> {
    const entry = this.#entries.get(request)
    if (entry === undefined || entry.untilMs <= this.#clock.nowMs()) return undefined
    return new Response(entry.bytes.slice(0))
  }

  async put(request: string, response: Response): Promise<void> {
    const maxAge = /max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '')
    const untilMs = this.#clock.nowMs() + Number(maxAge?.[1] ?? 0) * 1000
    this.#entries.set(request, { bytes: await response.arrayBuffer(), untilMs })
  }
}
