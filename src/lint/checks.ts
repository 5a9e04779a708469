/** The table of all checks. docs/lint.md lists them. */
import type { FaultCheck, LintCheck, Need, ResponseCheck, SingleCheck } from './check.ts'
import { NEED, response } from './check.ts'
import { EXTENSIONS_CHECKS } from './extensions-checks.ts'
import { MEANT_CHECKS } from './meant-checks.ts'
import { OCTETS_CHECKS } from './octets-checks.ts'
import { SIGNER_CHECKS } from './signer-checks.ts'
import { STATUS_CHECKS } from './status-checks.ts'
import { TIMES_CHECKS } from './times-checks.ts'

/** Judged by `lint` itself, because the response is none. */
export const ERROR_INSTEAD: LintCheck = response(
  'R1.27',
  'error-instead',
  'error',
  NEED.meant,
  'where a status is meant, no error may be said',
  () => false,
)
/** Judged by `lintSignature`, because verifying takes its time. */
export const SIGNATURE: LintCheck = response(
  'R1.51',
  'signature-value',
  'error',
  NEED.octets,
  "the signature has to verify over tbsResponseData with the responder's key",
  () => false,
)

const VALUE_CHECKS = [
  ...SIGNER_CHECKS,
  ...STATUS_CHECKS,
  ...TIMES_CHECKS,
  ...EXTENSIONS_CHECKS,
  ...MEANT_CHECKS,
]

export const checks: readonly LintCheck[] = [...OCTETS_CHECKS, ...VALUE_CHECKS, ERROR_INSTEAD, SIGNATURE]

export const faultChecks: readonly FaultCheck[] = OCTETS_CHECKS
export const responseChecks: readonly ResponseCheck[] = VALUE_CHECKS.filter(
  (check) => check.of === 'response',
)
export const singleChecks: readonly SingleCheck[] = VALUE_CHECKS.filter((check) => check.of === 'single')

/** What a check needs, by name. */
export function needsOf({ needs }: LintCheck): Need[] {
  return needNames.filter((name) => (NEED[name] & needs) !== 0)
}

const needNames: readonly Need[] = [
  'now',
  'issuer',
  'issuerNotBefore',
  'issuerNotAfter',
  'responderKey',
  'responderCertificate',
  'responderValidity',
  'responderNotAfter',
  'algorithm',
  'spki',
  'question',
  'meant',
  'meantExtensions',
  'certificates',
  'archiveCutoff',
  'publicTrust',
  'octets',
]
