import { type Command, Option } from 'commander'
import type { Issuer, IssuerChange, PolicyInput, ResponderInput } from '../../admin-api/contract.ts'
import { formatPEM } from '../../pkix/pem.ts'
import { loadCertificate } from '../certificate.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describeIssuer, describePublication, subjectOf, warnFindings } from '../describe.ts'
import { EXIT, type ExitCode, usageError } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { formatTable } from '../output.ts'
import { addPolicyOptions, type PolicyOptions, readPolicy } from '../policy-options.ts'
import { addResponderOptions, type ResponderOptions, readResponder } from '../responder-options.ts'

interface AddOptions extends CommonOptions, PolicyOptions, ResponderOptions {
  readonly cert: string
  readonly name?: string
}

interface SetOptions extends CommonOptions, PolicyOptions {
  readonly rename?: string
}

export function issuerCommand(): Command {
  return group(
    'issuer',
    'certification authorities that are answered for',
    ['issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key', 'issuer list'],
    [addCommand(), setCommand(), listCommand(), showCommand(), ...switchCommands()],
  )
}

function addCommand(): Command {
  const command = adminLeaf(
    'add',
    'answer for one more CA, with its first responder',
    [
      'issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key --name demo',
      'issuer add --cert ca.pem --sign-with-ca --key ca.key --validity 7d',
      'issuer add --cert ca.pem --responder-cert ocsp.pem --secret-name OCSP_KEY --profile public-trust',
    ],
    'The private key is sent to the responder, which keeps it encrypted (custody "wrapped"); with --secret-name it stays a Worker secret.',
  )
    .requiredOption('--cert <file>', 'certificate of the CA (PEM or DER)')
    .option('--name <name>', 'short name, a-z 0-9 and - (default: made of the common name)')
  addResponderOptions(command, 'issuer')
  addPolicyOptions(command)
  return command.action((options: AddOptions) => run(options, (context) => add(context, options)))
}

async function add(context: Context, options: AddOptions): Promise<ExitCode> {
  const issuer = loadCertificate(options.cert)
  const responder: ResponderInput | undefined = readResponder(options, issuer)
  const policy = readPolicy(options)
  const change = await context.client.call('addIssuer', {
    body: {
      certificate: formatPEM('CERTIFICATE', issuer.der),
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(policy === undefined ? {} : { policy }),
      ...(responder === undefined ? {} : { responder }),
    },
  })
  return printChange(context, change, `added ${change.issuer.name}`, responder === undefined)
}

function setCommand(): Command {
  const command = adminLeaf('set', "change an issuer's policy or name; what is not named stays", [
    'issuer set demo --validity 4d --max-age refresh',
    'issuer set issuer.pem --unknown unknown',
  ])
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--rename <name>', 'new short name')
  addPolicyOptions(command)
  return command.action((issuer: string, options: SetOptions) =>
    run(options, async (context) => {
      const policy = readPolicy(options)
      if (policy === undefined && options.rename === undefined) {
        throw usageError('there is nothing to change', 'Name at least one option, such as --validity 7d.')
      }
      return patch(context, issuer, { policy, name: options.rename }, 'changed')
    }),
  )
}

function switchCommands(): Command[] {
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
  return [disable, enable, thaw, resign]
}

interface Patch {
  readonly policy?: PolicyInput | undefined
  readonly name?: string | undefined
  readonly enabled?: boolean | undefined
}

async function patch(context: Context, issuer: string, body: Patch, done: string): Promise<ExitCode> {
  // JSON drops what is undefined: only what was named is sent.
  const change = await context.client.call('patchIssuer', {
    params: { issuer: issuerReference(issuer) },
    body,
  })
  return printChange(context, change, `${done} ${change.issuer.name}`)
}

function printChange(
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

function listCommand(): Command {
  return adminLeaf('list', 'all issuers', ['issuer list', 'issuer list --json']).action(
    (options: CommonOptions) =>
      run(options, async ({ client, output }) => {
        const list = await client.call('listIssuers')
        output.result(list, () => describeList(list.issuers))
        return EXIT.good
      }),
  )
}

function describeList(issuers: readonly Issuer[]): string[] {
  if (issuers.length === 0) return ['no issuers yet: edge-ocsp issuer add --cert issuer.pem ...']
  return formatTable(
    ['ISSUER', 'STATE', 'RESPONDERS', 'NOT AFTER', 'KEY IDENTIFIER', 'SUBJECT'],
    issuers.map((issuer) => [
      issuer.name,
      issuer.enabled ? 'enabled' : 'disabled',
      issuer.responders
        .filter(({ state }) => state !== 'retired')
        .map(({ name, state }) => (state === 'active' ? name : `${name} (${state})`))
        .join(', ') || 'none',
      issuer.notAfter,
      issuer.ski,
      subjectOf(issuer),
    ]),
  )
}

function showCommand(): Command {
  return adminLeaf('show', 'one issuer: policy and responders', [
    'issuer show demo',
    'issuer show issuer.pem --json',
  ])
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .addOption(new Option('--pem', "print the issuer's certificate only").conflicts('json'))
    .action((reference: string, options: CommonOptions & { readonly pem?: boolean }) =>
      run(options, async ({ client, output }) => {
        const issuer = await client.call('showIssuer', { params: { issuer: issuerReference(reference) } })
        if (options.pem === true) output.line(issuer.certificate.trimEnd())
        else output.result(issuer, () => describeIssuer(issuer))
        return EXIT.good
      }),
    )
}
