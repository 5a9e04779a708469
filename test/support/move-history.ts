/**
 * A random history of writes while digits move: what each certificate is in truth, and was within the bound, is what a database without a
 * move says after the same writes. Steps of the move are begun by several programs, which die, or stop and wake later.
 */
import { serialHash } from '../../src/bundle/slot.ts'
import type { StatusChange } from '../../src/ports/admin-store.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { MoveStore } from '../../src/ports/move-store.ts'
import { MoveRefused, type MoveState } from '../../src/ports/moves.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { END } from '../../src/storage/mass-revocation.ts'
import { pruneCertificates } from '../../src/storage/prune.ts'
import { DAY, good, NOW, newIssuer, newResponder, serial } from '../storage/fixtures.ts'
import { VirtualClock } from './clock.ts'
import { BOUND_SECONDS, MoveWorld } from './move-world.ts'
import { SqliteD1 } from './sqlite-d1.ts'

export type Command =
  | { readonly do: 'add' | 'addOld' | 'reserve' | 'fill' | 'revoke' | 'hold' | 'release'; readonly n: number }
  | { readonly do: 'mass' | 'prune' | 'beat' | 'build' | 'wake' | 'abort' | 'policy' }
  | { readonly do: 'tick'; readonly seconds: number }
  /** A program goes on; `ends`: what becomes of it at which of its calls. */
  | { readonly do: 'step'; readonly ends: 'well' | 'dies' | 'stops'; readonly at: number }
  /** The same, and a write between its calls. */
  /** A program goes on while a certificate is held and released again between its calls, up to one of them. */
  | { readonly do: 'storm'; readonly n: number; readonly at: number }
  | { readonly do: 'race'; readonly at: number; readonly write: Command }

/** Serials whose hash begins with 8 or f, which move, and of one that stays. */
export const SERIALS: readonly number[] = pick()
const MOVED = 0x8100
export const WANTED = Array.from({ length: 16 }, (_, digit) => ((MOVED >> digit) & 1 ? 1 : 0))
const BOUND_MS = BOUND_SECONDS * 1000
const OLD = NOW - 40 * DAY

function pick(): number[] {
  const found: number[] = []
  const wanted = [8, 8, 8, 8, 0xf, 0xf, 0xf, 2]
  for (let n = 1; wanted.length > 0; n += 1) {
    const at = wanted.indexOf(serialHash(serial(n)) >>> 28)
    if (at < 0) continue
    wanted.splice(at, 1)
    found.push(n)
  }
  return found
}

/** Made once: each history leaves them as they were. */
let clock = new VirtualClock()
const DATABASES = [0, 1, 2].map(() => new SqliteD1({ now: () => clock.nowMs() / 1000 }))

class Died extends Error {}

export interface HistoryOptions {
  readonly wrap?: ((store: MoveStore, db: SqliteD1, database: number) => MoveStore) | undefined
  readonly boundSeconds?: number | undefined
}

export class History {
  readonly world: MoveWorld
  readonly #truth: SqliteD1
  readonly #reference: D1AdminStore
  /** What each certificate was, and since when; the last is what it is. */
  readonly #past = new Map<string, { row: string | undefined; ms: number }[]>()
  readonly #sleeping: { wake: () => void; done: Promise<unknown> }[] = []
  #aborting = false
  readonly #undo: (() => void)[]

  constructor({ wrap, boundSeconds }: HistoryOptions = {}) {
    clock = new VirtualClock()
    const [truth, ...dbs] = DATABASES
    if (truth === undefined) throw new Error('no database')
    this.#undo = DATABASES.map((db) => db.tentatively())
    this.world = new MoveWorld({
      dbs,
      clock,
      ...(wrap === undefined ? {} : { wrap }),
      ...(boundSeconds === undefined ? {} : { boundSeconds }),
    })
    this.#truth = truth
    this.#reference = new D1AdminStore(this.#truth, { database: 0 })
  }

  async setUp(): Promise<void> {
    await this.world.setUp()
    const { id } = await this.#reference.addIssuer(newIssuer(), this.world.clock.nowMs())
    await this.#reference.addResponder(id, newResponder(), Uint8Array.of(1, 2, 3), this.world.clock.nowMs())
    if (id !== this.world.issuer) throw new Error('another id')
    this.#note()
  }

  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      await this.#do(command)
      this.check()
    }
  }

  async #do(command: Command): Promise<void> {
    const { world } = this
    switch (command.do) {
      case 'tick':
        world.clock.advance(command.seconds * 1000)
        world.beat()
        return
      case 'beat':
        return world.beat()
      case 'build':
        return world.build()
      case 'step':
        return this.#step(command.ends, command.at)
      case 'race': {
        let calls = 0
        await this.#advance(async () => {
          if (calls === command.at) await this.#do(command.write)
          calls += 1
        })
        return
      }
      case 'storm': {
        let calls = 0
        await this.#advance(async () => {
          calls += 1
          if (calls <= command.at)
            await this.#write({ do: calls % 2 === 0 ? 'hold' : 'release', n: command.n })
        })
        return
      }
      case 'abort':
        this.#aborting = true
        return
      case 'wake': {
        const one = this.#sleeping.shift()
        one?.wake()
        await one?.done
        return
      }
      case 'prune':
        for (const db of [...world.dbs, this.#truth]) await pruneCertificates(db, world.clock.seconds, 100)
        return this.#note()
      default:
        return this.#write(command)
    }
  }

  /** The same in truth, if it was not refused for a move. */
  async #write(command: Command): Promise<void> {
    const { issuer, record, clock } = this.world
    const ms = clock.nowMs()
    for (const store of [record, this.#reference]) {
      try {
        await writeOne(store, issuer, command, ms)
      } catch (error) {
        if (store === this.#reference || !(error instanceof StorageError) || error.reason === 'corrupt')
          throw error
        if (command.do !== 'mass' && command.do !== 'policy') return
        // Part of it may be done: what bars the rest goes on first.
        await this.#advance()
        await writeOne(record, issuer, command, ms)
      }
    }
    this.#note()
  }

  #note(): void {
    const ms = this.world.clock.nowMs()
    for (const n of SERIALS) {
      const serialHex = hexOf(n)
      const row = this.#rowOf(this.#truth, n)
      const past = this.#past.get(serialHex) ?? []
      if (past.length === 0 || past.at(-1)?.row !== row) past.push({ row, ms })
      this.#past.set(serialHex, past)
    }
  }

  #rowOf(db: SqliteD1 | undefined, n: number): string | undefined {
    const [row] =
      db?.rows(
        `SELECT json_array(status, revoked_at, reason, not_before, not_after, changed_at, reserved, is_ca, hex(extensions)) AS row
        FROM certificates WHERE hash = ?1 AND hex(serial) = ?2`,
        serialHash(serial(n)),
        hexOf(n),
      ) ?? []
    return row === undefined ? undefined : String(row['row'])
  }

  async #step(ends: 'well' | 'dies' | 'stops', at: number): Promise<void> {
    if (ends === 'well') return void (await this.#advance())
    let calls = 0
    let stopped: () => void = () => undefined
    const isStopped = new Promise<void>((resolve) => {
      stopped = resolve
    })
    const done = this.#advance(async () => {
      calls += 1
      if (calls !== at) return
      if (ends === 'dies') throw new Died()
      await new Promise<void>((wake) => {
        this.#sleeping.push({ wake, done: Promise.resolve().then(() => done) })
        stopped()
      })
    })
    await Promise.race([done, isStopped])
  }

  async #advance(gate?: () => Promise<void>): Promise<MoveState | undefined> {
    const mover = this.world.mover(gate)
    const { issuer } = this.world
    try {
      const state = this.#aborting
        ? await mover.abort(issuer, { budgetMs: 0 })
        : await mover.advance(issuer, WANTED, { budgetMs: 0, built: gate === undefined })
      if (this.#aborting && state.done) this.#aborting = false
      if (state.move?.problem !== undefined) throw new Error(state.move.problem)
      return state
    } catch (error) {
      if (error instanceof Died) return undefined
      if (error instanceof MoveRefused) this.#aborting = false
      else throw error
      return undefined
    }
  }

  /** Whoever is asked now, by whichever roots, has what was true within the bound. */
  check(): void {
    const from = this.world.clock.nowMs() - BOUND_MS
    for (const n of SERIALS) {
      const digit = serialHash(serial(n)) >>> 28
      const { homes, lost } = this.world.asked(digit)
      if (lost) throw new Error(`nobody claims the digit ${digit.toString(16)}`)
      const past = this.#past.get(hexOf(n)) ?? []
      const right = past
        .filter((_, i) => (past[i + 1]?.ms ?? Number.POSITIVE_INFINITY) >= from)
        .map(({ row }) => row)
      for (const home of homes) {
        const row = this.#rowOf(this.world.dbs[home], n)
        if (right.includes(row) || isForgotten(row) || right.some(isForgotten)) continue
        throw new Error(`database ${home} is asked for ${n} and has ${row}, not ${right.join(' or ')}`)
      }
    }
  }

  /** The move goes to its end; then everything is where it belongs, and as it is in truth. */
  async finish(): Promise<void> {
    const { world } = this
    while (this.#sleeping.length > 0) await this.#do({ do: 'wake' })
    for (let calls = 0; ; calls += 1) {
      if (calls > 500) throw new Error('it does not end')
      const wasAborting = this.#aborting
      const state = await this.#advance()
      this.check()
      if (!wasAborting && state?.done === true) break
      world.build()
      if (state?.wait?.for === 'bound') {
        world.clock.advance(Math.max(0, state.wait.until - world.clock.nowMs()))
        world.beat()
        this.check()
      }
    }
    world.clock.advance(BOUND_MS * 2)
    world.beat()
    this.check()
    for (const n of SERIALS) {
      const to = WANTED[serialHash(serial(n)) >>> 28] ?? 0
      const [row, truth] = [this.#rowOf(world.dbs[to], n), this.#rowOf(this.#truth, n)]
      if (row !== truth && !isForgotten(row) && !isForgotten(truth))
        throw new Error(`${n} is ${row} in the end, not ${truth}`)
      if (this.#rowOf(world.dbs[1 - to], n) !== undefined)
        throw new Error(`${n} is left in database ${1 - to}`)
    }
    const left = world.dbs.flatMap((db) => [
      ...db.rows('SELECT 1 FROM moved'),
      ...db.rows('SELECT 1 FROM issuers WHERE leaving OR arriving OR moving OR fresh'),
      ...db.rows('SELECT 1 FROM moves WHERE ended_ms = 0'),
    ])
    if (left.length > 0) throw new Error('something of the move is left')
  }

  close(): void {
    for (const undo of this.#undo) undo()
  }
}

/** Past its retention: whether the row is still there is nobody's business. */
function isForgotten(row: string | undefined): boolean {
  if (row === undefined) return false
  const values: unknown = JSON.parse(row)
  const notAfter: unknown = Array.isArray(values) ? values[4] : 0
  return notAfter === OLD
}

async function writeOne(
  store: Pick<D1AdminStore, 'addCertificates' | 'changeStatus' | 'startMass' | 'stepMass' | 'updateIssuer'>,
  issuer: number,
  command: Command,
  ms: number,
): Promise<void> {
  const change = (n: number, to: StatusChange) => store.changeStatus(issuer, serial(n), to, ms)
  switch (command.do) {
    case 'add':
      return void (await store.addCertificates(issuer, [good(command.n)], ms))
    case 'addOld':
      return void (await store.addCertificates(
        issuer,
        [good(command.n, { notBefore: 0, notAfter: OLD })],
        ms,
      ))
    case 'reserve':
      return void (await store.addCertificates(
        issuer,
        [{ serial: serial(command.n), status: 'reserved' }],
        ms,
      ))
    case 'fill':
      return void (await store.addCertificates(issuer, [{ serial: serial(command.n), status: 'good' }], ms))
    case 'revoke':
      return void (await change(command.n, { to: 'revoked', reason: 1 }))
    case 'hold':
      return void (await change(command.n, { to: 'hold' }))
    case 'release':
      return void (await change(command.n, { to: 'released' }))
    case 'policy':
      return void (await store.updateIssuer(issuer, { enabled: true, name: `ca-${ms % 1000}` }, ms))
    case 'mass': {
      const request = { where: { reserved: false }, to: 'revoked' as const, reason: 4, revocationTime: NOW }
      const run = await store.startMass(issuer, request, ms)
      for (let { cursor } = run; cursor < END; )
        cursor = (await store.stepMass({ ...run, cursor }, request, ms)).cursor
      return
    }
    default:
      throw new Error(command.do)
  }
}

const hexOf = (n: number) => Buffer.from(serial(n)).toString('hex').toUpperCase()
