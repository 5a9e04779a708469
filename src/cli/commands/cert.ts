import type { Command } from 'commander'
import type { Certificate, CertificateInput } from '../../admin-api/contract.ts'
import { batchesOf } from '../batches.ts'
import { type CertificateFile, describeCertificate, loadCertificates } from '../certificate.ts'
import { certHashOf, describeFacts, readSCTs } from '../certificate-facts.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { parseTime } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { checkIssuedBy, resolveIssuer } from '../issuer-reference.ts'
import { formatFields } from '../output.ts'
import { isFile, parseSerialArgument, serialOrCertificate } from '../serial.ts'

interface AddOptions extends CommonOptions {
  readonly issuer?: string
  readonly serial?: string
  readonly decimal?: boolean
  readonly notAfter?: string
  readonly notBefore?: string
  readonly ca?: boolean
  /** true: without a value. */
  readonly certHash?: string | true
  readonly scts?: string
}

interface ShowOptions extends CommonOptions {
  readonly issuer?: string
  readonly decimal?: boolean
}

export function certCommand(): Command {
  return group(
    'cert',
    'certificates that were issued',
    [
      'cert add leaf.pem --issuer issuer.pem',
      'cert reserve 0a:1b:2c --issuer demo',
      'cert show 0a:1b:2c --issuer demo',
    ],
    [addCommand(), reserveCommand(), showCommand()],
  )
}

function addCommand(): Command {
  return adminLeaf(
    'add',
    'record certificates as issued (status good)',
    [
      'cert add leaf.pem',
      'cert add new/*.pem --issuer demo',
      'cert add --serial 0a1b2c --not-after 2027-11-21 --issuer demo',
      'cert add leaf.pem --cert-hash=sha256 --scts leaf.scts',
    ],
    'A certificate that is recorded already stays as it is: a revoked one is refused, never made good. What was not known of it\nis filled in. A serial that was reserved is good from now on. That a certificate is that of a CA is read from the file.',
  )
    .argument('[file...]', 'certificates (PEM, with any number of them, or DER)')
    .option(
      '--issuer <issuer>',
      'certificate file, key identifier or short name (default: found by signature)',
    )
    .option('--serial <serial>', 'serial number, where there is no certificate at hand')
    .option('--decimal', 'the serial is decimal')
    .option('--not-after <time>', 'end of validity, with --serial')
    .option('--not-before <time>', 'start of validity, with --serial')
    .option('--ca', 'the certificate of a CA: under public-trust its revocation needs a reason')
    .option(
      '--cert-hash [hash]',
      'responses bear certHash (Common PKI), computed from the file: sha256 (default), sha1, sha384 or sha512; with --serial: sha256:HEX',
    )
    .option('--scts <file>', 'responses bear these SCTs: SignedCertificateTimestampList, of one certificate')
    .action((files: string[], options: AddOptions) => run(options, (context) => add(context, files, options)))
}

async function add(context: Context, files: readonly string[], options: AddOptions): Promise<ExitCode> {
  checkHashOption(options.certHash)
  if ((options.serial === undefined) === (files.length === 0)) {
    throw usageError(
      files.length === 0 ? 'no certificate was named' : 'files and --serial exclude each other',
      'Give certificate files, or --serial SERIAL --not-after TIME.',
    )
  }
  const certificates = files.flatMap((path) => loadCertificates(path))
  if (options.serial === undefined) checkFileOptions(certificates, options)
  const rows =
    options.serial === undefined
      ? certificates.map((certificate) => rowOf(certificate, options))
      : [rowOfOptions(options.serial, options)]
  const issuer = await resolveIssuer(context.client, options.issuer, certificates[0])
  if (certificates.length > 0) await checkAllIssuedBy(context, issuer, certificates)
  return record(context, issuer, rows)
}

/** An option with a value that may be left out takes the file behind it. */
function checkHashOption(certHash: AddOptions['certHash']): void {
  if (typeof certHash !== 'string' || !isFile(certHash)) return
  throw usageError(
    `--cert-hash took the file ${certHash} for the name of a hash`,
    'Write --cert-hash=sha256, or name files first.',
  )
}

/** What a file says itself is not said otherwise. */
function checkFileOptions(certificates: readonly CertificateFile[], options: AddOptions): void {
  const { decimal, notAfter, notBefore, scts, ca } = options
  const stray = [
    ['--decimal', decimal],
    ['--not-after', notAfter],
    ['--not-before', notBefore],
  ].find(([, value]) => value !== undefined)
  if (stray !== undefined)
    throw usageError(`${stray[0]} is for --serial`, 'A certificate file says it itself.')
  if (scts !== undefined && certificates.length > 1) {
    throw usageError(
      `--scts: SCTs are those of one certificate, and there are ${certificates.length}`,
      'Add that certificate in a call of its own.',
    )
  }
  const leaf = ca === true ? certificates.find(({ isCA }) => isCA === false) : undefined
  if (leaf !== undefined) {
    throw usageError(
      `--ca: ${leaf.path}: ${describeCertificate(leaf)} is not the certificate of a CA, by its basicConstraints`,
      'Leave --ca out: it is read from the file.',
    )
  }
}

async function checkAllIssuedBy(
  context: Context,
  issuer: string,
  certificates: readonly CertificateFile[],
): Promise<void> {
  const record = await context.client.call('showIssuer', { params: { issuer } })
  for (const certificate of certificates) checkIssuedBy(certificate, record)
}

function rowOf(certificate: CertificateFile, options: AddOptions): CertificateInput {
  const { serial, notBefore, notAfter, isCA } = certificate
  return {
    serial,
    status: 'good',
    notBefore,
    notAfter,
    ...(isCA === true || options.ca === true ? { ca: true } : {}),
    ...factsOf(options, certificate),
  }
}

function rowOfOptions(serial: string, options: AddOptions): CertificateInput {
  const { decimal, notAfter, notBefore, ca } = options
  if (notAfter === undefined) {
    throw usageError(
      '--not-after is missing',
      'Without it nobody knows how long to answer: --not-after 2027-11-21T00:00:00Z',
    )
  }
  return {
    serial: parseSerialArgument(serial, decimal === true),
    status: 'good',
    notAfter: parseTime(notAfter, '--not-after'),
    ...(notBefore === undefined ? {} : { notBefore: parseTime(notBefore, '--not-before') }),
    ...(ca === true ? { ca } : {}),
    ...factsOf(options, undefined),
  }
}

function factsOf(
  { certHash, scts }: AddOptions,
  certificate: CertificateFile | undefined,
): Pick<CertificateInput, 'certHash' | 'scts'> {
  return {
    ...(certHash === undefined ? {} : { certHash: certHashOf(certHash, certificate) }),
    ...(scts === undefined ? {} : { scts: readSCTs(scts) }),
  }
}

function reserveCommand(): Command {
  return adminLeaf(
    'reserve',
    'record serial numbers that are about to be used: answered tryLater until it is known what became of them',
    ['cert reserve 0a:1b:2c --issuer demo', 'cert reserve 666668 666669 --decimal --issuer demo'],
    'For a CA that signs after it has chosen the serial number: should it fail in between, nobody is told "good" or "not issued".\n"edge-ocsp cert add" then reports the certificate as issued, "edge-ocsp revoke" revokes what may exist.\nA serial that is recorded already is refused (exit 1); one that is reserved already stays so.',
  )
    .argument('<serial...>', 'serial numbers')
    .option('--issuer <issuer>', 'certificate file, key identifier or short name (default: the only one)')
    .option('--decimal', 'the serials are decimal')
    .action((texts: string[], options: ShowOptions) =>
      run(options, async (context) => {
        const serials = new Set(texts.map((text) => serialToReserve(text, options.decimal === true)))
        const issuer = await resolveIssuer(context.client, options.issuer)
        const rows = Array.from(serials, (serial) => ({ serial, status: 'reserved' as const }))
        return record(context, issuer, rows)
      }),
    )
}

function serialToReserve(text: string, decimal: boolean): string {
  try {
    return parseSerialArgument(text, decimal)
  } catch (error) {
    if (!isFile(text)) throw error
    throw usageError(
      `${text}: a file; what is signed already is not reserved`,
      'Report the certificate with "edge-ocsp cert add".',
      { cause: error },
    )
  }
}

async function record(
  { client, output }: Context,
  issuer: string,
  rows: readonly CertificateInput[],
): Promise<ExitCode> {
  const totals = { added: 0, changed: 0, unchanged: 0, refused: 0 }
  const results: { serial: string; outcome: string; message?: string | undefined }[] = []
  for (const { certificates } of batchesOf(rows, (row) => row)) {
    const answer = await client.callPatiently('addCertificates', {
      params: { issuer },
      body: { certificates },
    })
    results.push(...answer.results)
    for (const key of ['added', 'changed', 'unchanged', 'refused'] as const) totals[key] += answer[key]
  }
  output.result({ issuer, ...totals, results }, () =>
    results.map(
      ({ serial, outcome, message }) => `${serial}  ${outcome}${message === undefined ? '' : `: ${message}`}`,
    ),
  )
  return totals.refused === 0 ? EXIT.good : EXIT.no
}

function showCommand(): Command {
  return adminLeaf(
    'show',
    'what is recorded of a certificate (exit 1: nothing)',
    [
      'cert show 0a:1b:2c --issuer demo',
      'cert show leaf.pem',
      'cert show 666668 --decimal --issuer demo --json',
    ],
    'This is the record. What the responder answers is shown by "edge-ocsp query".',
  )
    .argument('<serial|file>', 'serial number, or certificate file')
    .option(
      '--issuer <issuer>',
      'certificate file, key identifier or short name (default: found by signature, or the only one)',
    )
    .option('--decimal', 'the serial is decimal')
    .action((text: string, options: ShowOptions) =>
      run(options, async (context) => {
        const { serial, certificate } = serialOrCertificate(text, options.decimal === true)
        const issuer = await resolveIssuer(context.client, options.issuer, certificate)
        return show(context, issuer, serial, certificate)
      }),
    )
}

async function show(
  { client, output }: Context,
  issuer: string,
  serial: string,
  certificate: CertificateFile | undefined,
): Promise<ExitCode> {
  try {
    const row = await client.call('showCertificate', { params: { issuer, serial } })
    output.result(row, () => describeRow(row))
    return EXIT.good
  } catch (error) {
    if (!(error instanceof CLIError) || error.code !== 'notFound') throw error
    const what = certificate === undefined ? `serial ${serial}` : describeCertificate(certificate)
    throw new CLIError(
      EXIT.no,
      `${what} at ${issuer}: ${error.message}`,
      error.hint ??
        'Record it with "edge-ocsp cert add". Is it the right issuer? See "edge-ocsp issuer list".',
      { code: 'notFound', cause: error },
    )
  }
}

function describeRow(row: Certificate): string[] {
  return formatFields([
    ['Serial', row.serial],
    ['Issuer', row.issuer],
    ['Status', row.status === 'reserved' ? 'reserved (answered tryLater)' : row.status],
    ['Since', row.revocationTime],
    ['Reason', row.reason],
    ['Not before', row.notBefore],
    ['Not after', row.notAfter],
    ...describeFacts(row),
    ['Last change', row.changedAt],
    ['Revision', row.revision],
  ])
}
