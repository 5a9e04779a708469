/** What an isolate keeps: finished answers, bundles, and what it has told already. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { BundleEntry } from '../../src/bundle/bundle-format.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash } from '../../src/bundle/slot.ts'
import type { RootIssuer } from '../../src/overlay/root.ts'
import { OverlayRoot } from '../../src/overlay/root.ts'
import { encodeRoot } from '../../src/overlay/root-encoder.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import type { StatusAnswer } from '../../src/responder/answer.ts'
import { statusAnswer } from '../../src/responder/answer.ts'
import { AnswerMemory, answerKey } from '../../src/responder/answer-memory.ts'
import { BundleSource } from '../../src/responder/bundle-source.ts'
import type { MissedBundles } from '../../src/responder/missed-bundles.ts'
import type { Query } from '../../src/responder/query.ts'
import { Seen } from '../../src/responder/seen.ts'
import { content, filler, good, SHA1, SHA256, serialOf, WINDOW } from '../bundle/support.ts'
import { TEST_HASHES } from '../overlay/hashes.ts'
import { EPOCH } from '../support/clock.ts'
import { makeTestPKI, TEST_POLICY } from '../support/pki.ts'

const pki = await makeTestPKI({ now: EPOCH })
const ISSUER = pki.issuerRecord({ id: 7 })
const ASOF = content().asOf
/** Right after the window of the bundle fixtures has begun. */
const NOW = WINDOW.producedAt + 10

function rootIssuer(over: { head?: number; floor?: number } = {}): RootIssuer {
  const issuer = {
    id: 7,
    head: ASOF,
    floor: 0,
    k: 0,
    configRev: 1,
    enabled: true,
    frozen: false,
    hashes: TEST_HASHES,
    ...over,
  }
  const found = OverlayRoot.open(
    encodeRoot(
      { position: 1, issuers: [issuer], pages: [], segments: [], floors: [], items: [] },
      1,
      NOW * 1000,
      1,
    ),
  ).issuer(7)
  if (found === undefined) throw new Error('no issuer')
  return found
}

describe('answers in memory', () => {
  const answerOf = (
    asOf: number,
    over: { length?: number; nextUpdate?: number } = {},
  ): Promise<StatusAnswer> =>
    statusAnswer({
      der: new Uint8Array(over.length ?? 400),
      origin: 'bundle',
      issuer: 7,
      certStatus: 'good',
      hashAlgorithm: 'SHA-256',
      window: { ...WINDOW, ...(over.nextUpdate === undefined ? {} : { nextUpdate: over.nextUpdate }) },
      told: [{ asOf, revision: asOf }],
      personal: false,
      policy: TEST_POLICY,
    })

  test('are found while they are current and new enough, and say where they came from', async () => {
    const memory = new AnswerMemory()
    memory.put('a', await answerOf(100), NOW)
    expect(memory.find('a', 100, NOW)).toMatchObject({ asOf: 100, origin: 'memory' })
    expect(memory.find('b', 0, NOW)).toBeUndefined()
    expect(memory.find('a', 101, NOW)).toBeUndefined() // overtaken: forgotten
    expect(memory.find('a', 0, NOW)).toBeUndefined()
  })

  test('are gone at nextUpdate (law 1)', async () => {
    const memory = new AnswerMemory()
    memory.put('a', await answerOf(1, { nextUpdate: NOW + 100 }), NOW + 98)
    expect(memory.find('a', 0, NOW + 99)).toBeDefined()
    expect(memory.find('a', 0, NOW + 100)).toBeUndefined()
  })

  test('past the middle of their window are looked up again every half a minute', async () => {
    const memory = new AnswerMemory()
    const answer = await answerOf(1)
    const late = WINDOW.thisUpdate + 5 * 86_400
    memory.put('a', answer, late)
    expect(memory.find('a', 0, late + 29)).toBeDefined()
    expect(memory.find('a', 0, late + 30)).toBeUndefined()
    memory.put('a', answer, late + 30)
    expect(memory.find('a', 0, late + 31)).toBeDefined()
  })

  test('that were not used for longest go first, and the weight is kept', async () => {
    const memory = new AnswerMemory(3_100) // three of 1,000 octets
    for (const key of ['a', 'b', 'c']) memory.put(key, await answerOf(1), NOW)
    memory.find('a', 0, NOW)
    memory.put('d', await answerOf(1), NOW)
    expect(['a', 'b', 'c', 'd'].map((key) => memory.find(key, 0, NOW) !== undefined)).toEqual([
      true,
      false,
      true,
      true,
    ])
    for (let i = 0; i < 100; i += 1) memory.put('a', await answerOf(1), NOW) // replacing weighs nothing
    expect(memory.find('d', 0, NOW)).toBeDefined()
    memory.put('huge', await answerOf(1, { length: 5_000 }), NOW)
    expect(memory.find('huge', 0, NOW)).toBeUndefined()
  })

  test('have one key for each issuer, hash and serial', () => {
    const keys = [
      answerKey(1, 'SHA-1', Uint8Array.of(1)),
      answerKey(1, 'SHA-256', Uint8Array.of(1)),
      answerKey(2, 'SHA-1', Uint8Array.of(1)),
      answerKey(1, 'SHA-1', Uint8Array.of(1, 0)),
      answerKey(1, 'SHA-1', Uint8Array.of(0, 1)),
      answerKey(11, 'SHA-1', Uint8Array.of(1)),
    ]
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('bundles', () => {
  const serial = serialOf(1)
  let kv: Uint8Array | null | Error
  let cached: Map<string, Uint8Array>
  let reads: { kv: number; cache: number }
  let source: BundleSource
  let missed: Parameters<MissedBundles['note']>[]

  beforeEach(() => {
    kv = null
    missed = []
    cached = new Map()
    reads = { kv: 0, cache: 0 }
    source = makeSource()
  })

  function makeSource(): BundleSource {
    return new BundleSource({
      derived: {
        async readBundle() {
          reads.kv += 1
          if (kv instanceof Error) throw kv
          return kv?.slice() ?? null
        },
      },
      cache: {
        async match(key) {
          reads.cache += 1
          return cached.get(key)?.slice()
        },
        async put(key, bytes) {
          cached.set(key, bytes.slice())
        },
      },
      missed: { note: (...slot) => missed.push(slot) },
      background: () => undefined,
    })
  }

  const bundle = (asOf = ASOF, entries: BundleEntry[] = [good(serial)], over = {}) =>
    encodeBundle(content({ asOf, entries, variants: [SHA1, SHA256], ...over }))

  function query(need = 0, of = serial, k = 0): Query {
    const certID = { ...SHA256, hashAlgorithm: hashAlgorithmIdentifier('SHA-256'), serialNumber: of }
    const asked = { certID, hashAlgorithm: 'SHA-256' as const, serial: of, hash: serialHash(of), need }
    return { issuer: ISSUER, at: { ...rootIssuer(), k }, first: asked, asked: [asked], nonce: undefined }
  }

  const find = (need = 0, now = NOW, of = serial) => source.find(query(need, of), now)

  test('come from KV, then from memory; another isolate of the data centre has them from its cache', async () => {
    kv = await bundle()
    expect(await find()).toMatchObject({ origin: 'bundle', asOf: ASOF, certStatus: 'good', personal: false })
    expect(await find()).toMatchObject({ origin: 'memory' })
    source = makeSource()
    expect(await find()).toMatchObject({ origin: 'cache' })
    expect(reads.kv).toBe(1)
  })

  test('that are too old for a serial are looked up in KV at once, then every half a minute', async () => {
    kv = await bundle(ASOF)
    await find()
    source = makeSource() // a cold isolate with the old bundle in the cache
    kv = await bundle(ASOF + 100)
    expect(await find(ASOF + 50)).toMatchObject({ origin: 'bundle', asOf: ASOF + 100 })
    expect(await find(ASOF + 200)).toBeUndefined()
    kv = await bundle(ASOF + 300)
    expect(await find(ASOF + 200, NOW + 29)).toBeUndefined()
    expect(await find(ASOF + 200, NOW + 31)).toMatchObject({ asOf: ASOF + 300 })
  })

  test('a cached bundle that served one serial does not keep another from KV', async () => {
    kv = await bundle(ASOF, [good(serial), good(serialOf(2))])
    await find()
    source = makeSource()
    kv = await bundle(ASOF + 100, [good(serial), good(serialOf(2))])
    expect(await find(0)).toMatchObject({ origin: 'cache', asOf: ASOF })
    expect(await find(ASOF + 50, NOW, serialOf(2))).toMatchObject({ origin: 'bundle', asOf: ASOF + 100 })
  })

  test('are never given up for older ones, nor for absence (law 2)', async () => {
    kv = await bundle(ASOF + 100)
    await find()
    for (const older of [await bundle(ASOF), null, new Error('away'), new Uint8Array(50)]) {
      kv = older
      expect(await find(ASOF + 150, NOW + 1_000)).toBeUndefined() // makes it look again
      expect(await find(ASOF + 50, NOW + 1_000)).toMatchObject({ asOf: ASOF + 100 })
    }
  })

  test('past nextUpdate are no answer (law 1)', async () => {
    kv = await bundle()
    expect(await find(0, WINDOW.nextUpdate - 1)).toBeDefined()
    expect(await find(0, WINDOW.nextUpdate)).toBeUndefined()
  })

  test('of another issuer, era or slot, torn or foreign, are a miss (attack 9)', async () => {
    const foreign = [
      await bundle(ASOF, [], { issuer: 8 }),
      await bundle(ASOF, [], { k: 1, slot: 0 }),
      (await bundle()).subarray(0, 200),
      Uint8Array.from(await bundle(), (octet, i) => (i === 40 ? octet ^ 1 : octet)),
      Uint8Array.of(1, 2, 3),
    ]
    for (const bytes of foreign) {
      source = makeSource()
      cached.clear()
      kv = bytes
      expect(await find()).toBeUndefined()
      cached.set('b/7/0/0', bytes) // and in the cache it does not hide the good one
      source = makeSource()
      kv = await bundle()
      expect(await find()).toMatchObject({ origin: 'bundle' })
    }
  })

  test('a serial that a bundle lacks is a miss, not an answer (law 4)', async () => {
    kv = await bundle()
    expect(await find(0, NOW, serialOf(9))).toBeUndefined()
  })

  test('prove a status to the signer without an answer of their own', async () => {
    kv = await bundle()
    const asked = query()
    expect(await source.prove(asked, asked.first, NOW)).toEqual({
      certStatus: { type: 'good' },
      since: WINDOW.thisUpdate,
      asOf: ASOF,
    })
    const newer = query(ASOF + 1)
    expect(await source.prove(newer, newer.first, NOW)).toBeUndefined()
  })

  test('what KV does not have, or has torn, is missed; what it does not say is not', async () => {
    expect(await find()).toBeUndefined()
    expect(missed).toEqual([[7, 0, 0, NOW]])
    missed = []
    kv = new Error('KV is away')
    source = makeSource()
    expect(await find()).toBeUndefined()
    expect(missed).toEqual([])
    kv = Uint8Array.of(1, 2, 3)
    source = makeSource()
    expect(await find()).toBeUndefined()
    expect(missed.length).toBeGreaterThan(0)
    missed = []
    kv = await bundle()
    source = makeSource()
    expect(await find()).toBeDefined()
    expect(missed).toEqual([])
  })

  test('one read in flight for one slot, whoever asks', async () => {
    kv = await bundle()
    const found = await Promise.all(Array.from({ length: 20 }, () => find()))
    expect(found.every((answer) => answer !== undefined)).toBe(true)
    expect(reads).toEqual({ kv: 1, cache: 1 })
  })

  test('at most 64 reads in flight in one isolate (attack 14)', async () => {
    let inFlight = 0
    let most = 0
    const { promise: gate, resolve: open } = Promise.withResolvers<null>()
    const busy = new BundleSource({
      derived: {
        async readBundle() {
          inFlight += 1
          most = Math.max(most, inFlight)
          await gate
          inFlight -= 1
          return null
        },
      },
      cache: { match: async () => undefined, put: async () => undefined },
      missed: { note: () => undefined },
      background: () => undefined,
    })
    const asks = Array.from({ length: 300 }, (_, n) => busy.find(query(0, serialOf(n * 7_919), 16), NOW))
    await new Promise((resolve) => setImmediate(resolve))
    open(null)
    await Promise.all(asks)
    expect(most).toBe(64)
  })

  describe('of 2 MB, of which 16 MB are kept,', () => {
    const K = 5
    /** One in each slot, its response verbatim: a view into the bundle. */
    const largeSerials = Array.from({ length: 1 << K }, (_, slot) => serialIn(slot))
    let taken: ArrayBufferLike[]
    let puts: number
    let large: BundleSource

    beforeEach(async () => {
      taken = []
      puts = 0
      const bytes = await Promise.all(largeSerials.map((of, slot) => largeBundle(of, slot)))
      large = new BundleSource({
        derived: {
          async readBundle(_issuer, _k, slot) {
            const own = bytes[slot]?.slice() ?? null
            if (own !== null) taken.push(own.buffer)
            return own
          },
        },
        cache: {
          match: async () => undefined,
          put: () => {
            puts += 1
            return new Promise(() => undefined)
          },
        },
        missed: { note: () => undefined },
        background: () => undefined,
      })
    })

    function serialIn(slot: number): Uint8Array {
      for (let n = slot * 1_000; ; n += 1) {
        const candidate = serialOf(n)
        if (serialHash(candidate) >>> (32 - K) === slot) return candidate
      }
    }

    /** SEQUENCE of 2 MB. */
    function largeAnswer(slot: number): Uint8Array {
      const der = new Uint8Array(2_000_000).fill(slot)
      der.set([0x30, 0x83, ...[16, 8, 0].map((bits) => ((der.length - 5) >>> bits) & 0xff)])
      return der
    }

    function largeBundle(of: Uint8Array, slot: number): Promise<Uint8Array> {
      const verbatim = [undefined, largeAnswer(slot)]
      const entry: BundleEntry = { ...good(of), signatures: [filler(70, 1), undefined], verbatim }
      return encodeBundle(content({ k: K, slot, entries: [entry], variants: [SHA1, SHA256] }))
    }

    const findLarge = (slot: number) => large.find(query(0, largeSerials[slot], K), NOW)

    test('those that make room give their memory back at once, and the answers out of them stay', async () => {
      const answers = []
      for (const slot of largeSerials.keys()) answers.push(await findLarge(slot))
      const alive = taken.map((buffer) => buffer.byteLength > 0)
      expect(alive).toEqual(largeSerials.map((_, slot) => slot >= largeSerials.length - 8))
      for (const [slot, answer] of answers.entries())
        expect(Buffer.compare(answer?.der ?? new Uint8Array(), largeAnswer(slot))).toBe(0)
      expect(await findLarge(0)).toMatchObject({ origin: 'bundle' }) // read again
      expect(await findLarge(31)).toMatchObject({ origin: 'memory' })
    })

    test('one that a newer one takes the place of gives its memory back', async () => {
      await findLarge(3)
      expect(await large.find(query(ASOF + 1, largeSerials[3], K), NOW + 31)).toBeUndefined()
      expect(taken.map((buffer) => buffer.byteLength > 0)).toEqual([false, true])
      expect(await findLarge(3)).toMatchObject({ origin: 'memory' })
    })

    test('at most 16 are on their way into a cache that takes its time (attack 14), until it has failed', async () => {
      for (const slot of largeSerials.keys()) await findLarge(slot)
      expect(puts).toBe(16)
      await large.find(query(0, largeSerials[0], K), NOW + 6)
      expect(puts).toBe(17)
    })
  })
})

describe('what an isolate has told from beyond the overlay', () => {
  const serial = serialOf(1)

  test('stands until a root has caught up', () => {
    const seen = new Seen()
    seen.note(rootIssuer(), serial, ASOF + 5)
    expect(seen.need(rootIssuer(), serial)).toBe(ASOF + 5)
    expect(seen.need(rootIssuer(), serialOf(2))).toBe(0)
    expect(seen.need(rootIssuer({ head: ASOF + 4 }), serial)).toBe(ASOF + 5)
    expect(seen.need(rootIssuer({ head: ASOF + 5 }), serial)).toBe(0)
  })

  test('never sinks, and what the root knows is not kept', () => {
    const seen = new Seen()
    seen.note(rootIssuer(), serial, ASOF)
    expect(seen.need(rootIssuer(), serial)).toBe(0)
    seen.note(rootIssuer(), serial, ASOF + 9)
    seen.note(rootIssuer(), serial, ASOF + 3)
    expect(seen.need(rootIssuer(), serial)).toBe(ASOF + 9)
  })

  test('when there is too much of it, the oldest counts for the whole issuer: slower, never wrong', () => {
    const seen = new Seen()
    for (let n = 0; n < 10_500; n += 1) seen.note(rootIssuer(), serialOf(n), ASOF + 1 + n)
    for (let n = 0; n < 10_500; n += 1)
      if (seen.need(rootIssuer(), serialOf(n)) < ASOF + 1 + n) throw new Error(`serial ${n} was forgotten`)
    expect(seen.need(rootIssuer(), serialOf(99_999))).toBe(ASOF + 500)
    expect(seen.need(rootIssuer({ head: ASOF + 500 }), serialOf(99_999))).toBe(0)
  })
})
