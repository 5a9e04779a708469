/** The policy of an issuer: defaults, and what the rules allow (R8.3). Numbers cite their source. */
import type * as z from 'zod/mini'
import type { Finding, PolicyInput } from '../admin-api/contract.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { IssuerPolicy, SignatureAlgorithm } from '../ports/records.ts'
import { AdminError } from './admin-error.ts'

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
  if (policy.unknown !== 'good') {
    return crlOnly ? [error('crlOnlyUnused', 'crlOnly means something only with unknown "good"')] : []
  }
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

/**
 * @param base the policy as it is, or DEFAULT_POLICY for a new issuer
 * @returns the new policy and its warnings
 * @throws AdminError policyRefused 422 with every finding
 */
export function nextPolicy(
  base: IssuerPolicy,
  input: z.output<typeof PolicyInput> | undefined,
): { policy: IssuerPolicy; warnings: Finding[] } {
  const { hashes } = input ?? {}
  const policy: IssuerPolicy = {
    unknown: input?.unknown ?? base.unknown,
    nonce: input?.nonce ?? base.nonce,
    profile: input?.profile ?? base.profile,
    validitySeconds: input?.validitySeconds ?? base.validitySeconds,
    maxAge: input?.maxAge ?? base.maxAge,
    hashes: hashes === undefined ? base.hashes : HASH_ALGORITHMS.filter((hash) => hashes.includes(hash)),
    retainSeconds: input?.retainSeconds ?? base.retainSeconds,
    signedRequests: base.signedRequests,
    requestors: base.requestors,
    archiveCutoff: base.archiveCutoff,
    algorithm: base.algorithm,
  }
  const findings = [
    ...validityFindings(policy),
    ...unknownFindings(policy, input?.unknown === 'good', input?.crlOnly === true),
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
