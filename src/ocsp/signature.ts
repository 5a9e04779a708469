import type { DERReader } from '../asn1/der-reader.ts'
import type { DERWriter } from '../asn1/der-writer.ts'
import {
  type AlgorithmIdentifier,
  readAlgorithmIdentifier,
  writeAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'

/**
 * Signature ::= SEQUENCE { signatureAlgorithm AlgorithmIdentifier, signature BIT STRING,
 *   certs [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL }
 * @see RFC 6960 4.1.1
 */
export interface Signature {
  readonly signatureAlgorithm: AlgorithmIdentifier
  /** Octets of the BIT STRING. */
  readonly signature: Uint8Array
  /** Whole certificates, DER. */
  readonly certs?: readonly Uint8Array[]
}

/** Reads the three fields, which end a BasicOCSPResponse as well. @throws DERError */
export function readSignatureFields(reader: DERReader): Signature {
  const signatureAlgorithm = readAlgorithmIdentifier(reader)
  const signature = reader.bitString()
  const certs = reader.optionalExplicit(0, readCerts)
  return certs === undefined ? { signatureAlgorithm, signature } : { signatureAlgorithm, signature, certs }
}

export function writeSignatureFields(value: Signature, writer: DERWriter): void {
  const { certs } = value
  writeAlgorithmIdentifier(value.signatureAlgorithm, writer)
  writer.bitString(value.signature)
  if (certs !== undefined) writer.explicit(0, (w) => w.sequenceOf(certs, writeCertificate))
}

function readCerts(reader: DERReader): Uint8Array[] {
  return reader.sequenceOf(readCertificate)
}

function readCertificate(reader: DERReader): Uint8Array {
  return reader.raw(0x30)
}

function writeCertificate(der: Uint8Array, writer: DERWriter): void {
  writer.raw(der)
}
