import { type DERReader, TAG } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import { OID } from '../asn1/oid.ts'

/** Hash algorithms of a CertID that we answer for, by their WebCrypto names. */
export type HashAlgorithm = 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512'

export const HASH_ALGORITHMS: readonly HashAlgorithm[] = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']

/** Octets of a digest. */
export const HASH_LENGTH: Readonly<Record<HashAlgorithm, number>> = {
  'SHA-1': 20,
  'SHA-256': 32,
  'SHA-384': 48,
  'SHA-512': 64,
}

/**
 * AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY DEFINED BY algorithm OPTIONAL }
 * @see RFC 5280 4.1.1.2
 */
export interface AlgorithmIdentifier {
  /** Dotted. */
  readonly algorithm: string
  /** The whole DER element, such as 05 00 for NULL; undefined when absent. NULL and absent are different encodings. */
  readonly parameters: Uint8Array | undefined
}

/** DER of NULL. Shared: do not mutate. */
export const NULL_PARAMETERS: Uint8Array = Uint8Array.of(0x05, 0x00)

const HASH_OID: Readonly<Record<HashAlgorithm, string>> = {
  'SHA-1': OID.sha1,
  'SHA-256': OID.sha256,
  'SHA-384': OID.sha384,
  'SHA-512': OID.sha512,
}

const HASH_BY_OID = new Map<string, HashAlgorithm>(HASH_ALGORITHMS.map((hash) => [HASH_OID[hash], hash]))

/** The hash that a dotted OID names, undefined when it is not one of HASH_ALGORITHMS. */
export function hashAlgorithmOf(oid: string): HashAlgorithm | undefined {
  return HASH_BY_OID.get(oid)
}

/** The identifier with parameters NULL, which every client accepts in a CertID (R5.40). */
export function hashAlgorithmIdentifier(hash: HashAlgorithm): AlgorithmIdentifier {
  return { algorithm: HASH_OID[hash], parameters: NULL_PARAMETERS }
}

/** True for `05 00`. */
export function isNullParameters(parameters: Uint8Array): boolean {
  return parameters.length === 2 && parameters[0] === TAG.null && parameters[1] === 0
}

/** @throws DERError */
export function readAlgorithmIdentifier(reader: DERReader): AlgorithmIdentifier {
  return reader.sequence(readFields)
}

function readFields(reader: DERReader): AlgorithmIdentifier {
  const algorithm = reader.oid()
  return { algorithm, parameters: reader.atEnd ? undefined : readParameters(reader) }
}

function readParameters(reader: DERReader): Uint8Array {
  if (reader.peekTag() !== TAG.null) return reader.any()
  reader.empty(TAG.null)
  return NULL_PARAMETERS
}

export function writeAlgorithmIdentifier(identifier: AlgorithmIdentifier, writer: DERWriter): void {
  writer.sequence((w) => {
    w.oid(identifier.algorithm)
    if (identifier.parameters !== undefined) w.raw(identifier.parameters)
  })
}

/** DER of an AlgorithmIdentifier. */
export function encodeAlgorithmIdentifier(identifier: AlgorithmIdentifier): Uint8Array {
  const writer = new DERWriter()
  writeAlgorithmIdentifier(identifier, writer)
  return writer.finish()
}
