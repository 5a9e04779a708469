/**
 * Deletes certificates that are past notAfter and the issuer's retention, when nobody writes new ones over them
 * (certificate-recycling.ts). There is no index on notAfter (it would cost a written row a certificate), so each call walks a
 * bounded stretch of the table, issuer by issuer, once, and remembers where it was.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { type Database, numberIn, optionalNumberIn, query, textIn, transact } from './database.ts'
import { parseJSON } from './record-codec.ts'
import { AUDIT_PRUNED, IS_PAST, termsAt } from './retention.ts'

/**
 * Rows walked for each row that may be deleted. D1 bills each of them every minute: 10,000 of 100 million certificates are walked
 * through in a week, and a week is no harm to what nobody answers for any more.
 */
const WALK_FACTOR = 2
const ISSUERS_A_CALL = 20
/** Fewer than one in so many are not worth looking for: `spare` is 0. */
export const SPARE_ONE_IN = 200

const NEXT_ISSUERS = `SELECT id, prune_from FROM issuers ORDER BY pruned_at, id LIMIT ${ISSUERS_A_CALL}`
/** Not materialized: SQLite would no longer see that one issuer's rows come in the order of their hashes. */
const TERMS = `(${termsAt('?3')}) t`
/** Nobody has written over it in all that time. */
const IS_LEFT = 'c.not_after < t.gone - t.kept'
/** One read of each row. ?2 = from which hash, ?4 = how many rows. */
const STRETCH = `
  SELECT count(*) AS walked, max(hash) AS last, coalesce(sum(is_past), 0) AS past,
    json_group_array(json_array(hash, hex(serial))) FILTER (WHERE is_past AND is_left) AS expired
  FROM (
    SELECT c.hash, c.serial, ${IS_PAST} AS is_past, ${IS_LEFT} AS is_left FROM ${TERMS} CROSS JOIN certificates c
    WHERE c.issuer = t.id AND c.hash >= ?2 ORDER BY c.hash LIMIT ?4)`
/** What was found past its retention and is so still. ?2 = [[hash, "serial hex"], ...] */
const DELETE = `
  DELETE FROM certificates WHERE (issuer, hash, serial) IN (
    SELECT c.issuer, c.hash, c.serial FROM json_each(?2) j CROSS JOIN ${TERMS} CROSS JOIN certificates c
    WHERE c.issuer = t.id AND c.hash = j.value->>0 AND c.serial = unhex(j.value->>1) AND ${IS_PAST})
  RETURNING hash`
const MOVE_ON = 'UPDATE issuers SET prune_from = ?2, pruned_at = ?3, spare = ?4 WHERE id = ?1'

const HASHES = 2 ** 32

export async function pruneCertificates(
  db: Database,
  now: UnixSeconds,
  limit: number,
  timeoutMs?: number,
): Promise<number> {
  let left = limit
  let walk = limit * WALK_FACTOR
  let pruned = 0
  for (const issuer of await query(db, db.prepare(NEXT_ISSUERS), timeoutMs)) {
    if (left <= 0 || walk <= 0) break
    const id = numberIn(issuer, 'id')
    const from = numberIn(issuer, 'prune_from')
    const [stretch] = await query(db, db.prepare(STRETCH).bind(id, from, now, walk), timeoutMs)
    if (stretch === undefined) break
    const walked = numberIn(stretch, 'walked')
    const expired = parseJSON(textIn(stretch, 'expired'))
    const keys = Array.isArray(expired) ? expired.slice(0, left) : []
    // A stretch of one hash value still moves on.
    const end = walked < walk ? 0 : Math.max(optionalNumberIn(stretch, 'last') ?? 0, from + 1) % HASHES
    walk -= walked
    const count = keys.length === 0 ? 0 : await remove(db, id, keys, now, timeoutMs)
    const next = keys.length === left ? from : end
    const spare = numberIn(stretch, 'past') - keys.length
    const isSpare = spare > 0 && spare * SPARE_ONE_IN >= walked
    await transact(db, [db.prepare(MOVE_ON).bind(id, next, now, isSpare ? 1 : 0)], timeoutMs)
    pruned += count
    left -= count
  }
  return pruned
}

async function remove(
  db: Database,
  issuer: number,
  keys: readonly unknown[],
  now: UnixSeconds,
  timeoutMs: number | undefined,
): Promise<number> {
  const statements = [
    db.prepare(DELETE).bind(issuer, JSON.stringify(keys), now),
    db.prepare(AUDIT_PRUNED).bind(issuer, now * 1000),
  ]
  const [deleted] = await transact(db, statements, timeoutMs)
  return deleted?.results.length ?? 0
}
