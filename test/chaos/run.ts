/** One run of the script under a plan of faults, with clients that ask all the time; and the same run undisturbed, to compare with. */
import { World } from '../support/world.ts'
import { cryptoWithoutThreads } from '../support/world-crypto.ts'
import { Deployment } from './deployment.ts'
import type { Call, Met, Plan, PlannedFault } from './plan.ts'
import { PHASES } from './script.ts'
import { differences, type State, stateOf } from './state.ts'
import type { ChaosVariant } from './variants.ts'

cryptoWithoutThreads()

export interface RunResult {
  /** undefined: nothing was wrong. */
  readonly problem: string | undefined
  readonly state: State
  /** Every call in order. */
  readonly calls: readonly Call[]
  /** Faults that were met, each with the call. */
  readonly met: readonly Met[]
  readonly restarts: number
  /** Answers that reached a client and were judged. */
  readonly answers: Readonly<Record<string, number>>
  /** Effects of dead processes and of calls that were given up. */
  readonly lateEffects: number
  readonly history: readonly string[]
}

export interface RunOptions {
  readonly variant?: ChaosVariant
  /** Of the undisturbed run; left out = not compared. */
  readonly expected?: State
}

let prepared: Promise<World> | undefined

function preparedWorld(): Promise<World> {
  prepared ??= World.create({ seed: 1, colos: 1, isolatesPerColo: 0, maxLagSeconds: 0 }, [
    'unauthorized',
    'unknown',
  ])
  return prepared
}

export async function run(plan: Plan, { variant, expected }: RunOptions = {}): Promise<RunResult> {
  const world = World.fork(await preparedWorld(), {
    seed: plan.seed,
    colos: 2,
    isolatesPerColo: 0,
    // What is late in KV is tried by other tests; here it would excuse what must not happen.
    maxLagSeconds: 0,
  })
  const deployment = new Deployment(world, plan, variant)
  try {
    let state: State = {}
    try {
      for (const [index, phase] of PHASES.entries()) await deployment.live(phase, index)
      state = await stateOf(world)
      if (expected !== undefined)
        for (const difference of differences(expected, state))
          world.accuse(`not as undisturbed: ${difference}`)
    } catch (error) {
      world.accuse(error instanceof Error ? `${error.stack}` : String(error))
    }
    return { problem: world.violations[0], state, history: world.trace, ...deployment.result() }
  } finally {
    deployment.end()
    await world.end()
  }
}

const undisturbed = new Map<string, Promise<RunResult>>()

/** @throws when even that run is wrong */
export function undisturbedRun(seed: number, queued: boolean): Promise<RunResult> {
  const name = `${seed} ${queued}`
  const known = undisturbed.get(name)
  if (known !== undefined) return known
  const made = run({ seed, queued, faults: [] }).then((result) => {
    if (result.problem === undefined) return result
    throw new Error(`undisturbed: ${result.problem}\n${result.history.slice(-40).join('\n')}`)
  })
  undisturbed.set(name, made)
  return made
}

/** As few of the faults as are needed: single ones first, then all but one as long as that fails too. */
export async function shortened(plan: Plan, options: RunOptions): Promise<Plan> {
  const fails = async (faults: readonly PlannedFault[]) =>
    (await run({ ...plan, faults }, options)).problem !== undefined
  for (const one of plan.faults)
    if (plan.faults.length > 1 && (await fails([one]))) return { ...plan, faults: [one] }
  let { faults } = plan
  for (let at = 0; at < faults.length; ) {
    const rest = faults.filter((_, n) => n !== at)
    if (rest.length > 0 && (await fails(rest))) faults = rest
    else at += 1
  }
  return { ...plan, faults }
}
