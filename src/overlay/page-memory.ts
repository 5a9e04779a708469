/**
 * Immutable values that an overlay root names: pages of the issuer directory, segments of the overlay. A name is never used for
 * two values, so whatever is found under it is right, however old; KV's staleness can only give null, which is a fault and not
 * an answer: the record is asked then, if there is a way to.
 */
import type { Clock, DerivedStore, EdgeCache } from '../ports/ports.ts'
import { SingleFlight } from '../ports/single-flight.ts'

/** A name that could not be loaded is not asked for again before. */
const RETRY_MS = 30_000
/** Names remembered as not loadable. */
const MAX_FAILED = 4_096
/** What an entry weighs beside its octets. */
const ENTRY_OVERHEAD_BYTES = 400
/** Stay in the data centre's cache; no longer than KV keeps it, though there is no harm in more. */
const CACHE_SECONDS = 86_400

export interface PageMemoryPorts {
  readonly derived: Pick<DerivedStore, 'readPage'>
  readonly cache: EdgeCache
  readonly clock: Clock
  /** Keeps a promise alive after the answer has left (ctx.waitUntil). */
  readonly background: (work: Promise<unknown>) => void
  /** How many of these share an isolate's memory, as with several databases. Default 1. */
  readonly of?: number
}

export interface PageKind<T> {
  /** Reads a value in place. @throws when it is torn, foreign or another than its name says */
  open(bytes: Uint8Array, name: string): T
  /** The same out of the record when no tier has it; may reject. */
  rebuild?(name: string): Promise<T>
  /** All entries together. */
  readonly maxBytes: number
}

interface Held<T> {
  readonly page: T
  readonly weight: number
}

/** Values of one kind, as this isolate holds them: least recently used out first. */
export class PageMemory<T extends { readonly byteLength: number }> {
  readonly #ports: PageMemoryPorts
  readonly #kind: PageKind<T>
  readonly #maxBytes: number
  readonly #held = new Map<string, Held<T>>()
  /** Name -> when it may be asked for again, Unix ms. */
  readonly #failed = new Map<string, number>()
  readonly #flights: SingleFlight<T>
  #bytes = 0

  constructor(ports: PageMemoryPorts, kind: PageKind<T>) {
    this.#ports = ports
    this.#kind = kind
    this.#maxBytes = kind.maxBytes / (ports.of ?? 1)
    this.#flights = new SingleFlight(ports.background)
  }

  /** Weight of all that is held, octets. */
  get bytes(): number {
    return this.#bytes
  }

  get(name: string): T | undefined {
    const held = this.#held.get(name)
    if (held === undefined) return undefined
    if (this.#bytes > this.#maxBytes / 2) {
      this.#held.delete(name) // the order matters only when it may soon be decided who has to go
      this.#held.set(name, held)
    }
    return held.page
  }

  /**
   * From memory, the data centre's cache, KV, or the record.
   * @returns undefined when none of them has it, or none had a moment ago. Never rejects.
   */
  async load(name: string): Promise<T | undefined> {
    const held = this.get(name)
    if (held !== undefined) return held
    if (this.#hasFailed(name)) return undefined
    try {
      return await this.#flights.run(name, () => this.#once(name))
    } catch {
      return undefined
    }
  }

  /** Whoever waited for an attempt that failed does not make another. @throws when no tier has it */
  async #once(name: string): Promise<T> {
    if (this.#hasFailed(name)) throw new Error(`no tier had ${name} a moment ago`)
    try {
      return await this.#read(name)
    } catch (error) {
      this.#failed.delete(name)
      this.#failed.set(name, this.#ports.clock.nowMs() + RETRY_MS)
      const oldest = this.#failed.size > MAX_FAILED ? this.#failed.keys().next() : undefined
      if (oldest?.done === false) this.#failed.delete(oldest.value)
      throw error
    }
  }

  #hasFailed(name: string): boolean {
    return this.#failed.size > 0 && (this.#failed.get(name) ?? 0) > this.#ports.clock.nowMs()
  }

  /** @throws when no tier has it */
  async #read(name: string): Promise<T> {
    const { derived, cache, background } = this.#ports
    const cached = this.#opened(name, await cache.match(name).catch(() => undefined))
    if (cached !== undefined) return this.#hold(name, cached)
    const bytes = (await derived.readPage(name).catch(() => null)) ?? undefined
    const read = this.#opened(name, bytes)
    if (read !== undefined && bytes !== undefined) {
      background(cache.put(name, bytes, CACHE_SECONDS).catch(() => undefined))
      return this.#hold(name, read)
    }
    if (this.#kind.rebuild === undefined) throw new Error(`no tier has ${name}`)
    return this.#hold(name, await this.#kind.rebuild(name))
  }

  #opened(name: string, bytes: Uint8Array | undefined): T | undefined {
    if (bytes === undefined) return undefined
    try {
      return this.#kind.open(bytes, name)
    } catch {
      return undefined // torn or foreign: as good as absent
    }
  }

  #hold(name: string, page: T): T {
    const known = this.#held.get(name)
    if (known !== undefined) return known.page // another flight was faster; one value for all
    const weight = page.byteLength + ENTRY_OVERHEAD_BYTES
    this.#failed.delete(name)
    this.#held.set(name, { page, weight })
    this.#bytes += weight
    for (const [oldest, entry] of this.#held) {
      if (this.#bytes <= this.#maxBytes || oldest === name) break
      this.#held.delete(oldest)
      this.#bytes -= entry.weight
    }
    return page
  }
}
