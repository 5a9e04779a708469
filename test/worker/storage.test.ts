/** The stores in workerd, over its own D1, KV and Cache API: what test/storage shows on SQLite holds there too. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'
import { NO_END } from '../../src/asn1/generalized-time.ts'
import { slotOf } from '../../src/bundle/slot.ts'
import type { LeasedSlot } from '../../src/ports/ports.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { CacheAPIEdgeCache } from '../../src/storage/edge-cache.ts'
import { KVDerivedStore } from '../../src/storage/kv-derived-store.ts'
import { DAY, good, key, newIssuer, newResponder, serial } from '../storage/fixtures.ts'

const admin = new D1AdminStore(env.DB)
const status = new D1StatusStore(env.DB)
const overlay = new D1OverlayStore(env.DB)
const slots = new D1SlotStore(env.DB)

/** unixepoch() in the triggers is workerd's own clock, so these tests live in the present. */
const NOW_MS = Date.now()
const NOW = Math.floor(NOW_MS / 1000)
let ms = NOW_MS
const tick = () => {
  ms += 7
  return ms
}
let issuer = 0

beforeAll(async () => {
  issuer = (await admin.addIssuer(newIssuer(), tick())).id
  await admin.addResponder(issuer, newResponder(), Uint8Array.of(1, 2, 3), tick())
})

const run = (sql: string) => env.DB.prepare(sql).run()

describe('D1', () => {
  test('an issuer and its responder come back octet for octet, the wrapped key apart', async () => {
    const record = await status.readIssuer(issuer)
    expect(record).toMatchObject(newIssuer())
    expect(record?.responders).toMatchObject([newResponder()])
    expect(await status.readWrappedKey(record?.responders[0]?.id ?? 0)).toEqual(Uint8Array.of(1, 2, 3))
    await expect(admin.addIssuer(newIssuer(), tick())).rejects.toMatchObject({
      name: 'ConflictError',
      field: 'name',
    })
    await expect(admin.addIssuer(newIssuer({ name: 'x' }), tick())).rejects.toMatchObject({ field: 'ski' })
    await expect(admin.addResponder(issuer, newResponder(), Uint8Array.of(1), tick())).rejects.toMatchObject({
      name: 'ConflictError',
    })
  })

  test('records 1,500 certificates in two transactions and reads them by hash and serial', async () => {
    const rows = Array.from({ length: 1500 }, (_, n) => good(n, { notAfter: NOW + 90 * DAY }))
    expect(new Set(await admin.addCertificates(issuer, rows, tick()))).toEqual(new Set(['added']))
    expect(new Set(await admin.addCertificates(issuer, rows, tick()))).toEqual(new Set(['unchanged']))
    const read = await status.readStatuses(issuer, [key(serial(7)), key(serial(9999)), key(serial(1499))])
    expect(read.rows.map((row) => row?.status)).toEqual(['good', undefined, 'good'])
    expect(read.rows[0]?.serial).toEqual(serial(7))
  })

  test('revoked is final for the API, for an import and for SQL by hand (attack 5)', async () => {
    const at = tick()
    expect(await admin.changeStatus(issuer, serial(1), { to: 'revoked', reason: 1 }, at)).toEqual({
      outcome: 'changed',
      revision: at * 1000,
      keepUntil: Math.floor(at / 1000) + 7 * DAY + 3600,
    })
    expect((await admin.changeStatus(issuer, serial(1), { to: 'released' }, tick())).outcome).toHaveProperty(
      'refused',
    )
    expect(await admin.addCertificates(issuer, [good(1)], tick())).toEqual([
      { refused: expect.stringContaining('final') },
    ])
    await expect(
      run('UPDATE certificates SET status = 0, reason = NULL, revoked_at = 0, rev = rev + 1'),
    ).rejects.toThrow('revoked is final')
    await expect(run('DELETE FROM certificates')).rejects.toThrow('not deleted before notAfter')
    await expect(run('DELETE FROM audit')).rejects.toThrow('append only')
    await run(`INSERT OR REPLACE INTO certificates (issuer, hash, serial, status, rev)
      SELECT issuer, hash, serial, 0, rev + 1 FROM certificates WHERE status = 1`)
    expect(await admin.readCertificate(issuer, serial(1))).toMatchObject({
      status: 'revoked',
      reason: 1,
      rev: at * 1000,
    })
    expect((await overlay.readOverlay()).items).toEqual([{ issuer, serial: serial(1), seq: at * 1000 }])
  })

  test('leases the publisher to one, and believes only the holder (attack 3)', async () => {
    const first = await overlay.leasePublisher('a', NOW_MS, 15_000, 1_000, 0)
    expect(await overlay.leasePublisher('b', NOW_MS + 2_000, 15_000, 1_000, 0)).toBeUndefined()
    const second = await overlay.leasePublisher('b', NOW_MS + 20_000, 15_000, 1_000, 0)
    expect(second?.version).toBeGreaterThan(first?.version ?? Number.POSITIVE_INFINITY)
    const [state] = (await overlay.readOverlay()).issuers
    const heads = [{ issuer, head: state?.head ?? 0 }]
    expect(await overlay.recordPublished('a', first?.version ?? 0, NOW_MS, heads)).toBe(false)
    expect(await overlay.recordPublished('b', second?.version ?? 0, NOW_MS, heads)).toBe(true)
    expect(await overlay.readPublished(issuer)).toBe(state?.head)
  })

  test('doubles the slots without losing a change (attacks 7 and 9)', async () => {
    expect(await slots.startGrowth(NOW, 1000)).toEqual([issuer])
    const due = await slots.dueSlots(NOW, 100, { all: false })
    const coming = due.filter(({ k }) => k === 2)
    expect(coming).toHaveLength(4)
    for (const slot of coming) expect(await build(slot)).toBe(true)
    const target = key(serial(2))
    await admin.changeStatus(issuer, target.serial, { to: 'revoked' }, tick())
    expect(await slots.finishGrowth()).toEqual([issuer])
    const behind = { issuer, k: 2, slot: slotOf(target.hash, 2) }
    expect(await slots.dueSlots(NOW, 100, { all: true })).toEqual([behind])
    expect(await build(behind)).toBe(true)
    expect(await slots.dueSlots(NOW, 100, { all: true })).toEqual([])
    expect(await admin.globals(NOW)).toMatchObject({
      schema: true,
      issuers: [{ k: 2, slots: 4, entries: 1500, slotsDue: 0 }],
      counters: { bundles_built: 5 },
    })
  })

  test('prunes only what has expired', async () => {
    await admin.addCertificates(issuer, [good(5000, { notBefore: 1, notAfter: NOW - 50 * DAY })], tick())
    expect(await slots.pruneCertificates(NOW, 1000)).toBe(1)
    expect(await overlay.pruneOverlay(NOW)).toBe(0)
  })

  test('writes new certificates over rows past their retention, each counted once as written', async () => {
    const past = { notBefore: 1, notAfter: NOW - 40 * DAY }
    await admin.addCertificates(
      issuer,
      Array.from({ length: 400 }, (_, n) => good(6000 + n, past)),
      tick(),
    )
    expect(await slots.pruneCertificates(NOW, 1000)).toBe(0)
    const count = async () => {
      const { results } = await env.DB.prepare('SELECT count(*) AS n FROM certificates').all()
      return Number(results[0]?.['n'])
    }
    const before = await count()
    expect(
      await admin.addCertificates(
        issuer,
        Array.from({ length: 50 }, (_, n) => good(7000 + n)),
        tick(),
      ),
    ).toEqual(new Array(50).fill('added'))
    const recycled = before + 50 - (await count())
    expect(recycled).toBeGreaterThan(25)
    const audit = await admin.audit(0, 10_000)
    expect(audit.filter(({ action }) => action === 'certificates.pruned').at(-1)?.detail).toEqual({
      count: recycled,
    })
    // What the sums of docs/scale.md rest on: a row whose key changes counts as one.
    const { meta } = await env.DB.prepare(
      "UPDATE certificates SET serial = unhex(hex(serial) || '00'), rev = rev + 1 WHERE issuer = ?1 AND not_after = ?2",
    )
      .bind(issuer, past.notAfter)
      .run()
    expect(meta.changes).toBe(400 - recycled)
    expect(meta.rows_written).toBe(400 - recycled)
  })
})

test('KV keeps root, pages and bundles', async () => {
  const kv = new KVDerivedStore(env.RESPONSES, { nowMs: () => Date.now() })
  expect(await kv.readRoot()).toBeNull()
  await kv.writeBundle(9, 1, 0, Uint8Array.of(4, 5, 6), NOW)
  await kv.writeIssuerPage(9, Uint8Array.of(7).subarray(0))
  expect(await kv.readBundle(9, 1, 0)).toEqual(Uint8Array.of(4, 5, 6))
  expect(await kv.readIssuerPage(9)).toEqual(Uint8Array.of(7))
})

test('a bundle of last responses, which never ends, is kept without an expiration (R4.52)', async () => {
  const kv = new KVDerivedStore(env.RESPONSES, { nowMs: () => Date.now() })
  // workerd takes 32 bits of it: until 2038.
  for (const [slot, end] of [2 ** 31 - 1, 2 ** 31, NO_END].entries()) {
    await kv.writeBundle(10, 4, slot, Uint8Array.of(slot), end)
    expect(await kv.readBundle(10, 4, slot)).toEqual(Uint8Array.of(slot))
  }
  const { keys } = await env.RESPONSES.list({ prefix: 'b/10/4/' })
  expect(keys.map(({ name, expiration }) => [name, expiration])).toEqual([
    ['b/10/4/0', 2 ** 31 - 1],
    ['b/10/4/1', undefined],
    ['b/10/4/2', undefined],
  ])
})

test('the edge cache keeps octets by its own keys', async () => {
  const errors: unknown[] = []
  const cache = new CacheAPIEdgeCache(caches.default, { onError: (_, error) => errors.push(error) })
  expect(await cache.match('b/9/1/0')).toBeUndefined()
  await cache.put('b/9/1/0', Uint8Array.of(4, 5, 6), 60)
  expect(await cache.match('b/9/1/0')).toEqual(Uint8Array.of(4, 5, 6))
  expect(errors).toEqual([])
})

async function build(name: { issuer: number; k: number; slot: number }): Promise<boolean> {
  const lease: LeasedSlot | undefined = await slots.lease(name, NOW, 1200)
  if (lease === undefined) return false
  const { asOf, rows } = await slots.readSlot(lease)
  const times = { thisUpdate: NOW, nextUpdate: NOW + DAY, refreshAt: NOW + DAY, builtAt: NOW }
  return slots.record(lease, { asOf, entries: rows.length, bytes: 1, signatures: 1, ...times })
}
