/** Law 3: losing all of KV loses nothing. Right answers at once, from the record; bundles again, the most asked for first. */
import { expect, test } from 'vitest'
import { bundleKey, serialHash, slotOf } from '../../src/bundle/slot.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { EPOCH } from '../support/clock.ts'
import { World } from '../support/world.ts'

const COUNT = 60
const serials = Array.from({ length: COUNT }, (_, n) => Uint8Array.of(0x21, n))

async function settled() {
  const world = await World.create({ seed: 5, maxLagSeconds: 0 }, ['unauthorized'])
  const place = world.makePlace(0)
  const { issuer } = world
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  await world.add(
    place,
    issuer,
    serials.map((serial) => ({ serial, status: 'good' as const, ...dates })),
  )
  const histories = serials.map((serial) => world.history(issuer, serial))
  for (const n of [3, 40]) {
    const history = histories[n]
    if (history !== undefined) await world.change(place, history, { to: 'revoked', reason: 1 })
  }
  for (let minute = 0; minute < 12; minute += 1) {
    world.clock.advance(60_000)
    await world.cron(place)
  }
  const [state] = (await place.admin.globals(world.clock.seconds)).issuers
  if (state === undefined) throw new Error('no issuer')
  world.clock.advance(700_000) // whatever was put has been carried everywhere
  await world.cron(place)
  const bundles = () =>
    Array.from({ length: 2 ** state.k }, (_, slot) => slot).filter(
      (slot) => world.kv.last(bundleKey(issuer.record.id, state.k, slot)) !== undefined,
    )
  const slotFor = (n: number) => slotOf(serialHash(serials[n] ?? new Uint8Array()), state.k)
  const wanted = [...new Set(serials.map((_, n) => slotFor(n)))].sort((a, b) => a - b)
  return { world, histories, k: state.k, bundles, slotFor, wanted }
}

const originOf = (answer: Answer) =>
  answer.responseStatus === 'successful' ? answer.origin : answer.responseStatus

test('with all of KV lost every answer is right at once, and the bundles come back by being asked for', async () => {
  const { world, histories, k, bundles, slotFor, wanted } = await settled()
  expect(k).toBeGreaterThanOrEqual(3)
  expect(bundles()).toHaveLength(2 ** k)

  world.kv.clear()
  for (const cache of world.caches) cache.clear()
  const asker = world.makePlace(1)
  const origins = new Set<string>()
  for (const history of histories) origins.add(originOf(await world.ask(asker, history)))
  expect([...origins]).toEqual(['live'])
  expect(bundles()).toEqual([])

  // One slot is wanted much more than the others, by many isolates.
  const hot = slotFor(7)
  const ofHot = histories.filter((_, n) => slotFor(n) === hot)
  for (let i = 0; i < 5; i += 1) {
    const other = world.makePlace(1)
    for (const history of ofHot) await world.ask(other, history)
    await Promise.all(other.background)
  }
  world.clock.advance(31_000)
  for (const history of histories) await world.ask(asker, history, 'SHA-1')
  await Promise.all(asker.background)

  const builder = world.makePlace(0)
  await world.presign(builder, { budget: 1 }) // one slot
  expect(bundles()).toEqual([hot])
  for (let minute = 0; minute < 12; minute += 1) {
    world.clock.advance(60_000)
    await world.cron(builder)
  }
  expect(bundles()).toEqual(wanted)
  const calls = world.record.calls
  const fresh = world.makePlace(2)
  const after = new Set<string>()
  for (const history of histories) after.add(originOf(await world.ask(fresh, history)))
  expect(after.has('live')).toBe(false)
  expect(world.record.calls).toBe(calls + 1) // the page of the issuer: `rebuild` writes it
  world.checkWorld()
  expect(world.violations).toEqual([])
  world.close()
})

test('what nobody asks for comes back by rebuild, and nothing signed becomes unusable by it', async () => {
  const { world, histories, k, bundles } = await settled()
  const record = world.issuer.record
  for (let slot = 0; slot < 2 ** k; slot += 2) world.kv.drop(bundleKey(record.id, k, slot))
  for (const cache of world.caches) cache.clear()
  const builder = world.makePlace(0)
  expect(await builder.recovery.markLost(undefined, world.clock.nowMs())).toBe(2 ** k)
  const kept = world.makePlace(1)
  for (const history of histories)
    expect(['live', 'bundle', 'memory']).toContain(originOf(await world.ask(kept, history)))
  for (let minute = 0; minute < 12; minute += 1) {
    world.clock.advance(60_000)
    await world.cron(builder)
  }
  expect(bundles()).toHaveLength(2 ** k)
  expect((await builder.admin.globals(world.clock.seconds)).slotsDue).toBe(0)
  world.checkWorld()
  expect(world.violations).toEqual([])
  world.close()
})
