/** Durations as operators write them: 90s, 4m, 16h, 7d, 2w, 10y. */
import { usageError } from './exit.ts'

/** 365.25 days: what is kept for so many years is kept long enough. */
export const YEAR_SECONDS = 31_557_600

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: YEAR_SECONDS,
}

/** Longer is a slip of the finger. */
const MAX_YEARS = 10

/**
 * @param text a whole number and one unit: s, m (minutes), h, d, w, y (365.25 days)
 * @param what the option it was given for, e.g. "--validity"
 * @param maxYears what is longer is refused
 * @returns seconds, at least 1
 * @throws CLIError (usage)
 */
export function parseDuration(text: string, what: string, maxYears = MAX_YEARS): number {
  const match = /^\s*(\d{1,10})\s*([smhdwy])\s*$/i.exec(text)
  const unit = UNIT_SECONDS[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) {
    throw usageError(
      `${what}: "${text}" is not a duration`,
      'Write a whole number and a unit: 90s, 4m (minutes), 16h, 7d, 2w or 10y.',
    )
  }
  const seconds = Number(match[1]) * unit
  if (seconds < 1) throw usageError(`${what}: "${text}" is no time at all`, 'The shortest duration is 1s.')
  if (seconds > maxYears * YEAR_SECONDS) {
    throw usageError(
      `${what}: "${text}" is longer than ${maxYears} years`,
      'Check the unit: m is minutes, d is days.',
    )
  }
  return seconds
}

/** Seconds as people read them, at most two units: "10y", "7d", "3h 59m", "45s". */
export function formatDuration(seconds: number): string {
  if (seconds < 0) return `-${formatDuration(-seconds)}`
  const whole = Math.floor(seconds)
  const parts: string[] = []
  let rest = whole
  for (const [unit, size] of [
    ['y', YEAR_SECONDS],
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
  // 1973 to 2286. Fewer or more digits are a date without its dashes (20261121, 202611210300).
  if (/^\d{9,10}$/.test(text)) return Number(text)
  const shape =
    /^\d{4}-\d{2}-\d{2}([Tt ]([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2}))?$/.test(text)
  const milliseconds = shape && isDay(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN
  if (Number.isNaN(milliseconds)) {
    throw usageError(
      `${what}: "${text}" is not a time`,
      'Write 2026-11-21T03:00:00Z (with Z or an offset such as +01:00), 2026-11-21 or Unix seconds.',
    )
  }
  return Math.floor(milliseconds / 1000)
}

/** Date.parse makes the 3rd of March of the 31st of February. */
function isDay(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day)
}

/** Unix seconds -> 2026-11-21T03:00:00Z */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
