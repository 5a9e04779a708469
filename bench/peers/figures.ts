/** The arithmetic of the contest: rounds, percentiles, targets. No clock and no process in here. */

/** One measurement under load. */
export interface Round {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of processor time that the server used for an answer; NaN where the system does not tell. */
  readonly processor: number
  /** Share of one core that the server used in all. */
  readonly serverShare: number
  /** The same of the load generator: near 1 it was the limit, and not the server. */
  readonly loadShare: number
}

/** The round with the most answers a second, with its own percentiles. */
export function best(rounds: readonly Round[]): Round | undefined {
  return rounds.reduce<Round | undefined>(
    (top, round) => (top === undefined || round.perSecond > top.perSecond ? round : top),
    undefined,
  )
}

/** The least processor time for an answer: the steadier figure when others are at work on the machine. */
export function leastProcessor(rounds: readonly Round[]): number {
  return rounds.length === 0 ? Number.NaN : Math.min(...rounds.map(({ processor }) => processor))
}

/**
 * Nearest rank: the least value that at least this share of all are not above.
 * @param ascending sorted
 * @param share in (0, 1]
 * @returns NaN of nothing
 */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const rank = Math.max(1, Math.ceil(ascending.length * share))
  return ascending[rank - 1] ?? Number.NaN
}

/**
 * Who is measured when in a round: in turns, so that a slow moment of the machine does not hit one alone; every other round
 * goes the other way around, because who comes later finds a warmer machine.
 * @param round from 0
 * @returns indices
 */
export function turns(contestants: number, round: number): number[] {
  const order = Array.from({ length: contestants }, (_, i) => i)
  return round % 2 === 0 ? order : order.reverse()
}

/** What a load generator saw besides times. */
export interface Seen {
  readonly answers: number
  /** Answers with another status than 200. */
  readonly not200: number
  /** Connections that broke, and answers that did not come. */
  readonly broken: number
}

/** @throws Error when a figure made of this would say something about answers that were none */
export function mustBeSound({ answers, not200, broken }: Seen): void {
  if (not200 > 0) throw new Error(`${not200} of ${answers} answers were not 200`)
  if (broken > 0) throw new Error(`${broken} exchanges broke`)
  if (answers === 0) throw new Error('there was no answer')
}

/** That one row is to reach so many times another. */
export interface Target {
  readonly what: string
  readonly ours: string
  readonly theirs: string
  readonly wanted: number
  /** Row of the least that any Worker does for such an answer: what could be reached at all. */
  readonly least?: string
}

/** Of a row: its best round and its least processor time, or why there is none. */
export type Outcome = { readonly best: Round; readonly processor: number } | { readonly missing: string }

export interface Judged extends Target {
  readonly verdict: 'reached' | 'not reached' | 'not measured'
  /** Of answers a second. */
  readonly ratio?: number
  /** The same by processor time: how many times ours could answer in the time that the other one uses. */
  readonly byProcessor?: number
  /** The ratio that the least Worker has. */
  readonly leastRatio?: number
  readonly why?: string
}

export function judge(target: Target, outcomes: ReadonlyMap<string, Outcome>): Judged {
  const [ours, theirs] = [outcomes.get(target.ours), outcomes.get(target.theirs)]
  for (const [name, outcome] of [
    [target.ours, ours],
    [target.theirs, theirs],
  ] as const) {
    if (outcome === undefined) return { ...target, verdict: 'not measured', why: `no row "${name}"` }
    if ('missing' in outcome)
      return { ...target, verdict: 'not measured', why: `${name}: ${outcome.missing}` }
  }
  if (ours === undefined || theirs === undefined || 'missing' in ours || 'missing' in theirs)
    return { ...target, verdict: 'not measured' }
  const ratio = ours.best.perSecond / theirs.best.perSecond
  const byProcessor = theirs.processor / ours.processor
  const least = outcomes.get(target.least ?? '')
  return {
    ...target,
    verdict: ratio >= target.wanted ? 'reached' : 'not reached',
    ratio,
    byProcessor,
    ...(least !== undefined &&
      'best' in least && { leastRatio: least.best.perSecond / theirs.best.perSecond }),
  }
}

/** Two decimals, cut and not rounded: 0.799 is not 0.80. */
export function describe(judged: Judged): string {
  const { what, verdict, ratio, byProcessor = Number.NaN, leastRatio, wanted, why } = judged
  const cut = (value: number) => (Math.floor(value * 100 + 1e-9) / 100).toFixed(2)
  if (ratio === undefined) return `${what}: not measured (${why ?? 'no figure'}), wanted ${cut(wanted)}`
  const processor = Number.isFinite(byProcessor) ? ` (by processor time ${cut(byProcessor)})` : ''
  const least = leastRatio === undefined ? '' : `; the least Worker: ${cut(leastRatio)}`
  return `${what}: ${verdict}: ${cut(ratio)}, wanted ${cut(wanted)}${processor}${least}`
}
