/**
 * The record, KV, publishers and cutters that stop anywhere, come back later or never: whatever they do, each root that is put
 * names every change that still matters, in its tail, in a segment whose values are there, or under a floor.
 */
import { serialHash } from '../../src/bundle/slot.ts'
import { type PublisherPorts, publish } from '../../src/overlay/publisher.ts'
import { OverlayRoot, type RootIssuer } from '../../src/overlay/root.ts'
import { firstHash, pageOf, SegmentPage, secondHash, segmentPageName } from '../../src/overlay/segment.ts'
import { type SegmentingPorts, type SegmentLimits, segmentTail } from '../../src/overlay/segmenting.ts'
import type { OverlayStore } from '../../src/ports/ports.ts'
import type { SegmentStore } from '../../src/ports/segment-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SegmentStore } from '../../src/storage/d1-segment-store.ts'
import { KVDerivedStore } from '../../src/storage/kv-derived-store.ts'
import { good, newIssuer, POLICY } from '../storage/fixtures.ts'
import { Random, VirtualClock } from './clock.ts'
import { LaggingKV } from './colo.ts'
import { Actor, InterferedDatabase, interferedKV } from './faults.ts'
import { SqliteD1 } from './sqlite-d1.ts'
import { quiet } from './world-quiet.ts'

/** Mistakes, each in the place of one port. */
export interface SegmentVariant {
  segmentStore?(inner: SegmentStore, db: SqliteD1): SegmentStore
  overlayStore?(inner: OverlayStore): OverlayStore
}

interface Change {
  readonly issuer: number
  readonly serial: Uint8Array
  readonly seq: number
  keepUntil: number
}

interface Ports {
  readonly segmenting: SegmentingPorts
  readonly publisher: PublisherPorts
}

interface Job {
  readonly actor: Actor
  readonly work: Promise<unknown>
}

const LIMITS: SegmentLimits = { tail: 4, massTail: 9, massLive: 22, segments: 3, filters: 2 }
const SERIALS = 60
const VALIDITY = 7_200
const BOUND_MS = 300_000
const HOUR_MS = 3_600_000

export class SegmentWorld {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly db: SqliteD1
  readonly kv: LaggingKV
  readonly admin: D1AdminStore
  readonly issuers: number[] = []
  readonly #variant: SegmentVariant
  /** The last change of each serial, as it truly was. */
  readonly #truth = new Map<string, Change>()
  #jobs: Job[] = []
  #backup: { restore: () => void } | undefined
  #stretched = 0
  /** What happened, by kind: a world in which nothing does proves nothing. */
  readonly counts = {
    roots: 0,
    items: 0,
    segments: 0,
    filters: 0,
    floors: 0,
    exact: 0,
    unread: 0,
    overdue: 0,
  }
  violation: string | undefined

  constructor(seed: number, variant: SegmentVariant = {}) {
    this.random = new Random(seed)
    this.random.uint32()
    this.#variant = variant
    this.db = new SqliteD1({ now: () => this.clock.nowMs() / 1000 })
    this.kv = new LaggingKV({ clock: this.clock, colos: 1, seed })
    this.kv.onPut = (key, bytes) => {
      if (key === 'o/root') this.#checkRoot(OverlayRoot.open(bytes))
    }
    this.admin = new D1AdminStore(this.db)
  }

  async begin(): Promise<void> {
    const policy = { ...POLICY, validitySeconds: VALIDITY }
    for (const name of ['one', 'two', 'three']) {
      const { id } = await this.admin.addIssuer(
        newIssuer({ name, ski: `${name.length}${name}`.replace(/[^0-9a-f]/g, 'a'), policy }),
        this.clock.nowMs(),
      )
      this.issuers.push(id)
      const k = 2 * (this.issuers.length - 1) // 1, 4 and 16 slots
      for (let slot = k === 0 ? 1 : 0; slot < 2 ** k; slot += 1)
        this.db.exec(`INSERT INTO slots (issuer, k, slot) VALUES (${id}, ${k}, ${slot})`)
      if (k > 0)
        this.db.exec(
          `UPDATE issuers SET k = ${k} WHERE id = ${id}; DELETE FROM slots WHERE issuer = ${id} AND k < ${k}`,
        )
      await this.admin.addCertificates(
        id,
        Array.from({ length: SERIALS }, (_, n) => good(n)),
        this.clock.nowMs(),
      )
    }
  }

  /** @throws when a root left something out */
  async step(): Promise<void> {
    const { random, clock } = this
    clock.advance(random.chance(0.03) ? random.between(1, 3) * HOUR_MS : random.between(1_000, 90_000))
    const dice = random.between(0, 99)
    if (dice < 34) await this.#toggle(random.pick(this.issuers), random.between(1, 3))
    else if (dice < 40) await this.#toggle(random.pick(this.issuers), random.between(8, 26))
    else if (dice < 60) await this.#begin((ports) => segmentTail(ports.segmenting, LIMITS))
    else if (dice < 74) await this.#begin((ports) => publish(ports.publisher))
    else if (dice < 88) await this.#goOn()
    else if (dice < 91) await this.#build()
    else if (dice < 94) await this.#begin(({ segmenting: { store } }) => this.#tidy(store))
    else if (dice < 96) await this.#stretch()
    else if (dice < 97) this.#backup = { restore: this.db.backup() }
    else if (dice < 98) await this.#restore()
    else this.#read()
    if (this.violation !== undefined) throw new Error(this.violation)
  }

  close(): void {
    this.db.close()
  }

  #ports(actor?: Actor): Ports {
    const { clock, db } = this
    const seen = actor === undefined ? db : new InterferedDatabase(db, actor)
    const kv = actor === undefined ? this.kv.view(0) : interferedKV(this.kv.view(0), actor)
    const random = () => this.random.uint32()
    const derived = new KVDerivedStore(kv, clock, { timeoutMs: 60_000 })
    const store = new D1SegmentStore(seen, { timeoutMs: 60_000 })
    const overlay = new D1OverlayStore(seen, { timeoutMs: 60_000 })
    return {
      segmenting: { store: this.#variant.segmentStore?.(store, db) ?? store, derived, clock, random },
      publisher: {
        overlay: this.#variant.overlayStore?.(overlay) ?? overlay,
        derived,
        clock,
        random,
        sleep: async (ms) => clock.advance(ms),
      },
    }
  }

  async #begin(work: (ports: Ports) => Promise<unknown>): Promise<void> {
    const pauses = this.random.chance(0.4)
    const actor = new Actor(() =>
      pauses && this.random.chance(0.12) ? 'pause' : this.random.chance(0.004) ? 'fail' : 'go',
    )
    const job = { actor, work: work(this.#ports(actor)).catch(() => undefined) }
    if (!(await actor.run(job.work))) this.#jobs.push(job)
    await quiet()
    if (this.#jobs.length > 4) this.#jobs.shift() // died
  }

  async #goOn(): Promise<void> {
    if (this.#jobs.length === 0) return
    const job = this.random.pick(this.#jobs)
    if (this.random.chance(0.2)) job.actor.expire()
    else job.actor.resume()
    if (await job.actor.run(job.work)) this.#jobs = this.#jobs.filter((one) => one !== job)
    await quiet()
  }

  async #toggle(issuer: number, count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      const { serial } = good(this.random.between(0, SERIALS - 1))
      const row = await this.admin.readCertificate(issuer, serial)
      const to = row?.status === 'hold' ? 'released' : 'hold'
      const result = await this.admin.changeStatus(issuer, serial, { to }, this.clock.nowMs())
      if (result.outcome !== 'changed') throw new Error(`not changed: ${JSON.stringify(result)}`)
      const { revision: seq, keepUntil } = result
      this.#truth.set(`${issuer}/${serial.join('.')}`, { issuer, serial, seq, keepUntil })
      this.clock.advance(this.random.between(0, 500))
    }
  }

  /** All slots are built, as if by the pipeline; some time ago for what follows. */
  async #build(): Promise<void> {
    const issuer = this.random.pick(this.issuers)
    this.db.exec(`UPDATE slots SET built_seq = (SELECT seq FROM issuers WHERE id = ${issuer}),
      built_at = ${this.clock.seconds}, entries = ${SERIALS}, added = 0
      WHERE issuer = ${issuer} AND (${this.random.between(0, 2)} = 0 OR slot % 3 <> ${this.random.between(0, 2)})`)
    this.clock.advance(400_000)
    await this.#begin(({ segmenting: { store } }) =>
      store.raiseFloors(this.clock.nowMs(), this.clock.seconds - 300),
    )
  }

  async #tidy(store: SegmentStore): Promise<void> {
    await this.#ports().publisher.overlay.pruneOverlay(this.clock.seconds)
    await store.raiseFloors(this.clock.nowMs(), 0) // nothing was built by then
  }

  async #stretch(): Promise<void> {
    this.#stretched += 1
    const validitySeconds = VALIDITY + this.#stretched * 5_400
    const issuer = this.random.pick(this.issuers)
    const known = await this.admin.findIssuer(`${issuer}`)
    if (known === undefined || known.policy.validitySeconds >= validitySeconds) return
    await this.admin.updateIssuer(issuer, { policy: { ...POLICY, validitySeconds } }, this.clock.nowMs())
    const until = this.clock.seconds + validitySeconds + 3_600
    const kept = new Set(
      this.db
        .rows('SELECT issuer, hex(serial) AS serial FROM changes')
        .map(({ issuer: of, serial }) => `${String(of)}/${Buffer.from(String(serial), 'hex').join('.')}`),
    )
    for (const [key, change] of this.#truth)
      if (change.issuer === issuer && kept.has(key)) change.keepUntil = Math.max(change.keepUntil, until)
  }

  /** The operator restores a backup, publishes, replays nothing and thaws: a floor stands for what was lost. */
  async #restore(): Promise<void> {
    const backup = this.#backup
    if (backup === undefined) return
    this.#backup = undefined
    await this.#publishAlone()
    if (this.random.chance(0.5)) this.#jobs = []
    backup.restore()
    this.clock.advance(2_000)
    await this.#publishAlone()
    for (let n = this.random.between(0, 2); n > 0; n -= 1) {
      this.clock.advance(60_000)
      await segmentTail(this.#ports().segmenting, LIMITS)
      await this.#publishAlone()
    }
    this.clock.advance(2_000)
    for (const issuer of this.issuers) await this.admin.thaw(issuer, this.clock.nowMs())
    for (const { serial } of Array.from({ length: SERIALS }, (_, n) => good(n)))
      for (const issuer of this.issuers) this.#truth.delete(`${issuer}/${serial.join('.')}`)
    await this.#publishAlone()
  }

  async #publishAlone(): Promise<void> {
    this.clock.advance(20_000) // leases of the dead
    await publish(this.#ports().publisher)
    await quiet()
  }

  /** The root that stands now, a while after it was put. */
  #read(): void {
    const bytes = this.kv.last('o/root')
    if (bytes === undefined) return
    this.#checkRoot(OverlayRoot.open(bytes))
  }

  #checkRoot(root: OverlayRoot): void {
    if (this.clock.nowMs() - root.timeMs > BOUND_MS) return // nobody believes it
    const now = Math.floor(root.timeMs / 1000)
    this.counts.roots += 1
    this.counts.items += root.itemCount
    this.counts.segments += root.segments.length
    this.counts.filters += root.segments.filter(({ kind }) => kind === 'filter').length
    this.counts.floors += root.floors.length
    for (const change of this.#truth.values()) {
      const at = root.issuer(change.issuer)
      if (at === undefined || change.seq > at.head || change.keepUntil <= now) continue
      const { need, unread } = this.#need(root, at, change.serial)
      if (unread !== undefined) this.counts.unread += 1
      if (need === change.seq) this.counts.exact += 1
      if (need >= change.seq && unread === undefined) continue
      this.violation = `issuer ${change.issuer} serial ${change.serial.join('.')}: ${
        unread === undefined ? `needs ${need}, not ${change.seq}` : `${unread} is named and not there`
      }`
    }
  }

  #need(root: OverlayRoot, at: RootIssuer, serial: Uint8Array): { need: number; unread: string | undefined } {
    let need = root.need(at, serial, serialHash(serial))
    for (const segment of root.segments) {
      if (segment.lastSeq <= need || (segment.issuer ?? at.id) !== at.id) continue
      const h1 = firstHash(segment, at.id, serial)
      const name = segmentPageName(segment.version, pageOf(segment.bits, h1))
      const bytes = this.kv.now(name)
      if (bytes === undefined) {
        // It was to be written anew and nobody has: a reader then asks the record, as for any value that it cannot get.
        if (segment.keepUntil !== undefined) return { need, unread: name }
        this.counts.overdue += 1
        need = Math.max(need, at.frozen ? segment.lastSeq : Math.min(segment.lastSeq, at.head))
        continue
      }
      const page = SegmentPage.open(bytes, name)
      need = Math.max(need, page.need(h1, secondHash(segment, at.id, serial), segment.lastSeq))
    }
    return { need, unread: undefined }
  }
}
