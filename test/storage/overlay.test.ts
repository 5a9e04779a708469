/** The publisher's lease and the source of the root (attack 3). */
import { beforeEach, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, NOW_MS, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let overlay: D1OverlayStore
let issuer: number
let ms = NOW_MS

const lease = (holder: string, at: number, seen = 0) =>
  overlay.leasePublisher(holder, at, 15_000, 1_000, seen)
const head = async () => (await overlay.readOverlay()).issuers[0]?.head ?? 0

beforeEach(async () => {
  ms = NOW_MS
  db = new SqliteD1({ now: () => ms / 1000 })
  admin = new D1AdminStore(db)
  overlay = new D1OverlayStore(db)
  issuer = await setUp(admin)
  await admin.addCertificates(issuer, [good(1), good(2)], NOW_MS)
})

test('one publisher at a time; versions are reserved with the lease and never repeat', async () => {
  expect(await lease('a', NOW_MS)).toEqual({ version: NOW_MS, restored: false })
  expect(await lease('b', NOW_MS + 5_000)).toBeUndefined()
  expect(await lease('b', NOW_MS + 15_000)).toEqual({ version: NOW_MS + 15_000, restored: false })
})

test('a second put waits for the gap, also when the first holder died', async () => {
  const first = await lease('a', NOW_MS)
  expect(await overlay.recordPublished('a', first?.version ?? 0, NOW_MS + 300, [])).toBe(true)
  expect(await lease('a', NOW_MS + 1_200)).toBeUndefined()
  expect(await lease('a', NOW_MS + 1_300)).toMatchObject({ version: NOW_MS + 1_300 })
  expect(await lease('a', NOW_MS + 1_301)).toBeUndefined()
})

test('versions grow even when clocks do not', async () => {
  const first = await lease('a', NOW_MS)
  await overlay.recordPublished('a', first?.version ?? 0, NOW_MS - 5_000, [])
  expect(await lease('b', NOW_MS + 1_000)).toMatchObject({ version: NOW_MS + 1_000 })
  db.exec('UPDATE publisher SET lease = NULL, put_at = 0')
  expect(await lease('c', NOW_MS - 60_000)).toEqual({ version: NOW_MS + 1_001, restored: false })
})

test('a root in KV that this database never reserved is remembered until the issuers are frozen (attack 4)', async () => {
  const first = await lease('a', NOW_MS)
  const lost = (first?.version ?? 0) + 600_000
  // The publisher that saw it dies before it can freeze anything; its own version is above the lost one by then.
  expect(await lease('b', NOW_MS + 700_000, lost)).toMatchObject({
    version: NOW_MS + 700_000,
    restored: true,
  })
  expect(await lease('c', NOW_MS + 720_000, lost)).toMatchObject({ restored: true })
  await overlay.freeze([issuer], NOW_MS + 720_000)
  expect(await lease('d', NOW_MS + 740_000, NOW_MS + 720_000)).toMatchObject({ restored: false })
  expect((await overlay.readOverlay()).issuers[0]?.frozen).toBe(true)
})

test('a publisher that lost its lease advances nothing, whenever its put arrives (attack 3)', async () => {
  const slow = await lease('slow', NOW_MS)
  const old = await head()
  await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, NOW_MS + 10_000)
  const fast = await lease('fast', NOW_MS + 20_000)
  const now = await head()
  expect(fast?.version).toBeGreaterThan(slow?.version ?? Number.POSITIVE_INFINITY)
  expect(
    await overlay.recordPublished('fast', fast?.version ?? 0, NOW_MS + 21_000, [{ issuer, head: now }]),
  ).toBe(true)
  expect(
    await overlay.recordPublished('slow', slow?.version ?? 0, NOW_MS + 22_000, [{ issuer, head: old }]),
  ).toBe(false)
  expect(await overlay.readPublished(issuer)).toBe(now)
})

test('a stale version under a lease taken anew by the same holder records nothing (attack 3)', async () => {
  const first = await lease('a', NOW_MS)
  const again = await lease('a', NOW_MS + 2_000)
  expect(
    await overlay.recordPublished('a', first?.version ?? 0, NOW_MS + 2_500, [{ issuer, head: await head() }]),
  ).toBe(false)
  expect(await overlay.readPublished(issuer)).toBe(0)
  expect(
    await overlay.recordPublished('a', again?.version ?? 0, NOW_MS + 2_600, [{ issuer, head: await head() }]),
  ).toBe(true)
  expect(await overlay.readPublished(issuer)).toBe(await head())
})

test('published never falls, and never passes what the record knows', async () => {
  const first = await lease('a', NOW_MS)
  const ahead = (await head()) + 10
  await overlay.recordPublished('a', first?.version ?? 0, NOW_MS, [{ issuer, head: ahead }])
  expect(await overlay.readPublished(issuer)).toBe(ahead - 10)
  const second = await lease('a', NOW_MS + 2_000)
  await overlay.recordPublished('a', second?.version ?? 0, NOW_MS + 2_000, [{ issuer, head: 1 }])
  expect(await overlay.readPublished(issuer)).toBe(ahead - 10)
})

test('items go when keep_until has passed, not before, and not by a clock that runs ahead', async () => {
  await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, NOW_MS)
  const until = NOW + 7 * DAY + 3600
  expect(await overlay.pruneOverlay(until + DAY)).toBe(0)
  ms = until * 1000
  expect(await overlay.pruneOverlay(until)).toBe(0)
  ms = (until + 1) * 1000
  expect(await overlay.pruneOverlay(until + 1)).toBe(1)
  expect((await overlay.readOverlay()).items).toEqual([])
})

test('says what is to be done when the schema is missing', async () => {
  const bare = new SqliteD1({ migrate: false })
  const stores = [new D1OverlayStore(bare).readOverlay(), new D1AdminStore(bare).listIssuers()]
  for (const store of stores)
    await expect(store).rejects.toMatchObject({
      reason: 'notSetUp',
      message: expect.stringContaining('migrations apply'),
    })
  expect(await new D1AdminStore(bare).globals(NOW)).toMatchObject({ schema: false, issuers: [] })
})

test('the position of the record rises with every change, of any issuer, and never otherwise', async () => {
  const position = async () => (await overlay.readOverlay()).position
  const second = await setUp(admin, { name: 'second', ski: 'bb' })
  const changes: (() => Promise<unknown>)[] = [
    () => admin.addCertificates(second, [good(7)], NOW_MS),
    () => admin.changeStatus(issuer, serial(1), { to: 'revoked' }, NOW_MS),
    () => admin.raiseFloor(second, NOW_MS),
    () => overlay.freeze([issuer], NOW_MS),
    () => admin.thaw(issuer, NOW_MS),
    () => admin.updateIssuer(second, { enabled: false }, NOW_MS),
  ]
  for (const [i, change] of changes.entries()) {
    const before = await position()
    await change()
    expect(await position(), `change ${i}`).toBeGreaterThan(before)
  }
  const before = await position()
  const leased = await lease('a', NOW_MS + 60_000)
  await overlay.recordPublished('a', leased?.version ?? 0, NOW_MS + 60_000, [
    { issuer, head: Number.MAX_SAFE_INTEGER },
  ])
  expect(await position()).toBe(before)
  expect(() => db.exec('UPDATE publisher SET position = position - 1')).toThrow('position never falls')
})
