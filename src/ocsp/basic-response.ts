import { DERReader, TAG } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { AlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { type Extension, readExtensions, writeExtensions } from '../pkix/extensions.ts'
import { type CertID, readCertID, writeCertID } from './cert-id.ts'
import { type CertStatus, readCertStatus, writeCertStatus } from './cert-status.ts'
import { OCSPDecodeError } from './error.ts'
import { type ResponderID, readResponderID, writeResponderID } from './responder-id.ts'
import { readSignatureFields, writeSignatureFields } from './signature.ts'

/**
 * SingleResponse ::= SEQUENCE { certID CertID, certStatus CertStatus, thisUpdate GeneralizedTime,
 *   nextUpdate [0] EXPLICIT GeneralizedTime OPTIONAL, singleExtensions [1] EXPLICIT Extensions OPTIONAL }
 * @see RFC 6960 4.2.1
 */
export interface SingleResponse {
  readonly certID: CertID
  readonly certStatus: CertStatus
  readonly thisUpdate: UnixSeconds
  readonly nextUpdate?: UnixSeconds
  readonly singleExtensions?: readonly Extension[]
}

/**
 * ResponseData ::= SEQUENCE { version [0] EXPLICIT Version DEFAULT v1, responderID ResponderID, producedAt GeneralizedTime,
 *   responses SEQUENCE OF SingleResponse, responseExtensions [1] EXPLICIT Extensions OPTIONAL }
 */
export interface ResponseData {
  /** v1 was written out, which DER forbids. Ours never is (R1.50). */
  readonly versionExplicit: boolean
  readonly responderID: ResponderID
  readonly producedAt: UnixSeconds
  readonly responses: readonly SingleResponse[]
  readonly responseExtensions?: readonly Extension[]
}

/**
 * BasicOCSPResponse ::= SEQUENCE { tbsResponseData ResponseData, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING,
 *   certs [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL }
 */
export interface BasicOCSPResponse {
  readonly tbsResponseData: ResponseData
  readonly signatureAlgorithm: AlgorithmIdentifier
  /** Octets of the BIT STRING. */
  readonly signature: Uint8Array
  /** Whole certificates, DER; absent when the CA signed itself (R1.59). */
  readonly certs?: readonly Uint8Array[]
}

/** Elements visited at most: room for 300 SingleResponses, and the bound of the work for what others made. */
export const MAX_RESPONSE_ELEMENTS = 6000

/** Octets in the value are views into `der`. @throws DERError, OCSPDecodeError */
export function decodeBasicOCSPResponse(der: Uint8Array): BasicOCSPResponse {
  return readBasicOCSPResponse(new DERReader(der, 0, der.length, MAX_RESPONSE_ELEMENTS))
}

/** Reads to the end of the reader. @throws DERError, OCSPDecodeError */
export function readBasicOCSPResponse(reader: DERReader): BasicOCSPResponse {
  const basic = reader.sequence(readBasicFields)
  reader.finish()
  return basic
}

// Every response of every bundle is read before it is published: objects are written out, because spreads take their time.

function readBasicFields(reader: DERReader): BasicOCSPResponse {
  const tbsResponseData = reader.sequence(readResponseData)
  const { signatureAlgorithm, signature, certs } = readSignatureFields(reader)
  return certs === undefined
    ? { tbsResponseData, signatureAlgorithm, signature }
    : { tbsResponseData, signatureAlgorithm, signature, certs }
}

/** The tbsResponseData element of a BasicOCSPResponse as it stands in `der`: the octets that were signed. @throws DERError */
export function signedOctets(der: Uint8Array): Uint8Array {
  return new DERReader(der).sequence((r) => {
    const tbs = r.raw(TAG.sequence)
    while (!r.atEnd) r.raw()
    return tbs
  })
}

function readResponseData(reader: DERReader): ResponseData {
  const versionOffset = reader.offset
  const version = reader.optionalExplicit(0, readVersion)
  if (version !== undefined && version !== 0) throw new OCSPDecodeError('badVersion', versionOffset)
  const responderID = readResponderID(reader)
  const producedAt = reader.generalizedTime()
  const responses = reader.sequenceOf(readSingleResponse)
  const responseExtensions = reader.optionalExplicit(1, readPlainExtensions)
  const versionExplicit = version !== undefined
  return responseExtensions === undefined
    ? { versionExplicit, responderID, producedAt, responses }
    : { versionExplicit, responderID, producedAt, responses, responseExtensions }
}

function readSingleResponse(reader: DERReader): SingleResponse {
  return reader.sequence(readSingleResponseFields)
}

function readSingleResponseFields(reader: DERReader): SingleResponse {
  const certID = readCertID(reader)
  const certStatus = readCertStatus(reader)
  const thisUpdate = reader.generalizedTime()
  const nextUpdate = reader.optionalExplicit(0, readTime)
  const singleExtensions = reader.optionalExplicit(1, readPlainExtensions)
  if (nextUpdate !== undefined && singleExtensions === undefined)
    return { certID, certStatus, thisUpdate, nextUpdate }
  return {
    certID,
    certStatus,
    thisUpdate,
    ...(nextUpdate !== undefined && { nextUpdate }),
    ...(singleExtensions !== undefined && { singleExtensions }),
  }
}

function readVersion(reader: DERReader): number {
  return reader.integer()
}

function readTime(reader: DERReader): UnixSeconds {
  return reader.generalizedTime()
}

function readPlainExtensions(reader: DERReader): Extension[] {
  return readExtensions(reader)
}

/** DER of ResponseData: what is signed. @throws DERError for values that have no DER */
export function encodeResponseData(data: ResponseData): Uint8Array<ArrayBuffer> {
  const writer = new DERWriter()
  writeResponseData(data, writer)
  return writer.finish()
}

/** DER of a BasicOCSPResponse, from its fields alone. @throws DERError for values that have no DER */
export function encodeBasicOCSPResponse(basic: BasicOCSPResponse): Uint8Array<ArrayBuffer> {
  const writer = new DERWriter()
  writer.sequence((w) => {
    writeResponseData(basic.tbsResponseData, w)
    writeSignatureFields(basic, w)
  })
  return writer.finish()
}

function writeResponseData(data: ResponseData, writer: DERWriter): void {
  const { responseExtensions } = data
  writer.sequence((w) => {
    if (data.versionExplicit) w.explicit(0, (v) => v.integer(0))
    writeResponderID(data.responderID, w)
    w.generalizedTime(data.producedAt)
    w.sequenceOf(data.responses, writeSingleResponse)
    if (responseExtensions !== undefined) w.explicit(1, (e) => writeExtensions(responseExtensions, e))
  })
}

function writeSingleResponse(single: SingleResponse, writer: DERWriter): void {
  const { nextUpdate, singleExtensions } = single
  writer.sequence((w) => {
    writeCertID(single.certID, w)
    writeCertStatus(single.certStatus, w)
    w.generalizedTime(single.thisUpdate)
    if (nextUpdate !== undefined) w.explicit(0, (t) => t.generalizedTime(nextUpdate))
    if (singleExtensions !== undefined) w.explicit(1, (e) => writeExtensions(singleExtensions, e))
  })
}
