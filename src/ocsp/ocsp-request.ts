import { DERReader } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import { DERError } from '../asn1/error.ts'
import { OID } from '../asn1/oid.ts'
import { type Extension, type ExtensionCheck, readExtensions, writeExtensions } from '../pkix/extensions.ts'
import { type CertID, readCertID, writeCertID } from './cert-id.ts'
import { OCSPDecodeError } from './error.ts'
import { decodeNonce, isNonceLengthAllowed, type Nonce } from './nonce.ts'
import { readSignatureFields, type Signature, writeSignatureFields } from './signature.ts'

/** Request ::= SEQUENCE { reqCert CertID, singleRequestExtensions [0] EXPLICIT Extensions OPTIONAL } */
export interface SingleRequest {
  readonly reqCert: CertID
  /** Empty when the field was there without an extension (R1.9). */
  readonly singleRequestExtensions?: readonly Extension[]
}

/**
 * TBSRequest ::= SEQUENCE { version [0] EXPLICIT Version DEFAULT v1, requestorName [1] EXPLICIT GeneralName OPTIONAL,
 *   requestList SEQUENCE OF Request, requestExtensions [2] EXPLICIT Extensions OPTIONAL }
 * @see RFC 6960 4.1.1
 */
export interface TBSRequest {
  /** v1 was written out. DER leaves a default out, but clients do this (R1.3). */
  readonly versionExplicit: boolean
  /** The whole GeneralName element. */
  readonly requestorName?: Uint8Array
  readonly requestList: readonly SingleRequest[]
  /** Empty when the field was there without an extension (R1.9). */
  readonly requestExtensions?: readonly Extension[]
}

/** OCSPRequest ::= SEQUENCE { tbsRequest TBSRequest, optionalSignature [0] EXPLICIT Signature OPTIONAL } @see RFC 6960 4.1.1 */
export interface OCSPRequest {
  readonly tbsRequest: TBSRequest
  readonly optionalSignature?: Signature
}

export interface RequestLimits {
  /** Most CertIDs in one request, 100 unless told (R1.12). */
  readonly maxRequests?: number
}

const DEFAULT_MAX_REQUESTS = 100
const MAX_EXTENSIONS_PER_LIST = 32
const MAX_EXTENSIONS = 256
/** Elements of a request before its list, and of one Request with its extensions: the bound of the work (R1.12). */
const BASE_ELEMENTS = 1000
const ELEMENTS_PER_REQUEST = 40

/**
 * Extensions that may be critical because we know what they ask for; what we do not act on we may lawfully ignore
 * (RFC 6960 4.4, R1.7, R1.82, R1.85).
 */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.ocspNonce,
  OID.ocspCRL,
  OID.ocspResponse,
  OID.ocspArchiveCutoff,
  OID.ocspServiceLocator,
  OID.ocspPreferredSignatureAlgorithms,
  OID.ocspExtendedRevoke,
])

/**
 * Decodes a whole OCSPRequest. The work is bounded whatever the input. Octets in the value are views into `der`.
 * @throws DERError for bytes that are not DER, OCSPDecodeError for DER that is not a lawful request: both answer malformedRequest
 */
export function decodeOCSPRequest(der: Uint8Array, limits: RequestLimits = {}): OCSPRequest {
  const maxRequests = limits.maxRequests ?? DEFAULT_MAX_REQUESTS
  const reader = new DERReader(der, 0, der.length, maxElements(maxRequests))
  return readOCSPRequest(reader, maxRequests)
}

/** Elements that the decoder visits at most. */
export function maxElements(maxRequests: number): number {
  return BASE_ELEMENTS + ELEMENTS_PER_REQUEST * maxRequests
}

/** As decodeOCSPRequest, with a reader of the caller's. */
export function readOCSPRequest(reader: DERReader, maxRequests: number): OCSPRequest {
  const check = extensionCheck()
  const request = reader.sequence((r) => {
    const tbsRequest = r.sequence((t) => readTBSRequest(t, maxRequests, check))
    const optionalSignature = r.optionalExplicit(0, readSignature)
    return optionalSignature === undefined ? { tbsRequest } : { tbsRequest, optionalSignature }
  })
  reader.finish()
  return request
}

function readTBSRequest(reader: DERReader, maxRequests: number, check: ExtensionCheck): TBSRequest {
  const versionOffset = reader.offset
  const version = reader.optionalExplicit(0, readVersion)
  if (version !== undefined && version !== 0) throw new OCSPDecodeError('badVersion', versionOffset)
  const requestorName = reader.optionalExplicit(1, readGeneralName)
  const listOffset = reader.offset
  const requestList = reader.sequence((list) => {
    if (list.atEnd) throw new OCSPDecodeError('emptyRequestList', listOffset)
    if (list.countElements(maxRequests) > maxRequests) {
      throw new OCSPDecodeError('tooManyRequests', listOffset, `more than ${maxRequests}`)
    }
    const requests: SingleRequest[] = []
    do requests.push(list.sequence((r) => readSingleRequest(r, check)))
    while (!list.atEnd)
    return requests
  })
  const requestExtensions = reader.optionalExplicit(2, (r) => readExtensions(r, check))
  const versionExplicit = version !== undefined
  // Most requests are just a list; the spreads below cost as much as reading a CertID.
  if (requestorName === undefined && requestExtensions === undefined) return { versionExplicit, requestList }
  return {
    versionExplicit,
    ...(requestorName !== undefined && { requestorName }),
    requestList,
    ...(requestExtensions !== undefined && { requestExtensions }),
  }
}

function readSingleRequest(reader: DERReader, check: ExtensionCheck): SingleRequest {
  const reqCert = readCertID(reader)
  if (reader.atEnd) return { reqCert }
  const singleRequestExtensions = reader.explicit(0, (r) => readExtensions(r, check))
  return { reqCert, singleRequestExtensions }
}

function readVersion(reader: DERReader): number {
  return reader.integer()
}

function readSignature(reader: DERReader): Signature {
  return reader.sequence(readSignatureFields)
}

/** GeneralName is a CHOICE of [0]..[8]; only that and its DER are checked, for nobody reads it (R1.5). */
function readGeneralName(reader: DERReader): Uint8Array {
  const tag = reader.peekTag() ?? 0
  if ((tag & 0xc0) !== 0x80 || (tag & 0x1f) > 8)
    throw new DERError('unexpectedTag', reader.offset, 'GeneralName')
  return reader.any()
}

function extensionCheck(): ExtensionCheck {
  let count = 0
  return (extension, offset, earlier) => {
    if (++count > MAX_EXTENSIONS || earlier.length >= MAX_EXTENSIONS_PER_LIST) {
      throw new DERError('tooLarge', offset, 'too many extensions')
    }
    if (extension.critical && !UNDERSTOOD.has(extension.extnID)) {
      throw new OCSPDecodeError('unknownCriticalExtension', offset, extension.extnID)
    }
    for (const before of earlier) {
      if (before.extnID === extension.extnID) {
        throw new OCSPDecodeError('duplicateExtension', offset, extension.extnID)
      }
    }
    if (extension.extnID === OID.ocspNonce) {
      const nonce = decodeNonce(extension.extnValue)
      if (!isNonceLengthAllowed(nonce)) {
        throw new OCSPDecodeError('nonceLength', offset, `${nonce.length} octets`)
      }
    }
  }
}

/** The nonce of a request, undefined when it has none (R3.9). */
export function requestNonce(request: OCSPRequest): Nonce | undefined {
  for (const extension of request.tbsRequest.requestExtensions ?? []) {
    if (extension.extnID === OID.ocspNonce) return decodeNonce(extension.extnValue)
  }
  return undefined
}

/** DER of an OCSPRequest, from its fields alone. @throws DERError for values that have no DER */
export function encodeOCSPRequest(request: OCSPRequest): Uint8Array {
  const { tbsRequest, optionalSignature } = request
  const writer = new DERWriter()
  writer.sequence((w) => {
    w.sequence((t) => writeTBSRequest(tbsRequest, t))
    if (optionalSignature !== undefined) {
      w.explicit(0, (s) => s.sequence((f) => writeSignatureFields(optionalSignature, f)))
    }
  })
  return writer.finish()
}

/** DER of a TBSRequest: of a decoded one, octet for octet what the client sent, and what its signature is over (R1.96). */
export function encodeTBSRequest(tbsRequest: TBSRequest): Uint8Array {
  const writer = new DERWriter()
  writer.sequence((w) => writeTBSRequest(tbsRequest, w))
  return writer.finish()
}

function writeTBSRequest(tbs: TBSRequest, writer: DERWriter): void {
  const { requestorName, requestExtensions } = tbs
  if (tbs.versionExplicit) writer.explicit(0, (w) => w.integer(0))
  if (requestorName !== undefined) writer.explicit(1, (w) => w.raw(requestorName))
  writer.sequenceOf(tbs.requestList, writeSingleRequest)
  if (requestExtensions !== undefined) writer.explicit(2, (w) => writeExtensions(requestExtensions, w))
}

function writeSingleRequest(request: SingleRequest, writer: DERWriter): void {
  const { singleRequestExtensions } = request
  writer.sequence((w) => {
    writeCertID(request.reqCert, w)
    if (singleRequestExtensions !== undefined)
      w.explicit(0, (e) => writeExtensions(singleRequestExtensions, e))
  })
}
