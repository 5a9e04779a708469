/** What is said of a request's signature before any X.509: names, certificates by their subject, strength of algorithms and keys. */
import { describe, expect, test } from 'vitest'
import { DERReader } from '../../src/asn1/der-reader.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import { distinguishedName } from '../../src/cli/dev/issue-certificate.ts'
import { readAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import {
  certificateNamed,
  directoryName,
  isStrongAlgorithm,
  isStrongIdentifier,
  isStrongKey,
} from '../../src/responder/request-signature.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { makeRequestor } from './requestors.ts'

const NAME = distinguishedName({ commonName: 'A requestor' })
const SHA = {
  1: '06052b0e03021a',
  256: '0609608648016503040201',
  384: '0609608648016503040202',
  512: '0609608648016503040203',
}
const NULL = '0500'

describe('directoryName', () => {
  test('is the Name of a GeneralName [4] (R1.96)', () => {
    expect(directoryName(tlv(0xa4, NAME))).toEqual(NAME)
    expect(directoryName(tlv(0xa4, seq()))).toEqual(seq())
  })

  test.each([
    ['absent', undefined],
    ['rfc822Name', tlv(0x81, Buffer.from('a@example.com'))],
    ['dNSName', tlv(0x82, Buffer.from('example.com'))],
    ['URI', tlv(0x86, Buffer.from('http://example.com'))],
    ['iPAddress', tlv(0x87, hex('7f000001'))],
    ['registeredID', tlv(0x88, hex('2a0304'))],
    ['otherName', tlv(0xa0, hex('06032a0304'), tlv(0xa0, NAME))],
    ['[4] with a string in it', tlv(0xa4, tlv(0x0c, Buffer.from('A requestor')))],
    ['[4] with two names', tlv(0xa4, NAME, NAME)],
    ['[4] with nothing', tlv(0xa4)],
    ['[4] that is primitive', tlv(0x84, NAME)],
    ['nothing at all', new Uint8Array()],
  ])('is none of one that is %s', (_, generalName) => {
    expect(directoryName(generalName)).toBeUndefined()
  })
})

describe('certificateNamed', () => {
  test('finds the first with this subject, octet for octet, past whatever cannot be read (R1.96)', async () => {
    const [one, two] = [await makeRequestor(), await makeRequestor()]
    const other = await makeRequestor({ commonName: 'Another' })
    const junk = [hex('3000'), hex('3003020101'), seq(seq(hex('020101'))), hex('30820fff')]
    expect(certificateNamed(NAME, [...junk, other.certificate, one.certificate, two.certificate])).toEqual(
      one.certificate,
    )
    expect(certificateNamed(NAME, [two.certificate, one.certificate])).toEqual(two.certificate)
    expect(certificateNamed(other.name, [one.certificate, other.certificate])).toEqual(other.certificate)
  })

  test('finds none of another subject, of its issuer alone, or with the letters of another case (R1.96)', async () => {
    const ca = await makeRequestor({ commonName: 'A CA' })
    const issued = await makeRequestor({ issuer: ca })
    expect(certificateNamed(ca.name, [issued.certificate])).toBeUndefined()
    expect(
      certificateNamed(distinguishedName({ commonName: 'a requestor' }), [issued.certificate]),
    ).toBeUndefined()
    expect(certificateNamed(NAME, [])).toBeUndefined()
  })

  test('looks at ten certificates, and at none of eleven', async () => {
    const { certificate } = await makeRequestor()
    const filler = Array.from({ length: 9 }, () => hex('3000'))
    expect(certificateNamed(NAME, [...filler, certificate])).toEqual(certificate)
    expect(certificateNamed(NAME, [...filler, hex('3000'), certificate])).toBeUndefined()
    expect(certificateNamed(NAME, [certificate, ...filler, hex('3000')])).toBeUndefined()
  })

  test('a version 1 certificate has its subject in the same place', async () => {
    const name = distinguishedName({ commonName: 'Old' })
    const v1 = seq(
      seq(hex('020101'), seq(hex('06032a0304')), seq(), seq(), name, seq()),
      seq(),
      hex('030100'),
    )
    expect(certificateNamed(name, [v1])).toEqual(v1)
  })

  test('no truncated certificate is one, wherever it ends', async () => {
    const { certificate } = await makeRequestor()
    for (let end = 0; end < certificate.length; end += 1)
      expect(certificateNamed(NAME, [certificate.subarray(0, end)])).toBeUndefined()
  })
})

/** DER AlgorithmIdentifier. */
const identifier = (oid: string, parameters = '') => seq(hex(oid), hex(parameters))
const PSS_OID = '06092a864886f70d01010a'
const MGF1 = '06092a864886f70d010108'
const pss = (...parameters: readonly Uint8Array[]) => seq(hex(PSS_OID), seq(...parameters))
const pssWith = (hash: string) =>
  pss(
    tlv(0xa0, identifier(hash, NULL)),
    tlv(0xa1, seq(hex(MGF1), identifier(hash, NULL))),
    tlv(0xa2, hex('020120')),
  )
const strength = (der: Uint8Array) => [
  isStrongAlgorithm(readAlgorithmIdentifier(new DERReader(der))),
  isStrongIdentifier(der),
]

describe('algorithms', () => {
  test.each([
    ['RSA with SHA-256', identifier('06092a864886f70d01010b', NULL)],
    ['RSA with SHA-256, NULL left out', identifier('06092a864886f70d01010b')],
    ['RSA with SHA-384', identifier('06092a864886f70d01010c', NULL)],
    ['RSA with SHA-512', identifier('06092a864886f70d01010d', NULL)],
    ['PSS with SHA-256', pssWith(SHA[256])],
    ['PSS with SHA-384', pssWith(SHA[384])],
    ['PSS with SHA-512', pssWith(SHA[512])],
    ['ECDSA with SHA-256', identifier('06082a8648ce3d040302')],
    ['ECDSA with SHA-384', identifier('06082a8648ce3d040303')],
    ['ECDSA with SHA-512', identifier('06082a8648ce3d040304')],
    ['Ed25519', identifier('06032b6570')],
  ])('%s is strong (R1.96)', (_, der) => {
    expect(strength(der)).toEqual([true, true])
  })

  test.each([
    ['RSA with MD5', identifier('06092a864886f70d010104', NULL)],
    ['RSA with SHA-1', identifier('06092a864886f70d010105', NULL)],
    ['RSA with SHA-1 by its old name', identifier('06052b0e03021d', NULL)],
    ['PSS with SHA-1', pssWith(SHA[1])],
    ['PSS by default, which is SHA-1', pss()],
    ['PSS with a salt alone', pss(tlv(0xa2, hex('020120')))],
    ['PSS without parameters', identifier(PSS_OID)],
    ['PSS with NULL', identifier(PSS_OID, NULL)],
    ['PSS with a hash that nobody knows', pssWith('06032a0304')],
    ['ECDSA with SHA-1', identifier('06072a8648ce3d0401')],
    ['ECDSA with SHA-224', identifier('06082a8648ce3d040301')],
    ['DSA with SHA-256', identifier('0609608648016503040302')],
    ['a hash alone', identifier(SHA[256], NULL)],
  ])('%s is not (R1.96, R3.14)', (_, der) => {
    expect(strength(der)).toEqual([false, false])
  })

  test.each([
    ['nothing', ''],
    ['no SEQUENCE', '0500'],
    ['no OID', '3000'],
    ['a torn one', '300d06092a864886f7'],
  ])('%s is no identifier, and not strong', (_, octets) => {
    expect(isStrongIdentifier(hex(octets))).toBe(false)
  })
})

describe('keys', () => {
  /** SubjectPublicKeyInfo of an RSA key with this modulus, content octets. */
  const rsa = (modulus: Uint8Array) => {
    const key = seq(tlv(0x02, modulus), hex('0203010001'))
    return seq(identifier('06092a864886f70d010101', NULL), tlv(0x03, Uint8Array.of(0), key))
  }
  /** A modulus of so many bits, as INTEGER content. */
  const ofBits = (bits: number) => {
    const octets = new Uint8Array(Math.floor(bits / 8) + 1).fill(0x55)
    octets[0] = bits % 8 === 0 ? 0 : 1 << ((bits % 8) - 1)
    if (bits % 8 === 0) octets[1] = 0x80
    return octets
  }

  test.each([512, 1024, 1536, 2040, 2047])('RSA of %d bits is weak (R1.96)', (bits) => {
    expect(isStrongKey(rsa(ofBits(bits)))).toBe(false)
  })

  test.each([2048, 2049, 2056, 3072, 4096, 8192])('RSA of %d bits is strong (R1.96)', (bits) => {
    expect(isStrongKey(rsa(ofBits(bits)))).toBe(true)
  })

  test('those that are really made are told apart too', async () => {
    const made = async (bits: number) => (await generateKeyPair('sha256WithRSAEncryption', bits)).spki
    expect([isStrongKey(await made(1024)), isStrongKey(await made(2048))]).toEqual([false, true])
  })

  test.each(['ecdsa-with-SHA256', 'ecdsa-with-SHA384', 'ecdsa-with-SHA512', 'Ed25519'] as const)(
    'those of %s are strong',
    async (algorithm) => {
      expect(isStrongKey((await generateKeyPair(algorithm)).spki)).toBe(true)
    },
  )

  test.each([
    ['nothing', new Uint8Array()],
    ['no key', seq()],
    ['an RSA key that is none', seq(identifier('06092a864886f70d010101', NULL), hex('030100'))],
    ['an RSA key of zeros', rsa(new Uint8Array(300))],
    ['an RSA key padded with zeros', rsa(new Uint8Array([...new Uint8Array(200), ...ofBits(1024)]))],
    ['a torn one', rsa(ofBits(2048)).subarray(0, 100)],
  ])('%s is weak', (_, spki) => {
    expect(isStrongKey(spki)).toBe(false)
  })
})
