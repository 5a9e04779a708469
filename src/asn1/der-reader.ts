import { DERError, type DERErrorReason } from './error.ts'
import { decodeGeneralizedTime, type UnixSeconds } from './generalized-time.ts'
import { decodeOID } from './oid.ts'

/** Identifier octets, primitive or constructed as DER demands. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** Identifier octet of [n] EXPLICIT, or of [n] IMPLICIT over a constructed type. */
export function contextConstructed(tagNumber: number): number {
  return 0xa0 | tagNumber
}

/** Identifier octet of [n] IMPLICIT over a primitive type. */
export function contextPrimitive(tagNumber: number): number {
  return 0x80 | tagNumber
}

/** Deepest nesting that `any` walks into. OCSP itself needs 9 levels. */
const MAX_DEPTH = 24
/** Elements a reader visits before it gives up, unless told otherwise. Bounds the work for hostile input. */
const DEFAULT_MAX_ELEMENTS = 20_000
/** Longer object identifiers than any of X.509 or OCSP. */
const SHORT_OID_OCTETS = 16
/** Longest INTEGER: serial numbers far beyond RFC 5280's 20 octets are looked up by value (R5.44). */
const MAX_INTEGER_OCTETS = 127

/**
 * A strict DER cursor over `bytes[start..end)`. Fields are read in the order of the ASN.1 definition; whatever is
 * returned as octets is a view into `bytes` (do not mutate). Offsets, also those in errors, count from the start of `bytes`.
 * @throws DERError from every method
 * @see ITU-T X.690 sections 8 and 10
 */
export class DERReader {
  readonly #bytes: Uint8Array
  readonly #maxElements: number
  #at: number
  #end: number
  #elements = 0

  constructor(bytes: Uint8Array, start = 0, end = bytes.length, maxElements = DEFAULT_MAX_ELEMENTS) {
    // A Buffer's subarray() is another Buffer, slower and unequal to a Uint8Array of the same octets.
    this.#bytes =
      bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#at = start
    this.#end = end
    this.#maxElements = maxElements
  }

  /** Octets from the start of the input to the next element. */
  get offset(): number {
    return this.#at
  }

  /** Elements visited so far: the measure of work done. */
  get elements(): number {
    return this.#elements
  }

  get atEnd(): boolean {
    return this.#at >= this.#end
  }

  /** Identifier octet of the next element, undefined at the end. */
  peekTag(): number | undefined {
    return this.#at < this.#end ? this.#bytes[this.#at] : undefined
  }

  /** Refuses data after the last element. */
  finish(): void {
    if (this.#at < this.#end) this.#fail('trailingData', this.#at)
  }

  sequence<T>(read: (reader: DERReader) => T): T {
    return this.constructed(TAG.sequence, read)
  }

  /** [n] EXPLICIT. */
  explicit<T>(tagNumber: number, read: (reader: DERReader) => T): T {
    return this.constructed(contextConstructed(tagNumber), read)
  }

  /** [n] EXPLICIT OPTIONAL. */
  optionalExplicit<T>(tagNumber: number, read: (reader: DERReader) => T): T | undefined {
    const tag = contextConstructed(tagNumber)
    return this.#at < this.#end && this.#bytes[this.#at] === tag ? this.constructed(tag, read) : undefined
  }

  /** An element that holds others: runs `read` on its content, which must be read to its end. */
  constructed<T>(tag: number, read: (reader: DERReader) => T): T {
    const contentEnd = this.#open(tag)
    const outerEnd = this.#end
    this.#end = contentEnd
    const value = read(this)
    if (this.#at !== contentEnd) this.#fail('trailingData', this.#at)
    this.#end = outerEnd
    return value
  }

  /** SEQUENCE OF, any number of elements. */
  sequenceOf<T>(readElement: (reader: DERReader) => T): T[] {
    const contentEnd = this.#open(TAG.sequence)
    const outerEnd = this.#end
    this.#end = contentEnd
    const values: T[] = []
    while (this.#at < contentEnd) values.push(readElement(this))
    this.#end = outerEnd
    return values
  }

  /** Counts the elements from here to the end of what holds them, without entering any; stops above `limit`. */
  countElements(limit: number): number {
    const start = this.#at
    let count = 0
    while (this.#at < this.#end && count <= limit) {
      this.#at = this.#openAny()
      count++
    }
    this.#at = start
    return count
  }

  oid(): string {
    const start = this.#at
    const end = this.#open(TAG.oid)
    // Arcs beyond 53 bits cost a hundred times what an element costs, so they count for more.
    if (end - this.#at > SHORT_OID_OCTETS) this.#spend(end - this.#at, start)
    const value = decodeOID(this.#bytes, this.#at, end, start)
    this.#at = end
    return value
  }

  /** Content octets of an INTEGER: minimal two's complement, at most 127 octets. */
  integerBytes(): Uint8Array {
    const start = this.#at
    const end = this.#open(TAG.integer)
    this.#checkInteger(start, end)
    if (end - this.#at > MAX_INTEGER_OCTETS) this.#fail('tooLarge', start)
    return this.#take(end)
  }

  /** A small INTEGER. @throws DERError.tooLarge beyond 32 bits */
  integer(): number {
    return this.#smallInteger(TAG.integer)
  }

  enumerated(): number {
    return this.#smallInteger(TAG.enumerated)
  }

  octetString(): Uint8Array {
    return this.#take(this.#open(TAG.octetString))
  }

  /** Octets of a BIT STRING whose length is a multiple of 8 bits, as every signature's is. */
  bitString(): Uint8Array {
    const start = this.#at
    const end = this.#open(TAG.bitString)
    if (end === this.#at || this.#bytes[this.#at] !== 0) this.#fail('badBitString', start)
    this.#at++
    return this.#take(end)
  }

  boolean(): boolean {
    const start = this.#at
    const end = this.#open(TAG.boolean)
    this.#checkBoolean(start, end)
    const value = this.#bytes[this.#at] === 0xff
    this.#at = end
    return value
  }

  /** BOOLEAN DEFAULT FALSE: DER leaves a default out, so FALSE in writing is an error (X.690 11.5). */
  optionalTrue(): boolean {
    if (this.peekTag() !== TAG.boolean) return false
    const start = this.#at
    if (!this.boolean()) this.#fail('badBoolean', start)
    return true
  }

  generalizedTime(): UnixSeconds {
    const start = this.#at
    const end = this.#open(TAG.generalizedTime)
    const value = decodeGeneralizedTime(this.#bytes, this.#at, end, start)
    this.#at = end
    return value
  }

  /** A primitive element with this identifier octet and no content, such as [n] IMPLICIT NULL. */
  empty(tag: number): void {
    const start = this.#at
    if (this.#open(tag) !== this.#at) this.#fail('badValue', start)
  }

  /** The whole next element, identifier and length included; only its own header is checked. */
  raw(tag?: number): Uint8Array {
    const start = this.#at
    const end = tag === undefined ? this.#openAny() : this.#open(tag)
    this.#at = start
    return this.#take(end)
  }

  /** The whole next element, whatever it is, checked to be DER all the way down. */
  any(): Uint8Array {
    const start = this.#at
    const end = this.#validate(1)
    this.#at = start
    return this.#take(end)
  }

  #validate(depth: number): number {
    const start = this.#at
    if (depth > MAX_DEPTH) this.#fail('tooDeep', start)
    const end = this.#openAny()
    const tag = this.#bytes[start] ?? 0
    if ((tag & 0x20) !== 0) {
      // In the universal class only SEQUENCE, SET, EXTERNAL and EMBEDDED PDV are constructed; strings are primitive.
      if (tag < 0x40 && tag !== TAG.sequence && tag !== TAG.set && tag !== 0x28 && tag !== 0x2b) {
        this.#fail('unexpectedTag', start)
      }
      const outerEnd = this.#end
      this.#end = end
      while (this.#at < end) this.#validate(depth + 1)
      this.#end = outerEnd
      return end
    }
    if (tag === TAG.boolean) this.#checkBoolean(start, end)
    else if (tag === TAG.integer || tag === TAG.enumerated) this.#checkInteger(start, end)
    else if (tag === TAG.null && end !== this.#at) this.#fail('badValue', start)
    else if (tag === 0x10 || tag === 0x11) this.#fail('unexpectedTag', start)
    this.#at = end
    return end
  }

  #checkBoolean(start: number, end: number): void {
    const octet = this.#bytes[this.#at]
    if (end - this.#at !== 1 || (octet !== 0 && octet !== 0xff)) this.#fail('badBoolean', start)
  }

  #checkInteger(start: number, end: number): void {
    const first = this.#bytes[this.#at] ?? 0
    const second = this.#bytes[this.#at + 1] ?? 0
    const length = end - this.#at
    if (length === 0) this.#fail('nonMinimalInteger', start)
    if (length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      this.#fail('nonMinimalInteger', start)
    }
  }

  #smallInteger(tag: number): number {
    const start = this.#at
    const end = this.#open(tag)
    this.#checkInteger(start, end)
    if (end - this.#at > 4) this.#fail('tooLarge', start)
    let value = (this.#bytes[this.#at] ?? 0) >= 0x80 ? -1 : 0
    for (; this.#at < end; this.#at++) value = (value << 8) | (this.#bytes[this.#at] ?? 0)
    return value
  }

  #take(end: number): Uint8Array {
    const view = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return view
  }

  /** Reads identifier and length, moves to the content and returns its end. */
  #open(tag: number): number {
    const start = this.#at
    if (start >= this.#end) this.#fail('truncated', start)
    if (this.#bytes[start] !== tag) this.#fail('unexpectedTag', start)
    return this.#openLength(start)
  }

  #openAny(): number {
    const start = this.#at
    if (start >= this.#end) this.#fail('truncated', start)
    // Tag numbers above 30 occur nowhere in OCSP or X.509; 00 00 is BER's end-of-contents.
    const tag = this.#bytes[start] ?? 0
    if ((tag & 0x1f) === 0x1f || tag === 0) this.#fail('unexpectedTag', start)
    return this.#openLength(start)
  }

  #openLength(start: number): number {
    this.#spend(1, start)
    let at = start + 1
    if (at >= this.#end) this.#fail('truncated', start)
    let length = this.#bytes[at++] ?? 0
    if (length >= 0x80) {
      if (length === 0x80) this.#fail('indefiniteLength', start)
      const count = length & 0x7f
      if (at + count > this.#end) this.#fail('truncated', start)
      if (this.#bytes[at] === 0) this.#fail('nonMinimalLength', start)
      if (count > 4) this.#fail('tooLarge', start)
      length = 0
      for (let i = 0; i < count; i++) length = length * 256 + (this.#bytes[at++] ?? 0)
      if (length < 0x80) this.#fail('nonMinimalLength', start)
    }
    const end = at + length
    if (end > this.#end) this.#fail('truncated', start)
    this.#at = at
    return end
  }

  #spend(elements: number, offset: number): void {
    this.#elements += elements
    if (this.#elements > this.#maxElements) this.#fail('tooLarge', offset, 'too many elements')
  }

  #fail(reason: DERErrorReason, offset: number, detail?: string): never {
    throw new DERError(reason, offset, detail)
  }
}
