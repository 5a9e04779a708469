/** The overlay's source and the publisher's lease, in D1's primary. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OverlayStore } from '../ports/ports.ts'
import type { OverlaySnapshot, Sequence } from '../ports/records.ts'
import { type Database, numberIn, octetsIn, query, type StoreOptions, textIn, transact } from './database.ts'
import { corrupt, decodeHashes, parseJSON } from './record-codec.ts'

const READ_ISSUERS = 'SELECT id, seq, floor, k, config_rev, enabled, frozen, hashes FROM issuers ORDER BY id'
const READ_POSITION = 'SELECT position FROM publisher WHERE id = 1'
const READ_ITEMS = 'SELECT issuer, hex(serial) AS serial, seq FROM changes ORDER BY issuer, seq, hash, serial'

/**
 * put_at is set as the lease is taken, before the put: a holder that dies after its put still holds the next one back. The
 * version is reserved here too, so no version is ever used twice; SET sees the values before, so `restored` compares with
 * the highest version reserved until now.
 */
const LEASE = `
  UPDATE publisher SET lease = ?1, lease_until = ?2 + ?3, version = max(version + 1, ?2), put_at = max(put_at, ?2),
    restored = max(restored, ?5 > version)
  WHERE id = 1 AND (lease IS NULL OR lease = ?1 OR lease_until <= ?2) AND put_at <= ?2 - ?4
  RETURNING version, restored`

/** A head above seq can only come from before a restore: published stays at or below what this database knows. */
const ADVANCE = `
  UPDATE issuers SET published = min(seq, h.head)
  FROM (SELECT value->>0 AS id, value->>1 AS head FROM json_each(?3)) h
  WHERE issuers.id = h.id AND published < min(seq, h.head)
    AND EXISTS (SELECT 1 FROM publisher WHERE id = 1 AND lease = ?1 AND version = ?2)`
const RECORD = `
  UPDATE publisher SET lease = NULL, lease_until = 0, published_version = ?2, published_at = ?3, put_at = max(put_at, ?3)
  WHERE id = 1 AND lease = ?1 AND version = ?2
  RETURNING version`

const READ_PUBLISHED = 'SELECT published FROM issuers WHERE id = ?1'

const AUDIT_FREEZE = `
  INSERT INTO audit (at_ms, action, issuer, seq)
  SELECT ?2, 'issuer.frozen', id, seq FROM issuers WHERE frozen = 0 AND id IN (SELECT value FROM json_each(?1))`
const FREEZE = 'UPDATE issuers SET frozen = 1 WHERE frozen = 0 AND id IN (SELECT value FROM json_each(?1))'
const RESTORE_SEEN = 'UPDATE publisher SET restored = 0 WHERE restored = 1'

/** min(): a Worker whose clock runs ahead must not trip the trigger that guards keep_until. */
const PRUNE = 'DELETE FROM changes WHERE keep_until < min(?1, unixepoch())'

export class D1OverlayStore implements OverlayStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async readOverlay(): Promise<OverlaySnapshot> {
    const statements = [READ_POSITION, READ_ISSUERS, READ_ITEMS].map((sql) => this.#db.prepare(sql))
    const [publisher, issuers, items] = await transact(this.#db, statements, this.#timeoutMs)
    const row = publisher?.results[0]
    if (row === undefined) throw corrupt('publisher')
    return {
      position: numberIn(row, 'position'),
      issuers: (issuers?.results ?? []).map((row) => ({
        id: numberIn(row, 'id'),
        head: numberIn(row, 'seq'),
        floor: numberIn(row, 'floor'),
        k: numberIn(row, 'k'),
        configRev: numberIn(row, 'config_rev'),
        enabled: numberIn(row, 'enabled') === 1,
        frozen: numberIn(row, 'frozen') === 1,
        hashes: decodeHashes(parseJSON(textIn(row, 'hashes'))),
      })),
      pages: [],
      segments: [],
      floors: [],
      items: (items?.results ?? []).map((row) => ({
        issuer: numberIn(row, 'issuer'),
        serial: octetsIn(row, 'serial'),
        seq: numberIn(row, 'seq'),
      })),
    }
  }

  async leasePublisher(
    holder: string,
    nowMs: number,
    leaseMs: number,
    minGapMs: number,
    seenVersion: number,
  ): Promise<{ version: number; restored: boolean } | undefined> {
    const statement = this.#db.prepare(LEASE).bind(holder, nowMs, leaseMs, minGapMs, seenVersion)
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined
      ? undefined
      : { version: numberIn(row, 'version'), restored: numberIn(row, 'restored') === 1 }
  }

  async recordPublished(
    holder: string,
    version: number,
    publishedAtMs: number,
    heads: readonly { issuer: number; head: Sequence }[],
  ): Promise<boolean> {
    const pairs = JSON.stringify(heads.map(({ issuer, head }) => [issuer, head]))
    const statements = [
      this.#db.prepare(ADVANCE).bind(holder, version, pairs),
      this.#db.prepare(RECORD).bind(holder, version, publishedAtMs),
    ]
    const [, recorded] = await transact(this.#db, statements, this.#timeoutMs)
    return recorded?.results.length === 1
  }

  async readPublished(issuer: number): Promise<Sequence> {
    const [row] = await query(this.#db, this.#db.prepare(READ_PUBLISHED).bind(issuer), this.#timeoutMs)
    if (row === undefined) throw corrupt(`issuer ${issuer}`)
    return numberIn(row, 'published')
  }

  async freeze(issuers: readonly number[], nowMs: number): Promise<void> {
    const ids = JSON.stringify(issuers)
    await transact(
      this.#db,
      [
        this.#db.prepare(AUDIT_FREEZE).bind(ids, nowMs),
        this.#db.prepare(FREEZE).bind(ids),
        this.#db.prepare(RESTORE_SEEN),
      ],
      this.#timeoutMs,
    )
  }

  async pruneOverlay(now: UnixSeconds): Promise<number> {
    const [result] = await transact(this.#db, [this.#db.prepare(PRUNE).bind(now)], this.#timeoutMs)
    return result?.meta.changes ?? 0
  }
}
