import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  authorityInfoAccess,
  authorityKeyIdentifier,
  basicConstraints,
  type CertificateExtension,
  extendedKeyUsage,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  SERVER_AUTH,
  subjectAltName,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { SIGNATURE_ALGORITHM_NAMES } from '../../src/signing/algorithms.ts'
import {
  checkDirectSigner,
  checkIssuerCertificate,
  checkResponderCertificate,
  type Finding,
  readCertificate,
} from '../../src/x509/index.ts'
import { makeTestPKI, type ResponderOptions, type TestPKI } from '../support/pki.ts'

const now = 1_800_000_000
const HOUR = 3600
const DAY = 86_400
const VECTORS = process.env['EDGE_OCSP_VECTORS']

const pki = await makeTestPKI({ now })
const otherCA = await makeTestPKI({ now, caName: 'Other CA', freshKeys: true })
/** A CA of the same name with another key. */
const rekeyed = await makeTestPKI({ now, freshKeys: true })
const issuer = readCertificate(pki.issuer.certificate)

function levels(findings: readonly Finding[]): string[] {
  for (const { message } of findings) expect(message.length).toBeGreaterThan(20)
  return findings.map(({ level, code }) => `${level} ${code}`)
}

async function check(
  der: Uint8Array,
  profile: 'private' | 'public-trust',
  ca: TestPKI = pki,
): Promise<string[]> {
  return levels(
    await checkResponderCertificate(
      readCertificate(der),
      readCertificate(ca.issuer.certificate),
      profile,
      now,
    ),
  )
}

/** The usual extensions, some replaced (same OID) and some added. */
function withExtensions(...changes: readonly CertificateExtension[]): { extensions: CertificateExtension[] } {
  const replaced = new Set(changes.map(({ extnID }) => extnID))
  return {
    extensions: [...pki.responderExtensions.filter(({ extnID }) => !replaced.has(extnID)), ...changes],
  }
}

function without(extnID: string): { extensions: CertificateExtension[] } {
  return { extensions: pki.responderExtensions.filter((extension) => extension.extnID !== extnID) }
}

test.each(['private', 'public-trust'] as const)(
  'finds nothing in a proper responder certificate (%s)',
  async (profile) => {
    expect(await check(await pki.responderCertificate(), profile)).toEqual([])
  },
)

test.each(
  SIGNATURE_ALGORITHM_NAMES.flatMap((ca): [SignatureAlgorithm, SignatureAlgorithm][] => [
    [ca, ca],
    [ca, 'ecdsa-with-SHA256'],
  ]),
)(
  'verifies the signature of a CA with %s over a delegate with %s (R1.55)',
  async (caAlgorithm, algorithm) => {
    const mixed = await makeTestPKI({ now, caAlgorithm, algorithm })
    expect(await check(await mixed.responderCertificate(), 'public-trust', mixed)).toEqual([])
    const tampered = (await mixed.responderCertificate()).slice()
    // The last octet of the common name "Test OCSP Responder": everything still parses.
    const at = indexOf(tampered, new TextEncoder().encode('Responder'))
    tampered[at] = 'r'.charCodeAt(0)
    expect(await check(tampered, 'private', mixed)).toEqual(['error badSignature'])
  },
)

/** What is an error in both profiles. */
test.each<[string, () => Promise<Uint8Array>, string[]]>([
  ['issued by another CA (R4.5)', () => otherCA.responderCertificate(), ['wrongIssuer', 'badSignature']],
  [
    'issued by the same name with another key (R1.56)',
    () => rekeyed.responderCertificate(),
    ['badSignature'],
  ],
  ['expired', () => pki.responderCertificate({ notAfter: now - 1 }), ['expired']],
  ['not yet valid', () => pki.responderCertificate({ notBefore: now + 1 }), ['notYetValid']],
  ['without extendedKeyUsage', () => pki.responderCertificate(without('2.5.29.37')), ['noOCSPSigning']],
  [
    'with serverAuth only',
    () => pki.responderCertificate(withExtensions(extendedKeyUsage(SERVER_AUTH))),
    ['noOCSPSigning'],
  ],
  [
    'with anyExtendedKeyUsage only',
    () => pki.responderCertificate(withExtensions(extendedKeyUsage('2.5.29.37.0'))),
    ['noOCSPSigning'],
  ],
])('refuses a responder certificate %s in every profile (R1.55, R1.61)', async (_, make, codes) => {
  const der = await make()
  for (const profile of ['private', 'public-trust'] as const) {
    const found = await check(der, profile)
    for (const code of codes) expect(found).toContain(`error ${code}`)
  }
})

/** What is a warning under private and an error under public-trust. */
test.each<[string, ResponderOptions, string]>([
  ['nocheck missing (R1.60, R4.31)', without('1.3.6.1.5.5.7.48.1.5'), 'noNoCheck'],
  ['nocheck critical (R1.60)', withExtensions(ocspNoCheck(true)), 'criticalNoCheck'],
  [
    'nocheck with another value than 05 00 (R1.60)',
    withExtensions(ocspNoCheck(false, Uint8Array.of(0x30, 0))),
    'badNoCheckValue',
  ],
  ['nocheck empty (R1.60)', withExtensions(ocspNoCheck(false, new Uint8Array(0))), 'badNoCheckValue'],
  ['keyUsage missing (R4.7)', without('2.5.29.15'), 'noKeyUsage'],
  ['keyUsage without digitalSignature (R4.7)', withExtensions(keyUsage()), 'noDigitalSignature'],
  [
    'keyUsage with more (R4.7)',
    withExtensions(keyUsage('digitalSignature', 'nonRepudiation')),
    'otherKeyUsage',
  ],
  [
    'keyUsage not critical (R4.7)',
    withExtensions({ ...keyUsage('digitalSignature'), critical: false }),
    'keyUsageNotCritical',
  ],
  [
    'more purposes than OCSPSigning (R4.33)',
    withExtensions(extendedKeyUsage(OCSP_SIGNING, SERVER_AUTH)),
    'otherExtendedKeyUsage',
  ],
  ['a CA as delegate', withExtensions(basicConstraints(true)), 'delegateIsCA'],
  [
    'basicConstraints not critical (R4.7)',
    withExtensions({ ...basicConstraints(false), critical: false }),
    'badBasicConstraints',
  ],
  ['no authorityKeyIdentifier (R4.7)', without('2.5.29.35'), 'noAuthorityKeyIdentifier'],
  [
    'authorityKeyIdentifier of another key',
    withExtensions(authorityKeyIdentifier(Uint8Array.of(1, 2, 3))),
    'authorityKeyIdentifierMismatch',
  ],
  ['subjectAltName (R4.7)', withExtensions(subjectAltName('ocsp.example')), 'hasSubjectAltName'],
  [
    'cRLDistributionPoints (R2.5, R4.7)',
    withExtensions({ extnID: '2.5.29.31', critical: false, value: Uint8Array.of(0x30, 0) }),
    'hasCRLDistributionPoints',
  ],
  [
    'nameConstraints (R4.7)',
    withExtensions({ extnID: '2.5.29.30', critical: true, value: Uint8Array.of(0x30, 0) }),
    'hasNameConstraints',
  ],
  ['a short serial number (R4.7)', { serialNumber: Uint8Array.of(1, 2, 3) }, 'badSerialNumber'],
  ['a negative serial number (R4.7)', { serialNumber: new Uint8Array(16).fill(0x80) }, 'badSerialNumber'],
  [
    'a serial number of 21 octets (R4.7)',
    { serialNumber: Uint8Array.of(0, ...new Uint8Array(20).fill(0x80)) },
    'badSerialNumber',
  ],
  ['less than 8 hours left', { notAfter: now + 8 * HOUR - 1 }, 'expiresSoon'],
])('warns of %s, and refuses it under public-trust', async (_, special, code) => {
  const der = await pki.responderCertificate(special)
  expect(await check(der, 'private')).toEqual([`warning ${code}`])
  expect(await check(der, 'public-trust')).toEqual([`error ${code}`])
})

/** What is a warning in both. */
test.each<[string, ResponderOptions, string]>([
  ['the name of the CA (R1.54)', { subject: pki.issuer.name }, 'sameNameAsIssuer'],
  ["the CA's own key", { spki: pki.issuer.spki }, 'sameKeyAsIssuer'],
  ['no subjectKeyIdentifier', without('2.5.29.14'), 'noSubjectKeyIdentifier'],
  [
    'authorityInfoAccess (R2.5)',
    withExtensions(authorityInfoAccess({ ocsp: 'http://ocsp.example/' })),
    'hasAuthorityInfoAccess',
  ],
  ['a few days left', { notAfter: now + 3 * DAY }, 'expiresSoon'],
  ['a longer life than its CA', { notAfter: now + 3651 * DAY }, 'outlivesIssuer'],
])('warns of %s in every profile', async (_, special, code) => {
  const der = await pki.responderCertificate(special)
  expect(await check(der, 'private')).toEqual([`warning ${code}`])
  expect(await check(der, 'public-trust')).toEqual([`warning ${code}`])
})

test('accepts basicConstraints that are critical and empty, as the BR has it (R4.7)', async () => {
  expect(
    await check(await pki.responderCertificate(withExtensions(basicConstraints(false))), 'public-trust'),
  ).toEqual([])
})

test("tells an issuer's name in another encoding from another name", async () => {
  // The same text as PrintableString (0x13) instead of UTF8String (0x0c).
  const name = pki.issuer.name.map((octet, i, all) =>
    octet === 0x0c && (all[i - 1] ?? 0) !== 0x04 ? 0x13 : octet,
  )
  const der = await pki.responderCertificate({ issuer: name })
  const [finding] = await checkResponderCertificate(readCertificate(der), issuer, 'private', now)
  expect(finding).toMatchObject({ level: 'error', code: 'wrongIssuer' })
  expect(finding?.message).toContain('in another encoding')
})

test('passes on what reading noticed', async () => {
  const pem = formatPEM('CERTIFICATE', await pki.responderCertificate())
  const findings = await checkResponderCertificate(readCertificate(pem + pem), issuer, 'public-trust', now)
  expect(levels(findings)).toEqual(['warning severalCertificates'])
})

test('a signature by a key of another kind is refused', async () => {
  const rsa = await makeTestPKI({ now, caAlgorithm: 'sha256WithRSAEncryption' })
  expect(await check(await pki.responderCertificate(), 'private', rsa)).toContain(
    'error unverifiableSignature',
  )
})

test('a signature by an algorithm that nothing here knows is refused as unverifiable', async () => {
  // AlgorithmIdentifier of ML-DSA-44 (RFC 9881), whatever the signature.
  const signatureAlgorithm = Uint8Array.of(0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17)
  const der = await pki.responderCertificate({ signer: { ...pki.issuer.signer, signatureAlgorithm } })
  expect(await check(der, 'private')).toEqual(['error unverifiableSignature'])
})

describe('a CA that signs itself', () => {
  test('may with digitalSignature (R1.59, R4.6)', async () => {
    expect(checkDirectSigner(issuer, 'public-trust', now)).toEqual([])
    expect(await checkResponderCertificate(issuer, issuer, 'public-trust', now)).toEqual([])
  })

  test.each([
    ['without keyUsage', [basicConstraints(true)]],
    ['with keyCertSign only', [basicConstraints(true), keyUsage('keyCertSign')]],
  ])('%s is refused under public-trust (R4.6)', async (_, caExtensions) => {
    const { issuer: ca } = await makeTestPKI({ now, caExtensions })
    const view = readCertificate(ca.certificate)
    expect(levels(checkDirectSigner(view, 'private', now))).toEqual(['warning noDigitalSignature'])
    expect(levels(checkDirectSigner(view, 'public-trust', now))).toEqual(['error noDigitalSignature'])
  })

  test('has to be valid now (R1.61)', () => {
    expect(levels(checkDirectSigner(issuer, 'private', issuer.notAfter + 1))).toEqual(['error expired'])
    expect(levels(checkDirectSigner(issuer, 'private', issuer.notBefore - 1))).toEqual(['error notYetValid'])
  })
})

describe('an issuer certificate', () => {
  test('of a CA is fine', () => {
    expect(checkIssuerCertificate(issuer, now)).toEqual([])
  })

  test.each<[string, CertificateExtension[], string[]]>([
    ['of an end entity', [subjectKeyIdentifier(Uint8Array.of(1))], ['error notCA']],
    ['with cA FALSE', [basicConstraints(false), subjectKeyIdentifier(Uint8Array.of(1))], ['error notCA']],
    ['without subject key identifier', [basicConstraints(true)], ['warning noSubjectKeyIdentifier']],
    [
      'without keyCertSign',
      [basicConstraints(true), keyUsage('cRLSign'), subjectKeyIdentifier(Uint8Array.of(1))],
      ['warning noKeyCertSign'],
    ],
  ])('%s is told of', async (_, caExtensions, expected) => {
    const { issuer: ca } = await makeTestPKI({ now, caExtensions })
    expect(levels(checkIssuerCertificate(readCertificate(ca.certificate), now))).toEqual(expected)
  })

  test('has to be valid now', () => {
    expect(levels(checkIssuerCertificate(issuer, issuer.notAfter + 1))).toEqual(['error expired'])
    expect(levels(checkIssuerCertificate(issuer, issuer.notBefore - 1))).toEqual(['error notYetValid'])
  })
})

/** pkilint's own test certificates for the BR profile of responders: its findings are ours. */
describe.skipIf(VECTORS === undefined)('responder certificates of real CAs (pkilint)', () => {
  test.each([
    ['clean', undefined],
    ['ocsp_nocheck_missing', 'noNoCheck'],
    ['bad_eku', 'noOCSPSigning'],
    ['digsig_ku_missing', 'noDigitalSignature'],
    ['nonrepudiation_ku_present', 'otherKeyUsage'],
    ['crldp_present', 'hasCRLDistributionPoints'],
    ['certificate_policies_present', 'hasCertificatePolicies'],
    ['aia_ocsp_present', 'hasAuthorityInfoAccess'],
    ['aia_ca_issuers_present', 'hasAuthorityInfoAccess'],
    ['ca', 'delegateIsCA'],
  ])('%s', async (name, code) => {
    const path = join(VECTORS ?? '', 'pkilint', `tls_br__ocsp_responder__${name}.crttest`)
    if (!existsSync(path)) return console.warn(`${path} is not there: not checked`)
    const view = readCertificate(readFileSync(path, 'latin1'))
    const findings = await checkResponderCertificate(view, issuer, 'public-trust', view.notBefore)
    // Not issued by our CA, and some are old.
    const aside = [
      'wrongIssuer',
      'unverifiableSignature',
      'badSignature',
      'authorityKeyIdentifierMismatch',
      'outlivesIssuer',
    ]
    const codes = findings.map((finding) => finding.code).filter((found) => !aside.includes(found))
    if (code === undefined) expect(codes).toEqual([])
    else expect(codes).toContain(code)
  })
})

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  for (let at = bytes.length - part.length; at >= 0; at -= 1)
    if (part.every((octet, i) => bytes[at + i] === octet)) return at
  throw new Error('not found')
}
