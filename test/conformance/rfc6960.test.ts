/** RFC 6960 clause by clause, from outside: an HTTP request in, an HTTP response out (docs/rfc-coverage.md). */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { encodeBasicOCSPResponse, signedOctets } from '../../src/ocsp/basic-response.ts'
import { encodeCertID } from '../../src/ocsp/cert-id.ts'
import { HASH_ALGORITHMS } from '../../src/pkix/algorithm-identifier.ts'
import { CRL_REASONS } from '../../src/pkix/crl-reason.ts'
import { hex, seq, tlv, toHex } from '../fixtures/octets.ts'
import {
  CRITICAL,
  certID,
  extension,
  NONCE_OID,
  NULL,
  request,
  requestExtensions,
  SHA1,
  singleExtensions,
  UNKNOWN_OID,
} from '../fixtures/requests.ts'
import { EPOCH } from '../support/clock.ts'
import { digest, publicKeyBits } from '../support/pki.ts'
import { about, basicOf, type CA, DATES, question, type Reply, Rig, singleOf } from './harness.ts'

const GOOD = hex('41 01')
const REVOKED = hex('41 02')
const PLAIN = hex('41 03')
const HOLD = hex('41 04')
const PRECERTIFICATE = hex('41 05')
const YOUNG = hex('41 06')
const NEVER = hex('7f 01')
const REVOKED_AT = EPOCH - 600

const MALFORMED = '30030a0101'
const INTERNAL_ERROR = '30030a0102'
const TRY_LATER = '30030a0103'
const UNAUTHORIZED = '30030a0106'

let rig: Rig
let ca: CA
let other: CA
let lenient: CA

beforeAll(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'main', freshKeys: true })
  other = await rig.addCA({ name: 'other', freshKeys: true })
  lenient = await rig.addCA({ name: 'lenient', freshKeys: true, policy: { unknown: 'unknown' } })
  for (const at of [ca, lenient])
    await rig.add(at, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', revocationTime: REVOKED_AT, reason: 1, ...DATES },
      { serial: PLAIN, status: 'revoked', revocationTime: REVOKED_AT, ...DATES },
      { serial: HOLD, status: 'hold', revocationTime: REVOKED_AT, ...DATES },
      { serial: PRECERTIFICATE, status: 'good' },
    ])
  await rig.add(other, [{ serial: GOOD, status: 'revoked', revocationTime: REVOKED_AT, reason: 4, ...DATES }])
  await rig.pass(600)
  await rig.presign()
  await rig.add(ca, [{ serial: YOUNG, status: 'good', ...DATES }])
})
afterEach(() => rig.faults.clear())
afterAll(() => rig.close())

const ask = (serial: Uint8Array, at = ca) => rig.post(question(at, serial))

function expectError(reply: Reply, body: string): void {
  expect(reply.status).toBe(200)
  expect(toHex(reply.body)).toBe(body)
  expect(reply.headers.get('Content-Type')).toBe('application/ocsp-response')
  expect(reply.headers.get('Cache-Control')).toBe('no-store')
}

describe('4.1.1: what is no request is malformedRequest, five octets and no responseBytes (R1.1, R1.20, R1.21)', () => {
  const good = () => about(ca, GOOD)
  const list = (count: number) => seq(seq(seq(...Array.from({ length: count }, () => seq(certID(good()))))))
  const version = (content: string) => request({ ...good(), before: tlv(0xa0, tlv(0x02, hex(content))) })
  const sha1 = (octets: number) => ({ algorithm: seq(SHA1, NULL), nameHash: new Uint8Array(octets) })
  const nonce = extension(NONCE_OID, hex('04 01 07'))
  const unknown = extension(UNKNOWN_OID, NULL, CRITICAL)
  test.each<[string, () => Uint8Array]>([
    ['nothing', () => hex('')],
    ['one octet', () => hex('00')],
    ['a tag alone', () => hex('30')],
    ['another tag', () => hex('31 00')],
    ['a certificate', () => ca.pki.issuer.certificate],
    ['an empty requestList (R1.2)', () => hex('30 04 30 02 30 00')],
    ['version 1 (R1.4)', () => version('01')],
    ['version 2 (R1.4)', () => version('02')],
    ['version 255 (R1.4)', () => version('00ff')],
    ['version -1 (R1.4)', () => version('ff')],
    [
      'an unknown critical extension of the request (R1.7)',
      () => request({ ...good(), after: requestExtensions(unknown) }),
    ],
    [
      'an unknown critical extension of one CertID (R1.7)',
      () => request({ ...good(), single: singleExtensions(unknown) }),
    ],
    ['one extension twice (R1.8)', () => request({ ...good(), after: requestExtensions(nonce, nonce) })],
    ['101 CertIDs (R1.12)', () => list(101)],
    [
      '10,000 short CertIDs (R1.12)',
      () => seq(seq(tlv(0x30, ...Array.from({ length: 10_000 }, () => hex('30 00'))))),
    ],
    ['no digest (R1.13)', () => request({ ...good(), ...sha1(0) })],
    ['a SHA-1 of 19 octets (R1.13)', () => request({ ...good(), ...sha1(19) })],
    ['a SHA-1 of 32 octets (R1.13)', () => request({ ...good(), ...sha1(32) })],
    [
      'an INTEGER parameter of the hash (R5.41)',
      () => request({ ...good(), algorithm: seq(hex('06 09 608648016503040201'), hex('02 01 05')) }),
    ],
    ['a serial with a needless octet (R5.45)', () => request({ ...good(), serial: hex('02 02 00 01') })],
    ['an empty serial (R5.45)', () => request({ ...good(), serial: hex('02 00') })],
    ['an octet after it (R5.38)', () => Buffer.concat([request(good()), hex('00')])],
    [
      'a length that is not minimal (R5.39)',
      () => {
        const der = request(good())
        return Buffer.concat([hex('30 82 00'), der.subarray(1)])
      },
    ],
  ])('%s', async (_what, der) => {
    expectError(await rig.post(der()), MALFORMED)
  })

  test('every truncation of a good request (R1.1)', async () => {
    const der = request(good())
    for (let length = 0; length < der.length; length += 1)
      expectError(await rig.post(der.subarray(0, length)), MALFORMED)
  })
})

describe('4.1.2: what need not be understood changes no octet of the answer', () => {
  const id = (suffix: number) => tlv(0x06, hex('2b060105050730 01'), Uint8Array.of(suffix))
  const unknown = extension(UNKNOWN_OID, NULL)
  const basic = hex('06 09 2b0601050507300101')
  const name = (tag: number, ...content: Uint8Array[]) => ({ before: tlv(0xa1, tlv(tag, ...content)) })
  const text = (value: string) => Buffer.from(value)
  const metadata = text('http://169.254.169.254/latest')
  const locator = seq(seq(), seq(seq(hex('06 08 2b06010505073001'), tlv(0x86, metadata))))
  const sha1WithRSA = seq(seq(hex('06 09 2a864886f70d010105'), NULL))
  const signature = tlv(0xa0, seq(seq(hex('06 03 2b6570')), hex('03 03 00 aabb')))
  test.each<[string, Parameters<typeof request>[0]]>([
    ['v1 written out (R1.3)', { before: hex('a0 03 02 01 00') }],
    ['requestorName, a directoryName (R1.5)', name(0xa4, seq())],
    ['requestorName, an rfc822Name (R1.5)', name(0x81, text('a@example.com'))],
    ['requestorName, a URI (R1.5)', name(0x86, text('http://example.com'))],
    ['requestorName, an otherName (R1.5)', name(0xa0, UNKNOWN_OID, tlv(0xa0, NULL))],
    ['an unknown extension of the request (R1.6)', { after: requestExtensions(unknown) }],
    ['an unknown extension of one CertID (R1.6)', { single: singleExtensions(unknown) }],
    ['empty Extensions, twice (R1.9)', { single: hex('a0 02 30 00'), after: hex('a2 02 30 00') }],
    ['response types: basic (R1.82)', { after: requestExtensions(extension(id(4), seq(basic))) }],
    [
      'response types: another alone (R1.82)',
      { after: requestExtensions(extension(id(4), seq(UNKNOWN_OID))) },
    ],
    ['response types: none (R1.82)', { after: requestExtensions(extension(id(4), seq())) }],
    [
      'response types, critical (R1.82)',
      { after: requestExtensions(extension(id(4), seq(basic), CRITICAL)) },
    ],
    ['a service locator (R1.85)', { single: singleExtensions(extension(id(7), locator)) }],
    [
      'a preference for SHA-1 signatures (R1.88)',
      { after: requestExtensions(extension(id(8), seq(sha1WithRSA))) },
    ],
    ['a signature that nobody asked for (R1.95)', { signature }],
    ['a signature and its requestorName (R1.95)', { signature, ...name(0xa4, seq()) }],
  ])('%s', async (_what, parts) => {
    const fetched = vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('no egress'))
    const plain = await ask(GOOD)
    const reply = await rig.post(request({ ...about(ca, GOOD), ...parts }))
    expect(reply.said).toBe('good')
    expect(reply.body).toEqual(plain.body)
    expect(fetched, 'no URL of a caller is ever fetched (R1.85)').not.toHaveBeenCalled()
    fetched.mockRestore()
  })
})

describe('4.2.2.3: several CertIDs', () => {
  const asking = (...ids: readonly Uint8Array[]) => seq(seq(seq(...ids.map((id) => seq(id)))))

  test.each([2, 5, 100])(
    '%i of one issuer: each once, in order, as it was asked (R1.10, R1.68, R1.69)',
    async (count) => {
      const serials = Array.from({ length: count }, (_, i) => [GOOD, REVOKED, HOLD][i % 3] ?? GOOD)
      const ids = serials.map((serial, i) => certID(about(ca, serial, HASH_ALGORITHMS[i % 4])))
      const { responses } = basicOf(await rig.post(asking(...ids))).tbsResponseData
      expect(responses.map((single) => toHex(encodeCertID(single.certID)))).toEqual(ids.map(toHex))
      expect(responses.map(({ certStatus }) => certStatus.type)).toEqual(
        serials.map((serial) => (serial === GOOD ? 'good' : 'revoked')),
      )
    },
  )

  test('the same one several times never gets different answers (R1.70)', async () => {
    for (const serial of [GOOD, REVOKED, YOUNG]) {
      const ids = Array.from({ length: 6 }, (_, i) => certID(about(ca, serial, i < 3 ? 'SHA-1' : 'SHA-256')))
      const { responses } = basicOf(await rig.post(asking(...ids))).tbsResponseData
      expect(new Set(responses.map(({ certID: _certID, ...rest }) => JSON.stringify(rest))).size).toBe(1)
    }
  })

  test('of two issuers: unauthorized, whichever stands first (R1.11)', async () => {
    const [one, two] = [certID(about(ca, GOOD)), certID(about(other, GOOD))]
    expectError(await rig.post(asking(one, two)), UNAUTHORIZED)
    expectError(await rig.post(asking(two, one)), UNAUTHORIZED)
  })
})

describe('2.3: responseStatus', () => {
  test('whose records exist is answered, whatever they say (R1.27)', async () => {
    const said = []
    for (const serial of [GOOD, REVOKED, PLAIN, HOLD, PRECERTIFICATE, YOUNG])
      said.push((await ask(serial)).said)
    expect(said).toEqual(['good', 'revoked', 'revoked', 'revoked', 'good', 'good'])
    expect((await ask(NEVER, lenient)).said).toBe('unknown')
  })

  test('an issuer that is not served: unauthorized, five octets, no signature of another CA (R1.26, R1.40)', async () => {
    const hashes = { issuerNameHash: new Uint8Array(32).fill(1), issuerKeyHash: new Uint8Array(32).fill(2) }
    const stranger = { ...ca.record.hashes, 'SHA-256': hashes }
    expectError(await rig.post(request(about(stranger, GOOD))), UNAUTHORIZED)
  })

  test('a hash that we do not compute: unauthorized, for its syntax is right (R5.42)', async () => {
    for (const oid of ['06 08 2a864886f70d0205', '06 09 608648016503040208'])
      expectError(
        await rig.post(request({ ...about(ca, GOOD), algorithm: seq(hex(oid), NULL) })),
        UNAUTHORIZED,
      )
  })

  test('the name of one issuer with the key of another is neither (R1.16)', async () => {
    const [mine, theirs] = [ca.record.hashes['SHA-256'], other.record.hashes['SHA-256']]
    const halves = [
      { issuerNameHash: mine.issuerNameHash, issuerKeyHash: theirs.issuerKeyHash },
      { issuerNameHash: theirs.issuerNameHash, issuerKeyHash: mine.issuerKeyHash },
    ]
    for (const half of halves)
      expectError(
        await rig.post(request(about({ ...ca.record.hashes, 'SHA-256': half }, GOOD))),
        UNAUTHORIZED,
      )
  })

  test('a signer that fails is internalError, a record that is away tryLater, and neither unauthorized (R1.22, R1.23, R1.28)', async () => {
    rig.faults.set('signer', 'fail')
    expectError(await rig.post(question(ca, GOOD, 'SHA-512')), INTERNAL_ERROR)
    rig.faults.clear()
    rig.faults.set('d1', 'fail')
    for (const serial of [NEVER, YOUNG]) {
      const reply = await rig.post(question(ca, serial, 'SHA-384'))
      expectError(reply, TRY_LATER)
      expect(reply.headers.get('Retry-After')).toBe('30')
    }
    expect((await ask(GOOD)).said).toBe('good')
  })
})

describe('2.2: certStatus', () => {
  const octets = (reply: Reply) => toHex(reply.body)
  const serialOf = (serial: Uint8Array) => `02${toHex(Uint8Array.of(serial.length))}${toHex(serial)}`

  test('good is 80 00 on the wire (R1.30)', async () => {
    expect(octets(await ask(GOOD))).toContain(`${serialOf(GOOD)}8000180f`)
  })

  test('revoked has its time and its reason [0] EXPLICIT, or the time alone (R1.31)', async () => {
    const time = toHex(Buffer.from('20261121025000Z'))
    expect(octets(await ask(REVOKED))).toContain(`${serialOf(REVOKED)}a116180f${time}a0030a0101180f`)
    expect(octets(await ask(HOLD))).toContain(`${serialOf(HOLD)}a116180f${time}a0030a0106180f`)
    expect(octets(await ask(PLAIN))).toContain(`${serialOf(PLAIN)}a111180f${time}180f`)
    for (const serial of [REVOKED, HOLD, PLAIN]) {
      const { thisUpdate, producedAt } = singleOf(await ask(serial))
      expect(REVOKED_AT).toBeLessThanOrEqual(thisUpdate)
      expect(thisUpdate).toBeLessThanOrEqual(producedAt)
    }
  })

  test('unknown is 82 00, signed by the responder of that issuer (R1.32, R1.35)', async () => {
    const reply = await ask(NEVER, lenient)
    expect(octets(reply)).toContain(`${serialOf(NEVER)}8200180f`)
    expect(toHex(basicOf(reply).certs?.[0] ?? new Uint8Array())).toBe(
      toHex(lenient.pki.responder.certificate ?? new Uint8Array()),
    )
  })

  test('what was never issued is not good, and unauthorized where all is signed beforehand (R1.33, R1.34, R1.35)', async () => {
    const crtsh = Buffer.concat([Buffer.from('crt.sh'), new Uint8Array(14).fill(7)])
    for (const isolate of [rig.isolate, rig.newIsolate(), rig.newIsolate(false)])
      for (const serial of [NEVER, crtsh, hex('00'), hex('ff')])
        expectError(await rig.post(question(ca, serial), {}, isolate), UNAUTHORIZED)
  })

  test('a precertificate is answered as a certificate, and may be revoked (R1.38)', async () => {
    expect((await ask(PRECERTIFICATE, lenient)).said).toBe('good')
    await rig.change(lenient, PRECERTIFICATE, { to: 'revoked', reason: 4 })
    expect((await ask(PRECERTIFICATE, lenient)).said).toBe('revoked')
  })

  test.each(Object.entries(CRL_REASONS).filter(([, reason]) => reason !== 6 && reason !== 8))(
    'reason %s (%i) is said as such, and 0 by leaving it out (R1.31, R4.22)',
    async (_name, reason) => {
      const serial = Uint8Array.of(0x42, reason)
      await rig.add(ca, [{ serial, status: 'revoked', reason, revocationTime: REVOKED_AT, ...DATES }])
      const { certStatus } = singleOf(await ask(serial))
      const expected = { type: 'revoked', revocationTime: REVOKED_AT }
      expect(certStatus).toEqual(reason === 0 ? expected : { ...expected, revocationReason: reason })
    },
  )
})

describe('4.2.2: signer and times', () => {
  /** Every GeneralizedTime in the response, as its octets. */
  function times(bytes: Uint8Array): string[] {
    const found: string[] = []
    const walk = (reader: DERReader) => {
      while (!reader.atEnd) {
        const tag = reader.peekTag() ?? 0
        const element = reader.any()
        const header = (element[1] ?? 0) < 0x80 ? 2 : 2 + ((element[1] ?? 0) & 0x7f)
        const content = element.subarray(header)
        if (tag === 0x18) found.push(Buffer.from(content).toString('latin1'))
        if ((tag & 0x20) !== 0) walk(new DERReader(content))
      }
    }
    walk(new DERReader(signedOctets(bytes)))
    return found
  }

  test('times are in order, whole seconds of Zulu, a little backdated, with a nextUpdate (R1.62, R1.63, R1.64, R1.67)', async () => {
    const now = rig.clock.seconds
    for (const hash of HASH_ALGORITHMS)
      for (const serial of [GOOD, REVOKED, PLAIN, HOLD, PRECERTIFICATE, YOUNG]) {
        const reply = await rig.post(question(ca, serial, hash))
        const { thisUpdate, nextUpdate, producedAt, certStatus } = singleOf(reply)
        expect(thisUpdate).toBe(producedAt - 300)
        expect(producedAt).toBeLessThanOrEqual(now)
        expect(nextUpdate).toBeGreaterThan(now)
        if (certStatus.type === 'revoked') expect(certStatus.revocationTime).toBeLessThanOrEqual(thisUpdate)
        const texts = times(encodeBasicOCSPResponse(basicOf(reply)))
        expect(texts).toHaveLength(certStatus.type === 'revoked' ? 4 : 3)
        for (const text of texts) expect(text).toMatch(/^\d{14}Z$/)
      }
  })

  test('nothing critical, nothing in singleExtensions, nothing unasked (R1.68, R1.71, R4.20)', async () => {
    for (const serial of [GOOD, REVOKED, HOLD, YOUNG]) {
      const { responses, responseExtensions } = basicOf(await ask(serial)).tbsResponseData
      expect(responses).toHaveLength(1)
      expect(responses[0]?.singleExtensions).toBeUndefined()
      expect(responseExtensions).toBeUndefined()
    }
  })

  test.each(HASH_ALGORITHMS)('the CertID comes back as it went, %s (R1.69, R5.43)', async (hash) => {
    const asked = certID(about(ca, GOOD, hash))
    expect(toHex(encodeCertID(singleOf(await rig.post(question(ca, GOOD, hash))).certID))).toBe(toHex(asked))
  })

  test('a CertID without parameters is answered; signed for the question, it comes back as it went (R1.69, R5.40)', async () => {
    const bare = { ...about(ca, GOOD, 'SHA-1'), algorithm: seq(SHA1) }
    const stored = await rig.post(request(bare))
    expect(stored.said).toBe('good')
    expect(stored.body).toEqual((await rig.post(question(ca, GOOD, 'SHA-1'))).body)
    const nonce = requestExtensions(extension(NONCE_OID, hex('04 01 07')))
    const live = singleOf(await rig.post(request({ ...bare, after: nonce })))
    expect(toHex(encodeCertID(live.certID))).toBe(toHex(certID(bare)))
  })

  test.each([
    ['beyond ASCII', 'Züri ☃ 認証局'],
    ['as long as names get', 'x'.repeat(64)],
  ])('an issuer is known by the DER of its name: %s (R1.14, R1.15)', async (_what, caName) => {
    const at = new Rig()
    const issuer = await at.addCA({ name: 'named', caName })
    await at.add(issuer, [{ serial: GOOD, status: 'good', ...DATES }])
    for (const hash of HASH_ALGORITHMS) {
      const hashes = {
        issuerNameHash: await digest(hash, issuer.pki.issuer.name),
        issuerKeyHash: await digest(hash, publicKeyBits(issuer.pki.issuer.spki)),
      }
      const asked = about({ ...issuer.record.hashes, [hash]: hashes }, GOOD, hash)
      expect((await at.post(request(asked))).said).toBe('good')
    }
    at.close()
  })
})
