/** Moving certificates of an issuer between databases, as the admin API uses it (ADR 0016). The adapter is src/shards/move.ts. */
import type { Move } from './move-store.ts'

/** What a move waits for. `until`: Unix ms. */
export type MoveWait =
  | { readonly for: 'publication' | 'otherMove' }
  /** Every root in use knows of the last step by then. */
  | { readonly for: 'bound'; readonly until: number }
  /** Bundles of what has arrived, which the cron builds. */
  | { readonly for: 'bundles'; readonly slots: number }

export interface MoveState {
  /** Everything is where it is wanted. */
  readonly done: boolean
  /** Under way, at its source. */
  readonly move: (Move & { readonly from: number; readonly share: number }) | undefined
  readonly wait: MoveWait | undefined
}

export interface PlannedMove {
  readonly from: number
  readonly to: number
  readonly digits: number
}

/** It cannot be begun, or not be gone on with. Nothing was changed. */
export class MoveRefused extends Error {
  override readonly name = 'MoveRefused'
}

export interface MoveOptions {
  /** For about so long. */
  readonly budgetMs: number
  /** false: does not wait for bundles; what has moved is then signed as it is asked for. */
  readonly built: boolean
}

/** Every method may reject with StorageError. */
export interface MoveService {
  readonly databases: readonly number[]
  /** Where each digit is: 16 numbers of databases. @throws MoveRefused when one is nowhere */
  places(issuer: number): Promise<number[]>
  /** What `wanted` (a database for each digit) takes, with certificates as the slots count them. @throws MoveRefused */
  plan(issuer: number, wanted: readonly number[]): Promise<(PlannedMove & { readonly rows: number })[]>
  /** Newest first. */
  list(issuer: number, limit: number): Promise<(Move & { readonly from: number })[]>
  /** Goes on with what leads to `wanted`, a database for each digit. @throws MoveRefused */
  advance(issuer: number, wanted: readonly number[], options: MoveOptions): Promise<MoveState>
  /** Gives up the move that is under way, unless its target answers for the digits already. @throws MoveRefused */
  abort(issuer: number, options: Pick<MoveOptions, 'budgetMs'>): Promise<MoveState>
}

/** The hex digits that the hash of a serial can begin with. */
export const DIGITS: readonly number[] = Array.from({ length: 16 }, (_, digit) => digit)

export function digitsOf(mask: number): number[] {
  return DIGITS.filter((digit) => (mask >> digit) & 1)
}

/** As people write it, e.g. `8-f` or `0,4-7`. */
export function formatDigits(mask: number): string {
  const runs: number[][] = []
  for (const digit of digitsOf(mask)) {
    const run = runs.at(-1)
    if (run?.at(-1) === digit - 1) run.push(digit)
    else runs.push([digit])
  }
  const hex = (digit: number | undefined) => (digit ?? 0).toString(16)
  return runs.map((run) => (run.length === 1 ? hex(run[0]) : `${hex(run[0])}-${hex(run.at(-1))}`)).join(',')
}

/** @returns undefined for what is no list of digits and ranges */
export function parseDigits(text: string): number | undefined {
  let mask = 0
  for (const part of text.toLowerCase().split(',')) {
    const [, from, to = from] = /^([0-9a-f])(?:-([0-9a-f]))?$/.exec(part) ?? []
    if (from === undefined || to === undefined || to < from) return undefined
    for (let digit = Number.parseInt(from, 16); digit <= Number.parseInt(to, 16); digit += 1)
      mask |= 1 << digit
  }
  return mask
}

/** The digits in contiguous runs, as even as can be, as they are dealt to the databases of a new issuer. @returns one a digit */
export function dealt(databases: readonly number[]): number[] {
  return DIGITS.map((digit) => databases[Math.floor((digit * databases.length) / 16)] ?? 0)
}
