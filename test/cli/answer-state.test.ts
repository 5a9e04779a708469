/** `answer` over the state folder of `edge-ocsp dev`: the record of a responder that runs, or has run. */
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeOCSPResponse, decodeSuccessfulResponse, type SingleResponse } from '../../src/ocsp/index.ts'
import { OpenSSL } from '../support/openssl.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { runProgram } from './support.ts'

const NAMES = ['good', 'revoked', 'hold', 'expired'] as const
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-answer-'))
const openssl = new OpenSSL()
let server: TestServer

beforeAll(async () => {
  server = await startServer()
  for (const name of [...NAMES, 'never']) {
    const files = ['-issuer', demo('issuer.pem'), '-cert', demo(`${name}.pem`)]
    expect(openssl.run('ocsp', '-no_nonce', ...files, '-reqout', `${name}.req`)).toMatchObject({ status: 0 })
  }
})
afterAll(async () => {
  await server.stop()
  openssl.close()
  rmSync(folder, { recursive: true, force: true })
})

const demo = (name: string) => join(server.state, 'demo', name)
const answer = (name: string, state = server.state, ...more: string[]) =>
  runProgram(['answer', '--reqin', `${name}.req`, '--respout', `${name}.resp`, '--state', state, ...more], {
    cwd: openssl.folder,
  })

/** Of the file, and of the server by POST. */
async function both(name: string): Promise<readonly [Uint8Array, Uint8Array]> {
  const response = await fetch(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/ocsp-request' },
    body: openssl.readBytes(`${name}.req`).slice(),
  })
  return [openssl.readBytes(`${name}.resp`), new Uint8Array(await response.arrayBuffer())]
}

function statusOf(der: Uint8Array): Pick<SingleResponse, 'certID' | 'certStatus'>[] {
  return decodeSuccessfulResponse(der).tbsResponseData.responses.map(({ certID, certStatus }) => ({
    certID,
    certStatus,
  }))
}

test.each(NAMES)(
  'beside a running server, it says of the %s certificate what the server says',
  async (name) => {
    const run = await answer(name)
    expect([run.code, run.stderr]).toEqual([0, ''])
    const [filed, served] = await both(name)
    expect(statusOf(filed)).toEqual(statusOf(served))
    const files = ['-issuer', demo('issuer.pem'), '-CAfile', demo('chain.pem'), '-respin', `${name}.resp`]
    const seen = openssl.run('ocsp', '-reqin', `${name}.req`, ...files)
    expect(seen.stdout + seen.stderr).toContain('Response verify OK')
  },
)

test('a serial number that is not recorded is refused as the server refuses it (R1.40)', async () => {
  expect((await answer('never')).code).toBe(1)
  const [filed, served] = await both('never')
  expect(decodeOCSPResponse(filed)).toEqual(decodeOCSPResponse(served))
})

test('a revocation is in the next answer, and the server need not run for it', async () => {
  const serial = openssl
    .run('x509', '-in', demo('good.pem'), '-noout', '-serial')
    .stdout.trim()
    .replace('serial=', '')
  const revoked = [
    'revoke',
    serial,
    '--issuer',
    demo('issuer.pem'),
    '--reason',
    'superseded',
    '--state',
    server.state,
  ]
  expect((await runProgram([...revoked, '--url', server.url])).code).toBe(0)
  await answer('good')
  const certStatus = { type: 'revoked', revocationReason: 4 }
  expect(statusOf(openssl.readBytes('good.resp'))).toMatchObject([{ certStatus }])
  expect(await server.stop({ keep: true })).toBe(0)
  rmSync(join(openssl.folder, 'good.resp'))
  const run = await answer('good', server.state, '--json')
  expect(run.json()).toMatchObject({ statuses: [{ certStatus: 'revoked', revocationReason: 'superseded' }] })
  expect(statusOf(openssl.readBytes('good.resp'))).toMatchObject([{ certStatus }])
})

test('an answer changes nothing in the state folder', async () => {
  const copy = join(folder, 'copy')
  cpSync(server.state, copy, { recursive: true })
  const dump = () => {
    const db = new DatabaseSync(databaseIn(copy), { readOnly: true })
    try {
      const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all()
      return tables.map(({ name }) => [name, db.prepare(`SELECT * FROM "${String(name)}"`).all()])
    } finally {
      db.close()
    }
  }
  const before = dump()
  expect((await answer('revoked', copy)).code).toBe(0)
  expect(dump()).toEqual(before)
})

function databaseIn(state: string): string {
  const base = join(state, 'stores/d1/miniflare-D1DatabaseObject')
  const name = globSync('*.sqlite', { cwd: base }).find((one) => one !== 'metadata.sqlite')
  if (name === undefined) throw new Error('no database')
  return join(base, name)
}

test.each([
  ['no state folder', () => join(folder, 'none'), /has no record of a responder/],
  [
    'a record of another version',
    () => {
      const state = join(folder, 'older')
      cpSync(server.state, state, { recursive: true })
      const db = new DatabaseSync(databaseIn(state))
      db.exec('DELETE FROM d1_migrations WHERE id = (SELECT max(id) FROM d1_migrations)')
      db.close()
      return state
    },
    /was made by an older version[\s\S]*npm start/,
  ],
  [
    'a file that is no database',
    () => {
      const state = join(folder, 'broken')
      cpSync(server.state, state, { recursive: true })
      writeFileSync(databaseIn(state), 'not a database, but long enough to be looked at as one')
      for (const end of ['-wal', '-shm']) rmSync(`${databaseIn(state)}${end}`, { force: true })
      return state
    },
    /cannot be read/,
  ],
])('with %s nothing is written, exit 3', async (_what, makeState, message) => {
  const state = makeState()
  rmSync(join(openssl.folder, 'hold.resp'), { force: true })
  const request = readFileSync(join(openssl.folder, 'hold.req'))
  const run = await answer('hold', state)
  expect([run.code, run.stdout]).toEqual([3, ''])
  expect(run.stderr).toMatch(message)
  expect(existsSync(join(openssl.folder, 'hold.resp'))).toBe(false)
  expect(readFileSync(join(openssl.folder, 'hold.req'))).toEqual(request)
})

test('with the wrong key-encryption key the answer is an error of the responder, never a status (law 4)', async () => {
  const state = join(folder, 'wrong-key')
  cpSync(server.state, state, { recursive: true })
  writeFileSync(join(state, 'key-encryption-key'), `${Buffer.alloc(32, 7).toString('base64')}\n`)
  const run = await answer('hold', state)
  expect(run.code).toBe(1)
  expect(['internalError', 'tryLater']).toContain(
    decodeOCSPResponse(openssl.readBytes('hold.resp')).responseStatus,
  )
})
