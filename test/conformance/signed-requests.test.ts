/** Signed requests (RFC 6960 4.1.2): who has to sign, and whose signature is believed. */
import { createPrivateKey, sign } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  authorityKeyIdentifier,
  type CertificateExtension,
  keyUsage,
} from '../../src/cli/dev/issue-certificate.ts'
import { hex, seq, tlv, toHex } from '../fixtures/octets.ts'
import { certID, request, SHA1 } from '../fixtures/requests.ts'
import {
  makeRequestor,
  type Requestor,
  type RequestorOptions,
  type SignedParts,
  signedRequest,
} from '../responder/requestors.ts'
import { EPOCH } from '../support/clock.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { about, type CA, DATES, DAY, question, type Reply, Rig } from './harness.ts'

const GOOD = hex('55 01')
const REVOKED = hex('55 02')
const ABSENT = hex('55 99')
const P256 = 'ecdsa-with-SHA256'
const RSA = 'sha256WithRSAEncryption'
const SIG_REQUIRED = '30030a0105'
const UNAUTHORIZED = '30030a0106'
const NONCE = hex('a21f 301d 301b 06092b0601050507300102 040e 040c 000102030405060708090a0b')

let rig: Rig
/** Both have the same requestors and certificates. */
let requiring: CA
let verifying: CA
/** Its certificates may sign requests, and it is served here. */
let people: CA
/** The same, served elsewhere. */
let authority: TestPKI
/** Itself named by the policy. */
let named: Requestor
/** Issued by `people`, and recorded as good. */
let person: Requestor

beforeAll(async () => {
  rig = new Rig()
  people = await rig.addCA({ name: 'people', freshKeys: true })
  authority = await makeTestPKI({ now: EPOCH, caName: 'Elsewhere', freshKeys: true })
  named = await makeRequestor({ commonName: 'Named' })
  const requestors = [named.certificate, people.pki.issuer.certificate, authority.issuer.certificate]
  const add = async (name: string, signedRequests: 'require' | 'verify') => {
    const ca = await rig.addCA({ name, freshKeys: true, policy: { signedRequests, requestors } })
    await rig.add(ca, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - DAY, reason: 1, ...DATES },
    ])
    return ca
  }
  requiring = await add('requiring', 'require')
  verifying = await add('verifying', 'verify')
  person = await newPerson({})
  await rig.presign()
})
afterAll(() => rig.close())

/** Somebody whose certificate `people` has issued and recorded. */
async function newPerson(options: RequestorOptions): Promise<Requestor> {
  const made = await makeRequestor({ issuer: people.pki.issuer, commonName: 'A person', ...options })
  await rig.add(people, [{ serial: made.serial, status: 'good', ...DATES }])
  return made
}

const both: [string, () => CA][] = [
  ['required', () => requiring],
  ['verified', () => verifying],
]

const ask = async (ca: CA, by: Requestor, parts?: SignedParts, serial = GOOD) =>
  rig.post(await signedRequest(ca, serial, by, parts))

/** Refused, as every error is that a cache must not keep. */
function expectRefused(reply: Reply, octets = UNAUTHORIZED): void {
  expect([reply.status, toHex(reply.body)]).toEqual([200, octets])
  expect(reply.headers.get('Cache-Control')).toBe('no-store')
}

describe('an issuer that demands signatures', () => {
  test.each([
    ['about a good certificate', GOOD],
    ['about a revoked one', REVOKED],
    ['about one that it does not know', ABSENT],
  ])('answers no unsigned request %s: sigRequired (R1.24)', async (_, serial) => {
    const der = question(requiring, serial)
    for (const isolate of [rig.isolate, rig.newIsolate()]) {
      expectRefused(await rig.post(der, {}, isolate), SIG_REQUIRED)
      expectRefused(await rig.get(der, {}, isolate), SIG_REQUIRED)
    }
  })

  test('answers none with a nonce, with several CertIDs, or with a name and no signature: sigRequired (R1.24)', async () => {
    const parts = about(requiring, GOOD)
    for (const der of [
      request({ ...parts, after: NONCE }),
      request({ ...parts, count: 3 }),
      request({ ...parts, before: tlv(0xa1, tlv(0xa4, named.name)) }),
    ])
      expectRefused(await rig.post(der), SIG_REQUIRED)
  })

  test('gives nothing from memory to whoever does not sign (R1.24)', async () => {
    const isolate = rig.newIsolate()
    for (let i = 0; i < 2; i += 1)
      expect((await rig.post(await signedRequest(requiring, GOOD, named), {}, isolate)).said).toBe('good')
    expectRefused(await rig.get(question(requiring, GOOD), {}, isolate), SIG_REQUIRED)
  })

  test('demands from the moment of its policy on, whatever was answered before (R1.24)', async () => {
    const ca = await rig.addCA({ name: 'changing', freshKeys: true })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    for (let i = 0; i < 2; i += 1) expect((await rig.get(question(ca, GOOD))).said).toBe('good')
    await rig.setPolicy(ca, { signedRequests: 'require', requestors: [named.certificate] })
    expectRefused(await rig.get(question(ca, GOOD)), SIG_REQUIRED)
    expect((await ask(ca, named)).said).toBe('good')
  })
})

describe.each(both)('where signatures are %s', (_, of) => {
  test('whoever the policy names is told what there is to tell, by POST and GET, again and again (R1.96)', async () => {
    for (const by of [named, person])
      for (const [serial, status] of [
        [GOOD, 'good'],
        [REVOKED, 'revoked'],
        [GOOD, 'good'],
      ] as const) {
        const der = await signedRequest(of(), serial, by)
        expect((await rig.post(der)).said).toBe(status)
        expect((await rig.get(der)).said).toBe(status)
        expect((await rig.get(der, {}, rig.newIsolate())).said).toBe(status)
      }
  })

  test('a requestor that nobody has named is unauthorized (R1.25)', async () => {
    expectRefused(await ask(of(), await makeRequestor({ commonName: 'A stranger' })))
  })

  test('one with the name of a requestor, and a key of its own, is unauthorized (R1.25, R1.96)', async () => {
    const impostor = await makeRequestor({ commonName: 'Named' })
    expectRefused(await ask(of(), impostor))
    expectRefused(await ask(of(), impostor, { certs: [named.certificate] }))
    expectRefused(await ask(of(), impostor, { certs: [named.certificate, impostor.certificate] }))
  })

  test('one bit that is another in what is signed, or in the signature: never an answer (R1.25, R1.96)', async () => {
    const der = await signedRequest(of(), GOOD, named, { after: NONCE })
    expect((await rig.post(der)).said).toBe('good')
    const said = new Map<string, number>()
    for (let at = 4; at < der.length - named.certificate.length - 8; at += 1) {
      const bit = Uint8Array.from(der)
      bit[at] = (der[at] ?? 0) ^ (1 << (at % 8))
      const reply = await rig.post(bit)
      said.set(reply.said, (said.get(reply.said) ?? 0) + 1)
    }
    expect([...said.keys()].sort()).toEqual(['malformedRequest', 'unauthorized'])
    expect(said.get('unauthorized')).toBeGreaterThan(150)
  })

  test('a signature for one request is none for another (R1.25, R1.96)', async () => {
    const [one, other] = [await signedRequest(of(), GOOD, named), await signedRequest(of(), REVOKED, named)]
    const last = Buffer.from(one).indexOf(Buffer.from(GOOD)) + 1
    expect(one[last]).toBe(0x01)
    const replayed = Uint8Array.from(one)
    replayed[last] = 0x02
    expectRefused(await rig.post(replayed))
    expect((await rig.post(other)).said).toBe('revoked')
  })

  test.each<[string, SignedParts]>([
    ['no requestorName', { requestorName: 'none' }],
    ['an e-mail address for a name', { requestorName: tlv(0x81, Buffer.from('named@example.com')) }],
    ['a DNS name', { requestorName: tlv(0x82, Buffer.from('named.example')) }],
    [
      'the name of somebody else',
      { requestorName: tlv(0xa4, seq(tlv(0x31, seq(hex('0603550403'), tlv(0x0c, Buffer.from('Other')))))) },
    ],
    ['the empty name', { requestorName: tlv(0xa4, seq()) }],
  ])('%s, though the signature is right: unauthorized (R1.25, R1.96)', async (__, parts) => {
    expectRefused(await ask(of(), named, parts))
  })

  test('the certificate is the one that requestorName names, wherever it stands (R1.96)', async () => {
    const chain = [people.pki.issuer.certificate, authority.issuer.certificate]
    expect((await ask(of(), person, { certs: [...chain, person.certificate] })).said).toBe('good')
    expect((await ask(of(), person, { certs: [person.certificate, ...chain] })).said).toBe('good')
    expectRefused(await ask(of(), person, { certs: chain }))
  })

  test.each<[string, () => Uint8Array]>([
    ['its version written out', () => seq(tlv(0xa0, hex('020100')), nameOf(named), seq(seq(idOf(of()))))],
    [
      'lists of no extensions',
      () => seq(nameOf(named), seq(seq(idOf(of()), hex('a0023000'))), hex('a2023000')),
    ],
    [
      'SHA-1 without parameters, and with',
      () => {
        const parts = about(of(), GOOD, 'SHA-1')
        const bare = certID({ ...parts, algorithm: seq(SHA1) })
        return seq(nameOf(named), seq(seq(bare), seq(certID(parts))))
      },
    ],
    [
      'an extension that nobody knows',
      () => seq(nameOf(named), seq(seq(idOf(of()))), hex('a20d 300b 3009 06032a0304 0402 0500')),
    ],
  ])('a request with %s is verified as it was received (R1.96)', async (__, make) => {
    expect((await rig.post(await signed(make(), named))).said).toMatch(/^good( good)?$/)
  })

  test.each([
    ['ECDSA with SHA-1', P256, 'sha1', hex('3009 06072a8648ce3d0401')],
    ['RSA with SHA-1', RSA, 'sha1', hex('300d 06092a864886f70d010105 0500')],
    ['RSA with MD5', RSA, 'md5', hex('300d 06092a864886f70d010104 0500')],
  ] as const)(
    '%s, though the signature is right: unauthorized (R1.25, R1.96)',
    async (__, algorithm, hash, identifier) => {
      const one = await newPerson({ algorithm })
      expect((await ask(of(), one)).said).toBe('good')
      const key = createPrivateKey({ key: Buffer.from(one.pkcs8), format: 'der', type: 'pkcs8' })
      const weakly = async (tbs: Uint8Array) => new Uint8Array(sign(hash, tbs, key))
      const signer = { ...one.signer, signatureAlgorithm: identifier, sign: weakly }
      expectRefused(await ask(of(), { ...one, signer }))
    },
  )

  test.each<[string, SignedParts]>([
    ['an algorithm that is not of the key', { algorithm: hex('300d 06092a864886f70d01010b 0500') }],
    ['an algorithm that nobody knows', { algorithm: hex('300b 0609608648016503040312') }],
    ['no signature in the signature', { alterSignature: () => new Uint8Array() }],
    ['no certificate', { certs: [] }],
    ['a certificate that is none', { certs: [hex('3003020101')] }],
  ])('%s: unauthorized (R1.25, R1.96)', async (__, parts) => {
    expectRefused(await ask(of(), named, parts))
  })

  test.each<[string, RequestorOptions]>([
    ['has expired', { notAfter: EPOCH - 1 }],
    ['is not valid yet', { notBefore: EPOCH + 30 * DAY, notAfter: EPOCH + 60 * DAY }],
    ['may issue certificates, but not sign', { extensions: [keyUsage('keyCertSign', 'cRLSign')] }],
    [
      'demands what nobody knows',
      { extensions: [{ extnID: '1.2.3.4', critical: true, value: hex('0500') }] },
    ],
    ['has an RSA key of 1024 bits', { algorithm: RSA, rsaBits: 1024 }],
  ])('a certificate of a CA of the policy that %s: unauthorized (R1.25, R1.96)', async (__, options) => {
    expectRefused(await ask(of(), await newPerson(options)))
  })

  test('a certificate without keyUsage, and one with usages that are not critical, may sign (R1.96)', async () => {
    const usage: CertificateExtension = {
      ...keyUsage('digitalSignature', 'keyEncipherment'),
      critical: false,
    }
    for (const extensions of [[], [usage]])
      expect((await ask(of(), await newPerson({ extensions }))).said).toBe('good')
  })

  test('a requestor that is revoked or on hold is unauthorized at once, and back after the hold (R1.25, R1.96)', async () => {
    const one = await newPerson({})
    expect((await ask(of(), one)).said).toBe('good')
    await rig.change(people, one.serial, { to: 'hold' })
    expectRefused(await ask(of(), one))
    await rig.change(people, one.serial, { to: 'released' })
    expect((await ask(of(), one)).said).toBe('good')
    await rig.change(people, one.serial, { to: 'revoked', reason: 1 })
    expectRefused(await ask(of(), one))
    expectRefused(await rig.post(await signedRequest(of(), GOOD, one), {}, rig.newIsolate()))
  })

  test('a requestor that is named and revoked is unauthorized too (R1.25, R1.96)', async () => {
    const one = await newPerson({
      commonName: 'Named too',
      extensions: [keyUsage('digitalSignature'), authorityKeyIdentifier(people.pki.issuer.keyHash)],
    })
    const { signedRequests } = of().record.policy
    const ca = await rig.addCA({
      name: `named-${signedRequests}`,
      freshKeys: true,
      policy: { signedRequests, requestors: [one.certificate] },
    })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    expect((await ask(ca, one)).said).toBe('good')
    await rig.change(people, one.serial, { to: 'revoked', reason: 1 })
    expectRefused(await ask(ca, one))
  })

  test('a certificate that a CA served here has never recorded is unauthorized (R1.25, R1.96)', async () => {
    expectRefused(await ask(of(), await makeRequestor({ issuer: people.pki.issuer })))
  })

  test('that of a CA served elsewhere is taken for good, if that CA has signed it (R1.96)', async () => {
    expect((await ask(of(), await makeRequestor({ issuer: authority.issuer }))).said).toBe('good')
    const forger = { name: authority.issuer.name, signer: named.signer }
    expectRefused(await ask(of(), await makeRequestor({ issuer: forger })))
  })

  test('a requestor vouches for nobody: it is no CA (R1.25, R1.96)', async () => {
    expectRefused(await ask(of(), await makeRequestor({ issuer: named, commonName: 'A friend' })))
    expectRefused(await ask(of(), await makeRequestor({ issuer: person, commonName: 'A friend' })))
  })

  test('when nobody can tell whether a requestor is revoked: tryLater, never unauthorized (R1.28)', async () => {
    const one = await newPerson({})
    rig.faults.set('d1', 'fail')
    const reply = await ask(of(), one)
    rig.faults.clear()
    expect([reply.said, reply.headers.get('Cache-Control')]).toEqual(['tryLater', 'no-store'])
    expect((await ask(of(), one)).said).toBe('good')
  })
})

const nameOf = ({ name }: Requestor) => tlv(0xa1, tlv(0xa4, name))
const idOf = (ca: CA) => certID(about(ca, GOOD))

/** Of these octets of a TBSRequest. */
async function signed(tbs: Uint8Array, { signer, certificate }: Requestor): Promise<Uint8Array> {
  const signature = tlv(0x03, Uint8Array.of(0), await signer.sign(tbs))
  return seq(tbs, tlv(0xa0, seq(signer.signatureAlgorithm, signature, tlv(0xa0, seq(certificate)))))
}
