/** What holds for every response that we publish, whichever way it was made (law 5, R8.1): the gate of src/lint is passed. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { LintContext, LintFinding, MeantSingle } from '../lint/index.ts'
import { lint, lintBasic } from '../lint/index.ts'
import type { BasicOCSPResponse } from '../ocsp/basic-response.ts'
import { SigningError } from '../ports/errors.ts'
import type { IssuerRecord, ResponderRecord } from '../ports/records.ts'
import { SIGNATURE_ALGORITHMS } from './algorithms.ts'

export { sameStatus } from '../lint/index.ts'
export type { MeantSingle }

/**
 * What the record says against the profile, and nothing is wrong with the response: certificates were on hold, or had such a
 * reason, before their issuer went public. To say nothing of them would take a revocation away (law 4).
 */
const OF_THE_RECORD = new Set(['hold-barred', 'reason-barred', 'ca-reason'])

/**
 * @param response DER of an OCSPResponse; one that was decoded is not judged by its octets
 * @param meant in the order of the responses
 * @param notAfter of responder certificate and issuer, whichever is earlier
 * @param context what else is known, see `gateContext`
 * @throws SigningError.selfCheckFailed
 */
export function checkResponse(
  response: BasicOCSPResponse | Uint8Array,
  meant: readonly MeantSingle[],
  notAfter: UnixSeconds,
  context: LintContext = {},
): void {
  const all = { ...context, meant, responder: { ...context.responder, notAfter } }
  refuse(response instanceof Uint8Array ? lint(response, all).findings : lintBasic(response, all))
}

/** What every response of an issuer by one of its responders is judged by. */
export function gateContext(
  issuer: IssuerRecord,
  responder: ResponderRecord,
  now?: UnixSeconds,
): LintContext {
  const { keyHash, certificate, notBefore, notAfter, algorithm } = responder
  return {
    profile: issuer.policy.profile,
    ...(now === undefined ? {} : { now }),
    issuer: { hashes: issuer.hashes, notBefore: issuer.notBefore, notAfter: issuer.notAfter },
    responder: {
      keyHash,
      certificate: certificate ?? 'none',
      notBefore,
      notAfter,
      signatureAlgorithm: SIGNATURE_ALGORITHMS[algorithm].identifier,
    },
  }
}

/** @throws SigningError.selfCheckFailed that names requirement, place and rule of each error */
export function refuse(findings: readonly LintFinding[]): void {
  if (findings.length === 0) return
  const errors = findings.filter(({ level, check }) => level === 'error' && !OF_THE_RECORD.has(check))
  if (errors.length > 0) failed(errors.map(({ id, message }) => `${id} ${message}`).join('; '))
}

export function failed(message: string): never {
  throw new SigningError('selfCheckFailed', message)
}
