/**
 * What truly happened to each certificate, and the judgement of every answer by it. An answer does not name its revision, so
 * it counts as the newest one that it can be taken for (and later as the oldest): nothing lawful is ever refused.
 */
import { NO_END } from '../../src/asn1/generalized-time.ts'
import type { BasicOCSPResponse, SingleResponse } from '../../src/ocsp/basic-response.ts'
import type { CertStatus } from '../../src/ocsp/cert-status.ts'
import type { CertificateRow, CertificateStatus } from '../../src/ports/records.ts'
import { certStatusOf } from '../../src/signing/cert-status.ts'

/** What the record says, in the words of an answer; nothing is answered about what is reserved. */
export type RecordedStatus = CertStatus | { readonly type: 'reserved' }

export interface Revision {
  readonly certStatus: RecordedStatus
  /** Time of the transition as the responder knows it, Unix seconds; 0 for the status as first recorded. */
  readonly changedAt: number
  readonly committedMs: number
  /** From here on nobody may answer an older revision. */
  readonly enforcedMs: number
}

/** Clocks of the world agree; this is for the second that GeneralizedTime truncates to. */
export const SKEW_MS = 2_000
/** A serial that was absent is refused from memory for a minute, and its signed `unknown` lives ten (R1.39 allows 15). */
const ABSENT_SECONDS = 60
const UNKNOWN_SECONDS = 600
const CA_COMPROMISE = 2

export interface Bounds {
  /** The propagation bound B. */
  readonly boundMs: number
  readonly validitySeconds: number
}

/** What a row may become (architecture.md section 4); a row of the same status may be revised. */
const LAWFUL: Readonly<Record<CertificateStatus, readonly CertificateStatus[]>> = {
  reserved: ['good', 'revoked', 'hold'],
  good: ['revoked', 'hold'],
  hold: ['released', 'revoked'],
  released: ['hold', 'revoked'],
  revoked: [],
}

/** The certificate's life, oldest first. */
export class CertificateHistory {
  readonly issuer: number
  readonly serial: Uint8Array
  readonly key: string
  readonly revisions: Revision[] = []
  readonly #bounds: Bounds
  #status: CertificateStatus | undefined
  readonly #byRev = new Map<number, CertificateStatus>()
  /** What everything is since the CA's key is compromised, and from when on nobody may say otherwise. */
  #compromise:
    | {
        readonly certStatus: CertStatus
        readonly at: number
        readonly enforcedMs: number
        /** The same for its time: an earlier one may have replaced it. */
        readonly timeEnforcedMs: number
      }
    | undefined
  /** When the serial was first recorded; undefined = never. */
  recordedMs: number | undefined
  /** Its row was deleted after notAfter and retention. */
  prunedMs: number | undefined

  /** @param unrecorded what the policy says of a serial that is not recorded; undefined = unauthorized */
  constructor(issuer: number, serial: Uint8Array, bounds: Bounds, unrecorded: CertStatus | undefined) {
    this.issuer = issuer
    this.serial = serial
    this.key = `${issuer}/${serial.join('.')}`
    this.#bounds = bounds
    const always = {
      changedAt: 0,
      committedMs: Number.NEGATIVE_INFINITY,
      enforcedMs: Number.NEGATIVE_INFINITY,
    }
    if (unrecorded !== undefined) this.revisions.push({ certStatus: unrecorded, ...always })
  }

  /** Status of its row; undefined = never recorded. */
  get status(): CertificateStatus | undefined {
    return this.#status
  }

  /** What its row said at a position of the issuer's sequence. */
  statusAt(rev: number): CertificateStatus | undefined {
    return this.#byRev.get(rev)
  }

  /** The same life, to go on apart. */
  clone(): CertificateHistory {
    const copy = new CertificateHistory(this.issuer, this.serial, this.#bounds, undefined)
    copy.revisions.push(...this.revisions)
    copy.recordedMs = this.recordedMs
    copy.prunedMs = this.prunedMs
    copy.#status = this.#status
    copy.#compromise = this.#compromise
    return copy
  }

  /** The CA's key is compromised since `at`: whatever is not revoked for itself is revoked by that (R1.41). */
  compromise(at: number, nowMs: number): void {
    const certStatus: CertStatus = { type: 'revoked', revocationTime: at, revocationReason: CA_COMPROMISE }
    const enforcedMs = nowMs + this.#bounds.boundMs + SKEW_MS
    const first = this.#compromise
    this.#compromise = {
      certStatus,
      at,
      enforcedMs: first?.enforcedMs ?? enforcedMs,
      timeEnforcedMs: enforcedMs,
    }
    if (this.#status === 'revoked' && this.prunedMs === undefined) return
    this.revisions.push({ certStatus, changedAt: at, committedMs: nowMs, enforcedMs })
  }

  /** Whether everybody has to know by now that the CA is compromised. */
  isCompromised(nowMs: number): boolean {
    return this.#compromise !== undefined && this.#compromise.enforcedMs <= nowMs
  }

  /** Its row is gone. What was said of it may still be said, and what is said of any other that is not recorded. */
  prune(nowMs: number): void {
    if (this.prunedMs !== undefined) return
    this.prunedMs = nowMs
    const { certStatus, at } = this.#compromise ?? {}
    if (certStatus === undefined || at === undefined) return
    const enforcedMs = Number.POSITIVE_INFINITY
    this.revisions.push({ certStatus, changedAt: at, committedMs: nowMs, enforcedMs })
  }

  /**
   * The row as it stands in the record after a commit.
   * @returns what is wrong with the record itself (attack 5); undefined when nothing is
   */
  commit(row: CertificateRow, nowMs: number): string | undefined {
    const before = this.#status
    this.#status = row.status
    this.#byRev.set(row.rev, row.status)
    this.#commit(row, nowMs)
    if (before === undefined || before === row.status || LAWFUL[before].includes(row.status)) return undefined
    return `the record went from ${before} to ${row.status} (law 2)`
  }

  #commit(row: CertificateRow, nowMs: number): void {
    const certStatus: RecordedStatus = row.status === 'reserved' ? { type: 'reserved' } : certStatusOf(row)
    const last = this.revisions.at(-1)
    const isFirst = this.recordedMs === undefined
    this.recordedMs ??= nowMs
    if (
      last !== undefined &&
      !isFirst &&
      last.changedAt === row.changedAt &&
      sameStatus(last.certStatus, certStatus)
    )
      return
    // What is first recorded as good is in no overlay: a signed `unknown` may outlive it a little.
    const quietly =
      (isFirst && (certStatus.type === 'good' || certStatus.type === 'reserved')) ||
      last?.certStatus.type === 'reserved'
    const enforcedMs =
      nowMs + (quietly ? (UNKNOWN_SECONDS + ABSENT_SECONDS) * 1000 : this.#bounds.boundMs) + SKEW_MS
    const compromise = row.status === 'revoked' ? undefined : this.#compromise
    // As long as not everybody knows of the compromise, some say what the row says.
    if (compromise === undefined || nowMs < compromise.enforcedMs)
      this.revisions.push({ certStatus, changedAt: row.changedAt, committedMs: nowMs, enforcedMs })
    if (compromise !== undefined)
      this.revisions.push({
        certStatus: compromise.certStatus,
        changedAt: compromise.at,
        committedMs: nowMs,
        enforcedMs: compromise.timeEnforcedMs,
      })
  }

  /** Index of the oldest revision that may be answered now; -1 when any. */
  oldestAllowed(nowMs: number): number {
    return this.revisions.findLastIndex(({ enforcedMs }) => enforcedMs <= nowMs)
  }

  /**
   * Whether this is what was said before it was first recorded as good. That is in no overlay, so an isolate that has signed
   * `unknown` for one hash may tell it for the rest of its ten minutes beside `good` for another one.
   */
  isUnrecordedUntilGood(index: number): boolean {
    const [first, second] = this.revisions.slice(index)
    return first?.committedMs === Number.NEGATIVE_INFINITY && second?.certStatus.type === 'good'
  }

  /** Whether it may be refused as unauthorized now (law 4). */
  mayBeRefused(nowMs: number): boolean {
    if (this.#compromise !== undefined && nowMs >= this.#compromise.enforcedMs + ABSENT_SECONDS * 1000)
      return false
    if (this.prunedMs !== undefined) return true
    return this.recordedMs === undefined || nowMs < this.recordedMs + ABSENT_SECONDS * 1000 + SKEW_MS
  }

  /** Indices of the revisions that the response can be taken for, ascending. */
  matching(single: SingleResponse, producedAt: number, nowMs: number): number[] {
    const found: number[] = []
    this.revisions.forEach((revision, index) => {
      const next = this.revisions[index + 1]
      if (revision.committedMs > nowMs) return
      if (!sameStatus(revision.certStatus, single.certStatus)) return
      if (single.thisUpdate < revision.changedAt) return
      // Signed when it had not been true for longer than the overlay may be late: attack 8.
      if (next !== undefined && producedAt * 1000 > next.enforcedMs) return
      found.push(index)
    })
    return found
  }
}

export function sameStatus(a: RecordedStatus, b: RecordedStatus): boolean {
  if (a.type === 'revoked' && b.type === 'revoked')
    return a.revocationTime === b.revocationTime && a.revocationReason === b.revocationReason
  return a.type === b.type
}

/**
 * What is wrong with the times of a response at `nowMs` (law 1, R1.31, R1.62, R1.66); undefined when nothing is.
 * @param isFinal the issuer's responses have no end (R4.52)
 */
export function timesProblem(
  { tbsResponseData }: BasicOCSPResponse,
  single: SingleResponse,
  bounds: Bounds,
  notAfter: number,
  nowMs: number,
  isFinal = false,
): string | undefined {
  const { producedAt } = tbsResponseData
  const { thisUpdate, nextUpdate, certStatus } = single
  const now = nowMs / 1000
  if (nextUpdate === undefined) return 'nextUpdate is missing'
  if (nextUpdate <= now) return `served ${now - nextUpdate} s past nextUpdate (law 1)`
  if (thisUpdate > producedAt) return 'thisUpdate is after producedAt'
  if (producedAt > now) return 'producedAt lies in the future'
  if (nextUpdate <= thisUpdate) return 'nextUpdate is not after thisUpdate'
  if (nextUpdate !== NO_END || !isFinal) {
    if (nextUpdate - thisUpdate + 1 > bounds.validitySeconds) return 'the window is longer than the policy'
    if (nextUpdate > notAfter) return 'it outlives its signer'
  }
  if (certStatus.type === 'revoked' && certStatus.revocationTime > thisUpdate)
    return 'revoked after thisUpdate (R1.31)'
  return undefined
}
