/** Extensions of a SingleResponse, none of them ever critical (R1.71). */
import { DERReader } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { encodeAlgorithmIdentifier, hashAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'

/** ArchiveCutoff ::= GeneralizedTime @see RFC 6960 4.4.4 */
export function archiveCutoff(time: UnixSeconds): Extension {
  return extension(OID.ocspArchiveCutoff, (w) => w.generalizedTime(time))
}

/** InvalidityDate ::= GeneralizedTime @see RFC 5280 5.3.2 */
export function invalidityDate(time: UnixSeconds): Extension {
  return extension(OID.invalidityDate, (w) => w.generalizedTime(time))
}

/** Where a revocation was published. */
export interface CRLReference {
  readonly url?: string | undefined
  /** cRLNumber: below 2^53, or the content octets of the INTEGER. */
  readonly number?: number | Uint8Array | undefined
  /** thisUpdate of the CRL. */
  readonly time?: UnixSeconds | undefined
}

/**
 * CrlID ::= SEQUENCE { crlUrl [0] EXPLICIT IA5String OPTIONAL, crlNum [1] EXPLICIT INTEGER OPTIONAL,
 *   crlTime [2] EXPLICIT GeneralizedTime OPTIONAL } @see RFC 6960 4.4.2
 */
export function crlReference({ url, number, time }: CRLReference): Extension {
  return extension(OID.ocspCRL, (w) => {
    w.sequence((s) => {
      if (url !== undefined) s.explicit(0, (e) => e.primitive(IA5_STRING, new TextEncoder().encode(url)))
      if (typeof number === 'number') s.explicit(1, (e) => e.integer(number))
      else if (number !== undefined) s.explicit(1, (e) => e.integerBytes(number))
      if (time !== undefined) s.explicit(2, (e) => e.generalizedTime(time))
    })
  })
}

/** CertHash ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier, certificateHash OCTET STRING } (Common PKI part 4, R4.53) */
export function certHash(algorithm: HashAlgorithm, hash: Uint8Array): Extension {
  return extension(OID.certHash, (w) => {
    w.sequence((s) => {
      s.raw(encodeAlgorithmIdentifier(hashAlgorithmIdentifier(algorithm)))
      s.octetString(hash)
    })
  })
}

/** @param list SignedCertificateTimestampList in the encoding of TLS, length included (RFC 6962 3.3) */
export function sctList(list: Uint8Array): Extension {
  return extension(OID.sctList, (w) => w.octetString(list))
}

/** What `sctList` made. @throws DERError */
export function decodeSCTList(extnValue: Uint8Array): Uint8Array {
  const reader = new DERReader(extnValue)
  const list = reader.octetString()
  reader.finish()
  return list
}

/** Extended revoke, in responseExtensions: this responder answers `revoked` for serials that were not issued (RFC 6960 4.4.8). */
export const EXTENDED_REVOKE: Extension = {
  extnID: OID.ocspExtendedRevoke,
  critical: false,
  extnValue: Uint8Array.of(0x05, 0x00),
}

const IA5_STRING = 0x16

function extension(extnID: string, write: (writer: DERWriter) => void): Extension {
  const writer = new DERWriter()
  write(writer)
  return { extnID, critical: false, extnValue: writer.finish() }
}
