/** What a minute's plan reads of 200,000 slots, by D1's own count: 100 million certificates of 500 a slot. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'
import { fanOut } from '../../src/jobs/fan-out.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'
import { DAY, newIssuer, newResponder } from '../storage/fixtures.ts'

const NOW = Math.floor(Date.now() / 1000)
/** 2^17, 2^16 and 2^12 slots, and one each of 400 small issuers. */
const LARGE = [17, 16, 12]
const SMALL = 400
const SLOTS = LARGE.reduce((sum, k) => sum + 2 ** k, SMALL)

interface Meta {
  readonly rows_read: number
  readonly rows_written: number
}

/** D1, with what it says that it read and wrote. */
class Metered implements Database {
  read = 0
  written = 0
  statements = 0

  prepare(sql: string): Statement {
    return this.#metered(env.DB.prepare(sql))
  }

  async batch(statements: Statement[]): Promise<QueryResult[]> {
    const results: QueryResult[] = []
    for (const statement of statements) results.push(await statement.all())
    return results
  }

  #metered(inner: D1PreparedStatement): Statement {
    return {
      bind: (...values: Value[]) => this.#metered(inner.bind(...values)),
      all: async () => {
        const result = await inner.all<Record<string, unknown>>()
        const meta: Meta = result.meta
        this.read += meta.rows_read
        this.written += meta.rows_written
        this.statements += 1
        return { results: result.results, meta: { changes: result.meta.changes } }
      },
    }
  }
}

beforeAll(async () => {
  const admin = new D1AdminStore(env.DB)
  for (let n = 0; n < LARGE.length + SMALL; n += 1) {
    const ski = n.toString(16).padStart(40, '0')
    const { id } = await admin.addIssuer(newIssuer({ name: `ca-${n}`, ski }), Date.now())
    await admin.addResponder(id, newResponder(), Uint8Array.of(1, 2, 3), Date.now())
    const k = LARGE[n] ?? 0
    await env.DB.batch([
      env.DB.prepare('DELETE FROM slots WHERE issuer = ?1').bind(id),
      env.DB.prepare('UPDATE issuers SET k = ?2 WHERE id = ?1').bind(id, k),
      env.DB.prepare(
        `INSERT INTO slots (issuer, k, slot, built_seq, changed_seq, entries, refresh_at)
         WITH RECURSIVE n (slot) AS (SELECT 0 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < (1 << ?2))
         SELECT ?1, ?2, slot, 2, 1, 500, ?3 + slot FROM n`,
      ).bind(id, k, NOW + DAY),
    ])
  }
}, 120_000)

async function plan() {
  const db = new Metered()
  const messages: { body: unknown }[] = []
  const outcome = await fanOut(
    {
      slots: new D1SlotStore(db),
      fanOut: new D1FanOutStore(db),
      queue: { sendBatch: async (batch) => messages.push(...batch) },
      clock: { nowMs: () => Date.now() },
      log: { event() {} },
      leaseName: () => `plan:${crypto.randomUUID()}`,
      presign: () => Promise.reject(new Error('nothing is to be built here')),
    },
    { maxPlanned: 2_000_000, maxMessage: 50_000 },
  )
  return { outcome, messages: messages.length, read: db.read, written: db.written, statements: db.statements }
}

test('one scan finds that nothing is due: a row read a slot, and little else', {
  timeout: 60_000,
}, async () => {
  const { outcome, messages, read, written } = await plan()
  expect([outcome.remaining, messages]).toEqual([0, 0])
  expect(written).toBeLessThan(5)
  expect(read).toBeLessThan(SLOTS + 10 * (LARGE.length + SMALL))
})

test('planning 2,000 slots of 200,000 that are due takes a handful of statements', {
  timeout: 60_000,
}, async () => {
  await env.DB.prepare('UPDATE slots SET refresh_at = ?1 WHERE slot % 100 = 0')
    .bind(NOW - 5)
    .run()
  const { outcome, messages, read, written, statements } = await plan()
  const due = await env.DB.prepare('SELECT count(*) AS n FROM slots WHERE refresh_at <= ?1')
    .bind(NOW)
    .first('n')
  expect(Number(due) - outcome.remaining).toBe(2_000)
  expect(messages).toBe(40)
  expect(statements).toBeLessThanOrEqual(6)
  expect(read).toBeLessThan(1.2 * SLOTS)
  expect(written).toBeLessThan(2_100)
})

test('with all 200,000 due a plan reads each a few times, not each as often as there are others', {
  timeout: 60_000,
}, async () => {
  await env.DB.prepare('UPDATE slots SET refresh_at = ?1, lease = NULL, lease_until = 0')
    .bind(NOW - 5)
    .run()
  const { outcome, messages, read, written, statements } = await plan()
  expect(outcome.remaining).toBe(SLOTS - 2_000)
  expect([messages, statements <= 6]).toEqual([40, true])
  expect(read).toBeLessThan(9 * SLOTS)
  expect(written).toBeLessThan(2_100)
})
