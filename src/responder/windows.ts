/**
 * Windows: thisUpdate, producedAt and nextUpdate of what we sign, and how long we may serve it. Every number has its
 * source; the combined envelope of the root programs is R4.35.
 */
import { NO_END, type UnixSeconds } from '../asn1/generalized-time.ts'
import { SigningError } from '../ports/errors.ts'
import type { IssuerPolicy, IssuerRecord } from '../ports/records.ts'

export interface Window {
  readonly thisUpdate: UnixSeconds
  readonly producedAt: UnixSeconds
  readonly nextUpdate: UnixSeconds
  /** Nobody may keep it to this moment, though nextUpdate lies behind: the notBefore of a certificate not valid yet (R1.65). */
  readonly until?: UnixSeconds
}

/** Chrome allows no skew at all (R1.67), so thisUpdate lies a little in the past; a tenth of very short windows. */
const BACKDATE_SECONDS = 300
const BACKDATE_SHARE = 10
/** TLS BR 4.9.9 and Mozilla 6: a newer response at least every four days (R4.3, R4.30). */
const MAX_AGE_SECONDS = 4 * 86_400
/** Microsoft 3.2.2, TLS BR 4.9.9: at least eight hours of validity (R4.1, R4.32). */
const MIN_PUBLIC_SECONDS = 8 * 3_600
/** A signed `unknown` must not outlive the fifteen minutes within which a new certificate is answered (R1.39, R6.8). */
const UNKNOWN_SECONDS = 600
/** Cron comes every minute, KV takes another, isolates look again after half of one. */
const RESIGN_LEAD_SECONDS = 300
const RESIGN_LEAD_SHARE = 20
/** A signed `unknown` is kept for a minute at most, by clients and by us (R6.8). */
export const UNKNOWN_MAX_AGE_SECONDS = 60
/** Jitter shortens a window by up to a twentieth, so that slots do not fall due together (R6.19). */
const JITTER_SHARE = 20
/** Below it, half of a window is less than the eight hours that Microsoft wants left (R4.32, R4.35): jitter stops there. */
const LEAST_PUBLIC_WINDOW_SECONDS = 16 * 3_600

/** How far thisUpdate lies before the moment of reading, unless the certificate's own history forbids it. */
export function backdate(policy: IssuerPolicy): number {
  return Math.min(BACKDATE_SECONDS, Math.floor(policy.validitySeconds / BACKDATE_SHARE))
}

/**
 * A window that starts now.
 * @param t0 taken before the status was read; becomes producedAt
 * @param latest last status transition, revocationTime and notBefore of the subject, whichever is latest
 * @param notAfter of responder certificate and issuer, whichever is earlier (R1.66)
 * @param jitter uint32 that spreads windows; 0 for none
 * @throws SigningError.responderExpired
 */
export function windowFrom(
  policy: IssuerPolicy,
  t0: UnixSeconds,
  latest: UnixSeconds,
  notAfter: UnixSeconds,
  jitter = 0,
): Window {
  const thisUpdate = Math.min(t0, Math.max(t0 - backdate(policy), latest))
  const { validitySeconds } = policy
  const isPublic = policy.profile === 'public-trust'
  const room = isPublic ? Math.max(0, validitySeconds - LEAST_PUBLIC_WINDOW_SECONDS) : validitySeconds
  const shorter = Math.min(room, Math.floor((validitySeconds / JITTER_SHARE) * (jitter / 0x1_0000_0000)))
  const nextUpdate = Math.min(thisUpdate + validitySeconds - 1 - shorter, notAfter)
  const least = leastWindow(policy)
  if (nextUpdate - t0 < least)
    throw new SigningError(
      'responderExpired',
      `the responder or issuer certificate ends too soon: ${nextUpdate - t0} s left`,
    )
  return { thisUpdate, producedAt: t0, nextUpdate }
}

/** The window of this issuer: as windowFrom, or without an end once the issuer is final (R4.52). */
export function windowOf(
  issuer: Pick<IssuerRecord, 'policy' | 'finalAt'>,
  t0: UnixSeconds,
  latest: UnixSeconds,
  notAfter: UnixSeconds,
  jitter = 0,
): Window {
  if (issuer.finalAt === undefined) return windowFrom(issuer.policy, t0, latest, notAfter, jitter)
  return {
    thisUpdate: Math.min(t0, Math.max(t0 - backdate(issuer.policy), latest)),
    producedAt: t0,
    nextUpdate: NO_END,
  }
}

/** Seconds that whoever signs must have left: the shortest window that the profile allows. */
export function leastWindow({ profile }: Pick<IssuerPolicy, 'profile'>): number {
  return profile === 'public-trust' ? MIN_PUBLIC_SECONDS : 1
}

/** Whether the profile forbids so short a window: it was opened under another one (R4.1). */
export function isTooShort(
  { thisUpdate, nextUpdate }: Pick<Window, 'thisUpdate' | 'nextUpdate'>,
  profile: IssuerPolicy['profile'],
): boolean {
  return profile === 'public-trust' && nextUpdate - thisUpdate + 1 < MIN_PUBLIC_SECONDS
}

/** The same window for a serial that is not recorded: `unknown` ends early. */
export function unknownWindow(window: Window): Window {
  return { ...window, nextUpdate: Math.min(window.nextUpdate, window.producedAt + UNKNOWN_SECONDS) }
}

/** When a newer response is wanted: half of the window is over, or four days (R4.2, R4.3, R4.32). */
export function refreshAt(window: Pick<Window, 'thisUpdate' | 'nextUpdate'>): UnixSeconds {
  if (window.nextUpdate === NO_END) return NO_END
  return (
    window.thisUpdate + Math.min(Math.floor((window.nextUpdate - window.thisUpdate) / 2), MAX_AGE_SECONDS)
  )
}

/**
 * When it is signed again: early enough that cron, KV and isolates have the newer response by `refreshAt`, where a max-age of
 * the policy `refresh` ends (R2.11).
 */
export function resignAt(window: Pick<Window, 'thisUpdate' | 'nextUpdate'>): UnixSeconds {
  const length = window.nextUpdate - window.thisUpdate
  return refreshAt(window) - Math.min(RESIGN_LEAD_SECONDS, Math.floor(length / RESIGN_LEAD_SHARE))
}

/** Law 1: nothing leaves past its nextUpdate, nor past the age that the profile allows (R6.2, R6.3). */
export function isCurrent(
  window: Pick<Window, 'thisUpdate' | 'nextUpdate' | 'until'>,
  profile: IssuerPolicy['profile'],
  now: UnixSeconds,
): boolean {
  if ((window.until ?? window.nextUpdate) <= now) return false
  return profile === 'private' || now - window.thisUpdate <= MAX_AGE_SECONDS
}
