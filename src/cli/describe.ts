/** Answers of the admin API as lines for people. */
import { X509Certificate } from 'node:crypto'
import type { Finding, Issuer, Policy, Publication, Responder } from '../admin-api/contract.ts'
import { oneLine } from './certificate.ts'
import { formatDuration } from './duration.ts'
import { formatFields, formatTable, type Output } from './output.ts'

export function describePolicy(policy: Policy): string {
  const maxAge = typeof policy.maxAge === 'number' ? formatDuration(policy.maxAge) : policy.maxAge
  return `${policy.profile}, validity ${formatDuration(policy.validitySeconds)}, unknown serials: ${policy.unknown}, nonce: ${policy.nonce}, max-age: ${maxAge}`
}

/** What is never taken back. */
export function endsOf({ compromisedAt, finalAt }: Pick<Issuer, 'compromisedAt' | 'finalAt'>): string[] {
  return [...(compromisedAt === null ? [] : ['compromised']), ...(finalAt === null ? [] : ['final'])]
}

/** "enabled", "disabled", "compromised", "disabled, final" ... */
export function stateOf(issuer: Pick<Issuer, 'enabled' | 'compromisedAt' | 'finalAt'>): string {
  const words = [...(issuer.enabled ? [] : ['disabled']), ...endsOf(issuer)]
  return words.length === 0 ? 'enabled' : words.join(', ')
}

export function describeIssuer(issuer: Issuer): string[] {
  const { policy, compromisedAt, finalAt } = issuer
  const state = stateOf(issuer)
  return [
    ...formatFields([
      ['Issuer', `${issuer.name}${state === 'enabled' ? '' : ` (${state})`}`],
      ['Compromised', compromisedAt === null ? undefined : `since ${compromisedAt}: every serial is revoked`],
      ['Final', finalAt === null ? undefined : `since ${finalAt}: responses without an end, no more changes`],
      ['Subject', subjectOf(issuer)],
      ['Key identifier', issuer.ski],
      ['Valid', `${issuer.notBefore} to ${issuer.notAfter}`],
      ['Policy', describePolicy(policy)],
      ['Hashes', policy.hashes.join(', ')],
      ['Kept after expiry', formatDuration(policy.retainSeconds)],
      ['Archive cutoff', policy.archiveCutoff === 'none' ? undefined : policy.archiveCutoff],
      ['Signed requests', policy.signedRequests === 'ignore' ? undefined : policy.signedRequests],
      [
        'Requestors',
        policy.requestors.length === 0 ? undefined : policy.requestors.map(subjectIn).join('; '),
      ],
      ['Algorithm', policy.algorithm ?? undefined],
      ['Certificate at', issuer.certificatePath],
      ['Databases', describeShares(issuer)],
      ['Responders', issuer.responders.length === 0 ? 'none' : undefined],
    ]),
    ...describeResponders(issuer.responders),
  ]
}

/** "0 has 0-7; 1 has 8-f (fresh)": the digits that the hashes of the serials there begin with. */
function describeShares({ databases, partsDiffer }: Issuer): string | undefined {
  if (databases === undefined) return undefined
  const shares = databases.map(({ database, digits, moving, fresh }) => {
    const states = [...(moving ? ['moving'] : []), ...(fresh ? ['fresh'] : [])].join(', ')
    return `${database} has ${digits === '' ? 'none' : digits}${states === '' ? '' : ` (${states})`}`
  })
  const differ = partsDiffer === true ? '; not configured alike: repeat the last change' : ''
  return `${shares.join('; ')}${differ}`
}

/** The responder leaves the subject out where it would have to load its X.509 code for it. */
export function subjectOf(issuer: Issuer): string {
  return issuer.subject ?? subjectIn(issuer.certificate)
}

function subjectIn(pem: string): string {
  return oneLine(new X509Certificate(pem).subject)
}

export function describeResponders(responders: readonly Responder[]): string[] {
  if (responders.length === 0) return []
  return formatTable(
    ['ID', 'RESPONDER', 'STATE', 'KIND', 'ALGORITHM', 'KEY', 'NOT AFTER'],
    responders.map((responder) => [
      String(responder.id),
      responder.name,
      responder.state,
      responder.kind,
      responder.algorithm,
      responder.secretName === undefined ? responder.custody : `secret ${responder.secretName}`,
      responder.notAfter,
    ]),
  )
}

/** Since when, or until when, the whole world sees a change. */
export function describePublication(publication: Publication): string {
  if (publication.publishedAt === null) {
    const why = publication.problem === undefined ? '' : ` (${publication.problem})`
    return `recorded, not yet published${why}; the next minute tries again`
  }
  return `published at ${publication.publishedAt}; everywhere within ${formatDuration(publication.boundSeconds)}`
}

/** Warnings go to stderr: they belong to the person, not to the result. */
export function warnFindings(output: Output, findings: readonly Finding[]): void {
  for (const finding of findings) output.warn(finding.message)
}
