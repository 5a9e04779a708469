/**
 * The headers of an answer, computed at the moment of serving (RFC 9919 section 7.2, R2.7-R2.18, R6.1-R6.13): max-age counts
 * from Date, so no honest cache holds an answer past its nextUpdate.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { Answer, StatusAnswer } from '../responder/answer.ts'
import { httpDate } from '../responder/answer.ts'

/** Exactly this, without parameters: nginx compares the whole value (R1.102). */
export const OCSP_RESPONSE_TYPE = 'application/ocsp-response'
/**
 * How long before nextUpdate a max-age ends (R2.10). One second is enough for a cache that counts from Date; nginx counts from
 * when it has the answer, and through the last second, so an answer may be a few seconds on its way.
 */
const MARGIN_SECONDS = 5
/** For tryLater: as long as the isolate waits before it tries the record again. */
const RETRY_AFTER_SECONDS = '30'

export function answerHeaders(answer: Answer, now: UnixSeconds): Record<string, string> {
  if (answer.responseStatus !== 'successful')
    return answer.responseStatus === 'tryLater'
      ? {
          'Content-Type': OCSP_RESPONSE_TYPE,
          'Cache-Control': 'no-store',
          'Retry-After': RETRY_AFTER_SECONDS,
          Date: date(now),
        }
      : { 'Content-Type': OCSP_RESPONSE_TYPE, 'Cache-Control': 'no-store', Date: date(now) }
  if (answer.personal)
    return { 'Content-Type': OCSP_RESPONSE_TYPE, 'Cache-Control': 'no-store', Date: date(now) }
  return {
    'Content-Type': OCSP_RESPONSE_TYPE,
    'Cache-Control': `max-age=${maxAge(answer, now)}, public, no-transform, must-revalidate`,
    ETag: answer.etag,
    Expires: answer.expires,
    'Last-Modified': answer.lastModified,
    Date: date(now),
  }
}

let second = -1
/** Answers given in this second, the repeated ones with headers of their own. */
const given = new Map<Answer, Headers | undefined>()
/** The headers of this second by window: of two answers in one, only the ETag differs. */
const shared = new Map<string, Headers>()

/**
 * The same for the exit. A Headers object is dear to make and cheap to use: one is made for each window, and for an answer
 * that is given for the second time in a second; max-age and Date do not change before the second is over.
 * @returns do not change it, and use it before the next call
 */
export function servedHeaders(answer: Answer, now: UnixSeconds): Headers | Record<string, string> {
  if (answer.responseStatus !== 'successful' || answer.personal) return answerHeaders(answer, now)
  if (now !== second) {
    second = now
    given.clear()
    shared.clear()
  }
  const own = given.get(answer)
  if (own !== undefined) return own
  const headers = sharedHeaders(answer, now)
  const made = given.has(answer) ? new Headers(headers) : undefined
  given.set(answer, made)
  return made ?? headers
}

function sharedHeaders(answer: StatusAnswer, now: UnixSeconds): Headers {
  const key = `${maxAge(answer, now)}/${answer.producedAt}/${answer.nextUpdate}`
  const known = shared.get(key)
  if (known !== undefined) {
    known.set('ETag', answer.etag)
    return known
  }
  const made = new Headers(answerHeaders(answer, now))
  shared.set(key, made)
  return made
}

/**
 * Seconds that a cache may keep it from now on; never negative, never to or past nextUpdate. Up to freshUntil itself, because
 * not before then is there a newer answer to be had (R2.11).
 */
export function maxAge(answer: StatusAnswer, now: UnixSeconds): number {
  const end = (answer.until ?? answer.nextUpdate) - MARGIN_SECONDS
  return Math.max(0, Math.min(answer.maxAgeSeconds, answer.freshUntil - now, end - now))
}

/**
 * Whether the client's copy is still the answer (RFC 9110 13.1.2, 13.1.3): If-None-Match wins over If-Modified-Since. Never in
 * the last seconds of an answer, when nothing may be kept: nginx takes a 304 for another max-age of its copy (R6.13).
 */
export function notModified(headers: Headers, answer: Answer, now: UnixSeconds): boolean {
  if (answer.responseStatus !== 'successful' || answer.personal) return false
  if (answer.maxAgeSeconds > 0 && maxAge(answer, now) === 0) return false
  const noneMatch = headers.get('If-None-Match')
  if (noneMatch !== null)
    return noneMatch.split(',').some((tag) => {
      const value = tag.trim()
      return value === '*' || value === answer.etag || value === `W/${answer.etag}` // weak comparison (R6.11)
    })
  const since = headers.get('If-Modified-Since')
  if (since === null) return false
  const seconds = Math.floor(Date.parse(since) / 1000)
  return answer.producedAt < seconds || (answer.producedAt === seconds && isOnlyOneOfItsSecond(answer))
}

/**
 * A date of a second tells no two answers of that second apart (RFC 9110 8.8.2.2). thisUpdate lies before producedAt unless the
 * status had changed just before, and only then another one may have been told in that second.
 */
function isOnlyOneOfItsSecond({ thisUpdate, producedAt }: StatusAnswer): boolean {
  return thisUpdate < producedAt
}

let lastSecond = -1
let lastDate = ''

/** The text changes once a second; making it costs more than all other headers together. */
function date(now: UnixSeconds): string {
  if (now !== lastSecond) {
    lastSecond = now
    lastDate = httpDate(now)
  }
  return lastDate
}
