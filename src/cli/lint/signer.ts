/** Who signed a response that came from elsewhere, and whether the issuer made them its delegate. */
import { type BasicOCSPResponse, type ResponderID, signedOctets } from '../../ocsp/index.ts'
import { encodeAlgorithmIdentifier } from '../../pkix/algorithm-identifier.ts'
import {
  type CertificateView,
  checkResponderCertificate,
  type Finding,
  keyHash,
  type Profile,
  readCertificate,
  verifySigned,
} from '../../x509/index.ts'

export interface Signer {
  readonly certificate: CertificateView
  /** `unproven`: without the issuer at hand, it is only a certificate that the response names. */
  readonly is: 'issuer' | 'delegate' | 'unproven'
}

/**
 * @param known the responder's certificate as it was given; without it, the issuer and certs are searched
 * @returns undefined when ResponderID names nobody at hand
 */
export async function findSigner(
  { tbsResponseData, certs = [] }: BasicOCSPResponse,
  issuer: CertificateView | undefined,
  known: CertificateView | undefined,
): Promise<Signer | undefined> {
  const { responderID } = tbsResponseData
  const candidates = known === undefined ? [issuer, ...certs.map(readOrSkip)] : [known]
  for (const certificate of candidates) {
    if (certificate === undefined) continue
    if (known === undefined && !(await isNamed(responderID, certificate))) continue
    return {
      certificate,
      is: issuer === undefined ? 'unproven' : isOf(certificate, issuer) ? 'issuer' : 'delegate',
    }
  }
  return undefined
}

/** The same CA may have several certificates for its one key. */
function isOf(certificate: CertificateView, issuer: CertificateView): boolean {
  return (
    same(certificate.publicKeyBits, issuer.publicKeyBits) && same(certificate.subjectDER, issuer.subjectDER)
  )
}

/** What cannot be read is a finding of its own. */
function readOrSkip(der: Uint8Array): CertificateView | undefined {
  try {
    return readCertificate(der)
  } catch {
    return undefined
  }
}

async function isNamed(id: ResponderID, certificate: CertificateView): Promise<boolean> {
  return 'byName' in id ? same(id.byName, certificate.subjectDER) : same(id.byKey, await keyHash(certificate))
}

/** @param octets of the BasicOCSPResponse */
export function verifyBasic(
  basic: BasicOCSPResponse,
  octets: Uint8Array,
  { spki }: CertificateView,
): Promise<'good' | 'bad' | 'unsupported'> {
  const { signatureAlgorithm, signature } = basic
  return verifySigned(
    {
      tbs: signedOctets(octets),
      signatureAlgorithm: encodeAlgorithmIdentifier(signatureAlgorithm),
      signatureAlgorithmOID: signatureAlgorithm.algorithm,
      signature,
    },
    spki,
  )
}

/** Requirements of what is found about certificates; others are of the profile of responder certificates, R4.7. */
const REQUIREMENTS: Readonly<Record<string, string>> = {
  wrongIssuer: 'R1.55',
  badSignature: 'R1.56',
  unverifiableSignature: 'R1.55',
  sameNameAsIssuer: 'R1.54',
  noOCSPSigning: 'R1.55',
  otherExtendedKeyUsage: 'R4.33',
  noNoCheck: 'R1.60',
  criticalNoCheck: 'R1.60',
  badNoCheckValue: 'R1.60',
  weakSignature: 'R4.9',
  notYetValid: 'R1.61',
  expired: 'R1.61',
  expiresSoon: 'R8.6',
  outlivesIssuer: 'R1.66',
}

export interface SignerFinding extends Finding {
  /** Number of the requirement. */
  readonly id: string
  /** Such as signer-no-check-value. */
  readonly check: string
}

/** What is wrong with the signer's certificate, as it would be when it was given to our own responder (R1.54-R1.61, R4.5-R4.9). */
export async function judgeSigner(
  { certificate, is }: Signer,
  issuer: CertificateView,
  profile: Profile,
  now: number,
): Promise<SignerFinding[]> {
  const signer = is === 'issuer' ? issuer : certificate
  const findings = await checkResponderCertificate(signer, issuer, profile, now)
  return findings.map((finding) => {
    const ofIssuer = finding.code === 'noDigitalSignature' && is === 'issuer'
    const id = ofIssuer ? 'R4.6' : (REQUIREMENTS[finding.code] ?? 'R4.7')
    return { ...finding, id, check: `signer-${kebab(finding.code)}` }
  })
}

/** noOCSPSigning -> no-ocsp-signing */
function kebab(code: string): string {
  return code
    .replace(/([a-z])([A-Z])/g, '$1-$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase()
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
