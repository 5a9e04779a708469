import { describe, expect, test } from 'vitest'
import { hash32 } from '../../src/bundle/hash32.ts'
import { bundleKey, serialHash, slotOf, slotRange } from '../../src/bundle/slot.ts'

describe('slots', () => {
  test.each([
    [0xffffffff, 0, 0],
    [0x7fffffff, 1, 0],
    [0x80000000, 1, 1],
    [0xabcdef01, 8, 0xab],
    [0xabcdef01, 24, 0xabcdef],
  ])('hash %i at k = %i is in slot %i', (hash, k, slot) => {
    expect(slotOf(hash, k)).toBe(slot)
  })

  test.each([
    [0, 0, { from: 0, to: 0xffffffff }],
    [1, 1, { from: 0x80000000, to: 0xffffffff }],
    [0xab, 8, { from: 0xab000000, to: 0xabffffff }],
    [0xffffff, 24, { from: 0xffffff00, to: 0xffffffff }],
  ])('slot %i at k = %i holds the hashes of its range', (slot, k, range) => {
    expect(slotRange(slot, k)).toEqual(range)
    expect(slotOf(range.from, k)).toBe(slot)
    expect(slotOf(range.to, k)).toBe(slot)
  })

  test('doubling splits slot s into 2s and 2s + 1', () => {
    for (let i = 0; i < 1000; i++) {
      const hash = serialHash(Uint8Array.of(i >> 8, i & 0xff))
      expect(slotOf(hash, 7) >> 1).toBe(slotOf(hash, 6))
    }
  })

  test('the hash of a serial is murmur3 with seed 0', () => {
    const serial = Uint8Array.of(0x12, 0x34, 0x56)
    expect(serialHash(serial)).toBe(hash32(serial, 0))
  })

  test('a bundle has a key of its own for each algorithm but the default, whose key names none (R1.87)', () => {
    expect(bundleKey(3, 4, 15)).toBe('b/3/4/15')
    expect(bundleKey(3, 4, 15, 'Ed25519')).toBe('b/3/4/15/Ed25519')
  })

  test.each([
    ['k below 0', () => slotOf(0, -1)],
    ['k above 24', () => slotOf(0, 25)],
    ['k not whole', () => slotRange(0, 1.5)],
    ['slot beyond the last', () => slotRange(2, 1)],
    ['slot below 0', () => slotRange(-1, 1)],
  ])('refuses %s', (_what, call) => {
    expect(call).toThrow(RangeError)
  })
})
