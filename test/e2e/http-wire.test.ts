/** Requests as clients, proxies and attackers write them, by the octet, against one running server. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCertificate } from '../../src/cli/certificate.ts'
import { makeQuestion } from '../../src/cli/ocsp-exchange.ts'
import { decodeOCSPResponse, ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { demoFiles, demoQuestion, postOCSP } from '../support/clients.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { head, wire, xorshift } from '../support/wire.ts'

const KIB = 1024
const MALFORMED = Buffer.from(ERROR_RESPONSES.malformedRequest)

let server: TestServer
let question: Uint8Array
let answer: Buffer
beforeAll(async () => {
  server = await startServer()
  question = demoQuestion(server, 'good')
  answer = Buffer.from(await postOCSP(server.url, question))
})
afterAll(async () => {
  await server.stop()
})

const lengthOf = (body: Uint8Array) => `Content-Length: ${body.length}`
const chunk = (octets: Uint8Array) =>
  Buffer.concat([Buffer.from(`${octets.length.toString(16)}\r\n`), octets, Buffer.from('\r\n')])

describe('spellings of a GET give the answer to the POST, to the octet', () => {
  let base64 = ''
  let posted: Buffer
  beforeAll(async () => {
    const issuer = loadCertificate(demoFiles(server).issuer)
    // A serial number whose request has every character that somebody mangles, `//` included, and one merger of it alone.
    for (let tries = 0; tries < 1_000_000; tries += 1) {
      const serial = Uint8Array.of(0x40, ...crypto.getRandomValues(new Uint8Array(15)))
      const { der } = makeQuestion(issuer, serial, 'SHA-1', false)
      base64 = Buffer.from(der).toString('base64')
      if (!/\+.*[^/]\/\/[^/].*=$/.test(base64)) continue
      await server.admin('/issuers/demo/certificates', {
        certificates: [{ serial: formatSerial(serial), status: 'good', notAfter: 4_000_000_000 }],
      })
      await server.admin('/presign', { issuer: 'demo', all: true })
      posted = Buffer.from(await postOCSP(server.url, der))
      return
    }
    throw new Error('no such serial number')
  })

  const escaped = () => encodeURIComponent(base64)
  test.each<[string, () => string]>([
    ['R5.1 escaped', () => `/${escaped()}`],
    ['R5.2 not escaped', () => `/${base64}`],
    ['R5.3 // in the data', () => `/${base64.replaceAll('+', '%2B').replaceAll('=', '%3D')}`],
    ['R5.3 // merged by a proxy', () => `/${base64.replaceAll('//', '/')}`],
    ['R5.4 // before the data', () => `//${escaped()}`],
    ['R5.4 // after a prefix', () => `/ocsp//${base64}`],
    ['R5.5 a space for each +', () => `/${base64.replaceAll('+', '%20')}`],
    ['R5.6 escaped twice', () => `/${encodeURIComponent(escaped())}`],
    ['R5.7 a second look at what is decoded', () => `/${base64.replaceAll('+', '%252B')}`],
    ['R5.8 escaped in lower case', () => `/${escaped().replaceAll(/%../g, (text) => text.toLowerCase())}`],
    ['R5.9 without padding', () => `/${escaped().replaceAll('%3D', '')}`],
    ['R5.10 base64url', () => `/${base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`],
    ['R5.11 a query after it', () => `/${escaped()}?utm_source=x&ts=1`],
    ['R5.12 a slash after it', () => `/${escaped()}/`],
    ['R5.13 below /ocsp', () => `/ocsp/${escaped()}`],
    ['R5.13 below /ocsp/', () => `/ocsp//${escaped()}`],
    ['R5.13 below /ca1/gts1c3', () => `/ca1/gts1c3/${base64}`],
    ['R5.13 below a name that reads as base64', () => `/MEkw/${escaped()}`],
    ['an absolute target', () => `http://ocsp.example/${escaped()}`],
  ])('%s', async (_what, path) => {
    const found = await wire(server.url, [head('GET', path())])
    expect(found.status).toBe(200)
    expect(found.body).toEqual(posted)
  })

  test('a POST below any path is answered the same (R5.13)', async () => {
    for (const path of ['/', '/ocsp', '/ocsp/', '/ca1/x'])
      expect((await wire(server.url, [head('POST', path, [lengthOf(question)]), question])).body).toEqual(
        answer,
      )
  })
})

describe('framing', () => {
  test('HTTP/1.0 with Host is answered without chunks, and the connection ends (R5.30)', async () => {
    const path = `/${encodeURIComponent(Buffer.from(question).toString('base64'))}`
    const found = await wire(server.url, [head('GET', path, [], '1.0')])
    expect(found.statusLine).toBe('HTTP/1.0 200 OK')
    expect(found.headers.has('transfer-encoding')).toBe(false)
    expect(found.headers.get('content-length')).toBe(String(answer.length))
    expect(found.body).toEqual(answer)
    expect(await closes(server.url, head('GET', path, [], '1.0'))).toBe(true)
  })

  test('a POST in chunks of one octet, with a trailer (R5.35)', async () => {
    const chunks = Array.from(question, (octet) => chunk(Uint8Array.of(octet)))
    for (const end of ['0\r\n\r\n', '0\r\nX-Trailer: 1\r\n\r\n']) {
      const found = await wire(server.url, [
        head('POST', '/', ['Transfer-Encoding: chunked']),
        ...chunks,
        end,
      ])
      expect(found.body).toEqual(answer)
    }
  })

  test('a POST that says two lengths: the chunks count, and nothing after them is heard (R5.35)', async () => {
    const found = await wire(server.url, [
      head('POST', '/', ['Transfer-Encoding: chunked', lengthOf(question)]),
      chunk(question),
      '0\r\n\r\n',
      head('DELETE', '/smuggled'),
    ])
    expect(found.body).toEqual(answer)
    expect(found.headers.get('connection')).toBe('close')
  })

  test('a POST whose chunks are none is a bad request, not an error of ours', async () => {
    const found = await wire(server.url, [head('POST', '/', ['Transfer-Encoding: chunked']), 'zz\r\nzz\r\n'])
    expect(found.status).toBe(400)
  })

  test('a POST that arrives slowly', async () => {
    const pause = async (part: Uint8Array) => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      return part
    }
    const parts = [0, 20, 40, 60].map((at, i, all) => () => pause(question.subarray(at, all[i + 1])))
    expect((await wire(server.url, [head('POST', '/', [lengthOf(question)]), ...parts])).body).toEqual(answer)
  })

  test('Expect: 100-continue gets its 100, then the answer for this very serial (R5.36)', async () => {
    const questions = (['good', 'revoked', 'hold'] as const).map((name) => demoQuestion(server, name))
    for (const der of questions) {
      const wait = async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return der
      }
      const found = await wire(server.url, [head('POST', '/', [lengthOf(der), 'Expect: 100-continue']), wait])
      expect(found.before).toEqual([100])
      expect(found.body).toEqual(Buffer.from(await postOCSP(server.url, der)))
    }
  })
})

describe('connections', () => {
  const path = () => `/${encodeURIComponent(Buffer.from(question).toString('base64'))}`

  test('HTTP/1.1 without Host is a bad request (R5.31)', async () => {
    const found = await wire(server.url, [`GET ${path()} HTTP/1.1\r\n\r\n`])
    expect(found.status).toBe(400)
  })

  test('one connection serves question after question, pipelined too, in their order (R5.49)', async () => {
    const questions = (['good', 'revoked', 'never', 'hold', 'expired'] as const).map((name) =>
      demoQuestion(server, name),
    )
    const answers = await Promise.all(questions.map((der) => postOCSP(server.url, der)))
    const text = questions.map(
      (der) => head('POST', '/', [lengthOf(der)]) + Buffer.from(der).toString('latin1'),
    )
    const last = head('GET', path(), ['Connection: close'])
    const received = await untilClosed(server.url, Buffer.from(text.join('') + last, 'latin1'))
    let at = 0
    for (const expected of [...answers, answer]) {
      const found = received.indexOf(expected, at)
      expect(found, `after ${at}`).toBeGreaterThan(0)
      expect(received.subarray(at, found).toString('latin1')).toMatch(
        /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n$/,
      )
      at = found + expected.length
    }
    expect(at).toBe(received.length)
  })
})

describe('bodies that are no request', () => {
  test('what is longer than 64 KiB is not read to its end (R5.37)', async () => {
    const filler = new Uint8Array(64 * KIB)
    const whole = await wire(server.url, [head('POST', '/', [lengthOf(filler)]), filler])
    expect(whole.body).toEqual(MALFORMED)
    const cases: Parameters<typeof wire>[1][] = [
      [head('POST', '/', [`Content-Length: ${64 * KIB + 1}`]), filler, 'x'],
      [head('POST', '/', ['Content-Length: 1073741824']), filler],
      [head('POST', '/', ['Transfer-Encoding: chunked']), chunk(filler), chunk(filler), chunk(filler)],
    ]
    for (const parts of cases) {
      // Whoever is still sending when the answer comes may lose it to the reset of the connection: that is TCP. What
      // counts is that nobody waits for the rest, and that nothing else is ever answered.
      const body = await wire(server.url, parts).then(
        (reply) => reply.body,
        (error: unknown) => String(error),
      )
      if (typeof body === 'string') expect(body).toMatch(/closed|ECONNRESET|EPIPE/)
      else expect(body).toEqual(MALFORMED)
      expect(await post(question)).toEqual(answer)
    }
  })

  test('a Content-Length that lies holds nobody else up (R5.37)', async () => {
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const goAway = async (): Promise<string> => {
      await released
      throw new Error('gone')
    }
    const lying = wire(server.url, [head('POST', '/', ['Content-Length: 1000']), question, goAway])
    const gone = expect(lying).rejects.toThrow('gone')
    for (let i = 0; i < 20; i += 1) expect(await post(question)).toEqual(answer)
    release()
    await gone
    expect(await post(question)).toEqual(answer)
  })

  test.each([
    ['00', Uint8Array.of(0)],
    ['a line feed', Uint8Array.of(0x0a)],
    ['a second request', undefined],
  ])('octets after it, %s, make it malformed (R5.38)', async (_what, tail) => {
    expect(await post(Buffer.concat([question, tail ?? question]))).toEqual(MALFORMED)
  })

  test('every truncation is malformed (R1.1)', async () => {
    const lengths = Array.from({ length: question.length }, (_, length) => length)
    await inBatches(lengths, async (length) => {
      expect(await post(question.subarray(0, length)), `${length} octets`).toEqual(MALFORMED)
    })
  })

  test('random octets and flipped ones never fail the server (R1.1)', async () => {
    const random = xorshift(20_261_121)
    const bodies = Array.from({ length: 600 }, (_, i) => {
      if (i % 3 === 0) return Uint8Array.from({ length: random() % 300 }, () => random() & 0xff)
      const body = question.slice()
      for (let flips = 0; flips <= i % 4; flips += 1) body[random() % body.length] = random() & 0xff
      return body
    })
    await inBatches(bodies, async (body) => {
      const status = decodeOCSPResponse(await post(body)).responseStatus
      expect(['malformedRequest', 'unauthorized', 'successful'], Buffer.from(body).toString('hex')).toContain(
        status,
      )
    })
    expect(await post(question)).toEqual(answer)
  })

  test('and the certificate itself is none (R1.1)', async () => {
    expect(await post(loadCertificate(demoFiles(server).issuer).der)).toEqual(MALFORMED)
  })
})

/** The body of the answer to a POST; any status but 200 fails. */
async function post(body: Uint8Array): Promise<Buffer> {
  return Buffer.from(await postOCSP(server.url, body))
}

/** Whether the server ends the connection after its answer. */
async function closes(url: string, request: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  try {
    return await new Promise((resolve) => {
      socket.on('end', () => resolve(true)).on('error', () => resolve(false))
      socket.resume().setTimeout(3_000, () => resolve(false))
      socket.write(request)
    })
  } finally {
    socket.destroy()
  }
}

async function inBatches<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += 20) await Promise.all(items.slice(at, at + 20).map(run))
}

/** Everything that comes back until the server ends the connection. */
async function untilClosed(url: string, request: Uint8Array): Promise<Buffer> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const parts: Buffer[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('data', (data) => parts.push(data)).on('end', resolve)
      socket.on('error', reject).setTimeout(15_000, () => reject(new Error('not closed')))
      socket.write(request)
    })
    return Buffer.concat(parts)
  } finally {
    socket.destroy()
  }
}
