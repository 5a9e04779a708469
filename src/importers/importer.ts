/**
 * What every importer gives: records or problems, lazily, each with its place. An importer never touches a store and
 * never decides what a record changes.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { SerialHex } from '../pkix/serial-number.ts'

/** Bytes in any chunking. */
export type ByteSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/** What a source says of one certificate. */
export interface CertificateRecord {
  readonly serial: SerialHex
  readonly status: 'good' | 'revoked' | 'hold'
  /** Time of revocation or hold; absent when good. */
  readonly revocationTime?: UnixSeconds
  /** CRLReason by its RFC 5280 name; absent when good or when the source gives none. */
  readonly reason?: string
  /** When the key is known or suspected to have been compromised (RFC 5280 5.3.2). */
  readonly invalidityDate?: UnixSeconds
  /** The CRL that has the revocation or hold (RFC 6960 4.4.2). */
  readonly crl?: CRLReference
  readonly notAfter?: UnixSeconds
}

/** At least one of them. */
export interface CRLReference {
  readonly url?: string | undefined
  /** cRLNumber, as formatSerial writes it. */
  readonly number?: string | undefined
  /** thisUpdate. */
  readonly time?: UnixSeconds | undefined
}

/** `line` counts from 1. `duplicateOf` names an earlier line with the same serial. */
export type ImportRow =
  | { readonly record: CertificateRecord; readonly line: number; readonly duplicateOf?: number }
  | { readonly problem: string; readonly line: number }

/** `all-issued`: a serial missing from the source was never issued. `revoked-only`: it may well have been. */
export type Coverage = 'all-issued' | 'revoked-only'
