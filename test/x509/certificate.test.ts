import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import {
  distinguishedName,
  issueCertificate,
  keyUsage,
  OCSP_SIGNING,
  randomSerialNumber,
  tlv,
} from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { SIGNATURE_ALGORITHM_NAMES } from '../../src/signing/algorithms.ts'
import {
  CertificateError,
  issuerHashes,
  readCertificate,
  subjectKeyIdentifierHex,
} from '../../src/x509/index.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { hex, makeTestPKI, publicKeyBits } from '../support/pki.ts'

const now = 1_800_000_000
const VECTORS = process.env['EDGE_OCSP_VECTORS']
const vectors = VECTORS === undefined ? [] : certificatesBelow(VECTORS)
if (VECTORS === undefined)
  console.warn('EDGE_OCSP_VECTORS is not set: tests over certificates of other projects are skipped')

const openssl = new OpenSSL()
afterAll(() => openssl.close())

test('reads what a responder certificate says', async () => {
  const pki = await makeTestPKI({ now })
  const der = pki.responder.certificate ?? new Uint8Array()
  const view = readCertificate(der)
  expect(view).toMatchObject({
    version: 3,
    subject: 'CN=Test OCSP Responder,O=Edge OCSP test',
    issuer: 'CN=Test CA,O=Edge OCSP test',
    notBefore: now - 3600,
    notAfter: now + 90 * 86_400,
    signatureAlgorithmOID: '1.2.840.10045.4.3.2',
    extendedKeyUsage: [OCSP_SIGNING],
    isCA: false,
    basicConstraints: undefined,
    warnings: [],
  })
  expect(view.der).toBe(der)
  expect(view.issuerDER).toEqual(pki.issuer.name)
  expect(view.spki).toEqual(pki.responder.spki)
  expect(view.publicKeyBits).toEqual(publicKeyBits(pki.responder.spki))
  expect(view.ocspNoCheck).toMatchObject({ critical: false, value: Uint8Array.of(5, 0) })
  expect(view.keyUsage).toMatchObject({ critical: true, digitalSignature: true, keyCertSign: false })
  expect(view.subjectKeyIdentifier).toEqual(pki.responder.keyHash)
  expect(view.authorityKeyIdentifier).toEqual(pki.issuer.keyHash)
})

test('reads PEM, as text and as octets, with text around it', async () => {
  const { issuer } = await makeTestPKI({ now })
  const pem = `subject=CN = Test CA\n${formatPEM('CERTIFICATE', issuer.certificate)}\n`
  expect(readCertificate(pem).der).toEqual(issuer.certificate)
  expect(readCertificate(new TextEncoder().encode(pem)).der).toEqual(issuer.certificate)
})

test('takes the first of several certificates, and says so', async () => {
  const pki = await makeTestPKI({ now })
  const pem =
    formatPEM('CERTIFICATE', pki.issuer.certificate) +
    formatPEM('CERTIFICATE', (await pki.leaf()).certificate)
  const view = readCertificate(pem)
  expect(view.isCA).toBe(true)
  expect(view.warnings).toEqual([
    {
      level: 'warning',
      code: 'severalCertificates',
      message: 'the PEM text holds 2 certificates; the first is used, the others are passed over',
    },
  ])
})

test.each([
  [Date.UTC(1999, 11, 31, 23, 59, 59) / 1000],
  [Date.UTC(2049, 11, 31, 23, 59, 59) / 1000],
  [Date.UTC(2050, 0, 1) / 1000],
  [Date.UTC(9999, 11, 31, 23, 59, 59) / 1000],
])('reads the time %d on either side of UTCTime (RFC 5280 4.1.2.5)', async (notAfter) => {
  const pki = await makeTestPKI({ now })
  expect(readCertificate((await pki.leaf({ notBefore: 0, notAfter })).certificate)).toMatchObject({
    notBefore: 0,
    notAfter,
  })
})

test('shows a name as one line, whatever stands in it', async () => {
  const pki = await makeTestPKI({ now })
  const leaf = await pki.leaf({ commonName: ' a,b+c="d"\\<e>;\u001b[31m\u202e' })
  expect(readCertificate(leaf.certificate).subject).toBe(
    'CN=\\ a\\,b\\+c\\=\\"d\\"\\\\\\<e\\>\\;\\u{1b}[31m\\u{202e}',
  )
})

test('gives the serial number without padding, since CertIDs have none', async () => {
  const pki = await makeTestPKI({ now })
  const leaf = await pki.leaf({ serialNumber: Uint8Array.of(0, 0, 0x80, 1) })
  expect(readCertificate(leaf.certificate).serialNumber).toEqual(Uint8Array.of(0, 0x80, 1))
})

test('names an issuer by subject key identifier, else by the hash of its key', async () => {
  const plain = await makeTestPKI({ now, caExtensions: [] })
  expect(await subjectKeyIdentifierHex(readCertificate(plain.issuer.certificate))).toBe(
    hex(plain.issuer.keyHash),
  )
})

describe('hashes of an issuer (R1.14, R1.15)', () => {
  test.each(SIGNATURE_ALGORITHM_NAMES)(
    'of a CA with a key for %s are those of openssl',
    async (caAlgorithm) => {
      const { issuer } = await makeTestPKI({ now, caAlgorithm, caName: 'Žlutá CA' })
      const hashes = await issuerHashes(readCertificate(issuer.certificate))
      expect(hashes).toEqual(issuer.hashes)
      if (OPENSSL_VERSION === undefined) return
      expect(opensslHashes(issuer.certificate)).toEqual([
        hex(hashes['SHA-1'].issuerNameHash),
        hex(hashes['SHA-1'].issuerKeyHash),
      ])
    },
  )

  test.skipIf(vectors.length === 0 || OPENSSL_VERSION === undefined)(
    'of certificates of other projects are those of openssl: multi-valued RDNs, old string types, ML-DSA',
    async () => {
      let compared = 0
      for (const { path, text } of vectors) {
        if (path.includes('broken')) continue
        const view = readCertificate(text)
        const expected = opensslHashes(view.der)
        if (expected === undefined) continue
        const { issuerNameHash, issuerKeyHash } = (await issuerHashes(view))['SHA-1']
        expect([hex(issuerNameHash), hex(issuerKeyHash)], path).toEqual(expected)
        compared += 1
      }
      expect(compared).toBeGreaterThan(60)
    },
    // One openssl process a certificate, on a machine that has other work.
    120_000,
  )
})

describe('input that is no certificate', () => {
  test.each([
    ['nothing', '', 'noCertificate', 'the certificate file is empty'],
    ['text', 'hello', 'noCertificate', 'neither a -----BEGIN CERTIFICATE----- line nor DER'],
    [
      'a private key',
      formatPEM('PRIVATE KEY', Uint8Array.of(48, 0)),
      'noCertificate',
      'this is a private key',
    ],
    [
      'a request',
      formatPEM('CERTIFICATE REQUEST', Uint8Array.of(48, 0)),
      'noCertificate',
      'certificate request',
    ],
    ['a CRL', formatPEM('X509 CRL', Uint8Array.of(48, 0)), 'noCertificate', 'revocation list'],
    ['PKCS#7', formatPEM('PKCS7', Uint8Array.of(48, 0)), 'noCertificate', 'openssl pkcs7 -print_certs'],
    [
      'an OpenSSL trusted certificate',
      formatPEM('TRUSTED CERTIFICATE', Uint8Array.of(48, 0)),
      'noCertificate',
      'openssl x509 -in FILE',
    ],
    ['an empty SEQUENCE', Uint8Array.of(0x30, 0), 'notACertificate', 'Certificate has 0 elements'],
    ['an octet too many', Uint8Array.of(0x30, 0, 0), 'badDER', 'trailingData at octet 2'],
    ['an octet too few', Uint8Array.of(0x30, 1), 'badDER', 'truncated at octet 0'],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, 0, 0), 'badDER', 'indefiniteLength at octet 0'],
  ])('%s is refused by what it is', (_, input, reason, message) => {
    const error = refusal(() => readCertificate(input))
    expect(error.reason).toBe(reason)
    expect(error.message).toContain(message)
  })

  test('damaged PEM is refused with its line', async () => {
    const { issuer } = await makeTestPKI({ now })
    const lines = formatPEM('CERTIFICATE', issuer.certificate).split('\n')
    lines[3] = `${lines[3]?.slice(0, 10)}!${lines[3]?.slice(11)}`
    const error = refusal(() => readCertificate(lines.join('\n')))
    expect(error).toMatchObject({ reason: 'badPEM', line: 4 })
    expect(error.message).toContain('(line 4)')
  })

  test('damaged DER is refused with its octet', async () => {
    const { issuer } = await makeTestPKI({ now })
    // The length of the serial number now runs over the end: SEQUENCE(4) SEQUENCE(4) [0](5) INTEGER at 13.
    const der = issuer.certificate.slice()
    expect(der[13]).toBe(0x02)
    der[14] = 0x84
    der[15] = 0x7f
    const error = refusal(() => readCertificate(der))
    expect(error).toMatchObject({ reason: 'badDER', offset: 13 })
  })

  test('an extension that occurs twice is refused (RFC 5280 4.2)', async () => {
    const pki = await makeTestPKI({ now })
    const leaf = await pki.leaf({ extensions: [keyUsage('digitalSignature'), keyUsage('keyEncipherment')] })
    expect(refusal(() => readCertificate(leaf.certificate))).toMatchObject({ reason: 'badExtension' })
  })

  test('an extension of another type is refused by name', async () => {
    const pki = await makeTestPKI({ now })
    const extensions = [{ extnID: '2.5.29.15', critical: true, value: Uint8Array.of(5, 0) }]
    const leaf = await pki.leaf({ extensions })
    expect(refusal(() => readCertificate(leaf.certificate)).message).toContain('keyUsage is not a BIT STRING')
  })

  test('any damage to a certificate is either read or refused, never another error', async () => {
    const { issuer } = await makeTestPKI({ now })
    await fc.assert(
      fc.property(fc.nat(issuer.certificate.length - 1), fc.nat(255), (at, octet) => {
        const der = issuer.certificate.slice()
        der[at] = octet
        try {
          readCertificate(der)
        } catch (error) {
          expect(error).toBeInstanceOf(CertificateError)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('random octets are refused', async () => {
    await fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        expect(() => readCertificate(octets)).toThrow(CertificateError)
        expect(() => readCertificate(tlv(0x30, octets))).toThrow(CertificateError)
      }),
    )
  })
})

test('forgives an explicit FALSE in an old certificate', async () => {
  const pki = await makeTestPKI({ now })
  // BasicConstraints with cA written FALSE, which DER leaves out.
  const value = Uint8Array.of(0x30, 3, 1, 1, 0)
  const leaf = await pki.leaf({ extensions: [{ extnID: '2.5.29.19', critical: true, value }] })
  expect(readCertificate(leaf.certificate)).toMatchObject({ isCA: false, basicConstraints: { cA: false } })
})

test('reads a version 1 certificate, which has no extensions', async () => {
  const pki = await makeTestPKI({ now })
  const name = distinguishedName({ commonName: 'v1' })
  const der = await issueCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: name,
      subject: name,
      notBefore: now,
      notAfter: now,
      spki: pki.issuer.spki,
      extensions: [],
    },
    pki.issuer.signer,
  )
  expect(readCertificate(der).extensions).toEqual([])
})

function refusal(attempt: () => unknown): CertificateError {
  try {
    attempt()
  } catch (error) {
    if (error instanceof CertificateError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** Subject and public key hashes by `openssl x509 -ocspid`, lower case; undefined when openssl cannot read the file. */
function opensslHashes(der: Uint8Array): string[] | undefined {
  const path = openssl.write('certificate.der', der)
  const { status, stdout } = openssl.run('x509', '-in', path, '-inform', 'DER', '-noout', '-ocspid')
  return status === 0
    ? [...stdout.matchAll(/hash: ([0-9A-F]+)/g)].map(([, text = '']) => text.toLowerCase())
    : undefined
}

function certificatesBelow(folder: string): { path: string; text: string }[] {
  const files = execFileSync('find', [folder, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n')
  const texts = new Map<string, string>()
  for (const path of files) {
    const text = readFileSync(path, 'latin1')
    if (text.includes('-----BEGIN CERTIFICATE-----')) texts.set(text, path)
  }
  return Array.from(texts, ([text, path]) => ({ path, text }))
}
