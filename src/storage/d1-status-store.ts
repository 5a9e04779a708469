/** Statuses, issuers and wrapped keys from D1's primary. */
import type { KeyStore, StatusStore } from '../ports/ports.ts'
import type { CertificateRow, IssuerRecord, Sequence } from '../ports/records.ts'
import { type Database, numberIn, octetsIn, query, type StoreOptions, transact } from './database.ts'
import { encodeHex } from './hex.ts'
import {
  CERTIFICATE_COLUMNS,
  corrupt,
  decodeCertificateRow,
  decodeIssuerRow,
  decodeResponderRow,
  ISSUER_COLUMNS,
  RESPONDER_COLUMNS,
} from './record-codec.ts'

/** One statement, hence one snapshot: the head can never be newer than the rows. ?2 = [[hash, "serial hex"], ...] */
const READ_STATUSES = `
  SELECT i.seq, c.issuer IS NOT NULL AS found, ${CERTIFICATE_COLUMNS}
  FROM issuers i CROSS JOIN json_each(?2) j
  LEFT JOIN certificates c ON c.issuer = i.id AND c.hash = j.value->>0 AND c.serial = unhex(j.value->>1)
  WHERE i.id = ?1 ORDER BY j.key`

const READ_ISSUER = `SELECT ${ISSUER_COLUMNS} FROM issuers WHERE id = ?1`
const READ_RESPONDERS = `SELECT ${RESPONDER_COLUMNS} FROM responders WHERE issuer = ?1 ORDER BY id`
const READ_KEY =
  'SELECT hex(wrapped_key) AS wrapped_key FROM responders WHERE id = ?1 AND wrapped_key IS NOT NULL'

export class D1StatusStore implements StatusStore, KeyStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async readStatuses(
    issuer: number,
    serials: readonly { hash: number; serial: Uint8Array }[],
  ): Promise<{ asOf: Sequence; rows: readonly (CertificateRow | undefined)[] }> {
    const keys = JSON.stringify(serials.map(({ hash, serial }) => [hash, encodeHex(serial)]))
    const found = await query(this.#db, this.#db.prepare(READ_STATUSES).bind(issuer, keys), this.#timeoutMs)
    const [first] = found
    // A page in KV named this issuer, so its row must be there: "none recorded" would be an answer (law 4).
    if (first === undefined || found.length !== serials.length) throw corrupt(`issuer ${issuer}`)
    return {
      asOf: numberIn(first, 'seq'),
      rows: found.map((row) => (row['found'] === 1 ? decodeCertificateRow(row) : undefined)),
    }
  }

  async readIssuer(id: number): Promise<IssuerRecord | undefined> {
    const [issuers, responders] = await transact(
      this.#db,
      [this.#db.prepare(READ_ISSUER).bind(id), this.#db.prepare(READ_RESPONDERS).bind(id)],
      this.#timeoutMs,
    )
    const row = issuers?.results[0]
    return row === undefined
      ? undefined
      : decodeIssuerRow(row, (responders?.results ?? []).map(decodeResponderRow))
  }

  async readWrappedKey(responder: number): Promise<Uint8Array | undefined> {
    const [row] = await query(this.#db, this.#db.prepare(READ_KEY).bind(responder), this.#timeoutMs)
    return row === undefined ? undefined : octetsIn(row, 'wrapped_key')
  }
}
