/** Certificates and keys from files: node:crypto for what it knows, our DER reader for the octets that it hides. */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { contextConstructed, DERReader, TAG } from '../asn1/der-reader.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { formatPEM, parsePEM } from '../pkix/pem.ts'
import { formatSerial, type SerialHex } from '../pkix/serial-number.ts'
import { CLIError, EXIT, messageOf, usageError } from './exit.ts'

const SUBJECT_KEY_IDENTIFIER = '2.5.29.14'
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35'
const BASIC_CONSTRAINTS = '2.5.29.19'
/** Makes a certificate one for logs alone (RFC 6962 3.1). */
const PRECERTIFICATE_POISON = '1.3.6.1.4.1.11129.2.4.3'

/** What the octets of a certificate say beside what X509Certificate shows. */
export interface CertificateFields {
  /** Content octets of the INTEGER. */
  readonly serialNumber: Uint8Array
  /** DER of the Names. */
  readonly issuerDER: Uint8Array
  readonly subjectDER: Uint8Array
  /** Value of the BIT STRING: what key hashes are made of. */
  readonly publicKeyBits: Uint8Array
  readonly subjectKeyIdentifier: Uint8Array | undefined
  readonly authorityKeyIdentifier: Uint8Array | undefined
  /** cA of basicConstraints; undefined when the certificate does not have them. */
  readonly isCA: boolean | undefined
  readonly isPrecertificate: boolean
}

export interface CertificateFile extends CertificateFields {
  /** Where it came from, for messages. */
  readonly path: string
  readonly x509: X509Certificate
  readonly der: Uint8Array
  readonly serial: SerialHex
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  /** Subject key identifier in hex: of the extension, else SHA-1 of the key. */
  readonly ski: string
}

/** The first certificate of a PEM or DER file. @throws CLIError (usage) */
export function loadCertificate(path: string): CertificateFile {
  const [first] = loadCertificates(path)
  if (first === undefined) throw usageError(`${path}: there is no certificate in it`, CERTIFICATE_HINT)
  return first
}

const CERTIFICATE_HINT = 'Give an X.509 certificate as PEM (-----BEGIN CERTIFICATE-----) or DER.'

/** All certificates of a PEM file, or the one of a DER file. @throws CLIError (usage) */
export function loadCertificates(path: string): CertificateFile[] {
  const bytes = readInput(path)
  if (bytes[0] === TAG.sequence) return [parseCertificate(bytes, path)]
  let blocks: ReturnType<typeof parsePEM>
  try {
    blocks = parsePEM(bytes.toString('utf8'))
  } catch (error) {
    throw usageError(`${path}: ${messageOf(error)}`, CERTIFICATE_HINT, { cause: error })
  }
  const certificates = blocks.filter(({ label }) => /^(X509 )?CERTIFICATE$/.test(label))
  if (certificates.length === 0) {
    const found = blocks.map(({ label }) => label).join(', ')
    const what = found === '' ? 'neither PEM nor DER' : `PEM of ${found}, not of a certificate`
    throw usageError(`${path}: ${what}`, CERTIFICATE_HINT)
  }
  return certificates.map(({ der }) => parseCertificate(der, path))
}

/** @param path for messages. @throws CLIError (usage) */
export function parseCertificate(der: Uint8Array, path: string): CertificateFile {
  try {
    const x509 = new X509Certificate(der)
    const fields = readFields(der)
    return {
      ...fields,
      path,
      x509,
      der,
      serial: formatSerial(fields.serialNumber),
      notBefore: seconds(x509.validFromDate),
      notAfter: seconds(x509.validToDate),
      ski: hex(fields.subjectKeyIdentifier ?? createHash('sha1').update(fields.publicKeyBits).digest()),
    }
  } catch (cause) {
    throw usageError(`${path}: not a readable certificate: ${messageOf(cause)}`, CERTIFICATE_HINT, { cause })
  }
}

/** One line for people: subject and serial. */
export function describeCertificate(certificate: CertificateFile): string {
  return `${oneLine(certificate.x509.subject)} (serial ${certificate.serial})`
}

/** node:crypto gives one attribute a line, most significant first. */
export function oneLine(name: string | undefined): string {
  return name === undefined || name === '' ? '(no name)' : name.split('\n').join(', ')
}

/**
 * Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serialNumber, signature, issuer, validity, subject,
 * subjectPublicKeyInfo, [1] [2] unique identifiers, [3] extensions }, ... } (RFC 5280 4.1). @throws DERError
 */
export function readFields(der: Uint8Array): CertificateFields {
  return new DERReader(der).sequence((certificate) => {
    const fields = certificate.sequence((tbs) => {
      tbs.optionalExplicit(0, (version) => version.integer())
      const serialNumber = tbs.integerBytes()
      tbs.raw(TAG.sequence)
      const issuerDER = tbs.raw(TAG.sequence)
      tbs.raw(TAG.sequence)
      const subjectDER = tbs.raw(TAG.sequence)
      const publicKeyBits = tbs.sequence((spki) => {
        spki.raw(TAG.sequence)
        return spki.bitString()
      })
      let extensions = new Map<string, Uint8Array>()
      while (!tbs.atEnd) {
        if (tbs.peekTag() === contextConstructed(3)) extensions = tbs.explicit(3, readExtensionValues)
        else tbs.raw()
      }
      return {
        serialNumber,
        issuerDER,
        subjectDER,
        publicKeyBits,
        subjectKeyIdentifier: readOptional(extensions.get(SUBJECT_KEY_IDENTIFIER), (r) => r.octetString()),
        authorityKeyIdentifier: readOptional(extensions.get(AUTHORITY_KEY_IDENTIFIER), readKeyIdentifier),
        isCA: readOptional(extensions.get(BASIC_CONSTRAINTS), readCA),
        isPrecertificate: extensions.has(PRECERTIFICATE_POISON),
      }
    })
    certificate.raw()
    certificate.raw()
    return fields
  })
}

/** Lenient about `critical FALSE` in writing, which old CAs emit. */
function readExtensionValues(reader: DERReader): Map<string, Uint8Array> {
  const entries = reader.sequenceOf((list) =>
    list.sequence((extension) => {
      const id = extension.oid()
      if (extension.peekTag() === TAG.boolean) extension.boolean()
      return [id, extension.octetString()] as const
    }),
  )
  return new Map(entries)
}

/** AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0] IMPLICIT OCTET STRING OPTIONAL, ... } */
function readKeyIdentifier(reader: DERReader): Uint8Array | undefined {
  return reader.sequence((fields) => {
    const first = fields.peekTag() === 0x80 ? fields.raw() : undefined
    while (!fields.atEnd) fields.raw()
    // Key identifiers are shorter than 128 octets: two octets of header.
    return first?.subarray(2)
  })
}

/** BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
function readCA(reader: DERReader): boolean {
  return reader.sequence((fields) => {
    const isCA = fields.peekTag() === TAG.boolean && fields.boolean()
    while (!fields.atEnd) fields.raw()
    return isCA
  })
}

/** An extension that we cannot read is as good as absent: these only help to find things. */
function readOptional<T>(der: Uint8Array | undefined, read: (reader: DERReader) => T): T | undefined {
  if (der === undefined) return undefined
  try {
    return read(new DERReader(der))
  } catch {
    return undefined
  }
}

/**
 * A private key file as the admin API takes it: PKCS#8 PEM. SEC 1 and PKCS#1 keys are converted here.
 * @throws CLIError (usage) with the remedy for encrypted ones
 */
export function loadPrivateKey(path: string): { key: KeyObject; pem: string } {
  const bytes = readInput(path)
  const text = bytes.toString('latin1')
  if (text.includes('ENCRYPTED')) {
    throw usageError(
      `${path}: the private key is encrypted`,
      `Decrypt it first, and remove the copy afterwards: openssl pkcs8 -in ${path} -out key.pem`,
    )
  }
  try {
    const key = text.includes('-----BEGIN')
      ? createPrivateKey({ key: bytes, format: 'pem' })
      : createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
    return { key, pem: formatPEM('PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der' })) }
  } catch (cause) {
    throw usageError(
      `${path}: not a readable private key`,
      `Give it as PKCS#8; others become it with: openssl pkcs8 -topk8 -nocrypt -in ${path} -out key.pem`,
      { cause },
    )
  }
}

/** Refuses a key that belongs to another certificate, naming both files. @throws CLIError (1) */
export function checkKeyMatches(certificate: CertificateFile, key: KeyObject, keyPath: string): void {
  if (certificate.x509.checkPrivateKey(key)) return
  throw new CLIError(
    EXIT.no,
    `${keyPath} is not the private key of ${certificate.path} (${oneLine(certificate.x509.subject)})`,
    'Give the key that the certificate was made with.',
    { code: 'keyMismatch' },
  )
}

/** Bytes of a file, or of standard input for "-". @throws CLIError (usage) */
export function readInput(path: string): Buffer {
  try {
    return readFileSync(path === '-' ? 0 : path)
  } catch (cause) {
    throw usageError(
      `${path === '-' ? 'standard input' : path}: cannot read it: ${fileReason(cause)}`,
      `Paths are taken from ${process.cwd()}`,
      { cause },
    )
  }
}

export function fileReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
  }
  return words[code] ?? messageOf(error)
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function seconds(date: Date): UnixSeconds {
  return Math.floor(date.getTime() / 1000)
}
