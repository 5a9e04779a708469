/**
 * Operations of a deployment, by item: what is counted, where it comes from, how often a month. Three ways to answer for the same
 * certificates: bundles (this project), one KV value per response, and signing on demand. Pure: nothing here reads or prints.
 */

import { BULK_ROWS } from '../../src/storage/certificate-plan.ts'
import {
  ADVANCING,
  AUDIT_ROW_BYTES,
  BUILDING,
  CERTIFICATE_ROW_BYTES,
  CPU,
  FANNING_OUT,
  GROWTH,
  GROWTH_RUNS,
  ISOLATE_HOURS,
  ITEM_BYTES,
  ITEMS_LOOKED_AT,
  LIVE_STATUS,
  MESSAGE_SIGNATURES,
  MESSAGE_SLOTS,
  NOT_ADVANCING,
  OVERLAY_PRUNING,
  OVERLAY_UPKEEP,
  PAGE_FILL,
  PRUNE_RUNS,
  PRUNED,
  PRUNING,
  PUBLISHING,
  QUEUE_OPERATIONS,
  RECORDING,
  RECYCLING,
  REVOKING,
  ROOT_SECONDS,
  type Rows,
  RUN_RECORD,
  RUNS_LOOKED_AT,
  SEGMENT_ITEM,
  SEGMENT_VALUE_BYTES,
  SEGMENTS_MERGED,
  SIGNING_READ,
  SURVEY,
  TAIL_ITEM,
  TAIL_LIMIT,
  WALKED_ROWS,
} from './figures.ts'
import { bundleBytes, type Geometry, geometryOf, responseBytes } from './geometry.ts'
import type { PlanInput } from './input.ts'
import type { Meter } from './prices.ts'
import { type Recycling, walkRecycling } from './recycling.ts'
import { type SlotWork, walkSlots } from './slot-walk.ts'

const DAY = 86_400
const MINUTE = 60
const GIGA = 1e9
export const MONTH_DAYS = 30.44
/** A change stays in the overlay for the longest validity and an hour (ADD_ITEMS of src/storage/certificate-plan.ts). */
const OVERLAY_EXTRA_SECONDS = 3_600

export type WayName = 'bundles' | 'oneKey' | 'onDemand'

/** Which part of the work an item belongs to. */
export type Part = 'record' | 'revoke' | 'overlay' | 'plan' | 'build' | 'prune' | 'store' | 'traffic'

export interface Item {
  readonly meter: Meter
  readonly part: Part
  /** A month; of what is stored, at a time. */
  readonly count: number
}

export interface Model {
  readonly geometry: Geometry
  readonly work: SlotWork
  readonly recycling: Recycling
  readonly ways: Readonly<Record<WayName, readonly Item[]>>
}

/** What is asked of the model apart from a price list: the same for a month and for the days of an observed run. */
export interface Period {
  readonly days: number
  /** Of the slot walk: 400 for a deployment that has run for long. */
  readonly settleDays: number
}

const MONTH: Period = { days: MONTH_DAYS, settleDays: 400 }
/** Events that a walk may take, over all of its slots: a second of work. */
const WALK_EVENTS = 400_000
const WALK_DAYS = 60

export function modelOf(input: PlanInput): Model {
  const recycling = recyclingOf(input, MONTH, WALK_DAYS)
  const { issuers, hashes, algorithm } = input
  // What is past its retention is in bundles too, until its row is gone.
  const geometry = geometryOf(input.certs + recycling.spare, issuers, hashes, algorithm)
  const work = slotWork(input, geometry, MONTH, WALK_DAYS)
  return {
    geometry,
    work,
    recycling,
    ways: {
      bundles: [
        ...ownItems(input, geometry, work, recycling, MONTH),
        ...bundleTraffic(input, work, geometry),
      ],
      oneKey: oneKey(input, recycling),
      onDemand: onDemand(input, recycling),
    },
  }
}

export function recyclingOf(input: PlanInput, { settleDays }: Period, days: number): Recycling {
  const { certs, issuers, issuedPerDay, importBatch, cronSeconds } = input
  return walkRecycling({
    ...{ certs, issuers, recordedPerDay: issuedPerDay, endedPerDay: endsPerDay(input) },
    ...{ batch: importBatch, cronSeconds, settleDays, days },
  })
}

export function slotWork(
  input: PlanInput,
  { slots, entries }: Geometry,
  { settleDays }: Period,
  days: number,
): SlotWork {
  const addedPerDay = input.issuedPerDay / slots
  const revokedPerDay = input.revokedPerDay / slots
  const events = (2 + addedPerDay + revokedPerDay) * (settleDays + days)
  return walkSlots({
    entries,
    addedPerDay,
    revokedPerDay,
    validitySeconds: input.validitySeconds,
    cronSeconds: input.cronSeconds,
    settleDays,
    days,
    sample: Math.max(4, Math.min(64, Math.floor(WALK_EVENTS / events))),
  })
}

/** Bundles, but for requests. */
export function ownItems(
  input: PlanInput,
  geometry: Geometry,
  work: SlotWork,
  recycling: Recycling,
  { days }: Period,
): readonly Item[] {
  const { issuers, hashes, algorithm } = input
  const { slots, entries } = geometry
  const runs = (days * DAY) / input.cronSeconds
  const issued = input.issuedPerDay * days
  const revoked = input.revokedPerDay * days
  const builds = work.builds * slots * days
  const signed = work.signed * slots * days * hashes
  // Rows of the same slot in one call write it once.
  const calls = issued / input.importBatch
  const touched = calls * distinctOf(slots, input.importBatch)
  const marks = Math.min(touched, work.marks * slots * days)

  const publishes = runs + revoked
  const { tail, kept, merged } = overlayOf(input)
  const values = segmentValuesPerDay(input) * days
  const changing = Math.min(runs, calls) + revoked

  const planned = input.queue ? builds : 0
  const dueScans = runs * (input.queue ? 1 : 2) // without a queue: also the count of what is left
  const growthScans = runs * (input.queue ? shareOf(GROWTH_RUNS, input.cronSeconds) : 1)
  const pruningRuns = runs * shareOf(PRUNE_RUNS, input.cronSeconds)
  const messages = input.queue ? messagesOf(builds / runs, entries * hashes * algorithm.cost) * runs : 0

  const deleted = recycling.pruned * days
  const recycled = recycling.recycled * days
  const looking = recycling.looking * days
  // Each batch of messages is a run of a job of its own; a batch is about a message.
  const jobs = runs + messages
  const records = input.certs + recycling.spare
  const walked = runs * walkedOf(records)

  const rows = {
    record: sum([
      [calls, RECORDING.call],
      [issued, RECORDING.row],
      [touched, RECORDING.slot],
      [marks, RECORDING.mark],
      ...(input.importBatch >= BULK_ROWS ? ([[calls, RECYCLING.call]] as const) : []),
      [looking, RECYCLING.looking],
      [recycling.lookedAt * days, RECYCLING.lookedAt],
      [recycled, RECYCLING.recycled],
      [recyclingCalls(looking / input.importBatch, recycled), RECYCLING.recyclingCall],
    ]),
    revoke: sum([[revoked, REVOKING]]),
    overlay: sum([
      [publishes, PUBLISHING],
      [changing, ADVANCING],
      [publishes - changing, NOT_ADVANCING],
      [publishes * tail, TAIL_ITEM],
      [runs, OVERLAY_UPKEEP.run],
      [runs * tail, OVERLAY_UPKEEP.item],
      [pruningRuns, OVERLAY_PRUNING],
      [Math.min(pruningRuns, revoked) * Math.min(ITEMS_LOOKED_AT, kept), PRUNED.lookedAt],
      [revoked, PRUNED.item],
      [merged * days, SEGMENT_ITEM],
    ]),
    plan: sum([
      [dueScans, SURVEY.run],
      [dueScans * slots, SURVEY.slot],
      [builds, SURVEY.due],
      [growthScans, GROWTH.run],
      [growthScans * slots, GROWTH.slot],
      [jobs, RUN_RECORD],
      [jobs * RUNS_LOOKED_AT * (input.queue ? 2 : 1), { read: 1, written: 0 }],
      [busyRuns(runs, builds), SIGNING_READ],
      ...(input.queue ? ([[runs, FANNING_OUT.run]] as const) : []),
    ]),
    build: sum([
      [builds, BUILDING.build],
      [builds * entries, BUILDING.row],
      [input.queue ? messages : busyRuns(runs, builds), BUILDING.issuer],
      [planned, FANNING_OUT.slot],
      [messages, FANNING_OUT.message],
    ]),
    prune: sum([
      [runs * Math.min(issuers, 20), PRUNING.run],
      [walked, PRUNING.walked],
      [deleted, PRUNING.deleted],
      [deletingRuns(runs, deleted, records), PRUNING.deletingRun],
    ]),
  } as const

  const cpu = cpuOf(input, geometry, work, days)
  return [
    ...rowItems(rows),
    { meter: 'kvWrites', part: 'overlay', count: publishes + values },
    { meter: 'kvWrites', part: 'build', count: builds },
    { meter: 'kvReads', part: 'overlay', count: publishes },
    { meter: 'kvReads', part: 'build', count: builds },
    {
      meter: 'kvGigabytes',
      part: 'store',
      count: (slots * bundleBytes(entries, hashes, algorithm, work.windows)) / GIGA,
    },
    { meter: 'd1Gigabytes', part: 'store', count: databaseGigabytes(input, recycling) },
    { meter: 'requests', part: 'record', count: calls },
    { meter: 'requests', part: 'revoke', count: revoked },
    { meter: 'requests', part: 'plan', count: runs + messages },
    { meter: 'queueOperations', part: 'plan', count: messages * QUEUE_OPERATIONS },
    { meter: 'cpuMs', part: 'record', count: issued * CPU.recorded },
    { meter: 'cpuMs', part: 'overlay', count: publishes * tail * CPU.rootItem },
    { meter: 'cpuMs', part: 'build', count: cpu.checking + (signed * algorithm.signMs) / CPU.signingShare },
  ]
}

/** Requests, answered from bundles. */
function bundleTraffic(input: PlanInput, work: SlotWork, { entries }: Geometry): readonly Item[] {
  const { requests, isolates, algorithm } = input
  const misses = requests * (1 - input.cacheHit)
  // Recorded, and in no bundle yet: signed for now, and kept in the data centre's cache.
  const live = misses * Math.min(1, work.waiting / entries)
  const starts = Math.min(requests, (isolates * MONTH_DAYS * 24) / ISOLATE_HOURS)
  const roots = Math.min(requests, (isolates * MONTH_DAYS * DAY) / ROOT_SECONDS + starts)
  // Of the segments each data centre reads what is new; the rest stands in its cache.
  const segments = isolates * segmentValuesPerDay(input) * MONTH_DAYS
  const reads = requestReads({ misses, starts, roots }) + segments
  return [
    { meter: 'requests', part: 'traffic', count: requests },
    { meter: 'kvReads', part: 'traffic', count: reads },
    { meter: 'rowsRead', part: 'traffic', count: live * LIVE_STATUS.read },
    {
      meter: 'cpuMs',
      part: 'traffic',
      count:
        (requests - misses) * CPU.memory +
        (misses - live) * CPU.bundle +
        live * (CPU.live + algorithm.signMs),
    },
  ]
}

/** KV reads: a bundle each time that nothing nearer has it, the root, and at the start of an isolate its issuer's page. */
export function requestReads(of: { misses: number; starts: number; roots: number }): number {
  return of.misses + of.roots + of.starts
}

/** One KV value for each response, written anew at half of the validity; no slots, no overlay. */
function oneKey(input: PlanInput, recycling: Recycling): readonly Item[] {
  const { hashes, algorithm, requests } = input
  const certs = input.certs + recycling.spare
  const cycles = (MONTH_DAYS * DAY) / (input.validitySeconds / 2)
  const issued = input.issuedPerDay * MONTH_DAYS
  const revoked = input.revokedPerDay * MONTH_DAYS
  const signed = (certs * cycles + issued + revoked) * hashes
  const misses = requests * (1 - input.cacheHit)
  return [
    ...recordItems(input, recycling),
    { meter: 'rowsRead', part: 'build', count: certs * cycles + issued + revoked },
    { meter: 'kvWrites', part: 'build', count: signed },
    { meter: 'kvGigabytes', part: 'store', count: (certs * hashes * responseBytes(algorithm)) / GIGA },
    { meter: 'cpuMs', part: 'build', count: signed * (algorithm.signMs / CPU.signingShare + CPU.check) },
    { meter: 'requests', part: 'traffic', count: requests },
    { meter: 'kvReads', part: 'traffic', count: misses },
    { meter: 'cpuMs', part: 'traffic', count: requests * CPU.memory },
  ]
}

/** Status in D1, a signature for each request that no cache answers. */
function onDemand(input: PlanInput, recycling: Recycling): readonly Item[] {
  const { requests, algorithm } = input
  const misses = requests * (1 - input.cacheHit)
  return [
    ...recordItems(input, recycling),
    { meter: 'requests', part: 'traffic', count: requests },
    { meter: 'rowsRead', part: 'traffic', count: misses * LIVE_STATUS.read },
    {
      meter: 'cpuMs',
      part: 'traffic',
      count: (requests - misses) * CPU.memory + misses * (CPU.live + algorithm.signMs),
    },
  ]
}

/** The record as any way needs it: each certificate written once, over one that ended or not, each revocation with its audit. */
function recordItems(input: PlanInput, recycling: Recycling): readonly Item[] {
  const issued = input.issuedPerDay * MONTH_DAYS
  const revoked = input.revokedPerDay * MONTH_DAYS
  const deleted = recycling.pruned * MONTH_DAYS
  const lookedAt = recycling.lookedAt * MONTH_DAYS
  const runs = (MONTH_DAYS * DAY) / input.cronSeconds
  return [
    { meter: 'rowsRead', part: 'record', count: issued + lookedAt },
    { meter: 'rowsRead', part: 'revoke', count: revoked },
    { meter: 'rowsRead', part: 'prune', count: runs * walkedOf(input.certs + recycling.spare) + deleted },
    { meter: 'rowsWritten', part: 'record', count: issued },
    { meter: 'rowsWritten', part: 'revoke', count: revoked * 3 },
    { meter: 'rowsWritten', part: 'prune', count: deleted },
    { meter: 'd1Gigabytes', part: 'store', count: databaseGigabytes(input, recycling) },
    { meter: 'requests', part: 'record', count: issued / input.importBatch },
    { meter: 'requests', part: 'revoke', count: revoked },
    { meter: 'cpuMs', part: 'record', count: issued * CPU.recorded },
  ]
}

/** What is checked in each build: every response of it, kept or new. */
function cpuOf(input: PlanInput, { slots, entries }: Geometry, work: SlotWork, days: number) {
  return { checking: work.builds * slots * days * entries * input.hashes * CPU.check }
}

/** With the audit of a year. */
export function databaseGigabytes(input: PlanInput, { spare }: Recycling): number {
  const certificates = ((input.certs + spare) * CERTIFICATE_ROW_BYTES) / PAGE_FILL
  const audit = input.revokedPerDay * 365 * AUDIT_ROW_BYTES
  return (certificates + audit) / GIGA
}

/** Certificates whose end comes, a day: as many as are recorded, once the first have lived their life. */
export function endsPerDay({ certs, issuedPerDay, lifetimeSeconds }: PlanInput): number {
  return Math.min(issuedPerDay, certs / (lifetimeSeconds / DAY))
}

/** Items of the overlay: kept at all, in the tail that each publishing reads, and written into segments a day. */
export function overlayOf(input: PlanInput): { kept: number; tail: number; merged: number } {
  const kept = input.revokedPerDay * ((input.validitySeconds + OVERLAY_EXTRA_SECONDS) / DAY)
  if (kept <= TAIL_LIMIT) return { kept, tail: kept, merged: 0 }
  const merges = input.revokedPerDay / TAIL_LIMIT / SEGMENTS_MERGED
  return { kept, tail: TAIL_LIMIT / 2, merged: input.revokedPerDay + merges * kept }
}

/** Values that segments are written into. */
function segmentValuesPerDay(input: PlanInput): number {
  return (overlayOf(input).merged * ITEM_BYTES) / SEGMENT_VALUE_BYTES
}

/** How many different ones of `slots` so many certificates fall into. */
function distinctOf(slots: number, certificates: number): number {
  return slots * (1 - (1 - 1 / slots) ** certificates)
}

/** Runs that have something to do: it comes about evenly. */
function busyRuns(runs: number, events: number): number {
  return Math.min(runs, events)
}

/** Rows that a run of pruning looks at: the last stretch of a walk through all is what is left. */
function walkedOf(certs: number): number {
  return certs / (Math.floor(certs / WALKED_ROWS) + 1)
}

/** Calls that find something, of so many that look. */
function recyclingCalls(calls: number, recycled: number): number {
  return calls === 0 ? 0 : calls * (1 - Math.exp(-recycled / calls))
}

/** Runs whose stretch has something to delete. The last stretch of a walk is too short for it. */
function deletingRuns(runs: number, deleted: number, certs: number): number {
  const stretches = Math.floor(certs / WALKED_ROWS)
  if (stretches === 0) return Math.min(runs, deleted)
  const walking = (runs * stretches) / (stretches + 1)
  return walking * (1 - Math.exp(-deleted / walking))
}

/** Of the runs, those whose minute is a multiple of so many. */
function shareOf(every: number, cronSeconds: number): number {
  let [a, b] = [every, Math.max(1, Math.round(cronSeconds / MINUTE))]
  while (b > 0) [a, b] = [b, a % b]
  return a / every
}

/** Messages of a run: one when anything is due, and the last is half full. @param cost of one slot in units of a P-256 signature */
function messagesOf(slotsDue: number, cost: number): number {
  const inOne = Math.max(1, Math.min(MESSAGE_SLOTS, Math.ceil(MESSAGE_SIGNATURES / cost)))
  return Math.max(Math.min(1, slotsDue), slotsDue / inOne + (inOne === 1 ? 0 : 0.5) * Math.min(1, slotsDue))
}

function sum(parts: readonly (readonly [number, Rows])[]): Rows {
  return {
    read: parts.reduce((total, [count, { read }]) => total + count * read, 0),
    written: parts.reduce((total, [count, { written }]) => total + count * written, 0),
  }
}

function rowItems(rows: Readonly<Partial<Record<Part, Rows>>>): readonly Item[] {
  const parts: readonly Part[] = ['record', 'revoke', 'overlay', 'plan', 'build', 'prune']
  return parts.flatMap((part): Item[] => {
    const of = rows[part]
    if (of === undefined) return []
    return [
      { meter: 'rowsRead', part, count: of.read },
      { meter: 'rowsWritten', part, count: of.written },
    ]
  })
}
