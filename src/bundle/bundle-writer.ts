/** Entries -> the bytes of a bundle: see docs/bundle-format.md. */
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { BundleEntry, BundleHeader } from './bundle-layout.ts'
import * as layout from './bundle-layout.ts'
import { crc32 } from './crc32.ts'
import { serialHash } from './slot.ts'

/** What goes into a bundle. The entries may come in any order. */
export interface BundleContent extends Omit<BundleHeader, 'count'> {
  readonly entries: readonly BundleEntry[]
}

/**
 * Encodes a bundle, entries sorted by (hash, serial). The same content gives the same bytes.
 * @throws RangeError that names the place: a value that a bundle cannot hold, a serial of another slot, the same serial
 * twice, an entry without any response, or more than MAX_BUNDLE_BYTES
 */
export async function encodeBundle(content: BundleContent): Promise<Uint8Array<ArrayBuffer>> {
  const header: BundleHeader = { ...content, count: content.entries.length }
  const problem = layout.headerProblem(header)
  if (problem !== undefined) throw new RangeError(problem)
  const rows = content.entries.map((entry) => ({ entry, hash: serialHash(entry.serial), size: 0 }))
  rows.sort((a, b) => a.hash - b.hash || compareBytes(a.entry.serial, b.entry.serial))

  const headerSize = sizeOfHeader(header)
  const indexEnd = headerSize + rows.length * layout.INDEX_ROW_BYTES
  let total = indexEnd + layout.CRC_BYTES + layout.DIGEST_BYTES
  let before: Uint8Array | undefined
  for (const row of rows) {
    const { entry, hash } = row
    const wrong = layout.entryProblem(entry, hash, header) ?? writeProblem(entry)
    if (wrong !== undefined) throw new RangeError(`entry ${hex(entry.serial)}: ${wrong}`)
    if (before !== undefined && compareBytes(before, entry.serial) === 0) {
      throw new RangeError(`entry ${hex(entry.serial)}: the serial stands twice`)
    }
    before = entry.serial
    row.size = sizeOfEntry(entry, header.variants.length)
    total += row.size
  }
  if (total > layout.MAX_BUNDLE_BYTES) {
    throw new RangeError(
      `the bundle has ${total} octets, at most ${layout.MAX_BUNDLE_BYTES}: double the slots`,
    )
  }

  const writer = new Writer(total)
  writeHeader(writer, header, total, headerSize)
  let offset = indexEnd + layout.CRC_BYTES
  for (const { hash, size } of rows) {
    writer.u32(hash)
    writer.u32(offset)
    offset += size
  }
  const headerCRC = crc32(writer.bytes, 0, writer.offset)
  writer.u32(headerCRC)
  for (const { entry } of rows) {
    const start = writer.offset
    writeEntry(writer, entry, header.variants.length)
    writer.u32(crc32(writer.bytes, start, writer.offset, headerCRC, writer.view))
  }
  const digest = await crypto.subtle.digest('SHA-256', writer.bytes.subarray(0, writer.offset))
  writer.put(new Uint8Array(digest))
  return writer.bytes
}

function writeHeader(writer: Writer, header: BundleHeader, total: number, headerSize: number): void {
  writer.u32(layout.MAGIC)
  writer.u8(layout.VERSION)
  writer.u8(header.k)
  writer.u8(header.variants.length)
  writer.u8(header.responders.length)
  writer.u32(total)
  writer.u32(headerSize)
  writer.u32(header.count)
  writer.u32(header.issuer)
  writer.u32(header.slot)
  writer.u32(Math.floor(header.asOf / 2 ** 32))
  writer.u32(header.asOf % 2 ** 32)
  writer.u8(header.windows.length)
  for (let reserved = 0; reserved < 3; reserved++) writer.u8(0)
  for (const { hashAlgorithm, issuerNameHash, issuerKeyHash } of header.variants) {
    writer.u8(1 + layout.VARIANT_HASHES.findIndex((hash) => hash.hashAlgorithm === hashAlgorithm))
    writer.put(issuerNameHash)
    writer.put(issuerKeyHash)
  }
  for (const { id, keyHash, signatureAlgorithm, certs } of header.responders) {
    writer.u32(id)
    writer.put(keyHash)
    writer.u16(signatureAlgorithm.length)
    writer.put(signatureAlgorithm)
    writer.u8(certs.length)
    for (const cert of certs) {
      writer.u32(cert.length)
      writer.put(cert)
    }
  }
  for (const { responder, thisUpdate, producedAt, nextUpdate } of header.windows) {
    writer.u8(responder)
    writer.u40(thisUpdate)
    writer.u40(producedAt)
    writer.u40(nextUpdate)
  }
}

function sizeOfHeader({ variants, responders, windows }: BundleHeader): number {
  let size = layout.FIXED_HEADER_BYTES + windows.length * layout.WINDOW_BYTES
  for (const { issuerNameHash, issuerKeyHash } of variants) {
    size += 1 + issuerNameHash.length + issuerKeyHash.length
  }
  for (const { keyHash, signatureAlgorithm, certs } of responders) {
    size += 4 + keyHash.length + 2 + signatureAlgorithm.length + 1
    for (const cert of certs) size += 4 + cert.length
  }
  return size
}

function writeEntry(writer: Writer, entry: BundleEntry, variants: number): void {
  const { serial, certStatus, window, signatures, singleExtensions, verbatim } = entry
  const mask = verbatimMask(entry)
  writer.u8(serial.length)
  writer.put(serial)
  writer.u8(
    window |
      (statusCode(certStatus) << layout.STATUS_SHIFT) |
      (singleExtensions === undefined ? 0 : layout.FLAG_EXTENSIONS) |
      (mask === 0 ? 0 : layout.FLAG_VERBATIM),
  )
  if (certStatus.type === 'revoked') {
    writer.u40(certStatus.revocationTime)
    writer.u8(certStatus.revocationReason ?? 0)
  }
  if (singleExtensions !== undefined) {
    writer.u16(singleExtensions.length)
    writer.put(singleExtensions)
  }
  if (mask !== 0) writer.u8(mask)
  for (let i = 0; i < variants; i++) {
    const whole = verbatim?.[i]
    const signature = signatures[i]
    if (whole === undefined) writer.u16(signature?.length ?? 0)
    else writer.u32(whole.length)
    writer.put(whole ?? signature ?? NOTHING)
  }
}

function sizeOfEntry(entry: BundleEntry, variants: number): number {
  const { serial, certStatus, signatures, singleExtensions, verbatim } = entry
  let size = 1 + serial.length + 1 + layout.CRC_BYTES
  if (certStatus.type === 'revoked') size += 6
  if (singleExtensions !== undefined) size += 2 + singleExtensions.length
  if (verbatimMask(entry) !== 0) size += 1
  for (let i = 0; i < variants; i++) {
    const whole = verbatim?.[i]
    size += whole === undefined ? 2 + (signatures[i]?.length ?? 0) : 4 + whole.length
  }
  return size
}

/** What only the writer can get wrong: lengths that their fields cannot say, and nothing to answer with. */
function writeProblem(entry: BundleEntry): string | undefined {
  const { signatures, singleExtensions, verbatim } = entry
  if ((singleExtensions?.length ?? 0) > 0xffff) return 'singleExtensions is longer than 65535 octets'
  let responses = 0
  for (let i = 0; i < signatures.length; i++) {
    const signature = signatures[i]
    if (signature === undefined) continue
    if (signature.length < 1 || signature.length > 0xffff) return `signature ${i} is not 1 to 65535 octets`
    if (verbatim?.[i] !== undefined) return `variant ${i} has a signature and a verbatim response`
    responses += 1
  }
  if (responses === 0 && verbatimMask(entry) === 0) return 'it has no response for any variant'
  return undefined
}

function verbatimMask({ verbatim }: BundleEntry): number {
  if (verbatim === undefined) return 0
  let mask = 0
  for (const [i, whole] of verbatim.entries()) if (whole !== undefined) mask |= 1 << i
  return mask
}

function statusCode({ type }: CertStatus): number {
  if (type === 'good') return layout.STATUS_GOOD
  return type === 'revoked' ? layout.STATUS_REVOKED : layout.STATUS_UNKNOWN
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const NOTHING = new Uint8Array()

/** Fills bytes of a known length with big-endian numbers and runs of octets. */
class Writer {
  readonly bytes: Uint8Array<ArrayBuffer>
  offset = 0
  readonly view: DataView

  constructor(length: number) {
    this.bytes = new Uint8Array(length)
    this.view = new DataView(this.bytes.buffer)
  }

  u8(value: number): void {
    this.view.setUint8(this.offset, value)
    this.offset += 1
  }

  u16(value: number): void {
    this.view.setUint16(this.offset, value)
    this.offset += 2
  }

  u32(value: number): void {
    this.view.setUint32(this.offset, value)
    this.offset += 4
  }

  u40(value: number): void {
    this.u8(Math.floor(value / 2 ** 32))
    this.u32(value % 2 ** 32)
  }

  put(octets: Uint8Array): void {
    this.bytes.set(octets, this.offset)
    this.offset += octets.length
  }
}
