/** Who signed and how: ResponderID, certs, algorithm and the form of the signature (R1.5x, R4.8, R4.9); and the size (R7.4). */
import { DERReader } from '../asn1/der-reader.ts'
import type { LintCheck } from './check.ts'
import { NEED, response, WHERE } from './check.ts'
import type { Judged } from './judged.ts'
import { sameOctets } from './octets.ts'
import {
  fitsCurve,
  fitsKey,
  hasOddParameters,
  isPublicAlgorithm,
  isWeakAlgorithm,
  signatureProblem,
} from './signature-algorithms.ts'

/** Apache and Traffic Server hold a staple in 10,240 octets (R5.47). */
const STAPLE_OCTETS = 10_000
/** Chromium and GnuPG read no more than this (R7.4). */
const MAX_OCTETS = 65_536

export const SIGNER_CHECKS: readonly LintCheck[] = [
  response(
    'R1.50',
    'version-written',
    'error',
    0,
    'version v1 is the default and left out',
    ({ data }) => data.versionExplicit,
  ),
  response(
    'R1.53',
    'responder-by-name',
    'lightweight',
    0,
    'the responder has to be named by key',
    ({ data }) => 'byName' in data.responderID,
  ),
  response(
    'R1.52',
    'responder-other',
    'error',
    NEED.responderKey,
    'ResponderID has to name the responder whose key signs',
    ({ data, context }) => {
      const { responderID } = data
      const { keyHash, subject } = context.responder ?? {}
      return 'byKey' in responderID
        ? !sameOctets(responderID.byKey, keyHash)
        : !sameOctets(responderID.byName, subject)
    },
  ),
  response(
    'R1.57',
    'certs-absent',
    'error',
    NEED.responderCertificate,
    'the certificate of a delegated responder has to be in certs',
    ({ basic, context }) => context.responder?.certificate !== 'none' && basic.certs === undefined,
  ),
  response(
    'R1.58',
    'certs-signer-not-first',
    'error',
    NEED.responderCertificate,
    "the responder's certificate has to be the first of certs",
    ({ basic, context, isSignerFirst }) =>
      context.responder?.certificate !== 'none' && basic.certs?.[0] !== undefined && !isSignerFirst,
  ),
  response(
    'R1.58',
    'certs-several',
    'warning',
    0,
    "the responder's certificate should stand alone in certs",
    ({ basic }) =>
      basic.certs !== undefined && basic.certs.length > 1 && `${basic.certs.length} certificates`,
  ),
  response(
    'R1.59',
    'certs-empty',
    'error',
    0,
    'certs without one are left out',
    ({ basic }) => basic.certs?.length === 0,
  ),
  response(
    'R1.59',
    'certs-needless',
    'error',
    NEED.responderCertificate,
    'no certs where the CA signs itself',
    ({ basic, context }) =>
      context.responder?.certificate === 'none' && basic.certs !== undefined && basic.certs.length > 0,
  ),
  response('R4.31', 'certs-der', 'error', 0, 'certificates have to be DER', certificateFault),
  response(
    'R1.51',
    'algorithm-other',
    'error',
    NEED.algorithm,
    "signatureAlgorithm has to be the responder's, octet for octet",
    ({ algorithm, context }) => !sameOctets(algorithm, context.responder?.signatureAlgorithm),
  ),
  response(
    'R1.51',
    'algorithm-parameters',
    'error',
    0,
    'parameters have to be NULL for RSA PKCS#1, absent for ECDSA, EdDSA, ML-DSA and SLH-DSA',
    ({ basic }) => hasOddParameters(basic.signatureAlgorithm),
  ),
  response('R4.9', 'algorithm-weak', 'error', 0, 'no signature over SHA-1 or MD5', ({ basic }) =>
    isWeakAlgorithm(basic.signatureAlgorithm),
  ),
  response(
    'R4.8',
    'algorithm-barred',
    'error',
    NEED.publicTrust,
    'signatureAlgorithm has to be one of BR 7.1.3.2, octet for octet',
    ({ algorithm }) => !isPublicAlgorithm(algorithm),
  ),
  response(
    'R1.51',
    'algorithm-not-of-key',
    'error',
    NEED.spki,
    "signatureAlgorithm has to fit the responder's kind of key",
    ({ basic, context }) => !fitsKey(basic.signatureAlgorithm.algorithm, context.responder?.spki),
  ),
  response(
    'R4.8',
    'algorithm-not-of-curve',
    'public-trust',
    NEED.spki,
    'P-256 goes with SHA-256, P-384 with SHA-384, P-521 with SHA-512',
    ({ basic, context }) => !fitsCurve(basic.signatureAlgorithm.algorithm, context.responder?.spki),
  ),
  response(
    'R1.51',
    'signature-form',
    'error',
    WHERE.signature,
    'a signature has to be in the form of its algorithm',
    ({ basic }) => signatureProblem(basic.signatureAlgorithm.algorithm, basic.signature),
  ),
  response(
    'R5.47',
    'size-staple',
    'warning',
    NEED.octets,
    `${STAPLE_OCTETS} octets at most fit the memory of every server that staples`,
    (judged) => judged.size > STAPLE_OCTETS && !isTooLarge(judged) && `${judged.size} octets`,
  ),
  response(
    'R7.4',
    'size',
    'error',
    NEED.octets,
    `${MAX_OCTETS} octets at most are read by clients`,
    (judged) => isTooLarge(judged) && `${judged.size} octets`,
  ),
]

/** Who asks about many certificates at once knows what comes. */
function isTooLarge({ size, data }: Judged): boolean {
  return size > MAX_OCTETS && data.responses.length < 2
}

/** What the responder's own certificate is was looked at when it was given to us. */
function certificateFault({ basic, isSignerFirst }: Judged): string | false {
  const { certs = [] } = basic
  for (const certificate of isSignerFirst ? certs.slice(1) : certs) {
    try {
      new DERReader(certificate).any()
    } catch (error) {
      return error instanceof Error && error.message
    }
  }
  return false
}
