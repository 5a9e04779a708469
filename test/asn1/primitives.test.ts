import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64 } from '../../src/asn1/base64.ts'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { DERWriter } from '../../src/asn1/der-writer.ts'
import { formatGeneralizedTime, parseGeneralizedTime } from '../../src/asn1/generalized-time.ts'
import { decodeOID, encodeOID, OID } from '../../src/asn1/oid.ts'
import { hex, thrown, toHex } from '../fixtures/octets.ts'

function written(write: (writer: DERWriter) => void): string {
  const writer = new DERWriter()
  write(writer)
  return toHex(writer.finish())
}

describe('the writer', () => {
  test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536])(
    'gives %i octets of content the shortest length',
    (size) => {
      const writer = new DERWriter()
      writer.sequence((w) => w.octetString(new Uint8Array(size)))
      const reader = new DERReader(writer.finish())
      expect(reader.sequence((r) => r.octetString())).toHaveLength(size)
      reader.finish()
    },
  )

  test.each([
    [0, '020100'],
    [127, '02017f'],
    [128, '02020080'],
    [-1, '0201ff'],
    [-128, '020180'],
    [-129, '0202ff7f'],
    [0x7fffffff, '02047fffffff'],
  ])('writes INTEGER %i in as few octets as it can', (value, expected) => {
    expect(written((w) => w.integer(value))).toBe(expected)
  })

  test.each(['', '0001', 'ffff', '007f'])('refuses %j as content of an INTEGER (R5.45)', (content) => {
    expect(thrown(() => written((w) => w.integerBytes(hex(content))))).toMatchObject({
      reason: 'nonMinimalInteger',
    })
  })

  test.each([1.5, Number.NaN, 2 ** 31])('refuses the number %d', (value) => {
    expect(thrown(() => written((w) => w.integer(value)))).toMatchObject({ reason: 'tooLarge' })
  })

  test('writes a BIT STRING of whole octets and a BOOLEAN', () => {
    expect(written((w) => w.bitString(hex('aabb')))).toBe('030300aabb')
    expect(written((w) => w.boolean(true))).toBe('0101ff')
  })
})

describe('object identifiers', () => {
  test.each([
    ['0.0', '00'],
    ['1.39', '4f'],
    ['2.0', '50'],
    ['2.40', '78'],
    ['2.48', '8100'],
    ['2.999.3', '883703'],
    ['1.2.840.113549.1.1.11', '2a864886f70d01010b'],
    ['2.25.340282366920938463463374607431768211455', '6983ffffffffffffffffffffffffffffffffff7f'],
  ])('%s is %s', (text, content) => {
    expect(toHex(encodeOID(text))).toBe(content)
    expect(decodeOID(hex(content))).toBe(text)
  })

  test('every known one is recognised by its octets', () => {
    for (const oid of Object.values(OID)) expect(decodeOID(Uint8Array.from(encodeOID(oid)))).toBe(oid)
  })

  test.each(['', '1', '3.1', '1.40', '1.2.', '1.02', '1.-2', 'a.b', `1.${'9'.repeat(300)}`])(
    'refuses the text %j',
    (text) => {
      expect(thrown(() => encodeOID(text))).toMatchObject({ name: 'DERError' })
    },
  )
})

describe('GeneralizedTime', () => {
  test.each([
    [0, '19700101000000Z'],
    [-1, '19691231235959Z'],
    [951_782_400, '20000229000000Z'],
    [4_107_542_399, '21000228235959Z'],
    [-62_167_219_200, '00000101000000Z'],
    [253_402_300_799, '99991231235959Z'],
  ])('%i is %s', (seconds, text) => {
    expect(formatGeneralizedTime(seconds)).toBe(text)
    expect(parseGeneralizedTime(text)).toBe(seconds)
  })

  test('agrees with Date on the first of every month from 1800 to 2200', () => {
    for (let month = 0; month < 4800; month++) {
      const date = new Date(Date.UTC(1800, month, 1, 23, 59, 58))
      const text = date.toISOString().replace(/[-:T]|\.000/g, '')
      expect(parseGeneralizedTime(text)).toBe(date.getTime() / 1000)
      expect(formatGeneralizedTime(date.getTime() / 1000)).toBe(text)
    }
  })

  test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, -62_167_219_201, 253_402_300_800])(
    'refuses %d',
    (seconds) => {
      expect(thrown(() => formatGeneralizedTime(seconds))).toMatchObject({ reason: 'badTime' })
    },
  )
})

describe('base64', () => {
  test.each(['', '00', '0001', '000102', 'fbff', 'fffefd'])('%j goes there and back', (content) => {
    const octets = hex(content)
    expect(encodeBase64(octets)).toBe(Buffer.from(octets).toString('base64'))
    expect(decodeBase64(encodeBase64(octets))).toEqual(octets)
  })

  test.each(['A', 'AA', 'AAA', 'AB==', 'AAB=', 'A===', 'AA=A', 'AA A', 'AAA-', 'AAA\u00e9'])(
    'refuses %j',
    (text) => {
      expect(decodeBase64(text)).toBeUndefined()
    },
  )
})
