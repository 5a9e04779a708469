/**
 * Deletes certificates that are past notAfter and the issuer's retention. There is no index on notAfter (it would cost a
 * written row a certificate), so each call walks a bounded stretch of the table, issuer by issuer, once, and remembers where it was.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { type Database, numberIn, optionalNumberIn, query, textIn, transact } from './database.ts'
import { parseJSON } from './record-codec.ts'

/**
 * Rows walked for each row that may be deleted. D1 bills each of them every minute: 10,000 of 100 million certificates are walked
 * through in a week, and a week is no harm to what nobody answers for any more.
 */
const WALK_FACTOR = 2
const ISSUERS_A_CALL = 20

const NEXT_ISSUERS = `SELECT id, prune_from FROM issuers ORDER BY pruned_at, id LIMIT ${ISSUERS_A_CALL}`
/**
 * min(): a Worker whose clock runs ahead must not trip the trigger. Under the policy `good` an absent row is answered good, so
 * a revoked one stays for ever (law 2). Of a final issuer every row stays: it stands behind responses without an end.
 */
const EXPIRED = `
  i.final_at = 0 AND c.not_after > 0 AND c.not_after + json_extract(i.policy, '$.retainSeconds') < min(?3, unixepoch())
  AND (c.status IN (0, 3) OR json_extract(i.policy, '$.unknown') <> 'good')`
/** One read of each row. ?2 = from which hash, ?4 = how many rows. */
const STRETCH = `
  SELECT count(*) AS walked, max(hash) AS last,
    json_group_array(json_array(hash, hex(serial))) FILTER (WHERE expired) AS expired
  FROM (
    SELECT c.hash, c.serial, ${EXPIRED} AS expired FROM issuers i CROSS JOIN certificates c
    WHERE i.id = ?1 AND c.issuer = i.id AND c.hash >= ?2 ORDER BY c.hash LIMIT ?4)`
/** What was found expired and is so still. ?2 = [[hash, "serial hex"], ...] */
const DELETE = `
  DELETE FROM certificates WHERE (issuer, hash, serial) IN (
    SELECT c.issuer, c.hash, c.serial FROM json_each(?2) j CROSS JOIN issuers i CROSS JOIN certificates c
    WHERE i.id = ?1 AND c.issuer = i.id AND c.hash = j.value->>0 AND c.serial = unhex(j.value->>1) AND ${EXPIRED})
  RETURNING hash`
const MOVE_ON = 'UPDATE issuers SET prune_from = ?2, pruned_at = ?3 WHERE id = ?1'
/** In the transaction of DELETE, right after it: whoever does not hear how many there were has not to tell. */
const AUDIT = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, 'certificates.pruned', id, seq, json_object('count', changes()) FROM issuers WHERE id = ?1 AND changes() > 0`

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
    await transact(db, [db.prepare(MOVE_ON).bind(id, next, now)], timeoutMs)
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
    db.prepare(AUDIT).bind(issuer, now * 1000),
  ]
  const [deleted] = await transact(db, statements, timeoutMs)
  return deleted?.results.length ?? 0
}
