/**
 * Law 1 and 7 on the wire: the clock is walked through the whole life of a response, second by second around its edges, and
 * every HTTP answer of serveOCSP is held against RFC 9919 section 7.2 (R2.7-R2.18, R6.1-R6.13).
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serveOCSP } from '../../src/http/ocsp.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { IssuerPolicy } from '../../src/ports/records.ts'
import { refreshAt } from '../../src/responder/windows.ts'
import { DATES, DAY, question, Rig, singleOf } from '../conformance/harness.ts'
import { EPOCH } from '../support/clock.ts'
import { TEST_POLICY } from '../support/pki.ts'
import { type Place, World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { requestFor } from '../support/world-requests.ts'

const GOOD = Uint8Array.of(0x41, 1)
const YOUNG = Uint8Array.of(0x41, 2)
const VALIDITY = 7_200
/** Seconds before nextUpdate that max-age ends: caches like nginx count from when they have the answer (R2.10). */
const MARGIN = 5
const OCSP_TYPE = 'application/ocsp-response'
const IMF_FIXDATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
const SUCCESS_HEADERS = ['cache-control', 'content-type', 'date', 'etag', 'expires', 'last-modified']

let world: World
let place: Place
let path: string

beforeEach(async () => {
  world = await World.create({ seed: 5, maxLagSeconds: 0, validitySeconds: VALIDITY }, ['unauthorized'])
  place = world.makePlace(0)
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  await world.add(place, world.issuer, [{ serial: GOOD, status: 'good', ...dates }])
  world.clock.advance(2_000)
  await world.presign(place, { all: true })
  path = target(GOOD)
})
afterEach(() => world.close())

function target(serial: Uint8Array, nonce?: Uint8Array): string {
  const der = requestFor(world.issuer.record, [serial], nonce === undefined ? {} : { nonce })
  return `http://ocsp.example/${encodeURIComponent(Buffer.from(der).toString('base64'))}`
}

async function setPolicy(policy: Partial<IssuerPolicy>): Promise<void> {
  const next = { ...TEST_POLICY, validitySeconds: VALIDITY, ...policy }
  await place.admin.updateIssuer(1, { policy: next }, world.clock.nowMs())
  world.clock.advance(2_000)
  await publish(place.publisher)
  world.clock.advance(31_000)
}

interface Served {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
  readonly maxAge: number
}

/** One request now; a publisher is alive. */
async function get(headers: Record<string, string> = {}, at: Isolate = place, url = path): Promise<Served> {
  if (world.clock.seconds % 60 === 0 || place.overlay.fresh(world.clock.nowMs()) === undefined)
    await publish(place.publisher)
  const response = await serveOCSP(new Request(url, { headers }), at.responder, () => undefined)
  await Promise.allSettled(at.background)
  return {
    status: response.status,
    headers: response.headers,
    body: new Uint8Array(await response.arrayBuffer()),
    maxAge: Number(/max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '')?.[1] ?? -1),
  }
}

const names = (headers: Headers) => [...headers.keys()].sort()
const httpTime = (headers: Headers, name: string) => Date.parse(headers.get(name) ?? '') / 1000
const statusOf = ({ body }: Served) => decodeOCSPResponse(body).responseStatus

function windowOf({ body }: Served) {
  const { producedAt, responses } = decodeSuccessfulResponse(body).tbsResponseData
  const [single] = responses
  if (single?.nextUpdate === undefined) throw new Error('no window')
  return { producedAt, thisUpdate: single.thisUpdate, nextUpdate: single.nextUpdate }
}

/** What must hold of every successful answer at any second of its life. */
function checkSuccess(served: Served): void {
  const { headers, maxAge } = served
  const now = world.clock.seconds
  const { producedAt, thisUpdate, nextUpdate } = windowOf(served)
  expect(served.status).toBe(200)
  expect(nextUpdate).toBeGreaterThan(now) // law 1
  expect(thisUpdate).toBeLessThanOrEqual(producedAt)
  expect(producedAt).toBeLessThanOrEqual(now)
  expect(names(headers)).toEqual(SUCCESS_HEADERS) // no Vary, no Pragma, no Age (R2.13, R6.10)
  expect(headers.get('Content-Type')).toBe(OCSP_TYPE)
  expect(headers.get('Cache-Control')).toBe(`max-age=${maxAge}, public, no-transform, must-revalidate`)
  expect(headers.get('ETag')).toMatch(/^"[0-9a-f]{64}"$/)
  expect(httpTime(headers, 'Date')).toBe(now)
  expect(httpTime(headers, 'Expires')).toBe(nextUpdate)
  expect(httpTime(headers, 'Last-Modified')).toBe(producedAt)
  expect(now + maxAge).toBeLessThan(nextUpdate) // R2.10
  expect(maxAge).toBeGreaterThanOrEqual(0)
}

function checkError(served: Served, status: string): void {
  expect(served.status).toBe(200)
  expect(statusOf(served)).toBe(status)
  expect(served.body.length).toBe(5)
  expect(served.headers.get('Cache-Control')).toBe('no-store') // R2.14, R6.7
  for (const name of ['ETag', 'Expires', 'Last-Modified', 'Vary']) expect(served.headers.get(name)).toBeNull()
}

/** Seconds around which the walk goes step by step. */
function* walk(from: number, edges: readonly number[], to: number): Generator<number> {
  for (let at = from; at <= to; at += 1)
    if (edges.some((edge) => Math.abs(at - edge) <= 5) || at % 97 === 0 || at === to) yield at
}

describe('a response that nobody renews', () => {
  test('its headers are right at every second, and at nextUpdate it is gone (R6.1, R6.2, R2.10)', async () => {
    const keyless = world.isolate(1, {}, { kek: undefined })
    const first = await get({}, keyless)
    const { nextUpdate, producedAt } = windowOf(first)
    let last = Number.POSITIVE_INFINITY
    for (const now of walk(
      world.clock.seconds,
      [producedAt, refreshAt(windowOf(first)), nextUpdate],
      nextUpdate + 5,
    )) {
      world.clock.moveTo(now)
      const served = await get({}, keyless)
      if (now >= nextUpdate) {
        checkError(served, 'internalError')
        continue
      }
      checkSuccess(served)
      expect(served.body).toEqual(first.body)
      expect(served.maxAge).toBe(Math.max(0, nextUpdate - now - MARGIN))
      if (last > 0) expect(served.maxAge).toBeLessThan(last)
      last = served.maxAge
    }
    expect(last).toBe(0)
  })

  test('a 304 has a recomputed max-age and no body; there is none for an expired response (R6.11-R6.13)', async () => {
    const keyless = world.isolate(1, {}, { kek: undefined })
    const first = await get({}, keyless)
    const etag = first.headers.get('ETag') ?? ''
    const modified = first.headers.get('Last-Modified') ?? ''
    const { nextUpdate } = windowOf(first)
    for (const now of walk(world.clock.seconds, [nextUpdate], nextUpdate + 3)) {
      world.clock.moveTo(now)
      for (const headers of [{ 'If-None-Match': etag }, { 'If-Modified-Since': modified }]) {
        const served = await get(headers, keyless)
        if (now >= nextUpdate) {
          checkError(served, 'internalError')
          continue
        }
        // In its last seconds nothing may be kept, and nginx keeps what a 304 is about for another max-age of its copy.
        const left = nextUpdate - now - MARGIN
        if (left <= 0) {
          checkSuccess(served)
          expect([served.maxAge, served.body]).toEqual([0, first.body])
          continue
        }
        expect(served.status).toBe(304)
        expect(served.body.length).toBe(0)
        expect(served.maxAge).toBe(left)
        expect(names(served.headers)).toEqual(SUCCESS_HEADERS.filter((name) => name !== 'content-type'))
        expect(httpTime(served.headers, 'Date')).toBe(now)
      }
    }
  })
})

describe('validators', () => {
  test('lists, weak forms and * match; another tag does not, and If-None-Match wins (R6.11, R6.12)', async () => {
    const { headers } = await get()
    const etag = headers.get('ETag') ?? ''
    const modified = headers.get('Last-Modified') ?? ''
    for (const value of [etag, `W/${etag}`, `"x", ${etag}`, `"x" , W/${etag},"y"`, '*'])
      expect((await get({ 'If-None-Match': value })).status, value).toBe(304)
    for (const value of ['"x"', etag.slice(1, -1), ''])
      expect((await get({ 'If-None-Match': value, 'If-Modified-Since': modified })).status, value).toBe(200)
    const before = new Date(Date.parse(modified) - 1000).toUTCString()
    expect((await get({ 'If-Modified-Since': before })).status).toBe(200)
    expect((await get({ 'If-Modified-Since': 'yesterday' })).status).toBe(200)
  })

  test('a date does not tell two answers of one second apart, so it makes no revoked a 304 (R6.12, R6.5)', async () => {
    const rig = new Rig()
    const ca = await rig.addCA({ name: 'hasty' })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    rig.clock.moveTo(rig.clock.seconds + 60)
    const der = question(ca, GOOD, 'SHA-384') // signed when asked for
    const good = await rig.get(der)
    const since = { 'If-Modified-Since': good.headers.get('Last-Modified') ?? '' }
    expect((await rig.get(der, since)).status).toBe(304)
    await rig.change(ca, GOOD, { to: 'revoked', reason: 1 })
    const revoked = await rig.get(der)
    expect(revoked.said).toBe('revoked')
    expect(revoked.headers.get('Last-Modified'), 'of the same second').toBe(since['If-Modified-Since'])
    expect((await rig.get(der, since)).status).toBe(200)
    const etag = { 'If-None-Match': revoked.headers.get('ETag') ?? '' }
    expect((await rig.get(der, etag)).status).toBe(304)
    rig.close()
  })

  test('dates are IMF-fixdate in GMT (R2.18); Range is ignored (R5.48)', async () => {
    const { status, headers, body } = await get({ Range: 'bytes=0-3' })
    expect(status).toBe(200)
    expect(body.length).toBeGreaterThan(4)
    for (const name of ['Date', 'Expires', 'Last-Modified']) expect(headers.get(name)).toMatch(IMF_FIXDATE)
  })

  test('HEAD has the headers of GET; POST is never a 304', async () => {
    const { headers } = await get()
    const head = await serveOCSP(new Request(path, { method: 'HEAD' }), place.responder, () => undefined)
    expect([...head.headers]).toEqual([...headers])
    const body = requestFor(world.issuer.record, [GOOD])
    const etag = headers.get('ETag') ?? ''
    const post = new Request('http://ocsp.example/', {
      method: 'POST',
      body,
      headers: { 'If-None-Match': etag },
    })
    const posted = await serveOCSP(post, place.responder, () => undefined)
    expect(posted.status).toBe(200)
    expect(posted.headers.get('ETag')).toBe(etag)
  })
})

describe('a responder at work', () => {
  test.each(['next-update', 'refresh', 600] as const)(
    'renews in time: a newer response is ready before a max-age runs out (maxAge %s; R2.11, R4.2)',
    async (maxAge) => {
      await setPolicy({ maxAge })
      const advertised: { until: number; producedAt: number }[] = []
      const producedAts = new Set<number>()
      const end = world.clock.seconds + 2 * VALIDITY
      for (let now = world.clock.seconds, step = 0; now < end; now += 20, step += 1) {
        world.clock.moveTo(now)
        if (step % 3 === 0) await world.cron(place, 1_000)
        const served = await get()
        checkSuccess(served)
        const { producedAt, thisUpdate, nextUpdate } = windowOf(served)
        if (maxAge === 600) expect(served.maxAge).toBeLessThanOrEqual(600)
        if (maxAge === 'refresh')
          expect(now + served.maxAge).toBeLessThanOrEqual(
            Math.max(now, refreshAt({ thisUpdate, nextUpdate })),
          )
        const [oldest] = advertised
        if (oldest !== undefined && oldest.until < now && maxAge !== 600) {
          expect(producedAt, `${now - oldest.until} s after its max-age`).toBeGreaterThan(oldest.producedAt)
          advertised.shift()
        }
        producedAts.add(producedAt)
        advertised.push({ until: now + served.maxAge, producedAt })
        expect(nextUpdate - now).toBeGreaterThan(VALIDITY / 2 - 600) // half is always left, but for the last minutes
      }
      expect(producedAts.size).toBeGreaterThanOrEqual(3)
    },
  )

  test('an answer signed on demand ends like any other, and is signed anew', async () => {
    await world.add(place, world.issuer, [
      { serial: YOUNG, status: 'good', notBefore: EPOCH, notAfter: EPOCH + 9e6 },
    ])
    const url = target(YOUNG)
    const seen = new Set<number>()
    const end = world.clock.seconds + VALIDITY + 600
    for (let now = world.clock.seconds; now < end; now += 59) {
      world.clock.moveTo(now)
      const served = await get({}, place, url)
      checkSuccess(served)
      seen.add(windowOf(served).nextUpdate)
    }
    expect(seen.size).toBeGreaterThanOrEqual(2)
  })
})

describe('answers that nobody may keep', () => {
  test('with a nonce: no-store, no ETag, no Expires, never a 304 (R3.10)', async () => {
    const url = target(GOOD, Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9))
    const { headers, status } = await get({ 'If-None-Match': '*' }, place, url)
    expect(status).toBe(200)
    expect(names(headers)).toEqual(['cache-control', 'content-type', 'date'])
    expect(headers.get('Cache-Control')).toBe('no-store')
  })

  test('errors, with Retry-After when it is worth it (R1.23, R2.14)', async () => {
    checkError(await get({}, place, target(Uint8Array.of(0x7f, 1))), 'unauthorized')
    checkError(await get({}, place, 'http://ocsp.example/AAAA'), 'malformedRequest')
    world.weather.recordAwayUntilMs = Number.POSITIVE_INFINITY
    const away = await serveOCSP(new Request(target(YOUNG)), place.responder, () => undefined)
    expect(away.headers.get('Retry-After')).toBe('30')
    expect(away.headers.get('Cache-Control')).toBe('no-store')
  })

  test('a signed unknown is kept for a minute at most (R6.8)', async () => {
    await setPolicy({ unknown: 'unknown' })
    const served = await get({}, place, target(Uint8Array.of(0x7f, 2)))
    checkSuccess(served)
    expect(served.maxAge).toBe(60)
    const { nextUpdate } = windowOf(served)
    world.clock.moveTo(nextUpdate - 10)
    const again = await get({}, place, target(Uint8Array.of(0x7f, 2)))
    checkSuccess(again)
    expect(nextUpdate - world.clock.seconds).toBeLessThanOrEqual(600)
  })
})

test('public-trust: nothing older than four days is served, though its nextUpdate lies ahead (R4.3, R6.3)', async () => {
  const rig = new Rig()
  const ca = await rig.addCA({ name: 'public', policy: { profile: 'public-trust' } })
  await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
  await rig.presign()
  const keyless = rig.newIsolate(false)
  const ask = (isolate = keyless) => rig.get(question(ca, GOOD), {}, isolate)
  const { thisUpdate, nextUpdate } = singleOf(await ask())
  expect(nextUpdate - thisUpdate).toBeGreaterThan(6 * DAY)
  for (let now = thisUpdate + 4 * DAY - 5; now <= thisUpdate + 4 * DAY + 5; now += 1) {
    rig.clock.moveTo(now)
    const isOver = now > thisUpdate + 4 * DAY
    const reply = await ask()
    expect(reply.said, `${now - thisUpdate - 4 * DAY}`).toBe(isOver ? 'internalError' : 'good')
    if (isOver) expect(reply.headers.get('Cache-Control')).toBe('no-store')
  }
  expect((await ask(rig.newIsolate())).said, 'who has the key signs anew').toBe('good')
  rig.close()
})
