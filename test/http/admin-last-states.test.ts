/** POST .../compromise and .../finalize, over the real record (R1.41, R4.52). */
import { describe, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { addIssuer, addResponder, DAY, delegate, pki, privateKey } from './admin-pki.ts'
import { type AdminWorld, type Answered, adminWorld, at, NOW } from './admin-world.ts'

const NOW_TEXT = '2026-11-21T03:00:30Z'

async function recorded(policy: Record<string, unknown> = {}, signed = true) {
  const db = new SqliteD1({ now: () => NOW })
  const store = new D1AdminStore(db)
  const world = adminWorld({ store })
  const answer = await addIssuer(world, { policy, ...(signed && { responder: delegate() }) })
  expect(answer.status).toBe(201)
  world.happened.length = 0
  return { db, world }
}

const post = (world: AdminWorld, what: 'compromise' | 'finalize', body: unknown = {}): Promise<Answered> =>
  world.call('POST', `/issuers/demo/${what}`, body)
const codes = (answer: Answered): unknown[] => {
  const found = answer.at('warnings')
  return Array.isArray(found) ? found.map((one: unknown) => at(one, 'code')) : []
}

describe('POST /issuers/{issuer}/compromise', () => {
  test('revokes everything from now on; the page is written, then the root that has the new floor', async () => {
    const { db, world } = await recorded()
    const answer = await post(world, 'compromise')
    expect([answer.status, answer.at('issuer.compromisedAt'), answer.at('issuer.finalAt')]).toEqual([
      200,
      NOW_TEXT,
      null,
    ])
    const root = (await new D1OverlayStore(db).readOverlay()).issuers[0]
    expect(world.happened).toEqual(['page demo', `publish 1@${root?.floor}`])
    expect([answer.at('publishedAt'), codes(answer)]).toEqual([NOW_TEXT, []])
    const listed = await world.call('GET', '/issuers')
    expect(listed.at('issuers.0.compromisedAt')).toBe(NOW_TEXT)
  })

  test.each([
    ['2026-11-20T12:00:00Z', '2026-11-20T12:00:00Z'],
    [NOW - 60, '2026-11-21T02:59:30Z'],
    [NOW + 300, NOW_TEXT], // a clock that is a little ahead
  ])('takes the time %s as %s', async (time, said) => {
    const { world } = await recorded()
    expect((await post(world, 'compromise', { time })).at('issuer.compromisedAt')).toBe(said)
  })

  test.each([
    [{ time: NOW + 301 }, 422, 'time'],
    [{ time: NOW - 2 * DAY }, 422, 'time'], // before the CA's notBefore
    [{ time: 'yesterday' }, 400, 'time'],
    [{ since: NOW }, 400, 'since'],
  ])('refuses %j, and nothing is compromised', async (body, status, field) => {
    const { world } = await recorded()
    const answer = await post(world, 'compromise', body)
    expect([answer.status, answer.at('error.field')]).toEqual([status, field])
    expect((await world.call('GET', '/issuers/demo')).at('compromisedAt')).toBeNull()
    expect(world.happened).toEqual([])
  })

  test('is never taken back: an earlier time stays, and that is said', async () => {
    const { world } = await recorded()
    await post(world, 'compromise', { time: NOW - 3600 })
    const later = await post(world, 'compromise')
    expect([later.status, later.at('issuer.compromisedAt'), codes(later)]).toEqual([
      200,
      '2026-11-21T02:00:30Z',
      ['earlierStays'],
    ])
    const earlier = await post(world, 'compromise', { time: NOW - 7200 })
    expect([earlier.at('issuer.compromisedAt'), codes(earlier)]).toEqual(['2026-11-21T01:00:30Z', []])
  })

  test('is written down with its time, for a record that has to be made again', async () => {
    const { world } = await recorded()
    await post(world, 'compromise', { time: NOW - 3600 })
    const audit = await world.call('GET', '/audit?limit=1000')
    expect(audit.at('rows.2.action')).toBe('issuer.compromised')
    expect(audit.at('rows.2.detail')).toEqual({ at: NOW - 3600, previously: null })
  })
})

describe('POST /issuers/{issuer}/finalize', () => {
  test('says what is left to do, and shows since when', async () => {
    const { world } = await recorded({ unknown: 'unknown' })
    const answer = await post(world, 'finalize')
    expect([answer.status, answer.at('issuer.finalAt'), codes(answer)]).toEqual([
      200,
      NOW_TEXT,
      ['signLastResponses', 'unknownNeedsSigner'],
    ])
    expect(world.happened).toEqual(['page demo', expect.stringMatching(/^publish 1@/)])
    expect((await post(world, 'finalize')).status).toBe(200)
  })

  test('then refuses whatever would alter an answer, each time with the reason', async () => {
    const { world } = await recorded()
    const certificates = [{ serial: '01', status: 'good' }]
    expect((await world.call('POST', '/issuers/demo/certificates', { certificates })).at('added')).toBe(1)
    await post(world, 'finalize')
    const calls: [string, string, unknown][] = [
      ['PATCH', '', { policy: { validitySeconds: DAY } }],
      ['POST', '/compromise', {}],
      ['POST', '/revocations', { serial: '01' }],
      ['POST', '/revocations', { serial: '01', reason: 'certificateHold' }],
    ]
    for (const [method, path, body] of calls) {
      const answer = await world.call(method, `/issuers/demo${path}`, body)
      expect([path, answer.status, answer.at('error.code')]).toEqual([path, 409, 'changeRefused'])
      expect(answer.at('error.message')).toMatch(/final/)
    }
    const row = await world.call('POST', '/issuers/demo/certificates', {
      certificates: [{ serial: '02', status: 'good' }],
    })
    expect([row.status, row.at('refused'), row.at('results.0.message')]).toEqual([
      200,
      1,
      expect.stringContaining('final'),
    ])
    expect((await world.call('GET', '/issuers/demo/certificates/01')).at('status')).toBe('good')
    expect((await world.call('PATCH', '/issuers/demo', { name: 'demo-ended' })).status).toBe(200)
  })

  test('takes no new responder, and lets the old one go', async () => {
    const { world } = await recorded()
    await post(world, 'finalize')
    const added = await addResponder(world, { signWithCA: true, key: privateKey(pki.issuer.pkcs8) })
    expect([added.status, added.at('error.code')]).toEqual([409, 'changeRefused'])
    const id = (await world.call('GET', '/issuers/demo')).at('responders.0.id')
    const retired = await world.call('POST', `/issuers/demo/responders/${id}/retire`, { force: true })
    expect([retired.status, retired.at('responder.state')]).toEqual([200, 'retired'])
  })

  test('is refused under public-trust, whose responses end (R4.1, R4.32)', async () => {
    const { world } = await recorded({ profile: 'public-trust' })
    const answer = await post(world, 'finalize')
    expect([answer.status, answer.at('error.code')]).toEqual([409, 'changeRefused'])
    expect(answer.at('error.message')).toContain('public-trust')
    expect((await world.call('GET', '/issuers/demo')).at('finalAt')).toBeNull()
  })

  test('is refused where nobody would sign: frozen, disabled, or without a responder', async () => {
    const { db, world } = await recorded()
    await new D1OverlayStore(db).freeze([1], NOW * 1000)
    const frozen = await post(world, 'finalize')
    expect([frozen.status, frozen.at('error.message')]).toEqual([409, expect.stringContaining('frozen')])
    expect(frozen.at('error.hint')).toContain('thaw')
    await world.call('POST', '/issuers/demo/thaw', {})
    await world.call('PATCH', '/issuers/demo', { enabled: false })
    const disabled = await post(world, 'finalize')
    expect([disabled.status, disabled.at('error.message')]).toEqual([
      409,
      expect.stringContaining('disabled'),
    ])
    const alone = await post((await recorded({}, false)).world, 'finalize')
    expect([alone.status, alone.at('error.message')]).toEqual([
      409,
      expect.stringContaining('no responder that can sign'),
    ])
  })

  test('takes no fields', async () => {
    const answer = await post((await recorded()).world, 'finalize', { force: true })
    expect([answer.status, answer.at('error.code')]).toEqual([400, 'unknownField'])
  })
})

test('both are described in openapi.json, and 404 for an issuer that is not there', async () => {
  const { world } = await recorded()
  const document = await world.call('GET', '/openapi.json')
  for (const what of ['compromise', 'finalize'] as const) {
    expect(document.text).toContain(`/issuers/{issuer}/${what}`)
    expect((await world.call('POST', `/issuers/nobody/${what}`, {})).status).toBe(404)
  }
  for (const field of ['requestors', 'archiveCutoff', 'certHash', 'scts', 'invalidityDate', 'compromisedAt'])
    expect(document.text).toContain(`"${field}"`)
})
