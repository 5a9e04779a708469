/** What an answer says, for those who read no DER. */
import { OID } from '../asn1/oid.ts'
import {
  decodeOCSPRequest,
  decodeSuccessfulResponse,
  type OCSPResponseStatus,
  type SingleResponse,
} from '../ocsp/index.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import type { Extension } from '../pkix/extensions.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import { formatTime } from './duration.ts'
import { messageOf } from './exit.ts'

export interface AnswerView {
  readonly responseStatus: OCSPResponseStatus
  readonly octets: number
  /** Why it is an error. */
  readonly reason?: string
  readonly producedAt?: string
  /** `absent`: the request has one and the response has not. */
  readonly nonce?: 'echoed' | 'absent' | 'notSent'
  /** One for each CertID, in the order of the request. */
  readonly statuses?: readonly StatusView[]
}

interface StatusView {
  readonly serial: string
  readonly hash: string
  readonly certStatus: string
  readonly revocationTime?: string
  readonly revocationReason?: string
  readonly thisUpdate: string
  readonly nextUpdate?: string
}

/** Why the responder declines, by the reason of its error. */
const REASONS: Readonly<Record<string, string>> = {
  unknownIssuer: 'the request is about an issuer that we do not answer for',
  unsupportedHash: 'its CertID is made with a hash that we do not know',
  mixedIssuers: 'it asks for certificates of several issuers',
  unknownSerial: 'no certificate of that serial number is recorded',
  signatureMissing: 'this issuer answers signed requests only',
  signatureRefused: 'its signature is wrong, or of nobody who may ask',
}

interface AnswerLike {
  readonly responseStatus: OCSPResponseStatus
  readonly der: Uint8Array
  readonly error?: unknown
}

/** @param request what was answered */
export function viewAnswer({ responseStatus, der, error }: AnswerLike, request: Uint8Array): AnswerView {
  if (responseStatus !== 'successful') return { responseStatus, octets: der.length, reason: reasonOf(error) }
  const { producedAt, responses, responseExtensions } = decodeSuccessfulResponse(der).tbsResponseData
  const echoed = hasNonce(responseExtensions)
  const sent = hasNonce(decodeOCSPRequest(request).tbsRequest.requestExtensions)
  return {
    responseStatus,
    octets: der.length,
    producedAt: formatTime(producedAt),
    nonce: echoed ? 'echoed' : sent ? 'absent' : 'notSent',
    statuses: responses.map(viewStatus),
  }
}

function hasNonce(extensions: readonly Extension[] | undefined): boolean {
  return extensions?.some(({ extnID }) => extnID === OID.ocspNonce) === true
}

function viewStatus({ certID, certStatus, thisUpdate, nextUpdate }: SingleResponse): StatusView {
  const { algorithm } = certID.hashAlgorithm
  const revoked = certStatus.type === 'revoked' ? certStatus : undefined
  const reason = revoked?.revocationReason
  return {
    serial: formatSerial(certID.serialNumber),
    hash: hashAlgorithmOf(algorithm) ?? algorithm,
    certStatus: certStatus.type,
    ...(revoked === undefined ? {} : { revocationTime: formatTime(revoked.revocationTime) }),
    ...(reason === undefined ? {} : { revocationReason: crlReasonName(reason) ?? `reason ${reason}` }),
    thisUpdate: formatTime(thisUpdate),
    ...(nextUpdate === undefined ? {} : { nextUpdate: formatTime(nextUpdate) }),
  }
}

function reasonOf(error: unknown): string {
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : ''
  return REASONS[reason] ?? messageOf(error)
}
