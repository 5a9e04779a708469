import { describe, expect, test } from 'vitest'
import {
  decodeGetTarget,
  decodeOCSPRequest,
  encodeOCSPRequest,
  MAX_GET_TARGET,
} from '../../src/ocsp/index.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { base64, hex, seq, thrown, tlv, toHex } from '../fixtures/octets.ts'
import {
  APPLE_GET,
  BOULDER_GET,
  CRTSH_GET,
  extension,
  NONCE_OID,
  request,
  requestExtensions,
} from '../fixtures/requests.ts'

const raw = decodeURIComponent(BOULDER_GET)
const der = base64(raw)

/** The rows of protocol section 5.1, each a spelling of Boulder's vector. */
const SPELLINGS: [name: string, target: string][] = [
  ['escaped (R5.1)', `/${BOULDER_GET}`],
  ['raw, with / and // inside (R5.2, R5.3)', `/${raw}`],
  ['everything escaped', `/${[...raw].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')}`],
  ['// before the data (R5.4)', `//${BOULDER_GET}`],
  ['/// before the data (R5.4)', `///${raw}`],
  ['space for + (R5.5)', `/${raw.replaceAll('+', ' ')}`],
  ['%20 for + (R5.5)', `/${BOULDER_GET.replaceAll('%2B', '%20')}`],
  ['escaped twice (R5.6)', `/${encodeURIComponent(BOULDER_GET)}`],
  ['escaped twice, + raw (R5.7)', `/${BOULDER_GET.replaceAll('%2B', '+').replaceAll('%', '%25')}`],
  ['lower-case escapes (R5.8)', `/${lowerEscapes(BOULDER_GET)}`],
  ['no padding (R5.9)', `/${raw.replace(/=+$/, '')}`],
  ['escaped, no padding (R5.9)', `/${BOULDER_GET.replace(/(%3D)+$/, '')}`],
  ['base64url (R5.10)', `/${raw.replaceAll('+', '-').replaceAll('/', '_')}`],
  ['base64url, no padding (R5.10)', `/${Buffer.from(der).toString('base64url')}`],
  ['a query (R5.11)', `/${BOULDER_GET}?x=1&y=/MA`],
  ['a fragment', `/${raw}#x?y`],
  ['a trailing slash after padding (R5.12)', `/${raw}/`],
  ['a trailing slash without padding (R5.12)', `/${raw.replace(/=+$/, '')}/`],
  ['prefix /ocsp (R5.13)', `/ocsp/${BOULDER_GET}`],
  ['prefix /ocsp/ (R5.13)', `/ocsp//${raw}`],
  ['prefix of several segments (R5.13)', `/pki/My-CA_1.0~x/gts1c3/${raw}`],
  ['a prefix that begins like DER (R5.13)', `/MA/MCcA/MIIB/${raw}`],
  ['an escaped prefix (R5.13)', `/caf%C3%A9/%7Eca/${BOULDER_GET}`],
  ['absolute form (R5.17)', `http://ocsp.example/${BOULDER_GET}`],
  ['absolute form, prefix, raw, query (R5.17)', `https://ocsp.example:8443/ca1//${raw}?a=b`],
  ['line breaks and tabs inside', `/${raw.slice(0, 20)}%0D%0A${raw.slice(20, 40)}%09${raw.slice(40)}`],
]

function lowerEscapes(text: string): string {
  return text.replace(/%../g, (match) => match.toLowerCase())
}

function refusal(target: string): unknown {
  return thrown(() => decodeGetTarget(target))
}

describe("Boulder's vector in every spelling is one and the same request", () => {
  test.each(SPELLINGS)('%s', (_name, target) => {
    expect(decodeGetTarget(target).map(toHex)).toEqual([toHex(der)])
  })
})

describe('vectors of other clients', () => {
  test('Apple trustd: SHA-1 without parameters, escaped and in absolute form (R5.1, R5.17, R5.40)', () => {
    for (const target of [`/${APPLE_GET}`, `http://ocsp.apple.com/ocsp03-wwdr03/${APPLE_GET}`]) {
      const [found, ...others] = decodeGetTarget(target)
      expect(others).toEqual([])
      const [first] = decodeOCSPRequest(found ?? der).tbsRequest.requestList
      expect(first?.reqCert.hashAlgorithm).toEqual({ algorithm: '1.3.14.3.2.26', parameters: undefined })
      expect(formatSerial(first?.reqCert.serialNumber ?? der)).toBe('0717791100' + '5d2267f68892f68f8b5058')
    }
  })

  test('crt.sh: empty Extensions at both levels, + raw and // escaped (R1.9)', () => {
    const [found] = decodeGetTarget(`/${CRTSH_GET}`)
    const value = decodeOCSPRequest(found ?? der)
    expect(value.tbsRequest.requestExtensions).toEqual([])
    expect(value.tbsRequest.requestList[0]?.singleRequestExtensions).toEqual([])
    expect(formatSerial(value.tbsRequest.requestList[0]?.reqCert.serialNumber ?? der)).toBe('03fffc')
    expect(encodeOCSPRequest(value)).toEqual(found)
  })
})

describe('refusals', () => {
  test.each([
    ['%ZZ', `/${raw}%ZZ`, raw.length + 1],
    ['%%', `/%%${raw}`, 1],
    ['%4 at the end', `/${raw}%4`, raw.length + 1],
    ['a lone %', '/%', 1],
    ['a bad escape under an escape', `/%25ZZ${raw}`, 1],
  ])('the bad escape %s (R5.14)', (_name, target, offset) => {
    expect(refusal(target)).toMatchObject({ name: 'OCSPDecodeError', reason: 'badEscape', offset })
  })

  test.each([
    ['/', '/'],
    ['nothing', ''],
    ['a health check', '/healthz'],
    ['an authority alone', 'http://ocsp.example'],
    ['no DER', '/AAAA'],
    ['one character too few', `/${raw.replace(/=+$/, '').slice(0, -1)}`],
    ['characters after the data', `/${raw.replace(/=+$/, '')}AAAA`],
    ['trailing octets in the base64 (R5.38)', `/${Buffer.from([...der, 0]).toString('base64')}`],
    ['three padding characters', `/${raw}===`],
    ['two trailing slashes', `/${raw}//`],
    ['bits left over in the last character', `/${raw.replace('4=', '5=')}`],
    ['a character outside both alphabets', `/${raw.slice(0, 30)}!${raw.slice(31)}`],
    ['a character outside ASCII', `/${raw.slice(0, 30)}\u0141${raw.slice(31)}`],
    ['an escaped ? after the data', `/${raw}%3Fx`],
    ['junk before the data in the same segment', `/x${raw}`],
  ])('%s', (_name, target) => {
    expect(refusal(target)).toMatchObject({ name: 'OCSPDecodeError', reason: 'badBase64' })
  })

  test('more than 8192 characters (R5.16)', () => {
    expect(MAX_GET_TARGET).toBe(8192)
    expect(refusal(`/${'a'.repeat(8192)}`)).toMatchObject({ reason: 'requestTooLarge' })
    expect(refusal(`/${'a'.repeat(8191)}`)).toMatchObject({ reason: 'badBase64' })
  })
})

describe('slashes that a proxy merged (R5.3)', () => {
  const merged = (octets: Uint8Array): string =>
    `/${Buffer.from(octets).toString('base64')}`.replace(/\/{2,}/g, '/')
  /** A request whose nonce is these base64 characters, so that slashes stand where a test wants them. */
  const withNonce = (text: string): Uint8Array => {
    for (let shift = 0; shift < 3; shift++) {
      const nonce = Buffer.from(
        'A'.repeat(shift) + text + 'A'.repeat((4 - ((shift + text.length) % 4)) % 4),
        'base64',
      )
      for (let pad = 0; pad < 3; pad++) {
        const value = Uint8Array.from([...new Uint8Array(pad), ...nonce])
        const made = request({ after: requestExtensions(extension(NONCE_OID, tlv(0x04, value))) })
        if (Buffer.from(made).toString('base64').includes(text)) return made
      }
    }
    throw new Error('cannot place the characters')
  }

  test("Boulder's vector comes back among candidates that all are requests of its length", () => {
    const found = decodeGetTarget(merged(der))
    expect(found.map(toHex)).toContain(toHex(der))
    expect(found.length).toBeLessThanOrEqual(64)
    for (const candidate of found) {
      expect(candidate).toHaveLength(der.length)
      expect(() => decodeOCSPRequest(candidate)).not.toThrow()
    }
  })

  test.each(['//', 'A//A', '///', 'A//B//C', '////A/B'])('%s', (text) => {
    const octets = withNonce(text)
    expect(merged(octets)).not.toContain('//')
    expect(decodeGetTarget(merged(octets)).map(toHex)).toContain(toHex(octets))
  })

  test('behind a prefix, a trailing slash and in absolute form', () => {
    for (const target of [`/ocsp${merged(der)}`, `${merged(der)}/`, `http://h/MA${merged(der)}?x`]) {
      expect(decodeGetTarget(target).map(toHex)).toContain(toHex(der))
    }
  })

  test('a target with // left in it was not merged: a short one is just wrong', () => {
    expect(refusal(`/${raw.slice(0, 20)}//${raw.slice(24)}`)).toMatchObject({ reason: 'badBase64' })
  })

  test('more than 64 ways are not tried', () => {
    const octets = withNonce(`${'A/'.repeat(20)}//////A`)
    expect(refusal(merged(octets))).toMatchObject({ reason: 'requestTooLarge' })
  })

  test('nor are some of them taken for all: data that ends in a slash may end before it, in fewer ways', () => {
    const zeros = new Uint8Array(20)
    const octets = request({
      nameHash: zeros,
      keyHash: zeros,
      serial: hex('02 14 008013f00413f03ffff002e0ffbec0fc00007f80'),
      after: requestExtensions(extension(NONCE_OID, hex('04 06 00fffffcff3f'))),
    })
    expect(refusal(merged(octets))).toMatchObject({ reason: 'requestTooLarge' })
  })

  test('hostile targets of 8 KiB end in a typed error', () => {
    for (const target of [
      '/MA'.repeat(2730),
      '/MIIX/'.repeat(1365),
      `/MIIX${'/A'.repeat(4000)}`,
      `/M${'A'.repeat(8000)}`,
      '%2F'.repeat(2700),
      `/${'%25'.repeat(2700)}`,
      ' '.repeat(8192),
      `/${Buffer.from(seq(new Uint8Array(3000).fill(0xff))).toString('base64')}`,
    ]) {
      const outcome = ((): unknown => {
        try {
          return decodeGetTarget(target).length
        } catch (error) {
          return error
        }
      })()
      if (typeof outcome !== 'number') expect(outcome).toMatchObject({ name: 'OCSPDecodeError' })
    }
  })
})

test('SHA-512 and a nonce of 32 octets make 316 characters, which are read (R1.105)', () => {
  const digest = new Uint8Array(64).fill(0xff)
  const octets = request({
    algorithm: seq(hex('06 09 608648016503040203'), hex('05 00')),
    nameHash: digest,
    keyHash: digest,
    serial: tlv(0x02, new Uint8Array(20).fill(0x7f)),
    after: requestExtensions(extension(NONCE_OID, tlv(0x04, new Uint8Array(32)))),
  })
  const text = Buffer.from(octets).toString('base64')
  expect(text).toHaveLength(316)
  expect(decodeGetTarget(`/ocsp/${text}`)).toEqual([octets])
})

test('a prefix that is DER of exactly the length of what follows does not hide the request (R5.13)', () => {
  const data = raw.replace(/=+$/, '')
  const length = Math.floor((`MHAA/${data}`.length * 6) / 8) - 2
  const prefix = Buffer.from([0x30, 0x81, length - 1]).toString('base64')
  expect(Math.ceil(((length + 2) * 8) / 6)).toBe(`${prefix}/${data}`.length)
  expect(decodeGetTarget(`/${prefix}/${data}`)).toEqual([der])
})
