import { describe, expect, test } from 'vitest'
import { hash32 } from '../../src/bundle/hash32.ts'

const text = (s: string) => new TextEncoder().encode(s)

describe('MurmurHash3_x86_32', () => {
  test.each([
    // Published vectors: lengths 0 to 4 cover every tail, seeds cover the sign bit.
    ['', 0, 0x00000000],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['ffffffff', 0, 0x76293b50],
    ['21436587', 0, 0xf55b516b],
    ['21436587', 0x5082edee, 0x2362f9de],
    ['214365', 0, 0x7e4a8634],
    ['2143', 0, 0xa0f7b07a],
    ['21', 0, 0x72661cf4],
    ['00000000', 0, 0x2362f9de],
    ['000000', 0, 0x85f0b427],
    ['0000', 0, 0x30f4c306],
    ['00', 0, 0x514e28b7],
  ])('of %s with seed %i is the published value', (hex, seed, expected) => {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16))
    expect(hash32(bytes, seed)).toBe(expected)
  })

  test.each([
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
    ['test', 0, 0xba6bd213],
  ])('of the text %s is the published value', (s, seed, expected) => {
    expect(hash32(text(s), seed)).toBe(expected)
  })

  test('reads a view of a larger buffer, not the buffer', () => {
    expect(hash32(text('xxtestxx').subarray(2, 6))).toBe(0xba6bd213)
  })
})
