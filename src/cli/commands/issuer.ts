import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Issuer, ResponderInput } from '../../admin-api/contract.ts'
import { formatPEM } from '../../pkix/pem.ts'
import { loadCertificate } from '../certificate.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describeIssuer, stateOf, subjectOf } from '../describe.ts'
import { EXIT, type ExitCode, usageError } from '../exit.ts'
import { eachIssuer, issuerReference } from '../issuer-reference.ts'
import { formatTable } from '../output.ts'
import { type AlgorithmOption, addPolicyOptions, type PolicyOptions, readPolicy } from '../policy-options.ts'
import { addResponderOptions, type ResponderOptions, readResponder } from '../responder-options.ts'
import { moveCommand } from './issuer-move.ts'
import { patch, printChange, switchCommands } from './issuer-switches.ts'

interface AddOptions extends CommonOptions, PolicyOptions, ResponderOptions {
  readonly cert: string
  readonly name?: string
  readonly databases?: readonly number[]
}

interface SetOptions extends CommonOptions, PolicyOptions, AlgorithmOption {
  readonly rename?: string
}

export function issuerCommand(): Command {
  return group(
    'issuer',
    'certification authorities that are answered for',
    ['issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key', 'issuer list'],
    [addCommand(), setCommand(), listCommand(), showCommand(), moveCommand(), ...switchCommands()],
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
      'issuer add --cert ca.pem --sign-with-ca --key ca.key --databases 0,1',
    ],
    'The private key is sent to the responder, which keeps it encrypted (custody "wrapped"); with --secret-name it stays a Worker secret.',
  )
    .requiredOption('--cert <file>', 'certificate of the CA (PEM or DER)')
    .option('--name <name>', 'short name, a-z 0-9 and - (default: made of the common name)')
    .option(
      '--databases <numbers>',
      'databases that share its certificates, 0 = DB, 1 = DB_1 ... (default: 0)',
      parseDatabases,
    )
  addResponderOptions(command, 'issuer')
  addPolicyOptions(command, 'add')
  return command.action((options: AddOptions) => run(options, (context) => add(context, options)))
}

function parseDatabases(text: string): number[] {
  if (!/^\d{1,2}(,\d{1,2})*$/.test(text))
    throw new InvalidArgumentError('Expected numbers of databases with commas between them, such as 0,1.')
  return text.split(',').map(Number)
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
      ...(options.databases === undefined ? {} : { databases: [...options.databases] }),
    },
  })
  return printChange(context, change, `added ${change.issuer.name}`, responder === undefined)
}

function setCommand(): Command {
  const command = adminLeaf('set', "change an issuer's policy or name; what is not named stays", [
    'issuer set demo --validity 4d --max-age refresh',
    'issuer set issuer.pem --unknown unknown',
    'issuer set demo --signed-requests require --requestor clients-ca.pem',
    'issuer set demo --retain 10y --archive-cutoff issuer',
  ])
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--rename <name>', 'new short name')
  addPolicyOptions(command, 'set')
  return command.action((issuer: string, options: SetOptions) =>
    run(options, async (context) => {
      const policy = readPolicy(options, options)
      if (policy === undefined && options.rename === undefined) {
        throw usageError('there is nothing to change', 'Name at least one option, such as --validity 7d.')
      }
      return patch(context, issuer, { policy, name: options.rename }, 'changed')
    }),
  )
}

function listCommand(): Command {
  return adminLeaf('list', 'all issuers', ['issuer list', 'issuer list --json']).action(
    (options: CommonOptions) =>
      run(options, async ({ client, output }) => {
        const issuers = await Array.fromAsync(eachIssuer(client))
        output.result({ issuers }, () => describeList(issuers))
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
      stateOf(issuer),
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
