/** What operators see of a queue: /readyz, /metrics, and the status that `edge-ocsp status` prints. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findProblems } from '../../src/http/health.ts'
import { formatMetrics } from '../../src/http/metrics.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { good, NOW, NOW_MS, setUp } from '../storage/fixtures.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

let db: SqliteD1
let admin: D1AdminStore
let places: D1FanOutStore
let slots: D1SlotStore
let slot: { issuer: number; k: number; slot: number }

beforeEach(async () => {
  db = new SqliteD1({ now: () => NOW })
  admin = new D1AdminStore(db)
  places = new D1FanOutStore(db)
  slots = new D1SlotStore(db)
  const issuer = await setUp(admin)
  await admin.addCertificates(issuer, [good(1), good(2)], NOW_MS)
  slot = { issuer, k: 0, slot: 0 }
})
afterEach(() => db.close())

const PLAN = { plannedMs: NOW_MS, due: 5, planned: 4, messages: 2, lost: false, refused: false }
const config = { adminToken: 't', kek: new Uint8Array(32), secret: () => undefined, boundSeconds: 300 }
const codes = async (nowMs: number) => {
  const reading = { globals: await admin.globals(NOW), issuers: await admin.listIssuers() }
  return findProblems(reading, config, nowMs).flatMap(({ code }) => (/queue|dead/i.test(code) ? [code] : []))
}
const metrics = async () => formatMetrics(await admin.globals(NOW), 300, NOW_MS + 2_000, true)

test('without a queue there is nothing to see, but counters at zero', async () => {
  expect((await admin.globals(NOW)).fanOut).toBeUndefined()
  const text = await metrics()
  expect(text).not.toContain('slots_waiting')
  expect(text).toContain('edge_ocsp_messages_dead_total 0')
})

test('a slot waits, is built, and is neither', async () => {
  await places.recordPlan(PLAN)
  const seen = async () => {
    const { fanOut } = await admin.globals(NOW)
    return [fanOut?.waiting, fanOut?.building]
  }
  expect(await seen()).toEqual([0, 0])
  await places.plan([slot], 'plan:1', NOW, 900)
  expect(await seen()).toEqual([1, 0])
  const lease = await places.claim(slot, 'plan:1', NOW, 1200)
  expect(await seen()).toEqual([0, 1])
  if (lease !== undefined) await slots.release(lease, '')
  expect(await seen()).toEqual([0, 0])
})

test('a planned slot is claimed once, by the name of its lease alone', async () => {
  expect(await places.plan([slot, { ...slot, slot: 1 }], 'plan:1', NOW, 900)).toEqual([slot])
  expect(await places.plan([slot], 'plan:2', NOW, 900)).toEqual([])
  expect(await slots.lease(slot, NOW, 1200)).toBeUndefined()
  expect(await places.claim(slot, 'plan:2', NOW, 1200)).toBeUndefined()
  const lease = await places.claim(slot, 'plan:1', NOW + 5, 1200)
  expect(lease).toMatchObject({ ...slot, since: NOW + 5 })
  expect(await places.claim(slot, 'plan:1', NOW + 5, 1200)).toBeUndefined()
  // Whoever holds a claimed lease cannot be claimed from by its name.
  expect(await places.claim(slot, lease?.lease ?? '', NOW + 5, 1200)).toBeUndefined()
})

test('a place in the queue that ran out owes no build; a claim that ran out owes one (attack 7)', async () => {
  const again = () => db.rows('SELECT again FROM slots')
  await places.plan([slot], 'plan:1', NOW, 900)
  await places.plan([slot], 'plan:2', NOW + 900, 900)
  expect(again()).toEqual([{ again: 0 }])
  await places.claim(slot, 'plan:2', NOW + 901, 1200)
  await places.plan([slot], 'plan:3', NOW + 2_101, 900)
  expect(again()).toEqual([{ again: 1 }])
  await slots.lease(slot, NOW + 3_001, 1200)
  expect(again()).toEqual([{ again: 1 }])
})

test('a place can be given up, with or without a note', async () => {
  await places.plan([slot], 'plan:1', NOW, 900)
  await places.unplan([slot], 'plan:2', 'not mine')
  await places.unplan([slot], 'plan:1', '')
  expect(db.rows('SELECT lease, failures, last_error FROM slots')).toEqual([
    { lease: null, failures: 0, last_error: null },
  ])
  await places.plan([slot], 'plan:3', NOW, 900)
  await places.unplan([slot], 'plan:3', 'given up')
  expect(db.rows('SELECT lease, failures, last_error FROM slots')).toEqual([
    { lease: null, failures: 1, last_error: 'given up' },
  ])
})

test('plans, messages and dead letters are told by /metrics', async () => {
  await places.recordPlan(PLAN)
  await places.recordHandled(2, 1, NOW_MS + 500)
  await places.recordDead(1, NOW_MS + 1_000)
  const text = await metrics()
  for (const line of [
    'edge_ocsp_plan_slots_due 5',
    'edge_ocsp_plan_slots_sent 4',
    'edge_ocsp_plan_messages_sent 2',
    'edge_ocsp_plan_age_seconds 2',
    'edge_ocsp_message_age_seconds 1.5',
    'edge_ocsp_dead_letter_age_seconds 1',
    'edge_ocsp_slots_planned_total 4',
    'edge_ocsp_messages_sent_total 2',
    'edge_ocsp_messages_handled_total 2',
    'edge_ocsp_slots_overtaken_total 1',
    'edge_ocsp_messages_dead_total 1',
  ])
    expect(text).toContain(`${line}\n`)
  expect(text).not.toContain('queue_refused')
})

test.each([
  ['queueRefused', () => places.recordPlan({ ...PLAN, refused: true })],
  ['queueLost', () => places.recordPlan({ ...PLAN, lost: true })],
  ['deadLetters', () => places.recordDead(1, NOW_MS)],
])('/readyz says %s for a quarter of an hour, also when the next plans go well', async (code, happen) => {
  await happen()
  await places.recordPlan({ ...PLAN, plannedMs: NOW_MS + 60_000 })
  expect(await codes(NOW_MS + 60_000)).toEqual([code])
  expect(await codes(NOW_MS + 15 * 60_000)).toEqual([])
})
