/** What revoking many takes: time at the rates measured, and what Cloudflare bills for it. */
import type { Issuer, MassRuns, Status } from '../admin-api/contract.ts'
import { formatDuration } from './duration.ts'
import { formatCount } from './output.ts'

/** List prices of Workers Paid in dollars a million, before what the plan includes; as of 2026-11-21. */
const PRICES = { date: '2026-11-21', d1RowsWritten: 1, d1RowsRead: 0.001, kvWrites: 5 } as const

/** Rows written for a revocation: the certificate, its overlay item and that one's index, its line in the audit. */
export const ROWS_PER_REVOCATION = 4
/** The item once more, when the last old answer has ended and it is deleted. */
export const ROWS_LATER = 1
/** The plan is read by each statement of a transaction. */
export const READS_PER_REVOCATION = 30
/** For a certificate that a query walks past, the dry run and the look at the end included. */
const READS_PER_WALKED = 17
/** Octets kept in D1: the audit for ever, the overlay item for a while. */
export const OCTETS_PER_REVOCATION = 300
/** For a bundle: mark, plan, lease, record, and the counters of what was signed. */
const ROWS_PER_BUNDLE = 6
/** For a transaction of up to 2,000 rows: sequence and position, the run and its time, the audit's numbering. */
const REVOCATIONS_PER_TRANSACTION = 2_000
const ROWS_PER_TRANSACTION = 6

/** Where nothing was measured yet. */
const ASSUMED = { revocationsPerSecond: 5_000, bundlesPerSecond: 5 } as const

export interface Estimate {
  readonly revocations: number
  /** Bundles that become due. */
  readonly bundles: number
  readonly rowsWritten: number
  /** When the overlay no longer needs them. */
  readonly rowsDeletedLater: number
  readonly rowsRead: number
  readonly kvWrites: number
  readonly octets: number
  /** Without the requests and what the plan includes. */
  readonly dollars: number
  readonly pricesOf: string
  readonly seconds: { readonly revoking: number; readonly signing: number }
  /** false: assumed. */
  readonly measured: { readonly revoking: boolean; readonly signing: boolean }
}

export function estimate(
  counts: { readonly revocations: number; readonly bundles: number; readonly walked: number },
  issuer: Pick<Issuer, 'responders'>,
  rate: MassRuns['revocationsPerSecond'],
  signing: Status['signing'],
): Estimate {
  const { revocations, bundles, walked } = counts
  const active = issuer.responders.filter(({ state }) => state === 'active' || state === 'standby')
  const variants = Math.max(1, new Set(active.map(({ algorithm }) => algorithm)).size)
  const transactions = Math.ceil(revocations / REVOCATIONS_PER_TRANSACTION)
  const rowsWritten =
    revocations * ROWS_PER_REVOCATION + transactions * ROWS_PER_TRANSACTION + bundles * ROWS_PER_BUNDLE
  const rowsDeletedLater = revocations * ROWS_LATER
  const rowsRead = revocations * READS_PER_REVOCATION + walked * READS_PER_WALKED
  const kvWrites = bundles * variants
  const millionths =
    (rowsWritten + rowsDeletedLater) * PRICES.d1RowsWritten +
    rowsRead * PRICES.d1RowsRead +
    kvWrites * PRICES.kvWrites
  const bundlesPerSecond = signing?.bundlesPerSecond || ASSUMED.bundlesPerSecond
  return {
    revocations,
    bundles,
    rowsWritten,
    rowsDeletedLater,
    rowsRead,
    kvWrites,
    octets: revocations * OCTETS_PER_REVOCATION,
    dollars: Math.ceil(millionths / 10_000) / 100,
    pricesOf: PRICES.date,
    seconds: {
      revoking: Math.ceil(revocations / (rate ?? ASSUMED.revocationsPerSecond)),
      signing: Math.ceil(bundles / bundlesPerSecond),
    },
    measured: { revoking: rate !== null, signing: signing !== null && signing.bundlesPerSecond > 0 },
  }
}

export function describeEstimate(e: Estimate): string[] {
  if (e.revocations === 0) return []
  const source = (isMeasured: boolean) =>
    isMeasured ? 'as measured in the last runs' : 'assumed: none ran yet'
  return [
    `due to be signed: ${formatCount(e.bundles, 'bundle')}`,
    `time: about ${formatDuration(e.seconds.revoking)} to revoke (${source(e.measured.revoking)}), ` +
      `then about ${formatDuration(e.seconds.signing)} of signing (${source(e.measured.signing)}); ` +
      'answers are right before that, signed one by one',
    `cost: about $${e.dollars.toFixed(2)}: ${formatCount(e.rowsWritten, 'row')} written to D1 and ` +
      `${formatCount(e.rowsDeletedLater, 'row')} deleted later, ${formatCount(e.rowsRead, 'row')} read, ` +
      `${formatCount(e.kvWrites, 'write')} to KV ` +
      `(list prices of ${e.pricesOf}, before what the plan includes); ` +
      `${Math.ceil(e.octets / 1_000_000)} MB of D1`,
  ]
}
