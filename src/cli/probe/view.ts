/** A round for people; with --json the same as one value for a monitor. */
import { formatDuration, formatTime } from '../duration.ts'
import { formatCount } from '../output.ts'
import type { ProbeResult } from './round.ts'

export interface RoundView {
  readonly url: string
  readonly checkedAt: string
  readonly ok: boolean
  readonly errors: number
  readonly warnings: number
  /** Probes without any answer. */
  readonly unanswered: number
  /** Of the slowest answer. */
  readonly maxMilliseconds?: number
  /** Seconds until the first nextUpdate of a canary. */
  readonly minRemaining?: number
  readonly probes: readonly ProbeResult[]
}

export function viewRound(url: string, now: number, probes: readonly ProbeResult[]): RoundView {
  const findings = probes.flatMap((probe) => probe.findings)
  const errors = findings.filter(({ level }) => level === 'error').length
  const latencies = probes.flatMap(({ milliseconds }) => milliseconds ?? [])
  const remaining = probes.flatMap((probe) => (probe.expected === 'never' ? [] : (probe.remaining ?? [])))
  return {
    url,
    checkedAt: formatTime(now),
    ok: errors === 0,
    errors,
    warnings: findings.length - errors,
    unanswered: probes.filter(({ isAnswered }) => !isAnswered).length,
    ...(latencies.length === 0 ? {} : { maxMilliseconds: Math.max(...latencies) }),
    ...(remaining.length === 0 ? {} : { minRemaining: Math.min(...remaining) }),
    probes,
  }
}

export function formatRound(view: RoundView): string[] {
  const { url, errors, warnings, probes, maxMilliseconds, minRemaining } = view
  const parts = [
    formatCount(probes.length, 'probe'),
    formatCount(errors, 'error'),
    formatCount(warnings, 'warning'),
    ...(maxMilliseconds === undefined ? [] : [`slowest ${maxMilliseconds} ms`]),
    ...(minRemaining === undefined ? [] : [`${formatDuration(minRemaining)} left at least`]),
  ]
  return [...probes.flatMap(formatProbe), `${url}: ${parts.join(', ')}`]
}

function formatProbe(probe: ProbeResult): string[] {
  const { expected, serial, method, hash, path, certStatus, responseStatus, milliseconds, findings } = probe
  const isWrong = findings.some(({ level }) => level === 'error')
  const mark = isWrong ? 'FAIL' : findings.length > 0 ? 'warn' : 'ok'
  const how = `${method}${path === 'raw' ? ' raw path' : ''} ${hash}`
  const said = certStatus ?? responseStatus ?? (milliseconds === undefined ? 'no answer' : 'no response')
  const time = milliseconds === undefined ? '' : `, ${milliseconds} ms`
  const left = probe.remaining === undefined ? '' : `, ${formatDuration(probe.remaining)} left`
  return [
    `${mark.padEnd(4)} ${expected} ${serial} ${how}: ${said}${time}${left}`,
    ...findings.map(({ id, level, message }) => `     ${level} ${id}: ${message}`),
  ]
}
