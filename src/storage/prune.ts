/**
 * Deletes certificates that are past notAfter and the issuer's retention. There is no index on notAfter (it would cost a
 * written row a certificate), so each call walks a bounded stretch of the table, issuer by issuer, and remembers where it was.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { type Database, numberIn, optionalNumberIn, query, transact } from './database.ts'

/** Rows walked for each row that may be deleted. */
const WALK_FACTOR = 10
const ISSUERS_A_CALL = 20

const NEXT_ISSUERS = `SELECT id, prune_from FROM issuers ORDER BY pruned_at, id LIMIT ${ISSUERS_A_CALL}`
/** End of the stretch, exclusive; NULL = to the end of the issuer. */
const STRETCH_END = `
  SELECT (SELECT hash FROM certificates WHERE issuer = ?1 AND hash >= ?2 ORDER BY hash LIMIT 1 OFFSET ?3) AS stop,
    (SELECT count(*) FROM (SELECT 1 FROM certificates WHERE issuer = ?1 AND hash >= ?2 LIMIT ?3)) AS walked`

/**
 * min(): a Worker whose clock runs ahead must not trip the trigger. Under the policy `good` an absent row is answered good, so
 * a revoked one stays for ever (law 2). Of a final issuer every row stays: it stands behind responses without an end.
 */
const EXPIRED = `
  i.final_at = 0 AND c.not_after > 0 AND c.not_after + json_extract(i.policy, '$.retainSeconds') < min(?4, unixepoch())
  AND (c.status IN (0, 3) OR json_extract(i.policy, '$.unknown') <> 'good')`
const DELETE = `
  DELETE FROM certificates WHERE issuer = ?1 AND hash >= ?2 AND hash < ?3 AND (issuer, hash, serial) IN (
    SELECT c.issuer, c.hash, c.serial FROM certificates c JOIN issuers i ON i.id = c.issuer
    WHERE c.issuer = ?1 AND c.hash >= ?2 AND c.hash < ?3 AND ${EXPIRED} LIMIT ?5)
  RETURNING hash`
const MOVE_ON = 'UPDATE issuers SET prune_from = ?2, pruned_at = ?3 WHERE id = ?1'
const AUDIT = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, 'certificates.pruned', id, seq, json_object('count', ?3) FROM issuers WHERE id = ?1`

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
    const [stretch] = await query(db, db.prepare(STRETCH_END).bind(id, from, walk), timeoutMs)
    if (stretch === undefined) break
    walk -= numberIn(stretch, 'walked')
    // A stretch of one hash value still moves on.
    const stop = optionalNumberIn(stretch, 'stop')
    const to = stop === undefined ? HASHES : Math.max(stop, from + 1)
    const [deleted] = await transact(db, [db.prepare(DELETE).bind(id, from, to, now, left)], timeoutMs)
    const count = deleted?.results.length ?? 0
    const next = count === left ? from : to === HASHES ? 0 : to
    const statements = [db.prepare(MOVE_ON).bind(id, next, now)]
    if (count > 0) statements.push(db.prepare(AUDIT).bind(id, now * 1000, count))
    await transact(db, statements, timeoutMs)
    pruned += count
    left -= count
  }
  return pruned
}
