/**
 * Random interleavings for tests: which seeds there are, and what becomes of one that fails. It prints a command that repeats
 * it, is shortened to the steps that matter, and is kept in test/laws/kept-seeds.json, which is run first ever after.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Variant } from './world-isolate.ts'
import { isOperationName } from './world-operations.ts'
import { type Plan, planOf, type RunResult, run, shortened } from './world-run.ts'

const KEPT_FILE = join(import.meta.dirname, '../laws/kept-seeds.json')

export interface KeptPlan extends Plan {
  /** What it once showed. */
  readonly why: string
}

/** EDGE_OCSP_RUNS: how many seeds, from EDGE_OCSP_SEED on. The same ones unless told otherwise. */
export const RUNS = numberOf('EDGE_OCSP_RUNS', 10_000)
export const FIRST_SEED = numberOf('EDGE_OCSP_SEED', 1)

function numberOf(name: string, usual: number): number {
  const value = Number(process.env[name] ?? usual)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name}=${process.env[name]} is no number above 0`)
  return value
}

/** Every `parts`th seed, beginning with the `part`th. */
export function seedsOf(part: number, parts: number): number[] {
  return Array.from({ length: RUNS }, (_, n) => FIRST_SEED + n).filter((_, n) => n % parts === part)
}

export function keptPlans(): KeptPlan[] {
  const entries: unknown = JSON.parse(readFileSync(KEPT_FILE, 'utf8'))
  if (!Array.isArray(entries)) throw new TypeError('kept-seeds.json is not an array')
  return entries.map(keptPlan)
}

function keptPlan(entry: unknown): KeptPlan {
  if (typeof entry !== 'object' || entry === null || !('seed' in entry && 'why' in entry && 'steps' in entry))
    throw new TypeError('an entry of kept-seeds.json wants seed, why and steps')
  const { seed, why, steps } = entry
  if (typeof seed !== 'number' || typeof why !== 'string' || !Array.isArray(steps))
    throw new TypeError('an entry of kept-seeds.json has members of other types')
  const planned = steps.map((step: unknown) => {
    const [operation, dice]: unknown[] = Array.isArray(step) ? step : []
    if (!isOperationName(operation) || typeof dice !== 'number')
      throw new TypeError(`no step of a plan: ${JSON.stringify(step)}`)
    return { operation, dice }
  })
  return { seed, why, steps: planned }
}

/** What a batch of runs did. */
export interface Totals {
  runs: number
  steps: number
  readonly outcomes: Record<string, number>
  readonly asked: Record<string, number>
  readonly answers: Record<string, number>
}

export const noTotals = (): Totals => ({ runs: 0, steps: 0, outcomes: {}, asked: {}, answers: {} })

/** Runs one plan as designed. @throws when a law was broken: with the seed, the steps that matter and what happened */
export async function keepLaws(plan: Plan, totals: Totals, isKept = false): Promise<void> {
  const result = await run(plan)
  totals.runs += 1
  totals.steps += result.failure === undefined ? plan.steps.length : result.failure.step + 1
  add(totals.outcomes, result.outcomes)
  add(totals.asked, result.tally.asked)
  add(totals.answers, result.tally.answers)
  if (result.failure === undefined) return
  const short = await shortened(plan)
  const { failure = result.failure, history } = await run(short)
  if (!isKept) keep(short, failure.problem)
  throw new Error(report(plan, short, failure.problem, history))
}

function report(plan: Plan, short: Plan, problem: string, history: RunResult['history']): string {
  const steps = short.steps.map(({ operation }) => operation).join(', ')
  return [
    `seed ${plan.seed}: ${problem}`,
    `repeat: EDGE_OCSP_SEED=${plan.seed} EDGE_OCSP_RUNS=1 npx vitest run --project laws test/laws/interleavings-1.test.ts`,
    `kept in test/laws/kept-seeds.json: ${short.steps.length} of ${plan.steps.length} steps matter: ${steps}`,
    ...history.slice(-60),
  ].join('\n')
}

function keep(plan: Plan, why: string): void {
  const others = keptPlans().filter(({ seed }) => seed !== plan.seed)
  const entries = [...others, { ...plan, why }].map(({ seed, why, steps }) =>
    [
      '  {',
      `    "seed": ${seed},`,
      `    "why": ${JSON.stringify(why)},`,
      `    "steps": [\n${steps.map(({ operation, dice }) => `      [${JSON.stringify(operation)}, ${dice}]`).join(',\n')}\n    ]`,
      '  }',
    ].join('\n'),
  )
  writeFileSync(KEPT_FILE, `[\n${entries.join(',\n')}\n]\n`)
}

function add(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count
}

/** The first of `runs` random plans that finds a world made with a mistake out. */
export async function foundOut(
  make: () => Variant,
  runs: number,
): Promise<{ seed: number; problem: string } | undefined> {
  for (let seed = 1; seed <= runs; seed += 1) {
    const { failure } = await run(planOf(seed), { variant: make() })
    if (failure !== undefined) return { seed, problem: failure.problem }
  }
  return undefined
}
