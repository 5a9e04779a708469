/** What the program makes of answers that are none: exit 3, what happened, and what to do. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { NOW, TOKEN } from '../http/admin-world.ts'
import { makeTestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let server: AdminServer
let place: Workplace

beforeAll(async () => {
  const pki = await makeTestPKI({ now: NOW })
  server = await adminServer()
  place = new Workplace(server.url)
  const issuer = { certificate: formatPEM('CERTIFICATE', pki.issuer.certificate), name: 'demo' }
  expect((await server.world.call('POST', '/issuers', issuer)).status).toBe(201)
  const certificates = [{ serial: '1003', status: 'good' }]
  expect((await server.world.call('POST', '/issuers/demo/certificates', { certificates })).status).toBe(200)
})
afterAll(async () => {
  await server.close()
  place.close()
})
afterEach(() => {
  server.intercept = undefined
})

const run = (line: string) => place.run(line.split(' '))
const failing = (status: number, body: unknown) => () => Response.json(body, { status })

describe('answers that are none exit 3', () => {
  test('401 says where the token comes from, and never what it is', async () => {
    const wrong = await place.run(['status'], { env: { EDGE_OCSP_TOKEN: 'wrong-token-1234' } })
    expect([wrong.code, wrong.stdout]).toEqual([3, ''])
    expect(wrong.stderr).toMatch(
      /not accepted[\s\S]*EDGE_OCSP_TOKEN[\s\S]*state\/admin-token[\s\S]*ADMIN_TOKEN/,
    )
    expect(wrong.stderr).not.toContain('wrong-token-1234')
    const none = await place.run(['status', '--state', 'elsewhere', '--url', server.url])
    expect([none.code, none.stderr]).toEqual([
      3,
      expect.stringMatching(/there is no admin token[\s\S]*elsewhere\/admin-token/),
    ])
  })

  test('the environment wins over the state folder, options over both', async () => {
    const dead = { EDGE_OCSP_URL: 'http://127.0.0.1:1' }
    expect((await place.run(['issuer', 'list'], { env: dead })).code).toBe(3)
    expect(
      (await place.run(['issuer', 'list', '--url', server.url], { env: { ...dead, EDGE_OCSP_TOKEN: TOKEN } }))
        .code,
    ).toBe(0)
  })

  test.each<[string, () => Response, RegExp]>([
    [
      'a web page',
      () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
      /HTTP 200 with something that is not JSON[\s\S]*--url/,
    ],
    [
      'an error of another program',
      failing(404, { message: 'no' }),
      /HTTP 404 .* not in the form of the admin API/,
    ],
    [
      'another version',
      failing(200, { issuers: [{ nom: 'x' }] }),
      /does not fit the admin API[\s\S]*different versions/,
    ],
    [
      'a redirect',
      () => new Response(null, { status: 302, headers: { location: 'http://elsewhere/' } }),
      /cannot reach the responder/,
    ],
    [
      'an internal error',
      failing(500, { error: { code: 'internalError', message: 'it broke' } }),
      /it broke/,
    ],
  ])('%s', async (_what, answer, message) => {
    server.intercept = answer
    const { code, stdout, stderr } = await run('issuer list')
    expect([code, stdout, stderr]).toEqual([3, '', expect.stringMatching(message)])
  })

  test('a store that is away for a moment is waited for, and no longer', async () => {
    const body = { error: { code: 'storageUnavailable', message: 'D1 does not answer', hint: 'try again' } }
    let failures = 2
    server.intercept = (request) =>
      request.method === 'POST' && failures-- > 0 ? Response.json(body, { status: 503 }) : undefined
    expect((await run('revoke 1003 --issuer demo')).code).toBe(0)
    failures = 99
    const { code, stderr } = await run('revoke 1003 --issuer demo')
    expect([code, stderr]).toEqual([3, expect.stringMatching(/D1 does not answer\ntry again/)])
    expect(failures).toBe(95)
  })

  test('a field that the API refuses exits 2 and is named', async () => {
    const { code, stderr } = await run('issuer set demo --rename Not_A_Name')
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^edge-ocsp: name: .*a-z/)])
  })
})
