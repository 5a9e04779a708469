/** May this response be believed? Signer, signature, CertID, nonce and times (RFC 6960 3.2). */
import { constants, createHash, type KeyObject, verify } from 'node:crypto'
import { DERReader } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import {
  type BasicOCSPResponse,
  type CertID,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  type ResponderID,
  type SingleResponse,
  signedOctets,
} from '../ocsp/index.ts'
import {
  type AlgorithmIdentifier,
  hashAlgorithmOf,
  readAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import { type CertificateFile, oneLine, parseCertificate } from './certificate.ts'
import { formatTime } from './duration.ts'
import { CLIError, EXIT } from './exit.ts'
import type { Question } from './ocsp-exchange.ts'

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
/** Clocks of clients and responders differ. */
const SKEW_SECONDS = 300

/** Signature algorithms by OID; a hash of null: the algorithm hashes by itself. SHA-1 and older are not among them. */
const ALGORITHMS: ReadonlyMap<string, { readonly hash: string | null; readonly keys: readonly string[] }> =
  new Map([
    ['1.2.840.113549.1.1.11', { hash: 'sha256', keys: ['rsa'] }],
    ['1.2.840.113549.1.1.12', { hash: 'sha384', keys: ['rsa'] }],
    ['1.2.840.113549.1.1.13', { hash: 'sha512', keys: ['rsa'] }],
    ['1.2.840.10045.4.3.2', { hash: 'sha256', keys: ['ec'] }],
    ['1.2.840.10045.4.3.3', { hash: 'sha384', keys: ['ec'] }],
    ['1.2.840.10045.4.3.4', { hash: 'sha512', keys: ['ec'] }],
    ['1.3.101.112', { hash: null, keys: ['ed25519'] }],
    ['1.3.101.113', { hash: null, keys: ['ed448'] }],
  ])

export interface Verified {
  readonly single: SingleResponse
  readonly producedAt: number
  readonly signer: CertificateFile
  readonly signedBy: 'issuer' | 'delegate'
  /** `absent`: sent, and left out of the answer, which a responder may do (RFC 9654 2.1). */
  readonly nonce: 'notSent' | 'echoed' | 'absent'
}

/** @throws CLIError (3) that says what is wrong with the response */
export function verifyResponse(
  der: Uint8Array,
  question: Question,
  issuer: CertificateFile,
  now: number,
): Verified {
  const basic = decodeSuccessfulResponse(der)
  const { tbsResponseData } = basic
  const { signer, signedBy } = findSigner(basic, issuer, now)
  checkSignature(der, basic, signer)
  const single = tbsResponseData.responses.find((one) => sameCertID(one.certID, question.certID))
  if (single === undefined) throw distrust('it is about another certificate than was asked for')
  checkTimes(single, now)
  return {
    single,
    producedAt: tbsResponseData.producedAt,
    signer,
    signedBy,
    nonce: checkNonce(basic, question),
  }
}

function distrust(reason: string, hint?: string): CLIError {
  return new CLIError(EXIT.unknown, `the response cannot be believed: ${reason}`, hint, {
    code: 'notVerified',
  })
}

/** The issuer itself, or a certificate in the response that the issuer made for signing OCSP (RFC 6960 4.2.2.2). */
function findSigner(
  { tbsResponseData, certs }: BasicOCSPResponse,
  issuer: CertificateFile,
  now: number,
): Pick<Verified, 'signer' | 'signedBy'> {
  const { responderID } = tbsResponseData
  if (isNamed(responderID, issuer)) return { signer: issuer, signedBy: 'issuer' }
  const delegates = (certs ?? []).map((der) => parseCertificate(der, 'certificate in the response'))
  const signer = delegates.find((candidate) => isNamed(responderID, candidate))
  if (signer === undefined) {
    throw distrust(
      'its signer is neither the issuer nor a certificate in the response',
      `Is ${issuer.path} the issuer of the certificate? Responders that are trusted apart are not supported.`,
    )
  }
  const name = oneLine(signer.x509.subject)
  if (!signer.x509.checkIssued(issuer.x509) || !signer.x509.verify(issuer.x509.publicKey)) {
    throw distrust(`its signer, ${name}, was not certified by the issuer`)
  }
  if (!signer.x509.keyUsage?.includes(OCSP_SIGNING)) {
    throw distrust(`its signer, ${name}, may not sign OCSP (no extended key usage OCSPSigning)`)
  }
  if (now < signer.notBefore - SKEW_SECONDS || now > signer.notAfter) {
    throw distrust(
      `the certificate of its signer, ${name}, is valid ${formatTime(signer.notBefore)} to ${formatTime(signer.notAfter)}`,
    )
  }
  return { signer, signedBy: 'delegate' }
}

function isNamed(id: ResponderID, certificate: CertificateFile): boolean {
  if ('byName' in id) return sameOctets(id.byName, certificate.subjectDER)
  return sameOctets(id.byKey, createHash('sha1').update(certificate.publicKeyBits).digest())
}

function checkSignature(der: Uint8Array, basic: BasicOCSPResponse, signer: CertificateFile): void {
  const response = decodeOCSPResponse(der)
  if (response.responseStatus !== 'successful') throw distrust('it is an error, and errors are not signed')
  const tbs = signedOctets(response.responseBytes.response)
  if (!isSignedBy(tbs, basic, signer.x509.publicKey)) {
    throw distrust(`its signature is not of ${oneLine(signer.x509.subject)}, or it was altered on the way`)
  }
}

function isSignedBy(
  tbs: Uint8Array,
  { signatureAlgorithm, signature }: BasicOCSPResponse,
  key: KeyObject,
): boolean {
  const { algorithm } = signatureAlgorithm
  if (algorithm === OID.rsassaPss) return isPSSSignedBy(tbs, signatureAlgorithm, signature, key)
  const known = ALGORITHMS.get(algorithm)
  if (known === undefined) throw distrust(`its signature algorithm ${algorithm} is unknown or too weak`)
  if (!known.keys.includes(key.asymmetricKeyType ?? '')) {
    throw distrust(
      `its signature algorithm ${algorithm} does not fit the signer's ${key.asymmetricKeyType ?? 'unknown'} key`,
    )
  }
  return verify(known.hash, tbs, key, signature)
}

/** RSASSA-PSS-params ::= SEQUENCE { [0] hash, [1] mask generation, [2] saltLength INTEGER DEFAULT 20, [3] trailer } (RFC 4055 3.1) */
function isPSSSignedBy(
  tbs: Uint8Array,
  { parameters }: AlgorithmIdentifier,
  signature: Uint8Array,
  key: KeyObject,
): boolean {
  const { hash, saltLength } = new DERReader(parameters ?? Uint8Array.of(0x30, 0)).sequence((fields) => {
    const algorithm = fields.optionalExplicit(0, readAlgorithmIdentifier)?.algorithm ?? OID.sha1
    fields.optionalExplicit(1, (mask) => mask.raw())
    const salt = fields.optionalExplicit(2, (value) => value.integer()) ?? 20
    fields.optionalExplicit(3, (trailer) => trailer.raw())
    return { hash: hashAlgorithmOf(algorithm), saltLength: salt }
  })
  if (hash === undefined || hash === 'SHA-1')
    throw distrust('its RSASSA-PSS signature uses a hash that is unknown or too weak')
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return verify(hash.replace('-', '').toLowerCase(), tbs, { key, padding, saltLength }, signature)
}

/** Parameters NULL and absent mean the same. */
function sameCertID(a: CertID, b: CertID): boolean {
  return (
    a.hashAlgorithm.algorithm === b.hashAlgorithm.algorithm &&
    sameOctets(a.issuerNameHash, b.issuerNameHash) &&
    sameOctets(a.issuerKeyHash, b.issuerKeyHash) &&
    sameOctets(a.serialNumber, b.serialNumber)
  )
}

function checkTimes({ thisUpdate, nextUpdate }: SingleResponse, now: number): void {
  if (thisUpdate > now + SKEW_SECONDS) {
    throw distrust(
      `it is of the future: thisUpdate ${formatTime(thisUpdate)}`,
      'Is the clock of this machine right?',
    )
  }
  if (nextUpdate !== undefined && nextUpdate < now) {
    throw distrust(
      `it is stale: nextUpdate was ${formatTime(nextUpdate)}`,
      'Is the clock of this machine right? Does a cache in between keep old answers?',
    )
  }
}

function checkNonce({ tbsResponseData }: BasicOCSPResponse, { nonce }: Question): Verified['nonce'] {
  const echoed = tbsResponseData.responseExtensions?.find(({ extnID }) => extnID === OID.ocspNonce)
  if (nonce === undefined) return 'notSent'
  if (echoed === undefined) return 'absent'
  if (sameOctets(echoed.extnValue, nonce)) return 'echoed'
  throw distrust('it bears another nonce than was sent: a replay')
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
