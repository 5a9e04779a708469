/** The life of an issuer to its end, by the command line, in the running Worker; openssl and our own query are asked. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Run, runProgram } from '../cli/support.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server.stop()
})

const file = (name: string) => join(server.state, 'demo', `${name}.pem`)
const run = (line: string) => runProgram(line.split(' '), { env: { EDGE_OCSP_STATE: server.state } })
const ask = (what: string): Promise<Run> => run(`query ${what} --issuer ${file('issuer')}`)

/** What openssl prints of the answer for a serial number. */
async function openssl(serial: string): Promise<string> {
  const args = ['ocsp', '-issuer', file('issuer'), '-serial', `0x${serial}`, '-CAfile', file('chain')]
  return new Promise((resolve) => {
    execFile('openssl', [...args, '-url', server.url, '-resp_text', '-no_nonce'], (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}

describe('a serial number', () => {
  test('that is reserved is answered tryLater, and good once it is reported (R1.42)', async () => {
    expect((await run('cert reserve 0a0b0c --issuer demo')).code).toBe(0)
    const before = await ask('--serial 0a0b0c')
    expect([before.code, before.stdout]).toEqual([3, expect.stringMatching(/tryLater \(3\)/)])
    expect(
      (
        await run(
          `cert add --serial 0a0b0c --not-after 2040-01-01 --issuer demo --cert-hash sha1:${'ab'.repeat(20)}`,
        )
      ).code,
    ).toBe(0)
    expect((await ask('--serial 0a0b0c')).code).toBe(0)
  })

  test('is revoked with its date of invalidity and its CRL, which openssl reads (R1.81, R1.84, R4.53)', async () => {
    const line =
      'revoke 0a0b0c --issuer demo --reason keyCompromise --invalidity-date 2026-01-02 --crl-url http://crl.example/ca.crl --crl-number 1f'
    expect((await run(line)).code).toBe(0)
    const text = await openssl('0a0b0c')
    expect(text).toMatch(/Response verify OK/)
    expect(text).toMatch(/Invalidity Date: *\n +Jan {2}2 00:00:00 2026 GMT/)
    expect(text).toMatch(/OCSP CRL ID: *\n +crlUrl: http:\/\/crl\.example\/ca\.crl\n +crlNum: 1F/)
  })
})

test('every serial of a compromised CA is revoked, recorded or not (R1.41)', async () => {
  expect((await run('issuer compromise demo --yes')).code).toBe(0)
  for (const name of ['good', 'never', 'expired']) {
    const { code, stdout } = await ask(file(name))
    expect([name, code, stdout]).toEqual([name, 1, expect.stringMatching(/revoked \(cACompromise\)/)])
  }
  const before = await ask(file('revoked'))
  expect([before.code, before.stdout]).toEqual([1, expect.stringMatching(/revoked \(keyCompromise\)/)])
})

describe('an issuer that ends', () => {
  let ending: TestServer
  beforeAll(async () => {
    ending = await startServer()
  })
  afterAll(async () => {
    await ending.stop()
  })
  const there = (line: string) => runProgram(line.split(' '), { env: { EDGE_OCSP_STATE: ending.state } })

  // Nothing was asked before: what an isolate holds goes on being served until it is due.
  test('leaves last responses, and nothing of it can be changed any more (R4.52)', async () => {
    expect((await there('issuer finalize demo --yes')).code).toBe(0)
    const signed = await there('presign --wait --issuer demo')
    expect([signed.code, signed.stdout]).toEqual([0, expect.stringMatching(/0 failed, 0 left/)])
    const folder = join(ending.state, 'demo')
    const good = await there(`query ${folder}/good.pem --issuer ${folder}/issuer.pem`)
    expect([good.code, good.stdout]).toEqual([0, expect.stringMatching(/Next update: 9999-12-31T23:59:59Z/)])
    expect((await there('status')).stdout).toMatch(
      /First to expire: 9999-12-31T23:59:59Z[\s\S]*^demo +final /m,
    )
    const late = await there(`revoke ${folder}/good.pem --issuer demo`)
    expect([late.code, late.stderr]).toEqual([1, expect.stringMatching(/responses are final/)])
  })
})
