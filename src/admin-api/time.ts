/** Times as the admin API writes and reads them. */

const RFC3339 = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i
/** 9999-12-31T23:59:59Z, the last second that GeneralizedTime can name. */
export const LAST_SECOND = 253_402_300_799

/**
 * @param text RFC 3339 date-time; a fraction of a second is cut off
 * @returns Unix seconds, or undefined when it is not one or lies outside 1970..9999
 */
export function parseTime(text: string): number | undefined {
  const day = RFC3339.exec(text)?.[1]
  if (day === undefined || !isDay(day)) return undefined
  const seconds = Math.floor(Date.parse(text.toUpperCase()) / 1000)
  return seconds >= 0 && seconds <= LAST_SECOND ? seconds : undefined
}

/** Date.parse makes the 2nd of March of the 30th of February. */
function isDay(day: string): boolean {
  const midnight = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day)
}

/** @param seconds Unix seconds. @returns RFC 3339 in UTC, whole seconds, e.g. `2026-11-21T03:00:00Z` */
export function formatTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
}
