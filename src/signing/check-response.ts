/** What holds for every response that we publish, whichever way it was made (law 5, R8.1): read back and compared. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BasicOCSPResponse, SingleResponse } from '../ocsp/basic-response.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { encodeExtensions } from '../pkix/extensions.ts'
import { SigningError } from '../ports/errors.ts'
import { equalOctets } from '../responder/equal-octets.ts'

/** One SingleResponse as it was meant. */
export interface MeantSingle {
  readonly hashAlgorithm: HashAlgorithm
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
  readonly serialNumber: Uint8Array
  readonly certStatus: CertStatus
  readonly thisUpdate: UnixSeconds
  readonly nextUpdate: UnixSeconds
  /** DER of Extensions. */
  readonly singleExtensions?: Uint8Array
}

const NONE = new Uint8Array(0)

/**
 * @param meant in the order of the responses
 * @param notAfter of responder certificate and issuer, whichever is earlier
 * @throws SigningError.selfCheckFailed
 */
export function checkResponse(
  { tbsResponseData }: BasicOCSPResponse,
  meant: readonly MeantSingle[],
  notAfter: UnixSeconds,
): void {
  const { responses, producedAt } = tbsResponseData
  if (responses.length !== meant.length)
    failed('a response has another number of SingleResponses than was asked')
  for (const [i, one] of meant.entries()) {
    const single = responses[i]
    if (single === undefined) failed('a SingleResponse is missing')
    checkSingle(single, one, producedAt, notAfter)
  }
}

function checkSingle(
  { certID, certStatus, thisUpdate, nextUpdate, singleExtensions }: SingleResponse,
  meant: MeantSingle,
  producedAt: UnixSeconds,
  notAfter: UnixSeconds,
): void {
  if (hashAlgorithmOf(certID.hashAlgorithm.algorithm) !== meant.hashAlgorithm)
    failed('a CertID has another hash')
  if (!equalOctets(certID.serialNumber, meant.serialNumber)) failed('a response is about another serial')
  if (!equalOctets(certID.issuerKeyHash, meant.issuerKeyHash)) failed('a response is about another issuer')
  if (!equalOctets(certID.issuerNameHash, meant.issuerNameHash)) failed('a response is about another issuer')
  if (!sameStatus(certStatus, meant.certStatus)) failed('a response has another status')
  if (thisUpdate !== meant.thisUpdate || nextUpdate !== meant.nextUpdate) failed('a response has other times')
  const extensions = singleExtensions === undefined ? NONE : encodeExtensions(singleExtensions)
  if (!equalOctets(extensions, meant.singleExtensions ?? NONE))
    failed('a response has other singleExtensions')
  if (thisUpdate > producedAt || nextUpdate <= thisUpdate) failed('times are out of order (R1.62)')
  if (certStatus.type === 'revoked' && certStatus.revocationTime > thisUpdate)
    failed('revocationTime is after thisUpdate (R1.31)')
  if (nextUpdate > notAfter) failed('a response outlives its responder or issuer (R1.66)')
}

export function sameStatus(a: CertStatus, b: CertStatus): boolean {
  if (a.type === 'revoked' && b.type === 'revoked')
    return a.revocationTime === b.revocationTime && a.revocationReason === b.revocationReason
  return a.type === b.type
}

export function failed(message: string): never {
  throw new SigningError('selfCheckFailed', message)
}
