import { contextConstructed, contextPrimitive, type DERReader } from '../asn1/der-reader.ts'
import type { DERWriter } from '../asn1/der-writer.ts'
import { DERError } from '../asn1/error.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'

/**
 * CertStatus ::= CHOICE { good [0] IMPLICIT NULL, revoked [1] IMPLICIT RevokedInfo, unknown [2] IMPLICIT NULL }
 * RevokedInfo ::= SEQUENCE { revocationTime GeneralizedTime, revocationReason [0] EXPLICIT CRLReason OPTIONAL }
 * @see RFC 6960 4.2.1
 */
export type CertStatus =
  | { readonly type: 'good' }
  | {
      readonly type: 'revoked'
      readonly revocationTime: UnixSeconds
      /** CRLReason number; absent when not known. */
      readonly revocationReason?: number
    }
  | { readonly type: 'unknown' }

const GOOD = contextPrimitive(0)
const REVOKED = contextConstructed(1)
const UNKNOWN = contextPrimitive(2)
const EMPTY = new Uint8Array(0)

/** @throws DERError */
export function readCertStatus(reader: DERReader): CertStatus {
  switch (reader.peekTag()) {
    case GOOD:
      reader.empty(GOOD)
      return { type: 'good' }
    case REVOKED:
      return reader.constructed(REVOKED, readRevokedInfo)
    case UNKNOWN:
      reader.empty(UNKNOWN)
      return { type: 'unknown' }
    default:
      throw new DERError('unexpectedTag', reader.offset, 'CertStatus')
  }
}

function readRevokedInfo(reader: DERReader): CertStatus {
  const revocationTime = reader.generalizedTime()
  const revocationReason = reader.optionalExplicit(0, readReason)
  return { type: 'revoked', revocationTime, ...(revocationReason !== undefined && { revocationReason }) }
}

function readReason(reader: DERReader): number {
  return reader.enumerated()
}

export function writeCertStatus(status: CertStatus, writer: DERWriter): void {
  switch (status.type) {
    case 'good':
      writer.primitive(GOOD, EMPTY)
      break
    case 'revoked':
      writer.constructed(REVOKED, (w) => {
        const { revocationReason } = status
        w.generalizedTime(status.revocationTime)
        if (revocationReason !== undefined) w.explicit(0, (r) => r.enumerated(revocationReason))
      })
      break
    case 'unknown':
      writer.primitive(UNKNOWN, EMPTY)
  }
}
