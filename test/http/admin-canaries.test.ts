/** The canaries of the API, over the real record. */
import { beforeEach, expect, test } from 'vitest'
import { changeCanary } from '../../src/overlay/canary.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { addIssuer } from './admin-pki.ts'
import { type AdminWorld, adminWorld, NOW } from './admin-world.ts'

let world: AdminWorld
let nowMs: number

beforeEach(() => {
  nowMs = NOW * 1000
  const db = new SqliteD1({ now: () => nowMs / 1000 })
  const record = new D1AdminStore(db)
  const canaries = new D1CanaryStore(db)
  const clock = { nowMs: () => nowMs }
  const publishChange = (issuer: number, revision: number) => world.deps.publish({ issuer, revision })
  world = adminWorld({
    store: record,
    canaries,
    changeCanary: (canary) => changeCanary({ canaries, record, publishChange, clock }, canary, true),
    clock,
  })
})

const set = (enabled: boolean) => world.call('POST', '/issuers/demo/canary', { enabled })
const change = () => world.call('POST', '/issuers/demo/canary/change')

test('switched on it is recorded as a good certificate of a serial of its own, which it keeps', async () => {
  await addIssuer(world)
  const on = await set(true)
  expect(on.at('')).toMatchObject({
    issuer: 'demo',
    enabled: true,
    rounds: 0,
    changedAt: null,
    lastSeconds: null,
  })
  const serial = String(on.at('serial'))
  expect(serial).toMatch(/^4f[0-9a-f]{30}$/)
  expect((await world.call('GET', `/issuers/demo/certificates/${serial}`)).at('status')).toBe('good')
  expect((await set(false)).at('serial')).toBe(serial)
  expect((await set(true)).at('serial')).toBe(serial)
  expect((await world.call('GET', '/canaries')).at('canaries.0.serial')).toBe(serial)
})

test('each change turns it around and is published', async () => {
  await addIssuer(world)
  const serial = String((await set(true)).at('serial'))
  world.happened.length = 0
  const statuses: unknown[] = []
  for (let i = 0; i < 3; i += 1) {
    nowMs += 1_000
    const answer = await change()
    statuses.push(answer.at('status'))
    expect(world.happened.at(-1)).toBe(`publish 1@${answer.at('revision')}`)
    const shown = await world.call('GET', `/issuers/demo/certificates/${serial}`)
    expect(shown.at('status')).toBe(answer.at('status'))
  }
  expect(statuses).toEqual(['hold', 'released', 'hold'])
})

test('nobody changes what is not there or off, and public-trust has no holds (R4.21)', async () => {
  await addIssuer(world)
  expect((await change()).at('error.hint')).toContain('canary enable demo')
  await set(true)
  await set(false)
  expect((await change()).status).toBe(404)
  expect((await world.call('POST', '/issuers/nobody/canary', { enabled: true })).status).toBe(404)
  expect((await world.call('POST', '/issuers/demo/canary', {})).status).toBe(400)
  await world.call('PATCH', '/issuers/demo', { policy: { profile: 'public-trust' } })
  const refused = await set(true)
  expect([refused.status, refused.at('error.code')]).toEqual([422, 'changeRefused'])
})

test('of a final issuer nothing changes any more, the canary neither', async () => {
  const answer = await addIssuer(world)
  expect(answer.status).toBe(201)
  const store = world.deps.store
  await store.finalizeIssuer(1, nowMs)
  expect((await set(true)).status).toBe(409)
})
