/** Segments in the record: who may commit, what the triggers guarantee, when a floor stands for a filter, what is walked. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { OverlaySegment } from '../../src/ports/records.ts'
import type { SegmentCommit } from '../../src/ports/segment-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SegmentStore } from '../../src/storage/d1-segment-store.ts'
import { MAX_TAIL } from '../../src/storage/segment-sql.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, NOW_MS, POLICY, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let overlay: D1OverlayStore
let segments: D1SegmentStore
let issuer: number
let ms = NOW_MS

const revoke = (n: number, of = issuer) => admin.changeStatus(of, serial(n), { to: 'revoked' }, ms)
const head = () => Number(db.rows('SELECT seq FROM issuers WHERE id = ?1', issuer)[0]?.['seq'])
const floor = () => Number(db.rows('SELECT floor FROM issuers WHERE id = ?1', issuer)[0]?.['floor'])

const segment = (version: number, over: Partial<OverlaySegment> = {}): OverlaySegment => ({
  version,
  kind: 'items',
  bits: 0,
  probes: 0,
  issuer: undefined,
  seed: 1,
  count: 1,
  lastSeq: head(),
  keepUntil: NOW + 8 * DAY,
  ...over,
})
const change = (of: OverlaySegment | undefined, over: Partial<SegmentCommit> = {}): SegmentCommit => ({
  segment: of,
  replaces: [],
  ranges: [{ issuer, from: 0, to: head() }],
  stale: false,
  ...over,
})

/** A segment that stands. @returns its version */
async function cut(over: Partial<OverlaySegment> = {}, more: Partial<SegmentCommit> = {}): Promise<number> {
  ms += 1_000
  const begun = await segments.begin(ms, 300_000)
  if (begun === undefined) throw new Error('another is at work')
  expect(await segments.commit(begun.version, change(segment(begun.version, over), more))).toBe(true)
  return begun.version
}
const filter = (over: Partial<OverlaySegment> = {}) => cut({ kind: 'filter', issuer, probes: 7, ...over })
/** What nothing matters of any more goes; nothing was built by 1970. */
const drop = () => segments.raiseFloors(ms, 0)
const standing = () => db.rows('SELECT version FROM segments ORDER BY version').map(({ version }) => version)

beforeEach(async () => {
  ms = NOW_MS
  db = new SqliteD1({ now: () => ms / 1000 })
  admin = new D1AdminStore(db)
  overlay = new D1OverlayStore(db)
  segments = new D1SegmentStore(db)
  issuer = await setUp(admin)
  await admin.addCertificates(
    issuer,
    Array.from({ length: 40 }, (_, n) => good(n)),
    ms,
  )
})

describe('the tail', () => {
  test('ends where segments begin; a later change of the same serial is in it again', async () => {
    await revoke(1)
    await revoke(2)
    expect((await overlay.readOverlay()).items).toHaveLength(2)
    const version = await cut()
    const after = await overlay.readOverlay()
    expect(after).toMatchObject({ items: [], segments: [{ version, lastSeq: head() }] })
    ms += 1_000
    await admin.changeStatus(issuer, serial(2), { to: 'revoked', reason: 1 }, ms)
    expect((await overlay.readOverlay()).items).toMatchObject([{ serial: serial(2), seq: head() }])
  })

  test('of an issuer that a root cannot hold is a floor, and takes nothing from the others (attack 12)', async () => {
    const other = await setUp(admin, { name: 'other', ski: 'bb' })
    await admin.addCertificates(other, [good(1)], ms)
    await revoke(1, other)
    db.exec(`
      UPDATE issuers SET seq = ${ms * 1000 + MAX_TAIL + 9} WHERE id = ${issuer};
      INSERT INTO changes (issuer, hash, serial, seq, keep_until)
      WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${MAX_TAIL})
      SELECT ${issuer}, n, CAST(n AS BLOB), ${ms * 1000} + n, ${NOW + DAY} FROM n`)
    const { items, floors } = await overlay.readOverlay()
    expect(items).toMatchObject([{ issuer: other, serial: serial(1) }])
    expect(floors).toEqual([{ issuer, from: 0, to: 0xffff_ffff, floor: ms * 1000 + MAX_TAIL }])
  })
})

describe('a commit', () => {
  test('counts for whoever began last, once, and reserves a version that nobody had (attacks 3, 7)', async () => {
    await revoke(1)
    const first = await segments.begin(ms, 300_000)
    expect(await segments.begin(ms + 299_999, 300_000)).toBeUndefined()
    const second = await segments.begin(ms + 300_000, 300_000)
    const [a, b] = [first?.version ?? 0, second?.version ?? 0]
    expect(b).toBeGreaterThan(a)
    expect(await segments.commit(a, change(segment(a)))).toBe(false)
    expect(standing()).toEqual([])
    expect((await overlay.readOverlay()).items).toHaveLength(1)
    expect(await segments.commit(b, change(segment(b)))).toBe(true)
    expect(await segments.commit(b, change(segment(b)))).toBe(false)
    expect(standing()).toEqual([b])
    expect(await segments.begin(ms + 300_001, 1_000)).toMatchObject({ version: b + 1 })
  })

  test('does nothing when a validity was stretched meanwhile; what stands is to be written anew', async () => {
    await revoke(1)
    const version = await cut()
    expect((await overlay.readOverlay()).segments).toMatchObject([{ keepUntil: NOW + 8 * DAY }])
    const begun = await segments.begin(ms, 300_000)
    const longer = { ...POLICY, validitySeconds: 30 * DAY }
    await admin.updateIssuer(issuer, { policy: longer }, ms + 1)
    expect(await segments.commit(begun?.version ?? 0, change(segment(begun?.version ?? 0)))).toBe(false)
    expect((await overlay.readOverlay()).segments).toMatchObject([{ version, keepUntil: undefined }])
    ms += 20 * DAY * 1000 // its own time is over
    await drop()
    expect(standing()).toEqual([version])
    expect(() => db.exec('DELETE FROM segments')).toThrow('not deleted before keep_until')
    const anew = await cut({ keepUntil: NOW + 60 * DAY }, { replaces: [version] })
    expect(standing()).toEqual([anew])
  })

  test('after the database was restored to before it began does nothing (attack 4)', async () => {
    await revoke(1)
    const restore = db.backup()
    const begun = await segments.begin(ms, 300_000)
    restore()
    expect(await segments.commit(begun?.version ?? 0, change(segment(begun?.version ?? 0)))).toBe(false)
    expect((await overlay.readOverlay()).items).toHaveLength(1)
  })

  test('of a filter makes slots due that were built halfway through the event, and no other', async () => {
    await admin.addCertificates(issuer, [good(99)], ms)
    await revoke(1)
    const halfway = head()
    ms += 1_000
    await revoke(2)
    const slot = (n: number, changed: number, built: number) =>
      `INSERT INTO slots (issuer, k, slot, changed_seq, built_seq) VALUES (${issuer}, 2, ${n}, ${changed}, ${built});`
    db.exec(
      slot(0, halfway, halfway) + slot(1, 5, halfway) + slot(2, halfway, head()) + slot(3, head(), halfway),
    )
    const begun = await segments.begin(ms, 300_000)
    const mine = segment(begun?.version ?? 0, { kind: 'filter', issuer, probes: 7 })
    await segments.commit(mine.version, change(mine, { ranges: [{ issuer, from: halfway - 1, to: head() }] }))
    const rows = db.rows('SELECT changed_seq FROM slots WHERE k = 2 ORDER BY slot')
    expect(rows.map((row) => row['changed_seq'])).toEqual([head(), 5, halfway, head()])
  })
})

describe('the record defends itself', () => {
  test('segments stay as they are until nothing in them matters', async () => {
    await revoke(1)
    const version = await cut()
    for (const column of ['version', 'bits', 'seed', 'last_seq', 'keep_until', 'count'])
      expect(() => db.exec(`UPDATE segments SET ${column} = ${column} + 1`)).toThrow('what is written stays')
    expect(() => db.exec('DELETE FROM segments')).toThrow('not deleted before keep_until')
    expect(() => db.exec('INSERT OR REPLACE INTO segments SELECT * FROM segments')).toThrow(
      'never used twice',
    )
    expect(() => db.exec('UPDATE issuers SET segmented_seq = segmented_seq - 1')).toThrow('never fall')
    expect(() => db.exec('UPDATE publisher SET segmenting = segmenting - 1')).toThrow('never falls')
    ms = (NOW + 8 * DAY) * 1000
    await drop()
    expect(standing()).not.toContain(version)
  })

  test('an issuer with a tail is marked as one, whoever writes', async () => {
    const marked = () => db.rows('SELECT has_tail FROM issuers')[0]?.['has_tail']
    expect(marked()).toBe(0)
    await revoke(1)
    expect(marked()).toBe(1)
    expect(() => db.exec('UPDATE issuers SET has_tail = 0')).toThrow('has_tail stays')
    await cut()
    expect(marked()).toBe(0)
    ms += 1_000
    await admin.changeStatus(issuer, serial(1), { to: 'revoked', reason: 1 }, ms)
    expect(marked()).toBe(1)
    await cut({}, { ranges: [{ issuer, from: 0, to: head() - 1 }] })
    expect(marked()).toBe(1) // the last change is not in it
  })

  test('range floors neither fall nor go before the floor of the issuer', async () => {
    await revoke(1)
    db.exec(`INSERT INTO range_floors VALUES (${issuer}, 3, ${head()})`)
    expect(() => db.exec('UPDATE range_floors SET floor = floor - 1')).toThrow('never falls')
    expect(() => db.exec('DELETE FROM range_floors')).toThrow('not deleted before')
    expect((await overlay.readOverlay()).floors).toEqual([
      { issuer, from: 3 * 2 ** 28, to: 4 * 2 ** 28 - 1, floor: head() },
    ])
    ms += 1_000
    await admin.raiseFloor(issuer, ms)
    await drop()
    expect((await overlay.readOverlay()).floors).toEqual([])
  })
})

describe('floors in the place of a filter', () => {
  const K = 6
  const build = (slots: string, at = NOW, seq = head()) =>
    db.exec(`UPDATE slots SET built_seq = ${seq}, built_at = ${at}, entries = 9, added = 0 WHERE ${slots}`)
  const raise = (settled = NOW) => segments.raiseFloors(ms, settled)
  const ranges = () =>
    db.rows('SELECT sixteenth, floor FROM range_floors ORDER BY 1').map((row) => row['sixteenth'])
  let last = 0

  /** 64 slots with certificates, none built since the event. */
  beforeEach(async () => {
    await revoke(1)
    last = head()
    db.exec(`
      UPDATE issuers SET k = ${K};
      INSERT INTO slots (issuer, k, slot, entries, built_seq)
      WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 63) SELECT ${issuer}, ${K}, n, 9, 5 FROM n`)
    await filter()
  })

  test('come sixteenth by sixteenth, when all slots of one are built past its end some time ago', async () => {
    build('slot BETWEEN 8 AND 10')
    expect(await raise()).toBe(false)
    build('slot = 11')
    expect(await raise(NOW - 1)).toBe(false) // too short a while ago
    expect(await raise()).toBe(true)
    expect(ranges()).toEqual([2])
    build('slot BETWEEN 60 AND 63', NOW, last - 1)
    expect(await raise()).toBe(false) // built before the end
    expect(ranges()).toEqual([2])
    expect(floor()).toBeLessThan(last)
    expect(standing()).toHaveLength(1)
  })

  test('when all are there become the floor of the issuer, and the filter goes in the same transaction', async () => {
    build('slot > 0')
    await raise()
    expect(ranges()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    const before = head()
    build('slot = 0')
    ms += 1_000
    expect(await raise()).toBe(true)
    expect(floor()).toBe(last)
    expect(head()).toBeGreaterThan(before) // whatever page of the directory holds the old floor is outdated
    expect([standing(), ranges()]).toEqual([[], []])
    expect((await overlay.readOverlay()).items).toEqual([])
  })

  test('are those of the digits alone that this database has', async () => {
    db.exec('DROP TRIGGER issuers_moved') // as if the others had never been here
    db.exec(`UPDATE issuers SET away = ${0xff00}, seq = seq + 1; DELETE FROM slots WHERE slot >= 32`)
    build('slot > 0')
    expect(await raise()).toBe(true)
    expect([floor() < last, ranges()]).toEqual([true, [1, 2, 3, 4, 5, 6, 7]])
    build('slot = 0')
    ms += 1_000
    expect(await raise()).toBe(true)
    expect([floor(), standing(), ranges()]).toEqual([last, [], []])
  })

  test.each([0, 1, 3, 4])('fit any number of slots (k = %i)', async (k) => {
    db.exec(`DELETE FROM slots; UPDATE issuers SET k = ${K}`)
    db.exec(`
      DROP TRIGGER issuers_update; UPDATE issuers SET k = ${k};
      INSERT INTO slots (issuer, k, slot, entries, built_seq)
      WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < (1 << ${k}) - 1) SELECT ${issuer}, ${k}, n, 9, 5 FROM n`)
    if (k > 0) build('slot > 0')
    await raise()
    expect(ranges()).toHaveLength(k === 0 ? 0 : 16 - 16 / 2 ** k)
    build('slot = 0')
    await raise()
    expect(floor()).toBe(last)
  })

  test('are not raised while slots double: those to come may be older (attack 9)', async () => {
    build('slot >= 0')
    db.exec(`UPDATE issuers SET k_next = ${K + 1}`)
    expect(await raise()).toBe(false)
    db.exec('UPDATE issuers SET k_next = NULL')
    expect(await raise()).toBe(true)
  })

  test('are not raised of a frozen issuer: its record may have lost what the bundles hold (attack 4)', async () => {
    build('slot >= 0')
    await overlay.freeze([issuer], ms)
    expect(await raise()).toBe(false)
    expect(standing()).toHaveLength(1)
  })

  test('wait for the end of the last filter, and never take along a later one', async () => {
    build('slot >= 0')
    ms += 5_000
    await revoke(2)
    await filter()
    expect(await raise()).toBe(false)
    build('slot >= 0')
    await raise()
    expect(standing()).toEqual([])
    expect(floor()).toBeGreaterThan(last)
  })

  test('a slot that never had anything to build does not hold them up', async () => {
    build('slot > 0')
    db.exec(
      'DROP TRIGGER slots_update; UPDATE slots SET built_seq = 0, entries = 0, added = 0 WHERE slot = 0',
    )
    await raise()
    expect(floor()).toBe(last)
    expect(standing()).toEqual([])
  })
})

describe('no more is read than has to be', () => {
  const plan = (sql: string, values: number) =>
    db
      .rows(`EXPLAIN QUERY PLAN ${sql}`, ...Array.from({ length: values }, () => null))
      .map(({ detail }) => String(detail))
      .join('\n')

  test('tail, survey, cut and pruning never scan the changes', async () => {
    const seen = new Set<string>()
    db.beforeCall = (sql) => {
      for (const one of sql) if (/\bchanges\b/.test(one)) seen.add(one)
    }
    await revoke(1)
    seen.clear()
    await overlay.readOverlay()
    await segments.survey(NOW, { live: true })
    await segments.survey(NOW, { live: false })
    for (const count of [1, 20_000])
      for await (const page of segments.readChanges([{ issuer, from: 0, to: head(), count }]))
        expect(page).toHaveLength(1)
    ms += 9 * DAY * 1000
    expect(await overlay.pruneOverlay(NOW + 9 * DAY)).toBe(1)
    db.beforeCall = undefined
    expect(seen.size).toBeGreaterThanOrEqual(8)
    for (const sql of seen) {
      const wanted = Math.max(0, ...[...sql.matchAll(/\?(\d+)/g)].map(([, digit]) => Number(digit)))
      expect(plan(sql, wanted), sql).not.toMatch(/SCAN (c|changes)\b/)
      if (/AS items|marked/.test(sql)) expect(plan(sql, wanted), sql).toContain('issuers_with_tail')
    }
  })

  test('a large range is read page by page, each change once', async () => {
    const count = 25_000
    db.exec(`
      UPDATE issuers SET seq = ${ms * 1000 + 99_999};
      INSERT INTO changes (issuer, hash, serial, seq, keep_until)
      WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${count})
      SELECT ${issuer}, n * 7919 % 4096, CAST(n AS BLOB), ${ms * 1000} + n / 3000, ${NOW + DAY} FROM n`)
    const found = new Set<string>()
    let pages = 0
    for await (const page of segments.readChanges([{ issuer, from: 0, to: head(), count }])) {
      pages += 1
      for (const one of page) found.add(Buffer.from(one.serial).toString())
    }
    expect(found.size).toBe(count)
    expect(pages).toBe(5)
  })
})
