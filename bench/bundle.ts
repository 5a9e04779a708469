/** Bundles: time to look up and rebuild one response out of 512, and octets stored per P-256 response and hash. */
import { generateKeyPairSync, hash, randomBytes, sign, verify } from 'node:crypto'
import { Bundle } from '../src/bundle/bundle-format.ts'
import type { BundleContent } from '../src/bundle/bundle-writer.ts'
import { encodeBundle } from '../src/bundle/bundle-writer.ts'
import { serialHash } from '../src/bundle/slot.ts'
import { signedOctets } from '../src/ocsp/basic-response.ts'
import type { CertStatus } from '../src/ocsp/cert-status.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../src/ocsp/ocsp-response.ts'
import { assembleOCSPResponse, SingleResponseTemplate } from '../src/ocsp/single-response-template.ts'
import { atMost, type Limit, type Measurement } from './measurement.ts'

const ENTRIES = 512
const ROUNDS = 5
const REPEATS = 20
/** As large as a delegated P-256 certificate is. */
const CERTIFICATE_BYTES = 450
const ECDSA_SHA256 = Uint8Array.from([0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

export async function run(): Promise<Measurement[]> {
  const content = makeContent()
  const bytes = await encodeBundle(content)
  const asked = content.entries.map(({ serial }) => ({ serial, hash: serialHash(serial) }))
  checkSample(Bundle.open(bytes), asked)

  const open = Bundle.open(bytes)
  const template = makeTemplate(content, 0)
  const [responder] = content.responders
  const certs = responder?.certs ?? []
  const tbs = template.encode(randomSerial(), { type: 'good' })
  const signature = content.entries[0]?.signatures[0] ?? new Uint8Array()
  const cases: readonly [name: string, each: (serial: Uint8Array, hash: number) => number, limit?: Limit][] =
    [
      ['bundle of 512: find and rebuild', (serial, hash) => answer(open, serial, hash), atMost(20)],
      ['bundle of 512: open, find and rebuild', (serial, hash) => answer(Bundle.open(bytes), serial, hash)],
      ['template: ResponseData', (serial) => template.encode(serial, { type: 'good' }).length],
      ['template: OCSPResponse', () => assembleOCSPResponse(tbs, ECDSA_SHA256, signature, certs).length],
    ]
  const best = cases.map(() => Number.POSITIVE_INFINITY)
  // Interleaved, so that a slow moment of the machine does not hit one case alone; the first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, [, each]] of cases.entries()) {
      const microseconds = time(asked, each)
      if (round > 0) best[i] = Math.min(best[i] ?? microseconds, microseconds)
    }
  }
  const stored = bytes.length / (ENTRIES * content.variants.length)
  return [
    ...cases.map(([name, , limit], i) => ({
      name,
      value: best[i] ?? Number.NaN,
      unit: 'us',
      ...(limit !== undefined && { limit }),
    })),
    { name: 'stored per P-256 response and hash', value: stored, unit: 'octets', limit: atMost(130) },
  ]
}

function answer(bundle: Bundle, serial: Uint8Array, hash: number): number {
  const entry = bundle.find(serial, hash)
  const response = entry && bundle.response(entry, hash & 1)
  if (response === undefined) throw new Error('the bundle lost an entry')
  return response.length
}

/** Mean microseconds of one call over all serials. */
function time(
  asked: readonly { serial: Uint8Array; hash: number }[],
  each: (serial: Uint8Array, hash: number) => number,
): number {
  let octets = 0
  const start = performance.now()
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const { serial, hash } of asked) octets += each(serial, hash)
  }
  const microseconds = (performance.now() - start) * 1000
  if (octets === 0) throw new Error('nothing was encoded')
  return microseconds / (REPEATS * asked.length)
}

/** What is measured must be right: sample responses decode, name the serial that was asked, and verify. */
function checkSample(bundle: Bundle, asked: readonly { serial: Uint8Array; hash: number }[]): void {
  for (const { serial, hash } of asked.filter((_, i) => i % 32 === 0)) {
    const entry = bundle.find(serial, hash)
    for (const variant of bundle.variants.keys()) {
      const response = entry && bundle.response(entry, variant)
      const value = response && decodeOCSPResponse(response)
      if (response === undefined || value?.responseStatus !== 'successful') throw new Error('no response')
      const { tbsResponseData, signature } = decodeSuccessfulResponse(response)
      const named = tbsResponseData.responses[0]?.certID.serialNumber ?? new Uint8Array()
      const tbs = signedOctets(value.responseBytes.response)
      if (Buffer.compare(named, serial) !== 0) throw new Error('the response names another serial')
      if (!verify('sha256', tbs, publicKey, signature)) throw new Error('the signature does not verify')
    }
  }
}

/** 512 certificates, 1 in 50 revoked, both hashes, one responder with a certificate, two windows. */
function makeContent(): BundleContent {
  const thisUpdate = 1_795_219_200
  const window = { responder: 0, thisUpdate, producedAt: thisUpdate + 300, nextUpdate: thisUpdate + 604_799 }
  const certificate = new Uint8Array(CERTIFICATE_BYTES)
  certificate.set([0x30, 0x82, (CERTIFICATE_BYTES - 4) >> 8, (CERTIFICATE_BYTES - 4) & 0xff])
  const issuer = randomBytes(100)
  const empty: BundleContent = {
    issuer: 1,
    k: 0,
    slot: 0,
    asOf: thisUpdate * 1_000_000,
    variants: [
      {
        hashAlgorithm: 'SHA-1',
        issuerNameHash: digest('sha1', issuer),
        issuerKeyHash: digest('sha1', issuer),
      },
      {
        hashAlgorithm: 'SHA-256',
        issuerNameHash: digest('sha256', issuer),
        issuerKeyHash: digest('sha256', issuer),
      },
    ],
    responders: [
      {
        id: 1,
        keyHash: digest('sha1', issuer),
        signatureAlgorithm: ECDSA_SHA256,
        certs: [certificate],
      },
    ],
    windows: [window, { ...window, producedAt: thisUpdate + 301 }],
    entries: [],
  }
  const templates = empty.windows.map((_, w) => empty.variants.map((_, v) => makeTemplate(empty, v, w)))
  const entries = Array.from({ length: ENTRIES }, (_, i) => {
    const serial = randomSerial()
    const certStatus: CertStatus =
      i % 50 === 0
        ? { type: 'revoked', revocationTime: thisUpdate - 3600, revocationReason: 1 }
        : { type: 'good' }
    const signatures = (templates[i % 2] ?? []).map((template) =>
      Uint8Array.from(sign('sha256', template.encode(serial, certStatus), privateKey)),
    )
    return { serial, certStatus, window: i % 2, signatures }
  })
  return { ...empty, entries }
}

function makeTemplate(content: BundleContent, v: number, w = 0): SingleResponseTemplate {
  const [variant, window] = [content.variants[v], content.windows[w]]
  const responder = content.responders[window?.responder ?? 0]
  if (!variant || !window || !responder) throw new Error('no such window or variant')
  return new SingleResponseTemplate({ responderID: { byKey: responder.keyHash }, variant, ...window })
}

/** 18 octets, positive: what public CAs use. */
function randomSerial(): Uint8Array {
  const serial = Uint8Array.from(randomBytes(18))
  serial[0] = 0x01 | ((serial[0] ?? 0) & 0x7f)
  return serial
}

function digest(algorithm: string, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(hash(algorithm, bytes, 'buffer'))
}

if (import.meta.main) console.table(await run())
