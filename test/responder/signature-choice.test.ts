/** Which of several responders signs: the order of RFC 6960 4.4.7.2.1, over every set of keys. */
import { describe, expect, test } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import type { PreferredSignatureAlgorithm } from '../../src/ocsp/preferred-algorithms.ts'
import { readAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import type { ResponderRecord, SignatureAlgorithm } from '../../src/ports/records.ts'
import {
  activeAlgorithms,
  type Choosing,
  chooseAlgorithm,
  responderFor,
  signatureAlgorithmOf,
} from '../../src/responder/signature-choice.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { hex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { makeTestPKI, TEST_POLICY } from '../support/pki.ts'

const NOW = EPOCH
const RSA = 'sha256WithRSAEncryption'
const P256 = 'ecdsa-with-SHA256'
const P384 = 'ecdsa-with-SHA384'

const spkis = new Map<SignatureAlgorithm, Uint8Array>()
for (const algorithm of [RSA, P256, P384, 'Ed25519'] as const) {
  const { responder } = await makeTestPKI({ now: NOW, algorithm })
  spkis.set(algorithm, responder.spki)
}

function responder(
  id: number,
  algorithm: SignatureAlgorithm,
  over: Partial<ResponderRecord> = {},
): ResponderRecord {
  return {
    id,
    name: `r${id}`,
    certificate: undefined,
    keyHash: new Uint8Array(20),
    algorithm,
    custody: 'wrapped',
    secretName: undefined,
    spki: spkis.get(algorithm) ?? new Uint8Array(),
    notBefore: NOW - 1_000 + id,
    notAfter: NOW + 90 * 86_400,
    retired: false,
    ...over,
  }
}

const issuer = (
  responders: readonly ResponderRecord[],
  policy: Partial<Choosing['policy']> = {},
): Choosing => ({
  responders,
  policy: { ...TEST_POLICY, ...policy },
})

const identifierOf = (algorithm: SignatureAlgorithm) =>
  readAlgorithmIdentifier(new DERReader(SIGNATURE_ALGORITHMS[algorithm].identifier))
const wish = (der: Uint8Array, key?: Uint8Array): PreferredSignatureAlgorithm => ({
  sigIdentifier: readAlgorithmIdentifier(new DERReader(der)),
  pubKeyAlgIdentifier: key === undefined ? undefined : readAlgorithmIdentifier(new DERReader(key)),
})
const wishFor = (algorithm: SignatureAlgorithm, key?: Uint8Array) =>
  wish(SIGNATURE_ALGORITHMS[algorithm].identifier, key)

/** All orders of all subsets. */
function arrangements<T>(of: readonly T[]): T[][] {
  return [
    [],
    ...of.flatMap((one) => arrangements(of.filter((other) => other !== one)).map((rest) => [one, ...rest])),
  ]
}

describe('identifiers', () => {
  test('of every algorithm that a responder can have are known again', () => {
    for (const name of SIGNATURE_ALGORITHM_NAMES) expect(signatureAlgorithmOf(identifierOf(name))).toBe(name)
  })

  test.each([
    [
      'RSASSA-PSS without its NULLs',
      '303d 06092a864886f70d01010a 3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120',
      'rsassaPss-sha256',
    ],
    ['RSASSA-PSS with its defaults, which are SHA-1', '300d 06092a864886f70d01010a 3000', undefined],
    ['RSASSA-PSS without parameters', '300b 06092a864886f70d01010a', undefined],
    ['sha256WithRSAEncryption without NULL', '300b 06092a864886f70d01010b', RSA],
    ['sha256WithRSAEncryption with other parameters', '300d 06092a864886f70d01010b 3000', undefined],
    ['sha1WithRSAEncryption', '300d 06092a864886f70d010105 0500', undefined],
    ['md5WithRSAEncryption', '300d 06092a864886f70d010104 0500', undefined],
    ['ecdsa-with-SHA1', '3009 06072a8648ce3d0401', undefined],
    ['id-ml-dsa-65', '300b 0609608648016503040312', undefined],
  ])('%s (R1.88, R4.9)', (_, der, expected) => {
    expect(signatureAlgorithmOf(wish(hex(der)).sigIdentifier)).toBe(expected)
  })
})

describe('the choice', () => {
  const weak = wish(hex('300d 06092a864886f70d010105 0500'))
  const postQuantum = wish(hex('300b 0609608648016503040312'))
  const all = [responder(1, RSA), responder(2, P256), responder(3, P384)]

  test('is the first of the client that a valid responder has, over all permutations and sets of keys (R1.86)', () => {
    let cases = 0
    for (const keys of arrangements(all))
      for (const wanted of arrangements([RSA, P256, P384] as const)) {
        if (keys.length === 0) continue
        const of = issuer(keys)
        const standard = keys.reduce((a, b) => (b.notBefore > a.notBefore ? b : a)).algorithm
        const has = new Set(keys.map(({ algorithm }) => algorithm))
        const expected = wanted.find((algorithm) => has.has(algorithm)) ?? standard
        const chosen = chooseAlgorithm(
          of,
          [postQuantum, ...wanted.map((one) => wishFor(one))],
          undefined,
          NOW,
        )
        expect(chosen ?? standard).toBe(expected)
        expect(chosen === undefined).toBe(wanted.every((algorithm) => !has.has(algorithm))) // then it shares with everybody
        cases += 1
      }
    expect(cases).toBe(15 * 16)
  })

  test('is never weak, whatever the client asks for (R1.88)', () => {
    expect(chooseAlgorithm(issuer(all), [weak], undefined, NOW)).toBeUndefined()
    expect(chooseAlgorithm(issuer(all), [weak, wishFor(RSA)], undefined, NOW)).toBe(RSA)
  })

  test('is that of the verified request when the list names none of ours, and the list wins (R1.86)', () => {
    expect(chooseAlgorithm(issuer(all), [], RSA, NOW)).toBe(RSA)
    expect(chooseAlgorithm(issuer(all), [postQuantum], RSA, NOW)).toBe(RSA)
    expect(chooseAlgorithm(issuer(all), [wishFor(P256)], RSA, NOW)).toBe(P256)
    expect(chooseAlgorithm(issuer(all), [], 'Ed25519', NOW)).toBeUndefined()
  })

  test('is that of the policy before that of the newest responder, if a valid one has it (R1.86, R1.89)', () => {
    expect(responderFor(issuer(all), NOW)?.algorithm).toBe(P384)
    const preset = issuer(all, { algorithm: RSA })
    expect(responderFor(preset, NOW)?.algorithm).toBe(RSA)
    expect(chooseAlgorithm(preset, [wishFor(RSA)], undefined, NOW)).toBe(RSA)
    expect(chooseAlgorithm(preset, [], undefined, NOW)).toBeUndefined()
    expect(chooseAlgorithm(preset, [wishFor(P384)], undefined, NOW)).toBe(P384)
    expect(responderFor(issuer(all, { algorithm: 'Ed25519' }), NOW)?.algorithm).toBe(P384)
  })

  test('heeds the key that the client names: its kind, and its curve when it says one', () => {
    const ecKey = hex('3009 06072a8648ce3d0201')
    const p256Key = hex('3013 06072a8648ce3d0201 06082a8648ce3d030107')
    const p384Key = hex('3010 06072a8648ce3d0201 06052b81040022')
    const rsaKey = hex('300d 06092a864886f70d010101 0500')
    for (const [key, expected] of [
      [ecKey, P256],
      [p256Key, P256],
      [p384Key, undefined],
      [rsaKey, undefined],
    ] as const)
      expect(chooseAlgorithm(issuer(all), [wishFor(P256, key)], undefined, NOW)).toBe(expected)
    expect(chooseAlgorithm(issuer(all), [wishFor(RSA, rsaKey)], undefined, NOW)).toBe(RSA)
  })

  test('passes over responders that are retired, expired or not valid yet', () => {
    for (const over of [{ retired: true }, { notAfter: NOW }, { notBefore: NOW + 1 }]) {
      const of = issuer([responder(1, RSA, over), responder(2, P256)])
      expect(chooseAlgorithm(of, [wishFor(RSA)], RSA, NOW)).toBeUndefined()
      expect(activeAlgorithms(of, NOW)).toEqual([P256])
    }
  })

  test('is no Ed25519 under public-trust, whose list has none (R4.8)', () => {
    const of = issuer([responder(1, P256), responder(2, 'Ed25519')], { profile: 'public-trust' })
    expect(chooseAlgorithm(of, [wishFor('Ed25519')], 'Ed25519', NOW)).toBeUndefined()
    expect(responderFor(of, NOW)?.algorithm).toBe(P256)
    expect(activeAlgorithms(of, NOW)).toEqual([P256])
    expect(responderFor(issuer([responder(2, 'Ed25519')], { profile: 'public-trust' }), NOW)?.id).toBe(2)
  })
})

test('nobody signs who ends before the shortest window of the profile does, if another can (R4.1, R4.32, R1.66)', () => {
  const hours = (left: number) => ({ notAfter: NOW + left * 3_600 })
  const ending = [responder(1, P256, hours(9)), responder(2, RSA, hours(7))]
  const trusted = issuer(ending, { profile: 'public-trust', algorithm: RSA })
  expect(responderFor(trusted, NOW)?.algorithm).toBe(P256)
  expect(chooseAlgorithm(trusted, [wishFor(RSA)], undefined, NOW)).toBeUndefined()
  expect(activeAlgorithms(trusted, NOW)).toEqual([P256])
  expect(responderFor(issuer(ending, { algorithm: RSA }), NOW)?.algorithm).toBe(RSA)
  expect(responderFor(issuer(ending.slice(1), { profile: 'public-trust' }), NOW)?.algorithm).toBe(RSA)
})

test('within one algorithm the newest valid responder signs (R8.6)', () => {
  const of = issuer([
    responder(5, P256),
    responder(7, P256),
    responder(6, P256),
    responder(9, P256, { retired: true }),
  ])
  expect(responderFor(of, NOW)?.id).toBe(7)
  expect(responderFor(of, NOW, P256)?.id).toBe(7)
  expect(responderFor(of, NOW, RSA)).toBeUndefined()
})

test('the active algorithms are each named once, the default first (R1.87)', () => {
  const of = issuer([responder(1, RSA), responder(2, P256), responder(3, P256), responder(4, P384)])
  expect(activeAlgorithms(of, NOW)).toEqual([P384, RSA, P256])
  expect(activeAlgorithms(issuer([]), NOW)).toEqual([])
})
