/** What certificates bear beyond their status, over the real record: R1.42, R1.81, R1.84, R1.91, R4.21, R4.53. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { certHash, crlReference, invalidityDate, sctList } from '../../src/ocsp/single-extensions.ts'
import { encodeExtensions } from '../../src/pkix/extensions.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { addIssuer, DAY, pki } from './admin-pki.ts'
import { type AdminWorld, type Answered, adminWorld, NOW } from './admin-world.ts'

let world: AdminWorld
let store: D1AdminStore

beforeEach(async () => {
  store = new D1AdminStore(new SqliteD1({ now: () => NOW }))
  world = adminWorld({ store })
  await addIssuer(world)
  world.happened.length = 0
})

const add = (...certificates: unknown[]): Promise<Answered> =>
  world.call('POST', '/issuers/demo/certificates', { certificates })
const revoke = (body: unknown): Promise<Answered> => world.call('POST', '/issuers/demo/revocations', body)
const show = (serial: string): Promise<Answered> => world.call('GET', `/issuers/demo/certificates/${serial}`)
const recorded = async (octet: number) => (await store.readCertificate(1, Uint8Array.of(octet)))?.extensions

const DIGEST = createHash('sha256').update('certificate').digest()
/** One SCT of version 1: log id, timestamp, no extensions, ecdsa with SHA-256, a signature of four octets. */
const SCT = Buffer.concat([
  Buffer.from([0]),
  Buffer.alloc(32, 0xa1),
  Buffer.alloc(8, 1),
  Buffer.from([0, 0, 4, 3, 0, 4, 9, 9, 9, 9]),
])
const length = (octets: Buffer) => Buffer.from([octets.length >> 8, octets.length & 255])
const listOf = (...scts: Buffer[]) => {
  const content = Buffer.concat(scts.flatMap((sct) => [length(sct), sct]))
  return Buffer.concat([length(content), content])
}

describe('certHash (R4.53)', () => {
  test.each(['sha1', 'sha256', 'sha384', 'sha512'])('%s is recorded and shown', async (hash) => {
    const value = createHash(hash).update('certificate').digest('hex')
    const colons = value.toUpperCase().replace(/..(?=.)/g, '$&:')
    expect((await add({ serial: '01', status: 'good', certHash: { hash, value: colons } })).at('added')).toBe(
      1,
    )
    expect((await show('01')).at('certHash')).toEqual({ hash, value })
  })

  test('is the extension that responses bear, octet for octet', async () => {
    await add({ serial: '01', status: 'good', certHash: { hash: 'sha256', value: DIGEST.toString('hex') } })
    expect(await recorded(1)).toEqual(encodeExtensions([certHash('SHA-256', new Uint8Array(DIGEST))]))
  })

  test.each([
    [{ hash: 'sha256', value: 'aabb' }, 'certHash.value'],
    [{ hash: 'sha1', value: DIGEST.toString('hex') }, 'certHash.value'],
    [{ hash: 'md5', value: DIGEST.toString('hex') }, 'certHash.hash'],
    [{ hash: 'sha256', value: 'xyz' }, 'certHash.value'],
    [{ hash: 'sha256' }, 'certHash.value'],
    [{ hash: 'sha256', value: DIGEST.toString('hex'), of: 'precertificate' }, 'certHash.of'],
  ])('%j is refused with its row', async (hash, field) => {
    const answer = await add(
      { serial: '01', status: 'good', certHash: hash },
      { serial: '02', status: 'good' },
    )
    expect([answer.at('refused'), answer.at('added')]).toEqual([1, 1])
    expect(answer.at('results.0.message')).toMatch(new RegExp(`^${field.replace('.', '\\.')}: `))
  })
})

describe('scts (R1.91)', () => {
  test('are recorded as the logs gave them, and shown again', async () => {
    const list = listOf(SCT, Buffer.from([7, 1, 2, 3])) // the second of a version that nobody knows
    await add({ serial: '01', status: 'good', scts: list.toString('base64') })
    expect((await show('01')).at('scts')).toBe(list.toString('base64'))
    expect(await recorded(1)).toEqual(encodeExtensions([sctList(new Uint8Array(list))]))
  })

  const cases: [string, Buffer | string][] = [
    ['a precertificate, or any certificate', Buffer.from(pki.issuer.certificate)],
    ['an OCTET STRING', Buffer.concat([Buffer.from([4, 55]), listOf(SCT)])],
    ['a list without its length', Buffer.concat([length(SCT), SCT]).subarray(2)],
    ['an empty list', Buffer.from([0, 0])],
    ['an SCT without octets', Buffer.from([0, 2, 0, 0])],
    ['a list that ends too soon', Buffer.concat([Buffer.from([0, 4, 0, 9]), Buffer.from([0, 1])])],
    ['an SCT that is cut off', listOf(SCT.subarray(0, 50))],
    ['an SCT with octets behind it', listOf(Buffer.concat([SCT, Buffer.from([0])]))],
    ['what is not base64', '!!'],
  ]
  test.each(cases)('refuses %s', async (_, what) => {
    const scts = typeof what === 'string' ? what : what.toString('base64')
    const answer = await add({ serial: '01', status: 'good', scts })
    expect([answer.at('refused'), answer.at('results.0.message')]).toEqual([
      1,
      expect.stringMatching(/^scts: \w/),
    ])
  })
})

describe('invalidityDate and crl (R1.81, R1.84)', () => {
  const since = '2026-11-01T00:00:00Z'
  const crl = { url: 'http://crl.example/1.crl', number: '17e2b4', time: '2026-11-20T00:00:00Z' }

  test('come with a revocation or hold, are recorded as their extensions, and shown', async () => {
    await add({ serial: '01', status: 'good' }, { serial: '02', status: 'hold', crl: { number: '0x05' } })
    const answer = await revoke({ serial: '01', reason: 'keyCompromise', invalidityDate: since, crl })
    expect([answer.status, answer.at('outcome')]).toEqual([200, 'changed'])
    expect([answer.at('certificate.invalidityDate'), answer.at('certificate.crl')]).toEqual([since, crl])
    expect((await show('02')).at('crl')).toEqual({ number: '05' })
    const time = Date.parse(crl.time) / 1000
    expect(await recorded(1)).toEqual(
      encodeExtensions([
        invalidityDate(Date.parse(since) / 1000),
        crlReference({ url: crl.url, number: 0x17e2b4, time }),
      ]),
    )
  })

  test('said later revise a revocation, and are published like one (R4.23)', async () => {
    await add({ serial: '01', status: 'revoked', reason: 'keyCompromise' })
    world.happened.length = 0
    const answer = await revoke({ serial: '01', invalidityDate: since })
    expect([answer.at('outcome'), answer.at('certificate.reason')]).toEqual(['changed', 'keyCompromise'])
    expect(world.happened).toEqual([`publish 1@${answer.at('revision')}`])
    expect((await revoke({ serial: '01', invalidityDate: since })).at('outcome')).toBe('unchanged')
  })

  test('a CRL number may have 20 octets, as that of a CA which counts nanoseconds has many', async () => {
    await add({ serial: '01', status: 'revoked', crl: { number: `7f${'00'.repeat(19)}` } })
    expect((await show('01')).at('crl.number')).toBe(`7f${'00'.repeat(19)}`)
    const answer = await add({ serial: '02', status: 'revoked', crl: { number: `7f${'00'.repeat(20)}` } })
    expect(answer.at('results.0.message')).toMatch(/^crl\.number: 21 octets/)
  })

  test.each([
    [{ status: 'good', invalidityDate: since }, 'status'],
    [{ status: 'good', crl }, 'status'],
    [{ status: 'revoked', crl: {} }, 'crl'],
    [{ status: 'revoked', crl: { url: 'http://crl.example/ä' } }, 'crl.url'],
    [{ status: 'revoked', crl: { number: 'seven' } }, 'crl.number'],
    [{ status: 'revoked', crl: { time: NOW + 301 } }, 'crl.time'],
    [{ status: 'revoked', invalidityDate: NOW + 301 }, 'invalidityDate'],
  ])('%j is refused with its row', async (row, field) => {
    const answer = await add({ serial: '01', ...row })
    expect([answer.at('refused'), answer.at('results.0.message')]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^${field.replace('.', '\\.')}: `)),
    ])
  })

  test('are refused with the field in a revocation that is called for', async () => {
    await add({ serial: '01', status: 'good' })
    const answer = await revoke({ serial: '01', invalidityDate: NOW + 301 })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'changeRefused',
      'invalidityDate',
    ])
    expect((await show('01')).at('status')).toBe('good')
  })
})

describe('a reserved serial (R1.42)', () => {
  test('is shown as such until its issuance is reported, which needs no publishing', async () => {
    const answer = await add({ serial: '01', status: 'reserved', notAfter: '2027-01-01T00:00:00Z' })
    expect([answer.at('added'), answer.at('needsPublish'), world.happened]).toEqual([1, false, []])
    expect((await show('01')).at('status')).toBe('reserved')
    expect((await add({ serial: '01', status: 'reserved' })).at('unchanged')).toBe(1)
    const issued = await add({ serial: '01', status: 'good', notAfter: '2027-01-01T00:00:00Z' })
    expect([issued.at('changed'), (await show('01')).at('status')]).toEqual([1, 'good'])
    const again = await add({ serial: '01', status: 'reserved' })
    expect([again.at('refused'), again.at('results.0.message')]).toEqual([
      1,
      expect.stringContaining('recorded already'),
    ])
  })

  test('can be revoked before it is reported, and that is published', async () => {
    await add({ serial: '01', status: 'reserved' })
    const answer = await revoke({ serial: '01', reason: 'superseded' })
    expect([answer.status, answer.at('outcome'), answer.at('certificate.status')]).toEqual([
      200,
      'changed',
      'revoked',
    ])
    expect(world.happened.length).toBe(1)
  })

  test.each([
    [{ revocationTime: NOW }, 'revocationTime'],
    [{ reason: 'superseded' }, 'reason'],
    [{ certHash: { hash: 'sha256', value: DIGEST.toString('hex') } }, 'certHash'],
    [{ scts: listOf(SCT).toString('base64') }, 'scts'],
    [{ invalidityDate: NOW - DAY }, 'invalidityDate'],
  ])('has no certificate that %j could be said of', async (more, field) => {
    const answer = await add({ serial: '01', status: 'reserved', ...more })
    expect(answer.at('results.0.message')).toBe(`${field}: of a serial that is only reserved`)
  })
})

describe('the certificate of a CA (R4.21)', () => {
  test('is shown as such; false and nothing leave it so', async () => {
    await add({ serial: '01', status: 'good', ca: true })
    await add({ serial: '01', status: 'good', ca: false }, { serial: '02', status: 'good', ca: false })
    expect([(await show('01')).at('ca'), (await show('02')).at('ca')]).toEqual([true, undefined])
  })

  test('is revoked with a reason only, under public-trust', async () => {
    await world.call('PATCH', '/issuers/demo', { policy: { profile: 'public-trust' } })
    await add({ serial: '01', status: 'good', ca: true }, { serial: '02', status: 'good' })
    const without = await revoke({ serial: '01' })
    expect([without.status, without.at('error.code')]).toEqual([409, 'changeRefused'])
    expect(without.at('error.message')).toContain('needs a reason')
    expect((await revoke({ serial: '01', reason: 'cessationOfOperation' })).status).toBe(200)
    expect((await revoke({ serial: '02' })).status).toBe(200)
    const row = await add({ serial: '03', status: 'revoked', ca: true })
    expect(row.at('results.0.message')).toContain('needs a reason')
  })
})
