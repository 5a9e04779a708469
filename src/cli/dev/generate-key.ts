/** Fresh key pairs, as bytes. For the demonstration PKI and for tests. */
import type { SignatureAlgorithm } from '../../responder/records.ts'
import { SIGNATURE_ALGORITHMS } from '../../signing/algorithms.ts'

export interface KeyPairBytes {
  /** DER PrivateKeyInfo. */
  readonly pkcs8: Uint8Array
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
}

/** @param rsaBits modulus length, for the RSA algorithms */
export async function generateKeyPair(algorithm: SignatureAlgorithm, rsaBits = 2048): Promise<KeyPairBytes> {
  const { importParameters } = SIGNATURE_ALGORITHMS[algorithm]
  const parameters =
    'hash' in importParameters
      ? { ...importParameters, modulusLength: rsaBits, publicExponent: Uint8Array.of(1, 0, 1) }
      : importParameters
  const pair = await crypto.subtle.generateKey(parameters, true, ['sign', 'verify'])
  if (!('privateKey' in pair)) throw new TypeError(`${algorithm} makes no key pair`)
  return { pkcs8: await exportKey('pkcs8', pair.privateKey), spki: await exportKey('spki', pair.publicKey) }
}

async function exportKey(format: 'pkcs8' | 'spki', key: CryptoKey): Promise<Uint8Array> {
  const exported = await crypto.subtle.exportKey(format, key)
  if (!(exported instanceof ArrayBuffer)) throw new TypeError(`${format} export gave no bytes`)
  return new Uint8Array(exported)
}
