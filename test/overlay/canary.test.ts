/** How long a change takes to be seen is measured by one that is made all the time. */
import { beforeEach, expect, test } from 'vitest'
import { type CanaryPorts, runCanaries } from '../../src/overlay/canary.ts'
import { publishChange } from '../../src/overlay/publisher.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { good, serial, setUp } from '../storage/fixtures.ts'
import { VirtualClock } from '../support/clock.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

let clock: VirtualClock
let admin: D1AdminStore
let canaries: D1CanaryStore
let issuer: number
/** Values of o/root with the time from which a reader sees them. */
let roots: { bytes: Uint8Array; fromMs: number }[]
let lagMs: number
let ports: CanaryPorts

beforeEach(async () => {
  clock = new VirtualClock()
  const db = new SqliteD1({ now: () => clock.nowMs() / 1000 })
  admin = new D1AdminStore(db)
  canaries = new D1CanaryStore(db)
  issuer = await setUp(admin, {}, clock.nowMs())
  await admin.addCertificates(issuer, [good(0)], clock.nowMs())
  await canaries.setCanary(issuer, serial(0), true)
  roots = []
  lagMs = 0
  const sleep = async (ms: number) => clock.advance(ms)
  const derived = {
    readRoot: async () => roots.findLast(({ fromMs }) => fromMs <= clock.nowMs())?.bytes ?? null,
    readPage: async () => null,
    writeRoot: async (bytes: Uint8Array) => {
      roots.push({ bytes, fromMs: clock.nowMs() + lagMs })
    },
  }
  const publisher = { overlay: new D1OverlayStore(db), derived, clock, random: () => 7, sleep }
  ports = {
    canaries,
    record: admin,
    publishChange: (id, revision) => publishChange(publisher, id, revision),
    derived,
    clock,
    sleep,
    boundMs: 300_000,
  }
})

const minute = async () => {
  clock.advance(60_000)
  await runCanaries(ports)
}
const state = async () => (await canaries.listCanaries())[0]
const status = async () => (await admin.readCertificate(issuer, serial(0)))?.status

test('is put on hold and released in turn, and what it took to be seen is noted', async () => {
  await minute()
  expect(await status()).toBe('hold')
  expect(await state()).toMatchObject({ rounds: 1, lastLagMs: 0, late: 0 })
  lagMs = 12_000
  await minute()
  expect(await status()).toBe('released')
  expect(await state()).toMatchObject({ rounds: 2, lastLagMs: 15_000, worstLagMs: 15_000 }) // looked for every 5 s
  lagMs = 0
  await minute()
  expect(await status()).toBe('hold')
  expect(await state()).toMatchObject({ rounds: 3, lastLagMs: 0, worstLagMs: 15_000 })
})

test('what is not seen is looked for by the next runs, nothing is changed meanwhile, and past the bound it is late', async () => {
  lagMs = 330_000
  await minute()
  const began = clock.nowMs() - 40_000
  for (let i = 0; i < 2; i += 1) {
    await minute()
    expect(await state()).toMatchObject({ rounds: 0, late: 0 })
    expect(await status()).toBe('hold')
  }
  await minute()
  expect(await state()).toMatchObject({ rounds: 1, late: 1, worstLagMs: 330_000 })
  expect(clock.nowMs() - began).toBe(330_000)
})

test('a root that cannot be read or is corrupt is not one in which it was seen', async () => {
  ports = { ...ports, derived: { readRoot: async () => Uint8Array.of(1, 2) } }
  await minute()
  expect(await state()).toMatchObject({ rounds: 0 })
})

test('a canary that is switched off is left as it is', async () => {
  await canaries.setCanary(issuer, serial(0), false)
  await minute()
  expect(await status()).toBe('good')
})
