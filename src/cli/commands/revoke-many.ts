import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { type Command, Option } from 'commander'
import type { Issuer } from '../../admin-api/contract.ts'
import type { ByteSource } from '../../importers/importer.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describePublication } from '../describe.ts'
import { parseTime } from '../duration.ts'
import { EXIT, type ExitCode, messageOf, usageError } from '../exit.ts'
import { resolveIssuer } from '../issuer-reference.ts'
import { describeEstimate, type Estimate, estimate } from '../mass-estimate.ts'
import { type MassCounts, MassJob, type MassSource } from '../mass-job.ts'
import { addQueryOptions, type QueryOptions, readQuery } from '../mass-query.ts'
import { formatCount } from '../output.ts'
import { isFile } from '../serial.ts'
import { signDue } from './presign.ts'
import { parseReason, REASONS } from './revoke.ts'

interface RevokeManyOptions extends CommonOptions, QueryOptions {
  readonly issuer?: string
  readonly serials?: string
  readonly fromLine?: number
  readonly addMissing?: boolean
  readonly reason?: string
  readonly at?: string
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly wait?: boolean
}

export function revokeManyCommand(): Command {
  const command = adminLeaf(
    'revoke-many',
    'revoke many certificates, by a list or by a query of the record',
    [
      'revoke-many --issuer demo --issued-before 2026-03-01 --reason keyCompromise --dry-run',
      'revoke-many --issuer demo --issued-after 2026-01-01 --expires-before 2027-01-01 --reason superseded --yes --wait',
      'revoke-many --issuer demo --serials weak-keys.txt --reason keyCompromise',
      'revoke-many --issuer demo --all --reason cessationOfOperation',
    ],
    'A list has a serial number on each line, and after it, if need be, a reason and a time. A query leaves alone what is\nrevoked already; a list may revise its reason and time, as revoke does. --dry-run counts, and tells time and cost;\nwithout --yes you are asked before anything is changed. Stopped half-way it loses nothing: the same command goes on\nwhere it was. Revoked stays revoked.',
  )
    .option('--issuer <issuer>', 'certificate file, key identifier or short name (default: the only one)')
    .option('--serials <file|->', 'the certificates of a list, or - for standard input')
    .option('--decimal', 'serial numbers are decimal')
    .addOption(new Option('--from-line <number>', 'pass over the lines before this one').argParser(parseLine))
    .option('--add-missing', 'serial numbers of the list that are not recorded are recorded as revoked')
  return addQueryOptions(command)
    .addOption(
      new Option('--reason <reason>', `${REASONS.join(', ')} (default: none given)`).argParser(parseReason),
    )
    .option('--at <time>', 'time of the revocations (default: the minute in which it begins)')
    .option('--dry-run', 'count what would be revoked, how long it takes and what it costs; change nothing')
    .option('--yes', 'do not ask')
    .option('--wait', 'and sign what became due, until nothing is left')
    .action((options: RevokeManyOptions) => run(options, (context) => revokeMany(context, options)))
}

async function revokeMany(context: Context, options: RevokeManyOptions): Promise<ExitCode> {
  const source = sourceOf(options)
  const at = options.at === undefined ? undefined : parseTime(options.at, '--at')
  const reference = await resolveIssuer(context.client, options.issuer)
  const issuer = await context.client.call('showIssuer', { params: { issuer: reference } })
  const job = new MassJob({
    client: context.client,
    issuer: issuer.name,
    source,
    change: { reason: options.reason, at },
    addMissing: options.addMissing === true,
  })
  const isTrial = options.dryRun === true
  if (isTrial || options.yes !== true) {
    if (!isTrial && source.kind === 'list' && options.serials === '-') {
      throw usageError(
        'the list comes by standard input, so nobody can be asked',
        'Try it with --dry-run, then do it with --yes.',
      )
    }
    const counts = await job.tally()
    const expected = await estimateOf(context, issuer, counts, source)
    if (isTrial) return printTrial(context, issuer, counts, expected)
    for (const line of [...describeCounts(issuer, counts, 'would revoke'), ...describeEstimate(expected)])
      context.output.note(line)
    if (counts.changed + counts.added === 0 && source.kind === 'query')
      return print(context, issuer, counts, { isStopped: false, isSigned: false })
    await confirm(issuer, counts)
  }
  return execute(context, issuer, job, options.wait === true)
}

async function execute(context: Context, issuer: Issuer, job: MassJob, wait: boolean): Promise<ExitCode> {
  const { output, client } = context
  const stop = new AbortController()
  const onSignal = () => {
    output.note('stopping after this part; once more ends at once')
    stop.abort()
  }
  process.once('SIGINT', onSignal)
  let counts: MassCounts
  try {
    counts = await job.execute(stop.signal, output)
  } finally {
    process.off('SIGINT', onSignal)
    if (job.needsPublish) {
      try {
        output.note(`revocations: ${describePublication(await client.callPatiently('publish'))}`)
      } catch (error) {
        output.warn(
          `the revocations are recorded but not published yet (${messageOf(error)}); the next minute tries again`,
        )
      }
    }
  }
  const code = print(context, issuer, counts, { isStopped: stop.signal.aborted, isSigned: wait })
  if (!wait || stop.signal.aborted) return code
  const { built, failed, remaining } = await signDue(context, issuer.name, true)
  output.note(`signed: ${formatCount(built, 'bundle')}, ${failed} failed, ${remaining} left`)
  return failed + remaining > 0 ? EXIT.no : code
}

async function estimateOf(
  { client }: Context,
  issuer: Issuer,
  counts: MassCounts,
  source: MassSource,
): Promise<Estimate> {
  const { revocationsPerSecond } = await client.call('listMassRevocations', {
    params: { issuer: issuer.name },
  })
  const { signing, issuers } = await client.call('status')
  const recorded = issuers.find(({ id }) => id === issuer.id)
  return estimate(
    {
      revocations: counts.changed + counts.added,
      bundles: counts.bundles,
      walked: source.kind === 'query' && recorded !== undefined ? recorded.entries + recorded.added : 0,
    },
    issuer,
    revocationsPerSecond,
    signing,
  )
}

function printTrial({ output }: Context, issuer: Issuer, counts: MassCounts, expected: Estimate): ExitCode {
  output.result({ issuer: issuer.name, dryRun: true, ...counts, estimate: expected }, () => [
    ...describeCounts(issuer, counts, 'would revoke'),
    ...describeEstimate(expected),
    'nothing was changed',
  ])
  return isClean(counts) ? EXIT.good : EXIT.no
}

function print(
  { output }: Context,
  issuer: Issuer,
  counts: MassCounts,
  { isStopped, isSigned }: { isStopped: boolean; isSigned: boolean },
): ExitCode {
  output.result({ issuer: issuer.name, dryRun: false, stopped: isStopped, ...counts }, () => [
    ...describeCounts(issuer, counts, 'revoked'),
    ...(isStopped ? ['stopped: the same command goes on where it was'] : []),
    ...(counts.changed + counts.added > 0 && !isSigned
      ? [`Sign them now, instead of by and by: edge-ocsp presign --wait --issuer ${issuer.name}`]
      : []),
  ])
  return isClean(counts) && !isStopped ? EXIT.good : EXIT.no
}

function describeCounts(issuer: Issuer, counts: MassCounts, verb: string): string[] {
  const { changed, added, already, held, reserved, leftReserved, undated, notFound, refused, bad } = counts
  const among = [
    held > 0 ? `${formatCount(held, 'hold')}` : '',
    reserved > 0 ? `${reserved} reserved` : '',
    added > 0 ? `${added} not recorded before` : '',
  ].filter((part) => part !== '')
  const rest = [
    `${already} revoked already`,
    ...(leftReserved > 0 ? [`${leftReserved} reserved and left so (--reserved takes them too)`] : []),
    ...(undated > 0 ? [`${undated} left out because a date that was asked about is not recorded`] : []),
    ...(notFound > 0 ? [`${notFound} not recorded`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(bad > 0 ? [`${formatCount(bad, 'bad line')}`] : []),
  ]
  return [
    `${verb} ${formatCount(changed + added, 'certificate')} of ${issuer.name}` +
      `${among.length === 0 ? '' : ` (${among.join(', ')} among them)`}; ${rest.join(', ')}`,
  ]
}

function isClean({ notFound, refused, bad }: MassCounts): boolean {
  return notFound + refused + bad === 0
}

/** Whoever revokes many says whose. @throws CLIError (usage) */
async function confirm(issuer: Issuer, counts: MassCounts): Promise<void> {
  const what = `${formatCount(counts.changed + counts.added, 'certificate')} of ${issuer.name}`
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  process.stderr.write(
    `${what} will be revoked, for good. Type the name of the issuer to go on (or use --yes): `,
  )
  const { value } = await lines[Symbol.asyncIterator]().next()
  lines.close()
  process.stdin.destroy()
  if (typeof value === 'string' && value.trim() === issuer.name) return
  process.stderr.write('\n')
  throw usageError(`not confirmed: nothing was changed`, `Type "${issuer.name}", or add --yes.`)
}

function sourceOf(options: RevokeManyOptions): MassSource {
  const where = readQuery(options)
  const { serials: file, decimal = false, fromLine } = options
  if (file === undefined) {
    if (where === undefined) {
      throw usageError(
        'which certificates? There is neither a list nor a condition',
        'Give --serials FILE, a condition such as --issued-before TIME, or --all.',
      )
    }
    if (options.addMissing === true || fromLine !== undefined)
      throw usageError('--add-missing and --from-line are for --serials')
    return { kind: 'query', where }
  }
  if (where !== undefined || options.reserved === true)
    throw usageError('--serials and conditions exclude each other', 'Narrow the list, or leave it out.')
  if (file !== '-' && !isFile(file)) {
    throw usageError(`${file}: cannot read it: no such file`, 'Paths are taken from the folder you are in.')
  }
  return {
    kind: 'list',
    name: file === '-' ? 'standard input' : file,
    open: () => open(file),
    decimal,
    fromLine,
  }
}

function open(file: string): ByteSource {
  return file === '-' ? process.stdin : createReadStream(file)
}

function parseLine(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  throw usageError(`--from-line: "${text}" is not the number of a line`)
}
