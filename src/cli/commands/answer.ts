import { createReadStream, existsSync, realpathSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { SignatureAlgorithmName } from '../../admin-api/contract.ts'
import { decodeOCSPRequest, statusCode } from '../../ocsp/index.ts'
import { formatSerial, type SerialHex } from '../../pkix/serial-number.ts'
import type { AnswerRecord } from '../answer/answering.ts'
import type { IndexOptions } from '../answer/index-record.ts'
import { type AnswerView, viewAnswer } from '../answer-view.ts'
import { fileReason } from '../certificate.ts'
import { leaf } from '../common-options.ts'
import { type CommonOptions, resolveState } from '../context.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { createOutput, formatFields, type Output } from '../output.ts'
import { addPolicyOptions, type PolicyOptions } from '../policy-options.ts'
import type { ResponderOptions } from '../responder-options.ts'
import { replaceFile } from '../write-file.ts'

interface AnswerOptions extends CommonOptions, PolicyOptions, ResponderOptions {
  readonly reqin: string
  readonly respout?: string
  readonly index?: string
  readonly issuer?: string
}

/** What only an index needs: the state folder has its own issuers with their policies. */
const INDEX_ONLY = [
  'issuer',
  'responderCert',
  'responderKey',
  'signWithCa',
  'key',
  'algorithm',
  'unknown',
  'crlOnly',
  'nonce',
  'validity',
  'maxAge',
  'profile',
  'hashes',
  'retain',
  'signedRequests',
  'requestor',
  'archiveCutoff',
] as const

export function answerCommand(): Command {
  const command = leaf(
    'answer',
    'answer an OCSP request in a file, without a server',
    [
      'answer --reqin request.der --respout response.der',
      'answer --reqin exchange.der',
      'answer --reqin request.der --respout response.der --index index.txt --issuer ca.pem --responder-cert ocsp.pem --responder-key ocsp.key',
      'answer --reqin - --respout - --index index.txt --issuer ca.pem --sign-with-ca --key ca.key < request.der > response.der',
    ],
    'The record is that of the responder on this machine (--state), which may be running or not; or, with --index, the index.txt\n' +
      'of "openssl ca" and the files that are named beside it, and nothing is kept.\n' +
      'Without --respout the response takes the place of the request. Files are replaced whole, and stay as they are when\n' +
      'something fails.\n' +
      'Exit codes: 0 a response was written; 1 an error response was written; 2 usage; 3 nothing was written.',
  )
    .requiredOption('--reqin <file>', 'OCSP request as DER, or - for standard input')
    .option(
      '--respout <file>',
      'where the response goes, or - for standard output (default: in place of the request)',
    )
    .option('--index <file>', 'index.txt of "openssl ca" (- for standard input), instead of the state folder')
    .option('--issuer <file>', 'with --index: certificate of the CA whose index it is')
    .option('--responder-cert <file>', 'with --index: delegated responder certificate')
    .option('--responder-key <file>', 'its private key (PKCS#8, SEC 1 or PKCS#1, not encrypted)')
    .option('--sign-with-ca', "with --index: the CA's own key signs")
    .option('--key <file>', "the CA's private key, with --sign-with-ca")
    .addOption(
      new Option('--algorithm <name>', 'signature algorithm (default: by the key)').choices(
        SignatureAlgorithmName.options,
      ),
    )
  return addPolicyOptions(command).action(async (options: AnswerOptions) => {
    process.exitCode = await answer(options)
  })
}

async function answer(options: AnswerOptions): Promise<ExitCode> {
  const target = options.respout ?? options.reqin
  const index = readIndexOptions(options)
  checkNames(options, target)
  const output = createOutput(options.json === true)
  const { answerRequest, MAX_REQUEST_BYTES } = await import('../answer/answering.ts')
  const request = await readRequest(options.reqin, MAX_REQUEST_BYTES)
  const record = await openRecord(options, index, request, output).catch(nothingWritten)
  try {
    const made = await answerRequest(request, record)
    write(target, made.der)
    return print(output, viewAnswer(made, request), target)
  } finally {
    record.close()
  }
}

/** @returns undefined for the state folder. @throws CLIError (usage) */
function readIndexOptions(options: AnswerOptions): IndexOptions | undefined {
  const { index, issuer } = options
  if (index === undefined) {
    const stray = INDEX_ONLY.find((name) => options[name] !== undefined)
    if (stray === undefined) return undefined
    const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw usageError(
      `${flag} means nothing without --index: the state folder has its own issuers, keys and policies`,
      'Add --index FILE, or change those with "edge-ocsp issuer set".',
    )
  }
  if (options.state !== undefined)
    throw usageError('--index and --state exclude each other', 'Choose where the record comes from.')
  if (issuer === undefined)
    throw usageError(
      '--index needs --issuer',
      'An index has no issuer in it: name the certificate of its CA.',
    )
  return { ...options, index, issuer }
}

/** @throws CLIError (usage) when one name would have to mean two things */
function checkNames(options: AnswerOptions, target: string): void {
  if (options.reqin === '-' && options.index === '-')
    throw usageError('request and index cannot both be standard input', 'Name one of them as a file.')
  if (target === '-' && options.json === true)
    throw usageError(
      'the response goes to standard output, and there --json has no place',
      'Name a file with --respout.',
    )
  for (const name of ['index', 'issuer', 'responderCert', 'responderKey', 'key'] as const) {
    const path = options[name]
    if (path !== undefined && isSameFile(path, target))
      throw usageError(`the response would take the place of ${path}`, 'Name another file with --respout.')
  }
}

function isSameFile(a: string, b: string): boolean {
  return a !== '-' && existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b)
}

async function openRecord(
  options: AnswerOptions,
  index: IndexOptions | undefined,
  request: Uint8Array,
  output: Output,
): Promise<AnswerRecord> {
  if (index === undefined) {
    const { openStateRecord } = await import('../answer/state-record.ts')
    return openStateRecord(resolveState(options))
  }
  const { openIndexRecord } = await import('../answer/index-record.ts')
  const name = index.index === '-' ? 'standard input' : index.index
  return openIndexRecord(index, serialsOf(request), ({ line, problem }) =>
    output.note(`${name}:${line}: ${problem}`),
  )
}

/** Exit 1 is for error responses: a key that does not match, or a certificate that is refused, made none. */
function nothingWritten(error: unknown): never {
  if (!(error instanceof CLIError) || error.exitCode !== EXIT.no) throw error
  const { message, hint, code } = error
  throw new CLIError(EXIT.unknown, message, hint, { code, cause: error })
}

/** What no request is needs no record: the answer is malformedRequest. */
function serialsOf(request: Uint8Array): ReadonlySet<SerialHex> {
  try {
    const { requestList } = decodeOCSPRequest(request).tbsRequest
    return new Set(requestList.map(({ reqCert }) => formatSerial(reqCert.serialNumber)))
  } catch {
    return new Set()
  }
}

/** @param most what is longer is cut one octet after it: too long for whoever looks at it. @throws CLIError (3) */
async function readRequest(path: string, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
      chunks.push(Buffer.from(chunk))
      length += chunk.length
      if (length > most) break
    }
  } catch (cause) {
    const name = path === '-' ? 'standard input' : path
    throw new CLIError(
      EXIT.unknown,
      `${name}: cannot read it: ${fileReason(cause)}`,
      `Paths are taken from ${process.cwd()}`,
      { cause },
    )
  }
  return Buffer.concat(chunks).subarray(0, most + 1)
}

function write(target: string, der: Uint8Array): void {
  if (target === '-') process.stdout.write(der)
  else replaceFile(target, der)
}

function print(output: Output, view: AnswerView, target: string): ExitCode {
  const { responseStatus, reason } = view
  if (reason !== undefined)
    output.note(`edge-ocsp: the response is ${responseStatus} (${statusCode(responseStatus)}): ${reason}`)
  if (target !== '-') output.result({ ...view, written: target }, () => lines(view, target))
  return responseStatus === 'successful' ? EXIT.good : EXIT.no
}

function lines(
  { responseStatus, octets, producedAt, nonce, statuses }: AnswerView,
  target: string,
): string[] {
  return formatFields([
    ...(statuses ?? []).map(
      ({ serial, certStatus, revocationReason, revocationTime, thisUpdate, nextUpdate }) => {
        const why =
          revocationTime === undefined
            ? ''
            : ` (${revocationReason ?? 'no reason given'}) at ${revocationTime}`
        return [serial, `${certStatus}${why}, ${thisUpdate} to ${nextUpdate ?? 'whenever'}`] as const
      },
    ),
    ['Produced at', producedAt],
    ['Nonce', nonce === 'notSent' ? undefined : nonce],
    ['Written', `${target}, ${octets} octets, ${responseStatus}`],
  ])
}
