/** What a signature over a request changes in the answer, and what it does not: algorithm, caching, nothing at all. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hex, toHex } from '../fixtures/octets.ts'
import {
  altered,
  makeRequestor,
  type Requestor,
  type SignedParts,
  signedRequest,
} from '../responder/requestors.ts'
import { addResponder, preferring, signedWith } from '../responder/second-responder.ts'
import { EPOCH } from '../support/clock.ts'
import { type CA, DATES, DAY, ORIGIN, pathOf, question, type Reply, Rig } from './harness.ts'

const GOOD = hex('56 01')
const REVOKED = hex('56 02')
const RSA = 'sha256WithRSAEncryption'
const P256 = 'ecdsa-with-SHA256'
const NONCE = hex('a21f 301d 301b 06092b0601050507300102 040e 040c 000102030405060708090a0b')
const ML_DSA_65 = hex('300b 0609608648016503040312')
const ECDSA_SHA1 = hex('3009 06072a8648ce3d0401')

let rig: Rig
let requiring: CA
let verifying: CA
let ignoring: CA
/** Named by the policies. */
let named: Requestor
let stranger: Requestor

beforeAll(async () => {
  rig = new Rig()
  named = await makeRequestor({ commonName: 'Named' })
  stranger = await makeRequestor({ commonName: 'A stranger', notAfter: EPOCH - 1 })
  const add = async (name: 'require' | 'verify' | 'ignore') => {
    const policy = { signedRequests: name, requestors: [named.certificate], algorithm: RSA } as const
    const ca = await rig.addCA({ name, freshKeys: true, algorithm: RSA, policy })
    await rig.add(ca, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - DAY, reason: 1, ...DATES },
    ])
    await addResponder(rig, ca, { algorithm: P256 })
    return ca
  }
  requiring = await add('require')
  verifying = await add('verify')
  ignoring = await add('ignore')
  await rig.presign()
})
afterAll(() => rig.close())

const ask = async (ca: CA, by: Requestor, parts?: SignedParts) =>
  rig.post(await signedRequest(ca, GOOD, by, parts))
const cachingOf = ({ headers }: Reply) =>
  ['Cache-Control', 'ETag', 'Expires', 'Last-Modified', 'Age', 'Vary'].map((name) => headers.get(name))
const head = (der: Uint8Array) => rig.exchange(new Request(ORIGIN + pathOf(der), { method: 'HEAD' }))

describe('where nobody wants requests to be signed', () => {
  test.each<[string, () => Requestor, SignedParts]>([
    ['a right signature', () => named, {}],
    ['a broken signature', () => named, { alterSignature: (signature) => altered(signature) }],
    ['that of a stranger who has expired', () => stranger, {}],
    ['an algorithm that nobody knows', () => named, { algorithm: ML_DSA_65 }],
    ['a weak algorithm', () => named, { algorithm: ECDSA_SHA1 }],
    ['no name', () => named, { requestorName: 'none' }],
    ['no certificate', () => named, { certs: [] }],
    ['certificates that are none', () => named, { certs: [hex('3000'), hex('3003020101')] }],
  ])('%s changes nothing: the same answer, for the same caches (R1.95)', async (_, by, parts) => {
    const plain = await rig.get(question(ignoring, GOOD))
    expect(plain.said).toBe('good')
    for (const isolate of [rig.isolate, rig.newIsolate()]) {
      const der = await signedRequest(ignoring, GOOD, by(), parts)
      for (const reply of [await rig.get(der, {}, isolate), await rig.post(der, {}, isolate)]) {
        expect(toHex(reply.body)).toBe(toHex(plain.body))
        expect(cachingOf(reply)).toEqual(cachingOf(plain))
      }
    }
  })

  test('a nonce is echoed to whoever signs, rightly or not (R1.95)', async () => {
    for (const by of [named, stranger])
      expect(toHex((await ask(ignoring, by, { after: NONCE })).body)).toContain(
        '06092b0601050507300102040e040c000102030405060708090a0b',
      )
  })

  test('the record is not asked about the signer (R1.95)', async () => {
    expect((await rig.get(question(ignoring, GOOD))).said).toBe('good')
    rig.faults.set('d1', 'fail')
    const reply = await ask(ignoring, stranger)
    rig.faults.clear()
    expect(reply.said).toBe('good')
  })

  test('an unverified signature is no wish for an algorithm (R1.86)', async () => {
    expect(await signedWith(rig, ignoring, await ask(ignoring, named))).toBe(RSA)
  })
})

describe('where signatures are verified', () => {
  test('whoever does not sign is answered (R1.95)', async () => {
    for (const reply of [await rig.get(question(verifying, GOOD)), await rig.post(question(verifying, GOOD))])
      expect(reply.said).toBe('good')
  })

  test('an answer is the same for all, signed request or not, and stays in caches (R1.97)', async () => {
    const byRSA = await makeRequestor({ commonName: 'RSA', algorithm: RSA })
    const ca = await rig.addCA({
      name: 'shared',
      freshKeys: true,
      policy: { signedRequests: 'verify', requestors: [byRSA.certificate] },
    })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    await rig.presign()
    const plain = await rig.get(question(ca, GOOD))
    const der = await signedRequest(ca, GOOD, byRSA)
    for (const reply of [await rig.get(der), await rig.post(der)]) {
      expect(toHex(reply.body)).toBe(toHex(plain.body))
      expect(cachingOf(reply)).toEqual(cachingOf(plain))
    }
    expect(plain.headers.get('Cache-Control')).toContain('public')
    const etag = plain.headers.get('ETag') ?? ''
    expect(etag).toMatch(/^"[0-9a-f]{64}"$/)
    expect((await rig.get(der, { 'If-None-Match': etag })).status).toBe(304)
  })
})

describe('where signatures are demanded', () => {
  const ways: [string, () => Promise<Uint8Array>][] = [
    ['a pre-signed answer', () => signedRequest(requiring, GOOD, named, preferredIn([RSA]))],
    ['an answer of the algorithm of the request', () => signedRequest(requiring, GOOD, named)],
    ['a revoked one', () => signedRequest(requiring, REVOKED, named)],
    ['one with a nonce', () => signedRequest(requiring, GOOD, named, { after: NONCE })],
  ]

  test.each(ways)('no cache may keep %s: no-store, nothing to validate it with (R1.97)', async (_, make) => {
    const der = await make()
    const replies: Reply[] = []
    for (const isolate of [rig.isolate, rig.isolate, rig.newIsolate()])
      replies.push(await rig.get(der, {}, isolate), await rig.post(der, {}, isolate))
    for (const reply of replies) {
      expect([reply.status, reply.said]).toEqual([200, expect.stringMatching(/^(good|revoked)$/)])
      expect(cachingOf(reply)).toEqual(['no-store', null, null, null, null, null])
    }
    expect(cachingOf(await head(der))).toEqual(['no-store', null, null, null, null, null])
  })

  test.each(ways)('%s is sent whole, whatever a client says it has: never a 304 (R1.97)', async (_, make) => {
    const der = await make()
    const { body } = await rig.get(der)
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(body)))
    for (const headers of [
      { 'If-None-Match': '*' },
      { 'If-None-Match': '""' },
      { 'If-None-Match': `"${toHex(digest)}"` },
      { 'If-Modified-Since': 'Sat, 01 Jan 2050 00:00:00 GMT' },
    ]) {
      const reply = await rig.get(der, headers)
      expect([reply.status, reply.said]).toEqual([200, expect.stringMatching(/^(good|revoked)$/)])
    }
  })

  test('and a cache in front never has what another requestor was told (R1.97)', async () => {
    const der = await signedRequest(requiring, GOOD, named)
    expect(cachingOf(await rig.get(der))).toEqual(['no-store', null, null, null, null, null])
    const reply = await rig.get(await signedRequest(requiring, GOOD, stranger))
    expect(reply.said).toBe('unauthorized')
    expect(cachingOf(reply)).toEqual(['no-store', null, null, null, null, null])
  })
})

describe.each([
  ['demanded', () => requiring],
  ['verified', () => verifying],
] satisfies [string, () => CA][])('where signatures are %s, the answer is signed', (_, of) => {
  test('with the algorithm of the request, when the client prefers none (R1.86)', async () => {
    for (const after of [new Uint8Array(), NONCE])
      expect(await signedWith(rig, of(), await ask(of(), named, { after }))).toBe(P256)
  })

  test('with what the client prefers, if a responder has it (R1.86)', async () => {
    expect(await signedWith(rig, of(), await ask(of(), named, preferredIn([RSA])))).toBe(RSA)
  })

  test('with the algorithm of the request, when no responder has what the client prefers (R1.86)', async () => {
    const reply = await ask(of(), named, preferredIn(['Ed25519', 'ecdsa-with-SHA384']))
    expect(await signedWith(rig, of(), reply)).toBe(P256)
  })

  test('with the default, when no responder has the algorithm of the request (R1.86)', async () => {
    const other = await makeRequestor({ algorithm: 'ecdsa-with-SHA384', commonName: 'P-384' })
    await rig.setPolicy(of(), { requestors: [named.certificate, other.certificate] })
    expect(await signedWith(rig, of(), await ask(of(), other))).toBe(RSA)
  })
})

/** [2] requestExtensions that prefer these algorithms. */
function preferredIn(algorithms: Parameters<typeof preferring>[2]): SignedParts {
  const der = preferring(ignoring, GOOD, algorithms)
  return { after: der.subarray(Buffer.from(der).lastIndexOf(Buffer.from(GOOD)) + GOOD.length) }
}
