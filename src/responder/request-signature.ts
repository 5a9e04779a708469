/** What can be said of a request's signature without X.509: cheap, and asked before anything dear is done. */
import { DERReader } from '../asn1/der-reader.ts'
import { DERError } from '../asn1/error.ts'
import { OID } from '../asn1/oid.ts'
import {
  type AlgorithmIdentifier,
  hashAlgorithmOf,
  readAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import { equalOctets } from './equal-octets.ts'

/** Certificates looked at in one request: a signer and its chain. */
const MAX_CERTS = 10
/** directoryName [4] EXPLICIT Name, of GeneralName (RFC 5280 4.2.1.6). */
const DIRECTORY_NAME = 0xa4
const MIN_RSA_BITS = 2048

const SHA384_WITH_RSA = '1.2.840.113549.1.1.12'
const SHA512_WITH_RSA = '1.2.840.113549.1.1.13'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'

const STRONG: ReadonlySet<string> = new Set([
  OID.sha256WithRSAEncryption,
  SHA384_WITH_RSA,
  SHA512_WITH_RSA,
  OID.ecdsaWithSHA256,
  OID.ecdsaWithSHA384,
  OID.ecdsaWithSHA512,
  OID.ed25519,
])

/** The Name in a GeneralName; undefined when it is of another kind, or absent. OpenSSL accepts no other kind either (R1.96). */
export function directoryName(generalName: Uint8Array | undefined): Uint8Array | undefined {
  if (generalName?.[0] !== DIRECTORY_NAME) return undefined
  return attempt(() => new DERReader(generalName).explicit(4, (r) => r.raw(0x30)))
}

/** The first certificate with this subject, octet for octet as the client wrote it; what cannot be read is passed over. */
export function certificateNamed(name: Uint8Array, certs: readonly Uint8Array[]): Uint8Array | undefined {
  if (certs.length > MAX_CERTS) return undefined
  return certs.find((der) => {
    const subject = attempt(() => subjectOf(der))
    return subject !== undefined && equalOctets(subject, name)
  })
}

/** An algorithm that we verify: nothing with SHA-1 or MD5, which whoever chooses a nonce could collide (R3.14, R4.9). */
export function isStrongAlgorithm({ algorithm, parameters }: AlgorithmIdentifier): boolean {
  if (algorithm !== OID.rsassaPss) return STRONG.has(algorithm)
  const hash = parameters === undefined ? undefined : attempt(() => pssHash(parameters))
  return hash !== undefined && hash !== 'SHA-1'
}

/** The same of a DER AlgorithmIdentifier. */
export function isStrongIdentifier(der: Uint8Array): boolean {
  const identifier = attempt(() => readAlgorithmIdentifier(new DERReader(der)))
  return identifier !== undefined && isStrongAlgorithm(identifier)
}

/** RSA of at least 2048 bits, or an elliptic curve: those that are left are at least P-256. */
export function isStrongKey(spki: Uint8Array): boolean {
  const [algorithm, bits] = attempt(() => readKey(spki)) ?? []
  if (algorithm !== RSA_ENCRYPTION) return algorithm !== undefined
  return bits !== undefined && (attempt(() => modulusBits(bits)) ?? 0) >= MIN_RSA_BITS
}

function readKey(spki: Uint8Array): [string, Uint8Array] {
  return new DERReader(spki).sequence((r) => [readAlgorithmIdentifier(r).algorithm, r.bitString()])
}

/** RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
function modulusBits(key: Uint8Array): number {
  return new DERReader(key).sequence((r) => {
    const modulus = r.raw(0x02)
    r.raw(0x02)
    if (modulus[1] !== 0x82) return 0 // below 256 octets, which is too short whatever it is
    const content = modulus.subarray(4)
    const start = content.findIndex((octet) => octet !== 0)
    return start < 0 ? 0 : 8 * (content.length - start) - Math.clz32(content[start] ?? 0) + 24
  })
}

/** hashAlgorithm [0] of RSASSA-PSS-params, which is SHA-1 when it is absent (RFC 4055 3.1). */
function pssHash(parameters: Uint8Array): string | undefined {
  return new DERReader(parameters).sequence((r) => {
    const hash = r.optionalExplicit(0, readAlgorithmIdentifier)
    while (!r.atEnd) r.raw()
    return hash === undefined ? undefined : hashAlgorithmOf(hash.algorithm)
  })
}

/** TBSCertificate: version [0], serialNumber, signature, issuer, validity, subject, and more (RFC 5280 4.1). */
function subjectOf(certificate: Uint8Array): Uint8Array {
  return new DERReader(certificate).sequence((c) => {
    const subject = c.sequence((tbs) => {
      tbs.optionalExplicit(0, (version) => version.raw(0x02))
      tbs.raw(0x02)
      for (let i = 0; i < 3; i += 1) tbs.raw(0x30)
      const name = tbs.raw(0x30)
      while (!tbs.atEnd) tbs.raw()
      return name
    })
    while (!c.atEnd) c.raw()
    return subject
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof DERError) return undefined
    throw error
  }
}
