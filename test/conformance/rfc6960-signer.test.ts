/** RFC 6960 4.2.1 and 4.2.2.2 from outside: signatures of every algorithm, and the certificates that they rest on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeBasicOCSPResponse, encodeResponseData, signedOctets } from '../../src/ocsp/basic-response.ts'
import { decodeOCSPResponse, encodeOCSPResponse } from '../../src/ocsp/ocsp-response.ts'
import { encodeAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { importVerifier } from '../../src/signing/webcrypto-signer.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { digest, publicKeyBits } from '../support/pki.ts'
import { basicOf, type CA, DATES, DAY, question, Rig, singleOf } from './harness.ts'

const GOOD = hex('41 01')
const INTERNAL_ERROR = '30030a0102'

describe.each(SIGNATURE_ALGORITHM_NAMES)('4.2.1: a response signed with %s', (algorithm) => {
  let at: Rig
  let delegated: CA
  let direct: CA
  beforeAll(async () => {
    at = new Rig()
    delegated = await at.addCA({ name: 'delegated', algorithm })
    direct = await at.addCA({
      name: 'direct',
      algorithm,
      delegated: false,
      freshKeys: algorithm.startsWith('ec'),
    })
    for (const issuer of [delegated, direct])
      await at.add(issuer, [{ serial: GOOD, status: 'good', ...DATES }])
    await at.presign()
  })
  afterAll(() => at.close())
  const replies = async () =>
    [
      [delegated, await at.post(question(delegated, GOOD))],
      [direct, await at.post(question(direct, GOOD))],
      [delegated, await at.post(question(delegated, GOOD, 'SHA-512'))],
      [direct, await at.post(question(direct, GOOD, 'SHA-384'))],
    ] as const

  test('is basic, strict DER, without a version (R1.50)', async () => {
    for (const [, reply] of await replies()) {
      const response = decodeOCSPResponse(reply.body)
      if (response.responseStatus !== 'successful') throw new Error(response.responseStatus)
      expect(response.responseBytes.responseType).toBe('1.3.6.1.5.5.7.48.1.1')
      const basic = basicOf(reply)
      expect(basic.tbsResponseData.versionExplicit).toBe(false)
      const again = { ...response.responseBytes, response: encodeBasicOCSPResponse(basic) }
      expect(encodeOCSPResponse({ responseStatus: 'successful', responseBytes: again })).toEqual(reply.body)
    }
  })

  test('verifies over tbsResponseData with the exact AlgorithmIdentifier (R1.51, R4.8)', async () => {
    for (const [{ pki }, reply] of await replies()) {
      const basic = basicOf(reply)
      const identifier = encodeAlgorithmIdentifier(basic.signatureAlgorithm)
      expect(toHex(identifier)).toBe(toHex(SIGNATURE_ALGORITHMS[algorithm].identifier))
      const verify = await importVerifier(pki.responder.spki, algorithm)
      expect(await verify(encodeResponseData(basic.tbsResponseData), basic.signature)).toBe(true)
      expect(await verify(signedOctets(encodeBasicOCSPResponse(basic)), basic.signature)).toBe(true)
    }
  })

  test('names its signer byKey, SHA-1 of the key bits (R1.52, R1.53)', async () => {
    for (const [{ pki }, reply] of await replies())
      expect(basicOf(reply).tbsResponseData.responderID).toEqual({
        byKey: await digest('SHA-1', publicKeyBits(pki.responder.spki)),
      })
  })

  test('has the delegate as its first and only certificate, and none when the CA signs (R1.55, R1.57, R1.58, R1.59)', async () => {
    for (const [{ pki }, reply] of await replies())
      expect(basicOf(reply).certs).toEqual(pki.responder.certificate && [pki.responder.certificate])
  })

  test('fits into what servers staple: 10,000 octets (R5.47)', async () => {
    for (const [, reply] of await replies()) expect(reply.body.length).toBeLessThan(3_000)
  })
})

describe('4.2.2.2: responder certificates', () => {
  test('a delegate with the name of its CA is told apart byKey (R1.54)', async () => {
    const at = new Rig()
    const plain = await at.addCA({ name: 'twin' })
    const { name } = plain.pki.issuer
    const twin = await at.addCA({
      name: 'twin-2',
      caName: 'CA twin',
      freshKeys: true,
      responder: { subject: name },
    })
    await at.add(twin, [{ serial: GOOD, status: 'good', ...DATES }])
    const { tbsResponseData } = basicOf(await at.post(question(twin, GOOD)))
    expect(tbsResponseData.responderID).toEqual({ byKey: twin.pki.responder.keyHash })
    at.close()
  })

  test('no response outlives the certificates that it rests on (R1.66)', async () => {
    const at = new Rig()
    const soon = EPOCH + 3 * DAY
    const delegate = await at.addCA({ name: 'delegate', responder: { notAfter: soon }, freshKeys: true })
    const issuer = await at.addCA({ name: 'issuer', delegated: false, caNotAfter: soon + 7, freshKeys: true })
    for (const [issued, limit] of [
      [delegate, soon],
      [issuer, soon + 7],
    ] as const) {
      await at.add(issued, [{ serial: GOOD, status: 'good', ...DATES }])
      expect(singleOf(await at.post(question(issued, GOOD, 'SHA-1'))).nextUpdate).toBe(limit)
      await at.presign()
      expect(singleOf(await at.post(question(issued, GOOD), {}, at.newIsolate())).nextUpdate).toBe(limit)
    }
    at.close()
  })

  test('a signer that has expired, or is not valid yet, signs nothing: internalError (R1.61)', async () => {
    const at = new Rig()
    const ended = await at.addCA({ name: 'ended', responder: { notAfter: EPOCH + 60 }, freshKeys: true })
    const early = await at.addCA({ name: 'early', responder: { notBefore: EPOCH + DAY }, freshKeys: true })
    for (const issuer of [ended, early]) await at.add(issuer, [{ serial: GOOD, status: 'good', ...DATES }])
    await at.pass(60)
    for (const issuer of [ended, early])
      expect(toHex((await at.post(question(issuer, GOOD))).body)).toBe(INTERNAL_ERROR)
    at.close()
  })

  test('what was signed before notBefore of the certificate is not served after it (R1.65)', async () => {
    const at = new Rig()
    const issuer = await at.addCA({ name: 'future' })
    const notBefore = EPOCH + 3_600
    await at.add(issuer, [{ serial: GOOD, status: 'good', notBefore, notAfter: EPOCH + 90 * DAY }])
    await at.presign()
    const early = await at.get(question(issuer, GOOD))
    expect(early.said).toBe('good')
    const maxAge = Number(/max-age=(\d+)/.exec(early.headers.get('Cache-Control') ?? '')?.[1])
    expect(at.clock.seconds + maxAge, 'no cache keeps it until then').toBeLessThan(notBefore)
    at.clock.moveTo(notBefore)
    await at.publish()
    for (const isolate of [at.isolate, at.newIsolate()]) {
      const { producedAt, thisUpdate } = singleOf(await at.get(question(issuer, GOOD), {}, isolate))
      expect(producedAt).toBeGreaterThanOrEqual(notBefore)
      expect(thisUpdate).toBeGreaterThanOrEqual(notBefore)
    }
    at.close()
  })
})
