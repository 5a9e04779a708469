/** `import openssl-index` against the real admin API and record. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at, NOW } from '../http/admin-world.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { makeTestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let server: AdminServer
let place: Workplace

beforeAll(async () => {
  const pki = await makeTestPKI({ now: NOW })
  server = await adminServer()
  place = new Workplace(server.url)
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  const body = { certificate: formatPEM('CERTIFICATE', pki.issuer.certificate), name: 'demo' }
  expect((await server.world.call('POST', '/issuers', body)).status).toBe(201)
})
afterAll(async () => {
  await server.close()
  place.close()
})

const run = (line: string, input = '') => place.run(line.split(' '), { input })
const valid = (serial: string) => `V\t271231235959Z\t\t${serial}\tunknown\t/CN=${serial}\n`
const revoked = (serial: string, reason = 'superseded') =>
  `R\t271231235959Z\t260102030405Z,${reason}\t${serial}\tunknown\t/CN=${serial}\n`
const posts = () => server.requests.filter((request) => request.startsWith('POST')).length

async function shown(serial: string): Promise<unknown> {
  return at((await run(`cert show ${serial} --issuer demo --json`)).json(), 'status')
}

test('good lines are kept, each bad one is reported with its number, exit 1', async () => {
  place.write(
    'index.txt',
    `# mine\r\n${valid('01')}nonsense\n${revoked('02')}V\tnever\t\t03\tunknown\t/\n${revoked('04', 'certificateHold')}`,
  )
  const { code, stdout, stderr } = await run('import openssl-index index.txt --issuer issuer.pem')
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /^index\.txt:3: 1 of at least 4 TAB-separated columns.*\nindex\.txt:5: column 2 \(expiry\) is "never"/,
  )
  expect(stderr).toMatch(/revocations: published at .*; everywhere within 5m/)
  expect(stdout).toMatch(/imported 5 rows for demo in .*: 3 added, 0 changed, 0 unchanged, 0 refused, 2 bad/)
  expect([await shown('01'), await shown('02'), await shown('04')]).toEqual(['good', 'revoked', 'hold'])
})

test('running it again changes nothing; with the bad lines mended it exits 0', async () => {
  place.write('index.txt', valid('01') + revoked('02') + revoked('04', 'certificateHold'))
  const { code, json, stderr } = await run('import openssl-index index.txt --issuer demo --json')
  expect([code, stderr]).toEqual([0, ''])
  expect(json()).toMatchObject({
    issuer: 'demo',
    rows: 3,
    added: 0,
    changed: 0,
    unchanged: 3,
    refused: 0,
    bad: 0,
    problems: [],
    needsPublish: false,
  })
})

test('no import makes a revoked certificate good (law 2): the row is refused with its line, exit 1', async () => {
  const { code, stdout, stderr } = await run('import openssl-index -', valid('05') + valid('02'))
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/1 added, 0 changed, 0 unchanged, 1 refused, 0 bad/),
  ])
  expect(stderr).toMatch(/standard input:2: refused: .*revoked/)
  expect(await shown('02')).toBe('revoked')
})

test('a serial that stands twice is reported, and the revocation among the two wins', async () => {
  const { code, stderr } = await run(
    'import openssl-index - --issuer demo',
    valid('0A') + revoked('0A', 'keyCompromise'),
  )
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/standard input:2: serial 0a stands on line 1 already/),
  ])
  expect(await shown('0a')).toBe('revoked')
})

describe('--dry-run', () => {
  const index = () => valid('01') + revoked('01') + valid('02') + revoked('0F') + valid('0E') + valid('04')
  test('says what would change and sends nothing', async () => {
    const before = posts()
    const { code, stdout, stderr } = await run('import openssl-index - --issuer demo --dry-run', index())
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(
        /would import 6 rows .*: 2 added, 1 changed, 1 unchanged, 2 refused, 1 bad\nnothing was sent/,
      ),
    ])
    expect(stderr).toMatch(
      /:3: refused: revoked; that stays\n[\s\S]*:6: refused: on hold; only "edge-ocsp unrevoke" releases it/,
    )
    expect(posts()).toBe(before)
  })
  test('and the import then does just that', async () => {
    const { json } = await run('import openssl-index - --issuer demo --json', index())
    expect(json()).toMatchObject({ added: 2, changed: 1, unchanged: 1, refused: 2, bad: 1 })
  })
})

test('--add-only adds what is new, with its status, and changes none', async () => {
  const { code, json } = await run(
    'import openssl-index - --issuer demo --add-only --json',
    revoked('0E') + revoked('B0') + valid('B1'),
  )
  expect([code, json()]).toEqual([0, expect.objectContaining({ added: 2, changed: 0, kept: 1 })])
  expect([await shown('0e'), await shown('b0')]).toEqual(['good', 'revoked'])
})

test('another file altogether is given up early, nothing sent, exit 2', async () => {
  const before = posts()
  const { code, stdout, stderr } = await run(
    'import openssl-index - --issuer demo',
    'some,comma,separated,file\n'.repeat(5000),
  )
  expect([code, stdout, posts()]).toEqual([2, '', before])
  expect(stderr).toMatch(
    /does not look like an index\.txt of OpenSSL: the first 100 lines are all bad\n.*Nothing was sent/,
  )
})

test('an empty file is no failure', async () => {
  expect((await run('import openssl-index - --issuer demo')).stdout).toMatch(/imported 0 rows/)
})

test('two calls are on their way at a time; rows about one serial are recorded in their order', async () => {
  const from = 0x1100_0000
  const hex = (index: number) => (from + index).toString(16).toUpperCase()
  const lines = Array.from({ length: 4000 }, (_, index) => valid(hex(index)))
  // First in the second call: the first is on its way.
  lines[1000] = revoked(hex(0))
  let [calls, callsMeanwhile] = [0, 0]
  const { promise: third, resolve: thirdCame } = Promise.withResolvers<void>()
  server.intercept = async (request) => {
    if (!request.url.endsWith('/certificates')) return undefined
    calls += 1
    if (calls === 3) thirdCame()
    if (calls !== 2) return undefined
    await third
    await pause(200)
    callsMeanwhile = calls
    return undefined
  }
  const { code, stdout } = await run('import openssl-index - --issuer demo', lines.join(''))
  server.intercept = undefined
  expect([code, calls, callsMeanwhile]).toEqual([1, 4, 3])
  expect(stdout).toMatch(/imported 4,000 rows .*: 3999 added, 1 changed, 0 unchanged, 0 refused, 1 bad/)
  expect(await shown(hex(0))).toBe('revoked')
})

test('rows go in calls of 1000 with one publication at the end, and a cut connection is resumed by running again', async () => {
  const lines = Array.from({ length: 4500 }, (_, index) =>
    (index % 10 === 0 ? revoked : valid)((index + 0x10_0000).toString(16).toUpperCase()),
  )
  // 0x100000 has six digits.
  place.write('large.txt', lines.join(''))
  let calls = 0
  server.intercept = (request) => {
    if (!request.url.endsWith('/certificates')) return undefined
    calls += 1
    return calls > 2
      ? Response.json({ error: { code: 'internalError', message: 'cut off' } }, { status: 500 })
      : undefined
  }
  const cut = await run('import openssl-index large.txt --issuer demo')
  expect(cut.code).toBe(3)
  expect(cut.stderr).toMatch(
    /cut off\nThe import stopped after \d,\d+ rows; 2,000 rows are recorded\.\n.*Run the same command again/,
  )
  expect(cut.stderr).toMatch(/revocations: published/)
  server.intercept = undefined
  const from = server.requests.length
  const whole = await run('import openssl-index large.txt --issuer demo --json')
  expect([whole.code, whole.json()]).toEqual([
    0,
    expect.objectContaining({ rows: 4500, added: 2500, changed: 0, unchanged: 2000, needsPublish: false }),
  ])
  const since = server.requests.slice(from)
  expect(since.filter((request) => request.endsWith('/certificates'))).toHaveLength(5)
  expect(since.filter((request) => request.endsWith('/publish'))).toHaveLength(1)
})

test('a hundred thousand lines pass through in bounded memory', { timeout: 180_000 }, async () => {
  const LINES = 100_000
  const pad = 'x'.repeat(200)
  place.write(
    'huge.txt',
    Array.from(
      { length: LINES },
      (_, n) => `V\t271231235959Z\t\t${(n + 0x2000_0000).toString(16).toUpperCase()}\tunknown\t/CN=${pad}\n`,
    ).join(''),
  )
  let rows = 0
  const template = {
    publishedAt: null,
    rootVersion: null,
    boundSeconds: 300,
    changed: 0,
    unchanged: 0,
    refused: 0,
    needsPublish: false,
  }
  server.intercept = (request) => {
    if (!request.url.endsWith('/certificates')) return undefined
    rows += 1000
    return Response.json({
      ...template,
      added: 1000,
      results: Array.from({ length: 1000 }, () => ({ serial: '00', outcome: 'added' })),
    })
  }
  // The file alone is 25 MB; a heap of 48 MB holds the program and one batch, not the rows.
  const { code, json } = await place.run(
    ['import', 'openssl-index', 'huge.txt', '--issuer', 'demo', '--json'],
    {
      env: { NODE_OPTIONS: '--max-old-space-size=48' },
    },
  )
  server.intercept = undefined
  expect([code, rows, at(json(), 'rows')]).toEqual([0, LINES, LINES])
})

test.skipIf(OPENSSL_VERSION === undefined)(
  'reads what `openssl ca` writes, with every reason it knows',
  async () => {
    const openssl = new OpenSSL()
    try {
      openssl.write('ca.cnf', CA_CONFIGURATION)
      openssl.write('index.txt', '')
      openssl.write('serial', '7FFE\n')
      const ok = (...args: readonly string[]) => expect(openssl.run(...args)).toMatchObject({ status: 0 })
      ok(
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        'ca.key',
        '-out',
        'ca.pem',
        '-subj',
        '/CN=CA',
        '-days',
        '30',
      )
      const ways = [
        [],
        ['-crl_reason', 'keyCompromise'],
        ['-crl_hold', 'holdInstructionReject'],
        ['-crl_compromise', '20260101000000Z'],
        ['-crl_CA_compromise', '20260101000000Z'],
        ['-crl_reason', 'CACompromise'],
        undefined,
      ]
      for (const [index, way] of ways.entries()) {
        ok(
          'req',
          '-new',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-keyout',
          'leaf.key',
          '-out',
          'leaf.csr',
          '-subj',
          `/CN=leaf ${index}`,
        )
        ok('ca', '-batch', '-config', 'ca.cnf', '-in', 'leaf.csr', '-out', `leaf${index}.pem`, '-notext')
        if (way !== undefined) ok('ca', '-config', 'ca.cnf', '-revoke', `leaf${index}.pem`, ...way)
      }
      // The clock of the record stands still at a time that may lie before or after the one openssl wrote.
      const index = openssl.read('index.txt').replace(/^(R\t\w+\t)\d{12}Z/gm, '$1261120000000Z')
      const { code, json } = await run('import openssl-index - --issuer demo --json', index)
      expect([code, json()]).toEqual([0, expect.objectContaining({ rows: 7, added: 7, bad: 0 })])
      const rows = await Promise.all(
        ['7ffe', '7fff', '8000', '8001', '8002', '8003', '8004'].map(async (serial) =>
          (await run(`cert show ${serial} --issuer demo --json`)).json(),
        ),
      )
      expect(rows.map((row) => [at(row, 'status'), at(row, 'reason')])).toEqual([
        ['revoked', undefined],
        ['revoked', 'keyCompromise'],
        ['hold', 'certificateHold'],
        ['revoked', 'keyCompromise'],
        ['revoked', 'cACompromise'],
        ['revoked', 'cACompromise'],
        ['good', undefined],
      ])
      // Times of compromise are in the response, as CRL entries have them (R1.84).
      expect(rows.map((row) => at(row, 'invalidityDate'))).toEqual([
        undefined,
        undefined,
        undefined,
        '2026-01-01T00:00:00Z',
        '2026-01-01T00:00:00Z',
        undefined,
        undefined,
      ])
      const again = await run('import openssl-index - --issuer demo --dry-run --json', index)
      expect([again.code, again.json()]).toEqual([0, expect.objectContaining({ unchanged: 7 })])
    } finally {
      openssl.close()
    }
  },
)

const CA_CONFIGURATION = `
[ca]
default_ca = here
[here]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 10
policy = any
[any]
commonName = supplied
`
