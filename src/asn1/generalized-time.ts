import { DERError } from './error.ts'

/** Seconds since 1970-01-01T00:00:00Z, a whole number. */
export type UnixSeconds = number

const SECONDS_PER_DAY = 86_400
/** 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of year can say. */
const EARLIEST = -62_167_219_200
const LATEST = 253_402_300_799
/** 99991231235959Z: no end (RFC 5280 4.1.2.5, R4.52). */
export const NO_END: UnixSeconds = LATEST
const LENGTH = 15
const ZERO = 0x30
const NINE = 0x39
const ZULU = 0x5a

/**
 * Text of a GeneralizedTime in the only form that RFC 5280 4.1.2.5.2 allows: `YYYYMMDDHHMMSSZ`.
 * @throws DERError.badTime for a fraction of a second or a year outside 0000..9999
 */
export function formatGeneralizedTime(t: UnixSeconds): string {
  let text = ''
  for (const octet of encodeGeneralizedTime(t)) text += String.fromCharCode(octet)
  return text
}

/** The 15 content octets of a GeneralizedTime. @throws DERError.badTime as formatGeneralizedTime */
export function encodeGeneralizedTime(t: UnixSeconds): Uint8Array {
  if (!Number.isInteger(t) || t < EARLIEST || t > LATEST) throw new DERError('badTime', 0, `${t} seconds`)
  const days = Math.floor(t / SECONDS_PER_DAY)
  const second = t - days * SECONDS_PER_DAY
  const date = civilFromDays(days)
  const out = new Uint8Array(LENGTH)
  putDigits(out, 0, 4, date.year)
  putDigits(out, 4, 2, date.month)
  putDigits(out, 6, 2, date.day)
  putDigits(out, 8, 2, Math.floor(second / 3600))
  putDigits(out, 10, 2, Math.floor(second / 60) % 60)
  putDigits(out, 12, 2, second % 60)
  out[14] = ZULU
  return out
}

/** Reads `YYYYMMDDHHMMSSZ`. @throws DERError.badTime for any other form or a date that does not exist */
export function parseGeneralizedTime(text: string): UnixSeconds {
  const octets = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    octets[i] = code < 0x80 ? code : 0
  }
  return decodeGeneralizedTime(octets, 0, octets.length, 0)
}

/** Reads the content octets `bytes[start..end)`; `offset` is what an error names. @throws DERError.badTime */
export function decodeGeneralizedTime(
  bytes: Uint8Array,
  start: number,
  end: number,
  offset: number,
): UnixSeconds {
  if (end - start !== LENGTH || bytes[start + 14] !== ZULU) throw new DERError('badTime', offset)
  const year = digits(bytes, start, 2, offset) * 100 + digits(bytes, start + 2, 2, offset)
  const month = digits(bytes, start + 4, 2, offset)
  const day = digits(bytes, start + 6, 2, offset)
  const hour = digits(bytes, start + 8, 2, offset)
  const minute = digits(bytes, start + 10, 2, offset)
  const second = digits(bytes, start + 12, 2, offset)
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) {
    throw new DERError('badTime', offset, 'no such date')
  }
  if (hour > 23 || minute > 59 || second > 59) throw new DERError('badTime', offset, 'no such time of day')
  return daysFromCivil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
}

function digits(bytes: Uint8Array, start: number, count: number, offset: number): number {
  let value = 0
  for (let i = start; i < start + count; i++) {
    const octet = bytes[i] ?? 0
    if (octet < ZERO || octet > NINE) throw new DERError('badTime', offset)
    value = value * 10 + octet - ZERO
  }
  return value
}

function putDigits(out: Uint8Array, at: number, count: number, value: number): void {
  let rest = value
  for (let i = at + count - 1; i >= at; i--) {
    out[i] = ZERO + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

// Calendar arithmetic in 400-year eras that begin on 1 March (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
// Date is no help here: it reads the years 0..99 as 1900..1999.
const DAYS_PER_ERA = 146_097
const DAYS_TO_EPOCH = 719_468

function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * DAYS_PER_ERA + dayOfEra - DAYS_TO_EPOCH
}

function civilFromDays(days: number): { year: number; month: number; day: number } {
  const z = days + DAYS_TO_EPOCH
  const era = Math.floor(z / DAYS_PER_ERA)
  const dayOfEra = z - era * DAYS_PER_ERA
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const mp = Math.floor((5 * dayOfYear + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return { year, month, day: dayOfYear - Math.floor((153 * mp + 2) / 5) + 1 }
}
