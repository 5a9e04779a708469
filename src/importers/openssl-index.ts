/**
 * The index.txt of `openssl ca` (apps/lib/apps.c, crypto/txt_db): one TAB-separated line for every certificate issued.
 *
 *     type  expiry  revocation  serial  file  subject
 *     V     271231235959Z            1000  unknown  /CN=a
 *     R     271231235959Z  260102030405Z,keyCompromise  1001  unknown  /CN=b
 *
 * It has no issuer column: whoever imports it says whose it is. Variants with only the first four columns are read too.
 */
import { parseGeneralizedTime, type UnixSeconds } from '../asn1/generalized-time.ts'
import { crlReasonName, crlReasonNumber } from '../pkix/crl-reason.ts'
import { MAX_SERIAL_OCTETS, type SerialHex } from '../pkix/serial-number.ts'
import type { ByteSource, CertificateRecord, Coverage, ImportRow } from './importer.ts'
import { readLines } from './lines.ts'
import { SerialIndex } from './serial-index.ts'

/** Every certificate that the CA issued stands in it. */
export const OPENSSL_INDEX_COVERAGE: Coverage = 'all-issued'

/** A subject of this length does not exist; a file without line ends does. */
export const MAX_LINE_BYTES = 65_536

const MIN_COLUMNS = 4

/** Lazily, in the order of the file. A bad line becomes a problem and ends nothing. */
export async function* readOpenSSLIndex(source: ByteSource): AsyncGenerator<ImportRow> {
  const seen = new SerialIndex()
  for await (const { number: line, text } of readLines(source, MAX_LINE_BYTES)) {
    if (text === undefined) {
      yield { problem: `the line is longer than ${MAX_LINE_BYTES} octets`, line }
      continue
    }
    if (text === '' || text.startsWith('#')) continue
    let record: CertificateRecord
    try {
      record = parseIndexLine(text)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      yield { problem: error.message, line }
      continue
    }
    const duplicateOf = seen.remember(record.serial, line)
    yield duplicateOf === undefined ? { record, line } : { record, line, duplicateOf }
  }
}

/**
 * @param text one line without its end
 * @throws RangeError that says which column is wrong and what belongs there
 */
export function parseIndexLine(text: string): CertificateRecord {
  const columns = splitColumns(text)
  const [type = '', expiry = '', revocation = '', serial = ''] = columns
  if (columns.length < MIN_COLUMNS) {
    throw new RangeError(
      `${columns.length} of at least ${MIN_COLUMNS} TAB-separated columns (type, expiry, revocation, serial)`,
    )
  }
  if (type !== 'V' && type !== 'R' && type !== 'E') {
    throw new RangeError(`column 1 (type) is ${quote(type)}, not V, R or E`)
  }
  const notAfter = parseIndexTime(expiry, 'column 2 (expiry)')
  const known = { serial: parseSerialColumn(serial), notAfter }
  if (type === 'R') return { ...known, ...parseRevocation(revocation) }
  if (revocation !== '') {
    throw new RangeError(`column 3 (revocation) is ${quote(revocation)}, but the type is ${type}, not R`)
  }
  return { ...known, status: 'good' }
}

/**
 * As TXT_DB_read does it: a backslash before a TAB takes the TAB into the column, and stays itself before anything
 * else. A line end cannot be quoted: OpenSSL splits there first, and joining would swallow the row that follows.
 */
function splitColumns(text: string): string[] {
  if (!text.includes('\\\t')) return text.split('\t')
  const columns: string[] = []
  let column = ''
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? ''
    if (character !== '\t') column += character
    else if (text[i - 1] === '\\') column = `${column.slice(0, -1)}\t`
    else {
      columns.push(column)
      column = ''
    }
  }
  return [...columns, column]
}

function parseSerialColumn(text: string): SerialHex {
  if (text.startsWith('-'))
    throw new RangeError(`column 4 (serial) is ${quote(text)}: negative serials are not supported`)
  // An odd number of digits means that one was lost: padding it would name another certificate.
  if (!/^([0-9a-f]{2})+$/i.test(text)) {
    throw new RangeError(`column 4 (serial) is ${quote(text)}, not an even number of hexadecimal digits`)
  }
  // What formatSerial(parseSerial(text)) gives, ten times as fast: a file may have millions of lines.
  const minimal = text.toLowerCase().replace(/^(00)+(?=..)/, '')
  const serial = minimal >= '8' ? `00${minimal}` : minimal
  if (serial.length > 2 * MAX_SERIAL_OCTETS) {
    throw new RangeError(`column 4 (serial) has ${serial.length / 2} octets, more than ${MAX_SERIAL_OCTETS}`)
  }
  return serial
}

/** UTCTime (years 1950 to 2049) or GeneralizedTime, as ASN1_TIME prints them into the file. */
function parseIndexTime(text: string, where: string): UnixSeconds {
  const utc = /^(\d\d)\d{8}(\d\d)?Z$/.exec(text)
  const full = utc === null ? text : `${Number(utc[1]) >= 50 ? '19' : '20'}${text}`
  const withSeconds = /^\d{12}Z$/.test(full) ? `${full.slice(0, -1)}00Z` : full
  try {
    return parseGeneralizedTime(withSeconds)
  } catch (cause) {
    throw new RangeError(`${where} is ${quote(text)}, not a time (YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ)`, {
      cause,
    })
  }
}

type Revocation = Pick<CertificateRecord, 'status' | 'revocationTime' | 'reason' | 'invalidityDate'>

/** `time[,reason[,extra]]` */
function parseRevocation(text: string): Revocation {
  const where = 'column 3 (revocation)'
  if (text === '') throw new RangeError(`${where} is empty, but the type is R`)
  const [time = '', reason, extra = '', ...rest] = text.split(',')
  if (rest.length > 0) throw new RangeError(`${where} is ${quote(text)}: more than time,reason,extra`)
  const revocationTime = parseIndexTime(time, `${where}, time`)
  if (reason === undefined) return { status: 'revoked', revocationTime }
  switch (reason.toLowerCase()) {
    case 'holdinstruction':
      if (extra === '') throw new RangeError(`${where} has holdInstruction without an instruction`)
      return { status: 'hold', revocationTime, reason: 'certificateHold' }
    case 'keytime':
      return { ...compromise('keyCompromise', extra, where), revocationTime }
    case 'cakeytime':
      return { ...compromise('cACompromise', extra, where), revocationTime }
    case 'removefromcrl':
      throw new RangeError(
        `${where} has removeFromCRL: a hold is released by "edge-ocsp unrevoke", not by an import`,
      )
  }
  const number = crlReasonNumber(reason)
  if (number === undefined)
    throw new RangeError(`${where} has the reason ${quote(reason)}, which RFC 5280 does not know`)
  const name = crlReasonName(number)
  if (name === undefined || name === 'unspecified') return { status: 'revoked', revocationTime }
  return { status: name === 'certificateHold' ? 'hold' : 'revoked', revocationTime, reason: name }
}

function compromise(reason: string, time: string, where: string): Omit<Revocation, 'revocationTime'> {
  return {
    status: 'revoked',
    reason,
    invalidityDate: parseIndexTime(time, `${where}, time of the compromise`),
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)
}
