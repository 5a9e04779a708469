/**
 * Signing and verifying with WebCrypto. Private keys are imported non-extractable, and nothing that leaves this file
 * (errors, values, their text forms) carries key material.
 */

import { bufferSource } from '../pkix/buffer-source.ts'
import { decodeECDSASignature, encodeECDSASignature } from '../pkix/ecdsa-signature.ts'
import { SigningError } from '../ports/errors.ts'
import type { SignatureAlgorithm } from '../ports/records.ts'
import { SIGNATURE_ALGORITHMS } from './algorithms.ts'
import { algorithmFor } from './private-key.ts'

export interface Signer {
  readonly algorithm: SignatureAlgorithm
  /** DER AlgorithmIdentifier that belongs beside the signature. Do not mutate. */
  readonly signatureAlgorithm: Uint8Array
  /**
   * Signs the DER of tbsResponseData.
   * @returns content of the signature BIT STRING (DER Ecdsa-Sig-Value for ECDSA)
   * @throws SigningError.signFailed
   */
  sign(tbs: Uint8Array): Promise<Uint8Array>
}

/** True when `signature` (in X.509 form) over `tbs` is good. Malformed signatures are false, not errors. */
export type Verifier = (tbs: Uint8Array, signature: Uint8Array) => Promise<boolean>

/**
 * Imports a private key, non-extractable, for signing alone.
 * @param pkcs8 DER of PrivateKeyInfo; the caller may overwrite it afterwards
 * @throws SigningError.keyUnreadable when it is no such key, or an RSA key outside 2048..4096 bits
 */
export async function importSigner(pkcs8: Uint8Array, algorithm: SignatureAlgorithm): Promise<Signer> {
  const { identifier, importParameters, signParameters, coordinateBytes } = SIGNATURE_ALGORITHMS[algorithm]
  // Checked here, because workerd imports an EC key as an Ed25519 key without a word.
  algorithmFor(pkcs8, algorithm)
  let key: CryptoKey
  try {
    key = await crypto.subtle.importKey('pkcs8', bufferSource(pkcs8), importParameters, false, ['sign'])
  } catch {
    // The platform's own message is left out on purpose: it is not ours to promise that it never quotes its input.
    throw new SigningError('keyUnreadable', `the private key cannot be used for ${algorithm}`)
  }
  return {
    algorithm,
    signatureAlgorithm: identifier,
    async sign(tbs) {
      let signature: Uint8Array
      try {
        signature = new Uint8Array(await crypto.subtle.sign(signParameters, key, bufferSource(tbs)))
      } catch (cause) {
        throw new SigningError('signFailed', `signing with ${algorithm} failed`, { cause })
      }
      return coordinateBytes === 0 ? signature : encodeECDSASignature(signature)
    },
  }
}

/**
 * Imports a public key for verifying.
 * @param spki DER of SubjectPublicKeyInfo
 * @throws SigningError.keyUnreadable
 */
export async function importVerifier(spki: Uint8Array, algorithm: SignatureAlgorithm): Promise<Verifier> {
  const { importParameters, signParameters, coordinateBytes } = SIGNATURE_ALGORITHMS[algorithm]
  algorithmFor(spki, algorithm)
  let key: CryptoKey
  try {
    key = await crypto.subtle.importKey('spki', bufferSource(spki), importParameters, true, ['verify'])
  } catch (cause) {
    throw new SigningError('keyUnreadable', `the public key cannot be used for ${algorithm}`, { cause })
  }
  return async (tbs, signature) => {
    const raw = coordinateBytes === 0 ? signature : decodeECDSASignature(signature, coordinateBytes)
    if (raw === undefined) return false
    return crypto.subtle.verify(signParameters, key, bufferSource(raw), bufferSource(tbs))
  }
}

/**
 * Whether private and public key belong together: signs and verifies once.
 * @throws SigningError.keyUnreadable when the private key cannot be used for `algorithm`
 */
export async function keyMatches(
  pkcs8: Uint8Array,
  spki: Uint8Array,
  algorithm: SignatureAlgorithm,
): Promise<boolean> {
  const signer = await importSigner(pkcs8, algorithm)
  let verify: Verifier
  try {
    verify = await importVerifier(spki, algorithm)
  } catch {
    return false
  }
  const probe = new TextEncoder().encode('edge-ocsp: does this private key match this certificate?')
  return verify(probe, await signer.sign(probe))
}
