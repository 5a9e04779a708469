/** The policy of an issuer: defaults, and what the rules allow (R8.3). Numbers cite their source. */
import type * as z from 'zod/mini'
import type { Finding, PolicyInput } from '../admin-api/contract.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { IssuerPolicy, IssuerRecord, SignatureAlgorithm } from '../ports/records.ts'
import { AdminError } from './admin-error.ts'
import type { Requestors } from './admin-requestors.ts'

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

export const DEFAULT_POLICY: IssuerPolicy = {
  unknown: 'unauthorized', // R1.35
  nonce: 'echo',
  profile: 'private',
  validitySeconds: 7 * DAY,
  maxAge: 'next-update',
  hashes: ['SHA-1', 'SHA-256'],
  retainSeconds: 30 * DAY,
  signedRequests: 'ignore', // R1.95
  requestors: [],
  archiveCutoff: 'none',
  algorithm: undefined,
}

/**
 * Allowed validitySeconds. nextUpdate = thisUpdate + validitySeconds - 1, so 7 d here is the 7 d - 1 s of R4.35, and
 * 10 d the inclusive 10 d of R4.1 and of Firefox's cap (R6.17).
 */
const VALIDITY: Record<IssuerPolicy['profile'], { min: number; max: number; text: string }> = {
  private: { min: MINUTE, max: 10 * DAY, text: '1 minute to 10 days' },
  'public-trust': { min: 16 * HOUR, max: 7 * DAY, text: '16 hours to 7 days (R4.35)' },
}

/** CRLReason numbers that BR 7.2.2 lets a CA give (R4.22); unspecified is said by leaving the field out. */
const PUBLIC_TRUST_REASONS: ReadonlySet<number | undefined> = new Set([undefined, 0, 1, 3, 4, 5, 9])

const error = (code: string, message: string): Finding => ({ level: 'error', code, message })
const warning = (code: string, message: string): Finding => ({ level: 'warning', code, message })

function validityFindings(policy: IssuerPolicy): Finding[] {
  const { min, max, text } = VALIDITY[policy.profile]
  const { validitySeconds, maxAge } = policy
  const findings: Finding[] = []
  if (validitySeconds < min || validitySeconds > max) {
    const message = `validitySeconds ${validitySeconds} is outside ${text}, as profile ${policy.profile} asks`
    findings.push(error('validityOutOfRange', message))
  } else if (validitySeconds < 8 * HOUR) {
    const message = `validitySeconds ${validitySeconds} is below 8 hours: caches and clients with a slow clock will miss it`
    findings.push(warning('validityShort', message))
  }
  if (typeof maxAge === 'number' && maxAge >= validitySeconds) {
    findings.push(
      warning('maxAgeNeverBinds', `maxAge ${maxAge} is not below validitySeconds: nextUpdate comes first`),
    )
  }
  return findings
}

function unknownFindings(policy: IssuerPolicy, asked: boolean, crlOnly: boolean): Finding[] {
  if (policy.unknown !== 'good' && crlOnly) {
    return [error('crlOnlyUnused', 'crlOnly means something only with unknown "good"')]
  }
  if (policy.unknown === 'revoked-extended') return [extendedFinding(policy)]
  if (policy.unknown !== 'good') return []
  if (policy.profile === 'public-trust') {
    return [error('unknownGoodForbidden', 'unknown "good" is forbidden under public-trust (BR 4.9.9, R1.33)')]
  }
  if (asked && !crlOnly) {
    const message =
      'unknown "good" answers good for serials that nobody ever recorded; send crlOnly: true with it to say that you mean it'
    return [error('unknownGoodUnasked', message)]
  }
  return [
    warning(
      'unknownGood',
      'serials that are not recorded are answered good: only for issuers known by CRL alone',
    ),
  ]
}

/** The extended revoked is a certificateHold, and public CAs have no holds (R1.37). */
function extendedFinding({ profile }: IssuerPolicy): Finding {
  if (profile === 'public-trust') {
    const message =
      'unknown "revoked-extended" answers with certificateHold, which is forbidden under public-trust (BR 4.9.13, R1.37): use "unauthorized" or "unknown"'
    return error('revokedExtendedForbidden', message)
  }
  return warning(
    'revokedExtended',
    'serials that are not recorded are answered revoked: record every certificate before it is handed out (R1.39)',
  )
}

function requestorFindings({ signedRequests, requestors }: IssuerPolicy): Finding[] {
  if (signedRequests === 'ignore') {
    const message = 'requestors mean something only with signedRequests "verify" or "require"'
    return requestors.length === 0 ? [] : [warning('requestorsUnused', message)]
  }
  if (requestors.length === 0) {
    const message = `signedRequests "${signedRequests}" would refuse every signature: send requestors, the certificates that may sign or that of their CA`
    return [error('requestorsMissing', message)]
  }
  if (signedRequests === 'verify') return []
  const message =
    'requests that are not signed are answered sigRequired: browsers, servers that staple and most libraries never sign'
  return [warning('signedRequestsRequired', message)]
}

function archiveFindings(
  policy: IssuerPolicy,
  ca: Pick<IssuerRecord, 'notBefore' | 'notAfter'> | undefined,
): Finding[] {
  const { archiveCutoff, retainSeconds } = policy
  if (archiveCutoff === 'retention' && retainSeconds === 0) {
    const message = 'archiveCutoff "retention" with retainSeconds 0 promises nothing: set retainSeconds'
    return [warning('archiveCutoffEmpty', message)]
  }
  if (archiveCutoff !== 'issuer' || ca === undefined) return []
  const life = ca.notAfter - ca.notBefore
  if (retainSeconds >= life) return []
  const message = `archiveCutoff "issuer" promises the status of every certificate since the CA began: retainSeconds ${retainSeconds} drops some before it ends; ${life} keeps them all (R4.51)`
  return [warning('archiveCutoffNotKept', message)]
}

/** What a new policy is judged by beside itself. */
export interface PolicyContext {
  /** As read from the input; undefined when it has none. */
  readonly requestors?: Requestors | undefined
  readonly ca?: Pick<IssuerRecord, 'notBefore' | 'notAfter'> | undefined
}

/**
 * @param wanted policy.algorithm as asked for
 * @param algorithms of the responders that sign or are to sign
 * @throws AdminError policyRefused when none of them can
 */
export function requireAlgorithm(
  wanted: SignatureAlgorithm | null | undefined,
  profile: IssuerPolicy['profile'],
  algorithms: readonly SignatureAlgorithm[],
): void {
  if (wanted === undefined || wanted === null) return
  const findings = algorithms.includes(wanted)
    ? algorithmFindings(wanted, profile)
    : [impossibleAlgorithm(wanted, algorithms)]
  refuseErrors(findings, 'policyRefused', 'the policy is refused', 'policy.algorithm')
}

function impossibleAlgorithm(wanted: SignatureAlgorithm, algorithms: readonly SignatureAlgorithm[]): Finding {
  const message =
    algorithms.length === 0
      ? `algorithm ${wanted}: this issuer has no responder yet; add one that signs with it first`
      : `algorithm ${wanted}: no responder of this issuer signs with it, only with ${algorithms.join(' and ')}; add one first`
  return error('algorithmImpossible', message)
}

/**
 * @param base the policy as it is, or DEFAULT_POLICY for a new issuer
 * @returns the new policy and its warnings
 * @throws AdminError policyRefused 422 with every finding
 */
export function nextPolicy(
  base: IssuerPolicy,
  input: z.output<typeof PolicyInput> | undefined,
  { requestors, ca }: PolicyContext = {},
): { policy: IssuerPolicy; warnings: Finding[] } {
  const { hashes, algorithm } = input ?? {}
  const policy: IssuerPolicy = {
    unknown: input?.unknown ?? base.unknown,
    nonce: input?.nonce ?? base.nonce,
    profile: input?.profile ?? base.profile,
    validitySeconds: input?.validitySeconds ?? base.validitySeconds,
    maxAge: input?.maxAge ?? base.maxAge,
    hashes: hashes === undefined ? base.hashes : HASH_ALGORITHMS.filter((hash) => hashes.includes(hash)),
    retainSeconds: input?.retainSeconds ?? base.retainSeconds,
    signedRequests: input?.signedRequests ?? base.signedRequests,
    requestors: requestors?.certificates ?? base.requestors,
    archiveCutoff: input?.archiveCutoff ?? base.archiveCutoff,
    algorithm: algorithm === undefined ? base.algorithm : (algorithm ?? undefined),
  }
  const findings = [
    ...validityFindings(policy),
    ...unknownFindings(policy, input?.unknown === 'good', input?.crlOnly === true),
    ...(requestors?.findings ?? []),
    ...requestorFindings(policy),
    ...archiveFindings(policy, ca),
  ]
  if (!policy.hashes.includes('SHA-1')) {
    findings.push(
      warning('noSHA1', 'most clients ask with SHA-1 CertIDs: without it, each such answer is signed live'),
    )
  }
  refuseErrors(findings, 'policyRefused', 'the policy is refused', 'policy')
  return { policy, warnings: findings }
}

/** @throws AdminError 422 with all findings when one is an error */
export function refuseErrors(
  findings: readonly Finding[],
  code: 'policyRefused' | 'certificateRefused',
  what: string,
  field: string,
): void {
  const [first, ...more] = findings.filter(({ level }) => level === 'error')
  if (first === undefined) return
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`
  throw new AdminError(422, code, `${what}: ${first.message}${others}`, {
    field,
    findings,
    hint: 'findings lists everything that was found; errors refuse, warnings do not',
  })
}

/** BR 7.1.3.2 lists RSA and ECDSA only (R4.8, R7.3). */
export function algorithmFindings(
  algorithm: SignatureAlgorithm,
  profile: IssuerPolicy['profile'],
): Finding[] {
  if (profile !== 'public-trust' || algorithm !== 'Ed25519') return []
  return [error('algorithmForbidden', 'Ed25519 is not among the algorithms of BR 7.1.3.2 (R4.8)')]
}

/**
 * @param reason CRLReason number; undefined = unspecified
 * @returns why the profile forbids it; undefined = it does not (R4.22, R1.37)
 */
export function reasonRefusal(
  reason: number | undefined,
  profile: IssuerPolicy['profile'],
): string | undefined {
  if (reason === 8) return 'removeFromCRL is no reason to revoke; release a certificate from hold instead'
  if (profile !== 'public-trust' || PUBLIC_TRUST_REASONS.has(reason)) return undefined
  return reason === 6
    ? 'certificateHold is forbidden under public-trust (BR 4.9.13)'
    : 'under public-trust the reason is keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn, or none (BR 7.2.2)'
}
