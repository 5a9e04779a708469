/** What reaches a client over HTTP, held against laws 1, 6 and 7: its headers, a 304, and what an honest cache makes of both. */
import { OID } from '../../src/asn1/oid.ts'
import { serveOCSP } from '../../src/http/ocsp.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import type { Answer } from '../../src/responder/answer.ts'
import type { Place, World } from './world.ts'

export interface Exchange {
  readonly response: Response
  /** Octets of the body; none with a 304. */
  readonly der: Uint8Array | undefined
  /** What the Worker said, when it was asked. */
  readonly answer: Answer | undefined
}

/** Through everything that stands between a client and an isolate. */
export async function exchange(world: World, place: Place, request: Request): Promise<Exchange> {
  let answer: Answer | undefined
  const inner = () =>
    serveOCSP(request, place.responder, (given) => {
      answer = given
    })
  const front = world.variant?.front
  const memory = world.fronts[place.colo] ?? new Map()
  const response =
    front === undefined
      ? await inner()
      : await front(request, inner, { colo: place.colo, clock: world.clock, memory })
  if (answer !== undefined) world.count(answer)
  const der = response.status === 304 ? undefined : new Uint8Array(await response.arrayBuffer())
  return { response, der, answer }
}

/** What an answer may be kept for. */
export interface Keeping {
  /** Seconds from its arrival; undefined = not at all. */
  readonly maxAge: number | undefined
  readonly etag: string | undefined
  readonly nextUpdate: number
}

/**
 * @param der the body, or with a 304 the body that the client has
 * @returns how it may be kept, or what is wrong with its headers
 */
export function judgeHeaders(response: Response, der: Uint8Array, nowMs: number): Keeping | string {
  const { headers } = response
  const now = Math.floor(nowMs / 1000)
  const control = headers.get('Cache-Control') ?? ''
  if (response.status === 200 && headers.get('Content-Type') !== 'application/ocsp-response')
    return `Content-Type ${headers.get('Content-Type')}`
  if (Date.parse(headers.get('Date') ?? '') !== now * 1000) return 'Date is not now (law 7)'
  if (decodeOCSPResponse(der).responseStatus !== 'successful') {
    const kept = ['ETag', 'Expires', 'Last-Modified'].find((name) => headers.has(name))
    if (response.status === 304 || control !== 'no-store' || kept !== undefined)
      return `an error that may be kept: ${response.status} ${control} ${kept ?? ''} (law 7)`
    return { maxAge: undefined, etag: undefined, nextUpdate: 0 }
  }
  const { responses, responseExtensions = [] } = decodeSuccessfulResponse(der).tbsResponseData
  const nextUpdate = Math.min(...responses.map((single) => single.nextUpdate ?? 0))
  if (responseExtensions.some(({ extnID }) => extnID === OID.ocspNonce))
    return control === 'no-store' && !headers.has('ETag')
      ? { maxAge: undefined, etag: undefined, nextUpdate }
      : `an answer for one client that may be kept: ${control} (law 7)`
  const [, seconds] = /(?:^|[ ,])max-age=(\d+)/.exec(control) ?? []
  const etag = headers.get('ETag')
  if (
    seconds === undefined ||
    !/\bpublic\b/.test(control) ||
    /no-store|private/.test(control) ||
    etag === null
  )
    return `an answer that may not be kept: ${control} (law 7)`
  if (now + Number(seconds) >= nextUpdate)
    return `max-age=${seconds} reaches ${now + Number(seconds) - nextUpdate} s past nextUpdate (law 1)`
  if (Date.parse(headers.get('Expires') ?? '') > nextUpdate * 1000)
    return 'Expires lies after nextUpdate (law 1)'
  return { maxAge: Number(seconds), etag, nextUpdate }
}
