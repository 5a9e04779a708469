/** When a slot is due, in one place: SQL over `slots s JOIN issuers i`, shared by the slot store and by what /readyz counts. */

/** A slot with this many new certificates is rebuilt before its turn (architecture.md section 5). */
export const ADDED_LIMIT = 32
/**
 * ... or when the oldest of them is this old. A day would be two more builds a week for every slot of a CA that issues a hundredth
 * of its certificates a day ($20 a month for 100 million), and spare one live signature in eighty (docs/scale.md).
 */
export const ADDED_AGE_SECONDS = 3 * 86_400
/** A slot above this cannot be one bundle (2 MB); it waits to be replaced by the slots of the next era. */
export const BUILDABLE_ENTRIES = 1_500
/** Slots above this many bytes are split even when they hold few certificates, but not below MIN_ENTRIES. */
export const SPLIT_BYTES = 262_144
export const SPLIT_MIN_ENTRIES = 100
/** Doubling aims at this many certificates a slot, so that the next doubling is far. */
export const TARGET_ENTRIES = 700

/** Digits that a slot holds: one, or 16 >> k of them when k < 4. 0 = none of the mask. */
export const holds = (mask: string, k: string, slot: string) =>
  `(((${mask}) >> (${slot} >> (${k} - 4))) & ((1 << (1 << max(0, 4 - ${k}))) - 1))`

/** Something to do at all; ?1 = now, ?2 = 1 for slots with any new certificate. */
const WORK = `(
  s.changed_seq > s.built_seq
  OR s.again = 2
  OR s.missed > 0
  OR (s.built_seq > 0 AND s.refresh_at <= ?1)
  OR (s.built_seq = 0 AND s.added > 0)
  OR s.added >= ${ADDED_LIMIT}
  OR (s.added > 0 AND (?2 OR s.added_since <= ?1 - ${ADDED_AGE_SECONDS})))`

/** Name of a lease that stands for a place in the queue: nobody builds under it. */
export const PLANNED_PREFIX = 'plan:'
/** Of the lease of a row of slots: whether it is such a one. */
export const isPlanned = (lease: string): string =>
  `coalesce(substr(${lease}, 1, ${PLANNED_PREFIX.length}) = '${PLANNED_PREFIX}', 0)`

/** Nobody holds it. ?1 = now. */
const FREE = '(s.lease IS NULL OR s.lease_until <= ?1)'

/** Somebody who may do it: an issuer that signs, an era that is or will be asked for. */
const ALLOWED = `i.enabled = 1 AND i.frozen = 0
  AND (s.k = i.k OR s.k = i.k_next)
  AND EXISTS (SELECT 1 FROM responders r WHERE r.issuer = i.id AND r.retired = 0)`

/** ?1 = now, ?2 = all. */
export const DUE = `${WORK}
  AND ${FREE}
  AND s.entries + s.added <= ${BUILDABLE_ENTRIES}
  AND ${ALLOWED}`

/** Slots first: an issuer is looked up for those with something to do only, and an order of tables is not guessed. */
const OF_THE_RECORD = 'FROM slots s CROSS JOIN issuers i WHERE (?3 IS NULL OR s.issuer = ?3)'

export const COUNT_DUE = `SELECT count(*) AS due ${OF_THE_RECORD} AND ${DUE} AND i.id = s.issuer`

/** Changed since built, then what KV has lost, then what is about to expire or was never built, then slots of the coming era. */
const LAST_URGENCY = 3
const URGENCY = `CASE
    WHEN s.built_seq > 0 AND s.changed_seq > s.built_seq THEN 0
    WHEN s.missed > 0 OR s.again = 2 THEN 1
    WHEN s.k = i.k THEN 2
    ELSE ${LAST_URGENCY}
  END`

/**
 * What is due and what waits in the queue, in one scan: a row read a slot, however many issuers there are. Slots that failed
 * last time come after all others, so that a broken signer does not starve the rest; then by urgency; then each issuer in its
 * turn, so that a large one does not starve the small ones; of each issuer first what is missed most, then what expires first.
 * ?4 = how many.
 * Rows with k = -1 are no slots, but sums of an issuer: slots that wait (slot) and their certificates (size), slots that are
 * due (due), and those that would be if they were not too large for a bundle (lost).
 */
export const SURVEY = `
  WITH signing AS MATERIALIZED (
    SELECT i.id, i.k, i.k_next FROM issuers i WHERE i.enabled = 1 AND i.frozen = 0 AND (?3 IS NULL OR i.id = ?3)
      AND EXISTS (SELECT 1 FROM responders r WHERE r.issuer = i.id AND r.retired = 0)),
  work AS MATERIALIZED (
    SELECT s.issuer, s.k, s.slot, s.entries + s.added AS size, s.refresh_at, s.missed,
      ${URGENCY} + ${LAST_URGENCY + 1} * (s.failures > 0) AS urgency,
      NOT ${FREE} AS waiting, ${FREE} AND ${isPlanned('s.lease')} AS lost
    FROM signing i CROSS JOIN slots s
    WHERE s.issuer = i.id AND (s.k = i.k OR s.k = i.k_next) AND ${WORK} AND (${FREE} OR ${isPlanned('s.lease')}))
  SELECT * FROM (
    SELECT issuer, k, slot, size, urgency, lost, 0 AS due FROM (
      SELECT *, row_number() OVER (PARTITION BY urgency, issuer ORDER BY missed DESC, refresh_at, k, slot) AS turn
      FROM work WHERE waiting = 0 AND size <= ${BUILDABLE_ENTRIES})
    ORDER BY urgency, turn, missed DESC, refresh_at, issuer LIMIT ?4)
  UNION ALL
  SELECT issuer, -1, sum(waiting), sum(waiting * size), 0,
    sum(waiting = 0 AND size > ${BUILDABLE_ENTRIES}), sum(waiting = 0 AND size <= ${BUILDABLE_ENTRIES})
  FROM work GROUP BY issuer`
