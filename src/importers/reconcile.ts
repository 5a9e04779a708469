/**
 * What a record would change, by the rules that the record itself enforces (law 2). Pure: for showing a plan before
 * anything is sent; the store decides again, and finally, when it is.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertificateRecord } from './importer.ts'

type CertificateStatus = 'good' | 'revoked' | 'hold' | 'released' | 'reserved'

/** What is recorded now. */
export interface RecordedStatus {
  readonly status: CertificateStatus
  readonly revocationTime?: UnixSeconds | undefined
  /** CRLReason by name. */
  readonly reason?: string | undefined
  readonly notAfter?: UnixSeconds | undefined
}

export type PlannedOutcome = 'added' | 'changed' | 'unchanged' | { readonly refused: string }

/**
 * @param current undefined: not recorded
 * @param profile of the issuer: `public-trust` knows no certificateHold (Baseline Requirements 4.9.13)
 */
export function planRecord(
  current: RecordedStatus | undefined,
  record: CertificateRecord,
  profile: 'private' | 'public-trust',
): PlannedOutcome {
  if (current?.status === 'revoked' && record.status !== 'revoked') return { refused: 'revoked; that stays' }
  if (record.status === 'hold' && current?.status !== 'hold' && profile === 'public-trust') {
    return { refused: 'certificateHold is not allowed under public-trust' }
  }
  if (current === undefined) return 'added'
  if (record.status === 'good') {
    if (current.status === 'hold') return { refused: 'on hold; only "edge-ocsp unrevoke" releases it' }
  } else if (current.status !== record.status || !isSameRevocation(current, record)) {
    return 'changed'
  }
  if (record.notAfter === undefined || record.notAfter === current.notAfter) return 'unchanged'
  // A date that was not known is filled in; a known one never changes.
  return current.notAfter === undefined ? 'changed' : { refused: 'recorded with another notAfter' }
}

function isSameRevocation(current: RecordedStatus, record: CertificateRecord): boolean {
  const sameTime = record.revocationTime === undefined || record.revocationTime === current.revocationTime
  const sameReason = record.reason === undefined || record.reason === current.reason
  return sameTime && sameReason
}
