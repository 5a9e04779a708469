import type { Command } from 'commander'
import {
  type Certificate,
  type CertificateInput,
  MAX_CERTIFICATES_PER_CALL,
} from '../../admin-api/contract.ts'
import { type CertificateFile, describeCertificate, loadCertificates } from '../certificate.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { parseTime } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { checkIssuedBy, resolveIssuer } from '../issuer-reference.ts'
import { formatFields } from '../output.ts'
import { parseSerialArgument, serialOrCertificate } from '../serial.ts'

interface AddOptions extends CommonOptions {
  readonly issuer?: string
  readonly serial?: string
  readonly decimal?: boolean
  readonly notAfter?: string
  readonly notBefore?: string
}

interface ShowOptions extends CommonOptions {
  readonly issuer?: string
  readonly decimal?: boolean
}

export function certCommand(): Command {
  return group(
    'cert',
    'certificates that were issued',
    ['cert add leaf.pem --issuer issuer.pem', 'cert show 0a:1b:2c --issuer demo'],
    [addCommand(), showCommand()],
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
    ],
    'A certificate that is recorded already stays as it is: a revoked one is refused, never made good.',
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
    .action((files: string[], options: AddOptions) => run(options, (context) => add(context, files, options)))
}

async function add(context: Context, files: readonly string[], options: AddOptions): Promise<ExitCode> {
  if ((options.serial === undefined) === (files.length === 0)) {
    throw usageError(
      files.length === 0 ? 'no certificate was named' : 'files and --serial exclude each other',
      'Give certificate files, or --serial SERIAL --not-after TIME.',
    )
  }
  const certificates = files.flatMap((path) => loadCertificates(path))
  const issuer = await resolveIssuer(context.client, options.issuer, certificates[0])
  if (certificates.length > 0) await checkAllIssuedBy(context, issuer, certificates)
  const rows =
    options.serial === undefined ? certificates.map(rowOf) : [rowOfOptions(options.serial, options)]
  return record(context, issuer, rows)
}

async function checkAllIssuedBy(
  context: Context,
  issuer: string,
  certificates: readonly CertificateFile[],
): Promise<void> {
  const record = await context.client.call('showIssuer', { params: { issuer } })
  for (const certificate of certificates) checkIssuedBy(certificate, record)
}

function rowOf({ serial, notBefore, notAfter }: CertificateFile): CertificateInput {
  return { serial, status: 'good', notBefore, notAfter }
}

function rowOfOptions(serial: string, { decimal, notAfter, notBefore }: AddOptions): CertificateInput {
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
  }
}

async function record(
  { client, output }: Context,
  issuer: string,
  rows: readonly CertificateInput[],
): Promise<ExitCode> {
  const totals = { added: 0, changed: 0, unchanged: 0, refused: 0 }
  const results: { serial: string; outcome: string; message?: string | undefined }[] = []
  for (let start = 0; start < rows.length; start += MAX_CERTIFICATES_PER_CALL) {
    const certificates = rows.slice(start, start + MAX_CERTIFICATES_PER_CALL)
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
    ['Status', row.status],
    ['Since', row.revocationTime],
    ['Reason', row.reason],
    ['Not before', row.notBefore],
    ['Not after', row.notAfter],
    ['Last change', row.changedAt],
    ['Revision', row.revision],
  ])
}
