/** Whether a certificate was signed by a key. WebCrypto does the mathematics; this says in its words what X.509 says in OIDs. */
import { DERReader, TAG } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import {
  type AlgorithmIdentifier,
  type HashAlgorithm,
  hashAlgorithmOf,
  readAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import { decodeECDSASignature } from '../pkix/ecdsa-signature.ts'
import type { CertificateView } from './certificate.ts'

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const EC_PUBLIC_KEY = '1.2.840.10045.2.1'
const MGF1 = '1.2.840.113549.1.1.8'

/** Old CAs signed with SHA-1; whether that is still good enough is for others to say. */
const RSA_SIGNATURES: ReadonlyMap<string, HashAlgorithm> = new Map([
  ['1.2.840.113549.1.1.5', 'SHA-1'],
  [OID.sha256WithRSAEncryption, 'SHA-256'],
  ['1.2.840.113549.1.1.12', 'SHA-384'],
  ['1.2.840.113549.1.1.13', 'SHA-512'],
])
const ECDSA_SIGNATURES: ReadonlyMap<string, HashAlgorithm> = new Map([
  ['1.2.840.10045.4.1', 'SHA-1'],
  [OID.ecdsaWithSHA256, 'SHA-256'],
  [OID.ecdsaWithSHA384, 'SHA-384'],
  [OID.ecdsaWithSHA512, 'SHA-512'],
])
/** OID of the curve -> WebCrypto's name, octets of a coordinate. */
const CURVES: ReadonlyMap<string, readonly [namedCurve: string, coordinateBytes: number]> = new Map([
  ['1.2.840.10045.3.1.7', ['P-256', 32]],
  ['1.3.132.0.34', ['P-384', 48]],
  ['1.3.132.0.35', ['P-521', 66]],
])

interface Verification {
  readonly importParameters: { readonly name: string; readonly hash?: string; readonly namedCurve?: string }
  readonly parameters: { readonly name: string; readonly hash?: string; readonly saltLength?: number }
  /** In WebCrypto's form; undefined when it is none. */
  readonly signature: Uint8Array | undefined
}

/**
 * Verifies the signature over a certificate with a public key; no names, times or extensions.
 * @param spki DER SubjectPublicKeyInfo of the supposed signer
 * @returns `unsupported` when the algorithm is one that WebCrypto does not know, or the key is not of its kind
 */
export async function verifyCertificate(
  certificate: CertificateView,
  spki: Uint8Array,
): Promise<'good' | 'bad' | 'unsupported'> {
  try {
    const how = verificationOf(certificate, spki)
    if (how === undefined) return 'unsupported'
    const { importParameters, parameters, signature } = how
    const key = await crypto.subtle.importKey('spki', bufferSource(spki), importParameters, false, ['verify'])
    const tbs = bufferSource(certificate.tbsCertificate)
    if (signature === undefined) return 'bad'
    return (await crypto.subtle.verify(parameters, key, bufferSource(signature), tbs)) ? 'good' : 'bad'
  } catch {
    // An AlgorithmIdentifier that is not DER, or a key that cannot be imported.
    return 'unsupported'
  }
}

/** @throws DERError */
function verificationOf(certificate: CertificateView, spki: Uint8Array): Verification | undefined {
  const keyAlgorithm = new DERReader(spki).sequence((reader) => {
    const algorithm = readAlgorithmIdentifier(reader)
    reader.bitString()
    return algorithm
  })
  const signed = readAlgorithmIdentifier(new DERReader(certificate.signatureAlgorithm))
  const { signature } = certificate
  switch (keyAlgorithm.algorithm) {
    case RSA_ENCRYPTION: {
      if (signed.algorithm === OID.rsassaPss) return pss(signed, signature)
      const hash = RSA_SIGNATURES.get(signed.algorithm)
      const name = 'RSASSA-PKCS1-v1_5'
      return hash && { importParameters: { name, hash }, parameters: { name }, signature }
    }
    case EC_PUBLIC_KEY: {
      const { parameters } = keyAlgorithm
      const curve = parameters?.[0] === TAG.oid ? CURVES.get(new DERReader(parameters).oid()) : undefined
      const hash = ECDSA_SIGNATURES.get(signed.algorithm)
      if (curve === undefined || hash === undefined) return undefined
      const [namedCurve, coordinateBytes] = curve
      return {
        importParameters: { name: 'ECDSA', namedCurve },
        parameters: { name: 'ECDSA', hash },
        signature: decodeECDSASignature(signature, coordinateBytes),
      }
    }
    case OID.ed25519: {
      if (signed.algorithm !== OID.ed25519) return undefined
      return { importParameters: { name: 'Ed25519' }, parameters: { name: 'Ed25519' }, signature }
    }
    default:
      return undefined
  }
}

/**
 * RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, [1] maskGenAlgorithm DEFAULT mgf1SHA1,
 * [2] saltLength DEFAULT 20, [3] trailerField DEFAULT 1 }. WebCrypto takes the same hash for both.
 * @see RFC 4055 3.1
 */
function pss({ parameters }: AlgorithmIdentifier, signature: Uint8Array): Verification | undefined {
  if (parameters === undefined) return undefined
  const name = 'RSA-PSS'
  return new DERReader(parameters).sequence((reader) => {
    const hash = hashOf(reader.optionalExplicit(0, readAlgorithmIdentifier))
    const mask = reader.optionalExplicit(1, readAlgorithmIdentifier)
    const saltLength = reader.optionalExplicit(2, (salt) => salt.integer()) ?? 20
    const trailer = reader.optionalExplicit(3, (field) => field.integer()) ?? 1
    if (mask !== undefined && mask.algorithm !== MGF1) return undefined
    const maskHash = hashOf(mask?.parameters && readAlgorithmIdentifier(new DERReader(mask.parameters)))
    if (hash === undefined || hash !== maskHash || trailer !== 1) return undefined
    return { importParameters: { name, hash }, parameters: { name, saltLength }, signature }
  })
}

function hashOf(identifier: AlgorithmIdentifier | undefined): HashAlgorithm | undefined {
  return identifier === undefined ? 'SHA-1' : hashAlgorithmOf(identifier.algorithm)
}
