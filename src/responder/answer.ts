/** What `respond` returns: an encoded OCSPResponse and all that headers, log and metric say about it. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OCSPResponseStatus } from '../ocsp/response-status.ts'
import { ERROR_RESPONSES } from '../ocsp/response-status.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import { toResponseStatus } from '../ports/errors.ts'
import type { IssuerPolicy, Sequence } from '../ports/records.ts'
import type { Window } from './windows.ts'
import { refreshAt, UNKNOWN_MAX_AGE_SECONDS } from './windows.ts'

/** Where an answer came from: this isolate, the data centre's cache, a bundle in KV, a pushed answer, a signature made now. */
export type Origin = 'memory' | 'cache' | 'bundle' | 'pushed' | 'live'

/** Where one certificate's status stands in the issuer's sequence. */
export interface Told {
  /** It is true for this position. */
  readonly asOf: Sequence
  /** Position of the change that it tells of; asOf when only that is known. */
  readonly revision: Sequence
}

export interface StatusAnswer extends Window {
  readonly responseStatus: 'successful'
  readonly der: Uint8Array
  readonly origin: Origin
  readonly issuer: number
  readonly certStatus: 'good' | 'revoked' | 'unknown' | 'several'
  /** It tells of a serial that is not recorded: gone a minute after the certificate is (R1.39, R6.8). */
  readonly unrecorded: boolean
  /** Hash of the (first) CertID: counted, to know when SHA-1 may go (R2.2). */
  readonly hashAlgorithm: HashAlgorithm
  readonly profile: IssuerPolicy['profile']
  /** Position in the issuer's sequence that all of it is true for. */
  readonly asOf: Sequence
  /** One for each CertID, in the order of the question. */
  readonly told: readonly Told[]
  /** Bears a nonce: for this request alone (R3.10). */
  readonly personal: boolean
  /** When caches shall ask again: max-age reaches to it, though never to nextUpdate. */
  readonly freshUntil: UnixSeconds
  /** Cap of max-age in seconds. */
  readonly maxAgeSeconds: number
  /** Strong, quoted: hex SHA-256 of `der` (R2.12); empty when personal. */
  readonly etag: string
  /** Producing it again costs what this says: header strings made once. */
  readonly lastModified: string
  readonly expires: string
}

export interface ErrorAnswer {
  readonly responseStatus: Exclude<OCSPResponseStatus, 'successful'>
  readonly der: Uint8Array
  readonly error: unknown
}

/** For final responses, whose nextUpdate is the end of time: a year, as caches expect it (R4.52). */
const LONGEST_MAX_AGE_SECONDS = 31_536_000

export type Answer = StatusAnswer | ErrorAnswer

export interface AnswerFacts {
  readonly der: Uint8Array
  readonly origin: Origin
  readonly issuer: number
  readonly certStatus: StatusAnswer['certStatus']
  readonly unrecorded?: boolean
  readonly hashAlgorithm: HashAlgorithm
  readonly window: Window
  readonly told: readonly Told[]
  readonly personal: boolean
  readonly policy: IssuerPolicy
}

export async function statusAnswer(facts: AnswerFacts): Promise<StatusAnswer> {
  const { der, origin, issuer, certStatus, hashAlgorithm, window, told, personal, policy } = facts
  const { maxAge } = policy
  const unrecorded = facts.unrecorded ?? false
  const { nextUpdate, until } = window
  return {
    responseStatus: 'successful',
    der,
    origin,
    issuer,
    certStatus,
    unrecorded,
    hashAlgorithm,
    profile: policy.profile,
    asOf: Math.min(...told.map(({ asOf }) => asOf)),
    told,
    personal,
    thisUpdate: window.thisUpdate,
    producedAt: window.producedAt,
    nextUpdate,
    ...(until === undefined ? {} : { until }),
    freshUntil: Math.min(maxAge === 'refresh' ? refreshAt(window) : nextUpdate, until ?? nextUpdate),
    maxAgeSeconds: unrecorded
      ? UNKNOWN_MAX_AGE_SECONDS
      : typeof maxAge === 'number'
        ? maxAge
        : LONGEST_MAX_AGE_SECONDS,
    etag: personal ? '' : await strongETag(der),
    lastModified: httpDate(window.producedAt),
    expires: httpDate(window.nextUpdate),
  }
}

export function errorAnswer(error: unknown): ErrorAnswer {
  const responseStatus = toResponseStatus(error)
  return { responseStatus, der: ERROR_RESPONSES[responseStatus], error }
}

/** The same few moments come again and again: those of the windows of a bundle. */
const dates = new Map<UnixSeconds, string>()
const MAX_DATES = 256

/** IMF-fixdate (RFC 9110 5.6.7), always GMT (R2.18). */
export function httpDate(time: UnixSeconds): string {
  const known = dates.get(time)
  if (known !== undefined) return known
  if (dates.size >= MAX_DATES) dates.clear()
  const made = new Date(time * 1000).toUTCString()
  dates.set(time, made)
  return made
}

async function strongETag(der: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bufferSource(der)))
  let tag = '"'
  for (const octet of digest) tag += HEX[octet]
  return `${tag}"`
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'))
