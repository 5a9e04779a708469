import type { Command } from 'commander'
import type { Status } from '../../admin-api/contract.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions } from '../context.ts'
import { endsOf, stateOf } from '../describe.ts'
import { formatDuration } from '../duration.ts'
import { EXIT } from '../exit.ts'
import { formatFields, formatTable } from '../output.ts'

export function statusCommand(): Command {
  return adminLeaf('status', 'is everything signed, published and on time? (exit 1: no)', [
    'status',
    'status --json',
    'status --url https://ocsp.example.com',
  ]).action((options: CommonOptions) =>
    run(options, async ({ client, output, url }) => {
      const status = await client.call('status')
      output.result(status, () => describeStatus(url, status))
      return status.ready ? EXIT.good : EXIT.no
    }),
  )
}

function describeStatus(url: string, status: Status): string[] {
  const now = Date.parse(status.now)
  const ago = (time: string | null) =>
    time === null ? 'never' : `${time} (${formatDuration((now - Date.parse(time)) / 1000)} ago)`
  const ahead = (time: string | null) =>
    time === null ? 'nothing signed' : `${time} (in ${formatDuration((Date.parse(time) - now) / 1000)})`
  return [
    ...formatFields([
      ['Responder', url],
      ['Ready', status.ready ? 'yes' : 'no'],
      ['Bundles due', describeDue(status)],
      ...describeQueue(status, ago),
      ['Oldest response', ago(status.oldestThisUpdate)],
      ['First to expire', ahead(status.nearestNextUpdate)],
      ['Published', ago(status.lastPublishedAt)],
      ...status.runs.map(
        (last) =>
          [
            `Last ${last.job}${last.database === undefined ? '' : ` in ${last.database}`}`,
            describeRun(last),
          ] as const,
      ),
      ['Bound', formatDuration(status.boundSeconds)],
    ]),
    ...status.problems.flatMap((problem) => [
      `problem: ${problem.issuer === undefined ? '' : `${problem.issuer}: `}${problem.message}`,
      `         ${problem.step}`,
    ]),
    ...(status.issuers.length === 0
      ? ['no issuers yet: edge-ocsp issuer add --cert issuer.pem ...']
      : describeIssuers(status)),
    ...describeDatabases(status, ago),
  ]
}

/** Nothing where there is one. */
function describeDatabases({ databases }: Status, ago: (time: string | null) => string): string[] {
  if (databases === undefined) return []
  return formatTable(
    ['DATABASE', 'BINDING', 'STATE', 'DUE', 'PUBLISHED'],
    databases.map(({ database, name, up, slotsDue, lastPublishedAt }) => [
      String(database),
      name,
      up ? 'up' : 'away',
      String(slotsDue),
      ago(lastPublishedAt),
    ]),
  )
}

function describeQueue(
  { queue }: Status,
  ago: (time: string | null) => string,
): (readonly [string, string])[] {
  if (queue === null) return []
  const { waiting, building, due, planned, messages, plannedAt, handledAt, deadAt } = queue
  return [
    ['In the queue', `${waiting} bundles, and ${building} being built`],
    ['Last plan', `${ago(plannedAt)}: ${planned} of ${due} due sent in ${messages} messages`],
    ['Last message', ago(handledAt)],
    ...(deadAt === null ? [] : [['Last dead letter', ago(deadAt)] as const]),
  ]
}

/** At the rate of the last runs, signing without a break; what waits in the queue counts, too. */
function describeDue({ slotsDue, signing }: Status): string {
  if (signing === null || signing.secondsLeft === 0) return String(slotsDue)
  const rate = `${signing.bundlesPerSecond} bundles and ${signing.signaturesPerSecond} signatures a second`
  return `${slotsDue} (about ${formatDuration(signing.secondsLeft)} at ${rate})`
}

function describeRun({ finishedAt, ok, built, signatures, failed, error }: Status['runs'][number]): string {
  const outcome = ok ? 'ok' : `failed${error === undefined ? '' : `: ${error}`}`
  return `${finishedAt}, ${outcome}; ${built} bundles, ${signatures} signatures, ${failed} failed`
}

function describeIssuers({ issuers }: Status): string[] {
  return formatTable(
    ['ISSUER', 'STATE', 'RESPONDERS', 'SIGNED', 'NEW', 'DUE', 'FAILING', 'NEXT UPDATE', 'LAST CHANGE'],
    issuers.map((issuer) => [
      issuer.name,
      issuer.frozen ? ['frozen', ...endsOf(issuer)].join(', ') : stateOf(issuer),
      String(issuer.usableResponders),
      String(issuer.entries),
      String(issuer.added),
      String(issuer.slotsDue),
      String(issuer.slotsFailing),
      issuer.nearestNextUpdate ?? '-',
      issuer.published >= issuer.head ? 'published' : 'not yet published',
    ]),
  )
}
