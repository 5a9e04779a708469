/** The script carried out by processes that die: what is not acknowledged is repeated, the cron comes once a minute, clients never stop asking. */

import type { ResignQueue } from '../../src/jobs/fan-out.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { FanOutStore } from '../../src/ports/fan-out-store.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { EPOCH, Random } from '../support/clock.ts'
import { Actor, InterferedDatabase, type PortName } from '../support/faults.ts'
import type { Place, World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { quiet } from '../support/world-quiet.ts'
import { ChaosClients } from './clients.ts'
import { cronOf } from './cron.ts'
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
import { MAX_SLOT_ENTRIES, type Operation, PHASE_SECONDS, type Phase, sign } from './script.ts'
import type { ChaosVariant } from './variants.ts'

/** The platform ends an invocation after this long (a cron run; others sooner). */
const WALL_LIMIT_MS = 900_000
const ATTEMPTS = 40
/** Of a phase, until nothing is owed any more. */
const MAX_MINUTES = 44
const SIGN_ALL_MINUTE = 38
/** What a port call of the pipeline takes. */
const CALL_MS = 7
const ASKED_MEANWHILE = 0.12

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
  readonly #clients: ChaosClients
  readonly #graves: Process[] = []
  /** What calls that were given up are still to do. */
  readonly #late: { readonly effect: () => Promise<unknown>; readonly begunMs: number }[] = []
  #lateEffects = 0
  #phase = 0
  readonly #kindIds = new Map<string, string>()
  /** Calls of the phase, by kind. */
  readonly #nthOfPhase = new Map<string, number>()
  #restarts = 0
  #process: Process
  #worker: Isolate
  #answering: Place[] = []
  #places: FanOutStore
  #sender: ResignQueue

  constructor(world: World, plan: Plan, variant: ChaosVariant | undefined) {
    this.#world = world
    this.#seed = plan.seed
    this.#dice = new Random(plan.seed)
    this.#plan = new Map(plan.faults.map((one) => [placeOf(one), one.fault]))
    this.#variant = variant
    this.#isQueued = plan.queued
    this.#queue = new ChaosQueue(() => world.clock.nowMs())
    this.#clients = new ChaosClients(world, {
      met: this.#met,
      process: () => this.#process,
      places: () => this.#answering,
    })
    ;[this.#process, this.#worker, this.#places, this.#sender] = this.#start()
  }

  result() {
    return {
      calls: this.#calls,
      met: this.#met,
      restarts: this.#restarts,
      answers: this.#clients.answers,
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
    if (role === 'pipeline' && !this.#clients.isAsking) this.#world.clock.advance(CALL_MS)
    const planned = this.#plan.get(placeOf(site))
    if (planned === undefined) return undefined
    const fault = fits(planned, port) ? planned : 'kb'
    this.#met.push({ fault, ...site })
    this.#world.say(`${FAULTS[fault]}: ${placeOf(site)}, ${role}, ${port} ${site.what}`)
    if (fault === 'tw') this.#clients.forget() // what stood there before is gone
    return fault
  }

  #kindId(call: Pick<Call, 'role' | 'port' | 'what'>): string {
    const name = kindOf(call)
    const known = this.#kindIds.get(name) ?? kindId(call)
    this.#kindIds.set(name, known)
    return known
  }

  async meanwhile(role: Role): Promise<void> {
    if (role === 'answer' || this.#clients.isAsking || !this.#dice.chance(ASKED_MEANWHILE)) return
    await this.#clients.ask(this.#dice)
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
    await this.#clients.askWithoutRecord(this.#dice, 2)
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

  /** A minute later the cron runs, once. @returns whether it came to its end */
  async #minute(): Promise<boolean> {
    const { clock } = this.#world
    clock.advance(60_000 - (clock.nowMs() % 60_000))
    const outcome = await this.#invoke(() => this.#cron())
    if (outcome !== 'done') this.#world.say(`cron: ${outcome}`)
    await this.#consume()
    await this.#askSome(2)
    await this.#clients.askWithoutRecord(this.#dice, 2)
    return outcome === 'done'
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
      const ports = { ...this.#worker.presign, fanOut: this.#places, runs: this.#worker.admin }
      const outcome = await this.#invoke(() => this.#queue.deliver(message, ports))
      if (outcome === 'done') continue
      this.#world.say(`${message.id}: ${outcome}`)
      this.#queue.giveBack(message)
    }
  }

  #cron(): Promise<void> {
    const overQueue = {
      places: this.#places,
      queue: this.#sender,
      leaseName: () => `plan:${this.#dice.uint32()}`,
    }
    return cronOf(this.#worker, this.#world.clock, this.#isQueued ? overQueue : undefined)
  }

  /** Until nothing is owed and whatever died is buried; then the bundles alone have to do. */
  async #settle(): Promise<void> {
    for (let minute = 0; minute < MAX_MINUTES; minute += 1) {
      await this.#haunt(0.5)
      const isWell = await this.#minute()
      // New certificates may wait for days, and whoever was killed may have built their slot without them.
      if (minute === SIGN_ALL_MINUTE) await this.#operate(sign())
      if (isWell && minute >= 2 && this.#owed().length === 0 && this.#haunted + this.#queue.size === 0) break
    }
    const owed = this.#owed()
    if (owed.length > 0) this.#world.accuse(`owed after ${MAX_MINUTES} minutes: ${owed.join('; ')}`)
    await this.#clients.askWithoutRecord(this.#dice, Number.POSITIVE_INFINITY)
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

  async #askSome(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      await this.#clients.ask(this.#dice)
      if (this.#process.isDead) await this.#restart()
    }
  }
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
