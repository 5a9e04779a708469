/** Signed requests: ignored, verified or required, as the policy of the issuer says (R1.24, R1.25, R1.95-R1.97). */
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keyUsage } from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import type { IssuerPolicy } from '../../src/ports/records.ts'
import { respond } from '../../src/responder/respond.ts'
import { type CA, DATES, DAY, question, type Reply, Rig } from '../conformance/harness.ts'
import { hex, tlv } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { altered, makeRequestor, type Requestor, type RequestorOptions, signedRequest } from './requestors.ts'
import { addResponder, preferring, signedWith } from './second-responder.ts'

const RSA = 'sha256WithRSAEncryption'
const P256 = 'ecdsa-with-SHA256'
const GOOD = hex('54 01')
const REVOKED = hex('54 02')
const SHA1_WITH_RSA = hex('300d 06092a864886f70d010105 0500')
const ECDSA_SHA1 = hex('3009 06072a8648ce3d0401')
const ML_DSA_65 = hex('300b 0609608648016503040312')

let rig: Rig
let ca: CA
let trusted: Requestor

beforeEach(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'guarded', algorithm: RSA, policy: { unknown: 'unknown' } })
  await rig.add(ca, [
    { serial: GOOD, status: 'good', ...DATES },
    { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - DAY, reason: 1, ...DATES },
  ])
  await rig.presign()
  trusted = await makeRequestor()
})
afterEach(() => rig.close())

const policy = (signedRequests: IssuerPolicy['signedRequests'], ...requestors: readonly Uint8Array[]) =>
  rig.setPolicy(ca, { signedRequests, requestors })
const ask = async (by: Requestor, parts?: Parameters<typeof signedRequest>[3], serial = GOOD) =>
  rig.post(await signedRequest(ca, serial, by, parts))
const refusal = ({ said, headers }: Reply) => [said, headers.get('Cache-Control')]
const REFUSED = ['unauthorized', 'no-store']
const asCA = () => ({ name: ca.pki.issuer.name, signer: ca.pki.issuer.signer })

describe.each(['verify', 'require'] as const)('%s', (mode) => {
  test('answers whoever is trusted, by POST and GET, once and again (R1.96)', async () => {
    await policy(mode, trusted.certificate)
    for (const [serial, expected] of [
      [GOOD, 'good'],
      [REVOKED, 'revoked'],
      [GOOD, 'good'],
    ] as const) {
      expect((await ask(trusted, {}, serial)).said).toBe(expected)
      expect((await rig.get(await signedRequest(ca, serial, trusted))).said).toBe(expected)
    }
  })

  test.each<[string, Parameters<typeof signedRequest>[3]]>([
    ['a request that was altered', { alterTBS: (tbs) => altered(tbs) }],
    ['a signature that was altered', { alterSignature: (signature) => altered(signature) }],
    ['a signature of no octets', { alterSignature: () => new Uint8Array() }],
    ['no requestorName', { requestorName: 'none' }],
    ['a requestorName of another kind', { requestorName: tlv(0x81, Buffer.from('a@example.com')) }],
    ['the name of somebody else', { requestorName: tlv(0xa4, hex('300c310a300806035504030c0158')) }],
    ['no certificate', { certs: [] }],
    ['a certificate that is none', { certs: [hex('3003020101')] }],
    ['ECDSA with SHA-1', { algorithm: ECDSA_SHA1 }],
    ['RSA with SHA-1', { algorithm: SHA1_WITH_RSA }],
    ['an algorithm of another key', { algorithm: hex('300d 06092a864886f70d01010b 0500') }],
    ['an algorithm that nobody knows', { algorithm: ML_DSA_65 }],
  ])('refuses %s (R1.25, R1.96)', async (_, parts) => {
    await policy(mode, trusted.certificate)
    expect(refusal(await ask(trusted, parts))).toEqual(REFUSED)
    expect((await ask(trusted)).said).toBe('good')
  })

  test('refuses a list of more than ten certificates unread, and finds the signer in one of ten (R1.25)', async () => {
    await policy(mode, trusted.certificate)
    const filler = Array.from({ length: 9 }, () => hex('3003020101'))
    expect((await ask(trusted, { certs: [...filler, trusted.certificate] })).said).toBe('good')
    expect(refusal(await ask(trusted, { certs: [trusted.certificate, ...filler, ...filler] }))).toEqual(
      REFUSED,
    )
  })

  test.each<[string, RequestorOptions]>([
    ['is not named', {}],
    ['has expired', { notAfter: EPOCH - 1 }],
    ['is not valid yet', { notBefore: EPOCH + DAY }],
    ['may sign certificates only', { extensions: [keyUsage('keyCertSign')] }],
    [
      'has a critical extension that nobody knows',
      { extensions: [{ extnID: '1.2.3.4', critical: true, value: hex('0500') }] },
    ],
    ['has an RSA key of 1024 bits', { algorithm: RSA, rsaBits: 1024 }],
  ])('refuses a requestor that %s (R1.25)', async (_, options) => {
    const other = await makeRequestor(options)
    await policy(mode, Object.keys(options).length === 0 ? trusted.certificate : other.certificate)
    expect(refusal(await ask(other))).toEqual(REFUSED)
  })

  test('refuses a trusted requestor from the second on in which its certificate has ended (R1.25)', async () => {
    const end = rig.clock.seconds + 600
    const short = await makeRequestor({ notAfter: end })
    await policy(mode, short.certificate)
    rig.clock.moveTo(end - 2)
    await rig.publish()
    rig.clock.moveTo(end)
    expect((await ask(short)).said).toBe('good')
    rig.clock.moveTo(end + 1)
    expect(refusal(await ask(short))).toEqual(REFUSED)
  })

  test('trusts certificates of a CA that is named, unless another key signed them (R1.96)', async () => {
    await policy(mode, ca.pki.issuer.certificate)
    const issued = await makeRequestor({ issuer: asCA() })
    await rig.add(ca, [{ serial: issued.serial, status: 'good', ...DATES }])
    expect((await ask(issued)).said).toBe('good')
    const forged = await makeRequestor({ issuer: { name: ca.pki.issuer.name, signer: trusted.signer } })
    await rig.add(ca, [{ serial: forged.serial, status: 'good', ...DATES }])
    expect(refusal(await ask(forged))).toEqual(REFUSED)
  })

  test('refuses one that this responder knows as revoked or does not know at all, at once (R1.25)', async () => {
    await policy(mode, ca.pki.issuer.certificate)
    const issued = await makeRequestor({ issuer: asCA() })
    expect(refusal(await ask(issued))).toEqual(REFUSED) // its CA is served here, and never recorded it
    const recorded = await makeRequestor({ issuer: asCA() })
    await rig.add(ca, [{ serial: recorded.serial, status: 'good', ...DATES }])
    expect((await ask(recorded)).said).toBe('good')
    await rig.change(ca, recorded.serial, { to: 'revoked', reason: 1 })
    expect(refusal(await ask(recorded))).toEqual(REFUSED)
  })

  test('says tryLater when it cannot tell whether a requestor is revoked (R1.28)', async () => {
    await policy(mode, ca.pki.issuer.certificate)
    const issued = await makeRequestor({ issuer: asCA() })
    await rig.add(ca, [{ serial: issued.serial, status: 'good', ...DATES }])
    expect((await rig.post(question(ca, GOOD))).said).toMatch(/good|sigRequired/) // the issuer is known
    rig.faults.set('d1', 'fail')
    expect(refusal(await ask(issued))).toEqual(['tryLater', 'no-store'])
    rig.faults.clear()
    expect((await ask(issued)).said).toBe('good')
  })

  test('is not drowned by strangers: past a number a second they are put off, and the trusted still answered (R1.23)', async () => {
    await policy(mode, trusted.certificate)
    expect((await ask(trusted)).said).toBe('good')
    const stranger = await makeRequestor()
    const said = new Map<string, number>()
    for (let n = 0; n < 120; n += 1) {
      const certificate = altered(stranger.certificate, 1 + (n % 30))
      const twice = n < 30 ? certificate : altered(certificate, 31 + (n % 31))
      const reply = await ask({ ...stranger, certificate: twice })
      said.set(reply.said, (said.get(reply.said) ?? 0) + 1)
    }
    expect([...said.keys()].sort()).toEqual(['tryLater', 'unauthorized'])
    expect((await ask(trusted)).said).toBe('good')
  })

  test('answers with the algorithm of the request where a responder has it and none is preferred (R1.86)', async () => {
    await rig.setPolicy(ca, { algorithm: RSA })
    await addResponder(rig, ca, { algorithm: P256 })
    await rig.setPolicy(ca, { algorithm: RSA, signedRequests: mode, requestors: [trusted.certificate] })
    expect(await signedWith(rig, ca, await ask(trusted))).toBe(P256)
    const byRSA = preferring(ca, GOOD, [RSA])
    expect(
      await signedWith(rig, ca, await ask(trusted, { after: byRSA.subarray(byRSA.indexOf(0xa2)) })),
    ).toBe(RSA)
  })
})

describe('require', () => {
  test('refuses whoever does not sign with sigRequired, never to be cached (R1.24)', async () => {
    await policy('require', trusted.certificate)
    for (const at of [rig.isolate, rig.newIsolate()]) {
      expect(refusal(await rig.post(question(ca, GOOD), {}, at))).toEqual(['sigRequired', 'no-store'])
      expect(refusal(await rig.get(question(ca, GOOD), {}, at))).toEqual(['sigRequired', 'no-store'])
    }
  })

  test('begins with the policy: what is in memory goes to nobody who does not sign (R1.24)', async () => {
    for (let i = 0; i < 2; i += 1) expect((await rig.get(question(ca, GOOD))).said).toBe('good')
    await policy('require', trusted.certificate)
    expect((await rig.get(question(ca, GOOD))).said).toBe('sigRequired')
  })

  test('gives no cache anything to keep: no-store, no ETag, no 304 (R1.97)', async () => {
    await policy('require', trusted.certificate)
    const der = await signedRequest(ca, GOOD, trusted)
    for (let i = 0; i < 3; i += 1) {
      const validators: Record<string, string> =
        i < 2 ? {} : { 'If-None-Match': '*', 'If-Modified-Since': 'Sat, 01 Jan 2050 00:00:00 GMT' }
      const { status, said, headers } = await rig.get(der, validators)
      expect([status, said]).toEqual([200, 'good'])
      expect(headers.get('Cache-Control')).toBe('no-store')
      for (const name of ['ETag', 'Expires', 'Last-Modified']) expect(headers.get(name)).toBeNull()
    }
  })
})

describe('verify', () => {
  test('answers whoever does not sign, publicly (R1.95)', async () => {
    await policy('verify', trusted.certificate)
    const { said, headers } = await rig.get(question(ca, GOOD))
    expect([said, headers.get('Cache-Control')]).toEqual(['good', expect.stringContaining('public')])
  })
})

describe('ignore', () => {
  test('answers whatever the signature, and asks nobody about it (R1.95)', async () => {
    const isolate = rig.newIsolate()
    let admitted = 0
    const responder = {
      ...isolate.responder,
      requestors: {
        admit: async () => {
          admitted += 1
          return undefined
        },
      },
    }
    const stranger = await makeRequestor()
    const requests = [
      await signedRequest(ca, GOOD, stranger),
      await signedRequest(ca, GOOD, stranger, { alterSignature: (signature) => altered(signature) }),
      await signedRequest(ca, GOOD, stranger, { algorithm: ML_DSA_65, certs: [hex('3003020101')] }),
    ]
    for (const der of requests) expect((await respond(der, responder)).responseStatus).toBe('successful')
    // From memory, all of them at once, and by the same key as an unsigned request.
    for (const der of [...requests, question(ca, GOOD)]) {
      const answer = respond(der, responder)
      expect(answer instanceof Promise ? 'later' : answer.responseStatus).toBe('successful')
    }
    expect(admitted).toBe(0)
  })
})

describe.skipIf(OPENSSL_VERSION === undefined)('requests signed by openssl ocsp', () => {
  const openssl = new OpenSSL()
  afterAll(() => openssl.close())

  function made(by: Requestor, ...options: readonly string[]): Uint8Array {
    openssl.write('ca.pem', formatPEM('CERTIFICATE', ca.pki.issuer.certificate))
    openssl.write('signer.pem', formatPEM('CERTIFICATE', by.certificate))
    openssl.write('signer.key', formatPEM('PRIVATE KEY', by.pkcs8))
    const serial = `0x${Buffer.from(GOOD).toString('hex')}`
    const signer = ['-signer', 'signer.pem', '-signkey', 'signer.key']
    const { status, stderr } = openssl.run(
      'ocsp',
      '-sha256',
      '-issuer',
      'ca.pem',
      '-serial',
      serial,
      ...signer,
      '-reqout',
      'signed.der',
      ...options,
    )
    if (status !== 0) throw new Error(stderr)
    return openssl.readBytes('signed.der')
  }

  test.each(['ecdsa-with-SHA256', 'ecdsa-with-SHA384', RSA, 'Ed25519'] as const)(
    'with %s are verified, altered ones and those of strangers refused (R1.24, R1.25, R1.95, R1.96)',
    async (algorithm) => {
      const by = await makeRequestor({ algorithm })
      const [plain, withNonce] = [made(by, '-no_nonce'), made(by, '-nonce')]
      expect((await rig.post(plain)).said).toBe('good') // nobody asked for it
      for (const mode of ['verify', 'require'] as const) {
        await policy(mode, by.certificate)
        expect((await rig.post(plain)).said).toBe('good')
        expect((await rig.get(withNonce)).said).toBe('good')
        expect((await rig.post(made(await makeRequestor({ algorithm })))).said).toBe('unauthorized')
        const at = plain.indexOf(0x54) // in the serial number
        expect((await rig.post(altered(plain, plain.length - at - 1))).said).toBe('unauthorized')
      }
      const hard = made(by, '-no_certs')
      expect((await rig.post(hard)).said).toBe('unauthorized')
    },
  )
})
