/**
 * Rows of an importer -> the record: batches of 1000, one on its way while another is recorded; what cannot be sent is kept
 * with its line. Holds a few batches at a time, so a file of any length passes.
 */
import {
  type Certificate,
  type CertificateInput,
  MAX_CERTIFICATES_PER_CALL,
  parseTime,
} from '../admin-api/contract.ts'
import type { CertificateRecord, CRLReference, ImportRow } from '../importers/importer.ts'
import { type IssuerRules, planRecord, type RecordedStatus } from '../importers/reconcile.ts'
import type { AdminClient, Answer } from './client.ts'
import { CLIError } from './exit.ts'

/** Problems kept for the summary; all are counted and reported as they come. */
const MAX_KEPT_PROBLEMS = 1000
/** Batches at the same time: more would only wait in front of the database, which does one after the other. */
const BATCHES = 2
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
  /** The first 1000. */
  problems: ImportProblem[]
  /** Status changes are committed and not yet published. */
  needsPublish: boolean
}

export interface ImportOptions {
  readonly client: AdminClient
  /** {issuer} of the admin API. */
  readonly issuer: string
  readonly rules: IssuerRules
  /** The CRL that the revocations and holds stand in; undefined: responses name none. */
  readonly crl?: CRLReference | undefined
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

/** A batch that was sent. */
interface Sent {
  readonly batch: readonly Row[]
  readonly serials: ReadonlySet<string>
  readonly answer: Promise<Answer<'addCertificates'>>
}

export class ImportRun {
  readonly summary: ImportSummary
  readonly #options: ImportOptions
  /** Every row may repeat a long URL, and a call has MAX_BODY_BYTES at most. */
  readonly #rowsPerCall: number
  #batch: Row[] = []
  #inBatch = new Set<string>()
  /** In the order in which they were sent, and are answered for. */
  readonly #sent: Sent[] = []

  constructor(options: ImportOptions) {
    this.#options = options
    this.#rowsPerCall =
      options.crl === undefined ? MAX_CERTIFICATES_PER_CALL : Math.floor(MAX_CERTIFICATES_PER_CALL / 2)
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
      problems: [],
      needsPublish: false,
    }
  }

  /** @returns false when the rows look like another format altogether; nothing was sent then */
  async run(rows: AsyncIterable<ImportRow>): Promise<boolean> {
    try {
      return await this.#run(rows)
    } finally {
      await this.#takeRest()
    }
  }

  async #run(rows: AsyncIterable<ImportRow>): Promise<boolean> {
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
    await this.#settle(0)
    this.#options.onProgress(this.summary)
    return true
  }

  async #add({ record, line, duplicateOf }: Row & { readonly duplicateOf?: number }): Promise<void> {
    if (duplicateOf !== undefined) {
      // The row is sent all the same: should it be the one that revokes, leaving it out would keep the other's `good`.
      this.#bad(line, `serial ${record.serial} stands on line ${duplicateOf} already`)
    }
    // One call names a serial once, and rows about the same serial are recorded in their order.
    if (this.#batch.length === this.#rowsPerCall || this.#inBatch.has(record.serial)) await this.#flush()
    if (this.#sent.some(({ serials }) => serials.has(record.serial))) await this.#settle(0)
    const { crl } = this.#options
    this.#batch.push({
      record: crl === undefined || record.status === 'good' ? record : { ...record, crl },
      line,
    })
    this.#inBatch.add(record.serial)
  }

  async #flush(): Promise<void> {
    const [batch, serials] = [this.#batch, this.#inBatch]
    this.#batch = []
    this.#inBatch = new Set()
    if (batch.length > 0) {
      if (this.#options.dryRun) await this.#plan(batch)
      else {
        this.#send(this.#options.addOnly ? await this.#withoutRecorded(batch) : batch, serials)
        await this.#settle(BATCHES - 1)
      }
    }
    this.#options.onProgress(this.summary)
  }

  #send(batch: readonly Row[], serials: ReadonlySet<string>): void {
    if (batch.length === 0) return
    const { client, issuer } = this.#options
    const answer = client.callPatiently('addCertificates', {
      params: { issuer },
      body: { certificates: batch.map(toInput), publish: false },
    })
    answer.catch(() => undefined) // an earlier batch may fail first; this one is heard when its turn comes
    this.#sent.push({ batch, serials, answer })
  }

  /** Waits until no more than so many batches are on their way. @throws what the first of them threw */
  async #settle(most: number): Promise<void> {
    while (this.#sent.length > most) {
      const sent = this.#sent.shift()
      if (sent !== undefined) this.#take(sent.batch, await sent.answer)
    }
  }

  /** After a failure: what was on its way besides is recorded, unless it failed too. */
  async #takeRest(): Promise<void> {
    for (const { batch, answer } of this.#sent.splice(0)) {
      const taken = await answer.catch(() => undefined)
      if (taken !== undefined) this.#take(batch, taken)
    }
  }

  #take(batch: readonly Row[], answer: Answer<'addCertificates'>): void {
    this.summary.needsPublish ||= answer.needsPublish
    for (const [index, { outcome, message }] of answer.results.entries()) {
      this.summary[outcome] += 1
      if (outcome === 'refused') this.#refused(batch[index]?.line ?? 0, message ?? 'refused')
    }
  }

  async #plan(batch: readonly Row[]): Promise<void> {
    await this.#lookUp(batch, ({ record, line }, current) => {
      if (this.#options.addOnly && isRecorded(current)) {
        this.summary.kept += 1
        return
      }
      const outcome = planRecord(current, record, this.#options.rules)
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
        if (isRecorded(current)) recorded.add(row)
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
      return readStatus(await client.callPatiently('showCertificate', { params: { issuer, serial } }))
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

/** A serial that is only reserved has no status that could be changed. */
function isRecorded(current: RecordedStatus | undefined): boolean {
  return current !== undefined && current.status !== 'reserved'
}

function readStatus({
  status,
  revocationTime,
  reason,
  notAfter,
  invalidityDate,
  crl,
  ca,
}: Certificate): RecordedStatus {
  return {
    status,
    revocationTime: secondsOf(revocationTime),
    reason,
    notAfter: secondsOf(notAfter),
    invalidityDate: secondsOf(invalidityDate),
    crl: crl && { url: crl.url, number: crl.number, time: secondsOf(crl.time) },
    isCA: ca,
  }
}

function secondsOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : parseTime(time)
}

function toInput({ record, line }: Row): CertificateInput {
  const { serial, status, revocationTime, reason, notAfter, invalidityDate, crl } = record
  return {
    serial,
    status,
    line,
    ...(revocationTime === undefined ? {} : { revocationTime }),
    ...(reason === undefined ? {} : { reason }),
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(invalidityDate === undefined ? {} : { invalidityDate }),
    ...(crl === undefined ? {} : { crl }),
  }
}
