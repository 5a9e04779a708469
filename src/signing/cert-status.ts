/** The record's row in the words of RFC 6960. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import { StorageError } from '../ports/errors.ts'
import type { CertificateRow, IssuerRecord } from '../ports/records.ts'

const CERTIFICATE_HOLD = 6
const CA_COMPROMISE = 2

/**
 * @param issuer revokes everything once its key is compromised (R1.41)
 * @throws StorageError.reserved for a serial that is spoken for (R1.42)
 */
export function certStatusOf(row: CertificateRow, issuer?: IssuerRecord): CertStatus {
  const compromise = issuer === undefined ? undefined : compromiseOf(issuer)
  switch (row.status) {
    case 'good':
    case 'released':
      return compromise ?? { type: 'good' }
    case 'reserved':
      if (compromise !== undefined) return compromise
      throw new StorageError('reserved', 'the serial is reserved: whether it was issued is not known yet')
    case 'hold':
      return (
        compromise ?? {
          type: 'revoked',
          revocationTime: row.revocationTime,
          revocationReason: CERTIFICATE_HOLD,
        }
      )
    case 'revoked':
      // Reason 0 is expressed by leaving the field out (R4.22).
      return row.reason === undefined || row.reason === 0
        ? { type: 'revoked', revocationTime: row.revocationTime }
        : { type: 'revoked', revocationTime: row.revocationTime, revocationReason: row.reason }
  }
}

/** What every serial of a compromised CA is, recorded or not; undefined when it is not compromised (RFC 6960 2.7, R1.41). */
export function compromiseOf({
  compromisedAt,
  policy,
}: Pick<IssuerRecord, 'compromisedAt' | 'policy'>): CertStatus | undefined {
  if (compromisedAt === undefined) return undefined
  // BR 7.2.2 has no cACompromise for subscriber certificates (R4.22).
  return policy.profile === 'public-trust'
    ? { type: 'revoked', revocationTime: compromisedAt }
    : { type: 'revoked', revocationTime: compromisedAt, revocationReason: CA_COMPROMISE }
}

/** Before this, the row's status was another one: thisUpdate must not lie earlier (attack 15, R1.31, R1.65). */
export function earliestThisUpdate(row: CertificateRow, issuer?: IssuerRecord): UnixSeconds {
  const revocationTime = row.status === 'revoked' || row.status === 'hold' ? row.revocationTime : 0
  return Math.max(row.changedAt, revocationTime, row.notBefore, issuer?.compromisedAt ?? 0)
}
