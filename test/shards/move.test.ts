/** A move of digits from one database to another, step by step. test/property has it under writes and faults. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { good, serial } from '../storage/fixtures.ts'
import { MoveWorld } from '../support/move-world.ts'

const UPPER = Array.from({ length: 16 }, (_, digit) => (digit < 8 ? 0 : 1))

let world: MoveWorld

beforeEach(async () => {
  world = new MoveWorld()
  await world.setUp()
})
afterEach(() => world.close())

const go = (wanted: readonly number[] = UPPER, built = false) =>
  world.moves.advance(world.issuer, wanted, { budgetMs: 0, built })

/** Until it waits for time, or is done. */
async function goOn(wanted: readonly number[] = UPPER) {
  for (let calls = 0; calls < 200; calls += 1) {
    const state = await go(wanted)
    if (state.done || state.wait?.for === 'bound') return state
  }
  throw new Error('it does not end')
}

async function finish(wanted: readonly number[] = UPPER) {
  for (let waits = 0; waits < 10; waits += 1) {
    const state = await goOn(wanted)
    if (state.done) return waits
    const { wait } = state
    if (wait?.for === 'bound') world.clock.advance(wait.until - world.clock.nowMs())
    world.beat()
  }
  throw new Error('it does not end')
}

const record = (count: number, from = 0) =>
  world.record.addCertificates(
    world.issuer,
    Array.from({ length: count }, (_, n) => good(from + n)),
    world.clock.nowMs(),
  )
const revoke = (n: number) =>
  world.record.changeStatus(world.issuer, serial(n), { to: 'revoked', reason: 1 }, world.clock.nowMs())
const count = (database: number) =>
  Number(world.dbs[database]?.rows('SELECT count(*) AS n FROM certificates')[0]?.['n'])
const share = (database: number) =>
  world.dbs[database]?.rows('SELECT away, leaving, arriving, moving, fresh FROM issuers')[0]

describe('a move', () => {
  test('takes half of the digits, all columns as they were, and leaves nothing behind', async () => {
    await record(2500)
    await revoke(7)
    await world.record.addCertificates(
      world.issuer,
      [
        { serial: serial(9001), status: 'reserved' },
        good(9002, { isCA: true, extensions: Uint8Array.of(0x30, 0x02, 0x05, 0x00) }),
        good(9003, { status: 'hold' }),
      ],
      world.clock.nowMs(),
    )
    const before = UPPER.map((_, digit) => world.rows(0, digit))
    expect(await finish()).toBe(3)
    for (const [digit, to] of UPPER.entries()) {
      expect(world.rows(to, digit)).toEqual(before[digit])
      expect(world.rows(1 - to, digit).size).toBe(0)
    }
    expect(share(0)).toEqual({ away: 0xff00, leaving: 0, arriving: 0, moving: 0, fresh: 0 })
    expect(share(1)).toEqual({ away: 0x00ff, leaving: 0, arriving: 0, moving: 0, fresh: 0 })
    const [one] = await world.moves.list(world.issuer, 5)
    expect(one).toMatchObject({
      phase: 'done',
      digits: 0xff00,
      repaired: 0,
      from: 0,
      peer: 1,
      copied: count(1),
    })
    expect(one?.verified).toBe(count(1))
    expect(one?.purged).toBe(count(1))
    expect(world.dbs[0]?.rows('SELECT 1 FROM moved')).toEqual([])
    expect((await world.record.readCertificate(world.issuer, serial(7)))?.status).toBe('revoked')
  })
})
