/** The admin API over the real record: its SQL, guards and triggers decide, the API passes on what they say. */
import { beforeAll, expect, test } from 'vitest'
import { healthApp } from '../../src/http/health.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { hex, makeTestPKI, type TestPKI } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { adminWorld, at, NOW } from './admin-world.ts'

const DAY = 86_400
let pki: TestPKI
const pem = (der: Uint8Array) => formatPEM('CERTIFICATE', der)

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW })
})

function recorded(options: { migrate?: boolean } = {}) {
  const db = new SqliteD1({ now: () => NOW, ...options })
  const store = new D1AdminStore(db)
  return { db, store, world: adminWorld({ store }) }
}

async function withIssuer() {
  const made = recorded()
  const responder = {
    name: 'first',
    certificate: pem(pki.responder.certificate ?? new Uint8Array()),
    key: formatPEM('PRIVATE KEY', pki.responder.pkcs8),
  }
  const issuer = { certificate: pem(pki.issuer.certificate), name: 'demo', responder }
  expect((await made.world.call('POST', '/issuers', issuer)).status).toBe(201)
  return { ...made, responder }
}

test('the whole life of certificates, and an audit row for each change', async () => {
  const { world } = await withIssuer()
  const rows = [
    { serial: '01', status: 'good', notAfter: '2027-01-01T00:00:00Z' },
    { serial: '02', status: 'revoked', revocationTime: '2026-11-20T00:00:00Z', reason: 'superseded' },
    { serial: '80', status: 'hold' },
  ]
  const post = (path: string, body: unknown) => world.call('POST', `/issuers/demo${path}`, body)
  expect((await post('/certificates', { certificates: rows })).at('added')).toBe(3)
  expect((await post('/certificates', { certificates: rows })).at('unchanged')).toBe(3)
  const back = await post('/certificates', { certificates: [{ serial: '2', status: 'good' }] })
  expect(back.at('results.0.outcome')).toBe('refused')

  const revoked = await post('/revocations', { serial: '1', reason: 'keyCompromise' })
  expect([revoked.status, revoked.at('outcome'), revoked.at('certificate.revocationTime')]).toEqual([
    200,
    'changed',
    '2026-11-21T03:00:00Z',
  ])
  const again = await post('/revocations', { serial: '1', reason: 'keyCompromise' })
  expect([again.at('outcome'), again.at('revision')]).toEqual(['unchanged', revoked.at('revision')])
  expect((await post('/releases', { serial: '1' })).at('error.code')).toBe('changeRefused')
  expect((await post('/revocations', { serial: '1', reason: 'certificateHold' })).at('error.code')).toBe(
    'changeRefused',
  )
  const released = await post('/releases', { serial: '80' })
  expect([released.status, released.at('certificate.status')]).toEqual([200, 'released'])
  expect((await post('/revocations', { serial: 'ff' })).status).toBe(404)

  const audit = await world.call('GET', '/audit?limit=1000')
  const actions = JSON.stringify(audit.at('rows'))
  for (const action of ['issuer.added', 'responder.added', 'certificate.revoked'])
    expect(actions).toContain(action)
  expect(audit.text).not.toContain(Buffer.from(pki.responder.pkcs8).toString('base64').slice(48, 80))
})

test('responders roll without a gap, and the last one stays unless forced', async () => {
  const { world, responder } = await withIssuer()
  const renewed = await pki.responderCertificate({ notBefore: NOW - 60, notAfter: NOW + 90 * DAY })
  const second = { ...responder, name: 'second', certificate: pem(renewed) }
  const added = await world.call('POST', '/issuers/demo/responders', second)
  expect([added.status, added.at('responder.state')]).toEqual([201, 'active'])
  const taken = await world.call('POST', '/issuers/demo/responders', {
    ...second,
    certificate: pem(await pki.responderCertificate({ notAfter: NOW + 80 * DAY })),
  })
  expect([taken.status, taken.at('error.field')]).toEqual([409, 'name'])
  expect((await world.call('POST', '/issuers/demo/responders/first/retire', {})).status).toBe(200)
  expect((await world.call('POST', '/issuers/demo/responders/second/retire', {})).at('error.code')).toBe(
    'lastResponder',
  )
  const leaked = await world.call('POST', '/issuers/demo/responders/second/retire', { compromised: true })
  expect([leaked.status, leaked.at('responder.state')]).toEqual([200, 'retired'])
  const status = await world.call('GET', '/status')
  expect(status.at('issuers.0.floor')).toBeGreaterThan(0)
  expect(status.at('issuers.0.usableResponders')).toBe(0)
})

test('conflicts and names come from the record', async () => {
  const { world } = await withIssuer()
  const again = await world.call('POST', '/issuers', {
    certificate: pem(pki.issuer.certificate),
    name: 'again',
  })
  expect([again.status, again.at('error.code'), again.at('error.field')]).toEqual([409, 'conflict', 'ski'])
  expect((await world.call('GET', `/issuers/${hex(pki.issuer.keyHash).toUpperCase()}`)).at('name')).toBe(
    'demo',
  )
  const patched = await world.call('PATCH', '/issuers/demo', {
    policy: { validitySeconds: DAY },
    name: 'renamed',
  })
  expect([patched.status, patched.at('issuer.policy.validitySeconds')]).toEqual([200, DAY])
})

test('a database without schema: 503 that names the migrations, in /readyz and in the API', async () => {
  const { world, store } = recorded({ migrate: false })
  const answer = await world.call('GET', '/issuers')
  expect([answer.status, answer.at('error.code')]).toEqual([503, 'storageUnavailable'])
  expect(answer.at('error.hint')).toContain('migrations')
  const ready = await healthApp({ ...world.deps, store }).request('/readyz')
  expect(at(await ready.json(), 'problems.0.code')).toBe('migrationsMissing')
  expect((await world.call('GET', '/status')).at('problems.0.code')).toBe('migrationsMissing')
})

test('status and metrics read the real record', async () => {
  const { world, store } = await withIssuer()
  expect((await world.call('GET', '/status')).at('issuers.0.name')).toBe('demo')
  const metrics = await (await healthApp({ ...world.deps, store }).request('/metrics')).text()
  expect(metrics).toContain('edge_ocsp_responders_active{issuer="demo"} 1')
})
