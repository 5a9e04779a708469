/** Certificates of a slot in one column of text, and how it is read: this stands in the signing stage, once for each certificate. */
import type { CertificateRow } from '../ports/records.ts'
import { type Row, textIn } from './database.ts'
import { decodeHex } from './hex.ts'
import { corrupt, STATUSES } from './record-codec.ts'

/**
 * The columns of a certificate (record-codec.ts) as one: D1 makes an object of each row, and its columns take longer than the rest.
 * NULL, which no column but reason and extensions may be, makes all of it NULL.
 */
export const PACKED_CERTIFICATE =
  "hex(c.serial) || ' ' || c.status || ' ' || c.revoked_at || ' ' || coalesce(c.reason, '') || ' ' || c.not_before || ' ' || " +
  "c.not_after || ' ' || c.changed_at || ' ' || c.rev || ' ' || c.reserved || ' ' || c.is_ca || ' ' || hex(c.extensions) AS packed"

/** @throws StorageError corrupt */
export function decodePackedCertificate(row: Row): CertificateRow {
  const fields = new PackedFields(textIn(row, 'packed'))
  const serial = decodeHex(fields.text('serial'))
  const known = STATUSES[fields.integer('status')]
  const revocationTime = fields.integer('revoked_at')
  const reason = fields.optionalInteger('reason')
  const notBefore = fields.integer('not_before')
  const notAfter = fields.integer('not_after')
  const changedAt = fields.integer('changed_at')
  const rev = fields.integer('rev')
  const isReserved = fields.integer('reserved') === 1
  const isCA = fields.integer('is_ca') === 1
  const extensions = fields.text('extensions')
  if (known === undefined) throw corrupt('certificates.status')
  const status = isReserved ? ('reserved' as const) : known
  const found = { serial, status, revocationTime, reason, notBefore, notAfter, changedAt, rev }
  if (!isCA && extensions === '') return found
  return {
    ...found,
    ...(isCA ? { isCA } : undefined),
    ...(extensions === '' ? undefined : { extensions: decodeHex(extensions) }),
  }
}

const SPACE = 0x20
const ZERO = 0x30
const NINE = 0x39
/** So many are summed up exactly as far as integers are safe. */
const SAFE_DIGITS = 16

/** Fields with a space between them, read one after the other: every certificate of a slot passes here before it is signed for. */
class PackedFields {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** @throws StorageError corrupt when there are no more */
  text(column: string): string {
    const start = this.#at
    if (start > this.#text.length) return fail(column)
    const space = this.#text.indexOf(' ', start)
    const end = space < 0 ? this.#text.length : space
    this.#at = end + 1
    return this.#text.slice(start, end)
  }

  optionalInteger(column: string): number | undefined {
    if (this.#text.charCodeAt(this.#at) !== SPACE) return this.integer(column)
    this.#at += 1
    return undefined
  }

  integer(column: string): number {
    const start = this.#at
    let [at, value] = [start, 0]
    for (
      let code = this.#text.charCodeAt(at);
      code >= ZERO && code <= NINE;
      code = this.#text.charCodeAt(at)
    ) {
      value = value * 10 + code - ZERO
      at += 1
    }
    const isPlain = at > start && at - start <= SAFE_DIGITS && this.#text.charCodeAt(at) === SPACE
    if (isPlain && Number.isSafeInteger(value)) {
      this.#at = at + 1
      return value
    }
    const text = this.text(column)
    const other = Number(text)
    return text !== '' && Number.isSafeInteger(other) ? other : fail(column)
  }
}

function fail(column: string): never {
  throw corrupt(`certificates.${column}`)
}
