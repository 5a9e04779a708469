/**
 * Several databases and a move between them, on a clock that is moved by hand. What is published are the shares of the issuer, as the
 * roots would say them; a reader may hold any root that is not older than the bound, of each database another.
 */

import type { MoveStore } from '../../src/ports/move-store.ts'
import { type MoveDatabase, Moves } from '../../src/shards/move.ts'
import { ShardedAdminStore } from '../../src/shards/sharded-admin-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { D1MoveStore } from '../../src/storage/d1-move-store.ts'
import { D1RecoveryStore } from '../../src/storage/d1-recovery-store.ts'
import { newIssuer, newResponder } from '../storage/fixtures.ts'
import { VirtualClock } from './clock.ts'
import { SqliteD1 } from './sqlite-d1.ts'

export const BOUND_SECONDS = 300
const BOUND_MS = BOUND_SECONDS * 1000

interface Root {
  readonly ms: number
  readonly away: number
  readonly moving: boolean
  readonly fresh: boolean
}

export interface WorldOptions {
  /** Wraps the store of each database: to break it. */
  readonly wrap?: (store: MoveStore, db: SqliteD1, database: number) => MoveStore
  /** Made before, to be made as they were afterwards; else there are two. */
  readonly dbs?: readonly SqliteD1[]
  readonly clock?: VirtualClock
  /** What the moves take for the bound. */
  readonly boundSeconds?: number
}

export class MoveWorld {
  readonly clock: VirtualClock
  readonly dbs: readonly SqliteD1[]
  readonly record: ShardedAdminStore
  readonly moves: Moves
  readonly stores: MoveStore[]
  readonly roots: Root[][]
  readonly pages: number[][]
  issuer = 0
  readonly #boundSeconds: number
  #names = 0
  /** Publications fail. */
  mute = false

  constructor({ dbs, clock, wrap = (store) => store, boundSeconds = BOUND_SECONDS }: WorldOptions = {}) {
    this.clock = clock ?? new VirtualClock()
    this.dbs = dbs ?? [0, 1].map(() => new SqliteD1({ now: () => this.clock.nowMs() / 1000 }))
    this.roots = this.dbs.map(() => [])
    this.pages = this.dbs.map(() => [])
    this.record = new ShardedAdminStore(
      this.dbs.map((db, database) => ({
        database,
        record: new D1AdminStore(db, { database }),
        canaries: new D1CanaryStore(db),
        recovery: new D1RecoveryStore(db),
      })),
    )
    this.stores = this.dbs.map((db, database) => wrap(new D1MoveStore(db), db, database))
    this.#boundSeconds = boundSeconds
    this.moves = this.mover()
  }

  /** Another program that moves. @param gate before and after each call that it makes; to fail, or to wait there */
  mover(gate: () => Promise<void> = async () => undefined): Moves {
    const gated = async <T>(work: () => Promise<T>): Promise<T> => {
      await gate()
      const result = await work()
      await gate()
      return result
    }
    return new Moves({
      databases: this.stores.map(
        (store, database): MoveDatabase => ({
          database,
          moves: intercepted(store, gated),
          publish: () => gated(async () => ({ published: this.publish(database) })),
          writeIssuerPage: (issuer) => gated(async () => void this.pages[database]?.push(issuer)),
        }),
      ),
      clock: this.clock,
      boundSeconds: this.#boundSeconds,
      newId: () => {
        this.#names += 1
        return `move-${this.#names}`
      },
    })
  }

  /** An issuer with a responder. */
  async setUp(databases: readonly number[] = [0]): Promise<void> {
    const issuer = await this.record.addIssuer({ ...newIssuer(), databases }, this.clock.nowMs())
    this.issuer = issuer.id
    await this.record.addResponder(this.issuer, newResponder(), Uint8Array.of(1, 2, 3), this.clock.nowMs())
    this.beat()
  }

  /** The heartbeat of every database. */
  beat(): void {
    for (const database of this.dbs.keys()) this.publish(database)
  }

  publish(database: number): boolean {
    if (this.mute) return false
    const db = this.dbs[database]
    const [row] = db?.rows('SELECT away, moving, fresh FROM issuers WHERE id = ?1', this.issuer) ?? []
    if (row === undefined) return true
    db?.exec('UPDATE issuers SET published = seq')
    this.roots[database]?.push({
      ms: this.clock.nowMs(),
      away: Number(row['away']),
      moving: row['moving'] === 1,
      fresh: row['fresh'] === 1,
    })
    return true
  }

  /** Everything the target has is in bundles. */
  build(): void {
    for (const db of this.dbs)
      db.exec(
        'UPDATE slots SET built_seq = max(changed_seq, added_seq, 1), entries = entries + added, added = 0',
      )
  }

  /** Roots of a database that an isolate may answer by: those that are not older than the bound. */
  #inUse(database: number): (Root | undefined)[] {
    const roots = this.roots[database] ?? []
    const from = this.clock.nowMs() - BOUND_MS
    const usable = roots.filter(({ ms }) => ms >= from)
    const distinct = new Map(usable.map((root) => [`${root.away}/${root.moving}/${root.fresh}`, root]))
    // Before the first root, and when it cannot be read.
    return [...distinct.values(), undefined]
  }

  /** Where a digit may be asked for now: every database that some isolate would ask, and whether one would find none though roots are readable. */
  asked(digit: number): { homes: Set<number>; lost: boolean } {
    const homes = new Set<number>()
    let lost = false
    for (const roots of combinations(this.dbs.map((_, database) => this.#inUse(database)))) {
      const claims = roots.flatMap((root, database) =>
        root !== undefined && ((root.away >> digit) & 1) === 0 ? [{ database, ...root }] : [],
      )
      const sure = claims.filter(({ moving }) => !moving)
      if (sure.length > 0) for (const { database } of sure) homes.add(database)
      else if (
        roots.every((root, database) => root !== undefined || (this.roots[database]?.length ?? 0) === 0)
      ) {
        const best = claims.find(({ fresh }) => fresh) ?? claims[0]
        if (best === undefined) lost = true
        else homes.add(best.database)
      }
    }
    return { homes, lost }
  }

  /** All rows of a digit, of one database. */
  rows(database: number, digit: number): Map<string, string> {
    const found = this.dbs[database]?.rows(
      `SELECT hex(serial) AS serial, json_array(status, revoked_at, reason, not_before, not_after, changed_at, reserved, is_ca,
        hex(extensions)) AS row FROM certificates WHERE hash >> 28 = ?1`,
      digit,
    )
    return new Map((found ?? []).map((row) => [String(row['serial']), String(row['row'])]))
  }

  close(): void {
    for (const db of this.dbs) db.close()
  }
}

function combinations<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((sets, list) => sets.flatMap((set) => list.map((one) => [...set, one])), [[]])
}

/** The same store, every call of it by way of `through`. */
function intercepted(store: MoveStore, through: <T>(work: () => Promise<T>) => Promise<T>): MoveStore {
  return {
    readPlace: (...of) => through(() => store.readPlace(...of)),
    listMoves: (...of) => through(() => store.listMoves(...of)),
    countRows: (...of) => through(() => store.countRows(...of)),
    countUnbuilt: (...of) => through(() => store.countUnbuilt(...of)),
    begin: (...of) => through(() => store.begin(...of)),
    enter: (...of) => through(() => store.enter(...of)),
    adopt: (...of) => through(() => store.adopt(...of)),
    readRows: (...of) => through(() => store.readRows(...of)),
    readStretch: (...of) => through(() => store.readStretch(...of)),
    readKeys: (...of) => through(() => store.readKeys(...of)),
    readNotes: (...of) => through(() => store.readNotes(...of)),
    dropNotes: (...of) => through(() => store.dropNotes(...of)),
    write: (...of) => through(() => store.write(...of)),
    add: (...of) => through(() => store.add(...of)),
    advance: (...of) => through(() => store.advance(...of)),
    setPhase: (...of) => through(() => store.setPhase(...of)),
    settle: (...of) => through(() => store.settle(...of)),
    endAborted: (...of) => through(() => store.endAborted(...of)),
    noteWork: (...of) => through(() => store.noteWork(...of)),
    purge: (...of) => through(() => store.purge(...of)),
  }
}

/** The store with some of its methods replaced. */
export function changed(store: MoveStore, methods: Partial<MoveStore>): MoveStore {
  return { ...intercepted(store, (work) => work()), ...methods }
}
