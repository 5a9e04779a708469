import { BundleFault, type BundleFaultReason } from './bundle-layout.ts'

/** Reads big-endian numbers and runs of octets between two offsets; every step beyond the end is a BundleFault. */
export class ByteCursor {
  offset: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #end: number
  readonly #reason: BundleFaultReason

  constructor(bytes: Uint8Array, view: DataView, start: number, end: number, reason: BundleFaultReason) {
    this.offset = start
    this.#bytes = bytes
    this.#view = view
    this.#end = end
    this.#reason = reason
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  u40(): number {
    return this.u8() * 2 ** 32 + this.u32()
  }

  take(length: number): Uint8Array {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  finish(): void {
    if (this.offset !== this.#end) throw this.fault(`${this.#end - this.offset} octets too many`)
  }

  fault(what: string): BundleFault {
    return new BundleFault(this.#reason, this.offset, what)
  }

  #advance(length: number): number {
    const start = this.offset
    if (length > this.#end - start) throw this.fault('it ends too early')
    this.offset = start + length
    return start
  }
}
