/**
 * A shared HTTP cache by RFC 9111, between clients and a responder, on a virtual clock. It keeps and serves whatever the
 * standard permits, up to the last second, and stale answers too where nothing forbids it: what must not happen with it can
 * only be prevented by the origin's headers.
 */
import type { VirtualClock } from './clock.ts'

export type Origin = (request: Request) => Promise<Response>

/** How an answer came about. `stale`: past its freshness, which the origin's headers allowed. */
export type Served = 'forwarded' | 'stored' | 'validated' | 'stale' | 'failed'

export interface SharedCacheOptions {
  readonly clock: VirtualClock
  readonly origin: Origin
  /** `receipt`: ages are counted from when an answer arrived, and it is fresh through its last second, as nginx does. Default Date. */
  readonly counts?: 'Date' | 'receipt'
  /** `Expires`: Cache-Control is not understood, as in HTTP/1.0. Default all. */
  readonly reads?: 'all' | 'Expires'
  /** False: what is stale is fetched anew, without If-None-Match. Default true. */
  readonly validates?: boolean
  /** How long a request and an answer are each on their way. Default 0. */
  readonly legMs?: number
}

/** Statuses that may be kept without being told so (RFC 9110 15.1). */
const HEURISTIC_STATUS: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
const HEURISTIC_SHARE = 10
/** Not kept: RFC 9110 7.6.1, and what the cache computes. */
const NOT_STORED = ['age', 'connection', 'keep-alive']

interface Stored {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
  /** Headers of the request that it was for, by Vary. */
  readonly selecting: ReadonlyMap<string, string | null>
  readonly requestedAt: number
  readonly receivedAt: number
}

export class SharedCache {
  readonly #options: Required<SharedCacheOptions>
  readonly #stored = new Map<string, Stored>()
  /** How many answers came about in each way. */
  readonly counts: Record<Served, number> = { forwarded: 0, stored: 0, validated: 0, stale: 0, failed: 0 }
  /** How the last answer came about. */
  last: Served = 'failed'

  constructor(options: SharedCacheOptions) {
    this.#options = { counts: 'Date', reads: 'all', validates: true, legMs: 0, ...options }
  }

  get size(): number {
    return this.#stored.size
  }

  /** Drops one URL, or everything. */
  purge(url?: string): void {
    if (url === undefined) this.#stored.clear()
    else this.#stored.delete(url)
  }

  /** One request of a client, or of another cache. */
  async fetch(request: Request): Promise<Response> {
    const response = await this.#answer(request)
    this.counts[this.last] += 1
    return response
  }

  async #answer(request: Request): Promise<Response> {
    const { method, url, headers } = request
    if (method !== 'GET' && method !== 'HEAD') {
      const response = await this.#ask(request)
      // RFC 9111 4.4: an unsafe method that succeeds invalidates what is kept of its URL.
      if (response.status < 400) this.#stored.delete(url)
      return this.#by('forwarded', response)
    }
    const wanted = this.#directives(headers)
    const kept = this.#stored.get(url)
    const stored = kept !== undefined && isSelected(kept, headers) ? kept : undefined
    if (stored !== undefined && this.#mayServe(stored, wanted)) return this.#serve('stored', stored, request)
    if (wanted.has('only-if-cached')) return this.#by('failed', new Response(null, { status: 504 }))
    return stored === undefined ? this.#forward(request) : this.#validate(stored, request)
  }

  async #forward(request: Request): Promise<Response> {
    const { response, stored } = await this.#fetch(request, new Headers(request.headers))
    if (stored === undefined) return this.#by('forwarded', response)
    return this.#serve('forwarded', stored, request)
  }

  async #validate(stored: Stored, request: Request): Promise<Response> {
    const headers = new Headers(request.headers)
    const etag = stored.headers.get('ETag')
    const modified = stored.headers.get('Last-Modified')
    for (const name of ['If-None-Match', 'If-Modified-Since']) headers.delete(name)
    if (this.#options.validates && etag !== null) headers.set('If-None-Match', etag)
    if (this.#options.validates && modified !== null) headers.set('If-Modified-Since', modified)
    // RFC 5861 3: serve it now, ask meanwhile.
    const grace = Number(this.#directives(stored.headers).get('stale-while-revalidate') ?? 0)
    const staleness = this.#age(stored) - this.#lifetime(stored)
    if (staleness >= 0 && staleness < grace) {
      await this.#fetch(request, headers, stored).catch(() => undefined)
      return this.#serve('stale', stored, request)
    }
    try {
      const { response, stored: fresh } = await this.#fetch(request, headers, stored)
      if (fresh !== undefined && response.status === 304) return this.#serve('validated', fresh, request)
      if (response.status >= 500) throw new Error(`HTTP ${response.status}`)
      return fresh === undefined ? this.#by('forwarded', response) : this.#serve('forwarded', fresh, request)
    } catch {
      // RFC 9111 4.2.4: a cache that is cut off may serve stale, unless it is told to revalidate.
      const directives = this.#directives(stored.headers)
      const isBound = ['must-revalidate', 'proxy-revalidate', 's-maxage', 'no-cache'].some((name) =>
        directives.has(name),
      )
      if (!isBound) return this.#serve('stale', stored, request)
      return this.#by('failed', new Response(null, { status: 504 }))
    }
  }

  /** Asks the origin, and keeps what may be kept. @param old what a 304 freshens */
  async #fetch(
    request: Request,
    headers: Headers,
    old?: Stored,
  ): Promise<{ readonly response: Response; readonly stored: Stored | undefined }> {
    const { clock } = this.#options
    const requestedAt = clock.seconds
    const response = await this.#ask(new Request(request.url, { method: request.method, headers }))
    const receivedAt = clock.seconds
    if (response.status === 304 && old !== undefined) {
      // RFC 9111 3.2: each header of the 304 replaces the one that is kept.
      const updated = new Headers(old.headers)
      response.headers.forEach((value, name) => {
        if (!NOT_STORED.includes(name) && name !== 'content-length') updated.set(name, value)
      })
      const stored = { ...old, headers: updated, requestedAt, receivedAt }
      this.#stored.set(request.url, stored)
      return { response, stored }
    }
    if (!this.#mayStore(request, response)) {
      this.#stored.delete(request.url)
      return { response, stored: undefined }
    }
    const stored: Stored = {
      status: response.status,
      headers: new Headers(response.headers),
      body: new Uint8Array(await response.arrayBuffer()),
      selecting: selecting(response.headers, request.headers),
      requestedAt,
      receivedAt,
    }
    this.#stored.set(request.url, stored)
    return { response, stored }
  }

  async #ask(request: Request): Promise<Response> {
    const { clock, origin, legMs } = this.#options
    clock.advance(legMs)
    const response = await origin(request)
    clock.advance(legMs)
    return response
  }

  /** RFC 9111 3. */
  #mayStore({ method, headers: asked }: Request, { status, headers }: Response): boolean {
    if (method !== 'GET' || status < 200 || status === 206 || status === 304) return false
    const directives = this.#directives(headers)
    if (directives.has('no-store') || this.#directives(asked).has('no-store')) return false
    if (directives.has('private')) return false
    const isShared = ['public', 'must-revalidate', 's-maxage'].some((name) => directives.has(name))
    if (asked.has('Authorization') && !isShared) return false
    const isExplicit =
      headers.has('Expires') || ['public', 'max-age', 's-maxage'].some((name) => directives.has(name))
    return isExplicit || (HEURISTIC_STATUS.has(status) && headers.has('Last-Modified'))
  }

  /** RFC 9111 4: fresh, and nobody wants it fresher. */
  #mayServe(stored: Stored, wanted: ReadonlyMap<string, string>): boolean {
    if (wanted.has('no-cache') || this.#directives(stored.headers).has('no-cache')) return false
    const age = this.#age(stored)
    const lifetime = this.#lifetime(stored)
    if (age > Number(wanted.get('max-age') ?? Number.POSITIVE_INFINITY)) return false
    if (lifetime - age < Number(wanted.get('min-fresh') ?? 0)) return false
    return this.#options.counts === 'receipt' ? age <= lifetime && lifetime > 0 : age < lifetime
  }

  /** RFC 9111 4.2.1, 4.2.2. */
  #lifetime({ status, headers }: Stored): number {
    const directives = this.#directives(headers)
    const seconds = directives.get('s-maxage') ?? directives.get('max-age')
    if (seconds !== undefined) return /^\d+$/.test(seconds) ? Number(seconds) : 0
    const date = time(headers, 'Date') ?? this.#options.clock.seconds
    const expires = headers.get('Expires')
    // What is no date is in the past.
    if (expires !== null) return (time(headers, 'Expires') ?? 0) - date
    const modified = time(headers, 'Last-Modified')
    return modified === undefined || !HEURISTIC_STATUS.has(status) ? 0 : (date - modified) / HEURISTIC_SHARE
  }

  /** RFC 9111 4.2.3. */
  #age({ headers, requestedAt, receivedAt }: Stored): number {
    const resident = this.#options.clock.seconds - receivedAt
    if (this.#options.counts === 'receipt') return resident
    const apparent = Math.max(0, receivedAt - (time(headers, 'Date') ?? receivedAt))
    const corrected = Number(headers.get('Age') ?? 0) + receivedAt - requestedAt
    return Math.max(apparent, corrected) + resident
  }

  #serve(how: Served, stored: Stored, { method, headers: asked }: Request): Response {
    const headers = new Headers(stored.headers)
    if (this.#options.counts === 'Date') headers.set('Age', String(this.#age(stored)))
    const body = method === 'HEAD' ? null : stored.body
    const isHeld = stored.status === 200 && isConditionMet(asked, stored.headers)
    return this.#by(
      how,
      isHeld
        ? new Response(null, { status: 304, headers })
        : new Response(body, { status: stored.status, headers }),
    )
  }

  #by(how: Served, response: Response): Response {
    this.last = how
    return response
  }

  #directives(headers: Headers): ReadonlyMap<string, string> {
    if (this.#options.reads === 'Expires') return new Map()
    const text = headers.get('Cache-Control') ?? (headers.get('Pragma') === 'no-cache' ? 'no-cache' : '')
    return new Map(
      text.split(',').flatMap((part) => {
        const [name = '', value = ''] = part.trim().toLowerCase().split('=')
        return name === '' ? [] : [[name.trim(), value.trim().replaceAll('"', '')] as const]
      }),
    )
  }
}

/** RFC 9111 4.1. */
function selecting(vary: Headers, asked: Headers): ReadonlyMap<string, string | null> {
  const names = (vary.get('Vary') ?? '').toLowerCase().split(',')
  return new Map(
    names
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => [name, asked.get(name)]),
  )
}

function isSelected({ selecting: values }: Stored, asked: Headers): boolean {
  return [...values].every(([name, value]) => name !== '*' && asked.get(name) === value)
}

/** RFC 9110 13.1.2, 13.1.3: whether the client's copy is the one that is kept. */
function isConditionMet(asked: Headers, kept: Headers): boolean {
  const tags = asked.get('If-None-Match')
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  if (tags !== null)
    return tags.split(',').some((tag) => plain(tag) === '*' || plain(tag) === kept.get('ETag'))
  const since = time(asked, 'If-Modified-Since')
  const modified = time(kept, 'Last-Modified')
  return since !== undefined && modified !== undefined && modified <= since
}

function time(headers: Headers, name: string): number | undefined {
  const ms = Date.parse(headers.get(name) ?? '')
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : undefined
}
