import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64 } from '../../src/asn1/base64.ts'
import { formatGeneralizedTime, parseGeneralizedTime } from '../../src/asn1/generalized-time.ts'
import { decodeOID, encodeOID } from '../../src/asn1/oid.ts'
import {
  DERError,
  decodeBasicOCSPResponse,
  decodeGetTarget,
  decodeOCSPRequest,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  encodeBasicOCSPResponse,
  encodeOCSPRequest,
  encodeOCSPResponse,
  encodeResponseData,
  OCSPDecodeError,
  requestNonce,
  signedOctets,
} from '../../src/ocsp/index.ts'
import { formatPEM, parsePEM } from '../../src/pkix/pem.ts'
import { formatSerial, parseSerial } from '../../src/pkix/serial-number.ts'
import {
  basicResponse,
  knownCertID,
  nonce,
  octets,
  oid,
  request,
  serial,
  time,
} from '../fixtures/codec-arbitraries.ts'
import { thrown } from '../fixtures/octets.ts'
import { MYSQL_REQUEST, MYSQL_RESPONSE } from '../fixtures/requests.ts'

/** Runs a decoder that may refuse, but only with a typed error that names a place in the input. */
function decodeOrRefuse<T>(input: Uint8Array, decode: (der: Uint8Array) => T): T | undefined {
  try {
    return decode(input)
  } catch (error) {
    expect(error instanceof DERError || error instanceof OCSPDecodeError).toBe(true)
    if (error instanceof DERError || error instanceof OCSPDecodeError) {
      expect(error.offset).toBeGreaterThanOrEqual(0)
      expect(error.offset).toBeLessThanOrEqual(input.length)
    }
    return undefined
  }
}

const decoders = [decodeOCSPRequest, decodeOCSPResponse, decodeBasicOCSPResponse, decodeSuccessfulResponse]

/** Good octets with a few of them changed, cut out or put in. */
const damaged = fc
  .tuple(
    fc.constantFrom(MYSQL_REQUEST, MYSQL_RESPONSE),
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'cut', 'insert')), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([good, changes]) => {
    const out = [...good]
    for (const [place, octet, how] of changes) {
      const at = place % (out.length + 1)
      if (how === 'set') out[Math.min(at, out.length - 1)] = octet
      else out.splice(at, how === 'cut' ? 1 : 0, ...(how === 'cut' ? [] : [octet]))
    }
    return Uint8Array.from(out)
  })

interface Leaf {
  readonly holder: object
  readonly name: string
  readonly path: string
  readonly changed: unknown
}

/** The leaves of a value, each with something else that could stand there. */
function leavesOf(holder: object, path = ''): Leaf[] {
  return Object.entries(holder).flatMap(([name, value]: [string, unknown]): Leaf[] => {
    const here = `${path}.${name}`
    if (value instanceof Uint8Array) {
      if (value.length === 0) return []
      const changed = value.slice()
      changed[value.length - 1] = (value.at(-1) ?? 0) ^ 1
      return [{ holder, name, path: here, changed }]
    }
    if (typeof value === 'boolean') return [{ holder, name, path: here, changed: !value }]
    if (typeof value === 'number')
      return [{ holder, name, path: here, changed: value > 0 ? value - 1 : value + 1 }]
    if (typeof value === 'string')
      return value.includes('.') ? [{ holder, name, path: here, changed: '1.3.9999' }] : []
    return typeof value === 'object' && value !== null ? leavesOf(value, here) : []
  })
}

/** Fails unless a change of any single leaf changes what is encoded. */
function expectEveryLeafWritten<T extends object>(value: T, encode: (value: T) => Uint8Array): void {
  const original = encode(value)
  for (const [i, { path }] of leavesOf(value).entries()) {
    const copy = structuredClone(value)
    const leaf = leavesOf(copy)[i]
    if (leaf !== undefined) Reflect.set(leaf.holder, leaf.name, leaf.changed)
    expect(Buffer.compare(encode(copy), original), path).not.toBe(0)
  }
}

describe('requests', () => {
  test('decode to the value they were encoded from', () => {
    fc.assert(
      fc.property(request, (value) => {
        expect(decodeOCSPRequest(encodeOCSPRequest(value))).toEqual(value)
      }),
    )
  })

  test('change with every one of their fields', () => {
    fc.assert(fc.property(request, (value) => expectEveryLeafWritten(value, encodeOCSPRequest)))
  })

  test('changing the serial number of one CertID changes the octets (R5.44)', () => {
    fc.assert(
      fc.property(request, serial, (value, serialNumber) => {
        const [first, ...rest] = value.tbsRequest.requestList
        if (first === undefined || formatSerial(first.reqCert.serialNumber) === formatSerial(serialNumber))
          return
        const requestList = [{ ...first, reqCert: { ...first.reqCert, serialNumber } }, ...rest]
        const changed = { ...value, tbsRequest: { ...value.tbsRequest, requestList } }
        expect(encodeOCSPRequest(changed)).not.toEqual(encodeOCSPRequest(value))
        expect(decodeOCSPRequest(encodeOCSPRequest(changed))).toEqual(changed)
      }),
    )
  })

  test('a nonce is found as it was sent (R3.3)', () => {
    fc.assert(
      fc.property(request, nonce, (value, extension) => {
        const tbsRequest = { ...value.tbsRequest, requestExtensions: [extension] }
        const found = requestNonce(decodeOCSPRequest(encodeOCSPRequest({ ...value, tbsRequest })))
        expect(found).toEqual({ extnValue: extension.extnValue, length: extension.extnValue.length - 2 })
      }),
    )
  })

  test('no prefix of one is a request, and nothing may follow it (R1.1, R5.38)', () => {
    fc.assert(
      fc.property(request, fc.nat(), octets(1, 8), (value, cut, tail) => {
        const der = encodeOCSPRequest(value)
        expect(thrown(() => decodeOCSPRequest(der.subarray(0, cut % der.length)))).toBeInstanceOf(DERError)
        const longer = Uint8Array.from([...der, ...tail])
        expect(thrown(() => decodeOCSPRequest(longer))).toMatchObject({
          reason: 'trailingData',
          offset: der.length,
        })
      }),
    )
  })

  test('come back from a GET path behind any prefix, escaped, raw or base64url (R5.1-R5.13)', () => {
    const prefix = fc.array(fc.stringMatching(/^[A-Za-z0-9._~-]{0,12}$/), { maxLength: 4 })
    const spell = fc.constantFrom<(text: string) => string>(
      (text) => text,
      encodeURIComponent,
      (text) => encodeURIComponent(encodeURIComponent(text)),
      (text) => text.replace(/=+$/, ''),
      (text) => text.replaceAll('+', '-').replaceAll('/', '_'),
      (text) => text.replaceAll('+', ' '),
      (text) => `${text}?x=/MA`,
    )
    fc.assert(
      fc.property(request, prefix, spell, (value, segments, spelling) => {
        const der = encodeOCSPRequest(value)
        const target = `${segments.map((segment) => `/${segment}`).join('')}/${spelling(encodeBase64(der))}`
        if (target.length <= 8192) expect(decodeGetTarget(target)).toEqual([der])
      }),
    )
  })

  test('are among the candidates after a proxy merged their slashes, or there are more than 64 (R5.3)', () => {
    const slashes = fc.constantFrom(0xff, 0xfc, 0x0f, 0x3f, 0xf0, 0x00)
    const value = fc.uint8Array({ minLength: 16, maxLength: 24 })
    const nearlySlashes = fc
      .array(slashes, { minLength: 6, maxLength: 16 })
      .map((list) => Uint8Array.from(list))
    fc.assert(
      fc.property(knownCertID, fc.oneof(value, nearlySlashes), (reqCert, nonceValue) => {
        const extnValue = Uint8Array.of(0x04, nonceValue.length, ...nonceValue)
        const requestExtensions = [{ extnID: '1.3.6.1.5.5.7.48.1.2', critical: false, extnValue }]
        const der = encodeOCSPRequest({
          tbsRequest: { versionExplicit: false, requestList: [{ reqCert }], requestExtensions },
        })
        const target = `/${encodeBase64(der)}`.replace(/\/{2,}/g, '/')
        let found: Uint8Array[]
        try {
          found = decodeGetTarget(target)
        } catch (error) {
          expect(error).toMatchObject({ reason: 'requestTooLarge' })
          return
        }
        expect(found.length).toBeLessThanOrEqual(64)
        expect(found).toContainEqual(der)
      }),
      { numRuns: 500 },
    )
  })
})

describe('responses', () => {
  test('decode to the value they were encoded from', () => {
    fc.assert(
      fc.property(basicResponse, (value) => {
        const response = encodeBasicOCSPResponse(value)
        expect(decodeBasicOCSPResponse(response)).toEqual(value)
        const responseBytes = { responseType: '1.3.6.1.5.5.7.48.1.1', response }
        const der = encodeOCSPResponse({ responseStatus: 'successful', responseBytes })
        expect(decodeSuccessfulResponse(der)).toEqual(value)
      }),
    )
  })

  test('have as signed octets just what encodeResponseData writes (R1.51)', () => {
    fc.assert(
      fc.property(basicResponse, (value) => {
        expect(encodeResponseData(value.tbsResponseData)).toEqual(
          signedOctets(encodeBasicOCSPResponse(value)),
        )
      }),
    )
  })

  test('change with every one of their fields', () => {
    fc.assert(fc.property(basicResponse, (value) => expectEveryLeafWritten(value, encodeBasicOCSPResponse)))
  })

  test('changing one time changes the octets', () => {
    fc.assert(
      fc.property(basicResponse, time, (value, producedAt) => {
        fc.pre(producedAt !== value.tbsResponseData.producedAt)
        const changed = { ...value, tbsResponseData: { ...value.tbsResponseData, producedAt } }
        expect(encodeBasicOCSPResponse(changed)).not.toEqual(encodeBasicOCSPResponse(value))
        expect(decodeBasicOCSPResponse(encodeBasicOCSPResponse(changed))).toEqual(changed)
      }),
    )
  })
})

describe('octets that nobody made', () => {
  test('random ones raise only DERError or OCSPDecodeError, within the input (R1.1)', () => {
    fc.assert(
      fc.property(octets(0, 300), (input) => {
        for (const decode of decoders) decodeOrRefuse<unknown>(input, decode)
      }),
      { numRuns: 1000 },
    )
  })

  test('damaged ones do as well, and what is still accepted re-encodes to itself (R5.39)', () => {
    fc.assert(
      fc.property(damaged, (input) => {
        const asRequest = decodeOrRefuse(input, decodeOCSPRequest)
        if (asRequest !== undefined) expect(encodeOCSPRequest(asRequest)).toEqual(input)
        const outer = decodeOrRefuse(input, decodeOCSPResponse)
        if (outer !== undefined) expect(encodeOCSPResponse(outer)).toEqual(input)
        const inner = decodeOrRefuse(input, decodeSuccessfulResponse)
        if (inner !== undefined && outer?.responseStatus === 'successful') {
          expect(encodeBasicOCSPResponse(inner)).toEqual(outer.responseBytes.response)
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('targets raise only OCSPDecodeError', () => {
    const character = fc.constantFrom(...'/MA%2F3D=+-_ ?#:.\u00e9\n')
    fc.assert(
      fc.property(fc.array(character, { maxLength: 200 }), fc.string(), (list, text) => {
        for (const target of [list.join(''), `/${list.join('')}`, text]) {
          try {
            decodeGetTarget(target)
          } catch (error) {
            expect(error).toBeInstanceOf(OCSPDecodeError)
          }
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('parts', () => {
  test('times, object identifiers, base64, PEM and serial numbers go there and back', () => {
    fc.assert(
      fc.property(time, oid, octets(0, 200), serial, (seconds, identifier, bytes, number) => {
        expect(parseGeneralizedTime(formatGeneralizedTime(seconds))).toBe(seconds)
        expect(decodeOID(encodeOID(identifier))).toBe(identifier)
        expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes)
        expect(parsePEM(formatPEM('X', bytes))).toEqual([{ label: 'X', der: bytes }])
        if ((number[0] ?? 0) < 0x80) expect(parseSerial(formatSerial(number))).toEqual(number)
      }),
    )
  })

  test('times in text order are in number order', () => {
    fc.assert(
      fc.property(time, time, (one, other) => {
        expect(formatGeneralizedTime(one) < formatGeneralizedTime(other)).toBe(one < other)
      }),
    )
  })
})
