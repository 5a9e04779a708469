/** SQL of issuers and responders, and of what happens to them. */
import type { IssuerStateError } from '../ports/admin-store.ts'
import { IDS_PER_DATABASE } from '../ports/part-store.ts'
import { ISSUER_COLUMNS, PART_COLUMNS, RESPONDER_COLUMNS } from './record-codec.ts'

/**
 * The floor of a new issuer is its first sequence: should a restored database hand out an id a second time, whatever the first
 * bearer left in KV is below it. ?10 id, or the next of this database: above ?11. ?12 away.
 */
export const ADD_ISSUER = `
  INSERT INTO issuers (name, ski, certificate, hashes, not_before, not_after, policy, enabled, config_rev, seq, floor,
    longest_validity, unknown_signed, id, away)
  VALUES (?1, ?2, unhex(?3), ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9, ?7->>'validitySeconds', ?7->>'unknown' <> 'unauthorized',
    coalesce(?10, (SELECT coalesce(max(id), ?11) + 1 FROM issuers WHERE id > ?11 AND id <= ?11 + ${IDS_PER_DATABASE})), ?12)`
export const ADD_FIRST_SLOT =
  'INSERT INTO slots (issuer, k, slot) SELECT id, 0, 0 FROM issuers WHERE ski = ?1'
export const AUDIT_ISSUER = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, ?3, id, seq, ?4 FROM issuers WHERE id = ?1 OR ski = ?1`

/**
 * Old values still stand: a longer validity stretches what is kept; other hashes make every bundle incomplete, a shorter
 * validity or another profile makes its windows wrong, and another cutoff its extensions. ?3 = policy.
 */
export const STRETCH_ITEMS = `
  UPDATE changes SET keep_until = max(keep_until, CAST(?2 / 1000 AS INTEGER) + (?3->>'validitySeconds') + 3600)
  WHERE issuer = ?1 AND (?3->>'validitySeconds') > (SELECT longest_validity FROM issuers WHERE id = ?1)`
export const MARK_FOR_POLICY = `
  UPDATE slots SET changed_seq = (SELECT max(seq + 1, ?2 * 1000) FROM issuers WHERE id = ?1)
  WHERE issuer = ?1 AND EXISTS (
    SELECT 1 FROM issuers
    WHERE id = ?1 AND (policy->>'hashes' <> ?3->>'hashes' OR policy->>'validitySeconds' > ?3->>'validitySeconds'
      OR policy->>'profile' <> ?3->>'profile'
      OR coalesce(policy->>'archiveCutoff', 'none') <> ?3->>'archiveCutoff'
      OR (?3->>'archiveCutoff' = 'retention' AND policy->>'retainSeconds' <> ?3->>'retainSeconds'))
  )`
export const UPDATE_ISSUER = `
  UPDATE issuers SET
    seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000),
    policy = coalesce(?3, policy), enabled = coalesce(?4, enabled), name = coalesce(?5, name),
    longest_validity = max(longest_validity, coalesce(?3->>'validitySeconds', 0)),
    unknown_signed = max(unknown_signed, coalesce(?3->>'unknown' <> 'unauthorized', 0))
  WHERE id = ?1`

export const RAISE_FLOOR = `
  UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), floor = max(seq + 1, ?2 * 1000), frozen = iif(?3, 0, frozen)
  WHERE id = ?1 RETURNING seq`
export const MARK_ALL_SLOTS =
  'UPDATE slots SET changed_seq = (SELECT seq FROM issuers WHERE id = ?1) WHERE issuer = ?1'

/** The last states of an issuer: marks and audit look at the row as it was, so that they happen when it changes. ?3 = when. */
const NEXT_SEQ = '(SELECT max(seq + 1, ?2 * 1000) FROM issuers WHERE id = ?1)'
const markFor = (condition: string) => `
  UPDATE slots SET changed_seq = ${NEXT_SEQ}
  WHERE issuer = ?1 AND EXISTS (SELECT 1 FROM issuers WHERE id = ?1 AND ${condition})`
const auditFor = (condition: string, action: string, detail: string) => `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, '${action}', id, ${NEXT_SEQ}, ${detail} FROM issuers WHERE id = ?1 AND ${condition}`

const EARLIER = '(compromised_at = 0 OR compromised_at > ?3)'
/** Serials that are not recorded are signed for from now on. */
export const COMPROMISE = [
  markFor(EARLIER),
  auditFor(EARLIER, 'issuer.compromised', "json_object('at', ?3, 'previously', nullif(compromised_at, 0))"),
  `UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000), floor = max(seq + 1, ?2 * 1000),
    unknown_signed = 1, compromised_at = ?3
  WHERE id = ?1 AND ${EARLIER}`,
] as const

/** D1 wants every value that is bound to be used. */
const NOT_FINAL = 'final_at = 0 AND ?3 > 0'
export const FINALIZE = [
  markFor(NOT_FINAL),
  auditFor(NOT_FINAL, 'issuer.finalized', "json_object('at', ?3)"),
  `UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000), final_at = ?3
  WHERE id = ?1 AND ${NOT_FINAL}`,
] as const

export const TOUCH_ISSUER = `
  UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000) WHERE id = ?1 RETURNING id`
export const ADD_RESPONDER = `
  INSERT INTO responders (issuer, name, certificate, key_hash, algorithm, custody, secret_name, wrapped_key, spki,
    not_before, not_after)
  SELECT id, ?2, unhex(?3), unhex(?4), ?5, ?6, ?7, unhex(?8), unhex(?9), ?10, ?11 FROM issuers WHERE id = ?1`
export const READ_RESPONDER = `SELECT ${RESPONDER_COLUMNS} FROM responders WHERE issuer = ?1 AND name = ?2`
export const RETIRE = 'UPDATE responders SET retired = 1 WHERE issuer = ?1 AND id = ?2 RETURNING id'

/** ?1 to ?2 ids, ?3 = how many. */
const STRETCH = 'FROM issuers WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3'
export const READ_ISSUERS = `SELECT ${ISSUER_COLUMNS}, ${PART_COLUMNS} ${STRETCH}`
export const READ_RESPONDERS = `SELECT ${RESPONDER_COLUMNS} FROM responders WHERE issuer IN (SELECT id ${STRETCH}) ORDER BY id`
export const FIND_ISSUER = `
  SELECT id FROM issuers WHERE name = ?1 OR ski = lower(?1) OR CAST(id AS TEXT) = ?1
  ORDER BY name = ?1 DESC, ski = lower(?1) DESC LIMIT 1`

/** What the triggers of the migrations say, and what it means. */
export const STATES: readonly (readonly [string, IssuerStateError['state'], string])[] = [
  ['the issuer is final', 'final', 'the responses of this issuer are final: its record stands still'],
  [
    'final while frozen',
    'frozen',
    'the issuer is frozen: what it signs now may be behind what was published',
  ],
  ['final under public-trust', 'publicTrust', 'final responses outlive what the profile public-trust allows'],
]
