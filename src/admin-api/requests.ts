/** What the admin API takes. Every object is strict: a field we do not know is refused, never ignored. */
import * as z from 'zod/mini'
import {
  ArchiveCutoffName,
  CertHash,
  CertificateText,
  CRLReference,
  HashName,
  IssuerName,
  NonceName,
  PrivateKeyText,
  ProfileName,
  Reason,
  SCTList,
  Serial,
  SignatureAlgorithmName,
  SignedRequestsName,
  Time,
  UnknownName,
} from './fields.ts'

/** Rows of one POST .../certificates. */
export const MAX_CERTIFICATES_PER_CALL = 1000
/** Octets of any request body. */
export const MAX_BODY_BYTES = 1_048_576

/** Certificates in `requestors`. */
export const MAX_REQUESTORS = 8
/** Hundred years: CAs of qualified certificates keep status for ten years after expiry, and some for longer (R4.50). */
export const MAX_RETAIN_SECONDS = 3_155_760_000

/** 0 = the binding DB, n = DB_n. */
const Database = z.int().check(z.gte(0), z.lte(15))

const seconds = z.int().check(z.gte(0), z.lte(315_360_000))

/** Every field is optional: what is missing keeps its value, or takes the default when the issuer is new. */
export const PolicyInput = z.strictObject({
  profile: z.optional(ProfileName),
  /** `good` needs `crlOnly: true` beside it. */
  unknown: z.optional(UnknownName),
  /** "I know this issuer by its CRL alone, so a serial that is not recorded is to be answered `good`." */
  crlOnly: z.optional(z.literal(true)),
  /** `rfc8954`: echo, but more than 32 octets are malformed (R3.12). */
  nonce: z.optional(NonceName),
  validitySeconds: z.optional(seconds.check(z.gte(1))),
  maxAge: z.optional(z.union([z.enum(['next-update', 'refresh']), seconds])),
  hashes: z.optional(z.array(HashName).check(z.minLength(1), z.maxLength(4))),
  /** How long a certificate is answered for after it has expired; up to 100 years. */
  retainSeconds: z.optional(z.int().check(z.gte(0), z.lte(MAX_RETAIN_SECONDS))),
  /** `verify` refuses requests that are signed wrongly, `require` those that are not signed too. Both need `requestors`. */
  signedRequests: z.optional(SignedRequestsName),
  /** Certificates that may sign requests, and of CAs whose certificates may. Replaces the list; [] empties it. */
  requestors: z.optional(z.array(CertificateText).check(z.maxLength(MAX_REQUESTORS))),
  /** archiveCutoff of responses: `retention` is producedAt - retainSeconds, `issuer` the notBefore of the CA (ETSI). */
  archiveCutoff: z.optional(ArchiveCutoffName),
  /** Signs when responders of several algorithms are active and the client prefers none; null: that of the newest. */
  algorithm: z.optional(z.nullable(SignatureAlgorithmName)),
})

export const ResponderInput = z.strictObject({
  /** Name among the issuer's responders; default: made of the certificate's notAfter. */
  name: z.optional(IssuerName),
  /** Delegated responder certificate. Exactly one of `certificate` and `signWithCA`. */
  certificate: z.optional(CertificateText),
  /** The issuer's own key signs the responses. */
  signWithCA: z.optional(z.literal(true)),
  /** Custody `wrapped`: the key, kept encrypted. Exactly one of `key` and `secretName`. */
  key: z.optional(PrivateKeyText),
  /** Custody `secret`: name of the Worker secret that holds the key as PKCS#8 PEM. */
  secretName: z.optional(
    z
      .string()
      .check(z.regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'expected the name of a Worker secret, [A-Z][A-Z0-9_]*')),
  ),
  /** Default: by the key (RSA: sha256WithRSAEncryption). */
  algorithm: z.optional(SignatureAlgorithmName),
})

export const IssuerInput = z.strictObject({
  certificate: CertificateText,
  /** Default: made of the certificate's common name. */
  name: z.optional(IssuerName),
  policy: z.optional(PolicyInput),
  /** Adds the first responder in the same call: nothing is recorded when it is refused. */
  responder: z.optional(ResponderInput),
  /**
   * Where there are several databases, those that share its certificates: the sixteen hex digits that the hash of a serial can
   * begin with are dealt to them evenly, the lowest to the first. Default: 0. A call that fails half-way is completed by repeating it.
   */
  databases: z.optional(z.array(Database).check(z.minLength(1), z.maxLength(16))),
})

export const IssuerPatch = z.strictObject({
  name: z.optional(IssuerName),
  enabled: z.optional(z.boolean()),
  policy: z.optional(PolicyInput),
})

export const CompromiseInput = z.strictObject({
  /** Since when the CA's key is compromised; default: now. An earlier time replaces a later one, never the reverse. */
  time: z.optional(Time),
})

export const FinalizeInput = z.strictObject({})

export const RetireInput = z.strictObject({
  /** The key leaked: nothing it signed may leave any more. Raises the issuer's floor. */
  compromised: z.optional(z.boolean()),
  /** Retire it although no usable responder is left. */
  force: z.optional(z.boolean()),
})

export const CertificateInput = z.strictObject({
  serial: Serial,
  /** `reserved`: spoken for, and not reported as issued yet; only for a serial that is not recorded (R1.42). */
  status: z.enum(['good', 'revoked', 'hold', 'reserved']),
  /** Of revocation or hold; default: now, cut to the minute. */
  revocationTime: z.optional(Time),
  reason: z.optional(Reason),
  notBefore: z.optional(Time),
  notAfter: z.optional(Time),
  /** The certificate of a CA: its revocation needs a reason under public-trust. Once true it stays. */
  ca: z.optional(z.boolean()),
  certHash: z.optional(CertHash),
  scts: z.optional(SCTList),
  /** Only of what is revoked or on hold, like `crl`. */
  invalidityDate: z.optional(Time),
  crl: z.optional(CRLReference),
  /** Line of the source it came from; comes back in the result. */
  line: z.optional(z.int().check(z.gte(1))),
})

/** The envelope; each row is checked by `CertificateInput` on its own, so that one bad row refuses only itself. */
export const CertificatesInput = z.strictObject({
  certificates: z.array(z.unknown()).check(z.minLength(1), z.maxLength(MAX_CERTIFICATES_PER_CALL)),
  /** false: commit only; an import of many calls ends with one POST /publish (the next minute's cron does it too). */
  publish: z.optional(z.boolean()),
})

export const RevocationInput = z.strictObject({
  serial: Serial,
  /** Default: unspecified (the field is left out of responses). `certificateHold` holds; it can be released. */
  reason: z.optional(Reason),
  /** Default: now, cut to the minute. */
  at: z.optional(Time),
  /** Since when the key is known or suspected to be compromised, or the certificate invalid otherwise. */
  invalidityDate: z.optional(Time),
  crl: z.optional(CRLReference),
})

export const ReleaseInput = z.strictObject({ serial: Serial })

export const PresignInput = z.strictObject({
  /** Short name, SKI or id; default: all issuers. */
  issuer: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
  /** Default true: also slots with new certificates that are not due yet. */
  all: z.optional(z.boolean()),
  /** Stop after about this many signatures, in units of one P-256 signature. */
  signatures: z.optional(z.int().check(z.gte(1), z.lte(1_000_000))),
})

export const RebuildInput = z.strictObject({
  /** Default: all issuers. */
  issuer: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
  /** `next` of the call before: goes on with the pages of the issuers after that id. */
  after: z.optional(z.int().check(z.gte(0))),
})

export const CanaryInput = z.strictObject({
  /** false: it is left as it stands. */
  enabled: z.boolean(),
})

export const IssuersQuery = z.strictObject({
  /** Only issuers with a higher id. */
  after: z.optional(z.coerce.number().check(z.int(), z.gte(0))),
  limit: z.optional(z.coerce.number().check(z.int(), z.gte(1), z.lte(500))),
})

export const AuditQuery = z.strictObject({
  after: z.optional(z.coerce.number().check(z.int(), z.gte(0))),
  limit: z.optional(z.coerce.number().check(z.int(), z.gte(1), z.lte(1000))),
  /** Each has an audit of its own, with ids of its own. Default: 0. */
  database: z.optional(z.coerce.number().check(z.int(), z.gte(0), z.lte(15))),
})

export type PolicyInput = z.input<typeof PolicyInput>
export type ResponderInput = z.input<typeof ResponderInput>
export type IssuerInput = z.input<typeof IssuerInput>
export type IssuerPatch = z.input<typeof IssuerPatch>
export type CompromiseInput = z.input<typeof CompromiseInput>
export type FinalizeInput = z.input<typeof FinalizeInput>
export type RetireInput = z.input<typeof RetireInput>
export type CertificateInput = z.input<typeof CertificateInput>
export type RevocationInput = z.input<typeof RevocationInput>
export type ReleaseInput = z.input<typeof ReleaseInput>
export type PresignInput = z.input<typeof PresignInput>
