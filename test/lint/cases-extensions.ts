/** Broken extensions of a response, one for each check. */
import { OID } from '../../src/asn1/oid.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import { NULL, SHA256 } from '../fixtures/requests.ts'
import type { Case } from './broken.ts'
import { DAY, draft, EXTENDED_REVOKE, isPrivate, single, strange } from './broken.ts'
import { ext, NOTHING, nonce, revoked, SUBJECT, time, UNKNOWN } from './draft.ts'

export const EXTENSIONS: readonly Case[] = [
  // Extensions that are absent are not the same as empty ones.
  { check: 'response-extensions-empty', der: draft({ extensions: [] }), also: ['meant-response-extensions'] },
  { check: 'response-extension-twice', der: draft({ extensions: [nonce(32), nonce(32)] }) },
  // An extension that nobody knows is also one that nobody needs.
  {
    check: 'response-extension-critical',
    der: draft({ extensions: [ext('1.2.3', NULL, true)] }),
    also: ['response-extension-needless'],
  },
  {
    check: 'response-extension-misplaced',
    der: draft({ extensions: [ext(OID.ocspArchiveCutoff, time(-DAY))] }),
  },
  { check: 'response-extension-needless', der: draft({ extensions: [ext('1.2.3', NULL)] }) },
  { check: 'response-extension-of-requests', der: draft({ extensions: [ext(OID.ocspResponse, seq())] }) },
  {
    check: 'nonce-critical',
    der: draft({ extensions: [ext(OID.ocspNonce, tlv(0x04, new Uint8Array(32)), true)] }),
  },
  { check: 'nonce-length', der: draft({ extensions: [nonce(129)] }) },
  // A nonce in another form than the request's is another nonce.
  {
    check: 'nonce-form',
    der: draft({ extensions: [ext(OID.ocspNonce, new Uint8Array(16))] }),
    context: (context) => ({
      ...context,
      question: { certIDs: context.question?.certIDs ?? [], nonce: tlv(0x04, new Uint8Array(16)) },
    }),
    also: ['nonce-other'],
  },
  {
    check: 'nonce-unasked',
    der: draft({ extensions: [nonce(32)] }),
    context: (context) => ({ ...context, question: { certIDs: context.question?.certIDs ?? [] } }),
  },
  {
    check: 'nonce-other',
    der: draft({ extensions: [nonce(32)] }),
    context: (context) => ({
      ...context,
      question: { certIDs: context.question?.certIDs ?? [], nonce: tlv(0x04, new Uint8Array(32)) },
    }),
  },
  {
    check: 'extended-revoke-critical',
    der: draft({ extensions: [ext(OID.ocspExtendedRevoke, NULL, true)] }),
    context: isPrivate,
  },
  {
    check: 'extended-revoke-value',
    der: draft({ extensions: [ext(OID.ocspExtendedRevoke, NOTHING)] }),
    context: isPrivate,
  },
  { check: 'extended-revoke-profile', der: draft({ extensions: [EXTENDED_REVOKE] }) },
  { check: 'single-extensions-empty', der: single({ extensions: [] }) },
  {
    check: 'single-extension-twice',
    der: single({ extensions: [ext('1.2.3', NULL), ext('1.2.3', NOTHING)] }),
  },
  { check: 'single-extension-critical', der: single({ extensions: [ext('1.2.3', NULL, true)] }) },
  { check: 'nonce-in-single', der: single({ extensions: [nonce(32)] }) },
  { check: 'extended-revoke-in-single', der: single({ extensions: [EXTENDED_REVOKE] }) },
  {
    check: 'single-extension-of-requests',
    der: single({ extensions: [ext(OID.ocspServiceLocator, seq())] }),
  },
  {
    check: 'reason-code-in-single',
    der: single({ status: revoked(-1000, 1), extensions: [ext(OID.crlReasonCode, hex('0a0101'))] }),
  },
  { check: 'archive-cutoff-form', der: single({ extensions: [ext(OID.ocspArchiveCutoff, hex('1700'))] }) },
  // Neither policy names a time after producedAt.
  {
    check: 'archive-cutoff-late',
    der: single({ extensions: [ext(OID.ocspArchiveCutoff, time(1))] }),
    also: ['archive-cutoff-value'],
  },
  {
    check: 'archive-cutoff-value',
    der: single({ extensions: [ext(OID.ocspArchiveCutoff, time(-999 * DAY))] }),
  },
  {
    check: 'crl-reference-form',
    der: single({ status: revoked(-1000, 1), extensions: [ext(OID.ocspCRL, seq(tlv(0xa0, hex('0c0141'))))] }),
  },
  { check: 'crl-reference-not-revoked', der: single({ extensions: [ext(OID.ocspCRL, seq())] }) },
  {
    check: 'invalidity-date-form',
    der: single({ status: revoked(-1000, 1), extensions: [ext(OID.invalidityDate, time('20261121Z'))] }),
  },
  {
    check: 'invalidity-date-not-revoked',
    der: single({ extensions: [ext(OID.invalidityDate, time(-DAY))] }),
  },
  {
    check: 'cert-hash-form',
    der: single({ extensions: [ext(OID.certHash, seq(seq(SHA256, NULL), tlv(0x04, new Uint8Array(20))))] }),
  },
  {
    check: 'cert-hash-unknown',
    der: single({
      status: UNKNOWN,
      extensions: [ext(OID.certHash, seq(seq(SHA256, NULL), tlv(0x04, SUBJECT.digest('SHA-256'))))],
    }),
    context: strange,
  },
  {
    check: 'cert-hash-value',
    der: single({ extensions: [ext(OID.certHash, seq(seq(SHA256, NULL), tlv(0x04, new Uint8Array(32))))] }),
  },
  { check: 'sct-list-form', der: single({ extensions: [ext(OID.sctList, tlv(0x04, hex('0000')))] }) },
]
