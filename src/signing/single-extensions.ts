/** Which extensions the SingleResponse of a recorded certificate bears: those recorded with it, and the archive cutoff. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import { archiveCutoff } from '../ocsp/single-extensions.ts'
import { decodeExtensions, type Extension, encodeExtensions } from '../pkix/extensions.ts'
import type { CertificateRow, IssuerRecord } from '../ports/records.ts'

/** About the revocation, and never beside another status (R1.36, R1.81, R1.84). */
const OF_REVOCATIONS: ReadonlySet<string> = new Set([OID.ocspCRL, OID.invalidityDate])
const NONE: readonly Extension[] = []

/** Recorded with the certificate, as far as its status lets them stand. @throws DERError when the record is broken */
export function recordedExtensions(row: CertificateRow): readonly Extension[] {
  if (row.extensions === undefined) return NONE
  const isRevoked = row.status === 'revoked' || row.status === 'hold'
  return decodeExtensions(row.extensions).filter(({ extnID }) => isRevoked || !OF_REVOCATIONS.has(extnID))
}

/** The same, read back from a response that we signed. @throws DERError */
export function recordedIn(singleExtensions: Uint8Array | undefined): readonly Extension[] {
  if (singleExtensions === undefined) return NONE
  return decodeExtensions(singleExtensions).filter(({ extnID }) => extnID !== OID.ocspArchiveCutoff)
}

/** The extensions of a response that is produced at `producedAt`; undefined for none, which is the usual case. */
export function singleExtensions(
  issuer: Pick<IssuerRecord, 'policy' | 'notBefore'>,
  recorded: readonly Extension[],
  producedAt: UnixSeconds,
): readonly Extension[] | undefined {
  switch (issuer.policy.archiveCutoff) {
    case 'none':
      return recorded.length === 0 ? undefined : recorded
    case 'retention': // RFC 6960 4.4.4
      return [...recorded, archiveCutoff(producedAt - issuer.policy.retainSeconds)]
    case 'issuer': // EN 319 411-2 CSS-6.3.10-10: nothing is ever dropped (R4.51)
      return [...recorded, archiveCutoff(issuer.notBefore)]
  }
}

/**
 * For many certificates of one window: DER of Extensions, encoded once for all that have nothing recorded.
 * @returns a function of the row
 */
export function encodedExtensions(
  issuer: Pick<IssuerRecord, 'policy' | 'notBefore'>,
  producedAt: UnixSeconds,
): (row: CertificateRow) => Uint8Array | undefined {
  const common = encoded(singleExtensions(issuer, NONE, producedAt))
  return (row) =>
    row.extensions === undefined
      ? common
      : encoded(singleExtensions(issuer, recordedExtensions(row), producedAt))
}

function encoded(list: readonly Extension[] | undefined): Uint8Array | undefined {
  return list === undefined ? undefined : encodeExtensions(list)
}
