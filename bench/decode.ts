/** Decoder: time for real requests and for the worst 64 KiB we know, beside pkijs reading the same octets. */
import { fromBER } from 'asn1js'
import * as pkijs from 'pkijs'
import {
  DERError,
  decodeGetTarget,
  decodeOCSPRequest,
  encodeOCSPRequest,
  OCSPDecodeError,
  requestNonce,
} from '../src/ocsp/index.ts'
import { formatSerial } from '../src/pkix/serial-number.ts'
import { atMost, type Limit, type Measurement } from './measurement.ts'

interface Case {
  readonly name: string
  readonly limit?: Limit
  /** Calls in one measurement. */
  readonly calls: number
  readonly run: () => unknown
}

const ROUNDS = 5

/** 84 octets: SHA-1 and a serial number of 17 octets, as most clients ask. */
const PLAIN = octetsOf(
  'MFIwUDBOMEwwSjAJBgUrDgMCGgUABBQ55F6w46hhx/o6OXOHa+Yfe32YhgQU+3hPEvlgFYMsnxd/NBmzLjbqQYkCEQD6Wh0MaVKu9gJ3By9DI//x',
)
/** 122 octets, with a nonce. */
const WITH_NONCE = octetsOf(
  'MHoweDBRME8wTTAJBgUrDgMCGgUABBRGf2x685RgF9qF4azpunF6LM75OQQUwX3C7a+au9Af8tx/tcfCxFkwR68CFAlOMV+mrbm8PqIFZKeyLubrqlXgoiMwITAfBgkrBgEFBQcwAQIEEgQQkcDcDZCPzGR57CNCnt6eKg==',
)

export async function run(): Promise<Measurement[]> {
  checkSample()
  const escaped = `/${encodeURIComponent(Buffer.from(PLAIN).toString('base64'))}`
  const merged = `/${Buffer.from(PLAIN).toString('base64')}`.replace(/\/{2,}/g, '/')
  const cases: Case[] = [
    {
      name: 'decode request, 84 octets',
      limit: atMost(2),
      calls: 100_000,
      run: () => decodeOCSPRequest(PLAIN),
    },
    { name: 'decode request with nonce', calls: 100_000, run: () => decodeOCSPRequest(WITH_NONCE) },
    { name: 'pkijs: decode request, 84 octets', calls: 500, run: () => pkijsDecode(PLAIN) },
    { name: 'GET path to octets, 112 characters', calls: 30_000, run: () => decodeGetTarget(escaped) },
    { name: 'GET path, slashes merged', calls: 1000, run: () => decodeGetTarget(merged) },
    ...hostile().map(
      ([name, der]): Case => ({
        name: `refuse 64 KiB: ${name}`,
        limit: atMost(1000),
        calls: 50,
        run: () => refuse(der),
      }),
    ),
  ]
  const best = cases.map(() => Number.POSITIVE_INFINITY)
  // Interleaved, so that a slow moment of the machine does not hit one case alone; the first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, item] of cases.entries()) {
      const microseconds = time(item)
      if (round > 0) best[i] = Math.min(best[i] ?? microseconds, microseconds)
    }
  }
  const [ours = Number.NaN, , theirs = Number.NaN] = best
  return [
    ...cases.map(({ name, limit }, i) => ({
      name,
      value: best[i] ?? Number.NaN,
      unit: 'us',
      ...(limit !== undefined && { limit }),
    })),
    { name: 'decode request: ours / pkijs', value: ours / theirs, unit: 'ratio', limit: atMost(0.01) },
  ]
}

function time({ calls, run: call }: Case): number {
  const start = performance.now()
  for (let i = 0; i < calls; i++) call()
  return ((performance.now() - start) * 1000) / calls
}

/** The rows mean nothing unless what they time gives the right answer. */
function checkSample(): void {
  const value = decodeOCSPRequest(WITH_NONCE)
  const serial = value.tbsRequest.requestList[0]?.reqCert.serialNumber ?? new Uint8Array()
  const right =
    PLAIN.length === 84 &&
    formatSerial(serial) === '094e315fa6adb9bc3ea20564a7b22ee6ebaa55e0' &&
    requestNonce(value)?.length === 16 &&
    [PLAIN, WITH_NONCE].every(
      (der) => Buffer.compare(encodeOCSPRequest(decodeOCSPRequest(der)), der) === 0,
    ) &&
    pkijsDecode(PLAIN).tbsRequest.requestList.length === 1
  if (!right) throw new Error('the decoder gives wrong answers: its times mean nothing')
}

function pkijsDecode(der: Uint8Array): pkijs.OCSPRequest {
  return new pkijs.OCSPRequest({ schema: fromBER(der).result })
}

function refuse(der: Uint8Array): void {
  try {
    decodeOCSPRequest(der)
  } catch (error) {
    if (error instanceof DERError || error instanceof OCSPDecodeError) return
    throw error
  }
  throw new Error('hostile octets were accepted')
}

/** Requests of about 64 KiB that make a decoder work: most of them lawful but for their amount. */
function hostile(): [name: string, der: Uint8Array][] {
  const sha1 = element(0x30, octets('06052b0e03021a0500'))
  const digest = element(0x04, new Uint8Array(20))
  const certID = element(0x30, sha1, digest, digest, octets('0203010203'))
  const one = element(0x30, certID)
  const extension = (i: number): Uint8Array =>
    element(0x30, element(0x06, Uint8Array.of(0x2a, i & 0x7f)), octets('0400'))
  const longArcs = element(0x30, element(0x06, new Uint8Array(60).fill(0xff).fill(0x7f, 59)), octets('0400'))
  const request = (...fields: Uint8Array[]): Uint8Array => element(0x30, element(0x30, ...fields))
  const lists = Array.from({ length: 32 }, (_, i) => extension(i))
  const withLists = element(0x30, certID, element(0xa0, element(0x30, ...lists)))
  let deep = octets('0500')
  while (deep.length < 64_000) deep = element(0xa4, deep)
  return [
    ['10,000 empty Requests', request(element(0x30, ...fill(octets('3000'), 20_000)))],
    ['900 CertIDs', request(element(0x30, ...fill(one, 64_000)))],
    [
      '100 CertIDs and 60 KiB of extensions',
      request(element(0x30, ...fill(withLists, 100 * withLists.length))),
    ],
    [
      'extensions with arcs of 59 octets',
      request(element(0x30, one), element(0xa2, element(0x30, ...fill(longArcs, 64_000)))),
    ],
    ['nested 15,000 deep', request(element(0xa1, deep), element(0x30, one))],
    [
      'requestorName of 32,000 NULLs',
      request(element(0xa1, element(0xa4, ...fill(octets('0500'), 64_000))), element(0x30, one)),
    ],
    [
      'a nonce of 64,000 octets',
      request(
        element(0x30, one),
        element(
          0xa2,
          element(
            0x30,
            element(0x30, octets('06092b0601050507300102'), element(0x04, new Uint8Array(64_000))),
          ),
        ),
      ),
    ],
  ]
}

function fill(item: Uint8Array, total: number): Uint8Array[] {
  return Array.from({ length: Math.floor(total / item.length) }, () => item)
}

function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  const { length } = content
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Uint8Array.from([tag, ...header, ...content])
}

function octets(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function octetsOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}
