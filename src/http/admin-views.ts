/** Records as JSON. Fields are named one by one: a field that a record gains later (a key, say) does not leak out here. */
import type * as answer from '../admin-api/contract.ts'
import { formatTime, REASON_NAMES } from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import { formatPEM } from '../pkix/pem.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import { formatDigits } from '../ports/moves.ts'
import type { CertificateRow, IssuerRecord, ResponderRecord } from '../ports/records.ts'
import { extensionsView } from './admin-extensions.ts'
import { hexOf } from './admin-hex.ts'

/** Neither retired nor outside its validity. */
export function isUsable(
  responder: Pick<ResponderRecord, 'retired' | 'notBefore' | 'notAfter'>,
  now: UnixSeconds,
): boolean {
  return !responder.retired && responder.notBefore <= now && now < responder.notAfter
}

/** The one that signs new windows: the newest valid one (architecture.md section 6). */
export function activeResponder(issuer: IssuerRecord, now: UnixSeconds): ResponderRecord | undefined {
  return issuer.responders
    .filter((responder) => isUsable(responder, now))
    .toSorted((a, b) => b.notBefore - a.notBefore || b.id - a.id)[0]
}

function stateOf(
  responder: ResponderRecord,
  issuer: IssuerRecord,
  now: UnixSeconds,
): answer.Responder['state'] {
  if (responder.retired) return 'retired'
  if (now < responder.notBefore) return 'notYetValid'
  if (now >= responder.notAfter) return 'expired'
  return activeResponder(issuer, now)?.id === responder.id ? 'active' : 'standby'
}

export function responderView(
  responder: ResponderRecord,
  issuer: IssuerRecord,
  now: UnixSeconds,
): answer.Responder {
  const { certificate, secretName } = responder
  return {
    id: responder.id,
    name: responder.name,
    kind: certificate === undefined ? 'ca' : 'delegated',
    state: stateOf(responder, issuer, now),
    algorithm: responder.algorithm,
    custody: responder.custody,
    ...(secretName !== undefined && { secretName }),
    keyHash: hexOf(responder.keyHash),
    notBefore: formatTime(responder.notBefore),
    notAfter: formatTime(responder.notAfter),
    ...(certificate !== undefined && { certificate: formatPEM('CERTIFICATE', certificate) }),
  }
}

export function issuerView(issuer: IssuerRecord, now: UnixSeconds, subject?: string): answer.Issuer {
  const { policy } = issuer
  return {
    id: issuer.id,
    name: issuer.name,
    ski: issuer.ski,
    ...(subject !== undefined && { subject }),
    enabled: issuer.enabled,
    notBefore: formatTime(issuer.notBefore),
    notAfter: formatTime(issuer.notAfter),
    policy: {
      profile: policy.profile,
      unknown: policy.unknown,
      nonce: policy.nonce,
      validitySeconds: policy.validitySeconds,
      maxAge: policy.maxAge,
      hashes: [...policy.hashes],
      retainSeconds: policy.retainSeconds,
      signedRequests: policy.signedRequests,
      requestors: policy.requestors.map((der) => formatPEM('CERTIFICATE', der)),
      archiveCutoff: policy.archiveCutoff,
      algorithm: policy.algorithm ?? null,
    },
    configRev: issuer.configRev,
    certificatePath: `/issuers/${issuer.name}.cer`,
    certificate: formatPEM('CERTIFICATE', issuer.certificate),
    compromisedAt: issuer.compromisedAt === undefined ? null : formatTime(issuer.compromisedAt),
    finalAt: issuer.finalAt === undefined ? null : formatTime(issuer.finalAt),
    responders: issuer.responders.map((responder) => responderView(responder, issuer, now)),
    ...sharesView(issuer),
    ...(issuer.partsDiffer && { partsDiffer: true as const }),
  }
}

/** Nothing where everything is in one database. */
export function sharesView({ parts }: Pick<IssuerRecord, 'parts'>): Pick<answer.Issuer, 'databases'> {
  return parts === undefined
    ? {}
    : {
        databases: parts.map(({ database, away, moving, fresh }) => ({
          ...{ database, digits: formatDigits(~away), moving, fresh },
        })),
      }
}

export function certificateView(row: CertificateRow, issuer: IssuerRecord): answer.Certificate {
  const name = row.reason === undefined ? undefined : crlReasonName(row.reason)
  const reason = REASON_NAMES.find((known) => known === name)
  return {
    issuer: issuer.name,
    serial: formatSerial(row.serial),
    status: row.status,
    ...(row.revocationTime > 0 && { revocationTime: formatTime(row.revocationTime) }),
    ...(reason !== undefined && { reason }),
    ...(row.notBefore > 0 && { notBefore: formatTime(row.notBefore) }),
    ...(row.notAfter > 0 && { notAfter: formatTime(row.notAfter) }),
    ...(row.changedAt > 0 && { changedAt: formatTime(row.changedAt) }),
    ...(row.isCA === true && { ca: true as const }),
    ...(row.extensions !== undefined && extensionsView(row.extensions)),
    revision: row.rev,
  }
}
