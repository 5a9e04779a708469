/**
 * Re-signing in one run: due slots, urgent ones first, each leased and built (resign-slot.ts). What the cron does without a
 * queue, and what is asked for by hand. Budgets count signatures, because the clock stands still while we sign.
 */
import type { SlotStore } from '../ports/ports.ts'
import { atOnce } from './at-once.ts'
import { issuersOnce, LEASE_SECONDS, type ResignPorts, resignSlot, seconds } from './resign-slot.ts'
import { certificateCosts, inFairOrder, type PricedSlot } from './slot-costs.ts'

const PAGE = 500
/** An invocation may make 10,000 subrequests, and is to have some left for all else that it does. */
const MAX_CALLS = 6_000
/** Issuer, lease, rows, record. */
export const SLOT_CALLS = 4
/** A bundle written, and one or two that stood before read. */
export const BUNDLE_CALLS = 3

export interface PresignPorts extends ResignPorts {
  readonly slots: SlotStore
  /** Names leases. */
  readonly random: () => number
}

export interface PresignOptions {
  /** Only this issuer. */
  readonly issuer?: number
  /** Also slots with new certificates that are not due yet. */
  readonly all: boolean
  /** Budget in units of one P-256 signature. A slot that was begun is finished. */
  readonly budget: number
  /** Slots in work at a time. Default 1. */
  readonly atOnce?: number
}

export interface PresignOutcome {
  readonly built: number
  readonly signatures: number
  readonly failed: number
  /** Slots still due: over budget, failed, or leased to another run. */
  readonly remaining: number
  readonly problems: readonly string[]
}

/** @throws StorageError when D1 cannot say what is due; what fails for one slot is reported and stops no other. */
export async function presign(ports: PresignPorts, options: PresignOptions): Promise<PresignOutcome> {
  const { budget } = options
  const run = { built: 0, signatures: 0, failed: 0, cost: 0, calls: 0, problems: new Set<string>() }
  /** What the slots in work may still cost. */
  let reserved = 0
  const isWithin = () => run.cost + reserved < budget && run.calls < MAX_CALLS
  const issuerOf = issuersOnce(ports.status)
  const tried = new Set<string>()
  const scope = { all: options.all, ...(options.issuer === undefined ? {} : { issuer: options.issuer }) }

  const work = async (slot: PricedSlot) => {
    reserved += slot.cost
    run.calls += SLOT_CALLS + BUNDLE_CALLS
    tried.add(nameOf(slot))
    try {
      const issuer = await issuerOf(slot.issuer)
      const lease = await ports.slots.lease(slot, seconds(ports.clock), LEASE_SECONDS)
      if (lease === undefined) return
      const { built, bundles, signatures, cost, problems } = await resignSlot(ports, issuer, lease)
      run.built += built ? 1 : 0
      run.failed += built ? 0 : 1
      run.signatures += signatures
      run.cost += cost
      run.calls += (bundles - 1) * BUNDLE_CALLS
      for (const problem of problems) run.problems.add(problem)
    } finally {
      reserved -= slot.cost
    }
  }

  while (isWithin()) {
    const found = await ports.slots.survey(seconds(ports.clock), PAGE + tried.size, scope)
    const open = found.slots.filter((slot) => !tried.has(nameOf(slot)))
    if (open.length === 0) break
    const issuers = [...new Set(open.map(({ issuer }) => issuer))]
    const costs = certificateCosts(await ports.slots.readSigning(issuers))
    await atOnce(inFairOrder(open, costs), options.atOnce ?? 1, work, isWithin)
    if (found.due <= found.slots.length) break // that was all
  }
  const remaining = await ports.slots.countDue(seconds(ports.clock), scope)
  const { built, signatures, failed } = run
  return { built, signatures, failed, remaining, problems: [...run.problems] }
}

function nameOf({ issuer, k, slot }: { issuer: number; k: number; slot: number }): string {
  return `${issuer}/${k}/${slot}`
}
