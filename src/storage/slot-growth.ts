/**
 * Doubling of slots. All slots of the new era are made at once, due; changes mark the slots of both eras; `k` is switched when
 * every new slot was built past the start of the growth (attack 9). k never falls.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { MAX_K } from '../bundle/slot.ts'
import { type Database, numberIn, query, transact } from './database.ts'
import { holds, SPLIT_BYTES, SPLIT_MIN_ENTRIES, TARGET_ENTRIES } from './slot-rules.ts'

/** Digits that are here, or arriving: there are slots for no others. */
const HELD = '~away | arriving'
/** How many slots there are for these. */
const countHeld = (k: string) => `(
    SELECT count(DISTINCT value >> max(0, 4 - ${k})) << max(0, ${k} - 4)
    FROM json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]') WHERE ((${HELD}) >> value) & 1)`

/** Of a certificate in a bundle beside its responses: serial number, status, place in the index, checksum. */
const ENTRY_BYTES = 40
/** 2^24 rows in one statement are the worst case. */
const TIMEOUT_MS = 30_000

/**
 * What a response takes in a bundle is told before there is one: a signature and its length are at most as long as the key, and
 * those of Ed25519 66 octets.
 */
const RESPONSE_BYTES = `max(66, coalesce((
    SELECT max(length(r.spki)) FROM responders r WHERE r.issuer = i.id AND r.retired = 0), 0))`
const FULL = `
  SELECT i.id, i.k, sum(s.entries + s.added) AS total,
    coalesce(json_array_length(i.policy, '$.hashes'), 1) * ${RESPONSE_BYTES} AS bytes
  FROM slots s JOIN issuers i ON i.id = s.issuer AND i.k = s.k
  WHERE i.k_next IS NULL AND i.enabled = 1 AND i.frozen = 0 AND i.k < ${MAX_K}
  GROUP BY i.id
  HAVING max(s.entries + s.added) > ?1 OR max(iif(s.entries > ${SPLIT_MIN_ENTRIES}, s.bytes, 0)) > ${SPLIT_BYTES}`

/** To the millisecond: a root that was read within the same second before must not pass for one that knows of it. */
const NEXT_SEQ = "max(seq + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000)"
const START = `
  UPDATE issuers SET seq = ${NEXT_SEQ}, growth_seq = ${NEXT_SEQ}, k_next = ?3
  WHERE id = ?1 AND k = ?2 AND k_next IS NULL
  RETURNING id`
const MAKE_SLOTS = `
  INSERT INTO slots (issuer, k, slot, changed_seq)
  WITH RECURSIVE n (slot) AS (SELECT 0 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < (1 << ?2))
  SELECT i.id, i.k_next, n.slot, i.growth_seq FROM issuers i CROSS JOIN n
  WHERE i.id = ?1 AND i.k_next = ?2 AND NOT EXISTS (SELECT 1 FROM slots WHERE issuer = ?1 AND k = ?2)
    AND ${holds(HELD, '?2', 'n.slot')} <> 0`
const AUDIT_START = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?3, 'issuer.growth', id, seq, json_object('k', k, 'kNext', k_next) FROM issuers
  WHERE id = ?1 AND k_next = ?2 AND growth_seq = seq`

const GROWING = 'SELECT id FROM issuers WHERE k_next IS NOT NULL'
/**
 * Every slot of the new era was built since the doubling began: nothing less will do. What has changed since then is named by the
 * overlay, as in any era; to wait until no slot is behind would be to wait for ever under steady changes.
 */
const SWITCH = `
  UPDATE issuers SET
    seq = ${NEXT_SEQ}, k = k_next, k_next = NULL
  WHERE id = ?1 AND k_next IS NOT NULL AND ${countHeld('k_next')} = (
    SELECT count(*) FROM slots s
    WHERE s.issuer = issuers.id AND s.k = issuers.k_next
      AND s.built_seq >= issuers.growth_seq AND ${holds(HELD, 's.k', 's.slot')} <> 0)
  RETURNING id`
const DROP_OLD_ERA = `
  DELETE FROM slots WHERE issuer = ?1
    AND k <> (SELECT k FROM issuers WHERE id = ?1) AND (SELECT k_next FROM issuers WHERE id = ?1) IS NULL`

/** @returns issuers whose doubling starts now */
export async function startGrowth(
  db: Database,
  now: UnixSeconds,
  maxEntries: number,
): Promise<readonly number[]> {
  const full = await query(db, db.prepare(FULL).bind(maxEntries), TIMEOUT_MS)
  const growing: number[] = []
  for (const row of full) {
    const id = numberIn(row, 'id')
    const k = numberIn(row, 'k')
    const kNext = nextK(k, numberIn(row, 'total'), numberIn(row, 'bytes') + ENTRY_BYTES)
    const statements = [
      db.prepare(START).bind(id, k, kNext),
      db.prepare(AUDIT_START).bind(id, kNext, now * 1000),
      db.prepare(MAKE_SLOTS).bind(id, kNext),
    ]
    const [started] = await transact(db, statements, TIMEOUT_MS)
    if (started?.results.length === 1) growing.push(id)
  }
  return growing
}

/** @returns issuers that answer from the new era from the next root on */
export async function finishGrowth(db: Database): Promise<readonly number[]> {
  const growing = await query(db, db.prepare(GROWING), TIMEOUT_MS)
  const switched: number[] = []
  for (const row of growing) {
    const id = numberIn(row, 'id')
    const statements = [db.prepare(SWITCH).bind(id), db.prepare(DROP_OLD_ERA).bind(id)]
    const [done] = await transact(db, statements, TIMEOUT_MS)
    if (done?.results.length === 1) switched.push(id)
  }
  return switched
}

/**
 * Smallest k above the present one that brings the average to TARGET_ENTRIES or less, and what a slot takes below what it would be split
 * for: otherwise everything that is signed for large keys would be signed twice.
 * @param entryBytes of a certificate in a bundle, at most
 */
export function nextK(k: number, total: number, entryBytes = 0): number {
  const isTooMuch = (entries: number) =>
    entries > TARGET_ENTRIES || (entries > SPLIT_MIN_ENTRIES && entries * entryBytes > SPLIT_BYTES)
  let next = k + 1
  while (next < MAX_K && isTooMuch(total / 2 ** next)) next += 1
  return next
}
