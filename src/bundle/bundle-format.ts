/** The reader of bundles: opened in microseconds, searched in the raw bytes, never decoded as a whole. */
import type { CertStatus } from '../ocsp/cert-status.ts'
import { OCSPResponseTemplate } from '../ocsp/single-response-template.ts'
import type {
  BundleEntry,
  BundleFaultReason,
  BundleHeader,
  BundleResponder,
  BundleVariant,
  BundleWindow,
} from './bundle-layout.ts'
import * as layout from './bundle-layout.ts'
import { BundleFault } from './bundle-layout.ts'
import { ByteCursor } from './byte-cursor.ts'
import { crc32 } from './crc32.ts'

export type { BundleEntry, BundleFaultReason, BundleHeader, BundleResponder, BundleVariant, BundleWindow }
export { BundleFault }

/**
 * A bundle over bytes that it does not copy: they must not change while it is in use, and what it returns are views into
 * them unless stated otherwise.
 */
export class Bundle implements BundleHeader {
  readonly issuer: number
  readonly k: number
  readonly slot: number
  readonly asOf: number
  readonly variants: readonly BundleVariant[]
  readonly responders: readonly BundleResponder[]
  readonly windows: readonly BundleWindow[]
  readonly count: number
  readonly byteLength: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #indexStart: number
  /** CRC32 of header and index. Each entry's CRC starts from it, so that an entry of another bundle never fits. */
  readonly #headerCRC: number
  readonly #templates: (OCSPResponseTemplate | undefined)[] = []

  /**
   * Checks magic, version, length and the CRC32 of header and index, and reads the header. Entries are checked one by one
   * as they are read. Whether issuer, slot and asOf are the wanted ones is for the caller to ask.
   * @throws BundleFault; nothing else, whatever the bytes
   */
  static open(bytes: Uint8Array): Bundle {
    return new Bundle(bytes)
  }

  private constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const { FIXED_HEADER_BYTES, CRC_BYTES, DIGEST_BYTES, INDEX_ROW_BYTES } = layout
    if (bytes.length < 5) throw new BundleFault('badLength', bytes.length, 'too short for a bundle')
    if (view.getUint32(0) !== layout.MAGIC) throw new BundleFault('badMagic', 0, 'not a bundle')
    if (view.getUint8(4) !== layout.VERSION) throw new BundleFault('badVersion', 4, 'unknown version')
    if (bytes.length < FIXED_HEADER_BYTES + CRC_BYTES + DIGEST_BYTES) {
      throw new BundleFault('badLength', bytes.length, 'too short for a bundle')
    }
    if (view.getUint32(8) !== bytes.length || bytes.length > layout.MAX_BUNDLE_BYTES) {
      throw new BundleFault('badLength', 8, `${bytes.length} octets, the header says ${view.getUint32(8)}`)
    }
    this.byteLength = bytes.length
    this.#bytes = bytes
    this.#view = view
    this.#indexStart = view.getUint32(12)
    this.count = view.getUint32(16)
    const indexEnd = this.#indexStart + this.count * INDEX_ROW_BYTES
    if (this.#indexStart < FIXED_HEADER_BYTES || indexEnd + CRC_BYTES + DIGEST_BYTES > bytes.length) {
      throw new BundleFault('badLength', 12, 'header and index do not fit')
    }
    this.#headerCRC = crc32(bytes, 0, indexEnd, 0, view)
    if (this.#headerCRC !== view.getUint32(indexEnd)) {
      throw new BundleFault('badChecksum', indexEnd, 'header or index is damaged')
    }
    const cursor = new ByteCursor(bytes, view, 0, this.#indexStart, 'badHeader')
    cursor.offset = 5
    this.k = cursor.u8()
    const [variants, responders] = [cursor.u8(), cursor.u8()]
    cursor.offset = 20
    this.issuer = cursor.u32()
    this.slot = cursor.u32()
    this.asOf = cursor.u32() * 2 ** 32 + cursor.u32()
    const windows = cursor.u8()
    for (let i = 0; i < 3; i++) if (cursor.u8() !== 0) throw cursor.fault('a reserved octet is set')
    this.variants = readAll(cursor, variants, readVariant)
    this.responders = readAll(cursor, responders, readResponder)
    this.windows = readAll(cursor, windows, readWindow)
    cursor.finish()
    const problem = layout.headerProblem(this)
    if (problem !== undefined) throw cursor.fault(problem)
  }

  /**
   * The entry of a serial number whose hash (slot.ts serialHash) is `hash`; undefined when the bundle has none.
   * @throws BundleFault.badEntry, BundleFault.badChecksum
   */
  find(serial: Uint8Array, hash: number): BundleEntry | undefined {
    let low = 0
    for (let high = this.count; low < high; ) {
      const middle = (low + high) >>> 1
      if (this.#hashAt(middle) < hash) low = middle + 1
      else high = middle
    }
    // Equal hashes stand side by side; the full serial decides.
    for (let i = low; i < this.count && this.#hashAt(i) === hash; i++) {
      const cursor = this.#entryAt(i)
      if (isSame(cursor.take(cursor.u8()), serial)) return this.#readEntry(cursor, serial, hash)
    }
    return undefined
  }

  /**
   * Gives the memory of the octets back at once, instead of when V8 next looks for garbage: for who owns them. Afterwards
   * `find` throws, `response` gives nothing, and views into them are empty. No effect on octets that share their buffer.
   */
  release(): void {
    const { buffer } = this.#bytes
    if (buffer instanceof ArrayBuffer && buffer.byteLength === this.byteLength) buffer.transfer(0)
  }

  /**
   * The whole OCSPResponse in DER for an entry of this bundle and the variant of that index; undefined when the entry has
   * none or the octets were released. A rebuilt response is the caller's own, a verbatim one is a view.
   */
  response(entry: BundleEntry, variant: number): Uint8Array | undefined {
    if (this.#bytes.length === 0) return undefined
    const signature = entry.signatures[variant]
    if (signature === undefined) return entry.verbatim?.[variant]
    const { serial, certStatus, singleExtensions } = entry
    return this.#template(entry.window, variant)?.response(serial, certStatus, signature, singleExtensions)
  }

  /** As `response`, in octets that the next call may write over: for those who read them and have done. */
  responseView(entry: BundleEntry, variant: number): Uint8Array | undefined {
    if (this.#bytes.length === 0) return undefined
    const signature = entry.signatures[variant]
    if (signature === undefined) return entry.verbatim?.[variant]
    const { serial, certStatus, singleExtensions } = entry
    return this.#template(entry.window, variant)?.view(serial, certStatus, signature, singleExtensions)
  }

  /** Every entry, in the order of the index. @throws BundleFault at the first bad one */
  *entries(): IterableIterator<BundleEntry> {
    let before = -1
    for (let i = 0; i < this.count; i++) {
      const hash = this.#hashAt(i)
      const cursor = this.#entryAt(i)
      if (hash < before) throw cursor.fault('the index is not sorted')
      before = hash
      yield this.#readEntry(cursor, cursor.take(cursor.u8()), hash)
    }
  }

  /** Whether the SHA-256 in the trailer is that of everything before it. */
  async verifyDigest(): Promise<boolean> {
    const end = this.byteLength - layout.DIGEST_BYTES
    const digest = await crypto.subtle.digest('SHA-256', this.#bytes.slice(0, end))
    return isSame(new Uint8Array(digest), this.#bytes.subarray(end))
  }

  #hashAt(row: number): number {
    return this.#view.getUint32(this.#indexStart + row * layout.INDEX_ROW_BYTES)
  }

  /** The octets of an entry without its CRC, which has been checked. */
  #entryAt(row: number): ByteCursor {
    const at = this.#indexStart + row * layout.INDEX_ROW_BYTES + 4
    const first = this.#indexStart + this.count * layout.INDEX_ROW_BYTES + layout.CRC_BYTES
    const last = this.byteLength - layout.DIGEST_BYTES
    const start = this.#view.getUint32(at)
    const end = row + 1 < this.count ? this.#view.getUint32(at + layout.INDEX_ROW_BYTES) : last
    const contentEnd = end - layout.CRC_BYTES
    if (start < first || end > last || contentEnd <= start) {
      throw new BundleFault('badEntry', at, `entry ${row} is not between index and trailer`)
    }
    if (
      crc32(this.#bytes, start, contentEnd, this.#headerCRC, this.#view) !== this.#view.getUint32(contentEnd)
    ) {
      throw new BundleFault('badChecksum', start, `entry ${row} is damaged or of another bundle`)
    }
    return new ByteCursor(this.#bytes, this.#view, start, contentEnd, 'badEntry')
  }

  /** Reads on behind the serial. */
  #readEntry(cursor: ByteCursor, serial: Uint8Array, hash: number): BundleEntry {
    const flags = cursor.u8()
    const certStatus = readStatus(cursor, flags)
    const singleExtensions = (flags & layout.FLAG_EXTENSIONS) === 0 ? undefined : cursor.take(cursor.u16())
    const mask = (flags & layout.FLAG_VERBATIM) === 0 ? 0 : cursor.u8()
    const variants = this.variants.length
    if (mask >>> variants !== 0) throw cursor.fault('a verbatim response of no variant')
    const signatures: (Uint8Array | undefined)[] = []
    const verbatim: (Uint8Array | undefined)[] = []
    for (let i = 0; i < variants; i++) {
      const isVerbatim = ((mask >>> i) & 1) === 1
      const octets = cursor.take(isVerbatim ? cursor.u32() : cursor.u16())
      signatures.push(isVerbatim || octets.length === 0 ? undefined : octets)
      verbatim.push(isVerbatim ? octets : undefined)
    }
    cursor.finish()
    const entry: BundleEntry = {
      serial,
      certStatus,
      window: flags & layout.WINDOW_MASK,
      signatures,
      ...(singleExtensions === undefined ? {} : { singleExtensions }),
      ...(mask === 0 ? {} : { verbatim }),
    }
    const problem = layout.entryProblem(entry, hash, this)
    if (problem !== undefined) throw cursor.fault(problem)
    return entry
  }

  #template(window: number, variant: number): OCSPResponseTemplate | undefined {
    const key = window * this.variants.length + variant
    const cached = this.#templates[key]
    if (cached !== undefined) return cached
    const [times, certID] = [this.windows[window], this.variants[variant]]
    const responder = this.responders[times?.responder ?? -1]
    if (times === undefined || certID === undefined || responder === undefined) return undefined
    const { producedAt, thisUpdate, nextUpdate } = times
    const template = new OCSPResponseTemplate(
      { responderID: { byKey: responder.keyHash }, variant: certID, producedAt, thisUpdate, nextUpdate },
      responder.signatureAlgorithm,
      responder.certs,
    )
    this.#templates[key] = template
    return template
  }
}

function readAll<T>(cursor: ByteCursor, count: number, read: (cursor: ByteCursor) => T): T[] {
  const items: T[] = []
  for (let i = 0; i < count; i++) items.push(read(cursor))
  return items
}

function readVariant(cursor: ByteCursor): BundleVariant {
  const hash = layout.VARIANT_HASHES[cursor.u8() - 1]
  if (hash === undefined) throw cursor.fault('unknown hash algorithm')
  return {
    hashAlgorithm: hash.hashAlgorithm,
    issuerNameHash: cursor.take(hash.length),
    issuerKeyHash: cursor.take(hash.length),
  }
}

function readResponder(cursor: ByteCursor): BundleResponder {
  return {
    id: cursor.u32(),
    keyHash: cursor.take(20),
    signatureAlgorithm: cursor.take(cursor.u16()),
    certs: readAll(cursor, cursor.u8(), readCert),
  }
}

function readCert(cursor: ByteCursor): Uint8Array {
  return cursor.take(cursor.u32())
}

function readWindow(cursor: ByteCursor): BundleWindow {
  return {
    responder: cursor.u8(),
    thisUpdate: cursor.u40(),
    producedAt: cursor.u40(),
    nextUpdate: cursor.u40(),
  }
}

function readStatus(cursor: ByteCursor, flags: number): CertStatus {
  const status = (flags >>> layout.STATUS_SHIFT) & 3
  if (status === layout.STATUS_GOOD) return { type: 'good' }
  if (status === layout.STATUS_UNKNOWN) return { type: 'unknown' }
  if (status !== layout.STATUS_REVOKED) throw cursor.fault('unknown status')
  const revocationTime = cursor.u40()
  const revocationReason = cursor.u8()
  return revocationReason === 0
    ? { type: 'revoked', revocationTime }
    : { type: 'revoked', revocationTime, revocationReason }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
