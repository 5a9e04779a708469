/**
 * Clauses broken on purpose, one at a time: `npm run test:mutants` runs the tests of the clauses against each of them. A
 * mutant is killed when a test that cites its id fails, and only tests fail that cite it or what follows from it.
 */

export interface Mutant {
  /** The requirement that the code no longer keeps. */
  readonly id: string
  readonly file: string
  /** Occurs once in the file. */
  readonly find: string
  readonly replace: string
  /** Requirements that cannot hold without this one: their tests fail too, and that is right. */
  readonly implies?: readonly string[]
  /** Where its tests are, beside test/conformance. */
  readonly tests?: readonly string[]
}

const REQUEST = 'src/ocsp/ocsp-request.ts'
const PATH = 'src/ocsp/get-path.ts'
const LIVE = 'src/signing/live-source.ts'
const HEADERS = 'src/http/cache-headers.ts'
const WINDOWS = 'src/responder/windows.ts'
const CHOICE = 'src/responder/signature-choice.ts'
const REQUESTORS = 'src/responder/requestors.ts'
const SIGNED = ['test/responder/requestors.test.ts', 'test/responder/request-signature.test.ts']
/** Where each check of the publication gate is shown to notice what it is for. */
const GATE = ['test/lint/checks.test.ts']

export const MUTANTS: readonly Mutant[] = [
  // Request syntax
  {
    id: 'R1.2',
    file: REQUEST,
    find: "if (list.atEnd) throw new OCSPDecodeError('emptyRequestList', listOffset)",
    replace: 'if (list.atEnd) return []',
    implies: ['R1.21'],
  },
  { id: 'R1.4', file: REQUEST, find: 'version !== undefined && version !== 0', replace: 'version === 7' },
  {
    id: 'R1.7',
    file: REQUEST,
    find: 'extension.critical && !UNDERSTOOD.has(extension.extnID)',
    replace: 'extension.extnID === UNDERSTOOD.toString()',
  },
  {
    id: 'R1.8',
    file: REQUEST,
    find: 'before.extnID === extension.extnID',
    replace: 'before.extnID === before.extnID.concat(extension.extnID)',
  },
  { id: 'R1.12', file: REQUEST, find: 'DEFAULT_MAX_REQUESTS = 100', replace: 'DEFAULT_MAX_REQUESTS = 101' },
  {
    id: 'R1.13',
    file: 'src/ocsp/cert-id.ts',
    find: 'if (digest.length === expected) return',
    replace: 'if (digest.length === expected || digest.length > 0 || offset > 0) return',
  },
  {
    id: 'R1.16',
    file: 'src/responder/issuers.ts',
    find: ' && equalOctets(issuerNameHash, certID.issuerNameHash)',
    replace: '',
    implies: ['R1.14'],
  },
  {
    id: 'R1.11',
    file: 'src/responder/issuers.ts',
    find: 'issuer !== undefined && issuer.id !== record.id',
    replace: 'issuer !== undefined && issuer.id === -1',
  },
  // Which OCSPResponseStatus
  { id: 'R1.23', file: HEADERS, find: "'Retry-After': RETRY_AFTER_SECONDS,", replace: '' },
  {
    id: 'R1.28',
    file: 'src/ports/errors.ts',
    find: "return error.reason === 'corrupt' ? 'internalError' : 'tryLater'",
    replace: "return 'unauthorized'",
    implies: ['R1.22', 'R1.103', 'R4.11', 'R2.16', 'R8.5'],
  },
  // Status and what is said of it
  {
    id: 'R1.31',
    file: 'src/signing/cert-status.ts',
    find: ": { type: 'revoked', revocationTime: row.revocationTime, revocationReason: row.reason }",
    replace: ": { type: 'revoked', revocationTime: row.revocationTime }",
  },
  {
    id: 'R1.36',
    file: LIVE,
    find: 'revocationTime: 0, revocationReason: 6',
    replace: 'revocationTime: 1, revocationReason: 6',
  },
  {
    id: 'R1.90',
    file: LIVE,
    find: '...(statuses.some(({ certStatus }) => certStatus === NON_ISSUED) ? [EXTENDED_REVOKE] : []),',
    replace: '',
    implies: ['R1.36', 'R1.39'],
  },
  {
    id: 'R1.42',
    file: 'src/signing/cert-status.ts',
    find: "case 'good':",
    replace: "case 'good':\n    case 'reserved':",
  },
  {
    id: 'R1.41',
    file: 'src/signing/cert-status.ts',
    find: 'if (compromisedAt === undefined) return undefined',
    replace: 'if (compromisedAt !== -1) return undefined',
  },
  // Signed requests
  {
    id: 'R1.24',
    file: REQUESTORS,
    find: "throw new RequestRefused('signatureMissing')",
    replace: 'return undefined',
    implies: ['R1.97'],
    tests: SIGNED,
  },
  {
    id: 'R1.25',
    file: REQUESTORS,
    find: "return verdict === 'good' ?",
    replace: "return verdict !== 'unsupported' ?",
    implies: ['R1.96'],
    tests: SIGNED,
  },
  {
    id: 'R1.96',
    file: 'src/responder/request-signature.ts',
    find: 'return subject !== undefined && equalOctets(subject, name)',
    replace: 'return subject !== undefined && name.length > 0',
    implies: ['R1.25'],
    tests: SIGNED,
  },
  {
    id: 'R1.97',
    file: 'src/responder/respond.ts',
    find: "return issuer.policy.signedRequests === 'require' ?",
    replace: "return issuer.policy.signedRequests === 'ignore' && answer.personal ?",
    tests: SIGNED,
  },
  // Signer
  {
    id: 'R1.86',
    file: CHOICE,
    find: 'if (responder === undefined) continue',
    replace: 'if (responder === undefined) return undefined',
    implies: ['R1.88'],
    tests: ['test/responder/signature-choice.test.ts'],
  },
  {
    id: 'R1.88',
    file: CHOICE,
    find: 'default:\n      return undefined',
    replace: "default:\n      return 'sha256WithRSAEncryption'",
    implies: ['R1.86'],
    tests: ['test/responder/signature-choice.test.ts'],
  },
  // Times
  {
    id: 'R1.66',
    file: WINDOWS,
    find: 'Math.min(thisUpdate + validitySeconds - 1 - shorter, notAfter)',
    replace: 'thisUpdate + validitySeconds - 1 - shorter',
  },
  {
    id: 'R1.67',
    file: WINDOWS,
    find: 'BACKDATE_SECONDS = 300',
    replace: 'BACKDATE_SECONDS = 0',
    implies: ['R2.15'],
  },
  {
    id: 'R4.52',
    file: WINDOWS,
    find: 'if (issuer.finalAt === undefined) return windowFrom',
    replace: 'if (issuer.finalAt !== -1) return windowFrom',
  },
  {
    id: 'R6.8',
    file: WINDOWS,
    find: 'UNKNOWN_MAX_AGE_SECONDS = 60',
    replace: 'UNKNOWN_MAX_AGE_SECONDS = 500',
    implies: ['R1.39'],
  },
  // Extensions
  {
    id: 'R1.83',
    file: 'src/signing/single-extensions.ts',
    find: 'archiveCutoff(producedAt - issuer.policy.retainSeconds)',
    replace: 'archiveCutoff(producedAt)',
  },
  {
    id: 'R4.51',
    file: 'src/signing/single-extensions.ts',
    find: 'archiveCutoff(issuer.notBefore)',
    replace: 'archiveCutoff(issuer.notBefore + 1)',
  },
  {
    id: 'R1.81',
    file: 'src/signing/single-extensions.ts',
    find: 'isRevoked || !OF_REVOCATIONS.has(extnID)',
    replace: 'isRevoked || extnID.length > 0',
  },
  // Nonces
  { id: 'R3.1', file: 'src/ocsp/nonce.ts', find: 'nonce.length >= 1', replace: 'nonce.length >= 0' },
  {
    id: 'R3.5',
    file: 'src/ocsp/nonce.ts',
    find: 'MAX_NONCE_OCTETS = 128',
    replace: 'MAX_NONCE_OCTETS = 129',
  },
  {
    id: 'R3.8',
    file: 'src/ocsp/nonce.ts',
    find: 'critical: false',
    replace: 'critical: true',
    implies: [
      'R1.71',
      'R3.2',
      'R3.3',
      'R3.4',
      'R3.7',
      'R3.11',
      'R1.36',
      'R1.102',
      'R1.105',
      'R1.69',
      'R3.10',
      'R2.4',
    ],
  },
  {
    id: 'R3.10',
    file: HEADERS,
    find: 'if (answer.personal)\n',
    replace: 'if (answer.personal && now < 0)\n',
  },
  {
    id: 'R3.12',
    file: 'src/responder/issuers.ts',
    find: "policy === 'rfc8954' && ",
    replace: "policy === 'ignore' && ",
    tests: ['test/responder/nonce-policy.test.ts'],
  },
  {
    id: 'R3.13',
    file: 'src/responder/respond.ts',
    find: 'nonce !== undefined ? await stored(query, now, ports) : undefined',
    replace: 'nonce === undefined ? await stored(query, now, ports) : undefined',
    implies: ['R2.3'],
  },
  // The publication gate
  gate('R1.57', 'src/lint/signer-checks.ts', 'basic.certs === undefined,', 'false,'),
  gate('R1.59', 'src/lint/signer-checks.ts', 'basic.certs?.length === 0,', 'false,'),
  gate('R4.9', 'src/lint/signer-checks.ts', 'isWeakAlgorithm(basic.signatureAlgorithm),', 'false,'),
  gate('R7.4', 'src/lint/signer-checks.ts', 'return size > MAX_OCTETS', 'return size > 2 * MAX_OCTETS'),
  gate('R1.70', 'src/lint/status-checks.ts', 'conflict(data.responses),', 'false,'),
  gate('R4.13', 'src/lint/status-checks.ts', 'reasonOf(certStatus) === HOLD,', 'false,'),
  gate(
    'R4.20',
    'src/lint/extensions-checks.ts',
    'OID.crlReasonCode) !== undefined',
    "OID.crlReasonCode + '.1') !== undefined",
  ),
  // Headers
  {
    id: 'R2.8',
    file: 'src/responder/answer.ts',
    find: 'lastModified: httpDate(window.producedAt)',
    replace: 'lastModified: httpDate(window.producedAt + 1)',
  },
  {
    id: 'R2.9',
    file: 'src/responder/answer.ts',
    find: 'expires: httpDate(window.nextUpdate)',
    replace: 'expires: httpDate(window.nextUpdate + 1)',
  },
  {
    id: 'R2.10',
    file: HEADERS,
    find: 'MARGIN_SECONDS = 5',
    replace: 'MARGIN_SECONDS = 0',
    implies: ['R6.1', 'R1.65'],
  },
  {
    id: 'R2.12',
    file: 'src/responder/answer.ts',
    find: "'SHA-256', bufferSource(der)",
    replace: "'SHA-512', bufferSource(der)",
  },
  {
    id: 'R6.11',
    file: HEADERS,
    find: '|| value === `W/',
    replace: '|| value === `w/',
  },
  // Spellings of a GET
  {
    id: 'R5.5',
    file: PATH,
    find: "alias(' ', 62)",
    replace: "alias(' ', NOT_BASE64)",
    implies: ['R5.7'],
    tests: ['test/ocsp/get-path.test.ts'],
  },
  {
    id: 'R5.10',
    file: PATH,
    find: "alias('-', 62)",
    replace: "alias('-', NOT_BASE64)",
    tests: ['test/ocsp/get-path.test.ts'],
  },
  // DER
  {
    id: 'R5.41',
    file: 'src/ocsp/cert-id.ts',
    find: '!isNullParameters(parameters)',
    replace: 'parameters.length === 0',
  },
  // Methods and bodies
  { id: 'R5.33', file: 'src/http/ocsp.ts', find: "{ Allow: 'GET, HEAD, POST' }", replace: '{}' },
  {
    id: 'R5.37',
    file: 'src/http/ocsp.ts',
    find: 'MAX_REQUEST_BYTES = 64 * 1024',
    replace: 'MAX_REQUEST_BYTES = 640 * 1024',
  },
]

/** One check of the gate, made blind. */
function gate(id: string, file: string, find: string, replace: string): Mutant {
  return { id, file, find, replace, tests: GATE }
}
