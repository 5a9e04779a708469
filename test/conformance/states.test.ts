/** States of a serial or of a whole issuer that are more than good and revoked: reserved, compromised, final, long expired. */
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { basicOf, type CA, DATES, DAY, question, Rig, singleOf } from './harness.ts'

const GOOD = hex('61 01')
const REVOKED = hex('61 02')
const ABSENT = hex('61 99')
const YEAR = 365 * DAY
const NO_END = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000

async function world(options: Parameters<Rig['addCA']>[0]): Promise<{ rig: Rig; ca: CA }> {
  const rig = new Rig()
  const ca = await rig.addCA(options)
  await rig.add(ca, [
    { serial: GOOD, status: 'good', ...DATES },
    { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - DAY, reason: 1, ...DATES },
  ])
  return { rig, ca }
}

describe('a reserved serial', () => {
  const RESERVED = hex('61 03')

  test('is neither good nor unissued until it is resolved: tryLater, by every way (R1.42, R1.28)', async () => {
    for (const unknown of ['unauthorized', 'unknown', 'revoked-extended'] as const) {
      const { rig, ca } = await world({ name: 'reserving', policy: { unknown } })
      await rig.add(ca, [{ serial: RESERVED, status: 'reserved', ...DATES }])
      expect((await rig.get(question(ca, RESERVED))).said).toBe('tryLater')
      await rig.presign()
      expect((await rig.get(question(ca, RESERVED), {}, rig.newIsolate())).said).toBe('tryLater')
      rig.close()
    }
  })

  test('is good once its issuance is reported, and can be revoked before that (R1.42, R1.39)', async () => {
    const { rig, ca } = await world({ name: 'resolving' })
    const other = hex('61 04')
    await rig.add(ca, [
      { serial: RESERVED, status: 'reserved', ...DATES },
      { serial: other, status: 'reserved', ...DATES },
    ])
    await rig.presign()
    await rig.add(ca, [{ serial: RESERVED, status: 'good', ...DATES }])
    await rig.change(ca, other, { to: 'revoked', reason: 4 })
    expect((await rig.get(question(ca, RESERVED))).said).toBe('good')
    expect((await rig.get(question(ca, other))).said).toBe('revoked')
    await rig.presign()
    expect((await rig.get(question(ca, RESERVED), {}, rig.newIsolate())).said).toBe('good')
    expect((await rig.get(question(ca, other), {}, rig.newIsolate())).said).toBe('revoked')
    rig.close()
  })
})

describe('a CA whose key is compromised', () => {
  test('has every serial revoked from that time on, recorded or not, in memory, bundles and live (R1.41)', async () => {
    const { rig, ca } = await world({ name: 'compromised' })
    await rig.presign()
    expect((await rig.get(question(ca, GOOD))).said).toBe('good')
    const at = rig.clock.seconds - 3600
    await rig.isolate.admin.compromiseIssuer(ca.record.id, at, rig.clock.nowMs())
    await rig.publish()
    for (const isolate of [rig.isolate, rig.newIsolate()])
      for (const serial of [GOOD, ABSENT])
        expect(singleOf(await rig.get(question(ca, serial), {}, isolate)).certStatus).toEqual({
          type: 'revoked',
          revocationTime: at,
          revocationReason: 2,
        })
    await rig.presign()
    const { certStatus } = singleOf(await rig.get(question(ca, GOOD), {}, rig.newIsolate()))
    expect(certStatus).toEqual({ type: 'revoked', revocationTime: at, revocationReason: 2 })
    rig.close()
  })

  test('is known within the bound to isolates that have answered good from memory all along (R1.41, law 1)', async () => {
    const { rig, ca } = await world({ name: 'bounded' })
    await rig.presign()
    const isolates = [rig.isolate, rig.newIsolate(), rig.newIsolate(false)]
    const ask = async () => {
      const replies = await Promise.all(isolates.map((one) => rig.get(question(ca, GOOD), {}, one)))
      return replies.map(({ said }) => said)
    }
    expect(await ask()).toEqual(['good', 'good', 'good'])
    await rig.isolate.admin.compromiseIssuer(ca.record.id, rig.clock.seconds - 60, rig.clock.nowMs())
    await rig.publish()
    const published = rig.clock.seconds
    while (rig.clock.seconds < published + 290) {
      rig.clock.advance(10_000)
      await ask()
    }
    rig.clock.moveTo(published + 300)
    // The one without a key can sign nothing new: it says so, rather than good.
    expect(await ask()).toEqual(['revoked', 'revoked', expect.not.stringMatching('good')])
    rig.close()
  })

  test('keeps the time and reason of what was revoked before (R1.41, R1.31)', async () => {
    const { rig, ca } = await world({ name: 'before' })
    await rig.isolate.admin.compromiseIssuer(ca.record.id, rig.clock.seconds, rig.clock.nowMs())
    await rig.publish()
    const { certStatus } = singleOf(await rig.get(question(ca, REVOKED)))
    expect(certStatus).toEqual({ type: 'revoked', revocationTime: EPOCH - DAY, revocationReason: 1 })
    rig.close()
  })

  test('gives no reason under public-trust, where cACompromise is none for certificates (R1.41, R4.22)', async () => {
    const { rig, ca } = await world({ name: 'public', policy: { profile: 'public-trust' } })
    const at = rig.clock.seconds
    await rig.isolate.admin.compromiseIssuer(ca.record.id, at, rig.clock.nowMs())
    await rig.publish()
    const { certStatus } = singleOf(await rig.get(question(ca, GOOD)))
    expect(certStatus).toEqual({ type: 'revoked', revocationTime: at })
    rig.close()
  })
})

describe('an issuer that ends', () => {
  test('leaves one response for each certificate that never ends (R4.52)', async () => {
    const { rig, ca } = await world({ name: 'ending', policy: { archiveCutoff: 'issuer' } })
    await rig.presign()
    await rig.isolate.admin.finalizeIssuer(ca.record.id, rig.clock.nowMs())
    await rig.presign()
    const reply = await rig.get(question(ca, GOOD), {}, rig.newIsolate())
    expect(singleOf(reply).nextUpdate).toBe(NO_END)
    expect(toHex(reply.body)).toContain('a011180f39393939313233313233353935395a')
    rig.close()
  })

  test('is answered without a key, without a nonce, decades later, and never signed again (R4.52)', async () => {
    const { rig, ca } = await world({ name: 'ended' })
    await rig.isolate.admin.finalizeIssuer(ca.record.id, rig.clock.nowMs())
    await rig.presign()
    await rig.pass(30 * YEAR)
    const keyless = rig.newIsolate(false)
    const reply = await rig.get(question(ca, REVOKED), {}, keyless)
    expect(singleOf(reply).certStatus.type).toBe('revoked')
    expect(basicOf(reply).tbsResponseData.producedAt).toBeLessThan(rig.clock.seconds - 29 * YEAR)
    expect(reply.headers.get('Cache-Control')).toMatch(/^max-age=31536000, public/)
    const due = await rig.isolate.presign.slots.countDue(rig.clock.seconds, { all: true })
    expect(due).toBe(0)
    rig.close()
  })
})

test('an issuer that is final takes no revocation: what is refused leaves the answers as they are (R4.52)', async () => {
  const { rig, ca } = await world({ name: 'standing' })
  await rig.isolate.admin.finalizeIssuer(ca.record.id, rig.clock.nowMs())
  await rig.presign()
  await rig.change(ca, GOOD, { to: 'revoked' })
  await rig.pass(60)
  expect((await rig.get(question(ca, GOOD), {}, rig.newIsolate())).said).toBe('good')
  rig.close()
})

test('a certificate is answered ten years after it expired, when the policy says so (R4.50, R4.10, R1.83)', async () => {
  const rig = new Rig()
  const ca = await rig.addCA({
    name: 'qualified',
    policy: { retainSeconds: 11 * YEAR, archiveCutoff: 'retention' },
    caNotAfter: EPOCH + 40 * YEAR,
    responder: { notAfter: EPOCH + 39 * YEAR },
  })
  await rig.add(ca, [{ serial: GOOD, status: 'revoked', revocationTime: EPOCH - DAY, ...DATES }])
  await rig.pass(90 * DAY + 10 * YEAR)
  expect(await rig.isolate.presign.slots.pruneCertificates(rig.clock.seconds, 100)).toBe(0)
  expect(singleOf(await rig.get(question(ca, GOOD), {}, rig.newIsolate())).certStatus.type).toBe('revoked')
  await rig.pass(2 * YEAR)
  expect(await rig.isolate.presign.slots.pruneCertificates(rig.clock.seconds, 100)).toBe(1)
  rig.close()
})
