/** A decoded request, resolved: which issuer, which serials, under which overlay. */
import { serialHash } from '../bundle/slot.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import type { Nonce } from '../ocsp/nonce.ts'
import type { RootIssuer } from '../overlay/root.ts'
import type { IssuerPlace, OverlayView } from '../overlay/view.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import type { IssuerRecord, Sequence, SignatureAlgorithm } from '../ports/records.ts'
import type { Seen } from './seen.ts'

/** One CertID of the request. */
export interface Asked {
  readonly certID: CertID
  readonly hashAlgorithm: HashAlgorithm
  /** Content octets of the serial number. */
  readonly serial: Uint8Array
  /** uint32, decides the slot. */
  readonly hash: number
  /** Lowest asOf that an answer about it must have. */
  readonly need: Sequence
}

export interface Query {
  readonly issuer: IssuerRecord
  readonly at: RootIssuer
  readonly first: Asked
  /** Every CertID, `first` included, in the order of the request (R1.10). */
  readonly asked: readonly Asked[]
  /** The nonce if this issuer echoes nonces. */
  readonly nonce: Nonce | undefined
  /** What the answer is to be signed with: a wish of the client's that a responder can fulfil (R1.86). */
  readonly algorithm?: SignatureAlgorithm
}

/** By what its issuer is found again under another root. */
export function placeOf({ issuer, first }: Query): IssuerPlace {
  return { id: issuer.id, algorithm: first.hashAlgorithm, keyHash: first.certID.issuerKeyHash }
}

/** Whether another database has the certificates of such a hash. */
export function isElsewhere({ share }: RootIssuer, hash: number): boolean {
  return share !== undefined && ((share.away >>> (hash >>> 28)) & 1) === 1
}

/** @param seen what this isolate has answered from the record and the root may not know yet */
export function ask(
  certID: CertID,
  hashAlgorithm: HashAlgorithm,
  root: OverlayView,
  at: RootIssuer,
  seen: Seen,
): Asked {
  const serial = certID.serialNumber
  const hash = serialHash(serial)
  const need = Math.max(root.need(at, serial, hash), seen.need(at, serial))
  return { certID, hashAlgorithm, serial, hash, need }
}
