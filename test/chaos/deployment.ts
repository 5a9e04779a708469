/** The script carried out by processes that die: what is not acknowledged is repeated, the cron comes once a minute, clients never stop asking. */

import { fanOut, type ResignQueue } from '../../src/jobs/fan-out.ts'
import { repairIssuerPages } from '../../src/jobs/issuer-pages.ts'
import { runScheduled } from '../../src/jobs/scheduled.ts'
import { PAGING_RULES, pageIssuers } from '../../src/overlay/paging.ts'
import { publish } from '../../src/overlay/publisher.ts'
import { type SegmentLimits, tendSegments } from '../../src/overlay/segmenting.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import type { FanOutStore } from '../../src/ports/fan-out-store.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { presign } from '../../src/signing/presign.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { decodeIssuerPage, encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { EPOCH, Random } from '../support/clock.ts'
import { Actor, InterferedDatabase, type PortName } from '../support/faults.ts'
import type { Place, World } from '../support/world.ts'
import type { CertificateHistory } from '../support/world-history.ts'
import { exchange, judgeHeaders } from '../support/world-http.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { judgeOctets, newestRevision, type Question } from '../support/world-judge.ts'
import { quiet } from '../support/world-quiet.ts'
import { requestOf } from '../support/world-requests.ts'
import {
  type Call,
  FAULTS,
  type Fault,
  fits,
  isKill,
  kindId,
  kindOf,
  type Met,
  type Plan,
  placeOf,
} from './plan.ts'
import { type Fate, Process, type Role } from './process.ts'
import { ChaosQueue } from './queue.ts'
import { MAX_SLOT_ENTRIES, type Operation, PHASE_SECONDS, type Phase } from './script.ts'
import type { ChaosVariant } from './variants.ts'

/** The platform ends an invocation after this long (a cron run; others sooner). */
const WALL_LIMIT_MS = 900_000
const ATTEMPTS = 40
/** Of a phase, until nothing is owed any more. */
const MAX_MINUTES = 44
/** What a port call of the pipeline takes. */
const CALL_MS = 7
const ASKED_MEANWHILE = 0.12
const HASHES: readonly HashAlgorithm[] = ['SHA-1', 'SHA-256', 'SHA-256', 'SHA-1', 'SHA-1', 'SHA-384']
/** So few that there are several messages. */
const MESSAGE_SIGNATURES = 24
/** Some minutes without a change, and an issuer stands in pages of the directory. */
const SOON_QUIET = { ...PAGING_RULES, quietMs: 120_000 }
/** Few changes are much here: most of what is asked about stands in segments and filters. */
const SMALL_SEGMENTS: SegmentLimits = { tail: 2, massTail: 4, massLive: 8, segments: 2, filters: 2 }
const SILENT = { event() {} }

export class Deployment implements Fate {
  readonly #world: World
  readonly #plan: ReadonlyMap<string, Fault>
  #dice: Random
  readonly #seed: number
  readonly #variant: ChaosVariant | undefined
  readonly #isQueued: boolean
  readonly #queue: ChaosQueue
  readonly #calls: Call[] = []
  readonly #met: Met[] = []
  readonly #answers: Record<string, number> = {}
  readonly #graves: Process[] = []
  /** What calls that were given up are still to do. */
  readonly #late: { readonly effect: () => Promise<unknown>; readonly begunMs: number }[] = []
  #lateEffects = 0
  #phase = 0
  readonly #kindIds = new Map<string, string>()
  /** Calls of the phase, by kind. */
  readonly #nthOfPhase = new Map<string, number>()
  #restarts = 0
  #isAsking = false
  #process: Process
  #worker: Isolate
  #answering: Place[] = []
  #places: FanOutStore
  #sender: ResignQueue
  /** How each certificate stood when its bundle was last known to be published. */
  readonly #settled = new Map<string, string>()

  constructor(world: World, plan: Plan, variant: ChaosVariant | undefined) {
    this.#world = world
    this.#seed = plan.seed
    this.#dice = new Random(plan.seed)
    this.#plan = new Map(plan.faults.map((one) => [placeOf(one), one.fault]))
    this.#variant = variant
    this.#isQueued = plan.queued
    this.#queue = new ChaosQueue(() => world.clock.nowMs())
    ;[this.#process, this.#worker, this.#places, this.#sender] = this.#start()
  }

  result() {
    return {
      calls: this.#calls,
      met: this.#met,
      restarts: this.#restarts,
      answers: this.#answers,
      lateEffects: this.#lateEffects,
    }
  }

  /** Nothing of it ever happens from now on. */
  end(): void {
    for (const process of [...this.#graves, this.#process]) process.bury(Number.POSITIVE_INFINITY)
    this.#late.length = 0
  }

  // What the processes are asked by their ports.

  nowMs(): number {
    return this.#world.clock.nowMs()
  }

  decide(role: Role, port: PortName, what: string): Fault | undefined {
    const made = { role, port, what: whatOf(port, what) }
    const kind = this.#kindId(made)
    const nth = this.#nthOfPhase.get(kind) ?? 0
    this.#nthOfPhase.set(kind, nth + 1)
    const site = { phase: this.#phase, kind, nth, ...made }
    this.#calls.push(site)
    if (role === 'pipeline') this.#world.clock.advance(CALL_MS)
    const planned = this.#plan.get(placeOf(site))
    if (planned === undefined) return undefined
    const fault = fits(planned, port) ? planned : 'kb'
    this.#met.push({ fault, ...site })
    this.#world.say(`${FAULTS[fault]}: ${placeOf(site)}, ${role}, ${port} ${site.what}`)
    if (fault === 'tw') this.#settled.clear() // what stood there before is gone
    return fault
  }

  #kindId(call: Pick<Call, 'role' | 'port' | 'what'>): string {
    const name = kindOf(call)
    const known = this.#kindIds.get(name) ?? kindId(call)
    this.#kindIds.set(name, known)
    return known
  }

  async meanwhile(role: Role): Promise<void> {
    if (role === 'answer' || this.#isAsking || !this.#dice.chance(ASKED_MEANWHILE)) return
    await this.#ask()
  }

  later(effect: () => Promise<unknown>): void {
    this.#late.push({ effect, begunMs: this.nowMs() })
  }

  // The script.

  async live({ name, operations }: Phase, index: number): Promise<void> {
    const { clock } = this.#world
    this.#world.say(`-- ${name}`)
    this.#phase = index
    this.#nthOfPhase.clear()
    // Whatever happened in the phases before: this one begins the same, up to its first fault.
    this.#dice = new Random((this.#seed << 4) ^ index)
    this.#dice.uint32()
    for (const cache of this.#world.caches) cache.clear()
    this.#graves.push(this.#process)
    ;[this.#process, this.#worker, this.#places, this.#sender] = this.#start()
    // The cron's runs in between had nothing to do; the last one is left of them.
    clock.moveTo(EPOCH + 600 + index * PHASE_SECONDS - 30)
    await publish(this.#world.isolate(0, {}).publisher)
    await this.#minute()
    for (const operation of operations) {
      await this.#operate(operation)
      clock.advance(this.#dice.between(1_000, 20_000))
      await this.#askSome(3)
      await this.#haunt(0.5)
    }
    await this.#settle()
  }

  /** Until it is acknowledged. */
  async #operate({ name, run }: Operation): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const outcome = await this.#invoke(() => run(this.#worker, this.#world))
      this.#world.say(`${name}: ${outcome}`)
      if (outcome === 'done') return
      await this.#askSome(2)
      this.#world.clock.advance(this.#dice.between(2_000, 20_000))
      await this.#haunt(0.3)
    }
    this.#world.accuse(`${name} was never acknowledged`)
  }

  /** @returns how it ended for whoever called it */
  async #invoke(work: () => Promise<unknown>): Promise<string> {
    this.#process.begunMs = this.nowMs()
    const end = work().then(
      () => 'done',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    const outcome = await Promise.race([end, this.#process.death])
    await quiet()
    if (this.#process.isDead) await this.#restart()
    return outcome
  }

  async #restart(): Promise<void> {
    this.#restarts += 1
    this.#graves.push(this.#process)
    ;[this.#process, this.#worker, this.#places, this.#sender] = this.#start()
    await this.#askSome(4)
    await this.#askWithoutRecord(2)
  }

  #start(): [Process, Isolate, FanOutStore, ResignQueue] {
    const process = new Process(this)
    const special = { timeoutMs: 600_000 } // of real time, of which nothing here takes any
    const change = (isolate: Isolate) => this.#variant?.change?.(isolate, this.#world) ?? isolate
    this.#answering = this.#world.caches.map((_, colo) => ({
      ...change(this.#world.isolate(colo, process.hook('answer'), special)),
      colo,
      actor: new Actor(() => 'go'),
      seen: new Map(),
      fragile: false,
    }))
    const hook = process.hook('pipeline')
    const places = new D1FanOutStore(new InterferedDatabase(this.#world.record, hook), special)
    const sender: ResignQueue = {
      sendBatch: (batch) =>
        hook.around?.('queue', 'send', () => this.#queue.sendBatch(batch)) ?? this.#queue.sendBatch(batch),
    }
    const worker = change(this.#world.isolate(0, hook, special))
    return [process, worker, this.#variant?.places?.(places) ?? places, sender]
  }

  /** A minute later the cron runs, once. */
  async #minute(): Promise<void> {
    const { clock } = this.#world
    clock.advance(60_000 - (clock.nowMs() % 60_000))
    const outcome = await this.#invoke(() => this.#cron(this.#worker))
    if (outcome !== 'done') this.#world.say(`cron: ${outcome}`)
    await this.#consume()
    await this.#askSome(2)
    await this.#askWithoutRecord(2)
  }

  /** What waits in the queue is delivered: lost, twice, to somebody who dies of it, or as it should be. */
  async #consume(): Promise<void> {
    for (let left = this.#queue.size + 3; left > 0; left -= 1) {
      const message = this.#queue.next(this.#dice)
      if (message === undefined) return
      const fault = this.decide('pipeline', 'queue', 'deliver')
      if (fault === 'ml') {
        this.#queue.lose(message)
        continue
      }
      if (fault === 'md') this.#queue.duplicate(message)
      else if (fault !== undefined) {
        this.#queue.giveBack(message)
        if (!isKill(fault)) continue
        this.#process.kill()
        await this.#restart()
        continue
      }
      const ports = { ...this.#worker.presign, fanOut: this.#places }
      const outcome = await this.#invoke(() => this.#queue.deliver(message, ports))
      if (outcome === 'done') continue
      this.#world.say(`${message.id}: ${outcome}`)
      this.#queue.giveBack(message)
    }
  }

  #cron({
    publisher,
    presign: ports,
    overlayStore,
    directory,
    derived,
    recovery,
    segmenting,
    slots,
    admin,
  }: Isolate): Promise<void> {
    const { clock } = this.#world
    const presignHere = () => presign(ports, { all: false, budget: 200 })
    const plan = () =>
      fanOut(
        {
          slots,
          fanOut: this.#places,
          queue: this.#sender,
          clock,
          log: SILENT,
          leaseName: () => `plan:${this.#dice.uint32()}`,
          presign: presignHere,
        },
        { maxPlanned: 10_000, maxMessage: MESSAGE_SIGNATURES },
      )
    const scheduled = {
      segments: () => tendSegments(segmenting, SMALL_SEGMENTS),
      publish: () => publish(publisher),
      presign: this.#isQueued ? plan : presignHere,
      isFannedOut: this.#isQueued,
      canaries: async () => undefined,
      pageIssuers: () => pageIssuers({ directory, derived, clock }, SOON_QUIET),
      issuerPages: () =>
        repairIssuerPages({
          recovery,
          status: ports.status,
          derived,
          clock,
          encodePage: encodeIssuerPage,
          decodePage: decodeIssuerPage,
        }),
      overlay: overlayStore,
      slots: {
        startGrowth: (now: number) => slots.startGrowth(now, MAX_SLOT_ENTRIES),
        finishGrowth: () => slots.finishGrowth(),
        pruneCertificates: (now: number, limit: number) => slots.pruneCertificates(now, limit),
      },
      runs: admin,
      clock,
      log: SILENT,
    }
    return runScheduled(scheduled)
  }

  /** Until nothing is owed and whatever died is buried; then the bundles alone have to do. */
  async #settle(): Promise<void> {
    for (let minute = 0; minute < MAX_MINUTES; minute += 1) {
      await this.#haunt(0.5)
      await this.#minute()
      if (minute >= 2 && this.#owed().length === 0 && this.#haunted + this.#queue.size === 0) break
    }
    const owed = this.#owed()
    if (owed.length > 0) this.#world.accuse(`owed after ${MAX_MINUTES} minutes: ${owed.join('; ')}`)
    await this.#askWithoutRecord(Number.POSITIVE_INFINITY)
  }

  /** Slots that are leased still, or whose bundle is behind; issuers in between two eras, or unpublished. */
  #owed(): string[] {
    const rows = this.#world.record.rows(`
      SELECT i.id, i.k, i.k_next, i.published < i.seq AS unpublished, s.k AS era, s.slot, s.lease_until,
        s.again, s.added, s.changed_seq > s.built_seq AS behind, s.failures, s.last_error
      FROM slots s JOIN issuers i ON i.id = s.issuer
      WHERE s.lease_until > ${this.#world.clock.seconds} OR s.again > 0 OR s.changed_seq > s.built_seq OR s.added > 0 OR i.k_next IS NOT NULL
        OR s.k <> i.k OR i.published < i.seq OR s.entries + s.added > ${MAX_SLOT_ENTRIES}`)
    return rows.map((row) => JSON.stringify(row))
  }

  // What is dead, and not quite.

  get #haunted(): number {
    return this.#graves.reduce((sum, { danglingCount }) => sum + danglingCount, 0) + this.#late.length
  }

  async #haunt(share: number): Promise<void> {
    const dice = this.#dice
    const limit = this.nowMs() - WALL_LIMIT_MS
    for (const process of this.#graves) {
      process.bury(limit)
      if (process.danglingCount === 0 || !dice.chance(share)) continue
      const strides = dice.pick([0, 1, 2, 4, 1_000])
      this.#world.say(`a zombie walks on for ${strides + 1} calls`)
      process.revive((count) => dice.between(0, count - 1), strides)
      this.#lateEffects += 1
      await quiet()
    }
    for (const one of this.#late.splice(0)) {
      if (one.begunMs < limit) continue
      if (!dice.chance(share)) {
        this.#late.push(one)
        continue
      }
      this.#world.say('a call that was given up takes effect')
      this.#lateEffects += 1
      await one.effect().catch(() => undefined)
    }
  }

  // The clients.

  async #askSome(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      await this.#ask()
      if (this.#process.isDead) await this.#restart()
    }
  }

  async #ask(): Promise<void> {
    const dice = this.#dice
    const all = [...this.#world.histories.values()]
    if (all.length === 0) return
    const lately = all.filter(({ revisions }) => revisions.length > 1)
    const history = dice.pick(lately.length > 0 && dice.chance(0.5) ? lately : all)
    const asked = { hash: dice.pick(HASHES), byGET: dice.chance(0.5), withNonce: dice.chance(0.1) }
    this.#isAsking = true
    try {
      await this.#askAbout(history, dice.pick(this.#answering), asked)
    } finally {
      this.#isAsking = false
    }
  }

  /** One question. A client whose connection breaks asks again, whoever answers then. */
  async #askAbout(
    history: CertificateHistory,
    place: Place,
    asked: { readonly hash: HashAlgorithm; readonly byGET: boolean; readonly withNonce: boolean },
    isSecond = false,
  ): Promise<void> {
    const world = this.#world
    const process = this.#process
    const before = this.#met.length
    const nonce = asked.withNonce ? this.#dice.octets(16) : undefined
    const question: Question = {
      issuer: world.issuerOf(history),
      asked: [{ history, hash: asked.hash }],
      nonce,
    }
    const der = requestOf(question, world.requests)
    const request = asked.byGET
      ? new Request(`http://ocsp.test/${encodeURIComponent(Buffer.from(der).toString('base64'))}`)
      : new Request('http://ocsp.test/', { method: 'POST', body: bufferSource(der) })
    const given = await Promise.race([exchange(world, place, request), process.death])
    await quiet()
    if (given === 'dead') return
    const { response, der: body = new Uint8Array() } = given
    const name = given.answer?.responseStatus ?? `HTTP ${response.status}`
    this.#answers[name] = (this.#answers[name] ?? 0) + 1
    const problem =
      (await judgeOctets(question, body, {
        bounds: world.bounds,
        nowMs: this.nowMs(),
        verify: this.#dice.chance(0.2),
        seen: place.seen,
      })) ?? headerProblem(response, body, this.nowMs())
    const faults = this.#met.slice(before)
    const about = `${asked.hash} of ${history.key}${asked.withNonce ? ' with a nonce' : ''}`
    if (problem !== undefined) world.accuse(`${problem}: ${about}`, history)
    if (name !== 'tryLater' && name !== 'internalError') return
    if (history.status === 'reserved') return // nothing is said of it until it is issued (R1.42)
    const needsRecord = asked.hash === 'SHA-384' || !this.#isSettled(history)
    if (!isExcused(name, faults, needsRecord))
      world.accuse(`${name} for ${about}, though ${reason(faults)}: ${faultOf(given.answer)}`, history)
    if (!isSecond && !this.#process.isDead) await this.#askAbout(history, place, asked, true)
  }

  /** Its bundle was published after its last change, and has to do without anything else. */
  #isSettled(history: CertificateHistory): boolean {
    return this.#settled.get(history.key) === this.#standing(history)
  }

  /** A compromise of the CA takes back what was signed before, also where it says the same. */
  #standing(history: CertificateHistory): string {
    return `${history.revisions.length} ${this.#world.issuerOf(history).compromises.length}`
  }

  /** A place that just started and cannot reach the record answers what stood in bundles when all was well. */
  async #askWithoutRecord(count: number): Promise<void> {
    const world = this.#world
    const nowMs = this.nowMs()
    const mayLearn = count === Number.POSITIVE_INFINITY
    const known = [...world.histories.values()].filter(
      (history) =>
        history.status !== undefined &&
        history.status !== 'reserved' &&
        history.prunedMs === undefined &&
        (mayLearn || this.#isSettled(history)),
    )
    const chosen =
      mayLearn || known.length <= count ? known : Array.from({ length: count }, () => this.#dice.pick(known))
    const before = (port: PortName) => {
      if (port === 'd1' || port === 'signer') throw new Error(`${port} is away`)
    }
    const place: Place = {
      ...world.isolate(1, { before }),
      colo: 1,
      actor: new Actor(() => 'go'),
      seen: new Map(),
      fragile: false,
    }
    for (const history of chosen) {
      const answer = await world.ask(place, history, this.#dice.pick(['SHA-1', 'SHA-256']))
      const owed = history.revisions.length - 1
      if (answer.responseStatus !== 'successful')
        world.accuse(
          `${history.key} is not answered from its bundle: ${answer.responseStatus} (law 3)`,
          history,
        )
      else if (
        mayLearn &&
        newestRevision(history, answer, nowMs) < owed &&
        history.oldestAllowed(nowMs) === owed
      )
        world.accuse(`${history.key}: an older revision after all has settled (law 3)`, history)
      if (mayLearn) this.#settled.set(history.key, this.#standing(history))
    }
    await quiet()
  }
}

function headerProblem(response: Response, body: Uint8Array, nowMs: number): string | undefined {
  const keeping = judgeHeaders(response, body, nowMs)
  return typeof keeping === 'string' ? keeping : undefined
}

/**
 * Only what is at fault at that very moment excuses that there is no answer: a certificate that no bundle is known to have
 * needs the record, and the signer too. KV and cache excuse nothing.
 */
function isExcused(
  name: 'tryLater' | 'internalError',
  faults: readonly Met[],
  needsRecord: boolean,
): boolean {
  const ports = faults.filter(({ fault }) => !isKill(fault)).map(({ port }) => port)
  if (ports.length > 1) return true
  const [port] = ports
  return needsRecord && (port === 'd1' || (port === 'signer' && name === 'internalError'))
}

function faultOf(answer: Answer | undefined): string {
  return answer !== undefined && 'error' in answer ? String(answer.error) : ''
}

function reason(faults: readonly Met[]): string {
  return faults.length === 0
    ? 'nothing failed'
    : `only this failed: ${faults.map(({ port, what }) => `${port} ${what}`).join(', ')}`
}

/** The same name for all calls of one place in the code: key without its numbers, statement without its end. */
function whatOf(port: PortName, what: string): string {
  switch (port) {
    case 'd1':
      return what.replaceAll(/\s+/g, ' ').trim().slice(0, 90)
    case 'signer':
      return what
    case 'cache.match':
    case 'cache.put':
      return new URL(what).pathname.split('/')[1] ?? ''
    case 'queue':
      return what
    default:
      return what.replaceAll(/\d+/g, 'n').split('/').slice(0, 2).join('/')
  }
}
