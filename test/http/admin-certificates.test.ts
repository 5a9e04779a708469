import { beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { makeTestPKI } from '../support/pki.ts'
import { type AdminWorld, adminWorld, NOW } from './admin-world.ts'

const MINUTE_START = '2026-11-21T03:00:00Z'
let certificate: string

beforeAll(async () => {
  certificate = formatPEM('CERTIFICATE', (await makeTestPKI({ now: NOW })).issuer.certificate)
})

async function withIssuer(policy: Record<string, unknown> = {}): Promise<AdminWorld> {
  const world = adminWorld()
  expect((await world.call('POST', '/issuers', { certificate, name: 'demo', policy })).status).toBe(201)
  world.happened.length = 0
  return world
}

const add = (world: AdminWorld, certificates: unknown[], more = {}) =>
  world.call('POST', '/issuers/demo/certificates', { certificates, ...more })
const revoke = (world: AdminWorld, body: Record<string, unknown>) =>
  world.call('POST', '/issuers/demo/revocations', body)
const release = (world: AdminWorld, serial: string) =>
  world.call('POST', '/issuers/demo/releases', { serial })
const show = (world: AdminWorld, serial: string) => world.call('GET', `/issuers/demo/certificates/${serial}`)

async function withCertificate(policy: Record<string, unknown> = {}): Promise<AdminWorld> {
  const world = await withIssuer(policy)
  await add(world, [
    { serial: '0a', status: 'good', notBefore: '2026-01-01T00:00:00Z', notAfter: '2027-01-01T00:00:00Z' },
  ])
  world.happened.length = 0
  return world
}

describe('POST /issuers/{issuer}/certificates', () => {
  test('answers row by row, in order, and counts', async () => {
    const world = await withIssuer()
    const answer = await add(world, [
      { serial: '0x01', status: 'good', line: 11 },
      { serial: '02', status: 'revoked', revocationTime: '2026-11-20T10:00:00Z', reason: 'KEYCOMPROMISE' },
      { serial: '80', status: 'hold', revocationTime: NOW - 60 },
    ])
    expect(answer.status).toBe(200)
    expect([answer.at('added'), answer.at('changed'), answer.at('unchanged'), answer.at('refused')]).toEqual([
      3, 0, 0, 0,
    ])
    expect(answer.at('results')).toEqual([
      { serial: '01', outcome: 'added', line: 11 },
      { serial: '02', outcome: 'added' },
      { serial: '0080', outcome: 'added' },
    ])
    expect(answer.at('needsPublish')).toBe(false)
    expect((await show(world, '02')).at('reason')).toBe('keyCompromise')
    expect((await show(world, '80')).at('status')).toBe('hold')
    expect((await add(world, [{ serial: '1', status: 'good' }])).at('unchanged')).toBe(1)
  })

  test.each([
    ['no serial', { status: 'good' }, 'serial'],
    ['a serial that is not hex', { serial: 'xyz', status: 'good' }, 'serial'],
    ['an unknown status', { serial: '5', status: 'ok' }, 'status'],
    ['an unknown field', { serial: '5', status: 'good', colour: 1 }, 'colour'],
    ['a bad time', { serial: '5', status: 'revoked', revocationTime: 'yesterday' }, 'revocationTime'],
    [
      'a time far in the future',
      { serial: '5', status: 'revoked', revocationTime: NOW + 301 },
      'revocationTime',
    ],
    ['an unknown reason', { serial: '5', status: 'revoked', reason: 'bored' }, 'reason'],
    [
      'certificateHold as revocation',
      { serial: '5', status: 'revoked', reason: 'certificateHold' },
      'reason',
    ],
    ['removeFromCRL as revocation', { serial: '5', status: 'revoked', reason: 'removeFromCRL' }, 'reason'],
    ['a hold for another reason', { serial: '5', status: 'hold', reason: 'superseded' }, 'reason'],
    ['a good one with a reason', { serial: '5', status: 'good', reason: 'superseded' }, 'status'],
    [
      'an end before its beginning',
      { serial: '5', status: 'good', notBefore: NOW, notAfter: NOW - 1 },
      'notAfter',
    ],
    ['what is no object', 'row', ''],
  ])('refuses %s alone and keeps the good rows', async (_what, row, field) => {
    const world = await withIssuer()
    const answer = await add(world, [{ serial: '1', status: 'good' }, row, { serial: '2', status: 'good' }])
    expect(answer.status).toBe(200)
    expect([answer.at('added'), answer.at('refused'), answer.at('results.1.outcome')]).toEqual([
      2,
      1,
      'refused',
    ])
    expect(answer.at('results.1.message')).toMatch(new RegExp(`^${field || 'the body'}: `))
  })

  test('refuses a serial that comes twice, in whatever spelling', async () => {
    const answer = await add(await withIssuer(), [
      { serial: '0A', status: 'good' },
      { serial: '0x0000:0a', status: 'good' },
    ])
    expect([answer.at('added'), answer.at('refused')]).toEqual([1, 1])
  })

  test('passes on why the record refuses a row: revoked never becomes good (law 2)', async () => {
    const world = await withIssuer()
    await add(world, [{ serial: '1', status: 'revoked' }])
    const answer = await add(world, [{ serial: '1', status: 'good' }])
    expect([answer.at('results.0.outcome'), answer.at('results.0.message')]).toEqual([
      'refused',
      'recorded as revoked',
    ])
  })

  test('publishes once when statuses changed, not for new good rows, and not when told so', async () => {
    const world = await withIssuer()
    const good = await add(world, [{ serial: '1', status: 'good' }])
    expect([good.at('needsPublish'), world.happened.length]).toEqual([false, 0])
    const silent = await add(world, [{ serial: '2', status: 'revoked' }], { publish: false })
    expect([silent.at('needsPublish'), silent.at('publishedAt'), world.happened.length]).toEqual([
      true,
      null,
      0,
    ])
    const loud = await add(world, [
      { serial: '3', status: 'revoked' },
      { serial: '4', status: 'revoked' },
    ])
    expect([loud.at('needsPublish'), loud.at('publishedAt'), world.happened.length]).toEqual([
      false,
      '2026-11-21T03:00:30Z',
      1,
    ])
  })

  test('takes 1000 rows, not 1001, and no body over 1 MiB', async () => {
    const world = await withIssuer()
    const rows = Array.from({ length: 1001 }, (_, i) => ({ serial: (i + 1).toString(16), status: 'good' }))
    expect((await add(world, rows.slice(0, 1000))).at('added')).toBe(1000)
    const many = await add(world, rows)
    expect([many.status, many.at('error.field')]).toEqual([400, 'certificates'])
    const large = await add(world, [{ serial: '1', status: ' '.repeat(1_048_576) }])
    expect([large.status, large.at('error.code')]).toEqual([413, 'bodyTooLarge'])
  })

  test('certificateHold is refused under public-trust (R4.13, R4.22)', async () => {
    const answer = await add(await withIssuer({ profile: 'public-trust' }), [{ serial: '1', status: 'hold' }])
    expect([answer.at('refused'), answer.at('results.0.outcome')]).toEqual([1, 'refused'])
  })
})

describe('revocation', () => {
  test('commits, publishes that very revision, and answers both', async () => {
    const world = await withCertificate()
    const answer = await revoke(world, { serial: '0A', reason: 'keyCompromise' })
    expect(answer.status).toBe(200)
    const revision = answer.at('revision')
    expect(answer.at('outcome')).toBe('changed')
    expect(answer.at('publishedAt')).toBe('2026-11-21T03:00:30Z')
    expect(answer.at('boundSeconds')).toBe(300)
    expect(answer.at('certificate.status')).toBe('revoked')
    expect(answer.at('certificate.reason')).toBe('keyCompromise')
    expect(world.happened).toEqual([`publish 1@${revision}`])
  })

  test('the time defaults to now cut to the minute', async () => {
    const answer = await revoke(await withCertificate(), { serial: '0a' })
    expect(answer.at('certificate.revocationTime')).toBe(MINUTE_START)
    expect(answer.at('certificate.reason')).toBeUndefined()
  })

  test.each([
    [NOW - 86_400, 200, '2026-11-20T03:00:30Z'],
    ['2026-11-20T05:00:30+02:00', 200, '2026-11-20T03:00:30Z'],
    [NOW + 300, 200, '2026-11-21T03:00:30Z'],
    [NOW + 301, 422, undefined],
  ])(
    'at %s: %i, recorded as %s (a clock up to 5 minutes ahead is set back to now)',
    async (at, status, recorded) => {
      const answer = await revoke(await withCertificate(), { serial: '0a', at })
      expect([answer.status, answer.at('certificate.revocationTime')]).toEqual([status, recorded])
      if (status === 422)
        expect([answer.at('error.code'), answer.at('error.field')]).toEqual(['changeRefused', 'at'])
    },
  )

  test('before notBefore is accepted with a warning', async () => {
    const answer = await revoke(await withCertificate(), { serial: '0a', at: '2025-12-31T00:00:00Z' })
    expect([answer.status, answer.at('warnings.0.code')]).toEqual([200, 'beforeNotBefore'])
  })

  test.each([
    ['unspecified', 200],
    ['keyCompromise', 200],
    ['cACompromise', 422],
    ['affiliationChanged', 200],
    ['superseded', 200],
    ['cessationOfOperation', 200],
    ['certificateHold', 422],
    ['removeFromCRL', 422],
    ['privilegeWithdrawn', 200],
    ['aACompromise', 422],
  ])('under public-trust the reason %s answers %i (R4.22)', async (reason, status) => {
    const answer = await revoke(await withCertificate({ profile: 'public-trust' }), { serial: '0a', reason })
    expect(answer.status).toBe(status)
    if (status === 422)
      expect([answer.at('error.code'), answer.at('error.field')]).toEqual(['changeRefused', 'reason'])
  })

  test('unspecified is said by leaving the reason out (R4.22)', async () => {
    const world = await withCertificate()
    await revoke(world, { serial: '0a', reason: 'unspecified' })
    expect((await show(world, '0a')).at('reason')).toBeUndefined()
  })

  test('again is unchanged, and publishes again, as the first call may have failed there', async () => {
    const world = await withCertificate()
    const first = await revoke(world, { serial: '0a' })
    const second = await revoke(world, { serial: '0a' })
    expect([second.status, second.at('outcome'), second.at('revision')]).toEqual([
      200,
      'unchanged',
      first.at('revision'),
    ])
    expect(world.happened).toHaveLength(2)
  })

  test.each([
    ['another publisher is at work', { published: false }],
    ['KV is down', new StorageError('unavailable', 'KV put failed')],
    ['something unforeseen', new Error('secret detail')],
  ])('when publishing fails (%s) it says: committed, not yet published', async (_what, publishing) => {
    const world = await withCertificate()
    world.publishing = publishing
    const answer = await revoke(world, { serial: '0a' })
    expect([answer.status, answer.at('outcome'), answer.at('publishedAt')]).toEqual([200, 'changed', null])
    expect(answer.at('problem')).toMatch(/^committed, not yet published/)
    expect(answer.at('warnings.0.code')).toBe('notPublished')
    expect(answer.text).not.toContain('secret detail')
  })

  test('while the record is down it fails loudly with 503 and Retry-After (law 4)', async () => {
    const world = await withCertificate()
    world.store.faults.set('changeStatus', new StorageError('unavailable', 'D1 is down'))
    const answer = await revoke(world, { serial: '0a' })
    expect([answer.status, answer.at('error.code'), answer.headers.get('Retry-After')]).toEqual([
      503,
      'storageUnavailable',
      '5',
    ])
    expect(world.happened).toEqual([])
  })

  test('of what was never recorded is 404', async () => {
    const answer = await revoke(await withCertificate(), { serial: '0b' })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      404,
      'notFound',
      'serial',
    ])
  })

  test('only a hold can be released', async () => {
    const world = await withCertificate()
    expect((await release(world, '0a')).at('error.code')).toBe('changeRefused')
    const hold = await revoke(world, { serial: '0a', reason: 'certificateHold' })
    expect([hold.at('certificate.status'), hold.at('certificate.reason')]).toEqual([
      'hold',
      'certificateHold',
    ])
    const released = await release(world, '0a')
    expect([released.status, released.at('certificate.status'), released.at('certificate.reason')]).toEqual([
      200,
      'released',
      undefined,
    ])
    await revoke(world, { serial: '0a', reason: 'superseded' })
    const refused = await release(world, '0a')
    expect([refused.status, refused.at('error.code')]).toEqual([409, 'changeRefused'])
    expect((await show(world, '0a')).at('status')).toBe('revoked')
  })
})

describe('bodies', () => {
  test.each([
    ['', 400, 'invalidField', 'serial'],
    ['{', 400, 'invalidJSON', undefined],
    ['[]', 400, 'invalidField', undefined],
    ['null', 400, 'invalidField', undefined],
    ['{"serial":"1","colour":2}', 400, 'unknownField', 'colour'],
    ['{"serial":1}', 400, 'invalidField', 'serial'],
    ['{"serial":"0x"}', 400, 'invalidField', 'serial'],
    ['{"serial":"1:"}', 400, 'invalidField', 'serial'],
  ])('%j gives %i %s at %s', async (body, status, code, field) => {
    const answer = await (await withCertificate()).call('POST', '/issuers/demo/revocations', body)
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([status, code, field])
  })

  test('that are not UTF-8 are refused', async () => {
    const world = await withCertificate()
    const answer = await world.call('POST', '/issuers/demo/revocations', Uint8Array.of(0x22, 0xff, 0x22))
    expect([answer.status, answer.at('error.code')]).toEqual([400, 'invalidJSON'])
  })

  test('of a call that takes nothing have to be empty', async () => {
    const answer = await (await withCertificate()).call('POST', '/issuers/demo/floor', { really: true })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      400,
      'unknownField',
      'really',
    ])
  })

  test('say where the JSON breaks when that is known', async () => {
    const answer = await (await withCertificate()).call(
      'POST',
      '/issuers/demo/revocations',
      '{"serial": "1", }',
    )
    expect(answer.at('error.message')).toMatch(/octet 16/)
  })
})
