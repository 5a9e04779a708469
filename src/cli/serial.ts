/** A serial number as people give it: digits, or a file with the certificate. */
import { existsSync, statSync } from 'node:fs'
import { formatSerial, parseSerial, type SerialHex } from '../pkix/serial-number.ts'
import { type CertificateFile, loadCertificate } from './certificate.ts'
import { messageOf, usageError } from './exit.ts'

const HINT =
  'Write it in hex (0a1b2c, 0x0A1B2C, 0A:1B:2C), in decimal with --decimal, or name a certificate file.'

/** @param fault what is said of a text that is none. @throws CLIError (usage) */
export function parseSerialArgument(
  text: string,
  decimal: boolean,
  fault = 'is neither a serial number nor a file',
): SerialHex {
  let serial: SerialHex
  try {
    serial = formatSerial(parseSerial(text, { decimal }))
  } catch (error) {
    throw usageError(`"${text}" ${fault}: ${messageOf(error)}`, HINT, {
      cause: error,
    })
  }
  // Two's complement: a set first bit is a negative number, which the admin API's hex cannot name.
  if (Number.parseInt(serial.slice(0, 2), 16) >= 0x80) {
    throw usageError(`"${text}" is a negative serial number`, 'RFC 5280 4.1.2.2 wants positive ones.')
  }
  return serial
}

/** SERIAL|CERTFILE: a file of that name that holds a certificate wins. */
export function serialOrCertificate(
  text: string,
  decimal: boolean,
): { serial: SerialHex; certificate: CertificateFile | undefined } {
  if (isFile(text)) {
    const certificate = loadCertificate(text)
    return { serial: certificate.serial, certificate }
  }
  return { serial: parseSerialArgument(text, decimal), certificate: undefined }
}

export function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile()
}
