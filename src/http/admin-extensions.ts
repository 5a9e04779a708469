/** What is said of a certificate beyond its status: fields of the API <-> extensions of its SingleResponse. */
import type * as z from 'zod/mini'
import type * as answer from '../admin-api/contract.ts'
import { type CertificateInput, formatTime, type RevocationInput } from '../admin-api/contract.ts'
import { decodeBase64, encodeBase64 } from '../asn1/base64.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { readRecordedFacts } from '../ocsp/recorded-extensions.ts'
import { certHash, crlReference, invalidityDate, sctList } from '../ocsp/single-extensions.ts'
import { HASH_LENGTH, type HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { type Extension, encodeExtensions } from '../pkix/extensions.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import { AdminError } from './admin-error.ts'
import { hexOf } from './admin-hex.ts'
import { pastTime, readSerial } from './admin-routes.ts'

type Said = Partial<
  Pick<z.output<typeof CertificateInput>, 'certHash' | 'scts'> &
    Pick<z.output<typeof RevocationInput>, 'invalidityDate' | 'crl'>
>

const HASHES = { sha1: 'SHA-1', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' } as const
/** cRLNumber has 20 octets at most (RFC 5280 5.2.3). */
const MAX_CRL_NUMBER_OCTETS = 20
/** Version, log id, timestamp, length of extensions, algorithms and length of the signature (RFC 6962 3.2). */
const LEAST_SCT_OCTETS = 1 + 32 + 8 + 2 + 2 + 2

/** @returns DER of Extensions; undefined = none of them was given. @throws AdminError invalidField 400, changeRefused 422 */
export function extensionsOf(said: Said, now: UnixSeconds): Uint8Array | undefined {
  const list: Extension[] = []
  if (said.certHash !== undefined) list.push(hashOf(said.certHash))
  if (said.scts !== undefined) list.push(sctList(readSCTs(said.scts)))
  const since = pastTime(said.invalidityDate, now, 'invalidityDate')
  if (since !== undefined) list.push(invalidityDate(since))
  if (said.crl !== undefined) {
    const { url, number, time } = said.crl
    list.push(
      crlReference({
        url,
        number: number === undefined ? undefined : readCRLNumber(number),
        time: pastTime(time, now, 'crl.time'),
      }),
    )
  }
  return list.length === 0 ? undefined : encodeExtensions(list)
}

function hashOf({ hash, value }: NonNullable<Said['certHash']>): Extension {
  const algorithm: HashAlgorithm = HASHES[hash]
  const digits = value.replaceAll(':', '')
  const octets = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
  if (octets.length === HASH_LENGTH[algorithm]) return certHash(algorithm, octets)
  throw invalid(
    'certHash.value',
    `${octets.length} octets, and ${hash} has ${HASH_LENGTH[algorithm]}`,
    `openssl x509 -in CERT -outform DER | openssl dgst -${hash} prints it`,
  )
}

function readCRLNumber(text: string): Uint8Array {
  const octets = readSerial(text, 'crl.number')
  if (octets.length <= MAX_CRL_NUMBER_OCTETS) return octets
  throw invalid('crl.number', `${octets.length} octets, and a CRL number has 20 at most`, 'see the CRL')
}

/** @throws AdminError: not base64, not a list, an empty one (R1.91), or a precertificate or certificate instead of one */
function readSCTs(text: string): Uint8Array {
  const list = decodeBase64(text.replace(/\s+/g, ''))
  if (list === undefined) throw invalidSCTs('not base64', 'send the base64 of SignedCertificateTimestampList')
  if (list[0] === 0x30)
    throw invalidSCTs(
      'DER, a certificate perhaps, and not a list of SCTs',
      'a certificate with SCTs needs them nowhere else; send SignedCertificateTimestampList as the logs gave it',
    )
  if (list[0] === 0x04)
    throw invalidSCTs(
      'an OCTET STRING around the list',
      'send its content: the list, its length of two octets in front',
    )
  const problem = listProblem(list)
  if (problem !== undefined) throw invalidSCTs(problem, 'see RFC 6962 3.3 for the encoding')
  return list
}

/** opaque SerializedSCT<1..2^16-1>; struct { SerializedSCT sct_list<1..2^16-1>; } SignedCertificateTimestampList */
function listProblem(list: Uint8Array): string | undefined {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength)
  if (list.length < 2 || view.getUint16(0) !== list.length - 2)
    return 'the length in front is not that of the list'
  if (list.length === 2) return 'the list is empty'
  for (let at = 2, index = 1; at < list.length; index++) {
    const length = at + 2 <= list.length ? view.getUint16(at) : 0
    const sct = list.subarray(at + 2, at + 2 + length)
    if (length === 0 || sct.length < length) return `SCT ${index} ends too soon`
    // Version 1 is written as 0; of others we know nothing but their length.
    if (sct[0] === 0 && !isSCT(sct)) return `SCT ${index} is not one of version 1`
    at += 2 + length
  }
  return undefined
}

function isSCT(sct: Uint8Array): boolean {
  if (sct.length < LEAST_SCT_OCTETS) return false
  const view = new DataView(sct.buffer, sct.byteOffset, sct.byteLength)
  const signature = 41 + 2 + view.getUint16(41) + 2
  return sct.length >= signature + 2 && sct.length === signature + 2 + view.getUint16(signature)
}

function invalidSCTs(message: string, hint: string): AdminError {
  return invalid('scts', message, hint)
}

function invalid(field: string, message: string, hint: string): AdminError {
  return new AdminError(400, 'invalidField', `${field}: ${message}`, { field, hint })
}

/** Extensions of a row in the words of the API. @throws DERError when the record is broken */
export function extensionsView(
  der: Uint8Array,
): Pick<answer.Certificate, 'certHash' | 'scts' | 'invalidityDate' | 'crl'> {
  const { certHash: hash, scts, invalidityDate: since, crl } = readRecordedFacts(der)
  return {
    ...(hash !== undefined && { certHash: { hash: nameOf(hash.algorithm), value: hexOf(hash.value) } }),
    ...(scts !== undefined && { scts: encodeBase64(scts) }),
    ...(since !== undefined && { invalidityDate: formatTime(since) }),
    ...(crl !== undefined && {
      crl: {
        ...(crl.url !== undefined && { url: crl.url }),
        ...(crl.number !== undefined && { number: formatSerial(crl.number) }),
        ...(crl.time !== undefined && { time: formatTime(crl.time) }),
      },
    }),
  }
}

function nameOf(algorithm: HashAlgorithm): keyof typeof HASHES {
  switch (algorithm) {
    case 'SHA-1':
      return 'sha1'
    case 'SHA-256':
      return 'sha256'
    case 'SHA-384':
      return 'sha384'
    case 'SHA-512':
      return 'sha512'
  }
}
