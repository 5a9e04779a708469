/**
 * What a bundle says and which values are lawful in it: types, limits and checks shared by reader and writer. The bytes are
 * described in docs/bundle-format.md.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { CertIDVariant } from '../ocsp/single-response-template.ts'
import { slotOf } from './slot.ts'

/** One CertID hash of the issuer that the bundle has signatures for. */
export type BundleVariant = CertIDVariant

/** Who signed: what stands once in the bundle instead of in each response. */
export interface BundleResponder {
  readonly id: number
  /** ResponderID byKey: SHA-1 of the public key's BIT STRING value, 20 octets. */
  readonly keyHash: Uint8Array
  /** DER of the AlgorithmIdentifier in BasicOCSPResponse. */
  readonly signatureAlgorithm: Uint8Array
  /** DER certificates, the signer's first; empty when the CA key signs itself (R1.58, R1.59). */
  readonly certs: readonly Uint8Array[]
}

/** Times and responder that many entries share. `responder` is an index into the bundle's responders. */
export interface BundleWindow {
  readonly responder: number
  readonly thisUpdate: UnixSeconds
  readonly producedAt: UnixSeconds
  readonly nextUpdate: UnixSeconds
}

/** One certificate: its status and, for each variant of the bundle, a signature or a whole response. */
export interface BundleEntry {
  /** Minimal content octets of the INTEGER, 1 to 255. */
  readonly serial: Uint8Array
  readonly certStatus: CertStatus
  /** Index into the bundle's windows. */
  readonly window: number
  /** One per variant, in its order; undefined: no signature for that variant. */
  readonly signatures: readonly (Uint8Array | undefined)[]
  /** DER of Extensions. */
  readonly singleExtensions?: Uint8Array
  /** One per variant: a whole OCSPResponse in DER, kept because it would not re-encode from the rest. */
  readonly verbatim?: readonly (Uint8Array | undefined)[]
}

export interface BundleHeader {
  readonly issuer: number
  readonly k: number
  readonly slot: number
  /** Position in the issuer's sequence up to which every change is in here, < 2^53. */
  readonly asOf: number
  readonly variants: readonly BundleVariant[]
  readonly responders: readonly BundleResponder[]
  readonly windows: readonly BundleWindow[]
  /** Number of entries. */
  readonly count: number
}

export type BundleFaultReason =
  | 'badMagic'
  | 'badVersion'
  | 'badLength'
  | 'badChecksum'
  | 'badHeader'
  | 'badEntry'

/** These bytes are not a bundle, not whole, not intact or not lawful. For a store that is a miss, never an answer. */
export class BundleFault extends Error {
  override readonly name = 'BundleFault'
  readonly reason: BundleFaultReason
  /** Octets from the start of the bundle to where the fault was seen. */
  readonly offset: number

  constructor(reason: BundleFaultReason, offset: number, what: string) {
    super(`${what} (${reason} at octet ${offset})`)
    this.reason = reason
    this.offset = offset
  }
}

/** Hard cap of one bundle: 2 MiB. A KV value may be 25 MiB, but a reader holds several bundles in 128 MB. */
export const MAX_BUNDLE_BYTES = 2 * 1024 * 1024
export const MAX_WINDOWS = 16
export const MAX_RESPONDERS = 16

/** "EOB" and the MS-DOS end-of-file character, so that no text can be taken for a bundle. */
export const MAGIC = 0x454f421a
export const VERSION = 1
/** Octets before the variants. */
export const FIXED_HEADER_BYTES = 40
export const WINDOW_BYTES = 16
/** Octets of one row of the index: u32 hash, u32 offset. */
export const INDEX_ROW_BYTES = 8
export const CRC_BYTES = 4
export const DIGEST_BYTES = 32

export const STATUS_GOOD = 0
export const STATUS_REVOKED = 1
export const STATUS_UNKNOWN = 2
export const WINDOW_MASK = 0x0f
export const STATUS_SHIFT = 4
export const FLAG_EXTENSIONS = 0x40
export const FLAG_VERBATIM = 0x80

/** Position is the code of the hash in the variant, less 1. */
export const VARIANT_HASHES = [
  { hashAlgorithm: 'SHA-1', length: 20 },
  { hashAlgorithm: 'SHA-256', length: 32 },
  { hashAlgorithm: 'SHA-384', length: 48 },
  { hashAlgorithm: 'SHA-512', length: 64 },
] as const

/** 9999-12-31T23:59:59Z, the last moment GeneralizedTime can say; it needs 38 bits. */
const MAX_TIME: UnixSeconds = 253_402_300_799
/** CRLReason without unspecified, which is said by leaving the field out (RFC 5280 5.3.1, R4.22), and the unused 7. */
const REASONS = 0b111_0111_1110

/** Whether the header may stand in a bundle: undefined, or what is wrong with it. */
export function headerProblem(header: BundleHeader): string | undefined {
  const { issuer, k, slot, asOf, variants, responders, windows, count } = header
  if (!isUint(issuer, 2 ** 32 - 1)) return `issuer id ${issuer} is not an unsigned 32-bit number`
  if (!isUint(k, 24)) return `k is ${k}, not 0 to 24`
  if (!isUint(slot, 2 ** k - 1)) return `slot ${slot} is not below 2^${k}`
  if (!isUint(asOf, Number.MAX_SAFE_INTEGER)) return `asOf ${asOf} is not below 2^53`
  if (variants.length < 1 || variants.length > VARIANT_HASHES.length) return `${variants.length} variants`
  if (responders.length > MAX_RESPONDERS) return `${responders.length} responders, at most ${MAX_RESPONDERS}`
  if (windows.length > MAX_WINDOWS) return `${windows.length} windows, at most ${MAX_WINDOWS}`
  if (!isUint(count, 2 ** 32 - 1)) return `${count} entries`
  const seen = new Set<string>()
  for (const [i, { hashAlgorithm, issuerNameHash, issuerKeyHash }] of variants.entries()) {
    const length = VARIANT_HASHES.find((hash) => hash.hashAlgorithm === hashAlgorithm)?.length
    if (issuerNameHash.length !== length || issuerKeyHash.length !== length) {
      return `variant ${i}: the issuer hashes are not ${hashAlgorithm} values`
    }
    if (seen.has(hashAlgorithm)) return `variant ${i}: ${hashAlgorithm} a second time`
    seen.add(hashAlgorithm)
  }
  for (const [i, { id, keyHash, signatureAlgorithm, certs }] of responders.entries()) {
    if (!isUint(id, 2 ** 32 - 1)) return `responder ${i}: id ${id} is not an unsigned 32-bit number`
    if (keyHash.length !== 20) return `responder ${i}: the key hash has ${keyHash.length} octets, not 20`
    if (!isSequence(signatureAlgorithm)) return `responder ${i}: the signature algorithm is not one SEQUENCE`
    if (certs.length > 255) return `responder ${i}: ${certs.length} certificates`
    if (!certs.every(isSequence)) return `responder ${i}: a certificate is not one SEQUENCE`
  }
  for (const [i, { responder, thisUpdate, producedAt, nextUpdate }] of windows.entries()) {
    if (!isUint(responder, responders.length - 1)) return `window ${i}: there is no responder ${responder}`
    if (![thisUpdate, producedAt, nextUpdate].every(isTime)) return `window ${i}: a time is out of range`
    if (nextUpdate < thisUpdate) return `window ${i}: nextUpdate is before thisUpdate`
  }
  return undefined
}

/** Whether an entry whose serial hashes to `hash` may stand under this header: undefined, or what is wrong with it. */
export function entryProblem(entry: BundleEntry, hash: number, header: BundleHeader): string | undefined {
  const { serial, certStatus, window, signatures, singleExtensions, verbatim } = entry
  const variants = header.variants.length
  if (!isMinimalInteger(serial)) return 'the serial is not 1 to 255 minimal INTEGER octets'
  if (slotOf(hash, header.k) !== header.slot) return `the serial belongs to slot ${slotOf(hash, header.k)}`
  if (!isUint(window, header.windows.length - 1)) return `there is no window ${window}`
  if (certStatus.type === 'revoked') {
    const { revocationTime, revocationReason } = certStatus
    if (!isTime(revocationTime)) return `revocationTime ${revocationTime} is out of range`
    if (revocationReason !== undefined && revocationReason !== 0 && !isReason(revocationReason)) {
      return `revocationReason ${revocationReason} is not a CRLReason`
    }
  }
  if (singleExtensions !== undefined && !isSequence(singleExtensions)) {
    return 'singleExtensions is not one SEQUENCE'
  }
  if (signatures.length > variants || (verbatim?.length ?? 0) > variants) {
    return 'more signatures or verbatim responses than variants'
  }
  if (verbatim?.some((response) => response !== undefined && !isSequence(response)) === true) {
    return 'a verbatim response is not one SEQUENCE'
  }
  return undefined
}

function isUint(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}

function isTime(time: UnixSeconds): boolean {
  return isUint(time, MAX_TIME)
}

function isReason(reason: number): boolean {
  return isUint(reason, 31) && ((REASONS >>> reason) & 1) === 1
}

/** Two's complement without a leading octet that says nothing (X.690 8.3.2). */
function isMinimalInteger(octets: Uint8Array): boolean {
  const [first = -1, second = -1] = octets
  if (octets.length < 1 || octets.length > 255) return false
  return octets.length === 1 || !((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80))
}

/** Whether the octets are exactly one SEQUENCE with a definite minimal length; what is in it is not looked at. */
function isSequence(der: Uint8Array): boolean {
  const first = der[1] ?? 0x80
  if (der[0] !== 0x30) return false
  if (first < 0x80) return der.length === 2 + first
  const octets = first & 0x7f
  if (octets === 0 || octets > 4) return false
  let length = 0
  for (let i = 2; i < 2 + octets; i++) length = length * 256 + (der[i] ?? 0)
  return length >= 0x80 && length >= 256 ** (octets - 1) && der.length === 2 + octets + length
}
