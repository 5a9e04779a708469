/** The openssl program as the client of issuers with other keys and policies than the demonstration's, while delegates change. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  authorityKeyIdentifier,
  extendedKeyUsage,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/index.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import {
  type ClientRun,
  describeClient,
  getOCSP,
  postOCSP,
  runClient,
  runEdgeOCSP,
} from '../support/clients.ts'
import { OpenSSL } from '../support/openssl.ts'
import { makeTestPKI, type TestPKI, type TestPKIOptions } from '../support/pki.ts'
import { startServer, type TestServer } from '../support/server.ts'

const NO_NONCE = 'WARNING: no nonce'

describeClient(['openssl', 'version'], () => {
  const openssl = new OpenSSL()
  let server: TestServer
  beforeAll(async () => {
    server = await startServer({ demo: false })
  })
  afterAll(async () => {
    openssl.close()
    await server.stop()
  })

  const ocsp = (...args: readonly string[]) => runClient('openssl', ['ocsp', ...args], openssl.folder)

  test.each([
    ['an RSA-2048 delegate', 'rsa', 'sha256WithRSAEncryption', { algorithm: 'sha256WithRSAEncryption' }, 1],
    ['an RSA-2048 delegate with PSS', 'pss', 'rsassaPss', { algorithm: 'rsassaPss-sha256' }, 1],
    ['a P-384 delegate', 'p384', 'ecdsa-with-SHA384', { algorithm: 'ecdsa-with-SHA384' }, 1],
    ['a P-521 delegate', 'p521', 'ecdsa-with-SHA512', { algorithm: 'ecdsa-with-SHA512' }, 1],
    ['an Ed25519 delegate', 'ed25519', 'ED25519', { algorithm: 'Ed25519' }, 1],
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
    const world = await addIssuer('says-unknown', {})
    expect((await world.ask('unrecorded')).output).toContain('Responder Error: unauthorized (6)')
    const set = ['issuer', 'set', 'says-unknown', '--unknown', 'unknown', '--url', server.url]
    const { code, output: said } = await runEdgeOCSP(server, ...set)
    expect(code, said).toBe(0)
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

  test('`edge-ocsp issuer add --sign-with-ca`: the CA that was named signs (R1.59)', async () => {
    const now = Math.floor(Date.now() / 1000)
    const pki = await makeTestPKI({ now, caName: 'by-command', freshKeys: true, delegated: false })
    const file = (name: string, label: string, der: Uint8Array) =>
      openssl.write(`by-command-${name}.pem`, formatPEM(label, der))
    const ca = file('ca', 'CERTIFICATE', pki.issuer.certificate)
    const leaf = file('leaf', 'CERTIFICATE', (await pki.leaf()).certificate)
    const key = file('key', 'PRIVATE KEY', pki.issuer.pkcs8)
    for (const command of [
      ['issuer', 'add', '--cert', ca, '--name', 'by-command', '--sign-with-ca', '--key', key],
      ['cert', 'add', leaf, '--issuer', 'by-command'],
    ]) {
      const { code, output } = await runEdgeOCSP(server, ...command, '--url', server.url)
      expect(code, output).toBe(0)
    }
    const asked = ['-issuer', ca, '-cert', leaf, '-CAfile', ca, '-url', `${server.url}/`, '-no_nonce']
    const { output } = await ocsp(...asked)
    expect(output).toContain('Response verify OK')
    expect(output).toContain('by-command-leaf.pem: good')
  })

  test('answers stay good while one delegate follows another, and the new one signs (R8.6)', async () => {
    const world = await addIssuer('roll-over', {})
    const question = (nonce: string) => {
      const path = openssl.write(`roll-over-question${nonce}.der`, '')
      return world.ask('good', nonce, '-reqout', path).then(() => readFileSync(path))
    }
    const [plain, withNonce] = [await question('-no_nonce'), await question('-nonce')]
    /** First and last answer by kind and signer, in the order they came. */
    const answers = new Map<string, Uint8Array[]>()
    const signers = { plain: '', withNonce: '' }
    let asked = 0
    let isOver = false
    const keepAsking = async () => {
      while (!isOver) {
        for (const kind of ['plain', 'withNonce'] as const) {
          const der = await (kind === 'plain' ? getOCSP(server.url, plain) : postOCSP(server.url, withNonce))
          signers[kind] = signerOf(der)
          const known = answers.get(`${kind} ${signers[kind]}`) ?? []
          answers.set(`${kind} ${signers[kind]}`, [known[0] ?? der, der])
          asked += 1
        }
      }
    }
    const until = async (isSo: () => boolean) => {
      const end = Date.now() + 20_000
      while (!isSo() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
      expect(isSo()).toBe(true)
    }
    const old = formatSerial(world.pki.responder.keyHash)
    const key = await generateKeyPair('ecdsa-with-SHA384')
    const next = formatSerial(key.keyIdentifier)
    await server.admin('/presign', { issuer: 'roll-over', all: true })
    const asking = keepAsking()
    try {
      await until(() => signers.plain === old && signers.withNonce === old)

      const certificate = await world.pki.responderCertificate({
        spki: key.spki,
        notBefore: world.now - 60,
        extensions: [
          extendedKeyUsage(OCSP_SIGNING),
          ocspNoCheck(),
          keyUsage('digitalSignature'),
          subjectKeyIdentifier(key.keyIdentifier),
          authorityKeyIdentifier(world.pki.issuer.keyHash),
        ],
      })
      await server.admin('/issuers/roll-over/responders', {
        name: 'next',
        certificate: formatPEM('CERTIFICATE', certificate),
        key: formatPEM('PRIVATE KEY', key.pkcs8),
      })
      await until(() => signers.withNonce === next)

      const { responders } = fields(await server.admin('/issuers/roll-over/responders'))
      const names = (Array.isArray(responders) ? responders : []).map((one) => String(fields(one)['name']))
      const [first = ''] = names.filter((name) => name !== 'next')
      await server.admin(`/issuers/roll-over/responders/${first}/retire`, {})
      await server.admin('/presign', { issuer: 'roll-over', all: true })
      const before = asked
      await until(() => asked > before + 20)
    } finally {
      isOver = true
      await asking
    }
    // What the old one signed before is good to its end, and stays; what is signed for a client is by the new one.
    expect([...answers.keys()].sort()).toEqual(
      [`plain ${old}`, `withNonce ${next}`, `withNonce ${old}`].sort(),
    )
    expect(signers.withNonce).toBe(next)
    for (const [kind, ders] of answers)
      for (const der of ders) {
        const path = openssl.write('roll-over-answer.der', der)
        const reqin = `${openssl.folder}/roll-over-question${kind.startsWith('plain') ? '-no_nonce' : '-nonce'}.der`
        const { output } = await world.ask('good', '-reqin', reqin, '-no_nonce', '-respin', path)
        expect(output, kind).toContain('Response verify OK')
        expect(output, kind).toContain('good.pem: good')
        expect(output, kind).not.toContain(NO_NONCE)
      }
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
          ...(more.some((option) => /^-(respin|reqout)$/.test(option)) ? [] : ['-url', `${server.url}/`]),
        ),
    }
  }
})

/** Key hash of who signed an answer, hex. */
function signerOf(der: Uint8Array): string {
  const { responderID } = decodeSuccessfulResponse(der).tbsResponseData
  return 'byKey' in responderID ? formatSerial(responderID.byKey) : ''
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** How many certificates an answer carries; 0 when the field is left out. */
function certificatesIn(der: Uint8Array): number {
  return decodeSuccessfulResponse(der).certs?.length ?? 0
}
