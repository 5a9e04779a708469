/** Whether a certificate, or something else, was signed by a key. pkijs turns OIDs into what WebCrypto wants; WebCrypto does the mathematics. */
import { BitString, fromBER } from 'asn1js'
import { AlgorithmIdentifier, getCrypto, PublicKeyInfo, RSASSAPSSParams } from 'pkijs'
import { bufferSource } from '../pkix/buffer-source.ts'
import type { CertificateView } from './certificate.ts'

const ED25519 = '1.3.101.112'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const EC_PUBLIC_KEY = '1.2.840.10045.2.1'

/** WebCrypto's name of a signature algorithm -> what the key has to be. pkijs would verify with any, and say "bad". */
const KEY_KIND: ReadonlyMap<string, string> = new Map([
  ['RSASSA-PKCS1-v1_5', RSA_ENCRYPTION],
  ['RSA-PSS', RSA_ENCRYPTION],
  ['ECDSA', EC_PUBLIC_KEY],
])

/** What SIGNED of X.509 is made of (RFC 5280 4.1): certificates have this form, and signed OCSP requests. */
export interface SignedOctets {
  readonly tbs: Uint8Array
  /** Raw AlgorithmIdentifier. */
  readonly signatureAlgorithm: Uint8Array
  readonly signatureAlgorithmOID: string
  /** Value of the BIT STRING. */
  readonly signature: Uint8Array
}

/**
 * Verifies the signature over a certificate with a public key; no names, times or extensions.
 * @param spki DER SubjectPublicKeyInfo of the supposed signer
 * @returns `unsupported` when the algorithm is one that WebCrypto or pkijs does not know, or the key is not of its kind
 */
export function verifyCertificate(
  certificate: CertificateView,
  spki: Uint8Array,
): Promise<'good' | 'bad' | 'unsupported'> {
  const { tbsCertificate: tbs, signatureAlgorithm, signatureAlgorithmOID, signature } = certificate
  return verifySigned({ tbs, signatureAlgorithm, signatureAlgorithmOID, signature }, spki)
}

/** The same for anything that is signed as a certificate is. */
export async function verifySigned(
  signed: SignedOctets,
  spki: Uint8Array,
): Promise<'good' | 'bad' | 'unsupported'> {
  if (signed.signatureAlgorithmOID === ED25519) return verifyEd25519(signed, spki)
  const engine = getCrypto(true)
  let key: PublicKeyInfo
  let algorithm: AlgorithmIdentifier
  try {
    key = new PublicKeyInfo({ schema: fromBER(bufferSource(spki)).result })
    algorithm = new AlgorithmIdentifier({
      schema: fromBER(bufferSource(signed.signatureAlgorithm)).result,
    })
    const { name } = engine.getAlgorithmByOID(algorithm.algorithmId, true)
    if (KEY_KIND.get(name) !== key.algorithm.algorithmId) return 'unsupported'
    if (name === 'RSA-PSS' && !hasOneHash(algorithm)) return 'unsupported'
    await engine.getPublicKey(key, algorithm)
  } catch {
    // To pkijs and to WebCrypto, an algorithm, a curve or a key that they do not know is an exception.
    return 'unsupported'
  }
  try {
    const tbs = bufferSource(signed.tbs)
    const signature = new BitString({ valueHex: signed.signature.slice().buffer })
    return (await engine.verifyWithPublicKey(tbs, signature, key, algorithm)) ? 'good' : 'bad'
  } catch {
    // With a known algorithm and a usable key, what is left is a signature that is not even of its form.
    return 'bad'
  }
}

/** pkijs has no Ed25519. */
async function verifyEd25519(
  signed: SignedOctets,
  spki: Uint8Array,
): Promise<'good' | 'bad' | 'unsupported'> {
  const name = 'Ed25519'
  const tbs = bufferSource(signed.tbs)
  const signature = bufferSource(signed.signature)
  try {
    const key = await crypto.subtle.importKey('spki', bufferSource(spki), { name }, false, ['verify'])
    return (await crypto.subtle.verify({ name }, key, signature, tbs)) ? 'good' : 'bad'
  } catch {
    return 'unsupported'
  }
}

/** WebCrypto takes one hash for the message and for MGF1; RFC 4055 3.1 allows two. */
function hasOneHash(algorithm: AlgorithmIdentifier): boolean {
  const { hashAlgorithm, maskGenAlgorithm } = new RSASSAPSSParams({ schema: algorithm.algorithmParams })
  const mask: unknown = maskGenAlgorithm.algorithmParams
  return new AlgorithmIdentifier({ schema: mask }).algorithmId === hashAlgorithm.algorithmId
}
