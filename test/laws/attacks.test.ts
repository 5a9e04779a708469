/** The attacks on the design, each as the interleaving that breaks a weaker one; the world judges every answer by itself. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publish } from '../../src/overlay/publisher.ts'
import { encodeRoot } from '../../src/overlay/root-encoder.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { EPOCH } from '../support/clock.ts'
import { type Place, World } from '../support/world.ts'
import type { CertificateHistory } from '../support/world-history.ts'
import type { Variant } from '../support/world-isolate.ts'
import { checkSettled } from '../support/world-steps.ts'
import { dirtyAsFlag, forgetfulReader, positionReadAfterwards } from '../support/world-variants.ts'

const VALIDITY = 7_200
const serial = (n: number) => Uint8Array.of(0x22, 0x5a, n >>> 8, n & 0xff)

let world: World
let first: Place
let other: Place

async function begin(variant?: Variant): Promise<void> {
  world = await World.create({ seed: 7, maxLagSeconds: 0, ...(variant === undefined ? {} : { variant }) }, [
    'unauthorized',
  ])
  first = world.makePlace(0)
  other = world.makePlace(1)
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  const rows = Array.from({ length: 6 }, (_, n) => ({ serial: serial(n), status: 'good' as const, ...dates }))
  await world.add(first, world.issuer, rows)
  pass(2)
  await world.presign(first, { all: true })
}

beforeEach(() => begin())
afterEach(() => world.close())

const pass = (seconds: number) => world.clock.advance(seconds * 1000)
const certificate = (n: number): CertificateHistory => world.history(world.issuer, serial(n))
const said = (answer: Answer) =>
  answer.responseStatus === 'successful' ? answer.certStatus : answer.responseStatus
const revoke = (n: number, reason = 1, place = first) =>
  world.change(place, certificate(n), { to: 'revoked', reason })

async function ask(
  n: number,
  place = first,
  hash: 'SHA-1' | 'SHA-256' | 'SHA-384' = 'SHA-256',
): Promise<string> {
  const answer = await world.ask(place, certificate(n), hash)
  return said(answer)
}

/** The heartbeat, every minute. */
async function live(seconds: number, place = first): Promise<void> {
  for (let passed = 0; passed < seconds; passed += 60) {
    pass(Math.min(60, seconds - passed))
    await publish(place.publisher)
  }
}

describe('attack 1: an old overlay looks like "no change"', () => {
  beforeEach(async () => {
    expect(await ask(0, other)).toBe('good')
    await world.begin('revocation', 0, async (place) => {
      world.weather.kvAwayUntilMs = world.clock.nowMs() + 3_600_000 // the record takes it, no root can be put
      await world.change(place, certificate(0), { to: 'revoked', reason: 1 }).catch(() => undefined)
    })
  })

  test('after B nobody believes the old root; the record answers in its stead (R6.5)', async () => {
    pass(301)
    expect(await ask(0, other)).toBe('revoked')
    expect(await ask(1, other)).toBe('good')
    world.checkWorld()
  })

  test('with the record away too, nothing is said at all', async () => {
    pass(301)
    world.weather.recordAwayUntilMs = world.clock.nowMs() + 600_000
    expect(await ask(0, other)).toBe('tryLater')
    expect(await ask(1, other)).toBe('tryLater')
    world.checkWorld()
  })
})

describe('attack 2: retention shorter than the life of copies', () => {
  test('a zombie that puts the good bundle hours after the revocation is not believed (R6.4)', async () => {
    const old = world.kv.last('b/1/0/0') ?? new Uint8Array()
    await revoke(0)
    await live(VALIDITY - 700)
    await world.presign(first)
    world.kv.set('b/1/0/0', old)
    for (const place of [world.makePlace(0), world.makePlace(2)]) expect(await ask(0, place)).toBe('revoked')
    world.checkWorld()
  })

  test('the item is dropped when every copy from before has ended, and not sooner', async () => {
    await revoke(0)
    const { keep_until: until } = world.record.rows('SELECT keep_until FROM changes')[0] ?? {}
    expect(until).toBeGreaterThanOrEqual(world.clock.seconds + VALIDITY)
    world.clock.moveTo(Number(until))
    expect(await first.overlayStore.pruneOverlay(world.clock.seconds)).toBe(0)
    pass(1)
    expect(await first.overlayStore.pruneOverlay(world.clock.seconds)).toBe(1)
  })
})

describe('attack 3: publishers race', () => {
  test('a publisher that read before a revocation and puts after the next root takes nobody back', async () => {
    world.stopAt = { port: 'kv.put', phase: 'before', what: /root/ }
    const zombie = await world.begin('publisher', 2, (place) => publish(place.publisher))
    pass(16)
    await revoke(0)
    expect(await ask(0, other)).toBe('revoked')
    await world.goOn(zombie)
    pass(31)
    expect(await ask(0, other)).toBe('revoked')
    await live(60)
    expect(await ask(0, world.makePlace(1))).toBe('revoked')
    world.checkWorld()
  })

  test('a root with a higher version that was read before is not adopted over one that knows more', async () => {
    const [before] = [await first.overlayStore.readOverlay()]
    await revoke(0)
    expect(await ask(0)).toBe('revoked')
    const nowMs = world.clock.nowMs()
    world.kv.set('o/root', encodeRoot(before, nowMs + 5_000, nowMs, 1))
    pass(31)
    expect(await ask(0)).toBe('revoked')
    expect(await ask(0, first, 'SHA-1')).toBe('revoked')
    world.checkWorld()
  })
})

describe('attack 4: a restored database', () => {
  beforeEach(async () => {
    const restore = world.record.backup()
    pass(3_000)
    await revoke(0)
    expect(await ask(0)).toBe('revoked')
    pass(60)
    restore()
    world.replaying = true
    await publish(other.publisher)
    pass(31)
  })

  test('is noticed by the next publisher; nothing is signed, nothing from before the lost revocation is served', async () => {
    expect(world.record.rows('SELECT frozen FROM issuers')).toEqual([{ frozen: 1 }])
    for (const place of [first, other, world.makePlace(2)]) expect(await ask(0, place)).not.toBe('good')
    expect(await ask(1, world.makePlace(2))).toBe('good') // pre-signed, and nothing happened to it
    expect(await world.presign(first)).toMatchObject({ built: 0 })
    world.checkWorld()
  })

  test('an isolate that has no root to vouch for the lost changes says nothing of the issuer', async () => {
    const root = world.kv.last('o/root') ?? new Uint8Array()
    world.kv.set('o/root', new Uint8Array()) // all that is left is the restored record
    expect(await ask(0, world.makePlace(2))).toBe('internalError')
    expect(await ask(1, world.makePlace(2))).toBe('internalError')
    world.kv.set('o/root', root)
    expect(await ask(1, world.makePlace(2))).toBe('good')
    world.checkWorld()
  })

  test('sequences go on above the lost ones, and after replay and thaw all is as it was', async () => {
    await world.change(first, certificate(0), { to: 'revoked', reason: 1 })
    pass(1)
    const thawed = await first.admin.thaw(1, world.clock.nowMs())
    expect(thawed).toBeGreaterThan((EPOCH + 3_000) * 1_000_000)
    pass(2)
    await publish(first.publisher)
    expect(await ask(0, world.makePlace(1))).toBe('revoked')
    expect((await world.presign(first)).built).toBe(1)
    expect(await ask(1, world.makePlace(1))).toBe('good')
    world.checkWorld()
  })
})

test('attack 5: a release that was decided on a hold does not undo a revocation committed meanwhile', async () => {
  await world.change(first, certificate(0), { to: 'hold' })
  await revoke(0, 1, other)
  await world.change(first, certificate(0), { to: 'released' })
  expect(await ask(0)).toBe('revoked')
  const added = await first.admin.addCertificates(
    1,
    [{ serial: serial(0), status: 'good' }],
    world.clock.nowMs(),
  )
  expect(added[0]).toHaveProperty('refused')
  world.checkWorld()
})

test('attack 6: a serial recorded after its bundle was built is answered by the record, never refused (R1.39)', async () => {
  await world.add(first, world.issuer, [
    { serial: serial(9), status: 'good', notBefore: EPOCH - 60, notAfter: EPOCH + 9e6 },
  ])
  for (const place of [first, other]) expect(await ask(9, place)).toBe('good')
  world.checkWorld()
})

describe('attack 7: lost dirty flags and outlived leases', () => {
  async function buildOverRevocation(): Promise<void> {
    await revoke(1) // so that there is something to build
    world.stopAt = { port: 'kv.put', phase: 'before', what: /^b/ }
    const builder = await world.begin('builder', 0, (place) => world.presign(place))
    expect(builder.actor.isPaused).toBe(true)
    pass(2)
    await revoke(0)
    await world.goOn(builder)
  }

  /** The bundles alone must know it all now. */
  async function settle(): Promise<void> {
    pass(2)
    await publish(first.publisher)
    await checkSettled(world)
  }

  test('a slot that changed while it was being built stays due, and is built again', async () => {
    await buildOverRevocation()
    expect(await first.slots.countDue(world.clock.seconds, { all: false })).toBe(1)
    expect(await world.presign(first)).toMatchObject({ built: 1, remaining: 0 })
    await settle()
  })

  test('with dirty as a flag the same interleaving leaves it out for good', async () => {
    world.close()
    await begin(dirtyAsFlag())
    await buildOverRevocation()
    expect(await world.presign(first)).toMatchObject({ built: 0 })
    await expect(settle()).rejects.toThrow(/law 3/)
  })

  test('a builder whose lease was taken over records nothing, and the slot is built once more', async () => {
    await revoke(1)
    world.stopAt = { port: 'kv.put', phase: 'before', what: /^b/ }
    const zombie = await world.begin('builder', 0, (place) => world.presign(place))
    await live(1_260)
    await revoke(0)
    expect(await world.presign(first)).toMatchObject({ built: 1 })
    await world.goOn(zombie) // its good bundle lands over the revoked one
    expect(await ask(0, world.makePlace(1))).toBe('revoked')
    await live(60)
    expect(await world.presign(first)).toMatchObject({ built: 1 })
    await settle()
  })

  test('no put starts later than ten minutes into a lease', async () => {
    await revoke(1)
    world.stopAt = { port: 'signer', phase: 'after' }
    const slow = await world.begin('builder', 0, (place) => world.presign(place))
    const puts = world.kv.puts
    pass(601)
    await world.goOn(slow)
    expect(world.kv.puts).toBe(puts)
    expect(world.record.rows('SELECT failures FROM slots')).toEqual([{ failures: 1 }])
  })

  test('rows of one moment under the position of a later one are found out by the checker', async () => {
    const interleave = async () => {
      await revoke(1)
      world.stopAt = { port: 'd1', phase: 'after', what: /seq, floor, config_rev FROM issuers/ }
      const builder = await world.begin('builder', 0, (place) => world.presign(place))
      pass(2)
      await revoke(0)
      await world.goOn(builder)
      await live(360)
      await ask(0, world.makePlace(1))
    }
    await interleave()
    world.checkWorld()
    world.close()
    await begin(positionReadAfterwards())
    await interleave()
    expect(() => world.checkWorld()).toThrow(/law 2, bound/)
  })
})

describe('attack 8: a live signature is overtaken', () => {
  test('a status read before the revocation and signed after it is read again', async () => {
    first.fragile = true
    world.stopAt = { port: 'signer', phase: 'before' }
    const asked = world.ask(first, certificate(0), 'SHA-384')
    expect(await first.actor.run(asked)).toBe(false)
    await world.change(other, certificate(0), { to: 'revoked', reason: 1 })
    pass(400)
    await publish(other.publisher)
    first.actor.resume()
    expect(said(await asked)).toBe('revoked')
    expect(await ask(0, first, 'SHA-384')).toBe('revoked')
    expect(await ask(0, world.makePlace(0), 'SHA-384')).toBe('revoked') // nor did the data centre keep it
    world.checkWorld()
  })

  test('an answer whose nextUpdate passed on its way does not leave (law 1, R6.2)', async () => {
    first.fragile = true
    world.stopAt = { port: 'cache.match', phase: 'after' }
    const asked = world.ask(first, certificate(0))
    expect(await first.actor.run(asked)).toBe(false)
    await live(VALIDITY, other)
    first.actor.resume()
    expect(said(await asked)).toBe('good')
    world.checkWorld()
  })
})

describe('an isolate never goes back (law 2)', () => {
  test('what it told from the record stands for every hash, before any root names it', async () => {
    expect(await ask(0)).toBe('good')
    await first.admin.changeStatus(1, serial(0), { to: 'revoked', reason: 1 }, world.clock.nowMs())
    expect(await ask(0, first, 'SHA-384')).toBe('revoked')
    expect(await ask(0)).toBe('revoked')
    expect(await ask(0, first, 'SHA-1')).toBe('revoked')
    expect(await ask(0, other)).toBe('good') // another place may differ for B
    world.checkWorld()
  })

  test('a reader that goes back to older roots is found out by the checker', async () => {
    world.close()
    await begin(forgetfulReader())
    const old = world.kv.last('o/root') ?? new Uint8Array()
    expect(await ask(0)).toBe('good')
    await revoke(0)
    expect(await ask(0)).toBe('revoked')
    world.kv.set('o/root', old)
    expect(await ask(0, first, 'SHA-1')).toBe('good')
    expect(() => world.checkWorld()).toThrow(/law 2, monotone/)
  })
})

describe('attack 9: slots double while certificates change', () => {
  test('a revocation marks the slots of both eras, and no bundle of an earlier era is believed', async () => {
    await first.slots.startGrowth(world.clock.seconds, 3)
    expect(await world.presign(first)).toMatchObject({ built: 2 })
    pass(2)
    await revoke(0)
    expect(await first.slots.finishGrowth()).toEqual([1]) // its new slot is behind, which the overlay names
    pass(2)
    await publish(first.publisher)
    expect(await ask(0, world.makePlace(1))).toBe('revoked')
    expect(await world.presign(first)).toMatchObject({ built: 1 })
    for (const place of [first, other, world.makePlace(2)]) {
      expect(await ask(0, place)).toBe('revoked')
      expect(await ask(1, place)).toBe('good')
    }
    world.checkWorld()
  })
})

describe('attack 11: nothing in KV is "not ours" (law 3, R1.28)', () => {
  test('an emptied KV and cold isolates: the record answers, and the slots come back', async () => {
    world.kv.clear()
    for (const cache of world.caches) cache.clear()
    for (let n = 0; n < 6; n += 1) expect(await ask(n, world.makePlace(n % 3))).toBe('good')
    await revoke(0)
    expect(await ask(0, world.makePlace(2))).toBe('revoked')
    await world.presign(first)
    expect(world.kv.last('b/1/0/0')).toBeDefined()
    world.checkWorld()
  })
})
