/** What a run says, for people. */
import type { Row } from './contest.ts'
import { describe, type Judged, leastProcessor } from './figures.ts'
import type { SelfTime } from './profile.ts'

/** Above it, the load generator may have been the limit. */
const BUSY = 0.9
/** Functions of a profile that are printed. */
const TOP = 12

export interface Profiled {
  readonly row: string
  readonly top: readonly SelfTime[]
  /** The whole profile, for a browser's developer tools. */
  readonly file: string
}

export interface Report {
  readonly startedAt: string
  readonly seconds: number
  readonly quick: boolean
  /** Of one measurement. */
  readonly secondsOfOne: number
  readonly machine: {
    readonly processor: string
    readonly cores: number
    /** What was pinned where. */
    readonly pinned: string
    readonly node: string
    readonly loadGenerator: string
    /** One-minute load average before and after. */
    readonly load: readonly [before: number, after: number]
  }
  readonly certificates: number
  readonly versions: Readonly<Record<string, string>>
  readonly absent: readonly { readonly peer: string; readonly reason: string }[]
  readonly rows: readonly Row[]
  readonly targets: readonly Judged[]
  readonly profiles: readonly Profiled[]
}

export function table(rows: readonly Row[]): string {
  const heads = [
    'responder',
    'answers from',
    'connections',
    'method',
    'per second',
    'p50 ms',
    'p99 ms',
    'us each',
  ]
  const lines = [
    [...heads, 'server', 'load', ''],
    ...rows.map(({ responder, from, connections, method, rounds, best, void: why }) => {
      const names = [responder, from, connections, method]
      if (best === undefined) return [...names, '-', '-', '-', '-', '-', '-', `void: ${why ?? ''}`]
      const { perSecond, p50, p99, serverShare, loadShare } = best
      const processor = leastProcessor(rounds)
      const figures = [
        perSecond.toFixed(0),
        p50.toFixed(2),
        p99.toFixed(2),
        micros(processor),
        percent(serverShare),
      ]
      return [...names, ...figures, percent(loadShare), loadShare > BUSY ? 'limited by the load' : '']
    }),
  ]
  const widths = heads
    .concat('server', 'load')
    .map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const pad = (cell: string, column: number) =>
    column < 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n')
}

export function text({ rows, targets, absent, profiles, machine, quick, versions }: Report): string {
  const [before, after] = machine.load
  const lines = [
    table(rows),
    '',
    ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`),
    ...absent.map(({ peer, reason }) => `left out: ${peer}: ${reason}`),
    `${machine.pinned}; load by ${machine.loadGenerator}`,
    '',
    ...targets.map(describe),
  ]
  for (const { row, top, file } of profiles) {
    lines.push('', `where the time goes: ${row} (${file})`)
    for (const { name, share } of top.slice(0, TOP)) lines.push(`  ${percent(share).padStart(4)}  ${name}`)
  }
  if (quick) lines.push('', 'a quick run: its figures are rough')
  if (Math.max(before, after) > machine.cores)
    lines.push(
      '',
      `the machine was busy (load ${before.toFixed(1)} and ${after.toFixed(1)} on ${machine.cores} cores)`,
    )
  return lines.join('\n')
}

function micros(time: number): string {
  return Number.isFinite(time) ? time.toFixed(0) : '-'
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(0)}%` : '-'
}
