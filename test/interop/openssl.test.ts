/** The openssl program as the client, against the dev command. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCertificate } from '../../src/cli/certificate.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  authorityKeyIdentifier,
  extendedKeyUsage,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import { decodeSuccessfulResponse, ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import {
  type ClientRun,
  type DemoFiles,
  type DemoName,
  demoFiles,
  demoQuestion,
  describeClient,
  getOCSP,
  postOCSP,
  runClient,
  startParrot,
} from '../support/clients.ts'
import { OpenSSL } from '../support/openssl.ts'
import { makeTestPKI, type TestPKI, type TestPKIOptions } from '../support/pki.ts'
import { startServer, type TestServer } from '../support/server.ts'

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
  async function askByGET(name: DemoName, hash: '-sha1' | '-sha256'): Promise<ClientRun> {
    const request = openssl.write('get-request.der', '')
    const response = openssl.write('get-response.der', '')
    const about = ['-issuer', demo.issuer, hash, '-cert', demo.certificate(name), '-no_nonce']
    await ocsp(...about, '-reqout', request)
    writeFileSync(response, await getOCSP(server.url, readFileSync(request)))
    return await ocsp(...about, '-CAfile', demo.chain, '-respin', response)
  }

  describe.each(['-sha1', '-sha256'] as const)('with a CertID of %s (R2.1)', (hash) => {
    test.each(WORDS)('POST without nonce: %s (R1.101, R1.31, R1.40)', async (name, words) => {
      const { output } = await ask(name, hash, '-no_nonce')
      for (const part of words) expect(output).toContain(part)
    })

    test.each(WORDS)('POST with a nonce of 16 octets, echoed: %s (R3.3)', async (name, words) => {
      const { output } = await ask(name, hash, '-nonce')
      for (const part of words) expect(output).toContain(part)
      expect(output).not.toContain(NO_NONCE)
    })

    test.each(WORDS)('GET: %s (R1.100, R4.12)', async (name, words) => {
      const { output } = await askByGET(name, hash)
      for (const part of words) expect(output).toContain(part)
    })
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

  describe('issuers of other kinds, added through the admin API', () => {
    test.each([
      ['an RSA-2048 delegate', 'rsa', 'sha256WithRSAEncryption', { algorithm: 'sha256WithRSAEncryption' }, 1],
      ['an RSA-2048 delegate with PSS', 'pss', 'rsassaPss', { algorithm: 'rsassaPss-sha256' }, 1],
      ['a P-384 delegate', 'p384', 'ecdsa-with-SHA384', { algorithm: 'ecdsa-with-SHA384' }, 1],
      ['a CA that signs itself (R1.59)', 'itself', 'ecdsa-with-SHA256', { delegated: false }, 0],
      [
        'an RSA-2048 CA that signs itself (R1.59)',
        'itself-rsa',
        'sha256WithRSAEncryption',
        { delegated: false, algorithm: 'sha256WithRSAEncryption' },
        0,
      ],
    ] satisfies [string, string, string, Omit<TestPKIOptions, 'now'>, number][])(
      '%s',
      async (_what, name, signature, options, certificates) => {
        const world = await addIssuer(name, options)
        for (const nonce of ['-nonce', '-no_nonce']) {
          const { output } = await world.ask('good', nonce, '-resp_text')
          expect(output).toContain('Response verify OK')
          expect(output).toContain('good.pem: good')
          expect(output).toContain(`Signature Algorithm: ${signature}`)
          expect(output).not.toContain(NO_NONCE)
          const revoked = await world.ask('revoked', nonce)
          expect(revoked.output).toContain('Response verify OK')
          expect(revoked.output).toContain('Reason: superseded')
        }
        const request = openssl.folder.concat(`/${name}-request.der`)
        await world.ask('good', '-no_nonce', '-reqout', request)
        expect(certificatesIn(await postOCSP(server.url, readFileSync(request)))).toBe(certificates)
      },
    )

    test('an issuer with the policy "unknown" says unknown for what is not recorded, signed', async () => {
      const world = await addIssuer('says-unknown', {}, { unknown: 'unknown' })
      for (const nonce of ['-nonce', '-no_nonce']) {
        const { output } = await world.ask('unrecorded', nonce)
        expect(output).toContain('Response verify OK')
        expect(output).toContain('unrecorded.pem: unknown')
      }
    })

    test('an issuer that ignores nonces is told of by a warning, and its answer is good', async () => {
      const world = await addIssuer('ignores-nonces', {}, { nonce: 'ignore' })
      const { output } = await world.ask('good', '-nonce')
      expect(output).toContain('WARNING: no nonce in response')
      expect(output).toContain('Response verify OK')
      expect(output).toContain('good.pem: good')
    })

    test('answers stay good while one delegate follows another, and the new one signs (R8.6)', async () => {
      const world = await addIssuer('roll-over', {})
      const before = await world.ask('good', '-no_nonce', '-respout', `${openssl.folder}/old.der`, '-text')
      expect(before.output).toContain('Response verify OK')

      const key = await generateKeyPair('ecdsa-with-SHA384')
      const certificate = await world.pki.responderCertificate({
        spki: key.spki,
        notAfter: world.now + 180 * 86_400,
        extensions: [
          extendedKeyUsage(OCSP_SIGNING),
          ocspNoCheck(),
          keyUsage('digitalSignature'),
          subjectKeyIdentifier(key.keyIdentifier),
          authorityKeyIdentifier(world.pki.issuer.keyHash),
        ],
      })
      const { responders } = fields(await server.admin('/issuers/roll-over/responders'))
      await server.admin('/issuers/roll-over/responders', {
        name: 'next',
        certificate: formatPEM('CERTIFICATE', certificate),
        key: formatPEM('PRIVATE KEY', key.pkcs8),
      })
      const both = await world.ask('good', '-nonce', '-resp_text')
      expect(both.output).toContain('Response verify OK')

      const [old] = Array.isArray(responders) ? responders : []
      await server.admin(`/issuers/roll-over/responders/${String(fields(old)['name'])}/retire`, {})
      for (const nonce of ['-nonce', '-no_nonce']) {
        const after = await world.ask('good', nonce)
        expect(after.output).toContain('Response verify OK')
        expect(after.output).toContain('good.pem: good')
      }
      const fresh = await world.ask('good', '-nonce', '-resp_text')
      expect(fresh.output).toContain('Signature Algorithm: ecdsa-with-SHA384')
      // What the old one signed is still good for whoever holds it.
      const held = await world.ask('good', '-no_nonce', '-respin', `${openssl.folder}/old.der`)
      expect(held.output).toContain('Response verify OK')
    })

    interface World {
      readonly pki: TestPKI
      readonly now: number
      ask(name: 'good' | 'revoked' | 'unrecorded', ...options: readonly string[]): Promise<ClientRun>
    }

    /** A new CA with a good, a revoked and an unrecorded certificate. */
    async function addIssuer(
      name: string,
      special: Omit<TestPKIOptions, 'now'>,
      policy: Record<string, unknown> = {},
    ): Promise<World> {
      const now = Math.floor(Date.now() / 1000)
      const pki = await makeTestPKI({ now, caName: name, freshKeys: true, ...special })
      const path = (file: string) => `${openssl.folder}/${name}-${file}.pem`
      const issuer = formatPEM('CERTIFICATE', pki.issuer.certificate)
      writeFileSync(path('ca'), issuer)
      const { certificate } = pki.responder
      await server.admin('/issuers', {
        name,
        certificate: issuer,
        policy,
        responder: {
          ...(certificate === undefined
            ? { signWithCA: true }
            : { certificate: formatPEM('CERTIFICATE', certificate) }),
          key: formatPEM('PRIVATE KEY', pki.responder.pkcs8),
          algorithm: pki.responder.algorithm,
        },
      })
      for (const leaf of ['good', 'revoked', 'unrecorded']) {
        const made = await pki.leaf({ commonName: leaf })
        writeFileSync(path(leaf), formatPEM('CERTIFICATE', made.certificate))
        const row = { serial: formatSerial(made.serialNumber), notAfter: made.notAfter }
        const status = leaf === 'good' ? { status: 'good' } : { status: 'revoked', reason: 'superseded' }
        if (leaf !== 'unrecorded')
          await server.admin(`/issuers/${name}/certificates`, { certificates: [{ ...row, ...status }] })
      }
      return {
        pki,
        now,
        ask: (leaf, ...more) =>
          ocsp(
            ...['-issuer', path('ca'), '-cert', path(leaf), '-CAfile', path('ca'), ...more],
            ...(more.includes('-respin') ? [] : ['-url', `${server.url}/`]),
          ),
      }
    }
  })
})

/** How many certificates an answer carries; 0 when the field is left out. */
function certificatesIn(der: Uint8Array): number {
  return decodeSuccessfulResponse(der).certs?.length ?? 0
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
