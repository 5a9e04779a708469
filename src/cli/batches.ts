/** Rows for the admin API, cut so that every call stays below its bounds. */
import { type CertificateInput, MAX_BODY_BYTES, MAX_CERTIFICATES_PER_CALL } from '../admin-api/contract.ts'

/** Braces, `publish` and what else stands around the rows. */
const ENVELOPE_BYTES = 1024

export function* batchesOf<T>(
  rows: readonly T[],
  toInput: (row: T) => CertificateInput,
): Generator<{ readonly rows: readonly T[]; readonly certificates: readonly CertificateInput[] }> {
  let batch: T[] = []
  let certificates: CertificateInput[] = []
  let bytes = ENVELOPE_BYTES
  for (const row of rows) {
    const input = toInput(row)
    const size = JSON.stringify(input).length + 1
    if (batch.length === MAX_CERTIFICATES_PER_CALL || (batch.length > 0 && bytes + size > MAX_BODY_BYTES)) {
      yield { rows: batch, certificates }
      batch = []
      certificates = []
      bytes = ENVELOPE_BYTES
    }
    batch.push(row)
    certificates.push(input)
    bytes += size
  }
  if (batch.length > 0) yield { rows: batch, certificates }
}
