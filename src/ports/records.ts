/**
 * The records that the responder works on, as D1 keeps them. Times are Unix seconds; `rev`, `seq`, `asOf`, `floor` and
 * `head` are positions in an issuer's sequence (max(seq + 1, unix milliseconds * 1000), below 2^53).
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'

/** A position in the sequence of one issuer. */
export type Sequence = number

/**
 * Stored status of a certificate. `released` is good again after certificateHold (removeFromCRL); `reserved` is a serial
 * number that is being used for a certificate whose signing has not been reported yet (R1.42): not answered until it is.
 */
export type CertificateStatus = 'good' | 'revoked' | 'hold' | 'released' | 'reserved'

/** A certificate's row. `serial` is the minimal content octets of the INTEGER (two's complement). */
export interface CertificateRow {
  readonly serial: Uint8Array
  readonly status: CertificateStatus
  /** Time of revocation or hold; 0 when there was none. */
  readonly revocationTime: UnixSeconds
  /** CRLReason number; undefined = unspecified (RFC 5280 5.3.1: the field is left out). */
  readonly reason: number | undefined
  /** 0 when not known. */
  readonly notBefore: UnixSeconds
  /** 0 when not known. */
  readonly notAfter: UnixSeconds
  /** Time of the last status transition; 0 for a row as first recorded. */
  readonly changedAt: UnixSeconds
  readonly rev: Sequence
  /** Certificate of a CA: its revocation needs a reason (R4.21). */
  readonly isCA?: boolean
  /** DER of Extensions for singleExtensions: certHash, SCTs, CRL reference, invalidityDate; see signing/single-extensions.ts. */
  readonly extensions?: Uint8Array
}

/**
 * How to answer for a serial number that is not recorded (R1.35). `good` is for issuers known by CRL alone;
 * `revoked-extended` is the extended revoked of RFC 6960 2.2 and 4.4.8.
 */
export type UnknownPolicy = 'unauthorized' | 'unknown' | 'revoked-extended' | 'good'

export interface IssuerPolicy {
  readonly unknown: UnknownPolicy
  /** `rfc8954`: echo, but more than 32 octets are malformed (R3.12). */
  readonly nonce: 'echo' | 'ignore' | 'rfc8954'
  readonly profile: 'private' | 'public-trust'
  /** Length of a window: nextUpdate = thisUpdate + validitySeconds - 1. */
  readonly validitySeconds: number
  /** Cap of max-age: to nextUpdate, to the moment of re-signing, or this many seconds. */
  readonly maxAge: 'next-update' | 'refresh' | number
  /** CertID hashes with a pre-signed variant. */
  readonly hashes: readonly HashAlgorithm[]
  /** How long a row is kept (and answered) after the certificate's notAfter. */
  readonly retainSeconds: number
  /** Signed requests (R1.24, R1.25, R1.95): as if unsigned; wrong ones refused; unsigned ones refused too. */
  readonly signedRequests: 'ignore' | 'verify' | 'require'
  /** DER of the certificates that may sign requests, and of CAs whose certificates may. */
  readonly requestors: readonly Uint8Array[]
  /** archiveCutoff in singleExtensions: producedAt - retainSeconds (R1.83), or the issuer's notBefore (R4.51). */
  readonly archiveCutoff: 'none' | 'retention' | 'issuer'
  /** Signs when responders of several algorithms are active and the client prefers none; undefined: that of the newest. */
  readonly algorithm: SignatureAlgorithm | undefined
}

/** Public part of a responder: who signs. The private key is read apart, through KeyStore. */
export interface ResponderRecord {
  readonly id: number
  readonly name: string
  /** DER of the delegated certificate; undefined when the CA key signs itself (R1.59). */
  readonly certificate: Uint8Array | undefined
  /** SHA-1 of the public key's BIT STRING value, 20 octets: ResponderID byKey. */
  readonly keyHash: Uint8Array
  readonly algorithm: SignatureAlgorithm
  readonly custody: 'wrapped' | 'secret'
  /** Name of the Worker secret that holds the key (custody `secret`). */
  readonly secretName: string | undefined
  /** DER of SubjectPublicKeyInfo, to verify what was signed. */
  readonly spki: Uint8Array
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  readonly retired: boolean
}

/** Names of the signature algorithms a responder may use; see signing/webcrypto-signer.ts for their identifiers. */
export type SignatureAlgorithm =
  | 'sha256WithRSAEncryption'
  | 'rsassaPss-sha256'
  | 'ecdsa-with-SHA256'
  | 'ecdsa-with-SHA384'
  | 'ecdsa-with-SHA512'
  | 'Ed25519'

export interface IssuerHashes {
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
}

/** One certification authority that we answer for. */
export interface IssuerRecord {
  readonly id: number
  /** Short name, [a-z0-9-]{1,64}, unique. */
  readonly name: string
  /** Subject key identifier, lower-case hex (of the certificate, else SHA-1 of the key bits). */
  readonly ski: string
  readonly certificate: Uint8Array
  readonly hashes: Readonly<Record<HashAlgorithm, IssuerHashes>>
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  readonly policy: IssuerPolicy
  readonly enabled: boolean
  /** The CA's key is compromised: from this time on every serial number is revoked (R1.41). Never taken back. */
  readonly compromisedAt?: UnixSeconds
  /** Nothing changes any more, and responses are final: nextUpdate is 99991231235959Z (R4.52). Never taken back. */
  readonly finalAt?: UnixSeconds
  /** Sequence of the last change of this record or its responders. */
  readonly configRev: Sequence
  readonly responders: readonly ResponderRecord[]
  /** Where there are several databases, or it is not all here: what each has, by database. */
  readonly parts?: readonly IssuerPart[]
  /** The parts are not configured alike. */
  readonly partsDiffer?: boolean
}

/** One entry of the overlay: this serial changed at `seq`; older artefacts about it are unusable. */
export interface OverlayItem {
  readonly issuer: number
  readonly serial: Uint8Array
  readonly seq: Sequence
}

/** What of an issuer one database has, when it is not simply everything (ADR 0016). */
export interface Share {
  /** Bit n: serials whose hash begins with the hex digit n are in another database. */
  readonly away: number
  /** Of what is here, another database may have the newer claim. */
  readonly moving: boolean
  /** This claim is newer than any other. */
  readonly fresh: boolean
}

/** What one database has of an issuer. */
export interface IssuerPart extends Share {
  readonly database: number
  /** Masks as `away`: here, but no more written; and not here yet. */
  readonly leaving: number
  readonly arriving: number
  readonly frozen: boolean
}

/** What D1 says of one issuer for the overlay root. */
export interface OverlayIssuer {
  readonly id: number
  readonly head: Sequence
  readonly floor: Sequence
  readonly k: number
  readonly configRev: Sequence
  readonly enabled: boolean
  /** The record was restored from a backup and has not been thawed: nothing new is signed. */
  readonly frozen: boolean
  /** undefined: all of its certificates are here, for good. */
  readonly share?: Share | undefined
  readonly hashes: Readonly<Record<HashAlgorithm, IssuerHashes>>
}

/** Issuers whose key hash under `algorithm` begins with `octet`, as they stood when this version of the page was written. */
export interface DirectoryPage {
  readonly algorithm: HashAlgorithm
  readonly octet: number
  readonly version: number
}

/** Older changes, in immutable values of their own: 2^bits of them, by the top bits of an item's first hash. */
export interface OverlaySegment {
  /** Names its values; never used twice. */
  readonly version: number
  /** `items` says the seq of each; a match in a `filter` means that an artefact must be as new as `lastSeq`. */
  readonly kind: 'items' | 'filter'
  readonly bits: number
  /** Of a filter: bits tested for a serial. */
  readonly probes: number
  /** The one issuer whose changes it holds; undefined: of any. */
  readonly issuer: number | undefined
  /** Of the hashes; uint32. */
  readonly seed: number
  readonly count: number
  /** The highest seq in it; 0: it is empty. */
  readonly lastSeq: Sequence
  /** After that nothing in it matters any more; undefined: for now without an end, since it is to be written anew. */
  readonly keepUntil: UnixSeconds | undefined
}

/** Artefacts about serials whose hash lies in a range are unusable below `floor`. */
export interface RangeFloor {
  readonly issuer: number
  /** uint32, inclusive. */
  readonly from: number
  readonly to: number
  readonly floor: Sequence
}

/** Everything the overlay root is made of, read in one transaction. */
export interface OverlaySnapshot {
  /** Of the whole record: raised in the same transaction as every issuer's seq. */
  readonly position: Sequence
  /** Those that changed since their directory pages were written. */
  readonly issuers: readonly OverlayIssuer[]
  readonly pages: readonly DirectoryPage[]
  readonly segments: readonly OverlaySegment[]
  readonly floors: readonly RangeFloor[]
  /** What changed since the last segment was written. */
  readonly items: readonly OverlayItem[]
}
