/** Serial number -> 32-bit hash -> slot. A slot is what one bundle holds; an issuer has 2^k of them. */
import { hash32 } from './hash32.ts'

/** Largest k: 16.7 million slots of an issuer. */
export const MAX_K = 24

/** Hash of a serial number (content octets of the INTEGER), unsigned 32 bits. */
export function serialHash(serial: Uint8Array): number {
  return hash32(serial, 0)
}

/**
 * Slot of a serial hash: its top `k` bits, so that doubling splits slot s into 2s and 2s + 1.
 * @throws RangeError when k is not 0..24
 */
export function slotOf(hash: number, k: number): number {
  checkK(k)
  return k === 0 ? 0 : hash >>> (32 - k)
}

/**
 * Hashes that fall into a slot, both ends included: the bounds of one range scan.
 * @throws RangeError when k is not 0..24 or there is no such slot
 */
export function slotRange(slot: number, k: number): { from: number; to: number } {
  checkK(k)
  if (!Number.isInteger(slot) || slot < 0 || slot >= 2 ** k)
    throw new RangeError(`slot ${slot} is not below 2^${k}`)
  const size = 2 ** (32 - k)
  return { from: slot * size, to: slot * size + size - 1 }
}

/**
 * Key of a bundle, in KV and in the caches of data centres. The bundle of the issuer's default signature algorithm has no
 * algorithm in its key: that is what nearly everybody asks for.
 */
export function bundleKey(issuer: number, k: number, slot: number, algorithm?: string): string {
  const key = `b/${issuer}/${k}/${slot}`
  return algorithm === undefined ? key : `${key}/${algorithm}`
}

function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 0 || k > MAX_K) throw new RangeError(`k is ${k}, not 0 to ${MAX_K}`)
}
