import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Canary, CanaryChange } from '../../admin-api/contract.ts'
import { parsePEM } from '../../pkix/pem.ts'
import { parseSerial } from '../../pkix/serial-number.ts'
import { type CertificateFile, parseCertificate } from '../certificate.ts'
import { adminLeaf, group, run } from '../common-options.ts'
import { type CommonOptions, type Context, parseOrigin } from '../context.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { exchange, makeQuestion } from '../ocsp-exchange.ts'
import { verifyResponse } from '../ocsp-verify.ts'
import { formatFields } from '../output.ts'

interface WatchOptions extends CommonOptions {
  readonly ocspUrl?: string
  readonly rounds: string
}

const POLL_MS = 1_000
const MAX_ROUNDS = 10_000

export function canaryCommand(): Command {
  return group(
    'canary',
    'measure how long a change takes to be seen',
    ['canary enable demo', 'canary watch demo', 'canary list --json'],
    [
      switchCommand(
        'enable',
        'let the cron put a certificate that does not exist on hold and release it, all the time',
        true,
      ),
      switchCommand('disable', 'leave the canary as it stands', false),
      listCommand(),
      watchCommand(),
    ],
  )
}

function switchCommand(name: string, summary: string, enabled: boolean): Command {
  return adminLeaf(name, summary, [`canary ${name} demo`])
    .argument('<issuer>', 'certificate file, key identifier or short name; a private one')
    .action((issuer: string, options: CommonOptions) =>
      run(options, async ({ client, output }) => {
        const params = { issuer: issuerReference(issuer) }
        const canary = await client.call('setCanary', { params, body: { enabled } })
        output.result(canary, () => describe(canary))
        return EXIT.good
      }),
    )
}

function listCommand(): Command {
  return adminLeaf('list', 'what the canaries have measured where the cron runs', ['canary list']).action(
    (options: CommonOptions) =>
      run(options, async ({ client, output }) => {
        const list = await client.call('listCanaries')
        output.result(list, () =>
          list.canaries.length === 0
            ? ['There is none yet: edge-ocsp canary enable ISSUER']
            : list.canaries.flatMap((canary) => describe(canary)),
        )
        return EXIT.good
      }),
  )
}

function describe(canary: Canary): string[] {
  const seconds = (value: number | null) => (value === null ? 'not measured yet' : `${value.toFixed(1)} s`)
  return formatFields([
    ['Canary of', `${canary.issuer}${canary.enabled ? '' : ' (switched off)'}`],
    ['Serial', canary.serial],
    ['Last change', canary.changedAt ?? 'none yet'],
    ['Seen after', seconds(canary.lastSeconds)],
    ['At worst', seconds(canary.worstSeconds)],
    ['Rounds', `${canary.rounds}, ${canary.late} of them later than the bound`],
  ])
}

function watchCommand(): Command {
  return adminLeaf(
    'watch',
    'change the canary now, and ask by OCSP until the answer shows it',
    ['canary watch demo', 'canary watch demo --ocsp-url http://ocsp.example.com --rounds 10 --json'],
    'Measures the propagation bound from this machine: run it where your clients are. Every round is a line.\nExit 0: seen within the bound; 1: later or not at all.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--ocsp-url <url>', 'where to ask by OCSP (default: the address of the admin API)')
    .option('--rounds <n>', 'changes to measure', '1')
    .action((issuer: string, options: WatchOptions) =>
      run(options, (context) => watch(context, issuer, options)),
    )
}

async function watch(context: Context, issuer: string, options: WatchOptions): Promise<ExitCode> {
  const { client, output } = context
  const rounds = Number(options.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS)
    throw usageError(`--rounds: "${options.rounds}" is not a number from 1 to ${MAX_ROUNDS}`)
  const url = options.ocspUrl === undefined ? context.url : parseOrigin(options.ocspUrl, '--ocsp-url')
  const params = { issuer: issuerReference(issuer) }
  const record = await client.call('showIssuer', { params })
  const [block] = parsePEM(record.certificate)
  if (block === undefined) throw new CLIError(EXIT.unknown, `${client.url} gives no certificate of ${issuer}`)
  const certificate = parseCertificate(block.der, record.name)
  const measured: (number | null)[] = []
  let boundSeconds = 0
  for (let round = 0; round < rounds; round += 1) {
    const change = await client.call('changeCanary', { params })
    boundSeconds = change.boundSeconds
    const seconds = await waitFor(url, certificate, change)
    measured.push(seconds)
    if (options.json !== true)
      output.note(
        seconds === null
          ? `${change.status}: not seen within ${boundSeconds} s`
          : `${change.status}: seen after ${seconds.toFixed(1)} s`,
      )
  }
  const seen = measured.filter((one) => one !== null)
  const worst = seen.length === 0 ? null : Math.max(...seen)
  output.result({ url, boundSeconds, seconds: measured, worst }, () => [
    `${seen.length} of ${rounds} seen within the bound of ${boundSeconds} s${worst === null ? '' : `, at worst after ${worst.toFixed(1)} s`}`,
  ])
  return seen.length === rounds ? EXIT.good : EXIT.no
}

/** @returns seconds; null when it was not seen within the bound */
async function waitFor(url: string, issuer: CertificateFile, change: CanaryChange): Promise<number | null> {
  const started = performance.now()
  const wanted = change.status === 'hold' ? 'revoked' : 'good'
  for (;;) {
    const seconds = (performance.now() - started) / 1000
    if (seconds > change.boundSeconds) return null
    // POST: no cache on the way has a say in what is measured.
    const question = makeQuestion(issuer, parseSerial(change.serial), 'SHA-256', false)
    const answer = await exchange(url, question.der, 'POST')
    const { single } = verifyResponse(answer.body, question, issuer, Math.floor(Date.now() / 1000))
    if (single.certStatus.type === wanted) return (performance.now() - started) / 1000
    await pause(POLL_MS)
  }
}
