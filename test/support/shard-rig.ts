/** Several databases, each with its own KV and isolate memory, behind one responder, as compose-shards.ts wires them. */
import { publish } from '../../src/overlay/publisher.ts'
import type { NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import type { IssuerRecord } from '../../src/ports/records.ts'
import type { Answer } from '../../src/responder/answer.ts'
import type { ResponderPorts } from '../../src/responder/respond.ts'
import { respond } from '../../src/responder/respond.ts'
import { Shards } from '../../src/responder/shards.ts'
import type { JudgePorts } from '../../src/responder/signer-judge.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { presign } from '../../src/signing/presign.ts'
import { Random, VirtualClock } from './clock.ts'
import { ColoCache, LaggingKV } from './colo.ts'
import { StandingFaults } from './faults.ts'
import { hex, makeTestPKI, TEST_POLICY, type TestPKI } from './pki.ts'
import { SqliteD1 } from './sqlite-d1.ts'
import { type Isolate, makeIsolate } from './world-isolate.ts'
import { KEK } from './world-setup.ts'

export const BOUND_MS = 300_000

export interface RigOptions {
  readonly colos?: number
  /** Longest lag of KV; default none. */
  readonly maxLagSeconds?: number
  readonly seed?: number
}

/** One database and what is derived of it. */
export class RigShard {
  readonly clock: VirtualClock
  readonly record: SqliteD1
  readonly kv: LaggingKV
  readonly caches: readonly ColoCache[]
  readonly faults = new StandingFaults()
  readonly isolate: Isolate

  constructor(clock: VirtualClock, { colos = 1, maxLagSeconds = 0, seed = 5 }: RigOptions = {}) {
    this.clock = clock
    this.record = new SqliteD1({ now: () => clock.nowMs() / 1000 })
    this.kv = new LaggingKV({ clock, colos, maxLagSeconds, seed })
    this.caches = Array.from({ length: colos }, () => new ColoCache(clock))
    this.isolate = this.newIsolate()
  }

  newIsolate(colo = 0, locate?: JudgePorts['locate']): Isolate {
    const random = new Random(5)
    const cache = this.caches[colo]
    if (cache === undefined) throw new RangeError(`no colo ${colo}`)
    return makeIsolate({
      kv: this.kv.view(colo),
      cache,
      db: this.record,
      clock: this.clock,
      random: () => random.uint32(),
      boundMs: BOUND_MS,
      kek: KEK,
      hook: this.faults,
      timeoutMs: 200,
      locate,
    })
  }

  async publish(): Promise<void> {
    await publish(this.isolate.publisher)
  }

  async presign(): Promise<void> {
    const { problems } = await presign(this.isolate.presign, { all: true, budget: 100_000 })
    if (problems.length > 0) throw new Error(problems.join('; '))
  }

  /** What of the issuer is here, reached as a move does it: `away` and the rest as columns of issuers. */
  share(id: number, columns: Readonly<Record<string, number>>): void {
    const { away } = columns
    if (away !== undefined)
      this.record.exec(
        `UPDATE issuers SET seq = seq + 1, leaving = ${away} & ~away, arriving = away & ~${away} WHERE id = ${id}`,
      )
    const set = Object.entries(columns).map(([name, value]) => `${name} = ${value}`)
    this.record.exec(
      `UPDATE issuers SET seq = seq + 1, leaving = 0, arriving = 0, ${set.join(', ')} WHERE id = ${id}`,
    )
  }
}

export class ShardRig {
  readonly clock = new VirtualClock()
  readonly shards: readonly RigShard[]
  responder: ResponderPorts

  constructor(count: number, options: RigOptions = {}) {
    this.shards = Array.from({ length: count }, (_, n) => {
      return new RigShard(this.clock, { ...options, seed: (options.seed ?? 5) + n })
    })
    this.responder = this.newResponder()
  }

  /** Isolates that remember nothing, one behind all. */
  newResponder(colo = 0): ResponderPorts {
    const locate: JudgePorts['locate'] = (certID) => router.locate(certID)
    const all = this.shards.map((shard) => shard.newIsolate(colo, locate).responder)
    const router = new Shards(all, this.clock)
    const [first] = all
    if (first === undefined) throw new RangeError('no database')
    return { ...first, shards: router }
  }

  at(database: number): RigShard {
    const shard = this.shards[database]
    if (shard === undefined) throw new RangeError(`no database ${database}`)
    return shard
  }

  /** The same issuer in these databases, under the same id as long as each has as many already. */
  async addCA(
    name: string,
    databases: readonly number[],
    unknown: 'unauthorized' | 'unknown' = 'unauthorized',
  ) {
    const pki = await makeTestPKI({ now: this.clock.seconds, caName: `CA ${name}` })
    let record: IssuerRecord | undefined
    for (const database of databases) record = await this.#addTo(this.at(database), name, pki, unknown)
    if (record === undefined) throw new RangeError('no database')
    await this.publish()
    return { pki, record }
  }

  async #addTo(shard: RigShard, name: string, pki: TestPKI, unknown: 'unauthorized' | 'unknown') {
    const { certificate, hashes, notBefore, notAfter, keyHash } = pki.issuer
    const { admin } = shard.isolate
    const nowMs = this.clock.nowMs()
    // CAs of a test have the same key, and are told apart by their names (R1.16).
    const facts = {
      name,
      ski: hex(keyHash) + hex(new TextEncoder().encode(name)),
      certificate,
      hashes,
      notBefore,
      notAfter,
      enabled: true,
    }
    const { id } = await admin.addIssuer({ ...facts, policy: { ...TEST_POLICY, unknown } }, nowMs)
    const { id: _id, retired: _retired, ...responder } = pki.responderRecord()
    const context = { issuerSKI: facts.ski, responderName: responder.name, spki: responder.spki }
    await admin.addResponder(id, responder, await wrapKey(pki.responder.pkcs8, KEK, context), nowMs)
    return admin.findIssuer(name)
  }

  async add(database: number, issuer: number, rows: readonly NewCertificate[]): Promise<void> {
    const outcomes = await this.at(database).isolate.admin.addCertificates(issuer, rows, this.clock.nowMs())
    const refused = outcomes.filter((outcome) => typeof outcome === 'object')
    if (refused.length > 0) throw new Error(JSON.stringify(refused))
  }

  async change(database: number, issuer: number, serial: Uint8Array, change: StatusChange): Promise<void> {
    const shard = this.at(database)
    const { outcome } = await shard.isolate.admin.changeStatus(issuer, serial, change, this.clock.nowMs())
    if (outcome !== 'changed') throw new Error(JSON.stringify(outcome))
  }

  async publish(): Promise<void> {
    this.clock.advance(1_100)
    for (const shard of this.shards) await shard.publish()
  }

  async presign(): Promise<void> {
    this.clock.advance(1_000)
    for (const shard of this.shards) await shard.presign()
  }

  /** Time passes, with a heartbeat of each database every minute. */
  async pass(seconds: number, of: readonly RigShard[] = this.shards): Promise<void> {
    for (let left = seconds; left > 0; left -= 60) {
      this.clock.advance(Math.min(left, 60) * 1000)
      for (const shard of of) await shard.publish()
    }
  }

  async ask(der: Uint8Array, responder: ResponderPorts = this.responder): Promise<Answer> {
    return respond(der, responder)
  }

  close(): void {
    for (const shard of this.shards) shard.record.close()
  }
}
