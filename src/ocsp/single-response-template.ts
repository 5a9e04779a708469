/**
 * The fast path of signing and of bundles: ResponseData with one SingleResponse, and the OCSPResponse around it. What is the
 * same for many certificates is encoded once; each response is one allocation of exact size. The bytes are those of
 * encodeResponseData and encodeOCSPResponse.
 */
import { encodeGeneralizedTime, type UnixSeconds } from '../asn1/generalized-time.ts'
import {
  encodeAlgorithmIdentifier,
  type HashAlgorithm,
  hashAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import type { CertStatus } from './cert-status.ts'
import type { ResponderID } from './responder-id.ts'

/** A CertID without its serial number. The AlgorithmIdentifier is written with parameters NULL. */
export interface CertIDVariant {
  readonly hashAlgorithm: HashAlgorithm
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
}

/** What the responses of one signing window have in common. */
export interface SingleResponseWindow {
  readonly responderID: ResponderID
  readonly variant: CertIDVariant
  readonly producedAt: UnixSeconds
  readonly thisUpdate: UnixSeconds
  readonly nextUpdate: UnixSeconds
}

/** One SingleResponse, for `encodeSingleResponseData`. */
export interface SingleResponseContent {
  readonly variant: CertIDVariant
  /** Content octets of the INTEGER. */
  readonly serialNumber: Uint8Array
  readonly certStatus: CertStatus
  readonly thisUpdate: UnixSeconds
  readonly nextUpdate: UnixSeconds
  /** DER of Extensions. */
  readonly singleExtensions?: Uint8Array
}

/** An encoding, and where in it the serial number stands. */
export interface Frame {
  readonly octets: Uint8Array<ArrayBuffer>
  /** Offset of the content octets of the serial number. */
  readonly serialAt: number
}

const SEQUENCE = 0x30
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const GENERALIZED_TIME = 0x18
/** [n], constructed: an EXPLICIT tag, or an IMPLICIT one over a SEQUENCE. */
const CONTEXT_0 = 0xa0
const CONTEXT_1 = 0xa1
const CONTEXT_2 = 0xa2
const GOOD = Uint8Array.of(0x80, 0x00)
const UNKNOWN = Uint8Array.of(0x82, 0x00)
/** Octets of a GeneralizedTime YYYYMMDDHHMMSSZ with tag and length. */
const TIME_BYTES = 17
/** Header of [0] around nextUpdate. */
const NEXT_UPDATE = Uint8Array.of(CONTEXT_0, TIME_BYTES)
/** hashAlgorithm of a CertID, with parameters NULL. */
const HASH_IDENTIFIERS: Readonly<Record<HashAlgorithm, Uint8Array>> = {
  'SHA-1': encodeAlgorithmIdentifier(hashAlgorithmIdentifier('SHA-1')),
  'SHA-256': encodeAlgorithmIdentifier(hashAlgorithmIdentifier('SHA-256')),
  'SHA-384': encodeAlgorithmIdentifier(hashAlgorithmIdentifier('SHA-384')),
  'SHA-512': encodeAlgorithmIdentifier(hashAlgorithmIdentifier('SHA-512')),
}
/** responseStatus successful (0). */
const SUCCESSFUL = Uint8Array.of(0x0a, 0x01, 0x00)
/** responseType id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1. */
const BASIC = Uint8Array.of(0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01)

/**
 * ResponseData ::= SEQUENCE { version [0] DEFAULT v1, responderID, producedAt, responses SEQUENCE OF SingleResponse }
 *
 * Version and responseExtensions are absent; there is one SingleResponse, and it has a nextUpdate.
 * @see RFC 6960 4.2.1
 */
export class SingleResponseTemplate {
  /** responderID and producedAt. */
  readonly #head: Uint8Array
  /** hashAlgorithm, issuerNameHash and issuerKeyHash. */
  readonly #certID: Uint8Array
  /** thisUpdate and [0] nextUpdate. */
  readonly #times: Uint8Array
  /** By the length of the serial number: an encoding for `good` without extensions, which differs from others in the serial alone. */
  readonly #frames: (Frame | undefined)[] = []

  constructor({ responderID, variant, producedAt, thisUpdate, nextUpdate }: SingleResponseWindow) {
    this.#head = concat([encodeResponderID(responderID), encodeTime(producedAt)])
    this.#certID = concat([
      HASH_IDENTIFIERS[variant.hashAlgorithm],
      Uint8Array.of(OCTET_STRING, variant.issuerNameHash.length),
      variant.issuerNameHash,
      Uint8Array.of(OCTET_STRING, variant.issuerKeyHash.length),
      variant.issuerKeyHash,
    ])
    this.#times = concat([encodeTime(thisUpdate), NEXT_UPDATE, encodeTime(nextUpdate)])
  }

  /**
   * DER of ResponseData for one certificate: what is signed. `serial` are the content octets of the INTEGER and
   * `singleExtensions` is DER of Extensions; both are copied as they are. A revocationReason of 0 (unspecified) is left out
   * (RFC 5280 5.3.1, R4.22).
   */
  encode(serial: Uint8Array, certStatus: CertStatus, singleExtensions?: Uint8Array): Uint8Array<ArrayBuffer> {
    return certStatus.type === 'good' && singleExtensions === undefined
      ? this.view(serial, certStatus).slice()
      : this.encodeFrame(serial, certStatus, singleExtensions).octets
  }

  /** As `encode`, in octets that the next call may write over: for those who sign them at once. */
  view(serial: Uint8Array, certStatus: CertStatus, singleExtensions?: Uint8Array): Uint8Array<ArrayBuffer> {
    if (certStatus.type !== 'good' || singleExtensions !== undefined)
      return this.encodeFrame(serial, certStatus, singleExtensions).octets
    let frame = this.#frames[serial.length]
    if (frame === undefined) {
      frame = this.encodeFrame(serial, certStatus)
      this.#frames[serial.length] = frame
    } else frame.octets.set(serial, frame.serialAt)
    return frame.octets
  }

  /** As `encode`, with the place of the serial number. */
  encodeFrame(serial: Uint8Array, certStatus: CertStatus, singleExtensions?: Uint8Array): Frame {
    const [head, certID, times] = [this.#head, this.#certID, this.#times]
    const status = encodeStatus(certStatus)
    const certIDLength = certID.length + tlvSize(serial.length)
    const extensionsSize = singleExtensions === undefined ? 0 : tlvSize(singleExtensions.length)
    const singleLength = tlvSize(certIDLength) + status.length + times.length + extensionsSize
    const responsesLength = tlvSize(singleLength)
    const dataLength = head.length + tlvSize(responsesLength)

    const out = new Uint8Array(tlvSize(dataLength))
    let at = writeHeader(out, 0, SEQUENCE, dataLength)
    at = writeBytes(out, at, head)
    at = writeHeader(out, at, SEQUENCE, responsesLength)
    at = writeHeader(out, at, SEQUENCE, singleLength)
    at = writeHeader(out, at, SEQUENCE, certIDLength)
    at = writeBytes(out, at, certID)
    const serialAt = writeHeader(out, at, INTEGER, serial.length)
    at = writeBytes(out, serialAt, serial)
    at = writeBytes(out, at, status)
    at = writeBytes(out, at, times)
    if (singleExtensions !== undefined) {
      at = writeHeader(out, at, CONTEXT_1, singleExtensions.length)
      writeBytes(out, at, singleExtensions)
    }
    return { octets: out, serialAt }
  }
}

/** DER of ResponseData with one SingleResponse, for callers that need only one: see SingleResponseTemplate. */
export function encodeSingleResponseData(
  responderID: ResponderID,
  producedAt: UnixSeconds,
  single: SingleResponseContent,
): Uint8Array<ArrayBuffer> {
  const { variant, thisUpdate, nextUpdate } = single
  const template = new SingleResponseTemplate({ responderID, variant, producedAt, thisUpdate, nextUpdate })
  return template.encode(single.serialNumber, single.certStatus, single.singleExtensions)
}

interface ResponseFrame extends Frame {
  /** Offset of the value of the BIT STRING. */
  readonly signatureAt: number
}

/** Lengths of serial number and signature of which frames are kept: a CA has few. */
const MAX_FRAMES = 12

/** Whole OCSPResponses of one window and hash by one signer, about one certificate each. */
export class OCSPResponseTemplate {
  readonly #data: SingleResponseTemplate
  readonly #signatureAlgorithm: Uint8Array
  readonly #certs: readonly Uint8Array[]
  /** For `good` without extensions, by the lengths of serial number and signature: nothing else differs. */
  readonly #frames = new Map<number, ResponseFrame>()
  /** Whether the view that was given last is a frame. */
  #isFrame = false

  /** @param signatureAlgorithm DER @param certs DER, none where the CA signs itself */
  constructor(window: SingleResponseWindow, signatureAlgorithm: Uint8Array, certs: readonly Uint8Array[]) {
    this.#data = new SingleResponseTemplate(window)
    this.#signatureAlgorithm = signatureAlgorithm
    this.#certs = certs
  }

  /** DER of the OCSPResponse. Arguments as in `SingleResponseTemplate.encode` and `assembleOCSPResponse`. */
  response(
    serial: Uint8Array,
    certStatus: CertStatus,
    signature: Uint8Array,
    singleExtensions?: Uint8Array,
  ): Uint8Array<ArrayBuffer> {
    const octets = this.view(serial, certStatus, signature, singleExtensions)
    return this.#isFrame ? octets.slice() : octets
  }

  /** As `response`, in octets that the next call may write over: for those who read them and have done. */
  view(
    serial: Uint8Array,
    certStatus: CertStatus,
    signature: Uint8Array,
    singleExtensions?: Uint8Array,
  ): Uint8Array<ArrayBuffer> {
    const isFramed = certStatus.type === 'good' && singleExtensions === undefined
    const key = isFramed ? serial.length * 0x10000 + signature.length : -1
    const frame = this.#frames.get(key)
    this.#isFrame = frame !== undefined
    if (frame !== undefined) {
      frame.octets.set(serial, frame.serialAt)
      frame.octets.set(signature, frame.signatureAt)
      return frame.octets
    }
    const data = this.#data.encodeFrame(serial, certStatus, singleExtensions)
    const made = assemble(data.octets, this.#signatureAlgorithm, signature, this.#certs)
    const { octets, tbsAt, signatureAt } = made
    if (isFramed && this.#frames.size < MAX_FRAMES) {
      this.#frames.set(key, { octets, serialAt: tbsAt + data.serialAt, signatureAt })
      this.#isFrame = true
    }
    return octets
  }
}

/**
 * DER of a successful OCSPResponse from its signed parts. `tbsResponseData` and `signatureAlgorithm` are DER and copied as
 * they are, `signature` is the value of the BIT STRING without the count of unused bits, which is 0. No certs: the field is
 * left out (R1.59).
 * @see RFC 6960 4.2.1
 */
export function assembleOCSPResponse(
  tbsResponseData: Uint8Array,
  signatureAlgorithm: Uint8Array,
  signature: Uint8Array,
  certs: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  return assemble(tbsResponseData, signatureAlgorithm, signature, certs).octets
}

function assemble(
  tbsResponseData: Uint8Array,
  signatureAlgorithm: Uint8Array,
  signature: Uint8Array,
  certs: readonly Uint8Array[],
): Omit<ResponseFrame, 'serialAt'> & { readonly tbsAt: number } {
  let certsLength = 0
  for (const cert of certs) certsLength += cert.length
  const certsSize = certsLength === 0 ? 0 : tlvSize(tlvSize(certsLength))
  const basicLength =
    tbsResponseData.length + signatureAlgorithm.length + tlvSize(signature.length + 1) + certsSize
  const basicSize = tlvSize(basicLength)
  const responseBytesLength = BASIC.length + tlvSize(basicSize)
  const responseBytesSize = tlvSize(responseBytesLength)
  const responseLength = SUCCESSFUL.length + tlvSize(responseBytesSize)

  const out = new Uint8Array(tlvSize(responseLength))
  let at = writeHeader(out, 0, SEQUENCE, responseLength)
  at = writeBytes(out, at, SUCCESSFUL)
  at = writeHeader(out, at, CONTEXT_0, responseBytesSize)
  at = writeHeader(out, at, SEQUENCE, responseBytesLength)
  at = writeBytes(out, at, BASIC)
  at = writeHeader(out, at, OCTET_STRING, basicSize)
  at = writeHeader(out, at, SEQUENCE, basicLength)
  const tbsAt = at
  at = writeBytes(out, at, tbsResponseData)
  at = writeBytes(out, at, signatureAlgorithm)
  // The octet after the header is the number of unused bits, 0 as allocated.
  const signatureAt = writeHeader(out, at, BIT_STRING, signature.length + 1) + 1
  at = writeBytes(out, signatureAt, signature)
  if (certsLength > 0) {
    at = writeHeader(out, at, CONTEXT_0, tlvSize(certsLength))
    at = writeHeader(out, at, SEQUENCE, certsLength)
    for (const cert of certs) at = writeBytes(out, at, cert)
  }
  return { octets: out, tbsAt, signatureAt }
}

function encodeResponderID(responderID: ResponderID): Uint8Array {
  return 'byKey' in responderID
    ? tlv(CONTEXT_2, tlv(OCTET_STRING, responderID.byKey))
    : tlv(CONTEXT_1, responderID.byName)
}

function encodeStatus(certStatus: CertStatus): Uint8Array {
  if (certStatus.type === 'good') return GOOD
  if (certStatus.type === 'unknown') return UNKNOWN
  const reason = certStatus.revocationReason ?? 0
  const length = reason === 0 ? TIME_BYTES : TIME_BYTES + 5
  const out = new Uint8Array(2 + length)
  const at = writeBytes(out, writeHeader(out, 0, CONTEXT_1, length), encodeTime(certStatus.revocationTime))
  if (reason !== 0) writeBytes(out, at, Uint8Array.of(CONTEXT_0, 0x03, 0x0a, 0x01, reason))
  return out
}

function encodeTime(time: UnixSeconds): Uint8Array {
  const out = new Uint8Array(TIME_BYTES)
  writeBytes(out, writeHeader(out, 0, GENERALIZED_TIME, TIME_BYTES - 2), encodeGeneralizedTime(time))
  return out
}

function tlv(tag: number, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(tlvSize(content.length))
  writeBytes(out, writeHeader(out, 0, tag, content.length), content)
  return out
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) at = writeBytes(out, at, part)
  return out
}

/** Octets of a TLV with a one-octet tag and a content of `length` octets. */
function tlvSize(length: number): number {
  if (length < 0x80) return 2 + length
  if (length < 0x100) return 3 + length
  if (length < 0x10000) return 4 + length
  return (length < 0x1000000 ? 5 : 6) + length
}

function writeHeader(out: Uint8Array, at: number, tag: number, length: number): number {
  out[at] = tag
  if (length < 0x80) {
    out[at + 1] = length
    return at + 2
  }
  const octets = tlvSize(length) - length - 2
  out[at + 1] = 0x80 | octets
  for (let i = 0; i < octets; i++) out[at + 2 + i] = length >>> (8 * (octets - 1 - i))
  return at + 2 + octets
}

function writeBytes(out: Uint8Array, at: number, bytes: Uint8Array): number {
  out.set(bytes, at)
  return at + bytes.length
}
