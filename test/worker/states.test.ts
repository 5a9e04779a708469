/** Reserved serials, extensions, compromised and final issuers on workerd's own D1: what test/storage shows on SQLite. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'
import { certHash, crlReference } from '../../src/ocsp/single-extensions.ts'
import { encodeExtensions } from '../../src/pkix/extensions.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { good, key, newIssuer, newResponder, POLICY, serial } from '../storage/fixtures.ts'

const admin = new D1AdminStore(env.DB)
let ms = Date.now()
const tick = () => {
  ms += 7
  return ms
}
let issuer = 0
const HASH = certHash('SHA-1', new Uint8Array(20).fill(3))
const CRL = crlReference({ number: 9 })

beforeAll(async () => {
  issuer = (await admin.addIssuer(newIssuer(), tick())).id
  await admin.addResponder(issuer, newResponder(), Uint8Array.of(1, 2, 3), tick())
})

test('a reserved serial is resolved, and never reserved again (R1.42)', async () => {
  const reserved = { serial: serial(1), status: 'reserved' } as const
  expect(await admin.addCertificates(issuer, [reserved], tick())).toEqual(['added'])
  const read = await new D1StatusStore(env.DB).readStatuses(issuer, [key(serial(1))])
  expect(read.rows[0]?.status).toBe('reserved')
  expect(await admin.addCertificates(issuer, [good(1)], tick())).toEqual(['changed'])
  expect(await admin.addCertificates(issuer, [reserved], tick())).toEqual([
    { refused: expect.stringContaining('recorded already') },
  ])
})

test('extensions are merged in D1, and come back octet for octet (R4.53)', async () => {
  const row = (extensions: Uint8Array) => good(2, { isCA: true, extensions })
  await admin.addCertificates(issuer, [row(encodeExtensions([HASH]))], tick())
  const both = encodeExtensions([HASH, CRL])
  expect(await admin.addCertificates(issuer, [row(encodeExtensions([CRL])), row(both)], tick())).toEqual([
    'changed',
    'unchanged',
  ])
  expect(await admin.readCertificate(issuer, serial(2))).toMatchObject({ isCA: true, extensions: both })
})

test('compromised and final are told, and nothing is changed after them (R1.41, R4.52)', async () => {
  const at = Math.floor(ms / 1000) - 60
  expect((await admin.compromiseIssuer(issuer, at, tick())).compromisedAt).toBe(at)
  expect((await admin.compromiseIssuer(issuer, at + 5, tick())).compromisedAt).toBe(at)
  expect((await admin.finalizeIssuer(issuer, tick())).finalAt).toBe(Math.floor(ms / 1000))
  expect(await new D1SlotStore(env.DB).countDue(at + 120, { all: false })).toBe(1)
  expect(await admin.addCertificates(issuer, [good(3)], tick())).toEqual([
    { refused: expect.stringContaining('final') },
  ])
  for (const refused of [
    admin.updateIssuer(issuer, { policy: { ...POLICY, nonce: 'ignore' } }, tick()),
    admin.compromiseIssuer(issuer, at - 60, tick()),
    admin.addResponder(issuer, newResponder({ name: 'late' }), Uint8Array.of(1), tick()),
  ])
    await expect(refused).rejects.toMatchObject({ name: 'IssuerStateError', state: 'final' })
  const { issuers } = await admin.globals(at + 120)
  expect(issuers[0]?.activeResponders).toBe(1)
})
