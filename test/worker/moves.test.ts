/** What a moved certificate costs on workerd's own D1, and that nobody pays for the notes of a move who has none. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { READS_PER_MOVED, ROWS_PER_MOVED } from '../../src/cli/move-estimate.ts'
import type { Move } from '../../src/ports/move-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1MoveStore } from '../../src/storage/d1-move-store.ts'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'
import { DAY, newIssuer, newResponder, serial } from '../storage/fixtures.ts'
import { hex } from '../support/pki.ts'

const COUNT = 10_000
const PAGE = 1_000
const NOW_MS = Date.now()
const NOW = Math.floor(NOW_MS / 1000)

class MeteredStatement implements Statement {
  readonly inner: D1PreparedStatement
  readonly #note: (result: D1Result) => void
  constructor(inner: D1PreparedStatement, note: (result: D1Result) => void) {
    this.inner = inner
    this.#note = note
  }
  bind(...values: Value[]): MeteredStatement {
    return new MeteredStatement(this.inner.bind(...values), this.#note)
  }
  async all(): Promise<QueryResult> {
    const result = await this.inner.all<Record<string, unknown>>()
    this.#note(result)
    return result
  }
}

class Metered implements Database {
  written = 0
  read = 0
  readonly #note = ({ meta }: D1Result) => {
    this.written += meta.rows_written
    this.read += meta.rows_read
  }
  prepare(sql: string): Statement {
    return new MeteredStatement(env.DB.prepare(sql), this.#note)
  }
  async batch(statements: Statement[]): Promise<QueryResult[]> {
    const inner = statements.flatMap((one) => (one instanceof MeteredStatement ? [one.inner] : []))
    const results = await env.DB.batch<Record<string, unknown>>(inner)
    results.forEach(this.#note)
    return results
  }
  async cost(work: () => Promise<unknown>): Promise<{ written: number; read: number; ms: number }> {
    const [written, read, begun] = [this.written, this.read, Date.now()]
    await work()
    return { written: this.written - written, read: this.read - read, ms: Date.now() - begun }
  }
}

const db = new Metered()
const admin = new D1AdminStore(db)
const moves = new D1MoveStore(db)
const END = { hash: 2 ** 32, serial: '' }
const START = { hash: -1, serial: '' }
let issuer = 0

beforeAll(async () => {
  issuer = (await admin.addIssuer(newIssuer(), NOW_MS)).id
  await admin.addResponder(issuer, newResponder(), Uint8Array.of(1, 2, 3), NOW_MS)
})

test('a certificate that is recorded without a move under way reads as many rows as with one elsewhere, and one more with its own', async () => {
  let next = 0
  const one = () =>
    db.cost(() => {
      next += 1
      return admin.addCertificates(
        issuer,
        [{ serial: serial(next), status: 'good', notAfter: NOW + DAY }],
        NOW_MS,
      )
    })
  // The first few mark their slot.
  for (let n = 0; n < 5; n += 1) await one()
  const without = await one()
  await env.DB.prepare(
    "INSERT INTO moves (id, issuer, outgoing, peer, digits, phase, started_ms, ended_ms) VALUES ('old', ?1, 1, 1, 65535, 8, 1, 1)",
  )
    .bind(issuer)
    .run()
  expect(await one()).toMatchObject({ read: without.read, written: without.written })
  await moves.begin(issuer, { id: 'own', peer: 1, digits: 0xffff }, NOW_MS)
  const noted = await one()
  expect(noted.read - without.read).toBeLessThanOrEqual(2)
  expect(noted.written - without.written).toBeLessThanOrEqual(2)
  expect((await moves.readNotes(issuer)).rows.length).toBe(1)
  await moves.setPhase((await moves.listMoves(issuer, 1))[0] ?? none(), 'aborted', NOW_MS)
  await moves.endAborted((await moves.listMoves(issuer, 1))[0] ?? none(), NOW_MS)
})

test('copied, compared and deleted, a certificate costs the rows that the dry run says', async () => {
  const place = await moves.readPlace(issuer)
  if (place === undefined) throw new Error('no issuer')
  const [, ...config]: unknown[] = Object.values<unknown>(JSON.parse(place.config))
  const source = { ...place, issuer: 99, ski: 'abcdef', config: JSON.stringify(['another', ...config]) }
  const target: Move = { ...none(), id: 'in', issuer: 99, digits: 0xffff }
  await moves.enter(source, target, 1, NOW_MS)
  const rows = Array.from({ length: COUNT }, (_, n): [number, string] => [
    serialHash(serial(n)),
    JSON.stringify([
      serialHash(serial(n)),
      hex(serial(n)).toUpperCase(),
      0,
      0,
      null,
      NOW - DAY,
      NOW + DAY,
      0,
      0,
      0,
      null,
    ]),
  ])
    .toSorted(([a], [b]) => a - b)
    .map(([, row]) => row)
  let step = 1
  const copied = await db.cost(async () => {
    for (let at = 0; at < COUNT; at += PAGE) {
      const added = await moves.add(99, step, rows.slice(at, at + PAGE), NOW_MS)
      expect(added?.added).toBe(PAGE)
      step = added?.step ?? 0
    }
  })
  const read: string[] = []
  const walked = await db.cost(async () => {
    for (let from = START; ; ) {
      const page = await moves.readRows(99, from, END)
      read.push(...page.rows)
      if (!page.full) break
      const [hash, text]: unknown[] = Object.values<unknown>(JSON.parse(page.rows.at(-1) ?? '[]'))
      from = { hash: Number(hash), serial: String(text) }
    }
  })
  expect(read).toEqual(rows)
  const here = (await moves.readPlace(99))?.move ?? none()
  await moves.setPhase(here, 'aborted', NOW_MS)
  const purged = await db.cost(async () => {
    while ((await moves.purge(here)) > 0);
  })
  expect(await env.DB.prepare('SELECT count(*) AS n FROM certificates WHERE issuer = 99').first('n')).toBe(0)
  // Read to be copied and to be compared, at the source and at the target.
  const all = { written: copied.written + purged.written, read: copied.read + purged.read + 3 * walked.read }
  expect(all.written / COUNT).toBeLessThanOrEqual(ROWS_PER_MOVED + 0.1)
  expect(all.written / COUNT).toBeGreaterThan(ROWS_PER_MOVED - 0.5)
  expect(all.read / COUNT).toBeLessThanOrEqual(READS_PER_MOVED)
  expect(all.read / COUNT).toBeGreaterThan(READS_PER_MOVED / 2)
})

function none(): Move {
  return {
    ...{ id: '', issuer: 0, outgoing: false, peer: 1, digits: 1, phase: 'copying', step: 1, cursor: START },
    ...{
      copied: 0,
      verified: 0,
      repaired: 0,
      purged: 0,
      busyMs: 0,
      startedMs: NOW_MS,
      begunMs: 0,
      claimedMs: 0,
    },
    ...{ settledMs: 0, endedMs: 0, problem: undefined },
  }
}
