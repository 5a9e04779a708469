/** The openssl program as somebody who signs requests: to issuers that demand, verify or ignore signatures. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  basicConstraints,
  distinguishedName,
  issueCertificate,
  keyUsage,
  randomSerialNumber,
} from '../../src/cli/dev/issue-certificate.ts'
import { decodeOCSPResponse } from '../../src/ocsp/index.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { importSigner } from '../../src/signing/webcrypto-signer.ts'
import { type ClientRun, describeClient, postOCSP, runClient } from '../support/clients.ts'
import { OpenSSL } from '../support/openssl.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { startServer, type TestServer } from '../support/server.ts'

const DAY = 86_400
const UNAUTHORIZED = 'Responder Error: unauthorized (6)'
const SIG_REQUIRED = 'Responder Error: sigrequired (5)'
const MODES = ['require', 'verify', 'ignore'] as const

describeClient(['openssl', 'version'], () => {
  const openssl = new OpenSSL()
  const now = Math.floor(Date.now() / 1000)
  let server: TestServer
  const certificates = new Map<string, Uint8Array>()
  /** By file name without its end. */
  const serials = new Map<string, Buffer>()
  /** Its certificates may sign. */
  let people: TestPKI

  beforeAll(async () => {
    server = await startServer({ demo: false })
    people = await makeTestPKI({ now, caName: 'people', freshKeys: true })
    openssl.write('people.pem', formatPEM('CERTIFICATE', people.issuer.certificate))
    await addIssuer('people', people, {})
    await person('named', { algorithm: 'ecdsa-with-SHA256', by: 'itself' })
    await person('rsa', { algorithm: 'sha256WithRSAEncryption' })
    await person('ecdsa', { algorithm: 'ecdsa-with-SHA256' })
    await person('p384', { algorithm: 'ecdsa-with-SHA384' })
    await person('ed25519', { algorithm: 'Ed25519' })
    await person('expired', { notAfter: now - 60 })
    await person('revoked', { status: 'revoked' })
    await person('unrecorded', { status: 'none' })
    await person('stranger', { by: 'itself' })
    for (const mode of MODES) {
      const pki = await makeTestPKI({ now, caName: mode, freshKeys: true })
      const requestors = ['named.pem', 'people.pem'].map((file) => openssl.read(file))
      await addIssuer(mode, pki, mode === 'ignore' ? {} : { signedRequests: mode, requestors })
      openssl.write(`${mode}-ca.pem`, formatPEM('CERTIFICATE', pki.issuer.certificate))
      for (const [name, status] of [
        ['good', 'good'],
        ['gone', 'revoked'],
      ] as const) {
        const leaf = await pki.leaf({ commonName: name })
        openssl.write(`${mode}-${name}.pem`, formatPEM('CERTIFICATE', leaf.certificate))
        serials.set(`${mode}-${name}`, Buffer.from(leaf.serialNumber))
        await record(mode, leaf.serialNumber, leaf.notAfter, status)
      }
    }
  })
  afterAll(async () => {
    openssl.close()
    await server.stop()
  })

  /** `openssl ocsp` about a certificate of an issuer. */
  const ask = (mode: string, ...options: readonly string[]): Promise<ClientRun> =>
    runClient(
      'openssl',
      [
        ...['ocsp', '-issuer', `${mode}-ca.pem`, '-cert', `${mode}-good.pem`, '-cert', `${mode}-gone.pem`],
        ...['-CAfile', `${mode}-ca.pem`, ...options],
        ...(options.includes('-reqout') ? [] : ['-url', `${server.url}/`]),
      ],
      openssl.folder,
    )
  const signedBy = (name: string, ...options: readonly string[]) => [
    ...['-signer', `${name}.pem`, '-signkey', `${name}.key`],
    ...options,
  ]

  /** DER of a request that openssl has signed, about one certificate. */
  async function requestBy(mode: string, name: string): Promise<Uint8Array> {
    const asked = [
      '-issuer',
      `${mode}-ca.pem`,
      '-cert',
      `${mode}-good.pem`,
      '-no_nonce',
      '-reqout',
      'signed.der',
    ]
    const { code, output } = await runClient('openssl', ['ocsp', ...asked, ...signedBy(name)], openssl.folder)
    expect(code, output).toBe(0)
    return openssl.readBytes('signed.der')
  }

  function expectAnswer({ output }: ClientRun, mode: string): void {
    expect(output).toContain('Response verify OK')
    expect(output).toContain(`${mode}-good.pem: good`)
    expect(output).toContain(`${mode}-gone.pem: revoked`)
  }

  describe.each(['require', 'verify'] as const)('an issuer with signedRequests "%s"', (mode) => {
    test.each(['named', 'rsa', 'ecdsa', 'p384', 'ed25519'])(
      'answers "%s", with a nonce and without (R1.96)',
      async (name) => {
        for (const nonce of ['-nonce', '-no_nonce']) {
          const run = await ask(mode, nonce, ...signedBy(name))
          expectAnswer(run, mode)
          expect(run.output).not.toContain('WARNING: no nonce')
        }
      },
    )

    test('answers one that sends its chain along (-sign_other) (R1.96)', async () => {
      expectAnswer(await ask(mode, ...signedBy('ecdsa', '-sign_other', 'people.pem')), mode)
      expectAnswer(await ask(mode, ...signedBy('named', '-sign_other', 'people.pem')), mode)
    })

    test.each(['stranger', 'expired', 'revoked', 'unrecorded'])(
      'refuses one that is "%s": unauthorized (R1.25)',
      async (name) => {
        const { output } = await ask(mode, ...signedBy(name))
        expect(output).toContain(UNAUTHORIZED)
        expect(output).not.toContain(': good')
      },
    )

    test('refuses one that sends another certificate than its own (-sign_other) (R1.25)', async () => {
      const stranger = signedBy('stranger', '-sign_other', 'named.pem', '-no_certs')
      expect((await ask(mode, ...stranger)).output).toContain(UNAUTHORIZED)
      expect((await ask(mode, ...signedBy('stranger', '-sign_other', 'named.pem'))).output).toContain(
        UNAUTHORIZED,
      )
    })

    test('refuses a request that was altered: requestor, serial number, signature (R1.25, R1.96)', async () => {
      const der = await requestBy(mode, 'named')
      expect(await statusOf(der)).toBe('successful')
      const octets = Buffer.from(der)
      const places = {
        requestor: octets.indexOf('named'),
        serial: octets.indexOf(serials.get(`${mode}-good`) ?? '') + 5,
        signature: der.length - certificateOf('named').length - 12,
      }
      for (const [what, at] of Object.entries(places)) {
        expect(at, what).toBeGreaterThan(5)
        const altered = Uint8Array.from(der)
        altered[at] = (altered[at] ?? 0) ^ 1
        expect(await statusOf(altered), what).toBe('unauthorized')
      }
    })

    test('refuses a requestor from its revocation on (R1.25)', async () => {
      const name = `leaving-${mode}`
      const { serialNumber } = await person(name, {})
      expectAnswer(await ask(mode, ...signedBy(name)), mode)
      const serial = formatSerial(serialNumber)
      await server.admin('/issuers/people/revocations', { serial, reason: 'superseded' })
      expect((await ask(mode, ...signedBy(name))).output).toContain(UNAUTHORIZED)
    })
  })

  test('one with signedRequests "require" answers nobody who does not sign: sigrequired (R1.24)', async () => {
    for (const nonce of ['-nonce', '-no_nonce']) {
      const { output } = await ask('require', nonce)
      expect(output).toContain(SIG_REQUIRED)
      expect(output).not.toContain(': good')
    }
  })

  test('one with "verify" answers those who do not sign (R1.95)', async () => {
    for (const nonce of ['-nonce', '-no_nonce']) expectAnswer(await ask('verify', nonce), 'verify')
  })

  test('one with "ignore" answers everybody, whoever has signed (R1.95)', async () => {
    for (const name of ['named', 'rsa', 'ed25519', 'stranger', 'expired', 'revoked', 'unrecorded'])
      expectAnswer(await ask('ignore', ...signedBy(name)), 'ignore')
  })

  test('answers that are for requestors alone are never for a cache, those of "verify" are (R1.97)', async () => {
    for (const [mode, expected] of [
      ['require', /^no-store$/],
      ['verify', /public/],
      ['ignore', /public/],
    ] as const) {
      const path = `/${encodeURIComponent(Buffer.from(await requestBy(mode, 'named')).toString('base64'))}`
      for (let i = 0; i < 2; i += 1) {
        const response = await fetch(server.url + path)
        expect(response.headers.get('Cache-Control'), mode).toMatch(expected)
        expect(response.headers.has('ETag'), mode).toBe(mode !== 'require')
        const { responseStatus } = decodeOCSPResponse(new Uint8Array(await response.arrayBuffer()))
        expect(responseStatus).toBe('successful')
      }
    }
  })

  async function statusOf(der: Uint8Array): Promise<string> {
    return decodeOCSPResponse(await postOCSP(server.url, der)).responseStatus
  }

  const certificateOf = (name: string) => certificates.get(name) ?? new Uint8Array()

  interface PersonOptions {
    readonly algorithm?: SignatureAlgorithm
    readonly by?: 'itself'
    readonly notAfter?: number
    readonly status?: 'good' | 'revoked' | 'none'
  }

  /** Writes NAME.pem and NAME.key of somebody who may sign, if `people` says so. */
  async function person(
    name: string,
    options: PersonOptions,
  ): Promise<{ readonly serialNumber: Uint8Array }> {
    const { algorithm = 'ecdsa-with-SHA256', notAfter = now + DAY, status = 'good' } = options
    const key = await generateKeyPair(algorithm)
    const subject = distinguishedName({ organization: 'Requestors', commonName: name })
    const serialNumber = randomSerialNumber()
    const isItself = options.by === 'itself'
    const certificate = await issueCertificate(
      {
        ...{ serialNumber, subject, issuer: isItself ? subject : people.issuer.name },
        ...{ notBefore: now - DAY, notAfter, spki: key.spki },
        extensions: [basicConstraints(false), keyUsage('digitalSignature')],
      },
      isItself ? await importSigner(key.pkcs8, algorithm) : people.issuer.signer,
    )
    certificates.set(name, certificate)
    openssl.write(`${name}.pem`, formatPEM('CERTIFICATE', certificate))
    openssl.write(`${name}.key`, formatPEM('PRIVATE KEY', key.pkcs8))
    if (!isItself && status !== 'none') await record('people', serialNumber, notAfter, status)
    return { serialNumber }
  }

  async function record(issuer: string, serial: Uint8Array, notAfter: number, status: 'good' | 'revoked') {
    const row = { serial: formatSerial(serial), notAfter, status }
    const reason = status === 'revoked' ? { reason: 'superseded' } : {}
    await server.admin(`/issuers/${issuer}/certificates`, { certificates: [{ ...row, ...reason }] })
  }

  async function addIssuer(name: string, pki: TestPKI, policy: Record<string, unknown>): Promise<void> {
    await server.admin('/issuers', {
      name,
      policy,
      certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
      responder: {
        certificate: formatPEM('CERTIFICATE', pki.responder.certificate ?? new Uint8Array()),
        key: formatPEM('PRIVATE KEY', pki.responder.pkcs8),
        algorithm: pki.responder.algorithm,
      },
    })
  }
})
