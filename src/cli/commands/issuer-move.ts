/** Certificates of an issuer to another database: the responder does it, part by part, for as long as somebody asks for the next one. */
import { type Command, InvalidArgumentError } from 'commander'
import type { MoveInput, MovePlan, MoveState, MoveView } from '../../admin-api/contract.ts'
import { adminLeaf, run } from '../common-options.ts'
import type { CommonOptions, Context } from '../context.ts'
import { formatDuration } from '../duration.ts'
import { CLIError, EXIT, type ExitCode, usageError } from '../exit.ts'
import { issuerReference } from '../issuer-reference.ts'
import { describeMoveEstimate, estimateMoves } from '../move-estimate.ts'
import { formatCount } from '../output.ts'
import { type Progress, startProgress } from '../progress.ts'

interface MoveOptions extends CommonOptions {
  readonly digits?: string
  readonly to?: number
  readonly databases?: readonly number[]
  readonly wait?: boolean
  readonly dryRun?: boolean
  readonly abort?: boolean
}

/** Of one look at what a move waits for. */
const LOOK_MS = 10_000
const SOON_MS = 1_000

export function moveCommand(): Command {
  return adminLeaf(
    'move',
    'move certificates of an issuer to another database',
    [
      'issuer move demo --databases 0,1 --dry-run',
      'issuer move demo --databases 0,1,2,3',
      'issuer move demo --digits 8-f --to 1',
      'issuer move demo --abort',
    ],
    'Which certificates: by the first hex digit of the hash of their serials. They are copied and compared while they are answered for\nand changed; for some seconds at the end those that move are not written. Stopped half-way nothing is lost: the same command\ngoes on where it was, from any machine. --abort gives up a move as long as the other database does not answer.',
  )
    .argument('<issuer>', 'certificate file, key identifier or short name')
    .option('--databases <numbers>', 'deal all of them to these, 0 = DB, 1 = DB_1 ...', parseDatabases)
    .option('--digits <digits>', 'those alone, such as 8-f; with --to')
    .option('--to <number>', 'database for them', parseDatabase)
    .option(
      '--no-wait',
      'do not wait until what was copied is in bundles: then it is signed as it is asked for',
    )
    .option('--dry-run', 'tell what would be moved, how long it takes and what it costs')
    .option('--abort', 'give up the move that is under way, and delete what was copied')
    .action((issuer: string, options: MoveOptions) =>
      run(options, (context) => move(context, issuerReference(issuer), options)),
    )
}

async function move(context: Context, issuer: string, options: MoveOptions): Promise<ExitCode> {
  const { digits, to, databases } = options
  if (options.abort === true) {
    if (digits !== undefined || to !== undefined || databases !== undefined)
      throw usageError('--abort gives up whatever is under way', 'Leave out --digits, --to and --databases.')
    return work(context, () => context.client.callPatiently('abortMove', { params: { issuer } }), 'gave up')
  }
  const wanted =
    databases !== undefined && digits === undefined && to === undefined
      ? { databases: [...databases] }
      : databases === undefined && digits !== undefined && to !== undefined
        ? { digits, to }
        : undefined
  if (wanted === undefined)
    throw usageError(
      'where to?',
      'Name the databases with --databases 0,1 or some digits with --digits 8-f --to 1.',
    )
  if (options.dryRun === true) return plan(context, issuer, wanted)
  const body: MoveInput = { ...wanted, ...(options.wait === false && { built: false }) }
  return work(
    context,
    () => context.client.callPatiently('moveIssuer', { params: { issuer }, body }),
    'moved',
  )
}

async function plan({ client, output }: Context, issuer: string, body: object): Promise<ExitCode> {
  const planned: MovePlan = await client.callPatiently('planMove', { params: { issuer }, body })
  const expected = estimateMoves(planned)
  output.result({ ...planned, dryRun: true, estimate: expected }, () => [
    describePlacement(planned),
    ...planned.moves.map(
      (one) =>
        `would move the digits ${one.digits} from ${one.from} to ${one.to}: about ${formatCount(one.rows, 'certificate')}`,
    ),
    ...(planned.moves.length === 0
      ? ['everything is where it is wanted']
      : [...describeMoveEstimate(expected), 'nothing was changed']),
  ])
  return EXIT.good
}

/** @param next asks for the next part */
async function work({ output }: Context, next: () => Promise<MoveState>, done: string): Promise<ExitCode> {
  const stop = new AbortController()
  const onSignal = () => {
    output.note('stopping after this part; the same command goes on where it was')
    stop.abort()
  }
  process.once('SIGINT', onSignal)
  const progress = startProgress({ label: 'move', total: 1000 })
  try {
    for (;;) {
      const state = await next()
      if (state.done) {
        progress.stop()
        output.result(state, () => [`${done}; ${describePlacement(state)}`])
        return EXIT.good
      }
      show(progress, state)
      if (state.move?.problem !== undefined && state.move.problem !== null)
        throw new CLIError(
          EXIT.no,
          state.move.problem,
          'Nothing is lost. Put that right and repeat the command, or give the move up with --abort.',
        )
      if (stop.signal.aborted) {
        output.result(state, () => ['stopped: the same command goes on where it was'])
        return EXIT.no
      }
      await pause(waitMs(state), stop.signal)
    }
  } finally {
    progress.stop()
    process.off('SIGINT', onSignal)
  }
}

function waitMs({ waits }: MoveState): number {
  switch (waits?.for) {
    case undefined:
      return 0
    case 'bound':
      return Math.max(SOON_MS, Math.min(LOOK_MS, Date.parse(waits.until ?? '') - Date.now()))
    case 'bundles':
      return LOOK_MS
    case 'otherMove':
    case 'publication':
      return SOON_MS
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}

const DOES: Readonly<Record<MoveView['phase'], string>> = {
  begun: 'begun',
  copying: 'copying',
  verifying: 'comparing',
  barred: 'handing over',
  claimed: 'handed over',
  givenUp: 'handed over',
  purging: 'deleting what has moved',
  done: 'done',
  aborted: 'giving up',
}

function show(progress: Progress, { move: one, waits }: MoveState): void {
  if (one === null) {
    progress.update(0, 'waiting for another move to end')
    return
  }
  const count = one.phase === 'verifying' ? one.verified : one.phase === 'purging' ? one.purged : one.copied
  const share = one.phase === 'copying' || one.phase === 'verifying' ? one.share : 1
  const why =
    waits?.for === 'bound' && waits.until !== undefined
      ? `, until every copy of the directory knows: ${formatDuration(Math.max(0, (Date.parse(waits.until) - Date.now()) / 1000))}`
      : waits?.for === 'bundles'
        ? `, until ${formatCount(waits.slots ?? 0, 'bundle')} are signed`
        : ''
  progress.update(
    Math.floor(share * 1000),
    `digits ${one.digits} from ${one.from} to ${one.to}: ${DOES[one.phase]} (${formatCount(count, 'certificate')})${why}`,
  )
}

function describePlacement({ issuer, placement }: Pick<MoveState, 'issuer' | 'placement'>): string {
  return `${issuer}: ${placement.map(({ database, digits }) => `digits ${digits} in database ${database}`).join(', ')}`
}

function parseDatabases(text: string): readonly number[] {
  return text.split(',').map(parseDatabase)
}

function parseDatabase(text: string): number {
  const number = Number(text)
  if (!/^\d{1,2}$/.test(text) || number > 15) throw new InvalidArgumentError('Expected 0 to 15.')
  return number
}
