/** Reads back what src/ocsp/single-extensions.ts wrote: the facts behind the extensions that are recorded with a certificate. */
import { DERReader } from '../asn1/der-reader.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import { type HashAlgorithm, hashAlgorithmOf, readAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { decodeExtensions } from '../pkix/extensions.ts'
import { decodeSCTList } from './single-extensions.ts'

export interface RecordedFacts {
  readonly certHash?: { readonly algorithm: HashAlgorithm; readonly value: Uint8Array } | undefined
  /** SignedCertificateTimestampList in the encoding of TLS. */
  readonly scts?: Uint8Array
  readonly invalidityDate?: UnixSeconds
  /** `number`: content octets of the INTEGER. */
  readonly crl?:
    | { readonly url?: string; readonly number?: Uint8Array; readonly time?: UnixSeconds }
    | undefined
}

const IA5_STRING = 0x16

/**
 * @param der of Extensions; kinds that are not known here are passed over
 * @throws DERError
 */
export function readRecordedFacts(der: Uint8Array): RecordedFacts {
  const facts: { -readonly [K in keyof RecordedFacts]: RecordedFacts[K] } = {}
  for (const { extnID, extnValue } of decodeExtensions(der)) {
    if (extnID === OID.certHash) facts.certHash = readCertHash(extnValue)
    else if (extnID === OID.sctList) facts.scts = decodeSCTList(extnValue)
    else if (extnID === OID.invalidityDate)
      facts.invalidityDate = whole(extnValue, (r) => r.generalizedTime())
    else if (extnID === OID.ocspCRL) facts.crl = readCRL(extnValue)
  }
  return facts
}

function readCertHash(extnValue: Uint8Array): RecordedFacts['certHash'] {
  return whole(extnValue, (reader) =>
    reader.sequence((r) => {
      const algorithm = hashAlgorithmOf(readAlgorithmIdentifier(r).algorithm)
      const value = r.octetString()
      return algorithm === undefined ? undefined : { algorithm, value }
    }),
  )
}

function readCRL(extnValue: Uint8Array): RecordedFacts['crl'] {
  return whole(extnValue, (reader) =>
    reader.sequence((r) => {
      const url = r.optionalExplicit(0, readIA5String)
      const number = r.optionalExplicit(1, (e) => e.integerBytes())
      const time = r.optionalExplicit(2, (e) => e.generalizedTime())
      return {
        ...(url !== undefined && { url }),
        ...(number !== undefined && { number }),
        ...(time !== undefined && { time }),
      }
    }),
  )
}

function readIA5String(reader: DERReader): string {
  const element = reader.raw(IA5_STRING)
  const [, length = 0] = element
  return new TextDecoder().decode(element.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f)))
}

function whole<T>(bytes: Uint8Array, read: (reader: DERReader) => T): T {
  const reader = new DERReader(bytes)
  const value = read(reader)
  reader.finish()
  return value
}
