/** The record of a world: tells when certificates were written, and keeps what truly happened to each. */
import type { QueryResult, Row } from '../../src/storage/database.ts'
import { CERTIFICATE_COLUMNS, decodeCertificateRow } from '../../src/storage/record-codec.ts'
import type { VirtualClock } from './clock.ts'
import { SqliteD1, type SqliteStatement } from './sqlite-d1.ts'

/** A row as it stands after a write. */
export interface WrittenRow {
  readonly issuer: number
  readonly row: ReturnType<typeof decodeCertificateRow>
}

export class WatchedRecord extends SqliteD1 {
  readonly #at: { clock: VirtualClock }
  onWrite: (() => void) | undefined

  constructor(clock: VirtualClock) {
    const at = { clock }
    super({ now: () => at.clock.nowMs() / 1000 })
    this.#at = at
  }

  /** From now on it lives in another world's time. */
  moveTo(clock: VirtualClock): void {
    this.#at.clock = clock
  }

  override async call(statements: readonly SqliteStatement[]): Promise<QueryResult[]> {
    try {
      return await super.call(statements)
    } finally {
      if (statements.some(({ sql }) => WRITES.test(sql))) this.onWrite?.()
    }
  }

  /** What is never taken back, of every issuer: seconds, 0 = not. */
  ends(): { issuer: number; compromisedAt: number; finalAt: number }[] {
    return this.rows('SELECT id, compromised_at, final_at FROM issuers').map((row) => ({
      issuer: Number(row['id']),
      compromisedAt: Number(row['compromised_at']),
      finalAt: Number(row['final_at']),
    }))
  }

  /** Keys of responders that are retired, in hexadecimal. */
  retired(): { issuer: number; key: string }[] {
    return this.rows('SELECT issuer, lower(hex(key_hash)) AS key FROM responders WHERE retired = 1').map(
      ({ issuer, key }) => ({ issuer: Number(issuer), key: String(key) }),
    )
  }

  /** Every certificate. */
  certificates(): WrittenRow[] {
    const rows: Row[] = this.rows(`SELECT c.issuer, ${CERTIFICATE_COLUMNS} FROM certificates c`)
    return rows.map((row) => ({ issuer: Number(row['issuer']), row: decodeCertificateRow(row) }))
  }
}

const WRITES =
  /(INSERT|UPDATE|DELETE FROM)( OR \w+)?( INTO)?\s+certificates\b|UPDATE responders|(compromised|final)_at = /
