import { crc32 as zlibCRC32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32 } from '../../src/bundle/crc32.ts'

const text = (s: string) => new TextEncoder().encode(s)

describe('CRC-32', () => {
  test.each([
    ['', 0],
    ['a', 0xe8b7be43],
    ['123456789', 0xcbf43926],
    ['The quick brown fox jumps over the lazy dog', 0x414fa339],
  ])('of "%s" is the published value', (s, expected) => {
    expect(crc32(text(s))).toBe(expected)
  })

  test('agrees with zlib for any bytes and any part of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), fc.nat(100), (bytes, a, b) => {
        const [start, end] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)]
        expect(crc32(bytes, start, end)).toBe(zlibCRC32(bytes.subarray(start, end)))
        expect(crc32(bytes, start, end, crc32(bytes, 0, start))).toBe(zlibCRC32(bytes.subarray(0, end)))
      }),
    )
  })
})
