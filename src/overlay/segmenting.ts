/**
 * Moves the tail of the overlay out of the root into segments. Always a function of the record; values first, then the record
 * names them in one transaction that counts only for whoever began last, then a root does. Whatever dies in between leaves
 * values that nobody names.
 */
import type { Clock, DerivedStore } from '../ports/ports.ts'
import type { ChangeRange, SegmentedIssuer, SegmentStore, SegmentSurvey } from '../ports/segment-store.ts'
import { SegmentWriter } from './segment.ts'

export interface SegmentLimits {
  /** The tail is cut when it has so many items. */
  readonly tail: number
  /** The tail of one issuer that becomes a filter: a mass event. */
  readonly massTail: number
  /** The changes of one issuer in segments of items that become a filter. */
  readonly massLive: number
  /** So many segments of items are written together as one; of one issuer so many filters. */
  readonly segments: number
  readonly filters: number
}

export const SEGMENT_LIMITS: SegmentLimits = {
  tail: 2_000,
  massTail: 20_000,
  massLive: 250_000,
  segments: 8,
  filters: 4,
}

export interface SegmentingPorts {
  readonly store: SegmentStore
  readonly derived: Pick<DerivedStore, 'writePage'>
  readonly clock: Clock
  /** uint32: the seed of the hashes. */
  readonly random: () => number
}

/** What is to be written next. */
export interface SegmentStep {
  readonly kind: 'items' | 'filter'
  /** Of a filter. */
  readonly issuer: number | undefined
  readonly ranges: readonly (ChangeRange & { readonly count: number })[]
  readonly replaces: readonly number[]
  readonly keepUntil: SegmentedIssuer['keepUntil']
  /** Segments of items hold much of what the filter takes over. */
  readonly stale: boolean
}

/** Above what any run takes; who dies holds the next one up by no more. What counts is who began last. */
const LEASE_MS = 300_000
/** Of one call. */
const MAX_STEPS = 32
/** Values written at the same time: an invocation has six connections. */
const WRITES_AT_ONCE = 5
/** Clocks of those who recorded changes may be ahead of ours by this much. */
const SKEW_SECONDS = 3_600
/** KV drops a value this long after nothing in it matters any more: roots of a moment ago still name it. */
const KEEP_SECONDS = 3_600

/** @returns undefined: nothing is to be done */
export function planSegment(survey: SegmentSurvey, limits: SegmentLimits): SegmentStep | undefined {
  return planFilter(survey, limits) ?? planItems(survey, limits)
}

function planFilter({ issuers, segments }: SegmentSurvey, limits: SegmentLimits): SegmentStep | undefined {
  for (const one of issuers) {
    const filters = segments.filter(({ issuer }) => issuer === one.issuer)
    const isMass = one.tail > limits.massTail || one.live > limits.massLive
    const isStale = filters.some(({ stale }) => stale)
    if (!isMass && !isStale) continue
    const anew = isStale || filters.length >= limits.filters
    const known = anew ? filters.reduce((sum, { count }) => sum + count, 0) : 0
    const { issuer, head, filtered, live } = one
    return {
      kind: 'filter',
      issuer,
      ranges: [{ issuer, from: anew ? 0 : filtered, to: head, count: known + live }],
      replaces: anew ? filters.map(({ version }) => version) : [],
      keepUntil: one.keepUntil + SKEW_SECONDS,
      stale: live - one.tail > limits.tail,
    }
  }
  return undefined
}

function planItems({ issuers, segments }: SegmentSurvey, limits: SegmentLimits): SegmentStep | undefined {
  const standing = segments.filter(({ kind }) => kind === 'items')
  const tail = issuers.reduce((sum, one) => sum + one.tail, 0)
  const isStale = standing.some(({ stale }) => stale)
  if (tail < limits.tail && !isStale) return undefined
  const merge = isStale || standing.length >= limits.segments
  const rangeOf = ({ issuer, head, segmented, filtered, live, tail: own }: SegmentedIssuer) => ({
    issuer,
    from: merge ? filtered : segmented,
    to: head,
    count: merge ? live : own,
  })
  const ranges = issuers.map(rangeOf).filter(({ count }) => count > 0)
  return {
    kind: 'items',
    issuer: undefined,
    ranges,
    replaces: merge ? standing.map(({ version }) => version) : [],
    keepUntil: Math.max(0, ...issuers.map(({ keepUntil }) => keepUntil)) + SKEW_SECONDS,
    stale: false,
  }
}

/**
 * Cuts, merges and rewrites what is due.
 * @returns how many segments now stand that did not before; a root that names them is still to be published
 * @throws StorageError
 */
export async function segmentTail(ports: SegmentingPorts, limits = SEGMENT_LIMITS): Promise<number> {
  let made = 0
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const now = Math.floor(ports.clock.nowMs() / 1000)
    if (planSegment(await ports.store.survey(now, { live: false }), limits) === undefined) break
    const begun = await ports.store.begin(ports.clock.nowMs(), LEASE_MS)
    if (begun === undefined) break // somebody is at it
    const plan = planSegment(begun.survey, limits)
    const done =
      plan === undefined ? await settle(ports, begun.version) : await write(ports, begun.version, plan)
    if (plan === undefined || !done) break
    made += 1
  }
  return made
}

/** Floors look at all slots of an issuer that has a filter, and bundles built so long ago are in KV everywhere. */
const TIDY_EVERY_MINUTES = 10
const SETTLED_SECONDS = 600

/** What the cron does once a minute, before it publishes. @throws StorageError */
export async function tendSegments(ports: SegmentingPorts, limits = SEGMENT_LIMITS): Promise<void> {
  await segmentTail(ports, limits)
  const nowMs = ports.clock.nowMs()
  if (Math.floor(nowMs / 60_000) % TIDY_EVERY_MINUTES === 0)
    await ports.store.raiseFloors(nowMs, Math.floor(nowMs / 1000) - SETTLED_SECONDS)
}

/** Nothing to do after all: the next one need not wait. */
function settle(ports: SegmentingPorts, version: number): Promise<boolean> {
  return ports.store.commit(version, { segment: undefined, replaces: [], ranges: [], stale: false })
}

async function write(ports: SegmentingPorts, version: number, plan: SegmentStep): Promise<boolean> {
  const expected = plan.ranges.reduce((sum, { count }) => sum + count, 0)
  const writer = new SegmentWriter(plan.kind, version, ports.random(), expected)
  for await (const changes of ports.store.readChanges(plan.ranges))
    for (const { issuer, serial, seq } of changes) writer.add(issuer, serial, seq)
  const { count, lastSeq } = writer
  let writing: Promise<void>[] = []
  const expiration = plan.keepUntil + KEEP_SECONDS
  for (const { name, bytes } of count === 0 ? [] : writer.pages()) {
    writing.push(ports.derived.writePage(name, bytes, expiration))
    if (writing.length < WRITES_AT_ONCE) continue
    await Promise.all(writing)
    writing = []
  }
  await Promise.all(writing)
  const { bits, probes, seed } = writer.segment
  const { kind, issuer, keepUntil, replaces, ranges, stale } = plan
  const isNothing = count === 0 && replaces.length === 0
  return ports.store.commit(version, {
    segment: isNothing ? undefined : { version, kind, bits, probes, issuer, seed, count, lastSeq, keepUntil },
    replaces,
    ranges,
    stale,
  })
}
