import type { DERReader } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import {
  type AlgorithmIdentifier,
  HASH_LENGTH,
  hashAlgorithmOf,
  isNullParameters,
  readAlgorithmIdentifier,
  writeAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import { OCSPDecodeError } from './error.ts'

/**
 * CertID ::= SEQUENCE {
 *   hashAlgorithm   AlgorithmIdentifier,
 *   issuerNameHash  OCTET STRING, -- hash of issuer's DN
 *   issuerKeyHash   OCTET STRING, -- hash of issuer's public key
 *   serialNumber    CertificateSerialNumber }
 *
 * A known hash has parameters NULL or absent and digests of its own length; an unknown hash is decoded as it is (R5.42).
 * serialNumber is the content octets of the INTEGER (1..127, minimal two's complement), so that it is echoed byte for byte.
 * The octets are views into what was decoded: do not mutate.
 * @see RFC 6960 4.1.1
 */
export interface CertID {
  readonly hashAlgorithm: AlgorithmIdentifier
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
  readonly serialNumber: Uint8Array
}

/** @throws DERError, OCSPDecodeError.{hashLength, badHashParameters} */
export function readCertID(reader: DERReader): CertID {
  return reader.sequence(readFields)
}

function readFields(reader: DERReader): CertID {
  const algorithmOffset = reader.offset
  const hashAlgorithm = readAlgorithmIdentifier(reader)
  const nameOffset = reader.offset
  const issuerNameHash = reader.octetString()
  const keyOffset = reader.offset
  const issuerKeyHash = reader.octetString()
  const serialNumber = reader.integerBytes()
  const hash = hashAlgorithmOf(hashAlgorithm.algorithm)
  if (hash !== undefined) {
    const { parameters } = hashAlgorithm
    if (parameters !== undefined && !isNullParameters(parameters)) {
      throw new OCSPDecodeError('badHashParameters', algorithmOffset, hash)
    }
    checkHashLength(issuerNameHash, HASH_LENGTH[hash], nameOffset)
    checkHashLength(issuerKeyHash, HASH_LENGTH[hash], keyOffset)
  }
  return { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }
}

function checkHashLength(digest: Uint8Array, expected: number, offset: number): void {
  if (digest.length === expected) return
  throw new OCSPDecodeError('hashLength', offset, `${digest.length} octets, not ${expected}`)
}

/** @throws DERError.nonMinimalInteger for a serialNumber that is no INTEGER */
export function writeCertID(certID: CertID, writer: DERWriter): void {
  writer.sequence((w) => {
    writeAlgorithmIdentifier(certID.hashAlgorithm, w)
    w.octetString(certID.issuerNameHash)
    w.octetString(certID.issuerKeyHash)
    w.integerBytes(certID.serialNumber)
  })
}

/** DER of a CertID. */
export function encodeCertID(certID: CertID): Uint8Array {
  const writer = new DERWriter()
  writeCertID(certID, writer)
  return writer.finish()
}
