/** Several databases behind one administration: the real stores over SQLite, with the clock and the faults of a test. */
import { serialHash } from '../../src/bundle/slot.ts'
import type { NewCertificate, NewIssuer } from '../../src/ports/admin-store.ts'
import type { RecordShard } from '../../src/shards/record-shard.ts'
import { ShardedAdminStore } from '../../src/shards/sharded-admin-store.ts'
import { ShardedCanaryStore } from '../../src/shards/sharded-canary-store.ts'
import { ShardedRecoveryStore } from '../../src/shards/sharded-recovery-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { D1RecoveryStore } from '../../src/storage/d1-recovery-store.ts'
import { good, NOW_MS, newIssuer, newResponder, serial } from '../storage/fixtures.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

export interface Several {
  readonly dbs: readonly SqliteD1[]
  readonly shards: readonly RecordShard[]
  readonly store: ShardedAdminStore
  readonly canaries: ShardedCanaryStore
  readonly recovery: ShardedRecoveryStore
  /** Goes on by a second. */
  tick(): number
  db(database: number): SqliteD1
  shard(database: number): RecordShard
}

export function several(count = 2): Several {
  let ms = NOW_MS
  const dbs = Array.from({ length: count }, () => new SqliteD1({ now: () => ms / 1000 }))
  const shards = dbs.map((db, database) => ({
    database,
    record: new D1AdminStore(db, { database }),
    canaries: new D1CanaryStore(db),
    recovery: new D1RecoveryStore(db),
  }))
  const at = <T>(all: readonly T[], database: number): T => {
    const one = all[database]
    if (one === undefined) throw new RangeError(`no database ${database}`)
    return one
  }
  return {
    dbs,
    shards,
    store: new ShardedAdminStore(shards),
    canaries: new ShardedCanaryStore(shards),
    recovery: new ShardedRecoveryStore(shards),
    tick() {
      ms += 1000
      return ms
    },
    db: (database) => at(dbs, database),
    shard: (database) => at(shards, database),
  }
}

/** An issuer with a responder, in all of the databases. @returns its id */
export async function setUp(world: Several, changes: Partial<NewIssuer> = {}): Promise<number> {
  const databases = world.shards.map(({ database }) => database)
  const { id } = await world.store.addIssuer(newIssuer({ databases, ...changes }), world.tick())
  await world.store.addResponder(id, newResponder(), Uint8Array.of(1, 2, 3), world.tick())
  return id
}

export const digitOf = (octets: Uint8Array): number => serialHash(octets) >>> 28

/** `count` numbers of serials whose hash begins with one of the digits. */
export function numbersIn(digits: readonly number[], count: number): number[] {
  const found: number[] = []
  for (let n = 0; found.length < count; n += 1) if (digits.includes(digitOf(serial(n)))) found.push(n)
  return found
}

export const LOW = [0, 1, 2, 3, 4, 5, 6, 7]
export const HIGH = [8, 9, 10, 11, 12, 13, 14, 15]

export const goodOnes = (numbers: readonly number[]): NewCertificate[] => numbers.map((n) => good(n))

/** Serials in one database, as numbers of fixtures.serial(). */
export function serialsIn(db: SqliteD1): number[] {
  return db
    .rows('SELECT hex(serial) AS serial FROM certificates ORDER BY serial')
    .map((row) => Number.parseInt(String(row['serial']).slice(2), 16))
}

/** What counts of the record, of all databases. */
export function recordOf({ dbs }: Several): unknown {
  return dbs.map((db) => ({
    issuers: db.rows(
      'SELECT id, name, ski, policy, enabled, frozen, away, compromised_at, final_at FROM issuers ORDER BY id',
    ),
    responders: db.rows(
      'SELECT issuer, name, hex(key_hash) AS key, hex(wrapped_key) AS wrapped, retired FROM responders ORDER BY issuer, name',
    ),
    certificates: db.rows(
      'SELECT issuer, hex(serial) AS serial, status, revoked_at, reason FROM certificates ORDER BY 1, 2',
    ),
  }))
}

export function auditOf({ dbs }: Several): unknown {
  return dbs.map((db) => db.rows('SELECT action, issuer, hex(serial) AS serial FROM audit ORDER BY 1, 2, 3'))
}

/** The call number `nth` (from 0) of a database goes wrong, that one alone. @returns whether it came to that */
export function faultAt(db: SqliteD1, nth: number, kind: 'refused' | 'answerLost'): () => boolean {
  let calls = 0
  let happened = false
  db.beforeCall = () => {
    if (calls++ !== nth) return
    happened = true
    if (kind === 'refused') throw new Error('D1_ERROR: Network connection lost.')
    db.loseAnswers(1)
  }
  return () => {
    db.beforeCall = undefined
    return happened
  }
}
