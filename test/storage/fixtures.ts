/** Issuers, responders, serials and clocks for the tests of the stores; nothing here touches a platform. */
import { serialHash, slotOf } from '../../src/bundle/slot.ts'
import type { AdminStore, NewCertificate, NewIssuer, NewResponder } from '../../src/ports/admin-store.ts'
import type { IssuerHashes, IssuerPolicy } from '../../src/ports/records.ts'

/** 2026-11-21T03:00:00Z */
export const NOW = 1_795_230_000
export const NOW_MS = NOW * 1000
export const DAY = 86_400

export const POLICY: IssuerPolicy = {
  unknown: 'unauthorized',
  nonce: 'echo',
  profile: 'private',
  validitySeconds: 7 * DAY,
  maxAge: 'next-update',
  hashes: ['SHA-1', 'SHA-256'],
  retainSeconds: 30 * DAY,
  signedRequests: 'ignore',
  requestors: [],
  archiveCutoff: 'none',
  algorithm: undefined,
}

const hashes = (length: number): IssuerHashes => ({
  issuerNameHash: new Uint8Array(length).fill(0xa1),
  issuerKeyHash: new Uint8Array(length).fill(0xb2),
})

export function newIssuer(changes: Partial<NewIssuer> = {}): NewIssuer {
  return {
    name: 'demo-ca',
    ski: 'c17dc2edafb9abbd01ff2dc7fb5c7c2c45930470',
    certificate: Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x05),
    hashes: { 'SHA-1': hashes(20), 'SHA-256': hashes(32), 'SHA-384': hashes(48), 'SHA-512': hashes(64) },
    notBefore: NOW - DAY,
    notAfter: NOW + 3650 * DAY,
    policy: POLICY,
    enabled: true,
    ...changes,
  }
}

export function newResponder(changes: Partial<NewResponder> = {}): NewResponder {
  return {
    name: 'ocsp-1',
    certificate: Uint8Array.of(0x30, 0x00),
    keyHash: new Uint8Array(20).fill(7),
    algorithm: 'ecdsa-with-SHA256',
    custody: 'wrapped',
    secretName: undefined,
    spki: Uint8Array.of(0x30, 0x01, 0x00),
    notBefore: NOW - DAY,
    notAfter: NOW + 90 * DAY,
    ...changes,
  }
}

/** Serial number `n` as content octets of at least four bytes, first below 0x80. */
export function serial(n: number): Uint8Array {
  const octets = Uint8Array.of(0x10, 0, 0, 0, 0)
  new DataView(octets.buffer).setUint32(1, n)
  return octets
}

/** Pair of hash and serial as StatusStore takes it. */
export function key(octets: Uint8Array): { hash: number; serial: Uint8Array } {
  return { hash: serialHash(octets), serial: octets }
}

export function good(n: number, changes: Partial<NewCertificate> = {}): NewCertificate {
  return { serial: serial(n), status: 'good', notBefore: NOW - DAY, notAfter: NOW + 90 * DAY, ...changes }
}

/** `count` good certificates whose serials fall into the given slot. */
export function goodIn(slot: number, k: number, count: number, from = 0): NewCertificate[] {
  const found: NewCertificate[] = []
  for (let n = from; found.length < count; n += 1) {
    if (slotOf(serialHash(serial(n)), k) === slot) found.push(good(n))
  }
  return found
}

/** An issuer with a responder that is not retired. @returns the issuer's id */
export async function setUp(
  admin: AdminStore,
  changes: Partial<NewIssuer> = {},
  nowMs = NOW_MS,
): Promise<number> {
  const { id } = await admin.addIssuer(newIssuer(changes), nowMs)
  await admin.addResponder(id, newResponder(), Uint8Array.of(1, 2, 3), nowMs)
  return id
}
