/** Revoking many by the admin API, over the real record: what is asked for, what is refused, and that nothing else waits. */
import { beforeEach, describe, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1FanOutStore } from '../../src/storage/d1-fan-out-store.ts'
import { STEP_ROWS } from '../../src/storage/mass-revocation.ts'
import { good, newIssuer, POLICY, serial, setUp } from '../storage/fixtures.ts'
import { hex } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { type AdminWorld, adminWorld, NOW } from './admin-world.ts'

const PATH = '/issuers/demo-ca/mass-revocations'

let db: SqliteD1
let store: D1AdminStore
let world: AdminWorld
let issuer: number
let nowMs: number

beforeEach(async () => {
  nowMs = NOW * 1000
  db = new SqliteD1({ now: () => nowMs / 1000 })
  store = new D1AdminStore(db)
  world = adminWorld({ store, clock: { nowMs: () => nowMs } })
  issuer = await setUp(store)
})

const add = (count: number) =>
  store.addCertificates(
    issuer,
    Array.from({ length: count }, (_, n) => good(n)),
    nowMs,
  )
const post = (body: unknown, path = PATH) => world.call('POST', path, body)

describe('POST .../mass-revocations', () => {
  test('does a part a call, the next one goes on, the last is done; each says what it published', async () => {
    await add(STEP_ROWS * 3)
    const body = { where: { all: true }, reason: 'superseded', limit: STEP_ROWS }
    const first = await post(body)
    expect(first.status).toBe(200)
    expect(first.at('run')).toMatchObject({
      issuer: 'demo-ca',
      where: { all: true },
      status: 'revoked',
      reason: 'superseded',
      revocationTime: '2026-11-21T03:00:00Z',
      done: false,
    })
    expect(first.at('needsPublish')).toBe(false)
    expect(first.at('publishedAt')).not.toBeNull()
    let changed = Number(first.at('changed'))
    expect(changed).toBeGreaterThanOrEqual(STEP_ROWS - 1)
    let answer = first
    for (let calls = 0; answer.at('run.done') === false && calls < 10; calls += 1) {
      nowMs += 61_000
      answer = await post({ ...body, publish: false })
      changed += Number(answer.at('changed'))
      expect(answer.at('needsPublish')).toBe(Number(answer.at('changed')) > 0)
    }
    expect(answer.at('run')).toMatchObject({
      id: first.at('run.id'),
      done: true,
      share: 1,
      changed: STEP_ROWS * 3,
      revocationTime: '2026-11-21T03:00:00Z',
    })
    expect(changed).toBe(STEP_ROWS * 3)
    expect(world.happened).toEqual([`publish ${issuer}@${first.at('revision')}`])
  })

  test('other calls are answered between two transactions of the same call', async () => {
    await add(STEP_ROWS * 3)
    // The last by hash: the run comes to it at its end.
    const [last] = db.rows('SELECT hex(serial) AS serial FROM certificates ORDER BY hash DESC LIMIT 1')
    const single = String(last?.['serial']).toLowerCase()
    const seen: string[] = []
    let isRevoked = false
    db.beforeCall = async (sql) => {
      if (sql.some((text) => text.includes('UPDATE mass_revocations SET\n    changed'))) seen.push('step')
      if (seen.length !== 2 || isRevoked) return
      isRevoked = true
      const revoked = await world.call('POST', '/issuers/demo-ca/revocations', {
        serial: single,
        reason: 'keyCompromise',
      })
      seen.push(`single ${revoked.status} ${String(revoked.at('outcome'))}`)
      const shown = await world.call('GET', '/issuers/demo-ca/certificates/1000000001')
      seen.push(`shown ${shown.status}`)
    }
    const mass = await post({ where: { all: true }, reason: 'superseded' })
    expect(seen.slice(0, 5)).toEqual(['step', 'step', 'single 200 changed', 'shown 200', 'step'])
    expect(mass.at('run')).toMatchObject({ done: true, changed: STEP_ROWS * 3 - 1 })
    const row = await world.call('GET', `/issuers/demo-ca/certificates/${single}`)
    expect(row.at('reason')).toBe('keyCompromise')
  })

  test('certificateHold holds, and private alone', async () => {
    await add(3)
    const held = await post({ where: { serialPrefix: '10' }, reason: 'certificateHold' })
    expect(held.at('run')).toMatchObject({ status: 'hold', reason: 'certificateHold', changed: 3 })
    await store.updateIssuer(issuer, { policy: { ...POLICY, profile: 'public-trust' } }, nowMs)
    const refused = await post({ where: { all: true }, reason: 'certificateHold' })
    expect([refused.status, refused.at('error.code')]).toEqual([422, 'changeRefused'])
  })

  test.each([
    ['no condition', { where: {} }, 400, 'invalidField'],
    ['reserved alone', { where: { reserved: true } }, 400, 'invalidField'],
    ['all and a condition', { where: { all: true, issuedAfter: 5 } }, 400, 'invalidField'],
    ['an unknown condition', { where: { subject: 'x' } }, 400, 'unknownField'],
    ['a prefix that is no hex', { where: { serialPrefix: '0x' } }, 400, 'invalidField'],
    ['no question', {}, 400, 'invalidField'],
    ['a time that has not come', { where: { all: true }, at: NOW + 301 }, 422, 'changeRefused'],
    ['removeFromCRL', { where: { all: true }, reason: 'removeFromCRL' }, 422, 'changeRefused'],
    ['too large a part', { where: { all: true }, limit: 50_001 }, 400, 'invalidField'],
  ])('%s is refused before anything is changed', async (_, body, status, code) => {
    await add(3)
    const answer = await post(body)
    expect([answer.status, answer.at('error.code')]).toEqual([status, code])
    expect(await store.listMass(issuer, 5)).toEqual([])
  })

  test('a final issuer is refused (R4.52), one that is not there is not found', async () => {
    await store.finalizeIssuer(issuer, nowMs)
    expect((await post({ where: { all: true } })).status).toBe(409)
    expect((await post({ where: { all: true } }, `${PATH}/dry-run`)).status).toBe(409)
    expect((await post({ certificates: [{ serial: '01' }] }, `${PATH}/serials`)).status).toBe(409)
    expect((await post({ where: { all: true } }, '/issuers/nobody/mass-revocations')).status).toBe(404)
  })

  test('a database that goes away half-way is 503; the next call goes on', async () => {
    await add(STEP_ROWS * 2)
    db.beforeCall = (sql) => {
      if (sql.some((text) => text.includes('UPDATE certificates SET')))
        db.exec("INSERT INTO audit (at_ms, action) VALUES (0, 'seen')")
      if (Number(db.rows("SELECT count(*) AS n FROM audit WHERE action = 'seen'")[0]?.['n']) === 2)
        db.failNext(1)
    }
    const failed = await post({ where: { all: true } })
    expect([failed.status, failed.at('error.code')]).toEqual([503, 'storageUnavailable'])
    db.beforeCall = undefined
    db.failNext(0)
    const rest = await post({ where: { all: true } })
    expect(rest.at('run')).toMatchObject({ done: true, changed: STEP_ROWS * 2 })
    expect(Number(rest.at('changed'))).toBeLessThan(STEP_ROWS * 2)
  })
})

test('the dry run counts what would change, and changes nothing; times as RFC 3339 or seconds', async () => {
  await store.addCertificates(
    issuer,
    [
      good(1),
      good(2, { status: 'revoked' }),
      good(3, { status: 'hold' }),
      { serial: serial(4), status: 'good' },
    ],
    nowMs,
  )
  const before = db.rows('SELECT * FROM audit')
  const answer = await post(
    { where: { issuedAfter: '2026-01-01T00:00:00Z', expiresAfter: 5 } },
    `${PATH}/dry-run`,
  )
  expect(answer.status).toBe(200)
  expect(answer.at('')).toEqual({
    toChange: 2,
    held: 1,
    reserved: 0,
    refused: [],
    already: 1,
    leftReserved: 0,
    undated: 1,
    slots: [{ k: 0, slots: [0] }],
    cursor: null,
  })
  expect([db.rows('SELECT * FROM audit'), await store.listMass(issuer, 1)]).toEqual([before, []])
})

test('GET .../mass-revocations lists the runs and the rate measured over them', async () => {
  await add(2000)
  const empty = await world.call('GET', PATH)
  expect(empty.at('')).toEqual({ runs: [], revocationsPerSecond: null })
  db.beforeCall = () => {
    nowMs += 100
  }
  await post({
    where: { issuedAfter: '2026-01-01T00:00:00Z', serialFrom: '1000000000', reserved: true },
    reason: 'superseded',
  })
  db.beforeCall = undefined
  const listed = await world.call('GET', PATH)
  expect(listed.at('runs.0')).toMatchObject({
    where: { issuedAfter: '2026-01-01T00:00:00Z', serialFrom: '1000000000', reserved: true },
    reason: 'superseded',
    changed: 2000,
    done: true,
  })
  const [run] = await store.listMass(issuer, 1)
  expect(run?.busyMs).toBe(200) // to find the stretch, and to change it
  expect(listed.at('revocationsPerSecond')).toBe(10_000)
})

describe('POST .../mass-revocations/serials', () => {
  const list = (certificates: unknown[], more: object = {}) =>
    post({ certificates, ...more }, `${PATH}/serials`)

  test('revokes what is recorded; the rest is told by its place; one publication', async () => {
    await add(3)
    const answer = await list(
      [
        { serial: hex(serial(0)) },
        { serial: 'nonsense' },
        { serial: hex(serial(1)), reason: 'keyCompromise', at: NOW - 500 },
        { serial: 'ff' },
        { serial: hex(serial(2)), at: NOW + 400 },
        { serial: hex(serial(2)), more: 1 },
      ],
      { reason: 'superseded', at: NOW - 900 },
    )
    expect(answer.at('')).toMatchObject({
      added: 0,
      changed: 2,
      unchanged: 0,
      notFound: 1,
      refused: 3,
      problems: [
        { index: 1, outcome: 'refused' },
        { index: 3, serial: '00ff', outcome: 'notFound', message: 'is not recorded' },
        { index: 4, outcome: 'refused', message: expect.stringContaining('future') },
        { index: 5, outcome: 'refused' },
      ],
      slots: [],
      needsPublish: false,
    })
    expect(await store.readCertificate(issuer, serial(0))).toMatchObject({
      reason: 4,
      revocationTime: NOW - 900,
    })
    expect(await store.readCertificate(issuer, serial(1))).toMatchObject({
      reason: 1,
      revocationTime: NOW - 500,
    })
    expect(world.happened.length).toBe(1)
    const again = await list([{ serial: hex(serial(0)) }])
    expect(again.at('')).toMatchObject({ changed: 0, unchanged: 1, needsPublish: false })
    expect(world.happened.length).toBe(1)
  })

  test('adds what is not recorded on request; a dry run says so and neither changes nor publishes', async () => {
    const dry = await list([{ serial: 'ff' }], { add: true, dryRun: true })
    expect(dry.at('')).toMatchObject({ added: 1, slots: [{ k: 0, slots: [0] }], needsPublish: false })
    expect([world.happened, await store.readCertificate(issuer, Uint8Array.of(0, 0xff))]).toEqual([
      [],
      undefined,
    ])
    expect((await list([{ serial: 'ff' }], { add: true, publish: false })).at('')).toMatchObject({
      added: 1,
      needsPublish: true,
    })
    expect(await store.readCertificate(issuer, Uint8Array.of(0, 0xff))).toMatchObject({ status: 'revoked' })
  })

  test('a reason that the profile forbids refuses the call when it is for all, the row when it is its own', async () => {
    const policy = { ...POLICY, profile: 'public-trust' } as const
    const other = await store.addIssuer(newIssuer({ name: 'public', ski: 'ab'.repeat(20), policy }), nowMs)
    await store.addCertificates(other.id, [good(1)], nowMs)
    const path = '/issuers/public/mass-revocations/serials'
    const all = await post({ certificates: [{ serial: hex(serial(1)) }], reason: 'cACompromise' }, path)
    expect([all.status, all.at('error.field')]).toEqual([422, 'reason'])
    const own = await post({ certificates: [{ serial: hex(serial(1)), reason: 'cACompromise' }] }, path)
    expect(own.at('')).toMatchObject({ changed: 0, refused: 1 })
  })
})

test('status tells the rate of signing and what is left, once something was signed', async () => {
  expect((await world.call('GET', '/status')).at('signing')).toBeNull()
  const run = { job: 'cron', startedMs: nowMs, ok: true, failed: 0, remaining: 0 }
  await store.recordRun({ ...run, finishedMs: nowMs + 4000, built: 8, signatures: 4000 })
  await store.recordRun({ ...run, finishedMs: nowMs + 9000, built: 0, signatures: 0 })
  await add(1)
  await post({ where: { all: true } })
  const status = await world.call('GET', '/status')
  expect(status.at('slotsDue')).toBe(1)
  expect(status.at('signing')).toEqual({ bundlesPerSecond: 2, signaturesPerSecond: 1000, secondsLeft: 1 })
})

test('what waits in the queue and what is being built is left too; consumers side by side are as fast as they are together', async () => {
  await add(1)
  await post({ where: { all: true } })
  const run = { job: 'queue', ok: true, failed: 0, remaining: 0, built: 4, signatures: 2000 }
  await store.recordRun({ ...run, startedMs: nowMs, finishedMs: nowMs + 8000 })
  await store.recordRun({ ...run, startedMs: nowMs + 2000, finishedMs: nowMs + 6000 })
  await store.recordRun({ ...run, startedMs: nowMs + 4000, finishedMs: nowMs + 12_000 })
  const expected = { bundlesPerSecond: 1, signaturesPerSecond: 500, secondsLeft: 1 }
  const status = async () => (await world.call('GET', '/status')).at('')
  expect(await status()).toMatchObject({ slotsDue: 1, signing: expected })
  const places = new D1FanOutStore(db)
  await places.recordPlan({ plannedMs: nowMs, due: 1, planned: 1, messages: 1, lost: false, refused: false })
  const slot = { issuer, k: 0, slot: 0 }
  await places.plan([slot], 'plan:1', NOW, 900)
  expect(await status()).toMatchObject({ slotsDue: 0, queue: { waiting: 1, building: 0 }, signing: expected })
  await places.claim(slot, 'plan:1', NOW, 1200)
  expect(await status()).toMatchObject({ slotsDue: 0, queue: { waiting: 0, building: 1 }, signing: expected })
})
