/** What a check is: data first, so that the table of all checks can be counted, listed and tested. */
import type { DERErrorReason } from '../asn1/error.ts'
import type { SingleResponse } from '../ocsp/basic-response.ts'
import type { OCSPDecodeErrorReason } from '../ocsp/error.ts'
import type { Judged } from './judged.ts'

export type LintLevel = 'error' | 'warning'

/** `lightweight`: an error under a profile, else a warning. `public-trust`: an error under that profile, else a warning. */
export type LevelRule = LintLevel | 'lightweight' | 'public-trust'

/** What has to be known for a check, as bits. */
export const NEED = {
  now: 1,
  issuer: 2,
  issuerNotBefore: 4,
  issuerNotAfter: 8,
  responderKey: 16,
  responderCertificate: 32,
  responderValidity: 64,
  responderNotAfter: 128,
  algorithm: 256,
  spki: 512,
  question: 1024,
  meant: 2048,
  meantExtensions: 4096,
  certificates: 8192,
  archiveCutoff: 16_384,
  /** The profile public-trust. */
  publicTrust: 32_768,
  /** The octets of the response. */
  octets: 65_536,
} as const

/** Where a check looks, as further bits: it has nothing to say of what is not there. */
export const WHERE = {
  revoked: 1 << 20,
  singleExtensions: 1 << 21,
  responseExtensions: 1 << 22,
  /** The serial number, but for checks that compare it with what is meant, asked or known. */
  serial: 1 << 23,
  /** The value of the signature. */
  signature: 1 << 24,
} as const

/** What every response has. */
export const IN_ALL = WHERE.serial | WHERE.signature
export const EVERYWHERE = WHERE.revoked | WHERE.singleExtensions | WHERE.responseExtensions | IN_ALL
/**
 * Checks with any of these look at what differs between two responses of one series: serial number, signature, and what is meant.
 * All others find the same in both (series.ts).
 */
export const OF_EACH = IN_ALL | NEED.meant

export type Need = keyof typeof NEED

/** Whether something is wrong; a text says what was found. */
export type Verdict = boolean | string

/** Bytes that are no response. */
export interface Fault {
  readonly reason: DERErrorReason | OCSPDecodeErrorReason
  readonly offset: number
  /** The field, as far as it could be followed. */
  readonly path: string
}

interface Named {
  /** Number of the requirement in the protocol, R1.62. */
  readonly id: string
  /** Unique. */
  readonly name: string
  readonly level: LevelRule
  /** Bits of NEED and WHERE. */
  readonly needs: number
  /** What has to be so. */
  readonly rule: string
}

/** Of the octets: which fault of reading it is. */
export interface FaultCheck extends Named {
  readonly of: 'octets'
  readonly isFault: (fault: Fault) => boolean
}

/** Of a response as a whole. */
export interface ResponseCheck extends Named {
  readonly of: 'response'
  readonly isWrong: (response: Judged) => Verdict
}

/** Of each SingleResponse. */
export interface SingleCheck extends Named {
  readonly of: 'single'
  readonly isWrong: (single: SingleResponse, response: Judged, index: number) => Verdict
}

export type LintCheck = FaultCheck | ResponseCheck | SingleCheck

export function fault(id: string, name: string, rule: string, isFault: FaultCheck['isFault']): FaultCheck {
  return { of: 'octets', id, name, level: 'error', needs: NEED.octets, rule, isFault }
}

export function response(
  id: string,
  name: string,
  level: LevelRule,
  needs: number,
  rule: string,
  isWrong: ResponseCheck['isWrong'],
): ResponseCheck {
  return { of: 'response', id, name, level, needs, rule, isWrong }
}

export function single(
  id: string,
  name: string,
  level: LevelRule,
  needs: number,
  rule: string,
  isWrong: SingleCheck['isWrong'],
): SingleCheck {
  return { of: 'single', id, name, level, needs, rule, isWrong }
}
