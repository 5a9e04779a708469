/** Columns and JSON <-> the records of src/ports/records.ts, every field checked: a database can be edited by hand. */

import { decodeBase64, encodeBase64 } from '../asn1/base64.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import { StorageError } from '../ports/errors.ts'
import type {
  CertificateRow,
  CertificateStatus,
  IssuerHashes,
  IssuerPart,
  IssuerPolicy,
  IssuerRecord,
  ResponderRecord,
  SignatureAlgorithm,
  UnknownPolicy,
} from '../ports/records.ts'
import { numberIn, octetsIn, optionalNumberIn, optionalTextIn, type Row, textIn } from './database.ts'
import { decodeHex, encodeHex } from './hex.ts'

/** By the number in certificates.status; `reserved` is good with a mark beside it. */
export const STATUSES: readonly Exclude<CertificateStatus, 'reserved'>[] = [
  'good',
  'revoked',
  'hold',
  'released',
]

const UNKNOWN_POLICIES: readonly UnknownPolicy[] = ['unauthorized', 'unknown', 'revoked-extended', 'good']

export const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = [
  'sha256WithRSAEncryption',
  'rsassaPss-sha256',
  'ecdsa-with-SHA256',
  'ecdsa-with-SHA384',
  'ecdsa-with-SHA512',
  'Ed25519',
]

/** Columns of a certificate as decodeCertificateRow reads them, of the table alias `c`. */
export const CERTIFICATE_COLUMNS =
  'hex(c.serial) AS serial, c.status, c.revoked_at, c.reason, c.not_before, c.not_after, c.changed_at, c.rev, ' +
  'c.reserved, c.is_ca, hex(c.extensions) AS extensions'

export function decodeCertificateRow(row: Row): CertificateRow {
  const status = STATUSES[numberIn(row, 'status')]
  if (status === undefined) throw corrupt('certificates.status')
  return {
    serial: octetsIn(row, 'serial'),
    status: numberIn(row, 'reserved') === 1 ? 'reserved' : status,
    revocationTime: numberIn(row, 'revoked_at'),
    reason: optionalNumberIn(row, 'reason'),
    notBefore: numberIn(row, 'not_before'),
    notAfter: numberIn(row, 'not_after'),
    changedAt: numberIn(row, 'changed_at'),
    rev: numberIn(row, 'rev'),
    ...(numberIn(row, 'is_ca') === 1 ? { isCA: true } : {}),
    ...(row['extensions'] === '' ? {} : { extensions: octetsIn(row, 'extensions') }),
  }
}

export const ISSUER_COLUMNS =
  'id, name, ski, hex(certificate) AS certificate, hashes, not_before, not_after, policy, enabled, config_rev, ' +
  'compromised_at, final_at'

export function decodeIssuerRow(row: Row, responders: readonly ResponderRecord[]): IssuerRecord {
  return {
    id: numberIn(row, 'id'),
    name: textIn(row, 'name'),
    ski: textIn(row, 'ski'),
    certificate: octetsIn(row, 'certificate'),
    hashes: decodeHashes(parseJSON(textIn(row, 'hashes'))),
    notBefore: numberIn(row, 'not_before'),
    notAfter: numberIn(row, 'not_after'),
    policy: decodePolicy(parseJSON(textIn(row, 'policy'))),
    enabled: numberIn(row, 'enabled') === 1,
    ...timesOf(numberIn(row, 'compromised_at'), numberIn(row, 'final_at')),
    configRev: numberIn(row, 'config_rev'),
    responders,
  }
}

/** Columns of an issuer's share, as decodePart reads them. */
export const PART_COLUMNS = 'away, leaving, arriving, moving, fresh, frozen'

/**
 * @param database its number, where there are several
 * @returns undefined: there is one database, and all is in it
 */
export function decodePart(row: Row, database: number | undefined): IssuerPart | undefined {
  const part = {
    database: database ?? 0,
    away: numberIn(row, 'away'),
    leaving: numberIn(row, 'leaving'),
    arriving: numberIn(row, 'arriving'),
    moving: numberIn(row, 'moving') === 1,
    fresh: numberIn(row, 'fresh') === 1,
    frozen: numberIn(row, 'frozen') === 1,
  }
  const isWhole = part.away + part.leaving === 0 && !part.moving && !part.fresh
  return database === undefined && isWhole ? undefined : part
}

/** 0 = it is not so. */
export function timesOf(
  compromisedAt: UnixSeconds,
  finalAt: UnixSeconds,
): Pick<IssuerRecord, 'compromisedAt' | 'finalAt'> {
  return { ...(compromisedAt > 0 ? { compromisedAt } : {}), ...(finalAt > 0 ? { finalAt } : {}) }
}

/** The wrapped key is not among them: it is read alone, through KeyStore. */
export const RESPONDER_COLUMNS =
  'id, issuer, name, hex(certificate) AS certificate, certificate IS NULL AS by_ca, hex(key_hash) AS key_hash, algorithm, ' +
  'custody, secret_name, hex(spki) AS spki, not_before, not_after, retired'

export function decodeResponderRow(row: Row): ResponderRecord {
  const custody = textIn(row, 'custody')
  if (custody !== 'wrapped' && custody !== 'secret') throw corrupt('responders.custody')
  return {
    id: numberIn(row, 'id'),
    name: textIn(row, 'name'),
    certificate: numberIn(row, 'by_ca') === 1 ? undefined : octetsIn(row, 'certificate'),
    keyHash: octetsIn(row, 'key_hash'),
    algorithm: decodeAlgorithm(textIn(row, 'algorithm')),
    custody,
    secretName: optionalTextIn(row, 'secret_name'),
    spki: octetsIn(row, 'spki'),
    notBefore: numberIn(row, 'not_before'),
    notAfter: numberIn(row, 'not_after'),
    retired: numberIn(row, 'retired') === 1,
  }
}

export function decodeAlgorithm(name: unknown): SignatureAlgorithm {
  const known = SIGNATURE_ALGORITHMS.find((algorithm) => algorithm === name)
  if (known === undefined) throw corrupt('responder algorithm')
  return known
}

/** JSON of the policy: the fields of IssuerPolicy in one order, so that equal policies are equal texts. */
export function encodePolicy(p: IssuerPolicy): string {
  const { unknown, nonce, profile, validitySeconds, maxAge, hashes, retainSeconds } = p
  const { signedRequests, archiveCutoff, algorithm } = p
  const requestors = p.requestors.map(encodeBase64)
  return JSON.stringify({
    ...{ unknown, nonce, profile, validitySeconds, maxAge, hashes, retainSeconds },
    ...{ signedRequests, requestors, archiveCutoff, algorithm },
  })
}

export function decodePolicy(value: unknown): IssuerPolicy {
  const policy = recordOf(value, 'policy')
  const { unknown, nonce, profile, validitySeconds, maxAge, hashes, retainSeconds } = policy
  const known = UNKNOWN_POLICIES.find((one) => one === unknown)
  if (known === undefined) throw corrupt('policy.unknown')
  if (nonce !== 'echo' && nonce !== 'ignore' && nonce !== 'rfc8954') throw corrupt('policy.nonce')
  if (profile !== 'private' && profile !== 'public-trust') throw corrupt('policy.profile')
  if (maxAge !== 'next-update' && maxAge !== 'refresh' && typeof maxAge !== 'number')
    throw corrupt('policy.maxAge')
  if (typeof validitySeconds !== 'number') throw corrupt('policy.validitySeconds')
  if (typeof retainSeconds !== 'number') throw corrupt('policy.retainSeconds')
  if (!Array.isArray(hashes)) throw corrupt('policy.hashes')
  return {
    ...{ unknown: known, nonce, profile, validitySeconds, maxAge, retainSeconds },
    hashes: hashes.map(hashName),
    ...decodeLaterPolicy(policy),
  }
}

/** What policies that were written by earlier versions do not have. */
function decodeLaterPolicy(
  policy: Record<string, unknown>,
): Pick<IssuerPolicy, 'signedRequests' | 'requestors' | 'archiveCutoff' | 'algorithm'> {
  const { signedRequests = 'ignore', requestors = [], archiveCutoff = 'none', algorithm } = policy
  if (signedRequests !== 'ignore' && signedRequests !== 'verify' && signedRequests !== 'require')
    throw corrupt('policy.signedRequests')
  if (archiveCutoff !== 'none' && archiveCutoff !== 'retention' && archiveCutoff !== 'issuer')
    throw corrupt('policy.archiveCutoff')
  if (!Array.isArray(requestors)) throw corrupt('policy.requestors')
  return {
    signedRequests,
    requestors: requestors.map((text: unknown) => {
      const der = typeof text === 'string' ? decodeBase64(text) : undefined
      return der ?? fail('policy.requestors')
    }),
    archiveCutoff,
    algorithm: algorithm === undefined ? undefined : decodeAlgorithm(algorithm),
  }
}

function fail(what: string): never {
  throw corrupt(what)
}

/** { "SHA-1": [name hash, key hash], ... } in hex. */
export function encodeHashes(hashes: IssuerRecord['hashes']): string {
  return JSON.stringify(
    Object.fromEntries(
      HASH_ALGORITHMS.map((name) => [
        name,
        [encodeHex(hashes[name].issuerNameHash), encodeHex(hashes[name].issuerKeyHash)],
      ]),
    ),
  )
}

export function decodeHashes(value: unknown): IssuerRecord['hashes'] {
  const hashes = recordOf(value, 'hashes')
  const of = (name: HashAlgorithm): IssuerHashes => {
    const pair = hashes[name]
    if (!Array.isArray(pair)) throw corrupt(`hashes.${name}`)
    const [issuerNameHash, issuerKeyHash]: unknown[] = pair
    return { issuerNameHash: hexOf(issuerNameHash, 'hashes'), issuerKeyHash: hexOf(issuerKeyHash, 'hashes') }
  }
  return {
    'SHA-1': of('SHA-1'),
    'SHA-256': of('SHA-256'),
    'SHA-384': of('SHA-384'),
    'SHA-512': of('SHA-512'),
  }
}

/** @throws StorageError corrupt */
export function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new StorageError('corrupt', 'stored JSON does not parse', { cause: error })
  }
}

/** @throws StorageError corrupt */
export function recordOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(what)
  return { ...value }
}

/** @throws StorageError corrupt */
export function hexOf(value: unknown, what: string): Uint8Array {
  if (typeof value !== 'string') throw corrupt(what)
  return decodeHex(value)
}

function hashName(value: unknown): HashAlgorithm {
  const known = HASH_ALGORITHMS.find((name) => name === value)
  if (known === undefined) throw corrupt('policy.hashes')
  return known
}

export function corrupt(what: string): StorageError {
  return new StorageError('corrupt', `stored record: ${what} is not what it should be`)
}
