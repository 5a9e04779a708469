/** Times of a response: their order, the lives of the certificates around them, and what the programs allow. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { formatGeneralizedTime, NO_END } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import type { SingleResponse } from '../ocsp/basic-response.ts'
import type { LintCheck } from './check.ts'
import { NEED, response, single, WHERE } from './check.ts'
import type { Judged } from './judged.ts'

const HOUR = 3600
const DAY = 86_400

export const TIMES_CHECKS: readonly LintCheck[] = [
  single(
    'R1.62',
    'this-update-after-produced-at',
    'error',
    0,
    'thisUpdate has to be at or before producedAt',
    ({ thisUpdate }, { producedAt }) => thisUpdate > producedAt && compared(thisUpdate, '>', producedAt),
  ),
  single(
    'R1.62',
    'next-update-too-early',
    'error',
    0,
    'nextUpdate has to be after thisUpdate',
    ({ thisUpdate, nextUpdate = Number.NaN }) =>
      nextUpdate <= thisUpdate && compared(nextUpdate, '<=', thisUpdate),
  ),
  single(
    'R1.64',
    'next-update-absent',
    'lightweight',
    0,
    'nextUpdate has to be there',
    ({ nextUpdate }) => nextUpdate === undefined,
  ),
  response(
    'R1.62',
    'produced-in-future',
    'error',
    NEED.now,
    'producedAt must not lie in the future',
    ({ producedAt, now }) => producedAt > now && compared(producedAt, '>', now),
  ),
  single(
    'R1.67',
    'this-update-in-future',
    'error',
    NEED.now,
    'thisUpdate must not lie in the future: some clients allow no skew',
    ({ thisUpdate }, { now }) => thisUpdate > now && compared(thisUpdate, '>', now),
  ),
  single(
    'R1.67',
    'expired',
    'error',
    NEED.now,
    'the response must not be over',
    ({ nextUpdate = Number.NaN }, { now }) => nextUpdate <= now && compared(nextUpdate, '<=', now),
  ),
  single(
    'R1.31',
    'revoked-after-this-update',
    'error',
    WHERE.revoked,
    'revocationTime has to be at or before thisUpdate',
    ({ certStatus, thisUpdate }) =>
      certStatus.type === 'revoked' &&
      certStatus.revocationTime > thisUpdate &&
      compared(certStatus.revocationTime, '>', thisUpdate),
  ),
  single(
    'R1.66',
    'outlives-responder',
    'error',
    NEED.responderNotAfter,
    "nextUpdate has to be at or before the responder certificate's notAfter",
    (one, { context }) => outlives(one, context.responder?.notAfter),
  ),
  single(
    'R1.66',
    'outlives-issuer',
    'error',
    NEED.issuerNotAfter,
    "nextUpdate has to be at or before the issuer's notAfter",
    (one, { context }) => outlives(one, context.issuer?.notAfter),
  ),
  response(
    'R1.61',
    'responder-not-valid',
    'error',
    NEED.responderValidity | NEED.responderNotAfter,
    'producedAt has to lie within the validity of the responder certificate',
    ({ producedAt, context }) => isOutside(producedAt, context.responder),
  ),
  single(
    'R1.65',
    'produced-before-certificate',
    'error',
    NEED.certificates,
    "producedAt must not lie before the certificate's notBefore",
    (one, judged) => judged.producedAt < (judged.certificateOf(one)?.notBefore ?? Number.NaN),
  ),
  single(
    'R1.65',
    'produced-after-certificate',
    'warning',
    NEED.certificates,
    "producedAt should not lie after the certificate's notAfter without archiveCutoff",
    (one, judged) =>
      judged.producedAt > (judged.certificateOf(one)?.notAfter ?? Number.NaN) &&
      one.singleExtensions?.some(({ extnID }) => extnID === OID.ocspArchiveCutoff) !== true,
  ),
  single(
    'R1.31',
    'revoked-before-certificate',
    'warning',
    NEED.certificates | WHERE.revoked,
    "revocationTime should not lie before the certificate's notBefore",
    (one, judged) =>
      one.certStatus.type === 'revoked' &&
      one.certStatus.revocationTime < (judged.certificateOf(one)?.notBefore ?? Number.NaN),
  ),
  single(
    'R4.1',
    'shorter-than-eight-hours',
    'error',
    NEED.publicTrust,
    'a response has to be valid for eight hours at least',
    (one, judged) => length(one, judged) < 8 * HOUR,
  ),
  single(
    'R4.35',
    'shorter-than-sixteen-hours',
    'warning',
    NEED.publicTrust,
    'a response should be valid for sixteen hours at least',
    (one, judged) => length(one, judged) < 16 * HOUR,
  ),
  single(
    'R4.35',
    'longer-than-seven-days',
    'error',
    NEED.publicTrust,
    'a response may be valid for seven days at most, its last second counted',
    (one, judged) => length(one, judged) > 7 * DAY,
  ),
  single(
    'R4.1',
    'longer-than-ten-days',
    'error',
    NEED.publicTrust,
    'a response may be valid for ten days at most, its last second counted',
    (one, judged) => length(one, judged) > 10 * DAY,
  ),
  single(
    'R4.30',
    'older-than-four-days',
    'error',
    NEED.publicTrust | NEED.now,
    'a newer response is due four days after thisUpdate',
    (one, judged) => !Number.isNaN(length(one, judged)) && judged.now - one.thisUpdate > 4 * DAY,
  ),
  single(
    'R4.52',
    'final-profile',
    'error',
    NEED.publicTrust,
    'nextUpdate 99991231235959Z is not for public trust',
    ({ nextUpdate }) => nextUpdate === NO_END,
  ),
  response(
    'R4.52',
    'final-nonce',
    'warning',
    WHERE.responseExtensions,
    'a final response should bear no nonce',
    ({ data, extensions }) =>
      data.responses.some(({ nextUpdate }) => nextUpdate === NO_END) &&
      extensions.some(({ extnID }) => extnID === OID.ocspNonce),
  ),
]

/** Of a response about a certificate of a subscriber, both ends counted; NaN for others. */
function length(one: SingleResponse, judged: Judged): number {
  const { certStatus, thisUpdate, nextUpdate } = one
  if (nextUpdate === undefined || nextUpdate === NO_END || certStatus.type === 'unknown') return Number.NaN
  if (judged.certificateOf(one)?.isCA === true) return Number.NaN
  return nextUpdate - thisUpdate + 1
}

/** Final responses outlive everybody (R4.52). */
function outlives({ nextUpdate = Number.NaN }: SingleResponse, notAfter = Number.NaN): string | false {
  return nextUpdate > notAfter && nextUpdate !== NO_END && compared(nextUpdate, '>', notAfter)
}

function isOutside(
  time: UnixSeconds,
  {
    notBefore = Number.NaN,
    notAfter = Number.NaN,
  }: { readonly notBefore?: UnixSeconds; readonly notAfter?: UnixSeconds } = {},
): boolean {
  return time < notBefore || time > notAfter
}

/** For people; a clock of a century far away is shown as it is. */
function compared(a: UnixSeconds, sign: string, b: UnixSeconds): string {
  return `${timeText(a)} ${sign} ${timeText(b)}`
}

function timeText(time: UnixSeconds): string {
  try {
    return formatGeneralizedTime(time)
  } catch {
    return String(time)
  }
}
