/** One that is broken never stops the others: a row, a signer, an issuer, a queue; and none that is large starves them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import { handleMessages } from '../../src/jobs/consumer.ts'
import { type FanOutPorts, fanOut, type ResignQueue } from '../../src/jobs/fan-out.ts'
import { MAX_MESSAGE_SLOTS } from '../../src/jobs/resign-message.ts'
import { respond } from '../../src/responder/respond.ts'
import { presign } from '../../src/signing/presign.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { EPOCH } from '../support/clock.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { requestOf } from '../support/world-requests.ts'

const serial = (n: number) => Uint8Array.of(0x15, n >>> 8, n & 0xff)
const hexOf = (n: number) => Buffer.from(serial(n)).toString('hex')

let world: World
let place: Isolate
const logged: Record<string, unknown>[] = []

beforeEach(async () => {
  world = await World.create({ seed: 3, maxLagSeconds: 0, colos: 1, validitySeconds: 86_400 }, [
    'unauthorized',
    'good',
    'unknown',
  ])
  logged.length = 0
  place = world.isolate(0, {}, { log: { event: (level, fields) => logged.push({ level, ...fields }) } })
  for (const issuer of world.issuers) {
    const rows = Array.from({ length: 20 }, (_, n) => ({
      serial: serial(n),
      status: 'good' as const,
      notBefore: EPOCH - 60,
      notAfter: EPOCH + 9e6,
    }))
    await world.add(place, issuer, rows)
  }
  world.clock.advance(2_000)
})
afterEach(() => world.close())

const bundle = (issuer: number) => Bundle.open(world.kv.last(`b/${issuer}/0/0`) ?? new Uint8Array())
const has = (issuer: number, n: number) => bundle(issuer).find(serial(n), serialHash(serial(n))) !== undefined
const slotsOf = (issuer: number) => world.record.rows('SELECT * FROM slots WHERE issuer = ?1', issuer)
const run = (budget = 10_000) => presign(place.presign, { all: false, budget })

/** By hand, past every guard. */
function breakRow(n: number, change: string): void {
  world.record.exec('PRAGMA ignore_check_constraints = ON')
  world.record.exec(
    `UPDATE certificates SET ${change}, rev = rev + 1 WHERE issuer = 1 AND hex(serial) = upper('${hexOf(n)}')`,
  )
  world.record.exec('PRAGMA ignore_check_constraints = OFF')
}

async function statusOf(n: number): Promise<string> {
  const asked = [{ history: world.history(world.issuer, serial(n)), hash: 'SHA-256' as const }]
  const request = requestOf({ issuer: world.issuer, asked, nonce: undefined }, world.requests)
  return (await respond(request, place.responder)).responseStatus
}

describe('a row that makes no sense', () => {
  const kinds: [string, string][] = [
    ['extensions that are no DER', "extensions = x'deadbeef'"],
    ['extensions cut short', "extensions = x'30143012060a'"],
    ['a critical extension', "extensions = x'300a300806022a030101ff0400'"],
    ['a status that there is not', 'status = 9'],
    ['an impossible reason', 'status = 1, revoked_at = 1795000000, reason = 77'],
    ['a revocation after the year 9999', 'status = 1, reason = 1, revoked_at = 300000000000'],
  ]
  test.each(kinds)(
    '(%s) is left out of its slot, told to the operator, and answered by internalError',
    async (_, change) => {
      breakRow(7, change)
      const outcome = await run()
      expect(outcome).toMatchObject({ built: 3, failed: 0, remaining: 0 })
      expect(outcome.problems).toEqual([
        `ca-unauthorized: 1 certificates cannot be signed for: their rows are broken`,
      ])
      expect(bundle(1).count).toBe(19)
      expect([has(1, 6), has(1, 7), has(1, 8), has(2, 7)]).toEqual([true, false, true, true])
      expect(slotsOf(1)).toMatchObject([
        { failures: 0, last_error: expect.stringContaining('1 certificates') },
      ])
      expect(logged).toMatchObject([{ level: 'error', what: 'rows left out', issuer: 1 }])
      expect(JSON.stringify(logged)).not.toContain(hexOf(7))
      expect(await statusOf(7)).toBe('internalError')
      expect(await statusOf(8)).toBe('successful')
    },
  )

  test('several of them are all found, whatever is wrong with each', async () => {
    breakRow(0, "extensions = x'deadbeef'")
    breakRow(9, 'status = 9')
    breakRow(19, 'status = 1, reason = 1, revoked_at = 300000000000')
    expect(await run()).toMatchObject({ built: 3, failed: 0 })
    expect(bundle(1).count).toBe(17)
    expect([0, 9, 19].map((n) => has(1, n))).toEqual([false, false, false])
  })

  test('a slot of which nothing can be signed for fails alone', async () => {
    world.record.exec('PRAGMA ignore_check_constraints = ON')
    world.record.exec("UPDATE certificates SET extensions = x'deadbeef', rev = rev + 1 WHERE issuer = 1")
    expect(await run()).toMatchObject({ built: 2, failed: 1 })
  })

  test('is signed for again once it is mended', async () => {
    breakRow(7, "extensions = x'deadbeef'")
    await run()
    breakRow(7, 'extensions = NULL')
    world.record.exec('UPDATE slots SET again = 2 WHERE issuer = 1')
    expect(await run()).toMatchObject({ built: 1, signatures: 2, problems: [] })
    expect(has(1, 7)).toBe(true)
    expect(slotsOf(1)).toMatchObject([{ last_error: null }])
  })
})

describe('the others are built in the same run', () => {
  test('when the signer of one issuer fails', async () => {
    world.record.exec("UPDATE responders SET wrapped_key = x'01' WHERE issuer = 2")
    const outcome = await run()
    expect(outcome).toMatchObject({ built: 2, failed: 1, remaining: 1 })
    expect(outcome.problems).toEqual([expect.stringMatching(/^ca-good: SigningError/)])
    expect([bundle(1).count, bundle(3).count]).toEqual([20, 20])
  })

  test('when one issuer cannot be read from the record', async () => {
    world.record.exec(`UPDATE issuers SET policy = '{}' WHERE id = 2`)
    const outcome = await run()
    expect(outcome).toMatchObject({ built: 2, failed: 1 })
    expect(outcome.problems).toEqual([expect.stringMatching(/^issuer 2: StorageError/)])
    expect(slotsOf(2)).toMatchObject([{ failures: 1, lease: null }])
  })

  test('when a responder has an algorithm that nobody knows', async () => {
    world.record.exec(`UPDATE responders SET algorithm = 'rot13' WHERE issuer = 2`)
    expect(await run()).toMatchObject({ built: 2, failed: 1 })
  })
})

describe('several slots at once', () => {
  test('are built within the budget, as one by one', async () => {
    const outcome = await presign(place.presign, { all: false, budget: 10_000, atOnce: 3 })
    expect(outcome).toMatchObject({ built: 3, signatures: 3 * 40, failed: 0, remaining: 0 })
  })

  test('do not overdraw it: the next begins when there is room again', async () => {
    const outcome = await presign(place.presign, { all: false, budget: 41, atOnce: 3 })
    expect(outcome).toMatchObject({ built: 2, signatures: 80, remaining: 1 })
  })
})

class Collected implements ResignQueue {
  readonly batches: { body: unknown }[][] = []
  full = false
  async sendBatch(batch: Parameters<ResignQueue['sendBatch']>[0]): Promise<void> {
    if (this.full) throw new Error('Queue is overloaded')
    this.batches.push([...batch])
  }
  get slots(): number[][] {
    return this.batches.flat().flatMap(({ body }) => {
      const slots: unknown = typeof body === 'object' && body !== null && 'slots' in body ? body.slots : []
      return Array.isArray(slots) ? slots : []
    })
  }
}

let lease = 0
function portsOf(queue: ResignQueue): FanOutPorts {
  return {
    slots: place.slots,
    fanOut: new D1FanOutStore(world.record),
    queue,
    clock: world.clock,
    log: place.presign.log,
    leaseName: () => {
      lease += 1
      return `plan:${lease}`
    },
    presign: () => run(),
  }
}

describe('a queue that does not take it', () => {
  test('costs nothing but itself: the places are given up and the run builds by itself', async () => {
    const queue = new Collected()
    queue.full = true
    const outcome = await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e4 })
    expect(outcome).toMatchObject({ built: 3, failed: 0, remaining: 0 })
    expect(outcome.problems).toEqual(['queue: it did not take 1 of 1 messages: Queue is overloaded'])
    expect(world.record.rows('SELECT count(*) AS n FROM slots WHERE lease IS NOT NULL')).toEqual([{ n: 0 }])
    expect(world.record.rows('SELECT sum(again) AS n, sum(failures) AS f FROM slots')).toEqual([
      { n: 0, f: 0 },
    ])
    expect(logged).toMatchObject([{ level: 'error', what: 'queue refused' }])
    expect(world.record.rows('SELECT planned, messages, refused_ms > 0 AS refused FROM plan')).toEqual([
      { planned: 0, messages: 0, refused: 1 },
    ])
  })

  test('and what was sent but never taken is built by a later run, without a build owed', async () => {
    const queue = new Collected()
    expect(await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e4 })).toMatchObject({
      built: 0,
      remaining: 0,
    })
    expect(queue.slots).toHaveLength(3)
    world.clock.advance(899_000)
    expect(await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e4 })).toMatchObject({
      built: 0,
      remaining: 0,
    })
    world.clock.advance(2_000)
    const outcome = await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e4 })
    expect(outcome).toMatchObject({ built: 3, remaining: 0 })
    expect(outcome.problems).toEqual(['queue: 3 slots were sent and never taken; they are built in this run'])
    expect(world.record.rows('SELECT sum(again) AS n FROM slots')).toEqual([{ n: 0 }])
    // The message turns up after all.
    const messages = queue.batches
      .flat()
      .map(({ body }) => ({ id: '1', body, attempts: 1, ack() {}, retry() {} }))
    await handleMessages(
      { ...place.presign, fanOut: new D1FanOutStore(world.record), runs: place.admin },
      messages,
      3,
    )
    expect(
      world.record.rows(
        "SELECT name, value FROM counters WHERE name IN ('slots_overtaken', 'bundles_built')",
      ),
    ).toEqual([
      { name: 'bundles_built', value: 3 },
      { name: 'slots_overtaken', value: 3 },
    ])
  })
})

describe('a plan', () => {
  /** The issuer has 2^k slots of so many certificates each, all due for the same reason. */
  function enlarge(issuer: number, k: number, size: number): void {
    world.record.exec(`
      DELETE FROM slots WHERE issuer = ${issuer};
      UPDATE issuers SET k = ${k} WHERE id = ${issuer};
      INSERT INTO slots (issuer, k, slot, built_seq, changed_seq, entries, refresh_at)
      WITH RECURSIVE n (slot) AS (SELECT 0 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < (1 << ${k}))
      SELECT ${issuer}, ${k}, slot, 2, 1, ${size}, 1 FROM n`)
  }
  const countOf = (slots: number[][], issuer: number) => slots.filter(([id]) => id === issuer).length

  test('gives each issuer the same share of signing, whatever one slot costs', async () => {
    enlarge(1, 10, 500)
    enlarge(2, 6, 500)
    enlarge(3, 6, 500)
    world.record.exec(
      "UPDATE responders SET algorithm = 'sha256WithRSAEncryption', spki = zeroblob(294) WHERE issuer = 1",
    )
    const queue = new Collected()
    // One slot of P-256 or Ed25519 costs 1,000, one of RSA-2048 30,000.
    await fanOut(portsOf(queue), { maxPlanned: 120_000, maxMessage: 50_000 })
    expect([1, 2, 3].map((issuer) => countOf(queue.slots, issuer))).toEqual([2, 30, 30])
  })

  test('also in a run without a queue: the small ones are built though the large one alone would spend the budget', async () => {
    enlarge(1, 8, 20)
    world.record.exec('UPDATE slots SET refresh_at = 0 WHERE issuer = 1')
    expect(await run(90)).toMatchObject({ failed: 0 })
    expect([2, 3].map((issuer) => slotsOf(issuer)[0]?.['built_seq'] !== 0)).toEqual([true, true])
  })

  test('fills no more than may wait: what waits already is counted', async () => {
    enlarge(1, 8, 500)
    const queue = new Collected()
    const options = { maxPlanned: 20_000, maxMessage: 5_000 }
    await fanOut(portsOf(queue), options)
    const first = queue.slots.length
    expect(first).toBeGreaterThanOrEqual(20)
    await fanOut(portsOf(queue), options)
    expect(queue.slots.length).toBe(first)
    world.record.exec(
      "UPDATE slots SET lease = 'taken' WHERE slot < 5 AND lease LIKE 'plan:%' AND issuer = 1",
    )
    await fanOut(portsOf(queue), options)
    expect(queue.slots.length).toBe(first + 5)
  })

  test('cuts messages by cost and by slots, and batches by what the queue takes', async () => {
    enlarge(1, 13, 0)
    const queue = new Collected()
    await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e6 })
    expect(queue.slots).toHaveLength(5_000)
    const sizes = queue.batches.flat().map(({ body }) => JSON.stringify(body))
    expect(sizes.every((text) => text.length < 64_000)).toBe(true)
    expect(queue.batches.every((batch) => batch.length <= 100)).toBe(true)
    expect(queue.batches.flat().length).toBeGreaterThanOrEqual(5_000 / MAX_MESSAGE_SLOTS)
    for (const batch of queue.batches)
      expect(batch.reduce((sum, { body }) => sum + JSON.stringify(body).length, 0)).toBeLessThan(256_000)
  })

  test('leaves out what another plan took in between, and sends the rest', async () => {
    const queue = new Collected()
    const ports = portsOf(queue)
    const survey = await place.slots.survey(world.clock.seconds, 10, { all: false })
    world.record.exec(
      `UPDATE slots SET lease = 'another', lease_until = ${world.clock.seconds + 60} WHERE issuer = 2`,
    )
    const slots = {
      ...ports.slots,
      survey: async () => survey,
      readSigning: place.slots.readSigning.bind(place.slots),
    }
    await fanOut({ ...ports, slots }, { maxPlanned: 1e6, maxMessage: 1e6 })
    expect(queue.slots.map(([issuer]) => issuer).sort()).toEqual([1, 3])
  })
})

test('a consumer builds nothing for an issuer that was frozen or disabled, or an era that ended, since it was planned', async () => {
  const queue = new Collected()
  await fanOut(portsOf(queue), { maxPlanned: 1e6, maxMessage: 1e6 })
  world.record.exec(
    'UPDATE issuers SET frozen = 1 WHERE id = 1; UPDATE issuers SET enabled = 0 WHERE id = 2; UPDATE issuers SET k = 1 WHERE id = 3',
  )
  const messages = queue.batches
    .flat()
    .map(({ body }) => ({ id: '1', body, attempts: 1, ack() {}, retry() {} }))
  await handleMessages(
    { ...place.presign, fanOut: new D1FanOutStore(world.record), runs: place.admin },
    messages,
    3,
  )
  expect(world.record.rows("SELECT value FROM counters WHERE name = 'bundles_built'")).toEqual([{ value: 0 }])
})
