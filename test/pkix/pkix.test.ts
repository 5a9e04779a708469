import { describe, expect, test } from 'vitest'
import {
  encodeAlgorithmIdentifier,
  HASH_ALGORITHMS,
  HASH_LENGTH,
  hashAlgorithmIdentifier,
  hashAlgorithmOf,
} from '../../src/pkix/algorithm-identifier.ts'
import { CRL_REASONS, crlReasonName, crlReasonNumber } from '../../src/pkix/crl-reason.ts'
import { decodeExtensions, encodeExtensions } from '../../src/pkix/extensions.ts'
import { formatPEM, PEMError, parsePEM } from '../../src/pkix/pem.ts'
import { formatSerial, parseSerial } from '../../src/pkix/serial-number.ts'
import { hex, thrown, toHex } from '../fixtures/octets.ts'

describe('hash algorithms', () => {
  test('each goes to its identifier with NULL and back', () => {
    for (const hash of HASH_ALGORITHMS)
      expect(hashAlgorithmOf(hashAlgorithmIdentifier(hash).algorithm)).toBe(hash)
    expect(toHex(encodeAlgorithmIdentifier(hashAlgorithmIdentifier('SHA-1')))).toBe('300906052b0e03021a0500')
    expect(HASH_LENGTH).toEqual({ 'SHA-1': 20, 'SHA-256': 32, 'SHA-384': 48, 'SHA-512': 64 })
  })

  test('MD5 is none of them (R5.42)', () => {
    expect(hashAlgorithmOf('1.2.840.113549.2.5')).toBeUndefined()
  })
})

describe('Extensions', () => {
  test('an empty list is tolerated and written as such (R1.9)', () => {
    expect(decodeExtensions(hex('30 00'))).toEqual([])
    expect(toHex(encodeExtensions([]))).toBe('3000')
  })

  test('criticality is written only when true', () => {
    const list = [
      { extnID: '1.2.3.4', critical: true, extnValue: hex('aa') },
      { extnID: '1.2.3.5', critical: false, extnValue: hex('') },
    ]
    expect(toHex(encodeExtensions(list))).toBe('3016300b06032a03040101ff0401aa300706032a03050400')
    expect(decodeExtensions(encodeExtensions(list))).toEqual(list)
  })

  test('a cut-off extension names its octet', () => {
    expect(thrown(() => decodeExtensions(hex('30 05 30 03 06 03 2a')))).toMatchObject({
      reason: 'truncated',
      offset: 4,
    })
  })
})

describe('CRL reasons', () => {
  test('every name goes to its number and back, in any letter case', () => {
    for (const [name, number] of Object.entries(CRL_REASONS)) {
      expect(crlReasonName(number)).toBe(name)
      expect(crlReasonNumber(name)).toBe(number)
      expect(crlReasonNumber(name.toUpperCase())).toBe(number)
    }
  })

  test('7 is not used, and unknown names have no number', () => {
    expect(crlReasonName(7)).toBeUndefined()
    expect(crlReasonNumber('stolen')).toBeUndefined()
  })
})

describe('PEM', () => {
  const der = Uint8Array.from({ length: 100 }, (_, i) => i)

  test('goes there and back', () => {
    expect(parsePEM(formatPEM('CERTIFICATE', der))).toEqual([{ label: 'CERTIFICATE', der }])
  })

  test('finds every block between other text, with CRLF and a byte order mark', () => {
    const text = `\uFEFFBag Attributes\n${formatPEM('A', der)}junk\n${formatPEM('B', der)}`.replaceAll(
      '\n',
      '\r\n',
    )
    expect(parsePEM(text).map(({ label }) => label)).toEqual(['A', 'B'])
  })

  test('text without a block gives no blocks', () => {
    expect(parsePEM('hello')).toEqual([])
  })

  test.each([
    ['no end', '-----BEGIN A-----\nAAAA\n', 1],
    ['another end', '-----BEGIN A-----\nAAAA\n-----END B-----\n', 3],
    ['not base64', 'x\n-----BEGIN A-----\nAA!A\n-----END A-----\n', 3],
    ['damaged padding', '-----BEGIN A-----\nAAA\n-----END A-----\n', 1],
    ['an encrypted key', '-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n-----END A-----\n', 2],
  ])('%s is refused with its line', (_name, text, line) => {
    const error = thrown(() => parsePEM(text))
    expect(error).toBeInstanceOf(PEMError)
    expect(error).toMatchObject({ line })
  })
})

describe('serial numbers (R5.44)', () => {
  test.each([
    ['0', '00'],
    ['00', '00'],
    ['1', '01'],
    ['7f', '7f'],
    ['80', '0080'],
    ['0080', '0080'],
    ['0x094E315F', '094e315f'],
    ['09:4e:31:5f', '094e315f'],
    ['abc', '0abc'],
    [`  ${'ff'.repeat(20)} `, `00${'ff'.repeat(20)}`],
  ])('hex %j is a number that is not negative: %s', (text, octets) => {
    expect(formatSerial(parseSerial(text))).toBe(octets)
  })

  test.each([
    ['0', '00'],
    ['127', '7f'],
    ['128', '0080'],
    ['-1', 'ff'],
    ['-128', '80'],
    ['-129', 'ff7f'],
    ['27979789', '01aaf00d'],
  ])('decimal %s is %s', (text, octets) => {
    expect(formatSerial(parseSerial(text, { decimal: true }))).toBe(octets)
  })

  test.each([
    ['', false, 'empty'],
    ['0x', false, 'no digits'],
    ['12g4', false, '"g" at character 3'],
    [':12', false, '":" at character 1'],
    ['1::2', false, '":" at character 3'],
    ['ff'.repeat(127), false, '128 octets'],
    ['12a', true, '"a" at character 3'],
    ['-', true, 'decimal'],
    ['9'.repeat(400), true, '127 octets'],
  ])('%j is refused in words', (text, decimal, message) => {
    expect(() => parseSerial(text, { decimal })).toThrow(RangeError)
    expect(() => parseSerial(text, { decimal })).toThrow(message)
  })
})
