/**
 * Makes certificates: for the demonstration PKI and for tests. Nothing of the Worker loads this. The DER is written here
 * and judged by pkijs and openssl in the tests.
 * @see RFC 5280 4.1
 */
import { ObjectIdentifier, PrintableString, Utf8String } from 'asn1js'
import type { UnixSeconds } from '../../asn1/generalized-time.ts'

export interface CertificateExtension {
  readonly extnID: string
  readonly critical: boolean
  /** DER inside the OCTET STRING. */
  readonly value: Uint8Array
}

export interface CertificateTemplate {
  /** Content octets of the INTEGER. */
  readonly serialNumber: Uint8Array
  /** DER Name. */
  readonly issuer: Uint8Array
  /** DER Name. */
  readonly subject: Uint8Array
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly extensions: readonly CertificateExtension[]
}

/** What signs a certificate; a Signer of src/signing fits. */
export interface CertificateSigner {
  readonly signatureAlgorithm: Uint8Array
  sign(tbs: Uint8Array): Promise<Uint8Array>
}

/** @returns DER of the signed X.509 v3 certificate */
export async function issueCertificate(
  template: CertificateTemplate,
  signer: CertificateSigner,
): Promise<Uint8Array> {
  const tbs = sequence(
    tlv(0xa0, tlv(0x02, Uint8Array.of(2))),
    tlv(0x02, template.serialNumber),
    signer.signatureAlgorithm,
    template.issuer,
    sequence(time(template.notBefore), time(template.notAfter)),
    template.subject,
    template.spki,
    ...(template.extensions.length === 0
      ? []
      : [tlv(0xa3, sequence(...template.extensions.map(encodeExtension)))]),
  )
  return sequence(tbs, signer.signatureAlgorithm, bitString(await signer.sign(tbs)))
}

/** DER Name of country (two letters), organization and common name, each left out when undefined. */
export function distinguishedName(names: {
  readonly country?: string
  readonly organization?: string
  readonly commonName?: string
}): Uint8Array {
  const rdns: Uint8Array[] = []
  if (names.country !== undefined)
    rdns.push(rdn('2.5.4.6', new Uint8Array(new PrintableString({ value: names.country }).toBER())))
  if (names.organization !== undefined) rdns.push(rdn('2.5.4.10', utf8(names.organization)))
  if (names.commonName !== undefined) rdns.push(rdn('2.5.4.3', utf8(names.commonName)))
  return sequence(...rdns)
}

/** 20 octets, positive, 158 random bits (BR 7.1.2.8: above zero, below 2^159). */
export function randomSerialNumber(): Uint8Array {
  const serial = crypto.getRandomValues(new Uint8Array(20))
  // The top bit clear keeps it positive, the next one set keeps its length and the encoding minimal.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

export type KeyUsageName =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'keyCertSign'
  | 'cRLSign'

const KEY_USAGE_BITS: Readonly<Record<KeyUsageName, number>> = {
  digitalSignature: 0x80,
  nonRepudiation: 0x40,
  keyEncipherment: 0x20,
  keyCertSign: 0x04,
  cRLSign: 0x02,
}

export function keyUsage(...names: readonly KeyUsageName[]): CertificateExtension {
  const bits = names.reduce((all, name) => all | KEY_USAGE_BITS[name], 0)
  // DER: trailing zero bits of a named-bit list are left out; none at all is an empty BIT STRING.
  const unused = 31 - Math.clz32(bits & -bits)
  const content = bits === 0 ? Uint8Array.of(0) : Uint8Array.of(unused, bits)
  return { extnID: '2.5.29.15', critical: true, value: tlv(0x03, content) }
}

export function basicConstraints(cA: boolean, pathLenConstraint?: number): CertificateExtension {
  const parts: Uint8Array[] = []
  if (cA) parts.push(Uint8Array.of(0x01, 0x01, 0xff))
  if (pathLenConstraint !== undefined) parts.push(tlv(0x02, Uint8Array.of(pathLenConstraint)))
  return { extnID: '2.5.29.19', critical: true, value: sequence(...parts) }
}

export const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'

export function extendedKeyUsage(...purposes: readonly string[]): CertificateExtension {
  return { extnID: '2.5.29.37', critical: false, value: sequence(...purposes.map(oid)) }
}

/** id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1), by default as it has to be: NULL, not critical. */
export function ocspNoCheck(critical = false, value: Uint8Array = Uint8Array.of(5, 0)): CertificateExtension {
  return { extnID: '1.3.6.1.5.5.7.48.1.5', critical, value }
}

export function subjectKeyIdentifier(keyIdentifier: Uint8Array): CertificateExtension {
  return { extnID: '2.5.29.14', critical: false, value: tlv(0x04, keyIdentifier) }
}

export function authorityKeyIdentifier(keyIdentifier: Uint8Array): CertificateExtension {
  return { extnID: '2.5.29.35', critical: false, value: sequence(tlv(0x80, keyIdentifier)) }
}

/** AuthorityInfoAccess: where the responder and the issuer's certificate are. */
export function authorityInfoAccess(urls: { ocsp?: string; caIssuers?: string }): CertificateExtension {
  const description = (method: string, url: string) => sequence(oid(method), tlv(0x86, ascii(url)))
  const parts: Uint8Array[] = []
  if (urls.ocsp !== undefined) parts.push(description('1.3.6.1.5.5.7.48.1', urls.ocsp))
  if (urls.caIssuers !== undefined) parts.push(description('1.3.6.1.5.5.7.48.2', urls.caIssuers))
  return { extnID: '1.3.6.1.5.5.7.1.1', critical: false, value: sequence(...parts) }
}

/** SubjectAltName with DNS names. */
export function subjectAltName(...dnsNames: readonly string[]): CertificateExtension {
  return {
    extnID: '2.5.29.17',
    critical: false,
    value: sequence(...dnsNames.map((name) => tlv(0x82, ascii(name)))),
  }
}

/** One TLV with minimal length; also for the odd extension a test wants. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const lengthOctets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) lengthOctets.unshift(rest % 256)
  const header = length < 0x80 ? [tag, length] : [tag, 0x80 | lengthOctets.length, ...lengthOctets]
  const der = new Uint8Array(header.length + length)
  der.set(header)
  let at = header.length
  for (const part of parts) {
    der.set(part, at)
    at += part.length
  }
  return der
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(0x30, ...parts)
}

function bitString(bytes: Uint8Array): Uint8Array {
  return tlv(0x03, Uint8Array.of(0), bytes)
}

function oid(value: string): Uint8Array {
  return new Uint8Array(new ObjectIdentifier({ value }).toBER())
}

function utf8(value: string): Uint8Array {
  return new Uint8Array(new Utf8String({ value }).toBER())
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function rdn(type: string, value: Uint8Array): Uint8Array {
  return tlv(0x31, sequence(oid(type), value))
}

function encodeExtension(extension: CertificateExtension): Uint8Array {
  const critical = extension.critical ? [Uint8Array.of(0x01, 0x01, 0xff)] : []
  return sequence(oid(extension.extnID), ...critical, tlv(0x04, extension.value))
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5). */
function time(at: UnixSeconds): Uint8Array {
  const text = new Date(at * 1000).toISOString().replace(/[-:T]|\.\d+/g, '')
  return text >= '2050' ? tlv(0x18, ascii(text)) : tlv(0x17, ascii(text.slice(2)))
}
