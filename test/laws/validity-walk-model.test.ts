/**
 * The shared cache that the walks use, by clauses of RFC 9111 and RFC 5861; and that the walks would notice: with headers broken on
 * purpose, the same cache does give clients what they must not have.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EPOCH, VirtualClock } from '../support/clock.ts'
import { type Origin, SharedCache, type SharedCacheOptions } from '../support/shared-cache.ts'
import { type Asked, maxAgeOf, Walk } from './validity-walk-world.ts'

const PAGE = 'http://origin.example/a'
let clock: VirtualClock
let served: number
let isGone: boolean
beforeEach(() => {
  clock = new VirtualClock()
  served = 0
  isGone = false
})

const at = (seconds: number) => new Date((EPOCH + seconds) * 1000).toUTCString()

/** Answers with these headers and a Date; to a condition on its ETag with 304. */
function origin(headers: Record<string, string>, status = 200): Origin {
  return async (request) => {
    if (isGone) throw new Error('gone')
    served += 1
    const all = { Date: new Date(clock.nowMs()).toUTCString(), ...headers }
    const isHeld = 'ETag' in headers && request.headers.get('If-None-Match') === headers['ETag']
    return isHeld
      ? new Response(null, { status: 304, headers: all })
      : new Response(`body ${served}`, { status, headers: all })
  }
}

const cacheOf = (headers: Record<string, string>, options: Partial<SharedCacheOptions> = {}) =>
  new SharedCache({ clock, origin: origin(headers), ...options })

async function ask(
  cache: SharedCache,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Response> {
  return cache.fetch(new Request(PAGE, { method, headers }))
}

/** How the cache answers again, so many seconds after the first time. */
async function again(
  cache: SharedCache,
  seconds: number,
  headers: Record<string, string> = {},
): Promise<string> {
  await ask(cache)
  clock.advance(seconds * 1000)
  await ask(cache, headers)
  return cache.last
}

describe('RFC 9111', () => {
  test.each<[string, Record<string, string>, number, string]>([
    ['max-age, before its end (4.2.1)', { 'Cache-Control': 'max-age=60' }, 59, 'stored'],
    ['max-age, at its end', { 'Cache-Control': 'max-age=60' }, 60, 'forwarded'],
    ['s-maxage goes before max-age', { 'Cache-Control': 's-maxage=60, max-age=5' }, 59, 'stored'],
    [
      'max-age goes before Expires (5.3)',
      { 'Cache-Control': 'max-age=60', Expires: at(3_600) },
      61,
      'forwarded',
    ],
    ['Expires less Date', { Expires: at(60) }, 59, 'stored'],
    ['Expires, at its end', { Expires: at(60) }, 60, 'forwarded'],
    ['Expires that is no date', { Expires: '0' }, 0, 'forwarded'],
    ['a tenth of the time since Last-Modified (4.2.2)', { 'Last-Modified': at(-600) }, 59, 'stored'],
    ['and no longer', { 'Last-Modified': at(-600) }, 60, 'forwarded'],
    ['nothing to go by', {}, 0, 'forwarded'],
    ['no-store (5.2.2.5)', { 'Cache-Control': 'no-store, max-age=60' }, 0, 'forwarded'],
    ['private (5.2.2.7)', { 'Cache-Control': 'private, max-age=60' }, 0, 'forwarded'],
    ['no-cache (5.2.2.4)', { 'Cache-Control': 'no-cache, max-age=60', ETag: '"a"' }, 0, 'validated'],
    ['an ETag to ask with (4.3.1)', { 'Cache-Control': 'max-age=60', ETag: '"a"' }, 60, 'validated'],
    ['Age from further up (4.2.3)', { 'Cache-Control': 'max-age=60', Age: '50' }, 10, 'forwarded'],
    ['Vary: * (4.1)', { 'Cache-Control': 'max-age=60', Vary: '*' }, 0, 'forwarded'],
  ])('%s', async (_what, headers, seconds, how) => {
    expect(await again(cacheOf(headers), seconds)).toBe(how)
  })

  test('a Date in the past makes it older (4.2.3), but not for one that counts from receipt', async () => {
    const headers = { 'Cache-Control': 'max-age=60', Date: at(-50) }
    expect(await again(cacheOf(headers), 10)).toBe('forwarded')
    clock = new VirtualClock()
    expect(await again(cacheOf(headers, { counts: 'receipt' }), 60)).toBe('stored')
  })

  test('another value of a header that it varies by is asked for (4.1)', async () => {
    const cache = cacheOf({ 'Cache-Control': 'max-age=60', Vary: 'Accept' })
    await ask(cache, { Accept: 'a' })
    await ask(cache, { Accept: 'b' })
    expect(cache.last).toBe('forwarded')
    await ask(cache, { Accept: 'b' })
    expect(cache.last).toBe('stored')
  })

  test('a 304 freshens what is kept (4.3.4); an unsafe method forgets it (4.4)', async () => {
    const cache = cacheOf({ 'Cache-Control': 'max-age=60', ETag: '"a"' })
    expect(await again(cache, 60)).toBe('validated')
    clock.advance(59_000)
    expect(await (await ask(cache)).text()).toBe('body 1')
    expect(cache.last).toBe('stored')
    await ask(cache, {}, 'POST')
    expect([cache.last, cache.size]).toEqual(['forwarded', 0])
  })

  test('cut off, it serves what is stale, unless must-revalidate forbids it (4.2.4, 5.2.2.2)', async () => {
    for (const [directives, how, status] of [
      ['max-age=60', 'stale', 200],
      ['max-age=60, must-revalidate', 'failed', 504],
      ['max-age=60, proxy-revalidate', 'failed', 504],
    ] as const) {
      const cache = cacheOf({ 'Cache-Control': directives })
      isGone = false
      await ask(cache)
      isGone = true
      clock.advance(61_000)
      expect([(await ask(cache)).status, cache.last]).toEqual([status, how])
    }
  })

  test('stale-while-revalidate serves it once more, and asks meanwhile (RFC 5861 3)', async () => {
    const cache = cacheOf({ 'Cache-Control': 'max-age=60, stale-while-revalidate=30' })
    expect(await again(cache, 70)).toBe('stale')
    expect(await (await ask(cache)).text()).toBe('body 2')
  })

  test('wishes of the client: only-if-cached, no-store (5.2.1)', async () => {
    const cache = cacheOf({ 'Cache-Control': 'max-age=60' })
    expect((await ask(cache, { 'Cache-Control': 'only-if-cached' })).status).toBe(504)
    await ask(cache, { 'Cache-Control': 'no-store' })
    expect(cache.size).toBe(0)
  })
})

/** How headers could be wrong, each of which the walks must notice. */
const MISTAKES: Readonly<Record<string, (headers: Headers) => void>> = {
  'a max-age to nextUpdate': (headers) => {
    const left = (Date.parse(headers.get('Expires') ?? '') - Date.parse(headers.get('Date') ?? '')) / 1000
    headers.set('Cache-Control', `max-age=${left}, public, no-transform, must-revalidate`)
  },
  'a max-age that never shrinks': (headers) =>
    headers.set('Cache-Control', 'max-age=3600, public, no-transform, must-revalidate'),
  'an Expires that counts from Date': (headers) =>
    headers.set('Expires', new Date(Date.parse(headers.get('Date') ?? '') + 7_200_000).toUTCString()),
  'no must-revalidate': (headers) =>
    headers.set('Cache-Control', (headers.get('Cache-Control') ?? '').replace(', must-revalidate', '')),
  'stale-while-revalidate': (headers) => headers.append('Cache-Control', 'stale-while-revalidate=60'),
  's-maxage beyond it all': (headers) => headers.append('Cache-Control', 's-maxage=86400'),
  'a Vary': (headers) => headers.set('Vary', 'Accept-Encoding'),
  'a Date of an hour ago': (headers) =>
    headers.set('Date', new Date(Date.parse(headers.get('Date') ?? '') - 3_600_000).toUTCString()),
  'an ETag of everything': (headers) => headers.set('ETag', `"${'0'.repeat(64)}"`),
  'a Last-Modified of now': (headers) => headers.set('Last-Modified', headers.get('Date') ?? ''),
  'a date in UTC': (headers) => headers.set('Expires', (headers.get('Expires') ?? '').replace('GMT', 'UTC')),
}

describe('a walk behind a cache notices', () => {
  const GOOD: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-1' }
  let walk: Walk
  beforeEach(async () => {
    walk = await Walk.create({ validitySeconds: 7_200 })
    await walk.add(GOOD.serial)
  })
  afterEach(() => walk.close())

  async function walkWith(mistake: (headers: Headers) => void): Promise<void> {
    const inner = walk.origin(walk.isolate(0, { kek: undefined }))
    walk.stopCron()
    const broken: Origin = async (request) => {
      const response = await inner(request)
      if (!response.headers.has('ETag')) return response
      const headers = new Headers(response.headers)
      mistake(headers)
      return new Response(response.body, { status: response.status, headers })
    }
    const front = new SharedCache({ clock: walk.world.clock, origin: broken })
    const { nextUpdate } = await walk.ask(inner, GOOD)
    await walk.through(nextUpdate - 1, 61, async () => {
      await walk.ask((request) => front.fetch(request), GOOD)
    })
  }

  test('nothing where nothing is wrong', async () => {
    await walkWith(() => undefined)
  })

  test.each(Object.keys(MISTAKES))('%s', async (mistake) => {
    await expect(walkWith(MISTAKES[mistake] ?? (() => undefined))).rejects.toThrow()
  })

  test('and without its eyes on the headers, a client is given a stale answer by what they permit', async () => {
    const inner = walk.origin(walk.isolate(0, { kek: undefined }))
    const { nextUpdate } = await walk.ask(inner, GOOD)
    walk.stopCron()
    let isCutOff = false
    const lax: Origin = async (request) => {
      if (isCutOff) throw new Error('gone')
      const response = await inner(request)
      const headers = new Headers(response.headers)
      MISTAKES['no must-revalidate']?.(headers)
      return new Response(response.body, { headers })
    }
    const front = new SharedCache({ clock: walk.world.clock, origin: lax })
    await front.fetch(new Request(walk.url(GOOD)))
    isCutOff = true
    await walk.pass(nextUpdate + 1)
    const stale = await front.fetch(new Request(walk.url(GOOD)))
    expect([stale.status, front.last]).toEqual([200, 'stale'])
  })
})

test('an answer that takes five seconds is past its end for a cache that counts from receipt: the margin is no more than needed', async () => {
  const walk = await Walk.create({ validitySeconds: 7_200 })
  const asked: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-1' }
  await walk.add(asked.serial)
  const inner = walk.origin(walk.isolate(0, { kek: undefined }))
  walk.stopCron()
  const { nextUpdate } = await walk.ask(inner, asked)
  for (const [legMs, last] of [
    [4_000, nextUpdate - 1],
    [5_000, nextUpdate],
  ] as const) {
    const front = new SharedCache({ clock: walk.world.clock, origin: inner, counts: 'receipt', legMs })
    const { headers } = await front.fetch(new Request(walk.url(asked)))
    expect(walk.now + maxAgeOf(headers), `${legMs} ms`).toBe(last)
  }
  walk.close()
})
