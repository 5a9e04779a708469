/** What can be done to an issuer as a whole: switched off and on, thawed, signed anew, and ended. */
import type { Command } from 'commander'
import type { IssuerChange, PolicyInput } from '../../admin-api/contract.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describeIssuer, describePublication, warnFindings } from '../describe.ts'
import { parseTime } from '../duration.ts'
import { EXIT, type ExitCode, usageError } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'

interface EndOptions extends CommonOptions {
  readonly yes?: boolean
}

interface CompromiseOptions extends EndOptions {
  readonly time?: string
}

export function switchCommands(): Command[] {
  const disable = adminLeaf(
    'disable',
    'stop answering for an issuer (its requests get "unauthorized"); nothing is deleted',
    ['issuer disable demo'],
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .action((issuer: string, options: CommonOptions) =>
      run(options, (context) => patch(context, issuer, { enabled: false }, 'disabled')),
    )
  const enable = adminLeaf('enable', 'answer for a disabled issuer again', ['issuer enable demo'])
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .action((issuer: string, options: CommonOptions) =>
      run(options, (context) => patch(context, issuer, { enabled: true }, 'enabled')),
    )
  const thaw = adminLeaf(
    'thaw',
    'let a frozen issuer sign again',
    ['issuer thaw demo'],
    'Signing freezes when the database turns out to be older than what was published, as after a restore.\nFirst replay the lost changes: "edge-ocsp audit replay FILE". Everything signed before becomes unusable.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .action((issuer: string, options: CommonOptions) =>
      run(options, async (context) => {
        const change = await context.client.call('thawIssuer', {
          params: { issuer: issuerReference(issuer) },
        })
        return printChange(context, change, `thawed ${change.issuer.name}`)
      }),
    )
  const resign = adminLeaf(
    'resign',
    'sign everything of an issuer anew',
    ['issuer resign demo && edge-ocsp presign --wait --issuer demo'],
    'For lost or doubtful pre-signed responses. Whatever was signed before becomes unusable; until it is signed again,\nanswers come from the record, each with a signature of its own.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .action((issuer: string, options: CommonOptions) =>
      run(options, async (context) => {
        const change = await context.client.call('raiseFloor', {
          params: { issuer: issuerReference(issuer) },
        })
        return printChange(context, change, `everything of ${change.issuer.name} is due to be signed anew`)
      }),
    )
  return [disable, enable, thaw, resign, compromiseCommand(), finalizeCommand()]
}

function compromiseCommand(): Command {
  return adminLeaf(
    'compromise',
    'the CA\'s key is compromised: answer "revoked" for every serial number, for good',
    ['issuer compromise demo --yes', 'issuer compromise issuer.pem --time 2026-11-20T08:00:00Z --yes'],
    'Every certificate of the CA, recorded or not, is revoked since then, with the reason cACompromise (none under public-trust);\nwhat was revoked before keeps its own time and reason. Everything signed before becomes unusable.\nIt cannot be taken back. An earlier --time replaces a later one. An issuer that is final is refused.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--time <time>', 'since when (default: now)')
    .option('--yes', 'yes, for good')
    .action((issuer: string, options: CompromiseOptions) =>
      run(options, async (context) => {
        const params = { issuer: issuerReference(issuer) }
        const time = options.time === undefined ? undefined : parseTime(options.time, '--time')
        confirm(options, `every certificate of ${issuer}, recorded or not, will be "revoked" for good`)
        const change = await context.client.callPatiently('compromiseIssuer', { params, body: { time } })
        const { name, compromisedAt } = change.issuer
        return printChange(
          context,
          change,
          `${name} is compromised since ${compromisedAt}: every serial number is answered "revoked"`,
        )
      }),
    )
}

function finalizeCommand(): Command {
  return adminLeaf(
    'finalize',
    'sign the last responses of an issuer, without an end; nothing of it changes any more',
    ['issuer finalize demo --yes && edge-ocsp presign --wait --issuer demo'],
    'For a CA that ends: nextUpdate becomes 99991231235959Z, nonces are ignored, and the record stands still: no certificate,\npolicy or responder of the issuer can be changed, not even a compromise recorded. Revoke first whatever is to be revoked.\nIt cannot be taken back. Only under the profile private, and not while the issuer is frozen.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--yes', 'yes, for good')
    .action((issuer: string, options: EndOptions) =>
      run(options, async (context) => {
        const params = { issuer: issuerReference(issuer) }
        confirm(options, `nothing of ${issuer} can be changed any more, and its next responses have no end`)
        const change = await context.client.callPatiently('finalizeIssuer', { params, body: {} })
        const { name, finalAt } = change.issuer
        const code = printChange(
          context,
          change,
          `${name} is final since ${finalAt}: its record stands still`,
        )
        context.output.note(`Sign the last responses now: edge-ocsp presign --wait --issuer ${name}`)
        return code
      }),
    )
}

/** What cannot be taken back is done only with --yes. @throws CLIError (usage) */
function confirm({ yes }: EndOptions, consequence: string): void {
  if (yes === true) return
  throw usageError(`${consequence}; that cannot be taken back`, 'Say that you mean it: add --yes.')
}

interface Patch {
  readonly policy?: PolicyInput | undefined
  readonly name?: string | undefined
  readonly enabled?: boolean | undefined
}

export async function patch(context: Context, issuer: string, body: Patch, done: string): Promise<ExitCode> {
  // JSON drops what is undefined: only what was named is sent.
  const change = await context.client.call('patchIssuer', {
    params: { issuer: issuerReference(issuer) },
    body,
  })
  return printChange(context, change, `${done} ${change.issuer.name}`)
}

export function printChange(
  context: Context,
  change: IssuerChange,
  done: string,
  withoutResponder = false,
): ExitCode {
  const { output } = context
  warnFindings(output, change.warnings)
  output.result(change, () => [done, ...describeIssuer(change.issuer), describePublication(change)])
  if (withoutResponder) {
    output.note(
      `It has no responder yet, so it answers tryLater. Next: edge-ocsp responder add --issuer ${change.issuer.name} --cert ocsp.pem --key ocsp.key`,
    )
  }
  return EXIT.good
}
