import { DERReader } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import { type AlgorithmIdentifier, readAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { OCSPRequest } from './ocsp-request.ts'

/**
 * PreferredSignatureAlgorithm ::= SEQUENCE { sigIdentifier AlgorithmIdentifier,
 *   pubKeyAlgIdentifier SMIMECapability OPTIONAL }
 * @see RFC 6960 4.4.7.1
 */
export interface PreferredSignatureAlgorithm {
  readonly sigIdentifier: AlgorithmIdentifier
  /** SMIMECapability has the form of an AlgorithmIdentifier (RFC 5751 2.5.2): the key that the client wants, such as a curve. */
  readonly pubKeyAlgIdentifier: AlgorithmIdentifier | undefined
}

/** Elements that are read of one list: room for a hundred algorithms, and a bound for the work. */
const MAX_ELEMENTS = 1000
const NONE: readonly PreferredSignatureAlgorithm[] = []

/**
 * What the client wants its answer signed with, its first choice first; empty when it does not say. Read only when it is asked
 * for, so that a request without it pays nothing.
 * @throws DERError: the request is malformed
 */
export function preferredSignatureAlgorithms(request: OCSPRequest): readonly PreferredSignatureAlgorithm[] {
  for (const { extnID, extnValue } of request.tbsRequest.requestExtensions ?? []) {
    if (extnID !== OID.ocspPreferredSignatureAlgorithms) continue
    const reader = new DERReader(extnValue, 0, extnValue.length, MAX_ELEMENTS)
    const list = reader.sequenceOf(readPreferred)
    reader.finish()
    return list
  }
  return NONE
}

function readPreferred(reader: DERReader): PreferredSignatureAlgorithm {
  return reader.sequence((r) => ({
    sigIdentifier: readAlgorithmIdentifier(r),
    pubKeyAlgIdentifier: r.atEnd ? undefined : readAlgorithmIdentifier(r),
  }))
}
