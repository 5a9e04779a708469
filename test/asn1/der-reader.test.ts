import { describe, expect, test } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { hex, thrown, toHex } from '../fixtures/octets.ts'

type Read = (reader: DERReader) => unknown

function refusal(text: string, read: Read): unknown {
  return thrown(() => {
    const reader = new DERReader(hex(text))
    read(reader)
    reader.finish()
  })
}

const any: Read = (r) => r.any()
const octets: Read = (r) => r.octetString()
const integer: Read = (r) => r.integerBytes()
const sequence: Read = (r) => r.sequence((s) => s.octetString())

describe('refuses what is not DER, with reason and octet (R5.39)', () => {
  const table: [name: string, hex: string, read: Read, reason: string, offset: number][] = [
    ['nothing', '', octets, 'truncated', 0],
    ['a lone identifier', '04', octets, 'truncated', 0],
    ['content that is cut off', '04 03 0102', octets, 'truncated', 0],
    ['length octets that are cut off', '04 82 01', octets, 'truncated', 0],
    ['an inner element longer than the outer', '30 03 04 05 01', sequence, 'truncated', 2],
    ['an indefinite length', '30 80 04 00 00 00', sequence, 'indefiniteLength', 0],
    ['length 5 in the long form', '04 81 05 0102030405', octets, 'nonMinimalLength', 0],
    ['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`, octets, 'nonMinimalLength', 0],
    ['a length of five octets', '04 85 01 00 00 00 00', octets, 'tooLarge', 0],
    ['a constructed OCTET STRING', '24 04 04 02 0102', octets, 'unexpectedTag', 0],
    ['a constructed UTF8String', '2c 04 0c 02 4141', any, 'unexpectedTag', 0],
    ['a primitive SEQUENCE', '10 00', any, 'unexpectedTag', 0],
    ['a tag number above 30', '1f 81 01 00', any, 'unexpectedTag', 0],
    ['end-of-contents octets', '00 00', any, 'unexpectedTag', 0],
    ['octets after the last element', '04 01 aa 00', octets, 'trailingData', 3],
    ['octets after the last field', '30 05 04 01 aa 05 00', sequence, 'trailingData', 5],
    ['an empty INTEGER (R5.45)', '02 00', integer, 'nonMinimalInteger', 0],
    ['INTEGER 1 in two octets (R5.45)', '02 02 00 01', integer, 'nonMinimalInteger', 0],
    ['INTEGER -1 in two octets', '02 02 ff ff', integer, 'nonMinimalInteger', 0],
    ['an INTEGER of 128 octets (R5.44)', `02 81 80 ${'7f'.repeat(128)}`, integer, 'tooLarge', 0],
    ['a non-minimal INTEGER deep inside', '30 06 31 04 02 02 00 01', any, 'nonMinimalInteger', 4],
    ['BOOLEAN 01', '01 01 01', (r) => r.boolean(), 'badBoolean', 0],
    ['BOOLEAN of two octets', '01 02 ffff', (r) => r.boolean(), 'badBoolean', 0],
    ['FALSE where FALSE is the default', '01 01 00', (r) => r.optionalTrue(), 'badBoolean', 0],
    ['a BIT STRING without its first octet', '03 00', (r) => r.bitString(), 'badBitString', 0],
    ['a BIT STRING with unused bits', '03 02 01 80', (r) => r.bitString(), 'badBitString', 0],
    ['an empty OBJECT IDENTIFIER', '06 00', (r) => r.oid(), 'badOID', 0],
    ['an unfinished arc', '06 02 2a 86', (r) => r.oid(), 'badOID', 0],
    ['an arc with leading zeros', '06 03 2a 80 01', (r) => r.oid(), 'badOID', 0],
    ['an OBJECT IDENTIFIER of 65 octets', `06 41 ${'2a'.repeat(65)}`, (r) => r.oid(), 'tooLarge', 0],
    ['an ENUMERATED of five octets', '0a 05 0100000000', (r) => r.enumerated(), 'tooLarge', 0],
    ['a NULL with content', '05 01 00', any, 'badValue', 0],
    ['[0] IMPLICIT NULL with content', '80 01 00', (r) => r.empty(0x80), 'badValue', 0],
  ]
  test.each(table)('%s', (_name, text, read, reason, offset) => {
    expect(refusal(text, read)).toMatchObject({ name: 'DERError', reason, offset })
  })
})

describe('GeneralizedTime is YYYYMMDDHHMMSSZ and nothing else (R1.63)', () => {
  test.each([
    ['a fraction', '20240402123747.5Z'],
    ['no seconds', '202404021237Z'],
    ['an offset', '20240402123747+0000'],
    ['no Z', '20240402123747'],
    ['a month that does not exist', '20241302123747Z'],
    ['29 February of a common year', '20230229000000Z'],
    ['hour 24', '20240402240000Z'],
    ['a leap second', '20161231235960Z'],
    ['a space for a digit', '2024040212374 Z'],
  ])('refuses %s', (_name, text) => {
    const der = `18 ${text.length.toString(16).padStart(2, '0')} ${Buffer.from(text).toString('hex')}`
    expect(refusal(der, (r) => r.generalizedTime())).toMatchObject({ reason: 'badTime', offset: 0 })
  })

  test('reads seconds since 1970', () => {
    const der = `18 0f ${Buffer.from('20240402123747Z').toString('hex')}`
    expect(new DERReader(hex(der)).generalizedTime()).toBe(Date.UTC(2024, 3, 2, 12, 37, 47) / 1000)
  })
})

describe('reads', () => {
  test('views of the input, not copies', () => {
    const der = hex('30 04 04 02 aabb')
    const view = new DERReader(der).sequence((r) => r.octetString())
    expect(view.buffer).toBe(der.buffer)
    expect(toHex(view)).toBe('aabb')
  })

  test('plain Uint8Arrays from a Buffer', () => {
    const view = new DERReader(Buffer.from('0402aabb', 'hex')).octetString()
    expect(view.constructor).toBe(Uint8Array)
  })

  test('an explicit tag only when it is there', () => {
    const reader = new DERReader(hex('a1 03 02 01 07'))
    expect(reader.optionalExplicit(0, (r) => r.integer())).toBeUndefined()
    expect(reader.optionalExplicit(1, (r) => r.integer())).toBe(7)
    expect(reader.optionalExplicit(2, (r) => r.integer())).toBeUndefined()
    expect(reader.atEnd).toBe(true)
  })

  test.each([
    ['02 01 00', 0],
    ['02 01 ff', -1],
    ['02 02 00 ff', 255],
    ['02 04 7fffffff', 0x7fffffff],
    ['02 04 80000000', -0x80000000],
  ])('the small INTEGER %s', (text, value) => {
    expect(new DERReader(hex(text)).integer()).toBe(value)
  })

  test('an INTEGER of 127 octets (R5.44)', () => {
    expect(new DERReader(hex(`02 7f ${'7f'.repeat(127)}`)).integerBytes()).toHaveLength(127)
  })

  test('a part of a larger input, with offsets of the whole', () => {
    const reader = new DERReader(hex('ffff 30 03 04 01'), 2, 6)
    expect(thrown(() => reader.sequence((r) => r.octetString()))).toMatchObject({
      reason: 'truncated',
      offset: 2,
    })
  })

  test('an element unchanged, header and all', () => {
    const reader = new DERReader(hex('30 02 05 00 04 00'))
    expect(toHex(reader.raw())).toBe('30020500')
    expect(toHex(reader.raw())).toBe('0400')
  })
})

describe('work is bounded', () => {
  test('nesting ends at 24 levels', () => {
    const nested = (levels: number): Uint8Array => {
      let der = hex('05 00')
      for (let i = 1; i < levels; i++) der = Uint8Array.of(0x30, der.length, ...der)
      return der
    }
    expect(new DERReader(nested(24)).any()).toHaveLength(48)
    expect(thrown(() => new DERReader(nested(25)).any())).toMatchObject({ reason: 'tooDeep', offset: 48 })
  })

  test('a reader visits no more elements than it may', () => {
    const many = new Uint8Array(2002)
    many.set([0x30, 0x82, 0x07, 0xce])
    for (let i = 4; i < many.length; i += 2) many[i] = 0x05
    const reader = new DERReader(many, 0, many.length, 100)
    expect(thrown(() => reader.any())).toMatchObject({ reason: 'tooLarge' })
    expect(reader.elements).toBe(101)
  })

  test('counting elements enters none and stops above the limit', () => {
    const reader = new DERReader(hex('05 00 05 00 05 00 05 00'))
    expect(reader.countElements(10)).toBe(4)
    expect(reader.countElements(2)).toBe(3)
    expect(reader.offset).toBe(0)
  })
})
