/** An own CA with its delegate, and the index.txt of everything that it issued. */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { makeTestPKI, type TestPKI } from '../../test/support/pki.ts'

const SERIAL_OCTETS = 16
/** Every fiftieth is revoked, with a reason. */
const REVOKED_EVERY = 50
const LINES_PER_WRITE = 5_000
const DAY = 86_400

export interface CA {
  readonly pki: TestPKI
  readonly algorithm: SignatureAlgorithm
  readonly certificates: number
  readonly revoked: number
  /** Content octets of the INTEGER. */
  serial(index: number): Uint8Array
  isRevoked(index: number): boolean
}

/** @param file where to write the index, in the form of `openssl ca` */
export async function makeCA(certificates: number, algorithm: SignatureAlgorithm, file: string): Promise<CA> {
  const now = Math.floor(Date.now() / 1000)
  const pki = await makeTestPKI({ now, algorithm, freshKeys: true })
  const serials = new Uint8Array(certificates * SERIAL_OCTETS)
  const serial = (index: number) => serials.subarray(index * SERIAL_OCTETS, (index + 1) * SERIAL_OCTETS)
  const isRevoked = (index: number) => index % REVOKED_EVERY === 0
  const [expiry, revocation] = [indexTime(now + 90 * DAY), indexTime(now - DAY)]
  const out = openSync(file, 'w')
  try {
    for (let from = 0; from < certificates; from += LINES_PER_WRITE) {
      const count = Math.min(LINES_PER_WRITE, certificates - from)
      const random = randomBytes(count * SERIAL_OCTETS)
      // Positive, and no leading zero.
      for (let i = 0; i < random.length; i += SERIAL_OCTETS) random[i] = 0x40 | ((random[i] ?? 0) & 0x3f)
      serials.set(random, from * SERIAL_OCTETS)
      let text = ''
      for (let i = from; i < from + count; i++) {
        const hex = random.toString('hex', (i - from) * SERIAL_OCTETS, (i - from + 1) * SERIAL_OCTETS)
        const name = `unknown\t/CN=${i}.example\n`
        text += isRevoked(i)
          ? `R\t${expiry}\t${revocation},superseded\t${hex.toUpperCase()}\t${name}`
          : `V\t${expiry}\t\t${hex.toUpperCase()}\t${name}`
      }
      writeSync(out, text)
    }
  } finally {
    closeSync(out)
  }
  return {
    ...{ pki, algorithm, certificates, serial, isRevoked },
    revoked: Math.ceil(certificates / REVOKED_EVERY),
  }
}

/** YYMMDDHHMMSSZ */
function indexTime(seconds: number): string {
  const digits = new Date(seconds * 1000).toISOString().replace(/\D/g, '')
  return `${digits.slice(2, 14)}Z`
}
