/**
 * A simulated world: data centres with their isolates and caches, one record, one KV that is late differently everywhere, one
 * clock, one seed. What is begun can be stopped at any port call and go on later, out of order, or never. Each answer is
 * judged as it leaves; `violations` says what was wrong.
 */
import { PAGING_RULES, pageIssuers } from '../../src/overlay/paging.ts'
import { publish, publishChange } from '../../src/overlay/publisher.ts'
import { type SegmentLimits, segmentTail } from '../../src/overlay/segmenting.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { ChangeResult, NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import type { UnknownPolicy } from '../../src/ports/records.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { respond } from '../../src/responder/respond.ts'
import { presign } from '../../src/signing/presign.ts'
import { encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { EPOCH, Random, VirtualClock } from './clock.ts'
import { ColoCache, LaggingKV } from './colo.ts'
import { Actor, type Interference, type PortName } from './faults.ts'
import { type Bounds, CertificateHistory } from './world-history.ts'
import { type Isolate, type IsolateOptions, makeIsolate, type Variant } from './world-isolate.ts'
import { judge, unrecordedStatus } from './world-judge.ts'
import { quiet } from './world-quiet.ts'
import { WatchedRecord } from './world-record.ts'
import { requestOf } from './world-requests.ts'
import { addIssuer, cloneIssuer, KEK, RETAIN_SECONDS, type WorldIssuer } from './world-setup.ts'

/** A minute without a change, and an issuer stands in pages of the directory. */
const SOON_QUIET = { ...PAGING_RULES, quietMs: 60_000, crowdedMs: 60_000 }

export interface WorldOptions {
  readonly seed: number
  readonly variant?: Variant
  readonly colos?: number
  readonly isolatesPerColo?: number
  readonly maxLagSeconds?: number
  readonly validitySeconds?: number
  readonly boundSeconds?: number
  /** Goes on from here: its record, issuers, KV and histories, until it is closed. One at a time. */
  readonly from?: World
}

/** Few changes are much here: most of what is asked about stands in segments and filters. */
const SMALL_SEGMENTS: SegmentLimits = { tail: 2, massTail: 4, massLive: 8, segments: 2, filters: 2 }

/** How the weather is: shares of port calls that fail or stop, and stores that are away altogether. */
export interface Weather {
  failShare: number
  pauseShare: number
  recordAwayUntilMs: number
  kvAwayUntilMs: number
}

/** An isolate in its place. */
export interface Place extends Isolate {
  readonly colo: number
  readonly actor: Actor
  readonly seen: Map<string, number>
  /** The next question may be stopped on its way. */
  fragile: boolean
}

export interface Job {
  readonly name: string
  readonly actor: Actor
  readonly work: Promise<unknown>
  readonly begunMs: number
}

export class World {
  readonly seed: number
  readonly clock = new VirtualClock()
  random: Random
  readonly record: WatchedRecord
  readonly kv: LaggingKV
  readonly caches: readonly ColoCache[]
  readonly bounds: Bounds
  readonly variant: Variant | undefined
  readonly weather: Weather = { failShare: 0, pauseShare: 0, recordAwayUntilMs: 0, kvAwayUntilMs: 0 }
  readonly places: Place[] = []
  readonly issuers: WorldIssuer[] = []
  readonly histories = new Map<string, CertificateHistory>()
  readonly jobs: Job[] = []
  readonly counts: Record<Answer['responseStatus'], number> = {
    successful: 0,
    malformedRequest: 0,
    internalError: 0,
    tryLater: 0,
    sigRequired: 0,
    unauthorized: 0,
  }
  /** Where answers came from. */
  readonly origins: Record<string, number> = {}
  /** The next call that fits is stopped before or after the driver does its part. */
  stopAt: { port: PortName; phase: 'before' | 'after'; what?: RegExp } | undefined
  readonly violations: string[] = []
  /** What a mistake in front of the Worker remembers, by colo. */
  readonly fronts: readonly Map<string, unknown>[]
  /** Lost changes are being replayed: what is not recorded is not there yet, rather than deleted. */
  replaying = false
  /** The last things that happened. */
  readonly trace: string[] = []
  readonly #isolatesPerColo: number
  readonly #actors: Actor[] = []
  readonly #lastRev = new Map<string, number>()
  /** Encoded once. */
  readonly requests: Map<string, Uint8Array>
  readonly #undo: (() => void) | undefined

  constructor(options: WorldOptions) {
    const { seed, variant, colos = 3, isolatesPerColo = 2, maxLagSeconds = 2_500 } = options
    this.seed = seed
    this.variant = variant
    this.random = new Random(seed)
    this.bounds = {
      boundMs: (options.boundSeconds ?? 300) * 1000,
      validitySeconds: options.validitySeconds ?? 7_200,
    }
    const { from } = options
    this.record = from?.record ?? new WatchedRecord(this.clock)
    this.#undo = from?.record.tentatively()
    this.requests = from?.requests ?? new Map()
    this.kv = new LaggingKV({ clock: this.clock, colos, seed: seed ^ 0x5eed, maxLagSeconds })
    if (from !== undefined) this.#goOnFrom(from)
    this.record.moveTo(this.clock)
    this.record.onWrite = () => this.#readHistories()
    this.caches = Array.from({ length: colos }, () => new ColoCache(this.clock))
    this.fronts = this.caches.map(() => new Map())
    this.#isolatesPerColo = isolatesPerColo
  }

  /** A world with its issuers recorded, published and at work, no certificate yet. */
  static async create(
    options: WorldOptions,
    policies: readonly UnknownPolicy[] = ['unauthorized', 'good', 'unknown'],
  ): Promise<World> {
    const world = new World(options)
    const place = world.makePlace(0)
    const { validitySeconds } = world.bounds
    for (const unknown of policies) {
      const policy = { validitySeconds, retainSeconds: RETAIN_SECONDS }
      const issuer = await addIssuer(place.admin, unknown, policy, world.clock.nowMs())
      world.issuers.push(issuer)
      await place.derived.writeIssuerPage(issuer.record.id, encodeIssuerPage(issuer.record))
    }
    await publish(place.publisher)
    world.#settleIn()
    return world
  }

  /** The same world again, as it is now: places are new, time goes on. */
  static fork(from: World, options: Omit<WorldOptions, 'from'>): World {
    const world = new World({ ...options, from })
    world.#settleIn()
    return world
  }

  /** What is still stopped somewhere fails there, so that nothing of it is left. */
  async end(): Promise<void> {
    Object.assign(this.weather, { failShare: 0, pauseShare: 0 })
    for (const actor of this.#actors) if (actor.isPaused) actor.expire()
    await quiet()
    this.close()
  }

  close(): void {
    if (this.#undo === undefined) this.record.close()
    else this.#undo()
  }

  #goOnFrom(from: World): void {
    this.clock.advance(from.clock.nowMs() - this.clock.nowMs())
    this.kv.copy(from.kv)
    this.issuers.push(...from.issuers.map(cloneIssuer))
    for (const [key, history] of from.histories) this.histories.set(key, history.clone())
    for (const [key, rev] of from.#lastRev) this.#lastRev.set(key, rev)
  }

  #settleIn(): void {
    for (let colo = 0; colo < this.caches.length; colo += 1)
      for (let i = 0; i < this.#isolatesPerColo; i += 1) this.places.push(this.makePlace(colo))
  }

  get issuer(): WorldIssuer {
    const [first] = this.issuers
    if (first === undefined) throw new Error('a world without issuers')
    return first
  }

  issuerOf(history: CertificateHistory): WorldIssuer {
    const found = this.issuers.find(({ record }) => record.id === history.issuer)
    if (found === undefined) throw new Error('a certificate of no issuer')
    return found
  }

  /** A fresh isolate. */
  makePlace(colo: number, memoryBytes?: number): Place {
    let fragile = false
    const actor = new Actor((port, phase, what) => this.#decide(port, phase, what, fragile))
    this.#actors.push(actor)
    const isolate = this.isolate(colo, actor, memoryBytes === undefined ? {} : { memoryBytes })
    return {
      ...isolate,
      colo,
      actor,
      seen: new Map(),
      get fragile() {
        return fragile
      },
      set fragile(value: boolean) {
        fragile = value
      },
    }
  }

  /** An isolate that is gone, and another in its stead. */
  restart(index: number): void {
    const old = this.places[index]
    if (old === undefined) return
    this.places[index] = this.makePlace(old.colo, this.random.chance(0.3) ? 4_000 : undefined)
  }

  history(issuer: WorldIssuer, serial: Uint8Array): CertificateHistory {
    const unrecorded = unrecordedStatus(issuer.unknown)
    const fresh = new CertificateHistory(issuer.record.id, serial, this.bounds, unrecorded)
    const known = this.histories.get(fresh.key)
    if (known !== undefined) return known
    this.histories.set(fresh.key, fresh)
    for (const { at, committedMs } of issuer.compromises) fresh.compromise(at, committedMs)
    return fresh
  }

  /** Asks through the real `respond` and judges what comes back. */
  async ask(
    place: Place,
    history: CertificateHistory,
    hash: HashAlgorithm = 'SHA-256',
    nonce?: Uint8Array,
    verify = true,
  ): Promise<Answer> {
    const issuer = this.issuerOf(history)
    const question = { issuer, asked: [{ history, hash }], nonce }
    const answer = await respond(requestOf(question, this.requests), place.responder)
    this.count(answer)
    const options = { bounds: this.bounds, nowMs: this.clock.nowMs(), verify, seen: place.seen }
    const problem = await judge(question, answer, options)
    if (problem !== undefined) {
      const origin = answer.responseStatus === 'successful' ? ` from ${answer.origin}` : ''
      const at = this.places.indexOf(place)
      this.accuse(
        `${problem}: ${hash} of ${history.key} at isolate ${at}, colo ${place.colo}${origin}`,
        history,
      )
    }
    return answer
  }

  count(answer: Answer): void {
    this.counts[answer.responseStatus] += 1
    if (answer.responseStatus === 'successful')
      this.origins[answer.origin] = (this.origins[answer.origin] ?? 0) + 1
  }

  /** A law was broken. */
  accuse(problem: string, history?: CertificateHistory): void {
    this.violations.push(problem)
    if (history === undefined) return
    const life = history.revisions.map(({ certStatus, changedAt, committedMs }) => [
      certStatus.type,
      changedAt === 0 ? 0 : changedAt - EPOCH,
      committedMs / 1000 - EPOCH,
    ])
    this.say(`history of ${history.key}: ${JSON.stringify(life)}, pruned ${history.prunedMs}`)
  }

  /** Begins something that may stop on its way: it runs until then. */
  async begin(name: string, colo: number, work: (place: Isolate) => Promise<unknown>): Promise<Job> {
    const actor = new Actor((port, phase, what) => this.#decide(port, phase, what, true))
    this.#actors.push(actor)
    const job: Job = {
      name,
      actor,
      work: work(this.isolate(colo, actor)).catch(() => undefined),
      begunMs: this.clock.nowMs(),
    }
    const done = await actor.run(job.work)
    await quiet()
    if (!done) {
      this.say(`${name} stopped`)
      this.jobs.push(job)
    }
    return job
  }

  /** Lets something that was stopped go on, or fail where it stands. */
  async goOn(job: Job, expire = false): Promise<void> {
    this.say(`${job.name} goes on${expire ? ' with an error' : ''}`)
    if (expire) job.actor.expire()
    else job.actor.resume()
    const done = await job.actor.run(job.work)
    await quiet()
    if (done) this.jobs.splice(this.jobs.indexOf(job), 1)
  }

  async change(place: Isolate, history: CertificateHistory, change: StatusChange): Promise<ChangeResult> {
    const result = await place.admin.changeStatus(history.issuer, history.serial, change, this.clock.nowMs())
    this.say(`${change.to} ${history.key}: ${JSON.stringify(result.outcome)}`)
    place.live.absent.clear()
    await publishChange(place.publisher, history.issuer, result.revision)
    return result
  }

  async add(place: Isolate, issuer: WorldIssuer, rows: readonly NewCertificate[]): Promise<void> {
    for (const { serial } of rows) this.history(issuer, serial)
    await place.admin.addCertificates(issuer.record.id, rows, this.clock.nowMs())
    this.say(`added ${rows.length} to ${issuer.record.id}`)
    place.live.absent.clear()
    await publish(place.publisher)
  }

  /** Changes an issuer's configuration: its page first, then the root that asks for the page. */
  async configure(place: Isolate, issuer: WorldIssuer, work: () => Promise<unknown>): Promise<void> {
    await work()
    const record = await place.admin.findIssuer(`${issuer.record.id}`)
    if (record === undefined) throw new Error('an issuer that is gone')
    await place.derived.writeIssuerPage(record.id, encodeIssuerPage(record))
    await publishChange(place.publisher, record.id, record.configRev)
  }

  async publish(place: Isolate): Promise<void> {
    await publish(place.publisher)
  }

  presign(place: Isolate, options: { all?: boolean; budget?: number } = {}): ReturnType<typeof presign> {
    return presign(place.presign, { all: options.all ?? false, budget: options.budget ?? 1_000 })
  }

  /** What the cron does once a minute. Each step stands alone. */
  async cron(place: Isolate, maxEntries = 8): Promise<void> {
    const step = async (work: () => Promise<unknown>) => {
      try {
        return await work()
      } catch {
        return undefined
      }
    }
    await step(() => segmentTail(place.segmenting, SMALL_SEGMENTS))
    await step(() => place.segmenting.store.raiseFloors(this.clock.nowMs(), this.clock.seconds - 300))
    if (this.variant?.heartbeat !== false) await step(() => publish(place.publisher))
    const { directory, derived } = place
    await step(() => pageIssuers({ directory, derived, clock: this.clock }, SOON_QUIET))
    await step(() => place.slots.startGrowth(this.clock.seconds, maxEntries))
    await step(() => presign(place.presign, { all: false, budget: 60 }))
    const grown = await step(() => place.slots.finishGrowth())
    if (Array.isArray(grown) && grown.length > 0) {
      this.say(`issuers ${grown.join(', ')} have grown`)
      this.clock.advance(1_000)
      await step(() => publish(place.publisher))
    }
    await step(() => place.overlayStore.pruneOverlay(this.clock.seconds))
    await step(() => place.slots.pruneCertificates(this.clock.seconds, 100))
  }

  say(what: string): void {
    this.trace.push(`${this.clock.nowMs() / 1000 - EPOCH} ${what}`)
    if (this.trace.length > 400) this.trace.splice(0, 200)
  }

  /** @throws with seed and trace when a law was broken */
  checkWorld(): void {
    const [first] = this.violations
    if (first === undefined) return
    throw new Error(`${this.describe()}: ${first}\n${this.trace.slice(-40).join('\n')}`)
  }

  describe(): string {
    return `seed ${this.seed}, ${this.variant?.name ?? 'as designed'}, at ${this.clock.nowMs() / 1000 - EPOCH} s`
  }

  /** A fresh isolate under other interference than the weather's. */
  isolate(colo: number, hook: Interference, special: Partial<IsolateOptions> = {}): Isolate {
    const cache = this.caches[colo]
    if (cache === undefined) throw new RangeError(`no colo ${colo}`)
    return makeIsolate({
      kv: this.kv.view(colo),
      cache,
      db: this.record,
      clock: this.clock,
      random: () => this.random.uint32(),
      boundMs: this.bounds.boundMs,
      kek: KEK,
      hook,
      timeoutMs: 60_000, // of real time: here it is the weather that makes things late
      ...(this.variant === undefined ? {} : { variant: this.variant }),
      ...special,
    })
  }

  #decide(
    port: PortName,
    phase: 'before' | 'after',
    what: string,
    mayPause: boolean,
  ): 'go' | 'pause' | 'fail' {
    const { stopAt } = this
    if (mayPause && stopAt?.port === port && stopAt.phase === phase && (stopAt.what?.test(what) ?? true)) {
      this.stopAt = undefined
      return 'pause'
    }
    const { failShare, pauseShare, recordAwayUntilMs, kvAwayUntilMs } = this.weather
    const nowMs = this.clock.nowMs()
    if (phase === 'before' && port === 'd1' && nowMs < recordAwayUntilMs) return 'fail'
    if (phase === 'before' && port.startsWith('kv.') && nowMs < kvAwayUntilMs) return 'fail'
    if (failShare > 0 && this.random.chance(failShare)) return 'fail'
    return mayPause && pauseShare > 0 && this.random.chance(pauseShare) ? 'pause' : 'go'
  }

  /** What the record says after a write becomes history; a restored record tells nothing new. */
  #readHistories(): void {
    this.#readEnds()
    const present = new Set<string>()
    for (const { issuer: id, row } of this.record.certificates()) {
      const issuer = this.issuers.find(({ record }) => record.id === id)
      if (issuer === undefined) continue
      const history = this.history(issuer, row.serial)
      present.add(history.key)
      if (row.rev <= (this.#lastRev.get(history.key) ?? 0)) continue
      this.#lastRev.set(history.key, row.rev)
      if (issuer.finalMs !== undefined)
        this.accuse(`the record of a final issuer has changed (law 2): ${history.key}`, history)
      const problem = history.commit(row, this.clock.nowMs())
      if (problem !== undefined && !this.replaying) this.accuse(`${problem}: ${history.key}`, history)
    }
    if (this.replaying) return
    for (const history of this.histories.values())
      if (history.recordedMs !== undefined && !present.has(history.key)) history.prune(this.clock.nowMs())
  }

  #readEnds(): void {
    const nowMs = this.clock.nowMs()
    for (const { issuer, key } of this.record.retired()) {
      const signer = this.issuers.find(({ record }) => record.id === issuer)?.signers.get(key)
      if (signer !== undefined) signer.retiredMs ??= nowMs
    }
    for (const { issuer: id, compromisedAt, finalAt } of this.record.ends()) {
      const issuer = this.issuers.find(({ record }) => record.id === id)
      if (issuer === undefined) continue
      const { compromises, finalMs } = issuer
      const known = compromises.at(-1)?.at ?? Number.POSITIVE_INFINITY
      if (compromisedAt > known || (compromisedAt === 0 && compromises.length > 0))
        this.accuse(`the compromise of issuer ${id} was taken back (law 2)`)
      if (finalMs !== undefined && finalAt === 0) this.accuse(`issuer ${id} is no longer final (law 2)`)
      if (finalAt > 0) issuer.finalMs ??= nowMs
      if (compromisedAt === 0 || compromisedAt >= known) continue
      compromises.push({ at: compromisedAt, committedMs: nowMs })
      for (const history of this.histories.values())
        if (history.issuer === id) history.compromise(compromisedAt, nowMs)
    }
  }
}
