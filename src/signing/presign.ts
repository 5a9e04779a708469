/**
 * The re-signing pipeline: due slots, urgent ones first, each leased, built, checked, written and recorded. Any step may
 * run twice or die half-way. Budgets count signatures, because the clock stands still while we sign.
 */
import { Bundle } from '../bundle/bundle-format.ts'
import { encodeBundle } from '../bundle/bundle-writer.ts'
import { SigningError } from '../ports/errors.ts'
import type { Clock, DerivedStore, EventLog, LeasedSlot, SlotStore, StatusStore } from '../ports/ports.ts'
import type { IssuerRecord } from '../ports/records.ts'
import { SIGNATURE_ALGORITHMS } from './algorithms.ts'
import { buildSlot } from './build-slot.ts'
import { checkBundle } from './check-bundle.ts'
import type { SignerPool } from './signers.ts'

/** Above the wall limit of a cron run (15 min): whoever holds a lease longer is dead. */
const LEASE_SECONDS = 20 * 60
/** No put starts later than this into a lease (attack 7). */
const LAST_PUT_SECONDS = 10 * 60
const PAGE = 64
/** About five subrequests a slot, and an invocation may make 10,000. */
const MAX_SLOTS = 1_000
/** A value outlives its last nextUpdate by this much, then KV drops it for nothing. */
const KEEP_SECONDS = 3_600
/** KV refuses an expiration less than a minute ahead. */
const MIN_EXPIRATION_SECONDS = 90

export interface PresignPorts {
  readonly slots: SlotStore
  readonly status: Pick<StatusStore, 'readIssuer'>
  readonly derived: Pick<DerivedStore, 'readBundle' | 'writeBundle'>
  readonly signers: SignerPool
  readonly clock: Clock
  readonly log: EventLog
  /** Names a lease. */
  readonly random: () => number
}

export interface PresignOptions {
  /** Only this issuer. */
  readonly issuer?: number
  /** Also slots with new certificates that are not due yet. */
  readonly all: boolean
  /** Budget in units of one P-256 signature. A slot that was begun is finished. */
  readonly budget: number
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
  const run = { built: 0, signatures: 0, failed: 0, cost: 0, problems: new Set<string>() }
  const issuers = new Map<number, IssuerRecord | undefined>()
  const tried = new Set<string>()
  const scope = { all: options.all, ...(options.issuer === undefined ? {} : { issuer: options.issuer }) }
  while (run.cost < options.budget && tried.size < MAX_SLOTS) {
    const due = await ports.slots.dueSlots(seconds(ports.clock), PAGE + tried.size, scope)
    const open = due.filter((slot) => !tried.has(`${slot.issuer}/${slot.k}/${slot.slot}`))
    if (open.length === 0) break
    for (const slot of open) {
      if (run.cost >= options.budget) break
      tried.add(`${slot.issuer}/${slot.k}/${slot.slot}`)
      if (!issuers.has(slot.issuer)) issuers.set(slot.issuer, await ports.status.readIssuer(slot.issuer))
      const issuer = issuers.get(slot.issuer)
      if (issuer === undefined) continue
      const lease = await ports.slots.lease(slot, seconds(ports.clock), LEASE_SECONDS)
      if (lease === undefined) continue
      try {
        const signatures = await build(ports, issuer, lease)
        run.built += 1
        run.signatures += signatures.count
        run.cost += Math.max(signatures.cost, 1)
      } catch (error) {
        run.failed += 1
        run.cost += 1
        const problem = describe(error)
        run.problems.add(`${issuer.name}: ${problem}`)
        ports.log.event('error', {
          what: 'slot failed',
          issuer: issuer.id,
          k: slot.k,
          slot: slot.slot,
          problem,
        })
        await ports.slots.release(lease, problem).catch(() => undefined) // the lease runs out by itself
      }
    }
  }
  const remaining = await ports.slots.countDue(seconds(ports.clock), scope)
  const { built, signatures, failed } = run
  return { built, signatures, failed, remaining, problems: [...run.problems] }
}

/** Builds one slot. @throws when it could not be built, checked, written or recorded: it stays due */
async function build(
  ports: PresignPorts,
  issuer: IssuerRecord,
  lease: LeasedSlot,
): Promise<{ count: number; cost: number }> {
  const t0 = seconds(ports.clock) // before the rows are read: what we sign was true then
  const { asOf, floor, rows } = await ports.slots.readSlot(lease)
  const ready = await ports.signers.ready(issuer, t0)
  const previous = await readPrevious(ports, lease)
  const built = await buildSlot({ issuer, lease, rows, asOf, floor, t0, ready, previous })
  const bytes = await encodeBundle(built.content)
  await checkBundle(bytes, built.content, issuer, t0)
  const now = seconds(ports.clock)
  if (now - t0 > LAST_PUT_SECONDS)
    throw new SigningError('signFailed', 'building took too long for its lease')
  const expiration = Math.max(built.nextUpdate + KEEP_SECONDS, now + MIN_EXPIRATION_SECONDS)
  await ports.derived.writeBundle(lease.issuer, lease.k, lease.slot, bytes, expiration)
  const recorded = await ports.slots.record(lease, {
    asOf,
    entries: built.content.entries.length,
    bytes: bytes.length,
    thisUpdate: built.thisUpdate,
    nextUpdate: built.nextUpdate,
    refreshAt: built.refreshAt,
    builtAt: now,
    signatures: built.signatures,
  })
  if (!recorded) throw new SigningError('signFailed', 'the lease was lost while the slot was being built')
  return {
    count: built.signatures,
    cost: built.signatures * SIGNATURE_ALGORITHMS[ready.signer.algorithm].cost,
  }
}

/** The bundle as it stands, whose signatures may be used again. Whatever is wrong with it, we sign afresh. */
async function readPrevious(ports: PresignPorts, lease: LeasedSlot): Promise<Bundle | undefined> {
  try {
    const bytes = await ports.derived.readBundle(lease.issuer, lease.k, lease.slot)
    if (bytes === null) return undefined
    const bundle = Bundle.open(bytes)
    const ours = bundle.issuer === lease.issuer && bundle.k === lease.k && bundle.slot === lease.slot
    return ours && (await bundle.verifyDigest()) ? bundle : undefined
  } catch {
    return undefined
  }
}

function seconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1000)
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
