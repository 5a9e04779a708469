/** List prices of Cloudflare, with their dates. Who has a contract has other ones: this is the place to put them in. */

/** What is billed. Units are single operations, rows, milliseconds and gigabytes. */
export type Meter =
  | 'requests'
  | 'cpuMs'
  | 'kvReads'
  | 'kvWrites'
  | 'kvGigabytes'
  | 'rowsRead'
  | 'rowsWritten'
  | 'd1Gigabytes'
  | 'queueOperations'

export interface Price {
  readonly meter: Meter
  readonly name: string
  /** So many are in the plan each month. */
  readonly included: number
  /** For `per` of them beyond. */
  readonly dollars: number
  readonly per: number
  readonly source: string
  /** Of the source. */
  readonly date: string
}

const MILLION = 1_000_000
const WORKERS = 'developers.cloudflare.com/workers/platform/pricing'
const KV = 'developers.cloudflare.com/kv/platform/pricing'
const D1 = 'developers.cloudflare.com/d1/platform/pricing'
const QUEUES = 'developers.cloudflare.com/queues/platform/pricing'
/** When the pages were read. */
const READ = '2026-11-21'

/** Workers Paid, a month. */
export const PLAN_DOLLARS = 5

export const PRICES: readonly Price[] = [
  {
    meter: 'requests',
    name: 'Workers requests',
    included: 10 * MILLION,
    dollars: 0.3,
    per: MILLION,
    source: WORKERS,
    date: READ,
  },
  {
    meter: 'cpuMs',
    name: 'Workers CPU, ms',
    included: 30 * MILLION,
    dollars: 0.02,
    per: MILLION,
    source: WORKERS,
    date: READ,
  },
  {
    meter: 'kvReads',
    name: 'KV reads',
    included: 10 * MILLION,
    dollars: 0.5,
    per: MILLION,
    source: KV,
    date: READ,
  },
  {
    meter: 'kvWrites',
    name: 'KV writes',
    included: MILLION,
    dollars: 5,
    per: MILLION,
    source: KV,
    date: READ,
  },
  {
    meter: 'kvGigabytes',
    name: 'KV storage, GB',
    included: 1,
    dollars: 0.5,
    per: 1,
    source: KV,
    date: READ,
  },
  {
    meter: 'rowsRead',
    name: 'D1 rows read',
    included: 25_000 * MILLION,
    dollars: 0.001,
    per: MILLION,
    source: D1,
    date: READ,
  },
  {
    meter: 'rowsWritten',
    name: 'D1 rows written',
    included: 50 * MILLION,
    dollars: 1,
    per: MILLION,
    source: D1,
    date: READ,
  },
  {
    meter: 'd1Gigabytes',
    name: 'D1 storage, GB',
    included: 5,
    dollars: 0.75,
    per: 1,
    source: D1,
    date: READ,
  },
  {
    meter: 'queueOperations',
    name: 'Queues operations',
    included: MILLION,
    dollars: 0.4,
    per: MILLION,
    source: QUEUES,
    date: READ,
  },
]

export function priceOf(meter: Meter): Price {
  const price = PRICES.find((one) => one.meter === meter)
  if (price === undefined) throw new Error(`no price for ${meter}`)
  return price
}

/** Dollars for so many, what is included taken off. */
export function dollarsFor(meter: Meter, count: number): number {
  const { included, dollars, per } = priceOf(meter)
  return (Math.max(0, count - included) / per) * dollars
}
