/** What is wrong with the bytes, by X.690 rule. */
export type DERErrorReason =
  | 'truncated'
  | 'unexpectedTag'
  | 'nonMinimalLength'
  | 'indefiniteLength'
  | 'nonMinimalInteger'
  | 'trailingData'
  | 'badBoolean'
  | 'badOID'
  | 'badTime'
  | 'badBitString'
  | 'tooDeep'
  | 'tooLarge'
  | 'badValue'

/** Bytes that are not the DER (X.690 section 10) of what was asked for. `offset` counts octets from the start of the input. */
export class DERError extends Error {
  readonly reason: DERErrorReason
  readonly offset: number

  constructor(reason: DERErrorReason, offset: number, detail?: string) {
    super(`${reason} at octet ${offset}${detail === undefined ? '' : `: ${detail}`}`)
    this.name = 'DERError'
    this.reason = reason
    this.offset = offset
  }
}
