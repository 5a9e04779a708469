/**
 * With which algorithm an answer is signed, and by which of the issuer's responders (R1.86-R1.89). Nothing weak is ever
 * chosen, whatever a client asks for, because a responder can have no weak algorithm (R1.88, R4.9).
 */
import { DERReader } from '../asn1/der-reader.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OID } from '../asn1/oid.ts'
import type { PreferredSignatureAlgorithm } from '../ocsp/preferred-algorithms.ts'
import {
  type AlgorithmIdentifier,
  isNullParameters,
  readAlgorithmIdentifier,
} from '../pkix/algorithm-identifier.ts'
import type { IssuerRecord, ResponderRecord, SignatureAlgorithm } from '../ports/records.ts'
import { equalOctets } from './equal-octets.ts'
import { leastWindow } from './windows.ts'

/** What choosing looks at. */
export type Choosing = Pick<IssuerRecord, 'policy' | 'responders'>

/**
 * The responder that signs new windows: of an algorithm, or of the issuer's default one, which is that of the policy if a
 * valid responder has it, else that of the newest valid one. Within one algorithm the newest signs (R8.6).
 */
export function responderFor(
  issuer: Choosing,
  now: UnixSeconds,
  algorithm?: SignatureAlgorithm,
): ResponderRecord | undefined {
  if (algorithm !== undefined) return newestValid(issuer, now, algorithm)
  const preset = issuer.policy.algorithm
  return (
    (preset === undefined ? undefined : newestValid(issuer, now, preset)) ??
    newestValid(issuer, now) ??
    // Administration refuses such a responder under public-trust; if there is no other, an answer is better than none.
    newestValid({ ...issuer, policy: { ...issuer.policy, profile: 'private' } }, now)
  )
}

/** Every algorithm that a valid responder of the issuer signs with, the default one first. */
export function activeAlgorithms(issuer: Choosing, now: UnixSeconds): readonly SignatureAlgorithm[] {
  const standard = responderFor(issuer, now)?.algorithm
  if (standard === undefined) return []
  const active = new Set([standard])
  for (const { algorithm } of issuer.responders)
    if (newestValid(issuer, now, algorithm) !== undefined) active.add(algorithm)
  return [...active]
}

/**
 * RFC 6960 4.4.7.2.1: the client's list in its order, then the algorithm of the signed request, then the default. The step
 * between the first two, the algorithm of the issuer's CRL, has no source: this responder never sees a CRL of the CAs that it
 * answers for, and guessing from their certificates would turn a default that operators set into one that they did not.
 * @param requestAlgorithm of a signature over the request that was verified
 * @returns undefined when nothing is asked for that a responder has; the default has one answer for all who do not care
 */
export function chooseAlgorithm(
  issuer: Choosing,
  preferred: readonly PreferredSignatureAlgorithm[],
  requestAlgorithm: SignatureAlgorithm | undefined,
  now: UnixSeconds,
): SignatureAlgorithm | undefined {
  for (const { sigIdentifier, pubKeyAlgIdentifier } of preferred) {
    const algorithm = signatureAlgorithmOf(sigIdentifier)
    const responder = algorithm === undefined ? undefined : newestValid(issuer, now, algorithm)
    if (responder === undefined) continue
    if (pubKeyAlgIdentifier === undefined || isKeyOf(responder, pubKeyAlgIdentifier)) return algorithm
  }
  return requestAlgorithm !== undefined && newestValid(issuer, now, requestAlgorithm) !== undefined
    ? requestAlgorithm
    : undefined
}

/** Parameters of RSASSA-PSS with SHA-256 in both places and a salt of 32 octets, the only ones that we sign with; NULLs may be absent (RFC 4055 2.1). */
const PSS_SHA256 = [
  '3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
  '3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120',
]

/** The same of the DER that a bundle has. @throws DERError */
export function signatureAlgorithmIn(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return signatureAlgorithmOf(readAlgorithmIdentifier(new DERReader(identifier)))
}

/** The algorithm that an identifier names, undefined when it is not one that a responder can have. */
export function signatureAlgorithmOf({
  algorithm,
  parameters,
}: AlgorithmIdentifier): SignatureAlgorithm | undefined {
  switch (algorithm) {
    case OID.sha256WithRSAEncryption:
      return parameters === undefined || isNullParameters(parameters) ? 'sha256WithRSAEncryption' : undefined
    case OID.rsassaPss:
      return parameters !== undefined && PSS_SHA256.includes(hex(parameters)) ? 'rsassaPss-sha256' : undefined
    case OID.ecdsaWithSHA256:
      return 'ecdsa-with-SHA256'
    case OID.ecdsaWithSHA384:
      return 'ecdsa-with-SHA384'
    case OID.ecdsaWithSHA512:
      return 'ecdsa-with-SHA512'
    case OID.ed25519:
      return 'Ed25519'
    default:
      return undefined
  }
}

/** Whether the responder's key is of the kind that a client names; parameters, such as the curve, count when it names them. */
function isKeyOf({ spki }: ResponderRecord, wanted: AlgorithmIdentifier): boolean {
  const { algorithm, parameters } = new DERReader(spki).sequence((r) => {
    const identifier = readAlgorithmIdentifier(r)
    r.bitString()
    return identifier
  })
  if (algorithm !== wanted.algorithm) return false
  return (
    wanted.parameters === undefined ||
    (parameters !== undefined && equalOctets(parameters, wanted.parameters))
  )
}

function newestValid(
  { responders, policy }: Choosing,
  now: UnixSeconds,
  algorithm?: SignatureAlgorithm,
): ResponderRecord | undefined {
  const least = leastWindow(policy)
  let newest: ResponderRecord | undefined
  for (const responder of responders) {
    if (responder.retired || responder.notBefore > now || responder.notAfter - now < least) continue
    if (algorithm !== undefined && responder.algorithm !== algorithm) continue
    if (policy.profile === 'public-trust' && responder.algorithm === 'Ed25519') continue // not in BR 7.1.3.2 (R4.8)
    if (newest === undefined || responder.notBefore > newest.notBefore) newest = responder
  }
  return newest
}

function hex(octets: Uint8Array): string {
  return Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('')
}
