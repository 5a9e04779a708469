/** `revoke-many` as a child process against the real admin API and record: tried, asked, done, killed and gone on with. */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { adminApp } from '../../src/http/admin.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { type AdminWorld, adminWorld, at, NOW } from '../http/admin-world.ts'
import { DAY, good, newResponder, serial } from '../storage/fixtures.ts'
import { hex, makeTestPKI, type TestPKI } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { LocalServer, PROGRAM, Workplace } from './support.ts'

let db: SqliteD1
let store: D1AdminStore
let world: AdminWorld
let issuer: number
let requests: { route: string; body: unknown }[]
let intercept: ((route: string) => Response | undefined) | undefined
let server: LocalServer
let place: Workplace
let pki: TestPKI

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW })
  server = new LocalServer(async (request) => {
    const route = `${request.method} ${new URL(request.url).pathname.replace('/admin/v1', '')}`
    const text = await request.clone().text()
    requests.push({ route, body: text === '' ? undefined : JSON.parse(text) })
    return intercept?.(route) ?? adminApp(world.deps).fetch(request)
  })
  place = new Workplace(await server.listen())
})
afterAll(async () => {
  await server.close()
  place.close()
})
beforeEach(async () => {
  requests = []
  intercept = undefined
  db = new SqliteD1({ now: () => NOW })
  store = new D1AdminStore(db)
  world = adminWorld({ store })
  const body = { certificate: formatPEM('CERTIFICATE', pki.issuer.certificate), name: 'demo' }
  issuer = Number((await world.call('POST', '/issuers', body)).at('issuer.id'))
  await store.addResponder(issuer, newResponder(), Uint8Array.of(1, 2, 3), NOW * 1000)
  world.happened.length = 0
})

const run = (line: string, input = '') => place.run(line.split(' '), { input })
const add = (count: number, from = 0) =>
  store.addCertificates(
    issuer,
    Array.from({ length: count }, (_, n) => good(from + n)),
    NOW * 1000,
  )
/** Straight into the table: the plan would take seconds. */
function addFast(count: number): void {
  const rows = Array.from({ length: count }, (_, n) => [serialHash(serial(n)), hex(serial(n))])
  db.rows(
    `INSERT INTO certificates (issuer, hash, serial, status, not_before, not_after, rev)
     SELECT ?1, value->>0, unhex(value->>1), 0, ${NOW - DAY}, ${NOW + DAY}, 1 FROM json_each(?2)`,
    issuer,
    JSON.stringify(rows),
  )
}
const revoked = () => Number(db.rows('SELECT count(*) AS n FROM certificates WHERE status = 1')[0]?.['n'])
const routes = (part: string) => requests.filter(({ route }) => route.includes(part)).length

describe('by a query', () => {
  test('--dry-run tells count, bundles, time and cost, and changes nothing', async () => {
    await add(30)
    await store.changeStatus(issuer, serial(0), { to: 'revoked' }, NOW * 1000)
    await store.changeStatus(issuer, serial(1), { to: 'hold' }, NOW * 1000)
    await store.addCertificates(issuer, [{ serial: serial(99), status: 'reserved' }], NOW * 1000)
    const { code, stdout, stderr } = await run(
      'revoke-many --issuer demo --all --reason superseded --dry-run',
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      /^would revoke 29 certificates of demo \(1 hold among them\); 1 revoked already, 1 reserved and left so/,
    )
    expect(stdout).toMatch(/due to be signed: 1 bundle\n/)
    expect(stdout).toMatch(/time: about \d+s to revoke \(assumed: none ran yet\), then about \d+s of signing/)
    expect(stdout).toMatch(
      /cost: about \$0\.0\d: \d+ rows written to D1 and 29 rows deleted later, [\d,]+ rows read, 1 write to KV \(list prices of 20/,
    )
    expect(stdout).toMatch(/nothing was changed\n$/)
    expect(revoked()).toBe(1)
    expect(requests.map(({ route }) => route).filter((route) => route.startsWith('POST'))).toEqual([
      'POST /issuers/demo/mass-revocations/dry-run',
    ])
  })

  test('--dry-run --json is one value, with the estimate; the rates are those measured', async () => {
    await add(10)
    const run2 = { job: 'cron', startedMs: 0, ok: true, failed: 0, remaining: 0 }
    await store.recordRun({ ...run2, finishedMs: 10_000, built: 5, signatures: 100 })
    const { code, json } = await run('revoke-many --issuer demo --serial-prefix 10 --dry-run --json')
    expect(code).toBe(0)
    expect(json()).toMatchObject({
      issuer: 'demo',
      dryRun: true,
      changed: 10,
      already: 0,
      bundles: 1,
      estimate: {
        revocations: 10,
        bundles: 1,
        seconds: { revoking: 1, signing: 2 },
        measured: { revoking: false, signing: true },
        pricesOf: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
      },
    })
  })

  test('asks for the name of the issuer, with the count; another answer changes nothing (exit 2)', async () => {
    await add(3)
    const line = 'revoke-many --issuer demo --issued-after 2026-01-01 --reason superseded'
    const refused = await run(line, 'yes\n')
    expect([refused.code, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toMatch(/3 certificates of demo will be revoked, for good\. Type the name/)
    expect(refused.stderr).toMatch(/not confirmed: nothing was changed\nType "demo", or add --yes\./)
    const silent = await run(line)
    expect([silent.code, revoked()]).toEqual([2, 0])
    const done = await run(line, 'demo\n')
    expect([done.code, revoked()]).toEqual([0, 3])
    expect(done.stdout).toMatch(/^revoked 3 certificates of demo; 0 revoked already/)
    expect(done.stderr).toMatch(/revocations: published at .*; everywhere within 5m/)
  })

  test('--yes does not ask; the query, reason and time arrive; once more changes nothing', async () => {
    await add(3)
    const line =
      'revoke-many --issuer demo --serial-from 10:00:00:00:01 --expires-before 2099-01-01 --at 2026-11-20T00:00:00Z --reason keyCompromise --yes --json'
    const { code, json, stderr } = await run(line)
    expect([code, stderr]).toEqual([0, expect.stringContaining('revocations: published')])
    expect(json()).toMatchObject({
      issuer: 'demo',
      dryRun: false,
      stopped: false,
      changed: 2,
      already: 0,
      refused: 0,
    })
    expect(await store.readCertificate(issuer, serial(2))).toMatchObject({
      status: 'revoked',
      reason: 1,
      revocationTime: Date.parse('2026-11-20T00:00:00Z') / 1000,
    })
    expect(requests.find(({ route }) => route.endsWith('/mass-revocations'))?.body).toEqual({
      where: { serialFrom: '1000000001', expiresBefore: '2099-01-01T00:00:00Z' },
      reason: 'keyCompromise',
      at: Date.parse('2026-11-20T00:00:00Z') / 1000,
      publish: false,
    })
    expect((await run(line)).json()).toMatchObject({ changed: 0, already: 2 })
  })

  test('killed half-way it loses nothing: the same command goes on where it was', async () => {
    addFast(25_000)
    const args = ['revoke-many', '--issuer', 'demo', '--all', '--reason', 'superseded', '--yes', '--json']
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: place.folder,
      env: { ...process.env, EDGE_OCSP_STATE: place.state },
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => child.on('close', resolve))
    intercept = (route) => {
      if (route.endsWith('/mass-revocations') && routes('/mass-revocations') === 2) child.kill('SIGKILL')
      return undefined
    }
    await ended
    intercept = undefined
    // The call that was under way is done all the same.
    for (let waited = 0; revoked() < 20_000 && waited < 200; waited += 1)
      await new Promise((resolve) => setTimeout(resolve, 50))
    const before = revoked()
    expect(before).toBeGreaterThanOrEqual(20_000)
    expect(before).toBeLessThan(25_000)
    const rest = await place.run(args)
    expect(rest.code).toBe(0)
    expect(rest.stderr).toMatch(/going on with the run of .*: 2\d,\d{3} certificates were revoked by then/)
    expect(rest.json()).toMatchObject({ changed: 25_000 - before })
    expect(revoked()).toBe(25_000)
    expect(await store.listMass(issuer, 5)).toMatchObject([{ changed: 25_000 }])
    expect(db.rows("SELECT count(*) AS n FROM audit WHERE action = 'certificate.revoked'")).toEqual([
      { n: 25_000 },
    ])
  })

  test('Ctrl-C ends it after the part under way, publishes what is done and says so (exit 1)', async () => {
    addFast(25_000)
    const args = ['revoke-many', '--issuer', 'demo', '--all', '--yes', '--json']
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: place.folder,
      env: { ...process.env, EDGE_OCSP_STATE: place.state },
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    intercept = (route) => {
      if (route.endsWith('/mass-revocations')) child.kill('SIGINT')
      return undefined
    }
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code).toBe(1)
    const result: unknown = JSON.parse(stdout)
    expect(at(result, 'stopped')).toBe(true)
    expect(at(result, 'changed')).toBe(revoked())
    expect(revoked()).toBeLessThan(25_000)
    expect(world.happened).toEqual(['publish'])
  })

  test('what is recorded behind the walk is not forgotten: it is walked again', async () => {
    await add(5)
    intercept = (route) => {
      if (route.endsWith('/dry-run') && routes('/dry-run') === 1)
        db.exec(
          `INSERT INTO certificates (issuer, hash, serial, status, rev) VALUES (${issuer}, 1, x'01', 0, 1)`,
        )
      return undefined
    }
    const { code, stderr, json } = await run('revoke-many --issuer demo --all --yes --json')
    expect([code, revoked()]).toEqual([0, 6])
    expect(stderr).toMatch(/1 certificate more were recorded meanwhile: once again/)
    expect(json()).toMatchObject({ changed: 6 })
  })

  test('a database that is away a while is waited for; one that stays away is exit 3 and tells how to go on', async () => {
    await add(5)
    let left = 1
    intercept = (route) => {
      if (route.endsWith('/mass-revocations') && left-- > 0)
        return Response.json(
          { error: { code: 'storageUnavailable', message: 'the record could not be used (unavailable)' } },
          { status: 503 },
        )
      return undefined
    }
    expect((await run('revoke-many --issuer demo --serial-prefix 1000000000 --yes')).code).toBe(0)
    left = 100
    const gone = await run('revoke-many --issuer demo --all --yes')
    expect(gone.code).toBe(3)
    expect(gone.stderr).toMatch(
      /It stopped after 0 certificates\.[\s\S]*the same command goes on where it was/,
    )
  })

  test('--wait signs what became due, until nothing is left', async () => {
    await add(2)
    let calls = 0
    world = adminWorld({
      store,
      async presign() {
        calls += 1
        return { built: 1, signatures: 2, failed: 0, remaining: calls < 3 ? 3 - calls : 0 }
      },
    })
    const { code, stderr } = await run('revoke-many --issuer demo --all --yes --wait')
    expect([code, calls]).toEqual([0, 3])
    expect(stderr).toMatch(/signed: 3 bundles, 0 failed, 0 left/)
  })
})

test('status tells how long what became due will take, at the rate of the last runs', async () => {
  await add(2)
  const line = async () =>
    (await run('status')).stdout.split('\n').find((text) => text.startsWith('Bundles due:'))
  expect(await line()).toMatch(/Bundles due: +1$/) // nobody knows how fast
  const cron = { job: 'cron', startedMs: NOW * 1000 - 60_000, ok: true, failed: 0, remaining: 0 }
  await store.recordRun({ ...cron, finishedMs: NOW * 1000 - 30_000, built: 3, signatures: 300 })
  expect((await run('revoke-many --issuer demo --all --yes')).code).toBe(0)
  expect(await line()).toMatch(/Bundles due: +1 \(about 10s at 0\.1 bundles and 10 signatures a second\)$/)
})

describe('by a list', () => {
  test('revokes what is recorded; every other line is told with its number (exit 1)', async () => {
    await add(5)
    place.write(
      'list.txt',
      `# weak keys\n${hex(serial(0))}\n0x${hex(serial(1))}\tkeyCompromise\t2026-11-20T00:00:00Z\r\n\nnonsense\n` +
        `${hex(serial(2))}, superseded\nff\n${hex(serial(0))}\n${hex(serial(3))} maybe\n${hex(serial(3))} superseded never\n` +
        `${hex(serial(3))} superseded 1795000000 more\n10:00:00:00:04   # the last`,
    )
    const line = 'revoke-many --issuer demo --serials list.txt --reason cessationOfOperation'
    const dry = await run(`${line} --dry-run`)
    expect([dry.code, revoked()]).toEqual([1, 0])
    expect(dry.stdout).toMatch(
      /^would revoke 4 certificates of demo; 0 revoked already, 1 not recorded, 5 bad lines\n/,
    )
    const { code, stdout, stderr } = await run(`${line} --yes`)
    expect([code, revoked()]).toEqual([1, 4])
    expect(stdout).toMatch(
      /^revoked 4 certificates of demo; 0 revoked already, 1 not recorded, 5 bad lines\n/,
    )
    for (const told of [
      /list\.txt:5: "nonsense" is not a serial number/,
      /list\.txt:7: 00ff is not recorded/,
      /list\.txt:8: serial 1000000000 stands on line 2 already/,
      /list\.txt:9: column 2 \(reason\): "maybe" is not a reason/,
      /list\.txt:10: column 3 \(time\): "never" is not a time/,
      /list\.txt:11: 4 columns, not one to three/,
    ])
      expect(stderr).toMatch(told)
    const row = (n: number) => store.readCertificate(issuer, serial(n))
    expect(await row(0)).toMatchObject({ reason: 5 })
    expect(await row(1)).toMatchObject({
      reason: 1,
      revocationTime: Date.parse('2026-11-20T00:00:00Z') / 1000,
    })
    expect([await row(2), await row(4)]).toMatchObject([{ reason: 4 }, { reason: 5 }])
    expect(routes('POST /publish')).toBe(1)
  })

  test('from standard input with --yes, in decimal; without it nobody can be asked (exit 2)', async () => {
    await add(2)
    const list = `${BigInt(`0x${hex(serial(0))}`)}\n${BigInt(`0x${hex(serial(1))}`)}\n`
    const refused = await run('revoke-many --issuer demo --serials - --decimal', list)
    expect([refused.code, revoked()]).toEqual([2, 0])
    expect(refused.stderr).toMatch(/nobody can be asked\nTry it with --dry-run, then do it with --yes/)
    expect((await run('revoke-many --issuer demo --serials - --decimal --yes', list)).code).toBe(0)
    expect(revoked()).toBe(2)
    const again = await run('revoke-many --issuer demo --serials - --decimal --yes --json', list)
    expect([again.code, again.json()]).toMatchObject([0, { changed: 0, already: 2 }])
  })

  test('--add-missing records what is not there; --from-line passes over what was done', async () => {
    place.write('some.txt', '01\n02\n03\n')
    const line = 'revoke-many --issuer demo --serials some.txt --add-missing --yes --json'
    const { code, json } = await run(`${line} --from-line 2`)
    expect([code, json()]).toMatchObject([0, { added: 2, changed: 0 }])
    expect((await run(line)).json()).toMatchObject({ added: 1, already: 2 })
  })

  test('thousands of lines go in parts, each one acknowledged before the next', async () => {
    addFast(6000)
    place.write('many.txt', Array.from({ length: 6000 }, (_, n) => hex(serial(n))).join('\n'))
    const { code, json } = await run(
      'revoke-many --issuer demo --serials many.txt --reason superseded --yes --json',
    )
    expect([code, json()]).toMatchObject([0, { changed: 6000 }])
    expect([routes('/serials'), routes('POST /publish'), revoked()]).toEqual([2, 1, 6000])
  })
})

test.each([
  ['', /which certificates\?[\s\S]*--serials FILE[\s\S]*--all/],
  ['--all --issued-before 2026-01-01', /--all and a condition exclude each other/],
  ['--all --serials x', /--serials and conditions exclude each other/],
  ['--serials x', /x: cannot read it: no such file/],
  ['--issued-before soon', /--issued-before: "soon" is not a time/],
  ['--serial-from xyz', /"xyz" is not a serial number/],
  ['--serial-prefix 0x1', /--serial-prefix: "0x1" are not hex digits/],
  ['--all --from-line 3', /--add-missing and --from-line are for --serials/],
  ['--serials x --from-line 0', /--from-line: "0" is not the number of a line/],
  ['--all --reason removeFromCRL', /takes a hold back/],
])('revoke-many %s is a usage error (exit 2), and nothing is asked of the record', async (line, told) => {
  const { code, stderr } = await place.run([
    'revoke-many',
    '--issuer',
    'demo',
    ...line.split(' ').filter(Boolean),
  ])
  expect([code, requests]).toEqual([2, []])
  expect(stderr).toMatch(told)
})
