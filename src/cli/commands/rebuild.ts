import type { Command } from 'commander'
import type { RebuildResult } from '../../admin-api/contract.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { describePublication } from '../describe.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { formatCount } from '../output.ts'

interface RebuildOptions extends CommonOptions {
  readonly issuer?: string
}

export function rebuildCommand(): Command {
  return adminLeaf(
    'rebuild',
    'KV was lost: write everything in it again from the record',
    ['rebuild', 'rebuild --issuer demo && edge-ocsp presign --wait --issuer demo'],
    'Answers come from the record meanwhile, and nothing becomes unusable. The root and the pages of the issuers are written\nat once; bundles by the cron, the most asked for first, or now by "edge-ocsp presign --wait".',
  )
    .option('--issuer <issuer>', 'only this one: certificate file, key identifier or short name')
    .action((options: RebuildOptions) => run(options, (context) => rebuild(context, options)))
}

async function rebuild(context: Context, options: RebuildOptions): Promise<ExitCode> {
  const issuer = options.issuer === undefined ? undefined : issuerReference(options.issuer)
  let after: number | undefined
  let result: RebuildResult | undefined
  let issuerPages = 0
  let slots = 0
  do {
    result = await context.client.callPatiently('rebuild', { body: { issuer, after } })
    slots += result.slots
    issuerPages += result.issuerPages
    after = result.next ?? undefined
  } while (after !== undefined)
  const total = { ...result, slots, issuerPages }
  context.output.result(total, () => [
    `wrote ${formatCount(issuerPages, 'issuer page')}; ${formatCount(slots, 'bundle')} due to be built again`,
    describePublication(total),
    'The cron builds them, the most asked for first; now: edge-ocsp presign --wait',
  ])
  return EXIT.good
}
