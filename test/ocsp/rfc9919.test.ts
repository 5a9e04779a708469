import { createHash, verify, X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { DERReader, TAG } from '../../src/asn1/der-reader.ts'
import { parseGeneralizedTime } from '../../src/asn1/generalized-time.ts'
import {
  decodeOCSPRequest,
  decodeSuccessfulResponse,
  encodeBasicOCSPResponse,
  encodeOCSPRequest,
  encodeOCSPResponse,
  encodeResponseData,
} from '../../src/ocsp/index.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { parseSerial } from '../../src/pkix/serial-number.ts'
import { base64 } from '../fixtures/octets.ts'
import { CA_CERTIFICATE, REQUEST, RESPONDER_CERTIFICATE, RESPONSE } from '../fixtures/rfc9919.ts'

/** The subject Name element and the value of the subjectPublicKey BIT STRING of a certificate. */
function subjectOf(certificate: Uint8Array): { name: Uint8Array; key: Uint8Array } {
  const reader = new DERReader(certificate)
  return reader.sequence((outer) => {
    const found = outer.sequence((tbs) => {
      for (let i = 0; i < 5; i++) tbs.raw()
      const name = tbs.raw(TAG.sequence)
      const key = tbs.sequence((spki) => {
        spki.raw()
        return spki.bitString()
      })
      while (!tbs.atEnd) tbs.raw()
      return { name, key }
    })
    while (!outer.atEnd) outer.raw()
    return found
  })
}

const hash = (algorithm: string, octets: Uint8Array): Uint8Array =>
  new Uint8Array(createHash(algorithm).update(octets).digest())

const ca = base64(CA_CERTIFICATE)
const responder = base64(RESPONDER_CERTIFICATE)
const issuer = subjectOf(ca)
const certID = {
  hashAlgorithm: hashAlgorithmIdentifier('SHA-256'),
  issuerNameHash: hash('sha256', issuer.name),
  issuerKeyHash: hash('sha256', issuer.key),
  serialNumber: parseSerial('27979789', { decimal: true }),
}

test('B.4: the request is made byte for byte from the CA certificate and the serial number (R1.14, R1.15)', () => {
  const value = { tbsRequest: { versionExplicit: false, requestList: [{ reqCert: certID }] } }
  expect(encodeOCSPRequest(value)).toEqual(base64(REQUEST))
  expect(decodeOCSPRequest(base64(REQUEST))).toEqual(value)
})

test('B.5: the response decodes to its CertID, times and responder, and re-encodes', () => {
  const der = base64(RESPONSE)
  const value = decodeSuccessfulResponse(der)
  expect(value.tbsResponseData).toEqual({
    versionExplicit: false,
    responderID: { byKey: hash('sha1', subjectOf(responder).key) },
    producedAt: parseGeneralizedTime('20240402123747Z'),
    responses: [
      {
        certID,
        certStatus: { type: 'good' },
        // A day after producedAt: RFC 9919's own example breaks thisUpdate <= producedAt (R1.62).
        thisUpdate: parseGeneralizedTime('20240403123747Z'),
        nextUpdate: parseGeneralizedTime('20240410123747Z'),
      },
    ],
  })
  expect(value.certs).toEqual([responder])
  expect(value.signatureAlgorithm).toEqual({ algorithm: '1.2.840.10045.4.3.3', parameters: undefined })
  const responseBytes = { responseType: '1.3.6.1.5.5.7.48.1.1', response: encodeBasicOCSPResponse(value) }
  expect(encodeOCSPResponse({ responseStatus: 'successful', responseBytes })).toEqual(der)
})

test('B.5: the signature verifies over tbsResponseData as we write it (R1.51)', () => {
  const value = decodeSuccessfulResponse(base64(RESPONSE))
  const signed = encodeResponseData(value.tbsResponseData)
  const { publicKey } = new X509Certificate(responder)
  expect(verify('sha384', signed, publicKey, value.signature)).toBe(true)
  expect(new X509Certificate(responder).verify(new X509Certificate(ca).publicKey)).toBe(true)
})
