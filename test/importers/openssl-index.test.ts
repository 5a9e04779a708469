/** The index.txt of `openssl ca`: what each column may hold, and that no line is lost or misread. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ImportRow } from '../../src/importers/importer.ts'
import { MAX_LINE_BYTES, parseIndexLine, readOpenSSLIndex } from '../../src/importers/openssl-index.ts'
import { formatSerial, parseSerial } from '../../src/pkix/serial-number.ts'

const encoder = new TextEncoder()

async function read(...chunks: readonly (string | Uint8Array)[]): Promise<ImportRow[]> {
  async function* source() {
    for (const chunk of chunks) yield typeof chunk === 'string' ? encoder.encode(chunk) : chunk
  }
  return Array.fromAsync(readOpenSSLIndex(source()))
}

const problemsOf = (rows: readonly ImportRow[]) =>
  rows.flatMap((row) => ('problem' in row ? [`${row.line}: ${row.problem}`] : []))

/** 2027-12-31T23:59:59Z and 2026-01-02T03:04:05Z */
const EXPIRY = 1_830_297_599
const REVOKED = 1_767_323_045

describe('one line', () => {
  test.each([
    ['V\t271231235959Z\t\t1000\tunknown\t/CN=a', { status: 'good' }],
    ['E\t271231235959Z\t\t1000\tunknown\t/CN=a', { status: 'good' }],
    ['V\t20271231235959Z\t\t1000\tunknown\t/CN=a', { status: 'good' }],
    ['V\t271231235959Z\t\t1000', { status: 'good' }],
    ['R\t271231235959Z\t260102030405Z\t1000\tunknown\t/CN=a', { status: 'revoked' }],
    ['R\t271231235959Z\t20260102030405Z\t1000\tunknown\t/CN=a', { status: 'revoked' }],
    ['R\t271231235959Z\t260102030405Z,unspecified\t1000\tunknown\t/CN=a', { status: 'revoked' }],
    [
      'R\t271231235959Z\t260102030405Z,keyCompromise\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'keyCompromise' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,KEYCOMPROMISE\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'keyCompromise' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,CACompromise\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'cACompromise' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,cessationOfOperation\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'cessationOfOperation' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,certificateHold\t1000\tunknown\t/CN=a',
      { status: 'hold', reason: 'certificateHold' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,holdInstruction,holdInstructionReject\t1000\tunknown\t/CN=a',
      { status: 'hold', reason: 'certificateHold' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,holdInstruction,1.2.840.10040.2.2\t1000\tunknown\t/CN=a',
      { status: 'hold', reason: 'certificateHold' },
    ],
    [
      'R\t271231235959Z\t260102030405Z,keyTime,20251231000000Z\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'keyCompromise', invalidityDate: 1_767_139_200 },
    ],
    [
      'R\t271231235959Z\t260102030405Z,CAkeyTime,20251231000000Z\t1000\tunknown\t/CN=a',
      { status: 'revoked', reason: 'cACompromise', invalidityDate: 1_767_139_200 },
    ],
  ])('%s', (line, expected) => {
    const revocationTime = expected.status === 'good' ? {} : { revocationTime: REVOKED }
    expect(parseIndexLine(line)).toEqual({ serial: '1000', notAfter: EXPIRY, ...revocationTime, ...expected })
  })

  test.each([
    ['of UTCTime before 50 as 20xx', '491231235959Z', 2_524_607_999],
    ['of UTCTime from 50 as 19xx', '700101000000Z', 0],
    ['of GeneralizedTime from 2050', '20500101000000Z', 2_524_608_000],
    ['of UTCTime without seconds', '2712312359Z', EXPIRY - 59],
  ])('reads years %s', (_what, time, seconds) => {
    expect(parseIndexLine(`V\t${time}\t\t01\tunknown\t/`).notAfter).toBe(seconds)
  })

  test.each([
    ['00', '00'],
    ['7F', '7f'],
    ['80', '0080'],
    ['00FF', '00ff'],
    ['0A1B', '0a1b'],
    ['FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF', '00ffffffffffffffffffffffffffffffffffffffff'],
  ])('takes the serial %s as the INTEGER octets %s', (digits, serial) => {
    expect(parseIndexLine(`V\t271231235959Z\t\t${digits}\tunknown\t/CN=a`).serial).toBe(serial)
  })

  test.each([
    ['', /1 of at least 4 TAB-separated columns/],
    ['V 271231235959Z  1000 unknown /CN=a', /1 of at least 4/],
    ['V\t271231235959Z\t1000', /3 of at least 4/],
    ['X\t271231235959Z\t\t1000\tunknown\t/CN=a', /column 1 \(type\) is "X"/],
    ['v\t271231235959Z\t\t1000\tunknown\t/CN=a', /column 1/],
    ['V\t\t\t1000\tunknown\t/CN=a', /column 2 \(expiry\) is ""/],
    ['V\t271331235959Z\t\t1000\tunknown\t/CN=a', /column 2 .* not a time/],
    ['V\t271231235959\t\t1000\tunknown\t/CN=a', /column 2 .* not a time/],
    ['V\t271231235959+0100\t\t1000\tunknown\t/CN=a', /column 2 .* not a time/],
    ['V\t271231235959Z\t260102030405Z\t1000\tunknown\t/CN=a', /column 3 .* the type is V/],
    ['R\t271231235959Z\t\t1000\tunknown\t/CN=a', /column 3 \(revocation\) is empty/],
    ['R\t271231235959Z\tyesterday\t1000\tunknown\t/CN=a', /column 3 \(revocation\), time is "yesterday"/],
    ['R\t271231235959Z\t260102030405Z,because\t1000\tunknown\t/CN=a', /reason "because"/],
    ['R\t271231235959Z\t260102030405Z,removeFromCRL\t1000\tunknown\t/CN=a', /unrevoke/],
    ['R\t271231235959Z\t260102030405Z,holdInstruction\t1000\tunknown\t/CN=a', /without an instruction/],
    [
      'R\t271231235959Z\t260102030405Z,keyTime,soon\t1000\tunknown\t/CN=a',
      /time of the compromise is "soon"/,
    ],
    [
      'R\t271231235959Z\t260102030405Z,keyTime,20251231000000Z,x\t1000\tunknown\t/CN=a',
      /more than time,reason,extra/,
    ],
    ['V\t271231235959Z\t\t\tunknown\t/CN=a', /column 4 \(serial\) is ""/],
    ['V\t271231235959Z\t\t10G0\tunknown\t/CN=a', /column 4 .* hexadecimal/],
    // A digit was lost: padding it would name another certificate.
    ['V\t271231235959Z\t\t100\tunknown\t/CN=a', /column 4 .* even number/],
    ['V\t271231235959Z\t\t-01\tunknown\t/CN=a', /negative/],
  ])('refuses %j with the column that is wrong', (line, message) => {
    expect(() => parseIndexLine(line)).toThrow(message)
    expect(() => parseIndexLine(line)).toThrow(RangeError)
  })

  test('a backslash quotes a TAB in a column, and nothing else, as TXT_DB_read does', () => {
    expect(parseIndexLine('V\t271231235959Z\t\t1000\tfile\\\tname\t/CN=a\\').serial).toBe('1000')
    expect(() => parseIndexLine('V\t271231235959Z\\\t\t1000\tunknown\t/CN=a')).toThrow(/column 2/)
  })
})

describe('a file', () => {
  const good = (serial: string) => `V\t271231235959Z\t\t${serial}\tunknown\t/CN=a`

  test('keeps the good lines and reports each bad one with its number', async () => {
    const rows = await read(`${good('01')}\nnonsense\n${good('02')}\nV\tx\t\t03\tunknown\t/\n${good('04')}\n`)
    expect(rows.flatMap((row) => ('record' in row ? [[row.line, row.record.serial]] : []))).toEqual([
      [1, '01'],
      [3, '02'],
      [5, '04'],
    ])
    expect(problemsOf(rows)).toEqual([
      expect.stringMatching(/^2: 1 of at least 4/),
      expect.stringMatching(/^4: column 2/),
    ])
  })

  test('tolerates comments, empty lines, CRLF, a byte order mark and a missing last line end', async () => {
    const rows = await read(`\uFEFF# made by hand\r\n\r\n${good('01')}\r\n#${good('02')}\n${good('03')}`)
    expect(rows).toEqual([
      { line: 3, record: { serial: '01', status: 'good', notAfter: EXPIRY } },
      { line: 5, record: { serial: '03', status: 'good', notAfter: EXPIRY } },
    ])
  })

  test('is empty when it is empty', async () => {
    expect(await read()).toEqual([])
    expect(await read('')).toEqual([])
    expect(await read('\n\n')).toEqual([])
  })

  test('takes octets in a subject that are not UTF-8', async () => {
    const latin1 = Uint8Array.from([...encoder.encode(`${good('01')}M`), 0xfc, ...encoder.encode('ller\n')])
    expect(problemsOf(await read(latin1, good('02')))).toEqual([])
  })

  test('skips a line longer than the cap without holding it, and goes on', async () => {
    const long = 'x'.repeat(MAX_LINE_BYTES / 2)
    const rows = await read(`${good('01')}\n`, long, long, long, long, `\n${good('02')}\n`)
    expect(problemsOf(rows)).toEqual([`2: the line is longer than ${MAX_LINE_BYTES} octets`])
    expect(rows).toHaveLength(3)
  })

  test('a serial that stands twice is given again and named with its first line, so that a later revocation is not lost', async () => {
    const rows = await read(
      `${good('0A')}\n${good('0B')}\nR\t271231235959Z\t260102030405Z\t0a\tunknown\t/CN=a\n`,
    )
    expect(rows[2]).toEqual({
      line: 3,
      duplicateOf: 1,
      record: { serial: '0a', status: 'revoked', notAfter: EXPIRY, revocationTime: REVOKED },
    })
  })

  test('reads a ReadableStream, and cancels it when the reader stops early', async () => {
    let cancelled = false
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(encoder.encode(`${good('01')}\n`)),
      cancel: () => {
        cancelled = true
      },
    })
    for await (const row of readOpenSSLIndex(stream)) {
      expect('record' in row).toBe(true)
      break
    }
    expect(cancelled).toBe(true)
  })

  test('passes the error of its source on', async () => {
    async function* broken() {
      yield encoder.encode(`${good('01')}\n`)
      throw new Error('disk on fire')
    }
    await expect(Array.fromAsync(readOpenSSLIndex(broken()))).rejects.toThrow('disk on fire')
  })
})

describe('properties', () => {
  test('a serial is what parseSerial makes of the same digits', () => {
    const digits = fc
      .uint8Array({ minLength: 1, maxLength: 22 })
      .map((octets) => Buffer.from(octets).toString('hex'))
    const zeros = fc.nat(3).map((count) => '00'.repeat(count))
    fc.assert(
      fc.property(zeros, digits, (leading, rest) => {
        const { serial } = parseIndexLine(`V\t271231235959Z\t\t${leading}${rest}`)
        expect(serial).toBe(formatSerial(parseSerial(leading + rest)))
      }),
    )
  })

  const serial = fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((octets) => Buffer.from(octets).toString('hex').toUpperCase())
  const lines = fc.array(
    fc.oneof(
      serial.map((digits) => `V\t271231235959Z\t\t${digits}\tunknown\t/CN=a`),
      serial.map((digits) => `R\t271231235959Z\t260102030405Z,superseded\t${digits}\tunknown\t/CN=b\u00e9`),
      fc.string({ maxLength: 60 }).map((text) => text.replace(/[\r\n]/g, ' ')),
    ),
    { maxLength: 30 },
  )

  test('the cutting of a file into chunks changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat(400), { maxLength: 12 }), async (all, cuts) => {
        const bytes = encoder.encode(all.join('\n'))
        const places = [...new Set(cuts)].sort((a, b) => a - b).filter((at) => at < bytes.length)
        const chunks = [0, ...places].map((from, index) =>
          bytes.subarray(from, places[index] ?? bytes.length),
        )
        expect(await read(...chunks)).toEqual(await read(bytes))
      }),
      { numRuns: 200 },
    )
  })

  test('any text gives one record or problem a line that is neither empty nor a comment, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(lines, async (all) => {
        const rows = await read(all.join('\n'))
        const expected = all.filter((line) => line !== '' && !line.startsWith('#'))
        expect(rows).toHaveLength(expected.length)
      }),
      { numRuns: 200 },
    )
  })

  test('any octets end in rows or problems', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => void (await read(bytes))),
      {
        numRuns: 300,
      },
    )
  })
})

test('a stream of 200,000 lines passes in bounded memory, every serial told from every other', async () => {
  const LINES = 200_000
  async function* source() {
    for (let from = 0; from < LINES; from += 1000) {
      const text = Array.from({ length: 1000 }, (_, index) => {
        const digits = (from + index + 0x1000_0000).toString(16).toUpperCase()
        return `V\t271231235959Z\t\t${digits}${'AB'.repeat(14)}\tunknown\t/C=XX/O=Example/CN=host-${from + index}.example.com`
      })
      yield encoder.encode(`${text.join('\n')}\n`)
    }
  }
  const before = process.memoryUsage()
  let [records, duplicates, peak] = [0, 0, 0]
  for await (const row of readOpenSSLIndex(source())) {
    if ('record' in row) records += 1
    if ('duplicateOf' in row) duplicates += 1
    if (records % 20_000 === 0) {
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      peak = Math.max(peak, heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers)
    }
  }
  expect([records, duplicates]).toEqual([LINES, 0])
  // 20 MB of text went through. What stays is 12 octets a slot of the serial index; the rest is garbage not yet collected.
  expect(peak).toBeLessThan(120 * 1024 * 1024)
})
