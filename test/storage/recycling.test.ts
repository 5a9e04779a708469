/** New certificates are written over rows past their retention; nothing else is ever written over (law 2, attack 5). */
import { beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import type { NewCertificate } from '../../src/ports/admin-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, serial, setUp } from './fixtures.ts'

/** Past notAfter and the retention of the policy. */
const GONE = NOW + 120 * DAY + 60
const LATER = GONE + 900 * DAY

let db: SqliteD1
let admin: D1AdminStore
let slots: D1SlotStore
let issuer: number
let now = NOW
const nowMs = () => now * 1000 + 7

beforeEach(async () => {
  now = NOW
  db = new SqliteD1({ now: () => now })
  admin = new D1AdminStore(db)
  slots = new D1SlotStore(db)
  issuer = await setUp(admin)
})

const add = (rows: readonly NewCertificate[]) => admin.addCertificates(issuer, rows, nowMs())
const some = (from: number, count: number, changes: Partial<NewCertificate> = {}) =>
  Array.from({ length: count }, (_, n) => good(from + n, changes))
const lasting = (from: number, count: number) => some(from, count, { notAfter: LATER })
const rowsOf = (from: number, count: number) =>
  db.rows(
    'SELECT * FROM certificates WHERE serial BETWEEN unhex(?1) AND unhex(?2) ORDER BY serial',
    Buffer.from(serial(from)).toString('hex'),
    Buffer.from(serial(from + count - 1)).toString('hex'),
  )
const count = () => Number(db.rows('SELECT count(*) AS n FROM certificates')[0]?.['n'])
const isSpare = () => db.rows('SELECT spare FROM issuers')[0]?.['spare'] === 1
const pruned = () =>
  Number(
    db.rows("SELECT sum(detail->>'count') AS n FROM audit WHERE action = 'certificates.pruned'")[0]?.['n'] ??
      0,
  )

/** 400 that are past their retention among 400 that are not, and a CA that records many at once. */
async function setSpare(changes: Partial<NewCertificate> = {}): Promise<void> {
  await add([...some(0, 400, changes), ...lasting(1_000, 400)])
  now = GONE
  await add(lasting(2_000, 10))
  expect(await slots.pruneCertificates(now, 5_000)).toBe(0)
}

describe('recycling', () => {
  test('new certificates take the rows of those past their retention; the audit tells how many went', async () => {
    await setSpare()
    expect(isSpare()).toBe(true)
    const before = count()
    await add(lasting(3_000, 50))
    const taken = before + 50 - count()
    expect(taken).toBeGreaterThan(30)
    expect(pruned()).toBe(taken)
    expect(rowsOf(0, 400)).toHaveLength(400 - taken)
    expect(rowsOf(1_000, 400)).toHaveLength(400)
    expect(rowsOf(3_000, 50)).toHaveLength(50)
  })

  test('what is written over a row is in every column what would have been inserted', async () => {
    const mixed = [
      ...lasting(3_000, 20),
      ...some(3_020, 5, { status: 'revoked', reason: 4, revocationTime: NOW, notAfter: LATER }),
      ...some(3_025, 5, { status: 'hold', isCA: true, notAfter: LATER }),
      ...Array.from({ length: 5 }, (_, n) => ({ serial: serial(3_030 + n), status: 'reserved' as const })),
      ...some(3_035, 5, {
        notAfter: LATER,
        extensions: Uint8Array.of(0x30, 0x09, 0x30, 0x07, 6, 1, 42, 4, 2, 5, 0),
      }),
    ]
    await setSpare({ status: 'revoked', reason: 1 })
    const undo = db.backup()
    const outcomes = await add(mixed)
    const recycled = rowsOf(3_000, 40)
    expect(pruned()).toBeGreaterThan(20)
    undo()
    db.exec('UPDATE issuers SET spare = 0')
    expect(await add(mixed)).toEqual(outcomes)
    expect(rowsOf(3_000, 40)).toEqual(recycled)
    expect(pruned()).toBe(0)
  })

  test.each<[string, Partial<NewCertificate>, string]>([
    ['within their retention', { notAfter: GONE - 29 * DAY }, ''],
    ['without an end', { notAfter: 0 }, ''],
    ['of a final issuer', {}, 'UPDATE issuers SET final_at = 1'],
    ['while digits of the hash move to another database', {}, 'UPDATE issuers SET moving = 1, seq = seq + 1'],
    [
      'revoked, where an unknown serial is answered good (law 2)',
      { status: 'revoked' },
      `UPDATE issuers SET policy = json_set(policy, '$.unknown', 'good')`,
    ],
    [
      'on hold, where an unknown serial is answered good (law 2)',
      { status: 'hold' },
      `UPDATE issuers SET policy = json_set(policy, '$.unknown', 'good')`,
    ],
  ])('nothing is written over rows %s', async (_, changes, sql) => {
    await setSpare(changes)
    db.exec('UPDATE issuers SET spare = 1')
    if (sql !== '') db.exec(sql)
    const before = rowsOf(0, 400)
    await add(lasting(3_000, 50))
    expect(rowsOf(0, 400)).toEqual(before)
    expect(pruned()).toBe(0)
  })

  test('a row that the same call speaks of is not taken: what was decided about it stands', async () => {
    await setSpare({ status: 'revoked' })
    const outcomes = await add([...lasting(3_000, 200), ...some(0, 400)])
    expect(pruned()).toBe(0)
    expect(outcomes.slice(200)).toEqual(
      Array.from({ length: 400 }, () => ({ refused: expect.stringContaining('revoked') })),
    )
    expect(new Set(rowsOf(0, 400).map(({ status }) => status))).toEqual(new Set([1]))
  })

  test('of two rows with the same hash one is taken at a time', async () => {
    const [first, second] = sameHash()
    const ended = (octets: Uint8Array) => ({
      serial: octets,
      status: 'good' as const,
      notAfter: NOW + 90 * DAY,
    })
    await add([ended(first), ended(second), ...lasting(1_000, 50)])
    now = GONE
    db.exec('UPDATE issuers SET spare = 1')
    const total = count()
    for (let from = 10_000; pruned() < 2; from += 200) await add(lasting(from, 200))
    expect(await admin.readCertificate(issuer, first)).toBeUndefined()
    expect(await admin.readCertificate(issuer, second)).toBeUndefined()
    expect((count() - total + 2) % 200).toBe(0)
  })

  test('few at once are inserted: the audit would cost more than the row', async () => {
    await setSpare()
    const before = count()
    await add(lasting(3_000, 9))
    expect(count()).toBe(before + 9)
    expect(pruned()).toBe(0)
  })

  test('a dry run and a status change write over nothing', async () => {
    await setSpare()
    const before = rowsOf(0, 400)
    await admin.changeStatus(issuer, serial(1_000), { to: 'revoked' }, nowMs())
    expect(rowsOf(0, 400)).toEqual(before)
  })

  test('what nobody takes is pruned after two weeks, or at once where nobody records many', async () => {
    await setSpare()
    now += 14 * DAY - 90
    expect(await slots.pruneCertificates(now, 5_000)).toBe(0)
    await add(lasting(4_000, 1)) // one is not many
    now += 120
    expect(await slots.pruneCertificates(now, 5_000)).toBe(400)
    expect(isSpare()).toBe(false)
    expect(pruned()).toBe(400)
  })

  test('a CA that goes on recording has its spare rows for two weeks and no longer', async () => {
    await setSpare()
    now += 13 * DAY
    await add(lasting(4_000, 10))
    expect(await slots.pruneCertificates(now, 5_000)).toBe(0)
    now += 2 * DAY
    const left = rowsOf(0, 400).length
    expect(await slots.pruneCertificates(now, 5_000)).toBe(left)
    expect(rowsOf(0, 400)).toEqual([])
  })

  test('too few to look for are no spare rows', async () => {
    await add([...some(0, 2), ...lasting(1_000, 500)])
    now = GONE
    await add(lasting(2_000, 10))
    expect(await slots.pruneCertificates(now, 5_000)).toBe(0)
    expect(isSpare()).toBe(false)
  })

  test('the slot of the new certificate is told, whosever row it takes', async () => {
    await setSpare()
    const added = () => Number(db.rows('SELECT sum(added) AS n FROM slots')[0]?.['n'])
    const before = added()
    await add(lasting(3_000, 50))
    expect(added()).toBe(before + 50)
  })
})

/** Two serials of one hash. */
function sameHash(): readonly [Uint8Array, Uint8Array] {
  const seen = new Map<number, number>()
  for (let n = 0; ; n += 1) {
    const hash = serialHash(serial(n))
    const before = seen.get(hash)
    if (before !== undefined) return [serial(before), serial(n)]
    seen.set(hash, n)
  }
}
