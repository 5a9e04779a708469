/** Requests and responses as plain trees with the RFC's field names, for `decode`: as JSON, or indented for people. */
import { X509Certificate } from 'node:crypto'
import { DERReader } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import {
  type BasicOCSPResponse,
  type CertID,
  decodeBasicOCSPResponse,
  decodeNonce,
  decodeOCSPRequest,
  decodeOCSPResponse,
  type ResponderID,
  type Signature,
  type SingleResponse,
  statusCode,
} from '../ocsp/index.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import type { Extension } from '../pkix/extensions.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import { hex, oneLine } from './certificate.ts'
import { formatTime } from './duration.ts'

export type Tree =
  | string
  | number
  | boolean
  | undefined
  | readonly Tree[]
  | { readonly [field: string]: Tree }

/** Names of what stands in practice where an OID may stand; others stay dotted. */
const OID_NAMES: ReadonlyMap<string, string> = new Map([
  [OID.ocspBasic, 'id-pkix-ocsp-basic'],
  [OID.ocspNonce, 'id-pkix-ocsp-nonce'],
  [OID.ocspCRL, 'id-pkix-ocsp-crl'],
  [OID.ocspResponse, 'id-pkix-ocsp-response'],
  [OID.ocspArchiveCutoff, 'id-pkix-ocsp-archive-cutoff'],
  [OID.ocspServiceLocator, 'id-pkix-ocsp-service-locator'],
  [OID.ocspPreferredSignatureAlgorithms, 'id-pkix-ocsp-pref-sig-algs'],
  [OID.ocspExtendedRevoke, 'id-pkix-ocsp-extended-revoke'],
  ['1.2.840.113549.1.1.5', 'sha1WithRSAEncryption'],
  [OID.sha256WithRSAEncryption, 'sha256WithRSAEncryption'],
  ['1.2.840.113549.1.1.12', 'sha384WithRSAEncryption'],
  ['1.2.840.113549.1.1.13', 'sha512WithRSAEncryption'],
  [OID.rsassaPss, 'rsassaPss'],
  ['1.2.840.10045.4.1', 'ecdsa-with-SHA1'],
  [OID.ecdsaWithSHA256, 'ecdsa-with-SHA256'],
  [OID.ecdsaWithSHA384, 'ecdsa-with-SHA384'],
  [OID.ecdsaWithSHA512, 'ecdsa-with-SHA512'],
  [OID.ed25519, 'Ed25519'],
])

/** A request begins with the SEQUENCE of what is signed, a response with its status. */
export function isResponse(der: Uint8Array): boolean {
  const inner = new DERReader(der).raw(0x30)
  // The status is an ENUMERATED of one octet: an OCSPResponse has its tag where the content begins.
  const long = (inner[1] ?? 0) >= 0x80 ? (inner[1] ?? 0) & 0x7f : 0
  return inner[2 + long] === 0x0a
}

/** @throws DERError, OCSPDecodeError */
export function viewMessage(der: Uint8Array): Tree {
  return isResponse(der) ? { OCSPResponse: viewResponse(der) } : { OCSPRequest: viewRequest(der) }
}

function viewRequest(der: Uint8Array): Tree {
  const { tbsRequest, optionalSignature } = decodeOCSPRequest(der)
  return {
    octets: der.length,
    ...(tbsRequest.versionExplicit ? { version: 'v1 (written out)' } : {}),
    ...(tbsRequest.requestorName === undefined ? {} : { requestorName: hex(tbsRequest.requestorName) }),
    requestList: tbsRequest.requestList.map(({ reqCert, singleRequestExtensions }) => ({
      reqCert: viewCertID(reqCert),
      ...viewExtensions('singleRequestExtensions', singleRequestExtensions),
    })),
    ...viewExtensions('requestExtensions', tbsRequest.requestExtensions),
    ...(optionalSignature === undefined ? {} : { optionalSignature: viewSignature(optionalSignature) }),
  }
}

function viewResponse(der: Uint8Array): Tree {
  const response = decodeOCSPResponse(der)
  const responseStatus = `${response.responseStatus} (${statusCode(response.responseStatus)})`
  if (response.responseStatus !== 'successful') return { octets: der.length, responseStatus }
  const { responseType, response: content } = response.responseBytes
  return {
    octets: der.length,
    responseStatus,
    responseType: nameOf(responseType),
    ...(responseType === OID.ocspBasic
      ? { BasicOCSPResponse: viewBasic(decodeBasicOCSPResponse(content)) }
      : { response: hex(content) }),
  }
}

function viewBasic(basic: BasicOCSPResponse): Tree {
  const { responderID, producedAt, responses, responseExtensions, versionExplicit } = basic.tbsResponseData
  return {
    ...(versionExplicit ? { version: 'v1 (written out)' } : {}),
    responderID: viewResponderID(responderID),
    producedAt: formatTime(producedAt),
    responses: responses.map(viewSingle),
    ...viewExtensions('responseExtensions', responseExtensions),
    ...viewSignature(basic),
  }
}

function viewSingle({ certID, certStatus, thisUpdate, nextUpdate, singleExtensions }: SingleResponse): Tree {
  const reason = certStatus.type === 'revoked' ? certStatus.revocationReason : undefined
  return {
    certID: viewCertID(certID),
    certStatus: certStatus.type,
    ...(certStatus.type === 'revoked' ? { revocationTime: formatTime(certStatus.revocationTime) } : {}),
    ...(reason === undefined
      ? {}
      : { revocationReason: `${crlReasonName(reason) ?? 'undefined'} (${reason})` }),
    thisUpdate: formatTime(thisUpdate),
    ...(nextUpdate === undefined ? {} : { nextUpdate: formatTime(nextUpdate) }),
    ...viewExtensions('singleExtensions', singleExtensions),
  }
}

function viewCertID({ hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }: CertID): Tree {
  return {
    hashAlgorithm: hashAlgorithmOf(hashAlgorithm.algorithm) ?? nameOf(hashAlgorithm.algorithm),
    issuerNameHash: hex(issuerNameHash),
    issuerKeyHash: hex(issuerKeyHash),
    serialNumber: formatSerial(serialNumber),
  }
}

function viewResponderID(id: ResponderID): Tree {
  if ('byKey' in id) return { byKey: hex(id.byKey) }
  return { byName: hex(id.byName) }
}

function viewSignature({ signatureAlgorithm, signature, certs }: Signature): {
  readonly [field: string]: Tree
} {
  return {
    signatureAlgorithm: nameOf(signatureAlgorithm.algorithm),
    signature: hex(signature),
    ...(certs === undefined ? {} : { certs: certs.map(viewCertificate) }),
  }
}

/** A certificate that node:crypto cannot read is shown as what it is: octets. */
function viewCertificate(der: Uint8Array): Tree {
  try {
    const { subject, issuer, serialNumber, validFromDate, validToDate } = new X509Certificate(der)
    const time = (date: Date) => formatTime(Math.floor(date.getTime() / 1000))
    return {
      subject: oneLine(subject),
      issuer: oneLine(issuer),
      serialNumber: serialNumber.toLowerCase(),
      notBefore: time(validFromDate),
      notAfter: time(validToDate),
    }
  } catch {
    return hex(der)
  }
}

function viewExtensions(
  field: string,
  list: readonly Extension[] | undefined,
): { readonly [field: string]: Tree } {
  if (list === undefined) return {}
  return {
    [field]: list.map(({ extnID, critical, extnValue }) => ({
      extnID: nameOf(extnID),
      ...(critical ? { critical } : {}),
      ...(extnID === OID.ocspNonce ? viewNonce(extnValue) : { extnValue: hex(extnValue) }),
    })),
  }
}

function viewNonce(extnValue: Uint8Array): { readonly [field: string]: Tree } {
  const { length } = decodeNonce(extnValue)
  return { nonce: hex(extnValue.subarray(extnValue.length - length)), nonceOctets: length }
}

function nameOf(oid: string): string {
  const name = OID_NAMES.get(oid)
  return name === undefined ? oid : name
}

/** Indented lines: `field: value`, nested fields below their name, list elements numbered. */
export function formatTree(tree: Tree, indent = ''): string[] {
  if (typeof tree !== 'object') return [`${indent}${tree}`]
  const entries = isList(tree)
    ? tree.map((value, index) => [`${index + 1}.`, value] as const)
    : Object.entries(tree).map(([field, value]) => [`${field}:`, value] as const)
  return entries.flatMap(([label, value]) => {
    if (value === undefined) return []
    if (typeof value !== 'object') return [`${indent}${label} ${value}`]
    if (isList(value) && value.length === 0) return [`${indent}${label} (empty)`]
    return [`${indent}${label}`, ...formatTree(value, `${indent}  `)]
  })
}

/** Array.isArray does not narrow readonly arrays. */
function isList(tree: Tree): tree is readonly Tree[] {
  return Array.isArray(tree)
}
