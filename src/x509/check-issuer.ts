/** Whether a certificate can be an issuer that we answer for, and whether its key may sign the answers itself. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertificateView } from './certificate.ts'
import type { Finding } from './error.ts'

/** How strict: `public-trust` follows the CA/Browser Forum and root programs. */
export type Profile = 'private' | 'public-trust'

/** Findings about an issuer's certificate. Nothing here asks whether anybody trusts it. */
export function checkIssuerCertificate(issuer: CertificateView, now: UnixSeconds): Finding[] {
  const findings = [...issuer.warnings, ...checkValidity(issuer, now, 'the issuer certificate')]
  if (issuer.version < 3)
    findings.push({
      level: 'warning',
      code: 'oldVersion',
      message: `the issuer certificate is X.509 version ${issuer.version}: it cannot say that it is a CA; check that it is the right file`,
    })
  else if (!issuer.isCA)
    findings.push({
      level: 'error',
      code: 'notCA',
      message:
        'the issuer certificate is not a CA certificate (basicConstraints cA is not TRUE); give the certificate of the CA that issued the certificates',
    })
  if (issuer.keyUsage !== undefined && !issuer.keyUsage.keyCertSign)
    findings.push({
      level: 'warning',
      code: 'noKeyCertSign',
      message: 'keyUsage of the issuer certificate does not allow it to sign certificates (keyCertSign)',
    })
  if (issuer.subjectKeyIdentifier === undefined)
    findings.push({
      level: 'warning',
      code: 'noSubjectKeyIdentifier',
      message:
        'the issuer certificate has no subject key identifier; it is known by the SHA-1 of its public key instead',
    })
  return findings
}

/**
 * Findings about a CA key that signs responses itself (R1.59, R4.6). Error under `public-trust` without digitalSignature:
 * such a key must not sign OCSP responses (BR 7.1.2.10.7).
 */
export function checkDirectSigner(issuer: CertificateView, profile: Profile, now: UnixSeconds): Finding[] {
  const findings = checkValidity(issuer, now, 'the CA certificate')
  if (issuer.keyUsage?.digitalSignature !== true)
    findings.push({
      level: profile === 'public-trust' ? 'error' : 'warning',
      code: 'noDigitalSignature',
      message:
        'the CA certificate does not have keyUsage digitalSignature, so its key must not sign OCSP responses (BR 7.1.2.10.7); use a delegated responder certificate',
    })
  return findings
}

/** Errors `notYetValid` and `expired`. */
export function checkValidity(certificate: CertificateView, now: UnixSeconds, what: string): Finding[] {
  if (now < certificate.notBefore)
    return [
      {
        level: 'error',
        code: 'notYetValid',
        message: `${what} is not valid before ${formatTime(certificate.notBefore)}, and now it is ${formatTime(now)}; wait, or check the clock`,
      },
    ]
  if (now > certificate.notAfter)
    return [
      {
        level: 'error',
        code: 'expired',
        message: `${what} expired at ${formatTime(certificate.notAfter)}; renew it`,
      },
    ]
  return []
}

export function formatTime(at: UnixSeconds): string {
  return new Date(at * 1000).toISOString().replace('.000Z', 'Z')
}
