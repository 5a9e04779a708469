/** The lightweight profile, RFC 9919, clause by clause from outside. Its headers over a whole life: test/laws/validity-walk.test.ts. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { observer } from '../../src/http/observe.ts'
import { HASH_ALGORITHMS } from '../../src/pkix/algorithm-identifier.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { extension, NONCE_OID, request, requestExtensions } from '../fixtures/requests.ts'
import {
  about,
  basicOf,
  type CA,
  DATES,
  DAY,
  ORIGIN,
  pathOf,
  question,
  type Reply,
  Rig,
  singleOf,
} from './harness.ts'

const GOOD = hex('41 01')
const REVOKED = hex('41 02')
const NEVER = hex('7f 01')
const IMF_FIXDATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/

let rig: Rig
let ca: CA
let lenient: CA
let byRefresh: CA
beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'main', freshKeys: true })
  lenient = await rig.addCA({ name: 'lenient', freshKeys: true, policy: { unknown: 'unknown' } })
  byRefresh = await rig.addCA({ name: 'refresh', freshKeys: true, policy: { maxAge: 'refresh' } })
  for (const at of [ca, lenient, byRefresh])
    await rig.add(at, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', reason: 1, ...DATES },
    ])
  await rig.pass(3_600)
  await rig.presign()
})
afterAll(() => rig.close())

const httpTime = ({ headers }: Reply, name: string) => Date.parse(headers.get(name) ?? '') / 1000
const maxAgeOf = ({ headers }: Reply) =>
  Number(
    /^max-age=(\d+), public, no-transform, must-revalidate$/.exec(headers.get('Cache-Control') ?? '')?.[1],
  )
const withNonce = (at: CA, serial: Uint8Array) =>
  request({ ...about(at, serial), after: requestExtensions(extension(NONCE_OID, hex('04 01 07'))) })

test('SHA-1 and SHA-256 CertIDs have the same status and the same times (R2.1)', async () => {
  for (const serial of [GOOD, REVOKED]) {
    const [one, two] = await Promise.all(
      (['SHA-1', 'SHA-256'] as const).map(async (hash) => {
        const { certID: _certID, ...rest } = singleOf(await rig.post(question(ca, serial, hash)))
        return rest
      }),
    )
    expect(one).toEqual(two)
  }
})

test('log and metric count the hash of each CertID, to know when SHA-1 may go (R2.2, R8.4)', async () => {
  const lines: string[] = []
  const points: { blobs: string[] }[] = []
  const log = {
    event: (level: string, fields: object) => void lines.push(JSON.stringify({ level, ...fields })),
  }
  const observe = observer(log, { writeDataPoint: (point) => void points.push(point) }, 1, () => 0)
  for (const hash of HASH_ALGORITHMS) {
    rig.observed.length = 0
    await rig.post(question(ca, GOOD, hash), { 'CF-Connecting-IP': '203.0.113.9' })
    await rig.post(question(ca, NEVER, hash), { 'CF-Connecting-IP': '203.0.113.9' })
    for (const { answer, method, octets } of rig.observed) observe(answer, method, octets)
    expect(lines.at(-2)).toContain(`"hashAlgorithm":"${hash}"`)
    expect(points.at(-2)?.blobs).toContain(hash)
  }
  expect(lines).toHaveLength(2 * HASH_ALGORITHMS.length)
  // Neither client nor certificate: what is not written down cannot be asked for.
  expect([...lines, JSON.stringify(points)].join()).not.toMatch(/203\.0\.113|4101|7f01/i)
})

test('a nonce that no key can sign is no reason to refuse: the stored answer comes (R2.3)', async () => {
  const stored = await rig.post(question(ca, GOOD))
  const reply = await rig.post(withNonce(ca, GOOD), {}, rig.newIsolate(false))
  expect(reply.body).toEqual(stored.body)
  expect(reply.headers.get('Cache-Control')).toContain('public')
})

test('responseExtensions are left out unless a nonce needs them (R2.4)', async () => {
  const { tbsResponseData } = basicOf(await rig.post(question(ca, GOOD)))
  expect('responseExtensions' in tbsResponseData).toBe(false)
  expect(basicOf(await rig.post(withNonce(ca, GOOD))).tbsResponseData.responseExtensions).toHaveLength(1)
})

describe('section 7: what caches are told', () => {
  const cases = () => [
    rig.get(question(ca, GOOD)),
    rig.get(question(ca, REVOKED, 'SHA-1')),
    rig.get(question(ca, GOOD, 'SHA-512')),
    rig.get(question(lenient, NEVER)),
    rig.get(question(byRefresh, GOOD)),
    rig.post(question(ca, GOOD)),
  ]

  test('the header set of an authoritative answer, and nothing that forbids keeping it (R2.7, R2.13, R6.10)', async () => {
    for (const reply of await Promise.all(cases())) {
      expect([...reply.headers.keys()].sort()).toEqual(
        ['cache-control', 'content-type', 'date', 'etag', 'expires', 'last-modified'], // the length is the server's
      )
      expect(reply.headers.get('Cache-Control')).toMatch(
        /^max-age=\d+, public, no-transform, must-revalidate$/,
      )
    }
  })

  test('Last-Modified is producedAt, Expires nextUpdate, ETag SHA-256, all dates in GMT (R2.8, R2.9, R2.12, R2.18)', async () => {
    for (const reply of await Promise.all(cases())) {
      const { producedAt, nextUpdate } = singleOf(reply)
      expect(httpTime(reply, 'Last-Modified')).toBe(producedAt)
      expect(producedAt).toBeLessThanOrEqual(httpTime(reply, 'Date'))
      expect(httpTime(reply, 'Expires')).toBe(nextUpdate)
      expect(reply.headers.get('ETag')).toBe(`"${createHash('sha256').update(reply.body).digest('hex')}"`)
      for (const name of ['Date', 'Last-Modified', 'Expires'])
        expect(reply.headers.get(name)).toMatch(IMF_FIXDATE)
    }
  })

  test('Date + max-age lies after thisUpdate and before nextUpdate, and a proxy may count from Date (R2.10, R6.20)', async () => {
    for (const reply of await Promise.all(cases())) {
      const { thisUpdate, nextUpdate } = singleOf(reply)
      const until = httpTime(reply, 'Date') + maxAgeOf(reply)
      expect(httpTime(reply, 'Date')).toBe(rig.clock.seconds)
      expect(until).toBeGreaterThan(thisUpdate)
      expect(until).toBeLessThan(nextUpdate)
      expect(reply.headers.has('Age')).toBe(false)
    }
  })

  test('errors forbid keeping them (R2.14)', async () => {
    for (const reply of [await rig.get(question(ca, NEVER)), await rig.post(hex('00'))])
      expect([...reply.headers].map(([name, value]) => `${name}: ${value}`)).toEqual([
        'cache-control: no-store',
        'content-type: application/ocsp-response',
        `date: ${reply.headers.get('Date')}`,
      ])
  })
})

test('thisUpdate is when the status was known, producedAt when it was signed; signed again, both move on (R2.15)', async () => {
  const at = new Rig()
  const issuer = await at.addCA({ name: 'clocked' })
  await at.add(issuer, [{ serial: GOOD, status: 'good', ...DATES }])
  await at.pass(900)
  await at.presign()
  const t0 = at.clock.seconds
  const first = singleOf(await at.get(question(issuer, GOOD)))
  expect([first.producedAt - t0, first.thisUpdate - t0]).toEqual([0, -300])
  await at.pass(4 * DAY)
  await at.presign()
  await at.pass(60)
  const second = singleOf(await at.get(question(issuer, GOOD), {}, at.newIsolate()))
  expect(second.producedAt).toBeGreaterThan(first.producedAt + 3 * DAY)
  expect(second.thisUpdate).toBe(second.producedAt - 300)
  at.close()
})

test('a flood is shed with tryLater, and who is known is answered through it (R2.16, R8.5)', async () => {
  const isolate = rig.newIsolate()
  const said = new Map<string, number>()
  const before = rig.faults.calls.get('signer') ?? 0
  for (let n = 0; n < 400; n += 1) {
    const serial = Uint8Array.of(0x60, n >>> 8, n & 0xff)
    const reply = await rig.exchange(new Request(ORIGIN + pathOf(question(ca, serial))), isolate)
    said.set(reply.said, (said.get(reply.said) ?? 0) + 1)
  }
  expect([...said.keys()]).toEqual(['unauthorized', 'tryLater'])
  expect(said.get('unauthorized')).toBeLessThanOrEqual(201)
  expect((rig.faults.calls.get('signer') ?? 0) - before, 'no signature for what does not exist').toBe(0)
  expect((await rig.get(question(ca, GOOD), {}, isolate)).said).toBe('good')
  expect(toHex((await rig.get(question(ca, GOOD), {}, isolate)).body)).toBe(
    toHex((await rig.get(question(ca, GOOD))).body),
  )
})
