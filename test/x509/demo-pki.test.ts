import { spawnSync } from 'node:child_process'
import { afterAll, describe, expect, test } from 'vitest'
import { makeDemoPKI } from '../../src/cli/dev/demo-pki.ts'
import { parsePrivateKey } from '../../src/signing/private-key.ts'
import { keyMatches } from '../../src/signing/webcrypto-signer.ts'
import { checkIssuerCertificate, checkResponderCertificate, readCertificate } from '../../src/x509/index.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { hex } from '../support/pki.ts'

const DAY = 86_400
const now = Math.floor(Date.now() / 1000)
const demo = await makeDemoPKI({ baseURL: 'http://127.0.0.1:8787', issuerPath: '/issuers/1.cer', now })
const openssl = new OpenSSL()
afterAll(() => openssl.close())
for (const { fileName, pem } of demo.files) openssl.write(fileName, pem)

test('has a certificate for each answer, with the record that gives it', () => {
  const minute = now - (now % 60)
  expect(
    demo.certificates.map(({ name, status, revocationTime, reason }) => [
      name,
      status,
      revocationTime,
      reason,
    ]),
  ).toEqual([
    ['good', 'good', 0, undefined],
    ['revoked', 'revoked', minute - DAY, 1],
    ['hold', 'hold', minute - 7200, 6],
    ['expired', 'good', 0, undefined],
    ['never', undefined, 0, undefined],
  ])
})

test('records what stands in the certificates', () => {
  for (const { certificate, serialNumber, notBefore, notAfter, name, revocationTime } of demo.certificates) {
    const view = readCertificate(certificate)
    expect(view).toMatchObject({
      serialNumber,
      notBefore,
      notAfter,
      subject: `CN=${name}.example,O=Edge OCSP demonstration`,
    })
    expect(view.ocspURLs).toEqual(['http://127.0.0.1:8787/'])
    expect(serialNumber.length).toBe(20)
    expect(serialNumber[0]).toBeLessThan(0x80)
    expect(revocationTime === 0 || revocationTime > notBefore).toBe(true)
  }
  expect(demo.certificates.find(({ name }) => name === 'expired')?.notAfter).toBe(now - DAY)
  expect(new Set(demo.certificates.map(({ serialNumber }) => hex(serialNumber))).size).toBe(5)
})

test('has an issuer and a delegate without any finding, even under public-trust (R1.60, R4.7)', async () => {
  const issuer = readCertificate(demo.issuer.certificate)
  const responder = readCertificate(demo.responder.certificate)
  expect(checkIssuerCertificate(issuer, now)).toEqual([])
  expect(await checkResponderCertificate(responder, issuer, 'public-trust', now)).toEqual([])
  expect(responder.notAfter - responder.notBefore).toBe(90 * DAY)
  expect(await keyMatches(demo.responder.pkcs8, responder.spki, demo.responder.algorithm)).toBe(true)
})

test('marks its private keys, and nothing else, as secret', () => {
  expect(demo.files.filter(({ secret }) => secret).map(({ fileName }) => fileName)).toEqual(
    demo.files.map(({ fileName }) => fileName).filter((fileName) => fileName.endsWith('-key.pem')),
  )
  for (const { pem, secret } of demo.files) expect(pem.includes('PRIVATE KEY')).toBe(secret)
  expect(
    parsePrivateKey(demo.files.find(({ fileName }) => fileName === demo.responder.keyFileName)?.pem ?? ''),
  ).toEqual(demo.responder.pkcs8)
})

describe.skipIf(OPENSSL_VERSION === undefined)('openssl', () => {
  test.each(['good', 'revoked', 'hold', 'never', 'responder'])(
    'verifies the chain of %s strictly',
    (name) => {
      const { stdout, stderr } = openssl.run(
        'verify',
        '-x509_strict',
        '-CAfile',
        'root.pem',
        '-untrusted',
        'issuer.pem',
        `${name}.pem`,
      )
      expect(stdout + stderr).toBe(`${name}.pem: OK\n`)
    },
  )

  test('finds the expired certificate expired, and nothing else wrong', () => {
    const { stdout, stderr } = openssl.run(
      'verify',
      '-x509_strict',
      '-CAfile',
      'root.pem',
      '-untrusted',
      'issuer.pem',
      'expired.pem',
    )
    expect(stdout + stderr).toMatch(/error 10 at 0 depth lookup: certificate has expired/)
    const then = String(now - 2 * DAY)
    expect(
      openssl.run('verify', '-attime', then, '-CAfile', 'root.pem', '-untrusted', 'issuer.pem', 'expired.pem')
        .status,
    ).toBe(0)
  })

  test('finds responder and issuer in AuthorityInfoAccess', () => {
    const { stdout } = openssl.run('x509', '-in', 'good.pem', '-noout', '-ext', 'authorityInfoAccess')
    expect(stdout).toContain('OCSP - URI:http://127.0.0.1:8787/\n')
    expect(stdout).toContain('CA Issuers - URI:http://127.0.0.1:8787/issuers/1.cer\n')
    expect(openssl.run('x509', '-in', 'good.pem', '-noout', '-ocsp_uri').stdout).toBe(
      'http://127.0.0.1:8787/\n',
    )
  })

  test('accepts what the delegate signs (R1.55, R1.60)', () => {
    const serial = hex(demo.certificates[0]?.serialNumber ?? new Uint8Array()).toUpperCase()
    openssl.write('index.txt', `V\t491231235959Z\t\t${serial}\tunknown\t/CN=good.example\n`)
    openssl.run('ocsp', '-issuer', 'issuer.pem', '-cert', 'good.pem', '-no_nonce', '-reqout', 'request.der')
    const signed = openssl.run(
      ...[
        'ocsp',
        '-index',
        'index.txt',
        '-CA',
        'issuer.pem',
        '-rsigner',
        'responder.pem',
        '-rkey',
        'responder-key.pem',
      ],
      ...['-reqin', 'request.der', '-respout', 'response.der', '-ndays', '1', '-resp_key_id'],
    )
    expect(signed.status).toBe(0)
    const { stdout, stderr } = openssl.run(
      ...[
        'ocsp',
        '-issuer',
        'issuer.pem',
        '-cert',
        'good.pem',
        '-no_nonce',
        '-respin',
        'response.der',
        '-CAfile',
        demo.chainFileName,
      ],
    )
    expect(stderr).toContain('Response verify OK')
    expect(stdout).toContain('good.pem: good')
  })
})

test('is made in less than a second by a process of its own', () => {
  const code =
    "const { makeDemoPKI } = await import('./src/cli/dev/demo-pki.ts');" +
    "const t = performance.now(); await makeDemoPKI({ baseURL: 'http://x', issuerPath: '/', now: 1800000000 });" +
    'console.log(performance.now() - t)'
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(Number(stdout)).toBeLessThan(1000)
})
