/** What a move takes: time at the rate measured, and what Cloudflare bills for it. */
import type { MovePlan } from '../admin-api/contract.ts'
import { formatDuration } from './duration.ts'
import { formatCount } from './output.ts'

/** List prices of Workers Paid in dollars a million, before what the plan includes; as of 2026-11-21. */
const PRICES = { date: '2026-11-21', d1RowsWritten: 1, d1RowsRead: 0.001, kvWrites: 5 } as const

/** Written for a certificate: at the target, and as it is deleted at the source. */
export const ROWS_PER_MOVED = 2
/** Copied, compared on both sides, and found to be deleted; what guards the record looks at the issuer each time. */
export const READS_PER_MOVED = 40
/** As many certificates are in a bundle, about: it is signed, and six rows and a value in KV are written for it. */
const PER_BUNDLE = 500
const ROWS_PER_BUNDLE = 6

/** Where nothing was measured yet: certificates a second, all of it included. */
const ASSUMED_RATE = 2_000

export interface MoveEstimate {
  readonly rows: number
  readonly rowsWritten: number
  readonly rowsRead: number
  readonly kvWrites: number
  readonly dollars: number
  readonly pricesOf: string
  /** Of work, and of waiting for every root in use. */
  readonly seconds: { readonly working: number; readonly waiting: number }
  /** false: assumed. */
  readonly measured: boolean
}

export function estimateMoves({ moves, rowsPerSecond, waitSeconds }: MovePlan): MoveEstimate {
  const rows = moves.reduce((sum, one) => sum + one.rows, 0)
  const bundles = Math.ceil(rows / PER_BUNDLE)
  const rowsWritten = rows * ROWS_PER_MOVED + bundles * ROWS_PER_BUNDLE
  const rowsRead = rows * READS_PER_MOVED
  return {
    rows,
    rowsWritten,
    rowsRead,
    kvWrites: bundles,
    dollars:
      (rowsWritten * PRICES.d1RowsWritten + rowsRead * PRICES.d1RowsRead + bundles * PRICES.kvWrites) / 1e6,
    pricesOf: PRICES.date,
    seconds: { working: rows / (rowsPerSecond ?? ASSUMED_RATE), waiting: moves.length * waitSeconds },
    measured: rowsPerSecond !== null,
  }
}

export function describeMoveEstimate(e: MoveEstimate): string[] {
  return [
    `time: about ${formatDuration(Math.ceil(e.seconds.working))} of work (${e.measured ? 'as measured in the last moves' : 'assumed: there was none yet'}) ` +
      `and ${formatDuration(e.seconds.waiting)} of waiting, and until the bundles are signed`,
    `cost: about $${e.dollars.toFixed(2)}: ${formatCount(e.rowsWritten, 'row')} written to D1, ${formatCount(e.rowsRead, 'row')} read, ` +
      `${formatCount(e.kvWrites, 'write')} to KV (list prices of ${e.pricesOf}, before what the plan includes)`,
  ]
}
