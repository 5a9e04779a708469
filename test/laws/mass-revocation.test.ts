/**
 * Attack 12, a mass revocation among everything else: publishers and builders that stop half-way, lagging KV, isolates that come
 * and go. The world judges every answer by itself: nobody goes back from revoked to good, nobody is left without an answer.
 */
import { describe, expect, test } from 'vitest'
import type { MassRequest } from '../../src/ports/mass-store.ts'
import { END } from '../../src/storage/mass-revocation.ts'
import { EPOCH } from '../support/clock.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'

const COUNT = 48
const PARTS = 6
const DAY = 86_400
const serial = (n: number) => Uint8Array.of(0x22, 0x5a, n >>> 8, n & 0xff)

/** A part of the serial numbers; all parts together are one event. */
const part = (n: number): MassRequest => ({
  where: {
    serialFrom: serial((n * COUNT) / PARTS),
    serialTo: serial(((n + 1) * COUNT) / PARTS - 1),
    reserved: false,
  },
  to: 'revoked',
  reason: 4,
  revocationTime: undefined,
})

async function revokePart(world: World, place: Isolate, n: number): Promise<void> {
  const request = part(n)
  let run = await place.admin.startMass(world.issuer.record.id, request, world.clock.nowMs())
  while (run.cursor < END) {
    const { cursor } = await place.admin.stepMass(run, request, world.clock.nowMs())
    run = { ...run, cursor }
  }
}

describe('a mass revocation', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('breaks no law, whatever stops (seed %i)', async (seed) => {
    const world = await World.create({ seed, maxLagSeconds: 200 }, ['unauthorized'])
    const { random, clock } = world
    const [first] = world.places
    if (first === undefined) throw new Error('a world without places')
    const dates = { notBefore: EPOCH - DAY, notAfter: EPOCH + 90 * DAY }
    const rows = Array.from({ length: COUNT }, (_, n) => ({
      serial: serial(n),
      status: 'good' as const,
      ...dates,
    }))
    await world.add(first, world.issuer, rows)
    for (let minute = 0; minute < 8; minute += 1) {
      clock.advance(60_000)
      await world.cron(first) // signs, and doubles the slots
    }
    const certificate = (n: number) => world.history(world.issuer, serial(n))
    const answered: string[] = []
    const askSome = async (count: number) => {
      for (let i = 0; i < count; i += 1) {
        const place = random.pick(world.places)
        const answer = await world.ask(
          place,
          certificate(random.between(0, COUNT - 1)),
          random.pick(['SHA-1', 'SHA-256']),
        )
        answered.push(answer.responseStatus)
      }
    }
    await askSome(30)

    let stopped = 0
    for (let n = 0; n < PARTS; n += 1) {
      // The run is stopped at a call of its own, and its operator asks for the same again.
      world.weather.pauseShare = 0.15
      const revoking = await world.begin('mass revocation', 0, (place) => revokePart(world, place, n))
      const building = await world.begin('cron', 1, (place) => world.cron(place))
      world.weather.pauseShare = 0
      await askSome(12)
      clock.advance(random.between(1, 40) * 1000)
      await revokePart(world, first, n)
      await world.publish(first)
      await askSome(12)
      if (random.chance(0.5)) world.restart(random.between(0, world.places.length - 1))
      for (const job of [revoking, building]) {
        if (!world.jobs.includes(job)) continue
        stopped += 1
        if (random.chance(0.7)) await world.goOn(job, random.chance(0.4))
      }
      clock.advance(20_000)
      await world.cron(first)
      await askSome(12)
      world.checkWorld()
    }
    expect(world.record.rows('SELECT count(*) AS n FROM certificates WHERE status = 1')).toEqual([
      { n: COUNT },
    ])
    expect(world.record.rows("SELECT count(*) AS n FROM audit WHERE action = 'certificate.revoked'")).toEqual(
      [{ n: COUNT }],
    )

    // Past B every place knows all of it; past the lag and some crons the bundles are built anew.
    for (let minute = 0; minute < 30; minute += 1) {
      clock.advance(60_000)
      await world.cron(first)
    }
    for (const job of [...world.jobs]) await world.goOn(job)
    for (const place of [...world.places, world.makePlace(0)])
      for (let n = 0; n < COUNT; n += 1) {
        const answer = await world.ask(place, certificate(n))
        expect(answer).toMatchObject({ responseStatus: 'successful', certStatus: 'revoked' })
      }
    const unbuilt =
      'SELECT count(*) AS n FROM slots s JOIN issuers i ON s.issuer = i.id AND s.k = i.k WHERE changed_seq > built_seq'
    expect(world.record.rows(unbuilt)).toEqual([{ n: 0 }])
    world.checkWorld()
    // Nobody was refused an answer while it ran.
    expect(new Set(answered)).toEqual(new Set(['successful']))
    expect(stopped).toBeGreaterThan(0)
    await world.end()
  })
})
