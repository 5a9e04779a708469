/** The policy of an issuer as options of `issuer add` and `issuer set`. */
import { type Command, Option } from 'commander'
import {
  ArchiveCutoffName,
  MAX_REQUESTORS,
  NonceName,
  type PolicyInput,
  ProfileName,
  SignatureAlgorithmName,
  SignedRequestsName,
  UnknownName,
} from '../admin-api/contract.ts'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { formatPEM } from '../pkix/pem.ts'
import { loadCertificates } from './certificate.ts'
import { parseDuration } from './duration.ts'
import { usageError } from './exit.ts'

/** MAX_RETAIN_SECONDS of the admin API. */
const MAX_RETAIN_YEARS = 100
/** The other word that --algorithm takes: no algorithm is preferred. */
const NEWEST = 'newest'

export interface PolicyOptions {
  readonly unknown?: NonNullable<PolicyInput['unknown']>
  readonly crlOnly?: boolean
  readonly nonce?: NonNullable<PolicyInput['nonce']>
  readonly validity?: number
  readonly maxAge?: NonNullable<PolicyInput['maxAge']>
  readonly profile?: NonNullable<PolicyInput['profile']>
  readonly hashes?: HashAlgorithm[]
  readonly retain?: number
  readonly signedRequests?: NonNullable<PolicyInput['signedRequests']>
  /** Files. */
  readonly requestor?: readonly string[]
  /** false: --no-requestors, which `issuer set` has. */
  readonly requestors?: boolean
  readonly archiveCutoff?: NonNullable<PolicyInput['archiveCutoff']>
}

/** Of `issuer set` alone: with `issuer add`, --algorithm is that of the first responder. */
export interface AlgorithmOption {
  /** `newest`: that of the newest responder. */
  readonly algorithm?: NonNullable<PolicyInput['algorithm']> | typeof NEWEST
}

export function addPolicyOptions(command: Command, on: 'add' | 'set' = 'add'): Command {
  command
    .addOption(
      new Option(
        '--unknown <answer>',
        'answer for a serial that is not recorded (default: unauthorized)',
      ).choices(UnknownName.options),
    )
    .option('--crl-only', 'this CA is known by its CRL alone: needed for --unknown good')
    .addOption(
      new Option(
        '--nonce <policy>',
        'nonces of requests; rfc8954: echo, but refuse those above 32 octets (default: echo)',
      ).choices(NonceName.options),
    )
    .option('--validity <duration>', 'validity of a response, such as 7d or 4m', (text) =>
      parseDuration(text, '--validity'),
    )
    .option(
      '--max-age <limit>',
      'cap of caching: next-update, refresh or a duration (default: next-update)',
      parseMaxAge,
    )
    .addOption(
      new Option('--profile <profile>', 'rules to hold to (default: private)').choices(ProfileName.options),
    )
    .option('--hashes <list>', 'CertID hashes that are pre-signed, such as sha1,sha256', parseHashes)
    .option(
      '--retain <duration>',
      'keep answering so long after a certificate has expired, such as 30d or 10y',
      (text) => parseDuration(text, '--retain', MAX_RETAIN_YEARS),
    )
    .addOption(
      new Option(
        '--archive-cutoff <kind>',
        "archiveCutoff of responses: retention (producedAt less --retain) or issuer (the CA's notBefore, as ETSI wants) (default: none)",
      ).choices(ArchiveCutoffName.options),
    )
    .addOption(
      new Option(
        '--signed-requests <policy>',
        'signatures of requests: ignore, verify (wrong ones are refused) or require (unsigned ones too) (default: ignore)',
      ).choices(SignedRequestsName.options),
    )
    .option(
      '--requestor <file...>',
      `certificates that may sign requests, and of CAs whose certificates may; ${MAX_REQUESTORS} at most${on === 'set' ? '; replaces the list' : ''}`,
    )
  if (on === 'add') return command
  return command
    .option('--no-requestors', 'empty that list')
    .option(
      '--algorithm <name>',
      `of several active responders, whose signature a client without a preference gets: ${SignatureAlgorithmName.options.join(', ')} or ${NEWEST}`,
      parseAlgorithm,
    )
}

function parseMaxAge(text: string): NonNullable<PolicyInput['maxAge']> {
  if (text === 'next-update' || text === 'refresh') return text
  return parseDuration(text, '--max-age (next-update, refresh or a duration)')
}

function parseHashes(text: string): HashAlgorithm[] {
  return text.split(',').map((name) => parseHash(name.trim(), '--hashes'))
}

/** sha1, SHA-256, sha_384 ... @throws CLIError (usage) */
export function parseHash(text: string, what: string): HashAlgorithm {
  const bare = (name: string) => name.toLowerCase().replace(/[-_]/g, '')
  const found = HASH_ALGORITHMS.find((hash) => bare(hash) === bare(text))
  if (found === undefined)
    throw usageError(`${what}: "${text}" is not a hash that we know`, 'One of sha1, sha256, sha384, sha512.')
  return found
}

function parseAlgorithm(text: string): NonNullable<AlgorithmOption['algorithm']> {
  const found = ([NEWEST, ...SignatureAlgorithmName.options] as const).find(
    (name) => name.toLowerCase() === text.toLowerCase(),
  )
  if (found !== undefined) return found
  throw usageError(
    `--algorithm: "${text}" is not one that a responder signs with`,
    `One of ${SignatureAlgorithmName.options.join(', ')}, or ${NEWEST}.`,
  )
}

/**
 * @param recorded there is a policy, of which stays what is not named; `algorithm` is what --algorithm of `issuer set` said
 * @returns undefined when no policy option was given
 * @throws CLIError (usage)
 */
export function readPolicy(options: PolicyOptions, recorded?: AlgorithmOption): PolicyInput | undefined {
  const isNew = recorded === undefined
  const algorithm = recorded?.algorithm
  checkUnknown(options)
  const requestors = readRequestors(options)
  checkSignedRequests(options.signedRequests ?? (isNew ? 'ignore' : undefined), requestors, isNew)
  const policy: PolicyInput = {
    ...(options.unknown === undefined ? {} : { unknown: options.unknown }),
    ...(options.crlOnly === true ? { crlOnly: true } : {}),
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
    ...(options.validity === undefined ? {} : { validitySeconds: options.validity }),
    ...(options.maxAge === undefined ? {} : { maxAge: options.maxAge }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.hashes === undefined ? {} : { hashes: options.hashes }),
    ...(options.retain === undefined ? {} : { retainSeconds: options.retain }),
    ...(options.signedRequests === undefined ? {} : { signedRequests: options.signedRequests }),
    ...(requestors === undefined ? {} : { requestors }),
    ...(options.archiveCutoff === undefined ? {} : { archiveCutoff: options.archiveCutoff }),
    ...(algorithm === undefined ? {} : { algorithm: algorithm === NEWEST ? null : algorithm }),
  }
  return Object.keys(policy).length === 0 ? undefined : policy
}

function checkUnknown({ unknown, crlOnly, profile }: PolicyOptions): void {
  if (unknown === 'good' && crlOnly !== true) {
    throw usageError(
      '--unknown good answers "good" for certificates that were never issued',
      'Only for a CA whose CRL is all that is known of it: then say so with --crl-only. Otherwise leave it at unauthorized.',
    )
  }
  if (crlOnly === true && unknown !== 'good') {
    throw usageError('--crl-only means nothing without --unknown good', 'Give both or neither.')
  }
  if (profile === 'public-trust' && (unknown === 'good' || unknown === 'revoked-extended')) {
    throw usageError(
      `--unknown ${unknown} and --profile public-trust exclude each other`,
      unknown === 'good'
        ? 'Baseline Requirements 4.9.9 forbid "good" for what was not issued: leave it at unauthorized.'
        : 'It answers with certificateHold, which Baseline Requirements 4.9.13 forbid: leave it at unauthorized.',
    )
  }
}

/** @returns PEM of each certificate; undefined: the list stays. @throws CLIError (usage) */
function readRequestors({ requestor, requestors }: PolicyOptions): string[] | undefined {
  if (requestors === false && requestor !== undefined) {
    throw usageError(
      '--requestor and --no-requestors exclude each other',
      '--requestor replaces the whole list.',
    )
  }
  if (requestors === false) return []
  const certificates = requestor?.flatMap((path) => loadCertificates(path))
  if (certificates === undefined) return undefined
  if (certificates.length > MAX_REQUESTORS) {
    throw usageError(
      `--requestor: ${certificates.length} certificates, and ${MAX_REQUESTORS} at most are kept`,
      'Give the certificate of a CA that issued them: whatever it issued may sign requests.',
    )
  }
  return certificates.map(({ der }) => formatPEM('CERTIFICATE', der))
}

/** @param policy undefined: as recorded */
function checkSignedRequests(
  policy: PolicyOptions['signedRequests'],
  requestors: readonly string[] | undefined,
  isNew: boolean,
): void {
  const wanted = policy === 'verify' || policy === 'require'
  if (wanted && (requestors?.length === 0 || (isNew && requestors === undefined))) {
    throw usageError(
      `--signed-requests ${policy} without certificates that may sign refuses every signature`,
      'Name them with --requestor FILE.',
    )
  }
  if (policy === 'ignore' && requestors !== undefined && requestors.length > 0) {
    throw usageError(
      '--requestor means nothing where signatures of requests are ignored',
      'Add --signed-requests verify, or require; or leave --requestor out.',
    )
  }
}
