/** Keys of ML-DSA: hashed like any other where they are only named, refused by name where they would have to sign. */
import { createHash, generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SigningError } from '../../src/ports/errors.ts'
import { algorithmFor } from '../../src/signing/private-key.ts'
import { issuerHashes, keyHash, readCertificate } from '../../src/x509/index.ts'
import { makeTestPKI } from '../support/pki.ts'

/** FIPS 204: octets of the public key. */
const PUBLIC_KEY_OCTETS = { 'ml-dsa-44': 1312, 'ml-dsa-65': 1952, 'ml-dsa-87': 2592 }

type Kind = keyof typeof PUBLIC_KEY_OCTETS

function pair(kind: Kind): { spki: Uint8Array; pkcs8: Uint8Array } {
  const { publicKey, privateKey } = keysOf(kind)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    spki: new Uint8Array(spki),
    pkcs8: new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' })),
  }
}

function keysOf(kind: Kind): KeyPairKeyObjectResult {
  switch (kind) {
    case 'ml-dsa-44':
      return generateKeyPairSync('ml-dsa-44')
    case 'ml-dsa-65':
      return generateKeyPairSync('ml-dsa-65')
    case 'ml-dsa-87':
      return generateKeyPairSync('ml-dsa-87')
  }
}

describe.each(['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const)('a certificate with a key of %s', (kind) => {
  const { spki, pkcs8 } = pair(kind)
  const raw = spki.subarray(spki.length - PUBLIC_KEY_OCTETS[kind])

  test('is named byKey by SHA-1 over the raw key, and in CertIDs by any hash of it (R7.7, R1.15)', async () => {
    const pki = await makeTestPKI({ now: 1_800_000_000 })
    const view = readCertificate(await pki.responderCertificate({ spki }))
    const digest = (name: string) => new Uint8Array(createHash(name).update(raw).digest())
    expect(await keyHash(view)).toEqual(digest('sha1'))
    expect((await issuerHashes(view))['SHA-256'].issuerKeyHash).toEqual(digest('sha256'))
  })

  test('cannot sign here, and is refused when it is added, by its type and with what can (R7.3)', () => {
    for (const refused of [() => algorithmFor(spki), () => algorithmFor(pkcs8)]) {
      expect(refused).toThrow(SigningError)
      expect(refused).toThrow(
        /keys of type 2\.16\.840\.1\.101\.3\.4\.3\.1[789] are not supported; usable are EC P-256/,
      )
    }
  })
})
