/** issuer move against the API of a deployment with two databases, whose clock goes on with every call. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { adminApp } from '../../src/http/admin.ts'
import type { AdminDeps } from '../../src/http/admin-deps.ts'
import { type AdminWorld, adminWorld } from '../http/admin-world.ts'
import { good } from '../storage/fixtures.ts'
import { MoveWorld } from '../support/move-world.ts'
import { LocalServer, Workplace } from './support.ts'

let databases: MoveWorld
let world: AdminWorld
let server: LocalServer
let place: Workplace

const deps = (): AdminDeps => ({ ...world.deps, boundSeconds: 300 })
beforeAll(async () => {
  server = new LocalServer(async (request) => {
    const response = await adminApp(deps()).fetch(request)
    databases.clock.advance(170_000)
    databases.beat()
    databases.build()
    return response
  })
  place = new Workplace(await server.listen())
})
afterAll(async () => {
  await server.close()
  place.close()
})
beforeEach(async () => {
  databases = new MoveWorld()
  await databases.setUp()
  const { record: store, moves, clock } = databases
  world = adminWorld({ store, moves, clock })
  const rows = Array.from({ length: 300 }, (_, n) => good(n))
  await store.addCertificates(databases.issuer, rows, clock.nowMs())
})
afterEach(() => databases.close())

const run = (line: string) => place.run(line.split(' '))
const counts = () =>
  databases.dbs.map((db) => Number(db.rows('SELECT count(*) AS n FROM certificates')[0]?.['n']))

test('a dry run tells what would be moved, time and cost, and changes nothing', async () => {
  const { code, stdout } = await run('issuer move demo-ca --databases 0,1 --dry-run')
  expect(code).toBe(0)
  expect(stdout).toMatch(/digits 0-f in database 0\n/)
  expect(stdout).toMatch(/would move the digits 8-f from 0 to 1: about 144 certificates\n/)
  expect(stdout).toMatch(/18m of waiting/)
  expect(stdout).toMatch(/cost: about \$0\.00: 294 rows written to D1, 5,760 rows read, 1 write to KV/)
  expect(stdout).toMatch(/nothing was changed\n$/)
  expect(counts()).toEqual([300, 0])
  const none = await run('issuer move demo-ca --digits 3 --to 0 --dry-run')
  expect(none.stdout).toMatch(/everything is where it is wanted\n$/)
})

test('certificates are where they are wanted in the end; the same command again finds nothing to do', async () => {
  const { code, stdout, stderr } = await run('issuer move demo-ca --databases 1,0')
  expect([code, stderr]).toEqual([0, expect.not.stringContaining('rror')])
  expect(stdout).toBe('moved; demo-ca: digits 0-7 in database 1, digits 8-f in database 0\n')
  expect(counts().reduce((sum, n) => sum + n)).toBe(300)
  expect(counts().every((n) => n > 0)).toBe(true)
  expect((await run('issuer move demo-ca --databases 1,0')).code).toBe(0)
  expect(databases.dbs[0]?.rows('SELECT 1 FROM moves').length).toBe(1)
  const dry = await run('issuer move demo-ca --databases 0 --dry-run --json')
  expect(dry.json()).toMatchObject({ moves: [{ digits: '0-7', from: 1, to: 0 }], dryRun: true })
})

test('what cannot go on says why, is given up, and leaves everything as it was', async () => {
  await world.call('POST', '/issuers/demo-ca/moves', { digits: 'c-f', to: 1 })
  databases.dbs[1]?.exec('UPDATE issuers SET frozen = 1')
  const stopped = await run('issuer move demo-ca --digits c-f --to 1')
  expect([stopped.code, stopped.stderr]).toEqual([1, expect.stringMatching(/frozen.*\n.*--abort/)])
  const other = await run('issuer move demo-ca --databases 0')
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining('digits c-f are on their way to database 1'),
  ])
  databases.dbs[1]?.exec('UPDATE issuers SET frozen = 0')
  const gaveUp = await run('issuer move demo-ca --abort')
  expect([gaveUp.code, gaveUp.stdout]).toEqual([0, 'gave up; demo-ca: digits 0-f in database 0\n'])
  expect(counts()).toEqual([300, 0])
  const list = await world.call('GET', '/issuers/demo-ca/moves')
  expect(list.at('moves.0')).toMatchObject({ phase: 'aborted', digits: 'c-f', from: 0, to: 1 })
})

test.each([
  ['issuer move demo-ca', 2, 'where to?'],
  ['issuer move demo-ca --digits 8-f', 2, 'where to?'],
  ['issuer move demo-ca --abort --to 1', 2, 'whatever is under way'],
  ['issuer move demo-ca --databases 0,16', 2, 'Expected 0 to 15'],
  ['issuer move demo-ca --databases 0,7', 1, 'there are the databases 0, 1'],
  ['issuer move demo-ca --digits f-8 --to 1', 1, 'names none'],
  ['issuer move demo-ca --digits x --to 1', 2, 'hex digits'],
  ['issuer move nobody --databases 0,1', 1, 'no issuer'],
])('%s: %i, %s', async (line, code, words) => {
  const done = await run(line)
  expect([done.code, done.stderr]).toEqual([code, expect.stringContaining(words)])
})

test('with one database there is nothing to move to', async () => {
  world = adminWorld({ store: databases.record })
  const { code, stderr } = await run('issuer move demo-ca --databases 0,1')
  expect([code, stderr]).toEqual([1, expect.stringMatching(/there is one database.*\n.*DB_1/)])
})
