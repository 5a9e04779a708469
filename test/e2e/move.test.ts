/** A move between two D1 databases of a running Worker, as far as it goes before the bound: copied, compared, and given up (ADR 0016). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { type Run, runProgram } from '../cli/support.ts'
import { hex, makeTestPKI } from '../support/pki.ts'
import { startServer, type TestServer } from '../support/server.ts'

const COUNT = 3_000
let server: TestServer
const run = (line: string): Promise<Run> =>
  runProgram(line.split(' '), { env: { EDGE_OCSP_STATE: server.state } })
const file = (name: string) => join(server.state, name)
const serial = (n: number) => hex(Uint8Array.of(0x52, 7, n >> 8, n & 0xff))

interface State {
  readonly done: boolean
  readonly move: {
    readonly phase: string
    readonly copied: number
    readonly verified: number
    readonly repaired: number
  } | null
  readonly waits: { readonly for: string } | null
}

beforeAll(async () => {
  server = await startServer({ databases: 2, demo: false })
  const pki = await makeTestPKI({ now: Math.floor(Date.now() / 1000), caName: 'Moving CA' })
  writeFileSync(file('ca.pem'), formatPEM('CERTIFICATE', pki.issuer.certificate))
  writeFileSync(file('ocsp.pem'), formatPEM('CERTIFICATE', pki.responder.certificate ?? new Uint8Array()))
  writeFileSync(file('ocsp.key'), formatPEM('PRIVATE KEY', pki.responder.pkcs8))
  const lines = Array.from(
    { length: COUNT },
    (_, n) => `V\t400101000000Z\t\t${serial(n)}\tunknown\t/CN=${n}\n`,
  )
  writeFileSync(file('index.txt'), lines.join(''))
  const keys = `--responder-cert ${file('ocsp.pem')} --responder-key ${file('ocsp.key')}`
  expect((await run(`issuer add --cert ${file('ca.pem')} --name moving ${keys}`)).code).toBe(0)
  expect((await run(`import openssl-index ${file('index.txt')} --issuer moving`)).code).toBe(0)
}, 120_000)
afterAll(() => server.stop())

test('half of the certificates are copied and compared, revoked ones among them, and deleted again as it is given up', async () => {
  let state: State | undefined
  for (let calls = 0; calls < 60 && state?.waits?.for !== 'bound'; calls += 1) {
    state = (await server.admin('/issuers/moving/moves', { databases: [0, 1] })) as State
    if (calls === 0) expect((await run(`revoke ${serial(1)} --issuer moving`)).code).toBe(0)
  }
  expect(state).toMatchObject({
    done: false,
    move: { phase: 'verifying', repaired: 0 },
    waits: { for: 'bound' },
  })
  const { copied = 0, verified = 0 } = state?.move ?? {}
  expect(copied).toBeGreaterThan(COUNT / 3)
  expect(verified).toBe(copied)
  const dry = await run('issuer move moving --databases 0,1 --dry-run')
  expect([dry.code, dry.stdout]).toEqual([
    0,
    expect.stringContaining('would move the digits 8-f from 0 to 1'),
  ])
  const gaveUp = await run('issuer move moving --abort')
  expect([gaveUp.stderr, gaveUp.stdout]).toEqual([
    expect.anything(),
    'gave up; moving: digits 0-f in database 0\n',
  ])
  expect((await run(`cert show ${serial(1)} --issuer moving`)).stdout).toMatch(/revoked/)
  expect((await run('issuer show moving')).stdout).toMatch(/moving/)
})
