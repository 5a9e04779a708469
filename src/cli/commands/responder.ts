import type { Command } from 'commander'
import { adminLeaf, group, run } from '../common-options.ts'
import type { CommonOptions } from '../context.ts'
import { describePublication, describeResponders, warnFindings } from '../describe.ts'
import { EXIT, usageError } from '../exit.ts'
import { resolveIssuer } from '../issuer-reference.ts'
import { addResponderOptions, type ResponderOptions, readResponder } from '../responder-options.ts'

interface IssuerOption extends CommonOptions {
  readonly issuer?: string
}

interface AddOptions
  extends IssuerOption,
    Pick<ResponderOptions, 'signWithCa' | 'key' | 'secretName' | 'algorithm'> {
  readonly cert?: string
  readonly name?: string
}

interface RetireOptions extends IssuerOption {
  readonly compromised?: boolean
  readonly force?: boolean
}

const ISSUER_OPTION = [
  '--issuer <issuer>',
  'certificate file, key identifier or short name (default: the only one)',
] as const

export function responderCommand(): Command {
  return group(
    'responder',
    'who signs the responses of an issuer',
    ['responder add --issuer demo --cert ocsp-2027.pem --key ocsp-2027.key', 'responder list --issuer demo'],
    [addCommand(), listCommand(), retireCommand()],
  )
}

function addCommand(): Command {
  const command = adminLeaf(
    'add',
    'add a responder; the newest valid one signs from now on',
    [
      'responder add --issuer demo --cert ocsp-2027.pem --key ocsp-2027.key',
      'responder add --issuer demo --cert ocsp-2027.pem --secret-name OCSP_KEY_2027',
    ],
    'Rolling a delegate without a gap: add the new one, and retire the old one once its last responses have expired\n(its validity later). Until then both stand, and nothing that was signed becomes unusable.',
  ).option(...ISSUER_OPTION)
  addResponderOptions(command, 'responder')
  return command.action((options: AddOptions) =>
    run(options, async ({ client, output }) => {
      const { cert, name, ...rest } = options
      const responder = readResponder(
        {
          ...rest,
          ...(cert === undefined ? {} : { responderCert: cert }),
          ...(name === undefined ? {} : { responderName: name }),
        },
        undefined,
      )
      if (responder === undefined) {
        throw usageError(
          'no responder was named',
          'Give --cert ocsp.pem --key ocsp.key, or --sign-with-ca --key ca.key.',
        )
      }
      const issuer = await resolveIssuer(client, options.issuer)
      const change = await client.call('addResponder', { params: { issuer }, body: responder })
      warnFindings(output, change.warnings)
      output.result(change, () => [
        `added responder ${change.responder.name} to ${change.issuer.name}`,
        ...describeResponders(change.issuer.responders),
        describePublication(change),
      ])
      return EXIT.good
    }),
  )
}

function listCommand(): Command {
  return adminLeaf('list', "an issuer's responders, retired ones too", ['responder list --issuer demo'])
    .option(...ISSUER_OPTION)
    .action((options: IssuerOption) =>
      run(options, async ({ client, output }) => {
        const issuer = await resolveIssuer(client, options.issuer)
        const list = await client.call('listResponders', { params: { issuer } })
        output.result(list, () =>
          list.responders.length === 0
            ? `${list.issuer} has no responders: edge-ocsp responder add --issuer ${list.issuer} ...`
            : describeResponders(list.responders),
        )
        return EXIT.good
      }),
    )
}

function retireCommand(): Command {
  return adminLeaf(
    'retire',
    'stop signing with a responder',
    ['responder retire ocsp-2026 --issuer demo', 'responder retire 3 --issuer demo --compromised'],
    'What it signed stays usable until it expires. With --compromised nothing it signed may leave any more:\nall responses of the issuer are signed anew.',
  )
    .argument('<responder>', 'id or name, see "responder list"')
    .option(...ISSUER_OPTION)
    .option('--compromised', 'its key leaked: everything it signed becomes unusable at once')
    .option('--force', 'although no usable responder is left')
    .action((responder: string, options: RetireOptions) =>
      run(options, async ({ client, output }) => {
        const issuer = await resolveIssuer(client, options.issuer)
        const { compromised, force } = options
        const change = await client.call('retireResponder', {
          params: { issuer, responder },
          body: { compromised, force },
        })
        warnFindings(output, change.warnings)
        output.result(change, () => [
          `retired responder ${change.responder.name} of ${change.issuer.name}`,
          ...describeResponders(change.issuer.responders),
          describePublication(change),
        ])
        return EXIT.good
      }),
    )
}
