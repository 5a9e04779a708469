/** The model beside what was counted in a run of the real Worker. */

import { nextK } from '../../src/storage/slot-growth.ts'
import { countOf } from './cost.ts'
import { ALGORITHMS } from './figures.ts'
import { bundleBytes, type Geometry } from './geometry.ts'
import type { PlanInput } from './input.ts'
import { type Item, ownItems, type Part, recyclingOf, requestReads, slotWork } from './model.ts'
import type { Observation, StatementCount } from './observation.ts'
import type { Observed, ObservedRun } from './observe.ts'
import type { Meter } from './prices.ts'

/** By how much a count may differ from the model. */
export const TOLERANCE = 0.05

export interface CheckRow {
  readonly name: string
  readonly observed: number
  readonly modelled: number
  /** Of the modelled count. */
  readonly difference: number
  readonly isWithin: boolean
}

export interface Check {
  readonly rows: readonly CheckRow[]
  /** Statements that the model has no place for. */
  readonly unknown: readonly string[]
}

const DAY = 86_400
const PARTS: readonly Part[] = ['record', 'revoke', 'overlay', 'plan', 'build', 'prune']

/** Statements by what they are part of; the first that fits counts. Those of requests are traffic. */
const STATEMENTS: readonly (readonly [RegExp, Part])[] = [
  [/WITH .*plan AS MATERIALIZED/s, 'record'],
  [
    /FROM issuers WHERE name = |hex\(c\.serial\) AS serial.* c\.serial = unhex\(\?3\)|SELECT keep_until FROM changes/s,
    'record',
  ],
  [/certificates\.pruned|prune_from|FROM certificates WHERE|count\(\*\) AS walked/s, 'prune'],
  [
    /work AS MATERIALIZED|count\(\*\) AS due|sum\(s\.entries|k_next IS NOT NULL'?$|(INTO|FROM) runs|UPDATE plan SET planned_ms|slots_planned|json_array_length\(i\.policy/s,
    'plan',
  ],
  [
    /UPDATE slots SET (lease|\s*built_seq)|UPDATE counters|UPDATE plan SET handled|SELECT seq, floor, config_rev|hash BETWEEN|hex\(certificate\)/s,
    'build',
  ],
  [
    /publisher|published|canaries|changes|segment|range_floors|director|issuers_recent|FROM issuers/s,
    'overlay',
  ],
]

export function partOf({ phase, sql }: Pick<StatementCount, 'phase' | 'sql'>): Part | undefined {
  if (phase === 'request') return 'traffic'
  const part = STATEMENTS.find(([pattern]) => pattern.test(sql))?.[1]
  // An issuer is looked up by whoever calls, in the call's own name.
  const isCall = phase === 'record' || phase === 'revoke'
  return isCall && part !== undefined && part !== 'overlay' ? phase : part
}

export function inputOf(run: ObservedRun): PlanInput {
  return {
    certs: run.certificates,
    requests: run.requests,
    validitySeconds: run.validitySeconds,
    lifetimeSeconds: (run.certificates / run.issuedPerDay) * DAY,
    algorithm: ALGORITHMS['P-256'],
    issuedPerDay: run.issuedPerDay,
    revokedPerDay: run.revokedPerDay,
    cacheHit: 0,
    hashes: run.hashes,
    issuers: 1,
    isolates: 1,
    importBatch: run.importBatch,
    queue: run.queue,
    cronSeconds: run.cronSeconds,
  }
}

export function compare(run: ObservedRun, observed: Observed): Check {
  const input = inputOf(run)
  // All were recorded at once: the first doubling went as far as there were certificates.
  const slots = 2 ** nextK(0, run.certificates)
  const period = { days: run.days, settleDays: run.settleDays }
  const recycling = recyclingOf(input, period, run.days)
  const entries = (run.certificates + recycling.spare) / slots
  const geometry: Geometry = {
    slots,
    entries,
    bundleBytes: bundleBytes(entries, run.hashes, input.algorithm, 2),
  }
  const work = slotWork(input, geometry, period, run.days)
  const items = ownItems(input, geometry, work, recycling, period)
  const { observation } = observed
  const unknown = observation.statements.filter((one) => one.phase !== 'setup' && partOf(one) === undefined)
  const rows = [
    row('slots', observed.slots, geometry.slots),
    row('certificates recorded', observed.recorded, input.issuedPerDay * run.days),
    row('certificates recycled', recycledIn(observation), recycling.recycled * run.days),
    row('revocations', observed.revoked, input.revokedPerDay * run.days),
    ...PARTS.flatMap((part) => [
      row(`D1 rows read: ${part}`, rowsOf(observation, part, 'rowsRead'), modelled(items, 'rowsRead', part)),
      row(
        `D1 rows written: ${part}`,
        rowsOf(observation, part, 'rowsWritten'),
        modelled(items, 'rowsWritten', part),
      ),
    ]),
    row('KV writes: bundles', keysOf(observation, 'b', 'writes'), modelled(items, 'kvWrites', 'build')),
    row('KV writes: overlay', keysOf(observation, 'o/', 'writes'), modelled(items, 'kvWrites', 'overlay')),
    row(
      'KV reads: bundles, by builders',
      keysOf(observation, 'b', 'reads'),
      modelled(items, 'kvReads', 'build'),
    ),
    row(
      'KV reads: overlay, by publishers',
      keysOf(observation, 'o/', 'reads'),
      modelled(items, 'kvReads', 'overlay'),
    ),
    row(
      'KV reads: cold requests',
      keysOf(observation, '', 'reads', true),
      requestReads({ misses: run.requests, starts: run.requests, roots: run.requests }),
    ),
    row('signatures', observation.signatures.cron ?? 0, work.signed * geometry.slots * run.days * run.hashes),
    ...(run.queue
      ? [row('queue messages', observation.queueMessages, modelled(items, 'queueOperations', 'plan') / 3)]
      : []),
    row(
      'octets of a bundle',
      bytesOf(observation) / Math.max(1, keysOf(observation, 'b', 'writes')),
      (modelled(items, 'kvGigabytes', 'store') * 1e9) / geometry.slots,
    ),
  ]
  return {
    rows,
    unknown: unknown.map(({ phase, sql }) => `${phase}: ${sql.replace(/\s+/g, ' ').slice(0, 160)}`),
  }
}

function row(name: string, observed: number, expected: number): CheckRow {
  const difference = expected === 0 ? (observed === 0 ? 0 : 1) : (observed - expected) / expected
  return { name, observed, modelled: expected, difference, isWithin: Math.abs(difference) <= TOLERANCE }
}

function modelled(items: readonly Item[], meter: Meter, part: Part): number {
  return countOf(items, meter, (item) => item.part === part)
}

function rowsOf(observation: Observation, part: Part, of: 'rowsRead' | 'rowsWritten'): number {
  return observation.statements
    .filter((one) => one.phase !== 'setup' && partOf(one) === part)
    .reduce((total, one) => total + one[of], 0)
}

/** Rows that RECYCLE of src/storage/certificate-recycling.ts wrote over. */
function recycledIn({ statements }: Observation): number {
  return statements
    .filter(({ phase, sql }) => phase === 'record' && /UPDATE certificates SET hash/.test(sql))
    .reduce((total, { rowsWritten }) => total + rowsWritten, 0)
}

/** Operations on keys that begin so, of requests or of all else. */
function keysOf({ keys }: Observation, kind: string, of: 'reads' | 'writes', byRequests = false): number {
  return keys
    .filter(
      (one) => one.phase !== 'setup' && (one.phase === 'request') === byRequests && one.kind.startsWith(kind),
    )
    .reduce((total, one) => total + one[of], 0)
}

function bytesOf({ keys }: Observation): number {
  return keys
    .filter(({ kind, phase }) => kind === 'b' && phase === 'cron')
    .reduce((total, one) => total + one.bytesWritten, 0)
}

export function printCheck({ rows, unknown }: Check): string {
  const number = (value: number) => Math.round(value).toLocaleString('en-US').padStart(14)
  const lines = rows.map(
    ({ name, observed, modelled: expected, difference, isWithin }) =>
      `${name.padEnd(34)}${number(observed)}${number(expected)}${`${(difference * 100).toFixed(1)} %`.padStart(12)}${isWithin ? '' : '  too far'}`,
  )
  const head = `${'counted in the run'.padEnd(34)}${'observed'.padStart(14)}${'modelled'.padStart(14)}${'difference'.padStart(12)}`
  return [head, ...lines, ...unknown.map((one) => `not in the model: ${one}`)]
    .map((one) => `${one}\n`)
    .join('')
}
