/**
 * Clients behind shared caches of every kind, over several data centres, with and without the Cache API: the clock walks
 * through whole validities, second by second around everything that may change an answer (R2.7-R2.18, section 6).
 */
import { afterEach, describe, expect, test } from 'vitest'
import type { IssuerPolicy } from '../../src/ports/records.ts'
import { type Origin, SharedCache, type SharedCacheOptions } from '../support/shared-cache.ts'
import {
  type Asked,
  checkTimes,
  type Facts,
  HEADERS,
  maxAgeOf,
  NO_CACHE,
  Walk,
  type WalkOptions,
} from './validity-walk-world.ts'

const VALIDITY = 7_200
const BOUND = 300
const GOOD: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-1' }
const SAME: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-256' }
const OTHER: Asked = { serial: Uint8Array.of(0x41, 2), hash: 'SHA-1' }
const REVOKED: Asked = { serial: Uint8Array.of(0x41, 3), hash: 'SHA-1' }
const LIVE: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-384' }
const ALL = [GOOD, SAME, OTHER, REVOKED, LIVE]

let walk: Walk
afterEach(() => walk.close())

async function begin(options: Partial<WalkOptions> = {}): Promise<void> {
  walk = await Walk.create({ validitySeconds: VALIDITY, colos: 3, maxLagSeconds: 20, ...options })
  await walk.add(GOOD.serial)
  await walk.add(OTHER.serial)
  await walk.add(REVOKED.serial, { status: 'revoked', revocationTime: walk.now - 600, reason: 1 })
}

const cache = (origin: Origin, options: Partial<SharedCacheOptions> = {}) =>
  new SharedCache({ clock: walk.world.clock, origin, ...options })
const through =
  (front: SharedCache): Origin =>
  (request) =>
    front.fetch(request)

/** A cache of each kind, in front of isolates of three data centres. */
function fronts(): Map<string, SharedCache> {
  const origins = [walk.isolate(0), walk.isolate(1), walk.isolate(2, { cache: NO_CACHE })].map((at) =>
    walk.origin(at),
  )
  const [here, there, bare] = origins
  if (here === undefined || there === undefined || bare === undefined) throw new Error('three data centres')
  const tier = cache(here)
  return new Map([
    ['RFC 9111', cache(there)],
    ['one behind another', cache(through(tier))],
    ['HTTP/1.0, by Expires alone', cache(there, { reads: 'Expires' })],
    ['like nginx, counting from receipt', cache(here, { counts: 'receipt' })],
    ['without validators, over an isolate without Cache API', cache(bare, { validates: false })],
    ['over an isolate without Cache API', cache(bare)],
  ])
}

describe.each<[string, IssuerPolicy['maxAge']]>([
  ['next-update', 'next-update'],
  ['refresh', 'refresh'],
  ['an hour', 3_600],
  ['ten minutes', 600],
  ['nothing', 0],
])('through two validities, max-age to %s', (_text, maxAge) => {
  test('no cache has anything stale, of another certificate, or whose headers disagree (R2.7-R2.10, R2.12, R2.13, R2.18, R6.1, R6.10, R6.15, R6.20)', async () => {
    await begin({ policy: { maxAge } })
    const produced = new Map<string, Set<number>>()
    const newest = new Map<string, number>()
    const caches = fronts()
    let visits = 0
    await walk.through(walk.now + 2 * VALIDITY, 61, async (now) => {
      for (const [name, front] of caches) {
        for (const asked of [GOOD, ALL[visits % ALL.length] ?? GOOD]) {
          const facts = await walk.ask(through(front), asked)
          if (asked === GOOD && maxAge !== 0) walk.edge(facts.freshUntil)
          expect(facts.said).toBe(asked === REVOKED ? 'revoked' : 'good')
          const url = `${name} ${walk.url(asked)}`
          expect(facts.producedAt, `${name} goes back (R6.15)`).toBeGreaterThanOrEqual(newest.get(url) ?? 0)
          newest.set(url, facts.producedAt)
          if (asked === GOOD) produced.set(name, (produced.get(name) ?? new Set()).add(facts.producedAt))
          if (typeof maxAge === 'number') expect(facts.freshUntil).toBeLessThanOrEqual(now + maxAge)
        }
      }
      visits += 1
    })
    expect(visits).toBeGreaterThan(300)
    for (const [name, { counts }] of caches) {
      expect(produced.get(name)?.size, `${name} sees renewals`).toBeGreaterThanOrEqual(3)
      expect(counts.stale + counts.failed, name).toBe(0)
      // Who reads Expires alone keeps what others must ask about again.
      if (maxAge !== 0 || name.startsWith('HTTP/1.0')) expect(counts.stored, name).toBeGreaterThan(visits / 4)
      else expect(counts.stored, name).toBe(0)
    }
  })
})

describe('when a max-age ends', () => {
  test.each(['next-update', 'refresh'] as const)(
    'there is a newer answer, never the old one again (max-age to %s; R2.11)',
    async (maxAge) => {
      await begin({ policy: { maxAge } })
      const front = cache(walk.origin(walk.isolate(1)))
      const ends = new Set<number>()
      let held: Facts | undefined
      await walk.through(walk.now + 4 * VALIDITY, 61, async (now) => {
        const facts = await walk.ask(through(front), GOOD)
        walk.edge(facts.freshUntil)
        if (held !== undefined && held.freshUntil <= now) {
          expect(facts.producedAt).toBeGreaterThan(held.producedAt)
          ends.add(now)
        }
        if (facts.producedAt !== held?.producedAt) held = facts
      })
      expect(ends.size).toBeGreaterThanOrEqual(3)
      expect(front.counts.validated).toBe(0)
    },
  )

  test('there is a newer answer at an isolate that was asked for it moments before (R2.11)', async () => {
    await begin({ policy: { maxAge: 'refresh' } })
    const origin = walk.origin(walk.isolate(1))
    await walk.ask(origin, GOOD) // its bundle has the other one too
    const { freshUntil } = await walk.ask(walk.origin(walk.isolate(1)), OTHER)
    await walk.pass(freshUntil - 10)
    const front = cache(origin)
    const old = await walk.ask(through(front), OTHER)
    for (let now = walk.now; now <= old.freshUntil; now += 1) {
      await walk.pass(now)
      const facts = await walk.ask(through(front), OTHER)
      if (now < old.freshUntil) expect(facts).toEqual(old)
      else expect(facts.producedAt).toBeGreaterThan(old.producedAt)
    }
  })

  test('of ten minutes, a 304 gives ten more, never past the end of the answer (R6.1, R6.11, R6.13, R6.20)', async () => {
    await begin({ policy: { maxAge: 600 } })
    const front = cache(walk.origin(walk.isolate(1, { kek: undefined })))
    walk.stopCron()
    const first = await walk.ask(through(front), GOOD)
    const kinds = new Set<string>()
    await walk.through(first.nextUpdate - 1, 61, async (now) => {
      const facts = await walk.ask(through(front), GOOD)
      walk.edge(facts.freshUntil)
      expect(facts.producedAt).toBe(first.producedAt)
      expect(facts.freshUntil).toBeLessThanOrEqual(Math.max(now, Math.min(now + 600, first.nextUpdate - 5)))
      if (first.nextUpdate - now > 5) kinds.add(front.last) // after that it is sent whole, to be kept by nobody
    })
    expect(kinds).toEqual(new Set(['stored', 'validated']))
    expect(front.counts.validated).toBeGreaterThan(9)
    await walk.pass(first.nextUpdate)
    const over = await walk.get(through(front), walk.url(GOOD))
    expect([...over.body]).toEqual([0x30, 3, 10, 1, 2])
    expect(over.headers.get('Cache-Control')).toBe('no-store')
    expect(front.size).toBe(0)
  })
})

describe('an origin that is gone', () => {
  test('leaves nothing stale behind: when max-age is over, a cache says 504 (R6.9, R6.2)', async () => {
    await begin({ policy: { maxAge: 600 } })
    let isGone = false
    const origin = walk.origin(walk.isolate(1))
    const front = cache((request) => (isGone ? Promise.reject(new Error('gone')) : origin(request)))
    const first = await walk.ask(through(front), GOOD)
    walk.edge(first.freshUntil)
    isGone = true
    walk.stopCron()
    await walk.through(first.nextUpdate + 20, 31, async (now) => {
      const reply = await walk.get(through(front), walk.url(GOOD))
      expect(reply.status, `${now - first.freshUntil}`).toBe(now < first.freshUntil ? 200 : 504)
    })
    expect(front.counts.stale).toBe(0)
    expect(front.counts.failed).toBeGreaterThan(10)
  })
})

describe('slow connections', () => {
  test.each(['Date', 'receipt'] as const)(
    'four seconds on the way make nothing stale for a cache that counts from %s (R2.10, R6.20)',
    async (counts) => {
      await begin()
      const front = cache(walk.origin(walk.isolate(1, { kek: undefined })), { counts, legMs: 4_000 })
      const first = await walk.ask(through(front), GOOD)
      walk.stopCron()
      await walk.through(first.nextUpdate - 20, 67, async () => {
        await walk.ask(through(front), GOOD)
      })
      // From here on every second, and nothing but the copy is asked for.
      for (let now = walk.now; now < first.nextUpdate + 5 && front.last === 'stored'; now += 1) {
        await walk.pass(now)
        const reply = await walk.get(through(front), walk.url(GOOD))
        if (front.last === 'stored') expect(now, 'never stale').toBeLessThan(first.nextUpdate)
        else expect(reply.headers.get('Cache-Control')).toMatch(/no-store|max-age=0/)
      }
      expect(front.counts.stored).toBeGreaterThan(60)
      expect(front.last).not.toBe('stored')
    },
  )
})

describe('what caches do with an answer', () => {
  test('HEAD, conditions, ranges and wishes of clients are served from it as from the origin (R2.13, R5.48, R6.10-R6.12)', async () => {
    await begin({ policy: { maxAge: 600 } })
    const origin = walk.origin(walk.isolate(1))
    const front = cache(origin)
    const url = walk.url(GOOD)
    const whole = await walk.get(through(front), url)
    const etag = whole.headers.get('ETag') ?? ''
    const modified = whole.headers.get('Last-Modified') ?? ''
    await walk.pass(walk.now + 100)
    for (const at of [origin, through(front)]) {
      const head = await walk.get(at, url, {}, 'HEAD')
      expect([head.status, head.body.length, head.headers.get('ETag')]).toEqual([200, 0, etag])
      for (const headers of [{ 'If-None-Match': `"x", W/${etag}` }, { 'If-Modified-Since': modified }]) {
        const held = await walk.get(at, url, headers)
        expect([held.status, held.body.length]).toEqual([304, 0])
        expect(held.headers.get('ETag')).toBe(etag)
      }
      const other = await walk.get(at, url, { 'If-None-Match': '"x"', 'If-Modified-Since': modified })
      expect([other.status, other.body]).toEqual([200, whole.body])
      for (const headers of [
        { Range: 'bytes=0-3' },
        { 'Accept-Encoding': 'gzip' },
        { 'Accept-Language': 'tlh' },
      ]) {
        const same = await walk.get(at, url, headers)
        expect([same.status, same.body]).toEqual([200, whole.body])
      }
    }
    expect(front.last).toBe('stored')
    for (const wish of ['no-cache', 'max-age=0', 'max-age=50', 'min-fresh=550']) {
      await walk.get(through(front), url, { 'Cache-Control': wish })
      expect(front.last, wish).toBe('validated')
      await walk.pass(walk.now + 60)
    }
  })

  test('a 304 has all headers of the answer but its type, and no body (R6.11, R2.7)', async () => {
    await begin({ policy: { maxAge: 600 } })
    const origin = walk.origin(walk.isolate(1, { kek: undefined }))
    walk.stopCron()
    const { producedAt, nextUpdate } = await walk.ask(origin, GOOD)
    const { headers } = await walk.get(origin, walk.url(GOOD))
    const condition = { 'If-None-Match': headers.get('ETag') ?? '' }
    walk.edge(nextUpdate)
    await walk.through(nextUpdate + 5, 301, async (now) => {
      const held = await walk.get(origin, walk.url(GOOD), condition)
      if (now >= nextUpdate) {
        expect(held.status, 'there is none for what is over (R6.13)').toBe(200)
        expect(held.headers.get('Cache-Control')).toBe('no-store')
        return
      }
      checkTimes(held, producedAt, nextUpdate)
      if (nextUpdate - now <= 5) {
        expect([held.status, maxAgeOf(held.headers)], 'sent whole when it may not be kept').toEqual([200, 0])
        return
      }
      expect([held.status, held.body.length]).toEqual([304, 0])
      expect([...held.headers.keys()].sort()).toEqual(HEADERS.filter((name) => name !== 'content-type'))
      expect(maxAgeOf(held.headers)).toBe(Math.max(0, Math.min(600, nextUpdate - now - 5)))
    })
  })

  test('a POST is kept under no URL, and forgets none of another certificate (R6.14)', async () => {
    await begin()
    const front = cache(walk.origin(walk.isolate(1)))
    const facts = await walk.ask(through(front), GOOD)
    for (const asked of [GOOD, OTHER, REVOKED]) {
      const der = Buffer.from(decodeURIComponent(new URL(walk.url(asked)).pathname.slice(1)), 'base64')
      const response = await front.fetch(new Request('http://ocsp.example/', { method: 'POST', body: der }))
      expect([response.status, front.last]).toEqual([200, 'forwarded'])
      expect(response.headers.has('Content-Location')).toBe(false)
    }
    expect(front.size).toBe(1)
    expect(await walk.ask(through(front), GOOD)).toEqual(facts)
    expect(front.last).toBe('stored')
  })
})

describe('a revocation', () => {
  test.each<[string, IssuerPolicy['maxAge'], number]>([
    ['nothing', 0, 0],
    ['a minute', 60, 60],
    ['ten minutes', 600, 600],
    ['an hour', 3_600, 3_600],
    ['refresh', 'refresh', VALIDITY / 2],
    ['next-update', 'next-update', VALIDITY],
  ])(
    'is seen behind every cache once its good has ended, B and max-age at most (%s; R6.4, R6.5)',
    async (_text, maxAge, exposure) => {
      await begin({ policy: { maxAge }, maxLagSeconds: 2_500 })
      const caches = fronts()
      const held = new Map<string, Facts>()
      for (const [name, front] of caches) {
        await walk.pass(walk.now + 37) // each at a time of its own
        held.set(name, await walk.ask(through(front), GOOD))
      }
      await walk.pass(walk.now + 20)
      await walk.change(GOOD.serial, { to: 'revoked', reason: 1 })
      const revokedAt = walk.now
      const seen = new Map<string, number>()
      walk.edge(revokedAt, revokedAt + BOUND, revokedAt + BOUND + exposure)
      for (const { freshUntil } of held.values()) walk.edge(freshUntil)
      await walk.through(revokedAt + BOUND + exposure + 10, 41, async (now) => {
        for (const [name, front] of caches) {
          const { said } = await walk.ask(through(front), GOOD)
          if (said === 'revoked') seen.set(name, seen.get(name) ?? now)
          else expect(seen.has(name), `${name} says good again`).toBe(false)
          // HTTP/1.0 knows no max-age: it keeps what it has to Expires, as it may.
          const bound = name.startsWith('HTTP/1.0') ? VALIDITY : exposure
          if (now >= revokedAt + BOUND + bound)
            expect(said, `${name}, ${now - revokedAt} s later`).toBe('revoked')
        }
      })
      expect([...seen.keys()].filter((name) => !name.startsWith('HTTP/1.0'))).toHaveLength(caches.size - 1)
    },
  )

  test('is seen at once when the caches are purged, under each URL that had a good; so is a release (R6.6)', async () => {
    await begin()
    const isolate = walk.isolate(0)
    const caches = [cache(walk.origin(isolate)), cache(walk.origin(isolate), { reads: 'Expires' })]
    const said = async () => {
      const all = new Set<string>()
      for (const front of caches)
        for (const asked of [GOOD, SAME, LIVE]) all.add((await walk.ask(through(front), asked)).said)
      return [...all]
    }
    expect(await said()).toEqual(['good'])
    for (const [change, status] of [
      [{ to: 'hold' }, 'revoked'],
      [{ to: 'released' }, 'good'],
      [{ to: 'revoked', reason: 4 }, 'revoked'],
    ] as const) {
      const before = await said()
      await walk.change(GOOD.serial, change)
      await walk.pass(walk.now + 60)
      expect(await said(), 'kept as they may').toEqual(before)
      for (const front of caches) front.purge()
      expect(await said()).toEqual([status])
    }
  })

  test('a raised floor ends every older answer within B at the responder, and at max-age behind a cache (R6.4, R6.5)', async () => {
    await begin({ policy: { maxAge: 600 }, maxLagSeconds: 2_500 })
    const isolates = [walk.isolate(0), walk.isolate(1), walk.isolate(2, { cache: NO_CACHE })]
    const caches = isolates.map((isolate) => cache(walk.origin(isolate)))
    for (const front of caches) for (const asked of [GOOD, LIVE]) await walk.ask(through(front), asked)
    await walk.pass(walk.now + 10)
    await walk.home.admin.raiseFloor(1, walk.world.clock.nowMs())
    const raisedAt = walk.now
    walk.edge(raisedAt + BOUND, raisedAt + BOUND + 600)
    await walk.through(raisedAt + BOUND + 620, 13, async (now) => {
      for (const [i, isolate] of isolates.entries())
        for (const asked of [GOOD, LIVE]) {
          const fresh = await walk.ask(walk.origin(isolate), asked)
          if (now >= raisedAt + BOUND) expect(fresh.producedAt).toBeGreaterThanOrEqual(raisedAt)
          const kept = await walk.ask(through(caches[i] ?? cache(walk.origin(isolate))), asked)
          if (now >= raisedAt + BOUND + 600) expect(kept.producedAt).toBeGreaterThanOrEqual(raisedAt)
        }
    })
  })
})
