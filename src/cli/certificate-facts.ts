/** What can be recorded of a certificate beside its status: its hash, SCTs, CRL and invalidity date, from options and files. */
import { createHash } from 'node:crypto'
import type { Command } from 'commander'
import type { Certificate, CertificateInput } from '../admin-api/contract.ts'
import type { CRLReference } from '../importers/importer.ts'
import { readRecordedFacts } from '../ocsp/recorded-extensions.ts'
import { HASH_LENGTH, type HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { formatSerial, parseSerial } from '../pkix/serial-number.ts'
import { type CertificateFile, hex, readInput } from './certificate.ts'
import { parseTime } from './duration.ts'
import { messageOf, usageError } from './exit.ts'
import { parseHash } from './policy-options.ts'

type CertHash = NonNullable<CertificateInput['certHash']>

export type CertificateFacts = Pick<CertificateInput, 'certHash' | 'scts' | 'invalidityDate' | 'crl'>

/** Where revocations are published; as options of every command that records some. */
export interface CRLOptions {
  readonly crlUrl?: string
  readonly crlNumber?: string
  readonly crlTime?: string
}

/** cRLNumber has 20 octets at most (RFC 5280 5.2.3). */
const MAX_CRL_NUMBER_OCTETS = 20
const HASH_NAMES = {
  'SHA-1': 'sha1',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
} as const satisfies Record<HashAlgorithm, CertHash['hash']>

export function addCRLOptions(command: Command): Command {
  return command
    .option('--crl-url <url>', 'responses name the CRL that has it: where it is')
    .option('--crl-number <hex>', 'its cRLNumber, in hex as "openssl crl -crlnumber" prints it')
    .option('--crl-time <time>', 'its thisUpdate')
}

/** @returns undefined when none of them was given. @throws CLIError (usage) */
export function readCRL(options: CRLOptions): CRLReference | undefined {
  const { crlUrl, crlNumber, crlTime } = options
  const reference: CRLReference = {
    ...(crlUrl === undefined ? {} : { url: parseURL(crlUrl) }),
    ...(crlNumber === undefined ? {} : { number: parseCRLNumber(crlNumber) }),
    ...(crlTime === undefined ? {} : { time: parseTime(crlTime, '--crl-time') }),
  }
  return Object.keys(reference).length === 0 ? undefined : reference
}

function parseURL(text: string): string {
  if (URL.canParse(text) && /^[!-~]{1,1000}$/.test(text)) return text
  throw usageError(
    `--crl-url: "${text}" is not an address`,
    'Write it whole and in ASCII, as in the CRL distribution point: http://crl.example.com/ca.crl',
  )
}

function parseCRLNumber(text: string): string {
  let number: Uint8Array
  try {
    number = parseSerial(text)
  } catch (cause) {
    const why = messageOf(cause).replace('serial number: ', '')
    throw usageError(`--crl-number: ${why}`, 'Give it in hex, with or without 0x and colons.', { cause })
  }
  if (number.length <= MAX_CRL_NUMBER_OCTETS) return formatSerial(number)
  throw usageError(
    `--crl-number: ${number.length} octets, and a CRL number has ${MAX_CRL_NUMBER_OCTETS} at most`,
  )
}

/**
 * --cert-hash [hash] for a file, --cert-hash hash:HEX where there is none.
 * @param text true: the option without a value, SHA-256
 * @throws CLIError (usage)
 */
export function certHashOf(text: string | true, certificate: CertificateFile | undefined): CertHash {
  const [name = '', ...rest] = text === true ? ['sha256'] : text.split(':')
  const algorithm = parseHash(name, '--cert-hash')
  const given = rest.join('').toLowerCase()
  if (certificate !== undefined) {
    if (given !== '') {
      throw usageError(
        '--cert-hash: the hash of a file is computed, not given',
        `Leave the value out: --cert-hash ${HASH_NAMES[algorithm]}`,
      )
    }
    return { hash: HASH_NAMES[algorithm], value: hashOf(algorithm, certificate) }
  }
  if (/^[0-9a-f]*$/.test(given) && given.length === 2 * HASH_LENGTH[algorithm])
    return { hash: HASH_NAMES[algorithm], value: given }
  throw usageError(
    given === ''
      ? '--cert-hash: without the certificate at hand, its hash must be given'
      : `--cert-hash: "${given}" is not a ${algorithm} hash: ${2 * HASH_LENGTH[algorithm]} digits in hex`,
    `Write --cert-hash ${HASH_NAMES[algorithm]}:HEX, of: openssl x509 -in CERT -outform DER | openssl dgst -${HASH_NAMES[algorithm]}`,
  )
}

/** Over the whole certificate as issued; what a precertificate hashes to is nobody's (Common PKI part 4). */
function hashOf(algorithm: HashAlgorithm, { path, der, isPrecertificate }: CertificateFile): string {
  if (isPrecertificate) {
    throw usageError(
      `${path}: a precertificate, whose hash is not that of the certificate`,
      'Give the certificate itself, once it is issued.',
    )
  }
  return createHash(HASH_NAMES[algorithm]).update(der).digest('hex')
}

/**
 * SignedCertificateTimestampList as octets, or base64 of them.
 * @returns base64
 * @throws CLIError (usage); the responder looks at each SCT
 */
export function readSCTs(path: string): string {
  const bytes = readInput(path)
  const found = [bytes, Buffer.from(bytes.toString('latin1'), 'base64')].find(isList)
  if (found !== undefined) return found.toString('base64')
  throw usageError(
    `${path}: not a list of SCTs`,
    'Give the SignedCertificateTimestampList of RFC 6962 3.3, its length of two octets in front; as it is or in base64.',
  )
}

function isList(bytes: Buffer): boolean {
  return bytes.length > 2 && bytes.readUInt16BE(0) === bytes.length - 2
}

/** DER of Extensions, as the audit has it, in the words of the admin API. @throws DERError */
export function factsOfExtensions(der: Uint8Array): CertificateFacts {
  const { certHash, scts, invalidityDate, crl } = readRecordedFacts(der)
  const number = crl?.number === undefined ? undefined : formatSerial(crl.number)
  return {
    ...(certHash === undefined
      ? {}
      : { certHash: { hash: HASH_NAMES[certHash.algorithm], value: hex(certHash.value) } }),
    ...(scts === undefined ? {} : { scts: Buffer.from(scts).toString('base64') }),
    ...(invalidityDate === undefined ? {} : { invalidityDate }),
    ...(crl === undefined ? {} : { crl: { url: crl.url, number, time: crl.time } }),
  }
}

/** Fields for people. */
export function describeFacts(row: Certificate): (readonly [string, string | undefined])[] {
  const { ca, certHash, scts, invalidityDate, crl } = row
  const crlNumber = crl?.number === undefined ? undefined : `number ${crl.number}`
  return [
    ['CA', ca === true ? 'yes' : undefined],
    ['Certificate hash', certHash === undefined ? undefined : `${certHash.hash}:${certHash.value}`],
    ['SCTs', scts === undefined ? undefined : `${Buffer.from(scts, 'base64').length} octets`],
    ['Invalid since', invalidityDate],
    ['CRL', crl && [crl.url, crlNumber, crl.time].filter((part) => part !== undefined).join(', ')],
  ]
}
