/**
 * Re-signing over a queue that does what a queue may do: messages come twice, late, in any order, or never; whoever handles
 * one stops at any call and goes on when another has long taken over. Record, SQL and builders are the real ones. What must
 * hold is checked at every record of a build, and at the end.
 */
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import {
  type ConsumerPorts,
  handleDeadLetters,
  handleMessages,
  type QueueMessage,
} from '../../src/jobs/consumer.ts'
import { type FanOutOutcome, fanOut } from '../../src/jobs/fan-out.ts'
import type { FanOutStore } from '../../src/ports/fan-out-store.ts'
import type { LeasedSlot, SlotStore } from '../../src/ports/ports.ts'
import { presign } from '../../src/signing/presign.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import type { Database } from '../../src/storage/database.ts'
import { EPOCH } from '../support/clock.ts'
import { Actor, InterferedDatabase, type PortName } from '../support/faults.ts'
import { World } from '../support/world.ts'

/** A mistake in place of a store: the checker has to find it. */
export interface BrokenStores {
  readonly name: string
  slots?(inner: SlotStore, db: Database): SlotStore
  places?(inner: FanOutStore, db: Database): FanOutStore
}

interface Sent {
  readonly body: unknown
  attempts: number
}

/** At which call of which port somebody stops. */
export interface Stop {
  readonly port: PortName
  readonly after: number
}

/** `inner` with some of its methods replaced. */
export function replacing<T extends object>(inner: T, methods: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      const replaced: unknown = Reflect.get(methods, name)
      const value: unknown = replaced ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

export const CERTIFICATES = 12
/** So long that nothing is built for its age: what is owed must be owed for a reason. */
const VALIDITY = 7 * 86_400
const serial = (n: number) => Uint8Array.of(0x14, n >>> 8, n & 0xff)

export class QueueWorld {
  readonly world: World
  readonly queue: Sent[] = []
  readonly dead: Sent[] = []
  readonly violations: string[] = []
  readonly #stopped: { actor: Actor; work: Promise<unknown> }[] = []
  /** Who builds a slot, by its name, until when nobody else may. */
  readonly #holders = new Map<string, { lease: string; until: number }>()
  readonly #broken: BrokenStores | undefined
  /** The queue refuses whatever is sent. */
  isFull = false
  #plans = 0
  #revoked = new Set<number>()

  private constructor(world: World, broken: BrokenStores | undefined) {
    this.world = world
    this.#broken = broken
  }

  /** Goes on from `base`, until it is closed; one at a time. */
  static from(base: World, seed: number, broken?: BrokenStores): QueueWorld {
    return new QueueWorld(
      new World({ seed, from: base, maxLagSeconds: 0, colos: 1, validitySeconds: VALIDITY }),
      broken,
    )
  }

  /** One issuer, four slots, all built once. */
  static async base(seed: number): Promise<World> {
    const options = { seed, maxLagSeconds: 0, colos: 1, validitySeconds: VALIDITY }
    const world = await World.create(options, ['unauthorized'])
    const place = world.makePlace(0)
    const rows = Array.from({ length: CERTIFICATES }, (_, n) => ({
      serial: serial(n),
      status: 'good' as const,
      notBefore: EPOCH - 60,
      notAfter: EPOCH + 9e6,
    }))
    await world.add(place, world.issuer, rows)
    world.clock.advance(2_000)
    world.record.exec('UPDATE slots SET entries = 2000') // as a large issuer would grow
    await place.slots.startGrowth(world.clock.seconds, 1_000)
    world.clock.advance(1_000)
    await presign(place.presign, { all: true, budget: 1_000 })
    await place.slots.finishGrowth()
    world.clock.advance(1_000)
    return world
  }

  close(): void {
    this.world.close()
  }

  get slots(): Record<string, unknown>[] {
    return this.world.record.rows('SELECT * FROM slots ORDER BY k, slot')
  }

  /** The cron run. */
  async plan(stop?: Stop): Promise<FanOutOutcome | undefined> {
    const { actor, slots, places, isolate } = this.#isolate(stop)
    const work = fanOut(
      {
        slots,
        fanOut: places,
        queue: {
          sendBatch: async (batch) => {
            if (this.isFull) throw new Error('Queue is full')
            for (const { body } of batch) this.queue.push({ body: structuredClone(body), attempts: 0 })
          },
        },
        clock: this.world.clock,
        log: isolate.presign.log,
        leaseName: () => {
          this.#plans += 1
          return `plan:${this.#plans}`
        },
        presign: () => presign({ ...isolate.presign, slots }, { all: false, budget: 40 }),
      },
      // Two or three slots a message.
      { maxPlanned: 1_000, maxMessage: 12 },
    )
    return (await this.#run(actor, work)) ? await work.catch(() => undefined) : undefined
  }

  /** Somebody handles a message. @param keep the queue forgets that it was delivered: it will come again */
  async deliver(which: number, keep: boolean, stop?: Stop, slotsAtOnce = 2): Promise<void> {
    const sent = this.queue[which % Math.max(1, this.queue.length)]
    if (sent === undefined) return
    if (!keep) this.queue.splice(this.queue.indexOf(sent), 1)
    sent.attempts += 1
    const { actor, slots, places, isolate } = this.#isolate(stop)
    const ports: ConsumerPorts = { ...isolate.presign, slots, fanOut: places, runs: isolate.admin }
    const message: QueueMessage = {
      id: 'm',
      body: sent.body,
      attempts: sent.attempts,
      ack() {},
      retry: () => {
        ;(sent.attempts > 3 ? this.dead : this.queue).push(sent)
      },
    }
    await this.#run(actor, handleMessages(ports, [message], slotsAtOnce))
  }

  drop(which: number): void {
    if (this.queue.length > 0) this.queue.splice(which % this.queue.length, 1)
  }

  async handleDead(): Promise<void> {
    const { places, isolate } = this.#isolate()
    const messages = this.dead
      .splice(0)
      .map(({ body, attempts }) => ({ id: 'd', body, attempts, ack() {}, retry() {} }))
    await handleDeadLetters({ ...isolate.presign, fanOut: places }, messages)
  }

  /** Whoever stopped goes on from where they stood. */
  async resume(which: number): Promise<void> {
    const [one] = this.#stopped.splice(which % Math.max(1, this.#stopped.length), 1)
    if (one === undefined) return
    one.actor.resume()
    await one.actor.run(one.work)
    if (one.actor.isPaused) this.#stopped.push(one)
  }

  /** Whoever takes the first message stops, and comes back when another has had time to take over. */
  async overtaken(n: number, stop: Stop): Promise<void> {
    await this.revoke(n)
    await this.plan()
    await this.deliver(0, false, stop)
    this.pass(1_250)
    await this.revoke(n + 1)
    await this.plan()
    await this.deliver(0, true)
    await this.resume(0)
  }

  async revoke(n: number): Promise<void> {
    if (n >= CERTIFICATES || this.#revoked.has(n)) return
    this.#revoked.add(n)
    const place = this.world.makePlace(0)
    await place.admin.changeStatus(
      this.world.issuer.record.id,
      serial(n),
      { to: 'revoked', reason: 1 },
      this.world.clock.nowMs(),
    )
    this.world.clock.advance(1_000)
  }

  pass(seconds: number): void {
    this.world.clock.advance(seconds * 1_000)
  }

  /** @param comeBack whoever stopped goes on, or else is dead. The machine runs on in peace for more than the longest lease. */
  async settle(comeBack: boolean): Promise<void> {
    this.isFull = false
    if (!comeBack) this.#stopped.length = 0
    for (let left = 20; this.#stopped.length > 0 && left > 0; left -= 1) await this.resume(0)
    for (let round = 0; round < 4; round += 1) {
      await this.plan()
      while (this.queue.length > 0) await this.deliver(0, false)
      await this.handleDead()
      this.pass(1_250)
    }
  }

  /** What must be so in the end. */
  check(): readonly string[] {
    const found = [...this.violations]
    for (const slot of this.slots) {
      const name = `slot ${slot['slot']} of k = ${slot['k']}`
      if (Number(slot['changed_seq']) > Number(slot['built_seq'])) found.push(`${name} was never built`)
      if (slot['lease'] !== null) found.push(`${name} is still leased`)
      const bytes = this.world.kv.last(`b/${slot['issuer']}/${slot['k']}/${slot['slot']}`)
      if (bytes === undefined) found.push(`${name} has no bundle`)
      else if (Bundle.open(bytes).asOf < Number(slot['built_seq']))
        found.push(`${name}: an older bundle stays over a newer one`)
    }
    for (const n of this.#revoked) {
      const hash = serialHash(serial(n))
      const home = this.slots.find(({ slot, k }) => hash >>> (32 - Number(k)) === slot)
      const bytes = this.world.kv.last(`b/${home?.['issuer']}/${home?.['k']}/${home?.['slot']}`)
      const entry = bytes === undefined ? undefined : Bundle.open(bytes).find(serial(n), hash)
      if (entry?.certStatus.type !== 'revoked')
        found.push(`certificate ${n} is ${entry?.certStatus.type}, not revoked`)
    }
    return found
  }

  #isolate(stop?: Stop) {
    let calls = -1
    const actor = new Actor((port, phase) => {
      if (stop === undefined || phase !== 'before' || port !== stop.port) return 'go'
      calls += 1
      return calls === stop.after ? 'pause' : 'go'
    })
    const isolate = this.world.isolate(0, actor)
    const db = new InterferedDatabase(this.world.record, actor)
    const slots = this.#broken?.slots?.(isolate.slots, db) ?? isolate.slots
    const real = new D1FanOutStore(db)
    const places = this.#broken?.places?.(real, db) ?? real
    return { actor, isolate, slots: this.#watchedSlots(slots), places: this.#watchedPlaces(places) }
  }

  async #run(actor: Actor, work: Promise<unknown>): Promise<boolean> {
    const isDone = await actor.run(work)
    if (!isDone) this.#stopped.push({ actor, work })
    return isDone
  }

  #watchedSlots(inner: SlotStore): SlotStore {
    return replacing(inner, {
      lease: async (...args) => this.#held(await inner.lease(...args)),
      release: async (lease, error) => {
        await inner.release(lease, error)
        this.#free(lease)
      },
      record: async (lease, built) => {
        const recorded = await inner.record(lease, built)
        if (recorded && this.#holders.get(`${lease.k}/${lease.slot}`)?.lease !== lease.lease)
          this.violations.push(`slot ${lease.slot} was recorded by somebody who had lost the lease`)
        if (recorded) this.#free(lease)
        return recorded
      },
    })
  }

  #watchedPlaces(inner: FanOutStore): FanOutStore {
    return replacing(inner, { claim: async (...args) => this.#held(await inner.claim(...args)) })
  }

  #held(lease: LeasedSlot | undefined): LeasedSlot | undefined {
    if (lease === undefined) return undefined
    const name = `${lease.k}/${lease.slot}`
    const holder = this.#holders.get(name)
    if (holder !== undefined && holder.until > this.world.clock.seconds)
      this.violations.push(`slot ${lease.slot} has two builders at a time`)
    this.#holders.set(name, { lease: lease.lease, until: lease.since + 1_200 })
    return lease
  }

  #free(lease: LeasedSlot): void {
    const name = `${lease.k}/${lease.slot}`
    if (this.#holders.get(name)?.lease === lease.lease) this.#holders.delete(name)
  }
}
