import { describe, expect, test } from 'vitest'
import { encodeResponseData } from '../../src/ocsp/basic-response.ts'
import type { CertStatus } from '../../src/ocsp/cert-status.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import {
  assembleOCSPResponse,
  encodeSingleResponseData,
  OCSPResponseTemplate,
  SingleResponseTemplate,
} from '../../src/ocsp/single-response-template.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { ECDSA_SHA256, filler, SHA1, SHA256, sequence, WINDOW } from './support.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const byKey = filler(20, 5)
const template = new SingleResponseTemplate({ responderID: { byKey }, variant: SHA1, ...WINDOW })
const SERIAL = Uint8Array.of(0x12, 0x34)

/** ResponseData around a certStatus, drawn out by hand. */
function expected(status: string): string {
  const certID = `303b 3009 0605 2b0e03021a 0500 0414 ${hex(SHA1.issuerNameHash)} 0414 ${hex(SHA1.issuerKeyHash)} 0202 1234`
  const times = `180f ${hex(Buffer.from('20261121000000Z'))} a011 180f ${hex(Buffer.from('20261127235959Z'))}`
  const single = der('30', certID + status + times)
  const data = `a216 0414 ${hex(byKey)} 180f ${hex(Buffer.from('20261121000500Z'))} ${der('30', single)}`
  return der('30', data)
}

function der(tag: string, content: string): string {
  const body = content.replaceAll(' ', '')
  const length = body.length / 2
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return tag + hex(Uint8Array.from(head)) + body
}

describe('ResponseData of one certificate', () => {
  test.each<[string, CertStatus, string]>([
    ['good is 80 00 (R1.30)', { type: 'good' }, '8000'],
    ['unknown is 82 00 (R1.32)', { type: 'unknown' }, '8200'],
    [
      'revoked without reason has a time alone (R1.31)',
      { type: 'revoked', revocationTime: 0 },
      `a111 180f ${hex(Buffer.from('19700101000000Z'))}`,
    ],
    [
      'revoked for keyCompromise has an explicit ENUMERATED (R1.31)',
      { type: 'revoked', revocationTime: 0, revocationReason: 1 },
      `a116 180f ${hex(Buffer.from('19700101000000Z'))} a003 0a0101`,
    ],
    [
      'reason 0 is left out (R4.22)',
      { type: 'revoked', revocationTime: 0, revocationReason: 0 },
      `a111 180f ${hex(Buffer.from('19700101000000Z'))}`,
    ],
  ])('%s', (_what, certStatus, status) => {
    expect(hex(template.encode(SERIAL, certStatus))).toBe(expected(status))
  })

  test('leaves its buffers alone: encoding again gives the same bytes', () => {
    const first = template.encode(SERIAL, { type: 'good' })
    template.encode(filler(20, 9), { type: 'unknown' }, sequence(30, 1))
    first.fill(0)
    expect(hex(template.encode(SERIAL, { type: 'good' }))).toBe(expected('8000'))
  })

  test('the next serial of the same length takes over nothing but the frame of the one before', () => {
    const fresh = () => new SingleResponseTemplate({ responderID: { byKey }, variant: SHA1, ...WINDOW })
    const one = fresh()
    for (const length of [1, 20, 2, 127, 20, 2, 1])
      for (const seed of [1, 2, 3]) {
        const serial = filler(length, 10 * length + seed)
        for (const status of [{ type: 'good' }, { type: 'revoked', revocationTime: seed }] as const) {
          const octets = one.encode(serial, status)
          expect(hex(octets)).toBe(hex(fresh().encode(serial, status)))
          octets.fill(0)
        }
      }
  })

  test('equals the general encoder with a byName responder and extensions', () => {
    const name = Uint8Array.of(0x30, 0x00)
    const singleExtensions = Uint8Array.of(0x30, 0x09, 0x30, 0x07, 0x06, 0x02, 0x2a, 0x03, 0x04, 0x01, 0x05)
    const { hashAlgorithm, issuerNameHash, issuerKeyHash } = SHA256
    const { thisUpdate, nextUpdate, producedAt } = WINDOW
    const tbs = encodeSingleResponseData({ byName: name }, producedAt, {
      variant: SHA256,
      serialNumber: SERIAL,
      certStatus: { type: 'good' },
      thisUpdate,
      nextUpdate,
      singleExtensions,
    })
    const general = encodeResponseData({
      versionExplicit: false,
      responderID: { byName: name },
      producedAt,
      responses: [
        {
          certID: {
            hashAlgorithm: hashAlgorithmIdentifier(hashAlgorithm),
            issuerNameHash,
            issuerKeyHash,
            serialNumber: SERIAL,
          },
          certStatus: { type: 'good' },
          thisUpdate,
          nextUpdate,
          singleExtensions: [{ extnID: '1.2.3', critical: false, extnValue: Uint8Array.of(5) }],
        },
      ],
    })
    expect(hex(tbs)).toBe(hex(general))
  })
})

describe('OCSPResponse', () => {
  const tbs = template.encode(SERIAL, { type: 'good' })

  test('without certs has no certs field (R1.59) and no unused bits', () => {
    const signature = filler(71, 1)
    const basic = der('30', `${hex(tbs)} ${hex(ECDSA_SHA256)} 0348 00 ${hex(signature)}`)
    const responseBytes = der('30', `0609 2b0601050507300101 ${der('04', basic)}`)
    const response = assembleOCSPResponse(tbs, ECDSA_SHA256, signature, [])
    expect(hex(response)).toBe(der('30', `0a0100 ${der('a0', responseBytes)}`))
    expect(decodeSuccessfulResponse(response).certs).toBeUndefined()
  })

  test.each([
    [50, 0],
    [120, 1],
    [127, 2],
    [250, 1],
    [400, 3],
    [65_000, 1],
    [65_535, 2],
  ])('with a signature of %i octets and %i certs decodes to its parts (R1.58)', (octets, certs) => {
    const chain = Array.from({ length: certs }, (_, i) => sequence(octets, i))
    const decoded = decodeSuccessfulResponse(
      assembleOCSPResponse(tbs, ECDSA_SHA256, filler(octets, 3), chain),
    )
    expect(hex(encodeResponseData(decoded.tbsResponseData))).toBe(hex(tbs))
    expect(hex(decoded.signature)).toBe(hex(filler(octets, 3)))
    expect(decoded.certs?.map(hex) ?? []).toEqual(chain.map(hex))
  })
})

describe('OCSPResponse from a template', () => {
  const certs = [sequence(300, 6)]
  const whole = new OCSPResponseTemplate(
    { responderID: { byKey }, variant: SHA256, ...WINDOW },
    ECDSA_SHA256,
    certs,
  )
  const parts = new SingleResponseTemplate({ responderID: { byKey }, variant: SHA256, ...WINDOW })
  const STATUSES: readonly CertStatus[] = [
    { type: 'good' },
    { type: 'revoked', revocationTime: 5, revocationReason: 1 },
    { type: 'good' },
  ]
  /** More pairs of lengths than are kept, each several times. */
  const cases = [1, 16, 20, 127, 20, 16, 1].flatMap((length) =>
    [70, 71, 72, 140, 256, 70].flatMap((signatureLength, i) =>
      STATUSES.map((status, j) => ({
        serial: filler(length, 20 * length + 3 * i + j),
        signature: filler(signatureLength, 7 * i + j),
        status,
        extensions: j === 2 && i === 3 ? sequence(20, 4) : undefined,
      })),
    ),
  )

  test('is that of its parts, whatever came before, and for its taker alone', () => {
    for (const { serial, signature, status, extensions } of cases) {
      const expected = assembleOCSPResponse(
        parts.encode(serial, status, extensions),
        ECDSA_SHA256,
        signature,
        certs,
      )
      const octets = whole.response(serial, status, signature, extensions)
      expect(hex(octets)).toBe(hex(expected))
      octets.fill(0)
      expect(hex(whole.view(serial, status, signature, extensions))).toBe(hex(expected))
    }
  })
})
