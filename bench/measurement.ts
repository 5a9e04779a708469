/** What a benchmark row says, and whether that is good enough. */

/** Of the value, in its unit. */
export interface Limit {
  readonly relation: '<=' | '>='
  readonly value: number
}

export interface Measurement {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** None: the row informs. */
  readonly limit?: Limit
  /** Numbers behind the value. */
  readonly detail?: string
}

/** `void`: what was measured gave wrong answers or none, so its number means nothing. */
export type Verdict = 'pass' | 'fail' | 'info' | 'void'

export interface Row extends Measurement {
  readonly verdict: Verdict
}

export const atMost = (value: number): Limit => ({ relation: '<=', value })
export const atLeast = (value: number): Limit => ({ relation: '>=', value })

export function judge(measurement: Measurement): Row {
  return { ...measurement, verdict: verdictOf(measurement) }
}

/** A group of rows that could not be measured, or measured something wrong. */
export function voidRow(name: string, error: unknown): Row {
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return { name, value: Number.NaN, unit: '', detail, verdict: 'void' }
}

function verdictOf({ value, limit }: Measurement): Verdict {
  if (!Number.isFinite(value)) return 'void'
  if (limit === undefined) return 'info'
  return (limit.relation === '<=' ? value <= limit.value : value >= limit.value) ? 'pass' : 'fail'
}

export interface Contestant {
  readonly name: string
  /** One measurement. */
  readonly measure: () => Promise<number>
}

/**
 * Measures in turns, so that a slow moment of the machine does not hit one contestant alone; every other round goes the
 * other way around, because the second of a pair finds a warmer machine.
 * @returns measurements of each contestant, in the order given
 */
export async function interleave(contestants: readonly Contestant[], rounds: number): Promise<number[][]> {
  const results = contestants.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...contestants.keys()]
    if (round % 2 === 1) order.reverse()
    for (const i of order) {
      const value = await contestants[i]?.measure()
      if (value !== undefined) results[i]?.push(value)
    }
  }
  return results
}

/** Three significant digits. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 6))
}
