/** What is wrong with DER that is well-formed but not a lawful OCSP message, or with the spelling of a GET target. */
export type OCSPDecodeErrorReason =
  | 'badVersion'
  | 'emptyRequestList'
  | 'tooManyRequests'
  | 'nonceLength'
  | 'unknownCriticalExtension'
  | 'duplicateExtension'
  | 'hashLength'
  | 'badHashParameters'
  | 'requestTooLarge'
  | 'badBase64'
  | 'badEscape'
  | 'badStatus'
  | 'badResponseType'

/** `offset` counts octets of the DER, or characters of a GET target for requestTooLarge, badBase64 and badEscape. */
export class OCSPDecodeError extends Error {
  readonly reason: OCSPDecodeErrorReason
  readonly offset: number

  constructor(reason: OCSPDecodeErrorReason, offset: number, detail?: string) {
    super(`${reason} at ${offset}${detail === undefined ? '' : `: ${detail}`}`)
    this.name = 'OCSPDecodeError'
    this.reason = reason
    this.offset = offset
  }
}
