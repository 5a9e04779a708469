/**
 * A read-only view of an X.509 certificate. Names, keys and serial number are kept as the octets of the certificate, because
 * CertID hashes are taken over exactly those (RFC 6960 4.1.1; R1.14, R1.15). Parsing is asn1js, which forgives the small
 * faults that old CA certificates carry; only the outermost element has to be strict DER.
 * @see RFC 5280 4.1
 */
import { type BaseBlock, BitString, Constructed, Integer, ObjectIdentifier, Sequence } from 'asn1js'
import { DERReader } from '../asn1/der-reader.ts'
import { DERError } from '../asn1/error.ts'
import { parseGeneralizedTime, type UnixSeconds } from '../asn1/generalized-time.ts'
import { PEMError, parsePEM } from '../pkix/pem.ts'
import { CertificateError, type Finding } from './error.ts'
import { type CertificateExtensions, readCertificateExtensions } from './extensions.ts'
import { formatName } from './name.ts'
import { parseElement } from './parse.ts'

export interface CertificateView extends CertificateExtensions {
  readonly der: Uint8Array
  /** What reading noticed, such as further certificates in a PEM file that were passed over. */
  readonly warnings: readonly Finding[]
  /** 1, 2 or 3. */
  readonly version: number
  /** One line, RFC 4514 order; for people, not for comparing. */
  readonly subject: string
  readonly issuer: string
  /** Minimal content octets of the INTEGER (two's complement). */
  readonly serialNumber: Uint8Array
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  /** Raw Name TLV. */
  readonly subjectDER: Uint8Array
  /** Raw Name TLV. */
  readonly issuerDER: Uint8Array
  /** Raw SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  /** Value of subjectPublicKey's BIT STRING, without the octet of unused bits. */
  readonly publicKeyBits: Uint8Array
  /** What the signature is over. */
  readonly tbsCertificate: Uint8Array
  /** Raw AlgorithmIdentifier beside the signature. */
  readonly signatureAlgorithm: Uint8Array
  /** Raw AlgorithmIdentifier inside tbsCertificate; has to be the same. */
  readonly tbsSignatureAlgorithm: Uint8Array
  readonly signatureAlgorithmOID: string
  /** Value of the signature BIT STRING. */
  readonly signature: Uint8Array
}

/**
 * Reads a certificate from PEM (the first in the text) or DER.
 * @throws CertificateError
 */
export function readCertificate(pemOrDer: Uint8Array | string): CertificateView {
  const { der, warnings } = toDER(pemOrDer)
  checkOuterDER(der)
  const parsed = parseElement(der)
  if (typeof parsed === 'string') throw notDER(der, parsed)
  const [tbs, signatureAlgorithm, signature] = elements(parsed, 'Certificate', 3)
  const fields = [...elements(tbs, 'tbsCertificate', 6)]
  const version = fields[0] !== undefined && isContext(fields[0], 0) ? readVersion(fields.shift()) : 1
  const [serialNumber, tbsAlgorithm, issuer, validity, subject, spki, ...optional] = fields
  if (spki === undefined || subject === undefined || issuer === undefined)
    throw notACertificate('tbsCertificate ends before its subjectPublicKeyInfo')
  const [notBefore, notAfter] = elements(validity, 'validity', 2)
  const [keyAlgorithm, keyBits] = elements(spki, 'subjectPublicKeyInfo', 2)
  elements(keyAlgorithm, 'the algorithm of subjectPublicKeyInfo', 1)
  const [signatureOID] = elements(signatureAlgorithm, 'signatureAlgorithm', 1)
  if (!(signatureOID instanceof ObjectIdentifier))
    throw notACertificate('signatureAlgorithm names no algorithm')
  const extensions = optional.find((block) => isContext(block, 3))
  return {
    der,
    warnings,
    version,
    subject: formatName(subject),
    issuer: formatName(issuer),
    serialNumber: readSerialNumber(serialNumber),
    notBefore: readTime(notBefore, 'notBefore'),
    notAfter: readTime(notAfter, 'notAfter'),
    subjectDER: rawOf(subject),
    issuerDER: rawOf(issuer),
    spki: rawOf(spki),
    publicKeyBits: bitsOf(keyBits, 'subjectPublicKey'),
    tbsCertificate: rawOf(tbs),
    signatureAlgorithm: rawOf(signatureAlgorithm),
    tbsSignatureAlgorithm: rawOf(tbsAlgorithm),
    signatureAlgorithmOID: signatureOID.getValue(),
    signature: bitsOf(signature, 'signatureValue'),
    ...readCertificateExtensions(
      extensions instanceof Constructed ? extensions.valueBlock.value[0] : undefined,
    ),
  }
}

function toDER(input: Uint8Array | string): { der: Uint8Array; warnings: Finding[] } {
  if (typeof input !== 'string') {
    if (input[0] === 0x30) return { der: input, warnings: [] }
    if (input.length === 0) throw new CertificateError('noCertificate', 'the certificate file is empty')
    return toDER(new TextDecoder().decode(input))
  }
  let blocks: ReturnType<typeof parsePEM>
  try {
    blocks = parsePEM(input)
  } catch (error) {
    if (error instanceof PEMError)
      throw new CertificateError('badPEM', `the certificate is damaged PEM: ${error.message}`, {
        line: error.line,
      })
    throw error
  }
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE')
  const [first] = certificates
  if (first === undefined) throw new CertificateError('noCertificate', describeOther(input, blocks[0]?.label))
  const warnings: Finding[] = []
  if (certificates.length > 1)
    warnings.push({
      level: 'warning',
      code: 'severalCertificates',
      message: `the PEM text holds ${certificates.length} certificates; the first is used, the others are passed over`,
    })
  return { der: first.der, warnings }
}

function describeOther(text: string, label: string | undefined): string {
  if (label === undefined) {
    return text.trim() === ''
      ? 'the certificate file is empty'
      : 'no certificate found: neither a -----BEGIN CERTIFICATE----- line nor DER'
  }
  if (label.endsWith('PRIVATE KEY')) return 'this is a private key; the certificate is needed here'
  switch (label) {
    case 'TRUSTED CERTIFICATE':
      return 'this is an OpenSSL TRUSTED CERTIFICATE; convert it with: openssl x509 -in FILE -out certificate.pem'
    case 'CERTIFICATE REQUEST':
    case 'NEW CERTIFICATE REQUEST':
      return 'this is a certificate request; the certificate that the CA issued for it is needed here'
    case 'X509 CRL':
      return 'this is a revocation list (CRL); a certificate is needed here'
    case 'PKCS7':
      return 'this is PKCS#7; take the certificate out with: openssl pkcs7 -print_certs -in FILE -out certificate.pem'
    case 'PUBLIC KEY':
      return 'this is a public key; a certificate is needed here'
    default:
      return 'the PEM text holds no CERTIFICATE block'
  }
}

/** Length and end are strict, so that no octet stands outside of what is hashed and signed. */
function checkOuterDER(der: Uint8Array): void {
  const reader = new DERReader(der)
  try {
    reader.raw(0x30)
    reader.finish()
  } catch (error) {
    if (error instanceof DERError) throw badDER(error)
    throw error
  }
}

/** asn1js says what, our own reader where. */
function notDER(der: Uint8Array, asn1jsError: string): CertificateError {
  try {
    new DERReader(der).any()
  } catch (error) {
    if (error instanceof DERError) return badDER(error)
    throw error
  }
  return new CertificateError('badDER', `the certificate is not valid DER: ${asn1jsError}`)
}

function badDER(error: DERError): CertificateError {
  return new CertificateError(
    'badDER',
    `the certificate is not valid DER: ${error.reason} at octet ${error.offset}`,
    {
      offset: error.offset,
    },
  )
}

function elements(block: BaseBlock | undefined, what: string, atLeast: number): readonly BaseBlock[] {
  if (!(block instanceof Sequence)) throw notACertificate(`${what} is not a SEQUENCE`)
  const { value } = block.valueBlock
  if (value.length < atLeast)
    throw notACertificate(`${what} has ${value.length} elements, at least ${atLeast} are needed`)
  return value
}

function readVersion(block: BaseBlock | undefined): number {
  const value = block instanceof Constructed ? block.valueBlock.value[0] : undefined
  if (!(value instanceof Integer)) throw notACertificate('version is not an INTEGER')
  return value.valueBlock.valueDec + 1
}

function readSerialNumber(block: BaseBlock | undefined): Uint8Array {
  if (!(block instanceof Integer)) throw notACertificate('serialNumber is not an INTEGER')
  const content = contentOf(block)
  // Some old CAs padded with zeros; CertIDs carry the number in DER, that is without.
  let start = 0
  while (start < content.length - 1 && content[start] === 0 && (content[start + 1] ?? 0) < 0x80) start += 1
  return content.subarray(start)
}

/** UTCTime YYMMDDHHMMSSZ (years 1950 to 2049) or GeneralizedTime (RFC 5280 4.1.2.5). */
function readTime(block: BaseBlock | undefined, what: string): UnixSeconds {
  if (block === undefined) throw notACertificate(`${what} is missing`)
  const text = new TextDecoder().decode(contentOf(block))
  const utc = block.idBlock.tagNumber === 23
  try {
    return parseGeneralizedTime(utc ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text)
  } catch (error) {
    if (error instanceof DERError) throw notACertificate(`${what} is not a time in UTC with seconds`)
    throw error
  }
}

function bitsOf(block: BaseBlock | undefined, what: string): Uint8Array {
  if (!(block instanceof BitString)) throw notACertificate(`${what} is not a BIT STRING`)
  return contentOf(block).subarray(1)
}

function isContext(block: BaseBlock, tagNumber: number): boolean {
  return block.idBlock.tagClass === 3 && block.idBlock.tagNumber === tagNumber
}

function rawOf(block: BaseBlock | undefined): Uint8Array {
  if (block === undefined) throw notACertificate('it ends too early')
  return block.valueBeforeDecodeView
}

function contentOf(block: BaseBlock): Uint8Array {
  return block.valueBeforeDecodeView.subarray(block.idBlock.blockLength + block.lenBlock.blockLength)
}

function notACertificate(what: string): CertificateError {
  return new CertificateError('notACertificate', `this is DER, but not an X.509 certificate: ${what}`)
}
