import type { Command } from 'commander'
import type { PresignResult } from '../../admin-api/contract.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { formatDuration } from '../duration.ts'
import { CLIError, EXIT, type ExitCode } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { formatCount } from '../output.ts'
import { formatRate, startProgress } from '../progress.ts'

interface PresignOptions extends CommonOptions {
  readonly issuer?: string
  readonly wait?: boolean
}

type Totals = Omit<PresignResult, 'problems'> & { problems: string[] }

/** Calls that build nothing before --wait gives up: others hold the leases, or every build fails. */
const MAX_IDLE_CALLS = 5
const IDLE_PAUSE_MS = 2000

export function presignCommand(): Command {
  return adminLeaf(
    'presign',
    'sign now what is due, instead of at the next minute',
    ['presign --wait', 'presign --issuer demo --json'],
    'One call signs a bounded amount; --wait repeats it until nothing is left. Exit 1: something failed or is left.',
  )
    .option('--issuer <issuer>', 'only this one: certificate file, key identifier or short name')
    .option('--wait', 'repeat until everything is signed')
    .action((options: PresignOptions) => run(options, (context) => presign(context, options)))
}

async function presign(context: Context, options: PresignOptions): Promise<ExitCode> {
  const issuer = options.issuer === undefined ? undefined : issuerReference(options.issuer)
  const totals = await signDue(context, issuer, options.wait === true)
  context.output.result(totals, () => [
    `built ${formatCount(totals.built, 'bundle')} with ${formatCount(totals.signatures, 'new signature')}; ` +
      `${totals.failed} failed, ${totals.remaining} left`,
    ...(totals.remaining > 0 && options.wait !== true
      ? ['Sign the rest with: edge-ocsp presign --wait']
      : []),
  ])
  const incomplete = totals.failed > 0 || (options.wait === true && totals.remaining > 0)
  return incomplete ? EXIT.no : EXIT.good
}

/**
 * Signs what is due, with a progress that tells how long the rest will take at the rate measured until then.
 * @param issuer undefined = all
 * @param wait until nothing is left
 */
export async function signDue(
  context: Context,
  issuer: string | undefined,
  wait: boolean,
): Promise<Readonly<Totals>> {
  const started = Date.now()
  const progress = wait ? startProgress({ label: 'presign', total: undefined }) : undefined
  try {
    const totals = await repeat(context, issuer, wait, (sum) => {
      const seconds = (Date.now() - started) / 1000
      const left =
        sum.built === 0 || sum.remaining === 0
          ? ''
          : `, about ${formatDuration((seconds * sum.remaining) / sum.built)}`
      progress?.update(
        0,
        `${formatCount(sum.signatures, 'signature')}, ${formatRate(sum.signatures, started)}, ` +
          `${formatCount(sum.remaining, 'bundle')} left${left}`,
      )
    })
    for (const problem of totals.problems) context.output.warn(problem)
    return totals
  } finally {
    progress?.stop()
  }
}

async function repeat(
  { client }: Context,
  issuer: string | undefined,
  wait: boolean,
  report: (totals: Totals) => void,
): Promise<Totals> {
  const totals: Totals = { built: 0, signatures: 0, failed: 0, remaining: 0, problems: [] }
  for (let idle = 0; ; ) {
    const answer = await client.callPatiently('presign', { body: { issuer, all: true } })
    totals.built += answer.built
    totals.signatures += answer.signatures
    // A slot that fails stays due and fails again: what counts is how many do, not how often.
    totals.failed = answer.failed
    totals.remaining = answer.remaining
    totals.problems = [...new Set([...totals.problems, ...(answer.problems ?? [])])].slice(0, 20)
    report(totals)
    if (!wait || answer.remaining === 0) return totals
    idle = answer.built === 0 ? idle + 1 : 0
    if (idle === MAX_IDLE_CALLS) throw stuck(totals)
    if (idle > 0) await new Promise((done) => setTimeout(done, IDLE_PAUSE_MS))
  }
}

function stuck({ remaining, problems }: Totals): CLIError {
  return new CLIError(
    EXIT.no,
    [
      `${formatCount(remaining, 'bundle')} left and nothing moves`,
      ...problems.map((problem) => `  ${problem}`),
    ].join('\n'),
    'See "edge-ocsp status". Perhaps the cron job of the responder holds them: try again in a minute.',
    { code: 'presignStuck' },
  )
}
