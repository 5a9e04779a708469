/**
 * ECDSA signatures: WebCrypto speaks raw r || s (IEEE P1363), X.509 speaks DER.
 * ```asn1
 * Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }
 * ```
 * @see RFC 3279 2.2.3
 */

/** Signatures are cut from one: memory of its own for each takes longer than to encode it. */
const SLAB_OCTETS = 32_768
let slab = new Uint8Array(0)
let slabUsed = 0

function allocate(length: number): Uint8Array {
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_OCTETS)
    slabUsed = 0
  }
  slabUsed += length
  return slab.subarray(slabUsed - length, slabUsed)
}

/**
 * Minimal DER of a raw signature: this stands in the signing loop.
 * @param raw r || s, each of the curve's coordinate length
 */
export function encodeECDSASignature(raw: Uint8Array): Uint8Array {
  const half = raw.length >> 1
  const rStart = firstSignificant(raw, 0, half)
  const sStart = firstSignificant(raw, half, raw.length)
  const rPad = (raw[rStart] ?? 0) >> 7
  const sPad = (raw[sStart] ?? 0) >> 7
  const rLength = half - rStart + rPad
  const sLength = raw.length - sStart + sPad
  const content = 4 + rLength + sLength
  // P-521 is the only curve whose content passes 127 octets; none reaches 256.
  const header = content > 127 ? 3 : 2
  const der = allocate(header + content)
  der[0] = 0x30
  if (header === 3) der[1] = 0x81
  der[header - 1] = content
  der[header] = 0x02
  der[header + 1] = rLength
  // Octet by octet: views of so few take longer to make.
  let at = header + 2 + rPad
  for (let i = rStart; i < half; i++) der[at++] = raw[i] ?? 0
  der[at++] = 0x02
  der[at++] = sLength
  at += sPad
  for (let i = sStart; i < raw.length; i++) der[at++] = raw[i] ?? 0
  return der
}

/**
 * Raw r || s of a DER signature.
 * @returns undefined when it is not minimal DER, or an integer is negative, zero or longer than the coordinate
 */
export function decodeECDSASignature(der: Uint8Array, coordinateBytes: number): Uint8Array | undefined {
  const raw = new Uint8Array(2 * coordinateBytes)
  const long = der[1] === 0x81
  const content = long ? der[2] : der[1]
  const header = long ? 3 : 2
  if (der[0] !== 0x30 || content === undefined || content + header !== der.length) return undefined
  if (long ? content < 128 : content > 127) return undefined
  const afterR = decodeInteger(der, header, raw, 0, coordinateBytes)
  if (afterR === undefined) return undefined
  const end = decodeInteger(der, afterR, raw, coordinateBytes, coordinateBytes)
  return end === der.length ? raw : undefined
}

function decodeInteger(
  der: Uint8Array,
  at: number,
  into: Uint8Array,
  offset: number,
  width: number,
): number | undefined {
  const length = der[at + 1]
  const first = der[at + 2]
  if (der[at] !== 0x02 || length === undefined || length === 0 || first === undefined) return undefined
  const end = at + 2 + length
  if (length > width + 1 || end > der.length || first > 0x7f) return undefined
  const padded = first === 0
  if (padded && (length === 1 || (der[at + 3] ?? 0) < 0x80)) return undefined
  const significant = padded ? length - 1 : length
  if (significant > width) return undefined
  into.set(der.subarray(end - significant, end), offset + width - significant)
  return end
}

/** The last octet stays even when it is zero: INTEGER 0 has one content octet. */
function firstSignificant(bytes: Uint8Array, from: number, to: number): number {
  let at = from
  while (at < to - 1 && bytes[at] === 0) at += 1
  return at
}
