/** Moves of certificates between databases, as one D1 primary keeps them. SQL: move-sql.ts. */
import {
  MOVE_PHASES,
  type Move,
  type MovePhase,
  type MovePlace,
  type MoveStore,
  type RowKey,
} from '../ports/move-store.ts'
import {
  type Database,
  numberIn,
  optionalTextIn,
  type QueryResult,
  query,
  type Row,
  type Statement,
  type StoreOptions,
  textIn,
  transact,
  type Value,
} from './database.ts'
import { COMPROMISE, FINALIZE, MARK_FOR_POLICY, STRETCH_ITEMS, UPDATE_ISSUER } from './issuer-sql.ts'
import * as sql from './move-sql.ts'
import { corrupt, parseJSON } from './record-codec.ts'

/** A page is some 100 ms of SQLite; the rows of all slots of a large issuer a second. */
const TIMEOUT_MS = 25_000
const DIGIT = 2 ** 28

export class D1MoveStore implements MoveStore {
  readonly #db: Database
  readonly #timeoutMs: number

  constructor(db: Database, { timeoutMs = TIMEOUT_MS }: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = timeoutMs
  }

  async readPlace(issuer: number): Promise<MovePlace | undefined> {
    const [places, open] = await this.#run([sql.READ_PLACE, sql.READ_OPEN], issuer)
    const row = places?.results[0]
    const move = open?.results[0]
    if (row === undefined) return undefined
    const flag = (column: string) => numberIn(row, column) === 1
    return {
      issuer,
      name: textIn(row, 'name'),
      ski: textIn(row, 'ski'),
      seq: numberIn(row, 'seq'),
      frozen: flag('frozen'),
      away: numberIn(row, 'away'),
      leaving: numberIn(row, 'leaving'),
      arriving: numberIn(row, 'arriving'),
      moving: flag('moving'),
      fresh: flag('fresh'),
      config: textIn(row, 'config'),
      birth: textIn(row, 'birth'),
      move: move === undefined ? undefined : decodeMove(move),
      noted: flag('noted'),
    }
  }

  async listMoves(issuer: number, limit: number): Promise<Move[]> {
    return (await this.#query(sql.LIST_MOVES, issuer, limit)).map(decodeMove)
  }

  async countRows(issuer: number): Promise<number[]> {
    return (await this.#query(sql.COUNT_ROWS, issuer)).map((row) => numberIn(row, 'count'))
  }

  async countUnbuilt(issuer: number): Promise<number> {
    const [row] = await this.#query(sql.COUNT_UNBUILT, issuer)
    return row === undefined ? 0 : numberIn(row, 'count')
  }

  async begin(
    issuer: number,
    { id, peer, digits }: { id: string; peer: number; digits: number },
    nowMs: number,
  ): Promise<void> {
    await this.#run(sql.BEGIN, issuer, id, nowMs, peer, digits)
  }

  async enter(source: MovePlace, { id, digits }: Move, database: number, nowMs: number): Promise<void> {
    const { issuer, seq, birth, config, ski } = source
    await transact(
      this.#db,
      [
        ...this.#bound(sql.ENTER, issuer, id, nowMs, database, digits, seq, birth, config, ski),
        ...this.#bound(sql.COPY_RESPONDERS, issuer, birth),
      ],
      this.#timeoutMs,
    )
  }

  async adopt({ issuer, config, birth }: MovePlace, nowMs: number): Promise<void> {
    const [name, policy, enabled, compromisedAt]: unknown[] = arrayIn(config)
    const finalAt = arrayIn(birth)[7]
    if (typeof name !== 'string' || typeof policy !== 'string' || typeof enabled !== 'number')
      throw corrupt('the configuration of an issuer')
    const end = (statements: readonly string[], at: unknown) =>
      typeof at === 'number' && at > 0 ? this.#bound(statements, issuer, nowMs, at) : []
    await transact(
      this.#db,
      [
        ...this.#bound([STRETCH_ITEMS, MARK_FOR_POLICY], issuer, nowMs, policy),
        ...this.#bound([UPDATE_ISSUER], issuer, nowMs, policy, enabled, name),
        ...this.#bound(sql.COPY_RESPONDERS, issuer, birth),
        ...end(COMPROMISE, compromisedAt),
        ...end(FINALIZE, finalAt),
      ],
      this.#timeoutMs,
    )
  }

  async readRows(issuer: number, from: RowKey, to: RowKey): Promise<{ rows: string[]; full: boolean }> {
    const found = await this.#query(sql.READ_ROWS, issuer, from.hash, from.serial, to.hash, to.serial)
    const [first] = found
    const all = first === undefined ? 0 : numberIn(first, 'found')
    return { rows: found.map(rowText), full: found.length < all || all === sql.PAGE_ROWS }
  }

  async readStretch(issuer: number, from: RowKey, to: RowKey): Promise<{ rows: string[]; full: boolean }> {
    const found = await this.#query(sql.READ_STRETCH, issuer, from.hash, from.serial, to.hash, to.serial)
    return { rows: found.map(rowText), full: found.length === sql.STRETCH_ROWS }
  }

  async readKeys(issuer: number, keys: readonly RowKey[]): Promise<string[]> {
    const pairs = JSON.stringify(keys.map(({ hash, serial }) => [hash, serial]))
    return (await this.#query(sql.READ_KEYS, issuer, pairs)).map(rowText)
  }

  async readNotes(issuer: number): Promise<{ rows: string[]; last: number }> {
    const [last, rows] = await this.#run([sql.LAST_NOTE, sql.READ_NOTES], issuer)
    const row = last?.results[0]
    return {
      rows: (rows?.results ?? []).map(rowText),
      last: row === undefined ? 0 : numberIn(row, 'last'),
    }
  }

  async dropNotes(issuer: number, last: number): Promise<void> {
    await this.#run([sql.DROP_NOTES], issuer, last)
  }

  async write(
    issuer: number,
    step: number,
    rows: readonly string[],
    nowMs: number,
  ): Promise<{ step: number; stuck: string | undefined } | undefined> {
    const results = await transact(
      this.#db,
      [
        ...this.#bound(sql.WRITE, issuer, `[${rows.join(',')}]`, step, nowMs),
        ...this.#bound([sql.NEXT_STEP], issuer, step),
      ],
      this.#timeoutMs,
    )
    const stuck = results[0]?.results[0]
    const next = results.at(-1)?.results[0]
    return next === undefined
      ? undefined
      : { step: numberIn(next, 'step'), stuck: stuck === undefined ? undefined : textIn(stuck, 'serial') }
  }

  async add(
    issuer: number,
    step: number,
    rows: readonly string[],
    nowMs: number,
  ): Promise<{ step: number; added: number } | undefined> {
    const results = await transact(
      this.#db,
      [
        ...this.#bound(sql.ADD, issuer, `[${rows.join(',')}]`, step, nowMs),
        this.#db.prepare(sql.COUNT_ADDED),
        ...this.#bound([sql.NEXT_STEP], issuer, step),
      ],
      this.#timeoutMs,
    )
    const [counted, next] = results.slice(-2).map((one) => one.results[0])
    return next === undefined || counted === undefined
      ? undefined
      : { step: numberIn(next, 'step'), added: numberIn(counted, 'added') }
  }

  async advance(move: Move, { rows, repaired }: { rows: number; repaired: number }): Promise<void> {
    const { issuer, id, cursor, phase } = move
    await this.#run([sql.ADVANCE], issuer, id, cursor.hash, cursor.serial, rows, repaired, numberOf(phase))
  }

  async setPhase({ issuer, id, outgoing }: Move, phase: MovePhase, nowMs: number): Promise<void> {
    const statements = (outgoing ? sql.SOURCE_STEPS : sql.TARGET_STEPS)[phase]
    if (statements === undefined) throw new RangeError(`no step to ${phase}`)
    await this.#run(statements, issuer, id, nowMs)
  }

  async settle({ issuer, id }: Move, nowMs: number): Promise<void> {
    await this.#run([sql.SETTLE], issuer, id, nowMs)
  }

  async endAborted({ issuer, id }: Move, nowMs: number): Promise<void> {
    await this.#run([sql.END_ABORTED], issuer, id, nowMs)
  }

  async noteWork({ issuer, id }: Move, busyMs: number, problem: string | undefined): Promise<void> {
    await this.#run([sql.NOTE_WORK], issuer, id, Math.max(0, Math.round(busyMs)), problem ?? null)
  }

  async purge(move: Move): Promise<number> {
    const { issuer, id, digits } = move
    for (let digit = 0; digit < 16; digit += 1) {
      if (((digits >> digit) & 1) === 0) continue
      const from = digit * DIGIT
      const [, counted] = await transact(
        this.#db,
        [
          this.#db.prepare(sql.PURGE).bind(issuer, id, from, from + DIGIT - 1),
          ...this.#bound([sql.COUNT_PURGED], issuer, id),
        ],
        this.#timeoutMs,
      )
      const row = counted?.results[0]
      const purged = row === undefined ? 0 : numberIn(row, 'count')
      if (purged > 0) return purged
    }
    await this.#run([sql.PURGE_SLOTS], issuer)
    return 0
  }

  #query(statement: string, ...values: Value[]): Promise<Row[]> {
    return query(this.#db, this.#db.prepare(statement).bind(...values), this.#timeoutMs)
  }

  /** As one transaction, each with as many of the values as it names. */
  #run(statements: readonly string[], ...values: Value[]): Promise<QueryResult[]> {
    return transact(this.#db, this.#bound(statements, ...values), this.#timeoutMs)
  }

  #bound(statements: readonly string[], ...values: Value[]): Statement[] {
    return statements.map((statement) => {
      const named = [...statement.matchAll(/\?(\d)/g)].map(([, digit]) => Number(digit))
      return this.#db.prepare(statement).bind(...values.slice(0, Math.max(0, ...named)))
    })
  }
}

function arrayIn(text: string): unknown[] {
  const found = parseJSON(text)
  return Array.isArray(found) ? found : []
}

const rowText = (row: Row): string => textIn(row, 'row')

function numberOf(phase: MovePhase): number {
  return MOVE_PHASES.indexOf(phase) + 1
}

function decodeMove(row: Row): Move {
  const phase = MOVE_PHASES[numberIn(row, 'phase') - 1]
  if (phase === undefined) throw corrupt('moves.phase')
  return {
    id: textIn(row, 'id'),
    issuer: numberIn(row, 'issuer'),
    outgoing: numberIn(row, 'outgoing') === 1,
    peer: numberIn(row, 'peer'),
    digits: numberIn(row, 'digits'),
    phase,
    step: numberIn(row, 'step'),
    cursor: { hash: numberIn(row, 'hash'), serial: textIn(row, 'serial') },
    copied: numberIn(row, 'copied'),
    verified: numberIn(row, 'verified'),
    repaired: numberIn(row, 'repaired'),
    purged: numberIn(row, 'purged'),
    busyMs: numberIn(row, 'busy_ms'),
    startedMs: numberIn(row, 'started_ms'),
    begunMs: numberIn(row, 'begun_ms'),
    claimedMs: numberIn(row, 'claimed_ms'),
    settledMs: numberIn(row, 'settled_ms'),
    endedMs: numberIn(row, 'ended_ms'),
    problem: optionalTextIn(row, 'problem'),
  }
}
