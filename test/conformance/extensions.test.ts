/** Extensions of responses, and answers that are not plain statuses: RFC 6960 4.4, RFC 6962, EN 319 411-2, Common PKI. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { encodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { certHash, crlReference, invalidityDate, sctList } from '../../src/ocsp/single-extensions.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { type Extension, encodeExtensions } from '../../src/pkix/extensions.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { basicOf, type CA, DATES, DAY, question, type Reply, Rig, singleOf } from './harness.ts'

const HASHED = hex('51 01')
const REVOKED = hex('51 02')
const HELD = hex('51 03')
const PLAIN = hex('51 04')
const ABSENT = hex('51 99')
const CERTIFICATE = new Uint8Array(800).fill(7)
const CRL = crlReference({ url: 'http://crl.example/1.crl', number: 77, time: EPOCH - 3600 })
const INVALID_SINCE = invalidityDate(EPOCH - 5 * DAY)
const HASH = certHash('SHA-256', new Uint8Array(createHash('sha256').update(CERTIFICATE).digest()))
const SCTS = sctList(hex('0006 0004 00010203'))
const REVOCATION = { status: 'revoked', revocationTime: EPOCH - 2 * DAY, reason: 1 } as const

let rig: Rig
let ca: CA
beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({
    name: 'extending',
    policy: { archiveCutoff: 'retention', retainSeconds: 3650 * DAY },
  })
  await rig.add(ca, [
    { serial: HASHED, status: 'good', ...DATES },
    { serial: REVOKED, ...REVOCATION, ...DATES },
    {
      serial: HELD,
      status: 'hold',
      revocationTime: EPOCH - DAY,
      ...DATES,
    },
    { serial: PLAIN, status: 'good', ...DATES },
  ])
  recordExtensions(rig, ca, HASHED, [HASH, SCTS])
  recordExtensions(rig, ca, REVOKED, [HASH, CRL, INVALID_SINCE])
  recordExtensions(rig, ca, HELD, [HASH, CRL])
})
afterAll(() => rig.close())

function extensionsOf(reply: Reply): readonly Extension[] {
  return singleOf(reply).singleExtensions ?? []
}

function octetsOf(reply: Reply, extnID: string): string | undefined {
  const found = extensionsOf(reply).filter((extension) => extension.extnID === extnID)
  expect(found.length, 'once at most').toBeLessThanOrEqual(1)
  return found[0] === undefined ? undefined : toHex(found[0].extnValue)
}

/** The same certificate by every way an answer can come. */
const ways: [string, (serial: Uint8Array) => Promise<Reply>][] = [
  ['signed on demand', (serial) => rig.get(question(ca, serial), {}, rig.newIsolate())],
  [
    'pre-signed',
    async (serial) => {
      await rig.presign()
      return rig.get(question(ca, serial), {}, rig.newIsolate())
    },
  ],
  ['with a nonce, the status proven by a bundle', (serial) => rig.post(withNonce([serial], ca))],
]

describe.each(ways)('an answer %s', (_, ask) => {
  test('has an archiveCutoff of producedAt less the retention (R1.83)', async () => {
    for (const serial of [HASHED, REVOKED, HELD, PLAIN]) {
      const reply = await ask(serial)
      const cutoff = new Date((singleOf(reply).producedAt - 3650 * DAY) * 1000).toISOString()
      const digits = `${cutoff.replace(/[-:T]/g, '').slice(0, 14)}Z`
      expect(octetsOf(reply, OID.ocspArchiveCutoff)).toBe(toHex(Buffer.from(`\x18\x0f${digits}`, 'latin1')))
    }
  })

  test('has the hash of the certificate, good and revoked alike (R4.53)', async () => {
    const digest = createHash('sha256').update(CERTIFICATE).digest('hex')
    for (const serial of [HASHED, REVOKED, HELD])
      expect(octetsOf(await ask(serial), OID.certHash)).toBe(
        `3031300d06096086480165030402010500${'0420'}${digest}`,
      )
    expect(octetsOf(await ask(PLAIN), OID.certHash)).toBeUndefined()
  })

  test('refers to the CRL and the date of invalidity when it is revoked (R1.81, R1.84)', async () => {
    const revoked = await ask(REVOKED)
    expect(singleOf(revoked).certStatus.type).toBe('revoked')
    const url = toHex(Buffer.from('http://crl.example/1.crl'))
    const time = toHex(Buffer.from(generalized(EPOCH - 3600)))
    expect(octetsOf(revoked, OID.ocspCRL)).toBe(`3034a01a1618${url}a10302014da211180f${time}`)
    expect(octetsOf(revoked, OID.invalidityDate)).toBe(
      toHex(Buffer.from(`\x18\x0f${generalized(EPOCH - 5 * DAY)}`, 'latin1')),
    )
    expect(octetsOf(await ask(HELD), OID.ocspCRL)).toBeDefined()
  })

  test('bears SCTs, never a reasonCode, and nothing critical (R1.91, R4.20, R1.71)', async () => {
    expect(octetsOf(await ask(HASHED), OID.sctList)).toBe('04080006000400010203')
    for (const serial of [HASHED, REVOKED, HELD, PLAIN]) {
      const extensions = extensionsOf(await ask(serial))
      expect(extensions.map(({ extnID }) => extnID)).not.toContain(OID.crlReasonCode)
      expect(extensions.some(({ critical }) => critical)).toBe(false)
    }
  })
})

describe('what belongs to a revocation', () => {
  test('goes with it when a hold is released; what belongs to the certificate stays (R1.81, R4.53)', async () => {
    const releasing = new Rig()
    const issuer = await releasing.addCA({ name: 'releasing' })
    await releasing.add(issuer, [
      {
        serial: HELD,
        status: 'hold',
        revocationTime: EPOCH - DAY,
        ...DATES,
      },
    ])
    recordExtensions(releasing, issuer, HELD, [HASH, CRL])
    await releasing.presign()
    await releasing.change(issuer, HELD, { to: 'released' })
    await releasing.presign()
    const reply = await releasing.get(question(issuer, HELD), {}, releasing.newIsolate())
    expect(reply.said).toBe('good')
    expect(octetsOf(reply, OID.ocspCRL)).toBeUndefined()
    expect(octetsOf(reply, OID.certHash)).toBeDefined()
    releasing.close()
  })

  test('archiveCutoff of a qualified issuer is its notBefore (R4.51)', async () => {
    const qualified = new Rig()
    const issuer = await qualified.addCA({ name: 'qualified', policy: { archiveCutoff: 'issuer' } })
    await qualified.add(issuer, [{ serial: PLAIN, status: 'good', ...DATES }])
    const reply = await qualified.get(question(issuer, PLAIN))
    expect(octetsOf(reply, OID.ocspArchiveCutoff)).toBe(
      toHex(Buffer.from(`\x18\x0f${generalized(issuer.record.notBefore)}`, 'latin1')),
    )
    qualified.close()
  })

  test('a changed policy reaches what is signed already (R1.83)', async () => {
    const changing = new Rig()
    const issuer = await changing.addCA({ name: 'changing' })
    await changing.add(issuer, [{ serial: PLAIN, status: 'good', ...DATES }])
    await changing.presign()
    await changing.setPolicy(issuer, { archiveCutoff: 'issuer' })
    await changing.isolate.admin.raiseFloor(issuer.record.id, changing.clock.nowMs())
    await changing.presign()
    await changing.publish()
    const reply = await changing.get(question(issuer, PLAIN), {}, changing.newIsolate())
    expect(octetsOf(reply, OID.ocspArchiveCutoff)).toBeDefined()
    changing.close()
  })
})

describe('revoked-extended', () => {
  let extended: Rig
  let issuer: CA
  beforeAll(async () => {
    extended = new Rig()
    issuer = await extended.addCA({
      name: 'extended',
      policy: { unknown: 'revoked-extended', archiveCutoff: 'issuer' },
    })
    await extended.add(issuer, [{ serial: PLAIN, status: 'good', ...DATES }])
  })
  afterAll(() => extended.close())

  test('a serial that was not issued is on hold since 1970, and nothing more is said of it (R1.36)', async () => {
    const single = singleOf(await extended.get(question(issuer, ABSENT)))
    expect(single.certStatus).toEqual({ type: 'revoked', revocationTime: 0, revocationReason: 6 })
    expect(single.singleExtensions).toBeUndefined()
  })

  test('the response says that it is meant so: NULL, not critical, in responseExtensions (R1.90, R1.36)', async () => {
    const reply = await extended.get(question(issuer, ABSENT))
    const { responseExtensions } = basicOf(reply).tbsResponseData
    expect(responseExtensions).toEqual([
      { extnID: '1.3.6.1.5.5.7.48.1.9', critical: false, extnValue: Uint8Array.of(0x05, 0x00) },
    ])
    const bytes = toHex(reply.body)
    expect(bytes).toContain('a116180f31393730303130313030303030305aa0030a0106') // 19700101000000Z, certificateHold
    expect(bytes).toContain('300f06092b060105050730010904020500')
  })

  test('together with a nonce and a recorded certificate, each says its own (R1.36, R1.10)', async () => {
    const reply = await extended.post(withNonce([PLAIN, ABSENT], issuer))
    expect(reply.said).toBe('good revoked')
    const { responseExtensions, responses } = basicOf(reply).tbsResponseData
    expect(responseExtensions?.map(({ extnID }) => extnID).sort()).toEqual([
      OID.ocspNonce,
      OID.ocspExtendedRevoke,
    ])
    expect(responses.map(({ singleExtensions }) => singleExtensions?.length)).toEqual([1, undefined])
  })

  test('a recorded certificate is answered without the extension (R1.90, R2.4)', async () => {
    expect(
      basicOf(await extended.get(question(issuer, PLAIN))).tbsResponseData.responseExtensions,
    ).toBeUndefined()
  })

  test('it ends within minutes, and at once when the certificate is recorded (R1.39, R6.8)', async () => {
    const serial = hex('51 98')
    const reply = await extended.get(question(issuer, serial))
    expect(singleOf(reply).nextUpdate - singleOf(reply).producedAt).toBeLessThanOrEqual(600)
    expect(reply.headers.get('Cache-Control')).toMatch(/^max-age=(\d|[1-5]\d|60), /)
    await extended.add(issuer, [{ serial, status: 'good', ...DATES }])
    await extended.pass(60)
    expect((await extended.get(question(issuer, serial))).said).toBe('good')
  })
})

function generalized(time: number): string {
  return `${new Date(time * 1000).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
}

/** DER of a request about these serials, with a nonce. */
function withNonce(serials: readonly Uint8Array[], { record }: CA): Uint8Array {
  const requestList = serials.map((serialNumber) => ({
    reqCert: { hashAlgorithm: hashAlgorithmIdentifier('SHA-256'), ...record.hashes['SHA-256'], serialNumber },
  }))
  const nonce = {
    extnID: OID.ocspNonce,
    critical: false,
    extnValue: hex('0410 000102030405060708090a0b0c0d0e0f'),
  }
  return encodeOCSPRequest({
    tbsRequest: { versionExplicit: false, requestList, requestExtensions: [nonce] },
  })
}

function recordExtensions({ record }: Rig, ca: CA, serial: Uint8Array, list: readonly Extension[]): void {
  record.exec(`UPDATE issuers SET seq = seq + 1 WHERE id = ${ca.record.id};
    UPDATE certificates SET extensions = x'${toHex(encodeExtensions(list))}',
      rev = (SELECT seq FROM issuers WHERE id = ${ca.record.id}) WHERE serial = x'${toHex(serial)}'`)
}
