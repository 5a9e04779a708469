import { createReadStream, type Stats, statSync } from 'node:fs'
import type { Command } from 'commander'
import type { ByteSource } from '../../importers/importer.ts'
import { readOpenSSLIndex } from '../../importers/openssl-index.ts'
import { fileReason } from '../certificate.ts'
import { addCRLOptions, type CRLOptions, readCRL } from '../certificate-facts.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describePublication } from '../describe.ts'
import { CLIError, EXIT, type ExitCode, messageOf, usageError } from '../exit.ts'
import { type ImportProblem, ImportRun, type ImportSummary } from '../import-run.ts'
import { resolveIssuer } from '../issuer-reference.ts'
import { formatCount } from '../output.ts'
import { formatRate, type Progress, startProgress } from '../progress.ts'

interface ImportOptions extends CommonOptions, CRLOptions {
  readonly issuer?: string
  readonly dryRun?: boolean
  readonly addOnly?: boolean
}

export function importCommand(): Command {
  return group(
    'import',
    'what a CA knows of its certificates, from the files it keeps',
    ['import openssl-index index.txt --issuer issuer.pem'],
    [opensslIndexCommand()],
  )
}

function opensslIndexCommand(): Command {
  const command = adminLeaf(
    'openssl-index',
    'the index.txt of "openssl ca" (also of easy-rsa)',
    [
      'import openssl-index index.txt --issuer issuer.pem',
      'import openssl-index index.txt --issuer demo --dry-run',
      'ssh ca cat index.txt | edge-ocsp import openssl-index - --issuer demo --json',
    ],
    'A bad line is reported with its number, and the good ones are kept (exit 1). Running it again is safe at any time:\nwhat is recorded already comes back as unchanged. No import makes a revoked certificate good again.\nA time of compromise (keyTime, CAkeyTime) becomes the invalidityDate of responses. With --crl-url, --crl-number or\n--crl-time, all revocations and holds of the index are said to stand in that CRL.',
  )
    .argument('<file|->', 'index.txt, or - for standard input')
    .option(
      '--issuer <issuer>',
      'whose index this is: certificate file, key identifier or short name (default: the only one)',
    )
    .option('--dry-run', 'look up what would change, and change nothing')
    .option('--add-only', 'add what is not recorded yet; change no status')
  return addCRLOptions(command).action((file: string, options: ImportOptions) =>
    run(options, (context) => importIndex(context, file, options)),
  )
}

async function importIndex(context: Context, file: string, options: ImportOptions): Promise<ExitCode> {
  const { client } = context
  const size = sizeOf(file)
  const crl = readCRL(options)
  const reference = await resolveIssuer(client, options.issuer)
  const { name: issuer, policy, finalAt } = await client.call('showIssuer', { params: { issuer: reference } })
  const meter = new Meter(file, size)
  const started = Date.now()
  const progress = startProgress({ label: options.dryRun === true ? 'dry run' : 'import', total: size })
  const importRun = new ImportRun({
    client,
    issuer,
    rules: { profile: policy.profile, isFinal: finalAt !== null },
    crl,
    dryRun: options.dryRun === true,
    addOnly: options.addOnly === true,
    onProblem: ({ line, problem }) => tellProblem(progress, file, { line, problem }),
    onProgress: ({ rows, bad, refused }) => {
      const wrong = bad + refused === 0 ? '' : `, ${bad + refused} not taken`
      progress.update(meter.bytes, `${formatCount(rows, 'row')}, ${formatRate(rows, started)}${wrong}`)
    },
  })
  let recognised: boolean
  try {
    recognised = await importRun.run(readOpenSSLIndex(meter.chunks()))
  } catch (error) {
    throw interrupted(error, importRun.summary)
  } finally {
    progress.stop()
    await publish(context, importRun.summary)
  }
  if (!recognised) {
    throw usageError(
      `${nameOf(file)} does not look like an index.txt of OpenSSL: the first ${importRun.summary.bad} lines are all bad`,
      'Its lines have six columns with TABs between them, and begin with V, R or E. Nothing was sent.',
    )
  }
  return print(context, importRun.summary, Date.now() - started)
}

function tellProblem(progress: Progress, file: string, { line, problem }: ImportProblem): void {
  progress.clear()
  process.stderr.write(`${nameOf(file)}:${line}: ${problem}\n`)
}

/** One publication for the whole import; without it the next minute's cron does it. */
async function publish({ client, output }: Context, summary: ImportSummary): Promise<void> {
  if (!summary.needsPublish) return
  try {
    const publication = await client.callPatiently('publish')
    summary.needsPublish = publication.publishedAt === null
    output.note(`revocations: ${describePublication(publication)}`)
  } catch (error) {
    output.warn(
      `the revocations are recorded but not published yet (${messageOf(error)}); the next minute tries again`,
    )
  }
}

function interrupted(error: unknown, { rows, added, changed, unchanged }: ImportSummary): unknown {
  if (!(error instanceof CLIError)) return error
  const sent = added + changed + unchanged
  return new CLIError(
    error.exitCode,
    `${error.message}\nThe import stopped after ${formatCount(rows, 'row')}; ${formatCount(sent, 'row')} are recorded.`,
    [error.hint, 'Run the same command again: it goes on where it stopped, recorded rows are unchanged.']
      .filter((line) => line !== undefined)
      .join('\n'),
    { code: error.code, cause: error },
  )
}

function print({ output }: Context, summary: ImportSummary, milliseconds: number): ExitCode {
  const { rows, added, changed, unchanged, refused, kept, bad, dryRun, issuer } = summary
  output.result({ ...summary, milliseconds }, () => [
    `${dryRun ? 'would import' : 'imported'} ${formatCount(rows, 'row')} for ${issuer} in ${(milliseconds / 1000).toFixed(1)} s: ` +
      `${added} added, ${changed} changed, ${unchanged} unchanged` +
      `${kept > 0 ? `, ${kept} kept as recorded` : ''}, ${refused} refused, ${bad} bad`,
    ...(dryRun ? ['nothing was sent'] : []),
    ...(!dryRun && added + changed > 0
      ? ['Sign them now, instead of within a minute or at their turn: edge-ocsp presign --wait']
      : []),
  ])
  return bad + refused === 0 ? EXIT.good : EXIT.no
}

function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file
}

/** @returns undefined for standard input and pipes. @throws CLIError (usage) before anything is asked of the responder */
function sizeOf(file: string): number | undefined {
  if (file === '-') return undefined
  let stats: Stats
  try {
    stats = statSync(file)
  } catch (cause) {
    throw usageError(`${file}: cannot read it: ${fileReason(cause)}`, undefined, { cause })
  }
  if (stats.isDirectory()) throw usageError(`${file}: it is a folder`, 'Name the index.txt in it.')
  return stats.isFile() ? stats.size : undefined
}

/** Counts the octets that went through: the progress of a file. */
class Meter {
  bytes = 0
  readonly #file: string
  readonly size: number | undefined

  constructor(file: string, size: number | undefined) {
    this.#file = file
    this.size = size
  }

  /** @throws CLIError when reading fails */
  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of open(this.#file)) {
        this.bytes += chunk.length
        yield chunk
      }
    } catch (cause) {
      throw new CLIError(
        EXIT.usage,
        `${nameOf(this.#file)}: cannot read it: ${fileReason(cause)}`,
        undefined,
        { cause },
      )
    }
  }
}

function open(file: string): Exclude<ByteSource, ReadableStream<Uint8Array>> {
  return file === '-' ? process.stdin : createReadStream(file)
}
