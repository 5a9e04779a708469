/**
 * What becomes of the rows of certificates that are past their retention: written over by new ones (certificate-recycling.ts), or
 * pruned when nobody took them for two weeks. Whether a new one finds a row depends on the gaps that others have left, for which
 * there is no formula; so a stretch of the table is walked through months. Chance comes from a fixed seed.
 */
import { BULK_ROWS } from '../../src/storage/certificate-plan.ts'
import { DIGITS, NEIGHBOURS } from '../../src/storage/certificate-recycling.ts'
import { SPARE_ONE_IN } from '../../src/storage/prune.ts'
import { SPARE_SECONDS } from '../../src/storage/retention.ts'
import { WALKED_ROWS } from './figures.ts'
import { generator } from './slot-walk.ts'

const DAY = 86_400
/** Rows of the stretch, and certificates that are recorded in it at most. */
const STRETCH_ROWS = 20_000
const MAX_RECORDED = 60_000

export interface RecyclingLife {
  /** Certificates within their retention, of all issuers. */
  readonly certs: number
  readonly issuers: number
  readonly recordedPerDay: number
  /** Whose retention ends. */
  readonly endedPerDay: number
  /** Recorded by one call. */
  readonly batch: number
  readonly cronSeconds: number
  readonly settleDays: number
  readonly days: number
}

export interface Recycling {
  /** A day. */
  readonly recycled: number
  readonly pruned: number
  /** Rows looked at for them a day, and new certificates that looked. */
  readonly lookedAt: number
  readonly looking: number
  /** Past their retention and still there, on average. */
  readonly spare: number
}

export function walkRecycling(life: RecyclingLife): Recycling {
  const { certs, recordedPerDay, endedPerDay, batch, cronSeconds } = life
  /** Until the walk of pruning comes by again. */
  const periodDays = (certs / WALKED_ROWS) * (cronSeconds / DAY)
  if (batch < BULK_ROWS || recordedPerDay === 0)
    return {
      recycled: 0,
      pruned: endedPerDay,
      lookedAt: 0,
      looking: 0,
      spare: (endedPerDay * periodDays) / 2,
    }
  return new Stretch(life, periodDays).walk()
}

interface Spare {
  /** In rows from the beginning of the stretch. */
  readonly at: number
  /** When pruning comes by after two weeks, in days. */
  readonly until: number
}

class Stretch {
  readonly #life: RecyclingLife
  readonly #periodDays: number
  readonly #random = generator(0xca5cade)
  readonly #rows: number
  /** Certificates that one row of the stretch stands for. */
  readonly #scale: number
  /** In order. */
  #spare: Spare[] = []
  #firstUntil = Number.POSITIVE_INFINITY

  constructor(life: RecyclingLife, periodDays: number) {
    this.#life = life
    this.#periodDays = periodDays
    this.#rows = Math.min(life.certs, STRETCH_ROWS)
    this.#scale = life.certs / this.#rows
  }

  walk(): Recycling {
    const { recordedPerDay, endedPerDay, days, settleDays } = this.#life
    const batch = Math.max(1, Math.round(this.#life.batch / this.#scale))
    const step = (batch * this.#scale) / recordedPerDay
    // Three weeks are behind the oldest that is left: what was longer ago has no say.
    const most = (MAX_RECORDED / batch) * step
    const settle = Math.min(settleDays, most / 2)
    const counted = Math.min(days, most / 2)
    const sums = { recycled: 0, pruned: 0, lookedAt: 0, looking: 0, spare: 0 }
    let [ended, steps] = [0, 0]
    for (let time = step; time < settle + counted; time += step) {
      for (; ended + 1 <= (endedPerDay / this.#scale) * time; ended += 1) this.#end(time)
      const { found, lookedAt, looking } = this.#record(batch)
      const pruned = this.#prune(time)
      if (time < settle) continue
      steps += 1
      sums.recycled += found
      sums.lookedAt += lookedAt
      sums.looking += looking
      sums.pruned += pruned
      sums.spare += this.#spare.length
    }
    const perDay = (sum: number) => (sum * this.#scale) / (steps * step)
    return {
      recycled: perDay(sums.recycled),
      pruned: perDay(sums.pruned),
      lookedAt: perDay(sums.lookedAt),
      looking: perDay(sums.looking),
      spare: (sums.spare / steps) * this.#scale,
    }
  }

  #end(time: number): void {
    const at = this.#random() * this.#rows
    const until = time + SPARE_SECONDS / DAY + this.#random() * this.#periodDays
    this.#spare.splice(this.#firstFrom(at), 0, { at, until })
    this.#firstUntil = Math.min(this.#firstUntil, until)
  }

  /** Certificates of one call: all look before any is written, and of those that find the same row one takes it. */
  #record(batch: number): { found: number; lookedAt: number; looking: number } {
    if (this.#spare.length * SPARE_ONE_IN < this.#rows) return { found: 0, lookedAt: 0, looking: 0 }
    const { issuers, certs } = this.#life
    const digit = Math.min(this.#rows, certs / issuers / DIGITS)
    // Those that are spare are rows too.
    const crowding = 1 + this.#spare.length / this.#rows
    const taken = new Set<number>()
    let lookedAt = 0
    for (let n = 0; n < batch; n += 1) {
      const at = this.#random() * this.#rows
      const end = Math.min(at + NEIGHBOURS / crowding, (Math.floor(at / digit) + 1) * digit)
      const place = this.#firstFrom(at)
      const next = this.#spare[place]
      const isFound = next !== undefined && next.at < end
      if (isFound) taken.add(place)
      lookedAt += ((isFound ? next.at : end) - at) * crowding + (isFound ? 1 : 0)
    }
    for (const place of [...taken].sort((a, b) => b - a)) this.#spare.splice(place, 1)
    return { found: taken.size, lookedAt, looking: batch }
  }

  #prune(time: number): number {
    if (time < this.#firstUntil) return 0
    const before = this.#spare.length
    this.#spare = this.#spare.filter(({ until }) => until > time)
    this.#firstUntil = this.#spare.reduce(
      (first, { until }) => Math.min(first, until),
      Number.POSITIVE_INFINITY,
    )
    return before - this.#spare.length
  }

  /** Place of the first spare row at or after `at`. */
  #firstFrom(at: number): number {
    let [low, high] = [0, this.#spare.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#spare[middle]?.at ?? 0) < at) low = middle + 1
      else high = middle
    }
    return low
  }
}
