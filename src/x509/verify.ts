/** Whether a certificate, or something else, was signed by a key: OIDs into what WebCrypto wants; WebCrypto does the mathematics. */
import { fromBER } from 'asn1js'
import { AlgorithmIdentifier, RSASSAPSSParams } from 'pkijs'
import { DERReader } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import { hashAlgorithmOf, readAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import { decodeECDSASignature } from '../pkix/ecdsa-signature.ts'
import type { CertificateView } from './certificate.ts'

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const EC_PUBLIC_KEY = '1.2.840.10045.2.1'

/** RFC 8017 A.2.4, RFC 5758 3.2: signature algorithm -> hash. */
const RSA_HASHES: ReadonlyMap<string, string> = new Map<string, string>([
  ['1.2.840.113549.1.1.5', 'SHA-1'],
  [OID.sha256WithRSAEncryption, 'SHA-256'],
  ['1.2.840.113549.1.1.12', 'SHA-384'],
  ['1.2.840.113549.1.1.13', 'SHA-512'],
])
const ECDSA_HASHES: ReadonlyMap<string, string> = new Map<string, string>([
  ['1.2.840.10045.4.1', 'SHA-1'],
  [OID.ecdsaWithSHA256, 'SHA-256'],
  [OID.ecdsaWithSHA384, 'SHA-384'],
  [OID.ecdsaWithSHA512, 'SHA-512'],
])
/** RFC 5480 2.1.1.1: namedCurve -> WebCrypto's name, octets of a coordinate. */
const CURVES: ReadonlyMap<string, readonly [string, number]> = new Map([
  ['1.2.840.10045.3.1.7', ['P-256', 32]],
  ['1.3.132.0.34', ['P-384', 48]],
  ['1.3.132.0.35', ['P-521', 66]],
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

/** How WebCrypto is to be asked. */
interface Method {
  readonly key: { readonly name: string; readonly hash?: string; readonly namedCurve?: string }
  readonly verify: { readonly name: string; readonly hash?: string; readonly saltLength?: number }
  /** undefined: it is not even of the form. */
  readonly signature: Uint8Array | undefined
}

/**
 * Verifies the signature over a certificate with a public key; no names, times or extensions.
 * @param spki DER SubjectPublicKeyInfo of the supposed signer
 * @returns `unsupported` when the algorithm is one that WebCrypto or we do not know, or the key is not of its kind
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
  let method: Method | undefined
  let key: CryptoKey
  try {
    method = methodFor(signed, spki)
    if (method === undefined) return 'unsupported'
    key = await crypto.subtle.importKey('spki', bufferSource(spki), method.key, false, ['verify'])
  } catch {
    // To WebCrypto and to our readers, a curve, a key or parameters that they do not know are an exception.
    return 'unsupported'
  }
  if (method.signature === undefined) return 'bad'
  const [signature, tbs] = [bufferSource(method.signature), bufferSource(signed.tbs)]
  try {
    return (await crypto.subtle.verify(method.verify, key, signature, tbs)) ? 'good' : 'bad'
  } catch {
    // With a known algorithm and a usable key, what is left is a signature that is not even of its form.
    return 'bad'
  }
}

/** @throws on a key or parameters that are not of their form */
function methodFor(signed: SignedOctets, spki: Uint8Array): Method | undefined {
  const { signatureAlgorithmOID: oid, signature } = signed
  const { algorithm, parameters } = new DERReader(spki).sequence((r) => {
    const identifier = readAlgorithmIdentifier(r)
    r.bitString()
    return identifier
  })
  if (algorithm === OID.ed25519 && oid === OID.ed25519) {
    const name = { name: 'Ed25519' }
    return { key: name, verify: name, signature }
  }
  if (algorithm === RSA_ENCRYPTION) {
    const hash = RSA_HASHES.get(oid)
    if (hash !== undefined) {
      const name = 'RSASSA-PKCS1-v1_5'
      return { key: { name, hash }, verify: { name }, signature }
    }
    const pss = oid === OID.rsassaPss ? pssOf(signed.signatureAlgorithm) : undefined
    if (pss === undefined) return undefined
    const name = 'RSA-PSS'
    return { key: { name, hash: pss.hash }, verify: { name, saltLength: pss.saltLength }, signature }
  }
  const hash = ECDSA_HASHES.get(oid)
  if (algorithm !== EC_PUBLIC_KEY || hash === undefined || parameters === undefined) return undefined
  const [namedCurve, octets] = CURVES.get(new DERReader(parameters).oid()) ?? []
  if (namedCurve === undefined || octets === undefined) return undefined
  const name = 'ECDSA'
  const raw = decodeECDSASignature(signature, octets)
  return { key: { name, namedCurve }, verify: { name, hash }, signature: raw }
}

/** WebCrypto takes one hash for the message and for MGF1; RFC 4055 3.1 allows two. */
function pssOf(identifier: Uint8Array): { hash: string; saltLength: number } | undefined {
  const { algorithmParams } = new AlgorithmIdentifier({ schema: fromBER(bufferSource(identifier)).result })
  const { hashAlgorithm, maskGenAlgorithm, saltLength } = new RSASSAPSSParams({ schema: algorithmParams })
  const mask: unknown = maskGenAlgorithm.algorithmParams
  if (new AlgorithmIdentifier({ schema: mask }).algorithmId !== hashAlgorithm.algorithmId) return undefined
  const hash = hashAlgorithmOf(hashAlgorithm.algorithmId)
  return hash === undefined ? undefined : { hash, saltLength }
}
