/** What CertID and ResponderID know a key holder by. */
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import type { CertificateView } from './certificate.ts'

/**
 * Hashes of an issuer for each CertID hash algorithm: over the DER of its Name exactly as in the certificate (R1.14), and
 * over the value of the key's BIT STRING without tag, length and unused-bits octet (R1.15).
 * @see RFC 6960 4.1.1
 */
export async function issuerHashes(
  issuer: CertificateView,
): Promise<Record<HashAlgorithm, { issuerNameHash: Uint8Array; issuerKeyHash: Uint8Array }>> {
  const hash = async (algorithm: HashAlgorithm) => ({
    issuerNameHash: await digest(algorithm, issuer.subjectDER),
    issuerKeyHash: await digest(algorithm, issuer.publicKeyBits),
  })
  return {
    'SHA-1': await hash('SHA-1'),
    'SHA-256': await hash('SHA-256'),
    'SHA-384': await hash('SHA-384'),
    'SHA-512': await hash('SHA-512'),
  }
}

/** KeyHash of ResponderID byKey: SHA-1 of the public key, 20 octets, whatever else is in use (R1.52). */
export function keyHash(certificate: CertificateView): Promise<Uint8Array> {
  return digest('SHA-1', certificate.publicKeyBits)
}

/** Name of an issuer's key: its subject key identifier, else the key hash. Lower-case hex, as IssuerRecord.ski. */
export async function subjectKeyIdentifierHex(certificate: CertificateView): Promise<string> {
  const octets = certificate.subjectKeyIdentifier ?? (await keyHash(certificate))
  return Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('')
}

async function digest(algorithm: HashAlgorithm, bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(algorithm, bufferSource(bytes)))
}
