/** ocsptool of GnuTLS as the client, against the dev command. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import {
  type ClientRun,
  type DemoFiles,
  type DemoName,
  demoFiles,
  demoRevocationTime,
  describeClient,
  getOCSP,
  postOCSP,
  printedRevocationTime,
  runClient,
  startParrot,
} from '../support/clients.ts'
import { startServer, type TestServer } from '../support/server.ts'

const VERIFIED = 'Verifying OCSP Response: Success.'
/** What ocsptool prints for each demonstration certificate; docs/clients.md promises the same words. */
const WORDS: readonly [DemoName, readonly string[]][] = [
  ['good', ['Response Status: Successful', 'Certificate Status: good', VERIFIED]],
  ['revoked', ['Certificate Status: revoked', 'Revocation time: ', VERIFIED]],
  ['hold', ['Certificate Status: revoked', 'Revocation time: ', VERIFIED]],
  ['expired', ['Certificate Status: good', VERIFIED]],
]
const REFUSED = 'Response Status: unauthorized'

describeClient(['ocsptool', '--version'], () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-gnutls-'))
  let server: TestServer
  let demo: DemoFiles
  beforeAll(async () => {
    server = await startServer()
    demo = demoFiles(server)
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    await server.stop()
  })

  const ocsptool = (...args: readonly string[]) => runClient('ocsptool', args, folder)
  const about = (name: DemoName) => ['--load-issuer', demo.issuer, '--load-cert', demo.certificate(name)]
  const ask = (name: DemoName, url: string, ...options: readonly string[]): Promise<ClientRun> =>
    ocsptool(`--ask=${url}/`, ...about(name), '--outfile', 'asked.der', ...options)

  describe.each([['--nonce'], ['--no-nonce']])('--ask %s', (option) => {
    test.each(WORDS)('%s (R1.101, R1.31, R3.3)', async (name, words) => {
      const run = await ask(name, server.url, option)
      const { code, output } = run
      for (const part of words) expect(output).toContain(part)
      expect(printedRevocationTime(run)).toBe(demoRevocationTime(server, name))
      // --ask alone sends a nonce: --generate-request of GnuTLS 3.7 leaves it out.
      expect(output.includes('Nonce: ')).toBe(option === '--nonce')
      expect(code).toBe(0)
    })

    test('never recorded (R1.40)', async () => {
      const { code, output } = await ask('never', server.url, option)
      expect(output).toContain(REFUSED)
      expect(code).toBe(1)
    })
  })

  describe.each([
    ['POST', postOCSP],
    ['GET', getOCSP],
  ] as const)('a question of its own, sent by %s', (_method, send) => {
    const exchange = async (name: DemoName, ...options: readonly string[]): Promise<void> => {
      await ocsptool('--generate-request', ...about(name), '--outfile', 'question.der', ...options)
      const question = readFileSync(`${folder}/question.der`)
      writeFileSync(`${folder}/answer.der`, await send(server.url, question))
    }
    const RESPONSE = ['--load-response', 'answer.der']

    test.each(WORDS)('%s verifies by the root and by the issuer (R1.100, R1.57)', async (name, words) => {
      await exchange(name, '--no-nonce')
      for (const trust of [
        ['--load-trust', demo.chain],
        ['--load-signer', demo.issuer],
      ]) {
        const { code, output } = await ocsptool('--verify-response', ...RESPONSE, ...about(name), ...trust)
        for (const part of words) expect(output).toContain(part)
        expect(code).toBe(0)
      }
    })

    test('never recorded (R1.40)', async () => {
      await exchange('never', '--no-nonce')
      expect((await ocsptool('--response-info', ...RESPONSE)).output).toContain(REFUSED)
    })
  })

  test.each([
    ['tryLater', 'Response Status: tryLater'],
    ['internalError', 'Response Status: internalError'],
  ] as const)('prints %s as docs/clients.md says', async (status, words) => {
    const parrot = await startParrot(ERROR_RESPONSES[status])
    const { code, output } = await ask('good', parrot.url)
    await parrot.close()
    expect(output).toContain(words)
    expect(code).toBe(1)
  })

  test('prints unknown as docs/clients.md says', async () => {
    await server.admin('/issuers/demo', { policy: { unknown: 'unknown' } }, 'PATCH')
    const { output } = await ask('never', server.url)
    expect(output).toContain('Certificate Status: unknown')
    expect(output).toContain(VERIFIED)
  })
})
