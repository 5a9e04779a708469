import { type Command, Option } from 'commander'
import {
  DERError,
  decodeOCSPResponse,
  type ErrorStatus,
  OCSPDecodeError,
  statusCode,
} from '../../ocsp/index.ts'
import type { HashAlgorithm } from '../../pkix/algorithm-identifier.ts'
import { crlReasonName } from '../../pkix/crl-reason.ts'
import { parsePEM } from '../../pkix/pem.ts'
import { formatSerial, parseSerial } from '../../pkix/serial-number.ts'
import {
  type CertificateFile,
  describeCertificate,
  loadCertificate,
  oneLine,
  parseCertificate,
} from '../certificate.ts'
import { leaf } from '../common-options.ts'
import { type CommonOptions, createContext, parseOrigin, resolveURL } from '../context.ts'
import { formatTime } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, messageOf, usageError } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { type Exchange, exchange, type Method, makeQuestion } from '../ocsp-exchange.ts'
import { type Verified, verifyResponse } from '../ocsp-verify.ts'
import { createOutput, formatFields, type Output } from '../output.ts'
import { parseHash } from '../policy-options.ts'
import { isFile, parseSerialArgument } from '../serial.ts'

interface QueryOptions extends CommonOptions {
  readonly issuer: string
  readonly serial?: string
  readonly decimal?: boolean
  readonly url?: string
  readonly method?: Method
  readonly hash: HashAlgorithm
  readonly nonce?: boolean
}

interface Subject {
  readonly serialNumber: Uint8Array
  readonly certificate: CertificateFile | undefined
}

/** What the person can do about an error status. */
const ERROR_HINTS: Readonly<Record<ErrorStatus, string>> = {
  malformedRequest:
    'The responder did not understand the request. Try --method POST, --hash sha1 or without --nonce.',
  internalError: 'A fault of the responder. For one of your own see "edge-ocsp status".',
  tryLater: 'The responder cannot answer now. For one of your own see "edge-ocsp status".',
  sigRequired: 'The responder wants signed requests, which this program does not make.',
  unauthorized:
    'The responder does not answer for this certificate: never recorded, another issuer, or a hash it does not know (try --hash sha1).',
}

export function queryCommand(): Command {
  return leaf(
    'query',
    'ask an OCSP responder for the status of a certificate, and check its answer',
    [
      'query leaf.pem --issuer issuer.pem',
      'query leaf.pem --issuer issuer.pem --url http://127.0.0.1:8787 --nonce --method POST',
      'query --serial 0a:1b:2c --issuer issuer.pem --hash sha1 --json',
    ],
    'Exit codes: 0 good; 1 revoked, unknown, or refused (unauthorized); 3 no answer, or none that can be believed.',
  )
    .argument('[cert]', 'certificate file')
    .requiredOption(
      '--issuer <issuer>',
      'certificate file of its issuer (or a short name known to the admin API)',
    )
    .option('--serial <serial>', 'serial number, instead of a certificate file')
    .option('--decimal', 'the serial is decimal')
    .option('--url <url>', "address of the responder (default: of the certificate's AIA, else EDGE_OCSP_URL)")
    .addOption(
      new Option('--method <method>', 'GET or POST (default: GET up to 255 octets)').argParser(parseMethod),
    )
    .addOption(
      new Option('--hash <hash>', 'hash of the CertID: sha1, sha256, sha384, sha512')
        .argParser((text) => parseHash(text, '--hash'))
        .default('SHA-256', 'sha256'),
    )
    .option('--nonce', 'send a nonce of 32 octets, and want it back')
    .option('--no-nonce', 'send none (default)')
    .action(async (file: string | undefined, options: QueryOptions) => {
      process.exitCode = await query(file, options)
    })
}

function parseMethod(text: string): Method {
  const method = text.toUpperCase()
  if (method === 'GET' || method === 'POST') return method
  throw usageError(`--method: "${text}" is neither GET nor POST`, 'OCSP knows these two.')
}

async function query(file: string | undefined, options: QueryOptions): Promise<ExitCode> {
  const output = createOutput(options.json === true)
  const subject = readSubject(file, options)
  const issuer = await readIssuer(options)
  if (subject.certificate !== undefined) checkPair(subject.certificate, issuer)
  const url = responderURL(subject.certificate, options)
  // Absent and --no-nonce are both undefined or false: commander's default for a pair of options is undefined.
  const question = makeQuestion(issuer, subject.serialNumber, options.hash, options.nonce === true)
  const answer = await exchange(url, question.der, options.method)
  const about = { serial: formatSerial(subject.serialNumber), url, method: answer.method, hash: options.hash }
  const error = readErrorStatus(url, answer)
  if (error !== undefined) return printError(output, error, about)
  const verified = verifyDecoded(() =>
    verifyResponse(answer.body, question, issuer, Math.floor(Date.now() / 1000)),
  )
  return printStatus(output, verified, answer, about)
}

function readSubject(file: string | undefined, { serial, decimal }: QueryOptions): Subject {
  if (file !== undefined && serial === undefined) {
    if (!isFile(file))
      throw usageError(`${file}: no such file`, 'To ask for a serial number write --serial SERIAL.')
    const certificate = loadCertificate(file)
    return { serialNumber: certificate.serialNumber, certificate }
  }
  if (file !== undefined || serial === undefined) {
    throw usageError('name one certificate', 'Either a certificate file, or --serial SERIAL.')
  }
  return { serialNumber: parseSerial(parseSerialArgument(serial, decimal === true)), certificate: undefined }
}

/** The certificate is needed: its name and key are hashed, and its key decides who may sign. */
async function readIssuer({ issuer, ...options }: QueryOptions): Promise<CertificateFile> {
  if (isFile(issuer)) return loadCertificate(issuer)
  // --url is where OCSP is asked; the admin API has its own address.
  const { url: _, ...common } = options
  const { client } = createContext(common)
  const record = await client.call('showIssuer', { params: { issuer: issuerReference(issuer) } })
  const [block] = parsePEM(record.certificate)
  if (block === undefined) throw new CLIError(EXIT.unknown, `${client.url} gives no certificate of ${issuer}`)
  return parseCertificate(block.der, record.name)
}

function checkPair(certificate: CertificateFile, issuer: CertificateFile): void {
  if (certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey)) return
  throw usageError(
    `${certificate.path}: ${describeCertificate(certificate)} was not issued by ${issuer.path} (${oneLine(issuer.x509.subject)})`,
    `Its issuer is ${oneLine(certificate.x509.issuer)}: give that certificate with --issuer.`,
  )
}

function responderURL(certificate: CertificateFile | undefined, options: QueryOptions): string {
  if (options.url !== undefined) return parseOrigin(options.url, '--url')
  const inCertificate = /^OCSP - URI:(\S+)$/m.exec(certificate?.x509.infoAccess ?? '')?.[1]
  return inCertificate === undefined
    ? resolveURL(options)
    : parseOrigin(inCertificate, 'AIA of the certificate')
}

/** @returns undefined for a successful response. @throws CLIError (3) when the body is no OCSPResponse */
function readErrorStatus(url: string, { body, httpStatus, headers }: Exchange): ErrorStatus | undefined {
  try {
    const response = decodeOCSPResponse(body)
    return response.responseStatus === 'successful' ? undefined : response.responseStatus
  } catch (cause) {
    throw new CLIError(
      EXIT.unknown,
      `${url} answered HTTP ${httpStatus} with ${body.length} octets of ${headers.get('content-type') ?? 'unnamed type'}, which is no OCSP response: ${messageOf(cause)}`,
      'Is this the address of an OCSP responder? Name another with --url.',
      { cause },
    )
  }
}

function verifyDecoded(work: () => Verified): Verified {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof DERError) && !(error instanceof OCSPDecodeError)) throw error
    throw new CLIError(
      EXIT.unknown,
      `the response is damaged: ${error.message}`,
      'Try again; "edge-ocsp decode" shows more.',
      {
        code: 'notVerified',
        cause: error,
      },
    )
  }
}

interface About {
  readonly serial: string
  readonly url: string
  readonly method: Method
  readonly hash: HashAlgorithm
}

function printError(output: Output, responseStatus: ErrorStatus, about: About): ExitCode {
  output.result({ responseStatus, ...about }, () =>
    formatFields([
      ['Status', `${responseStatus} (${statusCode(responseStatus)})`],
      ['Serial', about.serial],
      ['Responder', `${about.url} (${about.method}, ${about.hash})`],
    ]),
  )
  output.note(ERROR_HINTS[responseStatus])
  return responseStatus === 'unauthorized' ? EXIT.no : EXIT.unknown
}

function printStatus(output: Output, verified: Verified, answer: Exchange, about: About): ExitCode {
  const { single, producedAt, signer, signedBy, nonce } = verified
  const { certStatus, thisUpdate, nextUpdate } = single
  const revoked = certStatus.type === 'revoked' ? certStatus : undefined
  const reason = revoked?.revocationReason
  const reasonName = reason === undefined ? undefined : (crlReasonName(reason) ?? `reason ${reason}`)
  const value = {
    responseStatus: 'successful',
    certStatus: certStatus.type,
    revocationTime: revoked === undefined ? undefined : formatTime(revoked.revocationTime),
    revocationReason: reasonName,
    thisUpdate: formatTime(thisUpdate),
    nextUpdate: nextUpdate === undefined ? undefined : formatTime(nextUpdate),
    producedAt: formatTime(producedAt),
    nonce,
    signer: oneLine(signer.x509.subject),
    signedBy,
    ...about,
    cacheControl: answer.headers.get('cache-control') ?? undefined,
    octets: answer.body.length,
    milliseconds: Math.round(answer.milliseconds * 10) / 10,
  }
  if (nonce === 'absent')
    output.warn('the responder left the nonce out: the answer may be an older one, within its times')
  output.result(value, () =>
    formatFields([
      ['Status', describeStatus(value)],
      ['Serial', value.serial],
      ['This update', value.thisUpdate],
      ['Next update', value.nextUpdate ?? 'none: newer information is always available'],
      ['Produced at', value.producedAt],
      ['Nonce', nonce === 'notSent' ? undefined : nonce],
      ['Signed by', `${value.signer} (${signedBy}), verified`],
      [
        'Responder',
        `${value.url} (${value.method}, ${value.hash}), ${value.octets} octets in ${value.milliseconds} ms`,
      ],
    ]),
  )
  return certStatus.type === 'good' ? EXIT.good : EXIT.no
}

function describeStatus(value: {
  readonly certStatus: string
  readonly revocationTime: string | undefined
  readonly revocationReason: string | undefined
}): string {
  const { certStatus, revocationTime, revocationReason } = value
  if (revocationTime === undefined) return certStatus
  return `${certStatus} (${revocationReason ?? 'no reason given'}) at ${revocationTime}`
}
