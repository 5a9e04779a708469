/**
 * Many runs: first every kind of call killed before and after its effect, and disturbed in each other way that fits; then
 * random faults, several a run. The undisturbed run says which calls there are.
 */
import { Random } from '../support/clock.ts'
import {
  type Call,
  type Fault,
  faultNames,
  fits,
  formatPlan,
  isKill,
  kindOf,
  type Met,
  type Plan,
  type PlannedFault,
  placeOf,
} from './plan.ts'
import { type RunOptions, type RunResult, run, shortened, undisturbedRun } from './run.ts'
import { PHASES } from './script.ts'
import type { State } from './state.ts'
import type { ChaosVariant } from './variants.ts'

/** Faults of one run, each in a phase of its own. */
const SYSTEMATIC_A_RUN = 6
const RANDOM_A_RUN = 6
const ALL_FAULTS = faultNames()

export interface Failure {
  readonly plan: Plan
  readonly problem: string
  readonly history: readonly string[]
}

export interface CampaignReport {
  /** Met, by kind. */
  readonly faults: Partial<Record<Fault, number>>
  readonly kills: number
  readonly restarts: number
  readonly runs: number
  readonly calls: number
  readonly answers: Readonly<Record<string, number>>
  readonly lateEffects: number
  /** Kinds of calls that the script makes, and those that were killed there before and after. */
  readonly kinds: number
  readonly killed: number
  readonly missing: readonly string[]
  readonly failures: readonly Failure[]
}

export interface CampaignOptions {
  /** Faults at least. */
  readonly faults: number
  readonly seed: number
  readonly variant?: ChaosVariant
  /** Only faults at calls of these kinds. */
  readonly kinds?: RegExp
  /** Stops at the first failure. */
  readonly first?: boolean
  readonly onRun?: (result: RunResult, plan: Plan) => void
}

/** Of an undisturbed run with or without the queue. */
type KnownCall = Call & { readonly queued: boolean }
type WantedFault = PlannedFault & { readonly queued: boolean }

/** The plans of a campaign: a function of its seed and of the calls of the undisturbed runs. */
export function plansOf(all: readonly KnownCall[], { faults, seed, kinds = /./ }: CampaignOptions): Plan[] {
  const calls = all.filter((call) => kinds.test(kindOf(call)))
  const dice = new Random(seed)
  dice.uint32()
  const plans: Plan[] = []
  const wanted = systematic(calls, dice)
  for (let left = faults; left > 0; ) {
    const isSystematic = wanted.length > 0
    const queued = (wanted[0] ?? dice.pick(calls)).queued
    const chosen = new Map<number, PlannedFault>()
    const most = isSystematic ? SYSTEMATIC_A_RUN : RANDOM_A_RUN
    for (let at = 0; at < wanted.length && chosen.size < most; ) {
      const { queued: over, ...one } = wanted[at] ?? { phase: -1, kind: '', nth: 0, fault: 'kb', queued }
      if (over !== queued || chosen.has(one.phase)) at += 1
      else {
        chosen.set(one.phase, one)
        wanted.splice(at, 1)
      }
    }
    const own = calls.filter((call) => call.queued === queued)
    for (let tries = 0; chosen.size < most && tries < 100; tries += 1) {
      const { phase, kind, nth, port } = dice.pick(own)
      const fault = dice.pick(ALL_FAULTS.filter((name) => fits(name, port)))
      if (!chosen.has(phase)) chosen.set(phase, { phase, kind, nth, fault })
    }
    left -= chosen.size
    const inOrder = [...chosen.values()].sort((a, b) => a.phase - b.phase)
    // The same clients as in the undisturbed run, so that its calls are met again.
    plans.push({ seed: isSystematic ? seed : dice.between(1, 1_000_000), queued, faults: inOrder })
  }
  return plans
}

/** Each kind of call with each fault that fits it, kills first; anywhere among the calls of that kind. */
function systematic(calls: readonly KnownCall[], dice: Random): WantedFault[] {
  const places = Map.groupBy(calls, kindOf)
  const wanted = ALL_FAULTS.flatMap((fault) =>
    [...places.values()].flatMap((same) => {
      const { phase, kind, nth, port, queued } = dice.pick(same)
      return fits(fault, port) ? [{ phase, kind, nth, fault, queued }] : []
    }),
  )
  const turn = new Map(wanted.map((one) => [one, rankOf(one.fault) + dice.fraction()]))
  return wanted.sort((a, b) => (turn.get(a) ?? 0) - (turn.get(b) ?? 0))
}

/** Kills first, then what there is little of. */
function rankOf(fault: Fault): number {
  if (isKill(fault)) return 0
  return fault === 'ml' || fault === 'md' || fault === 'tr' ? 1 : 2
}

/** The calls and the end of the script when nothing goes wrong. */
async function undisturbedRuns(seed: number) {
  const calls: KnownCall[] = []
  const states = new Map<boolean, State>()
  for (const queued of [false, true]) {
    const result = await undisturbedRun(seed, queued)
    calls.push(...result.calls.map((call) => ({ ...call, queued })))
    states.set(queued, result.state)
  }
  return { calls, states }
}

export async function campaign(options: CampaignOptions): Promise<CampaignReport> {
  const { variant } = options
  const undisturbed = await undisturbedRuns(options.seed)
  const plans = plansOf(undisturbed.calls, options)
  const results: RunResult[] = []
  const failures: Failure[] = []
  const carryOut = async (plan: Plan): Promise<boolean> => {
    const expected = undisturbed.states.get(plan.queued)
    const judged: RunOptions = {
      ...(expected === undefined ? {} : { expected }),
      ...(variant === undefined ? {} : { variant }),
    }
    const result = await run(plan, judged)
    results.push(result)
    options.onRun?.(result, plan)
    if (result.problem === undefined) return true
    failures.push(await explained(plan, result, judged))
    return options.first !== true
  }
  for (const plan of plans) if (!(await carryOut(plan))) break
  // What another fault has kept from being met is tried once more, alone and the first time that it comes.
  if (variant === undefined)
    for (const plan of unmet(undisturbed.calls, results, options)) if (!(await carryOut(plan))) break
  return summary(undisturbed.calls, results, failures)
}

async function explained(
  plan: Plan,
  { problem = '', history }: RunResult,
  options: RunOptions,
): Promise<Failure> {
  const short = await shortened(plan, options)
  const again = await run(short, options)
  return again.problem === undefined
    ? { plan, problem, history }
    : { plan: short, problem: again.problem, history: again.history }
}

/** A plan for each kind of call that no process was killed at, before or after. Fewer faults than there are kinds: none. */
function unmet(
  calls: readonly KnownCall[],
  results: readonly RunResult[],
  { faults, seed }: CampaignOptions,
): Plan[] {
  const met = new Set(results.flatMap((result) => result.met).map((one) => `${kindOf(one)} ${one.fault}`))
  const first = new Map(calls.toReversed().map((call) => [kindOf(call), call]))
  const kills = (['kb', 'ka'] as const).flatMap((fault) =>
    [...first.values()].flatMap((call) => (met.has(`${kindOf(call)} ${fault}`) ? [] : [{ ...call, fault }])),
  )
  if (first.size * 2 > faults) return []
  return kills.map(({ phase, kind, nth, fault, queued }) => ({
    seed,
    queued,
    faults: [{ phase, kind, nth, fault }],
  }))
}

function summary(
  calls: readonly Call[],
  results: readonly RunResult[],
  failures: readonly Failure[],
): CampaignReport {
  const met = results.flatMap((result) => result.met)
  const kinds = new Set(calls.map(kindOf))
  const killedAt = (fault: Fault) => new Set(met.filter((one) => one.fault === fault).map(kindOf))
  const [before, after] = [killedAt('kb'), killedAt('ka')]
  const missing = [...kinds].filter((kind) => !before.has(kind) || !after.has(kind))
  const sum = (count: (result: RunResult) => number) =>
    results.reduce((total, result) => total + count(result), 0)
  return {
    faults: countBy(met),
    kills: met.filter(({ fault }) => isKill(fault)).length,
    restarts: sum(({ restarts }) => restarts),
    runs: results.length,
    calls: sum((result) => result.calls.length),
    answers: added(results.map(({ answers }) => answers)),
    lateEffects: sum(({ lateEffects }) => lateEffects),
    kinds: kinds.size,
    killed: kinds.size - missing.length,
    missing,
    failures,
  }
}

function countBy(met: readonly Met[]): Partial<Record<Fault, number>> {
  const counts: Partial<Record<Fault, number>> = {}
  for (const { fault } of met) counts[fault] = (counts[fault] ?? 0) + 1
  return counts
}

export function added(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const part of parts)
    for (const [name, count] of Object.entries(part)) sum[name] = (sum[name] ?? 0) + count
  return sum
}

/** What failed, the faults that are needed for it, and how to see it again. */
export function describeFailure({ plan, problem, history }: Failure): string {
  const phases = plan.faults.map((one) => `${placeOf(one)} (${PHASES[one.phase]?.name}): ${one.fault}`)
  return [
    `${problem}`,
    `faults that are needed: ${phases.join(', ')}`,
    `repeat: npm run chaos -- --repeat ${formatPlan(plan)}`,
    ...history.slice(-60),
  ].join('\n')
}
