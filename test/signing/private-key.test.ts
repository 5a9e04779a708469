import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeBase64 } from '../../src/asn1/base64.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import { tlv } from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM, parsePEM } from '../../src/pkix/pem.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { algorithmFor, parsePrivateKey, readKeyFacts } from '../../src/signing/private-key.ts'
import { keyMatches } from '../../src/signing/webcrypto-signer.ts'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { hex, makeTestPKI } from '../support/pki.ts'

const now = 1_800_000_000
const ec = await generateKeyPair('ecdsa-with-SHA256')

function messageOf(attempt: () => unknown): string {
  try {
    attempt()
  } catch (error) {
    expect(error).toMatchObject({ name: 'SigningError', reason: 'keyUnreadable' })
    return error instanceof Error ? error.message : ''
  }
  throw new Error('nothing was refused')
}

describe('PKCS#8 is read', () => {
  test('from DER and from PEM, as text and as octets', () => {
    const pem = formatPEM('PRIVATE KEY', ec.pkcs8)
    expect(parsePrivateKey(ec.pkcs8)).toEqual(ec.pkcs8)
    expect(parsePrivateKey(pem)).toEqual(ec.pkcs8)
    expect(parsePrivateKey(new TextEncoder().encode(pem))).toEqual(ec.pkcs8)
  })

  test('from a file that has its certificate or curve in front', async () => {
    const { issuer } = await makeTestPKI({ now })
    const pem = `${formatPEM('CERTIFICATE', issuer.certificate)}some text\n${formatPEM('PRIVATE KEY', ec.pkcs8)}`
    expect(parsePrivateKey(pem)).toEqual(ec.pkcs8)
  })

  test('into an array of its own, which can be overwritten', () => {
    const input = ec.pkcs8.slice()
    parsePrivateKey(input).fill(0)
    expect(input).toEqual(ec.pkcs8)
  })

  test('in version 2 with attributes and public key, which are left out (RFC 5958)', async () => {
    const key = await generateKeyPair('Ed25519')
    // SEQUENCE { version 1, algorithm, privateKey, [1] publicKey }
    const fields = key.pkcs8.subarray(5)
    const publicKey = tlv(0x81, Uint8Array.of(0), key.spki.subarray(12))
    const second = tlv(0x30, Uint8Array.of(2, 1, 1), fields, publicKey)
    expect(parsePrivateKey(second)).toEqual(key.pkcs8)
    expect(await keyMatches(parsePrivateKey(second), key.spki, 'Ed25519')).toBe(true)
  })
})

test.each(SIGNATURE_ALGORITHM_NAMES)('a key for %s says so, in both of its forms', async (algorithm) => {
  const { responder } = await makeTestPKI({ now, algorithm })
  for (const der of [responder.pkcs8, responder.spki]) {
    expect(readKeyFacts(der).keyType).toBe(SIGNATURE_ALGORITHMS[algorithm].keyType)
    expect(algorithmFor(der)).toContain(algorithm)
    expect(algorithmFor(der, algorithm)).toEqual([algorithm])
  }
})

test('an RSA key tells the length of its modulus, and prefers PKCS#1 v1.5 (R1.89)', async () => {
  const { responder } = await makeTestPKI({ now, algorithm: 'rsassaPss-sha256' })
  expect(readKeyFacts(responder.pkcs8)).toEqual({ keyType: 'RSA', rsaBits: 2048 })
  expect(readKeyFacts(responder.spki)).toEqual({ keyType: 'RSA', rsaBits: 2048 })
  expect(algorithmFor(responder.spki)).toEqual(['sha256WithRSAEncryption', 'rsassaPss-sha256'])
})

test('an algorithm that the key cannot do is refused with those it can', () => {
  expect(messageOf(() => algorithmFor(ec.spki, 'Ed25519'))).toBe(
    'a key of type P-256 cannot sign with Ed25519, only with ecdsa-with-SHA256',
  )
})

describe.skipIf(OPENSSL_VERSION === undefined)('keys as openssl writes them', () => {
  const openssl = new OpenSSL()
  afterAll(() => openssl.close())
  const read = (...args: string[]) => {
    const { status, stdout, stderr } = openssl.run(...args)
    if (status !== 0) throw new Error(stderr)
    return stdout
  }

  beforeAll(() => {
    for (const [name, ...options] of [
      ['ec.pem', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ['rsa.pem', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ['short.pem', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
      ['pss.pem', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ['k1.pem', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
      ['explicit.pem', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
      ['ed448.pem', 'ED448'],
    ] as const)
      read('genpkey', '-algorithm', ...options, '-out', name)
    read('ec', '-in', 'ec.pem', '-out', 'sec1.pem')
    read('rsa', '-in', 'rsa.pem', '-traditional', '-out', 'pkcs1.pem')
    read('rsa', '-in', 'rsa.pem', '-traditional', '-aes128', '-passout', 'pass:x', '-out', 'pkcs1-enc.pem')
    read('pkcs8', '-topk8', '-in', 'ec.pem', '-passout', 'pass:x', '-out', 'pkcs8-enc.pem')
  })

  test('PKCS#8 works', async () => {
    for (const [file, algorithm] of [
      ['ec.pem', 'ecdsa-with-SHA256'],
      ['rsa.pem', 'sha256WithRSAEncryption'],
    ] as const satisfies readonly (readonly [string, SignatureAlgorithm])[]) {
      const pkcs8 = parsePrivateKey(read('pkey', '-in', file))
      const [block] = parsePEM(read('pkey', '-in', file, '-pubout'))
      expect(block && (await keyMatches(pkcs8, block.der, algorithm))).toBe(true)
    }
  })

  test.each([
    ['sec1.pem', 'SEC1', 'openssl pkey -in KEY -out'],
    ['pkcs1.pem', 'PKCS#1', 'openssl pkey -in KEY -out'],
    ['pkcs1-enc.pem', 'encrypted with a passphrase', 'openssl pkey -in KEY -out'],
    ['pkcs8-enc.pem', 'encrypted with a passphrase', 'openssl pkey -in KEY -out'],
  ])('%s is refused by its kind, and the command that is named converts it', (file, kind, command) => {
    const pem = openssl.read(file)
    const message = messageOf(() => parsePrivateKey(pem))
    expect(message).toContain(kind)
    expect(message).toContain(command)
    expect(message).not.toContain(pem.trimEnd().split('\n').at(-2)?.slice(0, 12))
    const converted = read(...convertArgs(message, file))
    expect(() => parsePrivateKey(converted || openssl.read('key-pkcs8.pem'))).not.toThrow()
  })

  test.each([
    ['sec1.pem', 'EC PRIVATE KEY', 'SEC1'],
    ['pkcs1.pem', 'RSA PRIVATE KEY', 'PKCS#1'],
    ['pkcs8-enc.pem', 'ENCRYPTED PRIVATE KEY', 'encrypted with a passphrase'],
  ])('%s is known by its DER as well', (file, label, kind) => {
    const [block] = parsePEM(openssl.read(file))
    expect(block?.label).toBe(label)
    expect(messageOf(() => parsePrivateKey(block?.der ?? ''))).toContain(kind)
  })

  test.each([
    ['short.pem', 'an RSA key of 1024 bits is too short'],
    ['pss.pem', 'restricted to RSASSA-PSS'],
    ['k1.pem', 'on curve 1.3.132.0.10'],
    ['explicit.pem', "spells out its curve's parameters"],
    ['ed448.pem', 'keys of type 1.3.101.113 are not supported'],
  ])('%s has a key that no algorithm here can use, and hears why', (file, message) => {
    expect(messageOf(() => algorithmFor(parsePrivateKey(openssl.read(file))))).toContain(message)
  })

  test('PKCS#12 is told from a key', () => {
    read('req', '-x509', '-key', 'ec.pem', '-subj', '/CN=x', '-days', '2', '-out', 'cert.pem')
    read('pkcs12', '-export', '-inkey', 'ec.pem', '-in', 'cert.pem', '-passout', 'pass:x', '-out', 'key.p12')
    expect(messageOf(() => parsePrivateKey(openssl.readBytes('key.p12')))).toContain('openssl pkcs12')
  })
})

function convertArgs(message: string, file: string): string[] {
  const [, command = ''] = /openssl (pkey -in KEY -out \S+)/.exec(message) ?? []
  return [...command.replace('KEY', file).split(' '), '-passin', 'pass:x']
}

test.each([
  ['nothing', '', 'no private key found'],
  ['text', 'hello', 'no private key found'],
  ['a JWK', '{"kty":"EC"}', 'looks like JSON'],
  ['a certificate', formatPEM('CERTIFICATE', ec.spki), 'this is a certificate'],
  ['a public key', formatPEM('PUBLIC KEY', ec.spki), 'this is a public key'],
  ['an OpenSSH key', formatPEM('OPENSSH PRIVATE KEY', ec.spki), 'ssh-keygen -p -m PKCS8'],
  ['a label that is a name of every object', formatPEM('constructor', ec.spki), 'not a private key'],
  [
    'cut PEM',
    formatPEM('PRIVATE KEY', ec.pkcs8).slice(0, 100),
    'damaged PEM: no -----END PRIVATE KEY----- (line 1)',
  ],
])('%s is not taken for a private key', (_, input, message) => {
  expect(messageOf(() => parsePrivateKey(input))).toContain(message)
})

test('a public key in DER is told from a private one', () => {
  expect(messageOf(() => parsePrivateKey(ec.spki))).toContain('this is a public key')
})

test('damaged DER is refused with the octet, whatever octet it is', () => {
  expect(messageOf(() => parsePrivateKey(ec.pkcs8.subarray(0, -1)))).toBe(
    'this is not a PKCS#8 private key: truncated at octet 0 of its DER',
  )
  expect(messageOf(() => parsePrivateKey(Uint8Array.of(...ec.pkcs8, 0)))).toContain('trailingData')
})

test('no refusal quotes the key (law 8)', () => {
  const secret = ec.pkcs8.subarray(36, 68)
  const base64 = encodeBase64(ec.pkcs8)
  const damaged = [
    ec.pkcs8.subarray(0, 100),
    tlv(0x30, ec.pkcs8),
    formatPEM('EC PRIVATE KEY', ec.pkcs8),
    formatPEM('PRIVATE KEY', ec.pkcs8).replace('END', 'EMD'),
    formatPEM('PRIVATE KEY', ec.pkcs8).replace(base64.slice(10, 12), '*:'),
    base64,
  ]
  for (const input of damaged) {
    const message = messageOf(() => parsePrivateKey(input))
    expect(message).not.toContain(hex(secret).slice(0, 8))
    for (let at = 0; at + 8 <= base64.length; at += 1) expect(message).not.toContain(base64.slice(at, at + 8))
  }
})
