/** Who says otherwise than our codec: the manifest's kind, `openssl ocsp` (3.0.19) or pkijs (4.0.0). */
export type Other = 'manifest' | 'openssl' | 'pkijs'

export interface Disagreement {
  /** `accepts`, or the reason of our error. */
  readonly ours: string
  readonly others: readonly Other[]
  readonly requirement: string
  readonly why: string
}

/** Every vector that somebody judges otherwise than we do, reviewed one by one. */
export const DISAGREEMENTS: Readonly<Record<string, Disagreement>> = {
  'botan/ocsp__patrickschmidt_ocsp_try_later_wrong_sig.der': {
    ours: 'badStatus',
    others: ['manifest', 'openssl', 'pkijs'],
    requirement: 'R1.20',
    why: 'An error status with responseBytes: made by changing the status of a signed answer. An error carries none.',
  },
  'boulder/ocsp_responder__response.der': {
    ours: 'unexpectedTag',
    others: ['manifest'],
    requirement: 'R1.63',
    why: 'producedAt is a UTCTime. openssl and pkijs refuse it as well.',
  },
  'boulder/ocsp_responder__response_mix.pem': {
    ours: 'trailingData',
    others: ['manifest'],
    requirement: 'R5.38',
    why: 'A DER response and then text, not one response. Its producedAt is a UTCTime besides.',
  },
  'cfssl/response.der': {
    ours: 'unexpectedTag',
    others: ['manifest'],
    requirement: 'R1.63',
    why: 'The same octets as boulder/ocsp_responder__response.der.',
  },
  'cfssl/response_mix.pem': {
    ours: 'trailingData',
    others: ['manifest'],
    requirement: 'R5.38',
    why: 'The same octets as boulder/ocsp_responder__response_mix.pem.',
  },
  'pyca-cryptography/req-duplicate-ext.der': {
    ours: 'duplicateExtension',
    others: ['manifest', 'openssl', 'pkijs'],
    requirement: 'R1.8',
    why: 'Two nonces. RFC 5280 4.2 forbids the same extension twice; openssl and pkijs do not look.',
  },
  'pyca-cryptography/resp-response-type-unknown-oid.der': {
    ours: 'accepts',
    others: ['openssl'],
    requirement: 'R1.50',
    why: 'The OCSPResponse is sound and re-encodes. decodeSuccessfulResponse refuses its type, which is what openssl reports.',
  },
  'pyca-cryptography/resp-successful-no-response-bytes.der': {
    ours: 'badStatus',
    others: ['manifest', 'pkijs'],
    requirement: 'R1.50',
    why: 'successful without an answer in it. The ASN.1 allows that, RFC 6960 4.2.1 does not; openssl refuses it as well.',
  },
  'pyca-cryptography/resp-unknown-response-status.der': {
    ours: 'badStatus',
    others: ['manifest', 'openssl', 'pkijs'],
    requirement: 'R1.20',
    why: 'Status 7, which RFC 6960 4.2.1 does not define.',
  },
}
