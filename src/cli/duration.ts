/** Durations as operators write them: 90s, 4m, 16h, 7d, 2w. */
import { usageError } from './exit.ts'

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Ten years: longer is a slip of the finger. */
const MAX_DURATION_SECONDS = 10 * 366 * 86_400

/**
 * @param text a whole number and one unit: s, m (minutes), h, d, w
 * @param what the option it was given for, e.g. "--validity"
 * @returns seconds, at least 1
 * @throws CLIError (usage)
 */
export function parseDuration(text: string, what: string): number {
  const match = /^\s*(\d{1,9})\s*([smhdw])\s*$/i.exec(text)
  const unit = UNIT_SECONDS[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) {
    throw usageError(
      `${what}: "${text}" is not a duration`,
      'Write a whole number and a unit: 90s, 4m (minutes), 16h, 7d or 2w.',
    )
  }
  const seconds = Number(match[1]) * unit
  if (seconds < 1) throw usageError(`${what}: "${text}" is no time at all`, 'The shortest duration is 1s.')
  if (seconds > MAX_DURATION_SECONDS) {
    throw usageError(
      `${what}: "${text}" is longer than ten years`,
      'Check the unit: m is minutes, d is days.',
    )
  }
  return seconds
}

/** Seconds as people read them, at most two units: "7d", "3h 59m", "45s". */
export function formatDuration(seconds: number): string {
  if (seconds < 0) return `-${formatDuration(-seconds)}`
  const whole = Math.floor(seconds)
  const parts: string[] = []
  let rest = whole
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.length === 0 ? '0s' : parts.join(' ')
}

/**
 * A point in time from the command line: RFC 3339 (2026-11-21T03:00:00Z), a date, or Unix seconds.
 * @returns Unix seconds
 * @throws CLIError (usage)
 */
export function parseTime(text: string, what: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  const shape = /^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2}))?$/.test(text)
  const milliseconds = shape ? Date.parse(text.replace(' ', 'T')) : Number.NaN
  if (Number.isNaN(milliseconds)) {
    throw usageError(
      `${what}: "${text}" is not a time`,
      'Write 2026-11-21T03:00:00Z (with Z or an offset such as +01:00), 2026-11-21 or Unix seconds.',
    )
  }
  return Math.floor(milliseconds / 1000)
}

/** Unix seconds -> 2026-11-21T03:00:00Z */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
