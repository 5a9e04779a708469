/**
 * Whatever happens to a record whose rows are recycled, in any order: who is not past retention is there as recorded, who has gone
 * was past it and is in the audit, and nobody is there who was not recorded (law 2).
 */
import { expect, test } from 'vitest'
import type { NewCertificate } from '../../src/ports/admin-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { Random } from '../support/clock.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, POLICY, serial, setUp } from './fixtures.ts'

const SEEDS = 40
const STEPS = 40
/** Few that come again and again, and many that come once. */
const KNOWN_WELL = 30
/** Of what is recorded, how long it has to go; 0 = it has no end. */
const DAYS = [0, -200, -40, 1, 1, 3, 3, 10, 30, 400]
const STATUSES = ['good', 'good', 'good', 'revoked', 'hold'] as const
const NUMBERS = ['good', 'revoked', 'hold', 'released']

interface Known {
  readonly notAfter: number
  status: number
}

const keyOf = (octets: Uint8Array) => Buffer.from(octets).toString('hex').toUpperCase()

class History {
  readonly #dice: Random
  readonly #db: SqliteD1
  readonly #admin: D1AdminStore
  readonly #slots: D1SlotStore
  readonly #known = new Map<string, Known>()
  readonly #issuer: number
  #now: number
  #policy = POLICY
  #gone = 0
  /** That went while others were recorded. */
  recycled = 0

  private constructor(dice: Random, db: SqliteD1, issuer: number, now: number) {
    this.#dice = dice
    this.#db = db
    this.#admin = new D1AdminStore(db)
    this.#slots = new D1SlotStore(db)
    this.#issuer = issuer
    this.#now = now
  }

  static async begin(seed: number): Promise<History> {
    let made: History | undefined
    const db: SqliteD1 = new SqliteD1({ now: () => made?.seconds ?? NOW })
    made = new History(new Random(seed), db, await setUp(new D1AdminStore(db)), NOW)
    return made
  }

  get seconds(): number {
    return this.#now
  }

  async step(): Promise<void> {
    const dice = this.#dice.between(1, 20)
    if (dice <= 8) await this.#record()
    else if (dice <= 10) await this.#revoke()
    else if (dice <= 14) this.#now += this.#dice.between(1, 12) * DAY
    else if (dice <= 18)
      await this.#slots.pruneCertificates(this.#now + this.#dice.pick([0, 0, 90]) * DAY, 5_000)
    else if (dice === 19) await this.#changePolicy()
    else this.#db.exec(`UPDATE issuers SET moving = ${this.#dice.pick([0, 0, 1])}, seq = seq + 1`)
    this.check()
    this.#now += 1
  }

  /** Of one whose answer is lost the second call tells no more than what is there: it speaks of new ones alone. */
  async #record(): Promise<void> {
    const fault = this.#dice.pick(['none', 'none', 'none', 'fails', 'lost'])
    const rows = new Map<string, NewCertificate>()
    for (let n = this.#dice.between(1, 60); n > 0; n -= 1) {
      const isKnownWell = this.#dice.chance(0.15)
      const octets = serial(
        isKnownWell ? this.#dice.between(0, KNOWN_WELL) : this.#dice.between(1_000, 1_000_000),
      )
      if (fault === 'lost' && this.#known.has(keyOf(octets))) continue
      const days = this.#dice.pick(DAYS)
      const status = this.#dice.pick(STATUSES)
      const notAfter = days === 0 ? 0 : this.#now + days * DAY
      rows.set(keyOf(octets), { ...good(0), serial: octets, status, notBefore: 0, notAfter })
    }
    const add = () => this.#admin.addCertificates(this.#issuer, [...rows.values()], this.#now * 1000 + 7)
    if (fault === 'fails' && rows.size > 0) {
      this.#db.failNext(1)
      await expect(add()).rejects.toThrow()
      this.check()
    }
    if (fault === 'lost' && rows.size > 0) {
      this.#db.loseAnswers(1)
      await expect(add()).rejects.toThrow()
    }
    const outcomes = await add()
    const before = this.#known.size
    this.#findGone()
    this.recycled += before - this.#known.size
    for (const [i, [key, row]] of [...rows].entries()) this.#learn(key, row, outcomes[i])
  }

  #learn(key: string, row: NewCertificate, outcome: unknown): void {
    const before = this.#known.get(key)
    const status = NUMBERS.indexOf(row.status)
    const { notAfter = 0 } = row
    if (before === undefined && (outcome === 'added' || outcome === 'unchanged'))
      this.#known.set(key, { notAfter, status })
    else if (before !== undefined && outcome === 'changed')
      this.#known.set(key, {
        notAfter: before.notAfter === 0 ? notAfter : before.notAfter,
        status: status === 0 ? before.status : status,
      })
    else expect(outcome, `${key}, of which was known ${JSON.stringify(before)}`).not.toBe('added')
  }

  async #revoke(): Promise<void> {
    const octets = serial(this.#dice.between(0, KNOWN_WELL))
    const before = this.#known.get(keyOf(octets))
    if (before === undefined) return
    await this.#admin.changeStatus(this.#issuer, octets, { to: 'revoked' }, this.#now * 1000 + 7)
    before.status = 1
  }

  async #changePolicy(): Promise<void> {
    const unknown = this.#dice.pick(['unauthorized', 'unauthorized', 'good'] as const)
    this.#policy = { ...this.#policy, unknown, retainSeconds: this.#dice.pick([0, 5, 30]) * DAY }
    await this.#admin.updateIssuer(this.#issuer, { policy: this.#policy }, this.#now * 1000 + 7)
  }

  #isPast({ notAfter, status }: Known): boolean {
    const { unknown, retainSeconds } = this.#policy
    if (notAfter === 0 || notAfter + retainSeconds >= this.#now) return false
    return status === 0 || status === 3 || unknown !== 'good'
  }

  #rows(): Map<string, Known> {
    const rows = this.#db.rows('SELECT hex(serial) AS serial, status, not_after FROM certificates')
    return new Map(
      rows.map((row) => [
        String(row['serial']),
        { notAfter: Number(row['not_after']), status: Number(row['status']) },
      ]),
    )
  }

  #findGone(): void {
    const rows = this.#rows()
    for (const [key, one] of this.#known) {
      if (rows.has(key)) continue
      expect(this.#isPast(one), `${key} has gone before its time: ${JSON.stringify(one)}`).toBe(true)
      this.#known.delete(key)
      this.#gone += 1
    }
  }

  check(): void {
    this.#findGone()
    expect(this.#rows()).toEqual(this.#known)
    const [audit] = this.#db.rows(
      "SELECT coalesce(sum(detail->>'count'), 0) AS n FROM audit WHERE action = 'certificates.pruned'",
    )
    expect(audit?.['n']).toBe(this.#gone)
  }

  end(): void {
    this.#db.close()
  }
}

test(`in ${SEEDS} histories no live certificate is lost or written over, and what goes is audited (law 2)`, async () => {
  let recycled = 0
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const history = await History.begin(seed)
    for (let step = 0; step < STEPS; step += 1) await history.step()
    recycled += history.recycled
    history.end()
  }
  expect(recycled).toBeGreaterThan(500)
}, 120_000)
