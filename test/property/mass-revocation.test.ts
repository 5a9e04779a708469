/** The mass path against one revocation after the other: the same record, overlay items, slots and audit. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MassRequest } from '../../src/ports/mass-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { END } from '../../src/storage/mass-revocation.ts'
import { DAY, NOW, NOW_MS, POLICY, serial, setUp } from '../storage/fixtures.ts'
import { hex } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

const MINUTE = 60_000

describe('the mass path and one revocation after the other', () => {
  const statuses = ['good', 'revoked', 'hold', 'released', 'reserved'] as const
  const rowsArbitrary = fc.array(
    fc.record({
      n: fc.nat(40),
      status: fc.constantFrom(...statuses),
      notBefore: fc.constantFrom(0, NOW - 3 * DAY, NOW - 2 * DAY, NOW - DAY),
      notAfter: fc.constantFrom(0, NOW + DAY, NOW + 2 * DAY),
      isCA: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  const conditionsArbitrary = fc.record(
    {
      issuedAfter: fc.constantFrom(NOW - 3 * DAY, NOW - 2 * DAY),
      issuedBefore: fc.constantFrom(NOW - 2 * DAY, NOW - DAY + 1),
      expiresAfter: fc.constantFrom(NOW + DAY, NOW + 2 * DAY),
      expiresBefore: fc.constantFrom(NOW + 2 * DAY, NOW + 3 * DAY),
      serialFrom: fc.nat(40).map(serial),
      serialTo: fc.nat(40).map(serial),
    },
    { requiredKeys: [] },
  )
  const questionArbitrary = fc.record({
    conditions: conditionsArbitrary,
    reserved: fc.boolean(),
    reason: fc.constantFrom(undefined, 0, 1, 5, 6),
    revocationTime: fc.constantFrom(undefined, NOW - 1000),
    profile: fc.constantFrom('private', 'public-trust'),
    unknown: fc.constantFrom('unauthorized', 'unknown'),
    k: fc.constantFrom([0, null], [3, null], [2, 3]),
  })
  type Rows = typeof rowsArbitrary extends fc.Arbitrary<infer T> ? T : never
  type Question = typeof questionArbitrary extends fc.Arbitrary<infer T> ? T : never

  async function world(rows: Rows, { profile, unknown, k: [k, kNext] }: Question) {
    const clock = { ms: NOW_MS }
    const database = new SqliteD1({ now: () => clock.ms / 1000 })
    const store = new D1AdminStore(database)
    const id = await setUp(store)
    for (const { n, status, isCA, ...dates } of rows) {
      const row = { serial: serial(n), isCA, ...dates }
      await store.addCertificates(id, [{ ...row, status: status === 'released' ? 'hold' : status }], clock.ms)
      if (status === 'released') await store.changeStatus(id, serial(n), { to: 'released' }, clock.ms)
    }
    const policy = { ...POLICY, profile, unknown } as const
    await store.updateIssuer(id, { policy }, clock.ms)
    database.exec(`UPDATE issuers SET k = ${k}, k_next = ${kNext === null ? 'NULL' : kNext}`)
    for (const era of [k, kNext])
      if (era !== null && era > 0)
        for (let slot = 0; slot < 2 ** era; slot += 1)
          database.exec(`INSERT INTO slots (issuer, k, slot) VALUES (${id}, ${era}, ${slot})`)
    clock.ms += MINUTE
    return { clock, database, store, id }
  }

  /** Everything but what numbers the transactions: all rows of one share a sequence, others do not. */
  function stateOf(database: SqliteD1, before: number) {
    return {
      rows: database.rows(
        'SELECT hash, hex(serial) AS serial, status, revoked_at, reason, not_before, not_after, changed_at, reserved, is_ca, rev > ?1 AS touched FROM certificates ORDER BY hash, serial',
        before,
      ),
      items: database.rows(
        'SELECT hash, hex(serial) AS serial, keep_until, seq > ?1 AS touched FROM changes ORDER BY hash, serial',
        before,
      ),
      slots: database.rows(
        'SELECT k, slot, changed_seq > ?1 AS touched, added, added_since FROM slots ORDER BY k, slot',
        before,
      ),
      audit: database
        .rows(
          'SELECT at_ms, action, hex(serial) AS serial, detail, seq > ?1 AS touched FROM audit ORDER BY touched, action, serial, id',
          before,
        )
        .map((row): unknown => ({ ...row, detail: JSON.parse(String(row['detail'])) })),
    }
  }

  test('make the same record, overlay items, slots and audit, for any rows and any query', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(rowsArbitrary, questionArbitrary, async (rows, question) => {
        const { conditions, reserved, reason, revocationTime } = question
        const isHold = reason === 6
        if (isHold && question.profile === 'public-trust') return // refused before the record is asked
        const one = await world(rows, question)
        const other = await world(rows, question)
        const request: MassRequest = {
          where: { ...conditions, reserved },
          to: isHold ? 'hold' : 'revoked',
          reason: isHold ? undefined : reason,
          revocationTime,
        }
        const before = Number(one.database.rows('SELECT seq FROM issuers')[0]?.['seq'])

        const tally = await one.store.tallyMass(one.id, request, 0, one.clock.ms)
        const run = await one.store.startMass(one.id, request, one.clock.ms)
        const step = await one.store.stepMass(run, request, one.clock.ms)
        expect(step.cursor).toBe(END)

        let changed = 0
        const refused: string[] = []
        for (const row of other.database.rows('SELECT hex(serial) AS serial FROM certificates')) {
          const octets = Uint8Array.from(Buffer.from(String(row['serial']), 'hex'))
          const recorded = await other.store.readCertificate(other.id, octets)
          if (recorded === undefined || !isMatch(recorded, question)) continue
          if (recorded.status === 'revoked' || (isHold && recorded.status === 'hold')) continue
          if (recorded.status === 'reserved' && !reserved) continue
          const change = {
            to: request.to,
            ...(request.reason !== undefined && { reason: request.reason }),
            ...(revocationTime !== undefined && { revocationTime }),
          }
          const { outcome } = await other.store.changeStatus(other.id, octets, change, other.clock.ms)
          if (outcome === 'changed') changed += 1
          else refused.push(hex(octets))
        }
        expect({ changed: step.changed, refused: step.refused.map((x) => x.serial).sort() }).toEqual({
          changed,
          refused: refused.sort(),
        })
        expect(tally).toMatchObject({ toChange: changed })
        expect(stateOf(one.database, before)).toEqual(stateOf(other.database, before))
        const due = one.database.rows(
          'SELECT s.k, s.slot FROM slots s JOIN issuers i ON s.k IN (i.k, i.k_next) WHERE changed_seq > ?1 ORDER BY s.k, s.slot',
          before,
        )
        expect(tally.slots.map(({ k, slot }) => [k, slot])).toEqual(due.map(({ k, slot }) => [k, slot]))
      }),
      { numRuns: 60 },
    )
  })

  function isMatch(
    row: { serial: Uint8Array; notBefore: number; notAfter: number },
    { conditions: c }: Question,
  ): boolean {
    const text = hex(row.serial)
    return (
      (c.issuedAfter === undefined || (row.notBefore > 0 && row.notBefore >= c.issuedAfter)) &&
      (c.issuedBefore === undefined || (row.notBefore > 0 && row.notBefore < c.issuedBefore)) &&
      (c.expiresAfter === undefined || (row.notAfter > 0 && row.notAfter >= c.expiresAfter)) &&
      (c.expiresBefore === undefined || (row.notAfter > 0 && row.notAfter < c.expiresBefore)) &&
      (c.serialFrom === undefined || text >= hex(c.serialFrom)) &&
      (c.serialTo === undefined || text <= hex(c.serialTo))
    )
  }
})
