/** What the metered Worker (test/support/metered-worker.ts) tells about itself. */

export const METER_PATH = '/cycle/meter'
/** ?algorithm=NAME&count=N: so many bare signatures, one after the other, and nothing else. */
export const BARE_PATH = '/cycle/bare'

/**
 * Where the time between two readings went, a partition of it, in ms: everything between two events belongs to one of them.
 *
 * - `rows`, `record`, `leases`: waiting for D1, for the rows of a slot, for the note that it is built, for all else
 * - `read`, `write`: waiting for KV
 * - `sign`: the signing loop with all around it, from the rows on, and putting the bundle together, its digest included
 * - `check`: from there to the put: the self-check
 * - `rest`: whatever else, waiting between invocations included
 */
export const SPENT = ['rows', 'record', 'leases', 'read', 'write', 'sign', 'check', 'rest'] as const
export type Spent = (typeof SPENT)[number]

export interface MeterReading {
  readonly spent: Readonly<Record<Spent, number>>
  readonly signatures: number
  /** Exchanges with D1, statements in them, and what D1 would bill. */
  readonly queries: number
  readonly statements: number
  readonly rowsRead: number
  readonly rowsWritten: number
  /** KV operations. */
  readonly reads: number
  readonly writes: number
  /** Of bundles alone, and their octets as they stand now, by era. */
  readonly bundleWrites: number
  readonly bundlesByK: Readonly<Record<string, { readonly bundles: number; readonly bytes: number }>>
}

export interface BareSigning {
  readonly count: number
  readonly milliseconds: number
}
