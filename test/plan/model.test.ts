/** The model of cost: prices, slots, and what a slot goes through. That it agrees with the Worker is shown in test/scripts/plan-check.test.ts. */
import { describe, expect, test } from 'vitest'
import { costOf, countOf } from '../../scripts/plan/cost.ts'
import { ALGORITHMS, SERIAL_BYTES } from '../../scripts/plan/figures.ts'
import { bundleBytes, geometryOf } from '../../scripts/plan/geometry.ts'
import { type PlanInput, readOptions } from '../../scripts/plan/input.ts'
import { modelOf } from '../../scripts/plan/model.ts'
import { planOf } from '../../scripts/plan/plan.ts'
import { dollarsFor, PRICES, priceOf } from '../../scripts/plan/prices.ts'
import { walkSlots } from '../../scripts/plan/slot-walk.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'

const DAY = 86_400

function inputOf(changes: Partial<PlanInput> = {}): PlanInput {
  const options = readOptions([])
  if (options === 'help') throw new Error('help')
  return { ...options.input, ...changes }
}

/** DER of a SEQUENCE, so many octets in all, with zeros for content. */
function sequence(octets: number): Uint8Array {
  const head = octets < 130 ? [0x30, octets - 2] : [0x30, 0x82, (octets - 4) >> 8, (octets - 4) & 0xff]
  return new Uint8Array([...head, ...new Array<number>(octets - head.length).fill(0)])
}

describe('prices', () => {
  test('each has a source and a date, and what is included costs nothing', () => {
    for (const { meter, included, dollars, per, source, date } of PRICES) {
      expect(source).toMatch(/^developers\.cloudflare\.com\//)
      expect(date).toMatch(/^20\d\d-\d\d-\d\d$/)
      expect(dollarsFor(meter, included)).toBe(0)
      expect(dollarsFor(meter, included + 2 * per)).toBeCloseTo(2 * dollars)
    }
    expect(new Set(PRICES.map(({ meter }) => meter)).size).toBe(PRICES.length)
  })

  test('what is included goes to the work before traffic, and both together are what all of it costs', () => {
    const { included } = priceOf('kvReads')
    const cost = costOf([
      { meter: 'kvReads', part: 'build', count: included / 2 },
      { meter: 'kvReads', part: 'traffic', count: included },
    ])
    expect(cost.before).toBe(0)
    expect(cost.traffic).toBeCloseTo(dollarsFor('kvReads', included * 1.5))
    expect(cost.total).toBeCloseTo(cost.before + cost.traffic + 5)
  })
})

describe('slots', () => {
  test('a bundle is as large as the encoder makes it', async () => {
    const variants = [
      {
        hashAlgorithm: 'SHA-1' as const,
        issuerNameHash: new Uint8Array(20),
        issuerKeyHash: new Uint8Array(20),
      },
      {
        hashAlgorithm: 'SHA-256' as const,
        issuerNameHash: new Uint8Array(32),
        issuerKeyHash: new Uint8Array(32),
      },
    ]
    const entries = Array.from({ length: 100 }, (_, n) => ({
      serial: new Uint8Array(SERIAL_BYTES).fill(1).fill(n, 1, 2),
      certStatus: { type: 'good' as const },
      window: 0,
      signatures: [new Uint8Array(71), new Uint8Array(71)],
    }))
    const window = { responder: 0, thisUpdate: 1, producedAt: 1, nextUpdate: 2 }
    const bytes = await encodeBundle({
      issuer: 1,
      k: 0,
      slot: 0,
      asOf: 1,
      variants,
      responders: [
        {
          id: 1,
          keyHash: new Uint8Array(20),
          signatureAlgorithm: sequence(12),
          certs: [sequence(450)],
        },
      ],
      windows: [window, window],
      entries,
    })
    expect(bundleBytes(100, 2, ALGORITHMS['P-256'], 2)).toBe(bytes.length)
  })

  test.each([
    [500, 1],
    [100_000, 128],
    [100_000_000, 131_072],
  ])('%d certificates are in %d slots, none of which has more than a thousand', (certs, slots) => {
    const geometry = geometryOf(certs, 1, 2, ALGORITHMS['P-256'])
    expect(geometry.slots).toBe(slots)
    expect(geometry.entries).toBeLessThan(1_000)
  })

  test('large signatures make more slots, many issuers make at least one each', () => {
    const small = geometryOf(1e6, 1, 2, ALGORITHMS['P-256'])
    const large = geometryOf(1e6, 1, 2, ALGORITHMS['RSA-4096'])
    expect(large.slots).toBeGreaterThan(small.slots)
    expect(large.bundleBytes).toBeLessThan(262_144)
    expect(geometryOf(1e6, 10_000, 2, ALGORITHMS['P-256']).slots).toBe(10_000)
  })
})

describe('the life of a slot', () => {
  const life = {
    entries: 700,
    addedPerDay: 0,
    revokedPerDay: 0,
    validitySeconds: 7 * DAY,
    cronSeconds: 60,
    settleDays: 100,
    days: 100,
    sample: 20,
  }

  test('where nothing changes it is built once in each half of the validity, and signed whole', () => {
    const { builds, signed, windows, waiting } = walkSlots(life)
    expect(builds).toBeGreaterThan(2 / 7)
    expect(builds).toBeLessThan((2 / 7) * 1.06)
    expect(signed).toBeCloseTo(builds * 700)
    expect([windows, waiting]).toEqual([1, 0])
  })

  test('each revocation builds it at once, and its windows come together again', () => {
    const { builds, windows } = walkSlots({ ...life, revokedPerDay: 1 })
    expect(builds).toBeGreaterThan(1)
    expect(builds).toBeLessThan(1.8)
    expect(windows).toBeLessThan(4)
  })

  test('few that are recorded wait for three days, many for 32', () => {
    const few = walkSlots({ ...life, addedPerDay: 1, validitySeconds: 10 * DAY })
    expect(few.builds).toBeLessThan(1 / 3)
    expect(few.waiting).toBeGreaterThan(1)
    const many = walkSlots({ ...life, addedPerDay: 64 })
    expect(many.builds).toBeGreaterThan(1.9)
    expect(many.builds).toBeLessThan(2.3)
  })

  test('the same question has the same answer', () => {
    expect(walkSlots({ ...life, addedPerDay: 3, revokedPerDay: 0.3 })).toEqual(
      walkSlots({ ...life, addedPerDay: 3, revokedPerDay: 0.3 }),
    )
  })
})

describe('three ways', () => {
  const { ways } = planOf(inputOf())

  test('a KV value for each response costs hundreds of times what bundles do, before any traffic', () => {
    expect(ways.oneKey.cost.before).toBeGreaterThan(100 * ways.bundles.cost.before)
    expect(countOf(ways.oneKey.items, 'kvWrites')).toBeGreaterThan(
      500 * countOf(ways.bundles.items, 'kvWrites'),
    )
  })

  test('signing on demand has no work before traffic but the record', () => {
    expect(countOf(ways.onDemand.items, 'kvWrites')).toBe(0)
    expect(ways.onDemand.cost.before).toBeLessThan(ways.bundles.cost.before)
  })

  test('every certificate is written once, and one in thirty deleted, in each way', () => {
    for (const way of [ways.bundles, ways.oneKey, ways.onDemand]) {
      const written = countOf(way.items, 'rowsWritten', ({ part }) => part === 'record' || part === 'prune')
      expect(written).toBeGreaterThan(30.4e6)
      expect(written).toBeLessThan(1.25 * 30.4e6)
    }
  })

  test('whoever records few at once has each certificate written once and deleted once', () => {
    const { items } = planOf(inputOf({ importBatch: 9 })).ways.onDemand
    const written = countOf(items, 'rowsWritten', ({ part }) => part === 'record' || part === 'prune')
    expect(written).toBeGreaterThan(2 * 30.4e6)
  })

  test('100 million certificates cost less than $25 a month before traffic', () => {
    expect(ways.bundles.cost.before).toBeLessThan(25)
  })

  test('a small deployment fits into the plan', () => {
    const small = planOf(
      inputOf({ certs: 100_000, issuedPerDay: 1_000, revokedPerDay: 10, requests: 5e6, isolates: 20 }),
    )
    expect(small.ways.bundles.cost.total).toBe(5)
  })

  test('more of anything never costs less', () => {
    const base = modelOf(inputOf())
    for (const more of [
      inputOf({ certs: 2e8 }),
      inputOf({ issuedPerDay: 2e6 }),
      inputOf({ revokedPerDay: 2e4 }),
      inputOf({ requests: 2e9 }),
      inputOf({ hashes: 3 }),
      inputOf({ algorithm: ALGORITHMS['RSA-2048'] }),
    ])
      expect(costOf(modelOf(more).ways.bundles).total).toBeGreaterThan(costOf(base.ways.bundles).total)
  })
})
