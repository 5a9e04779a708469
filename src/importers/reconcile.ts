/**
 * What a record would change, by the rules that the record itself enforces (law 2). Pure: for showing a plan before
 * anything is sent; the store decides again, and finally, when it is.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertificateStatus } from '../responder/records.ts'
import type { CertificateRecord } from './importer.ts'

/** What is recorded now. */
export interface RecordedStatus {
  readonly status: CertificateStatus
  readonly revocationTime?: UnixSeconds | undefined
  /** CRLReason by name. */
  readonly reason?: string | undefined
  readonly notAfter?: UnixSeconds | undefined
}

export type PlannedOutcome = 'added' | 'changed' | 'unchanged' | { readonly refused: string }

/** @param current undefined: not recorded */
export function planRecord(current: RecordedStatus | undefined, record: CertificateRecord): PlannedOutcome {
  if (current === undefined) return 'added'
  if (
    current.notAfter !== undefined &&
    record.notAfter !== undefined &&
    current.notAfter !== record.notAfter
  ) {
    return { refused: `recorded with another notAfter (${current.notAfter}, not ${record.notAfter})` }
  }
  const filledIn = current.notAfter === undefined && record.notAfter !== undefined
  switch (record.status) {
    case 'good':
      return planGood(current.status, filledIn)
    case 'hold':
      if (current.status === 'revoked') return { refused: 'revoked; a hold would take that back' }
      return current.status === 'hold' && sameRevocation(current, record) && !filledIn
        ? 'unchanged'
        : 'changed'
    case 'revoked':
      return current.status === 'revoked' && sameRevocation(current, record) && !filledIn
        ? 'unchanged'
        : 'changed'
  }
}

function planGood(current: CertificateStatus, filledIn: boolean): PlannedOutcome {
  switch (current) {
    case 'revoked':
      return { refused: 'revoked; that stays' }
    case 'hold':
      return { refused: 'on hold; only "edge-ocsp unrevoke" releases it' }
    case 'good':
    case 'released':
      return filledIn ? 'changed' : 'unchanged'
  }
}

function sameRevocation(current: RecordedStatus, record: CertificateRecord): boolean {
  const sameTime = record.revocationTime === undefined || record.revocationTime === current.revocationTime
  const sameReason = record.reason === undefined || record.reason === current.reason
  return sameTime && sameReason
}
