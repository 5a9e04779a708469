/** Re-signing over a queue: places in it, and who takes them (D1 primary). */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { FanOutStore, PlanRecord, SlotName } from '../ports/fan-out-store.ts'
import type { LeasedSlot } from '../ports/ports.ts'
import { decodeLease } from './d1-slot-store.ts'
import { type Database, numberIn, query, type StoreOptions, transact } from './database.ts'
import { isPlanned } from './slot-rules.ts'

/** Slots in one statement. */
const MOST = 1_000

/** ?1 = JSON of [[issuer, k, slot], ...]. */
const NAMED =
  '(SELECT value->>0 AS issuer, value->>1 AS k, value->>2 AS slot FROM json_each(?1)) n ' +
  'WHERE slots.issuer = n.issuer AND slots.k = n.k AND slots.slot = n.slot'

/** Whoever held an expired lease may be alive and build: one more build is then owed (attack 7). A place in the queue builds nothing. */
const PLAN = `
  UPDATE slots SET lease = ?2, lease_until = ?3 + ?4, again = iif(lease IS NULL OR ${isPlanned('lease')}, again, 1)
  FROM ${NAMED} AND (slots.lease IS NULL OR slots.lease_until <= ?3)
  RETURNING slots.issuer, slots.k, slots.slot`

const UNPLAN = `
  UPDATE slots SET lease = NULL, lease_until = 0, failures = failures + (?3 <> ''), last_error = coalesce(nullif(?3, ''), last_error)
  FROM ${NAMED} AND slots.lease = ?2`

/** The name of the planned lease is the condition: it is given to one plan and taken once. Its own end does not matter. */
const CLAIM = `
  UPDATE slots SET lease = hex(randomblob(16)), lease_until = ?5 + ?6
  WHERE issuer = ?1 AND k = ?2 AND slot = ?3 AND lease = ?4 AND ${isPlanned('lease')} AND EXISTS (
    SELECT 1 FROM issuers i
    WHERE i.id = slots.issuer AND i.enabled = 1 AND i.frozen = 0 AND (slots.k = i.k OR slots.k = i.k_next))
  RETURNING lease, built_seq`

const RECORD_PLAN = `
  UPDATE plan SET planned_ms = ?1, due = ?2, planned = ?3, messages = ?4,
    lost_ms = iif(?5, ?1, lost_ms), refused_ms = iif(?6, ?1, refused_ms)`
const COUNT_PLAN = `
  UPDATE counters SET value = value + CASE name WHEN 'slots_planned' THEN ?1 ELSE ?2 END
  WHERE name IN ('slots_planned', 'messages_sent')`
const RECORD_HANDLED = 'UPDATE plan SET handled_ms = max(handled_ms, ?1)'
const COUNT_HANDLED = `
  UPDATE counters SET value = value + CASE name WHEN 'messages_handled' THEN ?1 ELSE ?2 END
  WHERE name IN ('messages_handled', 'slots_overtaken')`
const RECORD_DEAD = 'UPDATE plan SET dead_ms = max(dead_ms, ?1)'
const COUNT_DEAD = "UPDATE counters SET value = value + ?1 WHERE name = 'messages_dead'"

export class D1FanOutStore implements FanOutStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async plan(
    slots: readonly SlotName[],
    lease: string,
    now: UnixSeconds,
    seconds: number,
  ): Promise<SlotName[]> {
    const planned: SlotName[] = []
    for (const part of inParts(slots)) {
      const statement = this.#db.prepare(PLAN).bind(part, lease, now, seconds)
      for (const row of await query(this.#db, statement, this.#timeoutMs))
        planned.push({
          issuer: numberIn(row, 'issuer'),
          k: numberIn(row, 'k'),
          slot: numberIn(row, 'slot'),
        })
    }
    return planned
  }

  async unplan(slots: readonly SlotName[], lease: string, error: string): Promise<void> {
    for (const part of inParts(slots))
      await query(this.#db, this.#db.prepare(UNPLAN).bind(part, lease, error.slice(0, 500)), this.#timeoutMs)
  }

  async claim(
    { issuer, k, slot }: SlotName,
    planned: string,
    now: UnixSeconds,
    seconds: number,
  ): Promise<LeasedSlot | undefined> {
    const statement = this.#db.prepare(CLAIM).bind(issuer, k, slot, planned, now, seconds)
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined ? undefined : decodeLease({ issuer, k, slot }, row, now)
  }

  recordPlan({ plannedMs, due, planned, messages, lost, refused }: PlanRecord): Promise<void> {
    return this.#note([
      this.#db.prepare(RECORD_PLAN).bind(plannedMs, due, planned, messages, lost ? 1 : 0, refused ? 1 : 0),
      this.#db.prepare(COUNT_PLAN).bind(planned, messages),
    ])
  }

  recordHandled(messages: number, overtaken: number, nowMs: number): Promise<void> {
    return this.#note([
      this.#db.prepare(RECORD_HANDLED).bind(nowMs),
      this.#db.prepare(COUNT_HANDLED).bind(messages, overtaken),
    ])
  }

  recordDead(messages: number, nowMs: number): Promise<void> {
    return this.#note([
      this.#db.prepare(RECORD_DEAD).bind(nowMs),
      this.#db.prepare(COUNT_DEAD).bind(messages),
    ])
  }

  async #note(statements: Parameters<typeof transact>[1]): Promise<void> {
    await transact(this.#db, statements, this.#timeoutMs)
  }
}

/** JSON of the names, so many at a time. */
function* inParts(slots: readonly SlotName[]): Generator<string> {
  for (let at = 0; at < slots.length; at += MOST)
    yield JSON.stringify(slots.slice(at, at + MOST).map(({ issuer, k, slot }) => [issuer, k, slot]))
}
