/** Which slots are due, who builds them, and that nothing that changed is lost on the way (attacks 7 and 9). */
import { beforeEach, describe, expect, test } from 'vitest'
import { serialHash, slotOf } from '../../src/bundle/slot.ts'
import type { LeasedSlot } from '../../src/ports/ports.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { nextK } from '../../src/storage/slot-growth.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, goodIn, NOW, POLICY, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let slots: D1SlotStore
let issuer: number
let now = NOW
const nowMs = () => now * 1000 + 7
const due = (all = false) => slots.dueSlots(now, 100, { all })
const revoke = (n: number) => admin.changeStatus(issuer, serial(n), { to: 'revoked' }, nowMs())

beforeEach(async () => {
  now = NOW
  db = new SqliteD1({ now: () => now })
  admin = new D1AdminStore(db)
  slots = new D1SlotStore(db)
  issuer = await setUp(admin)
  await admin.addCertificates(issuer, [good(1), good(2)], nowMs())
  now += 10
})

async function take(k = 0, slot = 0): Promise<LeasedSlot> {
  const lease = await slots.lease({ issuer, k, slot }, now, 1200)
  if (lease === undefined) throw new Error(`slot ${k}/${slot} is leased`)
  return lease
}

/** What a builder does between reading and recording is `meanwhile`. */
async function build(
  lease: LeasedSlot,
  meanwhile: () => Promise<unknown> = async () => undefined,
): Promise<boolean> {
  const { asOf, rows } = await slots.readSlot(lease)
  await meanwhile()
  return slots.record(lease, {
    asOf,
    entries: rows.length,
    bytes: 100 * rows.length,
    thisUpdate: now - 300,
    nextUpdate: now - 300 + 7 * DAY - 1,
    refreshAt: now + 3 * DAY,
    builtAt: now,
    signatures: 2 * rows.length,
  })
}

const SLOT = { k: 0, slot: 0 }

describe('when a slot is due', () => {
  test('never built with entries; not once built; again when half its validity is gone', async () => {
    expect(await due()).toEqual([{ issuer, ...SLOT }])
    expect(await build(await take())).toBe(true)
    expect(await due()).toEqual([])
    now += 3 * DAY - 1
    expect(await due()).toEqual([])
    now += 1
    expect(await due()).toEqual([{ issuer, ...SLOT }])
    expect(await slots.countDue(now, { all: false })).toBe(1)
  })

  test('not without entries', async () => {
    await admin.addIssuer({ ...(await record()), name: 'empty', ski: 'ab' }, nowMs())
    expect(await due(true)).toEqual([{ issuer, ...SLOT }])
  })

  test('a revocation makes it due at once, and it comes before refreshes', async () => {
    await build(await take())
    await revoke(1)
    expect(await due()).toEqual([{ issuer, ...SLOT }])
  })

  test('31 new certificates wait, about 32 do not; `all` takes any', async () => {
    await build(await take())
    await admin.addCertificates(
      issuer,
      Array.from({ length: 31 }, (_, n) => good(100 + n)),
      nowMs(),
    )
    expect(await due()).toEqual([])
    expect(await due(true)).toEqual([{ issuer, ...SLOT }])
    let more = 0
    for (; (await due()).length === 0 && more < 32; more += 1)
      await admin.addCertificates(issuer, [good(200 + more)], nowMs())
    expect(await due()).toEqual([{ issuer, ...SLOT }])
    expect(more).toBeGreaterThan(0)
  })

  test('of those that come singly, two are counted and then one in sixteen for sixteen; the slot is written that rarely', async () => {
    await build(await take())
    db.exec(
      `CREATE TABLE written (n); CREATE TRIGGER written AFTER UPDATE ON slots BEGIN INSERT INTO written VALUES (1); END`,
    )
    const state = () =>
      db.rows('SELECT added, added_seq, (SELECT count(*) FROM written) AS written FROM slots')[0] ?? {}
    for (let n = 0; n < 2; n += 1) await admin.addCertificates(issuer, [good(100 + n)], nowMs())
    expect(state()).toMatchObject({ added: 2, written: 2 })
    for (let n = 0; n < 400; n += 1) await admin.addCertificates(issuer, [good(1_000 + n)], nowMs())
    const { added, written } = state()
    expect(Number(written) - 2).toBe((Number(added) - 2) / 16)
    expect(added).toBeGreaterThan(250)
    expect(added).toBeLessThan(550)
    // Whoever builds it meanwhile must learn of each.
    const lease = await take()
    const before = state()
    await admin.addCertificates(issuer, [good(5_000)], nowMs())
    expect(state()['added']).toBe(Number(before['added']) + 1)
    expect(state()['added_seq']).toBeGreaterThan(Number(before['added_seq']))
    await slots.release(lease, '')
  })

  test('one new certificate waits three days, counted from the first', async () => {
    await build(await take())
    await admin.addCertificates(issuer, [good(100)], nowMs())
    now += DAY / 2
    await admin.addCertificates(issuer, [good(101)], nowMs())
    now += 2.5 * DAY - 1
    expect(await due()).toEqual([])
    now += 1
    expect(await due()).toEqual([{ issuer, ...SLOT }])
  })

  test('not when disabled, frozen, without an active responder, or leased', async () => {
    await admin.updateIssuer(issuer, { enabled: false }, nowMs())
    expect(await due()).toEqual([])
    await admin.updateIssuer(issuer, { enabled: true }, nowMs())
    expect(await due()).toHaveLength(1)
    await take()
    expect(await due()).toEqual([])
    now += 1200
    expect(await due()).toHaveLength(1)
    const [responder] = (await record()).responders
    await admin.retireResponder(issuer, responder?.id ?? 0, nowMs())
    expect(await due()).toEqual([])
  })

  test('a raised floor, other hashes and a shorter validity make every slot due, a longer validity does not', async () => {
    await build(await take())
    await admin.updateIssuer(issuer, { policy: { ...POLICY, validitySeconds: 9 * DAY } }, nowMs())
    expect(await due()).toEqual([])
    await admin.updateIssuer(issuer, { policy: { ...POLICY, hashes: ['SHA-256'] } }, nowMs())
    expect(await due()).toHaveLength(1)
    now += 1
    expect(await build(await take())).toBe(true)
    expect(await due()).toEqual([])
    now += 1
    const shorter = { ...POLICY, hashes: ['SHA-256' as const], validitySeconds: 2 * DAY }
    await admin.updateIssuer(issuer, { policy: shorter }, nowMs())
    expect(await due()).toHaveLength(1)
    now += 1
    expect(await build(await take())).toBe(true)
    now += 1
    const floor = await admin.raiseFloor(issuer, nowMs())
    expect(await due()).toHaveLength(1)
    expect(await slots.readSlot({ issuer, ...SLOT })).toMatchObject({ asOf: floor, floor })
  })

  test('slots that failed come after the others, and the failure is noted', async () => {
    const other = await setUp(admin, { name: 'other', ski: 'ab' }, nowMs())
    await admin.addCertificates(other, [good(1)], nowMs())
    await slots.release(await take(), 'the signer is gone')
    expect((await due()).map((slot) => slot.issuer)).toEqual([other, issuer])
    expect(await slots.dueSlots(now, 1, { all: false })).toEqual([{ issuer: other, ...SLOT }])
    expect(await slots.dueSlots(now, 9, { all: false, issuer })).toEqual([{ issuer, ...SLOT }])
    expect(db.rows('SELECT failures, last_error FROM slots WHERE failures > 0')).toEqual([
      { failures: 1, last_error: 'the signer is gone' },
    ])
    expect(await admin.globals(now)).toMatchObject({
      slotsFailing: 1,
      slotsDue: 2,
      counters: { builds_failed: 1 },
    })
    await build(await take())
    expect((await admin.globals(now)).slotsFailing).toBe(0)
  })

  test('a slot too large for a bundle waits for the next era', async () => {
    db.exec('UPDATE slots SET added = 8001')
    expect(await due()).toEqual([])
  })
})

describe('building while the record moves on (attack 7)', () => {
  test('a revocation between read and record keeps the slot due', async () => {
    expect(await build(await take(), () => revoke(1))).toBe(true)
    expect(await due()).toHaveLength(1)
    now += 1
    expect(await build(await take())).toBe(true)
    expect(await due()).toEqual([])
  })

  test('certificates added between read and record stay counted', async () => {
    now += 1
    const rows = Array.from({ length: 5 }, (_, n) => good(100 + n))
    await build(await take(), () => admin.addCertificates(issuer, rows, nowMs()))
    expect(db.rows('SELECT entries, added FROM slots')).toEqual([{ entries: 2, added: 5 }])
    expect(await due(true)).toHaveLength(1)
  })

  test('a lease is exclusive until it expires, then one more build is owed', async () => {
    const zombie = await take()
    expect(await slots.lease({ issuer, ...SLOT }, now + 1199, 1200)).toBeUndefined()
    const { asOf: old } = await slots.readSlot(zombie)
    now += 1200
    await revoke(1)
    const second = await take()
    expect(await build(second)).toBe(true)
    // The zombie may have put its old bundle over the new one: D1 does not believe it, and the slot is built once more.
    expect(await slots.record(zombie, { ...BUILT, asOf: old })).toBe(false)
    expect(db.rows('SELECT built_seq >= changed_seq AS current FROM slots')).toEqual([{ current: 1 }])
    // Not at once, or the put might still come after that.
    now += 59
    expect(await due()).toEqual([])
    now += 1
    expect(await due()).toHaveLength(1)
    expect(await build(await take())).toBe(true)
    now += 60
    expect(await due()).toEqual([])
  })

  test('a record older than what is built is refused', async () => {
    now += 1
    const first = await take()
    const { asOf } = await slots.readSlot(first)
    await build(first)
    const second = await take()
    expect(await slots.record(second, { ...BUILT, asOf: asOf - 1 })).toBe(false)
    expect(await slots.record(second, { ...BUILT, asOf })).toBe(true)
  })

  test('release gives back only what is still held', async () => {
    const zombie = await take()
    now += 1200
    const second = await take()
    await slots.release(zombie, 'late')
    expect(await slots.lease({ issuer, ...SLOT }, now, 1200)).toBeUndefined()
    await slots.release(second, '')
    expect(await slots.lease({ issuer, ...SLOT }, now, 1200)).toBeDefined()
    expect(db.rows('SELECT failures FROM slots')).toEqual([{ failures: 0 }])
  })

  test('signatures and bundles are counted', async () => {
    await build(await take())
    expect((await admin.globals(now)).counters).toMatchObject({
      builds_failed: 0,
      bundles_built: 1,
      bundles_missed: 0,
      signatures_made: 4,
    })
  })
})

describe('doubling (attack 9)', () => {
  const eras = () => db.rows('SELECT k, count(*) AS n FROM slots GROUP BY k').map(({ k, n }) => [k, n])
  const buildAll = async (k: number, meanwhile?: () => Promise<unknown>) => {
    let first = meanwhile
    for (let slot = 0; slot < 2 ** k; slot += 1) {
      expect(await build(await take(k, slot), first)).toBe(true)
      first = undefined
    }
  }

  beforeEach(async () => {
    await build(await take())
    await admin.addCertificates(issuer, goodIn(0, 1, 5, 1000), nowMs())
  })

  test('starts above the limit, once; all new slots are due, even empty ones', async () => {
    expect(await slots.startGrowth(now, 7)).toEqual([])
    expect(await slots.startGrowth(now, 6)).toEqual([issuer])
    expect(await slots.startGrowth(now, 6)).toEqual([])
    expect(eras()).toEqual([
      [0, 1],
      [1, 2],
    ])
    expect(await due()).toEqual([
      { issuer, k: 1, slot: 0 },
      { issuer, k: 1, slot: 1 },
    ])
    expect(await admin.globals(now)).toMatchObject({ issuers: [{ k: 0, kNext: 1 }] })
  })

  test('switches only when every new slot is built, then drops the old era', async () => {
    await slots.startGrowth(now, 6)
    now += 1
    expect(await slots.finishGrowth()).toEqual([])
    await build(await take(1, 0))
    expect(await slots.finishGrowth()).toEqual([])
    await build(await take(1, 1))
    const before = await slots.readSlot({ issuer, k: 1, slot: 0 })
    expect(await slots.finishGrowth()).toEqual([issuer])
    expect(eras()).toEqual([[1, 2]])
    const after = await slots.readSlot({ issuer, k: 1, slot: 0 })
    expect(after.asOf).toBeGreaterThan(before.asOf)
    expect(await slots.finishGrowth()).toEqual([])
    expect(await due(true)).toEqual([])
  })

  test('a revocation after the new slot was read does not hold the switch back: the slot stays due', async () => {
    const [victim] = goodIn(0, 1, 1, 1000)
    const target = victim?.serial ?? serial(0)
    await slots.startGrowth(now, 6)
    now += 1
    await buildAll(1, () => admin.changeStatus(issuer, target, { to: 'revoked' }, nowMs()))
    expect(await slots.finishGrowth()).toEqual([issuer])
    expect(await due()).toContainEqual({ issuer, k: 1, slot: slotOf(serialHash(target), 1) })
  })

  test('under revocations that never cease the doubling ends all the same', async () => {
    const victims = [...goodIn(0, 1, 20, 1000), ...goodIn(1, 1, 20, 1000)]
    await admin.addCertificates(issuer, victims, nowMs())
    await slots.startGrowth(now, 6)
    let switched: readonly number[] = []
    for (const { serial: of } of victims) {
      now += 1
      for (const { k, slot } of await due()) await build(await take(k, slot))
      await admin.changeStatus(issuer, of, { to: 'revoked' }, nowMs())
      switched = await slots.finishGrowth()
      if (switched.length > 0) break
    }
    expect(switched).toEqual([issuer])
  })

  test('a change during the doubling marks the slots of both eras', async () => {
    await slots.startGrowth(now, 6)
    now += 1
    await buildAll(1)
    await build(await take(0, 0))
    now += 1
    await revoke(1)
    const slot = slotOf(serialHash(serial(1)), 1)
    expect(await due()).toEqual([
      { issuer, k: 0, slot: 0 },
      { issuer, k: 1, slot },
    ])
  })

  test('a slot built before the doubling began does not count, nor does a missing one', async () => {
    await slots.startGrowth(now, 6)
    db.exec('UPDATE slots SET changed_seq = changed_seq, built_seq = changed_seq WHERE k = 1')
    db.exec('UPDATE issuers SET seq = seq + 1, growth_seq = seq + 1')
    expect(await slots.finishGrowth()).toEqual([])
    db.exec('UPDATE slots SET built_seq = built_seq + 1 WHERE k = 1')
    db.exec('DELETE FROM slots WHERE k = 1 AND slot = 1')
    expect(await slots.finishGrowth()).toEqual([])
  })

  test('every row is in exactly one slot of the era', async () => {
    db.exec('UPDATE slots SET entries = 3000')
    await slots.startGrowth(now, 1000)
    const k = (await admin.globals(now)).issuers[0]?.kNext ?? 0
    expect(k).toBe(3)
    const found = new Set<string>()
    for (let slot = 0; slot < 2 ** k; slot += 1) {
      const { rows } = await slots.readSlot({ issuer, k, slot })
      for (const row of rows) found.add(row.serial.join())
      const hashes = rows.map((row) => serialHash(row.serial))
      expect(hashes).toEqual([...hashes].sort((a, b) => a - b))
      expect(hashes.every((hash) => slotOf(hash, k) === slot)).toBe(true)
    }
    expect(found.size).toBe(7)
  })

  test.each([
    [0, 1001, 1],
    [0, 1401, 2],
    [0, 3000, 3],
    [3, 9000, 4],
    [0, 100_000_000, 18],
    [23, 1e12, 24],
  ])('from k=%i with %i certificates to k=%i', (k, total, next) => {
    expect(nextK(k, total)).toBe(next)
  })

  test.each([
    ['P-256', 4_000, 91, 3],
    ['RSA-2048', 4_000, 294, 4],
    ['RSA-4096', 4_000, 550, 5],
    ['RSA-4096, few certificates', 900, 550, 2],
  ])(
    'for keys of %s %i certificates are split at once as far as their bundles will need it',
    async (_, total, spki, next) => {
      expect(nextK(0, total, 2 * spki + 40)).toBe(next)
      db.exec(`UPDATE responders SET spki = zeroblob(${spki})`)
      db.exec(`UPDATE slots SET added = ${total} WHERE k = 0`)
      expect(await slots.startGrowth(now, 6)).toEqual([issuer])
      expect(db.rows('SELECT k_next FROM issuers')).toEqual([{ k_next: next }])
    },
  )
})

const BUILT = {
  asOf: 0,
  entries: 0,
  bytes: 0,
  thisUpdate: NOW,
  nextUpdate: NOW + DAY,
  refreshAt: NOW + DAY,
  builtAt: NOW,
  signatures: 0,
}

async function record() {
  const found = await admin.findIssuer(`${issuer}`)
  if (found === undefined) throw new Error('no issuer')
  return found
}
