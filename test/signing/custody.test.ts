import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { encodeBase64 } from '../../src/asn1/base64.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  type CustodyContext,
  parseKeyEncryptionKey,
  unwrapKey,
  unwrapSigner,
  wrapKey,
} from '../../src/signing/key-custody.ts'
import { importSigner, importVerifier } from '../../src/signing/webcrypto-signer.ts'
import { hex } from '../support/pki.ts'

const algorithm = 'ecdsa-with-SHA256'
const key = await generateKeyPair(algorithm)
const other = await generateKeyPair(algorithm)
const kek = crypto.getRandomValues(new Uint8Array(32))
const context: CustodyContext = { issuerSKI: 'a1b2', responderName: 'ocsp-1', spki: key.spki }

describe('a wrapped key (law 8)', () => {
  test('comes back under the same secret and context', async () => {
    expect(await unwrapKey(await wrapKey(key.pkcs8, kek, context), kek, context)).toEqual(key.pkcs8)
  })

  test('signs without ever being seen', async () => {
    const signer = await unwrapSigner(await wrapKey(key.pkcs8, kek, context), kek, context, algorithm)
    const verify = await importVerifier(key.spki, algorithm)
    const tbs = Uint8Array.of(1, 2, 3)
    expect(await verify(tbs, await signer.sign(tbs))).toBe(true)
  })

  test('differs at each wrapping and holds nothing of the key in clear', async () => {
    const [one, two] = [await wrapKey(key.pkcs8, kek, context), await wrapKey(key.pkcs8, kek, context)]
    expect(hex(one.subarray(1))).not.toBe(hex(two.subarray(1)))
    expect(one[0]).toBe(1)
    expect(one.length).toBe(1 + 32 + 12 + key.pkcs8.length + 16)
    expect(hex(one)).not.toContain(hex(key.pkcs8.subarray(36, 68)))
  })

  test.each([
    ['another issuer', { ...context, issuerSKI: 'a1b3' }],
    ['another responder', { ...context, responderName: 'ocsp-2' }],
    ['another public key', { ...context, spki: other.spki }],
    ['a border moved between two fields', { ...context, issuerSKI: 'a1b2o', responderName: 'csp-1' }],
  ])('does not open for %s', async (_, wrong) => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    await expect(unwrapKey(blob, kek, wrong)).rejects.toMatchObject({
      name: 'SigningError',
      reason: 'keyUnreadable',
    })
  })

  test('does not open under another secret, and says which secret', async () => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    const wrong = kek.map((octet, i) => (i === 31 ? octet ^ 1 : octet))
    await expect(unwrapKey(blob, wrong, context)).rejects.toMatchObject({
      reason: 'keyUnreadable',
      message: expect.stringContaining('KEY_ENCRYPTION_KEY is not the one it was wrapped under'),
    })
  })

  test('does not open when any one octet is changed', async () => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    for (let at = 0; at < blob.length; at += 1) {
      const torn = blob.map((octet, i) => (i === at ? octet ^ 0x10 : octet))
      await expect(unwrapKey(torn, kek, context), `octet ${at}`).rejects.toMatchObject({
        reason: 'keyUnreadable',
      })
    }
  })

  test('does not open when it is cut short, empty or longer', async () => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    for (const torn of [
      blob.subarray(0, -1),
      blob.subarray(0, 61),
      new Uint8Array(0),
      Uint8Array.of(...blob, 0),
    ])
      await expect(unwrapKey(torn, kek, context)).rejects.toMatchObject({ reason: 'keyUnreadable' })
  })

  test('names the version it does not know', async () => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    blob[0] = 2
    await expect(unwrapKey(blob, kek, context)).rejects.toThrow('format version 2, not 1')
  })

  test('needs a secret of 32 octets', async () => {
    await expect(wrapKey(key.pkcs8, kek.subarray(1), context)).rejects.toMatchObject({ reason: 'keyMissing' })
  })
})

describe('KEY_ENCRYPTION_KEY', () => {
  test('is read from base64 and base64url, with or without padding and line end', () => {
    const text = encodeBase64(kek)
    expect(parseKeyEncryptionKey(`${text}\n`)).toEqual(kek)
    expect(parseKeyEncryptionKey(text.replaceAll('+', '-').replaceAll('/', '_').replace('=', ''))).toEqual(
      kek,
    )
  })

  test.each([
    ['nothing', undefined, 'KEY_ENCRYPTION_KEY is not set'],
    ['no base64', '!!p4ssw0rd!!', 'is not base64'],
    ['too few octets', 'c2VjcmV0', 'is base64 of 6 octets, not of 32'],
  ])('%s is refused with the command that sets it, and is not quoted', (_, text, message) => {
    let caught: unknown
    try {
      parseKeyEncryptionKey(text)
    } catch (error) {
      caught = error
    }
    expect(caught).toMatchObject({ reason: 'keyMissing', message: expect.stringContaining(message) })
    expect(caught).toMatchObject({
      message: expect.stringContaining('openssl rand -base64 32 | npx wrangler secret put'),
    })
    if (text !== undefined) expect(inspect(caught)).not.toContain(text.replaceAll('!', ''))
  })
})

describe('no text form of anything shows key material (law 8)', () => {
  const secrets = [
    hex(key.pkcs8.subarray(36, 68)),
    encodeBase64(key.pkcs8).slice(48, 88),
    hex(kek),
    encodeBase64(kek),
  ]

  function expectClean(value: unknown): void {
    const texts = [
      String(value),
      inspect(value, { depth: 10, showHidden: true }),
      JSON.stringify(value) ?? '',
      value instanceof Error ? `${value.stack} ${inspect(value.cause)}` : '',
    ]
    for (const text of texts) {
      for (const secret of secrets) expect(text).not.toContain(secret)
      expect(text.replace(/[^0-9a-f]/g, '')).not.toContain(secrets[0])
    }
  }

  test('the signer', async () => {
    expectClean(await importSigner(key.pkcs8, algorithm))
  })

  test('its CryptoKey, which nobody can reach or export', async () => {
    const signer = await importSigner(key.pkcs8, algorithm)
    expect(Object.values(signer).filter((value) => value instanceof CryptoKey)).toEqual([])
  })

  test('errors of import and of custody', async () => {
    const blob = await wrapKey(key.pkcs8, kek, context)
    const attempts = [
      () => importSigner(key.pkcs8, 'Ed25519'),
      () => importSigner(key.pkcs8, 'sha256WithRSAEncryption'),
      () => importSigner(key.pkcs8.subarray(0, 100), algorithm),
      () => unwrapKey(blob, kek, { ...context, issuerSKI: '00' }),
      () => wrapKey(key.pkcs8, Uint8Array.of(...kek, 0), context),
    ]
    for (const attempt of attempts) {
      const error: unknown = await attempt().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(Error)
      expectClean(error)
    }
  })
})
