/** What an import would change: the same rules as the record's own (law 2). */
import { expect, test } from 'vitest'
import type { CertificateRecord } from '../../src/importers/importer.ts'
import { planRecord, type RecordedStatus } from '../../src/importers/reconcile.ts'

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
])('recorded and imported: %s', (_case, current, record, outcome) => {
  const planned = planRecord(current, record, 'private')
  expect(typeof planned === 'string' ? planned : 'refused').toBe(outcome)
})

test('a hold is refused under public-trust', () => {
  expect(planRecord(undefined, hold, 'public-trust')).toHaveProperty('refused')
  expect(planRecord(recorded('good'), hold, 'public-trust')).toHaveProperty('refused')
})
