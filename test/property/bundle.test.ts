import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Bundle, type BundleEntry, BundleFault } from '../../src/bundle/bundle-format.ts'
import type { BundleContent } from '../../src/bundle/bundle-writer.ts'
import { encodeBundle } from '../../src/bundle/bundle-writer.ts'
import { serialHash, slotOf } from '../../src/bundle/slot.ts'
import {
  encodeBasicOCSPResponse,
  encodeResponseData,
  type ResponseData,
} from '../../src/ocsp/basic-response.ts'
import type { CertStatus } from '../../src/ocsp/cert-status.ts'
import { decodeSuccessfulResponse, encodeOCSPResponse } from '../../src/ocsp/ocsp-response.ts'
import { SingleResponseTemplate } from '../../src/ocsp/single-response-template.ts'
import { HASH_ALGORITHMS, HASH_LENGTH, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { decodeExtensions, type Extension, encodeExtensions } from '../../src/pkix/extensions.ts'
import {
  collidingSerials,
  content,
  ECDSA_SHA256,
  good,
  resealAll,
  resealHeader,
  sequence,
} from '../bundle/support.ts'

const ECDSA = { algorithm: '1.2.840.10045.4.3.2', parameters: undefined }
const MAX_TIME = 253_402_300_799
const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const time = fc.oneof(
  fc.integer({ min: 1_700_000_000, max: 2_000_000_000 }),
  fc.integer({ min: 0, max: MAX_TIME }),
)
const reason = fc.constantFrom(1, 2, 3, 4, 5, 6, 8, 9, 10)
const collision = collidingSerials()

const serial = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }).filter(isMinimal) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 100, maxLength: 127 }).filter(isMinimal) },
  { weight: 2, arbitrary: fc.constantFrom(...collision) },
)
const certStatus: fc.Arbitrary<CertStatus> = fc.oneof(
  fc.constant<CertStatus>({ type: 'good' }),
  fc.constant<CertStatus>({ type: 'unknown' }),
  time.map<CertStatus>((revocationTime) => ({ type: 'revoked', revocationTime })),
  fc.record({ type: fc.constant('revoked' as const), revocationTime: time, revocationReason: reason }),
)
const extensions: fc.Arbitrary<Extension[] | undefined> = fc.option(
  fc.array(
    fc.record({
      extnID: fc.constantFrom('1.2.3', '2.5.29.21', '1.3.6.1.5.5.7.48.1.6'),
      critical: fc.constant(false),
      extnValue: fc.uint8Array({ maxLength: 300 }),
    }),
    { minLength: 1, maxLength: 1 },
  ),
  { nil: undefined },
)
const variant = fc.constantFrom(...HASH_ALGORITHMS).chain((hashAlgorithm) =>
  fc.record({
    hashAlgorithm: fc.constant(hashAlgorithm),
    issuerNameHash: octets(HASH_LENGTH[hashAlgorithm]),
    issuerKeyHash: octets(HASH_LENGTH[hashAlgorithm]),
  }),
)
const cert = fc.integer({ min: 0, max: 700 }).map((length) => sequence(length, length))

const header = fc.record({
  issuer: fc.nat(0xffffffff),
  asOf: fc.maxSafeNat(),
  variants: fc.uniqueArray(variant, { minLength: 1, maxLength: 4, selector: (v) => v.hashAlgorithm }),
  responders: fc.array(
    fc.record({
      id: fc.nat(0xffffffff),
      keyHash: octets(20),
      signatureAlgorithm: fc.constant(ECDSA_SHA256),
      certs: fc.array(cert, { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
})

/** Contents of slot 0 at k = 0, and what went into each entry's extensions. */
const contents: fc.Arbitrary<BundleContent> = header.chain((h) =>
  fc
    .array(fc.record({ responder: fc.nat(h.responders.length - 1), times: fc.tuple(time, time, time) }), {
      minLength: 1,
      maxLength: 16,
    })
    .chain((windows) =>
      fc
        .uniqueArray(
          fc.record({
            serial,
            certStatus,
            extensions,
            window: fc.nat(windows.length - 1),
            signatures: fc.array(
              fc.option(fc.uint8Array({ minLength: 1, maxLength: 600 }), { nil: undefined }),
              {
                minLength: h.variants.length,
                maxLength: h.variants.length,
              },
            ),
            verbatim: fc.option(fc.nat(h.variants.length - 1), { nil: undefined, freq: 5 }),
          }),
          { maxLength: 40, selector: (e) => Buffer.from(e.serial).toString('hex') },
        )
        .map((entries) => ({
          ...h,
          k: 0,
          slot: 0,
          windows: windows.map(({ responder, times: [a, b, producedAt] }) => ({
            responder,
            thisUpdate: Math.min(a, b),
            producedAt,
            nextUpdate: Math.max(a, b),
          })),
          entries: entries.map(({ extensions, verbatim, signatures, ...rest }) => {
            const at = verbatim ?? (signatures.every((s) => s === undefined) ? 0 : undefined)
            const whole = signatures.map((_, i) => (i === at ? sequence(90 + i, i) : undefined))
            return {
              ...rest,
              signatures: signatures.map((s, i) => (i === at ? undefined : s)),
              ...(extensions === undefined ? {} : { singleExtensions: encodeExtensions(extensions) }),
              ...(at === undefined ? {} : { verbatim: whole }),
            }
          }),
        })),
    ),
)

function isMinimal(s: Uint8Array): boolean {
  const [first = 0, second = 0] = s
  return s.length === 1 || !((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
}

const find = (bundle: Bundle, serial: Uint8Array) => bundle.find(serial, serialHash(serial))

describe('any bundle', () => {
  test('holds every entry that was put in, and no other serial', async () => {
    await fc.assert(
      fc.asyncProperty(contents, fc.array(serial, { maxLength: 10 }), async (what, others) => {
        const { entries, ...rest } = what
        const bundle = Bundle.open(await encodeBundle(what))
        expect(bundle).toMatchObject({ ...rest, count: entries.length })
        for (const entry of entries) expect(find(bundle, entry.serial)).toEqual(entry)
        const known = new Set(entries.map((entry) => Buffer.from(entry.serial).toString('hex')))
        for (const other of others) {
          if (!known.has(Buffer.from(other).toString('hex'))) expect(find(bundle, other)).toBeUndefined()
        }
        const listed = [...bundle.entries()]
        expect(await encodeBundle({ ...rest, entries: listed })).toEqual(await encodeBundle(what))
        expect(await bundle.verifyDigest()).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  test('rebuilds the responses that the general encoder makes (R1.30, R1.31, R1.50)', async () => {
    await fc.assert(
      fc.asyncProperty(contents, async (what) => {
        const bundle = Bundle.open(await encodeBundle(what))
        for (const entry of what.entries) {
          for (const i of what.variants.keys()) {
            const response = bundle.response(entry, i)
            if (entry.verbatim?.[i] !== undefined) expect(response).toEqual(entry.verbatim[i])
            else if (entry.signatures[i] === undefined) expect(response).toBeUndefined()
            else expect(response).toEqual(generalResponse(what, entry, i))
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  test('splits over the slots of any k without loss', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(100_000), { maxLength: 30 }), fc.nat(3), async (numbers, k) => {
        const serials = numbers.map((n) => Uint8Array.of(0x40, n >> 16, (n >> 8) & 0xff, n & 0xff))
        const found: Uint8Array[] = []
        for (let slot = 0; slot < 2 ** k; slot++) {
          const entries = serials.filter((s) => slotOf(serialHash(s), k) === slot).map((s) => good(s))
          const bundle = Bundle.open(await encodeBundle(content({ k, slot, entries })))
          found.push(...serials.filter((s) => find(bundle, s) !== undefined))
        }
        expect(found).toHaveLength(serials.length)
      }),
      { numRuns: 50 },
    )
  })
})

describe('any bytes', () => {
  test('give a BundleFault and no other error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.boolean(), (bytes, withMagic) => {
        if (withMagic && bytes.length >= 20) {
          bytes.set([0x45, 0x4f, 0x42, 0x1a, 1])
          new DataView(bytes.buffer).setUint32(8, bytes.length)
          bytes.set([0, 0, 0, 40, 0, 0, 0], 12)
        }
        expect(() => Bundle.open(bytes)).toThrow(BundleFault)
      }),
      { numRuns: 2000 },
    )
  })

  test('with valid checksums give an answer for the asked serial, a miss or a BundleFault', async () => {
    await fc.assert(
      fc.asyncProperty(
        contents,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (what, patches) => {
          const bytes = await encodeBundle(what)
          for (const [place, value] of patches) bytes[5 + (place % (bytes.length - 5))] = value
          try {
            resealAll(bytes)
          } catch {
            // The patches moved index or entries out of the value; what could be resealed is.
          }
          try {
            const bundle = Bundle.open(bytes)
            for (const { serial } of what.entries) {
              try {
                const found = find(bundle, serial)
                if (found === undefined) continue
                expect(found.serial).toEqual(serial)
                for (const i of bundle.variants.keys()) bundle.response(found, i)
              } catch (error) {
                expect(error).toBeInstanceOf(BundleFault)
              }
            }
            expect([...bundle.entries()].length).toBe(bundle.count)
          } catch (error) {
            expect(error).toBeInstanceOf(BundleFault)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('flipped, cut or mixed with another bundle never answer differently', async () => {
    await fc.assert(
      fc.asyncProperty(contents, contents, fc.nat(), fc.nat(7), async (what, other, place, bit) => {
        const bytes = await encodeBundle(what)
        const flipped = bytes.slice()
        const at = place % bytes.length
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit)
        const mixed = bytes.slice()
        mixed.set((await encodeBundle(other)).subarray(at, bytes.length), at)
        const unchanged = Bundle.open(bytes)
        expect(() => Bundle.open(bytes.subarray(0, at))).toThrow(BundleFault)
        for (const damaged of [flipped, mixed]) {
          for (const { serial } of what.entries) {
            let answer: BundleEntry | undefined | 'fault'
            try {
              answer = find(Bundle.open(damaged), serial)
            } catch (error) {
              expect(error).toBeInstanceOf(BundleFault)
              answer = 'fault'
            }
            if (answer !== 'fault') expect(answer).toEqual(find(unchanged, serial))
          }
        }
      }),
      { numRuns: 150 },
    )
  })

  test('an entry of another bundle at the same place does not fit, whatever its own checksum', async () => {
    const before = await encodeBundle(content({ asOf: 1, entries: [good(collision[0])] }))
    const after = await encodeBundle(content({ asOf: 2, entries: [good(collision[0], { window: 1 })] }))
    const start = new DataView(before.buffer).getUint32(12) + 8 + 4
    after.set(before.subarray(start), start)
    resealHeader(after)
    expect(() => find(Bundle.open(after), collision[0])).toThrow(
      expect.objectContaining({ reason: 'badChecksum' }),
    )
  })
})

describe('the template', () => {
  test('gives the bytes of the general encoder for any certificate', () => {
    fc.assert(
      fc.property(
        variant,
        octets(20),
        fc.tuple(time, time, time),
        fc.array(fc.tuple(serial, certStatus, extensions), { minLength: 1, maxLength: 3 }),
        (variant, byKey, [producedAt, thisUpdate, nextUpdate], certificates) => {
          const responderID = { byKey }
          const template = new SingleResponseTemplate({
            responderID,
            variant,
            producedAt,
            thisUpdate,
            nextUpdate,
          })
          for (const [serialNumber, certStatus, singleExtensions] of certificates) {
            const raw = singleExtensions && encodeExtensions(singleExtensions)
            const { hashAlgorithm, ...hashes } = variant
            const certID = { hashAlgorithm: hashAlgorithmIdentifier(hashAlgorithm), ...hashes, serialNumber }
            const single = {
              certID,
              certStatus,
              thisUpdate,
              nextUpdate,
              ...(singleExtensions && { singleExtensions }),
            }
            const general = encodeResponseData({
              versionExplicit: false,
              responderID,
              producedAt,
              responses: [single],
            })
            expect(template.encode(serialNumber, certStatus, raw)).toEqual(general)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

/** The same response by the codec alone, encoded from its fields and decoded again. */
function generalResponse(what: BundleContent, entry: BundleEntry, i: number): Uint8Array {
  const window = what.windows[entry.window]
  const responder = what.responders[window?.responder ?? -1]
  const variant = what.variants[i]
  const signature = entry.signatures[i]
  if (!window || !responder || !variant || !signature) throw new Error('the content is not consistent')
  const { hashAlgorithm, issuerNameHash, issuerKeyHash } = variant
  const tbsResponseData: ResponseData = {
    versionExplicit: false,
    responderID: { byKey: responder.keyHash },
    producedAt: window.producedAt,
    responses: [
      {
        certID: {
          hashAlgorithm: hashAlgorithmIdentifier(hashAlgorithm),
          issuerNameHash,
          issuerKeyHash,
          serialNumber: entry.serial,
        },
        certStatus: entry.certStatus,
        thisUpdate: window.thisUpdate,
        nextUpdate: window.nextUpdate,
        ...(entry.singleExtensions && { singleExtensions: decodeExtensions(entry.singleExtensions) }),
      },
    ],
  }
  const { certs } = responder
  const basic = { tbsResponseData, signatureAlgorithm: ECDSA, signature, ...(certs.length > 0 && { certs }) }
  const response = encodeOCSPResponse({
    responseStatus: 'successful',
    responseBytes: { responseType: '1.3.6.1.5.5.7.48.1.1', response: encodeBasicOCSPResponse(basic) },
  })
  expect(decodeSuccessfulResponse(response).tbsResponseData).toEqual(tbsResponseData)
  return response
}
