/** Mass revocation over several databases: one run, in the order of hashes, whoever has which of them. */
import { beforeEach, describe, expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import type { MassRequest, MassRun } from '../../src/ports/mass-store.ts'
import { END } from '../../src/storage/mass-revocation.ts'
import { NOW_MS, serial } from '../storage/fixtures.ts'
import { faultAt, goodOnes, HIGH, LOW, numbersIn, recordOf, type Several, setUp, several } from './support.ts'

const low = numbersIn(LOW, 20)
const high = numbersIn(HIGH, 20)
const ask: MassRequest = { where: { reserved: false }, to: 'revoked', reason: 1, revocationTime: undefined }

let world: Several
let issuer: number

const begin = async (databases: readonly number[]) => {
  world = several(3)
  issuer = await setUp(world, { databases })
  await world.store.addCertificates(issuer, goodOnes([...low, ...high]), world.tick())
}
beforeEach(() => begin([0, 1]))

const start = () => world.store.startMass(issuer, ask, world.tick())
const revoked = () =>
  world.dbs.map((db) => Number(db.rows('SELECT count(*) AS n FROM certificates WHERE status = 1')[0]?.['n']))

/** From where a run stands. */
async function walk(run: MassRun, steps = Number.POSITIVE_INFINITY) {
  const cursors: number[] = []
  let changed = 0
  for (let cursor = run.cursor; cursor < END && cursors.length < steps; ) {
    const step = await world.store.stepMass({ ...run, cursor }, ask, world.tick())
    changed += step.changed
    cursor = step.cursor
    cursors.push(cursor)
  }
  return { cursors, changed }
}

describe('a run', () => {
  test('goes through the databases in the order of hashes, and counts all of them', async () => {
    const run = await start()
    const { cursors, changed } = await walk(run)
    expect(cursors).toEqual([2 ** 31, END])
    expect(changed).toBe(40)
    expect(revoked()).toEqual([20, 20, 0])
    const noted = await world.store.noteMass(run.id, 1_500)
    expect(noted).toMatchObject({ id: run.id, cursor: END, changed: 40, refused: 0, busyMs: 1_500 })
    expect(await world.store.listMass(issuer, 5)).toEqual([noted])
  })

  test('is kept by the first database that has some of the issuer, and says so in its id', async () => {
    expect((await start()).id).toBe(1)
    await begin([2, 1])
    const run = await start()
    expect(run.id).toBe(2 ** 40 + 1)
    expect((await walk(run)).cursors).toEqual([2 ** 31, END])
    expect((await world.store.noteMass(run.id, 0)).changed).toBe(40)
  })

  test('that was not done is gone on with by the same request', async () => {
    const run = await start()
    await walk(run, 1)
    const again = await start()
    expect(again).toMatchObject({ id: run.id, cursor: 2 ** 31, changed: 20 })
    expect((await walk(again)).changed).toBe(20)
    expect((await start()).id).not.toBe(run.id)
  })

  test('finds what moves in the middle of it, wherever that is by then', async () => {
    const run = await start()
    await walk(run, 1)
    // Three quarters of what database 1 has go to database 0, which the run has passed by.
    const set = (database: number, columns: string) =>
      world.db(database).exec(`UPDATE issuers SET ${columns}, seq = seq + 1 WHERE id = ${issuer}`)
    set(0, 'arriving = 0xfc00')
    set(1, 'leaving = 0xfc00, moving = 1')
    set(0, 'arriving = 0, away = 0x0300, fresh = 1')
    set(1, 'away = 0xfcff, leaving = 0')
    await world.store.addCertificates(issuer, goodOnes(high), world.tick())
    await walk(await start())
    for (const n of high)
      expect((await world.store.readCertificate(issuer, serial(n)))?.status).toBe('revoked')
    expect(world.db(0).rows('SELECT 1 FROM certificates WHERE hash >> 28 > 9').length).toBeGreaterThan(0)
  })

  test('leaves alone a run of the same number that another database keeps', async () => {
    const other = await setUp(world, { databases: [1], name: 'other', ski: 'aa'.repeat(20) })
    await world.store.addCertificates(other, goodOnes(low), world.tick())
    const theirs = await world.store.startMass(other, ask, world.tick())
    const ours = await start()
    expect([ours.id, theirs.id]).toEqual([1, 2 ** 40 + 1])
    await walk(ours)
    expect(await world.store.listMass(other, 5)).toMatchObject([{ id: theirs.id, cursor: 0, changed: 0 }])
  })

  test('stops at a database that is away, and goes on where it stopped', async () => {
    const run = await start()
    await walk(run, 1)
    const halfway = await start()
    world.db(1).failNext(1)
    await expect(walk(halfway, 1)).rejects.toThrow(/^DB_1 \(unavailable\)/)
    expect((await walk(await start())).changed).toBe(20)
    expect(revoked()).toEqual([20, 20, 0])
  })

  test('is not begun while a database is away, which may keep one of it', async () => {
    world.db(2).failNext(1)
    await expect(start()).rejects.toThrow(/^DB_2 \(unavailable\)/)
  })

  test('a dry run counts the databases one after the other', async () => {
    const first = await world.store.tallyMass(issuer, ask, 0, NOW_MS)
    expect(first).toMatchObject({ cursor: 2 ** 31, toChange: 20 })
    const second = await world.store.tallyMass(issuer, ask, first.cursor, NOW_MS)
    expect(second).toMatchObject({ cursor: END, toChange: 20, slots: [{ k: 0, slot: 0 }] })
  })

  test('of an issuer that nobody has is not found', async () => {
    await expect(world.store.startMass(77, ask, NOW_MS)).rejects.toMatchObject({ name: 'NotFoundError' })
    await expect(world.store.noteMass(5 * 2 ** 40, 0)).rejects.toBeInstanceOf(RangeError)
  })

  test('that a fault cuts off anywhere ends as one that was not', async () => {
    const all = async () => {
      await walk(await start())
    }
    await all()
    const wanted = JSON.stringify(recordOf(world)).replaceAll(/"revoked_at":\d+/g, '')
    let faults = 0
    for (const database of [0, 1])
      for (const kind of ['refused', 'answerLost'] as const)
        for (let nth = 0; ; nth += 1) {
          await begin([0, 1])
          const ended = faultAt(world.db(database), nth, kind)
          const failed = await all().then(
            () => undefined,
            (error: unknown) => error,
          )
          if (!ended()) break
          faults += 1
          if (failed !== undefined) {
            expect(failed).toBeInstanceOf(StorageError)
            await all()
          }
          expect(JSON.stringify(recordOf(world)).replaceAll(/"revoked_at":\d+/g, '')).toBe(wanted)
          const written = world.dbs.map(
            (db) => db.rows("SELECT 1 FROM audit WHERE action = 'certificate.revoked'").length,
          )
          expect(written).toEqual([20, 20, 0])
        }
    expect(faults).toBeGreaterThan(20)
  })
})
