/** 20,000 certificates revoked by query on workerd's own D1: parts, single calls between them, and the rows that are written. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import {
  OCTETS_PER_REVOCATION,
  READS_PER_REVOCATION,
  ROWS_LATER,
  ROWS_PER_REVOCATION,
} from '../../src/cli/mass-estimate.ts'
import type { MassRequest } from '../../src/ports/mass-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'
import { END, STEP_ROWS } from '../../src/storage/mass-revocation.ts'
import { DAY, key, newIssuer, newResponder, serial } from '../storage/fixtures.ts'
import { hex } from '../support/pki.ts'

const COUNT = 20_000
const NOW_MS = Date.now()
const NOW = Math.floor(NOW_MS / 1000)
const K = 5

class MeteredStatement implements Statement {
  readonly inner: D1PreparedStatement
  constructor(inner: D1PreparedStatement) {
    this.inner = inner
  }
  bind(...values: Value[]): MeteredStatement {
    return new MeteredStatement(this.inner.bind(...values))
  }
  all(): Promise<QueryResult> {
    return this.inner.all<Record<string, unknown>>()
  }
}

/** D1, and what it says it has written and read in batches. */
class Metered implements Database {
  written = 0
  read = 0
  prepare(sql: string): Statement {
    return new MeteredStatement(env.DB.prepare(sql))
  }
  async batch(statements: Statement[]): Promise<QueryResult[]> {
    const inner = statements.flatMap((one) => (one instanceof MeteredStatement ? [one.inner] : []))
    const results = await env.DB.batch<Record<string, unknown>>(inner)
    for (const { meta } of results) {
      this.written += meta.rows_written
      this.read += meta.rows_read
    }
    return results
  }
}

const db = new Metered()
const admin = new D1AdminStore(db)
let issuer = 0

beforeAll(async () => {
  issuer = (await admin.addIssuer(newIssuer(), NOW_MS)).id
  await admin.addResponder(issuer, newResponder(), Uint8Array.of(1, 2, 3), NOW_MS)
  await env.DB.prepare('UPDATE issuers SET k = ?1').bind(K).run()
  await env.DB.prepare('DELETE FROM slots').run()
  for (let slot = 0; slot < 2 ** K; slot += 1)
    await env.DB.prepare('INSERT INTO slots (issuer, k, slot, built_seq) VALUES (?1, ?2, ?3, 1)')
      .bind(issuer, K, slot)
      .run()
  const all = Array.from({ length: COUNT }, (_, n) => [serialHash(serial(n)), hex(serial(n))])
  for (let at = 0; at < COUNT; at += 5000)
    await env.DB.prepare(
      `INSERT INTO certificates (issuer, hash, serial, status, not_before, not_after, rev)
       SELECT ?1, value->>0, unhex(value->>1), 0, ?3, ?4, 1 FROM json_each(?2)`,
    )
      .bind(issuer, JSON.stringify(all.slice(at, at + 5000)), NOW - DAY, NOW + 90 * DAY)
      .run()
})

const count = async (sql: string) => (await env.DB.prepare(sql).first<number>('n')) ?? 0

test('every row once, every slot due, single revocations and answers between the parts', {
  timeout: 120_000,
}, async () => {
  const request: MassRequest = {
    where: { issuedAfter: NOW - 2 * DAY, reserved: false },
    to: 'revoked',
    reason: 4,
    revocationTime: undefined,
  }
  const tally = await admin.tallyMass(issuer, request, 0, NOW_MS)
  expect(tally).toMatchObject({ toChange: COUNT, cursor: END })
  expect(tally.slots.length).toBe(2 ** K)

  const run = await admin.startMass(issuer, request, NOW_MS)
  const sizeBefore = (await env.DB.prepare('SELECT 1').run()).meta.size_after
  db.written = 0
  db.read = 0
  const single = serial(7)
  const status = new D1StatusStore(env.DB)
  let [changed, steps, answered] = [0, 0, 0]
  for (let cursor = run.cursor; cursor < END; steps += 1) {
    const begun = admin.stepMass({ ...run, cursor }, request, NOW_MS + steps)
    // Asked while the transaction is under way: they come before or after it, and are answered.
    const reading = status.readStatuses(issuer, [key(serial(9))])
    const other = steps === 3 ? new D1AdminStore(env.DB).readCertificate(issuer, single) : undefined
    const step = await begun
    answered += (await reading).rows[0] === undefined ? 0 : 1
    if (other !== undefined) expect(await other).toBeDefined()
    cursor = step.cursor
    changed += step.changed
    expect(step.changed).toBeLessThanOrEqual(STEP_ROWS)
    expect(step.refused).toEqual([])
  }
  expect([changed, answered]).toEqual([COUNT, steps])
  expect(steps).toBeGreaterThanOrEqual(COUNT / STEP_ROWS)

  expect(await count('SELECT count(*) AS n FROM certificates WHERE status = 1 AND reason = 4')).toBe(COUNT)
  expect(await count("SELECT count(*) AS n FROM audit WHERE action = 'certificate.revoked'")).toBe(COUNT)
  expect(await count('SELECT count(*) AS n FROM changes')).toBe(COUNT)
  expect(await count('SELECT count(*) AS n FROM slots WHERE changed_seq > built_seq')).toBe(2 ** K)
  expect(await admin.listMass(issuer, 1)).toMatchObject([{ changed: COUNT, refused: 0, cursor: END }])
  const published = await admin.changeStatus(issuer, single, { to: 'revoked' }, NOW_MS + 1000)
  expect(published.outcome).toBe('unchanged')

  // What the dry run reckons with.
  expect(db.written / COUNT).toBeCloseTo(ROWS_PER_REVOCATION, 1)
  expect(db.read / COUNT).toBeLessThanOrEqual(READS_PER_REVOCATION)
  const sizeAfter = (await env.DB.prepare('SELECT 1').run()).meta.size_after
  expect((sizeAfter - sizeBefore) / COUNT).toBeLessThanOrEqual(OCTETS_PER_REVOCATION)
  await env.DB.prepare('DROP TRIGGER changes_delete').run()
  const deleted = await env.DB.prepare('DELETE FROM changes WHERE keep_until > 0').run()
  expect(deleted.meta.rows_written / COUNT).toBeCloseTo(ROWS_LATER, 1)
})
