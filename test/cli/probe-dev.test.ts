/** `probe` and `lint` against the responder itself, as `npm start` runs it. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { at } from '../http/admin-world.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { runProgram } from './support.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server.stop()
})

const demo = (name: string) => join(server.state, 'demo', `${name}.pem`)
const probe = (...more: string[]) =>
  runProgram(['probe', '--url', server.url, '--issuer', demo('issuer'), ...more, '--json'])

test('the demonstration passes, live and pre-signed, with not so much as a warning (R8.7)', async () => {
  const canaries = ['--good', demo('good'), '--revoked', demo('revoked'), '--responder', demo('responder')]
  for (const signed of ['live', 'bundles']) {
    if (signed === 'bundles') {
      const args = [
        'presign',
        '--wait',
        '--issuer',
        demo('issuer'),
        '--url',
        server.url,
        '--state',
        server.state,
      ]
      expect(await runProgram(args)).toMatchObject({ code: 0 })
    }
    const run = await probe(...canaries, '--never', '0bad', '--never-as', 'unauthorized', '--strict')
    const probes = at(run.json(), 'probes')
    expect(probes, run.stdout).toBeInstanceOf(Array)
    const wrong = (Array.isArray(probes) ? probes : []).filter((one) => String(at(one, 'findings')) !== '')
    expect(wrong).toEqual([])
    expect([run.code, run.stderr]).toEqual([0, ''])
  }
})

test('a canary that was revoked meanwhile is found (R6.5)', async () => {
  const run = await probe('--revoked', demo('good'))
  expect([run.code, at(run.json(), 'ok')]).toEqual([1, false])
  const args = [
    'revoke',
    demo('good'),
    '--issuer',
    demo('issuer'),
    '--url',
    server.url,
    '--state',
    server.state,
  ]
  expect(await runProgram(args)).toMatchObject({ code: 0 })
  expect((await probe('--revoked', demo('good'))).code).toBe(0)
  expect((await probe('--good', demo('good'))).code).toBe(1)
})
