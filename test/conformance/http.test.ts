/** HTTP and caching, where a running server is not needed; the wire itself is asked in test/e2e. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HASH_ALGORITHMS } from '../../src/pkix/algorithm-identifier.ts'
import { hex, seq, toHex } from '../fixtures/octets.ts'
import { extension, NONCE_OID, request, requestExtensions, SHA1 } from '../fixtures/requests.ts'
import { about, type CA, DATES, ORIGIN, pathOf, question, type Reply, Rig, singleOf } from './harness.ts'

const GOOD = hex('41 01')
const REVOKED = hex('41 02')
const YOUNG = hex('41 03')
const NEVER = hex('7f 01')

let rig: Rig
let ca: CA
let lenient: CA
beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'main', freshKeys: true })
  lenient = await rig.addCA({ name: 'lenient', freshKeys: true, policy: { unknown: 'unknown' } })
  await rig.add(ca, [
    { serial: GOOD, status: 'good', ...DATES },
    { serial: REVOKED, status: 'revoked', reason: 1, ...DATES },
  ])
  await rig.presign()
  await rig.add(ca, [{ serial: YOUNG, status: 'good', ...DATES }])
})
afterEach(() => rig.faults.clear())
afterAll(() => rig.close())

const longest = () =>
  request({
    ...about(ca, GOOD, 'SHA-512'),
    after: requestExtensions(extension(NONCE_OID, Buffer.concat([hex('04 20'), new Uint8Array(32).fill(9)]))),
  })

describe('RFC 6960 appendix A', () => {
  test('GET and POST of one request have one answer (R1.100, R1.101, R4.12)', async () => {
    for (const der of [
      question(ca, GOOD),
      question(ca, REVOKED, 'SHA-1'),
      question(ca, NEVER),
      hex('30 00'),
    ]) {
      const [byGET, byPOST] = [await rig.get(der), await rig.post(der)]
      expect(byGET.body).toEqual(byPOST.body)
      expect([...byGET.headers]).toEqual([...byPOST.headers])
    }
  })

  test('every OCSPResponse comes with 200, its exact type and no redirect, over plain HTTP (R1.102, R1.103, R1.104)', async () => {
    const replies: [string, Reply][] = [
      ['good', await rig.get(question(ca, GOOD))],
      ['revoked', await rig.get(question(ca, REVOKED))],
      ['unknown', await rig.get(question(lenient, NEVER))],
      ['good', await rig.get(longest())],
      ['unauthorized', await rig.get(question(ca, NEVER))],
      ['malformedRequest', await rig.get(hex('31 00'))],
      ['malformedRequest', await rig.exchange(new Request(`${ORIGIN}/MA%ZZ`))],
      ['malformedRequest', await rig.exchange(new Request(`${ORIGIN}/ocsp`))],
    ]
    rig.faults.set('signer', 'fail')
    replies.push(['internalError', await rig.get(question(ca, GOOD, 'SHA-384'))])
    rig.faults.set('d1', 'fail')
    replies.push(['tryLater', await rig.get(question(ca, hex('7f 02')))])
    for (const [said, { status, headers, said: found }] of replies) {
      expect([found, status]).toEqual([said, 200])
      expect(headers.get('Content-Type')).toBe('application/ocsp-response')
      for (const name of ['Location', 'Strict-Transport-Security', 'Upgrade', 'Vary', 'Content-Location'])
        expect(headers.has(name), name).toBe(false)
    }
  })

  test('a GET of more than 255 octets is served (R1.105)', async () => {
    const path = pathOf(longest())
    expect(path.length).toBeGreaterThan(255)
    expect((await rig.exchange(new Request(ORIGIN + path))).said).toBe('good')
  })

  test('under a path that is not OCSP nothing is kept either (R6.21)', async () => {
    for (const path of ['/nowhere', '/ocsp/', '/.well-known/x', '/MEkw'])
      expect((await rig.exchange(new Request(ORIGIN + path))).headers.get('Cache-Control')).toBe('no-store')
  })
})

describe('what others keep', () => {
  test('the same answer has the same octets and ETag at every isolate (R6.15)', async () => {
    const replies = await Promise.all(
      [rig.isolate, rig.newIsolate(), rig.newIsolate(false)].map((isolate) =>
        rig.get(question(ca, GOOD), {}, isolate),
      ),
    )
    expect(new Set(replies.map(({ body }) => toHex(body))).size).toBe(1)
    expect(new Set(replies.map(({ headers }) => headers.get('ETag'))).size).toBe(1)
  })

  test('nothing permits a cache to serve stale, on error or while it asks again (R6.9)', async () => {
    for (const reply of [await rig.get(question(ca, GOOD)), await rig.get(question(ca, NEVER))]) {
      expect(reply.headers.get('Cache-Control')).not.toMatch(/stale|s-maxage|immutable/)
      expect(reply.headers.get('Cache-Control')).toMatch(/must-revalidate|no-store/)
      expect(reply.headers.has('Surrogate-Control') || reply.headers.has('CDN-Cache-Control')).toBe(false)
    }
  })

  test('POSTs to one URL get each its own answer, and none names a URL to be kept under (R6.14)', async () => {
    const replies = await Promise.all([GOOD, REVOKED, YOUNG].map((serial) => rig.post(question(ca, serial))))
    expect(replies.map(({ said }) => said)).toEqual(['good', 'revoked', 'good'])
    expect(replies.map((reply) => toHex(singleOf(reply).certID.serialNumber))).toEqual([
      '4101',
      '4102',
      '4103',
    ])
    // RFC 9110 9.3.3: a POST is kept for a later GET only under a Content-Location.
    for (const { headers } of replies) expect(headers.has('Content-Location')).toBe(false)
  })

  test('a refusal is not remembered against a certificate that is recorded a moment later (R6.7)', async () => {
    const serial = hex('41 55')
    const refused = await rig.get(question(ca, serial))
    expect([refused.said, refused.headers.get('Cache-Control')]).toEqual(['unauthorized', 'no-store'])
    await rig.add(ca, [{ serial, status: 'good', ...DATES }])
    expect((await rig.get(question(ca, serial))).said).toBe('good')
  })
})

describe('methods, bodies and validators', () => {
  test('a method that is neither GET, HEAD nor POST is 405 and told which are (R5.33)', async () => {
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const { status, headers } = await rig.exchange(new Request(`${ORIGIN}/`, { method }))
      expect([status, headers.get('Allow')]).toEqual([405, 'GET, HEAD, POST'])
    }
  })

  test('a body of more than 64 KiB is malformedRequest, whatever stands in it (R5.37)', async () => {
    const body = new Uint8Array(64 * 1024 + 1)
    body.set(question(ca, GOOD))
    const { said } = await rig.exchange(new Request(`${ORIGIN}/`, { method: 'POST', body }))
    expect(said).toBe('malformedRequest')
    const answer = rig.observed.at(-1)?.answer
    expect(answer !== undefined && 'error' in answer ? `${answer.error}` : '').toContain('requestTooLarge')
  })

  test('a validator that still fits, strong, weak or one of several, is 304 without a body (R6.11)', async () => {
    const der = question(ca, GOOD)
    const etag = (await rig.get(der)).headers.get('ETag') ?? ''
    for (const value of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const { status, body, headers } = await rig.get(der, { 'If-None-Match': value })
      expect([status, body.length, headers.get('ETag')]).toEqual([304, 0, etag])
    }
    expect((await rig.get(der, { 'If-None-Match': '"other"' })).status).toBe(200)
  })
})

describe('a revocation meets copies of good', () => {
  const forms = (serial: Uint8Array): (() => Request)[] => {
    const ders = [
      ...HASH_ALGORITHMS.map((hash) => question(ca, serial, hash)),
      request({ ...about(ca, serial, 'SHA-1'), algorithm: seq(SHA1) }),
    ]
    return ders.flatMap((der) => {
      const base64 = Buffer.from(der).toString('base64')
      return [
        () => new Request(`${ORIGIN}/${encodeURIComponent(base64)}`),
        () => new Request(`${ORIGIN}/${base64}`),
        () => new Request(`${ORIGIN}/ocsp//${base64}?x=1`),
        () => new Request(`${ORIGIN}/`, { method: 'POST', body: Uint8Array.from(der) }),
      ]
    })
  }

  test('every form that was answered good before is revoked in the next answer, at once where it was made (R6.4, R6.5, R6.6)', async () => {
    const serial = hex('41 60')
    await rig.add(ca, [{ serial, status: 'good', ...DATES }])
    await rig.presign()
    const isolates = [rig.isolate, rig.newIsolate()]
    for (const isolate of isolates)
      for (const form of forms(serial)) expect((await rig.exchange(form(), isolate)).said).toBe('good')
    await rig.change(ca, serial, { to: 'revoked', reason: 1 })
    for (const form of forms(serial)) expect((await rig.exchange(form())).said).toBe('revoked')
    await rig.pass(300) // the bound, for isolates that nobody has asked meanwhile
    for (const form of forms(serial)) expect((await rig.exchange(form(), isolates[1])).said).toBe('revoked')
  })

  test('changed in the record alone, with no publisher alive, it is known everywhere after the bound (R6.4, R6.5)', async () => {
    const serial = hex('41 61')
    await rig.add(ca, [{ serial, status: 'good', ...DATES }])
    await rig.presign()
    const elsewhere = rig.newIsolate()
    expect((await rig.get(question(ca, serial), {}, elsewhere)).said).toBe('good')
    await rig.isolate.admin.changeStatus(ca.record.id, serial, { to: 'revoked' }, rig.clock.nowMs())
    rig.clock.advance(301_000)
    expect((await rig.get(question(ca, serial), {}, elsewhere)).said).toBe('revoked')
    await rig.publish()
  })

  test('max-age is what honest caches may hold a good for, and the policy caps it (R6.5)', async () => {
    await rig.setPolicy(ca, { maxAge: 3_600 })
    const { headers } = await rig.get(question(ca, GOOD))
    expect(headers.get('Cache-Control')).toBe('max-age=3600, public, no-transform, must-revalidate')
    await rig.setPolicy(ca, {})
  })
})
