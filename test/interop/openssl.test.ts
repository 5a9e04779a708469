/** The openssl program as the client, against the dev command. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCertificate } from '../../src/cli/certificate.ts'
import { decodeSuccessfulResponse, ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import {
  type ClientRun,
  type DemoFiles,
  type DemoName,
  demoFiles,
  demoQuestion,
  demoRevocationTime,
  describeClient,
  getOCSP,
  postOCSP,
  printedRevocationTime,
  runClient,
  startParrot,
} from '../support/clients.ts'
import { OpenSSL } from '../support/openssl.ts'
import { startServer, type TestServer } from '../support/server.ts'

type Hash = '-sha1' | '-sha256'
const NO_NONCE = 'WARNING: no nonce'
const REFUSED = 'Responder Error: unauthorized (6)'
/** What openssl prints for each demonstration certificate; docs/clients.md promises the same words. */
const WORDS: readonly [DemoName, readonly string[]][] = [
  ['good', ['Response verify OK', 'good.pem: good', 'This Update: ', 'Next Update: ']],
  ['revoked', ['Response verify OK', 'revoked.pem: revoked', 'Reason: keyCompromise', 'Revocation Time: ']],
  ['hold', ['Response verify OK', 'hold.pem: revoked', 'Reason: certificateHold', 'Revocation Time: ']],
  ['expired', ['Response verify OK', 'expired.pem: good']],
  ['never', [REFUSED]],
]

describeClient(['openssl', 'version'], () => {
  const openssl = new OpenSSL()
  let server: TestServer
  let demo: DemoFiles
  beforeAll(async () => {
    server = await startServer()
    demo = demoFiles(server)
  })
  afterAll(async () => {
    openssl.close()
    await server.stop()
  })

  const ocsp = (...args: readonly string[]) => runClient('openssl', ['ocsp', ...args], openssl.folder)

  /** By POST, as openssl asks by itself. */
  const ask = (name: DemoName, ...options: readonly string[]): Promise<ClientRun> =>
    ocsp(
      ...['-issuer', demo.issuer, ...options, '-cert', demo.certificate(name)],
      ...['-CAfile', demo.chain, '-url', `${server.url}/`],
    )

  /** openssl makes the question and judges the answer; in between it travels in the path of a GET. */
  async function askByGET(name: DemoName, hash: Hash, nonce: '-nonce' | '-no_nonce'): Promise<ClientRun> {
    const request = openssl.write('get-request.der', '')
    const response = openssl.write('get-response.der', '')
    const about = ['-issuer', demo.issuer, hash, '-cert', demo.certificate(name)]
    await ocsp(...about, nonce, '-reqout', request)
    writeFileSync(response, await getOCSP(server.url, readFileSync(request)))
    // -no_nonce: no other nonce than that of -reqin, which it compares.
    const judge = ['-reqin', request, '-no_nonce', '-respin', response]
    return await ocsp(...about, ...judge, '-CAfile', demo.chain)
  }

  function expectAnswer(run: ClientRun, name: DemoName, words: readonly string[]): void {
    for (const part of words) expect(run.output).toContain(part)
    expect(printedRevocationTime(run)).toBe(demoRevocationTime(server, name))
    expect(run.output).not.toContain(NO_NONCE)
    expect(run.output).not.toContain('Nonce Verify error')
  }

  describe.each(['-sha1', '-sha256'] as const)('with a CertID of %s (R2.1)', (hash) => {
    test.each(WORDS)('POST without nonce: %s (R1.101, R1.31, R1.40)', async (name, words) => {
      expectAnswer(await ask(name, hash, '-no_nonce'), name, words)
    })

    test.each(WORDS)('POST with a nonce of 16 octets, echoed: %s (R3.3)', async (name, words) => {
      expectAnswer(await ask(name, hash, '-nonce'), name, words)
    })

    test.each(WORDS)('GET: %s (R1.100, R4.12)', async (name, words) => {
      expectAnswer(await askByGET(name, hash, '-no_nonce'), name, words)
    })

    test.each(WORDS)('GET with a nonce, echoed: %s (R3.3)', async (name, words) => {
      expectAnswer(await askByGET(name, hash, '-nonce'), name, words)
    })
  })

  test('100 CertIDs are answered, one more is malformed (R1.12)', async () => {
    const good = loadCertificate(demo.certificate('good')).serial
    const askAbout = (count: number) =>
      ocsp(
        ...['-issuer', demo.issuer, ...Array.from({ length: count }, () => ['-serial', `0x${good}`]).flat()],
        ...['-CAfile', demo.chain, '-url', `${server.url}/`],
      )
    const { output } = await askAbout(100)
    expect(output).toContain('Response verify OK')
    expect(output.match(/^0x\S+: good$/gm)?.length).toBe(100)
    expect((await askAbout(101)).output).toContain('Responder Error: malformedrequest (1)')
  })

  test.each([[['-no_nonce']], [['-nonce']]])(
    'one answer to several CertIDs, each by its own hash, %s (R1.10)',
    async (options) => {
      const held = `0x${loadCertificate(demo.certificate('hold')).serial}`
      const { output } = await ocsp(
        ...['-issuer', demo.issuer, '-cert', demo.certificate('good'), '-sha256'],
        ...[
          '-cert',
          demo.certificate('revoked'),
          '-sha1',
          '-serial',
          held,
          '-cert',
          demo.certificate('good'),
        ],
        ...[...options, '-CAfile', demo.chain, '-url', `${server.url}/`],
      )
      expect(output).toContain('Response verify OK')
      expect(output.match(/^\S+: (good|revoked|unknown)/gm)).toEqual([
        `${demo.certificate('good')}: good`,
        `${demo.certificate('revoked')}: revoked`,
        `${held}: revoked`,
        `${demo.certificate('good')}: good`,
      ])
      expect(output).not.toContain(NO_NONCE)
      expect(output).not.toContain('ERROR: No Status found')
    },
  )

  test('a CertID of an issuer that is not served is refused, not signed for (R1.40)', async () => {
    const { output } = await ocsp(
      ...['-issuer', demo.certificate('good'), '-cert', demo.certificate('good')],
      ...['-CAfile', demo.chain, '-url', `${server.url}/`],
    )
    expect(output).toContain(REFUSED)
  })

  test('its text of an answer names the delegate, whose certificate is in it (R1.57)', async () => {
    const { output } = await ask('good', '-no_nonce', '-resp_text')
    expect(output).toContain('OCSP Response Status: successful (0x0)')
    expect(output).toContain('Signature Algorithm: ecdsa-with-SHA256')
    expect(output).toContain('OCSP Signing')
    expect(certificatesIn(await postOCSP(server.url, demoQuestion(server, 'good')))).toBe(1)
  })

  test.each([
    ['tryLater', 'Responder Error: trylater (3)'],
    ['internalError', 'Responder Error: internalerror (2)'],
  ] as const)('prints %s as docs/clients.md says', async (status, words) => {
    const parrot = await startParrot(ERROR_RESPONSES[status])
    const { output } = await ocsp(
      ...['-issuer', demo.issuer, '-cert', demo.certificate('good'), '-CAfile', demo.chain],
      ...['-url', `${parrot.url}/`],
    )
    await parrot.close()
    expect(output).toContain(words)
  })
})

/** How many certificates an answer carries; 0 when the field is left out. */
function certificatesIn(der: Uint8Array): number {
  return decodeSuccessfulResponse(der).certs?.length ?? 0
}
