/** A move of digits from one database to another, step by step. test/property has it under writes and faults. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { dealt, formatDigits, MoveRefused, parseDigits } from '../../src/ports/moves.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { DAY, good, NOW, newResponder, POLICY, serial } from '../storage/fixtures.ts'
import { BOUND_SECONDS, MoveWorld } from '../support/move-world.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

/** Of those that record() makes, in order. */
const numbers = Array.from({ length: 60 }, (_, n) => n)
const highs = numbers.filter((n) => serialHash(serial(n)) >>> 31 === 1)
const lows = numbers.filter((n) => serialHash(serial(n)) >>> 31 === 0)
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

async function goTo(phase: string, ms = 0) {
  for (let calls = 0; calls < 100; calls += 1) {
    const state = await go()
    if (state.move?.phase === phase) return
    world.clock.advance(ms)
  }
  throw new Error(`it is not ${phase}: ${JSON.stringify(await world.moves.list(world.issuer, 1))}`)
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

  test('waits: for the bound after the beginning, after the claim and after the end of the old one', async () => {
    await record(40)
    const until = () => world.clock.nowMs() + (BOUND_SECONDS + 60) * 1000
    const phases: unknown[] = []
    for (let waits = 0; waits < 3; waits += 1) {
      const { move, wait } = await goOn()
      expect(wait).toEqual({ for: 'bound', until: until() })
      phases.push([move?.phase, share(0)?.['away'], share(1)?.['away'], count(0), count(1)])
      world.clock.advance((BOUND_SECONDS + 60) * 1000 - 1)
      expect((await go()).wait?.for).toBe('bound')
      world.clock.advance(1)
    }
    const copied = highs.filter((n) => n < 40).length
    expect(phases).toEqual([
      ['verifying', 0, 0xffff, 40, copied],
      ['claimed', 0, 0x00ff, 40, copied],
      ['givenUp', 0xff00, 0x00ff, 40, copied],
    ])
    expect((await goOn()).done).toBe(true)
  })

  test('waits for bundles of what has arrived, unless it is told not to', async () => {
    await record(60)
    await goOn()
    world.clock.advance((BOUND_SECONDS + 60) * 1000)
    expect((await go(UPPER, true)).wait).toEqual({ for: 'bundles', slots: 1 })
    world.build()
    for (let calls = 0; calls < 5; calls += 1) await go(UPPER, true)
    expect(share(1)).toMatchObject({ away: 0x00ff, fresh: 1 })
  })

  test('writes are refused from the bar to the claim, and then go to the other database', async () => {
    await record(60)
    await goOn()
    world.clock.advance((BOUND_SECONDS + 60) * 1000)
    await goTo('barred')
    await expect(revoke(highs[0] ?? 0)).rejects.toThrow(/moved to another database/)
    expect((await revoke(lows[0] ?? 0)).outcome).toBe('changed')
    await goTo('claimed')
    expect(await revoke(highs[0] ?? 0)).toMatchObject({ outcome: 'changed', database: 1 })
    expect(await revoke(lows[1] ?? 0)).toMatchObject({ outcome: 'changed', database: 0 })
  })

  test('a certificate that is held and released between two looks arrives as released', async () => {
    await record(60)
    await goOn()
    const n = highs[0] ?? 0
    for (const to of ['hold', 'released'] as const)
      await world.record.changeStatus(world.issuer, serial(n), { to }, world.clock.nowMs())
    await finish()
    expect((await world.record.readCertificate(world.issuer, serial(n)))?.status).toBe('released')
    expect(world.dbs[1]?.rows('SELECT 1 FROM changes').length).toBe(1)
  })

  test('a row of the target that is another is copied again; one that the source never had stops it', async () => {
    await record(60)
    await goTo('verifying')
    const target = world.dbs[1]
    target?.exec('UPDATE certificates SET is_ca = 1, rev = rev + 1 WHERE hash >> 28 = 9')
    const hash = serialHash(serial(777_777)) % 2 ** 28
    target?.exec(`INSERT INTO certificates (issuer, hash, serial, status, not_after, rev)
      VALUES (${world.issuer}, ${hash + 15 * 2 ** 28}, x'0badcafe', 0, ${NOW + DAY}, 9)`)
    for (let calls = 0; calls < 40; calls += 1) {
      world.clock.advance(60_000)
      await go()
    }
    const [move] = await world.moves.list(world.issuer, 1)
    expect(move?.problem).toMatch(/differ in the certificate 0badcafe/)
    expect(move?.phase).toBe('verifying')
    expect(move?.repaired).toBeGreaterThan(0)
    expect(share(1)).toMatchObject({ away: 0xffff })
    target?.exec("UPDATE certificates SET status = 1, rev = rev + 1 WHERE serial = x'0badcafe'")
    await world.moves.abort(world.issuer, { budgetMs: 1000 })
    expect(count(1)).toBe(0)
  })

  test('is given up before the claim, as often as it is begun, and not after it', async () => {
    await record(60)
    for (const phase of ['begun', 'copying', 'verifying', 'barred']) {
      world.mute = phase === 'begun'
      await goTo(phase, 60_000)
      world.mute = false
      const state = await world.moves.abort(world.issuer, { budgetMs: 1000 })
      expect([phase, state]).toEqual([phase, { done: true, move: undefined, wait: undefined }])
      expect([count(0), count(1)]).toEqual([60, 0])
      expect(share(0)).toEqual({ away: 0, leaving: 0, arriving: 0, moving: 0, fresh: 0 })
      expect(await revoke(highs[1] ?? 0)).toMatchObject({ database: 0 })
    }
    await goTo('claimed', 60_000)
    await expect(world.moves.abort(world.issuer, { budgetMs: 0 })).rejects.toThrow(MoveRefused)
    await finish()
    expect((await world.moves.list(world.issuer, 9)).map(({ phase }) => phase)).toEqual([
      'done',
      ...Array<string>(4).fill('aborted'),
    ])
  })

  test('what is under way is finished before anything else is begun', async () => {
    await record(20)
    await go()
    const all = UPPER.map(() => 1)
    await expect(go(UPPER.map(() => 0))).rejects.toThrow('digits 8-f are on their way to database 1')
    expect((await go(all)).move?.digits).toBe(0xff00)
    await finish(all)
    expect([count(0), count(1)]).toEqual([0, 20])
    expect(world.dbs[0]?.rows('SELECT 1 FROM slots')).toEqual([])
    await finish(UPPER.map(() => 0))
    expect([count(0), count(1)]).toEqual([20, 0])
  })

  test('a frozen issuer is not moved', async () => {
    world.dbs[0]?.exec('UPDATE issuers SET frozen = 1')
    await expect(go()).rejects.toThrow(/frozen/)
    world.dbs[0]?.exec('UPDATE issuers SET frozen = 0')
    await go()
    world.dbs[0]?.exec('UPDATE issuers SET frozen = 1')
    expect((await go()).move?.problem).toMatch(/frozen/)
  })

  test('policy, name, responders and a compromise that are changed meanwhile are the same in the end', async () => {
    await record(20)
    await go()
    await go()
    const source = new D1AdminStore(world.dbs[0] ?? new SqliteD1(), { database: 0 })
    const ms = world.clock.nowMs()
    await source.updateIssuer(world.issuer, { name: 'renamed', policy: { ...POLICY, maxAge: 60 } }, ms)
    await source.addResponder(world.issuer, newResponder({ name: 'second' }), Uint8Array.of(9), ms)
    await source.retireResponder(world.issuer, 'ocsp-1', ms)
    await source.compromiseIssuer(world.issuer, NOW - DAY, ms)
    await finish()
    const [here, there] = await Promise.all(world.stores.map((store) => store.readPlace(world.issuer)))
    expect(there?.config).toBe(here?.config)
    expect(there?.name).toBe('renamed')
    expect(
      world.dbs[1]?.rows("SELECT hex(wrapped_key) AS key FROM responders WHERE name = 'second'"),
    ).toEqual([{ key: '09' }])
  })

  test('a final issuer moves too, and stays final', async () => {
    await record(60)
    await world.record.finalizeIssuer(world.issuer, world.clock.nowMs())
    await finish()
    expect(world.dbs[1]?.rows('SELECT final_at FROM issuers')).toEqual(
      world.dbs[0]?.rows('SELECT final_at FROM issuers'),
    )
    expect(count(0) + count(1)).toBe(60)
    await expect(revoke(highs[0] ?? 0)).resolves.toMatchObject({ outcome: { refused: expect.anything() } })
  })

  test('while slots double there are slots of both eras for what arrives, and none for other digits', async () => {
    await record(60)
    const target = world.dbs[1]
    await go([...UPPER.slice(0, 15), 1].map((to, digit) => (digit === 15 ? to : 0)))
    await finish(UPPER.map((_, digit) => (digit === 15 ? 1 : 0)))
    target?.exec('UPDATE issuers SET k_next = 5, growth_seq = seq')
    await go()
    await go()
    expect(target?.rows('SELECT k, slot FROM slots ORDER BY k, slot')).toEqual([
      { k: 0, slot: 0 },
      ...Array.from({ length: 14 }, (_, n) => ({ k: 5, slot: 16 + n })),
    ])
  })

  test('what comes back is not answered by what was signed before it left', async () => {
    await record(60)
    await finish()
    await finish(UPPER.map(() => 0))
    const floors = world.dbs[0]?.rows('SELECT sixteenth, floor FROM range_floors ORDER BY 1') ?? []
    expect(floors.map((row) => row['sixteenth'])).toEqual([8, 9, 10, 11, 12, 13, 14, 15])
    const [begun] = world.dbs[0]?.rows(
      "SELECT seq FROM audit WHERE action = 'issuer.move' AND detail->>'outgoing' = 0 ORDER BY id",
    ) ?? [{}]
    for (const { floor } of floors) expect(floor).toBe(begun?.['seq'])
  })

  test('is planned in single moves, with as many certificates as the slots count', async () => {
    await record(160)
    const planned = await world.moves.plan(world.issuer, UPPER)
    expect(planned).toEqual([{ from: 0, to: 1, digits: 0xff00, rows: 80 }])
    expect(
      await world.moves.plan(
        world.issuer,
        UPPER.map(() => 0),
      ),
    ).toEqual([])
  })

  test('digits are written and read as people do', () => {
    expect(formatDigits(0xff00)).toBe('8-f')
    expect(formatDigits(0b1000_0000_1111_0001)).toBe('0,4-7,f')
    for (const mask of [1, 0xffff, 0x8421]) expect(parseDigits(formatDigits(mask))).toBe(mask)
    for (const wrong of ['', 'g', 'f-8', '1,,2', '8-']) expect(parseDigits(wrong)).toBeUndefined()
    expect(dealt([4, 2, 7])).toEqual([4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 7, 7, 7, 7, 7])
  })
})

describe('the record keeps itself', () => {
  test('digits are not given up that are not barred, nor claimed that have not arrived', async () => {
    await record(5)
    const db = world.dbs[0]
    expect(() => db?.exec('UPDATE issuers SET away = 1, seq = seq + 1')).toThrow(
      'only what is barred is given up',
    )
    await go()
    await go()
    db?.exec('UPDATE issuers SET leaving = 65280')
    db?.exec('UPDATE issuers SET away = 65280, leaving = 0, seq = seq + 1')
    expect(() => db?.exec('UPDATE issuers SET away = 0, seq = seq + 1')).toThrow(
      'only what has arrived is claimed',
    )
  })

  test('a move is one at a time, and goes forward', async () => {
    await go()
    const db = world.dbs[0]
    expect(() =>
      db?.exec(
        "INSERT INTO moves (id, issuer, outgoing, peer, digits, phase, started_ms) SELECT 'x', issuer, 1, 1, 1, 1, 1 FROM moves",
      ),
    ).toThrow(/UNIQUE/)
    expect(() => db?.exec('UPDATE moves SET phase = 0')).toThrow()
    expect(() => db?.exec('UPDATE moves SET digits = 1')).toThrow('never changes')
    expect(() => db?.exec('UPDATE moves SET step = 0')).toThrow('never fall')
  })
})
