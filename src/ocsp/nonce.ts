import { OID } from '../asn1/oid.ts'
import type { Extension } from '../pkix/extensions.ts'

/** Longest nonce, in octets inside the inner OCTET STRING. @see RFC 9654 2.1 */
export const MAX_NONCE_OCTETS = 128

/** The same by RFC 8954 2.1, which the Baseline Requirements still cite (R3.12). */
export const MAX_RFC8954_NONCE_OCTETS = 32

/** Nonce ::= OCTET STRING (SIZE (1..128)), inside extnValue. @see RFC 9654 2.1 */
export interface Nonce {
  /** Content of extnValue as the client sent it, echoed verbatim: `04 len value`, or the bare value of old clients (R3.11). */
  readonly extnValue: Uint8Array
  /** Octets of the nonce itself. */
  readonly length: number
}

/** Reads extnValue of a nonce extension. Any octets are some nonce: what is not one DER OCTET STRING is a raw legacy nonce. */
export function decodeNonce(extnValue: Uint8Array): Nonce {
  const inner = innerLength(extnValue)
  return { extnValue, length: inner ?? extnValue.length }
}

/** RFC 9654 2.1: a responder refuses 0 and more than 128 octets (R3.1, R3.5). */
export function isNonceLengthAllowed(nonce: Nonce): boolean {
  return nonce.length >= 1 && nonce.length <= MAX_NONCE_OCTETS
}

/** The extension that echoes a nonce: never critical, whatever the request said (R3.8). */
export function nonceExtension(nonce: Nonce): Extension {
  return { extnID: OID.ocspNonce, critical: false, extnValue: nonce.extnValue }
}

/** Length of the one OCTET STRING that the octets are, undefined when they are not. Runs once a request: no reader, no throw. */
function innerLength(octets: Uint8Array): number | undefined {
  if (octets[0] !== 0x04) return undefined
  const first = octets[1] ?? 0
  if (first < 0x80) return octets.length === 2 + first ? first : undefined
  const second = octets[2] ?? 0
  if (first === 0x81) return second >= 0x80 && octets.length === 3 + second ? second : undefined
  const long = second * 256 + (octets[3] ?? 0)
  return first === 0x82 && second > 0 && octets.length === 4 + long ? long : undefined
}
