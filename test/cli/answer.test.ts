/** `answer`: a request in a file becomes a response in a file, from an index.txt; openssl makes the one and judges the other. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/index.ts'
import { OPENSSL_VERSION } from '../support/openssl.ts'
import { type KeyKind, OpenSSLCA, SERIALS } from './answer-ca.ts'
import { PROGRAM } from './support.ts'

const INDEX = '--index index.txt --issuer ca.pem'
const DELEGATE = '--responder-cert ocsp.pem --responder-key ocsp.key'

describe.skipIf(OPENSSL_VERSION === undefined)('answer', () => {
  let ca: OpenSSLCA
  beforeAll(() => {
    ca = new OpenSSLCA('P-256', 'P-256')
    ca.request('good.req', [SERIALS.good])
    ca.request('never.req', [SERIALS.never])
  })
  afterAll(() => ca.close())

  const answer = (text: string, options = {}) => ca.run(`answer ${text}`.split(' '), options)
  const bytes = (name: string) => readFileSync(join(ca.folder, name))
  const statusOf = (name: string) => decodeOCSPResponse(new Uint8Array(bytes(name))).responseStatus

  describe('openssl believes the responses, whoever signs', () => {
    const cas: OpenSSLCA[] = []
    afterAll(() => {
      for (const one of cas) one.close()
    })

    test.each<[KeyKind, KeyKind, string, string]>([
      ['P-256', 'P-256', DELEGATE, 'ecdsa-with-SHA256'],
      ['RSA', 'RSA', DELEGATE, 'sha256WithRSAEncryption'],
      ['RSA', 'P-384', DELEGATE, 'ecdsa-with-SHA384'],
      ['RSA', 'RSA', `${DELEGATE} --algorithm rsassaPss-sha256`, 'rsassaPss'],
      ['P-256', 'P-256', '--sign-with-ca --key ca.key', 'ecdsa-with-SHA256'],
      ['RSA', 'P-256', '--sign-with-ca --key ca.key', 'sha256WithRSAEncryption'],
    ])('CA %s, delegate %s, %s: %s', async (caKey, delegateKey, signer, signature) => {
      const own = new OpenSSLCA(caKey, delegateKey)
      cas.push(own)
      own.request('all.req', [SERIALS.good, SERIALS.revoked, SERIALS.hold], { nonce: true })
      const run = await own.run(`answer --reqin all.req --respout all.resp ${INDEX} ${signer}`.split(' '))
      expect([run.code, run.stderr]).toEqual([0, ''])
      const seen = own.judge('all.req', 'all.resp')
      expect(seen).toContain('Response verify OK')
      expect(seen).toContain(`Signature Algorithm: ${signature}`)
      expect(seen).not.toMatch(/nonce (in response|not equal)|no nonce/i)
      expect(seen.match(/Cert Status: \w+/g)).toEqual([
        'Cert Status: good',
        'Cert Status: revoked',
        'Cert Status: revoked',
      ])
      expect(seen).toContain('Revocation Time: Jan  2 03:04:05 2026 GMT')
      expect(seen).toContain('Revocation Reason: superseded (0x4)')
      expect(seen).toContain('Revocation Reason: certificateHold (0x6)')
      // A CA that signs itself needs no certificate in the response (R1.59).
      expect(seen.includes('BEGIN CERTIFICATE')).toBe(signer.startsWith('--responder-cert'))
    })
  })

  test.each(['sha1', 'sha256', 'sha384', 'sha512'])(
    'CertIDs of %s are answered with that hash (R2.1)',
    async (hash) => {
      ca.request('hash.req', [SERIALS.good], { hash })
      const run = await answer(`--reqin hash.req --respout hash.resp ${INDEX} ${DELEGATE} --json`)
      expect(run.code).toBe(0)
      expect(run.json()).toMatchObject({
        responseStatus: 'successful',
        statuses: [{ serial: SERIALS.good.toLowerCase(), certStatus: 'good' }],
      })
      const seen = ca.judge('hash.req', 'hash.resp')
      expect(seen).toContain('Response verify OK')
      expect(seen).toContain(`Hash Algorithm: ${hash}`)
    },
  )

  test('a nonce comes back octet for octet, none where none was sent, and none where the policy ignores it (R3.3, R3.9)', async () => {
    ca.request('nonce.req', [SERIALS.good], { nonce: true })
    const nonceIn = (text: string) => /OCSP Nonce:\s*(\w+)/.exec(text)?.[1]
    const sent = nonceIn(ca.ok('ocsp', '-reqin', 'nonce.req', '-req_text'))
    expect(sent).toMatch(/^0410[0-9A-F]{32}$/)
    const views = []
    for (const [request, more] of [
      ['nonce.req', ''],
      ['good.req', ''],
      ['nonce.req', ' --nonce ignore'],
    ]) {
      const run = await answer(`--reqin ${request} --respout nonce.resp ${INDEX} ${DELEGATE}${more} --json`)
      const seen = ca.ok('ocsp', '-noverify', '-respin', 'nonce.resp', '-resp_text')
      views.push([run.json(), nonceIn(seen)])
    }
    expect(views).toMatchObject([
      [{ nonce: 'echoed' }, sent],
      [{ nonce: 'notSent' }, undefined],
      [{ nonce: 'absent' }, undefined],
    ])
  })

  test('a serial number that is not in the index is refused, or unknown, or revoked as never issued, as the policy says (R1.36, R1.40)', async () => {
    const refused = await answer(`--reqin never.req --respout never.resp ${INDEX} ${DELEGATE}`)
    expect([refused.code, statusOf('never.resp')]).toEqual([1, 'unauthorized'])
    expect(refused.stderr).toContain('unauthorized (6): no certificate of that serial number is recorded')
    const unknown = await answer(
      `--reqin never.req --respout never.resp ${INDEX} ${DELEGATE} --unknown unknown`,
    )
    expect(unknown.code).toBe(0)
    expect(ca.judge('never.req', 'never.resp')).toMatch(
      /Response verify OK[\s\S]*Cert Status: unknown|Cert Status: unknown[\s\S]*Response verify OK/,
    )
    await answer(`--reqin never.req --respout never.resp ${INDEX} ${DELEGATE} --unknown revoked-extended`)
    const extended = ca.judge('never.req', 'never.resp')
    expect(extended).toContain('Revocation Time: Jan  1 00:00:00 1970 GMT')
    const { responseExtensions } = decodeSuccessfulResponse(
      new Uint8Array(bytes('never.resp')),
    ).tbsResponseData
    expect(responseExtensions?.map(({ extnID }) => extnID)).toEqual([OID.ocspExtendedRevoke])
  })

  test('another issuer is refused (R1.40)', async () => {
    ca.selfSigned('other', '/CN=Other CA', 'P-256')
    ca.request('other.req', [SERIALS.good], { issuer: 'other' })
    const run = await answer(`--reqin other.req --respout other.resp ${INDEX} ${DELEGATE} --json`)
    expect([run.code, statusOf('other.resp')]).toEqual([1, 'unauthorized'])
    expect(run.json()).toMatchObject({
      responseStatus: 'unauthorized',
      reason: expect.stringMatching(/issuer that we do not/),
    })
    expect(ca.judge('other.req', 'other.resp')).toContain('Responder Error: unauthorized (6)')
  })

  describe('what is no request is answered as malformed, with exit 1 (R1.1, R1.21)', () => {
    test.each([
      ['nothing', ''],
      ['text', 'GET / HTTP/1.1\r\n\r\n'],
      ['a cut request', 'cut'],
      ['a request with an octet too many', 'longer'],
      ['more than 64 KiB', '0'.repeat(70_000)],
    ])('%s', async (_what, content) => {
      const request = bytes('good.req')
      const made: Record<string, Uint8Array> = {
        cut: request.subarray(0, -3),
        longer: Buffer.concat([request, Buffer.of(0)]),
      }
      ca.write('bad.req', made[content] ?? content)
      const run = await answer(`--reqin bad.req --respout bad.resp ${INDEX} ${DELEGATE}`)
      expect(run.code).toBe(1)
      expect(run.stderr).toMatch(/^edge-ocsp: the response is malformedRequest \(1\): .+\n$/)
      expect(Buffer.from(bytes('bad.resp')).toString('hex')).toBe('30030a0101')
    })
  })

  describe('in place', () => {
    test('the response takes the place of the request, whose mode stays, and no other file changes', async () => {
      ca.write('exchange.der', bytes('good.req'))
      chmodSync(join(ca.folder, 'exchange.der'), 0o640)
      const others = () =>
        readdirSync(ca.folder)
          .filter((name) => name !== 'exchange.der')
          .map((name) => [name, statSync(join(ca.folder, name)).mtimeMs, bytes(name).toString('hex')])
      const before = others()
      const run = await answer(`--reqin exchange.der ${INDEX} ${DELEGATE}`)
      expect([run.code, run.stderr]).toEqual([0, ''])
      expect(run.stdout).toMatch(/Written: +exchange\.der, \d+ octets, successful/)
      expect(ca.judge('good.req', 'exchange.der')).toContain('Response verify OK')
      expect(statSync(join(ca.folder, 'exchange.der')).mode & 0o777).toBe(0o640)
      expect(others()).toEqual(before)
    })

    test('a symbolic link stays, and its target is replaced', async () => {
      ca.write('target.der', bytes('good.req'))
      symlinkSync('target.der', join(ca.folder, 'link.der'))
      expect((await answer(`--reqin link.der ${INDEX} ${DELEGATE}`)).code).toBe(0)
      expect(statusOf('target.der')).toBe('successful')
      expect(bytes('link.der')).toEqual(bytes('target.der'))
    })

    test('an error response takes its place too, and answering it again is malformed', async () => {
      ca.write('exchange.der', bytes('never.req'))
      expect((await answer(`--reqin exchange.der ${INDEX} ${DELEGATE}`)).code).toBe(1)
      expect(bytes('exchange.der').toString('hex')).toBe('30030a0106')
      expect((await answer(`--reqin exchange.der ${INDEX} ${DELEGATE}`)).code).toBe(1)
      expect(bytes('exchange.der').toString('hex')).toBe('30030a0101')
    })
  })

  test('from standard input to standard output: the response alone, and nothing else', () => {
    const line = `"${process.execPath}" "${PROGRAM}" answer --reqin - --respout - ${INDEX} ${DELEGATE} <good.req >piped.resp`
    const { status, stderr } = spawnSync('sh', ['-c', line], { cwd: ca.folder, encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
    expect(ca.judge('good.req', 'piped.resp')).toContain('Response verify OK')
  })

  test('the index may come on standard input', async () => {
    const run = await answer(`--reqin good.req --respout good.resp --index - --issuer ca.pem ${DELEGATE}`, {
      input: bytes('index.txt'),
    })
    expect(run.code).toBe(0)
    expect(ca.judge('good.req', 'good.resp')).toContain('Response verify OK')
  })

  describe('when nothing can be written the files stay as they are, exit 3', () => {
    test.each([
      [
        'no request',
        `--reqin missing.req ${INDEX} ${DELEGATE}`,
        /missing\.req: cannot read it: no such file/,
      ],
      [
        'no index',
        `--reqin same.der --index missing.txt --issuer ca.pem ${DELEGATE}`,
        /missing\.txt: cannot read it/,
      ],
      [
        'an index that is none',
        `--reqin same.der --index ca.pem --issuer ca.pem ${DELEGATE}`,
        /does not look like an index\.txt/,
      ],
      [
        'an index whose line cannot be read, and may be the one',
        `--reqin same.der --index torn.txt --issuer ca.pem ${DELEGATE}`,
        /torn\.txt:4: [\s\S]*does not say whether serial 0a1b2c3d4e5f60ff was issued/,
      ],
      [
        'a key of another certificate',
        `--reqin same.der ${INDEX} --responder-cert ocsp.pem --responder-key ca.key`,
        /ca\.key is not the private key of ocsp\.pem/,
      ],
      [
        'a delegate that may not sign OCSP',
        `--reqin same.der ${INDEX} --responder-cert bare.pem --responder-key bare.key`,
        /OCSPSigning/,
      ],
      [
        'a folder that is not there',
        `--reqin same.der --respout nowhere/x.resp ${INDEX} ${DELEGATE}`,
        /cannot write it/,
      ],
    ])('%s', async (_what, text, message) => {
      if (!existsSync(join(ca.folder, 'bare.pem'))) ca.certify('bare', '/CN=Bare', 'P-256', 'bare')
      ca.write('torn.txt', `${ca.openssl.read('index.txt')}V\t4912\n`)
      ca.write('same.der', bytes('never.req'))
      const before = readdirSync(ca.folder).sort()
      const run = await answer(text)
      expect(run.stderr).toMatch(message)
      expect([run.code, run.stdout]).toEqual([3, ''])
      expect(bytes('same.der')).toEqual(bytes('never.req'))
      expect(readdirSync(ca.folder).sort()).toEqual(before)
    })
  })

  describe('what makes no sense is usage, exit 2, and nothing is written', () => {
    test.each([
      ['', /required option '--reqin <file>'/],
      [`--reqin good.req --index index.txt ${DELEGATE}`, /--index needs --issuer/],
      [`--reqin good.req --issuer ca.pem`, /--issuer means nothing without --index/],
      [`--reqin good.req --index - --issuer ca.pem --reqin -`, /cannot both be standard input/],
      [`--reqin good.req --respout - ${INDEX} ${DELEGATE} --json`, /--json has no place/],
      [`--reqin good.req --respout ocsp.key ${INDEX} ${DELEGATE}`, /would take the place of ocsp\.key/],
      [`--reqin good.req --respout index.txt ${INDEX} ${DELEGATE}`, /would take the place of index\.txt/],
      [`--reqin good.req ${INDEX}`, /nobody was named to sign/],
      [`--reqin good.req ${INDEX} ${DELEGATE} --state folder`, /--index and --state exclude each other/],
    ])('%s', async (text, message) => {
      const key = bytes('ocsp.key')
      const request = bytes('good.req')
      const run = await ca.run(['answer', ...text.split(' ').filter((part) => part !== '')])
      expect([run.code, run.stdout]).toEqual([2, expect.stringMatching(/^(\{[\s\S]*)?$/)])
      expect(run.stderr).toMatch(message)
      expect([bytes('ocsp.key'), bytes('good.req')]).toEqual([key, request])
    })
  })

  test('under public-trust a hold is never made, so there is no answer (R4.13)', async () => {
    ca.request('hold.req', [SERIALS.hold])
    const run = await answer(
      `--reqin hold.req --respout hold.resp ${INDEX} ${DELEGATE} --profile public-trust`,
    )
    expect([run.code, existsSync(join(ca.folder, 'hold.resp'))]).toEqual([3, false])
    expect(run.stderr).toMatch(/index\.txt:3: /)
  })

  test('--help has the options, exit codes and examples that work as they stand', async () => {
    const { code, stdout } = await answer('--help')
    expect(code).toBe(0)
    for (const part of [
      '--reqin',
      '--respout',
      '--index',
      'in place of the request',
      'Exit codes: 0',
      'edge-ocsp answer --reqin',
    ])
      expect(stdout).toContain(part)
    const example = /\$ edge-ocsp (answer --reqin request\.der .*--index .*)/.exec(stdout)?.[1]
    ca.write('request.der', bytes('good.req'))
    expect((await ca.run((example ?? '').split(' '))).code).toBe(0)
    expect(ca.judge('good.req', 'response.der')).toContain('Response verify OK')
  })
})
