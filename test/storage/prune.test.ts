/** Certificates go after notAfter and retention, a bounded number a call. */
import { beforeEach, describe, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, POLICY, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let slots: D1SlotStore
let issuer: number
let now = NOW
const nowMs = () => now * 1000 + 7
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

describe('pruning certificates', () => {
  const count = () => db.rows('SELECT count(*) AS n FROM certificates')[0]?.['n']

  test('deletes after notAfter and retention, bounded, whatever the status', async () => {
    await admin.addCertificates(
      issuer,
      Array.from({ length: 40 }, (_, n) => good(100 + n, { status: 'revoked' })),
      nowMs(),
    )
    await admin.addCertificates(
      issuer,
      [{ serial: serial(7), status: 'good' }, good(8, { notAfter: NOW + 900 * DAY })],
      nowMs(),
    )
    expect(await slots.pruneCertificates(now, 100)).toBe(0)
    now = NOW + 120 * DAY
    expect(await slots.pruneCertificates(now, 100)).toBe(0)
    now += 1
    expect(await slots.pruneCertificates(now, 10)).toBe(10)
    let pruned = 10
    for (let call = 0; call < 10; call += 1) pruned += await slots.pruneCertificates(now, 15)
    expect(pruned).toBe(42)
    expect(count()).toBe(2)
    expect((await admin.audit(0, 1000)).filter(({ action }) => action === 'certificates.pruned')).not.toEqual(
      [],
    )
  })

  test('walks on from where it stopped when little is to be deleted', async () => {
    await admin.addCertificates(
      issuer,
      Array.from({ length: 200 }, (_, n) => good(100 + n, n % 50 === 0 ? {} : { notAfter: NOW + 900 * DAY })),
      nowMs(),
    )
    now = NOW + 121 * DAY
    let pruned = 0
    for (let call = 0; call < 250; call += 1) pruned += await slots.pruneCertificates(now, 1)
    expect(pruned).toBe(6)
  })

  test('keeps revoked ones where an unknown serial is answered good (law 2)', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, unknown: 'good' } }, nowMs())
    await revoke(1)
    now = NOW + 121 * DAY
    expect(await slots.pruneCertificates(now, 100)).toBe(1)
    expect(await admin.readCertificate(issuer, serial(1))).toMatchObject({ status: 'revoked' })
  })

  test('a clock that runs ahead deletes nothing', async () => {
    expect(await slots.pruneCertificates(NOW + 999 * DAY, 100)).toBe(0)
    expect(count()).toBe(2)
  })
})
