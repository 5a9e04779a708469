/**
 * Private keys as operators have them. Only unencrypted PKCS#8 is taken, since that is what WebCrypto imports; for the other
 * forms the error names the command that converts them. No error quotes any part of its input.
 * @see RFC 5958 (PKCS#8), RFC 5915 (SEC1), RFC 8017 A.1.2 (PKCS#1)
 */
import { DERReader, TAG } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import { DERError } from '../asn1/error.ts'
import { PEMError, parsePEM } from '../pkix/pem.ts'
import { SigningError } from '../ports/errors.ts'
import type { SignatureAlgorithm } from '../ports/records.ts'
import { ALGORITHMS_BY_KEY_TYPE, type KeyType, RSA_MAX_BITS, RSA_MIN_BITS } from './algorithms.ts'

const TO_PKCS8 = 'convert it with: openssl pkey -in KEY -out key-pkcs8.pem'
const DECRYPT = 'decrypt it with: openssl pkey -in KEY -out key-pkcs8.pem (it asks for the passphrase)'
const FROM_PKCS12 = 'extract the key with: openssl pkcs12 -in KEY -nocerts -nodes -out key-pkcs8.pem'

const SEC1 = `this is an EC key in SEC1 form, and PKCS#8 is needed; ${TO_PKCS8}`
const PKCS1 = `this is an RSA key in PKCS#1 form, and PKCS#8 is needed; ${TO_PKCS8}`
const ENCRYPTED = `the private key is encrypted with a passphrase; ${DECRYPT}`
const PKCS12 = `this is a PKCS#12 file, not a private key; ${FROM_PKCS12}`

/** What to say of a PEM block that is not `PRIVATE KEY`. */
const OTHER_LABELS: ReadonlyMap<string, string> = new Map([
  ['EC PRIVATE KEY', SEC1],
  ['RSA PRIVATE KEY', PKCS1],
  ['ENCRYPTED PRIVATE KEY', ENCRYPTED],
  ['DSA PRIVATE KEY', 'a DSA key cannot sign OCSP responses; use an EC, Ed25519 or RSA key'],
  [
    'OPENSSH PRIVATE KEY',
    'this is a key in OpenSSH form, and PKCS#8 is needed; convert a copy with: ssh-keygen -p -m PKCS8 -f KEY',
  ],
  ['CERTIFICATE', 'this is a certificate; its private key is needed here'],
  ['PUBLIC KEY', 'this is a public key; the private key is needed here'],
  ['CERTIFICATE REQUEST', 'this is a certificate request; the private key is needed here'],
])

/**
 * The first private key of a PEM text, or a DER key.
 * @returns DER PrivateKeyInfo, version 0 without attributes, in an array of its own: overwrite it when done
 * @throws SigningError.keyUnreadable with the remedy
 */
export function parsePrivateKey(input: Uint8Array | string): Uint8Array {
  if (typeof input !== 'string') {
    if (input[0] === TAG.sequence) return normalise(input)
    return parsePrivateKey(new TextDecoder().decode(input))
  }
  // Caught before the PEM parser, to which these header lines are only a fault.
  if (/^Proc-Type:\s*4,\s*ENCRYPTED/m.test(input)) throw unreadable(ENCRYPTED)
  let blocks: ReturnType<typeof parsePEM>
  try {
    blocks = parsePEM(input)
  } catch (error) {
    if (error instanceof PEMError) throw unreadable(`the private key is damaged PEM: ${error.message}`)
    throw error
  }
  const key = blocks.find((block) => block.label === 'PRIVATE KEY')
  if (key !== undefined) return normalise(key.der)
  const other = blocks.find((block) => block.label.endsWith('PRIVATE KEY')) ?? blocks[0]
  if (other !== undefined)
    throw unreadable(OTHER_LABELS.get(other.label) ?? 'the PEM block is of a kind that is not a private key')
  if (input.trimStart().startsWith('{'))
    throw unreadable('this looks like JSON (a JWK?); a PKCS#8 private key in PEM or DER is needed')
  throw unreadable('no private key found: neither a -----BEGIN PRIVATE KEY----- line nor DER')
}

/** Facts of a key that decide what it can sign with. */
export interface KeyFacts {
  readonly keyType: KeyType
  /** Modulus length; undefined for other keys than RSA. */
  readonly rsaBits: number | undefined
}

const EC_PUBLIC_KEY = '1.2.840.10045.2.1'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const RSASSA_PSS = '1.2.840.113549.1.1.10'
const ED25519 = '1.3.101.112'

const CURVES: Readonly<Record<string, 'P-256' | 'P-384' | 'P-521'>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
}

const USABLE = 'usable are EC P-256, P-384, P-521, Ed25519 and RSA'

/**
 * What kind of key this is.
 * @param der SubjectPublicKeyInfo or PrivateKeyInfo
 * @throws SigningError.keyUnreadable when no supported algorithm can use it, with the reason
 */
export function readKeyFacts(der: Uint8Array): KeyFacts {
  try {
    return new DERReader(der).sequence((reader) => {
      const isPrivate = reader.peekTag() === TAG.integer
      if (isPrivate) reader.integer()
      const algorithm = reader.sequence((r) => {
        const oid = r.oid()
        const parameter = r.peekTag() === TAG.oid ? r.oid() : undefined
        while (!r.atEnd) r.raw()
        return { oid, parameter }
      })
      const key = isPrivate ? reader.octetString() : reader.bitString()
      while (!reader.atEnd) reader.raw()
      return factsOf(algorithm.oid, algorithm.parameter, key, isPrivate)
    })
  } catch (error) {
    if (error instanceof DERError)
      throw unreadable(`the key is not valid DER: ${error.reason} at octet ${error.offset}`)
    throw error
  }
}

/**
 * Signature algorithms for a key, the preferred one first.
 * @param der SubjectPublicKeyInfo or PrivateKeyInfo
 * @param wanted only this one
 * @throws SigningError.keyUnreadable when there is none, or `wanted` is not among them
 */
export function algorithmFor(der: Uint8Array, wanted?: SignatureAlgorithm): readonly SignatureAlgorithm[] {
  const { keyType } = readKeyFacts(der)
  const algorithms = ALGORITHMS_BY_KEY_TYPE[keyType]
  if (wanted === undefined) return algorithms
  if (algorithms.includes(wanted)) return [wanted]
  throw unreadable(
    `a key of type ${keyType} cannot sign with ${wanted}, only with ${algorithms.join(' or ')}`,
  )
}

function factsOf(oid: string, parameter: string | undefined, key: Uint8Array, isPrivate: boolean): KeyFacts {
  switch (oid) {
    case RSA_ENCRYPTION: {
      const rsaBits = modulusBits(key, isPrivate)
      if (rsaBits < RSA_MIN_BITS || rsaBits > RSA_MAX_BITS)
        throw unreadable(
          `an RSA key of ${rsaBits} bits is too ${rsaBits < RSA_MIN_BITS ? 'short' : 'long'}: ` +
            `${RSA_MIN_BITS} to ${RSA_MAX_BITS} bits are accepted`,
        )
      return { keyType: 'RSA', rsaBits }
    }
    case EC_PUBLIC_KEY: {
      if (parameter === undefined)
        throw unreadable(
          `the EC key spells out its curve's parameters instead of naming the curve; ${USABLE}`,
        )
      const keyType = CURVES[parameter]
      if (keyType === undefined) throw unreadable(`the EC key is on curve ${parameter}; ${USABLE}`)
      return { keyType, rsaBits: undefined }
    }
    case ED25519:
      return { keyType: 'Ed25519', rsaBits: undefined }
    case RSASSA_PSS:
      throw unreadable(
        'the RSA key is restricted to RSASSA-PSS (id-RSASSA-PSS), which the Baseline Requirements forbid in ' +
          'certificates and WebCrypto does not import; use a plain RSA key (rsaEncryption) with rsassaPss-sha256',
      )
    default:
      throw unreadable(`keys of type ${oid} are not supported; ${USABLE}`)
  }
}

/** RSAPrivateKey ::= SEQUENCE { version, modulus, ... }; RSAPublicKey ::= SEQUENCE { modulus, publicExponent } */
function modulusBits(key: Uint8Array, isPrivate: boolean): number {
  return new DERReader(key).sequence((reader) => {
    if (isPrivate) reader.integer()
    const modulus = reader.raw(TAG.integer)
    while (!reader.atEnd) reader.raw()
    const lengthOctet = modulus[1] ?? 0
    const start = lengthOctet < 0x80 ? 2 : 2 + (lengthOctet & 0x7f)
    const first = modulus.findIndex((octet, index) => index >= start && octet !== 0)
    return first < 0 ? 0 : (modulus.length - first) * 8 - (Math.clz32(modulus[first] ?? 0) - 24)
  })
}

/**
 * OneAsymmetricKey ::= SEQUENCE { version, privateKeyAlgorithm, privateKey, attributes [0] OPTIONAL, publicKey [1] OPTIONAL }
 * Version 1 with a public key (Ed25519 keys of some tools) is not imported everywhere, hence version 0 without either.
 */
function normalise(der: Uint8Array): Uint8Array {
  const parts = splitPrivateKeyInfo(der)
  const writer = new DERWriter()
  writer.sequence((w) => {
    w.primitive(TAG.integer, Uint8Array.of(0))
    w.raw(parts.algorithm)
    w.raw(parts.privateKey)
  })
  return writer.finish()
}

function splitPrivateKeyInfo(der: Uint8Array): { algorithm: Uint8Array; privateKey: Uint8Array } {
  try {
    const reader = new DERReader(der)
    const parts = reader.sequence((r) => {
      if (r.peekTag() !== TAG.integer) throw unreadable(describeForeign(r))
      const version = r.integer()
      if (version === 3) throw unreadable(PKCS12)
      const tag = r.peekTag()
      if (tag === TAG.integer) throw unreadable(PKCS1)
      if (tag === TAG.octetString) throw unreadable(SEC1)
      const algorithm = r.any()
      const privateKey = r.raw(TAG.octetString)
      while (!r.atEnd) r.raw()
      return { algorithm, privateKey }
    })
    reader.finish()
    return parts
  } catch (error) {
    if (error instanceof DERError)
      throw unreadable(
        `this is not a PKCS#8 private key: ${error.reason} at octet ${error.offset} of its DER`,
      )
    throw error
  }
}

/** SEQUENCE { SEQUENCE, OCTET STRING } is EncryptedPrivateKeyInfo, with a BIT STRING it is a public key. */
function describeForeign(reader: DERReader): string {
  if (reader.peekTag() !== TAG.sequence) return 'this is DER, but not a private key'
  reader.raw()
  const tag = reader.peekTag()
  if (tag === TAG.octetString) return ENCRYPTED
  if (tag === TAG.bitString) return 'this is a public key; the private key is needed here'
  return 'this is DER, but not a private key (a certificate?)'
}

function unreadable(message: string): SigningError {
  return new SigningError('keyUnreadable', message)
}
