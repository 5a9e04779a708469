/** One round of probes: each asked in turn, and each answer judged by transport, header lines, the gate and what is known of the canary. */
import { createHash } from 'node:crypto'
import { OID } from '../../asn1/oid.ts'
import { type BasicOCSPResponse, decodeOCSPRequest, type OCSPResponseStatus } from '../../ocsp/index.ts'
import type { CertificateFile } from '../certificate.ts'
import { formatTime } from '../duration.ts'
import { type Judgement, judge } from '../lint/judge.ts'
import { ask, type Reply } from './ask.ts'
import { judgeCaching, judgeErrorCaching, judgeHTTP, type ProbeFinding } from './headers.ts'
import type { Expected, Probe } from './plan.ts'

export type NeverPolicy = 'unauthorized' | 'unknown' | 'revoked'

export interface RoundOptions {
  readonly url: string
  readonly issuer: CertificateFile
  readonly responder?: CertificateFile
  readonly profile: 'private' | 'public-trust'
  readonly timeoutMs: number
  readonly maxLatencyMs: number
  /** Seconds that have to be left until nextUpdate; undefined: as the profile says. */
  readonly minRemaining: number | undefined
  /** What the responder says of serial numbers that nobody has; undefined: anything but good. */
  readonly never: NeverPolicy | undefined
  /** Unix seconds. */
  readonly clock: () => number
}

export interface ProbeResult {
  readonly expected: Expected
  readonly serial: string
  readonly method: string
  readonly hash: string
  readonly path: 'encoded' | 'raw' | undefined
  /** Whether there was an answer at all, be it a wrong one. */
  readonly isAnswered: boolean
  readonly httpStatus?: number
  readonly milliseconds?: number
  readonly octets?: number
  readonly responseStatus?: OCSPResponseStatus
  readonly certStatus?: string
  readonly thisUpdate?: string
  readonly nextUpdate?: string
  /** Seconds until nextUpdate. */
  readonly remaining?: number
  readonly signature?: Judgement['signature']
  readonly cacheControl?: string
  readonly findings: readonly ProbeFinding[]
}

const HOUR = 3600

/** One after the other, so that their times say something. */
export async function runRound(probes: readonly Probe[], options: RoundOptions): Promise<ProbeResult[]> {
  const results: ProbeResult[] = []
  // The first use of fetch loads it, which is none of the responder's time.
  await fetch('data:,')
  for (const probe of probes) {
    const result = await runProbe(probe, options)
    results.push({ ...result, findings: [...result.findings, ...disagreement(result, results)] })
  }
  return results
}

async function runProbe(probe: Probe, options: RoundOptions): Promise<ProbeResult> {
  const { expected, serial, method, hash, isRaw } = probe
  const path = method === 'GET' ? (isRaw ? 'raw' : 'encoded') : undefined
  const asked = { expected, serial, method, hash, path } as const
  const reply = await ask(options.url, probe, options.timeoutMs)
  if (typeof reply === 'string')
    return { ...asked, isAnswered: false, findings: [error('R4.11', `no answer: ${reply}`)] }
  const now = options.clock()
  const judged = await judge(reply.body, {
    issuer: options.issuer.der,
    ...(options.responder === undefined ? {} : { responder: options.responder.der }),
    request: decodeOCSPRequest(probe.question.der),
    ...(probe.certificate === undefined ? {} : { certificates: [factsOf(probe.certificate)] }),
    profile: options.profile,
    now,
  })
  const { basic, status, signature } = judged
  const single = basic?.tbsResponseData.responses[0]
  const remaining = single?.nextUpdate === undefined ? undefined : single.nextUpdate - now
  const isResponse = status !== undefined
  return {
    ...asked,
    isAnswered: true,
    httpStatus: reply.httpStatus,
    milliseconds: Math.round(reply.milliseconds * 10) / 10,
    octets: reply.body.length,
    ...(isResponse ? { responseStatus: status } : {}),
    ...(single === undefined
      ? {}
      : { certStatus: single.certStatus.type, thisUpdate: formatTime(single.thisUpdate), signature }),
    ...(single?.nextUpdate === undefined ? {} : { nextUpdate: formatTime(single.nextUpdate) }),
    ...(remaining === undefined ? {} : { remaining }),
    ...cacheControlOf(reply),
    findings: [
      ...judgeHTTP(reply, isResponse ? status !== 'successful' : undefined),
      ...judgeStatus(expected, status, basic, options.never),
      ...judgeLatency(reply, options.maxLatencyMs),
      ...(isResponse ? judged.findings.map(({ id, level, message }) => ({ id, level, message })) : []),
      ...judgeRemaining(basic, now, options),
      ...(status === 'successful' ? judgeCaching(reply, single?.nextUpdate, now) : judgeErrorCaching(reply)),
    ],
  }
}

function cacheControlOf({ headers }: Reply): { cacheControl?: string } {
  const cacheControl = headers.get('cache-control')
  return cacheControl === null ? {} : { cacheControl }
}

function error(id: string, message: string): ProbeFinding {
  return { id, level: 'error', message }
}

function factsOf({ serialNumber, notBefore, notAfter, isCA, der }: CertificateFile) {
  return {
    ...{ serialNumber, notBefore, notAfter },
    isCA: isCA === true,
    digest: (hash: string) => createHash(hash.replace('-', '')).update(der).digest(),
  }
}

/** What it says of the canary, against what is known of it (R1.33, R1.36, R1.39, R4.37). */
function judgeStatus(
  expected: Expected,
  status: OCSPResponseStatus | undefined,
  basic: BasicOCSPResponse | undefined,
  never: NeverPolicy | undefined,
): ProbeFinding[] {
  if (status === undefined) return []
  const single = basic?.tbsResponseData.responses[0]
  const said = status === 'successful' ? single?.certStatus.type : status
  if (said === undefined) return []
  if (expected !== 'never') {
    if (said === expected) return []
    const id = expected === 'revoked' ? 'R6.5' : 'R1.39'
    return [error(id, `${said}, and this certificate is ${expected}`)]
  }
  if (said === 'good') return [error('R1.33', 'good, and nobody ever issued this serial number')]
  const allowed: readonly string[] = never === undefined ? ['unauthorized', 'unknown', 'revoked'] : [never]
  if (!allowed.includes(said))
    return [error('R1.33', `${said}, and for a serial number never issued it is ${allowed.join(' or ')}`)]
  const isExtended = basic?.tbsResponseData.responseExtensions?.some(
    ({ extnID }) => extnID === OID.ocspExtendedRevoke,
  )
  return said === 'revoked' && isExtended !== true
    ? [error('R1.36', 'revoked without extended-revoke, and nobody ever issued this serial number')]
    : []
}

function judgeLatency({ milliseconds }: Reply, most: number): ProbeFinding[] {
  if (milliseconds <= most) return []
  return [error('R4.11', `the answer took ${Math.round(milliseconds)} ms, more than ${most} ms`)]
}

/** A newer response has to be there long before this one ends: R4.2 and R4.3 under public-trust, else what was asked for. */
function judgeRemaining(
  basic: BasicOCSPResponse | undefined,
  now: number,
  { minRemaining, profile }: RoundOptions,
): ProbeFinding[] {
  return (basic?.tbsResponseData.responses ?? []).flatMap(({ thisUpdate, nextUpdate, certStatus }) => {
    if (nextUpdate === undefined || certStatus.type === 'unknown') return []
    const length = nextUpdate - thisUpdate
    const byProfile = profile === 'public-trust' ? (length < 16 * HOUR ? length / 2 : 8 * HOUR) : 0
    const least = minRemaining ?? byProfile
    const left = nextUpdate - now
    if (left >= least || left < 0) return []
    const id = minRemaining === undefined ? (length < 16 * HOUR ? 'R4.2' : 'R4.3') : 'R2.11'
    return [error(id, `${left} s are left until nextUpdate, and a newer one is due ${least} s before`)]
  })
}

/** GET and POST, and both hashes, are about one certificate (R6.15). */
function disagreement(result: ProbeResult, before: readonly ProbeResult[]): ProbeFinding[] {
  const said = statusOf(result)
  const other = before.find((one) => one.serial === result.serial && one.isAnswered && statusOf(one) !== said)
  if (!result.isAnswered || other === undefined) return []
  const how = `${other.method} with ${other.hash}`
  return [error('R6.15', `${said ?? 'no response'}, and ${how} was told ${statusOf(other) ?? 'nothing'}`)]
}

function statusOf({ responseStatus, certStatus }: ProbeResult): string | undefined {
  return certStatus ?? responseStatus
}
