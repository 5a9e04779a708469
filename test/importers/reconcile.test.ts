/** What an import would change: the same rules as the record's own (law 2). */
import { expect, test } from 'vitest'
import type { CertificateRecord } from '../../src/importers/importer.ts'
import { type IssuerRules, planRecord, type RecordedStatus } from '../../src/importers/reconcile.ts'

const PRIVATE: IssuerRules = { profile: 'private', isFinal: false }
const PUBLIC_TRUST: IssuerRules = { profile: 'public-trust', isFinal: false }
const good: CertificateRecord = { serial: '01', status: 'good', notAfter: 2000 }
const revoked: CertificateRecord = { ...good, status: 'revoked', revocationTime: 1000, reason: 'superseded' }
const hold: CertificateRecord = { ...good, status: 'hold', revocationTime: 1000, reason: 'certificateHold' }
const recorded = (status: RecordedStatus['status'], more: Partial<RecordedStatus> = {}): RecordedStatus => ({
  status,
  notAfter: 2000,
  ...(status === 'revoked' ? { revocationTime: 1000, reason: 'superseded' } : {}),
  ...(status === 'hold' ? { revocationTime: 1000, reason: 'certificateHold' } : {}),
  ...more,
})

test.each<[string, RecordedStatus | undefined, CertificateRecord, string]>([
  ['nothing, good', undefined, good, 'added'],
  ['nothing, revoked', undefined, revoked, 'added'],
  ['good, good', recorded('good'), good, 'unchanged'],
  ['good without notAfter, good', recorded('good', { notAfter: undefined }), good, 'changed'],
  ['good with another notAfter, good', recorded('good', { notAfter: 1999 }), good, 'refused'],
  ['good, revoked', recorded('good'), revoked, 'changed'],
  ['good, hold', recorded('good'), hold, 'changed'],
  ['revoked, good', recorded('revoked'), good, 'refused'],
  ['revoked, hold', recorded('revoked'), hold, 'refused'],
  ['revoked, revoked', recorded('revoked'), revoked, 'unchanged'],
  [
    'revoked for another reason, revoked',
    recorded('revoked', { reason: 'keyCompromise' }),
    revoked,
    'changed',
  ],
  ['revoked at another time, revoked', recorded('revoked', { revocationTime: 999 }), revoked, 'changed'],
  ['hold, good', recorded('hold'), good, 'refused'],
  ['hold, hold', recorded('hold'), hold, 'unchanged'],
  ['hold, revoked', recorded('hold'), revoked, 'changed'],
  ['released, good', recorded('released'), good, 'unchanged'],
  ['released, revoked', recorded('released'), revoked, 'changed'],
  ['reserved, good (R1.42)', recorded('reserved', { notAfter: undefined }), good, 'changed'],
  ['reserved with another notAfter, good', recorded('reserved', { notAfter: 1999 }), good, 'refused'],
  ['reserved, revoked (R1.42)', recorded('reserved', { notAfter: undefined }), revoked, 'changed'],
  ['revoked, with a time of compromise', recorded('revoked'), { ...revoked, invalidityDate: 900 }, 'changed'],
  [
    'revoked with it, with it',
    recorded('revoked', { invalidityDate: 900 }),
    { ...revoked, invalidityDate: 900 },
    'unchanged',
  ],
  ['revoked with it, without', recorded('revoked', { invalidityDate: 900 }), revoked, 'unchanged'],
  ['revoked, in a CRL', recorded('revoked'), { ...revoked, crl: { number: '05' } }, 'changed'],
  [
    'revoked in a CRL, in the next',
    recorded('revoked', { crl: { number: '05' } }),
    { ...revoked, crl: { number: '06' } },
    'changed',
  ],
  [
    'revoked in a CRL, in that one',
    recorded('revoked', { crl: { url: 'http://crl.example/', number: '05', time: 7 } }),
    { ...revoked, crl: { number: '05', time: 7, url: 'http://crl.example/' } },
    'unchanged',
  ],
])('recorded and imported: %s', (_case, current, record, outcome) => {
  const planned = planRecord(current, record, PRIVATE)
  expect(typeof planned === 'string' ? planned : 'refused').toBe(outcome)
})

test('a hold is refused under public-trust', () => {
  expect(planRecord(undefined, hold, PUBLIC_TRUST)).toHaveProperty('refused')
  expect(planRecord(recorded('good'), hold, PUBLIC_TRUST)).toHaveProperty('refused')
})

test('under public-trust the certificate of a CA is not revoked without a reason (R4.21)', () => {
  const { reason: _, ...bare } = revoked
  const ofCA = recorded('good', { isCA: true })
  expect(planRecord(ofCA, bare, PUBLIC_TRUST)).toHaveProperty('refused')
  expect(planRecord(recorded('revoked', { isCA: true }), bare, PUBLIC_TRUST)).toBe('unchanged')
  expect(planRecord(ofCA, revoked, PUBLIC_TRUST)).toBe('changed')
  expect(planRecord(ofCA, bare, PRIVATE)).toBe('changed')
  expect(planRecord(recorded('good'), bare, PUBLIC_TRUST)).toBe('changed')
})

test('reasons that public-trust does not know are refused (R4.22)', () => {
  const compromised = { ...revoked, reason: 'cACompromise' }
  expect(planRecord(undefined, compromised, PUBLIC_TRUST)).toHaveProperty('refused')
  expect(planRecord(undefined, compromised, PRIVATE)).toBe('added')
})

test('of an issuer that is final nothing is added and nothing changes (R4.52)', () => {
  const final: IssuerRules = { profile: 'private', isFinal: true }
  expect(planRecord(undefined, good, final)).toHaveProperty('refused')
  expect(planRecord(recorded('good'), revoked, final)).toHaveProperty('refused')
  expect(planRecord(recorded('reserved'), good, final)).toHaveProperty('refused')
  expect(planRecord(recorded('good'), good, final)).toBe('unchanged')
  expect(planRecord(recorded('revoked'), revoked, final)).toBe('unchanged')
})
