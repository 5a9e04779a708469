/** When a slot is due, in one place: SQL over `slots s JOIN issuers i`, shared by the slot store and by what /readyz counts. */

/** A slot with this many new certificates is rebuilt before its turn (architecture.md section 5). */
export const ADDED_LIMIT = 32
/** ... or when the oldest of them is this old. */
export const ADDED_AGE_SECONDS = 86_400
/** A slot above this cannot be one bundle (2 MB); it waits to be replaced by the slots of the next era. */
export const BUILDABLE_ENTRIES = 8_000
/** Slots above this many bytes are split even when they hold few certificates, but not below MIN_ENTRIES. */
export const SPLIT_BYTES = 262_144
export const SPLIT_MIN_ENTRIES = 100
/** Doubling aims at this many certificates a slot, so that the next doubling is far. */
export const TARGET_ENTRIES = 700

/** Something to do at all; ?1 = now, ?2 = 1 for slots with any new certificate. */
const WORK = `(
  s.changed_seq > s.built_seq
  OR s.again = 2
  OR s.missed > 0
  OR (s.built_seq > 0 AND s.refresh_at <= ?1)
  OR (s.built_seq = 0 AND s.added > 0)
  OR s.added >= ${ADDED_LIMIT}
  OR (s.added > 0 AND (?2 OR s.added_since <= ?1 - ${ADDED_AGE_SECONDS})))`

/** And somebody who may do it: not leased to another, an issuer that signs. ?1 = now, ?2 = all. */
export const DUE = `${WORK}
  AND (s.lease IS NULL OR s.lease_until <= ?1)
  AND i.enabled = 1 AND i.frozen = 0
  AND (s.k = i.k OR s.k = i.k_next)
  AND s.entries + s.added <= ${BUILDABLE_ENTRIES}
  AND EXISTS (SELECT 1 FROM responders r WHERE r.issuer = i.id AND r.retired = 0)`

/**
 * Changed since built, then what KV has lost, the most wanted first, then what is about to expire or was never built, then the
 * slots of the coming era; those that failed last time come after all others, so that a broken signer does not starve the rest.
 */
export const DUE_ORDER = `s.failures > 0,
  CASE
    WHEN s.built_seq > 0 AND s.changed_seq > s.built_seq THEN 0
    WHEN s.missed > 0 OR s.again = 2 THEN 1
    WHEN s.k = i.k THEN 2
    ELSE 3
  END,
  s.missed DESC, s.refresh_at, s.issuer, s.k, s.slot`
