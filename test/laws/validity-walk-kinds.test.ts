/** Walks through the lives of answers that are not plain ones: without an end, short, for one client alone, not to be given. */
import { afterEach, describe, expect, test } from 'vitest'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { UnknownPolicy } from '../../src/ports/records.ts'
import { type CA, DATES, ORIGIN, pathOf, question, Rig } from '../conformance/harness.ts'
import type { Wording } from '../support/client-behaviour.ts'
import { word } from '../support/client-behaviour-octets.ts'
import { makeRequestor } from '../support/client-behaviour-world.ts'
import { EPOCH } from '../support/clock.ts'
import { type Origin, SharedCache, type SharedCacheOptions } from '../support/shared-cache.ts'
import {
  type Asked,
  checkSuccess,
  DAY,
  maxAgeOf,
  type Reply,
  Walk,
  type WalkOptions,
} from './validity-walk-world.ts'

const VALIDITY = 7_200
const BOUND = 300
const YEAR = 365 * DAY
const NO_END = 253_402_300_799
const GOOD: Asked = { serial: Uint8Array.of(0x41, 1), hash: 'SHA-1' }
const NEVER: Asked = { serial: Uint8Array.of(0x7f, 1), hash: 'SHA-256' }
const FOR_NOBODY = ['cache-control', 'content-type', 'date']

let walk: Walk
const open: Walk[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

async function begin(options: Partial<WalkOptions> = {}): Promise<void> {
  walk = await Walk.create({ validitySeconds: VALIDITY, ...options })
  open.push(walk)
  await walk.add(GOOD.serial)
}

const through =
  (front: SharedCache): Origin =>
  (request) =>
    front.fetch(request)

/** One that knows all of RFC 9111, one of HTTP/1.0, one that counts from receipt. */
function fronts(origin: Origin): Map<string, SharedCache> {
  const kinds: Partial<SharedCacheOptions>[] = [{}, { reads: 'Expires' }, { counts: 'receipt' }]
  return new Map(
    kinds.map((kind) => [
      JSON.stringify(kind),
      new SharedCache({ clock: walk.world.clock, origin, ...kind }),
    ]),
  )
}

function expectForNobody({ headers }: Reply): void {
  expect([...headers.keys()].filter((name) => name !== 'retry-after').sort()).toEqual(FOR_NOBODY)
  expect(headers.get('Cache-Control')).toBe('no-store')
}

describe('an issuer that has ended', () => {
  test('its answers are kept for a year, then asked about again; Expires is the last second of 9999 (R4.52, R2.9, R6.1, R6.11)', async () => {
    await begin()
    await walk.home.admin.finalizeIssuer(1, walk.world.clock.nowMs())
    await walk.world.publish(walk.home)
    await walk.world.presign(walk.home, { all: true })
    walk.stopCron()
    walk.world.clock.advance(31_000)
    const origin = walk.origin(walk.isolate(0, { kek: undefined }))
    const caches = fronts(origin)
    const first = await walk.ask(origin, GOOD)
    await walk.through(walk.now + 3 * YEAR, 41 * DAY, async (now) => {
      const direct = await walk.get(origin, walk.url(GOOD))
      expect(maxAgeOf(direct.headers)).toBe(YEAR)
      expect(direct.headers.get('Expires')).toBe('Fri, 31 Dec 9999 23:59:59 GMT')
      for (const front of caches.values()) {
        const facts = await walk.ask(through(front), GOOD)
        expect([facts.nextUpdate, facts.producedAt]).toEqual([NO_END, first.producedAt])
        expect(facts.freshUntil).toBeLessThanOrEqual(now + YEAR)
        walk.edge(facts.freshUntil)
      }
    })
    const counts = [...caches.values()].map(({ counts: { forwarded, validated } }) => [forwarded, validated])
    expect(counts).toEqual([
      [1, 3],
      [1, 0],
      [1, 2],
    ])
  })
})

describe.each<[UnknownPolicy, string]>([
  ['unknown', 'unknown'],
  ['revoked-extended', 'revoked'],
])('a serial that is not recorded, under %s', (unknown, status) => {
  test('its answer is kept for a minute, ends within ten, and is gone minutes after the recording (R6.8, R1.39, R2.10, R2.13)', async () => {
    await begin({ unknown })
    const caches = fronts(walk.origin(walk.isolate(0)))
    const ends = new Set<number>()
    await walk.through(walk.now + 1_300, 7, async (now) => {
      for (const [name, front] of caches) {
        const facts = await walk.ask(through(front), NEVER)
        expect(facts.said).toBe(status)
        expect(facts.nextUpdate - facts.producedAt).toBeLessThanOrEqual(600)
        expect(facts.freshUntil).toBeLessThanOrEqual(now + 60)
        ends.add(facts.nextUpdate)
        walk.edge(facts.freshUntil, facts.nextUpdate)
        if (now > facts.producedAt + 125)
          expect(name, 'older answers are with HTTP/1.0 alone').toContain('Expires')
      }
    })
    expect(ends.size).toBeGreaterThan(5)
    await walk.add(NEVER.serial)
    const recordedAt = walk.now - 33 // add lets KV settle
    const seen = new Map<string, number>()
    await walk.through(recordedAt + 900, 7, async (now) => {
      for (const [name, front] of caches) {
        const { said } = await walk.ask(through(front), NEVER)
        if (said === 'good') seen.set(name, seen.get(name) ?? now)
        else expect(seen.has(name)).toBe(false)
      }
    })
    for (const [name] of caches)
      expect((seen.get(name) ?? Number.POSITIVE_INFINITY) - recordedAt, name).toBeLessThan(
        name.includes('Expires') ? 670 : 130,
      )
  })
})

describe('what no cache may keep, whatever it understands', () => {
  const wording: Wording = {
    hash: 'SHA-256',
    parameters: 'NULL',
    certIDs: 1,
    nonce: 0,
    nonceForm: 'octet string',
    versionWritten: false,
    requestorName: 'none',
    extra: 'none',
    prefers: [],
    signed: true,
  }

  test('the answers of an issuer that requires signed requests, at any second (R1.24, R1.97, R2.14)', async () => {
    await begin()
    const { requestor, authority } = await makeRequestor(walk.now)
    await walk.setPolicy({ signedRequests: 'require', requestors: [authority] })
    const origin = walk.origin(walk.isolate(0))
    const subjects = [{ hashes: walk.world.issuer.record.hashes, serial: GOOD.serial }]
    const url = async (signed: boolean) =>
      `${ORIGIN}${pathOf((await word({ ...wording, signed }, subjects, requestor, 1)).der)}`
    const [signed, unsigned] = [await url(true), await url(false)]
    const caches = fronts(origin)
    const bodies = new Set<string>()
    await walk.through(walk.now + 1.2 * VALIDITY, 61, async () => {
      for (const front of caches.values()) {
        for (const headers of [
          {},
          { 'If-None-Match': '*' },
          { 'If-Modified-Since': new Date().toUTCString() },
        ]) {
          const reply = await walk.get(through(front), signed, headers)
          expect(reply.status).toBe(200)
          expectForNobody(reply)
          expect(reply.body.length).toBeGreaterThan(100)
          bodies.add(Buffer.from(reply.body).toString('hex'))
        }
        const refused = await walk.get(through(front), unsigned)
        expect([...refused.body]).toEqual([0x30, 3, 10, 1, 5])
        expectForNobody(refused)
        expect(front.size).toBe(0)
      }
    })
    expect(bodies.size, 'renewed on the way').toBeGreaterThan(1)
    for (const { counts } of caches.values()) expect(counts.stored + counts.validated + counts.stale).toBe(0)
  })

  test('an answer with a nonce; each has its own (R3.10, R2.14)', async () => {
    await begin()
    const caches = fronts(walk.origin(walk.isolate(0)))
    for (const front of caches.values())
      for (let i = 0; i < 5; i += 1) {
        const nonce = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9, i)
        for (let again = 0; again < 2; again += 1) {
          const reply = await walk.get(through(front), walk.url(GOOD, nonce), { 'If-None-Match': '*' })
          expect([reply.status, front.last, front.size]).toEqual([200, 'forwarded', 0])
          expectForNobody(reply)
          expect(Buffer.from(reply.body).includes(nonce)).toBe(true)
        }
      }
  })

  test('a refusal: once recorded, the certificate is answered behind every cache at once (R6.7, R6.21, R2.14)', async () => {
    await begin()
    const caches = fronts(walk.origin(walk.isolate(0)))
    for (const [i, front] of [...caches.values()].entries()) {
      const asked: Asked = { serial: Uint8Array.of(0x7e, i), hash: 'SHA-1' }
      for (const url of [walk.url(asked), `${ORIGIN}/AAAA`, `${ORIGIN}/ocsp`, `${ORIGIN}/MA%ZZ`]) {
        const reply = await walk.get(through(front), url)
        expect([...reply.body.subarray(0, 4)]).toEqual([0x30, 3, 10, 1])
        expectForNobody(reply)
      }
      expect(front.size).toBe(0)
      await walk.home.admin.addCertificates(
        1,
        [{ serial: asked.serial, status: 'good', ...DATES }],
        walk.world.clock.nowMs(),
      )
      await walk.pass(walk.now + 60)
      expect((await walk.ask(through(front), asked)).said).toBe('good')
    }
  })
})

describe('nothing to be known', () => {
  test('beyond B without a record there is tryLater for nobody to keep, and caches go no further than they may (R1.23, R2.14, R6.2, R6.4, R6.9)', async () => {
    await begin({ policy: { maxAge: 600 } })
    const origin = walk.origin(walk.home) // the weather is that of places
    const caches = fronts(origin)
    const held = new Map<string, number>()
    for (const [name, front] of caches) held.set(name, (await walk.ask(through(front), GOOD)).freshUntil)
    const awayAt = walk.now
    walk.stopCron()
    walk.world.weather.recordAwayUntilMs = Number.POSITIVE_INFINITY
    walk.edge(awayAt + BOUND, ...held.values())
    let late = 0
    await walk.through(awayAt + 2 * BOUND + 60, 13, async (now) => {
      const direct = await walk.get(origin, walk.url(GOOD))
      // Asked second by second, a root that was published a little before is believed for B.
      if (now > awayAt + BOUND) expect([...direct.body]).toEqual([0x30, 3, 10, 1, 3])
      if (direct.body.length === 5) {
        late += 1
        expectForNobody(direct)
        expect(direct.headers.get('Retry-After')).toBe('30')
      }
      for (const [name, front] of caches) {
        const reply = await walk.get(through(front), walk.url(GOOD))
        if (reply.body.length > 5) checkSuccess(reply, GOOD)
        else expect(now, name).toBeGreaterThanOrEqual(held.get(name) ?? 0)
        if (now > (held.get(name) ?? 0) && !name.includes('Expires')) expect(reply.body.length, name).toBe(5)
      }
    })
    expect(late).toBeGreaterThan(20)
  })
})

test('an answer about a certificate that is not valid yet is kept until it is, no longer (R1.65, R2.10)', async () => {
  await begin()
  const asked: Asked = { serial: Uint8Array.of(0x41, 9), hash: 'SHA-1' }
  const notBefore = walk.now + 1_800
  await walk.add(asked.serial, { notBefore })
  const caches = [...fronts(walk.origin(walk.isolate(0))).values()].filter((_, i) => i !== 1)
  walk.edge(notBefore)
  let after = 0
  await walk.through(notBefore + 120, 61, async (now) => {
    for (const front of caches) {
      const facts = await walk.ask(through(front), asked)
      if (now < notBefore) expect(facts.freshUntil).toBeLessThan(notBefore)
      else {
        expect(facts.producedAt, 'within the life of the certificate').toBeGreaterThanOrEqual(notBefore)
        after += 1
      }
    }
  })
  expect(after).toBeGreaterThan(10)
})

describe('public-trust', () => {
  const ask = async (rig: Rig, ca: CA, front: SharedCache, hash: HashAlgorithm = 'SHA-1') => {
    const response = await front.fetch(new Request(ORIGIN + pathOf(question(ca, GOOD.serial, hash))))
    const body = new Uint8Array(await response.arrayBuffer())
    return checkSuccess(
      { status: response.status, headers: response.headers, body, at: rig.clock.seconds },
      { ...GOOD, hash },
    )
  }

  test.each([
    ['refresh', 7 * DAY, 4 * DAY],
    ['refresh', 16 * 3_600, 8 * 3_600],
    [3_600, 7 * DAY, 4 * DAY + 3_600],
    ['next-update', 7 * DAY, 7 * DAY - 1],
  ] as const)(
    'max-age to %s of %i s: behind a cache nothing is older than %i s, or stale (R4.3, R4.30, R4.34, R6.3, R2.10)',
    async (maxAge, validitySeconds, oldest) => {
      const rig = new Rig()
      const policy = { profile: 'public-trust', validitySeconds, maxAge } as const
      const ca = await rig.addCA({ name: 'public', policy })
      await rig.add(ca, [
        { serial: GOOD.serial, status: 'good', notBefore: EPOCH - DAY, notAfter: EPOCH + 90 * DAY },
      ])
      await rig.presign()
      const isolate = rig.newIsolate()
      const origin = async (request: Request) => {
        const { status, headers, body } = await rig.exchange(request, isolate)
        return new Response(status === 304 ? null : Uint8Array.from(body), { status, headers })
      }
      const caches = [{}, { counts: 'receipt' } as const].map(
        (kind) => new SharedCache({ clock: rig.clock, origin, ...kind }),
      )
      const edges = new Set<number>()
      const produced = new Set<number>()
      const end = rig.clock.seconds + 1.7 * validitySeconds
      const stride = validitySeconds / 100
      for (let now = rig.clock.seconds, jobAt = now; now < end; ) {
        if (now > rig.clock.seconds) rig.clock.moveTo(now)
        if (now >= jobAt) {
          await rig.publish()
          await rig.presign()
          jobAt = now + 600
        }
        for (const front of caches) {
          const facts = await ask(rig, ca, front)
          expect(rig.clock.seconds - facts.thisUpdate).toBeLessThanOrEqual(oldest)
          produced.add(facts.producedAt)
          edges.add(facts.freshUntil)
        }
        const near = [...edges].some((edge) => Math.abs(edge - now) <= 4)
        now = near
          ? now + 1
          : Math.min(now + stride, ...[...edges].filter((edge) => edge > now).map((edge) => edge - 4))
      }
      expect(produced.size).toBeGreaterThanOrEqual(2)
      rig.close()
    },
  )
})
