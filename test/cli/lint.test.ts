/** `lint` over responses of openssl, good and bad ones. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at } from '../http/admin-world.ts'
import { OPENSSL_VERSION } from '../support/openssl.ts'
import { OpenSSLCA, SERIALS } from './answer-ca.ts'
import { found, notRun } from './lint-runs.ts'

describe.skipIf(OPENSSL_VERSION === undefined)('responses of openssl', () => {
  let ca: OpenSSLCA
  beforeAll(() => {
    ca = new OpenSSLCA('P-256', 'P-256')
    ca.certify('bare', '/CN=Bare', 'P-256', 'bare')
    ca.selfSigned('other', '/CN=Other CA', 'P-256')
    ca.request('good.req', [SERIALS.good], { hash: 'sha256' })
    ca.request('revoked.req', [SERIALS.revoked], { hash: 'sha256' })
    ca.request('nonce.req', [SERIALS.good], { hash: 'sha256', nonce: true })
    make('good')
    make('revoked')
    make('nonce')
  })
  afterAll(() => ca.close())

  /** NAME.req -> NAME.resp, by `openssl ocsp` as a responder. */
  function make(
    name: string,
    { to = name, signer = 'ocsp', more = ['-resp_key_id', '-ndays', '3'] } = {},
  ): void {
    const by = ['-rsigner', `${signer}.pem`, '-rkey', `${signer}.key`]
    const files = ['-reqin', `${name}.req`, '-respout', `${to}.resp`]
    ca.ok('ocsp', '-index', 'index.txt', '-CA', 'ca.pem', ...by, ...files, ...more)
  }
  const lint = (text: string) => ca.run(`lint ${text}`.split(' '))

  test('a good one is clean with everything at hand: signature and delegation verified, every check run that can be (R8.1)', async () => {
    const run = await lint('good.resp --issuer ca.pem --request good.req --profile private')
    expect([run.code, run.stderr]).toEqual([0, ''])
    expect(run.stdout).toMatch(
      /^Response: +good\.resp, \d+ octets, successful: clean\nSignature: verified, by CN=Home OCSP \(delegate\)\n/,
    )
    const json = await lint('good.resp --issuer ca.pem --request good.req --profile private --json')
    expect(json.json()).toMatchObject({ errors: 0, warnings: 0, findings: [], signature: 'verified' })
    expect(new Set(notRun(json).values())).toEqual(
      new Set([
        'needs the certificate in question: --cert',
        'only the responder knows what it meant to say',
        'only the responder knows which algorithm it has to use',
        'only the responder knows its policy',
      ]),
    )
  })

  test('without context it says what was not run and why', async () => {
    const run = await lint('good.resp --json')
    expect([run.code, found(run)]).toEqual([0, { errors: [], warnings: [] }])
    expect([...notRun(run)]).toEqual(
      expect.arrayContaining([
        ['issuer-hashes', 'needs the issuer: --issuer'],
        ['answer-missing', 'needs the request: --request'],
        ['ca-reason', 'needs the certificate in question: --cert'],
        ['longer-than-seven-days', 'is of public trust: --profile public-trust'],
        ['meant-status', 'only the responder knows what it meant to say'],
      ]),
    )
    expect((await lint('good.resp')).stdout).toMatch(
      /verified, by CN=Home OCSP \(whose delegate that is, nobody knows/,
    )
  })

  test('the CA itself as the signer is known by its certificate', async () => {
    make('good', { to: 'direct', signer: 'ca', more: ['-resp_key_id', '-ndays', '3', '-resp_no_certs'] })
    const run = await lint('direct.resp --issuer ca.pem --json')
    expect(run.json()).toMatchObject({ signature: 'verified', signedBy: 'issuer' })
    expect(found(run)).toEqual({ errors: [], warnings: [] })
    make('good', { to: 'direct', signer: 'ca' })
    expect(found(await lint('direct.resp --issuer ca.pem --json')).errors).toEqual(['certs-needless'])
  })

  test.each<[string, string, () => void, string[], string[]]>([
    [
      'R1.53',
      'named by name',
      () => make('good', { to: 'bad', more: ['-ndays', '3'] }),
      [],
      ['responder-by-name'],
    ],
    [
      'R1.64',
      'without nextUpdate',
      () => make('good', { to: 'bad', more: ['-resp_key_id'] }),
      [],
      ['next-update-absent'],
    ],
    [
      'R1.57',
      'without the certificate of the delegate',
      () => make('good', { to: 'bad', more: ['-resp_key_id', '-ndays', '3', '-resp_no_certs'] }),
      ['responder-other'],
      [],
    ],
    [
      'R4.9',
      'signed over SHA-1',
      () => make('good', { to: 'bad', more: ['-resp_key_id', '-ndays', '3', '-rmd', 'sha1'] }),
      ['algorithm-weak'],
      ['algorithm-not-of-curve'],
    ],
    [
      'R1.55',
      'signed by a certificate without OCSPSigning',
      () => make('good', { to: 'bad', signer: 'bare' }),
      ['signer-no-ocsp-signing'],
      ['signer-no-no-check'],
    ],
    [
      'R1.66',
      'that outlives its signer',
      () => make('good', { to: 'bad', more: ['-resp_key_id', '-ndays', '200'] }),
      ['outlives-responder'],
      [],
    ],
  ])('one %s %s', async (id, _what, prepare, errors, warnings) => {
    prepare()
    const run = await lint('bad.resp --issuer ca.pem --json')
    expect(found(run)).toEqual({
      errors: expect.arrayContaining(errors),
      warnings: expect.arrayContaining(warnings),
    })
    expect(found(run).errors.length).toBe(errors.length)
    expect(run.code).toBe(errors.length === 0 ? 0 : 1)
    expect(run.stdout).toContain(`"id": "${id === 'R1.57' ? 'R1.52' : id}"`)
    expect((await lint('bad.resp --issuer ca.pem --strict')).code).toBe(1)
  })

  test('of another issuer: neither its hashes nor its signer (R1.40, R1.52)', async () => {
    const run = await lint('good.resp --issuer other.pem --json')
    expect([run.code, found(run).errors]).toEqual([
      1,
      ['issuer-hashes', 'signer-wrong-issuer', 'signer-bad-signature'],
    ])
  })

  test('to another request: its CertID is missing (R1.69, R3.3)', async () => {
    expect(found(await lint('good.resp --request revoked.req --json')).errors).toEqual(['answer-missing'])
    expect(found(await lint('nonce.resp --request good.req --json')).errors).toEqual(['nonce-unasked'])
    ca.request('nonce2.req', [SERIALS.good], { hash: 'sha256', nonce: true })
    expect(found(await lint('nonce.resp --request nonce2.req --json')).errors).toEqual(['nonce-other'])
  })

  test('under public trust, a validity of eight days and a reason that is barred (R4.32, R4.13)', async () => {
    make('good', { to: 'bad', more: ['-resp_key_id', '-ndays', '8'] })
    expect(found(await lint('bad.resp --profile public-trust --json')).errors).toEqual([
      'longer-than-seven-days',
    ])
    expect(found(await lint('bad.resp --profile private --json')).errors).toEqual([])
    ca.request('hold.req', [SERIALS.hold], { hash: 'sha256' })
    make('hold')
    expect(found(await lint('hold.resp --profile public-trust --json')).errors).toEqual(['hold-barred'])
  })

  test('--now judges as of another time (R1.67)', async () => {
    const later = await lint('good.resp --issuer ca.pem --json --now 2099-01-01')
    expect(found(later).errors).toEqual(expect.arrayContaining(['expired', 'signer-expired']))
    const earlier = await lint('good.resp --json --now 2020-01-01')
    expect(found(earlier).errors).toEqual(['produced-in-future', 'this-update-in-future'])
  })

  test('with one octet of the status changed the signature is wrong, and the field is named (R1.51)', async () => {
    const der = readFileSync(join(ca.folder, 'good.resp'))
    const good = der.indexOf(Buffer.from([0x80, 0x00, 0x18]))
    der[good] = 0x82
    ca.write('altered.resp', der)
    const run = await lint('altered.resp --issuer ca.pem --json')
    expect([run.code, found(run).errors, at(run.json(), 'signature')]).toEqual([
      1,
      ['signature-value'],
      'wrong',
    ])
    expect((await lint('altered.resp --issuer ca.pem')).stdout).toMatch(
      /^error R1\.51 signature-value \(signature, octet \d+\)\n {2}signature: the signature has to verify/,
    )
    der[good + 1] = 0x01
    ca.write('altered.resp', der)
    const broken = await lint('altered.resp')
    expect(broken.code).toBe(1)
    expect(broken.stdout).toMatch(/^error R1\.\d+ \S+ \(responses\[0\][^)]*, octet \d+\)\n/)
    expect(broken.stdout).toContain('the response cannot be read')
  })

  test('PEM, base64, an argument and standard input are read as the file is', async () => {
    const der = readFileSync(join(ca.folder, 'good.resp'))
    const base64 = der.toString('base64')
    ca.write('good.pem', formatPEM('OCSP RESPONSE', der))
    ca.write('good.b64', `${base64.replace(/.{64}/g, '$&\n')}\n`)
    const expected = { errors: 0, warnings: 0, octets: der.length, responseStatus: 'successful' }
    for (const file of ['good.pem', 'good.b64', base64])
      expect((await lint(`${file} --json`)).json()).toMatchObject(expected)
    for (const input of [der, base64])
      expect((await ca.run(['lint', '-', '--json'], { input })).json()).toMatchObject(expected)
  })

  test('what edge-ocsp answers itself is clean under its profile', async () => {
    for (const [name, profile] of [
      ['good', 'private'],
      ['revoked', 'public-trust'],
    ]) {
      const record = `--index index.txt --issuer ca.pem --responder-cert ocsp.pem --responder-key ocsp.key --profile ${profile}`
      const made = await ca.run(`answer --reqin ${name}.req --respout own.resp ${record}`.split(' '))
      expect([made.code, made.stderr]).toEqual([0, ''])
      const run = await lint(`own.resp --issuer ca.pem --request ${name}.req --profile ${profile} --json`)
      expect(found(run).errors).toEqual([])
    }
  })
})
