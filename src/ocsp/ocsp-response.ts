import { DERReader } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import { OID } from '../asn1/oid.ts'
import { type BasicOCSPResponse, MAX_RESPONSE_ELEMENTS, readBasicOCSPResponse } from './basic-response.ts'
import { OCSPDecodeError } from './error.ts'
import { type ErrorStatus, statusCode, statusOfCode } from './response-status.ts'

/** ResponseBytes ::= SEQUENCE { responseType OBJECT IDENTIFIER, response OCTET STRING } */
export interface ResponseBytes {
  /** Dotted; id-pkix-ocsp-basic in all that anybody sends. */
  readonly responseType: string
  readonly response: Uint8Array
}

/**
 * OCSPResponse ::= SEQUENCE { responseStatus OCSPResponseStatus, responseBytes [0] EXPLICIT ResponseBytes OPTIONAL }
 * successful has responseBytes, an error has none (R1.20): other pairs cannot be said here.
 * @see RFC 6960 4.2.1
 */
export type OCSPResponse =
  | { readonly responseStatus: 'successful'; readonly responseBytes: ResponseBytes }
  | { readonly responseStatus: ErrorStatus }

/** Octets are views into `der`. @throws DERError, OCSPDecodeError.badStatus */
export function decodeOCSPResponse(der: Uint8Array): OCSPResponse {
  const reader = new DERReader(der)
  const response = reader.sequence(readFields)
  reader.finish()
  return response
}

function readFields(reader: DERReader): OCSPResponse {
  const statusOffset = reader.offset
  const code = reader.enumerated()
  const responseStatus = statusOfCode(code)
  if (responseStatus === undefined) throw new OCSPDecodeError('badStatus', statusOffset, `status ${code}`)
  const bytesOffset = reader.offset
  const responseBytes = reader.optionalExplicit(0, readResponseBytes)
  if (responseStatus === 'successful') {
    if (responseBytes === undefined) {
      throw new OCSPDecodeError('badStatus', bytesOffset, 'successful without responseBytes')
    }
    return { responseStatus, responseBytes }
  }
  if (responseBytes !== undefined) {
    throw new OCSPDecodeError('badStatus', bytesOffset, `${responseStatus} with responseBytes`)
  }
  return { responseStatus }
}

function readResponseBytes(reader: DERReader): ResponseBytes {
  return reader.sequence(readResponseBytesFields)
}

function readResponseBytesFields(reader: DERReader): ResponseBytes {
  return { responseType: reader.oid(), response: reader.octetString() }
}

/** DER of an OCSPResponse, from its fields alone. */
export function encodeOCSPResponse(value: OCSPResponse): Uint8Array<ArrayBuffer> {
  const writer = new DERWriter()
  writer.sequence((w) => {
    w.enumerated(statusCode(value.responseStatus))
    if (value.responseStatus !== 'successful') return
    const { responseType, response } = value.responseBytes
    w.explicit(0, (e) =>
      e.sequence((s) => {
        s.oid(responseType)
        s.octetString(response)
      }),
    )
  })
  return writer.finish()
}

/**
 * The BasicOCSPResponse inside a successful OCSPResponse; offsets in errors count from the start of `der`.
 * @throws DERError, OCSPDecodeError.badStatus for an error response, OCSPDecodeError.badResponseType for another type
 */
export function decodeSuccessfulResponse(der: Uint8Array): BasicOCSPResponse {
  const value = decodeOCSPResponse(der)
  if (value.responseStatus !== 'successful') throw new OCSPDecodeError('badStatus', 0, value.responseStatus)
  const { responseType, response } = value.responseBytes
  if (responseType !== OID.ocspBasic) throw new OCSPDecodeError('badResponseType', 0, responseType)
  const start = response.byteOffset - der.byteOffset
  return readBasicOCSPResponse(new DERReader(der, start, start + response.length, MAX_RESPONSE_ELEMENTS))
}
