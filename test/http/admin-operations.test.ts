import { expect, test } from 'vitest'
import { ADMIN_ROUTES, adminPath, Status } from '../../src/admin-api/contract.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { makeTestPKI } from '../support/pki.ts'
import { adminWorld, at, NOW } from './admin-world.ts'

async function demo(overrides = {}) {
  const world = adminWorld(overrides)
  const pki = await makeTestPKI({ now: NOW })
  const answer = await world.call('POST', '/issuers', {
    certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
    name: 'demo',
  })
  expect(answer.status).toBe(201)
  world.happened.length = 0
  return world
}

test('presign passes on issuer and budget, and defaults to everything', async () => {
  const world = await demo()
  const answer = await world.call('POST', '/presign', {})
  expect(answer.at('')).toEqual({ built: 1, signatures: 2, failed: 0, remaining: 3 })
  await world.call('POST', '/presign', { issuer: 'demo', all: false, signatures: 500 })
  expect(world.happened).toEqual([
    'presign {"all":true}',
    'presign {"all":false,"issuer":1,"signatures":500}',
  ])
  expect((await world.call('POST', '/presign', { issuer: 'nobody' })).status).toBe(404)
})

test('publish answers when, which version, and the bound', async () => {
  const answer = await (await demo()).call('POST', '/publish')
  expect(answer.at('')).toEqual({ publishedAt: '2026-11-21T03:00:30Z', rootVersion: 7, boundSeconds: 300 })
})

test('a page that cannot be written is said, and its root is not published before it', async () => {
  const world = await demo()
  world.pageFault = new StorageError('unavailable', 'KV put failed')
  const answer = await world.call('PATCH', '/issuers/demo', { enabled: false })
  expect([answer.status, answer.at('publishedAt')]).toEqual([200, null])
  expect(world.happened).toEqual([])
})

test('the floor can be raised, and only a frozen issuer thawed', async () => {
  const world = await demo()
  expect((await world.call('POST', '/issuers/demo/floor')).at('floor')).toBeGreaterThan(0)
  const warm = await world.call('POST', '/issuers/demo/thaw')
  expect([warm.status, warm.at('error.code')]).toEqual([409, 'changeRefused'])
  world.store.frozen.add(1)
  expect((await world.call('POST', '/issuers/demo/thaw')).status).toBe(200)
  expect(world.store.frozen.size).toBe(0)
})

test('a raised floor is published as itself: that the last change of configuration is, does not count', async () => {
  const world = await demo()
  const { floor, configRev } = await world
    .call('POST', '/issuers/demo/floor')
    .then((answer) => ({ floor: answer.at('floor'), configRev: answer.at('issuer.configRev') }))
  expect(floor).not.toBe(configRev)
  expect(world.happened.at(-1)).toBe(`publish 1@${floor}`)
})

test('audit pages by id', async () => {
  const world = await demo()
  for (let id = 1; id <= 3; id += 1) {
    world.store.auditRows.push({
      id,
      atMs: NOW * 1000,
      action: 'issuer.floor',
      issuer: 1,
      serial: undefined,
      seq: id,
      detail: { k: 0 },
    })
  }
  const first = await world.call('GET', '/audit?limit=2')
  expect([first.at('rows.1.id'), first.at('rows.0.at'), first.at('next')]).toEqual([
    2,
    '2026-11-21T03:00:30Z',
    2,
  ])
  const second = await world.call('GET', '/audit?limit=2&after=2')
  expect([second.at('rows.0.id'), second.at('next')]).toEqual([3, null])
  const bad = await world.call('GET', '/audit?limit=0&page=1')
  expect([bad.status, bad.at('error.code')]).toEqual([400, 'invalidField'])
})

test('status is what its contract says', async () => {
  const answer = await (await demo()).call('GET', '/status')
  expect(Status.parse(answer.at(''))).toEqual(answer.at(''))
  expect(answer.at('ready')).toBe(false)
  expect(answer.at('issuers.0.name')).toBe('demo')
})

test('a path that is known by another method is 405 with Allow; an unknown one 404', async () => {
  const world = await demo()
  const wrong = await world.call('DELETE', '/issuers/demo')
  expect([wrong.status, wrong.headers.get('Allow'), wrong.at('error.code')]).toEqual([
    405,
    'GET, PATCH',
    'methodNotAllowed',
  ])
  expect((await world.call('GET', '/nowhere')).status).toBe(404)
})

test('an error nobody foresaw shows nothing of itself, and its class is logged', async () => {
  const world = await demo()
  world.store.faults.set('listIssuers', new TypeError('password=hunter2'))
  const answer = await world.call('GET', '/issuers')
  expect([answer.status, answer.at('error.code')]).toEqual([500, 'internalError'])
  expect(answer.text + JSON.stringify(world.logged)).not.toContain('hunter2')
  expect(world.logged.at(-1)).toMatchObject({ level: 'error', error: 'TypeError', code: 'internalError' })
})

test('no answer may be kept by a cache (law 7)', async () => {
  const world = await demo()
  for (const [method, path] of [
    ['GET', '/issuers'],
    ['GET', '/openapi.json'],
    ['GET', '/nowhere'],
    ['POST', '/publish'],
  ] as const) {
    expect((await world.call(method, path)).headers.get('Cache-Control'), path).toBe('no-store')
  }
})

test('openapi.json has every route of the contract, with strict bodies', async () => {
  const answer = await (await demo()).call('GET', '/openapi.json')
  expect(answer.at('openapi')).toBe('3.1.0')
  const paths = answer.at('paths')
  for (const [name, route] of Object.entries(ADMIN_ROUTES)) {
    expect(at(paths, `${route.path}.${route.method.toLowerCase()}.operationId`)).toBe(name)
  }
  const body = at(paths, '/issuers/{issuer}/revocations.post.requestBody.content')
  expect(JSON.stringify(body)).toContain('"additionalProperties":false')
})

test('paths are built with their parameters escaped', () => {
  expect(adminPath('showCertificate', { issuer: 'a/b', serial: '0a' })).toBe(
    '/admin/v1/issuers/a%2Fb/certificates/0a',
  )
  expect(() => adminPath('showIssuer')).toThrow(RangeError)
})
