import { contextConstructed, TAG } from './der-reader.ts'
import { DERError } from './error.ts'
import { encodeGeneralizedTime, type UnixSeconds } from './generalized-time.ts'
import { encodeOID } from './oid.ts'

const INITIAL_CAPACITY = 512

/**
 * Writes DER in the order of the ASN.1 definition. Lengths are minimal by construction: an element is closed after its
 * content is known, and long content is moved up to make room for its length octets.
 * @see ITU-T X.690 section 10
 */
export class DERWriter {
  #bytes = new Uint8Array(INITIAL_CAPACITY)
  #at = 0

  /** The octets written so far, in an array of their own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at)
  }

  sequence(write: (writer: DERWriter) => void): void {
    this.constructed(TAG.sequence, write)
  }

  /** [n] EXPLICIT. */
  explicit(tagNumber: number, write: (writer: DERWriter) => void): void {
    this.constructed(contextConstructed(tagNumber), write)
  }

  sequenceOf<T>(values: readonly T[], writeElement: (value: T, writer: DERWriter) => void): void {
    const start = this.#begin(TAG.sequence)
    for (const value of values) writeElement(value, this)
    this.#close(start)
  }

  constructed(tag: number, write: (writer: DERWriter) => void): void {
    const start = this.#begin(tag)
    write(this)
    this.#close(start)
  }

  /** An element with these content octets. */
  primitive(tag: number, content: Uint8Array): void {
    const start = this.#begin(tag)
    this.raw(content)
    this.#close(start)
  }

  oid(oid: string): void {
    this.primitive(TAG.oid, encodeOID(oid))
  }

  /** An INTEGER from its content octets. @throws DERError.nonMinimalInteger unless they are minimal two's complement */
  integerBytes(content: Uint8Array): void {
    const [first, second = 0] = content
    const padded =
      content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
    if (first === undefined || padded) throw new DERError('nonMinimalInteger', this.#at)
    this.primitive(TAG.integer, content)
  }

  /** An INTEGER of up to 32 bits. */
  integer(value: number): void {
    this.primitive(TAG.integer, smallIntegerOctets(value))
  }

  enumerated(value: number): void {
    this.primitive(TAG.enumerated, smallIntegerOctets(value))
  }

  octetString(content: Uint8Array): void {
    this.primitive(TAG.octetString, content)
  }

  /** A BIT STRING of whole octets. */
  bitString(octets: Uint8Array): void {
    const start = this.#begin(TAG.bitString)
    this.#reserve(1)
    this.#bytes[this.#at++] = 0
    this.raw(octets)
    this.#close(start)
  }

  boolean(value: boolean): void {
    this.primitive(TAG.boolean, Uint8Array.of(value ? 0xff : 0))
  }

  generalizedTime(t: UnixSeconds): void {
    this.primitive(TAG.generalizedTime, encodeGeneralizedTime(t))
  }

  /** Octets as they are: an element encoded elsewhere. */
  raw(octets: Uint8Array): void {
    this.#reserve(octets.length)
    this.#bytes.set(octets, this.#at)
    this.#at += octets.length
  }

  #begin(tag: number): number {
    this.#reserve(2)
    const start = this.#at
    this.#bytes[this.#at++] = tag
    this.#bytes[this.#at++] = 0
    return start
  }

  #close(start: number): void {
    const content = start + 2
    const length = this.#at - content
    if (length < 0x80) {
      this.#bytes[start + 1] = length
      return
    }
    let extra = 1
    while (length >= 256 ** extra) extra++
    this.#reserve(extra)
    this.#bytes.copyWithin(content + extra, content, this.#at)
    this.#at += extra
    this.#bytes[start + 1] = 0x80 | extra
    let left = length
    for (let at = content + extra - 1; at >= content; at--) {
      this.#bytes[at] = left % 256
      left = Math.floor(left / 256)
    }
  }

  #reserve(count: number): void {
    const needed = this.#at + count
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
  }
}

function smallIntegerOctets(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) {
    throw new DERError('tooLarge', 0, `${value}`)
  }
  const octets = [value & 0xff]
  for (let left = value >> 8; left !== ((octets[0] ?? 0) >= 0x80 ? -1 : 0); left >>= 8) {
    octets.unshift(left & 0xff)
  }
  return Uint8Array.from(octets)
}
