const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Value of a character outside the alphabet. */
export const NOT_BASE64 = 0xff

/** Six-bit value of each ASCII code in the base64 alphabet of RFC 4648 section 4, else NOT_BASE64. */
export const BASE64_VALUES: Uint8Array = buildValues()

function buildValues(): Uint8Array {
  const values = new Uint8Array(128).fill(NOT_BASE64)
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i
  return values
}

/** Canonical base64 with padding. */
export function encodeBase64(octets: Uint8Array): string {
  let text = ''
  for (let i = 0; i < octets.length; i += 3) {
    const word = ((octets[i] ?? 0) << 16) | ((octets[i + 1] ?? 0) << 8) | (octets[i + 2] ?? 0)
    text += ALPHABET.charAt(word >> 18) + ALPHABET.charAt((word >> 12) & 63)
    text += i + 1 < octets.length ? ALPHABET.charAt((word >> 6) & 63) : '='
    text += i + 2 < octets.length ? ALPHABET.charAt(word & 63) : '='
  }
  return text
}

/** Octets of canonical base64 with padding and no white space; undefined for anything else. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const length = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
  const values = new Uint8Array(length)
  for (let i = 0; i < length; i++) {
    const value = BASE64_VALUES[text.charCodeAt(i)] ?? NOT_BASE64
    if (value === NOT_BASE64) return undefined
    values[i] = value
  }
  return packSextets(values, 0, length)
}

/**
 * Octets of the six-bit values `values[start..end)`; undefined when the length is impossible or the bits left over in the
 * last value are not zero. `into` may be `values` itself, which is then overwritten from its beginning.
 */
export function packSextets(
  values: Uint8Array,
  start: number,
  end: number,
  into?: Uint8Array,
): Uint8Array | undefined {
  const count = end - start
  const rest = count % 4
  if (rest === 1) return undefined
  const length = (count * 6) >> 3
  const out = into === undefined ? new Uint8Array(length) : into.subarray(0, length)
  let to = 0
  let at = start
  for (; at + 4 <= end; at += 4) {
    const a = values[at] ?? 0
    const b = values[at + 1] ?? 0
    const c = values[at + 2] ?? 0
    const d = values[at + 3] ?? 0
    out[to++] = (a << 2) | (b >> 4)
    out[to++] = ((b & 15) << 4) | (c >> 2)
    out[to++] = ((c & 3) << 6) | d
  }
  if (rest === 0) return out
  const a = values[at] ?? 0
  const b = values[at + 1] ?? 0
  const c = rest === 3 ? (values[at + 2] ?? 0) : 0
  out[to++] = (a << 2) | (b >> 4)
  if (rest === 2) return (b & 15) === 0 ? out : undefined
  out[to] = ((b & 15) << 4) | (c >> 2)
  return (c & 3) === 0 ? out : undefined
}
