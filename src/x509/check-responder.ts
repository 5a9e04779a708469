/**
 * Whether a delegated responder certificate may sign for an issuer: RFC 6960 4.2.2.2, BR 7.1.2.8, Microsoft and Mozilla root
 * policies (R1.54-R1.61, R4.5-R4.9, R4.33). What no client could accept is an error always; what some clients or the
 * programs refuse is an error under `public-trust` and a warning under `private`.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertificateView } from './certificate.ts'
import { checkDirectSigner, checkValidity, formatTime, type Profile } from './check-issuer.ts'
import type { Finding } from './error.ts'
import { EXTENSION_OID } from './extensions.ts'
import { verifyCertificate } from './verify.ts'

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
/** md5, sha1 with RSA, with DSA, with ECDSA. */
const WEAK_SIGNATURES = new Set([
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.10040.4.3',
  '1.2.840.10045.4.1',
])
const HOUR = 3600
const DAY = 86_400

/**
 * Findings about a responder certificate; errors refuse it. The key match is not asked here (see keyMatches). When both
 * certificates are the same, the CA signs itself and that is what is checked.
 */
export async function checkResponderCertificate(
  responder: CertificateView,
  issuer: CertificateView,
  profile: Profile,
  now: UnixSeconds,
): Promise<Finding[]> {
  if (sameOctets(responder.der, issuer.der)) return checkDirectSigner(issuer, profile, now)
  const strict: Finding['level'] = profile === 'public-trust' ? 'error' : 'warning'
  const findings = [
    ...responder.warnings,
    ...(await checkIssuedBy(responder, issuer, strict)),
    ...checkValidity(responder, now, 'the responder certificate'),
    ...checkExtendedKeyUsage(responder, strict),
    ...checkNoCheck(responder, strict),
    ...checkKeyUsage(responder, strict),
    ...checkEndEntity(responder, strict),
    ...checkProfile(responder, strict),
    ...checkLifetime(responder, issuer, strict, now),
  ]
  return findings
}

/** R1.55, R4.5: issued directly by the CA. R1.54: a shared name is a trap for clients. */
async function checkIssuedBy(
  responder: CertificateView,
  issuer: CertificateView,
  strict: Finding['level'],
): Promise<Finding[]> {
  const findings: Finding[] = []
  if (!sameOctets(responder.issuerDER, issuer.subjectDER)) {
    const sameText = responder.issuer === issuer.subject
    findings.push({
      level: 'error',
      code: 'wrongIssuer',
      message: sameText
        ? `the responder certificate names its issuer ${responder.issuer} in another encoding than the issuer's certificate has; clients compare the octets: reissue it`
        : `the responder certificate was issued by ${responder.issuer}, not by ${issuer.subject}; a delegate has to be issued directly by the CA it answers for (RFC 6960 4.2.2.2)`,
    })
  }
  if (!sameOctets(responder.signatureAlgorithm, responder.tbsSignatureAlgorithm))
    findings.push({
      level: 'error',
      code: 'signatureAlgorithmMismatch',
      message:
        'the responder certificate names two different signature algorithms; reissue it (RFC 5280 4.1.1.2)',
    })
  const verdict = await verifyCertificate(responder, issuer.spki)
  if (verdict === 'bad')
    findings.push({
      level: 'error',
      code: 'badSignature',
      message:
        "the signature on the responder certificate does not verify with the issuer's key; was the CA rekeyed? The delegate has to be issued by the same key (R1.56)",
    })
  if (verdict === 'unsupported')
    findings.push({
      level: 'error',
      code: 'unverifiableSignature',
      message: `the signature on the responder certificate (${responder.signatureAlgorithmOID}) cannot be verified with the issuer's key: another kind of key, or an algorithm that is not supported`,
    })
  const { authorityKeyIdentifier } = responder
  const { subjectKeyIdentifier } = issuer
  if (authorityKeyIdentifier === undefined)
    findings.push({
      level: strict,
      code: 'noAuthorityKeyIdentifier',
      message: 'the responder certificate has no authorityKeyIdentifier (BR 7.1.2.8)',
    })
  else if (subjectKeyIdentifier !== undefined && !sameOctets(authorityKeyIdentifier, subjectKeyIdentifier))
    findings.push({
      level: strict,
      code: 'authorityKeyIdentifierMismatch',
      message:
        "authorityKeyIdentifier of the responder certificate is not the issuer's subjectKeyIdentifier; some clients will not find the issuer",
    })
  if (sameOctets(responder.subjectDER, issuer.subjectDER))
    findings.push({
      level: 'warning',
      code: 'sameNameAsIssuer',
      message:
        'the responder certificate has the same subject as the CA; our responses name the signer by key, so clients find it, but a distinct name is safer',
    })
  if (sameOctets(responder.publicKeyBits, issuer.publicKeyBits))
    findings.push({
      level: 'warning',
      code: 'sameKeyAsIssuer',
      message:
        "the responder certificate has the CA's own key: delegation protects nothing then; use a key of its own",
    })
  return findings
}

/** RFC 6960 4.2.2.2; only OCSPSigning: BR 7.1.2.8.5, Microsoft 3.1.18 (R4.33). */
function checkExtendedKeyUsage(responder: CertificateView, strict: Finding['level']): Finding[] {
  const purposes = responder.extendedKeyUsage ?? []
  if (!purposes.includes(OCSP_SIGNING))
    return [
      {
        level: 'error',
        code: 'noOCSPSigning',
        message:
          'the responder certificate lacks the extended key usage OCSPSigning (1.3.6.1.5.5.7.3.9), so no client would accept it; reissue it with extendedKeyUsage = OCSPSigning',
      },
    ]
  if (purposes.length > 1)
    return [
      {
        level: strict,
        code: 'otherExtendedKeyUsage',
        message: `the responder certificate has more purposes than OCSPSigning (${purposes.filter((oid) => oid !== OCSP_SIGNING).join(', ')}); BR 7.1.2.8 and Microsoft 3.1.18 allow that one only`,
      },
    ]
  return []
}

/** RFC 6960 4.2.2.2.1, BR 7.1.2.8.6 (R1.60). */
function checkNoCheck(responder: CertificateView, strict: Finding['level']): Finding[] {
  const noCheck = responder.ocspNoCheck
  if (noCheck === undefined)
    return [
      {
        level: strict,
        code: 'noNoCheck',
        message:
          'the responder certificate lacks id-pkix-ocsp-nocheck: clients may ask for its own status, in a circle; reissue it with noCheck (openssl: noCheck = ignored)',
      },
    ]
  const findings: Finding[] = []
  if (noCheck.critical)
    findings.push({
      level: strict,
      code: 'criticalNoCheck',
      message:
        'id-pkix-ocsp-nocheck of the responder certificate is critical; OpenSSL refuses that (openssl#7761): reissue it as not critical',
    })
  if (noCheck.value.length !== 2 || noCheck.value[0] !== 0x05 || noCheck.value[1] !== 0x00)
    findings.push({
      level: strict,
      code: 'badNoCheckValue',
      message: 'the value of id-pkix-ocsp-nocheck is not NULL (05 00); reissue the responder certificate',
    })
  return findings
}

/** BR 7.1.2.8.7: critical, digitalSignature only. */
function checkKeyUsage(responder: CertificateView, strict: Finding['level']): Finding[] {
  const usage = responder.keyUsage
  if (usage === undefined)
    return [
      {
        level: strict,
        code: 'noKeyUsage',
        message:
          'the responder certificate has no keyUsage; BR 7.1.2.8 wants it critical with digitalSignature',
      },
    ]
  const findings: Finding[] = []
  if (!usage.digitalSignature)
    findings.push({
      level: strict,
      code: 'noDigitalSignature',
      message:
        'keyUsage of the responder certificate lacks digitalSignature, so its key is not meant to sign; reissue it with keyUsage = critical, digitalSignature',
    })
  const others = Object.entries(usage).filter(
    ([name, set]) => set && name !== 'critical' && name !== 'digitalSignature',
  )
  if (others.length > 0)
    findings.push({
      level: strict,
      code: 'otherKeyUsage',
      message: `keyUsage of the responder certificate also has ${others.map(([name]) => name).join(', ')}; BR 7.1.2.8 allows digitalSignature only`,
    })
  if (!usage.critical)
    findings.push({
      level: strict,
      code: 'keyUsageNotCritical',
      message: 'keyUsage of the responder certificate is not critical (BR 7.1.2.8)',
    })
  return findings
}

/** mozilla::pkix takes only end entities for delegates; BR: basicConstraints absent, or critical and empty. */
function checkEndEntity(responder: CertificateView, strict: Finding['level']): Finding[] {
  if (responder.isCA)
    return [
      {
        level: strict,
        code: 'delegateIsCA',
        message:
          'the responder certificate is a CA certificate (basicConstraints cA TRUE); Firefox refuses such a delegate: reissue it as an end entity',
      },
    ]
  const constraints = responder.basicConstraints
  if (constraints === undefined) return []
  const empty = constraints.value.length === 2 && constraints.value[0] === 0x30 && constraints.value[1] === 0
  if (constraints.critical && empty) return []
  return [
    {
      level: strict,
      code: 'badBasicConstraints',
      message:
        'basicConstraints of the responder certificate has to be absent, or critical with the value 30 00 (BR 7.1.2.8)',
    },
  ]
}

/** The rest of BR 7.1.2.8 (R4.7, R4.9). That 64 bits of the serial come from a CSPRNG, only its length can hint at. */
function checkProfile(responder: CertificateView, strict: Finding['level']): Finding[] {
  const findings: Finding[] = []
  const add = (level: Finding['level'], code: string, message: string) =>
    findings.push({ level, code, message })
  const has = (extnID: string) => responder.extensions.some((extension) => extension.extnID === extnID)
  if (responder.version !== 3)
    add(
      strict,
      'oldVersion',
      `the responder certificate is X.509 version ${responder.version}, not 3 (BR 7.1.2.8)`,
    )
  if (badSerial(responder.serialNumber))
    add(
      strict,
      'badSerialNumber',
      'the serial number of the responder certificate has to be positive, below 2^159 and hold 64 random bits (BR 7.1.2.8)',
    )
  if (WEAK_SIGNATURES.has(responder.signatureAlgorithmOID))
    add(
      strict,
      'weakSignature',
      `the responder certificate is signed with ${responder.signatureAlgorithmOID}, that is with MD5 or SHA-1; have it reissued with SHA-256 (R4.9)`,
    )
  for (const name of ['nameConstraints', 'subjectAltName', 'cRLDistributionPoints'] as const) {
    if (has(EXTENSION_OID[name]))
      add(
        strict,
        `has${name.charAt(0).toUpperCase()}${name.slice(1)}`,
        `the responder certificate has ${name}, which BR 7.1.2.8 forbids`,
      )
  }
  if (responder.subjectKeyIdentifier === undefined)
    add(
      'warning',
      'noSubjectKeyIdentifier',
      'the responder certificate should have a subjectKeyIdentifier (BR 7.1.2.8)',
    )
  if (has(EXTENSION_OID.authorityInfoAccess))
    add(
      'warning',
      'hasAuthorityInfoAccess',
      'authorityInfoAccess is not recommended in a responder certificate (BR 7.1.2.8)',
    )
  if (has(EXTENSION_OID.certificatePolicies))
    add(
      'warning',
      'hasCertificatePolicies',
      'certificatePolicies should not be in a responder certificate (BR 7.1.2.8)',
    )
  return findings
}

/** Responses end with their signer, so little time left means short responses. */
function checkLifetime(
  responder: CertificateView,
  issuer: CertificateView,
  strict: Finding['level'],
  now: UnixSeconds,
): Finding[] {
  const findings: Finding[] = []
  const left = responder.notAfter - now
  if (left >= 0 && left < 7 * DAY)
    findings.push({
      level: left < 8 * HOUR ? strict : 'warning',
      code: 'expiresSoon',
      message: `the responder certificate expires at ${formatTime(responder.notAfter)}; responses end with it, under public-trust none shorter than 8 hours is made: renew it now`,
    })
  if (responder.notAfter > issuer.notAfter)
    findings.push({
      level: 'warning',
      code: 'outlivesIssuer',
      message: `the responder certificate outlives the CA's, which ends at ${formatTime(issuer.notAfter)}; responses end there`,
    })
  return findings
}

function badSerial(serial: Uint8Array): boolean {
  const [first = 0] = serial
  return first >= 0x80 || serial.length > 20 || serial.length < 8 || serial.every((octet) => octet === 0)
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, index) => octet === b[index])
}
