/** `decode`: which forms it takes, what it shows, what it says of what is neither request nor response. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at } from '../http/admin-world.ts'
import { Workplace } from './support.ts'

/** Both were published by OCSP_MySql. */
const REQUEST =
  'MHoweDBRME8wTTAJBgUrDgMCGgUABBRGf2x685RgF9qF4azpunF6LM75OQQUwX3C7a+au9Af8tx/tcfCxFkwR68CFAlOMV+mrbm8PqIFZKeyLubrqlXgoiMwITAfBgkrBgEFBQcwAQIEEgQQkcDcDZCPzGR57CNCnt6eKg=='
const RESPONSE =
  'MIIB1woBAKCCAdAwggHMBgkrBgEFBQcwAQEEggG9MIIBuTCBoqIWBBTBfcLtr5q70B/y3H+1x8LEWTBHrxgPMjAyMjEyMjkxMzE5MDlaMHcwdTBNMAkGBSsOAwIaBQAEFEZ/bHrzlGAX2oXhrOm6cXoszvk5BBTBfcLtr5q70B/y3H+1x8LEWTBHrwIUCU4xX6atubw+ogVkp7Iu5uuqVeCAABgPMjAyMjEyMjkxMzE5MDlaoBEYDzIwMjIxMjMwMTMxOTA4WjANBgkqhkiG9w0BAQsFAAOCAQEAkIg1jf1Y5gm2FB0eAdgfP5/h0CddJBYyD0p8SvwXdTTU+Uee+7zUhTwNzq3omosSLMgJ2yEjEv/vai4XgvCeJ+uLvhMZADzgmifNw/58o94F7RbY9t9XoKhioS9tN0QT/y7Gzyz16vD+vYYqkW8Pvb6ueRL5A3QUARUzeUZoU24omksxF3smVbCzM8czBAre5ydejKDS6GjnMcTZqg+GggVYJMS7ZocHVbwVRv75xFo+M/7Pcg78TNJ+KtrUOJFWYaJOOZhUleBaSmg8AW9rsZuLl98pexghCwEb9hh1mfkSUWpvRJFyVC7xblQaJvLu5tc1TJLKtYP5uUrRmDEufA=='

const SERIAL = '094e315fa6adb9bc3ea20564a7b22ee6ebaa55e0'

let place: Workplace
beforeAll(() => {
  place = new Workplace('http://127.0.0.1:1')
  const der = Buffer.from(REQUEST, 'base64')
  place.write('request.der', der)
  place.write('request.pem', formatPEM('OCSP REQUEST', der))
  place.write('request.b64', `${REQUEST.replace(/(.{64})/g, '$1\n')}\n`)
  place.write('request.hex', `${der.toString('hex').replace(/(..)/g, '$1:').slice(0, -1)}\n`)
  place.write('response.der', Buffer.from(RESPONSE, 'base64'))
  place.write('tryLater.der', ERROR_RESPONSES.tryLater)
  place.write('cut.der', der.subarray(0, 50))
})
afterAll(() => place.close())

const urlSafe = REQUEST.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

describe('a request is shown', () => {
  const hexDigits = Buffer.from(REQUEST, 'base64').toString('hex')
  test.each([
    ['a DER file', 'request.der'],
    ['a PEM file', 'request.pem'],
    ['a base64 file with line ends', 'request.b64'],
    ['a hex file with colons', 'request.hex'],
    ['base64', REQUEST],
    ['URL-safe base64 without padding', urlSafe],
    ['percent-encoded base64', encodeURIComponent(REQUEST)],
    ['hex', hexDigits],
    ['hex in capitals with 0x', `0x${hexDigits.toUpperCase()}`],
    ['the URL of a GET', `http://ocsp.example.com/prefix/${encodeURIComponent(REQUEST)}`],
    ['the path of a GET, as in a log', `/${REQUEST}`],
  ])('from %s', async (_form, argument) => {
    const { code, json, stderr } = await place.run(['decode', argument, '--json'])
    expect([code, stderr]).toEqual([0, ''])
    expect(json()).toEqual({
      OCSPRequest: {
        octets: 124,
        requestList: [
          {
            reqCert: {
              hashAlgorithm: 'SHA-1',
              issuerNameHash: '467f6c7af3946017da85e1ace9ba717a2ccef939',
              issuerKeyHash: 'c17dc2edaf9abbd01ff2dc7fb5c7c2c4593047af',
              serialNumber: SERIAL,
            },
          },
        ],
        requestExtensions: [
          { extnID: 'id-pkix-ocsp-nonce', nonce: '91c0dc0d908fcc6479ec23429ede9e2a', nonceOctets: 16 },
        ],
      },
    })
  })

  test.each([
    ['DER', Buffer.from(REQUEST, 'base64')],
    ['base64', REQUEST],
  ])('from standard input as %s, in plain lines', async (_form, input) => {
    const { code, stdout } = await place.run(['decode', '-'], { input })
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^OCSPRequest:\n {2}octets: 124\n {2}requestList:\n {4}1\.\n {6}reqCert:\n {8}hashAlgorithm: SHA-1\n/,
    )
    expect(stdout).toMatch(/nonceOctets: 16\n$/)
  })
})

describe('a response is shown', () => {
  test('with times, responder and signature', async () => {
    const { code, json } = await place.run(['decode', 'response.der', '--json'])
    expect(code).toBe(0)
    expect(at(json(), 'OCSPResponse')).toMatchObject({
      octets: 475,
      responseStatus: 'successful (0)',
      responseType: 'id-pkix-ocsp-basic',
      BasicOCSPResponse: {
        responderID: { byKey: 'c17dc2edaf9abbd01ff2dc7fb5c7c2c4593047af' },
        producedAt: '2022-12-29T13:19:09Z',
        responses: [
          { certStatus: 'good', thisUpdate: '2022-12-29T13:19:09Z', nextUpdate: '2022-12-30T13:19:08Z' },
        ],
        signatureAlgorithm: 'sha256WithRSAEncryption',
      },
    })
  })

  test('also when it is an error', async () => {
    expect((await place.run(['decode', 'tryLater.der'])).stdout).toBe(
      'OCSPResponse:\n  octets: 5\n  responseStatus: tryLater (3)\n',
    )
  })
})

test.each([
  ['cut.der', /not an OCSP request or response: truncated at octet 0\n.*50 decoded ones/],
  ['MAA=', /not an OCSP request or response: /],
  ['MCICAQE=', /not an OCSP request or response: truncated/],
])('%s is neither, exit 1, with the octet where it goes wrong', async (argument, message) => {
  const { code, stdout, stderr } = await place.run(['decode', argument])
  expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(message)])
})
