/** A seeded life of a world: what operators, cron, weather and clients do, in random order, judged at every step. */

import { publish } from '../../src/overlay/publisher.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import { EPOCH } from './clock.ts'
import { type Place, World, type WorldOptions } from './world.ts'
import type { CertificateHistory } from './world-history.ts'
import type { Isolate } from './world-isolate.ts'
import { newestRevision } from './world-judge.ts'
import { quiet } from './world-quiet.ts'
import type { WorldIssuer } from './world-setup.ts'

export interface LifeOptions extends WorldOptions {
  /** Steps of up to a minute each. */
  readonly steps: number
  /** Share of port calls at which jobs stop. */
  readonly pauseShare?: number
  /** Questions after each step. */
  readonly asks?: number
  /**
   * What is stopped ends after the wall limit of an invocation (15 minutes), so that what is owed at the end can be checked:
   * slots rebuilt, everything answered without record and key. Otherwise it may come back hours later.
   */
  readonly mortal?: boolean
}

const CERTIFICATES = 10
const NEVER_ISSUED = 3
/** Longer than any lag of KV: a restored database is noticed by the root that the publisher then reads. */
const BACKUP_AGE_MS = 3_000_000
const WALL_LIMIT_MS = 900_000

interface Backup {
  readonly atMs: number
  readonly restore: () => void
}

/** Lives it. @throws when a law was broken, with the seed. @returns the world, for counts */
export async function live(options: LifeOptions): Promise<World> {
  const world = await World.create(options)
  try {
    await new Life(world).run(options)
  } finally {
    world.close()
  }
  return world
}

class Life {
  readonly #world: World
  #serials = 0
  #cronDeadUntilMs = 0
  #nextCronMs = 0
  #backups: Backup[] = []
  #mortal = false
  /** After a restore, until the lost changes are replayed and the issuers thawed. */
  #restored = false

  constructor(world: World) {
    this.#world = world
  }

  async run(options: LifeOptions): Promise<void> {
    const world = this.#world
    const { random, weather } = world
    this.#mortal = options.mortal ?? false
    await this.#begin()
    const stormy = random.chance(0.6)
    weather.failShare = stormy ? 0.01 : 0
    weather.pauseShare = options.pauseShare ?? 0.005
    for (let step = 0; step < options.steps; step += 1) {
      world.clock.advance(random.between(1, 60_000))
      await this.#cron()
      await this.#happen()
      await this.#ask(options.asks ?? 8)
      world.checkWorld()
    }
    if (options.mortal === true) await this.#settle()
  }

  async #begin(): Promise<void> {
    const world = this.#world
    const place = this.#place()
    for (const issuer of world.issuers) {
      const rows = Array.from({ length: CERTIFICATES }, () => this.#certificate())
      if (issuer.unknown === 'good') for (const { serial } of rows) world.history(issuer, serial)
      else await world.add(place, issuer, rows)
      for (let i = 0; i < NEVER_ISSUED; i += 1) world.history(issuer, this.#certificate().serial)
      world.clock.advance(2_000)
    }
    await world.presign(place, { all: true })
  }

  #certificate(): NewCertificate {
    const { random, clock } = this.#world
    this.#serials += 1
    const serial = Uint8Array.of(0x11, ...random.octets(6), this.#serials)
    const soon = random.chance(0.15)
    return {
      serial,
      status: 'good',
      notBefore: EPOCH - 86_400,
      notAfter: soon ? clock.seconds + random.between(600, 9_000) : EPOCH + 90 * 86_400,
    }
  }

  #place(): Place {
    const free = this.#world.places.filter(({ actor }) => !actor.isPaused)
    return this.#world.random.pick(free.length > 0 ? free : [this.#world.makePlace(0)])
  }

  async #cron(): Promise<void> {
    const world = this.#world
    const nowMs = world.clock.nowMs()
    if (nowMs < this.#nextCronMs || nowMs < this.#cronDeadUntilMs) return
    this.#nextCronMs = nowMs + 60_000
    await world.begin('cron', world.random.between(0, world.caches.length - 1), (place) => world.cron(place))
    if (this.#restored) world.kv.settle('o/root')
  }

  async #happen(): Promise<void> {
    const world = this.#world
    const { random, weather, clock } = world
    const nowMs = clock.nowMs()
    const dice = random.between(0, 99)
    if (dice < 16) await this.#changeStatus()
    else if (dice < 20) await this.#issue()
    else if (dice < 24)
      await this.#operate('presign', (place) => world.presign(place, { all: random.chance(0.5), budget: 30 }))
    else if (dice < 26) await this.#operate('publish', (place) => world.publish(place))
    else if (dice < 34) await this.#jobs()
    else if (dice < 38) world.restart(random.between(0, world.places.length - 1))
    else if (dice < 41) random.pick(world.caches).evict(random)
    else if (dice < 43) {
      this.#cronDeadUntilMs = nowMs + random.between(60, 2_000) * 1000
      world.say('cron dies')
    } else if (dice < 44) weather.recordAwayUntilMs = nowMs + random.between(10, 600) * 1000
    else if (dice < 45) weather.kvAwayUntilMs = nowMs + random.between(10, 600) * 1000
    else if (dice < 47) this.#backups.push({ atMs: nowMs, restore: world.record.backup() })
    else if (dice < 49) await this.#restore()
    else if (dice < 55 && this.#restored) await this.#recover()
    if (world.jobs.length > 6) world.jobs.shift() // never comes back
  }

  async #operate(name: string, work: (place: Isolate) => Promise<unknown>): Promise<void> {
    await this.#world.begin(name, this.#world.random.between(0, this.#world.caches.length - 1), work)
  }

  async #jobs(): Promise<void> {
    const { random, jobs, clock } = this.#world
    if (this.#mortal) this.#bury(clock.nowMs() - WALL_LIMIT_MS)
    if (jobs.length > 0) await this.#world.goOn(random.pick(jobs), random.chance(0.2))
  }

  /** Invocations that have run for too long are ended by the platform. */
  #bury(begunBeforeMs: number): void {
    const { jobs } = this.#world
    const alive = jobs.filter(({ begunMs }) => begunMs >= begunBeforeMs)
    jobs.splice(0, jobs.length, ...alive)
  }

  #anyCertificate(): { issuer: WorldIssuer; history: CertificateHistory } {
    const world = this.#world
    const issuer = world.random.pick(world.issuers)
    const own = [...world.histories.values()].filter(({ issuer: id }) => id === issuer.record.id)
    return { issuer, history: world.random.pick(own) }
  }

  async #changeStatus(): Promise<void> {
    if (this.#restored) return // first the lost changes are replayed
    const world = this.#world
    const { random, clock } = world
    const { issuer, history } = this.#anyCertificate()
    const current = history.revisions.at(-1)?.certStatus
    if (history.recordedMs === undefined) {
      if (issuer.unknown !== 'good') return
      const row: NewCertificate = { serial: history.serial, status: 'revoked', reason: 1 }
      await this.#operate('add revoked', (place) => world.add(place, issuer, [row]))
      return
    }
    const held = current?.type === 'revoked' && current.revocationReason === 6
    if (current?.type === 'revoked' && !held && random.chance(0.8)) return
    const to = held
      ? random.pick(['released', 'revoked'] as const)
      : random.pick(['revoked', 'hold', 'revoked'] as const)
    const change: StatusChange =
      to === 'revoked'
        ? {
            to,
            reason: random.pick([1, 4, 5]),
            ...(random.chance(0.3) ? { revocationTime: clock.seconds - 86_400 } : {}),
          }
        : { to }
    if (random.chance(0.5))
      await world.change(this.#place(), history, change).catch(() => undefined) // by an isolate that also answers
    else await this.#operate('change', (place) => world.change(place, history, change))
  }

  async #issue(): Promise<void> {
    if (this.#restored) return
    const issuer = this.#world.random.pick(this.#world.issuers)
    if (issuer.unknown === 'good') return
    const rows = Array.from({ length: this.#world.random.between(1, 3) }, () => this.#certificate())
    await this.#operate('issue', (place) => this.#world.add(place, issuer, rows))
  }

  /** The operator restores a backup, and publishes before anything is changed, as the runbook says. */
  async #restore(): Promise<void> {
    const world = this.#world
    const old = this.#backups.findLast(({ atMs }) => atMs < world.clock.nowMs() - BACKUP_AGE_MS)
    if (old === undefined || this.#restored) return
    // The last changes are published, and seen where the publisher runs: what KV still keeps back cannot be missed.
    await this.#calm(() => publish(this.#freshPlace().publisher))
    world.kv.settle('o/root')
    world.replaying = true
    world.say(`restored to ${old.atMs / 1000 - EPOCH}`)
    old.restore()
    this.#restored = true
    this.#backups = []
    world.jobs.length = 0 // what was under way does not survive the restore
    world.clock.advance(2_000)
    await this.#calm(() => publish(this.#freshPlace().publisher))
    world.kv.settle('o/root')
  }

  async #recover(): Promise<void> {
    const world = this.#world
    world.say('lost changes are replayed')
    await this.#calm(async () => {
      const place = this.#freshPlace()
      for (const history of world.histories.values()) await this.#replay(place, history)
      world.replaying = false
      world.clock.advance(1_000)
      for (const { record } of world.issuers) await place.admin.thaw(record.id, world.clock.nowMs())
      world.clock.advance(2_000)
      await publish(place.publisher)
    })
    this.#restored = false
  }

  async #replay(place: Isolate, history: CertificateHistory): Promise<void> {
    const world = this.#world
    if (history.recordedMs === undefined) return
    const nowMs = world.clock.nowMs()
    const truth = history.revisions.at(-1)?.certStatus
    const row = await place.admin.readCertificate(history.issuer, history.serial)
    if (row === undefined && history.prunedMs !== undefined) return
    if (row === undefined) {
      const base = { serial: history.serial, notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
      const status = truth?.type === 'revoked' ? (truth.revocationReason === 6 ? 'hold' : 'revoked') : 'good'
      const times =
        truth?.type === 'revoked'
          ? {
              revocationTime: truth.revocationTime,
              ...(status === 'revoked' ? { reason: truth.revocationReason ?? 0 } : {}),
            }
          : {}
      await place.admin.addCertificates(history.issuer, [{ ...base, status, ...times }], nowMs)
      return
    }
    const change: StatusChange | undefined =
      truth?.type === 'revoked'
        ? truth.revocationReason === 6
          ? { to: 'hold', revocationTime: truth.revocationTime }
          : { to: 'revoked', revocationTime: truth.revocationTime, reason: truth.revocationReason ?? 0 }
        : row.status === 'hold'
          ? { to: 'released' }
          : undefined
    if (change === undefined && row.status === 'good' && history.revisions.length > 2) {
      // held and released since the backup
      await place.admin.changeStatus(history.issuer, history.serial, { to: 'hold' }, nowMs)
      await place.admin.changeStatus(history.issuer, history.serial, { to: 'released' }, nowMs)
    }
    if (change !== undefined) await place.admin.changeStatus(history.issuer, history.serial, change, nowMs)
  }

  #freshPlace(): Place {
    return this.#world.makePlace(this.#world.random.between(0, this.#world.caches.length - 1))
  }

  /** Without weather. */
  async #calm(work: () => Promise<unknown>): Promise<void> {
    const { weather } = this.#world
    const { failShare, pauseShare } = weather
    Object.assign(weather, { failShare: 0, pauseShare: 0, recordAwayUntilMs: 0, kvAwayUntilMs: 0 })
    await work()
    Object.assign(weather, { failShare, pauseShare })
  }

  async #ask(count: number): Promise<void> {
    const world = this.#world
    const { random } = world
    const all = [...world.histories.values()]
    const changed = all.filter(
      ({ revisions, recordedMs }) => recordedMs !== undefined && revisions.length > 1,
    )
    for (let i = 0; i < count; i += 1) {
      const history = random.pick(changed.length > 0 && random.chance(0.7) ? changed : all)
      const place = this.#place()
      const hash: HashAlgorithm = random.pick(['SHA-1', 'SHA-256', 'SHA-256', 'SHA-384'])
      const nonce = random.chance(0.15) ? random.octets(16) : undefined
      const verify = random.chance(0.1)
      place.fragile = random.chance(0.1)
      const work = world.ask(place, history, hash, nonce, verify)
      const done = await place.actor.run(work)
      place.fragile = false
      await quiet()
      if (!done) {
        world.say(`a question about ${history.key} stopped`)
        world.jobs.push({ name: 'question', actor: place.actor, work, begunMs: world.clock.nowMs() })
      }
    }
  }

  /** Whatever happened: once all is well again, every slot is rebuilt, and stored answers need neither record nor key. */
  async #settle(): Promise<void> {
    const world = this.#world
    await this.#calm(async () => {
      this.#bury(world.clock.nowMs() - WALL_LIMIT_MS)
      for (const job of [...world.jobs]) await world.goOn(job)
      world.checkWorld()
      if (this.#restored) await this.#recover()
      for (let minute = 0; minute < 25; minute += 1) {
        world.clock.advance(60_000)
        const place = this.#freshPlace()
        await world.cron(place)
        if (minute >= 21) await world.presign(place, { all: true })
      }
      await checkSettled(world)
    })
  }
}

/**
 * What is owed once all is well again: every recorded certificate is answered from its bundle at its newest revision, with the
 * record and its keys away.
 * @throws when a law was broken
 */
export async function checkSettled(world: World): Promise<void> {
  world.kv.settle()
  const nowMs = world.clock.nowMs()
  world.weather.recordAwayUntilMs = Number.POSITIVE_INFINITY
  for (let colo = 0; colo < world.caches.length; colo += 1) {
    const place = world.makePlace(colo)
    for (const history of world.histories.values()) {
      if (history.recordedMs === undefined || history.prunedMs !== undefined) continue
      const answer = await world.ask(place, history, 'SHA-1')
      if (answer.responseStatus !== 'successful')
        world.violations.push(
          `${history.key} is not answered from its bundle: ${answer.responseStatus} (law 3)`,
        )
      const owed = history.revisions.length - 1
      const given = newestRevision(history, answer, nowMs)
      if (given < owed && history.oldestAllowed(nowMs) === owed)
        world.violations.push(`${history.key}: revision ${given} of ${owed} after all has settled (law 3)`)
    }
  }
  world.checkWorld()
}
