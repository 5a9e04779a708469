/** Issuers that stand in pages of the directory, asked through respond(): what is answered, from where, and at what price. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PAGING_RULES, pageIssuers } from '../../src/overlay/paging.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { respond } from '../../src/responder/respond.ts'
import { manyHashes } from '../overlay/issuers.ts'
import { EPOCH } from '../support/clock.ts'
import type { Interference } from '../support/faults.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { requestFor } from '../support/world-requests.ts'
import type { WorldIssuer } from '../support/world-setup.ts'

const SERIAL = Uint8Array.of(0x61, 1)
const QUIET = { ...PAGING_RULES, quietMs: 60_000, crowdedMs: 60_000 }

let world: World
let ca: WorldIssuer
let operator: Isolate

beforeEach(async () => {
  world = await World.create({ seed: 21, maxLagSeconds: 0, colos: 1 }, ['unauthorized', 'unknown'])
  ca = world.issuer
  operator = world.isolate(0, {})
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  for (const issuer of world.issuers) {
    await world.add(operator, issuer, [{ serial: SERIAL, status: 'good', ...dates }])
    world.clock.advance(2_000)
  }
  await world.presign(operator, { all: true })
})
afterEach(() => world.close())

async function publishLater(): Promise<void> {
  world.clock.advance(2_000)
  await publish(operator.publisher)
}

/** Every issuer has been quiet for long, and stands in pages alone. */
async function page(): Promise<void> {
  await publishLater()
  world.clock.advance(120_000)
  const { directory, derived } = operator
  expect(await pageIssuers({ directory, derived, clock: world.clock }, QUIET)).toBeDefined()
  await publishLater()
}

async function ask(isolate: Isolate, issuer: WorldIssuer = ca, serial = SERIAL): Promise<Answer> {
  return respond(requestFor(issuer.record, [serial]), isolate.responder)
}

const statusOf = (answer: Answer) =>
  answer.responseStatus === 'successful' ? answer.certStatus : answer.responseStatus

const withoutPages: Interference = {
  value: (port, key, bytes) => (port === 'kv.bundle' && key.includes('d/SHA') ? undefined : bytes),
}

describe('an issuer that stands in pages', () => {
  test('is answered by an isolate that has just started, without asking the record', async () => {
    await page()
    const cold = world.isolate(0, {
      before(port) {
        if (port === 'd1') throw new Error('away')
      },
    })
    expect(statusOf(await ask(cold))).toBe('good')
    expect([...(cold.overlay.latest?.root.issuers ?? [])]).toEqual([])
    expect(await ask(cold)).toMatchObject({ origin: 'memory' })
  })

  test('and another that does not: the pages say which is ours (R1.40)', async () => {
    await page()
    const cold = world.isolate(0, {})
    const stranger = await World.create({ seed: 1, colos: 1 }, ['good'])
    expect(statusOf(await ask(cold, stranger.issuer))).toBe('unauthorized')
    stranger.close()
  })

  test('is told from one whose key hash begins alike (R1.16)', async () => {
    await page()
    const cold = world.isolate(0, {})
    const hashes = structuredClone(ca.record.hashes)
    hashes['SHA-256'].issuerKeyHash[31] = (hashes['SHA-256'].issuerKeyHash[31] ?? 0) ^ 1
    expect(statusOf(await ask(cold, { ...ca, record: { ...ca.record, hashes } }))).toBe('unauthorized')
    const names = structuredClone(ca.record.hashes)
    names['SHA-256'].issuerNameHash[0] = (names['SHA-256'].issuerNameHash[0] ?? 0) ^ 1
    expect(statusOf(await ask(cold, { ...ca, record: { ...ca.record, hashes: names } }))).toBe('unauthorized')
    expect(statusOf(await ask(cold))).toBe('good')
  })

  test('and changes is revoked at once where a root says so (law 2)', async () => {
    await page()
    const isolate = world.isolate(0, {})
    expect(statusOf(await ask(isolate))).toBe('good')
    await operator.admin.changeStatus(ca.record.id, SERIAL, { to: 'revoked' }, world.clock.nowMs())
    await publishLater()
    world.clock.advance(60_000)
    expect(statusOf(await ask(isolate))).toBe('revoked')
    await page() // and it stays so when the issuer has been quiet again
    expect([...(operator.overlay.latest?.root.issuers ?? [])]).toEqual([])
    for (const one of [isolate, world.isolate(0, {})]) {
      world.clock.advance(60_000)
      await publish(operator.publisher)
      expect(statusOf(await ask(one))).toBe('revoked')
    }
  })

  test('that is disabled is not ours', async () => {
    await operator.admin.updateIssuer(ca.record.id, { enabled: false }, world.clock.nowMs())
    await page()
    expect(statusOf(await ask(world.isolate(0, {})))).toBe('unauthorized')
    expect(statusOf(await ask(world.isolate(0, {}), world.issuers[1]))).toBe('good')
  })

  test('whose CA is compromised is revoked wherever its page is (R1.41)', async () => {
    await page()
    const isolate = world.isolate(0, {})
    expect(statusOf(await ask(isolate))).toBe('good')
    await operator.admin.compromiseIssuer(ca.record.id, world.clock.seconds, world.clock.nowMs())
    await page()
    world.clock.advance(60_000)
    await publish(operator.publisher)
    for (const one of [isolate, world.isolate(0, {}), world.isolate(0, withoutPages)])
      expect(statusOf(await ask(one))).toBe('revoked')
  })
})

describe('a page that neither cache nor KV has', () => {
  test('is read out of the record, once for however many requests', async () => {
    await page()
    let reads = 0
    const cold = world.isolate(0, {
      ...withoutPages,
      before(port, what) {
        if (port === 'd1' && what.includes('issuer_keys')) reads += 1
      },
    })
    await cold.overlay.refresh()
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(cold)))
    expect(new Set(all.map(statusOf))).toEqual(new Set(['good']))
    expect(reads).toBe(1)
    const unknown = { ...ca.record.hashes['SHA-256'], issuerNameHash: new Uint8Array(32) }
    const record = { ...ca.record, hashes: { ...ca.record.hashes, 'SHA-256': unknown } }
    expect(statusOf(await ask(cold, { ...ca, record }))).toBe('unauthorized')
    expect(reads).toBe(1)
  })

  test('is a fault when the record does not answer either: tryLater, never unauthorized (law 4)', async () => {
    await page()
    let isAway = true
    const cold = world.isolate(0, {
      ...withoutPages,
      before(port, what) {
        if (isAway && port === 'd1' && what.includes('issuer_keys')) throw new Error('away')
      },
    })
    expect(statusOf(await ask(cold))).toBe('tryLater')
    isAway = false
    expect(statusOf(await ask(cold))).toBe('tryLater') // it has failed a moment ago
    world.clock.advance(30_000)
    expect(statusOf(await ask(cold))).toBe('good')
  })

  test('is not made out of a record that has lost something', async () => {
    await page()
    const restore = world.record.backup()
    await operator.admin.compromiseIssuer(ca.record.id, world.clock.seconds, world.clock.nowMs())
    await page()
    const isolate = world.isolate(0, withoutPages)
    await isolate.overlay.refresh()
    world.replaying = true
    restore()
    expect(statusOf(await ask(isolate))).toBe('tryLater')
  })

  test('is renewed out of the record of now, and vouches no further than the root that named it', async () => {
    await page()
    const isolate = world.isolate(0, withoutPages)
    await isolate.overlay.refresh() // a root from before the change
    const { revision } = await operator.admin.changeStatus(
      ca.record.id,
      SERIAL,
      { to: 'revoked' },
      world.clock.nowMs(),
    )
    const before = await ask(isolate)
    const at = isolate.overlay.latest?.standing({
      id: ca.record.id,
      algorithm: 'SHA-256',
      keyHash: ca.record.hashes['SHA-256'].issuerKeyHash,
    })
    expect(statusOf(before)).toBe('good') // its root does not know, and its bundle is from before: within B
    expect(at?.head).toBe(0)
    isolate.responder.seen.note(at ?? noIssuer(), SERIAL, revision)
    expect(statusOf(await ask(isolate))).toBe('revoked') // what was told once is not taken back
  })
})

describe('as an answer leaves', () => {
  test('a root whose page is not in memory yet has it looked up once more, and not refused', async () => {
    await page()
    let adopt: (() => Promise<void>) | undefined
    const isolate = world.isolate(0, {
      async before(port, what) {
        if (port !== 'kv.bundle' || !what.startsWith('b/')) return
        const work = adopt
        adopt = undefined
        await work?.()
      },
    })
    // While the bundle is on its way, the issuer changes, becomes quiet, and a root names another page.
    adopt = async () => {
      await operator.admin.changeStatus(ca.record.id, SERIAL, { to: 'revoked' }, world.clock.nowMs())
      await page()
      await isolate.overlay.refresh()
    }
    expect(statusOf(await ask(isolate))).toBe('revoked')
    expect(adopt).toBeUndefined()
  })
})

function noIssuer(): never {
  throw new Error('the issuer stands nowhere')
}

describe('issuers without number', () => {
  interface Price {
    readonly kv: number
    readonly d1: number
    readonly bytes: number
    readonly rootBytes: number
  }

  /** What the first answer of an isolate that has just started reads. */
  async function priceOfFirstAnswer(): Promise<Price> {
    world.caches[0]?.clear()
    const price = { kv: 0, d1: 0, bytes: 0, rootBytes: 0 }
    const inner = world.kv.view(0)
    const cold = world.isolate(
      0,
      {
        before(port) {
          if (port === 'd1') price.d1 += 1
        },
      },
      {
        kv: {
          ...inner,
          async get(key, options) {
            const value = await inner.get(key, options)
            price.kv += 1
            price.bytes += value?.byteLength ?? 0
            if (key === 'o/root') price.rootBytes = value?.byteLength ?? 0
            return value
          },
        },
      },
    )
    expect(statusOf(await ask(cold))).toBe('good')
    return price
  }

  /** Straight into the record: what matters here is what stands in it. */
  function record(count: number): void {
    const hex = (octets: Uint8Array) => Buffer.from(octets).toString('hex')
    const seq = (world.clock.nowMs() - 3_600_000) * 1000
    const hashes = Array.from({ length: count }, (_, n) => {
      return Object.fromEntries(
        Object.entries(manyHashes(n)).map(([name, { issuerNameHash, issuerKeyHash }]) => [
          name,
          [hex(issuerNameHash), hex(issuerKeyHash)],
        ]),
      )
    })
    world.record.exec('BEGIN')
    hashes.forEach((one, n) => {
      world.record.rows(
        `INSERT INTO issuers (name, ski, certificate, hashes, not_before, not_after, policy, config_rev, seq, floor,
          longest_validity, unknown_signed, published)
        SELECT 'many-' || ?1, printf('%040x', CAST(?1 AS INTEGER)), certificate, ?2, not_before, not_after, policy, ?3, ?3, ?3,
          longest_validity, 0, ?3 FROM issuers WHERE id = ?4`,
        `${n + 1}`,
        JSON.stringify(one),
        seq,
        ca.record.id,
      )
    })
    world.record.exec('COMMIT')
  }

  test('the first answer costs as many reads with 10,000 of them as with one, and the root stays small', async () => {
    await page()
    const one = await priceOfFirstAnswer()
    record(9_998)
    await page()
    expect(world.record.rows('SELECT count(*) AS n FROM issuers')).toEqual([{ n: 10_000 }])
    expect(world.record.rows('SELECT count(*) AS n FROM issuers WHERE seq > paged_seq')).toEqual([{ n: 0 }])
    const many = await priceOfFirstAnswer()
    expect(one).toMatchObject({ kv: 4, d1: 0 }) // root, page of the directory, issuer, bundle
    expect(many).toMatchObject({ kv: 4, d1: 0 })
    expect(many.rootBytes).toBeLessThanOrEqual(20_000)
    console.info('first answer, octets read from KV:', JSON.stringify({ one, many }))
  }, 120_000)
})
