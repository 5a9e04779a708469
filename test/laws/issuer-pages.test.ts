/** Law 3: who should have written an issuer's page may die of it or come late; the cron sees that the page is there. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { repairIssuerPages } from '../../src/jobs/issuer-pages.ts'
import { respond } from '../../src/responder/respond.ts'
import { decodeIssuerPage, encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { EPOCH } from '../support/clock.ts'
import { World } from '../support/world.ts'
import { requestFor } from '../support/world-requests.ts'

const SERIAL = Uint8Array.of(0x31, 1)
let world: World

beforeEach(async () => {
  world = await World.create({ seed: 4, maxLagSeconds: 0 }, ['unauthorized'])
  const place = world.makePlace(0)
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  await world.add(place, world.issuer, [{ serial: SERIAL, status: 'good', ...dates }])
  world.clock.advance(2_000)
  await world.presign(place, { all: true })
})
afterEach(() => world.close())

const page = () => `i/${world.issuer.record.id}`

function repair(): Promise<number> {
  const { recovery, derived, presign } = world.isolate(0, {})
  return repairIssuerPages({
    recovery,
    derived,
    status: presign.status,
    clock: world.clock,
    encodePage: encodeIssuerPage,
    decodePage: decodeIssuerPage,
  })
}

/** Of an isolate that has just started, and cannot reach the record. */
async function coldAnswer(): Promise<string> {
  const cold = world.isolate(1, {
    before(port) {
      if (port === 'd1') throw new Error('away')
    },
  })
  const answer = await respond(requestFor(world.issuer.record, [SERIAL]), cold.responder)
  return answer.responseStatus
}

/** The configuration changes, and whoever changed it dies before its page is written. */
async function changeWithoutPage(): Promise<void> {
  world.clock.advance(2_000)
  const place = world.isolate(0, {})
  const policy = { ...world.issuer.record.policy, maxAge: 60 }
  await place.admin.updateIssuer(world.issuer.record.id, { policy }, world.clock.nowMs())
  world.clock.advance(2_000)
  await world.publish(place)
}

test('a page that was never written after a change is written by the cron (R6.18)', async () => {
  expect(await coldAnswer()).toBe('successful')
  await changeWithoutPage()
  expect(await coldAnswer()).toBe('tryLater')
  expect(await repair()).toBe(1)
  expect(await coldAnswer()).toBe('successful')
  expect(await repair()).toBe(0)
})

test('an older page that somebody puts late over a newer one is replaced', async () => {
  const older = world.kv.last(page())
  await changeWithoutPage()
  await repair()
  const newer = world.kv.last(page())
  for (const bytes of [older ?? new Uint8Array(), newer?.subarray(0, 40) ?? new Uint8Array()]) {
    world.kv.set(page(), bytes)
    expect(await coldAnswer()).toBe('tryLater')
    expect(await repair()).toBe(1)
    expect(world.kv.last(page())).toEqual(newer)
    expect(await coldAnswer()).toBe('successful')
  }
})

test('issuers that have not changed for an hour cost nothing', async () => {
  await changeWithoutPage()
  world.clock.advance(3_601_000)
  expect(await repair()).toBe(0)
})
