/** A mass event in the overlay on workerd's own D1 and KV: rows that are read and written, and that every change is found. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'
import { firstHash, pageOf, SegmentPage, secondHash, segmentPageName } from '../../src/overlay/segment.ts'
import { SEGMENT_LIMITS, type SegmentLimits, segmentTail } from '../../src/overlay/segmenting.ts'
import type { OverlaySegment } from '../../src/ports/records.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SegmentStore } from '../../src/storage/d1-segment-store.ts'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'
import { KVDerivedStore } from '../../src/storage/kv-derived-store.ts'
import { newIssuer } from '../storage/fixtures.ts'

const COUNT = 25_000
const QUIET_ISSUERS = 300
const NOW_MS = Date.now()
const clock = { nowMs: () => NOW_MS + 5_000 }
const rows = { read: 0, written: 0 }

class MeteredStatement implements Statement {
  readonly inner: D1PreparedStatement
  constructor(inner: D1PreparedStatement) {
    this.inner = inner
  }
  bind(...values: Value[]): MeteredStatement {
    return new MeteredStatement(this.inner.bind(...values))
  }
  async all(): Promise<QueryResult> {
    return metered(await this.inner.all())
  }
}

function metered(result: D1Result): QueryResult {
  rows.read += result.meta.rows_read
  rows.written += result.meta.rows_written
  return { results: result.results.map((row) => Object(row)), meta: { changes: result.meta.changes } }
}

const db: Database = {
  prepare: (sql) => new MeteredStatement(env.DB.prepare(sql)),
  async batch(statements) {
    const inner = statements.flatMap((statement) =>
      statement instanceof MeteredStatement ? statement.inner : [],
    )
    return (await env.DB.batch(inner)).map(metered)
  },
}

const overlay = new D1OverlayStore(db)
const derived = new KVDerivedStore(env.RESPONSES, clock)
const segmenting = { store: new D1SegmentStore(db), derived, clock, random: () => 0x5eed }
let issuer = 0

/** The rows that `work` reads and writes. */
async function cost<T>(work: () => Promise<T>): Promise<{ result: T; read: number; written: number }> {
  const { read, written } = rows
  const result = await work()
  return { result, read: rows.read - read, written: rows.written - written }
}

const serialOf = (n: number) => {
  const octets = new Uint8Array(16)
  octets[0] = 0x10
  new DataView(octets.buffer).setUint32(12, n)
  return octets
}

async function need(segment: OverlaySegment, serial: Uint8Array): Promise<number> {
  const h1 = firstHash(segment, issuer, serial)
  const name = segmentPageName(segment.version, pageOf(segment.bits, h1))
  const bytes = await derived.readPage(name)
  if (bytes === null) throw new Error(`${name} is not there`)
  return SegmentPage.open(bytes, name).need(h1, secondHash(segment, issuer, serial), segment.lastSeq)
}

beforeAll(async () => {
  const admin = new D1AdminStore(env.DB)
  issuer = (await admin.addIssuer(newIssuer(), NOW_MS)).id
  await env.DB.exec(
    `INSERT INTO issuers (name, ski, certificate, hashes, not_before, not_after, policy, config_rev, seq, floor, longest_validity, unknown_signed) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${QUIET_ISSUERS}) SELECT 'quiet-' || n, printf('%08x', n), certificate, hashes, not_before, not_after, policy, config_rev, seq, floor, longest_validity, unknown_signed FROM issuers CROSS JOIN n WHERE id = ${issuer}`,
  )
  await env.DB.exec(`UPDATE issuers SET seq = ${NOW_MS * 1000 + COUNT} WHERE id = ${issuer}`)
  await env.DB.exec(
    `INSERT INTO changes (issuer, hash, serial, seq, keep_until) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${COUNT}) SELECT ${issuer}, (n * 2654435761) & 4294967295, unhex(printf('10%030x', n)), ${NOW_MS * 1000} + n / 2000, ${Math.floor(NOW_MS / 1000) + 86_400} FROM n`,
  )
}, 60_000)

const cut = (limits: SegmentLimits) => cost(() => segmentTail(segmenting, limits))

test('a mass event becomes a filter in which each change is found, for some rows each', async () => {
  const done = await cut(SEGMENT_LIMITS)
  expect(done.result).toBe(1)
  console.log(`cut of ${COUNT}: ${done.read} rows read, ${done.written} written`)
  expect(done.read).toBeLessThan(COUNT * 5)
  expect(done.written).toBeLessThan(30)
  const { segments, items } = await overlay.readOverlay()
  expect(items).toEqual([])
  const [segment] = segments
  expect(segments).toMatchObject([{ kind: 'filter', issuer, count: COUNT }])
  if (segment === undefined) throw new Error('no segment')
  for (let n = 1; n <= COUNT; n += 149) expect(await need(segment, serialOf(n))).toBe(segment.lastSeq)
  let falsely = 0
  for (let n = 1; n <= 300; n += 1) if ((await need(segment, serialOf(COUNT + n))) > 0) falsely += 1
  expect(falsely).toBeLessThan(15)
})

test('a heartbeat after it reads neither the changes nor the issuers that have none', async () => {
  const survey = await cut(SEGMENT_LIMITS)
  expect(survey.result).toBe(0)
  const { store } = segmenting
  const seconds = Math.floor(clock.nowMs() / 1000)
  // Its one slot never had anything to build, so a floor stands for the filter at once.
  expect(await store.raiseFloors(clock.nowMs(), seconds)).toBe(true)
  expect((await overlay.readOverlay()).segments).toEqual([])
  const floors = await cost(() => store.raiseFloors(clock.nowMs(), seconds))
  const pruning = await cost(() => overlay.pruneOverlay(seconds))
  console.log(`look whether to cut: ${survey.read} rows, floors: ${floors.read}, pruning: ${pruning.read}`)
  expect(survey.read).toBeLessThan(10)
  expect(floors.read).toBeLessThan(20)
  expect(pruning.read).toBeLessThan(QUIET_ISSUERS * 2 + 20)
})
