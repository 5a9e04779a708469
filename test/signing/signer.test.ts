import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import { decodeECDSASignature, encodeECDSASignature } from '../../src/pkix/ecdsa-signature.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { importSigner, importVerifier, keyMatches } from '../../src/signing/webcrypto-signer.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { hex, makeTestPKI } from '../support/pki.ts'

const now = 1_800_000_000
const tbs = new TextEncoder().encode('tbsResponseData')
const openssl = new OpenSSL()
afterAll(() => openssl.close())

describe.each(SIGNATURE_ALGORITHM_NAMES)('%s', (algorithm) => {
  test('signs, verifies, and refuses another message and another signature (R1.51)', async () => {
    const { responder } = await makeTestPKI({ now, algorithm })
    const signature = await responder.signer.sign(tbs)
    const verify = await importVerifier(responder.spki, algorithm)
    expect(await verify(tbs, signature)).toBe(true)
    expect(await verify(tbs.subarray(1), signature)).toBe(false)
    expect(
      await verify(
        tbs,
        signature.map((octet, i) => (i === signature.length - 1 ? octet ^ 1 : octet)),
      ),
    ).toBe(false)
    expect(await verify(tbs, new Uint8Array(0))).toBe(false)
    expect(signature.length).toBeLessThanOrEqual(SIGNATURE_ALGORITHMS[algorithm].maxSignatureBytes)
    expect(responder.signer.signatureAlgorithm).toBe(SIGNATURE_ALGORITHMS[algorithm].identifier)
  })

  test.skipIf(OPENSSL_VERSION === undefined)(
    'openssl verifies a certificate with this signature and identifier (R4.8)',
    async () => {
      const pki = await makeTestPKI({ now: Math.floor(Date.now() / 1000), algorithm, caAlgorithm: algorithm })
      const ca = openssl.write(`${algorithm}-ca.pem`, formatPEM('CERTIFICATE', pki.issuer.certificate))
      const leaf = openssl.write(
        `${algorithm}-leaf.pem`,
        formatPEM('CERTIFICATE', (await pki.leaf()).certificate),
      )
      const { stdout, stderr } = openssl.run('verify', '-x509_strict', '-CAfile', ca, leaf)
      expect(stdout + stderr).toBe(`${leaf}: OK\n`)
    },
  )

  test('the private key matches its own public key and no other', async () => {
    const { responder } = await makeTestPKI({ now, algorithm })
    const other = await generateKeyPair(algorithm)
    expect(await keyMatches(responder.pkcs8, responder.spki, algorithm)).toBe(true)
    expect(await keyMatches(responder.pkcs8, other.spki, algorithm)).toBe(false)
  })
})

test('a key of another type does not match, it does not fail', async () => {
  const { responder } = await makeTestPKI({ now })
  const other = await generateKeyPair('Ed25519')
  expect(await keyMatches(responder.pkcs8, other.spki, 'ecdsa-with-SHA256')).toBe(false)
})

test('a key for another algorithm is refused by name', async () => {
  const { responder } = await makeTestPKI({ now })
  await expect(importSigner(responder.pkcs8, 'Ed25519')).rejects.toMatchObject({
    name: 'SigningError',
    reason: 'keyUnreadable',
    message: 'a key of type P-256 cannot sign with Ed25519, only with ecdsa-with-SHA256',
  })
})

test('an RSA key of 1024 bits is refused, with the reason (R4.8)', async () => {
  const short = await generateKeyPair('sha256WithRSAEncryption', 1024)
  await expect(importSigner(short.pkcs8, 'sha256WithRSAEncryption')).rejects.toThrow(
    'an RSA key of 1024 bits is too short: 2048 to 4096 bits are accepted',
  )
  await expect(importVerifier(short.spki, 'rsassaPss-sha256')).rejects.toThrow('1024 bits is too short')
})

describe('ECDSA signatures in DER', () => {
  // SEQUENCE { INTEGER r, INTEGER s }, coordinates of two octets for show.
  test.each([
    ['no leading bit', '01020304', '300802020102' + '02020304'],
    ['a leading bit gets a zero octet', '80020304', '3009' + '0203008002' + '02020304'],
    ['leading zeros go', '00020304', '3007' + '020102' + '02020304'],
    ['a zero before a leading bit stays', '00820003', '3007' + '02020082' + '020103'],
  ])('%s', (_, raw, der) => {
    expect(hex(encodeECDSASignature(bytes(raw)))).toBe(der)
    expect(hex(decodeECDSASignature(bytes(der), 2) ?? new Uint8Array())).toBe(raw)
  })

  test('P-521 takes the long form of the length when it has to, and only then', () => {
    expect(encodeECDSASignature(new Uint8Array(132).fill(0x01)).subarray(0, 3)).toEqual(
      Uint8Array.of(0x30, 0x81, 136),
    )
    const small = new Uint8Array(132)
    small[65] = 1
    small[131] = 1
    expect(hex(encodeECDSASignature(small))).toBe('3006020101020101')
  })

  test('every raw signature comes back from its DER', async () => {
    await fc.assert(
      fc.property(fc.constantFrom(32, 48, 66), fc.infiniteStream(fc.nat(255)), (size, octets) => {
        const raw = Uint8Array.from({ length: 2 * size }, () => octets.next().value ?? 0)
        expect(decodeECDSASignature(encodeECDSASignature(raw), size)).toEqual(raw)
      }),
    )
  })

  test.each([
    ['empty', ''],
    ['trailing octet', '3006020101020101' + '00'],
    ['length beyond the end', '3007020101020101'],
    ['a third element', '3009020101020101020101'],
    ['padded integer', '300702020001020101'],
    ['negative integer', '3006020181020101'],
    ['empty integer', '30050200020101'],
    ['integer too long for the curve', '30080203010203' + '020101'],
    ['long form of a short length', '308106020101020101'],
    ['not a SEQUENCE', '3106020101020101'],
  ])('refuses %s', (_, der) => {
    expect(decodeECDSASignature(bytes(der), 2)).toBeUndefined()
  })

  test('random octets are never a fault', async () => {
    await fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (octets) => {
        decodeECDSASignature(octets, 32)
      }),
    )
  })
})

function bytes(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) =>
    Number.parseInt(text.slice(2 * i, 2 * i + 2), 16),
  )
}
