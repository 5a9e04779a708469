/** SQL of moves between databases (ADR 0016). */
import { ADDED_LIMIT, holds } from './slot-rules.ts'

/** Rows of one transaction, and characters of their JSON. */
export const PAGE_ROWS = 1_000
export const PAGE_CHARACTERS = 90_000
/** Of one call: D1 takes and gives 2 MB at once, and a row with extensions may be 8 KB. */
/** More than a page: so many can only differ. */
export const STRETCH_ROWS = 1_100
const NOTES = 200
const PURGE_ROWS = 2_000

/** To the millisecond, as in slot-growth.ts. ?2 = now in ms where it is used. */
const next = (now: string) => `max(seq + 1, ${now} * 1000)`

const OPEN = 'issuer = ?1 AND ended_ms = 0'

// What stands where.

const list = (columns: string) => `(
  SELECT json_group_array(json_array(${columns})) FROM (SELECT * FROM responders WHERE issuer = ?1 ORDER BY name))`
const HEX_CERTIFICATE = 'iif(certificate IS NULL, NULL, hex(certificate))'
const RESPONDERS = list(`name, ${HEX_CERTIFICATE}, hex(key_hash), algorithm, custody, secret_name,
    iif(wrapped_key IS NULL, NULL, hex(wrapped_key)), hex(spki), not_before, not_after, retired`)
/** A key may have been wrapped twice. */
const SAME_RESPONDERS = list(`name, ${HEX_CERTIFICATE}, hex(key_hash), retired`)
export const READ_PLACE = `
  SELECT i.id, i.name, i.ski, i.seq, i.frozen, i.away, i.leaving, i.arriving, i.moving, i.fresh,
    json_array(i.name, i.policy, i.enabled, i.compromised_at, i.final_at > 0, json(${SAME_RESPONDERS})) AS config,
    json_array(hex(i.certificate), i.hashes, i.not_before, i.not_after, coalesce(i.k_next, i.k), i.longest_validity,
      i.unknown_signed, i.final_at, json(${RESPONDERS})) AS birth,
    EXISTS (SELECT 1 FROM moved WHERE issuer = ?1) AS noted
  FROM issuers i WHERE i.id = ?1`
const MOVE =
  'id, issuer, outgoing, peer, digits, phase, step, hash, hex(serial) AS serial, copied, verified, repaired, purged, ' +
  'busy_ms, started_ms, begun_ms, claimed_ms, settled_ms, ended_ms, problem'
export const READ_OPEN = `SELECT ${MOVE} FROM moves WHERE ${OPEN}`
export const LIST_MOVES = `SELECT ${MOVE} FROM moves WHERE issuer = ?1 ORDER BY started_ms DESC LIMIT ?2`
/** A slot of several digits counts for each of them in equal parts. */
export const COUNT_ROWS = `
  WITH RECURSIVE d (digit) AS (SELECT 0 UNION ALL SELECT digit + 1 FROM d WHERE digit < 15)
  SELECT d.digit, coalesce(sum(s.entries + s.added) / (1 << max(0, 4 - i.k)), 0) AS count
  FROM d CROSS JOIN issuers i LEFT JOIN slots s ON s.issuer = i.id AND s.k = i.k
    AND s.slot >= (d.digit << i.k) >> 4 AND s.slot <= (((d.digit + 1) << i.k) - 1) >> 4
  WHERE i.id = ?1 GROUP BY d.digit ORDER BY d.digit`
/** Slots that hold what has arrived and have it not in a bundle yet, or not most of it; whoever builds them now has not built them. */
export const COUNT_UNBUILT = `
  SELECT count(*) AS count FROM moves m CROSS JOIN issuers i CROSS JOIN slots s
  WHERE m.issuer = ?1 AND m.ended_ms = 0 AND i.id = m.issuer AND i.enabled = 1 AND s.issuer = i.id AND s.k = i.k
    AND EXISTS (SELECT 1 FROM responders r WHERE r.issuer = i.id AND r.retired = 0)
    AND ${holds('m.digits', 's.k', 's.slot')} <> 0
    AND (s.changed_seq > s.built_seq OR (s.added > 0 AND (s.built_seq = 0 OR s.added >= ${ADDED_LIMIT})))`

// Rows.

const ROW = `json_array(c.hash, hex(c.serial), c.status, c.revoked_at, c.reason, c.not_before, c.not_after, c.changed_at, c.reserved,
    c.is_ca, iif(c.extensions IS NULL, NULL, hex(c.extensions)))`
const WITHIN =
  'c.issuer = ?1 AND (c.hash, c.serial) > (?2, unhex(?3)) AND (c.hash, c.serial) <= (?4, unhex(?5))'
export const READ_ROWS = `
  SELECT row, found FROM (
    SELECT row, row_number() OVER w AS n, sum(length(row)) OVER w AS total, count(*) OVER () AS found
    FROM (SELECT c.hash, c.serial, ${ROW} AS row FROM certificates c WHERE ${WITHIN} ORDER BY c.hash, c.serial LIMIT ${PAGE_ROWS})
    WINDOW w AS (ORDER BY hash, serial ROWS UNBOUNDED PRECEDING))
  WHERE n = 1 OR total <= ${PAGE_CHARACTERS}`
export const READ_STRETCH = `
  SELECT ${ROW} AS row FROM certificates c WHERE ${WITHIN} ORDER BY c.hash, c.serial LIMIT ${STRETCH_ROWS}`
const keyed = (keys: string) => `
  SELECT iif(c.serial IS NULL, json_array(k.hash, hex(k.serial)), ${ROW}) AS row FROM (${keys}) k
  LEFT JOIN certificates c ON c.issuer = ?1 AND c.hash = k.hash AND c.serial = k.serial ORDER BY k.hash, k.serial`
export const READ_KEYS = keyed('SELECT value->>0 AS hash, unhex(value->>1) AS serial FROM json_each(?2)')
const FIRST_NOTES = `SELECT id, hash, serial FROM moved WHERE issuer = ?1 ORDER BY id LIMIT ${NOTES}`
export const READ_NOTES = keyed(`SELECT DISTINCT hash, serial FROM (${FIRST_NOTES})`)
export const LAST_NOTE = `SELECT coalesce(max(id), 0) AS last FROM (${FIRST_NOTES})`
export const DROP_NOTES = 'DELETE FROM moved WHERE issuer = ?1 AND id <= ?2'

// Writing at the target. ?1 issuer, ?2 rows, ?3 step, ?4 now in ms.

/** Nothing at all, unless the move stands at that step. */
const INPUT = `
  WITH input AS MATERIALIZED (
    SELECT m.issuer, j.value->>0 AS hash, unhex(j.value->>1) AS serial, j.value->>2 AS status, j.value->>3 AS revoked_at,
      j.value->>4 AS reason, j.value->>5 AS not_before, j.value->>6 AS not_after, j.value->>7 AS changed_at, j.value->>8 AS reserved,
      j.value->>9 AS is_ca, unhex(j.value->>10) AS extensions
    FROM moves m CROSS JOIN json_each(?2) j
    WHERE m.issuer = ?1 AND m.ended_ms = 0 AND m.outgoing = 0 AND m.phase = 2 AND m.step = ?3
  )`
/**
 * renew: what the guards of the record do not let become of a row, unless it has ended, was deleted at the source meanwhile and recorded
 * again. stuck: the same of one that has not ended.
 */
const PLAN = `${INPUT}, joined AS (
    SELECT p.*, c.status AS old, c.not_after > 0 AND c.not_after <= unixepoch() AS ended,
      p.status <> c.status OR p.revoked_at <> c.revoked_at OR p.reason IS NOT c.reason OR p.reserved <> c.reserved
        OR p.extensions IS NOT c.extensions AS answered,
      p.not_before <> c.not_before OR p.not_after <> c.not_after OR p.changed_at <> c.changed_at OR p.is_ca <> c.is_ca AS dated,
      (c.status = 1 AND p.status <> 1) OR (c.status IN (2, 3) AND p.status = 0) OR p.reserved > c.reserved
        OR (c.not_after <> 0 AND p.not_after <> c.not_after) AS unlawful
    FROM input p LEFT JOIN certificates c ON c.issuer = p.issuer AND c.hash = p.hash AND c.serial = p.serial
  ), plan AS MATERIALIZED (
    SELECT *, CASE
      WHEN status IS NULL THEN CASE WHEN old IS NULL THEN 'none' WHEN ended THEN 'gone' ELSE 'stuck' END
      WHEN old IS NULL THEN 'add'
      WHEN unlawful THEN iif(ended, 'renew', 'stuck')
      WHEN answered THEN 'change'
      WHEN dated THEN 'fill'
      ELSE 'none'
    END AS act FROM joined
  )`
const COLUMNS = 'status, revoked_at, reason, not_before, not_after, changed_at, reserved, is_ca, extensions'
const SEQ = '(SELECT seq FROM issuers WHERE id = ?1)'

/** By two: a certificate that was held and released between two looks takes both steps here too. */
const raise = (from: string, some: string) => `
  ${from}
  UPDATE issuers SET seq = max(seq + 2, ?4 * 1000) WHERE id = ?1 AND EXISTS (SELECT 1 FROM ${some})`
/** Nobody has asked here for what is new; of what was here before, a bundle may say what it was. */
const ADD_ITEMS = `${PLAN}
  INSERT INTO changes (issuer, hash, serial, seq, keep_until)
  SELECT i.id, p.hash, p.serial, i.seq, max(CAST(?4 / 1000 AS INTEGER) + i.longest_validity + 3600, i.horizon)
  FROM plan p JOIN issuers i ON i.id = ?1 WHERE p.act IN ('change', 'renew')
  ON CONFLICT (issuer, hash, serial) DO UPDATE SET seq = excluded.seq, keep_until = max(keep_until, excluded.keep_until)`
const mark = (from: string, source: string, fresh: string, changed: string) => `
  ${from}
  UPDATE slots SET
    changed_seq = iif(m.changed, m.seq, changed_seq),
    added_since = iif(added = 0 AND m.fresh > 0, CAST(?4 / 1000 AS INTEGER), added_since),
    added = added + m.fresh, added_seq = iif(m.fresh > 0, m.seq, added_seq)
  FROM (
    SELECT p.issuer, e.k, p.hash >> (32 - e.k) AS slot, e.seq, sum(${fresh}) AS fresh, max(${changed}) AS changed
    FROM ${source} p CROSS JOIN (
      SELECT k, seq FROM issuers WHERE id = ?1
      UNION ALL SELECT k_next, seq FROM issuers WHERE id = ?1 AND k_next IS NOT NULL
    ) e
    WHERE p.reserved = 0 AND (${fresh} OR ${changed}) GROUP BY 1, 2, 3
  ) m
  WHERE slots.issuer = m.issuer AND slots.k = m.k AND slots.slot = m.slot`
const DELETE_ENDED = `${PLAN}
  DELETE FROM certificates WHERE (issuer, hash, serial) IN (SELECT issuer, hash, serial FROM plan WHERE act IN ('gone', 'renew'))`
const JOIN =
  'certificates.issuer = p.issuer AND certificates.hash = p.hash AND certificates.serial = p.serial'
const HOLD_FIRST = `${PLAN}
  UPDATE certificates SET status = 2, reason = 6, reserved = 0, rev = ${SEQ} - 1
  FROM plan p WHERE p.act = 'change' AND p.status = 3 AND p.old = 0 AND ${JOIN}`
const CHANGE_ROWS = `${PLAN}
  UPDATE certificates SET (${COLUMNS}, rev) = (p.${COLUMNS.replaceAll(', ', ', p.')}, ${SEQ})
  FROM plan p WHERE p.act IN ('change', 'fill') AND ${JOIN}`
const insert = (from: string, source: string) => `
  ${from}
  INSERT INTO certificates (issuer, hash, serial, ${COLUMNS}, rev)
  SELECT p.issuer, p.hash, p.serial, p.${COLUMNS.replaceAll(', ', ', p.')}, ${SEQ} FROM ${source}`
export const NEXT_STEP = `
  UPDATE moves SET step = step + 1 WHERE ${OPEN} AND outgoing = 0 AND phase = 2 AND step = ?2 RETURNING step`

/** The rows change last. The first says what cannot be done. */
export const WRITE: readonly string[] = [
  `${PLAN} SELECT lower(hex(serial)) AS serial FROM plan WHERE act = 'stuck' LIMIT 1`,
  raise(PLAN, "plan WHERE act NOT IN ('none', 'stuck')"),
  ADD_ITEMS,
  mark(PLAN, 'plan', "p.act = 'add'", "p.act IN ('change', 'renew')"),
  DELETE_ENDED,
  HOLD_FIRST,
  CHANGE_ROWS,
  insert(PLAN, "plan p WHERE p.act = 'add'"),
]
/** certificates_insert passes over what is there already; the slot then counts it twice until it is built. */
export const ADD: readonly string[] = [
  raise(INPUT, 'input'),
  mark(INPUT, 'input', 'p.status IS NOT NULL', 'false'),
  insert(INPUT, 'input p WHERE p.status IS NOT NULL'),
]
export const COUNT_ADDED = 'SELECT changes() AS added'

// Steps. ?1 issuer.

export const ADVANCE = `
  UPDATE moves SET hash = ?3, serial = unhex(?4), copied = copied + iif(phase = 2, ?5, 0), verified = verified + iif(phase = 3, ?5, 0),
    repaired = repaired + ?6
  WHERE ${OPEN} AND id = ?2 AND phase IN (2, 3) AND (hash, serial) < (?3, unhex(?4)) AND phase = ?7`
export const NOTE_WORK = `UPDATE moves SET busy_ms = busy_ms + ?3, problem = ?4 WHERE ${OPEN} AND id = ?2`

/** ?1 issuer, ?2 id, ?3 now. To the phase a move is in after it, which is why it comes last. */
const AUDIT = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?3, 'issuer.move', i.id, i.seq, json_object('move', m.id, 'phase', m.phase, 'outgoing', m.outgoing, 'digits', m.digits,
    'database', m.peer)
  FROM moves m JOIN issuers i ON i.id = m.issuer WHERE m.issuer = ?1 AND m.id = ?2 AND changes() > 0`

const IS_FREE = 'frozen = 0 AND moving = 0 AND fresh = 0 AND leaving = 0 AND arriving = 0'
const NONE_OPEN = `NOT EXISTS (SELECT 1 FROM moves WHERE ${OPEN})`

/** ?4 peer, ?5 digits. */
export const BEGIN: readonly string[] = [
  `UPDATE issuers SET seq = ${next('?3')}, moving = 1 WHERE id = ?1 AND ${IS_FREE} AND away & ?5 = 0 AND ${NONE_OPEN}`,
  `INSERT INTO moves (id, issuer, outgoing, peer, digits, phase, started_ms)
  SELECT ?2, ?1, 1, ?4, ?5, 1, ?3 WHERE changes() > 0`,
  AUDIT,
]

/** A step of 0: of the transaction that makes it; whatever else that does looks for it. */
const ENTERING = `EXISTS (SELECT 1 FROM moves WHERE ${OPEN} AND id = ?2 AND step = 0)`
/**
 * ?4 peer, ?5 digits, ?6 source's seq, ?7 what the issuer is born with, ?8 its configuration, ?9 its key identifier. What was signed
 * here of these digits, should they have been here before, is unusable: it knows nothing of what happened elsewhere. A responder has an
 * id of its own in each database.
 */
export const ENTER: readonly string[] = [
  `INSERT INTO issuers (id, name, ski, certificate, hashes, not_before, not_after, policy, enabled, config_rev, seq, floor, k,
    longest_validity, unknown_signed, compromised_at, away)
  SELECT ?1, ?8->>0, ?9, unhex(?7->>0), ?7->>1, ?7->>2, ?7->>3, ?8->>1, ?8->>2, s.seq, s.seq, s.seq, ?7->>4, ?7->>5, ?7->>6, ?8->>3,
    65535
  FROM (SELECT max(?6 + 1, ?3 * 1000) AS seq) s WHERE NOT EXISTS (SELECT 1 FROM issuers WHERE id = ?1)`,
  `INSERT INTO moves (id, issuer, outgoing, peer, digits, phase, step, started_ms)
  SELECT ?2, id, 0, ?4, ?5, 2, 0, ?3 FROM issuers
  WHERE id = ?1 AND ski = ?9 AND ${IS_FREE} AND away & ?5 = ?5 AND ${NONE_OPEN} AND NOT EXISTS (SELECT 1 FROM moves WHERE id = ?2)`,
  `UPDATE issuers SET seq = max(${next('?3')}, ?6 + 1), arriving = ?5, longest_validity = max(longest_validity, ?7->>5),
    unknown_signed = max(unknown_signed, ?7->>6)
  WHERE id = ?1 AND ${ENTERING}`,
  `INSERT INTO range_floors (issuer, sixteenth, floor)
  WITH RECURSIVE d (digit) AS (SELECT 0 UNION ALL SELECT digit + 1 FROM d WHERE digit < 15)
  SELECT i.id, d.digit, i.seq FROM d CROSS JOIN issuers i WHERE i.id = ?1 AND i.published > 0 AND (?5 >> d.digit) & 1 AND ${ENTERING}
  ON CONFLICT (issuer, sixteenth) DO UPDATE SET floor = max(floor, excluded.floor)`,
  `INSERT INTO slots (issuer, k, slot, changed_seq)
  WITH RECURSIVE d (digit) AS (SELECT 0 UNION ALL SELECT digit + 1 FROM d WHERE digit < 15),
  e (k, since) AS (
    SELECT k, 0 FROM issuers WHERE id = ?1 UNION ALL SELECT k_next, growth_seq FROM issuers WHERE id = ?1 AND k_next IS NOT NULL),
  n (k, since, slot, last) AS (
    SELECT DISTINCT e.k, e.since, (d.digit << e.k) >> 4, (((d.digit + 1) << e.k) - 1) >> 4 FROM d CROSS JOIN e WHERE (?5 >> d.digit) & 1
    UNION ALL SELECT k, since, slot + 1, last FROM n WHERE slot < last)
  SELECT ?1, n.k, n.slot, n.since FROM n WHERE ${ENTERING}
    AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.issuer = ?1 AND s.k = n.k AND s.slot = n.slot)`,
  'UPDATE moves SET step = 1 WHERE id = ?2 AND step = 0',
  AUDIT,
]
/** ?2 what the issuer is born with. */
export const COPY_RESPONDERS: readonly string[] = [
  `INSERT INTO responders (issuer, name, certificate, key_hash, algorithm, custody, secret_name, wrapped_key, spki, not_before,
    not_after, retired)
  SELECT i.id, r.value->>0, unhex(r.value->>1), unhex(r.value->>2), r.value->>3, r.value->>4, r.value->>5, unhex(r.value->>6),
    unhex(r.value->>7), r.value->>8, r.value->>9, r.value->>10
  FROM issuers i CROSS JOIN json_each(?2, '$[8]') r
  WHERE i.id = ?1 AND i.final_at = 0 AND NOT EXISTS (SELECT 1 FROM responders h WHERE h.issuer = i.id AND h.name = r.value->>0)`,
  `UPDATE responders SET retired = r.value->>10 FROM json_each(?2, '$[8]') r
  WHERE issuer = ?1 AND name = r.value->>0 AND key_hash = unhex(r.value->>2) AND retired < r.value->>10`,
]

/** The move as it is taken on from one phase, at the source or the target; digits as in its row. */
const step = (
  side: 'source' | 'target',
  from: number,
  to: number,
  issuer: string,
  move: string,
  condition = 'true',
): string[] => {
  const mine = `${OPEN} AND id = ?2 AND outgoing = ${side === 'source' ? 1 : 0} AND phase = ${from}`
  const digits = `(SELECT digits FROM moves WHERE ${mine})`
  return [
    ...(issuer === ''
      ? []
      : [
          `UPDATE issuers SET ${issuer.replaceAll('$digits', digits).replaceAll('$next', next('?3'))}
  WHERE id = ?1 AND ${condition} AND EXISTS (SELECT 1 FROM moves WHERE ${mine})`,
        ]),
    `UPDATE moves SET phase = ${to}${move} WHERE ${mine}${issuer === '' ? '' : ' AND changes() > 0'}`,
    AUDIT,
  ]
}
const UNBAR = 'seq = $next, leaving = leaving & ~$digits, moving = 0'
const DROP_ALL = `DELETE FROM moved WHERE issuer = ?1 AND EXISTS (SELECT 1 FROM moves WHERE ${OPEN} AND id = ?2 AND phase IN (5, 9))`
/** Under the phase that they lead to. Those of an abort come from several. */
export const SOURCE_STEPS: Readonly<Record<string, readonly string[]>> = {
  copying: step('source', 1, 2, '', ', begun_ms = ?3'),
  verifying: step('source', 2, 3, '', ", hash = -1, serial = x''"),
  barred: step('source', 3, 4, 'leaving = leaving | $digits', '', 'frozen = 0'),
  claimed: [...step('source', 4, 5, '', ', claimed_ms = ?3'), DROP_ALL],
  givenUp: step('source', 5, 6, 'seq = $next, away = away | $digits, leaving = leaving & ~$digits', ''),
  purging: step('source', 6, 7, 'seq = $next, moving = 0', ''),
  done: step('source', 7, 8, '', ', ended_ms = ?3'),
  aborted: [...[1, 2, 3, 4].flatMap((from) => step('source', from, 9, UNBAR, '')), DROP_ALL],
}
export const TARGET_STEPS: Readonly<Record<string, readonly string[]>> = {
  claimed: step(
    'target',
    2,
    5,
    'seq = $next, away = away & ~$digits, arriving = arriving & ~$digits, fresh = 1',
    ', claimed_ms = ?3, step = step + 1',
    'frozen = 0',
  ),
  done: step('target', 5, 8, 'seq = $next, fresh = 0', ', ended_ms = ?3'),
  aborted: step('target', 2, 9, 'arriving = arriving & ~$digits', ', step = step + 1'),
}
export const SETTLE = `UPDATE moves SET settled_ms = ?3 WHERE ${OPEN} AND id = ?2 AND phase = 6 AND settled_ms = 0`
export const END_ABORTED = `UPDATE moves SET ended_ms = ?3 WHERE ${OPEN} AND id = ?2 AND phase = 9`

/** ?2 the move, ?3 first hash of a digit, ?4 its last. Whoever comes late deletes nothing; nor does certificates_delete let go what is here. */
export const PURGE = `
  DELETE FROM certificates WHERE (issuer, hash, serial) IN (
    SELECT issuer, hash, serial FROM certificates WHERE issuer = ?1 AND hash BETWEEN ?3 AND ?4
      AND EXISTS (SELECT 1 FROM moves WHERE ${OPEN} AND id = ?2 AND phase IN (7, 9))
    ORDER BY hash LIMIT ${PURGE_ROWS})`
export const COUNT_PURGED = `
  UPDATE moves SET purged = purged + changes() WHERE ${OPEN} AND id = ?2 RETURNING changes() AS count`
export const PURGE_SLOTS = `
  DELETE FROM slots WHERE issuer = ?1 AND NOT EXISTS (
    SELECT 1 FROM issuers i WHERE i.id = ?1 AND ${holds('~i.away | i.arriving', 'slots.k', 'slots.slot')} <> 0)`
