/** A judgement for people, and as JSON. */
import { oneLine } from '../certificate.ts'
import { formatCount, formatFields } from '../output.ts'
import type { JudgedFinding, Judgement, NotRun } from './judge.ts'
import type { Signer } from './signer.ts'

export interface JudgementView {
  readonly file: string
  readonly octets: number
  readonly responseStatus?: string
  readonly signature: Judgement['signature']
  readonly signer?: string
  readonly signedBy?: Signer['is']
  readonly errors: number
  readonly warnings: number
  readonly findings: readonly JudgedFinding[]
  /** How many checks there are, those that were not run among them. */
  readonly checks: number
  readonly notRun: readonly NotRun[]
}

const SIGNED_BY: Readonly<Record<Signer['is'], string>> = {
  issuer: 'the issuer',
  delegate: 'delegate',
  unproven: 'whose delegate that is, nobody knows without --issuer',
}

export function viewJudgement(file: string, judged: Judgement): JudgementView {
  const { octets, status, signer, signature, findings, checks, notRun } = judged
  const errors = findings.filter(({ level }) => level === 'error').length
  return {
    file,
    octets,
    ...(status === undefined ? {} : { responseStatus: status }),
    signature,
    ...(signer === undefined ? {} : { signer: oneLine(signer.certificate.subject), signedBy: signer.is }),
    errors,
    warnings: findings.length - errors,
    findings,
    checks,
    notRun,
  }
}

export function formatJudgement(view: JudgementView): string[] {
  const { file, octets, responseStatus, errors, warnings, findings, signer, signedBy, signature } = view
  const count =
    findings.length === 0
      ? 'clean'
      : [errors && formatCount(errors, 'error'), warnings && formatCount(warnings, 'warning')]
          .filter((part) => part !== 0)
          .join(', ')
  const what = responseStatus === undefined ? 'no OCSP response' : `${responseStatus}`
  const by =
    signer === undefined || signedBy === undefined
      ? 'by nobody at hand'
      : `by ${signer} (${SIGNED_BY[signedBy]})`
  return [
    ...findings.flatMap(formatFinding),
    ...formatFields([
      ['Response', `${file}, ${octets} octets, ${what}: ${count}`],
      ['Signature', responseStatus === 'successful' ? `${signature}, ${by}` : undefined],
      ['Checks', formatChecks(view)],
    ]),
    ...formatNotRun(view.notRun),
  ]
}

/** Two lines: what and where; what to do. */
export function formatFinding({ id, check, level, path, offset, message, todo }: JudgedFinding): string[] {
  const where = `${path === '' ? '' : `${path}, `}octet ${offset}`
  return [`${level} ${id} ${check} (${where})`, `  ${message}`, `  ${todo}`]
}

function formatChecks({ checks, notRun }: JudgementView): string {
  const run = checks - notRun.length
  return notRun.length === 0 ? `${run}, all` : `${run} of ${checks}; not run:`
}

/** One line for each reason. */
function formatNotRun(list: readonly NotRun[]): string[] {
  const byReason = Map.groupBy(list, ({ reason }) => reason)
  return [...byReason].map(([reason, checks]) => {
    const names = checks.length > 3 ? `${checks.length} checks` : checks.map(({ check }) => check).join(', ')
    return `  ${names}: ${reason}`
  })
}
