import { Certificate } from 'pkijs'
import { afterAll, describe, expect, test } from 'vitest'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import { type CertificateView, readCertificate, verifyCertificate } from '../../src/x509/index.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'

const openssl = new OpenSSL()
afterAll(() => openssl.close())

const RSA = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']
const EC = (curve: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`]
const PSS = (hash: string, salt: string) => [
  `-${hash}`,
  ...[
    '-sigopt',
    'rsa_padding_mode:pss',
    '-sigopt',
    `rsa_pss_saltlen:${salt}`,
    '-sigopt',
    `rsa_mgf1_md:${hash}`,
  ],
]

const SUPPORTED: readonly [name: string, key: readonly string[], signing: readonly string[]][] = [
  ['RSA with SHA-1', RSA, ['-sha1']],
  ['RSA with SHA-256', RSA, ['-sha256']],
  ['RSA with SHA-384', RSA, ['-sha384']],
  ['RSA with SHA-512', RSA, ['-sha512']],
  ['PSS with SHA-256', RSA, PSS('sha256', '32')],
  ['PSS with SHA-512 and a salt of 20 octets', RSA, PSS('sha512', '20')],
  ['PSS with all defaults', RSA, PSS('sha1', '20')],
  ['P-256 with SHA-256', EC('P-256'), ['-sha256']],
  ['P-256 with SHA-384', EC('P-256'), ['-sha384']],
  ['P-384 with SHA-384', EC('P-384'), ['-sha384']],
  ['P-521 with SHA-512', EC('P-521'), ['-sha512']],
  ['Ed25519', ['-algorithm', 'ED25519'], []],
]
const UNSUPPORTED: typeof SUPPORTED = [
  ['PSS with another hash in MGF1', RSA, [...PSS('sha256', '32').slice(0, -1), 'rsa_mgf1_md:sha1']],
  ['a curve that WebCrypto does not know', EC('secp256k1'), ['-sha256']],
  ['a key that is for PSS alone', ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'], ['-sha256']],
]

function makeCertificate(key: readonly string[], signing: readonly string[]): CertificateView {
  openssl.run('genpkey', ...key, '-out', 'key.pem')
  const made = openssl.run(
    'req',
    '-x509',
    '-new',
    '-key',
    'key.pem',
    '-subj',
    '/CN=CA',
    '-days',
    '10',
    ...signing,
    '-out',
    'ca.pem',
  )
  expect(made.status, made.stderr).toBe(0)
  return readCertificate(openssl.read('ca.pem'))
}

describe.skipIf(OPENSSL_VERSION === undefined)('certificates that openssl signs', () => {
  test.each(SUPPORTED)('%s: good as it is, bad when an octet changes', async (name, key, signing) => {
    const certificate = makeCertificate(key, signing)
    expect(await verifyCertificate(certificate, certificate.spki)).toBe('good')

    const tbsCertificate = Uint8Array.from(certificate.tbsCertificate)
    tbsCertificate[20] = (tbsCertificate[20] ?? 0) ^ 1
    expect(await verifyCertificate({ ...certificate, tbsCertificate }, certificate.spki)).toBe('bad')

    const signature = Uint8Array.from(certificate.signature)
    signature[signature.length - 1] = (signature[signature.length - 1] ?? 0) ^ 1
    expect(await verifyCertificate({ ...certificate, signature }, certificate.spki)).toBe('bad')
    const empty = { ...certificate, signature: new Uint8Array() }
    expect(await verifyCertificate(empty, certificate.spki)).toBe('bad')

    // pkijs, which knows no Ed25519, is of the same opinion.
    if (name !== 'Ed25519')
      expect(await Certificate.fromBER(bufferSource(certificate.der)).verify()).toBe(true)
  })

  test.each(UNSUPPORTED)('%s is unsupported, not bad', async (_, key, signing) => {
    const certificate = makeCertificate(key, signing)
    expect(await verifyCertificate(certificate, certificate.spki)).toBe('unsupported')
  })

  test('a key of another kind, another key of the same kind, and no key at all', async () => {
    const rsa = makeCertificate(RSA, ['-sha256'])
    const ec = makeCertificate(EC('P-256'), ['-sha256'])
    const other = makeCertificate(EC('P-256'), ['-sha256'])
    expect(await verifyCertificate(ec, other.spki)).toBe('bad')
    expect(await verifyCertificate(ec, rsa.spki)).toBe('unsupported')
    expect(await verifyCertificate(rsa, ec.spki)).toBe('unsupported')
    expect(await verifyCertificate(rsa, new Uint8Array([0x30, 0x80]))).toBe('unsupported')
  })
})
