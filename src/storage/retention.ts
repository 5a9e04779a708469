/** Which rows of `certificates` nobody answers for any more, in one place: SQL shared by pruning and recycling. */

/**
 * How long rows past their retention stay for new certificates to be written over them, while the issuer records many at once.
 * Where as many are recorded as end, one row in thirty is such a one, three days old (docs/scale.md).
 */
export const SPARE_SECONDS = 14 * 86_400

/**
 * The terms of issuer ?1, one row; none when it is final: its record stands behind responses without an end. `gone`: what ended
 * before is past its retention. `of_any_status`: under the policy `good` an absent row is answered good, so a revoked one stays for
 * ever (law 2). min(): a Worker whose clock runs ahead must not trip the triggers.
 * @param now SQL of the time in Unix seconds
 */
export function termsAt(now: string): string {
  return `
  SELECT id, min(${now}, unixepoch()) - json_extract(policy, '$.retainSeconds') AS gone,
    json_extract(policy, '$.unknown') <> 'good' AS of_any_status,
    iif(bulk_at > ${now} - ${SPARE_SECONDS}, ${SPARE_SECONDS}, 0) AS kept
  FROM issuers WHERE id = ?1 AND final_at = 0`
}

/** Of a row `c`, under terms `t`. */
export const IS_PAST = 'c.not_after > 0 AND c.not_after < t.gone AND (c.status IN (0, 3) OR t.of_any_status)'

/** Right after the statement that deletes or replaces rows: whoever does not hear how many there were has not to tell. ?2 in ms. */
export const AUDIT_PRUNED = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, 'certificates.pruned', id, seq, json_object('count', changes()) FROM issuers WHERE id = ?1 AND changes() > 0`
