/** What the Baseline Requirements, root programs and ETSI add, shown on answers of a public-trust issuer. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeBasicOCSPResponse } from '../../src/ocsp/basic-response.ts'
import type { IssuerPolicy } from '../../src/ports/records.ts'
import { refreshAt, resignAt, windowFrom } from '../../src/responder/windows.ts'
import { presign } from '../../src/signing/presign.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { TEST_POLICY } from '../support/pki.ts'
import { basicOf, type CA, DATES, DAY, question, type Reply, Rig, singleOf } from './harness.ts'

const HOUR = 3_600
const GOOD = hex('41 01')
const REVOKED = hex('41 02')
const NEVER = hex('7f 01')
const PUBLIC: Partial<IssuerPolicy> = { profile: 'public-trust' }

const ageOf = (reply: Reply, at: Rig) => at.clock.seconds - singleOf(reply).thisUpdate
const leftOf = (reply: Reply, at: Rig) => singleOf(reply).nextUpdate - at.clock.seconds

describe('the envelope of all programs', () => {
  test('whatever the jitter: 16 h to 7 d, and a newer response 8 h before the end, at half of it, and after 4 d at most (R4.1, R4.3, R4.32, R4.35)', () => {
    for (const validitySeconds of [16 * HOUR, 16.5 * HOUR, 20 * HOUR, 2 * DAY, 7 * DAY])
      for (const jitter of [0, 1, 0x8000_0000, 0xffff_ffff]) {
        const policy: IssuerPolicy = { ...TEST_POLICY, ...PUBLIC, validitySeconds }
        const { thisUpdate, nextUpdate } = windowFrom(policy, EPOCH, 0, EPOCH + 900 * DAY, jitter)
        const inclusive = nextUpdate - thisUpdate + 1
        expect(inclusive).toBeGreaterThanOrEqual(16 * HOUR)
        expect(inclusive).toBeLessThanOrEqual(7 * DAY)
        const renewed = resignAt({ thisUpdate, nextUpdate })
        expect(nextUpdate - renewed).toBeGreaterThanOrEqual(8 * HOUR)
        expect(renewed - thisUpdate).toBeLessThanOrEqual(Math.min(inclusive / 2, 4 * DAY))
        expect(renewed).toBeLessThanOrEqual(refreshAt({ thisUpdate, nextUpdate }))
      }
  })

  test.each([
    ['16 hours', 16 * HOUR],
    ['7 days', 7 * DAY],
  ])(
    'hour by hour, with a validity of %s: never old, never near its end, always with a nextUpdate (R4.2, R4.3, R4.30, R4.32, R4.34, R6.17)',
    async (_text, validitySeconds) => {
      const rig = new Rig()
      const ca = await rig.addCA({ name: 'public', policy: { ...PUBLIC, validitySeconds } })
      await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
      await rig.presign()
      const step = HOUR / 4
      for (let passed = 0; passed < 1.6 * validitySeconds; passed += step) {
        await rig.pass(step)
        await presign(rig.isolate.presign, { all: false, budget: 1_000 })
        const reply = await rig.get(question(ca, GOOD))
        const { nextUpdate, thisUpdate } = singleOf(reply)
        expect(nextUpdate - thisUpdate).toBeLessThan(7 * DAY)
        // Cron comes every minute, this walk every quarter of an hour.
        expect(ageOf(reply, rig)).toBeLessThanOrEqual(Math.min(validitySeconds / 2, 4 * DAY) + step)
        expect(leftOf(reply, rig)).toBeGreaterThanOrEqual(8 * HOUR - step)
      }
      rig.close()
    },
  )

  test('a response past four days is an error, long before Chrome would ignore it (R4.34, R6.3)', async () => {
    const rig = new Rig()
    const ca = await rig.addCA({ name: 'public', policy: PUBLIC })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    await rig.presign()
    await rig.pass(4 * DAY)
    expect((await rig.get(question(ca, GOOD), {}, rig.newIsolate(false))).said).toBe('internalError')
    rig.close()
  })

  test.each([-300, -60, 0])(
    'a client whose clock is %i s off finds it begun, and not ended (R1.67, R6.16)',
    async (skew) => {
      const rig = new Rig()
      const ca = await rig.addCA({ name: 'skewed' })
      await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
      await rig.pass(600)
      for (const reply of [await rig.get(question(ca, GOOD)), await rig.get(question(ca, GOOD, 'SHA-384'))]) {
        const { thisUpdate, nextUpdate } = singleOf(reply)
        expect(thisUpdate).toBeLessThanOrEqual(rig.clock.seconds + skew)
        expect(nextUpdate).toBeGreaterThan(rig.clock.seconds - skew)
      }
      rig.close()
    },
  )
})

describe('a public-trust issuer', () => {
  let rig: Rig
  let ca: CA
  beforeAll(async () => {
    rig = new Rig()
    ca = await rig.addCA({ name: 'public', policy: PUBLIC, freshKeys: true })
    await rig.add(ca, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', reason: 1, ...DATES },
    ])
    await rig.pass(600)
    await rig.presign()
  })
  afterAll(() => rig.close())

  test('signs by its own delegate, strict DER, with nocheck in the certificate (R4.5, R4.31)', async () => {
    for (const serial of [GOOD, REVOKED]) {
      const reply = await rig.get(question(ca, serial))
      const basic = basicOf(reply)
      expect(basic.certs).toEqual([ca.pki.responder.certificate])
      expect(toHex(basic.certs?.[0] ?? new Uint8Array())).toContain('06092b060105050730010504020500')
      expect(toHex(reply.body)).toContain(toHex(encodeBasicOCSPResponse(basic)))
    }
  })

  test('never says good of what it did not issue, and the revocation of a recorded one in the next answer (R4.13, R4.54)', async () => {
    const serial = hex('41 07')
    expect((await rig.get(question(ca, serial))).said).toBe('unauthorized')
    await rig.add(ca, [{ serial, status: 'good', ...DATES }])
    expect((await rig.get(question(ca, serial))).said).toBe('good')
    await rig.change(ca, serial, { to: 'revoked', reason: 4 })
    expect((await rig.get(question(ca, serial))).said).toBe('revoked')
  })

  test('tells the status of a subordinate CA as of any other: renewed in days, revoked at once (R4.4)', async () => {
    const serial = hex('41 08')
    await rig.add(ca, [{ serial, status: 'good', notBefore: EPOCH - DAY, notAfter: EPOCH + 3_650 * DAY }])
    await rig.presign()
    const elsewhere = rig.newIsolate()
    expect(leftOf(await rig.get(question(ca, serial), {}, elsewhere), rig)).toBeLessThan(7 * DAY)
    await rig.change(ca, serial, { to: 'revoked', reason: 2 })
    await rig.pass(60)
    expect((await rig.get(question(ca, serial), {}, elsewhere)).said).toBe('revoked')
  })

  test('answers within ten seconds, warm or cold, whatever is asked (R4.11)', async () => {
    let longest = 0
    for (let n = 0; n < 60; n += 1) {
      const isolate = n % 3 === 0 ? rig.newIsolate() : rig.isolate
      const start = performance.now()
      await rig.get(
        question(ca, [GOOD, REVOKED, NEVER][n % 3] ?? GOOD, n % 2 === 0 ? 'SHA-1' : 'SHA-512'),
        {},
        isolate,
      )
      longest = Math.max(longest, performance.now() - start)
    }
    expect(longest).toBeLessThan(10_000)
  })

  test('with every store hanging still answers in time what it knows, and "later" to the rest (R4.11, R6.18)', async () => {
    await rig.get(question(ca, GOOD))
    for (const port of ['d1', 'kv.root', 'kv.page', 'kv.bundle', 'cache.match', 'cache.put'] as const)
      rig.faults.set(port, 'hang')
    expect((await rig.get(question(ca, GOOD))).said).toBe('good')
    expect((await rig.get(question(ca, hex('41 66')))).said).toBe('tryLater')
    rig.faults.clear()
  })
})

describe('after expiry', () => {
  test('a status is told until the retention of the policy is over, then there is no record (R2.6, R4.10, R4.50)', async () => {
    const rig = new Rig()
    const ca = await rig.addCA({ name: 'retaining', policy: { retainSeconds: 30 * DAY } })
    const notAfter = EPOCH + 2 * DAY
    await rig.add(ca, [
      { serial: GOOD, status: 'good', notBefore: EPOCH - DAY, notAfter },
      { serial: REVOKED, status: 'revoked', reason: 1, notBefore: EPOCH - DAY, notAfter },
    ])
    const said = async () => {
      await rig.isolate.slots.pruneCertificates(rig.clock.seconds, 100)
      await rig.presign()
      const isolate = rig.newIsolate()
      return [
        (await rig.get(question(ca, GOOD), {}, isolate)).said,
        (await rig.get(question(ca, REVOKED), {}, isolate)).said,
      ]
    }
    for (const days of [1, 3, 28]) {
      await rig.pass(days * DAY - 3)
      expect(await said(), `${(rig.clock.seconds - notAfter) / DAY} days after`).toEqual(['good', 'revoked'])
    }
    await rig.pass(10 * DAY)
    await said()
    await rig.pass(8 * DAY) // the last response about them has ended too
    expect(await said()).toEqual(['unauthorized', 'unauthorized'])
    rig.close()
  })
})

test.each(['unauthorized', 'unknown'] as const)(
  'a certificate that was asked for too early (%s) is answered everywhere within 15 minutes of its recording (R1.39, R4.37)',
  async (unknown) => {
    const rig = new Rig()
    const ca = await rig.addCA({ name: 'early', policy: { unknown } })
    const isolates = [rig.isolate, rig.newIsolate(), rig.newIsolate()]
    const ask = async () => {
      const said: string[] = []
      for (const isolate of isolates) {
        const reply = await rig.get(question(ca, GOOD), {}, isolate)
        const maxAge = Number(/max-age=(\d+)/.exec(reply.headers.get('Cache-Control') ?? '')?.[1] ?? 0)
        if (reply.said !== 'good') expect(maxAge).toBeLessThanOrEqual(60)
        said.push(reply.said)
      }
      return said
    }
    expect(await ask()).toEqual([unknown, unknown, unknown])
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    await rig.pass(60)
    await ask()
    await rig.pass(13 * 60)
    expect(await ask()).toEqual(['good', 'good', 'good'])
    rig.close()
  },
)
