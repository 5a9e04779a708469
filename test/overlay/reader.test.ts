import { beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { OverlayReader } from '../../src/overlay/reader.ts'
import { encodeRoot } from '../../src/overlay/root-encoder.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { OverlayIssuer, OverlaySnapshot } from '../../src/ports/records.ts'
import { EPOCH, VirtualClock } from '../support/clock.ts'
import { noPages } from '../support/no-pages.ts'
import { TEST_HASHES } from './hashes.ts'

const BOUND_MS = 300_000
const SERIAL = Uint8Array.of(0x61, 1)
const SEQ = EPOCH * 1_000_000

let clock: VirtualClock
let kv: Uint8Array | null | Error
let record: OverlaySnapshot | Error
let reads: { kv: number; record: number }
let background: Promise<unknown>[]
let reader: OverlayReader

const issuer = (over: Partial<OverlayIssuer> = {}): OverlayIssuer => ({
  id: 1,
  head: SEQ,
  floor: 0,
  k: 0,
  configRev: 1,
  enabled: true,
  frozen: false,
  hashes: TEST_HASHES,
  ...over,
})
const snapshot = (
  head = SEQ,
  items: OverlaySnapshot['items'] = [],
  over: Partial<OverlayIssuer> = {},
): OverlaySnapshot => ({
  position: head,
  issuers: [issuer({ head, ...over })],
  pages: [],
  segments: [],
  floors: [],
  items,
})
const root = (version: number, timeMs = clock.nowMs(), known = snapshot(), frozen: number[] = []) =>
  encodeRoot(known, version, timeMs, 3, new Set(frozen))

beforeEach(() => {
  clock = new VirtualClock()
  kv = null
  record = new StorageError('unavailable', 'away')
  reads = { kv: 0, record: 0 }
  background = []
  reader = new OverlayReader(
    {
      derived: {
        async readRoot() {
          reads.kv += 1
          if (kv instanceof Error) throw kv
          return kv
        },
      },
      overlay: {
        async readOverlay() {
          reads.record += 1
          if (record instanceof Error) throw record
          return record
        },
      },
      pages: noPages(clock),
      clock,
      random: () => 9,
      background: (work) => background.push(work),
    },
    BOUND_MS,
  )
})

const version = () => reader.fresh(clock.nowMs())?.version

describe('a root from KV', () => {
  test('is used at once for half a minute, then renewed behind the answers', async () => {
    kv = root(1)
    await reader.refresh()
    clock.advance(29_999)
    expect(version()).toBe(1)
    expect(reads.kv).toBe(1)
    clock.advance(1)
    kv = root(2)
    expect(version()).toBe(1) // this request does not wait
    await Promise.all(background)
    expect(version()).toBe(2)
    expect(reads).toEqual({ kv: 2, record: 0 })
  })

  test('is waited for when nothing was asked for a minute', async () => {
    kv = root(1)
    await reader.refresh()
    clock.advance(60_000)
    expect(reader.fresh(clock.nowMs())).toBeUndefined()
  })

  test('is never replaced by an older one, whatever order they come in', async () => {
    for (const [value, kept] of [
      [5, 5],
      [3, 5],
      [5, 5],
      [6, 6],
      [1, 6],
    ] as const) {
      kv = root(value)
      expect((await reader.refresh()).version).toBe(kept)
    }
  })

  test('is not replaced by one of a higher version that knows less of the record', async () => {
    kv = root(5, clock.nowMs(), snapshot(SEQ + 10))
    await reader.refresh()
    kv = root(6, clock.nowMs(), snapshot(SEQ + 9))
    expect((await reader.refresh()).version).toBe(5)
    const restored = { ...snapshot(SEQ + 9), position: SEQ + 10 } // the publisher found out: it says so, and stands as high
    kv = root(7, clock.nowMs(), restored, [1])
    expect((await reader.refresh()).version).toBe(7)
  })

  test('is believed up to the bound and not a moment longer (law 2)', async () => {
    kv = root(1)
    await reader.refresh()
    for (let passed = 0; passed < BOUND_MS; passed += 30_000) {
      clock.advance(30_000)
      expect((await reader.refresh()).version).toBe(1)
    }
    clock.advance(1)
    expect(reader.fresh(clock.nowMs())).toBeUndefined()
    await expect(reader.refresh()).rejects.toMatchObject({ reason: 'overlayUnreadable' })
  })

  test('from more than a minute ahead of our clock is not believed', async () => {
    kv = root(1, clock.nowMs() + 60_001)
    await expect(reader.refresh()).rejects.toThrow(StorageError)
    kv = root(2, clock.nowMs() + 60_000)
    expect((await reader.refresh()).version).toBe(2)
  })

  test('what this isolate has published itself shows at once', async () => {
    kv = root(1)
    await reader.refresh()
    reader.adopt(root(4))
    expect(version()).toBe(4)
    expect(reader.latest?.version).toBe(4)
  })
})

describe('without a readable root in KV', () => {
  const lost: [string, () => Uint8Array | null | Error][] = [
    ['absent', () => null],
    ['away', () => new Error('KV is away')],
    ['corrupt', () => root(1).fill(0, 30, 60)],
    ['older than the bound', () => root(1, clock.nowMs() - BOUND_MS - 1)],
  ]

  test.each(lost)('(%s) the record is read in its stead', async (_, value) => {
    kv = value()
    record = snapshot(SEQ + 7, [{ issuer: 1, serial: SERIAL, seq: SEQ + 7 }])
    const built = await reader.refresh()
    const at = built.issuer(1)
    expect(at?.head).toBe(SEQ + 7)
    expect(at && built.need(at, SERIAL, serialHash(SERIAL))).toBe(SEQ + 7)
    expect(built.timeMs).toBe(clock.nowMs())
    expect(reader.fresh(clock.nowMs())).toBe(built)
  })

  test('the record is asked every 30 s at most, by however many requests', async () => {
    const asks = () => Promise.allSettled(Array.from({ length: 20 }, () => reader.refresh()))
    await asks()
    clock.advance(29_999)
    await asks()
    expect(reads.record).toBe(1)
    clock.advance(1)
    await asks()
    expect(reads.record).toBe(2)
    record = snapshot()
    clock.advance(30_000)
    expect((await asks()).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(reads.record).toBe(3)
  })

  test('a root of its own gives way to a published one', async () => {
    record = snapshot()
    const own = await reader.refresh()
    clock.advance(30_000)
    kv = root(own.version + 1)
    expect((await reader.refresh()).version).toBe(own.version + 1)
    expect(reads.record).toBe(1)
  })

  test('a record that has lost what the held root knew is frozen, and its items are kept (attack 4)', async () => {
    kv = root(1, clock.nowMs(), snapshot(SEQ + 10, [{ issuer: 1, serial: SERIAL, seq: SEQ + 10 }]))
    await reader.refresh()
    clock.advance(BOUND_MS + 1)
    kv = null
    record = snapshot(SEQ + 2)
    const built = await reader.refresh()
    const at = built.issuer(1)
    expect(at).toMatchObject({ frozen: true, head: SEQ + 2, floor: clock.nowMs() * 1000 })
    expect(at && built.need(at, SERIAL, serialHash(SERIAL))).toBeGreaterThanOrEqual(SEQ + 10)
    // Once it is floored it stays so, until it is thawed.
    clock.advance(BOUND_MS + 1)
    expect((await reader.refresh()).issuer(1)?.floor).toBe(at?.floor)
    clock.advance(BOUND_MS + 1)
    record = snapshot(clock.nowMs() * 1000, [], { floor: clock.nowMs() * 1000 })
    expect((await reader.refresh()).issuer(1)).toMatchObject({ frozen: false, floor: clock.nowMs() * 1000 })
  })
})
