/** The commands against a deployment with two databases. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { adminApp } from '../../src/http/admin.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { type AdminWorld, adminWorld, NOW } from '../http/admin-world.ts'
import { HIGH, LOW, numbersIn, type Several, several } from '../shards/support.ts'
import { serial } from '../storage/fixtures.ts'
import { hex, makeTestPKI, type TestPKI } from '../support/pki.ts'
import { LocalServer, Workplace } from './support.ts'

let databases: Several
let world: AdminWorld
let server: LocalServer
let place: Workplace
let pki: TestPKI

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW })
  server = new LocalServer((request) => Promise.resolve(adminApp(world.deps).fetch(request)))
  place = new Workplace(await server.listen())
  place.writeCertificate('ca.pem', pki.issuer.certificate)
  place.writeCertificate('ocsp.pem', pki.responder.certificate ?? new Uint8Array())
  place.write('ocsp.key', formatPEM('PRIVATE KEY', pki.responder.pkcs8))
})
afterAll(async () => {
  await server.close()
  place.close()
})
beforeEach(() => {
  databases = several(2)
  const { store, canaries, recovery } = databases
  world = adminWorld({ store, canaries, recovery })
})

const run = (line: string) => place.run(line.split(' '))
const add = () =>
  run(
    'issuer add --cert ca.pem --responder-cert ocsp.pem --responder-key ocsp.key --name demo --databases 0,1',
  )
const low = hex(serial(numbersIn(LOW, 1)[0] ?? 0))
const high = hex(serial(numbersIn(HIGH, 1)[0] ?? 0))
const statuses = async () =>
  Promise.all(
    [low, high].map(async (one) =>
      (await world.call('GET', `/issuers/demo/certificates/${one}`)).at('status'),
    ),
  )
const record = () =>
  world.call('POST', '/issuers/demo/certificates', {
    certificates: [low, high].map((one) => ({ serial: one, status: 'good' })),
  })

test('issuer add shares the certificates out, and is completed by the same command', async () => {
  databases.db(1).beforeCall = ([sql = '']) => {
    if (/^\s*INSERT/.test(sql)) throw new Error('D1_ERROR: overloaded')
  }
  const cut = await add()
  expect(cut.code).toBe(3)
  expect(cut.stderr).toMatch(/DB_1 \(unavailable\): .*repeat the call/)
  databases.db(1).beforeCall = undefined
  expect((await add()).code).toBe(0)
  expect((await run('issuer show demo')).stdout).toMatch(/Databases: +0 has 0-7; 1 has 8-f\n/)
  const wrong = await run('issuer add --cert ca.pem --databases 0+1')
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('such as 0,1')])
})

test('status shows each database, and which is away', async () => {
  await add()
  databases.db(1).failNext(99)
  const { code, stdout } = await run('status')
  expect(code).toBe(1)
  expect(stdout).toMatch(/problem: the record in DB_1 cannot be read \(unavailable\)/)
  expect(stdout).toMatch(
    /DATABASE +BINDING +STATE +DUE +PUBLISHED\n0 +DB +up +0 +never\n1 +DB_1 +away +0 +never/,
  )
})

test('audit export walks all databases, and its replay finds where each certificate belongs', async () => {
  await add()
  await record()
  await run(`revoke ${low} --issuer demo`)
  await run(`revoke ${high} --issuer demo --reason keyCompromise`)
  const all = await run('audit export')
  const lines = all.stdout.trimEnd().split('\n')
  const rows = lines.map((line) => JSON.parse(line) as { database: number; action: string; serial: string })
  expect(rows.filter(({ action }) => action === 'certificate.revoked')).toMatchObject([
    { database: 0, serial: low },
    { database: 1, serial: high },
  ])
  expect(all.stderr).toMatch(/--database 0 --after 4\n.*--database 1 --after 4\n/)
  const one = await run('audit export --database 1 --after 3')
  expect(one.stdout.trimEnd().split('\n')).toEqual([lines.at(-1)])
  const unclear = await run('audit export --after 3')
  expect([unclear.code, unclear.stderr]).toEqual([2, expect.stringContaining('--after needs --database')])

  databases = several(2)
  const { store, canaries, recovery } = databases
  world = adminWorld({ store, canaries, recovery })
  await add()
  await record()
  place.write('audit.jsonl', all.stdout)
  expect((await run('audit replay audit.jsonl')).stdout).toContain('0 added, 2 changed')
  expect(await statuses()).toEqual(['revoked', 'revoked'])
})

test('of a certificate that has moved the replay takes the last change, wherever it was recorded', async () => {
  await add()
  await record()
  const line = (database: number, id: number, revision: number, to: number, action: string) =>
    JSON.stringify({
      ...{
        id,
        database,
        at: '2026-11-21T03:00:00Z',
        issuer: 1,
        issuerName: 'demo',
        action,
        serial: low,
        revision,
      },
      detail: { to, revocationTime: to === 2 ? NOW - 600 : 0 },
    })
  // Held in the one database, under a high id; released in the other, later and under a low one.
  const held = line(0, 900, 1_000, 2, 'certificate.held')
  const released = line(1, 3, 2_000, 3, 'certificate.released')
  for (const lines of [
    [held, released],
    [released, held],
  ]) {
    place.write('audit.jsonl', `${lines.join('\n')}\n`)
    expect((await run('audit replay audit.jsonl')).code).toBe(0)
    expect((await statuses())[0]).toBe('good')
  }
})

test('revoke-many goes through both databases', async () => {
  await add()
  await record()
  const dry = await run('revoke-many --issuer demo --all --dry-run')
  expect(dry.stdout).toMatch(/2 certificates/)
  const done = await run('revoke-many --issuer demo --all --yes')
  expect(done.code).toBe(0)
  expect(await statuses()).toEqual(['revoked', 'revoked'])
})
