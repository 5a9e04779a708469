import { describe, expect, test } from 'vitest'
import { decodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { preferredSignatureAlgorithms } from '../../src/ocsp/preferred-algorithms.ts'
import { hex, seq, thrown, tlv, toHex } from '../fixtures/octets.ts'
import { CRITICAL, extension, NONCE_OID, request, requestExtensions } from '../fixtures/requests.ts'

const PREFERRED_OID = hex('06 09 2b0601050507300108')
const RSA = hex('30 0d 06092a864886f70d01010b 0500')
const ECDSA = hex('30 0a 06082a8648ce3d040302')
const P256_KEY = hex('30 13 06072a8648ce3d0201 06082a8648ce3d030107')

const asking = (value: Uint8Array, critical?: Uint8Array) =>
  decodeOCSPRequest(request({ after: requestExtensions(extension(PREFERRED_OID, value, critical)) }))

describe('preferred signature algorithms (RFC 6960 4.4.7.1)', () => {
  test('are read in the order of the client, with the key that it wants (R1.86)', () => {
    const read = preferredSignatureAlgorithms(asking(seq(seq(ECDSA, P256_KEY), seq(RSA))))
    expect(read.map(({ sigIdentifier }) => sigIdentifier.algorithm)).toEqual([
      '1.2.840.10045.4.3.2',
      '1.2.840.113549.1.1.11',
    ])
    expect(read[0]?.sigIdentifier.parameters).toBeUndefined()
    expect(toHex(read[1]?.sigIdentifier.parameters ?? hex(''))).toBe('0500')
    expect(read[0]?.pubKeyAlgIdentifier?.algorithm).toBe('1.2.840.10045.2.1')
    expect(toHex(read[0]?.pubKeyAlgIdentifier?.parameters ?? hex(''))).toBe('06082a8648ce3d030107')
    expect(read[1]?.pubKeyAlgIdentifier).toBeUndefined()
  })

  test('are none when the list is empty, and when there is no such extension', () => {
    expect(preferredSignatureAlgorithms(asking(seq()))).toEqual([])
    expect(preferredSignatureAlgorithms(decodeOCSPRequest(request()))).toEqual([])
    const nonce = requestExtensions(extension(NONCE_OID, tlv(0x04, hex('01 02'))))
    expect(preferredSignatureAlgorithms(decodeOCSPRequest(request({ after: nonce })))).toEqual([])
  })

  test('may be critical, because we know them', () => {
    expect(preferredSignatureAlgorithms(asking(seq(seq(RSA)), CRITICAL))).toHaveLength(1)
  })

  test.each([
    ['no SEQUENCE', hex('0500')],
    ['nothing', hex('')],
    ['an algorithm without its SEQUENCE', seq(RSA)],
    ['an algorithm without an object identifier', seq(seq(seq()))],
    ['three fields', seq(seq(RSA, P256_KEY, P256_KEY))],
    ['octets after the list', hex('3000 00')],
    ['a length cut short', hex('30 05 30 03')],
    ['more elements than anybody needs', seq(...Array.from({ length: 400 }, () => seq(RSA)))],
  ])('are a DER error when they are %s: malformedRequest', (_, value) => {
    const decoded = asking(value) // lazily: nobody pays for reading what nobody asks for
    expect(thrown(() => preferredSignatureAlgorithms(decoded))).toMatchObject({ name: 'DERError' })
  })
})
