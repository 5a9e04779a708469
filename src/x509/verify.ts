/** Whether a certificate was signed by a key. */
import { BitString, fromBER } from 'asn1js'
import { AlgorithmIdentifier, getCrypto, PublicKeyInfo } from 'pkijs'
import { bufferSource } from '../pkix/buffer-source.ts'
import type { CertificateView } from './certificate.ts'

const ED25519 = '1.3.101.112'

/**
 * Verifies the signature over a certificate with a public key; no names, times or extensions.
 * @param spki DER SubjectPublicKeyInfo of the supposed signer
 * @returns `unsupported` when the algorithm or the key is one that WebCrypto or pkijs does not know
 */
export async function verifyCertificate(
  certificate: CertificateView,
  spki: Uint8Array,
): Promise<'good' | 'bad' | 'unsupported'> {
  const tbs = bufferSource(certificate.tbsCertificate)
  const signature = bufferSource(certificate.signature)
  try {
    if (certificate.signatureAlgorithmOID === ED25519) {
      const key = await crypto.subtle.importKey('spki', bufferSource(spki), { name: 'Ed25519' }, false, [
        'verify',
      ])
      return (await crypto.subtle.verify({ name: 'Ed25519' }, key, signature, tbs)) ? 'good' : 'bad'
    }
    const good = await getCrypto(true).verifyWithPublicKey(
      tbs,
      new BitString({ valueHex: signature.slice().buffer }),
      new PublicKeyInfo({ schema: fromBER(bufferSource(spki)).result }),
      new AlgorithmIdentifier({ schema: fromBER(bufferSource(certificate.signatureAlgorithm)).result }),
    )
    return good ? 'good' : 'bad'
  } catch {
    // The key of another algorithm than the signature's cannot even be imported: to pkijs that is an exception.
    return 'unsupported'
  }
}
