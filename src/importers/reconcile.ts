/**
 * What a record would change, by the rules that the record itself enforces (law 2). Pure: for showing a plan before
 * anything is sent; the store decides again, and finally, when it is.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertificateRecord, CRLReference } from './importer.ts'

type CertificateStatus = 'good' | 'revoked' | 'hold' | 'released' | 'reserved'

/** What is recorded now. */
export interface RecordedStatus {
  readonly status: CertificateStatus
  readonly revocationTime?: UnixSeconds | undefined
  /** CRLReason by name. */
  readonly reason?: string | undefined
  readonly notAfter?: UnixSeconds | undefined
  readonly invalidityDate?: UnixSeconds | undefined
  readonly crl?: CRLReference | undefined
  /** Known as the certificate of a CA. */
  readonly isCA?: boolean | undefined
}

/** What the issuer of both allows. */
export interface IssuerRules {
  /** `public-trust` knows no certificateHold (Baseline Requirements 4.9.13), and no revoked CA without a reason (7.3). */
  readonly profile: 'private' | 'public-trust'
  /** Its responses are final: nothing changes any more. */
  readonly isFinal: boolean
}

/** Of subscribers' certificates, Baseline Requirements 7.2.2; certificateHold is a status here. */
const BARRED_REASONS: ReadonlySet<string | undefined> = new Set(['cACompromise', 'aACompromise'])

export type PlannedOutcome = 'added' | 'changed' | 'unchanged' | { readonly refused: string }

/**
 * The law of the record (storage/certificate-plan.ts).
 * @param current undefined: not recorded
 */
export function planRecord(
  current: RecordedStatus | undefined,
  record: CertificateRecord,
  { profile, isFinal }: IssuerRules,
): PlannedOutcome {
  const planned = planLawful(current, record, profile)
  if (!isFinal || (planned !== 'added' && planned !== 'changed')) return planned
  return { refused: 'the responses of the issuer are final; its record stands still' }
}

function planLawful(
  current: RecordedStatus | undefined,
  record: CertificateRecord,
  profile: IssuerRules['profile'],
): PlannedOutcome {
  if (current?.status === 'revoked' && record.status !== 'revoked') return { refused: 'revoked; that stays' }
  if (record.status === 'hold' && current?.status !== 'hold' && profile === 'public-trust') {
    return { refused: 'certificateHold is not allowed under public-trust' }
  }
  if (profile === 'public-trust' && BARRED_REASONS.has(record.reason)) {
    return { refused: `the reason ${record.reason} is not allowed under public-trust` }
  }
  if (profile === 'public-trust' && current?.isCA === true && leavesReasonOut(current, record)) {
    return { refused: 'the certificate of a CA; under public-trust its revocation needs a reason' }
  }
  if (current === undefined) return 'added'
  const sameDate =
    record.notAfter === undefined || current.notAfter === undefined || record.notAfter === current.notAfter
  if (record.status === 'good') {
    if (current.status === 'hold') return { refused: 'on hold; only "edge-ocsp unrevoke" releases it' }
    // Spoken for, and now reported as issued (R1.42).
    if (current.status === 'reserved' && sameDate) return 'changed'
  } else if (current.status !== record.status || !isSameRevocation(current, record)) {
    return 'changed'
  }
  if (!sameDate) return { refused: 'recorded with another notAfter' }
  // What was not known is filled in; a known date never changes.
  const isNews =
    (record.notAfter !== undefined && current.notAfter === undefined) ||
    (record.invalidityDate !== undefined && record.invalidityDate !== current.invalidityDate) ||
    (record.crl !== undefined && !isSameCRL(current.crl, record.crl))
  return isNews ? 'changed' : 'unchanged'
}

function isSameRevocation(current: RecordedStatus, record: CertificateRecord): boolean {
  const sameTime = record.revocationTime === undefined || record.revocationTime === current.revocationTime
  const sameReason = record.reason === undefined || record.reason === current.reason
  return sameTime && sameReason
}

function isSameCRL(a: CRLReference | undefined, b: CRLReference): boolean {
  return a?.url === b.url && a?.number === b.number && a?.time === b.time
}

function leavesReasonOut(current: RecordedStatus, record: CertificateRecord): boolean {
  if (record.status !== 'revoked' || record.reason !== undefined) return false
  return current.status !== 'revoked' || current.reason === undefined
}
