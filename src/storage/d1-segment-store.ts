/** Segments of the overlay in D1's primary: segment-sql.ts has the SQL, overlay/segmenting.ts says when what is done. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OverlayItem } from '../ports/records.ts'
import type { ChangeRange, SegmentCommit, SegmentStore, SegmentSurvey } from '../ports/segment-store.ts'
import {
  type Database,
  numberIn,
  octetsIn,
  type QueryResult,
  query,
  type Row,
  type StoreOptions,
  textIn,
  transact,
} from './database.ts'
import {
  ADD_SEGMENT,
  ADVANCE_SEGMENTED,
  BEGIN,
  DROP_FLOORS,
  DROP_SEGMENTS,
  decodeSegment,
  END,
  MARK_HALFWAY,
  MARK_STALE,
  RAISE_ISSUERS,
  RAISE_RANGES,
  READ_RANGE,
  READ_RANGES,
  READ_SEGMENTS,
  REPLACE_SEGMENTS,
  SURVEY_LIVE,
  SURVEY_TAIL,
} from './segment-sql.ts'

/** Rows of one query: some 400 KB of result. */
const PAGE_ROWS = 5_000
/** Ranges of one query, as JSON some 25 KB. */
const PAGE_RANGES = 500
/** D1 allows 30 s. Only cron and mass events wait for these. */
const TIMEOUT_MS = 25_000

export class D1SegmentStore implements SegmentStore {
  readonly #db: Database
  readonly #timeoutMs: number

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
  }

  async survey(now: UnixSeconds, { live }: { readonly live: boolean }): Promise<SegmentSurvey> {
    const statements = [
      this.#db.prepare(live ? SURVEY_LIVE : SURVEY_TAIL).bind(now),
      this.#db.prepare(READ_SEGMENTS),
    ]
    const [issuers, segments] = await transact(this.#db, statements, this.#timeoutMs)
    return decodeSurvey(issuers, segments)
  }

  async begin(
    nowMs: number,
    leaseMs: number,
  ): Promise<{ version: number; survey: SegmentSurvey } | undefined> {
    const statements = [
      this.#db.prepare(BEGIN).bind(nowMs, leaseMs),
      this.#db.prepare(SURVEY_LIVE).bind(Math.floor(nowMs / 1000)),
      this.#db.prepare(READ_SEGMENTS),
    ]
    const [begun, issuers, segments] = await transact(this.#db, statements, this.#timeoutMs)
    const row = begun?.results[0]
    return row === undefined
      ? undefined
      : { version: numberIn(row, 'segmenting'), survey: decodeSurvey(issuers, segments) }
  }

  async *readChanges(
    ranges: readonly (ChangeRange & { readonly count: number })[],
  ): AsyncGenerator<readonly OverlayItem[]> {
    let together: ChangeRange[] = []
    let rows = 0
    for (const range of ranges) {
      if (range.count > PAGE_ROWS) {
        yield* this.#readLarge(range)
        continue
      }
      if (rows + range.count > PAGE_ROWS || together.length === PAGE_RANGES) {
        yield await this.#readTogether(together)
        together = []
        rows = 0
      }
      together.push(range)
      rows += range.count
    }
    if (together.length > 0) yield await this.#readTogether(together)
  }

  async #readTogether(ranges: readonly ChangeRange[]): Promise<OverlayItem[]> {
    const json = JSON.stringify(ranges.map(({ issuer, from, to }) => [issuer, from, to]))
    const rows = await query(this.#db, this.#db.prepare(READ_RANGES).bind(json), this.#timeoutMs)
    return rows.map(decodeItem)
  }

  async *#readLarge({ issuer, from, to }: ChangeRange): AsyncGenerator<readonly OverlayItem[]> {
    let after: [seq: number, hash: number, serial: string] = [from, 2 ** 32, '']
    for (;;) {
      const statement = this.#db.prepare(READ_RANGE).bind(issuer, to, ...after, PAGE_ROWS)
      const rows = await query(this.#db, statement, this.#timeoutMs)
      const last = rows.at(-1)
      if (last === undefined) return
      yield rows.map(decodeItem)
      if (rows.length < PAGE_ROWS) return
      after = [numberIn(last, 'seq'), numberIn(last, 'hash'), textIn(last, 'serial')]
    }
  }

  async commit(version: number, change: SegmentCommit): Promise<boolean> {
    const { segment, replaces, ranges, stale } = change
    const prepare = (sql: string) => this.#db.prepare(sql)
    const isFilter = segment?.kind === 'filter'
    const json = JSON.stringify(ranges.map(({ issuer, from, to }) => [issuer, from, to]))
    const statements = []
    if (segment !== undefined) {
      const { kind, issuer, bits, probes, seed, count, lastSeq, keepUntil } = segment
      const values = [kind === 'filter' ? 1 : 0, issuer ?? null, bits, probes, seed, count, lastSeq]
      statements.push(prepare(ADD_SEGMENT).bind(version, ...values, keepUntil ?? 0))
    }
    if (replaces.length > 0)
      statements.push(prepare(REPLACE_SEGMENTS).bind(version, JSON.stringify(replaces)))
    if (isFilter)
      for (const { issuer, from } of ranges)
        statements.push(prepare(MARK_HALFWAY).bind(version, issuer, segment.lastSeq, from))
    if (stale) statements.push(prepare(MARK_STALE).bind(version))
    statements.push(prepare(ADVANCE_SEGMENTED).bind(version, json, isFilter ? 1 : 0))
    statements.push(prepare(END).bind(version))
    const results = await transact(this.#db, statements, this.#timeoutMs)
    return results.at(-1)?.results.length === 1
  }

  async raiseFloors(nowMs: number, settled: UnixSeconds): Promise<boolean> {
    const statements = [
      this.#db.prepare(RAISE_RANGES).bind(settled),
      this.#db.prepare(RAISE_ISSUERS).bind(nowMs),
      this.#db.prepare(DROP_SEGMENTS),
      this.#db.prepare(DROP_FLOORS),
    ]
    const [ranges, issuers] = await transact(this.#db, statements, this.#timeoutMs)
    return (ranges?.results.length ?? 0) + (issuers?.results.length ?? 0) > 0
  }
}

function decodeSurvey(issuers: QueryResult | undefined, segments: QueryResult | undefined): SegmentSurvey {
  return {
    issuers: (issuers?.results ?? []).map((row) => ({
      issuer: numberIn(row, 'id'),
      head: numberIn(row, 'seq'),
      segmented: numberIn(row, 'segmented_seq'),
      filtered: numberIn(row, 'filtered_seq'),
      tail: numberIn(row, 'tail'),
      live: numberIn(row, 'live'),
      keepUntil: numberIn(row, 'keep_until'),
    })),
    segments: (segments?.results ?? []).map(decodeSegment),
  }
}

function decodeItem(row: Row): OverlayItem {
  return { issuer: numberIn(row, 'issuer'), serial: octetsIn(row, 'serial'), seq: numberIn(row, 'seq') }
}
