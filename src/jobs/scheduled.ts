/**
 * The cron job, every minute: segments and heartbeat of the overlay, re-signing within its budget, growth of slots, pruning. Each step
 * stands alone: what fails is logged and recorded, and the next one runs.
 */
import type { Published } from '../overlay/publisher.ts'
import type { AdminStore } from '../ports/admin-store.ts'
import type { Clock, EventLog, OverlayStore, SlotStore } from '../ports/ports.ts'
import type { PresignOutcome } from '../signing/presign.ts'

/** A slot doubles at about this many certificates. */
const MAX_SLOT_ENTRIES = 1_000
/** Rows deleted in one run, so that a large expiry does not hold up the heartbeat. */
const PRUNE_ROWS = 5_000
/** With a queue, slots are looked over for growth in one run of so many. */
const GROWTH_RUNS = 10

/** Old changes are dropped in one run of so many: to look for them reads two rows an issuer. */
const PRUNE_RUNS = 10

export interface ScheduledPorts {
  /** Moves what is too much for the overlay root into segments. */
  readonly segments: () => Promise<unknown>
  readonly publish: () => Promise<Published | undefined>
  /** Re-signing: here and now, or planned for a queue; `oversized` when the plan found slots that are to be doubled. */
  readonly presign: () => Promise<PresignOutcome & { readonly oversized?: boolean }>
  /** Re-signing goes over a queue: for many slots, so that scans of all of them are made seldom. */
  readonly isFannedOut: boolean
  /** Measures how long a change takes to be seen. */
  readonly canaries: () => Promise<void>
  /** Moves issuers that have not changed for a while out of the overlay root. */
  readonly pageIssuers: () => Promise<unknown>
  /** Writes the pages of issuers that are missing or behind. */
  readonly issuerPages: () => Promise<unknown>
  readonly overlay: Pick<OverlayStore, 'pruneOverlay'>
  readonly slots: Pick<SlotStore, 'startGrowth' | 'finishGrowth' | 'pruneCertificates'>
  readonly runs: Pick<AdminStore, 'recordRun'>
  readonly clock: Clock
  readonly log: EventLog
}

export async function runScheduled(ports: ScheduledPorts): Promise<void> {
  const startedMs = ports.clock.nowMs()
  const now = Math.floor(startedMs / 1000)
  const problems: string[] = []
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      const problem = `${name}: ${error instanceof Error ? error.message : String(error)}`
      problems.push(problem)
      ports.log.event('error', { what: 'cron step failed', step: name, problem })
      return undefined
    }
  }

  await step('segments', ports.segments) // first: the root then names them
  await step('publish', ports.publish)
  const looksForGrowth = !ports.isFannedOut || Math.floor(now / 60) % GROWTH_RUNS === 0
  const grow = () => step('grow', () => ports.slots.startGrowth(now, MAX_SLOT_ENTRIES))
  if (looksForGrowth) await grow()
  const signed = await step('presign', ports.presign)
  if (!looksForGrowth && signed?.oversized === true) await grow()
  const grown = await step('switch', () => ports.slots.finishGrowth())
  if (grown !== undefined && grown.length > 0) await step('publish growth', ports.publish)
  await step('directory', ports.pageIssuers)
  await step('issuer pages', ports.issuerPages)
  if (Math.floor(now / 60) % PRUNE_RUNS === 0)
    await step('prune overlay', () => ports.overlay.pruneOverlay(now))
  await step('prune certificates', () => ports.slots.pruneCertificates(now, PRUNE_ROWS))

  problems.push(...(signed?.problems ?? []))
  const run = {
    job: 'cron',
    startedMs,
    finishedMs: ports.clock.nowMs(),
    ok: problems.length === 0,
    built: signed?.built ?? 0,
    signatures: signed?.signatures ?? 0,
    failed: signed?.failed ?? 0,
    remaining: signed?.remaining ?? 0,
    ...(problems.length === 0 ? {} : { error: problems.join('; ').slice(0, 1_000) }),
  }
  await step('record', () => ports.runs.recordRun(run))
  await step('canaries', ports.canaries) // last: it waits
}
