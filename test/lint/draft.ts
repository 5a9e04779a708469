/** An OCSPResponse drawn piece by piece, so that a test can break exactly one; and a context in which it is without fault. */
import { createHash } from 'node:crypto'
import { parseGeneralizedTime, type UnixSeconds } from '../../src/asn1/generalized-time.ts'
import { encodeOID, OID } from '../../src/asn1/oid.ts'
import type { LintContext, MeantSingle } from '../../src/lint/index.ts'
import type { BasicOCSPResponse } from '../../src/ocsp/basic-response.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { hashAlgorithmOf } from '../../src/pkix/algorithm-identifier.ts'
import { encodeExtensions } from '../../src/pkix/extensions.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { extension, NULL, SHA1, SHA256 } from '../fixtures/requests.ts'

const HOUR = 3600
const DAY = 86_400
export const NOW = parseGeneralizedTime('20261121120000Z')

export interface SingleDraft {
  readonly hash: Uint8Array
  readonly nameHash: Uint8Array
  readonly keyHash: Uint8Array
  /** INTEGER element. */
  readonly serial: Uint8Array
  /** CertStatus element. */
  readonly status: Uint8Array
  /** GeneralizedTime elements; undefined: left out. */
  readonly thisUpdate: Uint8Array
  readonly nextUpdate: Uint8Array | undefined
  /** Extension elements; undefined: no singleExtensions. */
  readonly extensions: readonly Uint8Array[] | undefined
}

export interface Draft {
  /** ENUMERATED element. */
  readonly status: Uint8Array
  readonly responseType: Uint8Array
  /** Elements before responderID. */
  readonly version: Uint8Array
  readonly responderID: Uint8Array
  readonly producedAt: Uint8Array
  readonly singles: readonly SingleDraft[]
  readonly extensions: readonly Uint8Array[] | undefined
  readonly algorithm: Uint8Array
  /** BIT STRING element. */
  readonly signature: Uint8Array
  readonly certs: readonly Uint8Array[] | undefined
  /** Elements after certs. */
  readonly after: Uint8Array
}

export const NOTHING = new Uint8Array(0)
export const GOOD = hex('80 00')
export const UNKNOWN = hex('82 00')
export const ECDSA_SHA256 = hex('300a06082a8648ce3d040302')

export function oid(text: string): Uint8Array {
  return tlv(0x06, encodeOID(text))
}

/** GeneralizedTime of text, or of seconds from NOW. */
export function time(when: string | number): Uint8Array {
  const text =
    typeof when === 'string' ? when : new Date((NOW + when) * 1000).toISOString().replace(/[-:T]|\.\d+/g, '')
  return tlv(0x18, new TextEncoder().encode(text))
}

export function revoked(when: string | number, reason?: number): Uint8Array {
  const field = reason === undefined ? NOTHING : tlv(0xa0, tlv(0x0a, Uint8Array.of(reason)))
  return tlv(0xa1, time(when), field)
}

/** An Extension element, not critical. */
export function ext(id: string, value: Uint8Array, critical = false): Uint8Array {
  return extension(oid(id), value, critical ? hex('01 01 ff') : NOTHING)
}

export function nonce(octets: number): Uint8Array {
  return ext(OID.ocspNonce, tlv(0x04, new Uint8Array(octets).fill(7)))
}

const KEY_HASH = new Uint8Array(20).fill(0x33)
export const NAME = seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(0x0c, new TextEncoder().encode('Responder')))))
/** DER, which is all that is looked at. */
export const CERTIFICATE = seq(seq(hex('020101')), ECDSA_SHA256, hex('030100'))
export const SPKI = seq(
  seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')),
  tlv(0x03, NOTHING, hex('0004')),
)

const HASHES = {
  'SHA-1': { issuerNameHash: new Uint8Array(20).fill(0x11), issuerKeyHash: new Uint8Array(20).fill(0x22) },
  'SHA-256': { issuerNameHash: new Uint8Array(32).fill(0x11), issuerKeyHash: new Uint8Array(32).fill(0x22) },
}

export const SINGLE: SingleDraft = {
  hash: seq(SHA256, NULL),
  nameHash: HASHES['SHA-256'].issuerNameHash,
  keyHash: HASHES['SHA-256'].issuerKeyHash,
  serial: hex('0203 010203'),
  status: GOOD,
  thisUpdate: time(-300),
  nextUpdate: time(7 * DAY - 400),
  extensions: undefined,
}

/** The same certificate by SHA-1. */
export const SINGLE_SHA1: SingleDraft = {
  ...SINGLE,
  hash: seq(SHA1, NULL),
  nameHash: HASHES['SHA-1'].issuerNameHash,
  keyHash: HASHES['SHA-1'].issuerKeyHash,
}

export const DRAFT: Draft = {
  status: hex('0a 01 00'),
  responseType: oid(OID.ocspBasic),
  version: NOTHING,
  responderID: tlv(0xa2, tlv(0x04, KEY_HASH)),
  producedAt: time(0),
  singles: [SINGLE],
  extensions: undefined,
  algorithm: ECDSA_SHA256,
  signature: tlv(0x03, hex('00'), seq(hex('020101'), hex('020101'))),
  certs: [CERTIFICATE],
  after: NOTHING,
}

/** The subject certificate. */
export const SUBJECT = {
  serialNumber: hex('010203'),
  notBefore: NOW - 30 * DAY,
  notAfter: NOW + 60 * DAY,
  isCA: false,
  digest: (hash: string) => new Uint8Array(createHash(hash.replace('-', '')).update('certificate').digest()),
}

export function encode(draft: Draft): Uint8Array {
  const { extensions, certs } = draft
  const data = seq(
    draft.version,
    draft.responderID,
    draft.producedAt,
    seq(...draft.singles.map(encodeSingle)),
    extensions === undefined ? NOTHING : tlv(0xa1, seq(...extensions)),
  )
  const basic = seq(
    data,
    draft.algorithm,
    draft.signature,
    certs === undefined ? NOTHING : tlv(0xa0, seq(...certs)),
    draft.after,
  )
  return seq(draft.status, tlv(0xa0, seq(draft.responseType, tlv(0x04, basic))))
}

function encodeSingle(one: SingleDraft): Uint8Array {
  return seq(
    seq(one.hash, tlv(0x04, one.nameHash), tlv(0x04, one.keyHash), one.serial),
    one.status,
    one.thisUpdate,
    one.nextUpdate === undefined ? NOTHING : tlv(0xa0, one.nextUpdate),
    one.extensions === undefined ? NOTHING : tlv(0xa1, seq(...one.extensions)),
  )
}

/** Everything that can be known, under public-trust; what was asked and meant is what the response says. */
export function contextOf(der: Uint8Array): Required<LintContext> {
  const basic = decoded(der)
  const { responses = [], responseExtensions = [] } = basic?.tbsResponseData ?? {}
  return {
    profile: 'public-trust',
    now: NOW + 60,
    issuer: { hashes: HASHES, notBefore: NOW - 1000 * DAY, notAfter: NOW + 1000 * DAY },
    responder: {
      keyHash: KEY_HASH,
      subject: NAME,
      certificate: CERTIFICATE,
      notBefore: NOW - HOUR,
      notAfter: NOW + 90 * DAY,
      signatureAlgorithm: ECDSA_SHA256,
      spki: SPKI,
    },
    question: {
      certIDs: responses.map(({ certID }) => certID),
      nonce: responseExtensions.find(({ extnID }) => extnID === OID.ocspNonce)?.extnValue,
    },
    meant: basic === undefined ? [] : meantBy(basic),
    meantExtensions: responseExtensions,
    certificates: [SUBJECT],
    archiveCutoff: 'issuer',
  }
}

export function meantBy({ tbsResponseData }: BasicOCSPResponse): MeantSingle[] {
  return tbsResponseData.responses.map(({ certID, nextUpdate, singleExtensions, ...rest }) => ({
    ...rest,
    hashAlgorithm: hashAlgorithmOf(certID.hashAlgorithm.algorithm) ?? 'SHA-512',
    issuerNameHash: certID.issuerNameHash,
    issuerKeyHash: certID.issuerKeyHash,
    serialNumber: certID.serialNumber,
    nextUpdate: nextUpdate ?? (Number.NaN as UnixSeconds),
    singleExtensions: singleExtensions === undefined ? undefined : encodeExtensions(singleExtensions),
  }))
}

function decoded(der: Uint8Array): BasicOCSPResponse | undefined {
  try {
    return decodeSuccessfulResponse(der)
  } catch {
    return undefined
  }
}
