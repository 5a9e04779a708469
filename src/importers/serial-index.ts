/** Remembers on which line each serial first stood, in about 25 octets a serial: an exact Map costs five times that. */

const START_CAPACITY = 1 << 12
const MAX_LOAD = 0.6

/**
 * Open addressing over 64-bit fingerprints. Two different serials share one with a probability of 1 in 4e7 for a whole
 * file of a million lines; the caller only ever reports a duplicate, it drops nothing for one.
 */
export class SerialIndex {
  #high = new Uint32Array(START_CAPACITY)
  #low = new Uint32Array(START_CAPACITY)
  /** 0 = free. */
  #line = new Uint32Array(START_CAPACITY)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns the line where the serial stood first, or undefined when it is new (and now remembered) */
  remember(serial: string, line: number): number | undefined {
    if (this.#size >= this.#line.length * MAX_LOAD) this.#grow()
    const [high, low] = fingerprint(serial)
    const at = this.#find(high, low)
    const first = this.#line[at]
    if (first !== undefined && first !== 0) return first
    this.#high[at] = high
    this.#low[at] = low
    this.#line[at] = line
    this.#size += 1
    return undefined
  }

  #find(high: number, low: number): number {
    const mask = this.#line.length - 1
    let at = low & mask
    while (this.#line[at] !== 0 && (this.#high[at] !== high || this.#low[at] !== low)) at = (at + 1) & mask
    return at
  }

  #grow(): void {
    const [high, low, line] = [this.#high, this.#low, this.#line]
    const capacity = line.length * 2
    this.#high = new Uint32Array(capacity)
    this.#low = new Uint32Array(capacity)
    this.#line = new Uint32Array(capacity)
    for (const [from, lineNumber] of line.entries()) {
      if (lineNumber === 0) continue
      const [oldHigh, oldLow] = [high[from] ?? 0, low[from] ?? 0]
      const at = this.#find(oldHigh, oldLow)
      this.#high[at] = oldHigh
      this.#low[at] = oldLow
      this.#line[at] = lineNumber
    }
  }
}

/** Two independent multiplicative lanes over the characters, mixed at the end. Not for use against an adversary. */
function fingerprint(text: string): [high: number, low: number] {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    high = Math.imul(high ^ code, 2_654_435_761)
    low = Math.imul(low ^ code, 1_597_334_677)
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  return [high >>> 0, low >>> 0]
}
