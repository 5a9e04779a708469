/** What the admin API takes. Every object is strict: a field we do not know is refused, never ignored. */
import * as z from 'zod'
import {
  CertificateText,
  HashName,
  IssuerName,
  NonceName,
  PrivateKeyText,
  ProfileName,
  Reason,
  Serial,
  SignatureAlgorithmName,
  Time,
  UnknownName,
} from './fields.ts'

/** Rows of one POST .../certificates. */
export const MAX_CERTIFICATES_PER_CALL = 1000
/** Octets of any request body. */
export const MAX_BODY_BYTES = 1_048_576

const seconds = z.int().min(0).max(315_360_000)

/** Every field is optional: what is missing keeps its value, or takes the default when the issuer is new. */
export const PolicyInput = z.strictObject({
  profile: ProfileName.optional(),
  /** `good` needs `crlOnly: true` beside it. */
  unknown: UnknownName.optional(),
  /** "I know this issuer by its CRL alone, so a serial that is not recorded is to be answered `good`." */
  crlOnly: z.literal(true).optional(),
  nonce: NonceName.optional(),
  validitySeconds: seconds.min(1).optional(),
  maxAge: z.union([z.enum(['next-update', 'refresh']), seconds]).optional(),
  hashes: z.array(HashName).min(1).max(4).optional(),
  retainSeconds: seconds.optional(),
})

export const ResponderInput = z.strictObject({
  /** Name among the issuer's responders; default: made of the certificate's notAfter. */
  name: IssuerName.optional(),
  /** Delegated responder certificate. Exactly one of `certificate` and `signWithCA`. */
  certificate: CertificateText.optional(),
  /** The issuer's own key signs the responses. */
  signWithCA: z.literal(true).optional(),
  /** Custody `wrapped`: the key, kept encrypted. Exactly one of `key` and `secretName`. */
  key: PrivateKeyText.optional(),
  /** Custody `secret`: name of the Worker secret that holds the key as PKCS#8 PEM. */
  secretName: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'expected the name of a Worker secret, [A-Z][A-Z0-9_]*')
    .optional(),
  /** Default: by the key (RSA: sha256WithRSAEncryption). */
  algorithm: SignatureAlgorithmName.optional(),
})

export const IssuerInput = z.strictObject({
  certificate: CertificateText,
  /** Default: made of the certificate's common name. */
  name: IssuerName.optional(),
  policy: PolicyInput.optional(),
  /** Adds the first responder in the same call: nothing is recorded when it is refused. */
  responder: ResponderInput.optional(),
})

export const IssuerPatch = z.strictObject({
  name: IssuerName.optional(),
  enabled: z.boolean().optional(),
  policy: PolicyInput.optional(),
})

export const RetireInput = z.strictObject({
  /** The key leaked: nothing it signed may leave any more. Raises the issuer's floor. */
  compromised: z.boolean().optional(),
  /** Retire it although no usable responder is left. */
  force: z.boolean().optional(),
})

export const CertificateInput = z.strictObject({
  serial: Serial,
  status: z.enum(['good', 'revoked', 'hold']),
  /** Of revocation or hold; default: now, cut to the minute. */
  revocationTime: Time.optional(),
  reason: Reason.optional(),
  notBefore: Time.optional(),
  notAfter: Time.optional(),
  /** Line of the source it came from; comes back in the result. */
  line: z.int().min(1).optional(),
})

/** The envelope; each row is checked by `CertificateInput` on its own, so that one bad row refuses only itself. */
export const CertificatesInput = z.strictObject({
  certificates: z.array(z.unknown()).min(1).max(MAX_CERTIFICATES_PER_CALL),
  /** false: commit only; an import of many calls ends with one POST /publish (the next minute's cron does it too). */
  publish: z.boolean().optional(),
})

export const RevocationInput = z.strictObject({
  serial: Serial,
  /** Default: unspecified (the field is left out of responses). `certificateHold` holds; it can be released. */
  reason: Reason.optional(),
  /** Default: now, cut to the minute. */
  at: Time.optional(),
})

export const ReleaseInput = z.strictObject({ serial: Serial })

export const PresignInput = z.strictObject({
  /** Short name, SKI or id; default: all issuers. */
  issuer: z.string().min(1).max(128).optional(),
  /** Default true: also slots with new certificates that are not due yet. */
  all: z.boolean().optional(),
  /** Stop after about this many signatures, in units of one P-256 signature. */
  signatures: z.int().min(1).max(1_000_000).optional(),
})

export const AuditQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
})

export type PolicyInput = z.input<typeof PolicyInput>
export type ResponderInput = z.input<typeof ResponderInput>
export type IssuerInput = z.input<typeof IssuerInput>
export type IssuerPatch = z.input<typeof IssuerPatch>
export type RetireInput = z.input<typeof RetireInput>
export type CertificateInput = z.input<typeof CertificateInput>
export type RevocationInput = z.input<typeof RevocationInput>
export type ReleaseInput = z.input<typeof ReleaseInput>
export type PresignInput = z.input<typeof PresignInput>
