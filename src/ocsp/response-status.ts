/**
 * OCSPResponseStatus ::= ENUMERATED { successful (0), malformedRequest (1), internalError (2), tryLater (3),
 *   sigRequired (5), unauthorized (6) }   -- 4 is not used
 * @see RFC 6960 4.2.1
 */
export type OCSPResponseStatus = 'successful' | ErrorStatus

/** The statuses of an OCSPResponse without responseBytes. */
export type ErrorStatus = 'malformedRequest' | 'internalError' | 'tryLater' | 'sigRequired' | 'unauthorized'

const CODES: Readonly<Record<OCSPResponseStatus, number>> = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
}

/** The number on the wire. */
export function statusCode(status: OCSPResponseStatus): number {
  return CODES[status]
}

/** The status of a number, undefined for 4 and everything above 6. */
export function statusOfCode(code: number): OCSPResponseStatus | undefined {
  switch (code) {
    case 0:
      return 'successful'
    case 1:
      return 'malformedRequest'
    case 2:
      return 'internalError'
    case 3:
      return 'tryLater'
    case 5:
      return 'sigRequired'
    case 6:
      return 'unauthorized'
    default:
      return undefined
  }
}

/** Whole OCSPResponses of 5 octets, one for each error (R1.20). Shared: do not mutate. */
export const ERROR_RESPONSES: Readonly<Record<ErrorStatus, Uint8Array>> = {
  malformedRequest: errorResponse(1),
  internalError: errorResponse(2),
  tryLater: errorResponse(3),
  sigRequired: errorResponse(5),
  unauthorized: errorResponse(6),
}

function errorResponse(code: number): Uint8Array {
  return Uint8Array.of(0x30, 0x03, 0x0a, 0x01, code)
}
