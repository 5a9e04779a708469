/** MurmurHash3_x86_32: the hash that spreads serial numbers over slots and orders the index of a bundle. */

/**
 * Hash of `bytes`, an unsigned 32-bit number. Not keyed and not for security: who can choose serial numbers can choose
 * collisions, which cost a few extra comparisons and nothing else.
 * @see https://github.com/aappleby/smhasher MurmurHash3_x86_32
 */
export function hash32(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length
  const blocksEnd = length & ~3
  let h = seed | 0
  for (let i = 0; i < blocksEnd; i += 4) {
    h ^= scramble(
      (bytes[i] ?? 0) |
        ((bytes[i + 1] ?? 0) << 8) |
        ((bytes[i + 2] ?? 0) << 16) |
        ((bytes[i + 3] ?? 0) << 24),
    )
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  if (blocksEnd < length) {
    let tail = 0
    for (let i = length - 1; i >= blocksEnd; i--) tail = (tail << 8) | (bytes[i] ?? 0)
    h ^= scramble(tail)
  }
  h ^= length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}
