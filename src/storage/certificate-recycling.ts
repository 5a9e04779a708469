/**
 * New certificates written over rows that are past their retention: D1 bills a row that is inserted and one that is deleted, but
 * a row whose key changes only once (ADR 0017). Each looks for such a row among its neighbours in the order of hashes, which lie
 * in the same page; who finds none is inserted, and what nobody takes is pruned. The triggers bar any other row from it.
 */
import { BULK_ROWS, planOver } from './certificate-plan.ts'
import { IS_PAST, termsAt } from './retention.ts'

/** Who takes a row leaves a gap behind: with a row in thirty past its retention, three in a hundred find none among so many. */
export const NEIGHBOURS = 300
/** The first digit of a hash is what several databases share the certificates by: a row stays within it. */
export const DIGITS = 16
const WITHIN_DIGIT = 2 ** 32 / DIGITS - 1

const TERMS = termsAt('CAST(?3 / 1000 AS INTEGER)')
/** Nothing, and so no plan, where there is nothing to write over. */
const SOURCE = "iif((SELECT spare = 1 AND moving = 0 FROM issuers WHERE id = ?1), ?2, '[]')"

/**
 * A row is not taken that the same call speaks of: what was decided about it stands. Of two certificates that find the same
 * row one takes it (min() chooses of which p the columns are), the other is inserted.
 */
const RECYCLE = `, t AS MATERIALIZED (${TERMS}), found AS MATERIALIZED (
    SELECT p.*, (
      SELECT n.hash FROM (
        SELECT c.hash, ${IS_PAST} AS is_past FROM certificates c
        WHERE c.issuer = p.issuer AND c.hash BETWEEN p.hash AND p.hash | ${WITHIN_DIGIT} ORDER BY c.hash LIMIT ${NEIGHBOURS}) n
      WHERE n.is_past LIMIT 1) AS near
    FROM t CROSS JOIN plan p WHERE p.act = 'add'
  ), taken AS MATERIALIZED (
    SELECT min(p.pos), p.*, c.hash AS over_hash, c.serial AS over_serial
    FROM t CROSS JOIN found p CROSS JOIN certificates c
    WHERE c.issuer = p.issuer AND c.hash = p.near AND ${IS_PAST} AND c.serial NOT IN (SELECT serial FROM input)
    GROUP BY c.hash
  )
  UPDATE certificates SET hash = p.hash, serial = p.serial, status = p.goal, revoked_at = p.new_time, reason = p.new_reason,
    not_before = p.nb, not_after = p.na, changed_at = 0, reserved = p.reserved, is_ca = p.ca, extensions = p.ext,
    rev = (SELECT seq FROM issuers WHERE id = ?1)
  FROM taken p
  WHERE certificates.issuer = p.issuer AND certificates.hash = p.over_hash AND certificates.serial = p.over_serial`

/**
 * After every statement but the one that adds rows, which then adds the others: a row that was recycled is the same as wished
 * for. Parameters as those of CHANGE_STATEMENTS; followed by AUDIT_PRUNED.
 */
export const RECYCLE_STATEMENT = planOver(SOURCE, RECYCLE)

/** The audit row costs two written rows: for less it is not worth it. */
export const isRecycling = (rows: number): boolean => rows >= BULK_ROWS
