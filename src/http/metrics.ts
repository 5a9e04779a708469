/**
 * Prometheus text format 0.0.4 of what D1 knows of the whole deployment (R8.4). What one isolate happens to have seen is no
 * metric: it stands in the log. No client address and no serial number ever appears.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { DatabaseState, Globals, IssuerState, RunRecord } from '../ports/admin-store.ts'
import type { Canary } from '../ports/canary-store.ts'
import { databaseName } from '../ports/part-store.ts'

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** One metric: HELP, TYPE, samples. Empty when there is nothing to say. */
function metric(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    return `edge_ocsp_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
  })
  return `# HELP edge_ocsp_${name} ${help}\n# TYPE edge_ocsp_${name} ${type}\n${lines.join('\n')}\n`
}

function escapeLabel(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
}

/** Sequences are milliseconds * 1000, so the head tells when the last change was made. */
function unpublishedSeconds(state: IssuerState, nowMs: number): number {
  return state.head <= state.published ? 0 : Math.max(0, (nowMs - Math.floor(state.head / 1000)) / 1000)
}

/** Series of more issuers than this would be some MB a scrape. */
const MAX_ISSUERS = 500

/** Those that something is the matter with come first; then those whose responses end first. */
function shownIssuers({ issuers }: Globals): readonly IssuerState[] {
  if (issuers.length <= MAX_ISSUERS) return issuers
  const isOdd = ({ frozen, slotsFailing, slotsDue, head, published }: IssuerState) =>
    frozen || slotsFailing > 0 ? 2 : slotsDue > 0 || head > published ? 1 : 0
  const end = ({ nearestNextUpdate }: IssuerState) => nearestNextUpdate ?? Number.MAX_SAFE_INTEGER
  return issuers.toSorted((a, b) => isOdd(b) - isOdd(a) || end(a) - end(b)).slice(0, MAX_ISSUERS)
}

function issuerMetrics(globals: Globals, nowMs: number): string[] {
  const shown = shownIssuers(globals)
  const now: UnixSeconds = Math.floor(nowMs / 1000)
  const each = (name: string, help: string, value: (state: IssuerState) => number | undefined) =>
    metric(
      name,
      'gauge',
      help,
      shown.flatMap((state): Sample[] => {
        const number = value(state)
        return number === undefined ? [] : [[{ issuer: state.name }, number]]
      }),
    )
  return [
    each('issuer_enabled', '1 when requests for this issuer are answered.', ({ enabled }) =>
      enabled ? 1 : 0,
    ),
    each('issuer_frozen', '1 when signing stands still until thaw.', ({ frozen }) => (frozen ? 1 : 0)),
    each('certificates_built', 'Certificates in the bundles that are built.', ({ entries }) => entries),
    each('certificates_added', 'Certificates recorded since their bundle was built.', ({ added }) => added),
    each('slots', 'Bundles of the issuer.', ({ slots }) => slots),
    each('slots_due', 'Bundles to be signed anew.', ({ slotsDue }) => slotsDue),
    each('slots_failing', 'Bundles whose last build failed.', ({ slotsFailing }) => slotsFailing),
    each(
      'responders_active',
      'Responders that are neither retired nor outside their validity.',
      (state) => state.activeResponders,
    ),
    each(
      'responder_not_after_seconds',
      'Nearest notAfter of a responder that is not retired, Unix time.',
      (state) => state.responderNotAfter,
    ),
    each('oldest_response_age_seconds', 'Age of the oldest thisUpdate.', ({ oldestThisUpdate }) =>
      oldestThisUpdate === undefined ? undefined : now - oldestThisUpdate,
    ),
    each(
      'nearest_next_update_seconds',
      'Nearest nextUpdate, Unix time.',
      ({ nearestNextUpdate }) => nearestNextUpdate,
    ),
    each(
      'publisher_lag_seconds',
      'Age of the newest change that no published root knows; 0 when there is none.',
      (state) => unpublishedSeconds(state, nowMs),
    ),
  ]
}

function isFrozen({ frozen }: IssuerState): boolean {
  return frozen
}

/** Nothing without a queue. */
function fanOutMetrics({ fanOut }: Globals, nowMs: number): string[] {
  if (fanOut === undefined) return []
  const gauge = (name: string, help: string, value: number) => metric(name, 'gauge', help, [[{}, value]])
  const age = (name: string, help: string, ms: number) =>
    ms === 0 ? '' : gauge(name, help, Math.max(0, (nowMs - ms) / 1000))
  return [
    gauge('slots_waiting', 'Bundles that are in the queue, and taken by nobody yet.', fanOut.waiting),
    gauge('slots_building', 'Bundles that somebody builds.', fanOut.building),
    gauge('plan_slots_due', 'Bundles that the last plan found due.', fanOut.due),
    gauge('plan_slots_sent', 'Bundles that the last plan sent.', fanOut.planned),
    gauge('plan_messages_sent', 'Messages of the last plan.', fanOut.messages),
    age('plan_age_seconds', 'Time since the last plan.', fanOut.plannedMs),
    age('message_age_seconds', 'Time since a message was last handled.', fanOut.handledMs),
    age('queue_refused_age_seconds', 'Time since the queue last did not take a message.', fanOut.refusedMs),
    age('queue_lost_age_seconds', 'Time since slots were last found sent and never taken.', fanOut.lostMs),
    age('dead_letter_age_seconds', 'Time since a message was last given up.', fanOut.deadMs),
  ]
}

function jobOf({ job, database }: RunRecord): Record<string, string> {
  return database === undefined ? { job } : { job, database: databaseName(database) }
}

/** Nothing where there is one database. */
function databaseMetrics({ databases = [] }: Globals, age: (ms: number) => number): string[] {
  const each = (name: string, help: string, value: (state: DatabaseState) => number, all = databases) =>
    metric(
      name,
      'gauge',
      help,
      all.map((state) => [{ database: databaseName(state.database) }, value(state)]),
    )
  const read = databases.filter(({ fault }) => fault === undefined)
  const published = read.filter(({ publisher }) => publisher.publishedAtMs > 0)
  return [
    each('database_up', '1 when the database answers.', ({ fault }) => (fault === undefined ? 1 : 0)),
    each('database_slots_due', 'Bundles to be signed anew.', ({ slotsDue }) => slotsDue, read),
    each(
      'database_root_age_seconds',
      'Time since the last overlay root of the database was put.',
      ({ publisher }) => age(publisher.publishedAtMs),
      published,
    ),
  ]
}

/** @param ready whether /readyz says yes */
export function formatMetrics(globals: Globals, boundSeconds: number, nowMs: number, ready: boolean): string {
  const { publisher, lastRuns, counters } = globals
  const gauge = (name: string, help: string, value: number) => metric(name, 'gauge', help, [[{}, value]])
  const age = (ms: number) => Math.max(0, (nowMs - ms) / 1000)
  return [
    gauge('ready', '1 when /readyz answers 200.', ready ? 1 : 0),
    gauge('issuers', 'Issuers on record.', globals.issuers.length),
    gauge(
      'issuers_shown',
      'Issuers with series of their own: the worst, where there are many.',
      Math.min(globals.issuers.length, MAX_ISSUERS),
    ),
    gauge('issuers_frozen', 'Issuers that sign nothing until thaw.', globals.issuers.filter(isFrozen).length),
    gauge('all_slots_due', 'Bundles to be signed anew, of all issuers.', globals.slotsDue),
    gauge('all_slots_failing', 'Bundles whose last build failed, of all issuers.', globals.slotsFailing),
    gauge(
      'propagation_bound_seconds',
      'So long after publishing, no place serves an older revision.',
      boundSeconds,
    ),
    gauge('overlay_items', 'Changes that the overlay root names itself: its tail.', globals.overlayItems),
    gauge('overlay_segments', 'Segments of older changes that the root names.', globals.overlaySegments),
    gauge('overlay_segment_items', 'Changes in these segments.', globals.overlaySegmentItems),
    gauge('root_version', 'Version of the last overlay root put.', publisher.version),
    publisher.publishedAtMs === 0
      ? ''
      : gauge('root_age_seconds', 'Time since the last overlay root was put.', age(publisher.publishedAtMs)),
    metric(
      'job_last_run_age_seconds',
      'gauge',
      'Time since the last run of a job ended.',
      lastRuns.map((run) => [jobOf(run), age(run.finishedMs)]),
    ),
    metric(
      'job_last_run_ok',
      'gauge',
      '1 when the last run of a job ended well.',
      lastRuns.map((run) => [jobOf(run), run.ok ? 1 : 0]),
    ),
    metric(
      'job_last_run_remaining',
      'gauge',
      'Bundles that the last run of a job left due.',
      lastRuns.map((run) => [jobOf(run), run.remaining]),
    ),
    ...databaseMetrics(globals, age),
    ...issuerMetrics(globals, nowMs),
    ...fanOutMetrics(globals, nowMs),
    ...Object.entries(counters).map(([name, value]) =>
      metric(`${name.replace(/[^a-z0-9_]/g, '_')}_total`, 'counter', 'Total since the database was made.', [
        [{}, value],
      ]),
    ),
  ].join('')
}

/** What the canaries have measured of the propagation bound, where the cron runs. */
export function canaryMetrics(canaries: readonly Canary[], { issuers }: Globals): string {
  const names = new Map(issuers.map(({ id, name }) => [id, name]))
  const labels = ({ issuer }: Canary) => ({ issuer: names.get(issuer) ?? String(issuer) })
  const measured = canaries.filter(({ enabled, rounds }) => enabled && rounds > 0)
  const enabled = canaries.filter((canary) => canary.enabled)
  return [
    metric(
      'canary_seconds',
      'gauge',
      'How long the last change of the canary took to be seen.',
      measured.map((canary) => [labels(canary), canary.lastLagMs / 1000]),
    ),
    metric(
      'canary_worst_seconds',
      'gauge',
      'The longest that a change of the canary took to be seen.',
      measured.map((canary) => [labels(canary), canary.worstLagMs / 1000]),
    ),
    metric(
      'canary_rounds_total',
      'counter',
      'Changes of the canary that were seen.',
      enabled.map((canary) => [labels(canary), canary.rounds]),
    ),
    metric(
      'canary_late_total',
      'counter',
      'Changes of the canary that were not seen within the bound.',
      enabled.map((canary) => [labels(canary), canary.late]),
    ),
  ].join('')
}
