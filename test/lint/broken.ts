/** What a case of a broken response is, and short ways to write one. */
import { OID } from '../../src/asn1/oid.ts'
import type { LintContext } from '../../src/lint/index.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { NULL } from '../fixtures/requests.ts'
import type { Draft, SingleDraft } from './draft.ts'
import { DRAFT, encode, ext, oid, revoked, SINGLE, time } from './draft.ts'

export interface Case {
  readonly check: string
  /** The broken response. */
  readonly der: Uint8Array
  /** What is special about the context. */
  readonly context?: (context: LintContext) => LintContext
  /** Other checks that find the same fault, and why. */
  readonly also?: readonly string[]
}

export const DAY = 86_400
export const HOUR = 3600
export const FINAL = time('99991231235959Z')
export const RSA_KEY = seq(seq(oid('1.2.840.113549.1.1.1'), NULL), tlv(0x03, hex('00'), hex('3000')))
export const RSA_SHA256 = hex('300d06092a864886f70d01010b0500')
export const P384_KEY = seq(seq(oid('1.2.840.10045.2.1'), oid('1.3.132.0.34')), tlv(0x03, hex('0004')))
export const SOME_BITS = tlv(0x03, hex('00 01'))
export const EXTENDED_REVOKE = ext(OID.ocspExtendedRevoke, NULL)
export const NON_ISSUED = revoked('19700101000000Z', 6)
export const MD5 = seq(oid('1.2.840.113549.2.5'), NULL)

export const draft = (change: Partial<Draft>): Uint8Array => encode({ ...DRAFT, ...change })
export const single = (change: Partial<SingleDraft>, rest: Partial<Draft> = {}): Uint8Array =>
  draft({ singles: [{ ...SINGLE, ...change }], ...rest })
export const singles = (...changes: Partial<SingleDraft>[]): Uint8Array =>
  draft({ singles: changes.map((change) => ({ ...SINGLE, ...change })) })

/** Under the profile private: for what public-trust forbids anyway. */
export const isPrivate = (context: LintContext): LintContext => ({ ...context, profile: 'private' })
/** Without the subject certificate: for serial numbers that were never issued. */
export const strange = (context: LintContext): LintContext => ({
  ...context,
  profile: 'private',
  certificates: [],
})
export const meant =
  (change: object) =>
  (context: LintContext): LintContext => ({
    ...context,
    meant: context.meant?.map((one) => ({ ...one, ...change })) ?? [],
  })
export const responder =
  (change: object) =>
  (context: LintContext): LintContext => ({ ...context, responder: { ...context.responder, ...change } })
/** `signatureAlgorithm` and key as the response has them. */
export const signedBy = (signatureAlgorithm: Uint8Array, spki: Uint8Array) =>
  responder({ signatureAlgorithm, spki })
