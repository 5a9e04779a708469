/** Two D1 databases behind one running Worker: an issuer that has its certificates in both, by the command line; openssl asks (ADR 0016). */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { type Run, runProgram } from '../cli/support.ts'
import { hex, makeTestPKI } from '../support/pki.ts'
import { startServer, type TestServer } from '../support/server.ts'

const COUNT = 60
const serials = Array.from({ length: COUNT }, (_, n) => Uint8Array.of(0x51, 0x07, n, 0x33))
/** The half of the hashes decides: digits 0-7 in DB, 8-f in DB_1. */
const databaseOf = (serial: Uint8Array) => serialHash(serial) >>> 31
const isRevoked = (n: number) => n % 10 === 0
const inDatabase = (database: number) => serials.filter((serial) => databaseOf(serial) === database)

let server: TestServer
const run = (line: string): Promise<Run> =>
  runProgram(line.split(' '), { env: { EDGE_OCSP_STATE: server.state } })
const file = (name: string) => join(server.state, name)

/** What openssl prints of the answer for serial numbers. */
async function openssl(asked: readonly Uint8Array[]): Promise<string> {
  const args = asked.flatMap((serial) => ['-serial', `0x${hex(serial)}`])
  return new Promise((resolve) => {
    execFile(
      'openssl',
      [
        'ocsp',
        '-issuer',
        file('ca.pem'),
        ...args,
        '-CAfile',
        file('ca.pem'),
        '-url',
        server.url,
        '-no_nonce',
      ],
      (_, stdout, stderr) => resolve(stdout + stderr),
    )
  })
}

async function statusOf(serial: Uint8Array): Promise<string | undefined> {
  return /^0x\w+: (\w+)$/m.exec(await openssl([serial]))?.[1]
}

beforeAll(async () => {
  server = await startServer({ databases: 2, demo: false })
  const pki = await makeTestPKI({ now: Math.floor(Date.now() / 1000), caName: 'Two Databases CA' })
  writeFileSync(file('ca.pem'), formatPEM('CERTIFICATE', pki.issuer.certificate))
  writeFileSync(file('ocsp.pem'), formatPEM('CERTIFICATE', pki.responder.certificate ?? new Uint8Array()))
  writeFileSync(file('ocsp.key'), formatPEM('PRIVATE KEY', pki.responder.pkcs8))
  const lines = serials.map((serial, n) =>
    isRevoked(n)
      ? `R\t400101000000Z\t260101000000Z,superseded\t${hex(serial).toUpperCase()}\tunknown\t/CN=${n}\n`
      : `V\t400101000000Z\t\t${hex(serial).toUpperCase()}\tunknown\t/CN=${n}\n`,
  )
  writeFileSync(file('index.txt'), lines.join(''))
  const keys = `--responder-cert ${file('ocsp.pem')} --responder-key ${file('ocsp.key')}`
  const added = await run(`issuer add --cert ${file('ca.pem')} --name two ${keys} --databases 0,1`)
  expect([added.stderr, added.code]).toEqual([expect.anything(), 0])
  const imported = await run(`import openssl-index ${file('index.txt')} --issuer two`)
  expect([imported.stderr, imported.code]).toEqual([expect.anything(), 0])
  expect((await run('presign --wait')).code).toBe(0)
}, 120_000)
afterAll(async () => {
  await server.stop()
})

test('there are certificates for both', () => {
  expect([inDatabase(0).length, inDatabase(1).length].every((count) => count > 15)).toBe(true)
})

describe('openssl', () => {
  test('is told the status of every certificate, wherever it is', async () => {
    const said = await Promise.all(serials.map(statusOf))
    expect(said).toEqual(serials.map((_, n) => (isRevoked(n) ? 'revoked' : 'good')))
  })

  test('verifies one answer about certificates of both (R1.10)', async () => {
    const asked = serials.slice(1, 9)
    expect(new Set(asked.map(databaseOf)).size).toBe(2)
    const text = await openssl(asked)
    expect(text).toMatch(/Response verify OK/)
    expect(text.match(/: good$/gm)).toHaveLength(8)
  })

  test('is refused for a serial that was never recorded (R1.38)', async () => {
    expect(await openssl([Uint8Array.of(0x51, 1, 2)])).toMatch(/Responder Error: unauthorized \(6\)/)
  })
})

test.each([0, 1])('a revocation in database %i shows at once', async (database) => {
  const serial = inDatabase(database).at(-1) ?? new Uint8Array()
  expect(await statusOf(serial)).toBe('good')
  const revoked = await run(`revoke ${hex(serial)} --issuer two --reason keyCompromise`)
  expect([revoked.stderr, revoked.code]).toEqual([expect.anything(), 0])
  expect(await statusOf(serial)).toBe('revoked')
})

describe('the operator', () => {
  test('sees where the certificates are, that both databases are up, and the audit of both', async () => {
    expect((await run('issuer show two')).stdout).toMatch(/0-7[\s\S]*8-f/)
    expect((await run('status')).stdout).toMatch(/^0 +DB +up.*\n1 +DB_1 +up/m)
    const audit = (await run('audit export')).stdout.trim().split('\n')
    const revoked = audit.filter((line) => line.includes('certificate.revoked'))
    for (const database of [0, 1])
      expect(
        revoked.some((line) => line.includes(hex(inDatabase(database).at(-1) ?? new Uint8Array()))),
      ).toBe(true)
  })

  test('is told clearly of a database that is not there', async () => {
    const { code, stderr } = await run(`issuer add --cert ${file('ca.pem')} --name three --databases 0,2`)
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/database 2|DB_2/)
  })
})

test('after a restart everything is answered as before', { timeout: 120_000 }, async () => {
  const { state } = server
  await server.stop({ keep: true })
  server = await startServer({ databases: 2, demo: false, state })
  const said = await Promise.all(serials.slice(0, 40).map(statusOf))
  const last = [0, 1].map((database) => inDatabase(database).at(-1))
  expect(said).toEqual(
    serials.slice(0, 40).map((serial, n) => (isRevoked(n) || last.includes(serial) ? 'revoked' : 'good')),
  )
})
