/** Reading extensions for the checks: which are there, and whether their values have their form. */
import { DERReader } from '../asn1/der-reader.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import type { SingleResponse } from '../ocsp/basic-response.ts'
import { HASH_LENGTH, hashAlgorithmOf, readAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'
import type { Verdict } from './check.ts'
import type { CertificateFacts } from './context.ts'
import { extensionsOf } from './judged.ts'
import { sameOctets } from './octets.ts'

const IA5_STRING = 0x16

export function find(list: readonly Extension[], extnID: string): Extension | undefined {
  return list.find((extension) => extension.extnID === extnID)
}

export function among(list: readonly Extension[], ids: ReadonlySet<string>): string | false {
  return list.find(({ extnID }) => ids.has(extnID))?.extnID ?? false
}

export function twice(list: readonly Extension[]): string | false {
  return list.find(({ extnID }, i) => list.findIndex((other) => other.extnID === extnID) < i)?.extnID ?? false
}

/** Octets of the nonce itself; a bare one of old clients is its own content (R3.11). */
export function nonceOf(extensions: readonly Extension[]): Uint8Array | undefined {
  const value = find(extensions, OID.ocspNonce)?.extnValue
  return value && (read(value, octetString) ?? value)
}

export function isNotRevokedWith(one: SingleResponse, extnID: string): boolean {
  return one.certStatus.type !== 'revoked' && find(extensionsOf(one), extnID) !== undefined
}

/** There, and not in the form that `reader` reads. */
export function isOtherForm(
  one: SingleResponse,
  extnID: string,
  reader: (reader: DERReader) => unknown,
): Verdict {
  const value = find(extensionsOf(one), extnID)?.extnValue
  return value !== undefined && !isForm(value, reader)
}

export function timeOf(one: SingleResponse, extnID: string): UnixSeconds | undefined {
  const value = find(extensionsOf(one), extnID)?.extnValue
  return value && read(value, time)
}

export function isOtherCertHash(one: SingleResponse, certificate: CertificateFacts | undefined): boolean {
  const value = find(extensionsOf(one), OID.certHash)?.extnValue
  const found = value && read(value, certHash)
  const meant = found && certificate?.digest?.(found.hash)
  return found !== undefined && meant !== undefined && !sameOctets(found.digest, meant)
}

export function isForm(value: Uint8Array, reader: (reader: DERReader) => unknown): boolean {
  return read(value, reader) !== undefined
}

/** undefined when the octets are something else. */
function read<T>(value: Uint8Array, from: (reader: DERReader) => T): T | undefined {
  const reader = new DERReader(value)
  try {
    const found = from(reader)
    reader.finish()
    return found
  } catch {
    return undefined
  }
}

export function time(reader: DERReader): UnixSeconds {
  return reader.generalizedTime()
}

export function octetString(reader: DERReader): Uint8Array {
  return reader.octetString()
}

/** CrlID (RFC 6960 4.4.2), all of them optional. */
export function crlReference(reader: DERReader): true {
  return reader.sequence((fields) => {
    fields.optionalExplicit(0, (field) => field.raw(IA5_STRING))
    fields.optionalExplicit(1, (field) => field.integerBytes())
    fields.optionalExplicit(2, (field) => field.generalizedTime())
    return true
  })
}

/** CertHash (Common PKI part 4). @throws for a hash that we do not know */
export function certHash(reader: DERReader): {
  readonly hash: keyof typeof HASH_LENGTH
  readonly digest: Uint8Array
} {
  return reader.sequence((fields) => {
    const hash = hashAlgorithmOf(readAlgorithmIdentifier(fields).algorithm)
    const digest = fields.octetString()
    if (hash === undefined || digest.length !== HASH_LENGTH[hash]) throw new RangeError('certHash')
    return { hash, digest }
  })
}

/** opaque SerializedSCT<1..2^16-1>, and a list of them <1..2^16-1> (RFC 6962 3.3). */
export function sctList(reader: DERReader): true {
  const list = reader.octetString()
  const lengthAt = (at: number) => (list[at] ?? 0) * 256 + (list[at + 1] ?? 0)
  let at = 2
  while (at < list.length && lengthAt(at) > 0) at += 2 + lengthAt(at)
  if (at === 2 || at !== list.length || lengthAt(0) !== list.length - 2) throw new RangeError('SCT list')
  return true
}
