/**
 * The move of digits of an issuer from one database to another (ADR 0016), a bounded part a call. Every transaction is of one database and
 * may be repeated; where it stands is in the databases, so that whoever calls goes on with it, and two at once do no harm.
 */
import type { Move, MovePlace, MoveStore, RowKey, RowText } from '../ports/move-store.ts'
import {
  digitsOf,
  formatDigits,
  type MoveOptions,
  MoveRefused,
  type MoveService,
  type MoveState,
  type MoveWait,
  type PlannedMove,
} from '../ports/moves.ts'
import type { Clock } from '../ports/ports.ts'
import type { Sequence } from '../ports/records.ts'
import { differences, keyOf, nextRange, placesOf, planned, shareOf } from './move-walk.ts'

export interface MoveDatabase {
  readonly database: number
  readonly moves: MoveStore
  /** Done when a root that holds the change is published. */
  publish(change: {
    readonly issuer: number
    readonly revision: Sequence
  }): Promise<{ readonly published: boolean }>
  writeIssuerPage(issuer: number): Promise<void>
}

export interface MovePorts {
  readonly databases: readonly MoveDatabase[]
  readonly clock: Clock
  /** How old a root may be that somebody answers by. */
  readonly boundSeconds: number
  readonly newId: () => string
}

/** Beyond the bound: clocks differ, and a publication may take its time. */
const MARGIN_MS = 60_000
/** Of one call: the Worker has 1,000 subrequests. One is done in any case. */
const MAX_PAGES = 150
const MAX_CHARACTERS = 90_000
/** Rows that differ are read again so many at a time. */
const KEYS = 200

/** A row of the target that does not become what it is at the source. */
class Stuck extends Error {}

interface Side extends MoveDatabase {
  readonly place: MovePlace | undefined
}
interface There extends MoveDatabase {
  readonly place: MovePlace
}

/** What became of a step: it is to be called again, waits, or cannot go on. */
type Outcome = MoveWait | { readonly problem: string } | 'again'

export class Moves implements MoveService {
  readonly #ports: MovePorts

  constructor(ports: MovePorts) {
    this.#ports = ports
  }

  get databases(): readonly number[] {
    return this.#ports.databases.map(({ database }) => database)
  }

  async places(issuer: number): Promise<number[]> {
    return placesOf(await this.#look(issuer))
  }

  async plan(issuer: number, wanted: readonly number[]): Promise<(PlannedMove & { rows: number })[]> {
    const sides = await this.#look(issuer)
    const rows = new Map<number, number[]>()
    for (const { database, moves, place } of sides)
      if (place !== undefined) rows.set(database, await moves.countRows(issuer))
    return planned(placesOf(sides), wanted).map((one) => ({
      ...one,
      rows: digitsOf(one.digits).reduce((sum, digit) => sum + (rows.get(one.from)?.[digit] ?? 0), 0),
    }))
  }

  async list(issuer: number, limit: number): Promise<(Move & { from: number })[]> {
    const lists = await Promise.all(
      this.#ports.databases.map(async ({ database, moves }) =>
        (await moves.listMoves(issuer, limit))
          .filter(({ outgoing }) => outgoing)
          .map((move) => ({ ...move, from: database })),
      ),
    )
    return lists
      .flat()
      .sort((a, b) => b.startedMs - a.startedMs)
      .slice(0, limit)
  }

  async advance(
    issuer: number,
    wanted: readonly number[],
    { budgetMs, built }: MoveOptions,
  ): Promise<MoveState> {
    return this.#work(issuer, budgetMs, built, async (sides) => {
      const open = openOf(sides)
      if (open !== undefined) {
        if (
          open.move.phase !== 'aborted' &&
          digitsOf(open.move.digits).some((digit) => wanted[digit] !== open.move.peer)
        )
          throw new MoveRefused(
            `digits ${formatDigits(open.move.digits)} are on their way to database ${open.move.peer}: finish that, or abort it`,
          )
        return true
      }
      const [next] = planned(placesOf(sides), wanted)
      if (next === undefined) return false
      const source = there(sides.find(({ database }) => database === next.from))
      const target = sides.find(({ database }) => database === next.to)
      if (source === undefined || target === undefined)
        throw new MoveRefused(`there is no database ${next.to}`)
      refuseFrozen(source, target)
      await source.moves.begin(
        issuer,
        { id: this.#ports.newId(), peer: next.to, digits: next.digits },
        this.#ports.clock.nowMs(),
      )
      return true
    })
  }

  async abort(issuer: number, { budgetMs }: Pick<MoveOptions, 'budgetMs'>): Promise<MoveState> {
    return this.#work(issuer, budgetMs, false, async (sides) => {
      const open = openOf(sides)
      if (open === undefined) return false
      const { move, source, target } = open
      if (move.phase === 'aborted') return true
      const there = target?.place?.move?.id === move.id ? target.place.move : undefined
      if (!isBefore(move, 'claimed') || there?.phase === 'claimed')
        throw new MoveRefused(
          `database ${move.peer} answers for the digits ${formatDigits(move.digits)} already: finish the move, then move them back`,
        )
      await this.#abort(source, target, move)
      return true
    })
  }

  /** @param next begins what is to be done; whether there is anything */
  async #work(
    issuer: number,
    budgetMs: number,
    built: boolean,
    next: (sides: readonly Side[]) => Promise<boolean>,
  ): Promise<MoveState> {
    const { clock } = this.#ports
    const end = clock.nowMs() + budgetMs
    const budget = { pages: MAX_PAGES, isOver: () => budget.pages <= 0 || clock.nowMs() >= end }
    for (;;) {
      const sides = await this.#look(issuer)
      if (await this.#dropOrphan(sides, budget)) return stateOf(sides, { for: 'otherMove' })
      if (!(await next(sides))) return { done: true, move: undefined, wait: undefined }
      const open = openOf(await this.#look(issuer))
      if (open === undefined) return stateOf(sides, { for: 'otherMove' })
      const begunMs = clock.nowMs()
      const outcome = await this.#step(open, built, budget).catch((error: unknown): Outcome => {
        if (error instanceof Stuck)
          return {
            problem: `the databases differ in the certificate ${error.message}, and copying does not change that`,
          }
        throw error
      })
      const problem = typeof outcome === 'object' && 'problem' in outcome ? outcome.problem : undefined
      await open.source.moves.noteWork(open.move, clock.nowMs() - begunMs, problem)
      const waits = outcome !== 'again' && !('problem' in outcome) ? outcome : undefined
      if (outcome !== 'again' || budget.isOver()) return stateOf(await this.#look(issuer), waits)
    }
  }

  async #step({ move, source, target }: Open, built: boolean, budget: Budget): Promise<Outcome> {
    if (target === undefined) return { problem: `there is no database ${move.peer}` }
    const arrived = target.place?.move
    const known = arrived?.id === move.id ? arrived : undefined
    if (move.phase === 'aborted' || known?.phase === 'aborted') return this.#finishAbort(source, target, move)
    const at = there(target)
    if (source.place.frozen || at?.place.frozen === true)
      return {
        problem:
          'the issuer is frozen: a database was restored from a backup; check it and thaw the issuer first',
      }
    if (move.phase === 'begun') return this.#begin(source, target, move)
    const claimed = known?.phase === 'claimed'
    const hasEnded = move.phase === 'givenUp' || move.phase === 'purging'
    if (at === undefined || (known === undefined && !hasEnded)) return this.#suspect(source, target, move)
    if (claimed ? isBefore(move, 'barred') : move.phase === 'claimed')
      return this.#suspect(source, target, move)
    switch (move.phase) {
      case 'copying':
        return this.#copy(source, at, move, budget)
      case 'verifying':
        return this.#verify(source, at, move, built, budget)
      case 'barred':
        return this.#switch(source, at, move, claimed, budget)
      case 'claimed':
        return (await this.#since(move.claimedMs)) ?? this.#phase(source, move, 'givenUp')
      case 'givenUp':
        return this.#settle(source, at, move)
      case 'purging':
        return this.#purge(source, move, budget, () => this.#phase(source, move, 'done'))
      default:
        return 'again'
    }
  }

  /** What one says does not go with the other: one was read before the other's last step, or is older than that. */
  async #suspect(source: There, target: Side, { issuer, id, phase, peer }: Move): Promise<Outcome> {
    const [here, there] = await Promise.all([source.moves.readPlace(issuer), target.moves.readPlace(issuer)])
    const hasMoved = here?.move?.id !== id || here.move.phase !== phase
    if (
      hasMoved ||
      there?.move?.id !== target.place?.move?.id ||
      there?.move?.phase !== target.place?.move?.phase
    )
      return 'again'
    return {
      problem: `databases ${source.database} and ${peer} do not agree how far the move is: was one of them restored from a backup?`,
    }
  }

  async #begin(source: There, target: Side, move: Move): Promise<Outcome> {
    const { issuer } = move
    if (target.place !== undefined && target.place.ski !== source.place.ski)
      return { problem: `database ${move.peer} has another issuer of that id` }
    await target.moves.enter(source.place, move, source.database, this.#ports.clock.nowMs())
    const place = await target.moves.readPlace(issuer)
    if (place?.move?.id !== move.id) return { for: 'otherMove' }
    await target.writeIssuerPage(issuer)
    return (await this.#publish([source, { ...target, place }])) ?? this.#phase(source, move, 'copying')
  }

  async #copy(source: There, target: There, move: Move, budget: Budget): Promise<Outcome> {
    const { issuer } = move
    let step = target.place.move?.step ?? 0
    let { cursor } = move
    let behind: Promise<void> = Promise.resolve()
    for (;;) {
      const range = nextRange(cursor, move.digits)
      if (range === undefined) {
        await behind
        return this.#phase(source, move, 'verifying')
      }
      budget.pages -= 1
      const [{ rows, full }] = await Promise.all([
        source.moves.readRows(issuer, range.from, range.to),
        behind,
      ])
      if (rows.length > 0) {
        const added = await target.moves.add(issuer, step, rows, this.#ports.clock.nowMs())
        if (added === undefined) return 'again'
        const next =
          added.added === rows.length ? added.step : await this.#write(target, issuer, added.step, rows)
        if (next === undefined) return 'again'
        step = next
      }
      cursor = full ? keyOf(rows.at(-1)) : range.to
      behind = source.moves.advance({ ...move, cursor }, { rows: rows.length, repaired: 0 })
      if (budget.isOver()) break
    }
    await behind
    await this.#drain(source, target, step, budget)
    return 'again'
  }

  async #verify(source: There, target: There, move: Move, built: boolean, budget: Budget): Promise<Outcome> {
    const { issuer } = move
    let step = await this.#drain(source, target, target.place.move?.step ?? 0, budget)
    if (step === undefined) return 'again'
    for (let { cursor } = move; ; ) {
      const range = nextRange(cursor, move.digits)
      if (range === undefined) break
      budget.pages -= 1
      const { rows, full } = await source.moves.readRows(issuer, range.from, range.to)
      const end = full ? keyOf(rows.at(-1)) : range.to
      const copies = await target.moves.readStretch(issuer, range.from, end)
      const differing = differences(rows, copies.rows)
      for (let at = 0; at < differing.length && step !== undefined; at += KEYS)
        step = await this.#repair(source, target, step, differing.slice(at, at + KEYS))
      if (step === undefined) return 'again'
      if (copies.full) continue // there may be more than were read
      cursor = end
      await source.moves.advance({ ...move, cursor }, { rows: rows.length, repaired: differing.length })
      if (budget.isOver()) return 'again'
    }
    const early = await this.#since(move.begunMs)
    if (early !== undefined) return early
    const slots = built ? await target.moves.countUnbuilt(issuer) : 0
    if (slots > 0) return { for: 'bundles', slots }
    if ((await this.#drain(source, target, step, budget)) === undefined) return 'again'
    if (source.place.config !== target.place.config) {
      await target.moves.adopt(source.place, this.#ports.clock.nowMs())
      const [before, after] = await Promise.all([
        source.moves.readPlace(issuer),
        target.moves.readPlace(issuer),
      ])
      if (before?.config !== after?.config && before?.config === source.place.config)
        return {
          problem:
            'the issuer is not configured alike in both databases: repeat the change of its policy, name or responders',
        }
      await target.writeIssuerPage(issuer)
      return 'again'
    }
    return this.#phase(source, move, 'barred')
  }

  /** From the first of these transactions to the last nothing is written of the digits. */
  async #switch(
    source: There,
    target: There,
    move: Move,
    claimed: boolean,
    budget: Budget,
  ): Promise<Outcome> {
    const { issuer } = move
    if (!claimed) {
      if ((await this.#drain(source, target, target.place.move?.step ?? 0, budget)) === undefined)
        return 'again'
      if ((await source.moves.readPlace(issuer))?.noted !== false) return 'again'
      await target.moves.setPhase(known(target), 'claimed', this.#ports.clock.nowMs())
      return 'again'
    }
    return (await this.#publish([target])) ?? this.#phase(source, move, 'claimed')
  }

  async #settle(source: There, target: There, move: Move): Promise<Outcome> {
    if (move.settledMs === 0) {
      const late = await this.#publish([source])
      if (late === undefined) await source.moves.settle(move, this.#ports.clock.nowMs())
      return late ?? 'again'
    }
    const early = await this.#since(move.settledMs)
    if (early !== undefined) return early
    if (target.place.move?.id === move.id)
      await target.moves.setPhase(known(target), 'done', this.#ports.clock.nowMs())
    return this.#phase(source, move, 'purging')
  }

  async #purge(at: MoveDatabase, move: Move, budget: Budget, end: () => Promise<Outcome>): Promise<Outcome> {
    do {
      budget.pages -= 1
      if ((await at.moves.purge(move)) === 0) return end()
    } while (!budget.isOver())
    return 'again'
  }

  /** The target first: from then on nobody can claim what the source still has. */
  async #abort(source: There, target: Side | undefined, move: Move): Promise<void> {
    const nowMs = this.#ports.clock.nowMs()
    const there = target?.place?.move
    if (there?.id === move.id && there.phase === 'copying')
      await target?.moves.setPhase(there, 'aborted', nowMs)
    const now = await target?.moves.readPlace(move.issuer)
    if (now?.move?.id === move.id && now.move.phase !== 'aborted') return
    await source.moves.setPhase(move, 'aborted', nowMs)
  }

  async #finishAbort(source: There, target: Side, move: Move): Promise<Outcome> {
    if (move.phase !== 'aborted') {
      await this.#abort(source, target, move)
      return 'again'
    }
    const nowMs = this.#ports.clock.nowMs()
    const there = target.place?.move
    if (there?.id === move.id) {
      if (there.phase === 'copying') await target.moves.setPhase(there, 'aborted', nowMs)
      const budget = { pages: MAX_PAGES, isOver: () => budget.pages <= 0 }
      return this.#purge(target, there, budget, async () => {
        await target.moves.endAborted(there, nowMs)
        return 'again'
      })
    }
    await source.moves.endAborted(move, nowMs)
    await this.#publish([source])
    return 'again'
  }

  /** What arrives though its source has given up: it was aborted before it was heard of here. */
  async #dropOrphan(sides: readonly Side[], budget: Budget): Promise<boolean> {
    for (const side of sides) {
      const move = side.place?.move
      if (move === undefined || move.outgoing || move.phase === 'claimed') continue
      const source = sides.find(({ database }) => database === move.peer)
      if (source === undefined || (await source.moves.readPlace(move.issuer))?.move?.id === move.id) continue
      const nowMs = this.#ports.clock.nowMs()
      await side.moves.setPhase(move, 'aborted', nowMs)
      await this.#purge(side, move, budget, async () => {
        await side.moves.endAborted(move, nowMs)
        return 'again'
      })
      return true
    }
    return false
  }

  /** What was noted is copied as it stands now, until nothing is. @returns the step; undefined: overtaken, or not all of it */
  async #drain(source: There, target: There, from: number, budget: Budget): Promise<number | undefined> {
    const issuer = source.place.issuer
    for (let step: number | undefined = from; ; ) {
      const { rows, last } = await source.moves.readNotes(issuer)
      if (last === 0) return step
      budget.pages -= 1
      step = await this.#write(target, issuer, step, rows)
      if (step === undefined) return undefined
      await source.moves.dropNotes(issuer, last)
      if (budget.isOver()) return undefined
    }
  }

  /** In transactions of a bounded size. @throws Stuck */
  async #write(
    target: MoveDatabase,
    issuer: number,
    from: number,
    rows: readonly RowText[],
  ): Promise<number | undefined> {
    let step = from
    for (let at = 0; at < rows.length; ) {
      let end = at + 1
      for (let size = rows[at]?.length ?? 0; end < rows.length; end += 1) {
        size += rows[end]?.length ?? 0
        if (size > MAX_CHARACTERS) break
      }
      const written = await target.moves.write(issuer, step, rows.slice(at, end), this.#ports.clock.nowMs())
      if (written === undefined) return undefined
      if (written.stuck !== undefined) throw new Stuck(written.stuck)
      step = written.step
      at = end
    }
    return step
  }

  /** Rows that differ are copied once more. Those that still do, though the source's stand still, end it. @throws Stuck */
  async #repair(
    source: There,
    target: There,
    from: number,
    differing: readonly RowKey[],
  ): Promise<number | undefined> {
    const { issuer } = source.place
    const rows = await source.moves.readKeys(issuer, differing)
    const step = await this.#write(target, issuer, from, rows)
    if (step === undefined) return undefined
    const copies = new Set(await target.moves.readKeys(issuer, differing))
    const left = rows.filter((row) => !copies.has(row)).map(keyOf)
    if (left.length === 0) return step
    const again = new Set(await source.moves.readKeys(issuer, left))
    const stuck = rows.find((row) => !copies.has(row) && again.has(row))
    if (stuck !== undefined) throw new Stuck(keyOf(stuck).serial.toLowerCase())
    return undefined
  }

  async #phase(source: There, move: Move, phase: Move['phase']): Promise<Outcome> {
    await source.moves.setPhase(move, phase, this.#ports.clock.nowMs())
    return 'again'
  }

  /** Whether every root in use is one that was published after that. */
  async #since(ms: number): Promise<MoveWait | undefined> {
    const until = ms + this.#ports.boundSeconds * 1000 + MARGIN_MS
    return this.#ports.clock.nowMs() < until ? { for: 'bound', until } : undefined
  }

  async #publish(sides: readonly There[]): Promise<MoveWait | undefined> {
    const outcomes = await Promise.all(
      sides.map(({ publish, place }) => publish({ issuer: place.issuer, revision: place.seq })),
    )
    return outcomes.every(({ published }) => published) ? undefined : { for: 'publication' }
  }

  #look(issuer: number): Promise<Side[]> {
    return Promise.all(
      this.#ports.databases.map(async (one) => ({ ...one, place: await one.moves.readPlace(issuer) })),
    )
  }
}

interface Budget {
  pages: number
  isOver(): boolean
}
interface Open {
  readonly move: Move
  readonly source: There
  readonly target: Side | undefined
}

function there(side: Side | undefined): There | undefined {
  return side?.place === undefined ? undefined : { ...side, place: side.place }
}

function known({ place }: There): Move {
  if (place.move === undefined) throw new MoveRefused('the target does not know of this move')
  return place.move
}

/** The move that is under way, at its source. */
function openOf(sides: readonly Side[]): Open | undefined {
  for (const side of sides) {
    const source = there(side)
    const move = source?.place.move
    if (source !== undefined && move?.outgoing === true)
      return { move, source, target: sides.find(({ database }) => database === move.peer) }
  }
  return undefined
}

function isBefore(move: Move, phase: 'barred' | 'claimed'): boolean {
  return ['begun', 'copying', 'verifying', ...(phase === 'claimed' ? ['barred'] : [])].includes(move.phase)
}

function refuseFrozen(...sides: readonly Side[]): void {
  if (sides.some(({ place }) => place?.frozen === true))
    throw new MoveRefused(
      'the issuer is frozen: a database was restored from a backup; check it and thaw the issuer first',
    )
}

function stateOf(sides: readonly Side[], wait: MoveWait | undefined): MoveState {
  const open = openOf(sides)
  return {
    done: false,
    move:
      open === undefined
        ? undefined
        : { ...open.move, from: open.source.database, share: shareOf(open.move) },
    wait,
  }
}
