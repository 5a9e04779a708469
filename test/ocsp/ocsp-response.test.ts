import { describe, expect, test } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { parseGeneralizedTime } from '../../src/asn1/generalized-time.ts'
import { MAX_RESPONSE_ELEMENTS, readBasicOCSPResponse } from '../../src/ocsp/basic-response.ts'
import {
  decodeBasicOCSPResponse,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  ERROR_RESPONSES,
  encodeBasicOCSPResponse,
  encodeOCSPResponse,
  encodeResponseData,
  type SingleResponse,
  signedOctets,
  statusCode,
  statusOfCode,
} from '../../src/ocsp/index.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { hex, seq, thrown, tlv, toHex } from '../fixtures/octets.ts'
import { certID, MYSQL_RESPONSE } from '../fixtures/requests.ts'

const time = (text: string): Uint8Array => tlv(0x18, new TextEncoder().encode(text))
const THIS = time('20240402123747Z')
const BY_KEY = tlv(0xa2, tlv(0x04, new Uint8Array(20)))
const ALGORITHM = seq(hex('06 03 2b6570'))

interface Parts {
  readonly version?: Uint8Array
  readonly id?: Uint8Array
  readonly producedAt?: Uint8Array
  readonly status?: Uint8Array
  readonly rest?: Uint8Array
  readonly after?: Uint8Array
  readonly signature?: Uint8Array
}

function basic(parts: Parts = {}): Uint8Array {
  const none = new Uint8Array(0)
  const {
    version = none,
    id = BY_KEY,
    producedAt = THIS,
    status = hex('80 00'),
    rest = none,
    after = none,
  } = parts
  const single = seq(certID(), status, THIS, rest)
  return seq(
    seq(version, id, producedAt, seq(single), after),
    ALGORITHM,
    parts.signature ?? hex('03 03 00 aabb'),
  )
}

function single(parts: Parts): SingleResponse {
  const [first] = decodeBasicOCSPResponse(basic(parts)).tbsResponseData.responses
  if (first === undefined) throw new Error('no response')
  return first
}

describe('responseStatus', () => {
  test('each error is five fixed octets and decodes to itself (R1.20)', () => {
    const bodies = Object.entries(ERROR_RESPONSES).map(([status, der]) => [status, toHex(der)])
    expect(Object.fromEntries(bodies)).toEqual({
      malformedRequest: '30030a0101',
      internalError: '30030a0102',
      tryLater: '30030a0103',
      sigRequired: '30030a0105',
      unauthorized: '30030a0106',
    })
    for (const der of Object.values(ERROR_RESPONSES))
      expect(encodeOCSPResponse(decodeOCSPResponse(der))).toEqual(der)
  })

  test('codes go there and back; 4 and 7 are nothing', () => {
    for (const code of [0, 1, 2, 3, 5, 6]) {
      const status = statusOfCode(code)
      expect(status === undefined ? undefined : statusCode(status)).toBe(code)
    }
    for (const code of [-1, 4, 7, 255]) expect(statusOfCode(code)).toBeUndefined()
  })

  test.each([
    ['status 4', '30 03 0a 01 04', 2],
    ['successful without responseBytes', '30 03 0a 01 00', 5],
    ['an error with responseBytes', '30 0f 0a 01 01 a0 0a 30 08 06 03 2a0304 04 01 00', 5],
  ])('%s is refused', (_name, text, offset) => {
    expect(thrown(() => decodeOCSPResponse(hex(text)))).toMatchObject({ reason: 'badStatus', offset })
  })

  test('another response type is read outside and refused inside (R1.50)', () => {
    const der = seq(hex('0a 01 00'), tlv(0xa0, seq(hex('06 03 2a0304'), hex('04 01 00'))))
    expect(encodeOCSPResponse(decodeOCSPResponse(der))).toEqual(der)
    expect(thrown(() => decodeSuccessfulResponse(der))).toMatchObject({ reason: 'badResponseType' })
    expect(thrown(() => decodeSuccessfulResponse(ERROR_RESPONSES.tryLater))).toMatchObject({
      reason: 'badStatus',
    })
  })

  test('an error inside responseBytes has the offset in the whole', () => {
    const inner = basic({ producedAt: time('2024040212374xZ') })
    const der = encodeOCSPResponse({
      responseStatus: 'successful',
      responseBytes: { responseType: '1.3.6.1.5.5.7.48.1.1', response: inner },
    })
    const innerStart = der.length - inner.length
    const innerError = thrown(() => decodeBasicOCSPResponse(inner))
    expect(innerError).toMatchObject({ reason: 'badTime', offset: 29 })
    expect(thrown(() => decodeSuccessfulResponse(der))).toMatchObject({
      reason: 'badTime',
      offset: innerStart + 29,
    })
  })
})

describe('certStatus', () => {
  test('good is 80 00 (R1.30), unknown is 82 00 (R1.32)', () => {
    expect(single({}).certStatus).toEqual({ type: 'good' })
    expect(single({ status: hex('82 00') }).certStatus).toEqual({ type: 'unknown' })
  })

  test('revoked has a time, and a reason [0] EXPLICIT when known (R1.31)', () => {
    const revocationTime = parseGeneralizedTime('20240402123747Z')
    expect(single({ status: tlv(0xa1, THIS) }).certStatus).toEqual({ type: 'revoked', revocationTime })
    expect(single({ status: tlv(0xa1, THIS, hex('a0 03 0a 01 06')) }).certStatus).toEqual({
      type: 'revoked',
      revocationTime,
      revocationReason: 6,
    })
  })

  test.each(['80 01 00', 'a0 00', '83 00', '05 00', 'a1 00'])('%s is refused', (status) => {
    expect(thrown(() => single({ status: hex(status) }))).toMatchObject({ name: 'DERError' })
  })
})

describe('BasicOCSPResponse', () => {
  test.each<[string, Parts]>([
    ['the smallest', {}],
    ['version written out', { version: hex('a0 03 02 01 00') }],
    ['byName', { id: tlv(0xa1, seq()) }],
    ['nextUpdate', { rest: tlv(0xa0, THIS) }],
    ['empty singleExtensions', { rest: tlv(0xa1, seq()) }],
    ['a critical single extension', { rest: tlv(0xa1, seq(seq(hex('06 03 2a0304 01 01 ff 04 00')))) }],
    ['empty responseExtensions', { after: tlv(0xa1, seq()) }],
    ['certs', { signature: Uint8Array.from([...hex('03 01 00'), ...tlv(0xa0, seq(seq(), seq()))]) }],
    ['empty certs', { signature: hex('03 01 00 a0 02 30 00') }],
  ])('%s re-encodes from its fields', (_name, parts) => {
    const der = basic(parts)
    const value = decodeBasicOCSPResponse(der)
    expect(encodeBasicOCSPResponse(value)).toEqual(der)
    expect(encodeResponseData(value.tbsResponseData)).toEqual(signedOctets(der))
  })

  test.each<[string, Parts, string]>([
    ['version 2', { version: hex('a0 03 02 01 01') }, 'badVersion'],
    ['byKey of 19 octets (R1.52)', { id: tlv(0xa2, tlv(0x04, new Uint8Array(19))) }, 'hashLength'],
    ['responderID [3]', { id: hex('a3 00') }, 'unexpectedTag'],
    [
      'UTCTime (R1.63)',
      { producedAt: tlv(0x17, new TextEncoder().encode('240402123747Z')) },
      'unexpectedTag',
    ],
    ['a fraction of a second (R1.63)', { producedAt: time('20240402123747.0Z') }, 'badTime'],
    ['unused bits in the signature', { signature: hex('03 02 04 f0') }, 'badBitString'],
    ['something after certs', { signature: hex('03 01 00 a0 02 30 00 05 00') }, 'trailingData'],
  ])('%s is refused', (_name, parts, reason) => {
    expect(thrown(() => decodeBasicOCSPResponse(basic(parts)))).toMatchObject({ reason })
  })

  test('changing one field changes the octets, and only where it stands', () => {
    const der = basic({ rest: tlv(0xa0, THIS) })
    const value = decodeBasicOCSPResponse(der)
    const later = {
      ...value,
      tbsResponseData: { ...value.tbsResponseData, producedAt: value.tbsResponseData.producedAt + 1 },
    }
    const changed = encodeBasicOCSPResponse(later)
    expect(changed).toHaveLength(der.length)
    expect(changed.filter((octet, i) => octet !== der[i])).toHaveLength(1)
  })
})

describe('work is bounded whatever 64 KiB hold', () => {
  const fill = (element: Uint8Array): Uint8Array =>
    Uint8Array.from(Array.from({ length: Math.floor(64_000 / element.length) }, () => [...element]).flat())
  const longArc = seq(tlv(0x06, new Uint8Array(60).fill(0xff).fill(0x7f, 59)), hex('04 00'))

  test.each<[string, Parts]>([
    [
      '32,000 certificates',
      { signature: Uint8Array.from([...hex('03 01 00'), ...tlv(0xa0, seq(fill(hex('30 00'))))]) },
    ],
    ['9,000 extensions', { after: tlv(0xa1, seq(fill(hex('30 05 06 01 2a 04 00')))) }],
    ['arcs of 59 octets', { after: tlv(0xa1, seq(fill(longArc))) }],
  ])('%s', (_name, parts) => {
    const der = basic(parts)
    const reader = new DERReader(der, 0, der.length, MAX_RESPONSE_ELEMENTS)
    expect(thrown(() => readBasicOCSPResponse(reader))).toMatchObject({ reason: 'tooLarge' })
    expect(reader.elements).toBeLessThan(MAX_RESPONSE_ELEMENTS + 64)
    expect(thrown(() => decodeBasicOCSPResponse(der))).toMatchObject({ reason: 'tooLarge' })
  })
})

describe('the response that OCSP_MySql publishes', () => {
  const value = decodeSuccessfulResponse(MYSQL_RESPONSE)
  const [first] = value.tbsResponseData.responses

  test('is 475 octets, byKey, without certificates, valid for a day less a second', () => {
    expect(MYSQL_RESPONSE).toHaveLength(475)
    expect(value.tbsResponseData.responderID).toEqual({
      byKey: hex('c17dc2edaf9abbd01ff2dc7fb5c7c2c4593047af'),
    })
    expect(value.certs).toBeUndefined()
    expect(value.signatureAlgorithm.algorithm).toBe('1.2.840.113549.1.1.11')
    expect(first?.certStatus).toEqual({ type: 'good' })
    expect(first?.thisUpdate).toBe(value.tbsResponseData.producedAt)
    expect((first?.nextUpdate ?? 0) - (first?.thisUpdate ?? 0)).toBe(86_399)
    expect(formatSerial(first?.certID.serialNumber ?? hex(''))).toBe(
      '094e315fa6adb9bc3ea20564a7b22ee6ebaa55e0',
    )
  })

  test('re-encodes exactly', () => {
    const response = encodeBasicOCSPResponse(value)
    const responseBytes = { responseType: '1.3.6.1.5.5.7.48.1.1', response }
    expect(encodeOCSPResponse({ responseStatus: 'successful', responseBytes })).toEqual(MYSQL_RESPONSE)
  })
})
