/** Measures all contestants in turns. A row that answers wrongly once is void, and the others go on. */
import type { Exchange } from '../load.ts'
import { best, leastProcessor, mustBeSound, type Outcome, type Round, type Seen, turns } from './figures.ts'

export interface Names {
  readonly responder: string
  /** Where its answers come from. */
  readonly from: string
  readonly connections: 'kept' | 'one each'
  readonly method: 'GET' | 'POST'
}

export interface Contestant extends Names {
  readonly port: number
  /** Microseconds of processor time used so far. */
  processorTime(): number
  /** What to ask next, in turn. @throws Error when there is nothing left */
  exchanges(): readonly Exchange[]
  /** So many of them were asked. */
  asked(count: number): void
  /** Of an answer taken from the load. @throws Error unless it is a true one */
  check(der: Uint8Array): void
  /** Before each measurement. */
  prepare?(): Promise<void>
  /** After each measurement. @throws Error when the answers came from elsewhere than the row says */
  settle?(): Promise<void>
  /** At the end of each measurement, also of one that failed. */
  rest?(): Promise<void>
}

/** What a load generator reports. */
export interface Load extends Seen {
  /** Seconds. */
  readonly duration: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Processor seconds of the generator. */
  readonly processor: number
  /** Some of the answers, spread over the whole time. */
  readonly samples: readonly Uint8Array[]
}

export interface LoadOptions {
  readonly port: number
  readonly exchanges: readonly Exchange[]
  readonly seconds: number
  /** Ask for a connection each. */
  readonly close: boolean
}

export interface ContestOptions {
  readonly rounds: number
  readonly seconds: number
  readonly load: (options: LoadOptions) => Promise<Load>
  readonly progress: (text: string) => void
}

export interface Row extends Names {
  readonly name: string
  readonly rounds: readonly Round[]
  /** The best round. */
  readonly best?: Round
  /** Why there is none. */
  readonly void?: string
  /** Answers that were decoded and verified. */
  readonly checked: number
}

const WARM_UP_SECONDS = 1

export function nameOf({ responder, from, connections, method }: Names): string {
  return `${responder}, ${from}, ${method}${connections === 'kept' ? '' : ', one connection each'}`
}

export async function contest(contestants: readonly Contestant[], options: ContestOptions): Promise<Row[]> {
  const { rounds, seconds, progress } = options
  const states = contestants.map((contestant) => ({
    contestant,
    rounds: [] as Round[],
    checked: 0,
    problem: undefined as string | undefined,
  }))
  for (let round = -1; round < rounds; round++) {
    progress(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`)
    for (const i of turns(contestants.length, Math.max(0, round))) {
      const state = states[i]
      if (state === undefined || state.problem !== undefined) continue
      try {
        const { measured, checked } = await measure(
          state.contestant,
          round < 0 ? WARM_UP_SECONDS : seconds,
          options,
        )
        state.checked += checked
        if (round >= 0) state.rounds.push(measured)
      } catch (error) {
        state.problem = error instanceof Error ? error.message : String(error)
        progress(`void: ${nameOf(state.contestant)}: ${state.problem}`)
      }
    }
  }
  return states.map(({ contestant, rounds: measured, checked, problem }): Row => {
    const { responder, from, connections, method } = contestant
    const top = problem === undefined ? best(measured) : undefined
    return {
      name: nameOf(contestant),
      responder,
      from,
      connections,
      method,
      rounds: measured,
      checked,
      ...(top === undefined ? { void: problem ?? 'nothing was measured' } : { best: top }),
    }
  })
}

export function outcomesOf(rows: readonly Row[]): Map<string, Outcome> {
  return new Map(
    rows.map(({ name, rounds, best: top, void: missing }) => [
      name,
      top === undefined
        ? { missing: `void: ${missing ?? 'nothing was measured'}` }
        : { best: top, processor: leastProcessor(rounds) },
    ]),
  )
}

async function measure(
  contestant: Contestant,
  seconds: number,
  options: ContestOptions,
): Promise<{ measured: Round; checked: number }> {
  try {
    await contestant.prepare?.()
    return await measureOnce(contestant, seconds, options)
  } finally {
    await contestant.rest?.()
  }
}

async function measureOnce(
  contestant: Contestant,
  seconds: number,
  { load }: ContestOptions,
): Promise<{ measured: Round; checked: number }> {
  const { port, connections } = contestant
  const exchanges = contestant.exchanges()
  const before = contestant.processorTime()
  const seen = await load({ port, exchanges, seconds, close: connections === 'one each' })
  const used = contestant.processorTime() - before
  contestant.asked(seen.answers)
  mustBeSound(seen)
  if (seen.samples.length === 0) throw new Error('there is no answer to check')
  for (const der of seen.samples) contestant.check(der)
  await contestant.settle?.()
  const { answers, duration, p50, p99, processor } = seen
  return {
    measured: {
      perSecond: answers / duration,
      p50,
      p99,
      processor: used / answers,
      serverShare: used / 1e6 / duration,
      loadShare: processor / duration,
    },
    checked: seen.samples.length,
  }
}
