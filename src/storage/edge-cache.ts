/**
 * Cache of one data centre over the Cache API. Keys are of our own making on a host name that is nobody's: never the URL of
 * the request, so nothing here can be answered without passing the overlay. Optional: a fault is a miss, and is reported.
 */
import type { EdgeCache } from '../ports/ports.ts'
import { withDeadline } from './database.ts'

/** The little of Cache that we use; caches.default and a named cache fit. */
export interface ResponseCache {
  match(request: string): Promise<Response | undefined>
  put(request: string, response: Response): Promise<void>
}

export interface EdgeCacheOptions {
  readonly onError?: (operation: 'match' | 'put', error: unknown) => void
  readonly timeoutMs?: number
  /** Of all keys: what tells apart what was derived of several databases. */
  readonly prefix?: string
}

/** RFC 6761: no such host will ever exist. */
const ORIGIN = 'https://edge-ocsp.invalid/'
const TIMEOUT_MS = 1_000

export class CacheAPIEdgeCache implements EdgeCache {
  readonly #cache: ResponseCache
  readonly #origin: string
  readonly #onError: EdgeCacheOptions['onError']
  readonly #timeoutMs: number

  constructor(cache: ResponseCache, options: EdgeCacheOptions = {}) {
    this.#cache = cache
    this.#origin = ORIGIN + (options.prefix ?? '')
    this.#onError = options.onError
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
  }

  async match(key: string): Promise<Uint8Array | undefined> {
    try {
      return await withDeadline(this.#read(key), this.#timeoutMs, 'the edge cache')
    } catch (error) {
      this.#onError?.('match', error)
      return undefined
    }
  }

  async put(key: string, bytes: Uint8Array, maxAgeSeconds: number): Promise<void> {
    const maxAge = Math.floor(maxAgeSeconds)
    if (!(maxAge > 0)) return
    try {
      const headers = {
        'Content-Type': 'application/octet-stream',
        'Cache-Control': `public, max-age=${maxAge}`,
      }
      const response = new Response(new Uint8Array(bytes), { headers })
      await withDeadline(this.#cache.put(this.#origin + key, response), this.#timeoutMs, 'the edge cache')
    } catch (error) {
      this.#onError?.('put', error)
    }
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    const response = await this.#cache.match(this.#origin + key)
    return response === undefined ? undefined : new Uint8Array(await response.arrayBuffer())
  }
}
