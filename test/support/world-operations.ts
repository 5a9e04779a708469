/** The steps of a random interleaving: what operators, cron, platform, weather and clients do. One entry each. */
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import { EPOCH, type Random } from './clock.ts'
import type { Job, Place, World } from './world.ts'
import type { Client } from './world-client.ts'
import type { CertificateHistory } from './world-history.ts'
import type { Isolate } from './world-isolate.ts'
import type { AskedCertificate } from './world-judge.ts'
import { quiet } from './world-quiet.ts'
import { rollOver } from './world-responders.ts'
import { RETAIN_SECONDS, type WorldIssuer } from './world-setup.ts'

/** Every choice of a step comes from its own dice: leaving another one out changes none of them. */
export interface Operation {
  /** How often, beside the others. */
  readonly weight: number
  /** @returns what came of it, to be counted */
  run(run: Interleaving, dice: Random): Promise<string> | string
}

export class Interleaving {
  readonly world: World
  readonly clients: readonly Client[]
  /** The certificates that the last steps were about: asked about more than others. */
  readonly lately: CertificateHistory[] = []
  /** Share of questions that may be stopped on their way. */
  readonly fragileShare: number
  #serials = 0

  constructor(world: World, clients: readonly Client[], fragileShare: number) {
    this.world = world
    this.clients = clients
    this.fragileShare = fragileShare
  }

  /** Somewhere, by an invocation of its own that can be stopped; a job that has stopped is not done. */
  async operate(name: string, dice: Random, work: (place: Isolate) => Promise<unknown>): Promise<string> {
    const { world } = this
    // Just where rows, positions and leases come apart, more often than chance would have it.
    if (world.weather.pauseShare > 0 && dice.chance(0.3))
      world.stopAt = {
        port: 'd1',
        phase: dice.pick(['before', 'after'] as const),
        what: dice.pick(TURNING_POINTS),
      }
    let failed = false
    const job: Job = await world.begin(name, dice.between(0, world.caches.length - 1), async (place) => {
      try {
        await work(place)
      } catch (error) {
        failed = true
        throw error
      }
    })
    world.stopAt = undefined
    return world.jobs.includes(job) ? 'stopped' : failed ? 'failed' : 'done'
  }

  /** One that answers and is not stopped. */
  place(dice: Random): Place {
    const free = this.world.places.filter(({ actor }) => !actor.isPaused)
    return free.length > 0 ? dice.pick(free) : this.world.makePlace(0)
  }

  about(history: CertificateHistory): void {
    this.lately.push(history)
    if (this.lately.length > 3) this.lately.shift()
  }

  newCertificate(dice: Random): NewCertificate {
    this.#serials += 1
    const notAfter = dice.chance(0.2)
      ? this.world.clock.seconds + dice.between(600, 9_000)
      : EPOCH + 90 * 86_400
    const serial = Uint8Array.of(0x12, ...dice.octets(6), this.#serials)
    return { serial, status: 'good', notBefore: EPOCH - 86_400, notAfter }
  }

  /** Changes one that is `from`, or (a tenth of the time) any other: what is refused must stay refused. */
  async change(dice: Random, from: readonly string[], change: StatusChange): Promise<string> {
    const { world } = this
    const recorded = [...world.histories.values()].filter(({ status }) => status !== undefined)
    const fitting = recorded.filter(({ status = '' }) => from.includes(status))
    const history = dice.pick(fitting.length > 0 && !dice.chance(0.1) ? fitting : recorded)
    this.about(history)
    let outcome = ''
    const work = async (place: Isolate) => {
      const result = await world.change(place, history, change)
      outcome = typeof result.outcome === 'string' ? result.outcome : 'refused'
      if (result.outcome === 'changed' && history.statusAt(result.revision) !== change.to)
        world.accuse(`${change.to} ${history.key} was acknowledged and is not recorded (law 4)`, history)
    }
    const done = dice.chance(0.5)
      ? await this.operate(change.to, dice, work)
      : await work(this.place(dice)).then(
          () => 'done', // by an isolate that also answers
          () => 'failed',
        )
    return outcome === '' ? done : outcome
  }

  /** One question of one client. */
  async ask(client: Client, dice: Random, about?: CertificateHistory): Promise<void> {
    const { world } = this
    const all = [...world.histories.values()]
    const first =
      about ?? (this.lately.length > 0 && dice.chance(0.5) ? dice.pick(this.lately) : dice.pick(all))
    const asked: AskedCertificate[] = [{ history: first, hash: dice.pick(HASHES) }]
    if (dice.chance(0.08)) {
      const own = all.filter(({ issuer, key }) => issuer === first.issuer && key !== first.key)
      for (let more = dice.between(1, 2); more > 0 && own.length > 0; more -= 1)
        asked.push({ history: dice.pick(own), hash: dice.pick(HASHES) })
    }
    const place = this.place(dice)
    place.fragile = dice.chance(this.fragileShare)
    const work = client.ask(place, asked, dice)
    const done = await place.actor.run(work)
    place.fragile = false
    await quiet()
    if (done) return void (await work)
    world.say(`a question of ${client.name} about ${first.key} stopped`)
    world.jobs.push({ name: 'question', actor: place.actor, work, begunMs: world.clock.nowMs() })
  }
}

/** The last one is in no bundle. */
const HASHES: readonly HashAlgorithm[] = [
  ...Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? ('SHA-1' as const) : ('SHA-256' as const))),
  'SHA-384',
]
/** Reasons of RFC 5280 that a subscriber's certificate may have. */
const REASONS = [1, 3, 4, 5, 9]

/** Statements after or before which somebody else's change matters most. */
const ROWS_OF_A_SLOT = /SELECT seq, floor/
const TURNING_POINTS = [
  ...[ROWS_OF_A_SLOT, ROWS_OF_A_SLOT, ROWS_OF_A_SLOT],
  ...[/UPDATE slots/, /published/, /FROM changes/],
]

/** How far a step may look ahead for something that ends. */
const HORIZON_SECONDS = 4 * 3_600

export const OPERATIONS = {
  issue: {
    weight: 9,
    async run(run, dice) {
      const { world } = run
      const issuer = dice.pick(world.issuers.filter(({ unknown }) => unknown !== 'good'))
      const never = [...unrecorded(world, issuer), ...reserved(world, issuer)]
      const fresh = Array.from({ length: dice.between(1, 2) }, () => run.newCertificate(dice))
      // Also one that was asked about when it was not issued.
      const rows =
        never.length > 0 && dice.chance(0.4)
          ? [{ ...run.newCertificate(dice), serial: dice.pick(never).serial }]
          : fresh
      for (const { serial } of rows) run.about(world.history(issuer, serial))
      return run.operate('issue', dice, (place) => world.add(place, issuer, rows))
    },
  },
  revoke: {
    weight: 14,
    async run(run, dice) {
      const { world } = run
      const issuer = dice.pick(world.issuers)
      const never = unrecorded(world, issuer)
      if (never.length > 0 && dice.chance(issuer.unknown === 'good' ? 0.6 : 0.1)) {
        const history = dice.pick(never)
        run.about(history)
        const row: NewCertificate = { serial: history.serial, status: 'revoked', reason: dice.pick(REASONS) }
        return run.operate('record a revoked one', dice, (place) => world.add(place, issuer, [row]))
      }
      const past = dice.chance(0.3) ? { revocationTime: world.clock.seconds - dice.between(1, 86_400) } : {}
      const change: StatusChange = { to: 'revoked', reason: dice.pick(REASONS), ...past }
      return run.change(dice, ['good', 'hold', 'released'], change)
    },
  },
  hold: { weight: 8, run: (run, dice) => run.change(dice, ['good', 'released'], { to: 'hold' }) },
  release: { weight: 8, run: (run, dice) => run.change(dice, ['hold'], { to: 'released' }) },
  reserve: {
    weight: 4,
    run(run, dice) {
      const { world } = run
      const issuer = dice.pick(world.issuers.filter(({ unknown }) => unknown !== 'good'))
      const row = run.newCertificate(dice)
      const never = unrecorded(world, issuer)
      const { serial } = never.length > 0 && dice.chance(0.5) ? dice.pick(never) : row
      run.about(world.history(issuer, serial))
      return run.operate('reserve', dice, (place) =>
        world.add(place, issuer, [{ serial, status: 'reserved' as const }]),
      )
    },
  },
  overtake: {
    weight: 6,
    async run(run, dice) {
      const { world } = run
      const phase = dice.pick(['before', 'after'] as const)
      world.stopAt = { port: 'd1', phase, what: ROWS_OF_A_SLOT }
      const all = { all: true, budget: 30 }
      const builder = await world.begin('presign', 0, (place) => world.presign(place, all))
      world.stopAt = undefined
      if (!world.jobs.includes(builder)) return 'nothing was built'
      const revoked: StatusChange = { to: 'revoked', reason: dice.pick(REASONS) }
      const change = await run.change(dice, ['good', 'released'], dice.chance(0.7) ? revoked : { to: 'hold' })
      await world.goOn(builder)
      return `a builder is overtaken: ${change}`
    },
  },
  'roll over': { weight: 5, run: (run, dice) => rollOver(run, dice) },
  compromise: {
    weight: 2,
    run(run, dice) {
      const { world } = run
      const issuer = dice.pick(world.issuers)
      const { nowMs, at } = { nowMs: world.clock.nowMs(), at: world.clock.seconds - dice.between(0, 3_600) }
      return run.operate('compromise', dice, (place) =>
        world.configure(place, issuer, () => place.admin.compromiseIssuer(issuer.record.id, at, nowMs)),
      )
    },
  },
  finalize: {
    weight: 2,
    run(run, dice) {
      const { world } = run
      const issuer = dice.pick(world.issuers)
      return run.operate('finalize', dice, (place) =>
        world.configure(place, issuer, () =>
          place.admin.finalizeIssuer(issuer.record.id, world.clock.nowMs()),
        ),
      )
    },
  },
  presign: {
    weight: 7,
    run(run, dice) {
      const all = dice.chance(0.5)
      return run.operate('presign', dice, (place) => run.world.presign(place, { all, budget: 30 }))
    },
  },
  publish: {
    weight: 7,
    run: (run, dice) => run.operate('publish', dice, (place) => run.world.publish(place)),
  },
  cron: { weight: 10, run: (run, dice) => run.operate('cron', dice, (place) => run.world.cron(place)) },
  expire: { weight: 8, run: (run, dice) => expire(run, dice) },
  restart: {
    weight: 7,
    run({ world }, dice) {
      const index = dice.between(0, world.places.length - 1)
      const colo = world.places[index]?.colo
      const whole = dice.chance(0.3)
      world.places.forEach((place, at) => {
        if (at === index || (whole && place.colo === colo)) world.restart(at)
      })
      return whole ? 'a data centre' : 'an isolate'
    },
  },
  query: {
    weight: 8,
    async run(run, dice) {
      const about = run.lately.at(-1)
      for (const client of run.clients) {
        await run.ask(client, dice)
        await run.ask(client, dice, about)
      }
      return 'by every client'
    },
  },
  'go on': {
    weight: 9,
    async run({ world }, dice) {
      if (world.jobs.length === 0) return 'nothing had stopped'
      const fails = dice.chance(0.2)
      await world.goOn(dice.pick(world.jobs), fails)
      return fails ? 'with an error' : 'where it was'
    },
  },
  lose: {
    weight: 3,
    run({ world }, dice) {
      const cache = dice.pick(world.caches)
      if (dice.chance(0.3)) cache.clear()
      else cache.evict(dice)
      return 'a cached copy'
    },
  },
  weather: {
    weight: 5,
    run({ world: { weather, clock } }, dice) {
      const until = clock.nowMs() + dice.between(10, 600) * 1_000
      const what = dice.pick(['record away', 'KV away', 'calls fail', 'clear'] as const)
      if (what === 'record away') weather.recordAwayUntilMs = until
      if (what === 'KV away') weather.kvAwayUntilMs = until
      weather.failShare = what === 'calls fail' ? 0.05 : 0
      if (what === 'clear') Object.assign(weather, { recordAwayUntilMs: 0, kvAwayUntilMs: 0 })
      return what
    },
  },
} as const satisfies Readonly<Record<string, Operation>>

export type OperationName = keyof typeof OPERATIONS

export function isOperationName(name: unknown): name is OperationName {
  return typeof name === 'string' && Object.hasOwn(OPERATIONS, name)
}

function reserved({ histories }: World, issuer: WorldIssuer): CertificateHistory[] {
  return [...histories.values()].filter(
    ({ issuer: id, status }) => id === issuer.record.id && status === 'reserved',
  )
}

function unrecorded({ histories }: World, issuer: WorldIssuer): CertificateHistory[] {
  return [...histories.values()].filter(
    ({ issuer: id, status }) => id === issuer.record.id && status === undefined,
  )
}

/** Time passes to just about where something ends: an answer, a certificate, an entry of the overlay, the propagation bound. */
async function expire(run: Interleaving, dice: Random): Promise<string> {
  const { world } = run
  const { record, clock, bounds } = world
  const column = (sql: string) => record.rows(sql).map(({ t }) => Number(t))
  const kinds = {
    answer: () => run.clients.flatMap(({ ends }) => ends),
    certificate: () =>
      column('SELECT not_after AS t FROM certificates').flatMap((t) => [t, t + RETAIN_SECONDS]),
    'overlay entry': () => column('SELECT keep_until AS t FROM changes'),
    bound: () =>
      run.lately.flatMap(({ revisions }) => ((revisions.at(-1)?.committedMs ?? 0) + bounds.boundMs) / 1000),
  }
  const kind = dice.pick(['answer', 'answer', 'certificate', 'overlay entry', 'bound'] as const)
  const moment = dice.fraction()
  const near = dice.between(-2_000, 2_000)
  const ahead = kinds[kind]().filter((t) => t > clock.seconds + 2 && t < clock.seconds + HORIZON_SECONDS)
  const chosen = ahead[Math.floor(moment * ahead.length)]
  if (chosen === undefined) return 'nothing ends soon'
  clock.advance(Math.max(0, Math.round(chosen * 1000) + near - clock.nowMs()))
  const name = `${kind} ends`
  if (kind === 'certificate')
    await run.operate('prune', dice, (place) => place.slots.pruneCertificates(clock.seconds, 100))
  if (kind === 'overlay entry')
    await run.operate('prune', dice, (place) => place.overlayStore.pruneOverlay(clock.seconds))
  return name
}
