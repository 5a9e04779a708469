/** For each check of the gate a response that breaks exactly it, in a context in which all else is right. */
import { OID } from '../../src/asn1/oid.ts'
import type { LintContext } from '../../src/lint/index.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { NULL, SHA256, UNKNOWN_OID } from '../fixtures/requests.ts'
import type { Case } from './broken.ts'
import {
  DAY,
  draft,
  EXTENDED_REVOKE,
  FINAL,
  HOUR,
  isPrivate,
  MD5,
  meant,
  NON_ISSUED,
  P384_KEY,
  RSA_KEY,
  RSA_SHA256,
  responder,
  SOME_BITS,
  signedBy,
  single,
  singles,
  strange,
} from './broken.ts'

import { EXTENSIONS } from './cases-extensions.ts'
import type { SingleDraft } from './draft.ts'
import {
  CERTIFICATE,
  ext,
  NAME,
  NOW,
  nonce,
  oid,
  revoked,
  SINGLE,
  SINGLE_SHA1,
  SPKI,
  SUBJECT,
  time,
  UNKNOWN,
} from './draft.ts'

export type { Case } from './broken.ts'

const OCTETS: readonly Case[] = [
  { check: 'time-form', der: draft({ producedAt: time('20261121120000.5Z') }) },
  { check: 'status-number', der: hex('30030a0104') },
  { check: 'response-bytes', der: hex('30030a0100') },
  { check: 'response-type', der: draft({ responseType: oid('1.3.6.1.5.5.7.48.1.99') }) },
  { check: 'version-number', der: draft({ version: tlv(0xa0, hex('020101')) }) },
  { check: 'key-hash-length', der: draft({ responderID: tlv(0xa2, tlv(0x04, new Uint8Array(32))) }) },
  { check: 'cert-id-hash-length', der: single({ keyHash: new Uint8Array(20) }) },
  { check: 'cert-id-hash-parameters', der: single({ hash: seq(SHA256, hex('020101')) }) },
  { check: 'status-content', der: single({ status: hex('80 01 00') }) },
  { check: 'der-null', der: single({ hash: seq(SHA256, hex('05 01 00')) }) },
  { check: 'der-truncated', der: draft({}).subarray(0, 200) },
  { check: 'der-trailing', der: new Uint8Array([...draft({}), 0]) },
  { check: 'der-length', der: single({ status: hex('80 81 00') }) },
  { check: 'der-integer', der: single({ serial: hex('0202 0001') }) },
  {
    check: 'der-boolean',
    der: single({ extensions: [seq(UNKNOWN_OID, hex('010100'), tlv(0x04, NULL))] }),
  },
  { check: 'der-oid', der: single({ extensions: [seq(hex('0601 80'), tlv(0x04, NULL))] }) },
  { check: 'der-bit-string', der: draft({ signature: hex('0302 0780') }) },
  { check: 'der-too-large', der: single({ serial: tlv(0x02, new Uint8Array(128).fill(1)) }) },
  {
    check: 'der-structure',
    der: single({ thisUpdate: tlv(0x17, new TextEncoder().encode('261121120000Z')) }),
  },
]

const SIGNER: readonly Case[] = [
  { check: 'version-written', der: draft({ version: tlv(0xa0, hex('020100')) }) },
  { check: 'responder-by-name', der: draft({ responderID: tlv(0xa1, NAME) }) },
  { check: 'responder-other', der: draft({ responderID: tlv(0xa2, tlv(0x04, new Uint8Array(20))) }) },
  { check: 'certs-absent', der: draft({ certs: undefined }) },
  { check: 'certs-signer-not-first', der: draft({ certs: [seq(seq())] }) },
  { check: 'certs-several', der: draft({ certs: [CERTIFICATE, seq(seq())] }) },
  { check: 'certs-empty', der: draft({ certs: [] }) },
  { check: 'certs-needless', der: draft({}), context: responder({ certificate: 'none' }) },
  // A certificate that is not DER is not the responder's, which was looked at before.
  { check: 'certs-der', der: draft({ certs: [hex('3003 020201')] }), also: ['certs-signer-not-first'] },
  {
    check: 'algorithm-other',
    der: draft({}),
    context: responder({ signatureAlgorithm: hex('300a06082a8648ce3d040303') }),
  },
  // The one lawful form is in the list of the Baseline Requirements.
  {
    check: 'algorithm-parameters',
    der: draft({ algorithm: seq(oid('1.2.840.10045.4.3.2'), NULL) }),
    context: signedBy(seq(oid('1.2.840.10045.4.3.2'), NULL), SPKI),
    also: ['algorithm-barred'],
  },
  // No list holds such an algorithm.
  {
    check: 'algorithm-weak',
    der: draft({ algorithm: hex('300d06092a864886f70d0101050500'), signature: SOME_BITS }),
    context: signedBy(hex('300d06092a864886f70d0101050500'), RSA_KEY),
    also: ['algorithm-barred'],
  },
  {
    check: 'algorithm-barred',
    der: draft({ algorithm: hex('300506032b6570'), signature: tlv(0x03, new Uint8Array(65)) }),
    context: signedBy(hex('300506032b6570'), seq(hex('300506032b6570'), tlv(0x03, new Uint8Array(33)))),
  },
  {
    check: 'algorithm-not-of-key',
    der: draft({ algorithm: RSA_SHA256, signature: SOME_BITS }),
    context: responder({ signatureAlgorithm: RSA_SHA256 }),
  },
  { check: 'algorithm-not-of-curve', der: draft({}), context: responder({ spki: P384_KEY }) },
  { check: 'signature-form', der: draft({ signature: tlv(0x03, hex('00'), new Uint8Array(64)) }) },
  {
    check: 'size-staple',
    der: single({ extensions: [ext('1.2.3', new Uint8Array(11_000))] }),
  },
  {
    check: 'size',
    der: draft({ certs: [CERTIFICATE, seq(tlv(0x04, new Uint8Array(66_000)))] }),
    also: ['certs-several'],
  },
]

const STATUS: readonly Case[] = [
  { check: 'responses-empty', der: draft({ singles: [] }) },
  {
    check: 'status-conflict',
    der: draft({ singles: [SINGLE, { ...SINGLE_SHA1, status: revoked(-1000, 1) }] }),
  },
  // An answer that is missing is the same as a question that nobody answers: what is there instead was not asked.
  {
    check: 'answer-missing',
    der: draft({}),
    context: (context) => ({
      ...context,
      question: {
        certIDs: [...(context.question?.certIDs ?? []), ...certIDs({ serial: hex('020109') })],
      },
    }),
  },
  {
    check: 'answer-order',
    der: singles({}, { serial: hex('020109') }),
    context: (context) => ({
      ...context,
      question: { certIDs: (context.question?.certIDs ?? []).toReversed() },
    }),
  },
  {
    check: 'answer-surplus',
    der: singles({}, { serial: hex('020109') }),
    context: (context) => ({
      ...context,
      question: { certIDs: context.question?.certIDs.slice(0, 1) ?? [] },
    }),
  },
  {
    check: 'cert-id-parameters',
    der: draft({}),
    context: (context) => ({
      ...context,
      question: {
        certIDs: (context.question?.certIDs ?? []).map((one) => ({
          ...one,
          hashAlgorithm: { ...one.hashAlgorithm, parameters: undefined },
        })),
      },
    }),
  },
  // No CertID that we know how to make has it.
  { check: 'cert-id-hash', der: single({ hash: MD5 }), also: ['meant-cert-id'] },
  { check: 'issuer-hashes', der: single({ keyHash: new Uint8Array(32) }) },
  { check: 'reason-undefined', der: single({ status: revoked(-1000, 7) }) },
  { check: 'reason-remove-from-crl', der: single({ status: revoked(-1000, 8) }) },
  { check: 'reason-unspecified', der: single({ status: revoked(-1000, 0) }) },
  { check: 'reason-barred', der: single({ status: revoked(-1000, 2) }) },
  { check: 'hold-barred', der: single({ status: revoked(-1000, 6) }) },
  {
    check: 'ca-reason',
    der: single({ status: revoked(-1000) }),
    context: (context) => ({ ...context, certificates: [{ ...SUBJECT, isCA: true }] }),
  },
  { check: 'unknown-but-issued', der: single({ status: UNKNOWN }) },
  { check: 'good-not-issued', der: draft({}), context: meant({ issued: false }) },
  { check: 'non-issued-form', der: single({ status: revoked(-1000, 1) }), context: meant({ issued: false }) },
  {
    check: 'non-issued-extensions',
    der: single(
      { status: NON_ISSUED, extensions: [ext(OID.invalidityDate, time('19700101000000Z'))] },
      { extensions: [EXTENDED_REVOKE] },
    ),
    context: strange,
  },
  { check: 'extended-revoke-absent', der: single({ status: NON_ISSUED }), context: strange },
]

/** CertIDs as the gate compares them. */
function certIDs(...changes: Partial<SingleDraft>[]): NonNullable<LintContext['question']>['certIDs'] {
  return changes.map(({ serial = SINGLE.serial }) => ({
    hashAlgorithm: { algorithm: OID.sha256, parameters: NULL },
    issuerNameHash: SINGLE.nameHash,
    issuerKeyHash: SINGLE.keyHash,
    serialNumber: serial.subarray(2),
  }))
}

const TIMES: readonly Case[] = [
  { check: 'this-update-after-produced-at', der: single({ thisUpdate: time(10) }) },
  // A response that ends before it begins is shorter than eight hours, and over.
  {
    check: 'next-update-too-early',
    der: single({ nextUpdate: time(-400) }),
    also: ['expired', 'shorter-than-eight-hours', 'shorter-than-sixteen-hours'],
  },
  {
    check: 'next-update-absent',
    der: single({ nextUpdate: undefined }),
    context: (c) => ({ ...c, meant: [] }),
    also: ['meant-count'],
  },
  { check: 'produced-in-future', der: draft({ producedAt: time(100) }) },
  // thisUpdate <= producedAt <= now: one of the two is broken as well.
  {
    check: 'this-update-in-future',
    der: single({ thisUpdate: time(100) }),
    also: ['this-update-after-produced-at'],
  },
  {
    check: 'expired',
    der: single({ thisUpdate: time(-3 * DAY), nextUpdate: time(30) }),
  },
  { check: 'revoked-after-this-update', der: single({ status: revoked(-200, 1) }) },
  { check: 'outlives-responder', der: draft({}), context: responder({ notAfter: NOW + DAY }) },
  {
    check: 'outlives-issuer',
    der: draft({}),
    context: (context) => ({ ...context, issuer: { ...context.issuer, notAfter: NOW + DAY } }),
  },
  { check: 'responder-not-valid', der: draft({}), context: responder({ notBefore: NOW + 1 }) },
  {
    check: 'produced-before-certificate',
    der: draft({}),
    context: (context) => ({ ...context, certificates: [{ ...SUBJECT, notBefore: NOW + 1 }] }),
  },
  {
    check: 'produced-after-certificate',
    der: draft({}),
    context: (context) => ({ ...context, certificates: [{ ...SUBJECT, notAfter: NOW - 1 }] }),
  },
  { check: 'revoked-before-certificate', der: single({ status: revoked(-31 * DAY, 1) }) },
  // What is shorter than eight hours is shorter than sixteen.
  {
    check: 'shorter-than-eight-hours',
    der: single({ nextUpdate: time(8 * HOUR - 302) }),
    also: ['shorter-than-sixteen-hours'],
  },
  { check: 'shorter-than-sixteen-hours', der: single({ nextUpdate: time(16 * HOUR - 302) }) },
  { check: 'longer-than-seven-days', der: single({ nextUpdate: time(7 * DAY - 300) }) },
  // What is longer than ten days is longer than seven.
  {
    check: 'longer-than-ten-days',
    der: single({ nextUpdate: time(10 * DAY - 300) }),
    also: ['longer-than-seven-days'],
  },
  {
    check: 'older-than-four-days',
    der: single({ thisUpdate: time(59 - 4 * DAY), nextUpdate: time(2 * DAY) }),
  },
  { check: 'final-profile', der: single({ nextUpdate: FINAL }) },
  {
    check: 'final-nonce',
    der: single({ nextUpdate: FINAL }, { extensions: [nonce(32)] }),
    context: isPrivate,
  },
]

const MEANT: readonly Case[] = [
  { check: 'meant-count', der: draft({}), context: (context) => ({ ...context, meant: [] }) },
  { check: 'meant-cert-id', der: draft({}), context: meant({ serialNumber: hex('09') }) },
  { check: 'meant-status', der: draft({}), context: meant({ certStatus: { type: 'unknown' } }) },
  { check: 'meant-times', der: draft({}), context: meant({ nextUpdate: NOW + DAY }) },
  { check: 'meant-single-extensions', der: draft({}), context: meant({ singleExtensions: seq() }) },
  {
    check: 'meant-response-extensions',
    der: draft({}),
    context: (context) => ({
      ...context,
      meantExtensions: [{ extnID: OID.ocspNonce, critical: false, extnValue: NULL }],
    }),
  },
  { check: 'error-instead', der: hex('30030a0106') },
]

export const CASES: readonly Case[] = [...OCTETS, ...SIGNER, ...STATUS, ...TIMES, ...EXTENSIONS, ...MEANT]
