/** The field types of the admin API, shared by the Worker and the CLI. Depends on zod alone. */

import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { LAST_SECOND, parseTime } from './time.ts'

// zod/mini brings no words of its own for what is wrong.
z.config(en())

/** Names of CRLReason (RFC 5280 5.3.1), as this API writes them. */
export const REASON_NAMES = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'removeFromCRL',
  'privilegeWithdrawn',
  'aACompromise',
] as const
export type ReasonName = (typeof REASON_NAMES)[number]

/** Short texts are quoted in errors; a long one may be a key that was put into the wrong field. */
function quote(text: string): string {
  return text.length <= 30 ? JSON.stringify(text) : `a text of ${text.length} characters`
}

/** RFC 3339 text or Unix seconds in; Unix seconds out. */
export const Time = z
  .pipe(
    z.union([z.string(), z.int().check(z.gte(0), z.lte(LAST_SECOND))], {
      error: 'expected an RFC 3339 time such as 2026-11-21T03:00:00Z, or Unix seconds',
    }),
    z.transform((value: string | number, context) => {
      if (typeof value === 'number') return value
      const seconds = parseTime(value)
      if (seconds !== undefined) return seconds
      const message = `${quote(value)} is not an RFC 3339 time such as 2026-11-21T03:00:00Z`
      context.issues.push({ code: 'custom', message, input: value })
      return z.NEVER
    }),
  )
  .check(z.meta({ description: 'RFC 3339 date-time (2026-11-21T03:00:00Z) or Unix seconds' }))

/** CRLReason by name, any case. */
export const Reason = z
  .pipe(
    z.string(),
    z.transform((value: string, context): ReasonName => {
      const name = REASON_NAMES.find((known) => known.toLowerCase() === value.toLowerCase())
      if (name !== undefined) return name
      const message = `${quote(value)} is not a CRLReason; one of ${REASON_NAMES.join(', ')}`
      context.issues.push({ code: 'custom', message, input: value })
      return z.NEVER
    }),
  )
  .check(z.meta({ description: `CRLReason by name: ${REASON_NAMES.join(', ')}` }))

/** A serial number in hex: with or without 0x and colons, either case. Read as a non-negative number. */
export const Serial = z
  .string()
  .check(
    z.minLength(1),
    z.maxLength(130),
    z.regex(
      /^\s*(0x)?[0-9a-f]+(:[0-9a-f]+)*\s*$/i,
      'expected a serial number in hex, such as 0a:1b:2c or 0x0a1b2c',
    ),
    z.meta({ description: 'Serial number in hex, with or without 0x and colons' }),
  )

/** Short name of an issuer. */
export const IssuerName = z.string().check(
  z.regex(/^[a-z0-9-]{1,64}$/, 'expected 1 to 64 characters of a-z, 0-9 and -'),
  z.refine((name) => !/^(\d+|[0-9a-f]{40,})$/.test(name), 'a name that reads as an id or a key identifier'),
  z.meta({ description: 'Short name, [a-z0-9-]{1,64}, not digits alone' }),
)

/** A certificate: PEM text, or base64 of DER. */
export const CertificateText = z
  .string()
  .check(
    z.minLength(1),
    z.maxLength(65_536),
    z.meta({ description: 'X.509 certificate: PEM text, or base64 of its DER' }),
  )

/** A private key: PKCS#8, PEM text or base64 of DER. Goes in, never comes out. */
export const PrivateKeyText = z.string().check(
  z.minLength(1),
  z.maxLength(65_536),
  z.meta({
    description: 'PKCS#8 private key, unencrypted: PEM text, or base64 of its DER',
    writeOnly: true,
  }),
)

/** Hash of the whole certificate, as it was issued (Common PKI certHash). */
export const CertHash = z.strictObject({
  hash: z.enum(['sha256', 'sha1', 'sha384', 'sha512']),
  value: z
    .string()
    .check(
      z.maxLength(200),
      z.regex(/^([0-9a-f]{2}:?)+$/i, 'expected octets in hex'),
      z.meta({ description: 'Hash of the DER of the final certificate, in hex' }),
    ),
})

/** SignedCertificateTimestampList (RFC 6962 3.3) in base64: what stands in the OCTET STRING, its length in front. */
export const SCTList = z
  .string()
  .check(
    z.minLength(1),
    z.maxLength(5_000),
    z.meta({ description: 'SignedCertificateTimestampList in base64, TLS encoding' }),
  )

/** Where a revocation was published (RFC 6960 4.4.2). */
export const CRLReference = z
  .strictObject({
    url: z.optional(
      z
        .string()
        .check(
          z.minLength(1),
          z.maxLength(1_000),
          z.regex(/^[!-~]+$/, 'expected a URL in ASCII without spaces'),
        ),
    ),
    /** cRLNumber in hex, as openssl crl -crlnumber prints it; below 2^53. */
    number: z.optional(Serial),
    /** thisUpdate of the CRL. */
    time: z.optional(Time),
  })
  .check(z.refine((crl) => Object.keys(crl).length > 0, 'expected at least one of url, number and time'))

export const HashName = z.enum(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'])
export const SignatureAlgorithmName = z.enum([
  'sha256WithRSAEncryption',
  'rsassaPss-sha256',
  'ecdsa-with-SHA256',
  'ecdsa-with-SHA384',
  'ecdsa-with-SHA512',
  'Ed25519',
])
export const ProfileName = z.enum(['private', 'public-trust'])
export const UnknownName = z.enum(['unauthorized', 'unknown', 'revoked-extended', 'good'])
export const NonceName = z.enum(['echo', 'ignore', 'rfc8954'])
export const SignedRequestsName = z.enum(['ignore', 'verify', 'require'])
export const ArchiveCutoffName = z.enum(['none', 'retention', 'issuer'])
