/** Bundles that KV has lost: which are missed, and that all of them are (D1 primary). */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { Sequence } from '../ports/records.ts'
import type { MissedSlot, RecoveryStore } from '../ports/recovery-store.ts'
import { type Database, numberIn, query, type StoreOptions, transact } from './database.ts'

/** KV carries a new value everywhere within a minute or so, and caches the absence of the one before. */
const SETTLED_SECONDS = 600
/** Of two slots missed more often than this, it does not matter which comes first. */
const MAX_MISSED = 1_000_000

const NOTE_MISSED = `
  UPDATE slots SET missed = min(missed + m.count, ${MAX_MISSED})
  FROM (SELECT value->>0 AS issuer, value->>1 AS k, value->>2 AS slot, value->>3 AS count FROM json_each(?1)) m
  WHERE slots.issuer = m.issuer AND slots.k = m.k AND slots.slot = m.slot
    AND built_seq > 0 AND built_at <= ?2 - ${SETTLED_SECONDS} AND next_update > ?2
  RETURNING slots.slot`
const COUNT_MISSED = `
  UPDATE counters SET value = value + (SELECT coalesce(sum(value->>3), 0) FROM json_each(?1)) WHERE name = 'bundles_missed'`

/** again = 2: owed now, as after a lost lease; the count of what was missed already says which come first. */
const MARK_LOST = `
  UPDATE slots SET again = 2
  WHERE built_seq > 0 AND (?1 IS NULL OR issuer = ?1) AND EXISTS (
    SELECT 1 FROM issuers i WHERE i.id = slots.issuer AND (slots.k = i.k OR slots.k = i.k_next))
  RETURNING slot`
/** In the transaction of MARK_LOST, right after it. */
const AUDIT_LOST = `
  INSERT INTO audit (at_ms, action, issuer, detail) SELECT ?2, 'bundles.lost', ?1, json_object('slots', changes())`

const RECONFIGURED =
  'SELECT id, config_rev FROM issuers WHERE config_rev > ?1 ORDER BY config_rev DESC LIMIT ?2'
const ISSUERS_AFTER = 'SELECT id FROM issuers WHERE id > ?1 ORDER BY id LIMIT ?2'

export class D1RecoveryStore implements RecoveryStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async noteMissed(slots: readonly MissedSlot[], now: UnixSeconds): Promise<number> {
    const named = JSON.stringify(slots.map(({ issuer, k, slot, count }) => [issuer, k, slot, count]))
    const statements = [
      this.#db.prepare(NOTE_MISSED).bind(named, now),
      this.#db.prepare(COUNT_MISSED).bind(named),
    ]
    const [noted] = await transact(this.#db, statements, this.#timeoutMs)
    return noted?.results.length ?? 0
  }

  async markLost(issuer: number | undefined, nowMs: number): Promise<number> {
    const statements = [
      this.#db.prepare(MARK_LOST).bind(issuer ?? null),
      this.#db.prepare(AUDIT_LOST).bind(issuer ?? null, nowMs),
    ]
    const [marked] = await transact(this.#db, statements, this.#timeoutMs)
    return marked?.results.length ?? 0
  }

  async issuersAfter(id: number, limit: number): Promise<readonly number[]> {
    const rows = await query(this.#db, this.#db.prepare(ISSUERS_AFTER).bind(id, limit), this.#timeoutMs)
    return rows.map((row) => numberIn(row, 'id'))
  }

  async reconfiguredSince(
    configRev: Sequence,
    limit: number,
  ): Promise<{ id: number; configRev: Sequence }[]> {
    const statement = this.#db.prepare(RECONFIGURED).bind(configRev, limit)
    const rows = await query(this.#db, statement, this.#timeoutMs)
    return rows.map((row) => ({ id: numberIn(row, 'id'), configRev: numberIn(row, 'config_rev') }))
  }
}
