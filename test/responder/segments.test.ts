/** Changes that stand in segments, asked through respond(): what is answered, from where, and what happens without their values. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publish } from '../../src/overlay/publisher.ts'
import { type SegmentLimits, segmentTail } from '../../src/overlay/segmenting.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { respond } from '../../src/responder/respond.ts'
import { EPOCH } from '../support/clock.ts'
import type { Interference, PortName } from '../support/faults.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { requestFor } from '../support/world-requests.ts'
import type { WorldIssuer } from '../support/world-setup.ts'

const COUNT = 12
const ITEMS: SegmentLimits = { tail: 1, massTail: 1e9, massLive: 1e9, segments: 8, filters: 4 }
const FILTER: SegmentLimits = { ...ITEMS, massTail: 0 }
const serialOf = (n: number) => Uint8Array.of(0x61, n)

let world: World
let ca: WorldIssuer
let operator: Isolate

beforeEach(async () => {
  world = await World.create({ seed: 22, maxLagSeconds: 0, colos: 1 }, ['unauthorized', 'unknown'])
  ca = world.issuer
  operator = world.isolate(0, {})
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  const rows = Array.from({ length: COUNT }, (_, n) => ({
    serial: serialOf(n),
    status: 'good' as const,
    ...dates,
  }))
  await world.add(operator, ca, rows)
  await world.presign(operator, { all: true })
})
afterEach(() => world.close())

async function publishLater(): Promise<void> {
  world.clock.advance(2_000)
  await publish(operator.publisher)
}

/** Some are revoked, and stand in a segment from now on. */
async function revoke(serials: readonly number[], limits: SegmentLimits): Promise<void> {
  for (const n of serials) {
    world.clock.advance(1_000)
    const change = { to: 'revoked', reason: 1 } as const
    await operator.admin.changeStatus(ca.record.id, serialOf(n), change, world.clock.nowMs())
  }
  expect(await segmentTail(operator.segmenting, limits)).toBe(1)
  await publishLater()
  const root = operator.overlay.latest?.root
  expect(root).toMatchObject({ itemCount: 0, segments: [{ count: serials.length }] })
}

interface Watched {
  readonly isolate: Isolate
  /** What was read, in order. */
  readonly read: string[]
  /** Keys that are not found, ports that fail. */
  readonly gone: { key?: RegExp; port?: PortName }
}

function watched(): Watched {
  const read: string[] = []
  const gone: Watched['gone'] = {}
  const hook: Interference = {
    before(port, what) {
      read.push(`${port} ${what}`)
      if (port === gone.port) throw new Error('away')
    },
    value: (_, key, bytes) => (gone.key?.test(key) === true ? undefined : bytes),
  }
  return { isolate: world.isolate(0, hook), read, gone }
}

const ask = (isolate: Isolate, n: number): Promise<Answer> =>
  Promise.resolve(respond(requestFor(ca.record, [serialOf(n)]), isolate.responder))
/** Whether it was signed for this question, from what the record says, or was there. */
const said = (answer: Answer) =>
  answer.responseStatus === 'successful'
    ? `${answer.certStatus} ${answer.origin === 'live' ? 'from the record' : 'as stored'}`
    : answer.responseStatus
/** Values of segments that KV was asked for. */
const pagesIn = (read: readonly string[]) => read.filter((what) => /^kv\S+ o\/s\//.test(what)).length

describe.each([
  ['a segment of items', ITEMS],
  ['a filter', FILTER],
])('changes in %s', (_, limits) => {
  test('are told although the bundle is older; the others come from it, without asking the record', async () => {
    await revoke([1, 2, 3], limits)
    const { isolate, gone } = watched()
    for (const n of [1, 2, 3]) expect(said(await ask(isolate, n))).toBe('revoked from the record')
    gone.port = 'd1'
    const others: string[] = []
    for (let n = 4; n < COUNT; n += 1) others.push(said(await ask(isolate, n)))
    const wanted = 'good as stored'
    // A filter takes one in a hundred for changed, so at most one here.
    expect(others.filter((other) => other === wanted).length).toBeGreaterThanOrEqual(
      limits === ITEMS ? COUNT - 4 : COUNT - 5,
    )
  })

  test('are told from the bundle once it is built anew', async () => {
    await revoke([1, 2, 3], limits)
    await world.presign(operator)
    await publishLater()
    const { isolate, gone } = watched()
    gone.port = 'd1'
    for (const n of [1, 2, 3]) expect(said(await ask(isolate, n))).toBe('revoked as stored')
    expect(said(await ask(isolate, 5))).toBe('good as stored')
  })

  test('of which the values cannot be read come from the record, with all that could be among them (law 4)', async () => {
    await revoke([1, 2, 3], limits)
    const { isolate, read, gone } = watched()
    gone.key = /o\/s\//
    expect(said(await ask(isolate, 1))).toBe('revoked from the record')
    expect(said(await ask(isolate, 5))).toBe('good from the record')
    gone.port = 'd1'
    expect(said(await ask(isolate, 2))).toBe('tryLater') // rather no answer than one from before
    expect(said(await ask(isolate, 6))).toBe('tryLater')
    const tried = pagesIn(read)
    gone.key = /nothing/
    world.clock.advance(20_000)
    expect(said(await ask(isolate, 6))).toBe('tryLater')
    expect(pagesIn(read)).toBe(tried) // not asked for again so soon
    world.clock.advance(10_001)
    expect(said(await ask(isolate, 6))).toBe('good as stored')
    expect(said(await ask(isolate, 2))).toBe('tryLater')
    expect(pagesIn(read)).toBeGreaterThan(tried)
  })

  test('of a frozen issuer go on counting, whatever the record has lost (attack 4)', async () => {
    const restore = world.record.backup()
    await revoke([1, 2, 3], limits)
    restore()
    world.clock.advance(60_000)
    await publish(operator.publisher)
    const { isolate } = watched()
    for (const n of [1, 2, 3]) expect(said(await ask(isolate, n))).not.toContain('good')
    expect(said(await ask(isolate, 5))).toBe('good as stored')
    const blind = watched()
    blind.gone.key = /o\/s\//
    for (const n of [1, 2, 3, 5]) expect(said(await ask(blind.isolate, n))).not.toContain('good')
  })

  test('stand in the root that an isolate makes of the record too', async () => {
    await revoke([1, 2, 3], limits)
    const { isolate, gone } = watched()
    gone.key = /o\/root/
    expect(said(await ask(isolate, 1))).toBe('revoked from the record')
    expect(said(await ask(isolate, 5))).toBe('good as stored')
    expect(isolate.overlay.latest?.root.segments).toHaveLength(1)
  })
})

describe('what a request reads', () => {
  test('no page when no segment is named', async () => {
    const { isolate, read } = watched()
    expect(said(await ask(isolate, 5))).toBe('good as stored')
    expect(pagesIn(read)).toBe(0)
  })

  test('pages once, however often is asked, and none of a filter of another issuer', async () => {
    await revoke([1, 2, 3], ITEMS)
    const { isolate, read } = watched()
    for (let round = 0; round < 3; round += 1) for (let n = 0; n < COUNT; n += 1) await ask(isolate, n)
    await Promise.all(isolate.background)
    expect(pagesIn(read)).toBe(1)
    const [, other] = world.issuers
    if (other === undefined) throw new Error('a world of one issuer')
    world.clock.advance(1_000)
    const row = { serial: serialOf(1), status: 'revoked', reason: 1 } as const
    await world.add(operator, other, [row])
    await segmentTail(operator.segmenting, FILTER)
    await publishLater()
    const fresh = watched()
    await ask(fresh.isolate, 5)
    expect(fresh.isolate.overlay.latest?.root.segments).toHaveLength(2)
    expect(fresh.read.filter((what) => /^cache.match .*o\/s\//.test(what))).toHaveLength(1)
    expect(pagesIn(fresh.read)).toBe(0) // the data centre has it
  })

  test('none below a floor: a filter that all bundles know is not asked for', async () => {
    await revoke([1, 2, 3], FILTER)
    await world.presign(operator)
    world.clock.advance(1_000_000)
    expect(await operator.segmenting.store.raiseFloors(world.clock.nowMs(), world.clock.seconds - 600)).toBe(
      true,
    )
    await publishLater()
    const { isolate, read, gone } = watched()
    gone.port = 'd1'
    expect(said(await ask(isolate, 1))).toBe('revoked as stored')
    expect(said(await ask(isolate, 5))).toBe('good as stored')
    expect(pagesIn(read)).toBe(0)
    expect(isolate.overlay.latest?.root.segments).toEqual([])
  })
})
