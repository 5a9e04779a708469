import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import type { Issuer } from '../../admin-api/contract.ts'
import { type AuditLine, collectFinalStates } from '../audit-lines.ts'
import { type ReplaySummary, replay } from '../audit-replay.ts'
import { fileReason } from '../certificate.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describePublication } from '../describe.ts'
import { EXIT, type ExitCode, usageError } from '../exit.ts'
import { eachIssuer } from '../issuer-reference.ts'
import { formatCount } from '../output.ts'
import { startProgress } from '../progress.ts'

interface ExportOptions extends CommonOptions {
  readonly after?: number
  readonly database?: number
}

const PAGE_ROWS = 1000

export function auditCommand(): Command {
  return group(
    'audit',
    'every change ever made, for keeping elsewhere and for restoring',
    ['audit export > audit.jsonl', 'audit export --after 41200 >> audit.jsonl', 'audit replay audit.jsonl'],
    [exportCommand(), replayCommand()],
  )
}

function exportCommand(): Command {
  return adminLeaf(
    'export',
    'print the audit as JSON lines, oldest first',
    [
      'audit export > audit.jsonl',
      'audit export --after 41200 >> audit.jsonl',
      'audit export --database 1 --after 3100 >> audit-1.jsonl',
    ],
    'Keep it outside of the database: after a restore, "audit replay" brings back the revocations that were lost.\nThe last line on stderr names the --after of the next export.',
  )
    .option('--after <id>', 'only rows after this one', parseId)
    .option('--database <number>', 'only of this database (default: of all)', parseId)
    .action((options: ExportOptions) => run(options, (context) => exportAudit(context, options)))
}

function parseId(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new InvalidArgumentError('Expected the id of an audit row, a whole number.')
  return Number(text)
}

async function exportAudit(context: Context, { after = 0, database }: ExportOptions): Promise<ExitCode> {
  const { client } = context
  const byId = new Map<number, Issuer>()
  for await (const issuer of eachIssuer(client)) byId.set(issuer.id, issuer)
  if (database !== undefined) return exportOne(context, byId, after, database)
  const { databases } = await client.callPatiently('audit', { query: { limit: 1 } })
  if (databases === undefined) return exportOne(context, byId, after, undefined)
  if (after > 0)
    throw usageError(
      'each database has ids of its own: --after needs --database',
      `There are the databases ${databases.join(', ')}; export each with its own --after.`,
    )
  for (const one of databases) await exportOne(context, byId, 0, one)
  return EXIT.good
}

/** @param database undefined: there is only one */
async function exportOne(
  { client, output }: Context,
  byId: ReadonlyMap<number, Issuer>,
  start: number,
  database: number | undefined,
): Promise<ExitCode> {
  const where = database === undefined ? {} : { database }
  let last = start
  let count = 0
  for (let after: number | null = start; after !== null; ) {
    const page: { rows: readonly AuditLine[]; next: number | null } = await client.callPatiently('audit', {
      query: { after, limit: PAGE_ROWS, ...where },
    })
    for (const row of page.rows) {
      // An id means something in this database alone; the key identifier in any.
      const issuer = row.issuer === null ? undefined : byId.get(row.issuer)
      await writeLine({
        ...row,
        ...where,
        ...(issuer === undefined ? {} : { issuerName: issuer.name, issuerSki: issuer.ski }),
      })
      last = row.id
      count += 1
    }
    after = page.next
  }
  const option = database === undefined ? '' : ` --database ${database}`
  output.note(
    `${formatCount(count, 'row')}; go on later with: edge-ocsp audit export${option} --after ${last}`,
  )
  return EXIT.good
}

/** Waits for a slow reader, so that a long audit is never held in memory. */
async function writeLine(value: unknown): Promise<void> {
  if (!process.stdout.write(`${JSON.stringify(value)}\n`)) await once(process.stdout, 'drain')
}

function replayCommand(): Command {
  return adminLeaf(
    'replay',
    'apply what an export says again: revocations, holds, reserved serials, ends of issuers (exit 1: some could not be)',
    ['audit replay audit.jsonl', 'cat audit-*.jsonl | edge-ocsp audit replay - --json'],
    'For each certificate only its last recorded status counts. What is there already stays as it is, so running it twice\nis safe. Issuers are found by their key identifier: add them first. Certificates that were only ever good are not in\nthe audit one by one: import them again. A compromised CA is recorded last, and an issuer made final after that; while it is\nfrozen that is refused: thaw it and replay once more.',
  )
    .argument('<file|->', 'JSON lines of "audit export", or - for standard input')
    .action((file: string, options: CommonOptions) => run(options, (context) => replayAudit(context, file)))
}

async function replayAudit(context: Context, file: string): Promise<ExitCode> {
  const { client, output } = context
  if (file !== '-' && !existsSync(file))
    throw usageError(`${file}: no such file`, 'Name the output of "edge-ocsp audit export".')
  const name = file === '-' ? 'standard input' : file
  const source = file === '-' ? process.stdin : createReadStream(file)
  let collected: Awaited<ReturnType<typeof collectFinalStates>>
  try {
    collected = await collectFinalStates(source, (line, problem) =>
      output.note(`${name}:${line}: ${problem}`),
    )
  } catch (cause) {
    throw usageError(`${name}: cannot read it: ${fileReason(cause)}`, undefined, { cause })
  }
  const progress = startProgress({ label: 'replay', total: collected.count })
  let summary: ReplaySummary
  try {
    summary = await replay(client, collected.states, {
      onProgress: (done) => progress.update(done, formatCount(done, 'certificate')),
      onProblem: (what, problem) => {
        progress.clear()
        output.note(`${what}: ${problem}`)
      },
    })
  } finally {
    progress.stop()
  }
  if (summary.changed + summary.added > 0)
    output.note(describePublication(await client.callPatiently('publish')))
  const value = { ...summary, rows: collected.rows, bad: collected.bad }
  output.result(value, () => [
    `replayed ${formatCount(collected.count, 'certificate')} from ${formatCount(collected.rows, 'row')}: ` +
      `${summary.added} added, ${summary.changed} changed, ${summary.unchanged} unchanged, ${summary.refused} refused, ${collected.bad} bad lines`,
    ...(summary.compromised + summary.finalized === 0
      ? []
      : [`issuers: ${summary.compromised} recorded as compromised, ${summary.finalized} made final`]),
  ])
  return summary.refused + collected.bad === 0 ? EXIT.good : EXIT.no
}
