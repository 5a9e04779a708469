/** Where each check looks and what is to be done when it finds something: for people, so it is no part of the gate. */

export interface Advice {
  /** Within the whole response, or within a SingleResponse; '' is all of it, or the field that the finding names. */
  readonly field: string
  readonly todo: string
}

interface Group extends Advice {
  readonly checks: readonly string[]
}

/** @param checks their names, with spaces between them */
function group(field: string, todo: string, checks: string): Group {
  return { field, todo, checks: checks.split(' ') }
}

const GROUPS: readonly Group[] = [
  group(
    '',
    'The encoder of the responder is at fault, and strict clients refuse the whole response: have it write DER of RFC 6960 4.2.1.',
    'time-form status-number response-bytes response-type version-number status-content der-null der-length der-integer der-boolean der-oid der-bit-string der-structure cert-id-hash-length cert-id-hash-parameters key-hash-length',
  ),
  group(
    '',
    'Fetch it again and compare the lengths: it was cut, or something was added, by a proxy, a copy or the responder.',
    'der-truncated der-trailing',
  ),
  group(
    '',
    'It is larger than any honest response: look at what the responder puts into it.',
    'der-too-large',
  ),
  group('version', 'Leave the version out: v1 is the default.', 'version-written'),
  group('responderID', 'Have the responder name itself by the SHA-1 of its key.', 'responder-by-name'),
  group(
    'responderID',
    'Compare the certificate of the signer with the ones at hand: after a rollover, the old name or another certificate may be in use.',
    'responder-other',
  ),
  group(
    'certs',
    "Have the responder send its own certificate, first and alone, and none when the CA's key signs.",
    'certs-absent certs-signer-not-first certs-several certs-empty certs-needless certs-der',
  ),
  group(
    'signatureAlgorithm',
    'Configure the algorithm that belongs to the key of the responder, with the parameters of its RFC.',
    'algorithm-other algorithm-parameters algorithm-not-of-key algorithm-not-of-curve',
  ),
  group(
    'signatureAlgorithm',
    'Have the responder sign with SHA-256 or better, by an algorithm that the profile allows.',
    'algorithm-weak algorithm-barred',
  ),
  group(
    'signature',
    'The signer writes it in another form than its algorithm has: ECDSA is a SEQUENCE of r and s, RSA as long as the key.',
    'signature-form',
  ),
  group(
    '',
    'Do not believe this response: it was altered, or signed with another key. Compare key and certificate of the responder.',
    'signature-value',
  ),
  group('', 'Leave certificates and extensions out that no client needs.', 'size-staple size'),
  group('responses', 'Have the responder answer each CertID of the request, once.', 'responses-empty'),
  group(
    'responses',
    'Look at the record of that certificate: the responder reads two that disagree.',
    'status-conflict',
  ),
  group(
    'responses',
    'Have the responder copy the CertIDs of the request, in their order. Is this the response to this request?',
    'answer-missing answer-order',
  ),
  group('', 'Have the responder answer only what was asked.', 'answer-surplus'),
  group(
    'certID.hashAlgorithm',
    'Have the responder copy the hash of the request as it stands.',
    'cert-id-parameters cert-id-hash',
  ),
  group(
    'certID',
    'It is about certificates of another issuer, or the responder hashes another encoding of its name: compare the certificate.',
    'issuer-hashes',
  ),
  group(
    'certStatus',
    'Correct the reason in the record of the CA: one that the profile allows, and no field for "unspecified".',
    'reason-undefined reason-remove-from-crl reason-unspecified reason-barred hold-barred ca-reason',
  ),
  group(
    'certStatus',
    'Compare with the record of the CA: what was issued has a status, and what was not is never good.',
    'unknown-but-issued good-not-issued',
  ),
  group(
    'certStatus',
    'For serial numbers never issued say certificateHold at 19700101000000Z with id-pkix-ocsp-extended-revoke, or unknown.',
    'non-issued-form non-issued-extensions extended-revoke-absent',
  ),
  group(
    'thisUpdate',
    'Look at the clock of the responder, and have it sign for the time that it knows.',
    'this-update-after-produced-at this-update-in-future older-than-four-days',
  ),
  group('producedAt', 'Look at the clock of the responder.', 'produced-in-future responder-not-valid'),
  group(
    'nextUpdate',
    'Have the responder set nextUpdate after thisUpdate, and no later than the end of its certificate and of the CA.',
    'next-update-too-early next-update-absent outlives-responder outlives-issuer',
  ),
  group(
    'nextUpdate',
    'Fetch a newer one. If there is none, the responder has not signed in time, or a cache keeps old answers.',
    'expired',
  ),
  group(
    'nextUpdate',
    'Set the validity of responses between 16 hours and 7 days.',
    'shorter-than-eight-hours shorter-than-sixteen-hours longer-than-seven-days longer-than-ten-days final-profile',
  ),
  group(
    'certStatus',
    'Correct the time of revocation in the record of the CA.',
    'revoked-after-this-update revoked-before-certificate',
  ),
  group(
    '',
    'Do not sign before a certificate is valid, and say with archiveCutoff how long after it is.',
    'produced-before-certificate produced-after-certificate',
  ),
  group('responseExtensions', 'Sign final responses without a nonce.', 'final-nonce'),
  group(
    'responseExtensions',
    'Have the responder send each extension once, not critical, where its RFC puts it, and no others.',
    'response-extensions-empty response-extension-twice response-extension-critical response-extension-misplaced response-extension-needless response-extension-of-requests',
  ),
  group(
    'responseExtensions',
    'Have the responder echo the nonce of the request octet for octet, not critical, or leave it out. Another nonce is a replay.',
    'nonce-critical nonce-length nonce-form nonce-unasked nonce-other',
  ),
  group(
    'responseExtensions',
    'Have extended-revoke written as NULL, not critical, and never under public trust.',
    'extended-revoke-critical extended-revoke-value extended-revoke-profile',
  ),
  group(
    'singleExtensions',
    'Have the responder send each extension once, not critical, where its RFC puts it, and no others.',
    'single-extensions-empty single-extension-twice single-extension-critical nonce-in-single extended-revoke-in-single single-extension-of-requests reason-code-in-single',
  ),
  group(
    'singleExtensions',
    'Correct archiveCutoff: a GeneralizedTime not after producedAt, of the policy of the CA.',
    'archive-cutoff-form archive-cutoff-late archive-cutoff-value',
  ),
  group(
    'singleExtensions',
    'Leave CRL reference and invalidityDate to revoked certificates, in the form of their RFCs.',
    'crl-reference-form crl-reference-not-revoked invalidity-date-form invalidity-date-not-revoked',
  ),
  group(
    'singleExtensions',
    'Record the hash of the final certificate, and send it with good and revoked alone.',
    'cert-hash-form cert-hash-unknown cert-hash-value',
  ),
  group('singleExtensions', 'Send the SCTs as a list of RFC 6962 3.3.', 'sct-list-form'),
  group(
    '',
    'The responder says other things than it has to: it must not be published.',
    'meant-count meant-cert-id meant-status meant-times meant-single-extensions meant-response-extensions error-instead',
  ),
]

const ADVICE: ReadonlyMap<string, Advice> = new Map(
  GROUPS.flatMap(({ field, todo, checks }) => checks.map((name) => [name, { field, todo }] as const)),
)

/** Names of all checks that have advice, in the order of the table; a test compares them with the checks that there are. */
export const ADVISED: readonly string[] = GROUPS.flatMap(({ checks }) => checks)

export function adviceOf(check: string): Advice {
  return ADVICE.get(check) ?? { field: '', todo: '' }
}
