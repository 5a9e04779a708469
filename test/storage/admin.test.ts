import { beforeEach, expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, key, NOW, NOW_MS, newIssuer, newResponder, POLICY, serial } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let status: D1StatusStore

beforeEach(() => {
  db = new SqliteD1({ now: () => NOW })
  admin = new D1AdminStore(db)
  status = new D1StatusStore(db)
})

test('an issuer comes back field by field, from both stores, and is found by name, SKI and id', async () => {
  const added = await admin.addIssuer(newIssuer(), NOW_MS)
  expect(added).toEqual({ ...newIssuer(), id: added.id, configRev: NOW_MS * 1000, responders: [] })
  for (const name of ['demo-ca', added.ski, added.ski.toUpperCase(), `${added.id}`])
    expect(await admin.findIssuer(name)).toEqual(added)
  expect(await admin.findIssuer('other')).toBeUndefined()
  expect(await status.readIssuer(added.id)).toEqual(added)
  expect(await status.readIssuer(99)).toBeUndefined()
  expect(await admin.listIssuers()).toEqual([added])
})

test("a name that is another issuer's id or SKI does not hide its bearer", async () => {
  const first = await admin.addIssuer(newIssuer({ name: '2' }), NOW_MS)
  const second = await admin.addIssuer(newIssuer({ name: 'second', ski: 'ab' }), NOW_MS)
  expect(second.id).toBe(2)
  expect((await admin.findIssuer('2'))?.id).toBe(first.id)
})

test.each([
  ['name', { ski: 'ab' }],
  ['ski', { name: 'other' }],
] as const)('the %s is taken: ConflictError, and nothing is left behind', async (field, changes) => {
  await admin.addIssuer(newIssuer(), NOW_MS)
  const before = [db.rows('SELECT * FROM slots'), await admin.audit(0, 10)]
  await expect(admin.addIssuer(newIssuer(changes), NOW_MS + 5)).rejects.toMatchObject({
    name: 'ConflictError',
    field,
  })
  expect([db.rows('SELECT * FROM slots'), await admin.audit(0, 10)]).toEqual(before)
})

test('updates policy, name and enabled, each a new configRev', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  await admin.addIssuer(newIssuer({ name: 'other', ski: 'ab' }), NOW_MS)
  const policy = { ...POLICY, unknown: 'good' as const, maxAge: 3600 }
  const updated = await admin.updateIssuer(id, { policy, enabled: false, name: 'renamed' }, NOW_MS + 5)
  expect(updated).toMatchObject({ policy, enabled: false, name: 'renamed', configRev: (NOW_MS + 5) * 1000 })
  await expect(admin.updateIssuer(id, { name: 'other' }, NOW_MS + 6)).rejects.toMatchObject({ field: 'name' })
  await expect(admin.updateIssuer(99, { enabled: true }, NOW_MS)).rejects.toMatchObject({
    name: 'NotFoundError',
  })
  expect(await status.readIssuer(id)).toEqual(updated)
})

test('responders: added with their key, listed without it, retired, never two of one name', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  const blob = Uint8Array.of(9, 8, 7)
  const added = await admin.addResponder(id, newResponder(), blob, NOW_MS + 1)
  expect(added).toEqual({ ...newResponder(), id: added.id, retired: false })
  expect(await status.readWrappedKey(added.id)).toEqual(blob)
  const byCA = newResponder({ name: 'ca', certificate: undefined, custody: 'secret', secretName: 'CA_KEY' })
  const second = await admin.addResponder(id, byCA, undefined, NOW_MS + 2)
  expect(second).toEqual({ ...byCA, id: second.id, retired: false })
  expect(await status.readWrappedKey(second.id)).toBeUndefined()
  await expect(admin.addResponder(id, newResponder(), blob, NOW_MS + 3)).rejects.toMatchObject({
    name: 'ConflictError',
    field: 'name',
  })
  await expect(admin.addResponder(99, newResponder(), blob, NOW_MS)).rejects.toMatchObject({
    name: 'NotFoundError',
  })
  await expect(admin.retireResponder(id, 99, NOW_MS)).rejects.toMatchObject({ name: 'NotFoundError' })
  const retired = await admin.retireResponder(id, added.id, NOW_MS + 4)
  expect(retired.responders.map((r) => r.retired)).toEqual([true, false])
  expect(retired.configRev).toBe((NOW_MS + 4) * 1000)
  expect(JSON.stringify([retired, await admin.audit(0, 100), await admin.globals(NOW)])).not.toContain(
    '090807',
  )
})

test('the floor rises with the sequence; an unknown issuer is an error', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  expect(await admin.raiseFloor(id, NOW_MS + 9)).toBe((NOW_MS + 9) * 1000)
  await expect(admin.raiseFloor(99, NOW_MS)).rejects.toMatchObject({ name: 'NotFoundError' })
})

test('the audit names every change once, in order, in pages', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  await admin.addResponder(id, newResponder(), Uint8Array.of(1), NOW_MS)
  await admin.addCertificates(id, [good(1), good(2), good(3, { status: 'revoked' })], NOW_MS)
  await admin.changeStatus(id, serial(1), { to: 'hold' }, NOW_MS)
  await admin.changeStatus(id, serial(1), { to: 'released' }, NOW_MS)
  await admin.raiseFloor(id, NOW_MS)
  const rows = await admin.audit(0, 100)
  expect(rows.map(({ action }) => action)).toEqual([
    'issuer.added',
    'responder.added',
    'certificate.revoked',
    'certificates.added',
    'certificate.held',
    'certificate.released',
    'issuer.floor',
  ])
  expect(rows.every(({ atMs, issuer }) => atMs === NOW_MS && issuer === id)).toBe(true)
  expect(rows.find(({ action }) => action === 'certificates.added')?.detail).toEqual({ count: 2 })
  expect(await admin.audit(rows[1]?.id ?? 0, 2)).toEqual(rows.slice(2, 4))
})

test('globals: empty at first, then heads, dues, runs and counters', async () => {
  expect(await admin.globals(NOW)).toMatchObject({
    schema: true,
    issuers: [],
    slotsDue: 0,
    slotsFailing: 0,
    oldestThisUpdate: undefined,
    nearestNextUpdate: undefined,
    overlayItems: 0,
    overlaySegments: 0,
    overlaySegmentItems: 0,
    publisher: { version: 0, publishedAtMs: 0 },
    lastRuns: [],
    counters: { builds_failed: 0, bundles_built: 0, signatures_made: 0 },
  })
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  expect((await admin.globals(NOW)).issuers).toMatchObject([
    { id, slots: 1, slotsDue: 0, activeResponders: 0 },
  ])
  await admin.addResponder(id, newResponder(), Uint8Array.of(1), NOW_MS)
  await admin.addCertificates(id, [good(1)], NOW_MS)
  expect((await admin.globals(NOW)).issuers).toMatchObject([
    { id, name: 'demo-ca', slotsDue: 1, added: 1, activeResponders: 1, responderNotAfter: NOW + 90 * DAY },
  ])
})

test('keeps the last hundred runs of each job and shows the last of each', async () => {
  const run = {
    startedMs: 1,
    finishedMs: 2,
    ok: true,
    built: 3,
    signatures: 4,
    failed: 0,
    remaining: 5,
    error: undefined,
  }
  await admin.recordRun({ ...run, job: 'prune', ok: false, error: 'D1 was away' })
  for (let n = 0; n < 120; n += 1) await admin.recordRun({ ...run, job: 'presign', startedMs: n })
  expect(db.rows('SELECT job, count(*) AS n FROM runs GROUP BY job ORDER BY job')).toMatchObject([
    { n: 100 },
    { n: 1 },
  ])
  expect((await admin.globals(NOW)).lastRuns).toEqual([
    { ...run, job: 'prune', ok: false, error: 'D1 was away' },
    { ...run, job: 'presign', startedMs: 119 },
  ])
})

test('statuses of an issuer that is not recorded are a fault, not an absence (law 4)', async () => {
  await expect(status.readStatuses(99, [key(serial(1))])).rejects.toBeInstanceOf(StorageError)
})

test('a hundred serials are one subrequest', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  await admin.addCertificates(
    id,
    Array.from({ length: 50 }, (_, n) => good(2 * n)),
    NOW_MS,
  )
  db.calls = 0
  const { rows } = await status.readStatuses(
    id,
    Array.from({ length: 100 }, (_, n) => key(serial(n))),
  )
  expect(db.calls).toBe(1)
  expect(rows.map((row) => row?.status)).toEqual(rows.map((_, n) => (n % 2 === 0 ? 'good' : undefined)))
})

test('a record that was edited into nonsense is corrupt, not an answer', async () => {
  const { id } = await admin.addIssuer(newIssuer(), NOW_MS)
  db.exec(`UPDATE issuers SET policy = '{"unknown":"maybe"}'`)
  await expect(status.readIssuer(id)).rejects.toMatchObject({ reason: 'corrupt' })
})
