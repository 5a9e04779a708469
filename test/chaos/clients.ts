/** Clients that ask all the time, whatever dies: every answer is judged, and that there is one. */
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import type { Answer } from '../../src/responder/answer.ts'
import type { Random } from '../support/clock.ts'
import { Actor, type PortName } from '../support/faults.ts'
import type { Place, World } from '../support/world.ts'
import type { CertificateHistory } from '../support/world-history.ts'
import { exchange, judgeHeaders } from '../support/world-http.ts'
import { judgeOctets, newestRevision, type Question } from '../support/world-judge.ts'
import { quiet } from '../support/world-quiet.ts'
import { requestOf } from '../support/world-requests.ts'
import { isKill, type Met } from './plan.ts'
import type { Process } from './process.ts'

/** The last one is in no bundle. */
const HASHES: readonly HashAlgorithm[] = ['SHA-1', 'SHA-256', 'SHA-256', 'SHA-1', 'SHA-1', 'SHA-384']

interface Asked {
  readonly hash: HashAlgorithm
  readonly byGET: boolean
  readonly withNonce: boolean
  readonly nonce: Uint8Array
  readonly verify: boolean
}

/** Whom they ask. */
export interface Answering {
  /** Faults that were met so far. */
  readonly met: readonly Met[]
  process(): Process
  places(): readonly Place[]
}

export class ChaosClients {
  readonly #world: World
  readonly #answering: Answering
  /** How each certificate stood when its bundle was last known to be published. */
  readonly #settled = new Map<string, string>()
  readonly answers: Record<string, number> = {}
  isAsking = false

  constructor(world: World, answering: Answering) {
    this.#world = world
    this.#answering = answering
  }

  /** Bundles may be gone. */
  forget(): void {
    this.#settled.clear()
  }

  /** One question about any certificate, those that have changed more than others. */
  async ask(dice: Random): Promise<void> {
    const all = [...this.#world.histories.values()]
    if (all.length === 0) return
    const lately = all.filter(({ revisions }) => revisions.length > 1)
    const history = dice.pick(lately.length > 0 && dice.chance(0.5) ? lately : all)
    const asked: Asked = {
      hash: dice.pick(HASHES),
      byGET: dice.chance(0.5),
      withNonce: dice.chance(0.1),
      nonce: dice.octets(16),
      verify: dice.chance(0.2),
    }
    this.isAsking = true
    try {
      await this.#askAbout(history, dice.pick(this.#answering.places()), asked)
    } finally {
      this.isAsking = false
    }
  }

  /** One question; nobody hears what a process says that has died. */
  async #askAbout(history: CertificateHistory, place: Place, asked: Asked, isSecond = false): Promise<void> {
    const world = this.#world
    const process = this.#answering.process()
    const before = this.#answering.met.length
    const question: Question = {
      issuer: world.issuerOf(history),
      asked: [{ history, hash: asked.hash }],
      nonce: asked.withNonce ? asked.nonce : undefined,
    }
    const request = requestBy(asked.byGET, requestOf(question, world.requests))
    const given = await Promise.race([exchange(world, place, request), process.death])
    await quiet()
    if (given === 'dead') return
    const { response, der: body = new Uint8Array() } = given
    const name = given.answer?.responseStatus ?? `HTTP ${response.status}`
    this.answers[name] = (this.answers[name] ?? 0) + 1
    const nowMs = world.clock.nowMs()
    const options = { bounds: world.bounds, nowMs, verify: asked.verify, seen: place.seen }
    const problem = (await judgeOctets(question, body, options)) ?? headerProblem(response, body, nowMs)
    const about = `${asked.hash} of ${history.key}${asked.withNonce ? ' with a nonce' : ''}`
    if (problem !== undefined) world.accuse(`${problem}: ${about}`, history)
    if (name !== 'tryLater' && name !== 'internalError') return
    if (history.status === 'reserved') return // nothing is said of it until it is issued (R1.42)
    const faults = this.#answering.met.slice(before)
    const needsRecord = asked.hash === 'SHA-384' || asked.withNonce || !this.#isSettled(history)
    if (!isExcused(name, faults, needsRecord))
      world.accuse(`${name} for ${about}, though ${reason(faults)}: ${faultOf(given.answer)}`, history)
    if (!isSecond && !process.isDead) await this.#askAbout(history, place, asked, true)
  }

  /** Its bundle was published after its last change, and has to do without anything else. */
  #isSettled(history: CertificateHistory): boolean {
    return history.prunedMs === undefined && this.#settled.get(history.key) === this.#standing(history)
  }

  /** A compromise of the CA takes back what was signed before, also where it says the same. */
  #standing(history: CertificateHistory): string {
    return `${history.revisions.length} ${this.#world.issuerOf(history).compromises.length}`
  }

  /**
   * A place that just started and reaches neither record nor keys answers what stood in bundles when all was well.
   * @param count that many certificates of those known to stand there; infinity: all is well, so all have to
   */
  async askWithoutRecord(dice: Random, count: number): Promise<void> {
    const world = this.#world
    const nowMs = world.clock.nowMs()
    const isAllWell = count === Number.POSITIVE_INFINITY
    const known = [...world.histories.values()].filter(
      (history) =>
        history.status !== undefined &&
        history.status !== 'reserved' &&
        history.prunedMs === undefined &&
        (isAllWell || this.#isSettled(history)),
    )
    const chosen = known.length <= count ? known : Array.from({ length: count }, () => dice.pick(known))
    const place = this.#cutOff()
    for (const history of chosen) {
      const answer = await world.ask(place, history, dice.pick(['SHA-1', 'SHA-256']))
      const owed = history.revisions.length - 1
      const isBehind = newestRevision(history, answer, nowMs) < owed && history.oldestAllowed(nowMs) === owed
      if (answer.responseStatus !== 'successful')
        world.accuse(
          `${history.key} is not answered from its bundle: ${answer.responseStatus} (law 3)`,
          history,
        )
      else if (isAllWell && isBehind)
        world.accuse(`${history.key}: an older revision after all has settled (law 3)`, history)
      if (isAllWell) this.#settled.set(history.key, this.#standing(history))
    }
    await quiet()
  }

  #cutOff(): Place {
    const before = (port: PortName) => {
      if (port === 'd1' || port === 'signer') throw new Error(`${port} is away`)
    }
    const isolate = this.#world.isolate(1, { before })
    return { ...isolate, colo: 1, actor: new Actor(() => 'go'), seen: new Map(), fragile: false }
  }
}

function requestBy(byGET: boolean, der: Uint8Array): Request {
  return byGET
    ? new Request(`http://ocsp.test/${encodeURIComponent(Buffer.from(der).toString('base64'))}`)
    : new Request('http://ocsp.test/', { method: 'POST', body: bufferSource(der) })
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

function reason(faults: readonly Met[]): string {
  return faults.length === 0
    ? 'nothing failed'
    : `only this failed: ${faults.map(({ port, what }) => `${port} ${what}`).join(', ')}`
}

function faultOf(answer: Answer | undefined): string {
  return answer !== undefined && 'error' in answer ? String(answer.error) : ''
}
