/** A mass revocation by query or by list: counted first, then done part by part, each acknowledged before the next. */
import {
  type ListedRevocation,
  MAX_BODY_BYTES,
  MAX_LISTED_PER_CALL,
  type MassRun,
  type MassWhere,
} from '../admin-api/contract.ts'
import type { ByteSource } from '../importers/importer.ts'
import type { AdminClient } from './client.ts'
import { formatDuration } from './duration.ts'
import { CLIError, EXIT } from './exit.ts'
import { formatCount, type Output } from './output.ts'
import { formatRate, type Progress, startProgress } from './progress.ts'
import { readSerialList } from './serial-list.ts'

/** Problems kept for the summary; all are counted and told as they come. */
const MAX_KEPT_PROBLEMS = 1000
/** A root says all that changed until then: one for each so many rows is enough, and the cron makes its own. */
const PUBLISH_EVERY = 50_000
/** What is recorded while a run walks may lie behind it: it is walked again, but not for ever. */
const MAX_PASSES = 5
const MAX_CURSOR = 4_294_967_296

export type MassSource =
  | { readonly kind: 'query'; readonly where: MassWhere }
  | {
      readonly kind: 'list'
      /** For people. */
      readonly name: string
      readonly open: () => ByteSource
      readonly decimal: boolean
      readonly fromLine: number | undefined
    }

export interface MassCounts {
  /** Revoked (or held), or would be. */
  changed: number
  added: number
  /** Of a dry run. */
  held: number
  reserved: number
  /** Left as they are. */
  already: number
  leftReserved: number
  undated: number
  notFound: number
  refused: number
  /** Lines that are no serial number, or repeat one. */
  bad: number
  /** Of a dry run: bundles that become due. */
  bundles: number
  /** The first 1000. */
  problems: { line?: number; serial?: string; problem: string }[]
}

export interface MassJobOptions {
  readonly client: AdminClient
  readonly issuer: string
  readonly source: MassSource
  readonly change: { readonly reason: string | undefined; readonly at: number | undefined }
  readonly addMissing: boolean
}

export class MassJob {
  /** Something is committed that no root knows yet. */
  needsPublish = false
  readonly #options: MassJobOptions
  #unpublished = 0

  constructor(options: MassJobOptions) {
    this.#options = options
  }

  /** Counts, changes nothing. */
  async tally(): Promise<MassCounts> {
    const counts = noCounts()
    const { source } = this.#options
    const progress = startProgress({
      label: 'dry run',
      total: source.kind === 'query' ? MAX_CURSOR : undefined,
    })
    try {
      if (source.kind === 'query') await this.#tallyQuery(source.where, counts, progress)
      else await this.#list(source, true, counts, progress)
    } finally {
      progress.stop()
    }
    return counts
  }

  /** @param stop ends it after the part that is under way */
  async execute(stop: AbortSignal, output: Output): Promise<MassCounts> {
    const counts = noCounts()
    const { source } = this.#options
    const progress = startProgress({ label: 'revoke', total: source.kind === 'query' ? 1000 : undefined })
    try {
      if (source.kind === 'query') await this.#query(source.where, counts, progress, stop, output)
      else await this.#list(source, false, counts, progress, stop)
    } catch (error) {
      throw interrupted(error, counts)
    } finally {
      progress.stop()
    }
    return counts
  }

  async #tallyQuery(where: MassWhere, counts: MassCounts, progress?: Progress): Promise<void> {
    const { client, issuer, change } = this.#options
    const bundles = new Set<string>()
    for (let cursor: number | null = 0; cursor !== null; ) {
      const body: object = { where, ...change, cursor }
      const part = await client.callPatiently('planMassRevoke', { params: { issuer }, body })
      counts.changed += part.toChange
      for (const name of ['held', 'reserved', 'already', 'leftReserved', 'undated'] as const)
        counts[name] += part[name]
      counts.refused += part.refused.length
      for (const { serial, message } of part.refused) keep(counts, { serial, problem: message })
      for (const { k, slots } of part.slots) for (const slot of slots) bundles.add(`${k}/${slot}`)
      cursor = part.cursor
      progress?.update(cursor ?? MAX_CURSOR, formatCount(counts.changed, 'certificate'))
    }
    counts.bundles = bundles.size
  }

  async #query(
    where: MassWhere,
    counts: MassCounts,
    progress: Progress,
    stop: AbortSignal,
    output: Output,
  ): Promise<void> {
    for (let pass = 1; ; pass += 1) {
      // What was refused is refused again: only the last pass counts.
      counts.refused = 0
      await this.#walk(where, counts, progress, stop, output)
      if (stop.aborted) return
      const left = noCounts()
      await this.#tallyQuery(where, left)
      const { already, leftReserved, undated } = left
      Object.assign(counts, { already: Math.max(0, already - counts.changed), leftReserved, undated })
      if (left.changed === 0) return
      if (pass === MAX_PASSES) {
        throw new CLIError(
          EXIT.no,
          `${formatCount(left.changed, 'certificate')} that match were recorded meanwhile, and more come`,
          'Stop what records them, then run the same command again.',
        )
      }
      output.note(`${formatCount(left.changed, 'certificate')} more were recorded meanwhile: once again`)
    }
  }

  /** One run of the record, from where it stands to its end. */
  async #walk(
    where: MassWhere,
    counts: MassCounts,
    progress: Progress,
    stop: AbortSignal,
    output: Output,
  ): Promise<void> {
    const { client, issuer, change } = this.#options
    const started = Date.now()
    const before = counts.changed
    let first: MassRun | undefined
    while (!stop.aborted) {
      const body = { where, ...change, publish: false }
      const part = await client.callPatiently('massRevoke', { params: { issuer }, body })
      const { run } = part
      if (first === undefined && run.changed > part.changed) {
        const earlier = formatCount(run.changed - part.changed, 'certificate')
        output.note(`going on with the run of ${run.startedAt}: ${earlier} were revoked by then`)
      }
      first ??= run
      counts.changed += part.changed
      counts.refused += part.refused.length
      for (const { serial, message } of part.refused) {
        keep(counts, { serial, problem: message })
        progress.clear()
        output.warn(`${serial} ${message}`)
      }
      const left = timeLeft(first.share, run.share, started)
      progress.update(
        Math.floor(run.share * 1000),
        `${formatCount(run.changed, 'certificate')}, ${formatRate(counts.changed - before, started)}${left}`,
      )
      if (part.changed > 0) await this.#publishNowAndThen(part.changed)
      if (run.done) return
    }
  }

  async #list(
    source: MassSource & { kind: 'list' },
    dryRun: boolean,
    counts: MassCounts,
    progress: Progress,
    stop?: AbortSignal,
  ): Promise<void> {
    const started = Date.now()
    const bundles = new Set<string>()
    const { name, decimal, fromLine } = source
    const tell = (line: number, problem: string) => {
      keep(counts, { line, problem })
      progress.clear()
      process.stderr.write(`${name}:${line}: ${problem}\n`)
    }
    let batch: { line: number; input: ListedRevocation }[] = []
    let rows = 0
    const flush = async () => {
      const sent = batch
      batch = []
      if (sent.length === 0) return
      await this.#send(sent, dryRun, counts, bundles, tell)
      rows += sent.length
      progress.update(rows, `${formatCount(rows, 'line')}, ${formatRate(rows, started)}`)
    }
    let bytes = 0
    for await (const row of readSerialList(source.open(), {
      decimal,
      ...(fromLine !== undefined && { fromLine }),
    })) {
      if (stop?.aborted === true) break
      if ('problem' in row) {
        counts.bad += 1
        tell(row.line, row.problem)
        continue
      }
      if (row.duplicateOf !== undefined) {
        counts.bad += 1
        tell(row.line, `serial ${row.input.serial} stands on line ${row.duplicateOf} already`)
        continue
      }
      bytes += row.input.serial.length + 100
      if (batch.length === MAX_LISTED_PER_CALL || bytes > MAX_BODY_BYTES - 4096) {
        await flush()
        bytes = row.input.serial.length + 100
      }
      batch.push(row)
    }
    if (stop?.aborted !== true) await flush()
    counts.bundles = bundles.size
  }

  async #send(
    batch: readonly { line: number; input: ListedRevocation }[],
    dryRun: boolean,
    counts: MassCounts,
    bundles: Set<string>,
    tell: (line: number, problem: string) => void,
  ): Promise<void> {
    const { client, issuer, change, addMissing } = this.#options
    const body = {
      certificates: batch.map(({ input }) => input),
      ...change,
      add: addMissing,
      dryRun,
      publish: false,
    }
    const answer = await client.callPatiently('revokeSerials', { params: { issuer }, body })
    counts.changed += answer.changed
    counts.added += answer.added
    counts.already += answer.unchanged
    counts.notFound += answer.notFound
    counts.refused += answer.refused
    for (const { index, serial, message } of answer.problems)
      tell(batch[index]?.line ?? 0, `${serial === '' ? 'refused:' : serial} ${message}`)
    for (const { k, slots } of answer.slots) for (const slot of slots) bundles.add(`${k}/${slot}`)
    if (!dryRun && answer.changed + answer.added > 0)
      await this.#publishNowAndThen(answer.changed + answer.added)
  }

  async #publishNowAndThen(changed: number): Promise<void> {
    this.needsPublish = true
    this.#unpublished += changed
    if (this.#unpublished < PUBLISH_EVERY) return
    this.#unpublished = 0
    const { publishedAt } = await this.#options.client.callPatiently('publish')
    this.needsPublish = publishedAt === null
  }
}

function noCounts(): MassCounts {
  return {
    changed: 0,
    added: 0,
    held: 0,
    reserved: 0,
    already: 0,
    leftReserved: 0,
    undated: 0,
    notFound: 0,
    refused: 0,
    bad: 0,
    bundles: 0,
    problems: [],
  }
}

function keep(counts: MassCounts, problem: MassCounts['problems'][number]): void {
  if (counts.problems.length < MAX_KEPT_PROBLEMS) counts.problems.push(problem)
}

function timeLeft(from: number, share: number, started: number): string {
  if (share <= from) return ''
  const seconds = (Date.now() - started) / 1000
  return `, about ${formatDuration((seconds * (1 - share)) / (share - from))} left`
}

function interrupted(error: unknown, { changed, added }: MassCounts): unknown {
  if (!(error instanceof CLIError)) return error
  return new CLIError(
    error.exitCode,
    `${error.message}\nIt stopped after ${formatCount(changed + added, 'certificate')}.`,
    [error.hint, 'Nothing is lost: the same command goes on where it was.']
      .filter((line) => line !== undefined)
      .join('\n'),
    { code: error.code, cause: error },
  )
}
