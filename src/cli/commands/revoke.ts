import { type Command, Option } from 'commander'
import { REASON_NAMES, type RevocationInput, type StatusChange } from '../../admin-api/contract.ts'
import { crlReasonName, crlReasonNumber } from '../../pkix/crl-reason.ts'
import { type CertificateFile, describeCertificate } from '../certificate.ts'
import { addCRLOptions, type CRLOptions, readCRL } from '../certificate-facts.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describePublication, warnFindings } from '../describe.ts'
import { parseTime } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { resolveIssuer } from '../issuer-reference.ts'
import { serialOrCertificate } from '../serial.ts'

interface ReleaseOptions extends CommonOptions {
  readonly issuer?: string
  readonly decimal?: boolean
}

interface RevokeOptions extends ReleaseOptions, CRLOptions {
  readonly reason?: string
  readonly at?: string
  readonly invalidityDate?: string
}

/** removeFromCRL is no reason to revoke. */
export const REASONS = REASON_NAMES.filter((name) => name !== 'removeFromCRL')

const ISSUER_OPTION = [
  '--issuer <issuer>',
  'certificate file, key identifier or short name (default: found by signature, or the only one)',
] as const

export function revokeCommand(): Command {
  const command = adminLeaf(
    'revoke',
    'revoke a certificate, or put it on hold',
    [
      'revoke 0a:1b:2c --issuer issuer.pem --reason keyCompromise',
      'revoke leaf.pem --reason superseded --at 2026-11-20T12:00:00Z',
      'revoke 666668 --decimal --issuer demo --reason certificateHold',
      'revoke leaf.pem --reason keyCompromise --invalidity-date 2026-11-01',
    ],
    'Revoked stays revoked; only certificateHold can be taken back (edge-ocsp unrevoke).\nRevoking twice changes nothing and is no error. An honest cache may still hold "good" until its copy expires.',
  )
    .argument('<serial|file>', 'serial number, or certificate file')
    .option(...ISSUER_OPTION)
    .addOption(
      new Option('--reason <reason>', `${REASONS.join(', ')} (default: none given)`).argParser(parseReason),
    )
    .option('--at <time>', 'time of the revocation (default: now, cut to the minute)')
    .option('--decimal', 'the serial is decimal')
    .option(
      '--invalidity-date <time>',
      'responses bear invalidityDate: since when the key is known or feared to be compromised',
    )
  return addCRLOptions(command).action((text: string, options: RevokeOptions) =>
    run(options, async (context) => {
      const { serial, certificate } = serialOrCertificate(text, options.decimal === true)
      const times = readTimes(options)
      const issuer = await resolveIssuer(context.client, options.issuer, certificate)
      if (certificate?.isCA === true && isUnspecified(options.reason))
        await checkReasonOfCA(context, issuer, certificate)
      const body = { serial, reason: options.reason, ...times }
      return print(context, await context.client.callPatiently('revoke', { params: { issuer }, body }))
    }),
  )
}

function readTimes(options: RevokeOptions): Pick<RevocationInput, 'at' | 'invalidityDate' | 'crl'> {
  const at = options.at === undefined ? undefined : parseTime(options.at, '--at')
  const invalidityDate =
    options.invalidityDate === undefined ? undefined : parseTime(options.invalidityDate, '--invalidity-date')
  const crl = readCRL(options)
  if (at !== undefined && crl?.time !== undefined && crl.time < at) {
    throw usageError(
      '--crl-time is before --at: a CRL of that time cannot have this revocation',
      'Give the thisUpdate of the CRL that has it first, or leave --crl-time out.',
    )
  }
  return { at, invalidityDate, crl }
}

function isUnspecified(reason: string | undefined): boolean {
  return reason === undefined || reason === 'unspecified'
}

/** The record may not know that it is a CA's certificate; the file says so (Baseline Requirements 7.3). */
async function checkReasonOfCA(
  { client }: Context,
  issuer: string,
  certificate: CertificateFile,
): Promise<void> {
  const { policy } = await client.call('showIssuer', { params: { issuer } })
  if (policy.profile !== 'public-trust') return
  throw new CLIError(
    EXIT.no,
    `${certificate.path}: ${describeCertificate(certificate)} is the certificate of a CA: under public-trust its revocation needs a reason`,
    'Add --reason keyCompromise, cessationOfOperation, or whichever it is (Baseline Requirements 7.3).',
    { code: 'changeRefused' },
  )
}

export function unrevokeCommand(): Command {
  return adminLeaf(
    'unrevoke',
    'release a certificate from hold: it is good again',
    ['unrevoke 0a:1b:2c --issuer demo', 'unrevoke leaf.pem'],
    'Only from certificateHold. Whatever was revoked for another reason stays revoked (exit 1).',
  )
    .argument('<serial|file>', 'serial number, or certificate file')
    .option(...ISSUER_OPTION)
    .option('--decimal', 'the serial is decimal')
    .action((text: string, options: ReleaseOptions) =>
      run(options, async (context) => {
        const { serial, certificate } = serialOrCertificate(text, options.decimal === true)
        const issuer = await resolveIssuer(context.client, options.issuer, certificate)
        return print(
          context,
          await context.client.callPatiently('release', { params: { issuer }, body: { serial } }),
        )
      }),
    )
}

export function parseReason(text: string): string {
  const name = crlReasonName(crlReasonNumber(text) ?? -1)
  if (name === 'removeFromCRL') {
    throw usageError('--reason: removeFromCRL takes a hold back', 'That is "edge-ocsp unrevoke".')
  }
  if (name === undefined)
    throw usageError(`--reason: "${text}" is not a reason of RFC 5280`, `One of ${REASONS.join(', ')}.`)
  return name
}

function print({ output }: Context, change: StatusChange): ExitCode {
  warnFindings(output, change.warnings)
  output.result(change, () => {
    const { status, reason, revocationTime } = change.certificate
    const detail = [reason, revocationTime === undefined ? undefined : `since ${revocationTime}`]
      .filter((part) => part !== undefined)
      .join(', ')
    const already = change.outcome === 'unchanged' ? ' already (nothing changed)' : ''
    return [
      `${change.serial} of ${change.issuer} is ${status}${already}${detail === '' ? '' : `: ${detail}`}`,
      `revision ${change.revision}, ${describePublication(change)}`,
    ]
  })
  return EXIT.good
}
