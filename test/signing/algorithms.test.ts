import * as asn1js from 'asn1js'
import { AlgorithmIdentifier, RSASSAPSSParams } from 'pkijs'
import { expect, test } from 'vitest'
import {
  ALGORITHMS_BY_KEY_TYPE,
  SIGNATURE_ALGORITHM_NAMES,
  SIGNATURE_ALGORITHMS,
  signatureCost,
} from '../../src/signing/algorithms.ts'
import { hex, makeTestPKI } from '../support/pki.ts'

// SEQUENCE { OID [, parameters] }: the fixed octets of BR 7.1.3.2.1 and 7.1.3.2.2, and RFC 8410 section 3 for Ed25519.
test.each([
  ['sha256WithRSAEncryption', '300d06092a864886f70d01010b0500'],
  [
    'rsassaPss-sha256',
    '304106092a864886f70d01010a3034a00f300d0609608648016503040201' +
      '0500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
  ],
  ['ecdsa-with-SHA256', '300a06082a8648ce3d040302'],
  ['ecdsa-with-SHA384', '300a06082a8648ce3d040303'],
  ['ecdsa-with-SHA512', '300a06082a8648ce3d040304'],
  ['Ed25519', '300506032b6570'],
] as const)(
  'names %s by the octets that the Baseline Requirements fix (R1.51, R4.8)',
  (algorithm, identifier) => {
    expect(hex(SIGNATURE_ALGORITHMS[algorithm].identifier)).toBe(identifier)
  },
)

test('RSASSA-PSS names SHA-256 twice and a salt of 32 octets, as pkijs reads it (R4.8)', () => {
  const identifier = new Uint8Array(SIGNATURE_ALGORITHMS['rsassaPss-sha256'].identifier)
  const { algorithmParams } = new AlgorithmIdentifier({ schema: asn1js.fromBER(identifier).result })
  const params = new RSASSAPSSParams({ schema: algorithmParams })
  expect(params.hashAlgorithm.algorithmId).toBe('2.16.840.1.101.3.4.2.1')
  expect(params.maskGenAlgorithm.algorithmId).toBe('1.2.840.113549.1.1.8')
  expect(params.saltLength).toBe(32)
})

test('offers no SHA-1 signature (R4.9)', () => {
  const sha1 = ['2a864886f70d010105', '2a8648ce3d0401', '2b0e03021a']
  for (const algorithm of SIGNATURE_ALGORITHM_NAMES) {
    const identifier = hex(SIGNATURE_ALGORITHMS[algorithm].identifier)
    for (const oid of sha1) expect(identifier).not.toContain(oid)
  }
})

test('every algorithm belongs to the key type that lists it', () => {
  const listed = Object.entries(ALGORITHMS_BY_KEY_TYPE).flatMap(([keyType, algorithms]) =>
    algorithms.map((algorithm) => [algorithm, keyType]),
  )
  expect(listed.map(([algorithm]) => algorithm).sort()).toEqual([...SIGNATURE_ALGORITHM_NAMES].sort())
  for (const algorithm of SIGNATURE_ALGORITHM_NAMES)
    expect(listed).toContainEqual([algorithm, SIGNATURE_ALGORITHMS[algorithm].keyType])
})

test('prices a signature in units of P-256, RSA by the length of its modulus', async () => {
  const { responder } = await makeTestPKI({ now: 1_800_000_000, algorithm: 'sha256WithRSAEncryption' })
  expect(signatureCost('sha256WithRSAEncryption', responder.spki.length)).toBe(30)
  expect(signatureCost('sha256WithRSAEncryption', 550)).toBe(240)
  expect(signatureCost('ecdsa-with-SHA256', 91)).toBe(1)
})
