/** Octets <-> hex, as SQLite's hex() and unhex() do. encodeHex is formatSerial: any octets will do. */
import { StorageError } from '../ports/errors.ts'

export { formatSerial as encodeHex } from '../pkix/serial-number.ts'

/** @throws StorageError corrupt when the text is not an even number of hex digits */
export function decodeHex(text: string): Uint8Array {
  const octets = new Uint8Array(text.length >> 1)
  for (let i = 0; i < octets.length; i++) {
    const octet = (digit(text.charCodeAt(2 * i)) << 4) | digit(text.charCodeAt(2 * i + 1))
    if (octet < 0) throw new StorageError('corrupt', 'hex text with something else than hex digits')
    octets[i] = octet
  }
  if (text.length % 2 !== 0) throw new StorageError('corrupt', 'hex text of an odd number of digits')
  return octets
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
