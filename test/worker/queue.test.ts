/** Re-signing over workerd's own queue: the cron run plans, messages are consumed, what is given up becomes a dead letter. */
import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import worker from '../../src/index.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { good } from '../storage/fixtures.ts'
import { hex, makeTestPKI, TEST_POLICY } from '../support/pki.ts'

const admin = new D1AdminStore(env.DB)
const slots = new D1SlotStore(env.DB)
const places = new D1FanOutStore(env.DB)
const KEK = Uint8Array.from({ length: 32 }, (_, i) => i) // as the binding has it
const seconds = () => Math.floor(Date.now() / 1000)
const due = () => slots.countDue(seconds(), { all: false })
const number = async (sql: string) => (await env.DB.prepare(sql).first<{ n: number }>())?.n ?? 0
const counter = (name: string) => number(`SELECT value AS n FROM counters WHERE name = '${name}'`)
const leased = () => number('SELECT count(*) AS n FROM slots WHERE lease IS NOT NULL')
const planned = () => number("SELECT count(*) AS n FROM slots WHERE lease LIKE 'plan:%'")
const cron = () => worker.scheduled()
const queue = env.RESIGN ?? unbound()
const deadLetters = env.DEAD ?? unbound()
const errors: string[] = []

const issuers: number[] = []
const COUNT = 40

beforeAll(async () => {
  for (const name of ['one', 'two', 'three']) {
    const pki = await makeTestPKI({ now: seconds(), caName: name, freshKeys: true })
    const { certificate, hashes, notBefore, notAfter, keyHash } = pki.issuer
    const added = await admin.addIssuer(
      {
        name,
        ski: hex(keyHash),
        certificate,
        hashes,
        notBefore,
        notAfter,
        policy: TEST_POLICY,
        enabled: true,
      },
      Date.now(),
    )
    const { id: _id, retired: _retired, ...responder } = pki.responderRecord()
    const context = { issuerSKI: added.ski, responderName: responder.name, spki: responder.spki }
    await admin.addResponder(
      added.id,
      responder,
      await wrapKey(pki.responder.pkcs8, KEK, context),
      Date.now(),
    )
    const rows = Array.from({ length: COUNT }, (_, n) => good(n))
    await admin.addCertificates(added.id, rows, Date.now())
    issuers.push(added.id)
  }
})

beforeEach(() => {
  errors.length = 0
  vi.spyOn(console, 'error').mockImplementation((line) => {
    errors.push(String(line))
  })
})
afterEach(() => vi.restoreAllMocks())

/** So that every slot is due again. */
const resign = () => env.DB.prepare('UPDATE slots SET again = 2').run()

test('the cron run plans what is due, workerd delivers it, and consumers build every slot', async () => {
  expect(await due()).toBe(3)
  await cron()
  await vi.waitUntil(async () => (await due()) + (await leased()) === 0, 20_000)
  for (const issuer of issuers) {
    const bytes = await env.RESPONSES.get(`b/${issuer}/0/0`, 'arrayBuffer')
    const bundle = Bundle.open(new Uint8Array(bytes ?? new ArrayBuffer(0)))
    expect([bundle.issuer, bundle.count, await bundle.verifyDigest()]).toEqual([issuer, COUNT, true])
  }
  await vi.waitUntil(async () => (await counter('messages_handled')) === 1, 5_000)
  expect(await counter('slots_planned')).toBe(3)
  expect(await counter('messages_sent')).toBe(1)
  expect(await counter('bundles_built')).toBe(3)
  expect(await counter('signatures_made')).toBe(3 * 2 * COUNT)
  const run = (await admin.globals(seconds())).lastRuns.find(({ job }) => job === 'cron')
  expect(run).toMatchObject({ ok: true, built: 0, remaining: 0 })
  const { fanOut, lastRuns } = await admin.globals(seconds())
  expect(fanOut).toMatchObject({
    waiting: 0,
    building: 0,
    due: 3,
    planned: 3,
    messages: 1,
    lostMs: 0,
    deadMs: 0,
  })
  expect(lastRuns.find(({ job }) => job === 'queue')).toMatchObject({ ok: true, built: 3, failed: 0 })
  expect(errors).toEqual([])
})

test('a message that comes twice is built once', async () => {
  await resign()
  const before = await counter('bundles_built')
  const names = issuers.map((issuer) => ({ issuer, k: 0, slot: 0 }))
  expect(await places.plan(names, 'plan:twice', seconds(), 900)).toHaveLength(3)
  const body = { version: 1, lease: 'plan:twice', slots: issuers.map((issuer) => [issuer, 0, 0]) }
  await queue.sendBatch([{ body }, { body }])
  const handled = await counter('messages_handled')
  await vi.waitUntil(async () => (await counter('messages_handled')) === handled + 2, 20_000)
  expect(await counter('bundles_built')).toBe(before + 3)
  expect(await counter('slots_overtaken')).toBe(3)
  expect([await due(), await leased()]).toEqual([0, 0])
})

test('what is no message of this version is put aside with a log line, and never asked for again', async () => {
  const bodies = [
    { version: 2, lease: 'plan:x', slots: [] },
    'text',
    null,
    { version: 1, lease: 'plan:x', slots: [[1]] },
  ]
  const messages = bodies.map((body, n) => ({ id: `m${n}`, timestamp: new Date(), attempts: 1, body }))
  const batch = createMessageBatch('edge-ocsp-resign', messages)
  const context = createExecutionContext()
  await worker.queue(batch)
  const result = await getQueueResult(batch, context)
  expect(result.explicitAcks).toEqual(['m0', 'm1', 'm2', 'm3'])
  expect(result.retryMessages).toEqual([])
  expect(errors.map((line) => JSON.parse(line).what)).toEqual(bodies.map(() => 'message not understood'))
})

test('while the record is away a message is asked for again, then a dead letter: logged, counted, its slots due at once', async () => {
  await resign()
  await places.plan([{ issuer: issuers[0] ?? 0, k: 0, slot: 0 }], 'plan:dead', seconds(), 900)
  expect(await planned()).toBe(1)
  await env.DB.prepare('ALTER TABLE issuers RENAME TO away').run()
  await queue.send({ version: 1, lease: 'plan:dead', slots: [[issuers[0], 0, 0]] })
  await vi.waitUntil(() => errors.some((line) => line.includes('"dead letter"')), 20_000)
  await env.DB.prepare('ALTER TABLE away RENAME TO issuers').run()
  await vi.waitUntil(async () => (await counter('messages_dead')) === 1, 5_000)
  const failed = errors.map((line) => JSON.parse(line)).filter(({ what }) => what === 'message failed')
  expect(failed.map(({ attempts }) => attempts)).toEqual([1, 2, 3])
  expect(await planned()).toBe(0)
  expect(await number('SELECT failures AS n FROM slots WHERE last_error IS NOT NULL')).toBe(1)
  expect(await due()).toBe(3)
  await cron()
  await vi.waitUntil(async () => (await due()) + (await leased()) === 0, 20_000)
})

test('a dead letter that nobody understands is counted too', async () => {
  const before = await counter('messages_dead')
  await deadLetters.send('what is this?')
  await vi.waitUntil(async () => (await counter('messages_dead')) === before + 1, 20_000)
})

function unbound(): never {
  throw new Error('vitest.config.ts binds no queue')
}
