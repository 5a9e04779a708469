/**
 * For walks through a validity: a world whose clock is moved second by second around whatever may change an answer, its cron
 * at work, HTTP in front of its isolates, and what must hold of every answer wherever a client gets it.
 */
import { createHash } from 'node:crypto'
import { serveOCSP } from '../../src/http/ocsp.ts'
import type { CertID } from '../../src/ocsp/cert-id.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import type { IssuerPolicy, UnknownPolicy } from '../../src/ports/records.ts'
import { refreshAt, resignAt } from '../../src/responder/windows.ts'
import { EPOCH } from '../support/clock.ts'
import { TEST_POLICY } from '../support/pki.ts'
import type { Origin } from '../support/shared-cache.ts'
import { type Place, World } from '../support/world.ts'
import type { Isolate, IsolateOptions } from '../support/world-isolate.ts'
import { requestFor } from '../support/world-requests.ts'

export const DAY = 86_400
export const HOST = 'http://ocsp.example'
export const OCSP_TYPE = 'application/ocsp-response'
export const HEADERS = ['cache-control', 'content-type', 'date', 'etag', 'expires', 'last-modified']
const IMF_FIXDATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
/** Each second this close to an edge is walked. */
const REACH = 6

export interface WalkOptions {
  readonly validitySeconds: number
  readonly unknown?: UnknownPolicy
  readonly policy?: Partial<IssuerPolicy>
  readonly colos?: number
  readonly maxLagSeconds?: number
  readonly seed?: number
  /** Distance of two runs of the cron. Default 60. */
  readonly cronSeconds?: number
}

/** No data centre's cache at all. */
export const NO_CACHE: IsolateOptions['cache'] = {
  match: async () => undefined,
  put: async () => undefined,
}

export interface Asked {
  readonly serial: Uint8Array
  readonly hash: HashAlgorithm
}

/** What a client has in hand. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
  /** Unix seconds. */
  readonly at: number
}

/** What a successful answer says of itself. */
export interface Facts {
  readonly said: string
  readonly thisUpdate: number
  readonly producedAt: number
  readonly nextUpdate: number
  /** Last second at which an honest cache may still have it for fresh. */
  readonly freshUntil: number
}

export class Walk {
  readonly world: World
  /** Where the cron runs and changes are made. */
  readonly home: Place
  readonly validitySeconds: number
  readonly #cronSeconds: number
  readonly #edges = new Set<number>()
  #cronAt: number

  private constructor(world: World, options: WalkOptions) {
    this.world = world
    this.home = world.makePlace(0)
    this.validitySeconds = options.validitySeconds
    this.#cronSeconds = options.cronSeconds ?? 60
    this.#cronAt = world.clock.seconds
  }

  /** With one issuer under this policy, and nothing recorded. */
  static async create(options: WalkOptions): Promise<Walk> {
    const { validitySeconds, unknown = 'unauthorized', colos = 1, maxLagSeconds = 0, seed = 5 } = options
    const world = await World.create({ seed, validitySeconds, colos, maxLagSeconds, isolatesPerColo: 0 }, [
      unknown,
    ])
    const walk = new Walk(world, options)
    await walk.setPolicy({ unknown, ...options.policy })
    return walk
  }

  close(): void {
    this.world.close()
  }

  get now(): number {
    return this.world.clock.seconds
  }

  async setPolicy(policy: Partial<IssuerPolicy>): Promise<void> {
    const next = { ...TEST_POLICY, validitySeconds: this.validitySeconds, ...policy }
    await this.home.admin.updateIssuer(1, { policy: next }, this.world.clock.nowMs())
    this.world.clock.advance(2_000)
    await publish(this.home.publisher)
    this.world.clock.advance(31_000)
  }

  /** Valid throughout, unless told otherwise; signed beforehand. */
  async add(serial: Uint8Array, row: Partial<NewCertificate> = {}): Promise<void> {
    const dates = { notBefore: EPOCH - DAY, notAfter: EPOCH + 900 * DAY }
    await this.world.add(this.home, this.world.issuer, [{ serial, status: 'good', ...dates, ...row }])
    this.world.clock.advance(2_000)
    await this.world.presign(this.home, { all: true })
    this.world.clock.advance(31_000)
  }

  async change(serial: Uint8Array, change: StatusChange): Promise<void> {
    await this.world.change(this.home, this.world.history(this.world.issuer, serial), change)
  }

  isolate(colo = 0, special: Partial<IsolateOptions> = {}): Isolate {
    return this.world.isolate(colo, {}, special)
  }

  /** HTTP of one isolate. */
  origin(isolate: Isolate): Origin {
    return async (request) => {
      const response = await serveOCSP(request, isolate.responder, () => undefined)
      await Promise.allSettled(isolate.background.splice(0))
      const { headers, status } = response
      if (headers.has('ETag')) this.#note(headers)
      // As the platform does.
      return request.method === 'HEAD' ? new Response(null, { status, headers }) : response
    }
  }

  /** Seconds around which every second is walked. */
  edge(...seconds: readonly number[]): void {
    for (const at of seconds) if (at > this.now) this.#edges.add(at)
  }

  /** From now to `end`: every second around each edge, and one in `stride` of the others. The cron runs as time passes. */
  async through(end: number, stride: number, visit: (now: number) => Promise<void>): Promise<void> {
    for (let now = this.now; now <= end; now = this.#next(now, stride)) {
      await this.pass(now)
      await visit(this.now)
      now = Math.max(now, this.now)
    }
  }

  /** Time passes, to this second or a little beyond. */
  async pass(to: number): Promise<void> {
    while (this.#cronAt <= to) {
      this.#moveTo(this.#cronAt)
      await this.world.cron(this.home, 1_000)
      this.#cronAt = Math.max(this.#cronAt + this.#cronSeconds, this.now)
    }
    this.#moveTo(to)
  }

  /** No cron from now on. */
  stopCron(): void {
    this.#cronAt = Number.POSITIVE_INFINITY
  }

  #moveTo(seconds: number): void {
    if (seconds > this.now) this.world.clock.moveTo(seconds)
  }

  #next(now: number, stride: number): number {
    let next = now + stride
    for (const edge of this.#edges) {
      if (edge < now - REACH) this.#edges.delete(edge)
      else if (edge <= now + REACH) return now + 1
      else next = Math.min(next, edge - REACH)
    }
    return next
  }

  #note(headers: Headers): void {
    const nextUpdate = httpTime(headers, 'Expires')
    const producedAt = httpTime(headers, 'Last-Modified')
    const window = { thisUpdate: producedAt, nextUpdate }
    this.edge(nextUpdate, resignAt(window), refreshAt(window))
  }

  /** URL of a GET. */
  url({ serial, hash }: Asked, nonce?: Uint8Array): string {
    const options = { hash, ...(nonce === undefined ? {} : { nonce }) }
    const der = requestFor(this.world.issuer.record, [serial], options)
    return `${HOST}/${encodeURIComponent(Buffer.from(der).toString('base64'))}`
  }

  async get(
    origin: Origin,
    url: string,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<Reply> {
    const response = await origin(new Request(url, { headers, method }))
    const body = new Uint8Array(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, body, at: this.now }
  }

  /** A GET of a certificate that must be answered, held against everything that is always true. */
  async ask(origin: Origin, asked: Asked): Promise<Facts> {
    return checkSuccess(await this.get(origin, this.url(asked)), asked)
  }
}

export const httpTime = (headers: Headers, name: string): number => Date.parse(headers.get(name) ?? '') / 1000
export const maxAgeOf = (headers: Headers): number =>
  Number(
    /^max-age=(\d+), public, no-transform, must-revalidate$/.exec(headers.get('Cache-Control') ?? '')?.[1] ??
      Number.NaN,
  )

/**
 * What must hold of every successful answer in a client's hand, fresh or from a cache: law 1, the right serial, and headers
 * that agree with each other and with the window. Asked a hundred thousand times: no `expect`, which costs more than all else.
 */
export function checkSuccess(reply: Reply, { serial, hash }: Asked): Facts {
  const { headers, body, at, status } = reply
  must(status === 200, `HTTP ${status}`)
  const { tag, said, thisUpdate, producedAt, nextUpdate, certID } = read(body)
  must(nextUpdate > at, `stale for ${at - nextUpdate} s (R6.2)`)
  must(thisUpdate <= producedAt, 'signed before it was known')
  must(Buffer.compare(certID.serialNumber, serial) === 0, 'it is about another certificate')
  must(certID.issuerKeyHash.length === HASH_OCTETS[hash], 'its CertID has another hash')
  const names = [...headers.keys()].filter((name) => name !== 'age').sort()
  must(`${names}` === `${HEADERS}`, `headers ${names} (R2.7, R6.10)`)
  must(headers.get('Content-Type') === OCSP_TYPE, 'Content-Type (R1.102)')
  must(headers.get('ETag') === tag, 'ETag (R2.12)')
  return { said, thisUpdate, producedAt, nextUpdate, ...checkTimes(reply, producedAt, nextUpdate) }
}

/** Of an answer or a 304 about it. */
export function checkTimes(
  { headers, at }: Reply,
  producedAt: number,
  nextUpdate: number,
): Pick<Facts, 'freshUntil'> {
  for (const name of ['Date', 'Expires', 'Last-Modified'])
    must(IMF_FIXDATE.test(headers.get(name) ?? ''), `${name}: ${headers.get(name)} (R2.18)`)
  const date = httpTime(headers, 'Date')
  const maxAge = maxAgeOf(headers)
  const cacheControl = headers.get('Cache-Control')
  must(maxAge >= 0, `Cache-Control: ${cacheControl} (R2.7, R2.13)`)
  must(httpTime(headers, 'Expires') === nextUpdate, 'Expires is not nextUpdate (R2.9)')
  must(httpTime(headers, 'Last-Modified') === producedAt, 'Last-Modified is not producedAt (R2.8)')
  must(producedAt <= date && date <= at, `Date ${date} between ${producedAt} and ${at} (R2.8)`)
  must(
    date + maxAge < nextUpdate,
    `${cacheControl} reaches ${date + maxAge - nextUpdate} s past nextUpdate (R2.10)`,
  )
  const age = headers.get('Age')
  must(age === null || date + Number(age) >= at, 'a cache does not know how old it is (R6.20)')
  // The next cache counts on from Age, or from Date where there is none.
  const freshUntil = at + Math.max(0, maxAge - Math.max(Number(age ?? 0), at - date))
  must(freshUntil < nextUpdate, 'the next cache would keep it too long (R6.20)')
  return { freshUntil }
}

type Read = Omit<Facts, 'freshUntil'> & { readonly tag: string; readonly certID: CertID }
const decoded = new Map<string, Read>()

/** Decoded once for each response. */
function read(body: Uint8Array): Read {
  const text = Buffer.from(body).toString('latin1')
  const held = decoded.get(text)
  if (held !== undefined) return held
  const { producedAt, responses } = decodeSuccessfulResponse(body).tbsResponseData
  const [single, ...more] = responses
  if (single?.nextUpdate === undefined || more.length > 0) throw new Error('not one response with its times')
  const { thisUpdate, nextUpdate, certID, certStatus } = single
  const tag = `"${createHash('sha256').update(body).digest('hex')}"`
  const made = { tag, said: certStatus.type, thisUpdate, producedAt, nextUpdate, certID }
  decoded.set(text, made)
  return made
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

const HASH_OCTETS: Readonly<Record<HashAlgorithm, number>> = {
  'SHA-1': 20,
  'SHA-256': 32,
  'SHA-384': 48,
  'SHA-512': 64,
}
