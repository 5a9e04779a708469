/** The packed form of a certificate's row says what its columns say, and what it cannot say is corrupt. */
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import { decodePackedCertificate, PACKED_CERTIFICATE } from '../../src/storage/packed-certificate.ts'
import { CERTIFICATE_COLUMNS, decodeCertificateRow } from '../../src/storage/record-codec.ts'

const COLUMNS = [
  ...['serial', 'status', 'revoked_at', 'reason', 'not_before', 'not_after', 'changed_at', 'rev'],
  ...['reserved', 'is_ca', 'extensions'],
]
type Value = Uint8Array | number | null
const GOOD: readonly Value[] = [Uint8Array.of(0x15, 0xff), 0, 0, null, 0, 0, 0, 1, 0, 0, null]

/** A table without the constraints of the real one: rows can be edited by hand. */
function rowOf(columns: string, values: readonly Value[]): Record<string, unknown> {
  const db = new DatabaseSync(':memory:')
  try {
    db.exec(`CREATE TABLE certificates (${COLUMNS.join(', ')})`)
    db.prepare(`INSERT INTO certificates VALUES (${COLUMNS.map(() => '?').join(', ')})`).run(...values)
    return { ...db.prepare(`SELECT ${columns} FROM certificates c`).get() }
  } finally {
    db.close()
  }
}

const changed = (column: string, value: Value) => GOOD.with(COLUMNS.indexOf(column), value)

test.each<[string, readonly Value[]]>([
  ['good, with nothing known', GOOD],
  [
    'revoked, with everything known',
    [
      new Uint8Array(127).fill(0x7f),
      1,
      1_795_230_000,
      1,
      5,
      253_402_300_799,
      1_795_230_001,
      2 ** 53 - 1,
      0,
      1,
      Uint8Array.of(0x30, 0),
    ],
  ],
  ['on hold', [Uint8Array.of(1), 2, 7, 6, 0, 9, 8, 1_795_230_000_000_000, 0, 0, null]],
  ['released', changed('status', 3)],
  ['reserved', changed('reserved', 1)],
])('a row that is %s', (_what, values) => {
  const packed = decodePackedCertificate(rowOf(PACKED_CERTIFICATE, values))
  expect(packed).toEqual(decodeCertificateRow(rowOf(CERTIFICATE_COLUMNS, values)))
})

test.each<[string, Value]>([
  ['status', 4],
  ['status', null],
  ['revoked_at', null],
  ['rev', null],
  ['not_after', 1.5],
  ['changed_at', 2 ** 60],
  ['reserved', null],
  ['rev', 2 ** 53],
  ['rev', 9_007_199_254_740_994],
])('a row whose %s is %s is corrupt', (column, value) => {
  expect(() => decodePackedCertificate(rowOf(PACKED_CERTIFICATE, changed(column, value)))).toThrow(
    StorageError,
  )
})
