/**
 * What is to happen to each row of a change, as SQL: a plan that is made against the rows as they stand in the transaction, and
 * the statements that follow it. Every statement before the writes of the rows evaluates the same plan.
 */
import { MAX_EXTENSIONS_OCTETS } from './merged-extensions.ts'
import { STATUSES } from './record-codec.ts'

/**
 * add, resolve (a reserved serial), change (of status, time or reason), extend (other extensions), fill (what was not known
 * before) and same leave no doubt; the others refuse. `contended`: the row changed since its extensions were read.
 */
export type Act =
  | 'add'
  | 'resolve'
  | 'change'
  | 'extend'
  | 'fill'
  | 'same'
  | 'absent'
  | 'contended'
  | 'final'
  | 'recorded'
  | 'reasonMissing'
  | 'tooLong'
  | 'revokedIsFinal'
  | 'onHold'
  | 'notOnHold'
  | 'holdBarred'
  | 'datesDiffer'

export const ACTS: readonly Act[] = [
  'add',
  'resolve',
  'change',
  'extend',
  'fill',
  'same',
  'absent',
  'contended',
  'final',
  'recorded',
  'reasonMissing',
  'tooLong',
  'revokedIsFinal',
  'onHold',
  'notOnHold',
  'holdBarred',
  'datesDiffer',
]

/** Whether the row is another one now. */
export function isWritten(act: Act): boolean {
  return act === 'add' || act === 'resolve' || act === 'change' || act === 'extend' || act === 'fill'
}

/**
 * What is wished for, beside the row as it stands. The issuer is a column of it, not ?1 again, so that SQLite walks the plan
 * and looks rows up, not the other way round. Materialized, or each use of a column would read the JSON once more: that takes
 * three times as long. ?1 issuer.
 * @param source SQL of the wishes as JSON rows
 */
const listed = (source: string): string => `
  WITH input AS MATERIALIZED (
    SELECT j.key AS pos, j.value->>0 AS hash, unhex(j.value->>1) AS serial, j.value->>2 AS goal, j.value->>3 AS time,
      j.value->>4 AS reason, j.value->>5 AS nb, j.value->>6 AS na, j.value->>7 AS reserved, j.value->>8 AS ca,
      unhex(j.value->>9) AS ext, j.value->>10 AS basis
    FROM json_each(${source}) j
  ), joined AS MATERIALIZED (
    SELECT input.*, i.id AS issuer, i.policy->>'profile' = 'public-trust' AS public, i.final_at > 0 AS final,
      c.status AS old, c.revoked_at AS old_time, c.reason AS old_reason, c.not_before AS old_nb, c.not_after AS old_na,
      c.rev AS old_rev, coalesce(c.reserved, 0) AS old_reserved, c.is_ca AS old_ca, c.extensions AS old_ext
    FROM input CROSS JOIN issuers i
    LEFT JOIN certificates c ON c.issuer = i.id AND c.hash = input.hash AND c.serial = input.serial
    WHERE i.id = ?1
  )`

/** What becomes of what is wished for. ?3 now in ms, ?4 = 1: rows not recorded are added, ?5 the default revocation time. */
const RULES = `, wanted AS (
    SELECT *,
      CASE WHEN goal IN (1, 2) THEN coalesce(time, iif(old = goal, old_time, NULL), ?5) ELSE 0 END AS new_time,
      CASE goal WHEN 1 THEN iif(reason IS NULL AND old = 1, old_reason, nullif(reason, 0)) WHEN 2 THEN 6 END AS new_reason,
      (nb <> 0 AND old_nb <> 0 AND nb <> old_nb) OR (na <> 0 AND old_na <> 0 AND na <> old_na) AS dates_differ
    FROM joined
  ), lawful AS (
    SELECT *, CASE
      WHEN old IS NULL AND NOT ?4 THEN 'absent'
      WHEN ext IS NOT NULL AND basis IS NOT old_rev THEN 'contended'
      WHEN length(ext) > ${MAX_EXTENSIONS_OCTETS} THEN 'tooLong'
      WHEN reserved AND old IS NOT NULL AND NOT old_reserved THEN 'recorded'
      WHEN old = 1 AND goal <> 1 THEN 'revokedIsFinal'
      WHEN goal = 2 AND old IS NOT 2 AND public THEN 'holdBarred'
      WHEN goal = 1 AND public AND new_reason IS NULL AND (ca OR old_ca) THEN 'reasonMissing'
      WHEN old IS NULL THEN 'add'
      WHEN goal = 0 AND old = 2 THEN 'onHold'
      WHEN goal = 3 AND old = 0 THEN 'notOnHold'
      WHEN goal = 0 AND dates_differ AND old_reserved THEN 'datesDiffer'
      WHEN old_reserved AND NOT reserved THEN 'resolve'
      WHEN goal = 3 AND old = 2 THEN 'change'
      WHEN goal IN (1, 2) AND (old <> goal OR old_time <> new_time OR old_reason IS NOT new_reason) THEN 'change'
      WHEN dates_differ THEN 'datesDiffer'
      WHEN ext IS NOT NULL AND ext IS NOT old_ext THEN 'extend'
      WHEN (nb <> 0 AND old_nb = 0) OR (na <> 0 AND old_na = 0) OR ca > old_ca THEN 'fill'
      ELSE 'same'
    END AS lawful
    FROM wanted
  ), plan AS MATERIALIZED (
    SELECT *, iif(final AND lawful IN ('add', 'resolve', 'change', 'extend', 'fill'), 'final', lawful) AS act FROM lawful
  )`

const READ_PLAN = 'SELECT pos, act, old_rev FROM plan ORDER BY pos'

/** So many certificates at once are a bulk: rows past their retention are kept for the next one (certificate-recycling.ts). */
export const BULK_ROWS = 10

const RAISE_SEQ = `
  UPDATE issuers SET seq = max(seq + 1, ?3 * 1000),
    bulk_at = iif((SELECT count(*) FROM plan WHERE act = 'add') >= ${BULK_ROWS}, CAST(?3 / 1000 AS INTEGER), bulk_at)
  WHERE id = ?1 AND EXISTS (SELECT 1 FROM plan WHERE act IN ('add', 'resolve', 'change', 'extend', 'fill'))
  RETURNING seq`

/**
 * A row that is recorded as revoked or held at once needs an overlay item only where something was signed for it before, which
 * is so when the issuer's policy for unknown serials ever was to sign. What is added to a good answer need not overtake it.
 */
const ADD_ITEMS = `
  INSERT INTO changes (issuer, hash, serial, seq, keep_until)
  SELECT i.id, p.hash, p.serial, i.seq, max(CAST(?3 / 1000 AS INTEGER) + i.longest_validity + 3600, i.horizon)
  FROM plan p JOIN issuers i ON i.id = ?1
  WHERE p.act = 'change' OR (p.act = 'extend' AND p.old IN (1, 2))
    OR (p.act IN ('add', 'resolve') AND p.goal <> 0 AND i.unknown_signed = 1)
  ON CONFLICT (issuer, hash, serial) DO UPDATE SET seq = excluded.seq, keep_until = max(keep_until, excluded.keep_until)`

/** Certificates of a slot that wait for its next build are counted one by one up to here; so many at once always are. */
const COUNTED_SINGLY = 2
/** Beyond, one in so many stands for all: those whose hash ends in zeros. A power of two, of bits that name no slot. */
const COUNTED_IN = 16
/** While a slot is leased, its builder must learn of everything that it may not have read. */
const IS_COUNTED = `(m.changed OR m.fresh >= ${COUNTED_IN} OR slots.added < ${COUNTED_SINGLY} OR slots.lease IS NOT NULL)`

/**
 * The slots of every era: k, and k_next while doubling. A reserved serial is in no bundle. That one more certificate waits where
 * some do already changes little, and a written row is what D1 takes most for.
 */
const MARK_SLOTS = `
  UPDATE slots SET
    changed_seq = iif(m.changed, m.seq, changed_seq),
    added_since = iif(added = 0 AND m.fresh > 0, CAST(?3 / 1000 AS INTEGER), added_since),
    added = added + iif(${IS_COUNTED}, m.fresh, m.sampled),
    added_seq = iif(m.fresh > 0, m.seq, added_seq)
  FROM (
    SELECT p.issuer, e.k, p.hash >> (32 - e.k) AS slot, e.seq, sum(p.act IN ('add', 'resolve')) AS fresh,
      sum(iif(p.act IN ('add', 'resolve') AND p.hash & ${COUNTED_IN - 1} = 0, ${COUNTED_IN}, 0)) AS sampled,
      max(p.act IN ('change', 'extend') OR (p.act IN ('add', 'resolve') AND p.goal <> 0)) AS changed
    FROM plan p CROSS JOIN (
      SELECT k, seq FROM issuers WHERE id = ?1
      UNION ALL SELECT k_next, seq FROM issuers WHERE id = ?1 AND k_next IS NOT NULL
    ) e
    WHERE p.act IN ('add', 'resolve', 'change', 'extend') AND NOT p.reserved GROUP BY 1, 2, 3
  ) m
  WHERE slots.issuer = m.issuer AND slots.k = m.k AND slots.slot = m.slot AND (${IS_COUNTED} OR m.sampled > 0)`

/**
 * One row for each status that is not good, and for a serial that is reserved or no longer; good ones and what is filled in
 * are counted, or the audit would outgrow the record. What is not there is left out of the detail by json_patch.
 */
const AUDIT = `
  INSERT INTO audit (at_ms, action, issuer, serial, seq, detail)
  SELECT ?3, CASE
      WHEN p.reserved THEN 'certificate.reserved'
      WHEN p.act = 'resolve' AND p.goal = 0 THEN 'certificate.issued'
      WHEN p.goal = p.old THEN 'certificate.revised'
      ELSE 'certificate.' || CASE p.goal WHEN 1 THEN 'revoked' WHEN 2 THEN 'held' ELSE 'released' END
    END,
    i.id, p.serial, i.seq, json_patch(
      json_object('from', p.old, 'to', p.goal, 'revocationTime', p.new_time, 'reason', p.new_reason,
        'previousTime', p.old_time, 'previousReason', p.old_reason, 'notBefore', p.nb, 'notAfter', p.na),
      json_object('isCA', iif(p.ca OR p.old_ca, 1, NULL), 'extensions', nullif(lower(hex(coalesce(p.ext, p.old_ext))), '')))
  FROM plan p JOIN issuers i ON i.id = ?1
  WHERE p.act IN ('change', 'resolve') OR (p.act = 'add' AND (p.goal <> 0 OR p.reserved))
    OR (p.act = 'extend' AND p.old IN (1, 2))
  UNION ALL
  SELECT ?3, CASE p.act WHEN 'add' THEN 'certificates.added' WHEN 'extend' THEN 'certificates.extended'
      ELSE 'certificates.dated' END,
    i.id, NULL, i.seq, json_object('count', count(*))
  FROM plan p JOIN issuers i ON i.id = ?1
  WHERE p.act = 'fill' OR (p.act = 'add' AND p.goal = 0 AND NOT p.reserved) OR (p.act = 'extend' AND p.old NOT IN (1, 2))
  GROUP BY p.act`

const CHANGE_ROWS = `
  UPDATE certificates SET
    status = iif(p.act IN ('change', 'resolve'), p.goal, certificates.status),
    revoked_at = iif(p.act IN ('change', 'resolve'), p.new_time, certificates.revoked_at),
    reason = iif(p.act IN ('change', 'resolve'), p.new_reason, certificates.reason),
    changed_at = iif(p.act = 'change', CAST(?3 / 1000 AS INTEGER), certificates.changed_at),
    not_before = iif(certificates.not_before = 0, p.nb, certificates.not_before),
    not_after = iif(certificates.not_after = 0, p.na, certificates.not_after),
    reserved = iif(p.act = 'resolve', 0, certificates.reserved),
    is_ca = max(certificates.is_ca, p.ca),
    extensions = coalesce(p.ext, certificates.extensions),
    rev = (SELECT seq FROM issuers WHERE id = ?1)
  FROM plan p
  WHERE p.act IN ('change', 'resolve', 'extend', 'fill')
    AND certificates.issuer = p.issuer AND certificates.hash = p.hash AND certificates.serial = p.serial`

const ADD_ROWS = `
  INSERT INTO certificates (issuer, hash, serial, status, revoked_at, reason, not_before, not_after, changed_at, reserved,
    is_ca, extensions, rev)
  SELECT i.id, p.hash, p.serial, p.goal, p.new_time, p.new_reason, p.nb, p.na, 0, p.reserved, p.ca, p.ext, i.seq
  FROM plan p JOIN issuers i ON i.id = ?1 WHERE p.act = 'add'`

/**
 * The writes of a plan, in this order: first the sequence is raised; RETURNING gives it. The rows that the plan is made of
 * change last.
 */
export const PLAN_WRITES = { RAISE_SEQ, ADD_ITEMS, MARK_SLOTS, AUDIT, CHANGE_ROWS } as const

/**
 * A statement over a plan.
 * @param joined `WITH joined AS (...)`, a row for each row in question, with the columns of listed()
 */
export function overPlan(joined: string, statement: string): string {
  return `${joined}${RULES}\n${statement}`
}

/** A statement over the plan of what is wished for. @param source SQL of the wishes as JSON rows; they are ?2 */
export function planOver(source: string, statement: string): string {
  return overPlan(listed(source), statement)
}

const planned = (statement: string) => planOver('?2', statement)

/** In this order: first the plan is read, then written. ?2 wishes as JSON rows. */
export const CHANGE_STATEMENTS: readonly string[] = [READ_PLAN, ...Object.values(PLAN_WRITES)].map(planned)
/** Comes last. */
export const ADD_STATEMENT = planned(ADD_ROWS)

/** Why a wish was refused, in words for the operator; undefined when it was not. */
export function refusalOf(act: Act, goal: number): string | undefined {
  switch (act) {
    case 'revokedIsFinal':
      return `is recorded as revoked, which is final: it cannot become ${STATUSES[goal]}`
    case 'onHold':
      return 'is recorded as on hold: release it explicitly if it is to be good again'
    case 'notOnHold':
      return 'is not on hold: there is nothing to release'
    case 'holdBarred':
      return 'certificateHold is not allowed under the profile public-trust'
    case 'recorded':
      return 'is recorded already: only a serial that was never recorded can be reserved'
    case 'reasonMissing':
      return 'is the certificate of a CA: under the profile public-trust its revocation needs a reason (BR 7.3)'
    case 'tooLong':
      return `would bear extensions of more than ${MAX_EXTENSIONS_OCTETS} octets together with those recorded`
    case 'final':
      return 'is a certificate of an issuer whose responses are final: its record stands still'
    case 'datesDiffer':
      return 'is recorded with another notBefore or notAfter: a serial number names one certificate'
    case 'add':
    case 'resolve':
    case 'change':
    case 'extend':
    case 'fill':
    case 'same':
    case 'absent':
    case 'contended':
      return undefined
  }
}
