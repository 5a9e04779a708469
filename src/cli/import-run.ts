/**
 * Rows of an importer -> the record: batches of 1000, each acknowledged before the next; what cannot be sent is kept with
 * its line. Holds one batch at a time, so a file of any length passes.
 */
import { type CertificateInput, MAX_CERTIFICATES_PER_CALL, parseTime } from '../admin-api/contract.ts'
import type { CertificateRecord, ImportRow } from '../importers/importer.ts'
import { planRecord, type RecordedStatus } from '../importers/reconcile.ts'
import type { AdminClient } from './client.ts'
import { CLIError } from './exit.ts'

/** Problems kept for the summary; all are counted and reported as they come. */
const MAX_KEPT_PROBLEMS = 1000
/** Look-ups at the same time. */
const CONCURRENCY = 16
/** So many bad lines at the start and not one good one: this is some other file. */
const GIVE_UP_AFTER_BAD_LINES = 100

export interface ImportProblem {
  readonly line: number
  readonly problem: string
}

export interface ImportSummary {
  issuer: string
  dryRun: boolean
  /** Rows read, bad ones included. */
  rows: number
  added: number
  changed: number
  unchanged: number
  refused: number
  /** Left as recorded, with --add-only. */
  kept: number
  /** Lines that are no record, or repeat a serial. */
  bad: number
  /** Time of a compromise (keyTime, CAkeyTime), which responses do not carry. */
  invalidityDatesDropped: number
  /** The first 1000. */
  problems: ImportProblem[]
  /** Status changes are committed and not yet published. */
  needsPublish: boolean
}

export interface ImportOptions {
  readonly client: AdminClient
  /** {issuer} of the admin API. */
  readonly issuer: string
  readonly profile: 'private' | 'public-trust'
  /** Look up what would happen, send nothing. */
  readonly dryRun: boolean
  /** Only add what is not recorded; never change a status. */
  readonly addOnly: boolean
  readonly onProblem: (problem: ImportProblem) => void
  /** After each batch. */
  readonly onProgress: (summary: Readonly<ImportSummary>) => void
}

interface Row {
  readonly record: CertificateRecord
  readonly line: number
}

export class ImportRun {
  readonly summary: ImportSummary
  readonly #options: ImportOptions
  #batch: Row[] = []
  readonly #inBatch = new Set<string>()

  constructor(options: ImportOptions) {
    this.#options = options
    this.summary = {
      issuer: options.issuer,
      dryRun: options.dryRun,
      rows: 0,
      added: 0,
      changed: 0,
      unchanged: 0,
      refused: 0,
      kept: 0,
      bad: 0,
      invalidityDatesDropped: 0,
      problems: [],
      needsPublish: false,
    }
  }

  /** @returns false when the rows look like another format altogether; nothing was sent then */
  async run(rows: AsyncIterable<ImportRow>): Promise<boolean> {
    for await (const row of rows) {
      this.summary.rows += 1
      if ('problem' in row) {
        this.#bad(row.line, row.problem)
        if (this.summary.bad === this.summary.rows && this.summary.bad === GIVE_UP_AFTER_BAD_LINES)
          return false
        continue
      }
      await this.#add(row)
    }
    await this.#flush()
    return true
  }

  async #add({ record, line, duplicateOf }: Row & { readonly duplicateOf?: number }): Promise<void> {
    if (duplicateOf !== undefined) {
      // The row is sent all the same: should it be the one that revokes, leaving it out would keep the other's `good`.
      this.#bad(line, `serial ${record.serial} stands on line ${duplicateOf} already`)
    }
    if (record.invalidityDate !== undefined) this.summary.invalidityDatesDropped += 1
    // One call names a serial once.
    if (this.#batch.length === MAX_CERTIFICATES_PER_CALL || this.#inBatch.has(record.serial))
      await this.#flush()
    this.#batch.push({ record, line })
    this.#inBatch.add(record.serial)
  }

  async #flush(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    this.#inBatch.clear()
    if (batch.length > 0) {
      if (this.#options.dryRun) await this.#plan(batch)
      else await this.#send(this.#options.addOnly ? await this.#withoutRecorded(batch) : batch)
    }
    this.#options.onProgress(this.summary)
  }

  async #send(batch: readonly Row[]): Promise<void> {
    if (batch.length === 0) return
    const { client, issuer } = this.#options
    const answer = await client.callPatiently('addCertificates', {
      params: { issuer },
      body: { certificates: batch.map(toInput), publish: false },
    })
    this.summary.needsPublish ||= answer.needsPublish
    for (const [index, { outcome, message }] of answer.results.entries()) {
      this.summary[outcome] += 1
      if (outcome === 'refused') this.#refused(batch[index]?.line ?? 0, message ?? 'refused')
    }
  }

  async #plan(batch: readonly Row[]): Promise<void> {
    await this.#lookUp(batch, ({ record, line }, current) => {
      if (this.#options.addOnly && current !== undefined) {
        this.summary.kept += 1
        return
      }
      const outcome = planRecord(current, record, this.#options.profile)
      if (typeof outcome === 'string') this.summary[outcome] += 1
      else {
        this.summary.refused += 1
        this.#refused(line, outcome.refused)
      }
    })
  }

  /** Rows of good certificates never change a recorded status: only the others need a look. */
  async #withoutRecorded(batch: readonly Row[]): Promise<Row[]> {
    const recorded = new Set<Row>()
    await this.#lookUp(
      batch.filter(({ record }) => record.status !== 'good'),
      (row, current) => {
        if (current !== undefined) recorded.add(row)
      },
    )
    this.summary.kept += recorded.size
    return batch.filter((row) => !recorded.has(row))
  }

  async #lookUp(
    rows: readonly Row[],
    use: (row: Row, current: RecordedStatus | undefined) => void,
  ): Promise<void> {
    for (let start = 0; start < rows.length; start += CONCURRENCY) {
      const some = rows.slice(start, start + CONCURRENCY)
      const found = await Promise.all(some.map(({ record }) => this.#recorded(record.serial)))
      for (const [index, row] of some.entries()) use(row, found[index])
    }
  }

  async #recorded(serial: string): Promise<RecordedStatus | undefined> {
    const { client, issuer } = this.#options
    try {
      const row = await client.callPatiently('showCertificate', { params: { issuer, serial } })
      return {
        status: row.status,
        revocationTime: row.revocationTime === undefined ? undefined : parseTime(row.revocationTime),
        reason: row.reason,
        notAfter: row.notAfter === undefined ? undefined : parseTime(row.notAfter),
      }
    } catch (error) {
      if (error instanceof CLIError && error.code === 'notFound') return undefined
      throw error
    }
  }

  #bad(line: number, problem: string): void {
    this.summary.bad += 1
    this.#keep({ line, problem })
  }

  #refused(line: number, problem: string): void {
    this.#keep({ line, problem: `refused: ${problem}` })
  }

  #keep(problem: ImportProblem): void {
    if (this.summary.problems.length < MAX_KEPT_PROBLEMS) this.summary.problems.push(problem)
    this.#options.onProblem(problem)
  }
}

function toInput({ record, line }: Row): CertificateInput {
  const { serial, status, revocationTime, reason, notAfter } = record
  return {
    serial,
    status,
    line,
    ...(revocationTime === undefined ? {} : { revocationTime }),
    ...(reason === undefined ? {} : { reason }),
    ...(notAfter === undefined ? {} : { notAfter }),
  }
}
