/**
 * The signature algorithms a responder may use. AlgorithmIdentifiers are fixed bytes, because relying parties and the
 * Baseline Requirements compare them as bytes (BR 7.1.3.2; R1.51, R4.8). SHA-1 signatures are not among them (R4.9).
 */
import type { SignatureAlgorithm } from '../ports/records.ts'

/** Kinds of key, as SubjectPublicKeyInfo and PKCS#8 name them. */
export type KeyType = 'RSA' | 'P-256' | 'P-384' | 'P-521' | 'Ed25519'

/** Parameters for `crypto.subtle.importKey`. */
export type KeyImportParameters =
  | { readonly name: 'RSASSA-PKCS1-v1_5' | 'RSA-PSS'; readonly hash: 'SHA-256' }
  | { readonly name: 'ECDSA'; readonly namedCurve: 'P-256' | 'P-384' | 'P-521' }
  | { readonly name: 'Ed25519' }

/** Parameters for `crypto.subtle.sign` and `verify`. */
export type SignParameters =
  | { readonly name: 'RSASSA-PKCS1-v1_5' }
  | { readonly name: 'RSA-PSS'; readonly saltLength: 32 }
  | { readonly name: 'ECDSA'; readonly hash: 'SHA-256' | 'SHA-384' | 'SHA-512' }
  | { readonly name: 'Ed25519' }

export interface AlgorithmFacts {
  /** DER AlgorithmIdentifier for BasicOCSPResponse.signatureAlgorithm. Do not mutate. */
  readonly identifier: Uint8Array
  readonly keyType: KeyType
  readonly importParameters: KeyImportParameters
  readonly signParameters: SignParameters
  /** ECDSA: octets of r and of s in WebCrypto's raw form. 0 for algorithms that need no conversion. */
  readonly coordinateBytes: number
  /** Longest signature in octets (DER form for ECDSA; 512 for RSA, that is a 4096-bit modulus). */
  readonly maxSignatureBytes: number
  /** CPU price of one signature in units of one P-256 signature, measured in workerd (RSA: at 2048 bits). */
  readonly cost: number
}

export const RSA_MIN_BITS = 2048
export const RSA_MAX_BITS = 4096

/** SHA-256 as hash and in MGF1, salt of 32 octets, explicit NULLs: the one SHA-256 form that BR 7.1.3.2.1 allows. */
const RSASSA_PSS_SHA256 =
  '304106092a864886f70d01010a3034a00f300d06096086480165030402010500' +
  'a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120'

export const SIGNATURE_ALGORITHMS: Readonly<Record<SignatureAlgorithm, AlgorithmFacts>> = {
  sha256WithRSAEncryption: {
    identifier: bytesOf('300d06092a864886f70d01010b0500'),
    keyType: 'RSA',
    importParameters: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
    signParameters: { name: 'RSASSA-PKCS1-v1_5' },
    coordinateBytes: 0,
    maxSignatureBytes: 512,
    cost: 30,
  },
  'rsassaPss-sha256': {
    identifier: bytesOf(RSASSA_PSS_SHA256),
    keyType: 'RSA',
    importParameters: { name: 'RSA-PSS', hash: 'SHA-256' },
    signParameters: { name: 'RSA-PSS', saltLength: 32 },
    coordinateBytes: 0,
    maxSignatureBytes: 512,
    cost: 30,
  },
  'ecdsa-with-SHA256': ecdsa('300a06082a8648ce3d040302', 'P-256', 'SHA-256', 32, 1),
  'ecdsa-with-SHA384': ecdsa('300a06082a8648ce3d040303', 'P-384', 'SHA-384', 48, 28),
  'ecdsa-with-SHA512': ecdsa('300a06082a8648ce3d040304', 'P-521', 'SHA-512', 66, 60),
  Ed25519: {
    identifier: bytesOf('300506032b6570'),
    keyType: 'Ed25519',
    importParameters: { name: 'Ed25519' },
    signParameters: { name: 'Ed25519' },
    coordinateBytes: 0,
    maxSignatureBytes: 64,
    cost: 1,
  },
}

/** Algorithms that a key of this type can sign with, the preferred one first. */
export const ALGORITHMS_BY_KEY_TYPE: Readonly<Record<KeyType, readonly SignatureAlgorithm[]>> = {
  RSA: ['sha256WithRSAEncryption', 'rsassaPss-sha256'],
  'P-256': ['ecdsa-with-SHA256'],
  'P-384': ['ecdsa-with-SHA384'],
  'P-521': ['ecdsa-with-SHA512'],
  Ed25519: ['Ed25519'],
}

export const SIGNATURE_ALGORITHM_NAMES: readonly SignatureAlgorithm[] = [
  'sha256WithRSAEncryption',
  'rsassaPss-sha256',
  'ecdsa-with-SHA256',
  'ecdsa-with-SHA384',
  'ecdsa-with-SHA512',
  'Ed25519',
]

/**
 * Price of one signature in P-256 units. RSA grows with the cube of the modulus.
 * @param spkiBytes length of the DER SubjectPublicKeyInfo, from which an RSA modulus length follows closely enough
 */
export function signatureCost(algorithm: SignatureAlgorithm, spkiBytes: number): number {
  const facts = SIGNATURE_ALGORITHMS[algorithm]
  if (facts.keyType !== 'RSA') return facts.cost
  // An RSA-2048 SubjectPublicKeyInfo has 294 octets, 38 of which are not the modulus.
  const ratio = Math.max(1, (spkiBytes - 38) / 256)
  return Math.ceil(facts.cost * ratio ** 3)
}

function ecdsa(
  identifier: string,
  keyType: 'P-256' | 'P-384' | 'P-521',
  hash: 'SHA-256' | 'SHA-384' | 'SHA-512',
  coordinateBytes: number,
  cost: number,
): AlgorithmFacts {
  const integers = 2 * (2 + 1 + coordinateBytes)
  return {
    identifier: bytesOf(identifier),
    keyType,
    importParameters: { name: 'ECDSA', namedCurve: keyType },
    signParameters: { name: 'ECDSA', hash },
    coordinateBytes,
    maxSignatureBytes: integers + (integers > 127 ? 3 : 2),
    cost,
  }
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  )
}
