/** The re-signing pipeline with responders of several algorithms: one bundle each, one record, and what the signatures cost. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import { SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { buildSlot } from '../../src/signing/build-slot.ts'
import { presign } from '../../src/signing/presign.ts'
import { type CA, DATES, DAY, Rig } from '../conformance/harness.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { addResponder } from '../responder/second-responder.ts'
import { Actor } from '../support/faults.ts'

const P256 = 'ecdsa-with-SHA256'
const P384 = 'ecdsa-with-SHA384'
const ED = 'Ed25519'
const SERIALS = [hex('52 01'), hex('52 02'), hex('52 03')]

let rig: Rig
let ca: CA

beforeEach(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'several', algorithm: P256, policy: { algorithm: P256, hashes: ['SHA-1'] } })
  await addResponder(rig, ca, { algorithm: ED })
  await rig.add(
    ca,
    SERIALS.map((serial) => ({ serial, status: 'good' as const, ...DATES })),
  )
})
afterEach(() => rig.close())

const run = (budget = 1_000) => presign(rig.isolate.presign, { all: true, budget })
const pass = (seconds: number) => rig.clock.advance(seconds * 1000)
const key = (algorithm?: string) => `b/${ca.record.id}/0/0${algorithm === undefined ? '' : `/${algorithm}`}`
const bundle = (algorithm?: string) => Bundle.open(rig.kv.last(key(algorithm)) ?? new Uint8Array())
const algorithms = (algorithm?: string) =>
  bundle(algorithm).responders.map(({ signatureAlgorithm }) => toHex(signatureAlgorithm))
const identifier = (algorithm: 'Ed25519' | 'ecdsa-with-SHA256' | 'ecdsa-with-SHA384') =>
  toHex(SIGNATURE_ALGORITHMS[algorithm].identifier)
const signatures = (algorithm?: string) => {
  const of = bundle(algorithm)
  return SERIALS.map((serial) => of.find(serial, serialHash(serial))?.signatures)
}
const slot = () => rig.record.rows('SELECT * FROM slots')[0]

describe('a slot', () => {
  test('has one bundle for each algorithm, of one reading and one record, and all signatures count (R1.87)', async () => {
    expect(await run()).toMatchObject({ built: 1, signatures: 6, failed: 0, remaining: 0, problems: [] })
    expect([algorithms(), algorithms(ED)]).toEqual([[identifier(P256)], [identifier(ED)]])
    expect(bundle(ED).asOf).toBe(bundle().asOf)
    expect(bundle(ED).variants).toEqual(bundle().variants)
    expect(slot()).toMatchObject({ entries: 3, failures: 0, built_seq: bundle().asOf })
    expect(rig.record.rows("SELECT value FROM counters WHERE name = 'signatures_made'")).toEqual([
      { value: 6 },
    ])
    pass(2)
    expect(await run()).toMatchObject({ built: 0, signatures: 0 })
  })

  test('signs only what changed, in each of them', async () => {
    await run()
    const before = [signatures(), signatures(ED)]
    pass(60)
    await rig.change(ca, hex('52 02'), { to: 'revoked', reason: 1 })
    expect(await run()).toMatchObject({ built: 1, signatures: 2 })
    for (const [i, after] of [signatures(), signatures(ED)].entries()) {
      expect([after[0], after[2]]).toEqual([before[i]?.[0], before[i]?.[2]])
      expect(after[1]).not.toEqual(before[i]?.[1])
    }
  })

  test('is due when the first of its bundles is, and a bundle ends with its responder (R1.66, R4.2)', async () => {
    await addResponder(rig, ca, { algorithm: P384, notAfter: rig.clock.seconds + 2 * DAY })
    await run()
    const [window] = bundle(P384).windows
    expect(window?.nextUpdate).toBeLessThanOrEqual(rig.clock.seconds + 2 * DAY)
    expect(slot()?.['refresh_at']).toBeLessThanOrEqual(rig.clock.seconds + DAY)
    rig.clock.moveTo(Number(slot()?.['refresh_at']))
    const others = [signatures(), signatures(ED)]
    expect(await run()).toMatchObject({ built: 1, signatures: 3 })
    expect([signatures(), signatures(ED)]).toEqual(others)
  })
})

describe('a change of the default', () => {
  const touch = async () => {
    await rig.add(ca, [{ serial: hex('52 09'), status: 'good', ...DATES }])
  }

  test('moves the bundles without signing anything again (R1.89)', async () => {
    await run()
    const before = { p256: signatures(), ed: signatures(ED) }
    await rig.setPolicy(ca, { algorithm: ED })
    await touch()
    expect(await run()).toMatchObject({ built: 1, signatures: 2, problems: [] })
    expect([algorithms(), algorithms(P256)]).toEqual([[identifier(ED)], [identifier(P256)]])
    expect([signatures(), signatures(P256)]).toEqual([before.ed, before.p256])
  })

  test('to a responder that is new signs all anew: a default bundle has one algorithm (R1.87)', async () => {
    await run()
    const before = signatures()
    await rig.setPolicy(ca, { algorithm: undefined })
    await addResponder(rig, ca, { algorithm: P384 })
    await touch()
    expect(await run()).toMatchObject({ built: 1, signatures: 4 + 1 + 1 })
    expect(algorithms()).toEqual([identifier(P384)])
    expect(signatures(P256)).toEqual(before)
  })
})

test('nothing that was signed with another algorithm is kept in a bundle', async () => {
  await run()
  const issuer = await rig.isolate.admin.findIssuer('several')
  if (issuer === undefined) throw new Error('no issuer')
  const slots = { issuer: issuer.id, k: 0, slot: 0 }
  const t0 = rig.clock.seconds
  const read = await rig.isolate.slots.readSlot(slots)
  for (const [algorithm, expected] of [
    [P256, 0],
    [ED, 3],
  ] as const) {
    const ready = await rig.isolate.signers.ready(issuer, t0, algorithm)
    const built = await buildSlot({ issuer, lease: slots, ...read, t0, ready, previous: bundle() })
    expect(built.signatures).toBe(expected)
  }
})

describe('a failure', () => {
  test('of one key leaves the others built and recorded, and is reported (R1.86)', async () => {
    await addResponder(rig, ca, { algorithm: P384, hasKey: false })
    const { built, failed, remaining, problems } = await run()
    expect({ built, failed, remaining }).toEqual({ built: 1, failed: 0, remaining: 0 })
    expect(problems).toEqual([expect.stringMatching(/^several: ecdsa-with-SHA384: SigningError: /)])
    expect([rig.kv.last(key()), rig.kv.last(key(ED))]).not.toContain(undefined)
    expect(rig.kv.last(key(P384))).toBeUndefined()
  })

  test('of the key that signs by default leaves the slot due', async () => {
    await addResponder(rig, ca, { algorithm: P384, hasKey: false })
    await rig.setPolicy(ca, { algorithm: P384 })
    expect(await run()).toMatchObject({ built: 0, failed: 1, remaining: 1 })
    expect(slot()).toMatchObject({ built_seq: 0, lease: null })
  })

  test('of a put, before or after it took effect, leaves the slot due, and the next run keeps what stands', async () => {
    for (const phase of ['before', 'after'] as const)
      for (const nth of [1, 2]) {
        pass(600)
        await rig.change(ca, hex('52 03'), { to: nth === 1 ? 'hold' : 'released' })
        let puts = 0
        const actor = new Actor((port, at) => {
          if (port === 'kv.put' && at === phase) puts += 1
          return port === 'kv.put' && at === phase && puts === nth ? 'fail' : 'go'
        })
        const isolate = rig.newIsolate(true, actor)
        expect(await presign(isolate.presign, { all: true, budget: 1_000 })).toMatchObject({
          failed: 1,
          remaining: 1,
        })
        expect(slot()).toMatchObject({ lease: null })
        pass(1)
        expect(await run()).toMatchObject({ built: 1, failed: 0, remaining: 0 })
        expect(bundle(ED).asOf).toBe(bundle().asOf)
        expect(await bundle(ED).verifyDigest()).toBe(true)
      }
  })
})

test('an RSA key costs what its length makes it cost: a budget lasts for fewer signatures of a long one', async () => {
  for (const [bits, built] of [
    [2048, 2],
    [3072, 1],
  ] as const) {
    const place = new Rig()
    const responder = await generateKeyPair('sha256WithRSAEncryption', bits)
    for (const name of ['one', 'two']) {
      const keys = { ca: await generateKeyPair('ecdsa-with-SHA256'), responder }
      const issuer = await place.addCA({
        name,
        keys,
        algorithm: 'sha256WithRSAEncryption',
        policy: { hashes: ['SHA-1'] },
      })
      await place.add(issuer, [{ serial: hex('53 01'), status: 'good', ...DATES }])
    }
    // A signature of 2048 bits costs 30, one of 3072 bits above 100.
    expect(await presign(place.isolate.presign, { all: true, budget: 60 })).toMatchObject({
      built,
      remaining: 2 - built,
    })
    place.close()
  }
})
