/** Revocation by query: what is chosen, what becomes of it, and how a run goes on. test/property has it against single ones. */
import { beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import type { ListedChange, MassRequest, MassWhere } from '../../src/ports/mass-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { END, STEP_ROWS, STEP_WALK } from '../../src/storage/mass-revocation.ts'
import { hex } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, NOW_MS, newIssuer, POLICY, serial, setUp } from './fixtures.ts'

const MINUTE = 60_000

let db: SqliteD1
let admin: D1AdminStore
let issuer: number
let ms = NOW_MS

beforeEach(async () => {
  ms = NOW_MS
  db = new SqliteD1({ now: () => ms / 1000 })
  admin = new D1AdminStore(db)
  issuer = await setUp(admin)
})

const where = (conditions: Partial<MassWhere> = {}): MassWhere => ({ reserved: false, ...conditions })
const ask = (conditions: Partial<MassWhere> = {}, more: Partial<MassRequest> = {}): MassRequest => ({
  where: where(conditions),
  to: 'revoked',
  reason: 1,
  revocationTime: undefined,
  ...more,
})

/** Until it is done. @returns counts, and the number of transactions */
async function runAll(request: MassRequest, id = issuer) {
  const run = await admin.startMass(id, request, ms)
  const sum = { changed: 0, refused: [] as string[], steps: 0 }
  for (let cursor = run.cursor; cursor < END; ) {
    const step = await admin.stepMass({ ...run, cursor }, request, ms)
    cursor = step.cursor
    sum.changed += step.changed
    sum.refused.push(...step.refused.map((one) => one.serial))
    sum.steps += 1
  }
  return sum
}

/** Serials with that status, in order. */
const having = (status: number) =>
  db
    .rows('SELECT hex(serial) AS serial FROM certificates WHERE status = ?1 ORDER BY serial', status)
    .map((row) => String(row['serial']).toLowerCase())
const names = (...numbers: number[]) => numbers.map((n) => hex(serial(n)))

describe('what a query matches', () => {
  const at = (n: number, notBefore: number, notAfter: number) => good(n, { notBefore, notAfter })
  beforeEach(async () => {
    await admin.addCertificates(
      issuer,
      [
        at(1, NOW - 10 * DAY, NOW + DAY),
        at(2, NOW - 5 * DAY, NOW + 2 * DAY),
        at(3, NOW - DAY, NOW + 3 * DAY),
        { serial: serial(4), status: 'good' },
        { serial: Uint8Array.of(0x00, 0xab, 0xcd), status: 'good' },
        { serial: Uint8Array.of(0x7f), status: 'good' },
      ],
      ms,
    )
  })

  test.each<[string, Partial<MassWhere>, string[]]>([
    ['notBefore at or after', { issuedAfter: NOW - 5 * DAY }, names(2, 3)],
    ['notBefore before', { issuedBefore: NOW - 5 * DAY }, names(1)],
    ['notAfter at or after', { expiresAfter: NOW + 2 * DAY }, names(2, 3)],
    ['notAfter before', { expiresBefore: NOW + 3 * DAY }, names(1, 2)],
    ['both', { issuedAfter: NOW - 9 * DAY, expiresBefore: NOW + 3 * DAY }, names(2)],
    [
      'serials as numbers, not as text',
      { serialFrom: Uint8Array.of(0x7f), serialTo: Uint8Array.of(0x00, 0xab, 0xcd) },
      ['00abcd', '7f'],
    ],
    ['serials from', { serialFrom: serial(3) }, names(3, 4)],
    ['a prefix as openssl prints it', { serialPrefix: 'AB' }, ['00abcd']],
    ['a prefix of half an octet', { serialPrefix: '7' }, ['7f']],
    ['everything', {}, ['00abcd', ...names(1, 2, 3, 4), '7f']],
  ])('%s', async (_, conditions, expected) => {
    const tally = await admin.tallyMass(issuer, ask(conditions), 0, ms)
    expect(tally.toChange).toBe(expected.length)
    expect((await runAll(ask(conditions))).changed).toBe(expected.length)
    expect(having(1)).toEqual(expected)
  })

  test('a date that is not recorded matches nothing, and the dry run says how many such there are', async () => {
    const tally = await admin.tallyMass(issuer, ask({ issuedBefore: NOW + DAY }), 0, ms)
    expect(tally).toMatchObject({ toChange: 3, undated: 3, cursor: END })
  })

  test('a negative serial is in no range', async () => {
    await admin.addCertificates(issuer, [{ serial: Uint8Array.of(0x80), status: 'good' }], ms)
    expect(await admin.tallyMass(issuer, ask({ serialFrom: Uint8Array.of(0) }), 0, ms)).toMatchObject({
      toChange: 6,
    })
  })
})

describe('what becomes of a row', () => {
  test('revoked is left alone, hold and released become revoked, a reserved serial only when asked for (R1.42)', async () => {
    await admin.addCertificates(
      issuer,
      [
        good(1),
        good(2, { status: 'revoked', revocationTime: NOW - DAY, reason: 4 }),
        good(3, { status: 'hold' }),
        good(4, { status: 'hold' }),
        { serial: serial(5), status: 'reserved' },
      ],
      ms,
    )
    await admin.changeStatus(issuer, serial(4), { to: 'released' }, ms)
    ms += MINUTE
    expect(await admin.tallyMass(issuer, ask(), 0, ms)).toMatchObject({
      toChange: 3,
      held: 1,
      reserved: 0,
      already: 1,
      leftReserved: 1,
      undated: 0,
      refused: [],
    })
    expect(await runAll(ask())).toMatchObject({ changed: 3, refused: [] })
    expect(having(1)).toEqual(names(1, 2, 3, 4))
    expect(await admin.readCertificate(issuer, serial(2))).toMatchObject({
      revocationTime: NOW - DAY,
      reason: 4,
    })
    expect(await admin.readCertificate(issuer, serial(5))).toMatchObject({ status: 'reserved' })
    expect(await runAll(ask({ reserved: true }))).toMatchObject({ changed: 1 })
    expect(await admin.readCertificate(issuer, serial(5))).toMatchObject({ status: 'revoked', reason: 1 })
  })

  test('a hold in bulk takes good and released alone', async () => {
    await admin.addCertificates(issuer, [good(1), good(2, { status: 'revoked' })], ms)
    expect(await runAll(ask({}, { to: 'hold', reason: undefined }))).toMatchObject({ changed: 1 })
    expect([having(1), having(2)]).toEqual([names(2), names(1)])
  })

  test('the certificate of a CA under public-trust is refused without a reason, and told (R4.21)', async () => {
    const policy = { ...POLICY, profile: 'public-trust' } as const
    const { id } = await admin.addIssuer(newIssuer({ name: 'public', ski: 'ab'.repeat(20), policy }), ms)
    await admin.addCertificates(id, [good(1, { isCA: true }), good(2)], ms)
    const request = ask({}, { reason: undefined })
    const tally = await admin.tallyMass(id, request, 0, ms)
    expect(tally).toMatchObject({ toChange: 1, refused: [{ serial: hex(serial(1)) }] })
    expect(await runAll(request, id)).toMatchObject({ changed: 1, refused: [hex(serial(1))] })
    expect((await admin.listMass(id, 1))[0]).toMatchObject({ changed: 1, refused: 1, cursor: END })
    expect(await runAll(ask({}, { reason: 5 }), id)).toMatchObject({ changed: 1, refused: [] })
  })
})

describe('a run', () => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => good(n))
  /** Straight into the table: the plan would take seconds. */
  function addFast(count: number): void {
    const rows = Array.from({ length: count }, (_, n) => [serialHash(serial(n)), hex(serial(n))])
    db.rows(
      'INSERT INTO certificates (issuer, hash, serial, status, rev) SELECT ?1, value->>0, unhex(value->>1), 0, 1 FROM json_each(?2)',
      issuer,
      JSON.stringify(rows),
    )
  }

  test('goes on where it stood, whoever asks, with the time of its start; then another begins', async () => {
    addFast(STEP_ROWS * 2 + 10)
    const first = await admin.startMass(issuer, ask(), ms)
    const step = await admin.stepMass(first, ask(), ms)
    expect(step.changed).toBeGreaterThan(STEP_ROWS - 10)
    expect(step.changed).toBeLessThanOrEqual(STEP_ROWS)
    ms += 90 * MINUTE
    const again = await new D1AdminStore(db).startMass(issuer, ask(), ms)
    expect(again).toMatchObject({ id: first.id, cursor: step.cursor, changed: step.changed })
    await runAll(ask())
    expect(db.rows('SELECT DISTINCT status, revoked_at FROM certificates WHERE issuer = ?1', issuer)).toEqual(
      [{ status: 1, revoked_at: NOW }],
    )
    const next = await admin.startMass(issuer, ask(), ms)
    expect(next).toMatchObject({ changed: 0, cursor: 0, revocationTime: NOW + 90 * 60 })
    expect(next.id).not.toBe(first.id)
  })

  test('another question is another run', async () => {
    const ids = await Promise.all(
      [ask(), ask({}, { reason: 4 }), ask({ issuedAfter: 5 }), ask({}, { revocationTime: 9 })].map(
        async (request) => (await admin.startMass(issuer, request, ms)).id,
      ),
    )
    expect(new Set(ids).size).toBe(4)
  })

  test('a time ahead of the clock becomes the start, for the whole run', async () => {
    const run = await admin.startMass(issuer, ask({}, { revocationTime: NOW + 200 }), ms)
    expect(run.revocationTime).toBe(NOW)
    ms += MINUTE
    expect(await admin.startMass(issuer, ask({}, { revocationTime: NOW + 200 }), ms)).toEqual(run)
  })

  test('a lost answer loses nothing: the rows and the cursor are one transaction', async () => {
    await admin.addCertificates(issuer, many(50), ms)
    const run = await admin.startMass(issuer, ask(), ms)
    const calls = { count: 0 }
    db.beforeCall = (sql) => {
      if (sql.length > 1 && calls.count++ === 0) db.loseAnswers(1)
    }
    await expect(admin.stepMass(run, ask(), ms)).rejects.toMatchObject({ reason: 'unavailable' })
    db.beforeCall = undefined
    expect(await admin.startMass(issuer, ask(), ms)).toMatchObject({ cursor: 0 }) // done: this is the next one
    expect((await admin.listMass(issuer, 5)).at(-1)).toMatchObject({ changed: 50, cursor: END })
    expect(having(1).length).toBe(50)
  })

  test('a transaction that fails changes nothing and moves no cursor', async () => {
    await admin.addCertificates(issuer, many(50), ms)
    const run = await admin.startMass(issuer, ask(), ms)
    db.exec(
      `CREATE TRIGGER fail BEFORE UPDATE ON certificates WHEN hex(NEW.serial) = '${hex(serial(7))}' BEGIN SELECT RAISE(ABORT, 'no'); END`,
    )
    const before = db.rows('SELECT * FROM audit')
    await expect(admin.stepMass(run, ask(), ms)).rejects.toMatchObject({ name: 'StorageError' })
    expect([having(1), db.rows('SELECT * FROM audit'), db.rows('SELECT * FROM changes')]).toEqual([
      [],
      before,
      [],
    ])
    expect(await admin.startMass(issuer, ask(), ms)).toEqual(run)
    db.exec('DROP TRIGGER fail')
    expect(await runAll(ask())).toMatchObject({ changed: 50 })
  })

  test('two who ask for the same at once revoke each row once', async () => {
    addFast(3000)
    const run = await admin.startMass(issuer, ask(), ms)
    const steps = await Promise.all([admin.stepMass(run, ask(), ms), admin.stepMass(run, ask(), ms)])
    const rest = await runAll(ask())
    expect((steps[0]?.changed ?? 0) + (steps[1]?.changed ?? 0) + rest.changed).toBe(3000)
    expect(db.rows("SELECT count(*) AS n FROM audit WHERE action = 'certificate.revoked'")).toEqual([
      { n: 3000 },
    ])
    expect((await admin.listMass(issuer, 1))[0]).toMatchObject({ changed: 3000 })
  })

  test('walks a bounded number of rows at a time, and what does not match costs no transaction of writes', async () => {
    addFast(STEP_WALK + 500)
    db.calls = 0
    expect(await runAll(ask({ serialPrefix: 'FF' }))).toEqual({ changed: 0, refused: [], steps: 2 })
    expect(db.calls).toBe(1 + 2 * 2)
  })

  test('what lies beyond the stretch is not read: its end is found along the key, nothing is sorted for it', async () => {
    await admin.addCertificates(issuer, many(10), ms)
    const asked: string[] = []
    db.beforeCall = (sql) => {
      asked.push(...sql.filter((text) => text.includes('OFFSET')))
    }
    await admin.tallyMass(issuer, ask(), 0, ms)
    await runAll(ask())
    db.beforeCall = undefined
    expect(asked.length).toBe(2)
    for (const sql of asked) {
      const plan = db
        .rows(`EXPLAIN QUERY PLAN ${sql}`, issuer, '{"from":0}')
        .map(({ detail }) => String(detail))
      const walks = plan.filter((step) => /^(SCAN|SEARCH) (c|certificates)\b/.test(step))
      const unbounded = plan.findIndex((step) =>
        /^SEARCH certificates .*\(issuer=\? AND hash>\?\)$/.test(step),
      )
      expect(unbounded).toBeGreaterThanOrEqual(0)
      expect(plan[unbounded + 1] ?? '').not.toContain('TEMP B-TREE')
      // Whatever else walks does so between two bounds.
      for (const step of walks.filter((one) => one !== plan[unbounded]))
        expect(step).toMatch(/hash>\? AND hash<\?/)
    }
  })

  test('a single revocation has its turn between two steps, and keeps its own time and reason', async () => {
    addFast(STEP_ROWS * 2)
    const run = await admin.startMass(issuer, ask(), ms)
    const step = await admin.stepMass(run, ask(), ms)
    const [left] = db.rows('SELECT hex(serial) AS serial FROM certificates WHERE status = 0 LIMIT 1')
    const late = Uint8Array.from(Buffer.from(String(left?.['serial']), 'hex'))
    expect(serialHash(late)).toBeGreaterThanOrEqual(step.cursor)
    const change = { to: 'revoked', reason: 5, revocationTime: NOW - 500 } as const
    expect(await admin.changeStatus(issuer, late, change, ms)).toMatchObject({ outcome: 'changed' })
    expect((await runAll(ask())).changed).toBe(STEP_ROWS * 2 - step.changed - 1)
    expect(await admin.readCertificate(issuer, late)).toMatchObject({ reason: 5, revocationTime: NOW - 500 })
  })
})

describe('by a list of serials', () => {
  const revoked = (n: number, more: Pick<ListedChange, 'reason'> = {}) => ({
    serial: serial(n),
    status: 'revoked' as const,
    ...more,
  })
  const apply = (add: boolean, dryRun: boolean, ...rows: ReturnType<typeof revoked>[]) =>
    admin.changeListed(issuer, rows, { add, dryRun }, ms)

  test('what is not recorded is told, or added on request; a dry run says the same and changes nothing', async () => {
    await admin.addCertificates(issuer, [good(1), good(2, { status: 'revoked' })], ms)
    const rows = [revoked(1, { reason: 4 }), revoked(2), revoked(3)]
    const before = db.rows('SELECT * FROM audit')
    const outcomes = ['changed', 'unchanged', 'notFound']
    expect(await apply(false, true, ...rows)).toEqual({ outcomes, slots: [{ k: 0, slot: 0 }] })
    expect(await apply(true, true, ...rows)).toMatchObject({ outcomes: ['changed', 'unchanged', 'added'] })
    expect([db.rows('SELECT * FROM audit'), having(1)]).toEqual([before, names(2)])
    expect(await apply(false, false, ...rows)).toEqual({ outcomes, slots: [] })
    expect(await apply(true, false, ...rows)).toMatchObject({
      outcomes: ['unchanged', 'unchanged', 'added'],
    })
    expect(having(1)).toEqual(names(1, 2, 3))
    expect(await admin.readCertificate(issuer, serial(1))).toMatchObject({ reason: 4 })
  })

  test('a serial that comes twice is applied in the order of the list', async () => {
    await admin.addCertificates(issuer, [good(1)], ms)
    expect(await apply(false, false, revoked(1, { reason: 4 }), revoked(1, { reason: 1 }))).toMatchObject({
      outcomes: ['changed', 'changed'],
    })
    expect(await admin.readCertificate(issuer, serial(1))).toMatchObject({ reason: 1 })
  })
})
