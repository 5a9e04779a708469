/** One response under judgement: decoded once, and what is known about it in the form that checks compare with. */

import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BasicOCSPResponse, ResponseData, SingleResponse } from '../ocsp/basic-response.ts'
import { encodeAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'
import { NEED } from './check.ts'
import type { CertificateFacts, LintContext } from './context.ts'
import { sameOctets } from './octets.ts'
import { elementAt } from './where.ts'

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
  readonly #response: Uint8Array | undefined

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
    this.#response = octets?.response
  }

  /** DER of the signatureAlgorithm as it stands. */
  get algorithm(): Uint8Array {
    return this.#response === undefined
      ? encodeAlgorithmIdentifier(this.basic.signatureAlgorithm)
      : algorithmOf(this.#response)
  }

  /** The first of certs is the responder's certificate as it is known. */
  get isSignerFirst(): boolean {
    const first = this.basic.certs?.[0]
    const certificate = this.context.responder?.certificate
    return first !== undefined && certificate !== 'none' && sameOctets(first, certificate)
  }

  certificateOf({ certID }: SingleResponse): CertificateFacts | undefined {
    return this.context.certificates?.find(({ serialNumber }) =>
      sameOctets(serialNumber, certID.serialNumber),
    )
  }
}

/** The element behind tbsResponseData. The octets have been decoded before. */
function algorithmOf(response: Uint8Array): Uint8Array {
  const basic = elementAt(response, 0)
  const tbs = basic && elementAt(response, basic.content)
  const algorithm = tbs && elementAt(response, tbs.end)
  return response.subarray(algorithm?.start, algorithm?.end)
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
