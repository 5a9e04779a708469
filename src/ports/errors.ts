/**
 * The failures of answering, and the one place where each becomes an OCSPResponseStatus (RFC 6960 2.3).
 * The wire gets the status; log and metric get class, reason and facts.
 */
import { DERError } from '../asn1/error.ts'
import { OCSPDecodeError } from '../ocsp/error.ts'
import type { OCSPResponseStatus } from '../ocsp/response-status.ts'

/** We understood the request, and have no authority to answer it, or want it signed by somebody we know. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused'
  readonly reason:
    | 'unknownIssuer'
    | 'unsupportedHash'
    | 'mixedIssuers'
    | 'unknownSerial'
    | 'signatureMissing'
    | 'signatureRefused'
  constructor(reason: RequestRefused['reason']) {
    super(reason)
    this.reason = reason
  }
}

/** A store did not answer, answered nonsense, or its budget is spent. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  /**
   * `reserved`: the serial is spoken for, and whether it was issued is not known yet (R1.42). `elsewhere`: another database has
   * certificates of such a hash (ADR 0016).
   */
  readonly reason:
    | 'unavailable'
    | 'overBudget'
    | 'corrupt'
    | 'overlayUnreadable'
    | 'notSetUp'
    | 'reserved'
    | 'elsewhere'
  constructor(reason: StorageError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** The signer of an issuer cannot sign. */
export class SigningError extends Error {
  override readonly name = 'SigningError'
  readonly reason:
    | 'keyMissing'
    | 'keyUnreadable'
    | 'signFailed'
    | 'responderExpired'
    | 'selfCheckFailed'
    | 'frozen'
  constructor(reason: SigningError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** There is an answer, but none that is still fresh enough to leave. */
export class FreshnessError extends Error {
  override readonly name = 'FreshnessError'
  readonly reason: 'noCurrentResponse' | 'overtaken'
  constructor(reason: FreshnessError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

type ErrorStatus = Exclude<OCSPResponseStatus, 'successful'>

/** The status an error leaves us with. Whatever we did not foresee is a bug, and internalError. */
export function toResponseStatus(error: unknown): ErrorStatus {
  if (error instanceof DERError || error instanceof OCSPDecodeError) return 'malformedRequest'
  if (error instanceof RequestRefused)
    return error.reason === 'signatureMissing' ? 'sigRequired' : 'unauthorized'
  if (error instanceof StorageError) return error.reason === 'corrupt' ? 'internalError' : 'tryLater'
  if (error instanceof FreshnessError) return 'tryLater'
  return 'internalError'
}
