import { beforeEach, describe, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, key, NOW, NOW_MS, POLICY, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let status: D1StatusStore
let overlay: D1OverlayStore
let issuer: number
/** Milliseconds that pass; each change gets its own. */
let ms = NOW_MS
const tick = () => {
  ms += 1007
  return ms
}
const sec = () => Math.floor(ms / 1000)

beforeEach(async () => {
  db = new SqliteD1({ now: () => ms / 1000 })
  ms = NOW_MS
  admin = new D1AdminStore(db)
  status = new D1StatusStore(db)
  overlay = new D1OverlayStore(db)
  issuer = await setUp(admin)
  tick()
})

const row = (n: number) => admin.readCertificate(issuer, serial(n))
const change = (
  n: number,
  to: 'revoked' | 'hold' | 'released',
  more: { revocationTime?: number; reason?: number } = {},
) => admin.changeStatus(issuer, serial(n), { to, ...more }, tick())
const add = (...rows: Parameters<typeof admin.addCertificates>[1]) =>
  admin.addCertificates(issuer, rows, tick())

describe('recording certificates', () => {
  test('says for each row what happened, and nothing twice', async () => {
    expect(await add(good(1), good(2), good(3))).toEqual(['added', 'added', 'added'])
    expect(await add(good(2), good(4))).toEqual(['unchanged', 'added'])
    expect(await row(1)).toEqual({
      serial: serial(1),
      status: 'good',
      revocationTime: 0,
      reason: undefined,
      notBefore: NOW - DAY,
      notAfter: NOW + 90 * DAY,
      changedAt: 0,
      rev: (NOW_MS + 2014) * 1000,
    })
  })

  test('an unchanged import writes nothing: sequence, audit and slots stay', async () => {
    await add(good(1), good(2))
    const before = [
      db.rows('SELECT seq FROM issuers'),
      db.rows('SELECT * FROM slots'),
      await admin.audit(0, 100),
    ]
    await add(good(1), good(2))
    expect([
      db.rows('SELECT seq FROM issuers'),
      db.rows('SELECT * FROM slots'),
      await admin.audit(0, 100),
    ]).toEqual(before)
  })

  test('fills in dates that were unknown, and refuses others than the recorded ones', async () => {
    await add({ serial: serial(1), status: 'good' })
    expect(await add(good(1))).toEqual(['changed'])
    expect(await row(1)).toMatchObject({
      notBefore: NOW - DAY,
      notAfter: NOW + 90 * DAY,
      status: 'good',
      changedAt: 0,
    })
    const [outcome] = await add(good(1, { notAfter: NOW + 91 * DAY }))
    expect(outcome).toEqual({ refused: expect.stringContaining('another notBefore or notAfter') })
    expect(await add({ serial: serial(1), status: 'good' })).toEqual(['unchanged'])
    expect((await overlay.readOverlay()).items).toEqual([])
  })

  test('a revocation comes through even when the dates disagree, and keeps the recorded dates', async () => {
    await add(good(1))
    expect(await add(good(1, { status: 'revoked', notAfter: NOW + DAY }))).toEqual(['changed'])
    expect(await row(1)).toMatchObject({ status: 'revoked', notAfter: NOW + 90 * DAY })
  })

  test('reconciles good with revoked as a revocation, with overlay item, due slot and audit row', async () => {
    await add(good(1), good(2))
    expect(await add(good(1), good(2, { status: 'revoked', revocationTime: NOW - 60, reason: 1 }))).toEqual([
      'unchanged',
      'changed',
    ])
    const recorded = await row(2)
    expect(recorded).toMatchObject({
      status: 'revoked',
      revocationTime: NOW - 60,
      reason: 1,
      changedAt: sec(),
      rev: ms * 1000,
    })
    expect((await overlay.readOverlay()).items).toEqual([{ issuer, serial: serial(2), seq: ms * 1000 }])
    expect(db.rows('SELECT changed_seq, added FROM slots')).toEqual([{ changed_seq: ms * 1000, added: 2 }])
    expect((await admin.audit(0, 100)).at(-1)).toMatchObject({
      action: 'certificate.revoked',
      issuer,
      serial: '1000000002',
      seq: ms * 1000,
      detail: { from: 0, to: 1, revocationTime: NOW - 60, reason: 1 },
    })
  })

  test.each([
    ['revoked', 'good', 'final'],
    ['revoked', 'hold', 'final'],
    ['hold', 'good', 'release it explicitly'],
  ] as const)('refuses %s -> %s and leaves the row as it was', async (from, to, words) => {
    await add(good(1, { status: from }))
    const before = await row(1)
    expect(await add(good(1, { status: to }))).toEqual([{ refused: expect.stringContaining(words) }])
    expect(await row(1)).toEqual(before)
  })

  test('revises time and reason of a revocation (R4.23); what is not given stays', async () => {
    await add(good(1, { status: 'revoked', revocationTime: NOW - 600, reason: 1 }))
    expect(await add({ serial: serial(1), status: 'revoked' })).toEqual(['unchanged'])
    expect(await add({ serial: serial(1), status: 'revoked', revocationTime: NOW - 6000 })).toEqual([
      'changed',
    ])
    expect(await row(1)).toMatchObject({
      status: 'revoked',
      revocationTime: NOW - 6000,
      reason: 1,
      changedAt: sec(),
    })
    expect((await admin.audit(0, 100)).at(-1)).toMatchObject({
      action: 'certificate.revised',
      detail: { previousTime: NOW - 600, revocationTime: NOW - 6000 },
    })
  })

  test('rows of one serial apply in their order', async () => {
    expect(await add(good(1), good(1, { status: 'revoked' }), good(1))).toEqual([
      'added',
      'changed',
      { refused: expect.stringContaining('final') },
    ])
  })

  test.each([
    [{ revocationTime: NOW + 3600 }, 'in the future'],
    [{ reason: 7 }, 'not a CRLReason'],
    [{ reason: 6 }, 'belongs to a hold'],
    [{ reason: 8 }, 'is a release'],
    [{ notAfter: 1.5 }, 'not a time'],
    [{ notBefore: NOW, notAfter: NOW - 1 }, 'before notBefore'],
    [{ serial: new Uint8Array(0) }, '0 octets'],
    [{ serial: new Uint8Array(128) }, '128 octets'],
  ])('refuses a row with %o and records the others', async (fault, words) => {
    expect(await add(good(1), good(2, { status: 'revoked', ...fault }), good(3))).toEqual([
      'added',
      { refused: expect.stringContaining(words) },
      'added',
    ])
    expect(await row(2)).toBeUndefined()
  })

  test('a revocation time a little ahead is clamped to now, none is the present minute', async () => {
    await add(good(1, { status: 'revoked', revocationTime: NOW + 100 }), good(2, { status: 'revoked' }))
    expect(await row(1)).toMatchObject({ revocationTime: sec() })
    expect(await row(2)).toMatchObject({ revocationTime: NOW })
  })

  test('a hold is refused under public-trust, in the record itself', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, profile: 'public-trust' } }, tick())
    await add(good(1))
    expect(await add(good(1, { status: 'hold' }), good(2, { status: 'hold' }))).toEqual([
      { refused: expect.stringContaining('public-trust') },
      { refused: expect.stringContaining('public-trust') },
    ])
  })

  test('a new revoked row needs an overlay item only where unknown serials get signed answers', async () => {
    await add(good(1, { status: 'revoked' }))
    expect((await overlay.readOverlay()).items).toEqual([])
    await admin.updateIssuer(issuer, { policy: { ...POLICY, unknown: 'good' } }, tick())
    await admin.updateIssuer(issuer, { policy: POLICY }, tick())
    await add(good(2, { status: 'revoked' }))
    expect((await overlay.readOverlay()).items).toMatchObject([{ serial: serial(2) }])
  })

  test('3,000 rows go in chunks; each chunk is all or nothing, and a second call completes it', async () => {
    const rows = Array.from({ length: 3000 }, (_, n) => good(n))
    let batches = 0
    db.beforeCall = () => {
      batches += 1
      if (batches === 2) db.failNext(1)
    }
    await expect(add(...rows)).rejects.toMatchObject({ reason: 'unavailable' })
    expect(db.rows('SELECT count(*) AS n FROM certificates')).toEqual([{ n: 1000 }])
    db.beforeCall = undefined
    const outcomes = await add(...rows)
    expect(outcomes.filter((outcome) => outcome === 'unchanged')).toHaveLength(1000)
    expect(outcomes.filter((outcome) => outcome === 'added')).toHaveLength(2000)
    expect(db.rows('SELECT added FROM slots')).toEqual([{ added: 3000 }])
  })

  test('long serials make smaller chunks, below 90 KB each', async () => {
    const lengths: number[] = []
    const rows = Array.from({ length: 700 }, (_, n) => {
      const octets = new Uint8Array(127).fill(1)
      octets.set(serial(n))
      return good(n, { serial: octets })
    })
    db.beforeCall = (sql) => {
      lengths.push(sql.length)
    }
    expect(await add(...rows)).toEqual(rows.map(() => 'added'))
    expect(lengths.length).toBe(3)
  })

  test('every serial comes back octet for octet, negative and long ones too (R5.44)', async () => {
    const serials = [
      [0x00],
      [0x01],
      [0xff],
      [0x7f],
      [0x00, 0x80],
      [0x80],
      [0x00, ...new Array<number>(20).fill(0xee)],
    ]
    const rows = serials.map((octets) => ({ serial: Uint8Array.from(octets), status: 'good' as const }))
    expect(await add(...rows)).toEqual(rows.map(() => 'added'))
    const read = await status.readStatuses(
      issuer,
      rows.map((r) => key(r.serial)),
    )
    expect(read.rows.map((r) => r?.serial)).toEqual(rows.map((r) => r.serial))
  })
})

describe('changing a status', () => {
  beforeEach(async () => {
    await add(good(1), good(2))
  })

  test('revokes in one transaction and says until when the overlay names it', async () => {
    const result = await change(1, 'revoked', { reason: 1 })
    expect(result).toEqual({ outcome: 'changed', revision: ms * 1000, keepUntil: sec() + 7 * DAY + 3600 })
    expect(await row(1)).toMatchObject({ status: 'revoked', reason: 1, revocationTime: NOW, rev: ms * 1000 })
    expect(await status.readStatuses(issuer, [key(serial(1)), key(serial(9)), key(serial(2))])).toMatchObject(
      {
        asOf: ms * 1000,
        rows: [{ status: 'revoked' }, undefined, { status: 'good' }],
      },
    )
  })

  test('a repeated call is unchanged and names the first revision', async () => {
    const first = await change(1, 'revoked', { reason: 1 })
    const audited = await admin.audit(0, 100)
    const second = await change(1, 'revoked', { reason: 1 })
    expect(second).toEqual({ ...first, outcome: 'unchanged' })
    expect(await admin.audit(0, 100)).toEqual(audited)
  })

  test('after a lost answer the retry finds the revocation made', async () => {
    db.loseAnswers(1)
    await expect(change(1, 'revoked')).rejects.toMatchObject({ reason: 'unavailable' })
    const revision = ms * 1000
    expect(await change(1, 'revoked')).toMatchObject({ outcome: 'unchanged', revision })
  })

  test('a revocation while D1 is down fails loudly and changes nothing (law 4)', async () => {
    db.failNext(1)
    await expect(change(1, 'revoked')).rejects.toMatchObject({ name: 'StorageError', reason: 'unavailable' })
    expect(await row(1)).toMatchObject({ status: 'good' })
  })

  test('a hang becomes unavailable', async () => {
    const impatient = new D1AdminStore(db, { timeoutMs: 20 })
    db.hang()
    await expect(impatient.changeStatus(issuer, serial(1), { to: 'revoked' }, ms)).rejects.toMatchObject({
      reason: 'unavailable',
    })
    db.resume()
  })

  test('hold, release, hold again, revoke: each a newer revision', async () => {
    const revisions: number[] = []
    for (const to of ['hold', 'released', 'hold', 'revoked'] as const) {
      const result = await change(1, to)
      expect(result.outcome).toBe('changed')
      revisions.push(result.revision)
      expect(await row(1)).toMatchObject({ status: to, changedAt: sec(), rev: result.revision })
    }
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b))
    expect(await row(1)).toMatchObject({ status: 'revoked', reason: undefined })
  })

  test('a released row bears no time or reason', async () => {
    await change(1, 'hold')
    expect(await row(1)).toMatchObject({ reason: 6, revocationTime: NOW })
    await change(1, 'released')
    expect(await row(1)).toMatchObject({ status: 'released', reason: undefined, revocationTime: 0 })
  })

  test.each([
    ['good', 'released', 'not on hold'],
    ['revoked', 'released', 'final'],
    ['revoked', 'hold', 'final'],
  ] as const)('refuses %s -> %s', async (from, to, words) => {
    if (from === 'revoked') await change(1, 'revoked')
    const before = await row(1)
    expect(await change(1, to)).toMatchObject({ outcome: { refused: expect.stringContaining(words) } })
    expect(await row(1)).toEqual(before)
  })

  test('what is not recorded is notFound; an unknown issuer is an error', async () => {
    expect(await change(99, 'revoked')).toEqual({ outcome: 'notFound', revision: 0, keepUntil: 0 })
    await expect(admin.changeStatus(999, serial(1), { to: 'revoked' }, ms)).rejects.toMatchObject({
      name: 'NotFoundError',
    })
    await expect(admin.addCertificates(999, [good(1)], ms)).rejects.toMatchObject({ name: 'NotFoundError' })
  })

  test('the overlay names a serial once, with the newest revision', async () => {
    for (const to of ['hold', 'released', 'hold', 'released'] as const) await change(1, to)
    expect((await overlay.readOverlay()).items).toEqual([{ issuer, serial: serial(1), seq: ms * 1000 }])
  })

  test('the overlay keeps a change for the longest validity there ever was, and up to the horizon', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, validitySeconds: DAY } }, tick())
    expect((await change(1, 'revoked')).keepUntil).toBe(sec() + 7 * DAY + 3600)
    db.exec(`UPDATE issuers SET horizon = ${NOW + 366 * DAY}`)
    expect((await change(2, 'revoked')).keepUntil).toBe(NOW + 366 * DAY)
  })

  test('a longer validity stretches what is kept already', async () => {
    await change(1, 'revoked')
    await admin.updateIssuer(issuer, { policy: { ...POLICY, validitySeconds: 30 * DAY } }, tick())
    expect(db.rows('SELECT keep_until FROM changes')).toEqual([{ keep_until: sec() + 30 * DAY + 3600 }])
  })
})

test('no statement walks the certificates or slots of an issuer to change one', async () => {
  const statements = new Set<string>()
  db.beforeCall = (sql) => {
    for (const one of sql) statements.add(one)
  }
  await add(good(1))
  await change(1, 'revoked')
  await status.readStatuses(issuer, [key(serial(1))])
  db.beforeCall = undefined
  expect(statements.size).toBeGreaterThan(7)
  for (const sql of statements) {
    const values = [issuer, '[]', 0, 1, 0].slice(
      0,
      Math.max(...[...sql.matchAll(/\?(\d)/g)].map(([, n]) => Number(n))),
    )
    const steps = db.rows(`EXPLAIN QUERY PLAN ${sql}`, ...values).map(({ detail }) => String(detail))
    expect(steps.filter((step) => /\bSCAN (c|certificates|slots|changes)\b/.test(step))).toEqual([])
    expect(
      steps.filter((step) => /^SEARCH (c|certificates|slots|changes) .*\(issuer=\?\)/.test(step)),
    ).toEqual([])
  }
})
