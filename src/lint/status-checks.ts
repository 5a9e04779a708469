/** Which certificates a response speaks of, and what it says of them (R1.3x, R1.6x, R4.2x). */

import { OID } from '../asn1/oid.ts'
import type { SingleResponse } from '../ocsp/basic-response.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import type { LintCheck } from './check.ts'
import { NEED, response, single, WHERE } from './check.ts'
import { sameOctets } from './octets.ts'

const HOLD = 6
const REMOVE_FROM_CRL = 8
/** keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn: BR 7.2.2. */
const PUBLIC_REASONS: readonly number[] = [1, 3, 4, 5, 9]

export const STATUS_CHECKS: readonly LintCheck[] = [
  response(
    'R1.69',
    'responses-empty',
    'error',
    0,
    'there has to be a SingleResponse',
    ({ data }) => data.responses.length === 0,
  ),
  response(
    'R1.70',
    'status-conflict',
    'error',
    WHERE.serial,
    'one certificate must not have two statuses',
    ({ data }) => conflict(data.responses),
  ),
  response(
    'R1.69',
    'answer-missing',
    'error',
    NEED.question,
    'every CertID that was asked has to be answered, as it was asked',
    ({ data, context }) =>
      serialOf(
        context.question?.certIDs.find(
          (asked) => !data.responses.some(({ certID }) => sameCertID(asked, certID)),
        ),
      ),
  ),
  response(
    'R1.10',
    'answer-order',
    'error',
    NEED.question,
    'answers have to stand in the order of the questions',
    ({ data, context }) => {
      const asked = context.question?.certIDs ?? []
      const places = asked.map((one) => data.responses.findIndex(({ certID }) => sameCertID(one, certID)))
      return places.some((place, i) => {
        const here = data.responses[i]
        const one = asked[i]
        if (place < 0 || here === undefined || one === undefined) return false
        return !sameCertID(one, here.certID) && asked.some((other) => sameCertID(other, here.certID))
      })
    },
  ),
  single(
    'R1.68',
    'answer-surplus',
    'warning',
    NEED.question,
    'only what was asked should be answered',
    ({ certID }, { context }) =>
      !context.question?.certIDs.some(({ serialNumber }) => sameOctets(serialNumber, certID.serialNumber)),
  ),
  single(
    'R5.40',
    'cert-id-parameters',
    'warning',
    NEED.question,
    'parameters of hashAlgorithm should be as they were asked',
    ({ certID }, { context }) =>
      !!context.question?.certIDs.some(
        (asked) =>
          sameCertID(asked, certID) &&
          (asked.hashAlgorithm.parameters === undefined) !== (certID.hashAlgorithm.parameters === undefined),
      ),
  ),
  single(
    'R5.42',
    'cert-id-hash',
    'lightweight',
    0,
    'the hash of a CertID has to be SHA-1, SHA-256, SHA-384 or SHA-512',
    ({ certID }) =>
      hashAlgorithmOf(certID.hashAlgorithm.algorithm) === undefined && certID.hashAlgorithm.algorithm,
  ),
  single(
    'R1.40',
    'issuer-hashes',
    'error',
    NEED.issuer,
    'the CertID has to name the issuer',
    ({ certID }, { context }) => {
      const hash = hashAlgorithmOf(certID.hashAlgorithm.algorithm)
      const hashes = hash && context.issuer?.hashes?.[hash]
      if (hashes === undefined) return false
      return (
        !sameOctets(certID.issuerKeyHash, hashes.issuerKeyHash) ||
        !sameOctets(certID.issuerNameHash, hashes.issuerNameHash)
      )
    },
  ),
  single(
    'R1.31',
    'reason-undefined',
    'error',
    WHERE.revoked,
    'revocationReason has to be one of RFC 5280 5.3.1',
    ({ certStatus }) => {
      const reason = reasonOf(certStatus)
      return reason !== undefined && crlReasonName(reason) === undefined && String(reason)
    },
  ),
  single(
    'R1.31',
    'reason-remove-from-crl',
    'error',
    WHERE.revoked,
    'removeFromCRL belongs into delta CRLs alone',
    ({ certStatus }) => reasonOf(certStatus) === REMOVE_FROM_CRL,
  ),
  single(
    'R4.22',
    'reason-unspecified',
    'lightweight',
    WHERE.revoked,
    'reason 0 is said by leaving the field out',
    ({ certStatus }) => reasonOf(certStatus) === 0,
  ),
  single(
    'R4.22',
    'reason-barred',
    'error',
    NEED.publicTrust | WHERE.revoked,
    'the reason has to be 1, 3, 4, 5 or 9 (BR 7.2.2)',
    ({ certStatus }) => {
      const reason = reasonOf(certStatus)
      if (reason === undefined || reason === 0 || reason === HOLD || crlReasonName(reason) === undefined)
        return false
      return !PUBLIC_REASONS.includes(reason) && reason !== REMOVE_FROM_CRL && String(reason)
    },
  ),
  single(
    'R4.13',
    'hold-barred',
    'error',
    NEED.publicTrust | WHERE.revoked,
    'certificateHold is not allowed (BR 4.9.13)',
    ({ certStatus }) => reasonOf(certStatus) === HOLD,
  ),
  single(
    'R4.21',
    'ca-reason',
    'error',
    NEED.publicTrust | NEED.certificates | WHERE.revoked,
    'a revoked CA certificate has to have a reason',
    (one, judged) =>
      one.certStatus.type === 'revoked' &&
      reasonOf(one.certStatus) === undefined &&
      judged.certificateOf(one)?.isCA === true,
  ),
  single(
    'R1.39',
    'unknown-but-issued',
    'error',
    NEED.certificates,
    'a certificate that was issued must not be unknown',
    (one, judged) => one.certStatus.type === 'unknown' && judged.certificateOf(one) !== undefined,
  ),
  single(
    'R1.33',
    'good-not-issued',
    'error',
    NEED.meant,
    'a serial number that was never issued must not be good',
    ({ certStatus }, { context }, i) => certStatus.type === 'good' && context.meant?.[i]?.issued === false,
  ),
  single(
    'R1.36',
    'non-issued-form',
    'error',
    NEED.meant | WHERE.revoked,
    'revoked for a serial number never issued is certificateHold at 19700101000000Z',
    ({ certStatus }, { context }, i) =>
      certStatus.type === 'revoked' && context.meant?.[i]?.issued === false && !isExtendedRevoke(certStatus),
  ),
  single(
    'R1.36',
    'non-issued-extensions',
    'error',
    WHERE.revoked | WHERE.singleExtensions,
    'there must be no CRL reference and no CRL entry extension for a serial number never issued',
    ({ certStatus, singleExtensions = [] }) =>
      isExtendedRevoke(certStatus) && singleExtensions.some(({ extnID }) => OF_CRL_ENTRIES.has(extnID)),
  ),
  single(
    'R1.36',
    'extended-revoke-absent',
    'error',
    WHERE.revoked,
    'certificateHold at 19700101000000Z needs id-pkix-ocsp-extended-revoke in responseExtensions',
    ({ certStatus }, { extensions }) =>
      isExtendedRevoke(certStatus) && !extensions.some(({ extnID }) => extnID === OID.ocspExtendedRevoke),
  ),
]

/** CRL references, reasonCode, invalidityDate, certificateIssuer. */
const OF_CRL_ENTRIES = new Set<string>([OID.ocspCRL, OID.crlReasonCode, OID.invalidityDate, '2.5.29.29'])

/** What RFC 6960 2.2 says of serial numbers that were never issued. */
function isExtendedRevoke(status: CertStatus): boolean {
  return status.type === 'revoked' && status.revocationReason === HOLD && status.revocationTime === 0
}

function reasonOf(status: CertStatus): number | undefined {
  return status.type === 'revoked' ? status.revocationReason : undefined
}

export function sameStatus(a: CertStatus, b: CertStatus): boolean {
  if (a.type === 'revoked' && b.type === 'revoked')
    return a.revocationTime === b.revocationTime && a.revocationReason === b.revocationReason
  return a.type === b.type
}

/** Parameters NULL and absent mean the same. */
function sameCertID(a: CertID, b: CertID): boolean {
  return (
    a.hashAlgorithm.algorithm === b.hashAlgorithm.algorithm &&
    sameOctets(a.serialNumber, b.serialNumber) &&
    sameOctets(a.issuerNameHash, b.issuerNameHash) &&
    sameOctets(a.issuerKeyHash, b.issuerKeyHash)
  )
}

function serialOf(certID: CertID | undefined): string | false {
  return certID !== undefined && `serial ${formatSerial(certID.serialNumber)}`
}

/** Two hashes of one issuer name the same certificate; two values of one hash do not. */
function conflict(responses: readonly SingleResponse[]): string | false {
  if (responses.length < 2) return false
  const bySerial = new Map<string, SingleResponse[]>()
  for (const one of responses) {
    const serial = formatSerial(one.certID.serialNumber)
    const others = bySerial.get(serial) ?? []
    const isOther = others.some(
      (other) =>
        !sameStatus(one.certStatus, other.certStatus) &&
        (sameCertID(one.certID, other.certID) ||
          one.certID.hashAlgorithm.algorithm !== other.certID.hashAlgorithm.algorithm),
    )
    if (isOther) return `serial ${serial}`
    bySerial.set(serial, [...others, one])
  }
  return false
}
