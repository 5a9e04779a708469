/** Times as the admin API reads them. */
import { expect, test } from 'vitest'
import { formatTime, parseTime } from '../../src/admin-api/contract.ts'

test.each([
  ['2026-11-21T03:00:00Z', '2026-11-21T03:00:00Z'],
  ['2026-11-21t03:00:00.999z', '2026-11-21T03:00:00Z'],
  ['2026-11-21T03:00:00+01:00', '2026-11-21T02:00:00Z'],
  ['2028-02-29T23:59:59-01:00', '2028-03-01T00:59:59Z'],
  ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59Z'],
])('%s is %s', (text, expected) => {
  expect(formatTime(parseTime(text) ?? 0)).toBe(expected)
})

test.each([
  '2026-02-30T00:00:00Z',
  '2027-02-29T00:00:00Z',
  '2026-04-31T12:00:00+02:00',
  '2026-13-01T00:00:00Z',
  '2026-11-21T24:00:00Z',
  '2026-11-21T03:60:00Z',
  '1969-12-31T23:59:59Z',
  '2026-11-21',
  'tomorrow',
])('%s is none', (text) => {
  expect(parseTime(text)).toBeUndefined()
})
