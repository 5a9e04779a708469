/**
 * Moves of certificates of an issuer between databases (ADR 0016), as one database sees them. Every method is one transaction of
 * that database, and may be repeated. The adapter is src/storage/d1-move-store.ts; every method may reject with StorageError.
 */
import type { Sequence } from './records.ts'

/** Of the source, in their order; the target knows `copying` (arriving), `claimed`, `done` and `aborted`. */
export const MOVE_PHASES = [
  'begun',
  'copying',
  'verifying',
  'barred',
  'claimed',
  'givenUp',
  'purging',
  'done',
  'aborted',
] as const
export type MovePhase = (typeof MOVE_PHASES)[number]

/** A row of `moves`. Times are Unix milliseconds, 0 = not yet. */
export interface Move {
  /** The same in both databases. */
  readonly id: string
  readonly issuer: number
  /** Whether this database is the source. */
  readonly outgoing: boolean
  /** Number of the other database. */
  readonly peer: number
  /** Mask: bit n stands for the hashes that begin with the hex digit n. */
  readonly digits: number
  readonly phase: MovePhase
  /** Raised by every write of rows; of the target. */
  readonly step: number
  readonly cursor: RowKey
  readonly copied: number
  readonly verified: number
  /** Rows that the comparison found different and copied again. */
  readonly repaired: number
  readonly purged: number
  /** Spent on it, of which the rate is made. */
  readonly busyMs: number
  readonly startedMs: number
  readonly begunMs: number
  readonly claimedMs: number
  readonly settledMs: number
  readonly endedMs: number
  /** Why it cannot go on. */
  readonly problem: string | undefined
}

/** Place of a row in the order of hash and serial. */
export interface RowKey {
  /** -1: before all. */
  readonly hash: number
  /** Upper-case hex, as SQLite writes it. */
  readonly serial: string
}

/** An issuer as one database has it. */
export interface MovePlace {
  readonly issuer: number
  readonly name: string
  readonly ski: string
  readonly seq: Sequence
  readonly frozen: boolean
  readonly away: number
  readonly leaving: number
  readonly arriving: number
  readonly moving: boolean
  readonly fresh: boolean
  /** Everything that has to be the same in each database, as one text. */
  readonly config: string
  /** What a database that does not know the issuer needs beside it to make it; the wrapped keys are in it. */
  readonly birth: string
  /** Under way. */
  readonly move: Move | undefined
  /** Something was written since it was copied. */
  readonly noted: boolean
}

/** A row as JSON text: hash, serial in hex, then all columns but issuer and rev. The first two alone: there is no row. */
export type RowText = string

export interface MoveStore {
  /** undefined: the issuer is not in this database. */
  readPlace(issuer: number): Promise<MovePlace | undefined>
  /** Newest first. */
  listMoves(issuer: number, limit: number): Promise<Move[]>
  /** Certificates by digit, as the slots count them: 16 numbers. */
  countRows(issuer: number): Promise<number[]>
  /** At the target: slots of the digits that are not built with most of what has arrived. */
  countUnbuilt(issuer: number): Promise<number>

  /** At the source, phase `begun`: `moving`. Nothing happens when another move is under way, or the issuer is frozen. */
  begin(issuer: number, move: { id: string; peer: number; digits: number }, nowMs: number): Promise<void>
  /** At the target: the issuer is made if it is not there, the digits arrive. Nothing happens when another move is under way. */
  enter(source: MovePlace, move: Move, database: number, nowMs: number): Promise<void>
  /** At the target: what differs in the configuration becomes as it is at the source. */
  adopt(source: MovePlace, nowMs: number): Promise<void>

  /** Rows above `from` up to and including `to`, in order, a page of them; `full`: there may be more. */
  readRows(issuer: number, from: RowKey, to: RowKey): Promise<{ rows: RowText[]; full: boolean }>
  /** All rows of that stretch, which a page of the other database spans; `full`: these are more than a page has. */
  readStretch(issuer: number, from: RowKey, to: RowKey): Promise<{ rows: RowText[]; full: boolean }>
  /** @param keys 200 at most */
  readKeys(issuer: number, keys: readonly RowKey[]): Promise<RowText[]>
  /** What was noted first, as it stands now. `last`: for dropNotes; 0 = nothing was noted. */
  readNotes(issuer: number): Promise<{ rows: RowText[]; last: number }>
  dropNotes(issuer: number, last: number): Promise<void>

  /**
   * At the target: rows become as given, those that are gone go, if their certificate has ended. Nothing happens unless the move
   * stands at `step`.
   * @returns undefined: another was faster, what was read is old. `stuck`: a serial that the guards of the record hold as it is
   */
  write(
    issuer: number,
    step: number,
    rows: readonly RowText[],
    nowMs: number,
  ): Promise<{ step: number; stuck: string | undefined } | undefined>
  /** The same for rows that are new there, as nearly all are while they are copied: cheaper; `added` says how many were. */
  add(
    issuer: number,
    step: number,
    rows: readonly RowText[],
    nowMs: number,
  ): Promise<{ step: number; added: number } | undefined>

  /** At the source: the walk stands there. */
  advance(move: Move, counts: { rows: number; repaired: number }): Promise<void>
  /** To the phase after this one, with what it stands for in the issuer's row. Nothing happens when it is there already. */
  setPhase(move: Move, phase: MovePhase, nowMs: number): Promise<void>
  /** At the source, phase `givenUp`: a root that says so is published. */
  settle(move: Move, nowMs: number): Promise<void>
  /** Nothing is left of what was copied: the abort is over, here. */
  endAborted(move: Move, nowMs: number): Promise<void>
  noteWork(move: Move, busyMs: number, problem: string | undefined): Promise<void>
  /** Rows of the digits that are not here any more. @returns how many were deleted; 0 = none is left, nor a slot without a digit */
  purge(move: Move): Promise<number>
}
