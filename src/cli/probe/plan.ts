/** What is asked in one round: the canaries by GET and by POST, a serial number that nobody has, and a path with slashes (R8.7). */
import { randomBytes } from 'node:crypto'
import type { HashAlgorithm } from '../../pkix/algorithm-identifier.ts'
import { formatSerial, type SerialHex } from '../../pkix/serial-number.ts'
import type { CertificateFile } from '../certificate.ts'
import { type Method, makeQuestion, type Question } from '../ocsp-exchange.ts'

export type Expected = 'good' | 'revoked' | 'never'

export interface Canary {
  readonly expected: Expected
  /** Content octets of the INTEGER. */
  readonly serialNumber: Uint8Array
  /** Its certificate, when it is at hand. */
  readonly certificate?: CertificateFile
}

export interface Probe {
  readonly expected: Expected
  readonly serial: SerialHex
  readonly method: Method
  readonly hash: HashAlgorithm
  /** The base64 stands in the path as it is, with its slashes; else it is percent-encoded. */
  readonly isRaw: boolean
  readonly question: Question
  readonly certificate?: CertificateFile
}

/** Twenty octets are the longest serial number (RFC 5280 4.1.2.2). */
const SERIAL_OCTETS = 20
/** A second slash follows the first one in one of some hundred base64 texts of this length. */
const SLASH_TRIES = 20_000

export interface PlanOptions {
  readonly issuer: CertificateFile
  readonly canaries: readonly Canary[]
  readonly hashes: readonly HashAlgorithm[]
  readonly methods: readonly Method[]
}

export function plan({ issuer, canaries, hashes, methods }: PlanOptions): Probe[] {
  const probes: Probe[] = []
  for (const { expected, serialNumber, certificate } of canaries)
    for (const hash of hashes)
      for (const method of methods) {
        const question = makeQuestion(issuer, serialNumber, hash, false)
        const serial = formatSerial(serialNumber)
        const known = certificate === undefined ? {} : { certificate }
        probes.push({ ...known, ...{ expected, serial, method, hash, question }, isRaw: false })
      }
  const [hash = 'SHA-1'] = hashes
  if (methods.includes('POST')) probes.push(never(issuer, hash, 'POST'))
  if (methods.includes('GET')) {
    probes.push(withTwoSlashes(issuer, hash))
    // Of the canaries, one whose base64 has a slash of itself: its answer proves that the path was understood.
    const slashed = probes.find(({ method, question }) => method === 'GET' && base64(question).includes('/'))
    if (slashed !== undefined) probes.push({ ...slashed, isRaw: true })
  }
  return probes
}

/** A new serial number each time: no cache and no negative list has it. */
function never(issuer: CertificateFile, hash: HashAlgorithm, method: Method): Probe {
  const serialNumber = randomSerial()
  const question = makeQuestion(issuer, serialNumber, hash, false)
  return { expected: 'never', serial: formatSerial(serialNumber), method, hash, question, isRaw: false }
}

/** Positive, of the full length, and no octet too many. */
function randomSerial(): Uint8Array {
  const octets = randomBytes(SERIAL_OCTETS)
  octets[0] = 0x40 | ((octets[0] ?? 0) & 0x3f)
  return octets
}

/** A GET that is not percent-encoded, as many clients write it, with two slashes in a row, which servers like to merge (R5.2, R5.3). */
function withTwoSlashes(issuer: CertificateFile, hash: HashAlgorithm): Probe {
  for (let i = 0; ; i += 1) {
    const probe = { ...never(issuer, hash, 'GET'), isRaw: true }
    if (i === SLASH_TRIES || base64(probe.question).includes('//')) return probe
  }
}

export function base64({ der }: Question): string {
  return Buffer.from(der).toString('base64')
}
