/** A CA turns out compromised between two steps of whoever signs (R1.41): found by random interleavings, kept as they were. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EPOCH } from '../support/clock.ts'
import { type Place, World } from '../support/world.ts'
import type { CertificateHistory } from '../support/world-history.ts'
import { quiet } from '../support/world-quiet.ts'

const SERIAL = Uint8Array.of(0x24, 1)

let world: World
let operator: Place
let certificate: CertificateHistory

beforeEach(async () => {
  world = await World.create({ seed: 9, maxLagSeconds: 0 }, ['unauthorized'])
  operator = world.makePlace(0)
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  await world.add(operator, world.issuer, [{ serial: SERIAL, status: 'good', ...dates }])
  certificate = world.history(world.issuer, SERIAL)
  pass(2)
})
afterEach(() => world.end())

const pass = (seconds: number) => world.clock.advance(seconds * 1000)

async function compromise(): Promise<void> {
  const { issuer, clock } = world
  await world.configure(operator, issuer, () =>
    operator.admin.compromiseIssuer(issuer.record.id, clock.seconds - 60, clock.nowMs()),
  )
}

test('a builder that knew the issuer before it was compromised writes nothing that says good (R1.41, law 2)', async () => {
  world.stopAt = { port: 'd1', phase: 'before', what: /SELECT seq, floor/ }
  const builder = await world.begin('presign', 0, (place) => world.presign(place, { all: true }))
  expect(world.jobs).toContain(builder)
  await compromise()
  await world.goOn(builder)
  pass(400)
  await world.publish(operator)
  for (const colo of [0, 1]) {
    const answer = await world.ask(world.makePlace(colo), certificate, 'SHA-1')
    expect(answer).toMatchObject({ origin: 'bundle', certStatus: 'revoked' })
  }
  world.checkWorld()
})

test('a question that was stopped before the compromise and goes on after it gets revoked (R1.41, law 2)', async () => {
  const place = world.makePlace(0)
  place.fragile = true
  world.stopAt = { port: 'd1', phase: 'before', what: /found/ }
  const work = world.ask(place, certificate)
  expect(await place.actor.run(work)).toBe(false)
  await quiet()
  await compromise()
  pass(400)
  await world.publish(operator)
  place.actor.resume()
  expect(await place.actor.run(work)).toBe(true)
  expect(await work).toMatchObject({ certStatus: 'revoked' })
  world.checkWorld()
})
