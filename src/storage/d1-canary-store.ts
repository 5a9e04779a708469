/** Canaries in D1's primary. */
import { serialHash } from '../bundle/slot.ts'
import type { Canary, CanaryStore } from '../ports/canary-store.ts'
import type { Sequence } from '../ports/records.ts'
import {
  type Database,
  numberIn,
  octetsIn,
  query,
  type Row,
  type StoreOptions,
  transact,
} from './database.ts'
import { encodeHex } from './hex.ts'
import { corrupt } from './record-codec.ts'

const COLUMNS =
  'issuer, hex(serial) AS serial, enabled, changed_ms, seq, seen_ms, rounds, late, last_lag_ms, worst_lag_ms'
const LIST = `
  SELECT ${COLUMNS}, (SELECT away | leaving FROM issuers i WHERE i.id = issuer) AS gone FROM canaries ORDER BY issuer`
const SET = `
  INSERT INTO canaries (issuer, serial, enabled) VALUES (?1, unhex(?2), ?3)
  ON CONFLICT (issuer) DO UPDATE SET enabled = excluded.enabled RETURNING ${COLUMNS}`
const NOTE_CHANGE = `
  UPDATE canaries SET changed_ms = ?3, seq = ?2, seen_ms = 0, is_late = 0
  WHERE issuer = ?1 AND (seq = 0 OR seen_ms > 0 OR ?4) AND seq < ?2 RETURNING issuer`
/** A clock that runs behind the one that made the change measured nothing less than no time. */
const NOTE_SEEN = `
  UPDATE canaries SET seen_ms = ?3, rounds = rounds + 1, last_lag_ms = max(0, ?3 - changed_ms),
    worst_lag_ms = max(worst_lag_ms, ?3 - changed_ms)
  WHERE issuer = ?1 AND seq = ?2 AND seen_ms = 0`
const NOTE_LATE =
  'UPDATE canaries SET late = late + 1, is_late = 1 WHERE issuer = ?1 AND seq = ?2 AND seen_ms = 0 AND is_late = 0'

export class D1CanaryStore implements CanaryStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async listCanaries(): Promise<readonly Canary[]> {
    const rows = await query(this.#db, this.#db.prepare(LIST), this.#timeoutMs)
    // One whose certificate has moved to another database measures nothing here.
    return rows.flatMap((row) => {
      const canary = decode(row)
      return (numberIn(row, 'gone') >> (serialHash(canary.serial) >>> 28)) & 1 ? [] : [canary]
    })
  }

  async setCanary(issuer: number, serial: Uint8Array, enabled: boolean): Promise<Canary> {
    const statement = this.#db.prepare(SET).bind(issuer, encodeHex(serial), enabled ? 1 : 0)
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    if (row === undefined) throw corrupt(`canary of issuer ${issuer}`)
    return decode(row)
  }

  async noteChange(issuer: number, seq: Sequence, nowMs: number, supersede = false): Promise<boolean> {
    const statement = this.#db.prepare(NOTE_CHANGE).bind(issuer, seq, nowMs, supersede ? 1 : 0)
    return (await query(this.#db, statement, this.#timeoutMs)).length === 1
  }

  async noteSeen(issuer: number, seq: Sequence, nowMs: number): Promise<void> {
    await transact(this.#db, [this.#db.prepare(NOTE_SEEN).bind(issuer, seq, nowMs)], this.#timeoutMs)
  }

  async noteLate(issuer: number, seq: Sequence): Promise<void> {
    await transact(this.#db, [this.#db.prepare(NOTE_LATE).bind(issuer, seq)], this.#timeoutMs)
  }
}

function decode(row: Row): Canary {
  return {
    issuer: numberIn(row, 'issuer'),
    serial: octetsIn(row, 'serial'),
    enabled: numberIn(row, 'enabled') === 1,
    changedMs: numberIn(row, 'changed_ms'),
    seq: numberIn(row, 'seq'),
    seenMs: numberIn(row, 'seen_ms'),
    rounds: numberIn(row, 'rounds'),
    late: numberIn(row, 'late'),
    lastLagMs: numberIn(row, 'last_lag_ms'),
    worstLagMs: numberIn(row, 'worst_lag_ms'),
  }
}
