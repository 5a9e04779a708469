/** The state of several databases as one: of those that answer, and what is the matter between them. */

import type { DatabaseState, FanOutState, Globals, IssuerState } from '../ports/admin-store.ts'
import { least } from '../ports/least.ts'
import type { Asked } from './asked.ts'
import { unreached } from './asked.ts'
import { findPartFaults } from './part-faults.ts'

/** @throws ShardError when none answers */
export function mergeGlobals({ answers, faults }: Asked<Globals>): Globals {
  if (answers.length === 0) throw unreached(faults)
  const all = answers.map(({ value }) => value)
  const sumOf = (count: (globals: Globals) => number) => all.reduce((sum, one) => sum + count(one), 0)
  const publishers = all.map(({ publisher }) => publisher).sort((a, b) => a.publishedAtMs - b.publishedAtMs)
  const parts = answers.flatMap(({ value }) => value.issuers)
  const rates = all.flatMap(({ signing }) => signing ?? [])
  const databases: DatabaseState[] = [
    ...answers.map(({ shard: { database }, value: { schema, slotsDue, publisher } }) => ({
      ...{ database, schema, slotsDue, publisher },
    })),
    ...faults.map(({ shard: { database }, error: { reason } }) => ({
      ...{ database, fault: reason, schema: true, slotsDue: 0, publisher: { version: 0, publishedAtMs: 0 } },
    })),
  ]
  return {
    schema: all.every(({ schema }) => schema),
    issuers: [...Map.groupBy(parts, ({ id }) => id).values()].map(mergeIssuer).sort((a, b) => a.id - b.id),
    slotsDue: sumOf(({ slotsDue }) => slotsDue),
    slotsFailing: sumOf(({ slotsFailing }) => slotsFailing),
    oldestThisUpdate: least(all.map(({ oldestThisUpdate }) => oldestThisUpdate)),
    nearestNextUpdate: least(all.map(({ nearestNextUpdate }) => nearestNextUpdate)),
    overlayItems: sumOf(({ overlayItems }) => overlayItems),
    overlaySegments: sumOf(({ overlaySegments }) => overlaySegments),
    overlaySegmentItems: sumOf(({ overlaySegmentItems }) => overlaySegmentItems),
    publisher: publishers[0] ?? { version: 0, publishedAtMs: 0 },
    lastRuns: answers.flatMap(({ shard: { database }, value }) =>
      value.lastRuns.map((run) => ({ ...run, database })),
    ),
    counters: added(all.map(({ counters }) => counters)),
    ...(rates.length === 0 ? undefined : { signing: added(rates) }),
    fanOut: mergeFanOut(all.flatMap(({ fanOut }) => fanOut ?? [])),
    databases: databases.sort((a, b) => a.database - b.database),
    // What one that is away has, nobody knows.
    faults: findPartFaults(parts, faults.length === 0),
  }
}

/** @param parts of one issuer, at least one, the lowest database first */
function mergeIssuer(parts: readonly IssuerState[]): IssuerState {
  const [lowest] = parts
  if (lowest === undefined) throw new RangeError('an issuer without parts')
  const sumOf = (count: (state: IssuerState) => number) => parts.reduce((sum, one) => sum + count(one), 0)
  // Sequences of different databases do not compare: the one whose oldest change waits to be published says that there is one.
  const [late = lowest] = parts
    .filter(({ head, published }) => head > published)
    .sort((a, b) => a.head - b.head)
  const { ski: _, configuration: __, ...state } = lowest
  return {
    ...state,
    head: late.head,
    published: late.published,
    frozen: parts.some(({ frozen }) => frozen),
    k: Math.max(...parts.map(({ k }) => k)),
    kNext: parts.find(({ kNext }) => kNext !== undefined)?.kNext,
    slots: sumOf(({ slots }) => slots),
    slotsDue: sumOf(({ slotsDue }) => slotsDue),
    slotsFailing: sumOf(({ slotsFailing }) => slotsFailing),
    entries: sumOf(({ entries }) => entries),
    added: sumOf((one) => one.added),
    responderNotAfter: least(parts.map(({ responderNotAfter }) => responderNotAfter)),
    oldestThisUpdate: least(parts.map(({ oldestThisUpdate }) => oldestThisUpdate)),
    nearestNextUpdate: least(parts.map(({ nearestNextUpdate }) => nearestNextUpdate)),
    parts: parts.flatMap((one) => one.parts ?? []),
  }
}

function mergeFanOut([first, ...others]: readonly FanOutState[]): FanOutState | undefined {
  if (first === undefined) return undefined
  const merged = { ...first }
  for (const other of others) {
    for (const name of ['waiting', 'building', 'due', 'planned', 'messages'] as const)
      merged[name] += other[name]
    for (const name of ['plannedMs', 'lostMs', 'refusedMs', 'handledMs', 'deadMs'] as const)
      merged[name] = Math.max(merged[name], other[name])
  }
  return merged
}

function added<K extends string>(all: readonly Readonly<Record<K, number>>[]): Record<K, number>
function added(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const one of all)
    for (const [name, value] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + value
  return sums
}
