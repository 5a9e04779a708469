/**
 * Certificates are moved between databases while they are asked for, added and revoked, KV lags, heartbeats fail and the mover dies:
 * seeded runs, and every answer of every isolate is held against what was recorded (laws 2 and 4, ADR 0016).
 */
import { describe, expect, test } from 'vitest'
import { encodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { DIGITS, dealt } from '../../src/ports/moves.ts'
import type { IssuerRecord } from '../../src/ports/records.ts'
import type { ResponderPorts } from '../../src/responder/respond.ts'
import { Moves } from '../../src/shards/move.ts'
import { ShardedAdminStore } from '../../src/shards/sharded-admin-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { D1MoveStore } from '../../src/storage/d1-move-store.ts'
import { D1RecoveryStore } from '../../src/storage/d1-recovery-store.ts'
import { Random } from '../support/clock.ts'
import { InterferedDatabase } from '../support/faults.ts'
import { hex } from '../support/pki.ts'
import { BOUND_MS, type RigShard, ShardRig } from '../support/shard-rig.ts'

const COLOS = 2
const STEPS = 260
/** A serial that was just recorded may be refused for a minute where it was asked for before (R6.8), and until a root is fresh. */
const ADDED_MS = 120_000

interface Variant {
  /** What a move believes the bound to be. */
  readonly boundSeconds?: number
  /** Rows are copied, and what is written meanwhile is not. */
  readonly withoutNotes?: boolean
}

interface Story {
  readonly addedMs: number
  revokedMs: number
}

interface Told {
  readonly moves: number
  readonly answers: number
  readonly later: number
  readonly problems: readonly string[]
}

class World {
  readonly random: Random
  readonly rig: ShardRig
  readonly store: ShardedAdminStore
  readonly moves: Moves
  readonly stories = new Map<string, Story>()
  readonly problems: string[] = []
  /** Calls of the mover that are left until one of them fails. */
  fuse = Number.POSITIVE_INFINITY
  places: ResponderPorts[] = []
  /** By place: what it has said to be revoked. */
  said: Set<string>[] = []
  answers = 0
  later = 0
  wanted: readonly number[] = DIGITS.map(() => 0)
  moved = 0
  #issuer: IssuerRecord | undefined
  readonly #silent = new Set<RigShard>()

  constructor(seed: number, { boundSeconds = BOUND_MS / 1000, withoutNotes = false }: Variant) {
    this.random = new Random(seed)
    this.rig = new ShardRig(2, { colos: COLOS, maxLagSeconds: 240, seed })
    const { clock, shards } = this.rig
    if (withoutNotes)
      for (const { record } of shards)
        for (const write of ['insert', 'update', 'delete'])
          record.exec(`DROP TRIGGER certificates_${write}_moved`)
    this.store = new ShardedAdminStore(
      shards.map(({ record }, database) => ({
        database,
        record: new D1AdminStore(record, { database }),
        canaries: new D1CanaryStore(record),
        recovery: new D1RecoveryStore(record),
      })),
    )
    const before = () => {
      this.fuse -= 1
      if (this.fuse === 0) throw new StorageError('unavailable', 'the mover was killed')
    }
    this.moves = new Moves({
      databases: shards.map((shard, database) => ({
        database,
        moves: new D1MoveStore(new InterferedDatabase(shard.record, { before, after: before })),
        publish: async () => {
          clock.advance(1_100)
          await shard.publish()
          return { published: true }
        },
        writeIssuerPage: async () => undefined,
      })),
      clock,
      boundSeconds,
      newId: () => `${this.random.uint32()}`,
    })
  }

  get issuer(): IssuerRecord {
    if (this.#issuer === undefined) throw new Error('no issuer')
    return this.#issuer
  }

  async begin(): Promise<void> {
    this.#issuer = (await this.rig.addCA('moved', [0])).record
    await this.add(60)
    await this.heartbeat()
    await this.rig.presign()
    for (let colo = 0; colo < COLOS; colo += 1)
      for (let n = 0; n < 2; n += 1) this.start(this.places.length, colo)
  }

  /** An isolate that remembers nothing in the place of one. */
  start(place: number, colo = place >> 1): void {
    this.places[place] = this.rig.newResponder(colo)
    this.said[place] = new Set()
  }

  async add(count: number): Promise<void> {
    const { clock } = this.rig
    const rows = Array.from({ length: count }, () => {
      const serial = Uint8Array.of(0x52, ...new Uint8Array(Uint32Array.of(this.random.uint32()).buffer))
      return { serial, status: 'good' as const, notBefore: clock.seconds - 60, notAfter: clock.seconds + 9e6 }
    })
    const outcomes = await this.store.addCertificates(this.issuer.id, rows, clock.nowMs()).catch(barred)
    rows.forEach(({ serial }, i) => {
      if (outcomes?.[i] === 'added')
        this.stories.set(hex(serial), { addedMs: clock.nowMs(), revokedMs: Infinity })
    })
  }

  async revoke(): Promise<void> {
    const { clock } = this.rig
    const [name, story] = this.random.pick([...this.stories])
    const change = { to: 'revoked', reason: 1 } as const
    const done = await this.store
      .changeStatus(this.issuer.id, Buffer.from(name, 'hex'), change, clock.nowMs())
      .catch(barred)
    if (done === undefined) return
    if (done.outcome === 'notFound') this.problems.push(`${name} was lost: the record does not know it`)
    if (done.outcome !== 'changed') return
    if (story.revokedMs < Infinity) this.problems.push(`${name} was revoked a second time`)
    story.revokedMs = clock.nowMs()
    clock.advance(1_100)
    await this.rig.shards[done.database ?? 0]?.publish()
  }

  async heartbeat(): Promise<void> {
    for (const shard of this.rig.shards) if (!this.#silent.has(shard)) await shard.publish()
  }

  async pass(): Promise<void> {
    const { clock, shards } = this.rig
    const before = Math.floor(clock.seconds / 60)
    clock.advance(this.random.between(2, 45) * 1000)
    if (Math.floor(clock.seconds / 60) === before) return
    for (const shard of shards)
      if (this.random.chance(0.1)) this.#silent.add(shard)
      else this.#silent.delete(shard)
    await this.heartbeat()
    if (this.random.chance(0.3)) for (const shard of shards) await shard.presign()
  }

  async move(): Promise<void> {
    this.fuse = this.random.chance(0.3) ? this.random.between(1, 40) : Number.POSITIVE_INFINITY
    try {
      const { done, move } = await this.moves.advance(this.issuer.id, this.wanted, {
        budgetMs: this.random.between(1, 500),
        built: this.random.chance(0.5),
      })
      if (move?.problem) this.problems.push(`the move stopped: ${move.problem}`)
      if (!done) return
      this.moved += 1
      this.wanted = this.random.pick([dealt([0, 1]), dealt([1]), dealt([1, 0]), dealt([0])])
    } catch (error) {
      if (this.fuse > 0) throw error
    }
  }

  async ask(): Promise<void> {
    const place = this.random.between(0, this.places.length - 1)
    const names = [...this.stories.keys()]
    const asked = Array.from({ length: this.random.chance(0.2) ? 3 : 1 }, () => this.random.pick(names))
    const responder = this.places[place]
    if (responder === undefined) return
    const { hashes } = this.issuer
    const requestList = asked.map((name) => ({
      reqCert: {
        hashAlgorithm: hashAlgorithmIdentifier('SHA-256'),
        ...hashes['SHA-256'],
        serialNumber: Uint8Array.from(Buffer.from(name, 'hex')),
      },
    }))
    const begunMs = this.rig.clock.nowMs()
    const answer = await this.rig.ask(
      encodeOCSPRequest({ tbsRequest: { versionExplicit: false, requestList } }),
      responder,
    )
    this.answers += 1
    if (answer.responseStatus === 'tryLater') {
      this.later += 1
      return
    }
    if (answer.responseStatus !== 'successful') {
      const isNew = asked.some((name) => begunMs - (this.stories.get(name)?.addedMs ?? 0) < ADDED_MS)
      if (answer.responseStatus === 'unauthorized' && isNew) return
      this.problems.push(`${asked} at ${place}: ${answer.responseStatus} ${answer.error}`)
      return
    }
    const { responses } = decodeSuccessfulResponse(answer.der).tbsResponseData
    for (const [i, { certStatus }] of responses.entries())
      this.#judge(asked[i] ?? '', certStatus.type, place, begunMs)
  }

  #judge(name: string, said: string, place: number, atMs: number): void {
    const revokedMs = this.stories.get(name)?.revokedMs ?? Infinity
    const known = this.said[place]
    if (said === 'revoked') {
      if (revokedMs === Infinity) this.problems.push(`${name} at ${place}: revoked, and never was`)
      known?.add(name)
      return
    }
    if (known?.has(name)) this.problems.push(`${name} at ${place}: went back from revoked to ${said}`)
    const late = atMs - revokedMs - BOUND_MS
    if (late > 0) this.problems.push(`${name} at ${place}: ${said} ${late / 1000} s after the bound`)
  }

  /** At the end every certificate is where one database claims it, and answered right by an isolate that begins now. */
  async end(): Promise<void> {
    await this.rig.pass(600)
    for (const { kv } of this.rig.shards) kv.settle()
    this.start(0)
    for (const [name, { revokedMs }] of this.stories) {
      const row = await this.store.readCertificate(this.issuer.id, Buffer.from(name, 'hex'))
      if (row?.status !== (revokedMs < Infinity ? 'revoked' : 'good'))
        this.problems.push(`${name} is ${row?.status} in the record`)
    }
    for (let n = 0; n < 20; n += 1) await this.ask()
  }
}

/** While digits change hands nothing of them can be written. @throws what is anything else */
function barred(error: unknown): undefined {
  if (error instanceof StorageError && error.reason !== 'corrupt') return undefined
  throw error
}

async function run(seed: number, variant: Variant = {}): Promise<Told> {
  const world = new World(seed, variant)
  try {
    await world.begin()
    for (let step = 0; step < STEPS && world.problems.length === 0; step += 1) {
      await world.pass()
      const dice = world.random.between(0, 99)
      if (dice < 60) await world.move()
      else if (dice < 75) await world.revoke()
      else if (dice < 88) await world.add(world.random.between(1, 4))
      else if (dice < 92) world.start(world.random.between(0, world.places.length - 1))
      for (let n = 0; n < 3; n += 1) await world.ask()
    }
    if (world.problems.length === 0) await world.end()
    return { moves: world.moved, answers: world.answers, later: world.later, problems: world.problems }
  } finally {
    world.rig.close()
  }
}

const SEEDS = Array.from({ length: 12 }, (_, n) => n + 1)

describe('while certificates are moved between databases', () => {
  test('no answer is wrong, and none goes back (laws 2 and 4)', { timeout: 240_000 }, async () => {
    let [moves, answers, later] = [0, 0, 0]
    for (const seed of SEEDS) {
      const told = await run(seed)
      expect([seed, told.problems]).toEqual([seed, []])
      moves += told.moves
      answers += told.answers
      later += told.later
    }
    expect(moves).toBeGreaterThan(SEEDS.length)
    expect(later / answers).toBeLessThan(0.02)
  })

  test.each<[string, Variant]>([
    ['that does not wait for the bound', { boundSeconds: -60 }],
    ['that does not note what is written meanwhile', { withoutNotes: true }],
  ])('a move %s is found out', { timeout: 120_000 }, async (_, variant) => {
    for (let seed = 1; seed <= 40; seed += 1) if ((await run(seed, variant)).problems.length > 0) return
    expect.fail('no run has shown it')
  })
})
