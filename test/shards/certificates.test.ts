/** Certificates of an issuer in several databases: each goes where its digit is claimed, and nothing is written by guess. */
import { beforeEach, describe, expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import { ShardError } from '../../src/ports/part-store.ts'
import { NOW, serial } from '../storage/fixtures.ts'
import {
  auditOf,
  faultAt,
  goodOnes,
  HIGH,
  LOW,
  numbersIn,
  recordOf,
  type Several,
  serialsIn,
  setUp,
  several,
} from './support.ts'

let world: Several
let issuer: number

beforeEach(async () => {
  world = several(2)
  issuer = await setUp(world)
})

const low = numbersIn(LOW, 6)
const high = numbersIn(HIGH, 6)
/** One of each in turn. */
const mixed = low.flatMap((n, i) => [n, high[i] ?? 0])
const revoke = (n: number) => world.store.changeStatus(issuer, serial(n), { to: 'revoked' }, world.tick())
const set = (database: number, columns: string) =>
  world.db(database).exec(`UPDATE issuers SET ${columns}, seq = seq + 1 WHERE id = ${issuer}`)

describe('what is recorded', () => {
  test('goes to the database that has the digit of its hash, outcomes in the order of the rows', async () => {
    const known = [high[2] ?? 0, low[3] ?? 0]
    await world.store.addCertificates(issuer, goodOnes(known), world.tick())
    const outcomes = await world.store.addCertificates(issuer, goodOnes(mixed), world.tick())
    expect(outcomes).toEqual(mixed.map((n) => (known.includes(n) ? 'unchanged' : 'added')))
    expect(serialsIn(world.db(0))).toEqual(low.toSorted((a, b) => a - b))
    expect(serialsIn(world.db(1))).toEqual(high.toSorted((a, b) => a - b))
    for (const n of mixed) expect((await world.store.readCertificate(issuer, serial(n)))?.status).toBe('good')
  })

  test('a serial that comes twice is applied in its order', async () => {
    const n = high[0] ?? 0
    const [good] = goodOnes([n])
    if (good === undefined) throw new Error('no row')
    const rows = [good, { ...good, status: 'revoked' as const }, ...goodOnes(low), good]
    expect(await world.store.addCertificates(issuer, rows, world.tick())).toEqual([
      'added',
      'changed',
      ...low.map(() => 'added'),
      { refused: expect.stringContaining('revoked') },
    ])
  })

  test('a change of status says in which database it was made', async () => {
    await world.store.addCertificates(issuer, goodOnes(mixed), world.tick())
    expect(await revoke(low[0] ?? 0)).toMatchObject({ outcome: 'changed', database: 0 })
    expect(await revoke(high[0] ?? 0)).toMatchObject({ outcome: 'changed', database: 1 })
    expect((await world.store.readCertificate(issuer, serial(high[0] ?? 0)))?.status).toBe('revoked')
  })

  test('a list of serials is dealt, too, and its dry run names the bundles of all', async () => {
    await world.store.addCertificates(issuer, goodOnes(mixed.slice(0, 6)), world.tick())
    const rows = mixed.map((n) => ({ serial: serial(n), status: 'revoked' as const }))
    const dry = await world.store.changeListed(issuer, rows, { add: false, dryRun: true }, world.tick())
    expect(dry.outcomes).toEqual(mixed.map((_, i) => (i < 6 ? 'changed' : 'notFound')))
    expect(dry.slots).toEqual([
      { k: 0, slot: 0 },
      { k: 0, slot: 0 },
    ])
    const done = await world.store.changeListed(issuer, rows, { add: true, dryRun: false }, world.tick())
    expect(done.outcomes).toEqual(mixed.map((_, i) => (i < 6 ? 'changed' : 'added')))
  })

  test('for an issuer that nobody has is not found', async () => {
    await expect(world.store.addCertificates(9, goodOnes(low), world.tick())).rejects.toMatchObject({
      name: 'NotFoundError',
    })
  })
})

describe('who has a certificate', () => {
  const n = low[0] ?? 0
  /** Claimed by both: at 0 since ever, at 1 by `columns`. */
  const claimedTwice = async (columns: string, source = 'moving = 1') => {
    set(0, source)
    set(1, 'arriving = 255')
    set(1, `away = 0, arriving = 0${columns}`)
  }
  const homeOf = async () => {
    await world.store.addCertificates(issuer, goodOnes([n]), world.tick())
    return world.dbs.findIndex((db) => serialsIn(db).includes(n))
  }

  test.each([
    ['the fresh claim of two', ', fresh = 1', 'moving = 1', 1],
    ['the one that is not frozen of two that are alike', '', 'frozen = 1', 1],
    ['the fresh one although it is frozen', ', fresh = 1, frozen = 1', 'moving = 1', 1],
    ['the lowest of two that are alike', '', 'moving = 1', 0],
  ])('is %s', async (_, target, source, wanted) => {
    await claimedTwice(target, source)
    expect(await homeOf()).toBe(wanted)
  })

  test('is not asked of a database that is away when the other is sure', async () => {
    world.db(0).failNext(99)
    expect(await world.store.addCertificates(issuer, goodOnes(high), world.tick())).toEqual(
      high.map(() => 'added'),
    )
  })

  test.each([
    ['moves', 'moving = 1'],
    ['was restored', 'frozen = 1'],
  ])('is not certain while a database is away and the one that claims it %s', async (_, columns) => {
    set(0, columns)
    world.db(1).failNext(99)
    await expect(revoke(n)).rejects.toThrow('DB_1 (unavailable): nothing was changed')
    await expect(world.store.readCertificate(issuer, serial(n))).rejects.toBeInstanceOf(StorageError)
  })

  test('is not guessed when nobody who answers claims it', async () => {
    world.db(1).failNext(1)
    await expect(revoke(high[0] ?? 0)).rejects.toThrow('DB_1 (unavailable)')
    set(1, 'leaving = 65280')
    set(1, 'leaving = 0, away = 65535')
    await expect(revoke(high[0] ?? 0)).rejects.toThrow(
      /no database has the certificates whose hash begins with/,
    )
    await expect(revoke(high[0] ?? 0)).rejects.toBeInstanceOf(ShardError)
  })

  test('is read anew for each call', async () => {
    await homeOf()
    await claimedTwice(', fresh = 1')
    const moved = numbersIn(LOW, 9).slice(6)
    await world.store.addCertificates(issuer, goodOnes(moved), world.tick())
    expect(serialsIn(world.db(1))).toEqual(moved)
  })
})

describe('a write that a move bars', () => {
  test('is to be repeated: it says so, and is no broken record', async () => {
    set(0, 'leaving = 255')
    const failed = await revoke(low[0] ?? 0).then(
      () => undefined,
      (error: unknown) => error,
    )
    // Not recorded, so there was nothing to bar.
    expect(failed).toBeUndefined()
    await expect(world.store.addCertificates(issuer, goodOnes(mixed), world.tick())).rejects.toMatchObject({
      name: 'StorageError',
      reason: 'unavailable',
      message: expect.stringMatching(/DB \(.*being moved to another database.*\): repeat the call/),
    })
    // What another database has stands.
    expect(serialsIn(world.db(1))).toEqual(high.toSorted((a, b) => a - b))
    set(0, 'leaving = 0')
    await world.store.addCertificates(issuer, goodOnes(mixed), world.tick())
    set(0, 'leaving = 255')
    await expect(revoke(low[0] ?? 0)).rejects.toMatchObject({ reason: 'unavailable' })
  })
})

describe('an import that a fault cuts off', () => {
  test('is completed by the same import, and nothing is recorded twice', async () => {
    const rows = goodOnes(mixed)
    await world.store.addCertificates(issuer, rows, NOW * 1000)
    const wanted = { record: recordOf(world), audit: auditOf(world) }
    let faults = 0
    for (const database of [0, 1])
      for (const kind of ['refused', 'answerLost'] as const)
        for (let nth = 0; ; nth += 1) {
          world = several(2)
          issuer = await setUp(world)
          const ended = faultAt(world.db(database), nth, kind)
          const failed = await world.store.addCertificates(issuer, rows, NOW * 1000).then(
            () => undefined,
            (error: unknown) => error,
          )
          if (!ended()) break
          faults += 1
          if (failed !== undefined) {
            expect(failed).toBeInstanceOf(ShardError)
            await world.store.addCertificates(issuer, rows, NOW * 1000)
          }
          expect({ record: recordOf(world), audit: auditOf(world) }).toEqual(wanted)
        }
    expect(faults).toBe(8)
  })
})
