/** Input that is no certificate, or one that cannot be used. The message says what is wrong, and where if that is known. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
  readonly reason: 'badPEM' | 'noCertificate' | 'badDER' | 'notACertificate' | 'badExtension'
  /** Line of the PEM text, from 1. */
  readonly line: number | undefined
  /** Octet of the DER, from 0. */
  readonly offset: number | undefined

  constructor(
    reason: CertificateError['reason'],
    message: string,
    where: { readonly line?: number; readonly offset?: number } = {},
  ) {
    super(message)
    this.reason = reason
    this.line = where.line
    this.offset = where.offset
  }
}

/** One result of a check. */
export interface Finding {
  /** An error refuses the certificate, a warning is told and recorded. */
  readonly level: 'error' | 'warning'
  /** Stable, camelCase. */
  readonly code: string
  /** What is wrong and what to do. */
  readonly message: string
}
