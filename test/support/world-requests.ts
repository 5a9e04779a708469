/** Requests for tests: encoded once, asked often. */

import { OID } from '../../src/asn1/oid.ts'
import { encodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import type { AlgorithmIdentifier, HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import type { IssuerHashes } from '../../src/ports/records.ts'
import type { Question } from './world-judge.ts'

/** What CertIDs are made of: an IssuerRecord fits. */
export interface AskedIssuer {
  readonly hashes: Readonly<Record<HashAlgorithm, IssuerHashes>>
}

export interface AskOptions {
  /** Default SHA-256. */
  readonly hash?: HashAlgorithm
  /** Inner octets of the nonce. */
  readonly nonce?: Uint8Array
  /** Default parameters NULL. */
  readonly hashAlgorithm?: AlgorithmIdentifier
}

/** DER of a request about these serials of one issuer. */
export function requestFor(
  issuer: AskedIssuer,
  serials: readonly Uint8Array[],
  options: AskOptions = {},
): Uint8Array {
  const { hash = 'SHA-256', nonce } = options
  const hashAlgorithm = options.hashAlgorithm ?? hashAlgorithmIdentifier(hash)
  const requestList = serials.map((serialNumber) => ({
    reqCert: { hashAlgorithm, ...issuer.hashes[hash], serialNumber },
  }))
  const extensions = nonce === undefined ? undefined : [nonceExtensionOf(nonce)]
  return encodeOCSPRequest({
    tbsRequest: {
      versionExplicit: false,
      requestList,
      ...(extensions === undefined ? {} : { requestExtensions: extensions }),
    },
  })
}

/** A question of a world. @param known those without a nonce are encoded once */
export function requestOf(question: Question, known: Map<string, Uint8Array>): Uint8Array {
  const { issuer, asked, nonce, prefers } = question
  const key = `${prefers ?? ''}${asked.map(({ history, hash }) => `${hash} ${history.key}`).join(' ')}`
  const made = nonce === undefined ? known.get(key) : undefined
  if (made !== undefined) return made
  const extensions = [
    ...(nonce === undefined ? [] : [nonceExtensionOf(nonce)]),
    ...(prefers === undefined
      ? []
      : [{ extnID: OID.ocspPreferredSignatureAlgorithms, critical: false, extnValue: PREFERRED[prefers] }]),
  ]
  const der = encodeOCSPRequest({
    tbsRequest: {
      versionExplicit: false,
      requestList: asked.map(({ history, hash }) => ({
        reqCert: {
          hashAlgorithm: hashAlgorithmIdentifier(hash),
          ...issuer.record.hashes[hash],
          serialNumber: history.serial,
        },
      })),
      ...(extensions.length === 0 ? {} : { requestExtensions: extensions }),
    },
  })
  if (nonce === undefined) known.set(key, der)
  return der
}

/** SEQUENCE OF one PreferredSignatureAlgorithm (RFC 6960 4.4.7.1). */
const PREFERRED = {
  Ed25519: Uint8Array.of(0x30, 0x09, 0x30, 0x07, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70),
  sha256WithRSAEncryption: Uint8Array.of(
    ...[0x30, 0x11, 0x30, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01],
    ...[0x0b, 0x05, 0x00],
  ),
} as const

function nonceExtensionOf(nonce: Uint8Array): { extnID: string; critical: boolean; extnValue: Uint8Array } {
  if (nonce.length > 127) throw new RangeError('a short nonce, please')
  return { extnID: OID.ocspNonce, critical: false, extnValue: Uint8Array.of(0x04, nonce.length, ...nonce) }
}
