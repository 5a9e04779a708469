/** What a response is judged by. Every part may be missing: checks that need it are then not judged. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'
import type { IssuerHashes } from '../ports/records.ts'

/**
 * `private` is the lightweight profile of RFC 9919, `public-trust` that and the Baseline Requirements with the root
 * programs (protocol section 4). Without one, RFC 6960 alone decides, and what RFC 9919 adds is a warning.
 */
export type LintProfile = 'private' | 'public-trust'

/** One SingleResponse as it was meant. */
export interface MeantSingle {
  readonly hashAlgorithm: HashAlgorithm
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
  readonly serialNumber: Uint8Array
  readonly certStatus: CertStatus
  readonly thisUpdate: UnixSeconds
  readonly nextUpdate: UnixSeconds
  /** DER of Extensions; undefined: none are meant. */
  readonly singleExtensions?: Uint8Array | undefined
  /** False: no certificate of that serial number was issued (R1.33, R1.36). */
  readonly issued?: boolean | undefined
}

/** The CA named in the CertIDs. */
export interface IssuerFacts {
  readonly hashes?: Readonly<Partial<Record<HashAlgorithm, IssuerHashes>>>
  readonly notBefore?: UnixSeconds
  readonly notAfter?: UnixSeconds
}

/** Who signs. */
export interface ResponderFacts {
  /** SHA-1 of the key bits. */
  readonly keyHash?: Uint8Array
  /** DER of the subject Name; without it a ResponderID byName matches nothing. */
  readonly subject?: Uint8Array
  /** DER of the delegated certificate; `none` when the CA signs itself. */
  readonly certificate?: Uint8Array | 'none'
  readonly notBefore?: UnixSeconds
  readonly notAfter?: UnixSeconds
  /** DER of the AlgorithmIdentifier that has to stand beside the signature. */
  readonly signatureAlgorithm?: Uint8Array
  /** DER of SubjectPublicKeyInfo. */
  readonly spki?: Uint8Array
}

/** A certificate that the response may be about. */
export interface CertificateFacts {
  /** Content octets of the INTEGER. */
  readonly serialNumber: Uint8Array
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  readonly isCA?: boolean
  /** Digest of the whole DER, to compare with certHash. */
  readonly digest?: (hash: HashAlgorithm) => Uint8Array
}

export interface LintContext {
  readonly profile?: LintProfile
  readonly now?: UnixSeconds
  readonly issuer?: IssuerFacts
  readonly responder?: ResponderFacts
  /** What was asked; `nonce` is extnValue of the request's nonce. */
  readonly question?: { readonly certIDs: readonly CertID[]; readonly nonce?: Uint8Array | undefined }
  /** In the order of the responses. */
  readonly meant?: readonly MeantSingle[]
  /** responseExtensions that are meant, all of them. */
  readonly meantExtensions?: readonly Extension[]
  readonly certificates?: readonly CertificateFacts[]
  /** What archiveCutoff has to say: the issuer's notBefore (R4.51), or so many seconds before producedAt (R1.83). */
  readonly archiveCutoff?: 'issuer' | number
}
