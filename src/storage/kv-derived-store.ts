/**
 * Derived values in KV: `o/root`, `i/{issuer}`, `b/{issuer}/{k}/{slot}`, `b/{issuer}/{k}/{slot}/{algorithm}`, and the
 * immutable pages that the root names; of a further database under a prefix of its own. Eventually consistent and cached by KV itself, absence too: what is read may be old, and
 * null says only "next tier". docs/storage.md lists the keys.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { bundleKey } from '../bundle/slot.ts'
import { StorageError } from '../ports/errors.ts'
import type { Clock, DerivedStore } from '../ports/ports.ts'
import type { SignatureAlgorithm } from '../ports/records.ts'
import { type StoreOptions, withDeadline } from './database.ts'

/** The little of KVNamespace that we use; KVNamespace fits. */
export interface KeyValue {
  get(key: string, options: { type: 'arrayBuffer'; cacheTtl?: number }): Promise<ArrayBuffer | null>
  put(key: string, value: ArrayBufferView | ArrayBuffer, options?: { expiration?: number }): Promise<void>
}

/** The smallest that KV allows; the root is what the propagation bound hangs on. */
const ROOT_CACHE_SECONDS = 30
const CACHE_SECONDS = 60
/** KV refuses an expiration less than 60 s ahead; some are lost on the way. */
const MIN_EXPIRATION_SECONDS = 75
/** workerd takes 32 bits of it. What ends later, as last responses do (R4.52), is kept until it is overwritten. */
const MAX_EXPIRATION: UnixSeconds = 2 ** 31 - 1
const TIMEOUT_MS = 5_000

export class KVDerivedStore implements DerivedStore {
  readonly #kv: KeyValue
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #prefix: string

  /** @param clock for the smallest expiration that KV accepts */
  constructor(kv: KeyValue, clock: Clock, options: StoreOptions & { readonly prefix?: string } = {}) {
    this.#kv = kv
    this.#clock = clock
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#prefix = options.prefix ?? ''
  }

  readRoot(): Promise<Uint8Array | null> {
    return this.#read('o/root', ROOT_CACHE_SECONDS)
  }

  readIssuerPage(issuer: number): Promise<Uint8Array | null> {
    return this.#read(`i/${issuer}`, CACHE_SECONDS)
  }

  readBundle(
    issuer: number,
    k: number,
    slot: number,
    algorithm?: SignatureAlgorithm,
  ): Promise<Uint8Array | null> {
    return this.#read(bundleKey(issuer, k, slot, algorithm), CACHE_SECONDS)
  }

  readPage(name: string): Promise<Uint8Array | null> {
    return this.#read(name, CACHE_SECONDS)
  }

  writeRoot(bytes: Uint8Array): Promise<void> {
    return this.#write('o/root', bytes)
  }

  writeIssuerPage(issuer: number, bytes: Uint8Array): Promise<void> {
    return this.#write(`i/${issuer}`, bytes)
  }

  writeBundle(
    issuer: number,
    k: number,
    slot: number,
    bytes: Uint8Array,
    expiration: UnixSeconds,
    algorithm?: SignatureAlgorithm,
  ): Promise<void> {
    return this.#write(bundleKey(issuer, k, slot, algorithm), bytes, this.#until(expiration))
  }

  writePage(name: string, bytes: Uint8Array, expiration?: UnixSeconds): Promise<void> {
    return this.#write(name, bytes, expiration === undefined ? undefined : this.#until(expiration))
  }

  #until(expiration: UnixSeconds): { expiration: UnixSeconds } | undefined {
    const earliest = Math.ceil(this.#clock.nowMs() / 1000) + MIN_EXPIRATION_SECONDS
    const end = Math.max(expiration, earliest)
    return end > MAX_EXPIRATION ? undefined : { expiration: end }
  }

  async #read(key: string, cacheTtl: number): Promise<Uint8Array | null> {
    const value = await this.#call(`read of ${key}`, () =>
      this.#kv.get(this.#prefix + key, { type: 'arrayBuffer', cacheTtl }),
    )
    return value === null ? null : new Uint8Array(value)
  }

  async #write(key: string, bytes: Uint8Array, options?: { expiration: number }): Promise<void> {
    await this.#call(`write of ${key}`, () => this.#kv.put(this.#prefix + key, bytes, options))
  }

  async #call<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await withDeadline(call(), this.#timeoutMs, `KV, ${what},`)
    } catch (error) {
      if (error instanceof StorageError) throw error
      const message = error instanceof Error ? error.message : String(error)
      throw new StorageError('unavailable', `KV, ${what}, failed: ${message}`, { cause: error })
    }
  }
}
