/** Preferred signature algorithms from end to end: several responders of one issuer, pre-signed and live (R1.86-R1.89). */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeOCSPRequest, requestNonce } from '../../src/ocsp/ocsp-request.ts'
import type { ResponderRecord } from '../../src/ports/records.ts'
import { basicOf, type CA, DATES, DAY, question, type Reply, Rig, singleOf } from '../conformance/harness.ts'
import { hex } from '../fixtures/octets.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { addResponder, preferring, respondersOf, retire, signedWith } from './second-responder.ts'

const RSA = 'sha256WithRSAEncryption'
const P256 = 'ecdsa-with-SHA256'
const P384 = 'ecdsa-with-SHA384'
const GOOD = hex('51 01')
const REVOKED = hex('51 02')
const YOUNG = hex('51 03')
const SHA1_WITH_RSA = hex('300d 06092a864886f70d010105 0500')
const ML_DSA_65 = hex('300b 0609608648016503040312')
const NONCE = hex('0410 000102030405060708090a0b0c0d0e0f')

let rig: Rig
let ca: CA
/** Of the algorithm that is not the default. */
let second: ResponderRecord

beforeEach(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'several', algorithm: RSA, policy: { algorithm: RSA } })
  await rig.add(ca, [
    { serial: GOOD, status: 'good', ...DATES },
    { serial: REVOKED, status: 'revoked', revocationTime: DATES.notBefore, reason: 1, ...DATES },
  ])
  second = await addResponder(rig, ca, { algorithm: P256, notAfter: rig.clock.seconds + 30 * DAY })
  await rig.presign()
})
afterEach(() => rig.close())

const KEY = () => `b/${ca.record.id}/0/0`
const signs = (reply: Reply) => signedWith(rig, ca, reply)
/** Where the last answer came from. */
const origin = () => {
  const answer = rig.observed.at(-1)?.answer
  return answer?.responseStatus === 'successful' ? answer.origin : undefined
}
/** An isolate that can read no key: what it answers was signed before. */
const keyless = () => rig.newIsolate(false)
/** The same in a data centre whose cache is empty. */
const remote = () => {
  rig.cache.clear()
  return keyless()
}
const prefer = (wanted: Parameters<typeof preferring>[2], serial = GOOD, at?: Isolate) =>
  rig.get(preferring(ca, serial, wanted), {}, at)

describe('pre-signed answers', () => {
  test('stand in KV once for each algorithm, and the one that is preferred comes (R1.87)', async () => {
    expect(rig.kv.keys().filter((key) => key.startsWith('b/'))).toEqual([KEY(), `${KEY()}/${P256}`])
    for (const [wanted, expected] of [
      [[P256], P256],
      [[RSA], RSA],
      [[P384, P256, RSA], P256],
      [[RSA, P256], RSA],
    ] as const) {
      const reply = await prefer(wanted, GOOD, remote())
      expect([reply.said, await signs(reply), origin()]).toEqual(['good', expected, 'bundle'])
      expect((await prefer(wanted, REVOKED, keyless())).said).toBe('revoked')
    }
  })

  test('the default comes for no preference, one that nobody has, and a weak one (R1.88, R1.89)', async () => {
    for (const body of [
      question(ca, GOOD),
      preferring(ca, GOOD, [P384]),
      preferring(ca, GOOD, [SHA1_WITH_RSA, ML_DSA_65]),
      preferring(ca, GOOD, []),
    ]) {
      const reply = await rig.post(body, {}, remote())
      expect([reply.said, await signs(reply), origin()]).toEqual(['good', RSA, 'bundle'])
    }
    expect(await signs(await prefer([SHA1_WITH_RSA, P256], GOOD, keyless()))).toBe(P256)
  })

  test('each preference is kept in memory by itself, and in the data centre (R1.87)', async () => {
    const isolate = keyless()
    for (const [wanted, expected] of [
      [[P256], P256],
      [[], RSA],
      [[P256], P256],
      [[RSA], RSA],
      [[], RSA],
    ] as const)
      expect(await signs(await prefer(wanted, GOOD, isolate))).toBe(expected)
    await prefer([P256], GOOD, isolate)
    expect(origin()).toBe('memory')
    rig.faults.set('kv.bundle', 'fail')
    expect(await signs(await prefer([P256], GOOD, keyless()))).toBe(P256)
    expect(origin()).toBe('cache')
  })

  test('whoever prefers nothing pays nothing: one bundle is read, and then none (R1.89)', async () => {
    const isolate = keyless()
    rig.faults.forget()
    await rig.get(question(ca, GOOD), {}, isolate)
    await rig.get(question(ca, REVOKED), {}, isolate)
    expect([rig.faults.calls.get('kv.bundle'), rig.faults.calls.get('cache.match')]).toEqual([1, 1])
  })

  test('a foreign or torn bundle of the algorithm is not believed; one of the default is no substitute (R1.86)', async () => {
    const standard = rig.kv.last(KEY()) ?? new Uint8Array()
    const beside = rig.kv.last(`${KEY()}/${P256}`) ?? new Uint8Array()
    for (const value of [standard, beside.subarray(0, 200)]) {
      rig.kv.set(`${KEY()}/${P256}`, value)
      rig.cache.clear()
      const reply = await prefer([P256], GOOD, rig.newIsolate())
      expect([await signs(reply), origin()]).toEqual([P256, 'live'])
    }
  })
})

describe('live answers', () => {
  test('are signed with the algorithm that is preferred, with a nonce and without (R1.86)', async () => {
    await rig.add(ca, [{ serial: YOUNG, status: 'good', ...DATES }])
    expect(await signs(await prefer([P256], YOUNG))).toBe(P256)
    expect(await signs(await prefer([], YOUNG))).toBe(RSA)
    for (const [wanted, expected] of [
      [[P256], P256],
      [[P384], RSA],
    ] as const) {
      const asked = preferring(ca, GOOD, wanted, NONCE)
      const reply = await rig.post(asked)
      expect(await signs(reply)).toBe(expected)
      const [extension] = basicOf(reply).tbsResponseData.responseExtensions ?? []
      expect(extension?.extnValue).toEqual(requestNonce(decodeOCSPRequest(asked))?.extnValue)
    }
  })

  test('are the default when the preferred key is not there, nonce kept (R1.86)', async () => {
    const broken = await addResponder(rig, ca, { algorithm: P384, hasKey: false })
    expect(broken.algorithm).toBe(P384)
    expect(await signs(await prefer([P384]))).toBe(RSA)
    const reply = await rig.post(preferring(ca, GOOD, [P384], NONCE))
    expect(await signs(reply)).toBe(RSA)
    expect(basicOf(reply).tbsResponseData.responseExtensions).toHaveLength(1)
  })

  test.each(['fail', 'absent', 'garbage', 'truncated'] as const)(
    'a bundle tier that is %s leaves them right; without a key too the default of the memory comes',
    async (mode) => {
      const isolate = keyless()
      await rig.get(question(ca, GOOD), {}, isolate)
      rig.faults.set('kv.bundle', mode)
      rig.cache.clear()
      expect(await signs(await prefer([P256], GOOD, rig.newIsolate()))).toBe(P256)
      rig.cache.clear()
      expect(await signs(await prefer([P256], GOOD, isolate))).toBe(RSA)
    },
  )

  test('a record that is away is tryLater for what only it knows, whatever is preferred (R1.28)', async () => {
    await rig.add(ca, [{ serial: YOUNG, status: 'good', ...DATES }])
    expect(await signs(await prefer([P256]))).toBe(P256)
    rig.faults.set('d1', 'fail')
    expect((await prefer([P256], YOUNG, rig.newIsolate())).said).toBe('tryLater')
    const reply = await prefer([P256], GOOD)
    rig.faults.clear()
    expect(await signs(reply)).toBe(P256)
  })
})

describe('changes', () => {
  test('a revocation overtakes the bundles of all algorithms at once (R6.5)', async () => {
    for (const wanted of [[], [P256]] as const) expect((await prefer(wanted)).said).toBe('good')
    await rig.change(ca, GOOD, { to: 'revoked', reason: 1 })
    for (const at of [rig.isolate, rig.newIsolate()])
      for (const wanted of [[], [P256]] as const) {
        const reply = await prefer(wanted, GOOD, at)
        expect([reply.said, await signs(reply)]).toEqual(['revoked', wanted.length === 0 ? RSA : P256])
      }
    for (const wanted of [[], [P256]] as const)
      expect((await prefer(wanted, GOOD, keyless())).said).toMatch(/revoked|tryLater/)
    await rig.presign()
    rig.cache.clear()
    for (const wanted of [[], [P256]] as const) {
      expect((await prefer(wanted, GOOD, keyless())).said).toBe('revoked')
      expect(origin()).toBe('bundle')
    }
  })

  test('a retired responder signs nothing more; its algorithm is answered by the default (R1.86, R8.6)', async () => {
    expect(await signs(await prefer([P256]))).toBe(P256)
    await retire(rig, ca, second)
    for (const at of [rig.isolate, rig.newIsolate()])
      expect(await signs(await prefer([P256], GOOD, at))).toBe(RSA)
    const before = rig.kv.last(`${KEY()}/${P256}`)
    await rig.change(ca, GOOD, { to: 'hold' })
    await rig.presign()
    expect(rig.kv.last(`${KEY()}/${P256}`)).toEqual(before)
    expect((await prefer([P256], GOOD, keyless())).said).toBe('revoked')
    // Back under a new key: what the old one signed is overtaken for GOOD, and stands for REVOKED until it is over.
    await addResponder(rig, ca, { algorithm: P256 })
    expect((await prefer([P256], GOOD, rig.newIsolate())).said).toBe('revoked')
    expect((await prefer([P256], REVOKED, keyless())).said).toBe('revoked')
  })

  test('when the default is retired, what was signed beside it serves whoever prefers it (R1.87, R8.6)', async () => {
    const [first] = await respondersOf(rig, ca)
    if (first === undefined) throw new Error('no responder')
    await retire(rig, ca, first)
    const reply = await prefer([P256], GOOD, remote())
    expect([await signs(reply), origin()]).toEqual([P256, 'bundle'])
    expect(await signs(await prefer([], GOOD, keyless()))).toBe(RSA) // signed before, good until its nextUpdate
    await rig.change(ca, GOOD, { to: 'hold' })
    await rig.presign()
    for (const wanted of [[], [RSA], [P256]] as const) {
      expect(await signs(await prefer(wanted, REVOKED, remote()))).toBe(P256)
      expect(origin()).toBe('bundle')
    }
  })

  test('no answer outlives the responder that signed it, and at its end the default takes over (R1.66, R1.86)', async () => {
    const isolate = rig.newIsolate()
    const end = second.notAfter
    for (const left of [3 * DAY, DAY, 3_600, 61, 9, 2, 1, 0, -1, -61, -DAY]) {
      if (rig.clock.seconds + 5 <= end - left) {
        rig.clock.moveTo(end - left - 4)
        await rig.publish()
        await rig.presign()
      }
      rig.clock.moveTo(end - left)
      const now = rig.clock.seconds
      for (const at of [isolate, rig.newIsolate()]) {
        const reply = await prefer([P256], GOOD, at)
        expect([reply.said, await signs(reply)]).toEqual(['good', now < end ? P256 : RSA])
        expect(singleOf(reply).nextUpdate).toBeGreaterThan(now)
        if (now < end) expect(singleOf(reply).nextUpdate).toBeLessThanOrEqual(end)
      }
      expect(await signs(await prefer([], GOOD, isolate))).toBe(RSA)
    }
  })
})
