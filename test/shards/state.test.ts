/** The state of several databases as one: what it sums up, and what it finds between them. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Globals, RunRecord } from '../../src/ports/admin-store.ts'
import { NOW, NOW_MS, newIssuer, newResponder, serial } from '../storage/fixtures.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { goodOnes, HIGH, LOW, numbersIn, type Several, setUp, several } from './support.ts'

const SKI = 'aa7dc2edafb9abbd01ff2dc7fb5c7c2c45930470'
const low = numbersIn(LOW, 4)
const high = numbersIn(HIGH, 3)

let world: Several
let issuer: number

beforeEach(async () => {
  world = several(2)
  issuer = await setUp(world)
})

const globals = () => world.store.globals(NOW)
const codes = ({ faults }: Globals) => faults?.map(({ code, issuer: name }) => `${code} ${name}`)
const run = (job: string, startedMs: number): RunRecord => ({
  ...{ job, startedMs, finishedMs: startedMs + 5, ok: true },
  ...{ built: 2, signatures: 3, failed: 0, remaining: 0 },
})

describe('the state of all', () => {
  test('has each issuer once, with its parts, its sums and its oldest change that waits', async () => {
    await world.store.addCertificates(issuer, goodOnes([...low, ...high]), world.tick())
    world.db(0).exec('UPDATE issuers SET published = seq')
    const state = await globals()
    expect(state.issuers).toHaveLength(1)
    const [one] = state.issuers
    expect(one).toMatchObject({ id: issuer, added: 7, slots: 2, slotsDue: 2, frozen: false })
    expect(one?.head).toBeGreaterThan(one?.published ?? 0)
    expect(one?.parts).toMatchObject([
      { database: 0, away: 0xff00, moving: false, fresh: false },
      { database: 1, away: 0x00ff },
    ])
    expect(state).toMatchObject({ schema: true, slotsDue: 2, faults: [] })
    world.db(1).exec('UPDATE issuers SET published = seq')
    const [published] = (await globals()).issuers
    expect(published?.head).toBe(published?.published)
    expect(published).not.toHaveProperty('configuration')
  })

  test('is frozen when a part is, and was published when the last was', async () => {
    world.db(1).exec('UPDATE issuers SET frozen = 1')
    world.db(0).exec(`UPDATE publisher SET published_version = 7, published_at = ${NOW_MS}`)
    world.db(1).exec(`UPDATE publisher SET published_version = 3, published_at = ${NOW_MS - 9000}`)
    const state = await globals()
    expect(state.issuers[0]?.frozen).toBe(true)
    expect(state.publisher).toEqual({ version: 3, publishedAtMs: NOW_MS - 9000 })
    expect(state.databases).toMatchObject([
      { database: 0, publisher: { version: 7 } },
      { database: 1, publisher: { version: 3 } },
    ])
  })

  test('has the last run of each job of each database, and adds up counters and rates', async () => {
    for (const database of [0, 1]) {
      await world.shard(database).record.recordRun(run('cron', NOW_MS + database))
      world.db(database).exec("UPDATE counters SET value = 20 WHERE name = 'bundles_built'")
    }
    await world.store.recordRun(run('presign', NOW_MS + 50))
    const state = await globals()
    expect(state.lastRuns.map(({ job, database }) => `${job} ${database}`)).toEqual([
      'cron 0',
      'presign 0',
      'cron 1',
    ])
    expect(state.counters['bundles_built']).toBe(40)
    expect(state.signing).toEqual({ built: 6, signatures: 9, milliseconds: 15 })
  })

  test('is of those that answer: the others are named, and what they have is not missed', async () => {
    world.db(1).failNext(1)
    const state = await globals()
    expect(state.databases).toMatchObject([{ database: 0 }, { database: 1, fault: 'unavailable' }])
    expect(state.issuers).toMatchObject([{ id: issuer, parts: [{ database: 0 }] }])
    expect(state.faults).toEqual([]) // nobody knows whether the other digits are there
    world.db(1).failNext(1)
    expect(await world.store.issuerOutlines()).toMatchObject([{ id: issuer, name: 'demo-ca' }])
    for (const db of world.dbs) db.failNext(1)
    await expect(globals()).rejects.toMatchObject({ name: 'StorageError', reason: 'unavailable' })
  })

  test('says which of them has no schema', async () => {
    const bare = several(2)
    await setUp(bare, { databases: [0] })
    const empty = new SqliteD1({ migrate: false })
    const db = bare.db(1)
    db.prepare = (sql) => empty.prepare(sql)
    db.batch = (statements) => empty.batch(statements)
    expect(await bare.store.globals(NOW)).toMatchObject({
      schema: false,
      databases: [
        { database: 0, schema: true },
        { database: 1, schema: false },
      ],
    })
  })
})

describe('what is found between databases', () => {
  test('nothing, as long as all fits together', async () => {
    await setUp(world, { name: 'other', ski: SKI, databases: [1] })
    expect((await globals()).faults).toEqual([])
  })

  test('parts that are not configured alike, whatever it is', async () => {
    const changes: ((database: number) => Promise<unknown>)[] = [
      (database) =>
        world.shard(database).record.updateIssuer(issuer, { name: 'renamed', enabled: false }, world.tick()),
      (database) =>
        world
          .shard(database)
          .record.addResponder(issuer, newResponder({ name: 'second' }), Uint8Array.of(1), world.tick()),
      (database) => world.shard(database).record.retireResponder(issuer, 'ocsp-1', world.tick()),
      (database) => world.shard(database).record.compromiseIssuer(issuer, NOW - 1, world.tick()),
    ]
    for (const change of changes) {
      await change(0)
      expect((await globals()).faults?.map(({ code }) => code)).toEqual(['partsDiffer'])
      await change(1)
      expect((await globals()).faults).toEqual([])
    }
  })

  test('no part that is all of the issuer again, after a move that was given up', async () => {
    await setUp(world, { name: 'whole', ski: SKI, databases: [0] })
    const part = { id: 2, away: 0xffff }
    await world.shard(1).record.addPart(newIssuer({ name: 'whole', ski: SKI }), part, world.tick())
    expect((await globals()).issuers.map(({ parts }) => parts?.length)).toEqual([2, 2])
    expect((await globals()).faults).toEqual([])
  })

  test('digits that nobody has, as after an issuer add that was cut off', async () => {
    world.db(1).beforeCall = ([sql = '']) => {
      if (sql.includes('INSERT')) throw new Error('D1_ERROR: overloaded')
    }
    const cut = newIssuer({ name: 'cut', ski: SKI, databases: [0, 1] })
    await expect(world.store.addIssuer(cut, world.tick())).rejects.toThrow(/repeat the call/)
    const state = await globals()
    expect(codes(state)).toEqual(['digitsUnclaimed cut'])
    expect(state.faults?.[0]?.message).toContain('begins with 8-f;')
    world.db(1).beforeCall = undefined
    await world.store.addIssuer(cut, world.tick())
    expect((await globals()).faults).toEqual([])
  })

  test('the same CA twice, added at the same moment in two databases', async () => {
    const twice = newIssuer({ name: 'twice', ski: SKI })
    await Promise.all(
      [0, 1].map((database) => world.store.addIssuer({ ...twice, databases: [database] }, world.tick())),
    )
    const state = await globals()
    expect(codes(state)).toEqual(['issuerTwice twice', 'issuerTwice twice'])
    const other = 2 ** 24 + 1
    expect(state.faults?.[0]?.message).toContain(`2 in DB and ${other} in DB_1`)
    expect(state.faults?.[0]?.step).toContain(`edge-ocsp issuer disable ${other}`)
    // As it says.
    await world.store.updateIssuer(other, { name: 'twice-unused' }, world.tick())
    await world.store.updateIssuer(other, { enabled: false }, world.tick())
    expect((await globals()).faults).toEqual([])
  })
})

test('a database that was restored to a time before it was given digits, and the statements that give it them again', async () => {
  const set = (database: number, columns: string) =>
    world.db(database).exec(`UPDATE issuers SET ${columns}, seq = seq + 1`)
  // 8 to b had gone from database 1 to database 0, which does not know of it any more.
  set(1, 'leaving = 0x0f00')
  set(1, 'away = 0x0fff, leaving = 0')
  set(0, 'frozen = 1')
  const [fault] = (await globals()).faults ?? []
  expect(fault).toMatchObject({ code: 'digitsUnclaimed', issuer: 'demo-ca' })
  expect(fault?.step).toContain('wrangler d1 execute DB --remote')
  world.db(0).exec(/--command "(.*)"/.exec(fault?.step ?? '')?.[1] ?? '')
  expect((await globals()).faults).toEqual([])
  expect((await world.store.findIssuer('demo-ca'))?.parts?.[0]).toMatchObject({ away: 0xf000, arriving: 0 })
})

test('a database that was restored to a time before a move, which is not thawed with what it gave up', async () => {
  await world.store.addCertificates(issuer, goodOnes([...low, ...high]), world.tick())
  const set = (database: number, columns: string) =>
    world.db(database).exec(`UPDATE issuers SET ${columns}, seq = seq + 1`)
  // 8 to b went from database 1 to database 0, long ago; then database 1 was restored, and frozen for it.
  set(0, 'arriving = 0x0f00')
  set(0, 'away = 0xf000, arriving = 0')
  set(1, 'frozen = 1')
  const [fault] = (await globals()).faults ?? []
  expect(fault).toMatchObject({ code: 'digitsTwice', issuer: 'demo-ca' })
  expect(fault?.message).toContain('begins with 8-b,')
  await expect(world.store.thaw(issuer, world.tick())).rejects.toThrow(/^DB_1 claims what it had given up/)
  expect(fault?.step).toContain('wrangler d1 execute DB_1 --remote')
  world.db(1).exec(/--command "(.*)"$/.exec(fault?.step ?? '')?.[1] ?? '')
  expect((await globals()).faults).toEqual([])
  expect((await world.store.findIssuer('demo-ca'))?.parts).toMatchObject([
    { database: 0, away: 0xf000 },
    { database: 1, away: 0x0fff, leaving: 0 },
  ])
  await world.store.thaw(issuer, world.tick())
})

describe('the audit', () => {
  test('is of one database, with its own ids; by default of the first', async () => {
    await world.store.addCertificates(issuer, goodOnes([...low, ...high]), world.tick())
    await world.store.changeStatus(issuer, serial(high[0] ?? 0), { to: 'revoked' }, world.tick())
    const actions = async (database?: number) =>
      (await world.store.audit(0, 100, database)).map(({ action, issuer: id }) => `${action} ${id}`)
    const both = [`issuer.added ${issuer}`, `responder.added ${issuer}`, `certificates.added ${issuer}`]
    expect(await actions()).toEqual(both)
    expect(await actions(0)).toEqual(both)
    expect(await actions(1)).toEqual([...both, `certificate.revoked ${issuer}`])
    await expect(actions(2)).rejects.toMatchObject({ name: 'NotFoundError' })
  })
})

describe('canaries', () => {
  test('are where their serial belongs, and stay there', async () => {
    const [serialOfHigh, serialOfLow] = [serial(high[0] ?? 0), serial(low[0] ?? 0)]
    await world.canaries.setCanary(issuer, serialOfHigh, true)
    expect(await world.canaries.databaseOf(issuer)).toBe(1)
    expect(await world.canaries.setCanary(issuer, serialOfLow, true)).toMatchObject({ serial: serialOfHigh })
    expect(await world.canaries.listCanaries()).toHaveLength(1)
    expect(world.db(0).rows('SELECT * FROM canaries')).toEqual([])
    expect(await world.canaries.setCanary(issuer, serialOfLow, false)).toMatchObject({ enabled: false })
  })

  test('of digits that are elsewhere by now measure nothing: another takes their place', async () => {
    await world.canaries.setCanary(issuer, serial(high[0] ?? 0), true)
    world.db(0).exec('UPDATE issuers SET away = 0, fresh = 1, seq = seq + 1')
    world.db(1).exec('UPDATE issuers SET away = 65535, seq = seq + 1')
    expect(await world.canaries.listCanaries()).toEqual([])
    await world.canaries.setCanary(issuer, serial(high[1] ?? 0), true)
    expect(await world.canaries.databaseOf(issuer)).toBe(0)
    expect(await world.canaries.listCanaries()).toMatchObject([{ enabled: true }])
  })
})

describe('after KV was lost', () => {
  beforeEach(() => {
    for (const db of world.dbs) db.exec('UPDATE slots SET built_seq = 1, next_update = 2')
  })

  test('bundles of all databases are due, or those of the databases that have the issuer', async () => {
    const only = await setUp(world, { name: 'other', ski: SKI, databases: [1] })
    world.db(1).exec('UPDATE slots SET built_seq = 1, next_update = 2')
    expect(await world.recovery.markLost(only, world.tick())).toBe(1)
    expect(world.db(0).rows("SELECT 1 FROM audit WHERE action = 'bundles.lost'")).toEqual([])
    expect(await world.recovery.markLost(undefined, world.tick())).toBe(3)
    expect(await world.recovery.issuersAfter(0, 9)).toEqual([issuer, only])
    expect(await world.recovery.issuersAfter(issuer, 9)).toEqual([only])
    expect(await world.recovery.issuersAfter(0, 1)).toEqual([issuer])
  })

  test('what a database that is away has is said to be left, and is due when it is repeated', async () => {
    world.db(1).failNext(1)
    await expect(world.recovery.markLost(undefined, world.tick())).rejects.toThrow(/^DB_1 .*repeat the call/)
    expect(await world.recovery.markLost(undefined, world.tick())).toBe(2)
  })
})
