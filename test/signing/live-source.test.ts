/** Answers signed on demand: what they are read from, and when none may be given. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publish } from '../../src/overlay/publisher.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { respond } from '../../src/responder/respond.ts'
import { EPOCH } from '../support/clock.ts'
import { type Place, World } from '../support/world.ts'
import { requestFor } from '../support/world-requests.ts'

const SERIAL = Uint8Array.of(0x17, 1)
const SECOND = Uint8Array.of(0x17, 2)
const ABSENT = Uint8Array.of(0x17, 9)

let world: World
let place: Place

beforeEach(async () => {
  world = await World.create({ seed: 17, maxLagSeconds: 0, colos: 2 }, ['unauthorized'])
  place = world.makePlace(0)
  const dates = { status: 'good' as const, notBefore: EPOCH - 60, notAfter: EPOCH + 9e6 }
  await world.add(place, world.issuer, [
    { serial: SERIAL, ...dates },
    { serial: SECOND, ...dates },
  ])
  world.clock.advance(2_000)
})
afterEach(() => world.close())

const history = (serial = SERIAL) => world.history(world.issuer, serial)
const der = (serials = [SERIAL], nonce?: Uint8Array) =>
  requestFor(world.issuer.record, serials, nonce === undefined ? {} : { nonce })

const ask = async (serials = [SERIAL], at = place): Promise<Answer> => respond(der(serials), at.responder)
const reason = (answer: Answer) =>
  answer.responseStatus !== 'successful' && answer.error instanceof StorageError
    ? answer.error.reason
    : answer.responseStatus

describe('an answer from the record', () => {
  test('is kept in memory and in the data centre, for other isolates', async () => {
    expect(await ask()).toMatchObject({ origin: 'live', certStatus: 'good' })
    expect(await ask()).toMatchObject({ origin: 'memory' })
    world.weather.recordAwayUntilMs = Number.POSITIVE_INFINITY
    expect(await ask([SERIAL], world.makePlace(0))).toMatchObject({ origin: 'cache' })
    expect(await ask([SERIAL], world.makePlace(1))).toMatchObject({ responseStatus: 'tryLater' })
  })

  test('is asked for once by however many requests at the same time', async () => {
    await ask([SECOND]) // root, issuer and key are there
    const calls = world.record.calls
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask()))
    expect(answers.every(({ responseStatus }) => responseStatus === 'successful')).toBe(true)
    expect(world.record.calls - calls).toBe(1)
  })

  test('is refused when the record is behind the published overlay: a replica, or a restore (attack 4)', async () => {
    const restore = world.record.backup()
    await world.change(place, history(SECOND), { to: 'revoked', reason: 1 })
    restore()
    expect(reason(await ask())).toBe('unavailable')
  })

  test('is refused while the issuer is frozen, also with a nonce or several CertIDs', async () => {
    await place.overlayStore.freeze([1], world.clock.nowMs())
    await publish(place.publisher)
    for (const request of [der(), der([SERIAL, SECOND]), der([SERIAL], Uint8Array.of(1, 2, 3, 4))])
      expect(await respond(request, place.responder)).toMatchObject({
        responseStatus: 'internalError',
        error: { reason: 'frozen' },
      })
  })

  test('is read once more when it was overtaken, and given up when that happens again (attack 8)', async () => {
    await ask([SECOND])
    let changes = 0
    const toggle = async () => {
      changes += 1
      const to = changes % 2 === 1 ? ('hold' as const) : ('released' as const)
      world.clock.advance(2_000)
      await place.admin.changeStatus(1, SERIAL, { to }, world.clock.nowMs())
      await publish(place.publisher)
    }
    const { ready } = place.signers
    place.signers.ready = async (issuer, now) => {
      const key = await ready.call(place.signers, issuer, now)
      const sign = async (tbs: Uint8Array) => {
        if (changes < limit) await toggle()
        return key.signer.sign(tbs)
      }
      return { ...key, signer: { ...key.signer, sign } }
    }
    let limit = 1
    expect(await ask()).toMatchObject({ responseStatus: 'successful', certStatus: 'revoked' })
    limit = 100
    world.clock.advance(2_000)
    await place.admin.changeStatus(1, SERIAL, { to: 'released' }, world.clock.nowMs())
    changes = 0
    await publish(place.publisher)
    const given = await ask()
    expect(given).toMatchObject({ responseStatus: 'tryLater', error: { reason: 'overtaken' } })
    expect(changes).toBeLessThan(8)
  })
})

describe('absence', () => {
  test('is remembered for a minute, and forgotten by the isolate that records the certificate', async () => {
    expect(await ask([ABSENT])).toMatchObject({ responseStatus: 'unauthorized' })
    const other = world.makePlace(1)
    const calls = world.record.calls
    expect(await ask([ABSENT])).toMatchObject({ responseStatus: 'unauthorized' })
    expect(world.record.calls).toBe(calls)
    expect(await ask([ABSENT], other)).toMatchObject({ responseStatus: 'unauthorized' })
    await world.add(place, world.issuer, [
      { serial: ABSENT, status: 'good', notBefore: EPOCH - 60, notAfter: EPOCH + 9e6 },
    ])
    expect(await ask([ABSENT])).toMatchObject({ certStatus: 'good' })
    world.clock.advance(59_000)
    await publish(place.publisher)
    expect(await ask([ABSENT], other)).toMatchObject({ responseStatus: 'unauthorized' })
    world.clock.advance(1_000)
    expect(await ask([ABSENT], other)).toMatchObject({ certStatus: 'good' }) // well within 15 minutes (R1.39)
  })

  test('does not outlast a change that the overlay names', async () => {
    const policy = { ...world.issuer.record.policy, unknown: 'unknown' as const }
    await place.admin.updateIssuer(1, { policy }, world.clock.nowMs())
    world.clock.advance(2_000)
    await publish(place.publisher)
    expect(await ask([ABSENT])).toMatchObject({ certStatus: 'unknown' })
    await place.admin.addCertificates(
      1,
      [{ serial: ABSENT, status: 'revoked', reason: 1 }],
      world.clock.nowMs(),
    )
    world.clock.advance(2_000)
    await publish(place.publisher)
    expect(await ask([ABSENT])).toMatchObject({ certStatus: 'revoked' })
  })
})

test('several CertIDs and nonces are budgeted apart (R3.13)', async () => {
  let refused = 0
  for (let n = 0; n < 510; n += 1) if (reason(await ask([SERIAL, SECOND])) === 'overBudget') refused += 1
  expect(refused).toBe(10)
  expect(await ask()).toMatchObject({ responseStatus: 'successful' })
})
