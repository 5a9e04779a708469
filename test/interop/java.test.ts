/** Java's PKIX revocation checker in its other ways, against the dev command, with a tap on the wire. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadCertificate } from '../../src/cli/certificate.ts'
import { decodeOCSPRequest, ERROR_RESPONSES, type Nonce, requestNonce } from '../../src/ocsp/index.ts'
import { type DemoFiles, type DemoName, demoFiles, describeClient } from '../support/clients.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { compileAsk, type JavaSettings, startAsk } from './matrix/java.ts'
import { type Exchange, startTap } from './matrix/tap.ts'

type Alter = Parameters<typeof startTap>[1]

// A JDK has java as well.
describeClient(['javac', '--version'], () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-java-'))
  let server: TestServer
  let demo: DemoFiles
  beforeAll(async () => {
    compileAsk(folder)
    server = await startServer()
    demo = demoFiles(server)
    return () => server.stop()
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Asks one after another, through a tap of their own. */
  async function ask(
    settings: JavaSettings,
    names: readonly DemoName[],
    alter?: Alter,
  ): Promise<{ readonly said: readonly string[]; readonly seen: readonly Exchange[] }> {
    const tap = await startTap(server.url, alter)
    try {
      const said = await askAt(tap.url, settings, names)
      return { said, seen: tap.seen }
    } finally {
      await tap.close()
    }
  }

  async function askAt(
    url: string,
    settings: JavaSettings,
    names: readonly DemoName[],
  ): Promise<readonly string[]> {
    const program = startAsk(folder, { ...settings, modes: ['responder', ...(settings.modes ?? [])] })
    try {
      const said: string[] = []
      for (const name of names) {
        const certificate = demo.certificate(name)
        const { notAfter } = loadCertificate(certificate)
        const { runs } = await program.ask({ issuer: demo.issuer, certificate, url, notAfter })
        said.push(...runs.map(({ verdict, output }) => `${verdict}: ${output}`))
      }
      return said
    } finally {
      await program.stop()
    }
  }

  const nonceOf = ({ question }: Exchange): Nonce | undefined => requestNonce(decodeOCSPRequest(question))

  test.each([
    ['GET by itself', {}, 'GET', undefined],
    ['POST with com.sun.security.ocsp.useget=false', { useGet: false }, 'POST', undefined],
    ['GET with jdk.security.certpath.ocspNonce=true, a nonce of 16 octets', { nonce: true }, 'GET', 16],
  ] as const)(
    '%s, where setOcspResponder says (R1.100, R1.101, R3.3)',
    async (_way, settings, method, octets) => {
      const { said, seen } = await ask(settings, ['good', 'revoked'])
      expect(said).toEqual(['good: valid', 'revoked: reason KEY_COMPROMISE'])
      expect(seen.map((exchange) => exchange.method)).toEqual([method, method])
      expect(seen.map((exchange) => nonceOf(exchange)?.length)).toEqual([octets, octets])
    },
  )

  test('refuses the answer to an earlier nonce', async () => {
    const replay: Alter = (answer, [first]) => first?.answer ?? answer
    const { said } = await ask({ nonce: true }, ['good', 'good'], replay)
    expect(said).toEqual(['good: valid', expect.stringMatching(/^refused: .*nonce/i)])
  })

  // Its documentation lists a network error, internalError and tryLater; that unknown is one more, it does not say.
  test.each([
    ['tryLater', 'refused: OCSP response error: TRY_LATER', true],
    ['internalError', 'refused: OCSP response error: INTERNAL_ERROR', true],
    ['unauthorized', 'refused: OCSP response error: UNAUTHORIZED', false],
    ['unknown', "unknown: Certificate's revocation status is unknown", true],
    ['nobody', 'refused: Unable to determine revocation status due to network error', true],
  ] as const)('%s: %s; overlooked with soft fail: %s', async (what, words, overlooked) => {
    const hard = await without(what, {})
    expect(hard).toEqual([expect.stringContaining(words)])
    const soft = await without(what, { modes: ['soft-fail'] })
    const why = words.replace(/^\w+: /, '')
    expect(soft).toEqual([overlooked ? `good: valid, in spite of: ${why}` : expect.stringContaining(words)])
  })

  async function without(
    what: 'tryLater' | 'internalError' | 'unauthorized' | 'unknown' | 'nobody',
    settings: JavaSettings,
  ): Promise<readonly string[]> {
    if (what === 'nobody') {
      const tap = await startTap(server.url)
      await tap.close()
      return await askAt(tap.url, settings, ['good'])
    }
    if (what !== 'unknown') return (await ask(settings, ['good'], () => ERROR_RESPONSES[what])).said
    await server.admin('/issuers/demo', { policy: { unknown: 'unknown' } }, 'PATCH')
    return (await ask(settings, ['never'])).said
  }
})
