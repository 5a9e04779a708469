/** The record's row in the words of RFC 6960. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { CertificateRow } from '../ports/records.ts'

const CERTIFICATE_HOLD = 6

export function certStatusOf(row: CertificateRow): CertStatus {
  switch (row.status) {
    case 'good':
    case 'released':
      return { type: 'good' }
    case 'hold':
      return { type: 'revoked', revocationTime: row.revocationTime, revocationReason: CERTIFICATE_HOLD }
    case 'revoked':
      // Reason 0 is expressed by leaving the field out (R4.22).
      return row.reason === undefined || row.reason === 0
        ? { type: 'revoked', revocationTime: row.revocationTime }
        : { type: 'revoked', revocationTime: row.revocationTime, revocationReason: row.reason }
  }
}

/** Before this, the row's status was another one: thisUpdate must not lie earlier (attack 15, R1.31, R1.65). */
export function earliestThisUpdate(row: CertificateRow): UnixSeconds {
  const revocationTime = row.status === 'revoked' || row.status === 'hold' ? row.revocationTime : 0
  return Math.max(row.changedAt, revocationTime, row.notBefore)
}
