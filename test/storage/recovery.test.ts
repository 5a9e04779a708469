/** Bundles that KV has lost: missed by those who ask, built again in the order of how much they are missed (law 3). */
import { beforeEach, expect, test } from 'vitest'
import { MissedBundles } from '../../src/responder/missed-bundles.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1RecoveryStore } from '../../src/storage/d1-recovery-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, goodIn, NOW, setUp } from './fixtures.ts'

const K = 2
let db: SqliteD1
let admin: D1AdminStore
let slots: D1SlotStore
let recovery: D1RecoveryStore
let issuer: number
let now = NOW

/** Four slots, all built. */
beforeEach(async () => {
  now = NOW
  db = new SqliteD1({ now: () => now })
  admin = new D1AdminStore(db)
  slots = new D1SlotStore(db)
  recovery = new D1RecoveryStore(db)
  issuer = await setUp(admin)
  db.exec(`UPDATE issuers SET k = ${K}`)
  db.exec('DELETE FROM slots')
  for (let slot = 0; slot < 2 ** K; slot += 1)
    db.exec(`INSERT INTO slots (issuer, k, slot) VALUES (${issuer}, ${K}, ${slot})`)
  for (let slot = 0; slot < 2 ** K; slot += 1)
    await admin.addCertificates(issuer, goodIn(slot, K, 1), NOW * 1000)
  now += 10
  for (let slot = 0; slot < 2 ** K; slot += 1) await build(slot)
})

async function build(slot: number): Promise<void> {
  const lease = await slots.lease({ issuer, k: K, slot }, now, 1200)
  if (lease === undefined) throw new Error(`slot ${slot} is leased`)
  const { asOf, rows } = await slots.readSlot(lease)
  const nextUpdate = now + 7 * DAY
  const times = { thisUpdate: now - 300, nextUpdate, refreshAt: now + 3 * DAY, builtAt: now }
  await slots.record(lease, { asOf, entries: rows.length, bytes: 100, signatures: 2, ...times })
}

const due = async () => (await slots.dueSlots(now, 10, { all: false })).map(({ slot }) => slot)
const miss = (slot: number, count: number) => ({ issuer, k: K, slot, count })

test('what is missed is due, the most missed first, until it is built', async () => {
  expect(await due()).toEqual([])
  now += 3_600
  expect(await recovery.noteMissed([miss(2, 5), miss(0, 7), miss(3, 1)], now)).toBe(3)
  expect(await recovery.noteMissed([miss(3, 9)], now)).toBe(1)
  expect(await due()).toEqual([3, 0, 2])
  await build(3)
  expect(await due()).toEqual([0, 2])
})

test('a revocation comes before everything that is missed', async () => {
  now += 3_600
  await recovery.noteMissed([miss(2, 500)], now)
  const [revoked] = goodIn(1, K, 1)
  await admin.changeStatus(issuer, revoked?.serial ?? new Uint8Array(), { to: 'revoked' }, now * 1000)
  expect(await due()).toEqual([1, 2])
})

test('a bundle that KV may not have carried yet, that never was, or that is over, is not missed', async () => {
  now += 599
  expect(await recovery.noteMissed([miss(2, 5)], now)).toBe(0)
  now += 1
  expect(await recovery.noteMissed([miss(2, 5), miss(77, 5), { ...miss(1, 5), k: 9 }], now)).toBe(1)
  now += 8 * DAY
  expect(await recovery.noteMissed([miss(1, 5)], now)).toBe(0)
})

test('all bundles of one issuer, or of all, are marked as lost, and the audit says so', async () => {
  const other = await setUp(admin, { name: 'other', ski: 'bb' }, now * 1000)
  await admin.addCertificates(other, goodIn(0, 0, 1), now * 1000)
  expect(await recovery.markLost(other, now * 1000)).toBe(0) // never built
  expect(await recovery.markLost(issuer, now * 1000)).toBe(4)
  expect((await slots.dueSlots(now, 10, { all: false, issuer })).map(({ slot }) => slot).sort()).toEqual([
    0, 1, 2, 3,
  ])
  for (let slot = 0; slot < 4; slot += 1) await build(slot)
  expect(await slots.countDue(now, { all: false, issuer })).toBe(0)
  expect(await recovery.markLost(undefined, now * 1000)).toBe(4)
  const lost = (await admin.audit(0, 100)).filter(({ action }) => action === 'bundles.lost')
  expect(lost.map(({ issuer: of, detail }) => [of, detail['slots']])).toEqual([
    [other, 0],
    [issuer, 4],
    [undefined, 4],
  ])
})

test('an isolate reports once in 30 s, the most missed of what it gathered, and keeps little', async () => {
  const reports: (readonly { slot: number; count: number }[])[] = []
  const background: Promise<unknown>[] = []
  let wake = () => {}
  const missed = new MissedBundles({
    recovery: {
      async noteMissed(named) {
        reports.push(named)
        throw new Error('D1 is away') // a report that is lost is no loss
      },
    },
    sleep: (ms) => {
      expect(ms).toBe(5_000)
      return new Promise((resolve) => {
        wake = resolve
      })
    },
    background: (work) => background.push(work),
  })
  const woken = async () => {
    wake()
    await Promise.all(background)
  }
  missed.note(issuer, K, 1, now)
  missed.note(issuer, K, 2, now + 1)
  missed.note(issuer, K, 2, now + 2)
  expect(reports).toEqual([]) // what is missed first is seldom alone
  await woken()
  expect(reports).toEqual([[miss(2, 2), miss(1, 1)]])
  for (let i = 0; i < 5_000; i += 1) missed.note(issuer, 20, i, now + 29)
  for (let i = 0; i < 9; i += 1) missed.note(issuer, 20, 500, now + 29)
  expect(background).toHaveLength(1)
  missed.note(issuer, 20, 2, now + 30)
  await woken()
  expect(reports).toHaveLength(2)
  expect(reports[1]).toHaveLength(64)
  expect(reports[1]?.[0]).toMatchObject({ slot: 500, count: 10 })
  expect(reports[1]?.[1]).toMatchObject({ slot: 2, count: 2 })
})
