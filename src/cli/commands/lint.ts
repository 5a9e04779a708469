import { createHash } from 'node:crypto'
import { type Command, Option } from 'commander'
import type { CertificateFacts } from '../../lint/context.ts'
import { DERError, decodeOCSPRequest, OCSPDecodeError, type OCSPRequest } from '../../ocsp/index.ts'
import { type CertificateFile, loadCertificate, readInput } from '../certificate.ts'
import { leaf } from '../common-options.ts'
import type { CommonOptions } from '../context.ts'
import { parseTime } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import type { Sources } from '../lint/judge.ts'
import { createOutput } from '../output.ts'
import { isFile } from '../serial.ts'
import { readMessage } from './decode.ts'

interface LintOptions extends CommonOptions {
  readonly issuer?: string
  readonly responder?: string
  readonly request?: string
  readonly cert?: readonly string[]
  readonly profile?: 'private' | 'public-trust'
  readonly now?: number
  readonly strict?: boolean
}

export function lintCommand(): Command {
  return leaf(
    'lint',
    'judge an OCSP response by all rules, as our own are before they are published',
    [
      'lint response.der --issuer issuer.pem',
      'lint response.der --issuer issuer.pem --request request.der --cert leaf.pem --profile public-trust',
      'lint old.der --issuer issuer.pem --now 2025-03-01T00:00:00Z --json',
      'openssl ocsp ... -respout - | edge-ocsp lint - --issuer issuer.pem',
    ],
    'Each finding has the number of its requirement, its field and octet, and what to do. With the issuer, or the certificate of\n' +
      'the responder, the signature is verified. A check that needs what was not given is listed as not run.\n' +
      'Exit codes: 0 no error (warnings may be); 1 errors, or anything at all with --strict; 2 usage.',
  )
    .argument('<file>', 'response as DER, PEM or base64, or - for standard input')
    .option('--issuer <cert>', 'certificate of the CA whose certificates it is about')
    .option('--responder <cert>', "the responder's certificate (default: the issuer, or one in the response)")
    .option('--request <file>', 'the request that it answers')
    .option('--cert <file...>', 'certificates that it is about')
    .addOption(
      new Option('--profile <profile>', 'rules beside RFC 6960: RFC 9919, or that and public trust').choices([
        'private',
        'public-trust',
      ]),
    )
    .addOption(
      new Option('--now <time>', 'judge as of then (default: the clock)').argParser((text) =>
        parseTime(text, '--now'),
      ),
    )
    .option('--strict', 'warnings count as errors')
    .action(async (file: string, options: LintOptions) => {
      process.exitCode = await lintFile(file, options)
    })
}

async function lintFile(file: string, options: LintOptions): Promise<ExitCode> {
  const output = createOutput(options.json === true)
  checkStandardInput(file, options)
  const sources = readSources(options)
  const der = readResponse(file)
  const [{ judge }, { viewJudgement, formatJudgement }] = await Promise.all([
    import('../lint/judge.ts'),
    import('../lint/view.ts'),
  ])
  const judged = await judge(der, sources)
  const view = viewJudgement(file === '-' ? 'standard input' : file, judged)
  output.result(view, () => formatJudgement(view))
  if (judged.status === undefined && isRequest(der))
    output.note('It is an OCSP request. A response is wanted; "edge-ocsp decode" shows either.')
  return view.errors > 0 || (options.strict === true && view.warnings > 0) ? EXIT.no : EXIT.good
}

function checkStandardInput(file: string, { issuer, responder, request, cert = [] }: LintOptions): void {
  if ([file, issuer, responder, request, ...cert].filter((name) => name === '-').length > 1)
    throw usageError('only one of the files can be standard input', 'Name the others.')
}

/** @throws CLIError (usage) */
function readSources({ issuer, responder, request, cert, profile, now }: LintOptions): Sources {
  return {
    ...(issuer === undefined ? {} : { issuer: loadCertificate(issuer).der }),
    ...(responder === undefined ? {} : { responder: loadCertificate(responder).der }),
    ...(request === undefined ? {} : { request: readRequest(request) }),
    ...(cert === undefined ? {} : { certificates: cert.map((path) => factsOf(loadCertificate(path))) }),
    ...(profile === undefined ? {} : { profile }),
    now: now ?? Math.floor(Date.now() / 1000),
  }
}

function factsOf({ serialNumber, notBefore, notAfter, isCA, der }: CertificateFile): CertificateFacts {
  return {
    ...{ serialNumber, notBefore, notAfter },
    isCA: isCA === true,
    digest: (hash) => createHash(hash.replace('-', '')).update(der).digest(),
  }
}

function readRequest(path: string): OCSPRequest {
  try {
    return decodeOCSPRequest(readMessage(path))
  } catch (cause) {
    const isForeign =
      cause instanceof DERError || cause instanceof OCSPDecodeError || cause instanceof CLIError
    if (!isForeign) throw cause
    throw usageError(
      `${path}: not an OCSP request: ${cause.message}`,
      'Give the request as DER, PEM or base64.',
      {
        cause,
      },
    )
  }
}

/** Whatever stands in a file is judged; what is no file has to be readable text. */
function readResponse(argument: string): Uint8Array {
  if (argument === '-') return readStandardInput()
  try {
    return readMessage(argument)
  } catch (error) {
    if (!isFile(argument)) throw error
    return readInput(argument)
  }
}

function readStandardInput(): Uint8Array {
  const bytes = readInput('-')
  // Text is read as a message that stands on the command line is.
  const text = bytes.toString('latin1').trim()
  if (!/^[\x20-\x7e\s]+$/.test(text)) return bytes
  try {
    return readMessage(text)
  } catch {
    return bytes
  }
}

function isRequest(der: Uint8Array): boolean {
  try {
    decodeOCSPRequest(der)
    return true
  } catch {
    return false
  }
}
