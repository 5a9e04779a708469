/** Fresh key pairs, as bytes. For the demonstration PKI and for tests. */
import { DERReader } from '../../asn1/der-reader.ts'
import { bufferSource } from '../../pkix/buffer-source.ts'
import type { SignatureAlgorithm } from '../../ports/records.ts'
import { SIGNATURE_ALGORITHMS } from '../../signing/algorithms.ts'

export interface KeyPairBytes {
  /** DER PrivateKeyInfo. */
  readonly pkcs8: Uint8Array
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  /** SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1): key identifier, and KeyHash of a ResponderID. */
  readonly keyIdentifier: Uint8Array
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
  const spki = await exportKey('spki', pair.publicKey)
  const keyIdentifier = await crypto.subtle.digest('SHA-1', bufferSource(publicKeyBits(spki)))
  return {
    pkcs8: await exportKey('pkcs8', pair.privateKey),
    spki,
    keyIdentifier: new Uint8Array(keyIdentifier),
  }
}

/** Value of the BIT STRING of a SubjectPublicKeyInfo. */
export function publicKeyBits(spki: Uint8Array): Uint8Array {
  return new DERReader(spki).sequence((reader) => {
    reader.raw()
    return reader.bitString()
  })
}

async function exportKey(format: 'pkcs8' | 'spki', key: CryptoKey): Promise<Uint8Array> {
  const exported = await crypto.subtle.exportKey(format, key)
  if (!(exported instanceof ArrayBuffer)) throw new TypeError(`${format} export gave no bytes`)
  return new Uint8Array(exported)
}
