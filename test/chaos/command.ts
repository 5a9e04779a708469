/** `npm run chaos`: see HELP. Exit code 0 when nothing was wrong, 1 on a violation, 2 for wrong usage. */
import { parseArgs } from 'node:util'
import { type CampaignReport, campaign, describeFailure } from './campaign.ts'
import { FAULTS, faultNames, type Plan, parsePlan } from './plan.ts'
import { type RealReport, realChaos } from './real.ts'
import { run, undisturbedRun } from './run.ts'

const HELP = `usage: npm run chaos -- [--kills N] [--real M] [--seed S]
       npm run chaos -- --repeat PLAN
  --kills N      faults at the calls of D1, KV, cache, queue and signer of a process in memory; default 200, 0 for none
  --real M       SIGKILLs of a whole "edge-ocsp dev"; default 20, 0 for none
  --seed S       of every choice; default 1
  --repeat PLAN  one run again, as a failure has printed it, with everything that happens in it
example: npm run chaos -- --kills 2000 --real 0 --seed 7`

interface Options {
  readonly kills: number
  readonly real: number
  readonly seed: number
  readonly repeat: Plan | undefined
}

/** @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    const isHelp = options === ''
    ;(isHelp ? process.stdout : process.stderr).write(`${isHelp ? '' : `${options}\n`}${HELP}\n`)
    return isHelp ? 0 : 2
  }
  if (options.repeat !== undefined) return repeat(options.repeat)
  const inProcess = options.kills === 0 ? true : await runInProcess(options)
  const real = options.real === 0 ? true : await runReal(options)
  return inProcess && real ? 0 : 1
}

/** @returns what is wrong with them; '' for help */
function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        kills: { type: 'string', default: '200' },
        real: { type: 'string', default: '20' },
        seed: { type: 'string', default: '1' },
        repeat: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return ''
    return {
      kills: count('kills', values.kills),
      real: count('real', values.real),
      seed: count('seed', values.seed),
      repeat: values.repeat === undefined ? undefined : parsePlan(values.repeat),
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`--${name} ${text} is not a number from 0`)
  return value
}

async function repeat(plan: Plan): Promise<number> {
  const { state } = await undisturbedRun(plan.seed, plan.queued)
  const { problem, history } = await run(plan, { expected: state })
  print([...history, '', problem ?? 'nothing was wrong'])
  return problem === undefined ? 0 : 1
}

async function runInProcess({ kills, seed }: Options): Promise<boolean> {
  let done = 0
  const report = await campaign({
    faults: kills,
    seed,
    onRun(result) {
      done += result.met.length
      if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${kills} faults`)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r')
  print(summaryOf(report, seed))
  return report.failures.length === 0
}

function summaryOf(report: CampaignReport, seed: number): string[] {
  const met = faultNames().map((name) => `  ${FAULTS[name]}: ${report.faults[name] ?? 0}`)
  return [
    `In one process, seed ${seed}: ${report.kills} kills and ${total(report.faults) - report.kills} other faults in ${report.runs} runs, each compared with an undisturbed one`,
    ...met,
    `  restarts: ${report.restarts}; effects of zombies and of calls given up: ${report.lateEffects}`,
    `  calls of ports: ${report.calls}; kinds of them: ${report.kinds}, killed before and after: ${report.killed}`,
    ...report.missing.map((kind) => `    not killed there: ${kind}`),
    `  answers checked: ${list(report.answers)}`,
    `  violations: ${report.failures.length}`,
    ...report.failures.map((failure) => `\n${describeFailure(failure)}`),
  ]
}

async function runReal({ real, seed }: Options): Promise<boolean> {
  const onEvent = process.stderr.isTTY ? (line: string) => process.stderr.write(`${line}\n`) : undefined
  const report = await realChaos({ kills: real, seed, ...(onEvent === undefined ? {} : { onEvent }) })
  print(realSummaryOf(report, seed, real))
  return report.violations.length === 0
}

function realSummaryOf(report: RealReport, seed: number, asked: number): string[] {
  return [
    `Real processes, seed ${seed}: ${report.kills} SIGKILLs of the whole group, ${report.killsDuringStart} of them during a start; compared with an undisturbed server`,
    `  restarts: ${report.restarts}`,
    `  calls acknowledged: ${report.operations}; cut off and made again: ${report.repeated}; acknowledged before they were published: ${report.unpublished}`,
    `  answers checked: ${list(report.answers)} about ${report.certificates} certificates`,
    `  violations: ${report.violations.length}`,
    ...(report.violations.length === 0
      ? []
      : [
          ...report.violations,
          '',
          ...report.trail,
          `repeat: npm run chaos -- --kills 0 --real ${asked} --seed ${seed}`,
        ]),
  ]
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0)
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, value]) => `${value} ${name}`)
    .join(', ')
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
