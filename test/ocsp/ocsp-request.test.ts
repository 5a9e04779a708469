import { describe, expect, test } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { decodeOCSPRequest, encodeOCSPRequest, requestNonce } from '../../src/ocsp/index.ts'
import { maxElements, readOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { hex, seq, thrown, tlv, toHex } from '../fixtures/octets.ts'
import {
  CRITICAL,
  certID,
  extension,
  MYSQL_REQUEST,
  NONCE_OID,
  NULL,
  type RequestParts,
  request,
  requestExtensions,
  SHA1,
  SHA256,
  singleExtensions,
  UNKNOWN_OID,
} from '../fixtures/requests.ts'

function refusal(der: Uint8Array): unknown {
  return thrown(() => decodeOCSPRequest(der))
}

function nonce(octets: number): Uint8Array {
  return requestExtensions(extension(NONCE_OID, tlv(0x04, new Uint8Array(octets).fill(0x5a))))
}

const EXPLICIT_V1 = hex('a0 03 02 01 00')
const OCSP_OID = (suffix: number): Uint8Array => tlv(0x06, hex('2b06010505073001'), Uint8Array.of(suffix))

describe('octets that are no request', () => {
  test('random starts, and every truncation of a good request, are DER errors (R1.1)', () => {
    for (const text of ['', '00', '30', '3000', '3080', 'ff'.repeat(40)]) {
      expect(refusal(hex(text))).toMatchObject({ name: 'DERError' })
    }
    for (let length = 0; length < MYSQL_REQUEST.length; length++) {
      expect(refusal(MYSQL_REQUEST.subarray(0, length))).toMatchObject({
        name: 'DERError',
        reason: 'truncated',
      })
    }
  })

  test.each([['00'], ['0a'], [toHex(MYSQL_REQUEST)]])(
    'trailing octets %.8s are refused at their place (R5.38)',
    (tail) => {
      const der = Uint8Array.from([...MYSQL_REQUEST, ...hex(tail)])
      expect(refusal(der)).toMatchObject({ reason: 'trailingData', offset: MYSQL_REQUEST.length })
    },
  )

  test('an empty requestList is refused (R1.2)', () => {
    expect(refusal(hex('30 04 30 02 30 00'))).toMatchObject({ reason: 'emptyRequestList', offset: 4 })
  })

  test.each([
    ['an indefinite length', '30 80 30 00 00 00', 'indefiniteLength'],
    ['a length that is not minimal', '30 81 04 30 02 30 00', 'nonMinimalLength'],
  ])('BER is refused: %s (R5.39)', (_name, text, reason) => {
    expect(refusal(hex(text))).toMatchObject({ name: 'DERError', reason, offset: 0 })
  })

  test('a constructed OCTET STRING in a CertID is refused (R5.39)', () => {
    const der = seq(seq(seq(seq(seq(seq(SHA1), tlv(0x24, tlv(0x04, new Uint8Array(20))))))))
    expect(refusal(der)).toMatchObject({ name: 'DERError', reason: 'unexpectedTag', offset: 19 })
  })
})

describe('version', () => {
  test('v1 written out is tolerated, kept and written again (R1.3)', () => {
    const der = request({ before: EXPLICIT_V1 })
    const value = decodeOCSPRequest(der)
    expect(value.tbsRequest.versionExplicit).toBe(true)
    expect(encodeOCSPRequest(value)).toEqual(der)
    expect(value.tbsRequest.requestList).toEqual(decodeOCSPRequest(request()).tbsRequest.requestList)
  })

  test.each(['02 01 01', '02 01 02', '02 02 00 ff', '02 01 ff'])(
    'version %s is refused (R1.4)',
    (version) => {
      expect(refusal(request({ before: tlv(0xa0, hex(version)) }))).toMatchObject({
        reason: 'badVersion',
        offset: 4,
      })
    },
  )
})

describe('requestorName of an unsigned request is passed over (R1.5)', () => {
  test.each([
    ['directoryName', tlv(0xa4, seq())],
    ['rfc822Name', tlv(0x81, hex('61 40 62'))],
    ['uniformResourceIdentifier', tlv(0x86, hex('68 3a'))],
    ['otherName', tlv(0xa0, hex('06 03 2a0304'), tlv(0xa0, hex('0c 01 41')))],
  ])('%s', (_name, name) => {
    const der = request({ before: tlv(0xa1, name) })
    const value = decodeOCSPRequest(der)
    expect(value.tbsRequest.requestorName).toEqual(name)
    expect(encodeOCSPRequest(value)).toEqual(der)
  })

  test.each([
    ['a SEQUENCE', seq(), 'unexpectedTag'],
    ['[9]', tlv(0x89), 'unexpectedTag'],
    ['BER inside', tlv(0xa4, hex('30 81 00')), 'nonMinimalLength'],
  ])('what is no GeneralName is refused: %s', (_name, name, reason) => {
    expect(refusal(request({ before: tlv(0xa1, name) }))).toMatchObject({ name: 'DERError', reason })
  })
})

describe('extensions', () => {
  const single = (...list: Uint8Array[]): RequestParts => ({ single: singleExtensions(...list) })
  const whole = (...list: Uint8Array[]): RequestParts => ({ after: requestExtensions(...list) })

  test.each([
    ['of the request', whole],
    ['of one CertID', single],
  ])('an unknown critical extension %s is refused (R1.7), a plain one passed over (R1.6)', (_name, place) => {
    const der = request(place(extension(UNKNOWN_OID, hex('05 00'))))
    expect(encodeOCSPRequest(decodeOCSPRequest(der))).toEqual(der)
    expect(refusal(request(place(extension(UNKNOWN_OID, hex('05 00'), CRITICAL))))).toMatchObject({
      name: 'OCSPDecodeError',
      reason: 'unknownCriticalExtension',
    })
  })

  test.each([2, 3, 4, 6, 7, 8, 9])(
    'critical id-pkix-ocsp %i is understood at both levels (R1.82, R1.85)',
    (suffix) => {
      const item = extension(OCSP_OID(suffix), hex('04 01 aa'), CRITICAL)
      expect(decodeOCSPRequest(request(whole(item))).tbsRequest.requestExtensions).toHaveLength(1)
      expect(
        decodeOCSPRequest(request(single(item))).tbsRequest.requestList[0]?.singleRequestExtensions,
      ).toHaveLength(1)
    },
  )

  test('the same extension twice is refused, at its second place (R1.8)', () => {
    const item = extension(NONCE_OID, hex('04 01 aa'))
    const der = request(whole(item, item))
    expect(refusal(der)).toMatchObject({ reason: 'duplicateExtension', offset: der.length - item.length })
  })

  test('empty Extensions are tolerated at both levels and written again (R1.9)', () => {
    const der = request({ ...single(), ...whole() })
    const value = decodeOCSPRequest(der)
    expect(value.tbsRequest.requestExtensions).toEqual([])
    expect(value.tbsRequest.requestList[0]?.singleRequestExtensions).toEqual([])
    expect(encodeOCSPRequest(value)).toEqual(der)
  })

  test('critical FALSE in writing is refused (R5.39)', () => {
    const der = request(whole(extension(UNKNOWN_OID, hex(''), hex('01 01 00'))))
    expect(refusal(der)).toMatchObject({ name: 'DERError', reason: 'badBoolean' })
  })

  test('a list of more than 32 is refused', () => {
    const list = Array.from({ length: 33 }, (_, i) => extension(tlv(0x06, Uint8Array.of(0x2a, i)), hex('')))
    expect(refusal(request(whole(...list)))).toMatchObject({ reason: 'tooLarge' })
    expect(decodeOCSPRequest(request(whole(...list.slice(1)))).tbsRequest.requestExtensions).toHaveLength(32)
  })
})

describe('nonce (RFC 9654)', () => {
  test.each([1, 8, 15, 16, 20, 32, 33, 64, 127, 128])(
    '%i octets are accepted and kept as sent (R3.2-R3.4)',
    (octets) => {
      const value = decodeOCSPRequest(request({ after: nonce(octets) }))
      const found = requestNonce(value)
      expect(found?.length).toBe(octets)
      expect(found?.extnValue).toEqual(tlv(0x04, new Uint8Array(octets).fill(0x5a)))
    },
  )

  test.each([0, 129, 4096])('%i octets are refused (R3.1, R3.5)', (octets) => {
    expect(refusal(request({ after: nonce(octets) }))).toMatchObject({
      name: 'OCSPDecodeError',
      reason: 'nonceLength',
    })
  })

  test.each([
    ['16 raw octets', '00112233445566778899aabbccddeeff'],
    ['raw octets that begin like an OCTET STRING', '04 20 1122'],
    ['an OCTET STRING with a longer length than DER has', '04 81 02 1122'],
  ])('%s are a legacy nonce, kept verbatim (R3.11)', (_name, text) => {
    const value = decodeOCSPRequest(request({ after: requestExtensions(extension(NONCE_OID, hex(text))) }))
    expect(requestNonce(value)).toEqual({ extnValue: hex(text), length: hex(text).length })
  })

  test.each(['', '00'.repeat(129)])('a legacy nonce of %# has its length checked too', (text) => {
    const der = request({ after: requestExtensions(extension(NONCE_OID, hex(text))) })
    expect(refusal(der)).toMatchObject({ reason: 'nonceLength' })
  })

  test('a request without one has none (R3.9), also when a CertID has one', () => {
    expect(requestNonce(decodeOCSPRequest(request()))).toBeUndefined()
    const der = request({ single: singleExtensions(extension(NONCE_OID, hex('04 01 aa'))) })
    expect(requestNonce(decodeOCSPRequest(der))).toBeUndefined()
  })
})

describe('CertID', () => {
  const MD5 = hex('06 08 2a864886f70d0205')

  test.each([0, 19, 21, 32])('SHA-1 with a digest of %i octets is refused (R1.13)', (octets) => {
    const digest = new Uint8Array(octets)
    expect(refusal(request({ nameHash: digest }))).toMatchObject({ reason: 'hashLength' })
    expect(refusal(request({ keyHash: digest }))).toMatchObject({ reason: 'hashLength' })
  })

  test.each([
    ['SHA-256', SHA256, 32],
    ['SHA-384', hex('06 09 608648016503040202'), 48],
    ['SHA-512', hex('06 09 608648016503040203'), 64],
  ])('%s is read with its own length (R5.43)', (_name, oid, octets) => {
    const digest = new Uint8Array(octets)
    const der = request({ algorithm: seq(oid, NULL), nameHash: digest, keyHash: digest })
    expect(encodeOCSPRequest(decodeOCSPRequest(der))).toEqual(der)
  })

  test('parameters NULL and absent are both read and written as they came (R5.40)', () => {
    for (const algorithm of [seq(SHA1), seq(SHA1, NULL)]) {
      const der = request({ algorithm })
      expect(encodeOCSPRequest(decodeOCSPRequest(der))).toEqual(der)
    }
  })

  test('other parameters are refused for a hash we know (R5.41)', () => {
    const der = request({ algorithm: seq(SHA1, hex('02 01 05')) })
    expect(refusal(der)).toMatchObject({ reason: 'badHashParameters', offset: 10 })
  })

  test('a hash we do not know is decoded with any length and parameters (R5.42)', () => {
    const der = request({
      algorithm: seq(MD5, hex('02 01 05')),
      nameHash: new Uint8Array(16),
      keyHash: new Uint8Array(1),
    })
    const value = decodeOCSPRequest(der)
    expect(value.tbsRequest.requestList[0]?.reqCert.hashAlgorithm.algorithm).toBe('1.2.840.113549.2.5')
    expect(encodeOCSPRequest(value)).toEqual(der)
  })

  test.each(['00', '01', 'ff', '80', '7f', '0080', `00${'ff'.repeat(20)}`, '7f'.repeat(127)])(
    'serial number %.8s... is kept octet for octet (R5.44)',
    (content) => {
      const value = decodeOCSPRequest(request({ serial: tlv(0x02, hex(content)) }))
      expect(formatSerial(value.tbsRequest.requestList[0]?.reqCert.serialNumber ?? hex(''))).toBe(content)
    },
  )

  test.each([
    ['', 'nonMinimalInteger'],
    ['0001', 'nonMinimalInteger'],
    ['ff80', 'nonMinimalInteger'],
    ['7f'.repeat(128), 'tooLarge'],
  ])('serial number %.8s is refused (R5.45)', (content, reason) => {
    expect(refusal(request({ serial: tlv(0x02, hex(content)) }))).toMatchObject({ name: 'DERError', reason })
  })
})

describe('signed requests', () => {
  const signature = tlv(0xa0, seq(seq(hex('06 03 2b6570')), hex('03 03 00 aabb'), tlv(0xa0, seq(seq(NULL)))))
  test('the signature is read, not judged (R1.95)', () => {
    const der = request({ signature })
    const value = decodeOCSPRequest(der)
    expect(value.optionalSignature?.signatureAlgorithm.algorithm).toBe('1.3.101.112')
    expect(value.optionalSignature?.signature).toEqual(hex('aabb'))
    expect(value.optionalSignature?.certs).toEqual([seq(NULL)])
    expect(encodeOCSPRequest(value)).toEqual(der)
  })
})

describe('several CertIDs', () => {
  test.each([2, 5, 100])('%i are kept in order (R1.10)', (count) => {
    const requests = Array.from({ length: count }, (_, i) =>
      seq(certID({ serial: tlv(0x02, Uint8Array.of(i)) })),
    )
    const value = decodeOCSPRequest(seq(seq(seq(...requests))))
    expect(value.tbsRequest.requestList.map(({ reqCert }) => reqCert.serialNumber[0])).toEqual(
      Array.from({ length: count }, (_, i) => i),
    )
  })

  test('the cap is refused before any is decoded (R1.12)', () => {
    expect(refusal(request({ count: 101 }))).toMatchObject({ reason: 'tooManyRequests' })
    expect(thrown(() => decodeOCSPRequest(request({ count: 3 }), { maxRequests: 2 }))).toMatchObject({
      reason: 'tooManyRequests',
    })
    const reader = new DERReader(request({ count: 900 }))
    expect(thrown(() => readOCSPRequest(reader, 100))).toMatchObject({ reason: 'tooManyRequests' })
    expect(reader.elements).toBe(3 + 101)
  })
})

describe('work is bounded whatever 64 KiB hold (R1.12)', () => {
  const fill = (element: Uint8Array, octets = 65_000): Uint8Array => {
    const out = new Uint8Array(octets - (octets % element.length))
    for (let at = 0; at < out.length; at += element.length) out.set(element, at)
    return out
  }
  const deep = (levels: number): Uint8Array => {
    let der = NULL
    for (let i = 0; i < levels; i++) der = tlv(0xa4, der)
    return der
  }
  test.each([
    ['10,000 empty Requests', seq(seq(seq(fill(hex('30 00')))))],
    ['a requestorName of NULLs', request({ before: tlv(0xa1, tlv(0xa4, fill(NULL))) })],
    ['nesting 15,000 deep', request({ before: tlv(0xa1, deep(15_000)) })],
    ['parameters of NULLs', request({ algorithm: seq(SHA1, seq(fill(NULL))) })],
    ['9,000 extensions', request({ after: requestExtensions(fill(hex('30 05 06 01 2a 04 00'))) })],
    [
      'extensions with long arcs',
      request({
        after: requestExtensions(
          fill(extension(tlv(0x06, new Uint8Array(60).fill(0x81).fill(1, 59)), hex(''))),
        ),
      }),
    ],
    [
      '100 CertIDs with 32 extensions each',
      request({
        count: 100,
        single: singleExtensions(
          ...Array.from({ length: 32 }, (_, i) => extension(tlv(0x06, Uint8Array.of(0x2a, i)), hex(''))),
        ),
      }),
    ],
    [
      'certificates of one octet',
      request({ signature: tlv(0xa0, seq(seq(SHA1), hex('03 01 00'), tlv(0xa0, seq(fill(hex('30 00')))))) }),
    ],
  ])('%s', (_name, der) => {
    expect(der.length).toBeLessThan(66_000)
    const reader = new DERReader(der, 0, der.length, maxElements(100))
    expect(thrown(() => readOCSPRequest(reader, 100))).toHaveProperty('reason')
    expect(reader.elements).toBeLessThanOrEqual(maxElements(100) + 1)
  })

  test('the largest lawful request needs fewer elements than the bound', () => {
    const item = extension(OCSP_OID(7), hex('30 00'))
    const der = request({ count: 100, single: singleExtensions(item), after: nonce(32), before: EXPLICIT_V1 })
    const reader = new DERReader(der)
    expect(readOCSPRequest(reader, 100).tbsRequest.requestList).toHaveLength(100)
    expect(reader.elements).toBeLessThan(maxElements(100) / 2)
  })
})

describe('published requests', () => {
  test('OCSP_MySql: serial 094E31... and a nonce of 16 octets', () => {
    const value = decodeOCSPRequest(MYSQL_REQUEST)
    const [first] = value.tbsRequest.requestList
    expect(formatSerial(first?.reqCert.serialNumber ?? hex(''))).toBe(
      '094e315fa6adb9bc3ea20564a7b22ee6ebaa55e0',
    )
    expect(requestNonce(value)).toEqual({
      extnValue: hex('0410 91c0dc0d908fcc6479ec23429ede9e2a'),
      length: 16,
    })
    expect(encodeOCSPRequest(value)).toEqual(MYSQL_REQUEST)
  })

  test('a value changed in one field is written changed: nothing keeps the octets it came from', () => {
    const value = decodeOCSPRequest(MYSQL_REQUEST)
    const [first] = value.tbsRequest.requestList
    if (first === undefined) throw new Error('no request')
    const reqCert = { ...first.reqCert, serialNumber: hex('01') }
    const changed = encodeOCSPRequest({
      tbsRequest: { ...value.tbsRequest, requestList: [{ ...first, reqCert }] },
    })
    expect(decodeOCSPRequest(changed).tbsRequest.requestList[0]?.reqCert).toEqual(reqCert)
    expect(changed).toHaveLength(MYSQL_REQUEST.length - 19)
  })
})
