/**
 * The publication gate (law 5, R8.1): one function over an encoded response and what is known around it, whose findings
 * bear the numbers of the protocol's requirements. Pure; nothing here throws, whatever the octets.
 */
import { DERReader } from '../asn1/der-reader.ts'
import { DERError } from '../asn1/error.ts'
import { OID } from '../asn1/oid.ts'
import type { BasicOCSPResponse, ResponseData, SingleResponse } from '../ocsp/basic-response.ts'
import { MAX_RESPONSE_ELEMENTS, readBasicOCSPResponse, signedOctets } from '../ocsp/basic-response.ts'
import { OCSPDecodeError } from '../ocsp/error.ts'
import { decodeOCSPResponse } from '../ocsp/ocsp-response.ts'
import type { OCSPResponseStatus } from '../ocsp/response-status.ts'
import type { LevelRule, LintCheck, LintLevel, ResponseCheck, SingleCheck } from './check.ts'
import { EVERYWHERE, IN_ALL, NEED, WHERE } from './check.ts'
import { checks, ERROR_INSTEAD, faultChecks, responseChecks, SIGNATURE, singleChecks } from './checks.ts'
import type { LintContext, LintProfile } from './context.ts'
import { Judged, knownOf } from './judged.ts'
import { fieldAt } from './where.ts'

export interface LintFinding {
  /** Number of the requirement, R1.62. */
  readonly id: string
  /** Name of the check, unique. */
  readonly check: string
  readonly level: LintLevel
  /** The field, or what holds it: `responses[0]`; '' is the whole response. */
  readonly path: string
  /** Octet of the fault, where the octets could not be read. */
  readonly offset?: number
  /** Where it is, what has to be so, what was found. */
  readonly message: string
}

export interface LintReport {
  readonly findings: readonly LintFinding[]
  /** undefined when the octets are no OCSPResponse. */
  readonly status: OCSPResponseStatus | undefined
  /** Of a successful one that could be read. */
  readonly basic: BasicOCSPResponse | undefined
  /** DER of that BasicOCSPResponse. */
  readonly octets: Uint8Array | undefined
  /**
   * Checks that could not be judged, because something they need is not known or could not be read. Those of the profile
   * public-trust do not belong to a private one.
   */
  readonly notJudged: readonly LintCheck[]
}

/** Judges an OCSPResponse. */
export function lint(der: Uint8Array, context: LintContext = {}): LintReport {
  const known = knownOf(context, true)
  let status: OCSPResponseStatus | undefined
  try {
    const value = decodeOCSPResponse(der)
    status = value.responseStatus
    if (value.responseStatus !== 'successful') {
      const findings =
        context.meant === undefined ? [] : [finding(ERROR_INSTEAD, context.profile, '', status)]
      return unread(findings, status)
    }
    const { responseType, response } = value.responseBytes
    if (responseType !== OID.ocspBasic) throw new OCSPDecodeError('badResponseType', 0, responseType)
    const start = response.byteOffset - der.byteOffset
    const basic = readBasicOCSPResponse(
      new DERReader(der, start, start + response.length, MAX_RESPONSE_ELEMENTS),
    )
    const findings = judge(new Judged(basic, context, { response, size: der.length }), known)
    return new JudgedReport(findings, basic, response, known, context.profile)
  } catch (error) {
    if (!(error instanceof DERError) && !(error instanceof OCSPDecodeError)) throw error
    return unread([faultFinding(der, error)], status)
  }
}

/** A class, because an object with a getter of its own takes longer to make than it does to judge a response. */
class JudgedReport implements LintReport {
  readonly findings: readonly LintFinding[]
  readonly status = 'successful'
  readonly basic: BasicOCSPResponse
  readonly octets: Uint8Array
  readonly #known: number
  readonly #profile: LintProfile | undefined

  constructor(
    findings: readonly LintFinding[],
    basic: BasicOCSPResponse,
    octets: Uint8Array,
    known: number,
    profile: LintProfile | undefined,
  ) {
    this.findings = findings
    this.basic = basic
    this.octets = octets
    this.#known = known
    this.#profile = profile
  }

  /** Asked for by people alone, so it is not worked out for every response. */
  get notJudged(): readonly LintCheck[] {
    const judged = this.#known | EVERYWHERE | (this.#profile === 'private' ? NEED.publicTrust : 0)
    return checks.filter(({ needs }) => (needs & judged) !== needs)
  }
}

function unread(findings: readonly LintFinding[], status: OCSPResponseStatus | undefined): LintReport {
  const notJudged = checks.filter((check) => check.of !== 'octets' && check !== ERROR_INSTEAD)
  return { findings, status, basic: undefined, octets: undefined, notJudged }
}

/** Judges a response that was decoded before; what is about its octets is not judged. */
export function lintBasic(basic: BasicOCSPResponse, context: LintContext): readonly LintFinding[] {
  return judge(new Judged(basic, context), knownOf(context, false))
}

/** Verifies the signature: the one check that takes its time. @param report of `lint` */
export async function lintSignature(
  { basic, octets }: LintReport,
  verify: (tbs: Uint8Array, signature: Uint8Array) => Promise<boolean> | boolean,
): Promise<readonly LintFinding[]> {
  if (basic === undefined || octets === undefined) return []
  return (await verify(signedOctets(octets), basic.signature))
    ? []
    : [finding(SIGNATURE, undefined, 'signature', 'it does not verify')]
}

/** Whether enough is known for a check, and what it looks at is there. */
export function applies({ needs }: ResponseCheck, { data }: Judged, known: number): boolean {
  return (needs & placesOf(data, known)) === needs
}

export function appliesToSingle({ needs }: SingleCheck, one: SingleResponse, known: number): boolean {
  return (needs & placesOfSingle(one, known)) === needs
}

function placesOf({ responseExtensions }: ResponseData, known: number): number {
  return known | IN_ALL | (responseExtensions === undefined ? 0 : WHERE.responseExtensions)
}

function placesOfSingle({ certStatus, singleExtensions }: SingleResponse, known: number): number {
  return (
    known |
    IN_ALL |
    (certStatus.type === 'revoked' ? WHERE.revoked : 0) |
    (singleExtensions === undefined ? 0 : WHERE.singleExtensions)
  )
}

function judge(judged: Judged, known: number): LintFinding[] {
  const findings: LintFinding[] = []
  const { profile } = judged.context
  const whole = placesOf(judged.data, known)
  for (const check of responseChecks) {
    if ((check.needs & whole) !== check.needs) continue
    const verdict = check.isWrong(judged)
    if (verdict !== false) findings.push(finding(check, profile, '', verdict))
  }
  const { responses } = judged.data
  for (let i = 0; i < responses.length; i += 1) {
    const one = responses[i]
    if (one === undefined) continue
    const here = placesOfSingle(one, known)
    for (const check of singleChecks) {
      if ((check.needs & here) !== check.needs) continue
      const verdict = check.isWrong(one, judged, i)
      if (verdict !== false) findings.push(finding(check, profile, `responses[${i}]`, verdict))
    }
  }
  return findings
}

function faultFinding(der: Uint8Array, error: DERError | OCSPDecodeError): LintFinding {
  const { reason, offset } = error
  const path = fieldAt(der, offset)
  const check = faultChecks.find(({ isFault }) => isFault({ reason, offset, path }))
  if (check === undefined) throw error // the last one takes whatever is left
  return { ...finding(check, undefined, path, error.message), offset }
}

function finding(
  check: LintCheck,
  profile: LintProfile | undefined,
  path: string,
  detail: string | true = true,
): LintFinding {
  const { id, name, rule } = check
  const where = path === '' ? '' : `${path}: `
  const found = detail === true ? '' : ` (${detail})`
  return { id, check: name, level: levelOf(check.level, profile), path, message: `${where}${rule}${found}` }
}

function levelOf(rule: LevelRule, profile: LintProfile | undefined): LintLevel {
  if (rule === 'lightweight') return profile === undefined ? 'warning' : 'error'
  if (rule === 'public-trust') return profile === rule ? 'error' : 'warning'
  return rule
}
