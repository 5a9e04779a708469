import type { Command } from 'commander'
import { DERError, decodeGetTarget, OCSPDecodeError } from '../../ocsp/index.ts'
import { parsePEM } from '../../pkix/pem.ts'
import { readInput } from '../certificate.ts'
import { leaf } from '../common-options.ts'
import type { CommonOptions } from '../context.ts'
import { CLIError, EXIT, messageOf, usageError } from '../exit.ts'
import { formatTree, viewMessage } from '../ocsp-view.ts'
import { createOutput } from '../output.ts'
import { isFile } from '../serial.ts'

const FORMS_HINT =
  'Give a file (DER or PEM), base64, hex, the path or URL of a GET request, or - for standard input.'

export function decodeCommand(): Command {
  return leaf(
    'decode',
    'show an OCSP request or response, whichever it is (exit 1: neither)',
    [
      'decode request.der',
      'decode MEYwRDBCMEAwPjAJBgUrDgMCGgUABBQ...',
      'decode http://ocsp.example.com/MEYwRDBCMEAwPjAJ...',
      'openssl ocsp ... -respout - | edge-ocsp decode - --json',
    ],
    'Only what is written in it: nothing is verified. That is done by "edge-ocsp query".',
  )
    .argument('<file|base64|->', 'file, base64, hex, GET URL, or - for standard input')
    .action((argument: string, options: CommonOptions) => {
      const output = createOutput(options.json === true)
      const der = readMessage(argument)
      const tree = decode(der)
      output.result(tree, () => formatTree(tree))
    })
}

function decode(der: Uint8Array): ReturnType<typeof viewMessage> {
  try {
    return viewMessage(der)
  } catch (error) {
    if (!(error instanceof DERError) && !(error instanceof OCSPDecodeError)) throw error
    throw new CLIError(
      EXIT.no,
      `not an OCSP request or response: ${error.message}`,
      `The number counts octets of the ${der.length} decoded ones. "openssl asn1parse -inform DER -i" shows the structure.`,
      { code: error.reason, cause: error },
    )
  }
}

/** @throws CLIError (usage) when the argument is in no form that we know */
export function readMessage(argument: string): Uint8Array {
  if (argument === '-' || isFile(argument)) {
    const bytes = readInput(argument)
    return isText(bytes) ? readText(bytes.toString('latin1'), argument) : bytes
  }
  return readText(argument, argument)
}

/** DER of a message always holds an octet that no text has: a tag or length below 0x09. */
function isText(bytes: Uint8Array): boolean {
  return bytes.every((octet) => (octet >= 0x20 && octet < 0x7f) || (octet >= 0x09 && octet <= 0x0d))
}

function readText(text: string, argument: string): Uint8Array {
  if (text.includes('-----BEGIN')) return readPEM(text, argument)
  const trimmed = text.trim()
  const digits = trimmed.replace(/^0x/i, '').replace(/[\s:]/g, '')
  // Base64 of a SEQUENCE begins with M: it is never hex, and seldom the name of a file that is not there.
  if (/^30([0-9a-f]{2})+$/i.test(digits)) return Buffer.from(digits, 'hex')
  if (/^(https?:\/)?\//i.test(trimmed)) return readTarget(trimmed)
  const base64 = unescapePercent(trimmed).replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/')
  if (/^M[A-Za-z0-9+/]{2,}={0,2}$/.test(base64)) return Buffer.from(base64, 'base64')
  throw usageError(`"${shorten(trimmed)}" is no file and neither base64 nor hex`, FORMS_HINT)
}

function readPEM(text: string, argument: string): Uint8Array {
  try {
    const [block] = parsePEM(text)
    if (block !== undefined) return block.der
  } catch (cause) {
    throw usageError(`${shorten(argument)}: ${messageOf(cause)}`, FORMS_HINT, { cause })
  }
  throw usageError(`${shorten(argument)}: no PEM block in it`, FORMS_HINT)
}

function readTarget(target: string): Uint8Array {
  try {
    const [first] = decodeGetTarget(target)
    if (first !== undefined) return first
  } catch (cause) {
    throw usageError(`"${shorten(target)}" holds no OCSP request: ${messageOf(cause)}`, FORMS_HINT, { cause })
  }
  throw usageError(`"${shorten(target)}" holds no OCSP request`, FORMS_HINT)
}

function unescapePercent(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
