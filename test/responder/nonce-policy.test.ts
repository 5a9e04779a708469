/** Nonces for a CA that is held to RFC 8954, as the Baseline Requirements still cite it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { about, basicOf, type CA, DATES, Rig } from '../conformance/harness.ts'
import { hex, tlv } from '../fixtures/octets.ts'
import { extension, NONCE_OID, request, requestExtensions } from '../fixtures/requests.ts'

const GOOD = hex('41 01')
let rig: Rig
let ca: CA
beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'baseline', policy: { nonce: 'rfc8954' } })
  await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
  await rig.presign()
})
afterAll(() => rig.close())

const asking = (extnValue: Uint8Array) =>
  request({ ...about(ca, GOOD), after: requestExtensions(extension(NONCE_OID, extnValue)) })

test.each([1, 16, 32])('a nonce of %i octets is echoed under rfc8954 (R3.12)', async (octets) => {
  const nonce = tlv(0x04, new Uint8Array(octets).fill(7))
  const reply = await rig.post(asking(nonce))
  expect(reply.said).toBe('good')
  expect(basicOf(reply).tbsResponseData.responseExtensions).toMatchObject([{ extnValue: nonce }])
})

test.each([33, 64, 128])('a nonce of %i octets is malformedRequest under rfc8954 (R3.12)', async (octets) => {
  const der = asking(tlv(0x04, new Uint8Array(octets).fill(7)))
  expect((await rig.post(der)).said).toBe('malformedRequest')
  const reply = await rig.get(der)
  expect(reply.said).toBe('malformedRequest')
  expect(reply.headers.get('Cache-Control')).toBe('no-store')
})

test('a bare legacy nonce is measured whole under rfc8954 (R3.11, R3.12)', async () => {
  expect((await rig.post(asking(new Uint8Array(32).fill(7)))).said).toBe('good')
  expect((await rig.post(asking(new Uint8Array(33).fill(7)))).said).toBe('malformedRequest')
})

test('without a nonce the answer is the shared one', async () => {
  const der = request(about(ca, GOOD))
  expect((await rig.get(der)).headers.get('Cache-Control')).toContain('public')
})
