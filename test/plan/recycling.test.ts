/** The model of recycling beside the record's own SQL, over months of virtual time. */
import { expect, test } from 'vitest'
import { walkRecycling } from '../../scripts/plan/recycling.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { DAY, NOW, newIssuer, newResponder, POLICY } from '../storage/fixtures.ts'
import { Random } from '../support/clock.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

const LIFE = {
  certs: 8_000,
  issuers: 1,
  recordedPerDay: 160,
  endedPerDay: 160,
  batch: 20,
  cronSeconds: 6 * 3_600,
  settleDays: 20,
  days: 25,
}

test('as many rows are recycled, pruned and left as the record has', async () => {
  const { certs, recordedPerDay, batch, cronSeconds, settleDays, days } = LIFE
  const dice = new Random(5)
  let now = NOW
  const db = new SqliteD1({ now: () => now })
  const admin = new D1AdminStore(db)
  const slots = new D1SlotStore(db)
  const policy = { ...POLICY, retainSeconds: 0 }
  const { id } = await admin.addIssuer(newIssuer({ policy }), NOW * 1000)
  await admin.addResponder(id, newResponder(), Uint8Array.of(1, 2, 3), NOW * 1000)
  const lifetime = (certs / recordedPerDay) * DAY
  const certificate = (notAfter: number) => ({ serial: serial(dice), status: 'good' as const, notAfter })
  const ends = Array.from({ length: certs }, (_, i) => NOW + Math.ceil(((i + 1) / certs) * lifetime))
  await admin.addCertificates(id, ends.map(certificate), now * 1000)

  const column = (sql: string) => Number(db.rows(sql)[0]?.['n'])
  const audited = () =>
    column("SELECT coalesce(sum(detail->>'count'), 0) AS n FROM audit WHERE action = 'certificates.pruned'")
  const sums = { recycled: 0, pruned: 0, spare: 0 }
  const perRun = (recordedPerDay * cronSeconds) / DAY
  const runs = ((settleDays + days) * DAY) / cronSeconds
  for (let run = 0; run < runs; run += 1) {
    const counts = run >= (settleDays * DAY) / cronSeconds
    now += cronSeconds
    const before = audited()
    for (let n = 0; n < perRun; n += batch)
      await admin.addCertificates(
        id,
        Array.from({ length: batch }, () => certificate(now + lifetime)),
        now * 1000,
      )
    const recycled = audited() - before
    const pruned = await slots.pruneCertificates(now, 5_000)
    if (!counts) continue
    sums.recycled += recycled / days
    sums.pruned += pruned / days
    sums.spare +=
      column(`SELECT count(*) AS n FROM certificates WHERE not_after < ${now}`) / ((days * DAY) / cronSeconds)
  }
  db.close()

  const modelled = walkRecycling(LIFE)
  expect(sums.recycled / modelled.recycled).toBeGreaterThan(0.97)
  expect(sums.recycled / modelled.recycled).toBeLessThan(1.03)
  expect(Math.abs(sums.pruned - modelled.pruned)).toBeLessThan(0.03 * LIFE.endedPerDay)
  expect(sums.spare / modelled.spare).toBeGreaterThan(0.9)
  expect(sums.spare / modelled.spare).toBeLessThan(1.1)
}, 120_000)

test('nobody who records few at once has rows to write over: all are pruned', () => {
  const { recycled, pruned, lookedAt } = walkRecycling({ ...LIFE, batch: 9 })
  expect([recycled, lookedAt]).toEqual([0, 0])
  expect(pruned).toBeCloseTo(LIFE.endedPerDay)
})

test('where fewer are recorded than end, the others are pruned', () => {
  const { recycled, pruned } = walkRecycling({ ...LIFE, recordedPerDay: 40, settleDays: 200, days: 100 })
  expect(recycled).toBeGreaterThan(38)
  expect(recycled + pruned).toBeCloseTo(LIFE.endedPerDay, 0)
})

function serial(dice: Random): Uint8Array {
  return Uint8Array.of(0x41, ...dice.octets(15))
}
