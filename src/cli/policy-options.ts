/** The policy of an issuer as options of `issuer add` and `issuer set`. */
import { type Command, Option } from 'commander'
import type { PolicyInput } from '../admin-api/contract.ts'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { parseDuration } from './duration.ts'
import { usageError } from './exit.ts'

type MaxAge = 'next-update' | 'refresh' | number

export interface PolicyOptions {
  readonly unknown?: 'unauthorized' | 'unknown' | 'good'
  readonly crlOnly?: boolean
  readonly nonce?: 'echo' | 'ignore'
  readonly validity?: number
  readonly maxAge?: MaxAge
  readonly profile?: 'private' | 'public-trust'
  readonly hashes?: HashAlgorithm[]
  readonly retain?: number
}

export function addPolicyOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--unknown <answer>',
        'answer for a serial that is not recorded (default: unauthorized)',
      ).choices(['unauthorized', 'unknown', 'good']),
    )
    .option('--crl-only', 'this CA is known by its CRL alone: needed for --unknown good')
    .addOption(
      new Option('--nonce <policy>', 'nonces of requests (default: echo)').choices(['echo', 'ignore']),
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
      new Option('--profile <profile>', 'rules to hold to (default: private)').choices([
        'private',
        'public-trust',
      ]),
    )
    .option('--hashes <list>', 'CertID hashes that are pre-signed, such as sha1,sha256', parseHashes)
    .option('--retain <duration>', 'keep answering so long after a certificate has expired', (text) =>
      parseDuration(text, '--retain'),
    )
}

function parseMaxAge(text: string): MaxAge {
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

/** @returns undefined when no policy option was given. @throws CLIError (usage) */
export function readPolicy(options: PolicyOptions): PolicyInput | undefined {
  if (options.unknown === 'good' && options.crlOnly !== true) {
    throw usageError(
      '--unknown good answers "good" for certificates that were never issued',
      'Only for a CA whose CRL is all that is known of it: then say so with --crl-only. Otherwise leave it at unauthorized.',
    )
  }
  if (options.crlOnly === true && options.unknown !== 'good') {
    throw usageError('--crl-only means nothing without --unknown good', 'Give both or neither.')
  }
  const policy: PolicyInput = {
    ...(options.unknown === undefined ? {} : { unknown: options.unknown }),
    ...(options.crlOnly === true ? { crlOnly: true } : {}),
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
    ...(options.validity === undefined ? {} : { validitySeconds: options.validity }),
    ...(options.maxAge === undefined ? {} : { maxAge: options.maxAge }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.hashes === undefined ? {} : { hashes: options.hashes }),
    ...(options.retain === undefined ? {} : { retainSeconds: options.retain }),
  }
  return Object.keys(policy).length === 0 ? undefined : policy
}
