/** The re-signing pipeline over a real record and KV: every step may fail, run twice, or stop half-way. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { refreshAt } from '../../src/responder/windows.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { EPOCH } from '../support/clock.ts'
import { Actor, type PortName } from '../support/faults.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { addIssuer, KEK } from '../support/world-setup.ts'

const COUNT = 6
const VALIDITY = 7_200
const serial = (n: number) => Uint8Array.of(0x13, n >>> 8, n & 0xff)

let world: World
let place: Isolate

beforeEach(async () => {
  world = await World.create({ seed: 13, maxLagSeconds: 0, colos: 1, validitySeconds: VALIDITY }, [
    'unauthorized',
  ])
  place = world.makePlace(0)
  await add(0, COUNT)
})
afterEach(() => world.close())

async function add(from: number, count: number, notAfter = EPOCH + 9e6): Promise<void> {
  const rows = Array.from({ length: count }, (_, n) => ({
    serial: serial(from + n),
    status: 'good' as const,
    notBefore: EPOCH - 60,
    notAfter,
  }))
  await world.add(place, world.issuer, rows)
  world.clock.advance(2_000)
}

const certificate = (n: number) => world.history(world.issuer, serial(n))
const revoke = (n: number) => world.change(place, certificate(n), { to: 'revoked', reason: 1 })
const due = (all = false) => place.slots.countDue(world.clock.seconds, { all })
const slots = () => world.record.rows('SELECT * FROM slots ORDER BY k, slot')

function bundle(key = 'b/1/0/0'): Bundle {
  return Bundle.open(world.kv.last(key) ?? new Uint8Array())
}

function entry(n: number, of = bundle()) {
  const found = of.find(serial(n), serialHash(serial(n)))
  if (found === undefined) throw new Error(`serial ${n} is not in the bundle`)
  const window = of.windows[found.window]
  if (window === undefined) throw new Error('no window')
  return { ...found, times: window }
}

describe('a run', () => {
  test('builds what is due, once, and records it', async () => {
    expect(await due()).toBe(1)
    expect(await world.presign(place)).toEqual({
      built: 1,
      signatures: 2 * COUNT,
      failed: 0,
      remaining: 0,
      problems: [],
    })
    expect(await world.presign(place)).toMatchObject({ built: 0, signatures: 0 })
    const [slot] = slots()
    expect(slot).toMatchObject({
      entries: COUNT,
      added: 0,
      lease: null,
      failures: 0,
      this_update: entry(0).times.thisUpdate,
    })
    expect(slot?.['built_seq']).toBe(bundle().asOf)
    expect(await bundle().verifyDigest()).toBe(true)
  })

  test('asks KV for the bundle that stands, but not for that of a slot that was never built', async () => {
    const asked: string[] = []
    const seen = world.isolate(0, { before: (port, what) => void (port === 'kv.bundle' && asked.push(what)) })
    await world.presign(seen)
    expect(asked).toEqual([])
    await revoke(0)
    expect(await world.presign(seen)).toMatchObject({ built: 1, signatures: 2 })
    expect(asked).toEqual(['b/1/0/0'])
  })

  test('signs only what changed, and keeps every other signature octet for octet', async () => {
    await world.presign(place)
    const before = Array.from({ length: COUNT }, (_, n) => entry(n))
    world.clock.advance(60_000)
    await revoke(2)
    expect(await world.presign(place)).toMatchObject({ built: 1, signatures: 2 })
    for (let n = 0; n < COUNT; n += 1) {
      if (n === 2) expect(entry(n).certStatus.type).toBe('revoked')
      else expect(entry(n)).toMatchObject({ signatures: before[n]?.signatures, times: before[n]?.times })
    }
  })

  test('has two windows for fresh and settled changes: the fresh one begins now (R1.31, attack 15)', async () => {
    world.clock.advance(3_000_000)
    await revoke(2)
    world.clock.advance(2_000)
    await world.presign(place)
    const t0 = world.clock.seconds
    expect(entry(0).times.thisUpdate).toBe(t0 - 300)
    expect(entry(2).times.thisUpdate).toBe(t0)
    expect(bundle().windows).toHaveLength(2)
    // When the change is older than the backdating, one window is enough again.
    world.clock.moveTo(refreshAt(entry(0).times))
    await world.presign(place)
    expect(entry(2).times.thisUpdate).toBe(world.clock.seconds - 300)
    expect(bundle().windows).toHaveLength(1)
  })

  test('signs all anew before half of the window is over (R4.2)', async () => {
    await world.presign(place)
    const { thisUpdate, nextUpdate } = entry(0).times
    const half = thisUpdate + Math.floor((nextUpdate - thisUpdate) / 2)
    while ((await due()) === 0) world.clock.advance(10_000)
    expect(world.clock.seconds).toBeLessThanOrEqual(half)
    expect(world.clock.seconds).toBeGreaterThan(half - 600)
    expect(await world.presign(place)).toMatchObject({ built: 1, signatures: 2 * COUNT })
    expect(await due()).toBe(0)
  })

  test('signs what soon would be due together with what is: windows of a slot come together again', async () => {
    await world.presign(place)
    const half = Math.floor(VALIDITY / 2)
    for (let n = 0; n < COUNT; n += 1) {
      world.clock.advance(500_000)
      await revoke(n)
      expect(await world.presign(place)).toMatchObject({ built: 1 })
    }
    expect(bundle().windows.length).toBeGreaterThan(COUNT - 2)
    let built = 0
    for (let seconds = 0; seconds < 2 * half; seconds += 60) {
      world.clock.advance(60_000)
      built += (await world.presign(place)).built
    }
    // An eighth of a window apart at least, so four in each half of a window, however many changes there were.
    expect(built).toBeLessThanOrEqual(8)
    expect(bundle().windows.length).toBeLessThanOrEqual(4)
    expect(await due()).toBe(0)
  })

  test('spends its budget, finishes what it has begun, and says what is left', async () => {
    await world.presign(place)
    await place.slots.startGrowth(world.clock.seconds, 3)
    const first = await world.presign(place, { budget: 1 })
    expect(first).toMatchObject({ built: 1, failed: 0, remaining: 1 })
    expect(await world.presign(place, { budget: 0 })).toMatchObject({ built: 0, remaining: 1 })
    expect(await world.presign(place, { budget: 1 })).toMatchObject({ built: 1, remaining: 0 })
  })

  test('leaves new certificates for later unless told otherwise; what expires is rebuilt in time', async () => {
    await world.presign(place)
    await add(100, 3)
    expect(await world.presign(place)).toMatchObject({ built: 0 })
    expect(await world.presign(place, { all: true })).toMatchObject({ built: 1, signatures: 6 })
    expect(bundle().count).toBe(COUNT + 3)
  })

  test('a certificate whose validity has not begun is not in it yet (R1.65)', async () => {
    await world.add(place, world.issuer, [
      { serial: serial(50), status: 'good', notBefore: world.clock.seconds + 5_000, notAfter: EPOCH + 9e6 },
    ])
    await world.presign(place)
    expect(bundle().count).toBe(COUNT)
    world.clock.advance(5_001_000)
    await world.presign(place)
    expect(entry(50).times.producedAt).toBeGreaterThanOrEqual(EPOCH + 5_000)
  })

  test('the value expires an hour after its last nextUpdate', async () => {
    await world.presign(place)
    const { nextUpdate } = entry(0).times
    const read = async () => {
      const bytes = await place.derived.readBundle(1, 0, 0)
      return bytes !== null
    }
    world.clock.moveTo(nextUpdate + 3_599)
    expect(await read()).toBe(true)
    world.clock.advance(1_000)
    expect(await read()).toBe(false)
  })
})

describe('whatever fails, the next run makes good', () => {
  const ports: PortName[] = ['d1', 'kv.bundle', 'kv.put', 'signer']

  /** Runs with one call failing, each in turn, until a run meets no failure. */
  async function failEach(phase: 'before' | 'after'): Promise<number> {
    await add(300, 60)
    for (let n = 0; ; n += 1) {
      let calls = -1
      let failed = false
      const actor = new Actor((port, at) => {
        if (at !== phase || !ports.includes(port)) return 'go'
        calls += 1
        if (calls === n) failed = true
        return calls === n ? 'fail' : 'go'
      })
      const fragile = world.isolate(0, actor)
      await revoke(300 + n)
      await world.presign(fragile).catch(() => undefined)
      world.clock.advance(1_201_000) // the lease of whoever died
      await world.presign(place)
      await world.presign(place) // the dead builder's put may still arrive: one more build is owed (attack 7)
      expect(await due(), `after call ${n}`).toBe(0)
      expect(entry(300 + n).certStatus.type, `after call ${n}`).toBe('revoked')
      expect(await bundle().verifyDigest()).toBe(true)
      if (!failed) return n
    }
  }

  test.each(['before', 'after'] as const)('at any call, %s it took effect', async (phase) => {
    expect(await failEach(phase)).toBeGreaterThanOrEqual(8)
  })

  test('a slot that fails is noted, released, and does not stop the others', async () => {
    await world.presign(place)
    const other = await addIssuer(place.admin, 'unknown', { validitySeconds: VALIDITY }, world.clock.nowMs())
    await place.admin.addCertificates(
      other.record.id,
      [{ serial: serial(1), status: 'good' }],
      world.clock.nowMs(),
    )
    await revoke(1)
    world.record.exec("UPDATE responders SET wrapped_key = x'01' WHERE issuer = 1")
    const fresh = world.isolate(0, {})
    const outcome = await world.presign(fresh)
    expect(outcome).toMatchObject({ built: 1, failed: 1, remaining: 1 })
    expect(outcome.problems).toEqual([
      expect.stringMatching(/^ca-unauthorized: SigningError: the wrapped key is cut short/),
    ])
    expect(slots()[0]).toMatchObject({
      failures: 1,
      lease: null,
      last_error: expect.stringContaining('wrapped key'),
    })
  })

  test('a bundle in KV that is torn, foreign or of another digest is not built upon', async () => {
    await world.presign(place)
    const good = world.kv.last('b/1/0/0') ?? new Uint8Array()
    const bad = [
      good.subarray(0, 100),
      new Uint8Array(300),
      good.map((octet, i) => (i === good.length - 1 ? octet ^ 1 : octet)),
    ]
    for (const [n, bytes] of bad.entries()) {
      world.kv.set('b/1/0/0', Uint8Array.from(bytes))
      await revoke(n)
      expect(await world.presign(place)).toMatchObject({ built: 1, signatures: 2 * COUNT })
    }
  })

  test('an old bundle in KV costs signatures, never truth: what changed since it is signed anew', async () => {
    await world.presign(place)
    const old = world.kv.last('b/1/0/0') ?? new Uint8Array()
    await revoke(0)
    await world.presign(place)
    world.kv.set('b/1/0/0', old)
    await revoke(1)
    expect(await world.presign(place)).toMatchObject({ signatures: 4 })
    expect([0, 1, 2].map((n) => entry(n).certStatus.type)).toEqual(['revoked', 'revoked', 'good'])
  })
})

describe('what makes old signatures unusable', () => {
  beforeEach(async () => {
    await world.presign(place)
    world.clock.advance(60_000)
  })

  test('a raised floor: all is signed anew', async () => {
    await place.admin.raiseFloor(1, world.clock.nowMs())
    expect(await world.presign(place)).toMatchObject({ built: 1, signatures: 2 * COUNT })
  })

  test('other hashes: all is signed anew, for these', async () => {
    const policy = { ...world.issuer.record.policy, hashes: ['SHA-256' as const] }
    await place.admin.updateIssuer(1, { policy }, world.clock.nowMs())
    expect(await world.presign(place)).toMatchObject({ built: 1, signatures: COUNT })
    expect(bundle().variants.map(({ hashAlgorithm }) => hashAlgorithm)).toEqual(['SHA-256'])
  })

  test('a retired responder: its signatures go, the newest valid one signs (R8.6)', async () => {
    const { pki } = world.issuer
    const {
      id: _id,
      retired: _retired,
      ...responder
    } = pki.responderRecord({
      name: 'second',
      notBefore: pki.responder.notBefore + 10,
    })
    const context = { issuerSKI: world.issuer.record.ski, responderName: 'second', spki: responder.spki }
    const key = await wrapKey(pki.responder.pkcs8, KEK, context)
    const added = await place.admin.addResponder(1, responder, key, world.clock.nowMs())
    await revoke(0)
    expect(await world.presign(place)).toMatchObject({ signatures: 2 }) // the old one's stay until they end
    expect(bundle().responders).toHaveLength(2)
    const [first] = world.issuer.record.responders
    await place.admin.retireResponder(1, first?.id ?? 0, world.clock.nowMs())
    await revoke(1)
    expect(await world.presign(place)).toMatchObject({ signatures: 2 * (COUNT - 1) })
    expect(bundle().responders.map(({ id }) => id)).toEqual([added.id])
  })

  test('an issuer that is frozen or disabled is not built at all', async () => {
    await revoke(0)
    await place.overlayStore.freeze([1], world.clock.nowMs())
    expect(await world.presign(place)).toMatchObject({ built: 0, remaining: 0 })
    await place.admin.thaw(1, world.clock.nowMs())
    await place.admin.updateIssuer(1, { enabled: false }, world.clock.nowMs())
    expect(await world.presign(place)).toMatchObject({ built: 0 })
    await place.admin.updateIssuer(1, { enabled: true }, world.clock.nowMs())
    expect(await world.presign(place)).toMatchObject({ built: 1 })
  })
})

test('many changes in one day never need more windows than a bundle holds', async () => {
  await world.presign(place)
  for (let n = 0; n < 40; n += 1) {
    await add(200 + n, 1)
    world.clock.advance(70_000)
    await revoke(200 + n)
    world.clock.advance(2_000)
    expect(await world.presign(place, { all: true })).toMatchObject({ failed: 0 })
    expect(bundle().windows.length).toBeLessThanOrEqual(16)
  }
  for (let n = 0; n < 40; n += 1) expect(entry(200 + n).certStatus.type).toBe('revoked')
  const der = bundle().response(entry(239), 0)
  const { responses } = decodeSuccessfulResponse(der ?? new Uint8Array()).tbsResponseData
  expect(responses[0]?.certID.serialNumber).toEqual(serial(239))
})
