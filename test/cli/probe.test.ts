/** `probe` against a responder of which every part can be bent: what it finds, and how it exits. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { authorityInfoAccess } from '../../src/cli/dev/issue-certificate.ts'
import { decodeGetTarget, decodeOCSPRequest, ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { at } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type Behaviour, NOW, respond, truthful } from './ocsp-responder.ts'
import { LocalServer, type Run, Workplace } from './support.ts'

const GOOD = '0a1b'
const REVOKED = '0a1c'
const REVOCATION = { type: 'revoked', revocationTime: NOW - 5000, revocationReason: 1 } as const

/** What is bent beside the response itself. */
interface Wire {
  httpStatus: number
  headers: Record<string, string | undefined>
  /** Wait for so long. */
  delayMs: number
  /** Only these are bent. */
  onlyMethod: string | undefined
  never: Uint8Array
}

let pki: TestPKI
let other: TestPKI
let server: LocalServer
let place: Workplace
let behaviour: Behaviour
let wire: Wire
let seen: { method: string; target: string; serial: string }[]

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW, freshKeys: true })
  other = await makeTestPKI({ now: NOW, freshKeys: true })
  server = new LocalServer(answer)
  const url = await server.listen()
  place = new Workplace(url)
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  place.writeCertificate('other.pem', other.issuer.certificate)
  const good = await pki.leaf({
    serialNumber: Uint8Array.of(0x0a, 0x1b),
    extensions: [authorityInfoAccess({ ocsp: url })],
  })
  place.writeCertificate('good.pem', good.certificate)
})
afterAll(async () => {
  await server.close()
  place.close()
})
beforeEach(() => {
  behaviour = { ...truthful(pki), nonce: 'ignore' }
  wire = {
    httpStatus: 200,
    headers: {},
    delayMs: 0,
    onlyMethod: undefined,
    never: ERROR_RESPONSES.unauthorized,
  }
  seen = []
})

async function answer(request: Request): Promise<Response> {
  const der =
    request.method === 'POST'
      ? new Uint8Array(await request.arrayBuffer())
      : (decodeGetTarget(request.url)[0] ?? new Uint8Array())
  const asked = decodeOCSPRequest(der)
  const serial = formatSerial(asked.tbsRequest.requestList[0]?.reqCert.serialNumber ?? new Uint8Array())
  seen.push({ method: request.method, target: request.url, serial })
  await new Promise((resolve) => setTimeout(resolve, wire.delayMs))
  const isBent = wire.onlyMethod === undefined || wire.onlyMethod === request.method
  const usual = { ...truthful(pki), nonce: 'ignore' } as const
  const how = isBent ? behaviour : usual
  const isKnown = serial === GOOD || serial === REVOKED
  const body = isKnown
    ? await respond(
        asked,
        serial === REVOKED && how.status.type === 'good' ? { ...how, status: REVOCATION } : how,
      )
    : wire.never
  const nextUpdate = how.nextUpdate ?? NOW + 3600
  const headers: Record<string, string | undefined> = {
    'content-type': 'application/ocsp-response',
    'content-length': String(body.length),
    ...(isKnown
      ? {
          'cache-control': 'max-age=60, public, no-transform, must-revalidate',
          'last-modified': new Date((NOW - 30) * 1000).toUTCString(),
          expires: new Date(nextUpdate * 1000).toUTCString(),
          etag: `"${createHash('sha256').update(body).digest('hex')}"`,
        }
      : { 'cache-control': 'no-store' }),
    ...(isBent ? wire.headers : {}),
  }
  const present = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  return new Response(new Uint8Array(body), {
    status: isBent ? wire.httpStatus : 200,
    headers: Object.fromEntries(present),
  })
}

const probe = (more = '', canaries = `--good ${GOOD} --revoked ${REVOKED}`) =>
  place.run(`probe --issuer issuer.pem --url ${server.url} --json ${canaries} ${more}`.trim().split(/\s+/))

/** Requirements of errors and of warnings, each once. */
function ids({ json }: Run): { errors: string[]; warnings: string[] } {
  const probes = at(json(), 'probes')
  if (!Array.isArray(probes)) throw new Error('no probes')
  const findings = probes.flatMap((one): unknown => at(one, 'findings')).flat()
  const of = (level: string) => {
    const found = findings.filter((one) => at(one, 'level') === level).map((one) => String(at(one, 'id')))
    return [...new Set(found)].sort()
  }
  return { errors: of('error'), warnings: of('warning') }
}

test('a responder that is right: every canary by GET and POST with both hashes, a random serial, raw paths with slashes (R8.7)', async () => {
  const run = await probe()
  expect([run.code, run.stderr]).toEqual([0, ''])
  expect(run.json()).toMatchObject({ ok: true, errors: 0, warnings: 0, unanswered: 0 })
  expect(ids(run)).toEqual({ errors: [], warnings: [] })
  const count = (serial: string, method: string) =>
    seen.filter((one) => one.serial === serial && one.method === method && !/\/M[^%]*\//.test(one.target))
      .length
  expect([count(GOOD, 'GET'), count(GOOD, 'POST'), count(REVOKED, 'GET'), count(REVOKED, 'POST')]).toEqual([
    2, 2, 2, 2,
  ])
  const random = seen.filter(({ serial }) => serial !== GOOD && serial !== REVOKED)
  expect(random.map(({ method, serial }) => [method, serial.length])).toEqual([
    ['POST', 40],
    ['GET', 40],
  ])
  expect(random[1]?.target).toMatch(/^http:\/\/[^/]+\/M[A-Za-z0-9+/=]*\/\//)
  await probe()
  const again = seen.filter(({ serial }) => serial.length === 40).map(({ serial }) => serial)
  expect(new Set(again).size).toBe(4)
})

test('--json has what a monitor keeps: status, times, latency, time left, header lines', async () => {
  const { json } = await probe('--hash sha256 --method GET')
  expect(json()).toMatchObject({
    url: server.url,
    minRemaining: expect.any(Number),
    maxMilliseconds: expect.any(Number),
    probes: expect.arrayContaining([
      expect.objectContaining({
        ...{ expected: 'good', serial: GOOD, method: 'GET', path: 'encoded', httpStatus: 200 },
        ...{ responseStatus: 'successful', certStatus: 'good', signature: 'verified', isAnswered: true },
        cacheControl: 'max-age=60, public, no-transform, must-revalidate',
      }),
      expect.objectContaining({ expected: 'never', path: 'raw', responseStatus: 'unauthorized' }),
    ]),
  })
})

test('for people there is a line for each probe, and one for all', async () => {
  const { stdout } = await place.run(
    `probe --issuer issuer.pem --url ${server.url} --good good.pem --hash sha1`.split(' '),
  )
  expect(stdout).toMatch(/^ok {3}good 0a1b GET SHA-1: good, [\d.]+ ms, \d+m( \d+s)? left\n/)
  expect(stdout).toMatch(/^ok {3}never [0-9a-f]{40} POST SHA-1: unauthorized, [\d.]+ ms$/m)
  expect(stdout).toMatch(/: \d probes, 0 errors, 0 warnings, slowest [\d.]+ ms, .+ left at least\n$/)
})

test('without --url the AIA of a canary says where', async () => {
  const run = await place.run('probe --issuer issuer.pem --good good.pem --method POST --json'.split(' '), {
    env: { EDGE_OCSP_URL: 'http://127.0.0.1:9' },
  })
  expect([run.code, at(run.json(), 'url')]).toEqual([0, server.url])
})

describe('what is wrong is found, with its requirement, exit 1', () => {
  test.each<[string, string, () => void]>([
    [
      'a stale response',
      'R1.67',
      () => Object.assign(behaviour, { thisUpdate: NOW - 7200, nextUpdate: NOW - 3600 }),
    ],
    ['one of the future', 'R1.67', () => Object.assign(behaviour, { thisUpdate: NOW + 600 })],
    [
      'one about another serial number',
      'R1.69',
      () => {
        behaviour.single = (one) => ({ ...one, certID: { ...one.certID, serialNumber: Uint8Array.of(9) } })
      },
    ],
    [
      'a bad signature',
      'R1.51',
      () => {
        behaviour.bytes = (der) => {
          const changed = der.slice()
          const producedAt = Buffer.from(der).indexOf(Buffer.from([0x18, 0x0f, 0x32]))
          changed[producedAt + 15] = (changed[producedAt + 15] ?? 0) ^ 1
          return changed
        }
      },
    ],
    [
      'a signer of another CA',
      'R1.56',
      () => Object.assign(behaviour, { ...truthful(other), nonce: 'ignore' }),
    ],
    ['good for what is revoked', 'R6.5', () => Object.assign(behaviour, { status: { type: 'unknown' } })],
    [
      'an error for what is good',
      'R1.39',
      () => Object.assign(behaviour, { bytes: () => ERROR_RESPONSES.unauthorized }),
    ],
    ['tryLater', 'R1.39', () => Object.assign(behaviour, { bytes: () => ERROR_RESPONSES.tryLater })],
    ['a web page', 'R1.103', () => Object.assign(behaviour, { bytes: () => Buffer.from('<html>') })],
    ['an answer under HTTP 500', 'R1.103', () => Object.assign(wire, { httpStatus: 500 })],
    [
      'a redirect',
      'R1.104',
      () => Object.assign(wire, { httpStatus: 301, headers: { location: 'https://127.0.0.1/' } }),
    ],
    [
      'another Content-Type',
      'R1.102',
      () => Object.assign(wire, { headers: { 'content-type': 'application/ocsp-response; charset=utf-8' } }),
    ],
    [
      'no-store on an answer',
      'R2.13',
      () => Object.assign(wire, { headers: { 'cache-control': 'no-store' } }),
    ],
    [
      'a max-age past nextUpdate',
      'R2.10',
      () =>
        Object.assign(wire, {
          headers: { 'cache-control': 'max-age=9999, public, no-transform, must-revalidate' },
        }),
    ],
    [
      'stale-if-error',
      'R6.9',
      () =>
        Object.assign(wire, {
          headers: {
            'cache-control': 'max-age=60, public, no-transform, must-revalidate, stale-if-error=600',
          },
        }),
    ],
    [
      'Expires past nextUpdate',
      'R2.9',
      () => Object.assign(wire, { headers: { expires: new Date((NOW + 7200) * 1000).toUTCString() } }),
    ],
    [
      'a date in another form',
      'R2.18',
      () => Object.assign(wire, { headers: { expires: 'Sat, 21 Nov 2026 00:00:00 UTC' } }),
    ],
  ])('%s: %s', async (_what, id, bend) => {
    bend()
    const run = await probe('--hash sha256 --method GET')
    expect([run.code, at(run.json(), 'ok')]).toEqual([1, false])
    expect(ids(run).errors).toContain(id)
  })

  test('an error that caches keep (R6.7), and one without a word to them', async () => {
    wire.headers = { 'cache-control': 'max-age=60, public, no-transform, must-revalidate' }
    expect(ids(await probe('--method POST'))).toEqual({ errors: ['R6.7'], warnings: [] })
    wire.headers = { 'cache-control': undefined }
    expect(ids(await probe('--method POST', ''))).toEqual({ errors: [], warnings: ['R6.7'] })
  })

  test('GET and POST that disagree (R6.15)', async () => {
    Object.assign(behaviour, { status: REVOCATION })
    wire.onlyMethod = 'POST'
    const run = await probe('--hash sha256', `--good ${GOOD}`)
    expect([run.code, ids(run).errors]).toEqual([1, ['R1.39', 'R6.15']])
  })

  test('a serial number that nobody has is good (R1.33)', async () => {
    wire.never = await respond(
      decodeOCSPRequest(
        decodeGetTarget(
          'http://x/MEIwQDA%2BMDwwOjAJBgUrDgMCGgUABBQAAAAAAAAAAAAAAAAAAAAAAAAAAAQUAAAAAAAAAAAAAAAAAAAAAAAAAAACAQE%3D',
        )[0] ?? new Uint8Array(),
      ),
      { ...truthful(pki), nonce: 'ignore' },
    )
    const run = await probe('--method POST', '')
    expect([run.code, ids(run).errors]).toEqual([1, expect.arrayContaining(['R1.33', 'R1.69'])])
  })

  test('--never-as wants one answer for it, and --never asks for more of them', async () => {
    expect((await probe('--never-as unauthorized')).code).toBe(0)
    const run = await probe('--never-as unknown --never 0bad --method POST --hash sha1', '')
    expect([run.code, ids(run).errors]).toEqual([1, ['R1.33']])
    expect(seen.at(-2)?.serial).toBe('0bad')
  })
})

describe('time', () => {
  test('--min-remaining: a newer answer was due (R2.11)', async () => {
    expect((await probe('--min-remaining 30m')).code).toBe(0)
    const run = await probe('--min-remaining 2h')
    expect([run.code, ids(run).errors]).toEqual([1, ['R2.11']])
  })

  test('under public-trust eight hours have to be left, or half of a short life (R4.2, R4.3)', async () => {
    Object.assign(behaviour, { thisUpdate: NOW - 86_400 * 3, nextUpdate: NOW + 7 * 3600 })
    expect(ids(await probe('--profile public-trust', `--good ${GOOD}`)).errors).toEqual(['R4.3'])
    Object.assign(behaviour, { thisUpdate: NOW - 5 * 3600, nextUpdate: NOW + 4 * 3600 })
    expect(ids(await probe('--profile public-trust', `--good ${GOOD}`)).errors).toEqual(['R4.2'])
    expect(ids(await probe('', `--good ${GOOD}`)).errors).toEqual([])
  })

  test('--max-latency: an answer that takes longer is wrong (R4.11)', async () => {
    wire.delayMs = 30
    const run = await probe('--max-latency 5ms --method GET --hash sha1')
    expect([run.code, ids(run).errors]).toEqual([1, ['R4.11']])
  })

  test('--timeout: nobody answers in time, exit 3, and each is told', async () => {
    wire.delayMs = 3000
    const run = await probe('--timeout 50ms --method GET --hash sha1', `--good ${GOOD}`)
    expect(run.code).toBe(3)
    expect(run.stdout).toContain('no answer: nothing within 50 ms')
    expect(at(run.json(), 'unanswered')).toBe(run.stdout.match(/no answer: nothing/g)?.length)
    expect(ids(run)).toEqual({ errors: ['R4.11'], warnings: [] })
  })
})

test('nobody listens: exit 3', async () => {
  const gone = new LocalServer(answer)
  const url = await gone.listen()
  await gone.close()
  const run = await place.run(`probe --issuer issuer.pem --url ${url} --good ${GOOD} --hash sha1`.split(' '))
  expect([run.code, run.stderr]).toEqual([3, ''])
  expect(run.stdout).toMatch(/^FAIL good 0a1b GET SHA-1: no answer\n {5}error R4\.11: no answer: .+\n/)
})

test('--strict: a warning is enough (R2.12)', async () => {
  wire.headers = { etag: undefined }
  const run = await probe()
  expect([run.code, ids(run)]).toEqual([0, { errors: [], warnings: ['R2.12'] }])
  expect((await probe('--strict')).code).toBe(1)
})

test('--responder: another certificate than the one that is expected signs (R1.52)', async () => {
  if (pki.responder.certificate !== undefined)
    place.writeCertificate('responder.pem', pki.responder.certificate)
  expect((await probe('--responder responder.pem')).code).toBe(0)
  if (other.responder.certificate !== undefined)
    place.writeCertificate('strange.pem', other.responder.certificate)
  const run = await probe('--responder strange.pem --method GET --hash sha1', `--good ${GOOD}`)
  expect([run.code, ids(run).errors]).toEqual([1, expect.arrayContaining(['R1.51', 'R1.52'])])
})

test.each([
  ['', /required option '--issuer <cert>'/],
  ['--issuer missing.pem', /missing\.pem: cannot read it/],
  ['--issuer other.pem --good good.pem', /good\.pem: .* was not issued by other\.pem/],
  ['--issuer issuer.pem --good xyz', /"xyz" is neither a serial number nor a file/],
  ['--issuer issuer.pem --url ftp://x', /not an http or https address/],
  ['--issuer issuer.pem --max-latency fast', /--max-latency: "fast" is not a duration/],
  ['--issuer issuer.pem --timeout 0ms', /--timeout: "0ms" is not between/],
  ['--issuer issuer.pem --method PUT', /Allowed choices are GET, POST/],
])('"probe %s" is usage, exit 2', async (text, message) => {
  const run = await place.run(['probe', ...text.split(' ').filter((part) => part !== '')])
  expect([run.code, run.stdout]).toEqual([2, ''])
  expect(run.stderr).toMatch(message)
})
