/** One response under judgement: decoded once, and what is known about it in the form that checks compare with. */

import { DERReader } from '../asn1/der-reader.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BasicOCSPResponse, ResponseData, SingleResponse } from '../ocsp/basic-response.ts'
import { encodeAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'
import { NEED } from './check.ts'
import type { CertificateFacts, LintContext } from './context.ts'
import { sameOctets } from './octets.ts'

const NONE: readonly Extension[] = []

/** A time that is not known is NaN: it is neither before nor after anything, so no comparison finds fault with it. */
export class Judged {
  readonly basic: BasicOCSPResponse
  readonly data: ResponseData
  readonly context: LintContext
  /** Length of the whole OCSPResponse; NaN when only its content is known. */
  readonly size: number
  readonly now: UnixSeconds
  readonly producedAt: UnixSeconds
  /** responseExtensions, none when they are absent. */
  readonly extensions: readonly Extension[]
  /** DER of the signatureAlgorithm as it stands. */
  readonly algorithm: Uint8Array

  /** @param octets of the BasicOCSPResponse and of all; undefined when only the value is known */
  constructor(
    basic: BasicOCSPResponse,
    context: LintContext,
    octets?: { readonly response: Uint8Array; readonly size: number },
  ) {
    this.basic = basic
    this.data = basic.tbsResponseData
    this.context = context
    this.size = octets?.size ?? Number.NaN
    this.now = context.now ?? Number.NaN
    this.producedAt = this.data.producedAt
    this.extensions = this.data.responseExtensions ?? NONE
    this.algorithm =
      octets === undefined
        ? encodeAlgorithmIdentifier(basic.signatureAlgorithm)
        : algorithmOf(octets.response)
  }

  certificateOf({ certID }: SingleResponse): CertificateFacts | undefined {
    return this.context.certificates?.find(({ serialNumber }) =>
      sameOctets(serialNumber, certID.serialNumber),
    )
  }
}

/** Behind tbsResponseData. The octets have been decoded before. */
function algorithmOf(response: Uint8Array): Uint8Array {
  return new DERReader(response).sequence((basic) => {
    basic.raw()
    const algorithm = basic.raw()
    while (!basic.atEnd) basic.raw()
    return algorithm
  })
}

/** singleExtensions, none when they are absent. */
export function extensionsOf({ singleExtensions }: SingleResponse): readonly Extension[] {
  return singleExtensions ?? NONE
}

/** What the context knows, as bits of NEED. */
export function knownOf(context: LintContext, hasOctets: boolean): number {
  const { issuer, responder } = context
  return (
    bit(NEED.octets, hasOctets || undefined) |
    bit(NEED.now, context.now) |
    bit(NEED.publicTrust, context.profile === 'public-trust' || undefined) |
    bit(NEED.issuer, issuer?.hashes) |
    bit(NEED.issuerNotBefore, issuer?.notBefore) |
    bit(NEED.issuerNotAfter, issuer?.notAfter) |
    bit(NEED.responderKey, responder?.keyHash) |
    bit(NEED.responderCertificate, responder?.certificate) |
    bit(NEED.responderValidity, responder?.notBefore) |
    bit(NEED.responderNotAfter, responder?.notAfter) |
    bit(NEED.algorithm, responder?.signatureAlgorithm) |
    bit(NEED.spki, responder?.spki) |
    bit(NEED.question, context.question) |
    bit(NEED.meant, context.meant) |
    bit(NEED.meantExtensions, context.meantExtensions) |
    bit(NEED.certificates, context.certificates) |
    bit(NEED.archiveCutoff, context.archiveCutoff)
  )
}

function bit(need: number, fact: unknown): number {
  return fact === undefined ? 0 : need
}
