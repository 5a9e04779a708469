/** What a deployment needs of the platform's limits. */
import { countOf } from './cost.ts'
import type { PlanInput } from './input.ts'
import { databaseGigabytes, MONTH_DAYS, type Model, overlayOf } from './model.ts'

const DAY = 86_400
/** A database of D1 (developers.cloudflare.com/d1/platform/limits, 2026-11-21). */
export const DATABASE_GIGABYTES = 10
/** A bundle from D1, with a read and a write of KV: wall time in which little is computed. An estimate. */
const BUILD_WAIT_SECONDS = 0.5
/** src/overlay/root-layout.ts. */
const ROOT_HEADER_BYTES = 48
const ROOT_ISSUER_BYTES = 64
const ROOT_ITEM_BYTES = 16

export interface Capacity {
  readonly slots: number
  readonly certificatesInSlot: number
  readonly bundleBytes: number
  readonly buildsPerSecond: number
  readonly signaturesPerSecond: number
  /** Builders at work at the same time, on average. */
  readonly builders: number
  readonly kvOperationsPerSecond: number
  readonly databaseGigabytes: number
  /** Databases that are needed. */
  readonly databases: number
  readonly overlayItems: number
  readonly rootBytes: number
  /** Certificates that no bundle has yet. */
  readonly waiting: number
  readonly requestsPerSecond: number
}

export function capacityOf(input: PlanInput, { geometry, work, recycling, ways }: Model): Capacity {
  const { slots, entries, bundleBytes } = geometry
  const buildsPerSecond = (work.builds * slots) / DAY
  const signaturesPerSecond = (work.signed * slots * input.hashes) / DAY
  const month = MONTH_DAYS * DAY
  const cpuMs = countOf(ways.bundles, 'cpuMs', ({ part }) => part === 'build')
  const kv = countOf(ways.bundles, 'kvReads') + countOf(ways.bundles, 'kvWrites')
  const gigabytes = databaseGigabytes(input, recycling)
  const { kept, tail } = overlayOf(input)
  return {
    slots,
    certificatesInSlot: entries,
    bundleBytes,
    buildsPerSecond,
    signaturesPerSecond,
    builders: cpuMs / 1_000 / month + buildsPerSecond * BUILD_WAIT_SECONDS,
    kvOperationsPerSecond: kv / month,
    databaseGigabytes: gigabytes,
    databases: Math.max(1, Math.ceil(gigabytes / DATABASE_GIGABYTES)),
    overlayItems: kept,
    rootBytes: ROOT_HEADER_BYTES + input.issuers * ROOT_ISSUER_BYTES + tail * ROOT_ITEM_BYTES,
    waiting: work.waiting * slots,
    requestsPerSecond: input.requests / month,
  }
}
