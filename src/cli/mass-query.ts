/** Options of a mass revocation -> which certificates. */
import { type Command, Option } from 'commander'
import type { MassWhere } from '../admin-api/contract.ts'
import { formatTime, parseTime } from './duration.ts'
import { usageError } from './exit.ts'
import { parseSerialArgument } from './serial.ts'

export interface QueryOptions {
  readonly all?: boolean
  readonly issuedAfter?: string
  readonly issuedBefore?: string
  readonly expiresAfter?: string
  readonly expiresBefore?: string
  readonly serialFrom?: string
  readonly serialTo?: string
  readonly serialPrefix?: string
  readonly reserved?: boolean
  readonly decimal?: boolean
}

export function addQueryOptions(command: Command): Command {
  return command
    .option('--all', 'all certificates of the issuer that are recorded')
    .option('--issued-after <time>', 'notBefore is this or later')
    .option('--issued-before <time>', 'notBefore is earlier')
    .option('--expires-after <time>', 'notAfter is this or later')
    .option('--expires-before <time>', 'notAfter is earlier')
    .option('--serial-from <serial>', 'this serial number or a higher one')
    .option('--serial-to <serial>', 'this serial number or a lower one')
    .addOption(
      new Option(
        '--serial-prefix <hex>',
        'first hex digits of the serial number, as openssl prints it',
      ).argParser(parsePrefix),
    )
    .option('--reserved', 'also serial numbers that are only reserved')
}

/** @returns undefined when no condition was given. @throws CLIError (usage) */
export function readQuery(options: QueryOptions): MassWhere | undefined {
  const time = (name: string, text: string | undefined) =>
    text === undefined ? undefined : formatTime(parseTime(text, name))
  const serial = (text: string | undefined) =>
    text === undefined
      ? undefined
      : parseSerialArgument(text, options.decimal === true, 'is not a serial number')
  const conditions = Object.entries({
    issuedAfter: time('--issued-after', options.issuedAfter),
    issuedBefore: time('--issued-before', options.issuedBefore),
    expiresAfter: time('--expires-after', options.expiresAfter),
    expiresBefore: time('--expires-before', options.expiresBefore),
    serialFrom: serial(options.serialFrom),
    serialTo: serial(options.serialTo),
    serialPrefix: options.serialPrefix,
  }).filter(([, value]) => value !== undefined)
  if (conditions.length > 0 && options.all === true)
    throw usageError(
      '--all and a condition exclude each other',
      'Leave --all out: conditions narrow by themselves.',
    )
  if (conditions.length === 0 && options.all !== true) return undefined
  return {
    ...(options.all === true ? { all: true } : Object.fromEntries(conditions)),
    ...(options.reserved === true ? { reserved: true } : {}),
  }
}

function parsePrefix(text: string): string {
  const digits = text.replaceAll(':', '').toLowerCase()
  if (/^[0-9a-f]{1,254}$/.test(digits)) return digits
  throw usageError(
    `--serial-prefix: "${text}" are not hex digits`,
    'Write the first digits without 0x, such as 0a1b.',
  )
}
