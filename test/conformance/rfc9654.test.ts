/** Nonces, RFC 9654, from outside. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { hex, tlv, toHex } from '../fixtures/octets.ts'
import {
  CRITICAL,
  extension,
  NONCE_OID,
  request,
  requestExtensions,
  singleExtensions,
} from '../fixtures/requests.ts'
import { about, basicOf, type CA, DATES, question, type Reply, Rig } from './harness.ts'

const GOOD = hex('41 01')

let rig: Rig
let ca: CA
let ignoring: CA
beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'echoing', freshKeys: true })
  ignoring = await rig.addCA({ name: 'ignoring', freshKeys: true, policy: { nonce: 'ignore' } })
  for (const at of [ca, ignoring]) await rig.add(at, [{ serial: GOOD, status: 'good', ...DATES }])
  await rig.presign()
})
afterAll(() => rig.close())

const asking = (extnValue: Uint8Array, at = ca, critical?: Uint8Array) =>
  rig.post(
    request({ ...about(at, GOOD), after: requestExtensions(extension(NONCE_OID, extnValue, critical)) }),
  )
const inner = (octets: number) =>
  tlv(
    0x04,
    Uint8Array.from({ length: octets }, (_, i) => (i * 37 + octets) & 0xff),
  )
const echoed = (reply: Reply) => basicOf(reply).tbsResponseData.responseExtensions ?? []

test.each([1, 8, 15, 16, 20, 32, 33, 64, 127, 128])(
  'a nonce of %i octets comes back as it went (R3.2, R3.3, R3.4)',
  async (octets) => {
    const nonce = inner(octets)
    const reply = await asking(nonce)
    expect(reply.said).toBe('good')
    expect(echoed(reply)).toEqual([{ extnID: OID.ocspNonce, critical: false, extnValue: nonce }])
  },
)

test.each([0, 129, 200, 4096])('a nonce of %i octets is malformedRequest (R3.1, R3.5)', async (octets) => {
  expect(toHex((await asking(inner(octets))).body)).toBe('30030a0101')
  expect(toHex((await asking(inner(octets), ignoring)).body)).toBe('30030a0101')
})

test('its length is that of the inner OCTET STRING: 32 octets are 34 outside, and fine (R3.3)', async () => {
  expect(inner(32)).toHaveLength(34)
  expect((await asking(inner(32))).said).toBe('good')
})

test('it stands in responseExtensions, once, and in no SingleResponse (R3.7)', async () => {
  const { responses, responseExtensions } = basicOf(await asking(inner(16))).tbsResponseData
  expect(responseExtensions).toHaveLength(1)
  expect(responses.map(({ singleExtensions }) => singleExtensions)).toEqual([undefined])
})

test('a critical one is understood, and echoed without being critical (R3.8)', async () => {
  const [extension] = echoed(await asking(inner(16), ca, CRITICAL))
  expect(extension?.critical).toBe(false)
  expect(toHex((await asking(inner(16), ca, CRITICAL)).body)).toContain(
    `0504${toHex(Uint8Array.of(18))}0410`.slice(2),
  )
})

test('without one in the request there is none in the response, also when a CertID bears one (R3.9)', async () => {
  expect(echoed(await rig.post(question(ca, GOOD)))).toEqual([])
  const misplaced = singleExtensions(extension(NONCE_OID, inner(16)))
  expect(echoed(await rig.post(request({ ...about(ca, GOOD), single: misplaced })))).toEqual([])
})

test('its answer is for one client: no-store, no validators, kept by no tier (R3.10)', async () => {
  const kept = [rig.cache.size, rig.kv.puts]
  const first = await asking(inner(20))
  expect([...first.headers.keys()].sort()).toEqual(['cache-control', 'content-type', 'date'])
  expect(first.headers.get('Cache-Control')).toBe('no-store')
  expect([rig.cache.size, rig.kv.puts]).toEqual(kept)
  expect(echoed(await asking(inner(21)))[0]?.extnValue).toEqual(inner(21))
  expect(echoed(await rig.post(question(ca, GOOD)))).toEqual([])
})

test.each([
  ['16 raw octets', '000102030405060708090a0b0c0d0e0f'],
  ['an INTEGER', '02 04 01020304'],
  ['an OCTET STRING and more', '04 01 07 00'],
])('a legacy nonce that is no OCTET STRING is echoed verbatim: %s (R3.11)', async (_what, value) => {
  expect(echoed(await asking(hex(value)))[0]?.extnValue).toEqual(hex(value))
})

test('under the policy `ignore` the stored answer comes, without nonce and for everybody (R1.80, R2.3)', async () => {
  const reply = await asking(inner(32), ignoring)
  expect(reply.body).toEqual((await rig.post(question(ignoring, GOOD))).body)
  expect(reply.headers.get('Cache-Control')).toContain('public')
})

test('a flood of nonces ends in stored answers, never in an error (R3.13)', async () => {
  const isolate = rig.newIsolate()
  let without = 0
  for (let n = 0; n < 560; n += 1) {
    const after = requestExtensions(extension(NONCE_OID, tlv(0x04, Uint8Array.of(n >>> 8, n & 0xff))))
    const reply = await rig.post(request({ ...about(ca, GOOD), after }), {}, isolate)
    expect(reply.said).toBe('good')
    if (echoed(reply).length === 0) without += 1
  }
  expect(without).toBeGreaterThan(50)
})
