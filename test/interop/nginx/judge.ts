/** What must hold of every answer that comes through a cache, whatever the moment (R6.2, R6.5, R6.7, R6.10, R6.14, R6.20). */
import { createHash } from 'node:crypto'
import {
  type CertID,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  encodeCertID,
} from '../../../src/ocsp/index.ts'
import type { Got } from './caching-proxy.ts'
import type { Passage } from './road.ts'

/** One question in one spelling. */
export interface Asked {
  /** For messages. */
  readonly name: string
  readonly certID: CertID
  /** DER of the request. */
  readonly der: Uint8Array
  /** Request target as it goes over the wire. */
  readonly target: string
}

export interface Sample {
  readonly asked: Asked
  readonly got: Got
}

/**
 * nginx counts in whole seconds, from when it has the answer, and through the last of them; and another second for all
 * that may lie between the road's note and nginx' own.
 */
const NGINX_SECONDS = 2

/** Status of the one certificate asked about, or the error status. */
export function said(got: Pick<Got, 'body'>): string {
  const { responseStatus } = decodeOCSPResponse(got.body)
  if (responseStatus !== 'successful') return responseStatus
  return decodeSuccessfulResponse(got.body).tbsResponseData.responses[0]?.certStatus.type ?? 'nothing'
}

/**
 * @param isOwn which exchanges with the Worker may have led to it; default: GETs of the very path
 * @returns what is wrong with it; undefined when nothing is
 */
export function faultOf(
  { asked, got }: Sample,
  passages: readonly Passage[],
  isOwn = ({ target }: Passage) => target === asked.target,
): string | undefined {
  if (got.status !== 200) return `HTTP ${got.status}`
  const own = passages.filter((passage) => passage.method === 'GET' && isOwn(passage))
  if (decodeOCSPResponse(got.body).responseStatus !== 'successful') return errorFault(got, own)
  return windowFault(asked, got) ?? headerFault(got) ?? promiseFault(got, own)
}

function errorFault(got: Got, own: readonly Passage[]): string | undefined {
  if (got.cache === 'HIT') return 'an error out of the cache (R6.7)'
  const isNew = own.some(({ at, body }) => at >= got.askedAt && at <= got.receivedAt && body.equals(got.body))
  return isNew ? undefined : 'an error that the Worker did not give for this question (R6.7)'
}

function windowFault(asked: Asked, got: Got): string | undefined {
  const { responses } = decodeSuccessfulResponse(got.body).tbsResponseData
  const [single] = responses
  if (single?.nextUpdate === undefined || responses.length !== 1) return 'not one answer with an end'
  if (!Buffer.from(encodeCertID(asked.certID)).equals(encodeCertID(single.certID)))
    return 'about another certificate (R6.14)'
  const now = got.askedAt / 1000
  if (now >= single.nextUpdate) return `${now - single.nextUpdate} s past its nextUpdate (R6.2)`
  if (got.receivedAt / 1000 < single.thisUpdate) return 'before its thisUpdate'
  const { date = '', expires = '', 'cache-control': control = '' } = got.headers
  const maxAge = Number(/^max-age=(\d+), public, no-transform, must-revalidate$/.exec(control)?.[1])
  if (Date.parse(expires) !== single.nextUpdate * 1000) return `Expires ${expires} is not nextUpdate (R2.9)`
  // What the next cache makes of it: Date is the Worker's, so it counts from the same moment (R6.20).
  if (!(Date.parse(date) / 1000 + maxAge < single.nextUpdate)) return `Date ${date} + ${control} (R2.10)`
  return undefined
}

function headerFault(got: Got): string | undefined {
  const { etag, vary, age, pragma } = got.headers
  if (etag !== `"${createHash('sha256').update(got.body).digest('hex')}"`) return `ETag ${etag} (R2.12)`
  if (vary !== undefined || age !== undefined || pragma !== undefined)
    return 'Vary, Age or Pragma (R6.10, R2.13)'
  const names = got.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
  return new Set(names).size === names.length ? undefined : `a header twice: ${names}`
}

/** Held no longer than the Worker allowed when it gave it, or confirmed it. */
function promiseFault(got: Got, own: readonly Passage[]): string | undefined {
  const until = own
    .filter(({ status, body, headers, at }) =>
      at <= got.receivedAt && status === 304 ? headers.etag === got.headers.etag : body.equals(got.body),
    )
    .map(({ at, headers }) => {
      const maxAge = Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1])
      return at + (maxAge + NGINX_SECONDS) * 1000
    })
  if (until.length === 0) return 'octets that the Worker never gave for this question'
  const late = got.askedAt - Math.max(...until)
  // A new one that the Worker gave for this very request was not held at all.
  if (late <= 0 || own.some(({ at, body }) => at >= got.askedAt && body.equals(got.body))) return undefined
  return `${late} ms longer than max-age (R6.5)`
}
