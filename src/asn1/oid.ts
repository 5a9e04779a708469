import { DERError } from './error.ts'

/** Object identifiers that this codec meets on every request; the reader recognises their octets without building text. */
export const OID = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  ocspBasic: '1.3.6.1.5.5.7.48.1.1',
  ocspNonce: '1.3.6.1.5.5.7.48.1.2',
  ocspCRL: '1.3.6.1.5.5.7.48.1.3',
  ocspResponse: '1.3.6.1.5.5.7.48.1.4',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
  ocspArchiveCutoff: '1.3.6.1.5.5.7.48.1.6',
  ocspServiceLocator: '1.3.6.1.5.5.7.48.1.7',
  ocspPreferredSignatureAlgorithms: '1.3.6.1.5.5.7.48.1.8',
  ocspExtendedRevoke: '1.3.6.1.5.5.7.48.1.9',
  crlReasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  certHash: '1.3.36.8.3.13',
  sctList: '1.3.6.1.4.1.11129.2.4.5',
  sha256WithRSAEncryption: '1.2.840.113549.1.1.11',
  rsassaPss: '1.2.840.113549.1.1.10',
  ecdsaWithSHA256: '1.2.840.10045.4.3.2',
  ecdsaWithSHA384: '1.2.840.10045.4.3.3',
  ecdsaWithSHA512: '1.2.840.10045.4.3.4',
  ed25519: '1.3.101.112',
} as const

/** Longest OBJECT IDENTIFIER read or written, in content octets: room for three UUID arcs. A long arc costs quadratic time. */
const MAX_OID_OCTETS = 64
/** Arcs of up to this many base-128 digits fit in a double without loss. */
const SMALL_ARC_DIGITS = 7

interface KnownOID {
  readonly oid: string
  readonly octets: Uint8Array
}

const BY_TEXT = new Map<string, Uint8Array>()
const BY_OCTETS = new Map<number, KnownOID[]>()
for (const oid of Object.values(OID)) {
  const octets = buildOID(oid)
  BY_TEXT.set(oid, octets)
  const key = lookupKey(octets, 0, octets.length)
  BY_OCTETS.set(key, [...(BY_OCTETS.get(key) ?? []), { oid, octets }])
}

/**
 * Content octets of a dotted OID. The array may be shared: do not mutate it.
 * @throws DERError.badOID when the text is not an object identifier
 */
export function encodeOID(oid: string): Uint8Array {
  return BY_TEXT.get(oid) ?? buildOID(oid)
}

/**
 * Dotted text of the content octets `bytes[start..end)`; `offset` is what an error names.
 * @throws DERError.{badOID, tooLarge}
 */
export function decodeOID(bytes: Uint8Array, start = 0, end = bytes.length, offset = start): string {
  const candidates = BY_OCTETS.get(lookupKey(bytes, start, end))
  if (candidates !== undefined) {
    for (const known of candidates) if (sameOctets(known.octets, bytes, start)) return known.oid
  }
  if (end <= start || (bytes[end - 1] ?? 0) >= 0x80) throw new DERError('badOID', offset)
  if (end - start > MAX_OID_OCTETS) throw new DERError('tooLarge', offset, 'OBJECT IDENTIFIER')
  let text = ''
  let at = start
  while (at < end) {
    if (bytes[at] === 0x80) throw new DERError('badOID', offset, 'arc with leading zeros')
    let stop = at
    while ((bytes[stop] ?? 0) >= 0x80) stop++
    text += text === '' ? firstArcs(bytes, at, stop) : `.${arcText(bytes, at, stop)}`
    at = stop + 1
  }
  return text
}

function firstArcs(bytes: Uint8Array, at: number, stop: number): string {
  if (at === stop) {
    const value = bytes[at] ?? 0
    const root = value < 40 ? 0 : value < 80 ? 1 : 2
    return `${root}.${value - root * 40}`
  }
  return `2.${BigInt(arcText(bytes, at, stop)) - 80n}`
}

function arcText(bytes: Uint8Array, at: number, stop: number): string {
  if (stop - at < SMALL_ARC_DIGITS) return String(arcPart(bytes, at, stop + 1))
  let value = 0n
  for (let from = at; from <= stop; from += SMALL_ARC_DIGITS) {
    const to = Math.min(from + SMALL_ARC_DIGITS, stop + 1)
    value = (value << BigInt(7 * (to - from))) + BigInt(arcPart(bytes, from, to))
  }
  return value.toString()
}

function arcPart(bytes: Uint8Array, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) value = value * 128 + ((bytes[i] ?? 0) & 0x7f)
  return value
}

function buildOID(oid: string): Uint8Array {
  if (oid.length > 3 * MAX_OID_OCTETS || !/^[012](\.(0|[1-9]\d*))+$/.test(oid)) {
    throw new DERError('badOID', 0, oid.slice(0, 64))
  }
  const [root = 0n, second = 0n, ...rest] = oid.split('.').map(BigInt)
  if (root < 2n && second > 39n) throw new DERError('badOID', 0, oid)
  const octets: number[] = []
  for (const arc of [root * 40n + second, ...rest]) {
    const digits = [Number(arc & 0x7fn)]
    for (let left = arc >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80)
    octets.push(...digits)
  }
  if (octets.length > MAX_OID_OCTETS) throw new DERError('tooLarge', 0, 'OBJECT IDENTIFIER')
  return Uint8Array.from(octets)
}

function lookupKey(bytes: Uint8Array, start: number, end: number): number {
  return (end - start) * 256 + (bytes[end - 1] ?? 0)
}

function sameOctets(known: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = known.length - 1; i >= 0; i--) if (known[i] !== bytes[start + i]) return false
  return true
}
