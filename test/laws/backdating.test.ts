/** Attack 15: the times of what has just changed. The world judges every answer by itself. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { EPOCH } from '../support/clock.ts'
import { type Place, World } from '../support/world.ts'

const serial = (n: number) => Uint8Array.of(0x23, n)

let world: World
let first: Place

beforeEach(async () => {
  world = await World.create({ seed: 8, maxLagSeconds: 0 }, ['unauthorized'])
  first = world.makePlace(0)
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  const rows = [0, 1].map((n) => ({ serial: serial(n), status: 'good' as const, ...dates }))
  await world.add(first, world.issuer, rows)
  pass(2)
  await world.presign(first, { all: true })
})
afterEach(() => world.close())

const pass = (seconds: number) => world.clock.advance(seconds * 1000)
const certificate = (n: number) => world.history(world.issuer, serial(n))

describe('attack 15: backdating (R1.31, R1.65)', () => {
  const times = async (n: number) => {
    const answer = await world.ask(world.makePlace(1), certificate(n), 'SHA-1')
    if (answer.responseStatus !== 'successful') throw new Error(answer.responseStatus)
    const [single] = decodeSuccessfulResponse(answer.der).tbsResponseData.responses
    if (single === undefined) throw new Error('no SingleResponse')
    return { ...single, producedAt: answer.producedAt }
  }

  test('a fresh revocation: thisUpdate is not before the transition, whether signed live or in a bundle', async () => {
    pass(3_000)
    await world.change(first, certificate(0), { to: 'revoked', reason: 1 })
    pass(2)
    for (const step of ['live', 'bundle']) {
      const { thisUpdate, certStatus } = await times(0)
      expect(thisUpdate, step).toBeGreaterThanOrEqual(EPOCH + 3_002)
      expect(certStatus).toMatchObject({ type: 'revoked' })
      await world.presign(first)
    }
    expect((await times(1)).thisUpdate).toBeLessThan(EPOCH + 3_000) // the others are backdated as ever
    world.checkWorld()
  })

  test('a released hold says good from the release on, never from before it', async () => {
    await world.change(first, certificate(0), { to: 'hold' })
    pass(100)
    await world.change(first, certificate(0), { to: 'released' })
    const released = world.clock.seconds
    pass(2)
    await world.presign(first)
    const { thisUpdate, certStatus } = await times(0)
    expect(certStatus.type).toBe('good')
    expect(thisUpdate).toBeGreaterThanOrEqual(released - 2)
    world.checkWorld()
  })

  test('a CA clock two seconds fast: the revocation time is clamped to now', async () => {
    const ahead = world.clock.seconds + 2
    await world.change(first, certificate(0), { to: 'revoked', reason: 1, revocationTime: ahead })
    const { certStatus, thisUpdate } = await times(0)
    if (certStatus.type !== 'revoked') throw new Error(certStatus.type)
    expect(certStatus.revocationTime).toBeLessThan(ahead)
    expect(thisUpdate).toBeGreaterThanOrEqual(certStatus.revocationTime)
    world.checkWorld()
  })
})
