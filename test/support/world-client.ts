/**
 * A client with its own clock and an honest cache: it asks by GET or POST, with or without nonce, about one certificate or
 * several, by either hash, and keeps and revalidates what it is told to. Whatever it believes is judged.
 */

import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { equalOctets } from '../../src/responder/equal-octets.ts'
import type { Random } from './clock.ts'
import type { Place, World } from './world.ts'
import { type Exchange, exchange, judgeHeaders } from './world-http.ts'
import { type AskedCertificate, judgeOctets, type Question } from './world-judge.ts'
import { requestOf } from './world-requests.ts'

/** How far clocks of clients are off, and what they forgive. */
const MAX_OFFSET_MS = 240_000
const TOLERANCE_SECONDS = 300

export interface Kept {
  readonly der: Uint8Array
  readonly question: Question
  readonly etag: string
  readonly keptAtMs: number
  readonly maxAge: number
  readonly nextUpdate: number
}

/** What was asked how, and what came of it, counted. */
export interface Tally {
  readonly asked: Record<string, number>
  readonly answers: Record<string, number>
}

export class Client {
  readonly name: string
  readonly #world: World
  readonly #offsetMs: number
  readonly #cache = new Map<string, Kept>()
  readonly #tally: Tally

  constructor(world: World, name: string, dice: Random, tally: Tally) {
    this.#world = world
    this.name = name
    this.#offsetMs = dice.between(-MAX_OFFSET_MS, MAX_OFFSET_MS)
    this.#tally = tally
  }

  /** Of what it keeps: moments at which an answer ends. */
  get ends(): number[] {
    return [...this.#cache.values()].map(({ nextUpdate }) => nextUpdate)
  }

  /** One question, chosen by `dice`. @param about certificates of one issuer, the first one is meant */
  async ask(place: Place, about: readonly AskedCertificate[], dice: Random): Promise<void> {
    const world = this.#world
    const [first] = about
    if (first === undefined) return
    const issuer = world.issuerOf(first.history)
    const several = about.length > 1
    const withNonce = dice.chance(0.08)
    const nonce = withNonce ? dice.octets(dice.pick([8, 16, 32])) : undefined
    const prefers = dice.chance(0.1) ? dice.pick(['Ed25519', 'sha256WithRSAEncryption'] as const) : undefined
    const question: Question = { issuer, asked: about, nonce, ...(prefers === undefined ? {} : { prefers }) }
    const der = requestOf(question, world.requests)
    const byGET = dice.chance(0.6)
    const path = `/${encodeURIComponent(Buffer.from(der).toString('base64'))}`
    const kept = byGET ? this.#cache.get(path) : undefined
    const conditional = dice.chance(0.5)
    const dress = dice.between(0, 5)
    const twin = dice.chance(0.1)
    this.#count(
      'asked',
      `${byGET ? 'GET' : 'POST'}${withNonce ? ', nonce' : ''}${several ? ', several CertIDs' : ''}${prefers === undefined ? '' : ', algorithm'}`,
    )
    for (const { hash } of about) this.#count('asked', hash)
    if (kept !== undefined && this.#nowMs() - kept.keptAtMs < kept.maxAge * 1000) {
      this.#count('answers', 'from its own cache')
      this.#judgeKept(kept)
      if (!conditional) return // else as by a reload: asked again all the same
    }
    const headers: Record<string, string> = { ...DRESSES[dress] }
    if (kept !== undefined && conditional) headers['If-None-Match'] = kept.etag
    const request = this.#request(byGET, path, der, headers, dress)
    const askedMs = world.clock.nowMs()
    const given = await exchange(world, place, request)
    const body = given.der ?? kept?.der
    if (body === undefined) return this.#accuse(place, question, 'a 304 to somebody who has nothing (law 7)')
    await this.#judge(place, question, given, body, askedMs)
    const keeping = judgeHeaders(given.response, body, world.clock.nowMs())
    if (typeof keeping === 'string') return this.#accuse(place, question, keeping)
    const { maxAge, etag, nextUpdate } = keeping
    if (byGET && maxAge !== undefined && etag !== undefined)
      this.#cache.set(path, { der: body, question, etag, keptAtMs: this.#nowMs(), maxAge, nextUpdate })
    if (given.response.status === 304 && kept !== undefined && etag !== kept.etag)
      return this.#accuse(
        place,
        question,
        'a 304 for another answer than the one that the client has (law 1)',
      )
    const isSigned = given.answer?.responseStatus === 'successful'
    if (twin && isSigned && !place.actor.isPaused)
      await this.#twin(place, question, body, { byGET, path, der, dress })
  }

  /** The same question in other clothes, at the same moment: law 6 wants the same octets, if both are the same answer. */
  async #twin(
    place: Place,
    question: Question,
    body: Uint8Array,
    { byGET, path, der, dress }: { byGET: boolean; path: string; der: Uint8Array; dress: number },
  ): Promise<void> {
    const other = (dress + 1) % DRESSES.length
    const request = this.#request(!byGET, path, der, { ...DRESSES[other] }, other)
    const askedMs = this.#world.clock.nowMs()
    const given = await exchange(this.#world, place, request)
    if (given.der === undefined) return this.#accuse(place, question, 'a 304 to no condition (law 7)')
    this.#count('asked', 'twin')
    await this.#judge(place, question, given, given.der, askedMs)
    const { answer } = given
    const fromMemory = answer?.responseStatus === 'successful' && answer.origin === 'memory'
    if (fromMemory && question.nonce === undefined && !equalOctets(given.der, body))
      this.#accuse(place, question, 'another body for the same question in other headers (law 6)')
  }

  async #judge(
    place: Place,
    question: Question,
    given: Exchange,
    body: Uint8Array,
    askedMs: number,
  ): Promise<void> {
    const world = this.#world
    const nowMs = world.clock.nowMs()
    const verify = isNew(body)
    const options = { bounds: world.bounds, nowMs, askedMs, verify, seen: place.seen }
    const problem = await judgeOctets(question, body, options)
    this.#count('answers', nameOf(given))
    if (problem !== undefined) {
      const { answer } = given
      const origin = answer?.responseStatus === 'successful' ? ` from ${answer.origin}` : ''
      this.#accuse(place, question, `${problem}${origin}`)
    } else if (given.answer?.responseStatus === 'successful' && !this.#accepts(body))
      this.#accuse(place, question, 'a client whose clock is a little off would refuse it (law 1)')
  }

  /** An honest cache never shows an answer that has ended (laws 1 and 7); how old its status is, is the price of caching. */
  #judgeKept({ nextUpdate, question: { asked } }: Kept): void {
    const late = this.#world.clock.nowMs() / 1000 - nextUpdate
    if (late >= 0)
      this.#world.accuse(`${asked[0]?.history.key}: a cache holds it ${late} s past nextUpdate (law 1)`)
  }

  #accepts(der: Uint8Array): boolean {
    const now = this.#nowMs() / 1000
    const { responses } = decodeSuccessfulResponse(der).tbsResponseData
    return responses.every(
      ({ thisUpdate, nextUpdate = 0 }) =>
        thisUpdate <= now + TOLERANCE_SECONDS && nextUpdate > now - TOLERANCE_SECONDS,
    )
  }

  #request(
    byGET: boolean,
    path: string,
    der: Uint8Array,
    headers: Record<string, string>,
    dress: number,
  ): Request {
    const host = HOSTS[dress % HOSTS.length] ?? 'ocsp.example'
    const query = byGET && dress === 4 ? '?serial=00&status=good' : ''
    return byGET
      ? new Request(`http://${host}${path}${query}`, { headers })
      : new Request(`http://${host}/${query}`, { method: 'POST', headers, body: bufferSource(der) })
  }

  #nowMs(): number {
    return this.#world.clock.nowMs() + this.#offsetMs
  }

  #accuse(place: Place, { asked, nonce }: Question, problem: string): void {
    const world = this.#world
    const about = asked.map(({ history, hash }) => `${hash} of ${history.key}`).join(', ')
    const where = `isolate ${world.places.indexOf(place)}, colo ${place.colo}`
    world.accuse(
      `${problem}: ${about}${nonce === undefined ? '' : ' with a nonce'} asked by ${this.name} at ${where}`,
      asked[0]?.history,
    )
  }

  #count(kind: keyof Tally, name: string): void {
    const counts = this.#tally[kind]
    counts[name] = (counts[name] ?? 0) + 1
  }
}

const HOSTS = ['ocsp.example', 'ocsp.test:8080', '127.0.0.1']
/** Headers of the clients of the world, and some that nobody should listen to. */
const DRESSES: readonly Readonly<Record<string, string>>[] = [
  {},
  {
    Accept: '*/*',
    'User-Agent': 'Microsoft-CryptoAPI/10.0',
    'Cache-Control': 'no-cache',
    Pragma: 'no-cache',
  },
  { Accept: 'application/ocsp-response', 'Content-Type': 'application/ocsp-request' },
  { 'Content-Type': 'text/plain', 'Accept-Language': 'de', Cookie: 'status=good' },
  { 'X-Forwarded-Host': 'other.example', 'X-Serial': '00', Range: 'bytes=0-10' },
  { 'User-Agent': 'com.apple.trustd/3.0', 'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
]

function nameOf({ answer, response }: { answer: Answer | undefined; response: Response }): string {
  if (response.status === 304) return 'not modified'
  if (answer === undefined) return 'from the front'
  return answer.responseStatus === 'successful'
    ? `${answer.certStatus} from ${answer.origin}`
    : answer.responseStatus
}

const verified = new Set<string>()

/** Whether these octets are to be verified: each signature once in a while, most answers being the same octets again. */
function isNew(der: Uint8Array): boolean {
  const key = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1')
  if (verified.has(key)) return false
  if (verified.size > 4_000) verified.clear()
  verified.add(key)
  return true
}
