/**
 * How often a slot is built, and how much is signed. There is no formula for it: new certificates, revocations and windows that
 * end each make a slot due, and every build clears what waited for the others. So some slots are walked through, event by event,
 * under the rules of the code. Chance comes from a fixed seed: the same question has the same answer.
 */
import { resignAt } from '../../src/responder/windows.ts'
import { EARLY_SHARE, MAX_KEPT_WINDOWS } from '../../src/signing/build-slot.ts'
import { ADDED_AGE_SECONDS, ADDED_LIMIT } from '../../src/storage/slot-rules.ts'
import { BACKDATE_SECONDS, BACKDATE_SHARE, COUNTED_IN, COUNTED_SINGLY, JITTER_SHARE } from './figures.ts'

const DAY = 86_400

export interface SlotLife {
  /** Certificates in a slot; as many end as are recorded. */
  readonly entries: number
  readonly addedPerDay: number
  readonly revokedPerDay: number
  readonly validitySeconds: number
  readonly cronSeconds: number
  /** Walked through first, from a slot that was signed all at once: its windows need months to reach their number. */
  readonly settleDays: number
  readonly days: number
  /** How many slots are walked. */
  readonly sample: number
}

/** Of one slot, a day. */
export interface SlotWork {
  readonly builds: number
  /** Times that its row is written because a certificate was recorded. */
  readonly marks: number
  /** Certificates signed, once for each hash. */
  readonly signed: number
  /** Certificates that wait for their first bundle, on average. */
  readonly waiting: number
  /** In a bundle as it is built. */
  readonly windows: number
}

interface Sums {
  builds: number
  marks: number
  signed: number
  /** Certificates times seconds. */
  waiting: number
  windows: number
}

export function walkSlots(life: SlotLife): SlotWork {
  const random = generator(0x5eed)
  const sums: Sums = { builds: 0, marks: 0, signed: 0, waiting: 0, windows: 0 }
  for (let i = 0; i < life.sample; i += 1) new Slot(life, random, (i + 0.5) / life.sample).walk(sums)
  const days = life.days * life.sample
  return {
    builds: sums.builds / days,
    marks: sums.marks / days,
    signed: sums.signed / days,
    waiting: sums.waiting / (days * DAY),
    windows: sums.windows / Math.max(sums.builds, 1),
  }
}

interface Window {
  readonly resignAt: number
  count: number
}

class Slot {
  readonly #life: SlotLife
  readonly #random: () => number
  readonly #backdate: number
  readonly #length: number
  #windows: Window[]
  /** Recorded since the last build, the first of them when; and revoked since. */
  #added = 0
  #addedSince = 0
  #revoked: number[] = []
  #nextAdded: number
  #nextRevoked: number

  /** @param jitter 0 to 1: by how much of the most its windows are shorter (windowFrom in src/responder/windows.ts) */
  constructor(life: SlotLife, random: () => number, jitter: number) {
    const { validitySeconds, entries } = life
    this.#life = life
    this.#random = random
    this.#backdate = Math.min(BACKDATE_SECONDS, Math.floor(validitySeconds / BACKDATE_SHARE))
    this.#length = validitySeconds - 1 - Math.floor((validitySeconds / JITTER_SHARE) * jitter)
    this.#windows = [{ ...this.#open(-this.#backdate), count: entries }]
    this.#nextAdded = this.#gap(life.addedPerDay)
    this.#nextRevoked = this.#gap(life.revokedPerDay)
  }

  walk(sums: Sums): void {
    const { settleDays, days, cronSeconds } = this.#life
    const begin = settleDays * DAY
    const end = begin + days * DAY
    for (let time = 0; time < end; ) {
      const tick = Math.ceil(this.#due(time) / cronSeconds) * cronSeconds
      const arrival = Math.min(this.#nextAdded, this.#nextRevoked)
      const next = Math.min(arrival, tick, end)
      sums.waiting += this.#added * Math.max(0, next - Math.max(time, begin))
      time = next
      if (next === end) return
      if (arrival <= tick) {
        const marks = this.#arrive(arrival)
        if (arrival >= begin) sums.marks += marks
        continue
      }
      const signed = this.#build(tick)
      if (tick < begin) continue
      sums.builds += 1
      sums.signed += signed
      sums.windows += this.#windows.length
    }
  }

  /** WORK in src/storage/slot-rules.ts: changed, the oldest window due, enough added, or added long ago. */
  #due(now: number): number {
    if (this.#revoked.length > 0 || this.#added >= ADDED_LIMIT) return now
    const refresh = this.#windows.reduce(
      (first, window) => Math.min(first, window.resignAt),
      Number.POSITIVE_INFINITY,
    )
    return Math.max(now, Math.min(refresh, this.#added > 0 ? this.#addedSince + ADDED_AGE_SECONDS : refresh))
  }

  /** @returns how often the slot's row is written for a certificate that was recorded (MARK_SLOTS in certificate-plan.ts) */
  #arrive(time: number): number {
    this.#remove() // another one ended, or this one leaves its window
    if (time === this.#nextRevoked) {
      this.#revoked.push(time)
      this.#nextRevoked += this.#gap(this.#life.revokedPerDay)
      return 0
    }
    if (this.#added === 0) this.#addedSince = time
    this.#added += 1
    this.#nextAdded += this.#gap(this.#life.addedPerDay)
    return this.#added <= COUNTED_SINGLY ? 1 : 1 / COUNTED_IN
  }

  /** buildSlot in src/signing/build-slot.ts: what lasts is kept, all else goes into one or two new windows. */
  #build(t0: number): number {
    const early = Math.floor(this.#length / EARLY_SHARE)
    const lasting = this.#windows.filter((window) => window.count > 0 && window.resignAt - early > t0)
    const kept = lasting.slice(0, MAX_KEPT_WINDOWS)
    const before = this.#windows.reduce((sum, { count }) => sum + count, 0)
    const resigned = before - kept.reduce((sum, { count }) => sum + count, 0)
    const late = this.#revoked.filter((time) => time > t0 - this.#backdate).length
    const usual = resigned + this.#added + this.#revoked.length - late
    this.#windows = kept
    if (usual > 0) kept.push({ ...this.#open(t0 - this.#backdate), count: usual })
    if (late > 0) kept.push({ ...this.#open(t0), count: late })
    this.#added = 0
    this.#revoked = []
    return usual + late
  }

  #open(thisUpdate: number): Window {
    return { resignAt: resignAt({ thisUpdate, nextUpdate: thisUpdate + this.#length }), count: 0 }
  }

  /** One certificate leaves, from whichever window. */
  #remove(): void {
    let at = this.#random() * this.#windows.reduce((sum, { count }) => sum + count, 0)
    const from = this.#windows.find(({ count }) => {
      at -= count
      return at < 0
    })
    if (from !== undefined) from.count -= 1
  }

  #gap(perDay: number): number {
    return perDay > 0 ? (-Math.log(1 - this.#random()) * DAY) / perDay : Number.POSITIVE_INFINITY
  }
}

/** Numbers from 0 to 1 (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
