/** The overlay's source and the publisher's lease, in D1's primary. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OverlayStore } from '../ports/ports.ts'
import type { OverlaySnapshot, Sequence } from '../ports/records.ts'
import { namedPage, overlayIssuer, RECENT, STANDING } from './d1-directory-store.ts'
import { type Database, numberIn, query, type StoreOptions, transact } from './database.ts'
import { corrupt } from './record-codec.ts'
import { decodeSegment, decodeTail, READ_FLOORS, READ_LASTING, READ_TAIL, READ_TAILS } from './segment-sql.ts'

const READ_RECENT = `SELECT ${STANDING} FROM ${RECENT} ORDER BY id`
const READ_ALL = `SELECT ${STANDING} FROM issuers ORDER BY id`
const READ_PAGES = 'SELECT algorithm, octet, version FROM directory_pages'
/** Where every issuer is named by itself. */
const NO_PAGES = `${READ_PAGES} WHERE false`
const READ_POSITION = 'SELECT position FROM publisher WHERE id = 1'

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

/** ?1: JSON of ids, or 'all'. */
const MEANT = "(?1 = 'all' OR id IN (SELECT value FROM json_each(iif(?1 = 'all', '[]', ?1))))"
const AUDIT_FREEZE = `
  INSERT INTO audit (at_ms, action, issuer, seq)
  SELECT ?2, 'issuer.frozen', id, seq FROM issuers WHERE frozen = 0 AND ${MEANT}`
/** From now on the roots name them, until they are thawed and were paged once more. */
const FREEZE = `UPDATE issuers SET frozen = 1, paged_seq = 0 WHERE frozen = 0 AND ${MEANT}`
const RESTORE_SEEN = 'UPDATE publisher SET restored = 0 WHERE restored = 1'

/**
 * An issuer's changes are kept for the longer the later they came, so the first to go has the lowest seq: two rows read an issuer
 * with changes, whatever their number. min(): a Worker whose clock runs ahead must not trip the trigger that guards keep_until.
 */
const PRUNABLE = `
  SELECT i.id FROM issuers i
  WHERE (SELECT c.keep_until FROM changes c WHERE c.issuer = i.id ORDER BY c.seq LIMIT 1) < min(?1, unixepoch()) LIMIT ?2`
const PRUNE = `
  DELETE FROM changes WHERE issuer = ?1 AND keep_until < min(?2, unixepoch()) AND (issuer, hash, serial) IN (
    SELECT issuer, hash, serial FROM changes WHERE issuer = ?1 ORDER BY seq LIMIT ?3)`
/** Rows of one transaction, and transactions of one call. */
const PRUNE_ROWS = 5_000
const PRUNE_STEPS = 6

export class D1OverlayStore implements OverlayStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async readOverlay(options?: { readonly all: boolean }): Promise<OverlaySnapshot> {
    const named = options?.all === true ? [READ_ALL, NO_PAGES] : [READ_RECENT, READ_PAGES]
    const tail = [READ_TAILS, READ_TAIL, READ_LASTING, READ_FLOORS]
    const statements = [READ_POSITION, ...named, ...tail].map((sql) => this.#db.prepare(sql))
    const results = await transact(this.#db, statements, this.#timeoutMs)
    const [publisher, issuers, pages, tails, items, segments, floors] = results
    const row = publisher?.results[0]
    if (row === undefined) throw corrupt('publisher')
    return {
      position: numberIn(row, 'position'),
      issuers: (issuers?.results ?? []).map(overlayIssuer),
      pages: (pages?.results ?? []).map(namedPage),
      segments: (segments?.results ?? []).map(decodeSegment),
      ...decodeTail(tails?.results ?? [], items?.results ?? [], floors?.results ?? []),
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

  async freeze(issuers: readonly number[] | 'all', nowMs: number): Promise<void> {
    const ids = issuers === 'all' ? issuers : JSON.stringify(issuers)
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
    let pruned = 0
    const prunable = this.#db.prepare(PRUNABLE).bind(now, PRUNE_STEPS)
    let steps = PRUNE_STEPS
    for (const row of await query(this.#db, prunable, this.#timeoutMs)) {
      for (let count = PRUNE_ROWS; count === PRUNE_ROWS && steps > 0; steps -= 1) {
        const prune = this.#db.prepare(PRUNE).bind(numberIn(row, 'id'), now, PRUNE_ROWS)
        const [result] = await transact(this.#db, [prune], this.#timeoutMs)
        count = result?.meta.changes ?? 0
        pruned += count
      }
    }
    return pruned
  }
}
