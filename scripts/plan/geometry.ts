/** Slots and bundles: how many there are and how large they get. */
import { SPLIT_BYTES, SPLIT_MIN_ENTRIES } from '../../src/storage/slot-rules.ts'
import { type Algorithm, CERTIFICATE_BYTES, RESPONSE_BYTES, SERIAL_BYTES, SLOT_ENTRIES } from './figures.ts'

const MAX_K = 24
/** Octets of issuerNameHash and issuerKeyHash together, by hash: SHA-1, SHA-256, SHA-384, SHA-512. */
const HASHES_BYTES = [40, 64, 96, 128]
/** docs/bundle-format.md: fixed header, CRC and digest; then name and certificates of a responder; a window; an index row. */
const FRAME_BYTES = 40 + 4 + 32
const RESPONDER_BYTES = 4 + 20 + 2 + 12 + 1 + 4
const WINDOW_BYTES = 16
const INDEX_ROW_BYTES = 8
/** Of an entry beside serial and signatures: two lengths of one octet, CRC. A signature has a length of two. */
const ENTRY_BYTES = 1 + 1 + 4
const LENGTH_BYTES = 2

export interface Geometry {
  /** Of all issuers together. */
  readonly slots: number
  /** Certificates in one, on average. */
  readonly entries: number
  /** Octets of a bundle, on average. */
  readonly bundleBytes: number
}

export function bundleBytes(
  entries: number,
  hashes: number,
  algorithm: Pick<Algorithm, 'signatureBytes' | 'spkiBytes'>,
  windows: number,
): number {
  const variants = HASHES_BYTES.slice(0, hashes).reduce((sum, bytes) => sum + 1 + bytes, 0)
  const header =
    FRAME_BYTES + variants + RESPONDER_BYTES + certificateBytes(algorithm) + windows * WINDOW_BYTES
  const entry =
    INDEX_ROW_BYTES + ENTRY_BYTES + SERIAL_BYTES + hashes * (LENGTH_BYTES + algorithm.signatureBytes)
  return header + entries * entry
}

/** Octets of one response in DER with its responder's certificate. */
export function responseBytes(algorithm: Pick<Algorithm, 'signatureBytes' | 'spkiBytes'>): number {
  return RESPONSE_BYTES - CERTIFICATE_BYTES + certificateBytes(algorithm) + algorithm.signatureBytes - 71
}

/** The certificate has the same key type as its CA here. */
function certificateBytes({
  signatureBytes,
  spkiBytes,
}: Pick<Algorithm, 'signatureBytes' | 'spkiBytes'>): number {
  return CERTIFICATE_BYTES + (signatureBytes - 71) + (spkiBytes - 91)
}

/**
 * Of issuers that grew to their size. A slot that passes SLOT_ENTRIES certificates or SPLIT_BYTES doubles them all (FULL in
 * src/storage/slot-growth.ts), so what counts is the fullest of them: certificates fall into slots by chance.
 */
export function geometryOf(
  certs: number,
  issuers: number,
  hashes: number,
  algorithm: Algorithm,
  windows = 2,
): Geometry {
  const each = certs / issuers
  let k = 0
  for (; k < MAX_K; k += 1) {
    const fullest = fullestOf(each / 2 ** k, 2 ** k)
    const isSplit =
      fullest > SPLIT_MIN_ENTRIES && bundleBytes(fullest, hashes, algorithm, windows) > SPLIT_BYTES
    if (fullest <= SLOT_ENTRIES && !isSplit) break
  }
  const slots = issuers * 2 ** k
  const entries = certs / slots
  return { slots, entries, bundleBytes: bundleBytes(entries, hashes, algorithm, windows) }
}

/** The largest of so many slots: mean and deviation of a Poisson distribution, and how far the extreme of n lies out. */
function fullestOf(mean: number, slots: number): number {
  return mean + Math.sqrt(mean) * Math.sqrt(2 * Math.log(Math.max(slots, 1)))
}
