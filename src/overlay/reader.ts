/**
 * The overlay as one isolate sees it. A root is never replaced by an older one. A root older than the propagation bound,
 * absent or corrupt is unreadable: the isolate then builds one from D1, at most every 30 s. If that fails too there is no
 * way to know what changed, and nothing is answered (tryLater).
 */
import { StorageError } from '../ports/errors.ts'
import type { Clock, DerivedStore, OverlayStore } from '../ports/ports.ts'
import type { OverlayIssuer, OverlaySnapshot } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import { frozenView } from './frozen.ts'
import type { RootIssuer } from './root.ts'
import { OverlayRoot } from './root.ts'
import { encodeRoot } from './root-encoder.ts'
import { type OverlayPages, OverlayView } from './view.ts'

/** A root is looked for again after this long. */
const REFRESH_MS = 30_000
/** From here on a request waits for the refresh instead of leaving it to the background. */
const WAIT_MS = 60_000
/** Least distance of two attempts to read the overlay from D1. */
const RECORD_RETRY_MS = 30_000
/** Clocks of publishers may be ahead of ours by this much. */
const SKEW_MS = 60_000

export interface OverlayReaderPorts {
  readonly derived: Pick<DerivedStore, 'readRoot'>
  readonly overlay: Pick<OverlayStore, 'readOverlay'>
  /** What roots name, for whoever looks through them. */
  readonly pages: OverlayPages
  readonly clock: Clock
  readonly random: () => number
  /** Keeps a promise alive after the answer has left (ctx.waitUntil). */
  readonly background: (work: Promise<unknown>) => void
}

export class OverlayReader {
  readonly #ports: OverlayReaderPorts
  readonly #boundMs: number
  readonly #flights: SingleFlight<void>
  #view: OverlayView | undefined
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #recordTriedAtMs = Number.NEGATIVE_INFINITY

  /** @param boundMs the propagation bound B: how old a root may be and still be believed */
  constructor(ports: OverlayReaderPorts, boundMs: number) {
    this.#ports = ports
    this.#boundMs = boundMs
    this.#flights = new SingleFlight(ports.background)
  }

  /** The newest root if it can be used at once; undefined when `refresh` must be awaited first. */
  fresh(nowMs: number): OverlayView | undefined {
    const view = this.#view
    if (view === undefined || !this.#readable(view.root, nowMs)) return undefined
    const age = nowMs - this.#checkedAtMs
    if (age >= WAIT_MS) return undefined
    if (age >= REFRESH_MS) this.#ports.background(this.refresh().catch(() => undefined)) // the next request will see it
    return view
  }

  /** @throws StorageError.overlayUnreadable */
  async refresh(): Promise<OverlayView> {
    await this.#flights.run('root', () => this.#load())
    const nowMs = this.#ports.clock.nowMs()
    if (this.#view === undefined || !this.#readable(this.#view.root, nowMs))
      throw new StorageError('overlayUnreadable', 'no overlay root is readable, neither from KV nor from D1')
    return this.#view
  }

  /** What is known now, readable or not: for the check after a signature, which must not wait. */
  get latest(): OverlayView | undefined {
    return this.#view
  }

  async #load(): Promise<void> {
    const bytes = await this.#ports.derived.readRoot().catch(() => null)
    if (bytes !== null) this.adopt(bytes)
    const nowMs = this.#ports.clock.nowMs()
    if (this.#view === undefined || !this.#readable(this.#view.root, nowMs)) await this.#loadFromRecord(nowMs)
    else this.#checkedAtMs = nowMs
  }

  async #loadFromRecord(nowMs: number): Promise<void> {
    if (nowMs - this.#recordTriedAtMs < RECORD_RETRY_MS) return
    this.#recordTriedAtMs = nowMs
    try {
      const last = this.#view?.root
      const { snapshot, behind } = await this.#readRecord(last)
      const frozen = snapshot.issuers.filter((issuer) => behind || isBehind(issuer, last?.issuer(issuer.id)))
      const position = Math.max(snapshot.position, last?.position ?? 0)
      const version = Math.max(nowMs, (last?.version ?? 0) + 1)
      const ids = new Set(frozen.map(({ id }) => id))
      // What we hold is older than the bound, or we would not be here: it cannot vouch for what was lost.
      const view = frozenView(snapshot, ids, last, nowMs, () => false)
      this.adopt(
        encodeRoot({ ...view.snapshot, position }, version, nowMs, this.#ports.random(), ids, view.carried),
      )
      this.#checkedAtMs = nowMs
    } catch {
      // refresh() says that nothing is readable; the next attempt is RECORD_RETRY_MS away
    }
  }

  /** All issuers where the record does not say of itself that it was restored, and we know: each is to be marked. */
  async #readRecord(last: OverlayRoot | undefined): Promise<{ snapshot: OverlaySnapshot; behind: boolean }> {
    const { overlay } = this.#ports
    const snapshot = await overlay.readOverlay()
    const behind = snapshot.position < (last?.position ?? 0)
    return behind || leavesOutFrozen(snapshot, last)
      ? { snapshot: await overlay.readOverlay({ all: true }), behind }
      : { snapshot, behind }
  }

  /** Takes over a root unless it is corrupt or older than the one held: also what this isolate has just published. */
  adopt(bytes: Uint8Array): void {
    try {
      const root = OverlayRoot.open(bytes)
      const held = this.#view?.root
      // A publisher that was overtaken may put a root that knows less under a higher version.
      if (held === undefined || (root.version > held.version && root.position >= held.position))
        this.#view = new OverlayView(root, this.#ports.pages)
    } catch {
      // a corrupt value is no root: what we have stays, and its age decides
    }
  }

  #readable(root: OverlayRoot, nowMs: number): boolean {
    const age = nowMs - root.timeMs
    return age <= this.#boundMs && age >= -SKEW_MS
  }
}

/** Whether the record has lost changes of an issuer. What was found out once stands until a thaw, which raises the floor. */
function isBehind(record: OverlayIssuer, held: RootIssuer | undefined): boolean {
  if (record.frozen || held === undefined) return record.frozen
  return held.head > record.head || (held.frozen && record.floor <= held.floor)
}

/** Whether an issuer that we found restored stands among those that have not changed for long. */
function leavesOutFrozen({ issuers }: OverlaySnapshot, last: OverlayRoot | undefined): boolean {
  const frozen = [...(last?.issuers ?? [])].filter((issuer) => issuer.frozen)
  if (frozen.length === 0) return false
  const named = new Set(issuers.map(({ id }) => id))
  return frozen.some(({ id }) => !named.has(id))
}
