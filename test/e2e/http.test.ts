/** HTTP semantics against one running server: headers, conditional requests, methods, and changes that show at once. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/index.ts'
import {
  DEMO_NAMES,
  demoFiles,
  demoQuestion,
  demoSerial,
  getPath,
  postOCSP,
  runEdgeOCSP,
} from '../support/clients.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { head, type WireAnswer, wire, xorshift } from '../support/wire.ts'

const RECORDED = DEMO_NAMES.filter((name) => name !== 'never')
const CACHEABLE = [
  'cache-control',
  'content-length',
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
]
const IMF_FIXDATE =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/

let server: TestServer
let question: Uint8Array
let answer: Uint8Array
beforeAll(async () => {
  server = await startServer()
  question = demoQuestion(server, 'good')
  answer = await postOCSP(server.url, question)
})
afterAll(async () => {
  await server.stop()
})

const get = (headers: readonly string[] = [], path = getPath(question), method = 'GET') =>
  wire(server.url, [head(method, path, headers)])
const post = (body: Uint8Array, headers: readonly string[] = []) =>
  wire(server.url, [head('POST', '/', [`Content-Length: ${body.length}`, ...headers]), body])
const seconds = (found: WireAnswer, name: string) => Date.parse(found.headers.get(name) ?? '') / 1000
const statusOf = (found: WireAnswer) => decodeOCSPResponse(found.body).responseStatus

describe('an answer that caches may keep', () => {
  test.each(RECORDED.flatMap((name) => (['SHA-1', 'SHA-256'] as const).map((hash) => [name, hash] as const)))(
    '%s, %s: the whole set of headers, and no other (R2.7)',
    async (name, hash) => {
      for (const found of [
        await get([], getPath(demoQuestion(server, name, { hash }))),
        await post(demoQuestion(server, name, { hash })),
      ]) {
        const [single] = decodeSuccessfulResponse(found.body).tbsResponseData.responses
        const nextUpdate = single?.nextUpdate ?? 0
        expect([...found.headers.keys()].sort()).toEqual(CACHEABLE)
        expect(found.headers.get('content-type'), 'R1.102').toBe('application/ocsp-response')
        expect(found.headers.get('content-length'), 'R1.102').toBe(String(found.body.length))
        expect(found.headers.get('etag'), 'R2.12').toBe(
          `"${createHash('sha256').update(found.body).digest('hex')}"`,
        )
        expect(seconds(found, 'expires'), 'R2.9').toBe(nextUpdate)
        const cacheControl = found.headers.get('cache-control') ?? ''
        const maxAge = Number(
          /^max-age=(\d+), public, no-transform, must-revalidate$/.exec(cacheControl)?.[1] ?? Number.NaN,
        )
        const until = seconds(found, 'date') + maxAge
        expect(until, 'R2.10').toBeLessThan(nextUpdate)
        expect(until, 'R2.10').toBeGreaterThan(single?.thisUpdate ?? Number.NaN)
        expect(maxAge, 'the cache gets nearly all of it').toBeGreaterThan(86_400)
        expect(cacheControl, 'R2.13').not.toMatch(/no-cache|no-store/)
        for (const date of ['date', 'expires', 'last-modified'])
          expect(found.headers.get(date), `${date} (R2.18)`).toMatch(IMF_FIXDATE)
      }
    },
  )

  test('one for a single client, and an error, are for no cache (R1.102)', async () => {
    for (const [name, nonce] of [
      ['good', true],
      ['never', false],
    ] as const) {
      const found = await post(demoQuestion(server, name, { nonce }))
      expect([...found.headers.keys()].sort()).toEqual([
        'cache-control',
        'content-length',
        'content-type',
        'date',
      ])
      expect(found.headers.get('cache-control')).toBe('no-store')
      expect(found.headers.get('content-type')).toBe('application/ocsp-response')
    }
  })

  test('HEAD has the headers of GET and no body (R5.32)', async () => {
    const [byGET, byHEAD] = [
      await get(['Connection: close']),
      await get(['Connection: close'], undefined, 'HEAD'),
    ]
    const steady = (found: WireAnswer) =>
      [...found.headers].filter(([name]) => !/date|cache-control/.test(name))
    expect(byHEAD.status).toBe(200)
    expect(byHEAD.body.length).toBe(0)
    expect([...byHEAD.headers.keys()]).toEqual([...byGET.headers.keys()])
    expect(steady(byHEAD)).toEqual(steady(byGET))
  })

  test('is never compressed and does not vary (R5.46, R6.10)', async () => {
    for (const coding of ['gzip', 'gzip, deflate, br', 'identity;q=0, *']) {
      const found = await get([`Accept-Encoding: ${coding}`])
      expect(found.headers.has('content-encoding')).toBe(false)
      expect(found.headers.has('vary')).toBe(false)
      expect(found.body).toEqual(Buffer.from(answer))
    }
  })

  test('is whole, whatever Range says (R5.48)', async () => {
    for (const range of ['bytes=0-9', 'bytes=-1', 'bytes=999999-']) {
      const found = await get([`Range: ${range}`])
      expect(found.status).toBe(200)
      expect(found.body).toEqual(Buffer.from(answer))
    }
  })
})

describe('conditional requests', () => {
  const OTHER = `"${'0'.repeat(64)}"`
  test.each([
    ['the very tag', (tag: string) => tag, 304],
    ['a weak one', (tag: string) => `W/${tag}`, 304],
    ['a list', (tag: string) => `${OTHER}, W/"a", ${tag}`, 304],
    ['any', () => '*', 304],
    ['another', () => OTHER, 200],
    ['without quotes', (tag: string) => tag.slice(1, -1), 200],
  ])('If-None-Match with %s (R6.11)', async (_what, value, status) => {
    const full = await get()
    const found = await get([`If-None-Match: ${value(full.headers.get('etag') ?? '')}`])
    expect(found.status).toBe(status)
    if (status !== 304) return
    expect(found.body.length).toBe(0)
    for (const name of ['etag', 'expires', 'last-modified'])
      expect(found.headers.get(name)).toBe(full.headers.get(name))
    expect(found.headers.get('cache-control')).toMatch(/^max-age=\d+, public, no-transform, must-revalidate$/)
    expect(found.headers.get('date')).toMatch(IMF_FIXDATE)
    expect(found.headers.has('content-type')).toBe(false)
  })

  test('If-Modified-Since counts only without If-None-Match (R6.12)', async () => {
    const modified = seconds(await get(), 'last-modified')
    const since = (time: number) => `If-Modified-Since: ${new Date(time * 1000).toUTCString()}`
    expect((await get([since(modified)])).status).toBe(304)
    expect((await get([since(modified + 60)])).status).toBe(304)
    expect((await get([since(modified - 1)])).status).toBe(200)
    expect((await get(['If-Modified-Since: yesterday'])).status).toBe(200)
    expect((await get([since(modified), `If-None-Match: ${OTHER}`])).status).toBe(200)
  })

  test('a POST is always answered in full', async () => {
    expect((await post(question, ['If-None-Match: *'])).status).toBe(200)
  })
})

describe('methods, sizes and headers that mean nothing here', () => {
  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
    '%s is not allowed, and is told what is (R5.33)',
    async (method) => {
      const found = await get(['Content-Length: 0'], getPath(question), method)
      expect(found.status).toBe(405)
      expect(found.headers.get('allow')).toBe('GET, HEAD, POST')
    },
  )

  test('a GET of up to 8 KiB is judged, a longer one is 414 (R5.16)', async () => {
    const long = await get([], `/${'A'.repeat(8_000)}`)
    expect([long.status, statusOf(long)]).toEqual([200, 'malformedRequest'])
    for (const length of [8_193, 20_000]) expect((await get([], `/${'A'.repeat(length)}`)).status).toBe(414)
  })

  test.each([
    ['missing', []],
    ['right', ['Content-Type: application/ocsp-request']],
    ['with parameters', ['Content-Type: application/ocsp-request; charset=utf-8']],
    ['octets', ['Content-Type: application/octet-stream']],
    ['of a form', ['Content-Type: application/x-www-form-urlencoded']],
    ['text', ['Content-Type: text/plain']],
  ])('a POST is judged by its body: Content-Type %s (R5.34)', async (_what, headers) => {
    expect((await post(question, headers)).body).toEqual(Buffer.from(answer))
  })

  test.each([
    'X-Forwarded-For: 203.0.113.9',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Prefix: /admin/v1',
    'X-Original-URL: /admin/v1/status',
    'X-Rewrite-URL: /healthz',
    'X-HTTP-Method-Override: DELETE',
    'CF-Connecting-IP: 203.0.113.9',
    'X-Forwarded-Host: other.example',
    'Forwarded: for=203.0.113.9;host=other.example',
    'Cookie: session=1',
    'Authorization: Bearer abc',
    'Accept: text/html',
    'Accept-Language: fr',
    'Cache-Control: no-cache',
    'Origin: https://other.example',
    'Upgrade-Insecure-Requests: 1',
  ])('%s changes nothing, and is not reflected (R5.50)', async (header) => {
    for (const found of [await get([header]), await post(question, [header])]) {
      expect(found.body).toEqual(Buffer.from(answer))
      expect([...found.headers.keys()].sort()).toEqual(CACHEABLE)
    }
  })
})

describe('whatever stands around the question', () => {
  test.each([
    'other.example',
    'OTHER.Example.',
    'other.example:8080',
    '203.0.113.9',
    '[2001:db8::1]:80',
    'localhost',
    'xn--bcher-kva.example',
  ])('Host: %s is answered as any other, and named nowhere (R5.50)', async (host) => {
    const length = `Content-Length: ${question.length}`
    for (const parts of [
      [`GET ${getPath(question)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
      [`POST / HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n\r\n`, question],
    ]) {
      const found = await wire(server.url, parts)
      expect(found.body).toEqual(Buffer.from(answer))
      expect([...found.headers.keys()].sort()).toEqual(CACHEABLE)
      expect([...found.headers.values()].join(' ').toLowerCase()).not.toContain(host.toLowerCase())
    }
  })

  test('a Host with a path in it, which workerd lets through, opens nothing', async () => {
    for (const host of ['x/admin/v1/status?', 'x/admin/v1/issuers#', '127.0.0.1/admin/v1/audit?'])
      for (const method of ['GET', 'HEAD']) {
        const found = await wire(server.url, [
          `${method} ${getPath(question)} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        ])
        expect([401, 403], host).toContain(found.status)
        expect(found.headers.get('cache-control')).toBe('no-store')
      }
  })

  test('random headers never change the answer (R5.50)', async () => {
    const random = xorshift(20_261_121)
    const pick = <T>(all: readonly T[]): T | undefined => all[random() % all.length]
    const names = [
      ...[
        'X-Forwarded-For',
        'X-Forwarded-Host',
        'X-Forwarded-Proto',
        'X-Real-IP',
        'Forwarded',
        'Via',
        'Cookie',
      ],
      ...['Authorization', 'Referer', 'User-Agent', 'Accept', 'Accept-Encoding', 'Accept-Charset', 'Pragma'],
      ...['Cache-Control', 'Origin', 'TE', 'Max-Forwards', 'X-Request-ID', 'CF-Ray', 'If-Range', 'If-Match'],
    ]
    const values = [
      '',
      '*',
      '0',
      'gzip',
      'https',
      'no-cache',
      'a'.repeat(2_000),
      '"x"',
      '::1',
      '<script>',
      '\t,;=%00',
    ]
    for (let round = 0; round < 40; round += 1) {
      const headers = Array.from({ length: 1 + (random() % 6) }, () => `${pick(names)}: ${pick(values)}`)
      for (const found of [await get(headers), await post(question, headers)]) {
        expect(found.status, headers.join('\n')).toBe(200)
        expect(found.body, headers.join('\n')).toEqual(Buffer.from(answer))
        expect([...found.headers.keys()].sort(), headers.join('\n')).toEqual(CACHEABLE)
      }
    }
  })

  test('plain HTTP is answered where it is asked: no redirect, no HSTS (R1.104)', async () => {
    for (const headers of [[], ['Upgrade-Insecure-Requests: 1'], ['X-Forwarded-Proto: https']]) {
      const found = await get(headers)
      expect(found.status).toBe(200)
      expect(found.headers.has('location')).toBe(false)
      expect(found.headers.has('strict-transport-security')).toBe(false)
    }
  })

  test('a GET of more than 255 octets is answered (R1.105)', async () => {
    const path = getPath(demoQuestion(server, 'good', { hash: 'SHA-512', nonce: true }))
    expect(path.length).toBeGreaterThan(316)
    const [single] = decodeSuccessfulResponse((await get([], path)).body).tbsResponseData.responses
    expect(single?.certStatus.type).toBe('good')
  })

  test.each([
    '/%ZZ',
    '/%%',
    '/%4',
    '/MEkw%',
    '/AAAA',
    '/ocsp',
    '//',
    '/index.php',
    '/../../etc/passwd',
    '/MEkw',
  ])('GET %s is malformedRequest, with a body and for no cache (R5.14, R6.7, R6.21)', async (path) => {
    const found = await get([], path)
    expect(found.status).toBe(200)
    expect(statusOf(found)).toBe('malformedRequest')
    expect(found.headers.get('content-type')).toBe('application/ocsp-response')
    expect(found.headers.get('cache-control')).toBe('no-store')
  })

  test('GET / is a small page, not an OCSP error (R5.15)', async () => {
    for (const path of ['/', '/?from=monitor']) {
      const found = await get([], path)
      expect(found.status).toBe(200)
      expect(found.headers.get('content-type')).toMatch(/^text\/html/)
      expect(found.body.length).toBeLessThan(4_096)
      const maxAge = /max-age=(\d+)/.exec(found.headers.get('cache-control') ?? '')?.[1] ?? '0'
      expect(Number(maxAge)).toBeLessThanOrEqual(3_600)
    }
  })
})

describe('a change is in the very next answer', () => {
  const status = async (name: (typeof DEMO_NAMES)[number]) => {
    const answers = await Promise.all(
      (['SHA-1', 'SHA-256'] as const).flatMap((hash) => {
        const der = demoQuestion(server, name, { hash })
        return [get([], getPath(der)), post(der)]
      }),
    )
    const found = answers.map(({ body }) => {
      const response = decodeOCSPResponse(body)
      if (response.responseStatus !== 'successful') return response.responseStatus
      return decodeSuccessfulResponse(body).tbsResponseData.responses[0]?.certStatus.type
    })
    expect(new Set(found).size, `one word for all: ${found.join(' ')}`).toBe(1)
    return found[0]
  }
  const demo = () => ['--url', server.url, '--issuer', 'demo']
  const file = (name: (typeof DEMO_NAMES)[number]) => demoFiles(server).certificate(name)

  test('of `edge-ocsp revoke` (R1.31)', async () => {
    expect(await status('good')).toBe('good')
    const revoke = await runEdgeOCSP(server, 'revoke', file('good'), ...demo(), '--reason', 'keyCompromise')
    expect(revoke.code, revoke.output).toBe(0)
    expect(await status('good')).toBe('revoked')
  })

  test('of `edge-ocsp unrevoke`, for a hold', async () => {
    expect(await status('hold')).toBe('revoked')
    const release = await runEdgeOCSP(server, 'unrevoke', demoSerial(server, 'hold'), ...demo())
    expect(release.code, release.output).toBe(0)
    expect(await status('hold')).toBe('good')
    const refused = await runEdgeOCSP(server, 'unrevoke', demoSerial(server, 'revoked'), ...demo())
    expect(refused.code).toBe(1)
    expect(await status('revoked')).toBe('revoked')
  })

  test('of `edge-ocsp cert add`, for what was asked about before it was recorded (R1.39)', async () => {
    for (let i = 0; i < 3; i += 1) expect(await status('never')).toBe('unauthorized')
    const add = await runEdgeOCSP(server, 'cert', 'add', file('never'), ...demo())
    expect(add.code, add.output).toBe(0)
    expect(await status('never')).toBe('good')
  })
})
