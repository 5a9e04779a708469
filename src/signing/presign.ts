/**
 * The re-signing pipeline: due slots, urgent ones first, each leased, built, checked, written and recorded. A slot has one
 * bundle for each algorithm that the issuer's responders sign with (R1.87). Any step may run twice or die half-way. Budgets
 * count signatures, because the clock stands still while we sign.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { Bundle } from '../bundle/bundle-format.ts'
import { encodeBundle } from '../bundle/bundle-writer.ts'
import { SigningError, StorageError } from '../ports/errors.ts'
import type { Clock, DerivedStore, EventLog, LeasedSlot, SlotStore, StatusStore } from '../ports/ports.ts'
import type { IssuerRecord, SignatureAlgorithm } from '../ports/records.ts'
import { activeAlgorithms } from '../responder/signature-choice.ts'
import { signatureCost } from './algorithms.ts'
import { type BuiltSlot, buildSlot, type SlotToBuild } from './build-slot.ts'
import { checkBundle } from './check-bundle.ts'
import type { SignerPool } from './signers.ts'

/** Above the wall limit of a cron run (15 min): whoever holds a lease longer is dead. */
const LEASE_SECONDS = 20 * 60
/** No put starts later than this into a lease (attack 7). */
const LAST_PUT_SECONDS = 10 * 60
const PAGE = 64
/** An invocation may make 10,000 subrequests, and is to have some left for all else that it does. */
const MAX_CALLS = 6_000
/** Lease, rows, record. */
const SLOT_CALLS = 3
/** A bundle written, and one or two that stood before read. */
const BUNDLE_CALLS = 3
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
  const run = { built: 0, signatures: 0, failed: 0, cost: 0, calls: 0, problems: new Set<string>() }
  const issuers = new Map<number, IssuerRecord | undefined>()
  const tried = new Set<string>()
  const scope = { all: options.all, ...(options.issuer === undefined ? {} : { issuer: options.issuer }) }
  while (run.cost < options.budget && run.calls < MAX_CALLS) {
    const due = await ports.slots.dueSlots(seconds(ports.clock), PAGE + tried.size, scope)
    const open = due.filter((slot) => !tried.has(`${slot.issuer}/${slot.k}/${slot.slot}`))
    if (open.length === 0) break
    for (const slot of open) {
      if (run.cost >= options.budget || run.calls >= MAX_CALLS) break
      run.calls += SLOT_CALLS
      tried.add(`${slot.issuer}/${slot.k}/${slot.slot}`)
      if (!issuers.has(slot.issuer)) issuers.set(slot.issuer, await ports.status.readIssuer(slot.issuer))
      const issuer = issuers.get(slot.issuer)
      if (issuer === undefined) continue
      const lease = await ports.slots.lease(slot, seconds(ports.clock), LEASE_SECONDS)
      if (lease === undefined) continue
      try {
        const built = await build(ports, issuer, lease)
        run.built += 1
        run.signatures += built.signatures
        run.cost += Math.max(built.cost, 1)
        run.calls += built.bundles * BUNDLE_CALLS
        for (const problem of built.problems) {
          run.problems.add(`${issuer.name}: ${problem}`)
          ports.log.event('error', {
            what: 'bundle failed',
            issuer: issuer.id,
            k: slot.k,
            slot: slot.slot,
            problem,
          })
        }
      } catch (error) {
        run.failed += 1
        run.cost += 1
        run.calls += BUNDLE_CALLS
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

interface Built {
  readonly bundles: number
  readonly signatures: number
  readonly cost: number
  /** Why there is no bundle of an algorithm other than the default one. */
  readonly problems: readonly string[]
}

/**
 * Builds the bundles of one slot, all from the same reading of its rows, the default one first. Another one that cannot be
 * signed is left out: a slot without it is complete for whoever asks for no algorithm, and the rest get the default or are
 * signed for one by one.
 * @throws when the slot could not be built, checked, written or recorded: it stays due
 */
async function build(ports: PresignPorts, known: IssuerRecord, lease: LeasedSlot): Promise<Built> {
  const begun = seconds(ports.clock) // before the rows are read: what we sign was true then
  const { asOf, floor, configRev, rows } = await ports.slots.readSlot(lease)
  // Who is compromised says no more what its rows say (R1.41): a record older than the rows would pass for as new as they are.
  const issuer = known.configRev < configRev ? await ports.status.readIssuer(known.id) : known
  if (issuer === undefined) throw new StorageError('corrupt', `issuer ${known.id} is gone`)
  // Unless one changed meanwhile: all of them stand as at the last change, and thisUpdate must not lie before it (attack 15).
  const changedAt = rows.reduce((latest, row) => Math.max(latest, row.changedAt), 0)
  const t0 = Math.max(begun, Math.min(changedAt, seconds(ports.clock)))
  const slot = { issuer, lease, begun, rows, asOf, floor, t0 }
  const standing = await readPrevious(ports, lease, undefined)
  const first = await buildBundle(ports, slot, standing, undefined)
  const bundles = [first]
  const problems: string[] = []
  for (const algorithm of activeAlgorithms(issuer, t0)) {
    if (algorithm === first.algorithm) continue
    try {
      bundles.push(await buildBundle(ports, slot, standing, algorithm))
    } catch (error) {
      if (!(error instanceof SigningError)) throw error
      problems.push(`${algorithm}: ${describe(error)}`)
    }
  }
  const signatures = bundles.reduce((sum, bundle) => sum + bundle.signatures, 0)
  const recorded = await ports.slots.record(lease, {
    asOf,
    entries: first.content.entries.length,
    bytes: Math.max(...bundles.map(({ bytes }) => bytes)),
    thisUpdate: Math.min(...bundles.map(({ thisUpdate }) => thisUpdate)),
    nextUpdate: Math.max(...bundles.map(({ nextUpdate }) => nextUpdate)),
    refreshAt: Math.min(...bundles.map(({ refreshAt }) => refreshAt)),
    builtAt: seconds(ports.clock),
    signatures,
  })
  if (!recorded) throw new SigningError('signFailed', 'the lease was lost while the slot was being built')
  const cost = bundles.reduce((sum, bundle) => sum + bundle.cost, 0)
  return { bundles: bundles.length, signatures, cost, problems }
}

type WrittenBundle = BuiltSlot & {
  readonly algorithm: SignatureAlgorithm
  readonly bytes: number
  readonly cost: number
}

/**
 * Builds, checks and writes one bundle.
 * @param standing the default bundle as it was before this build
 * @param algorithm undefined for the default
 */
async function buildBundle(
  ports: PresignPorts,
  slot: Omit<SlotToBuild, 'ready' | 'previous'> & { readonly lease: LeasedSlot; readonly begun: UnixSeconds },
  standing: Bundle | undefined,
  algorithm: SignatureAlgorithm | undefined,
): Promise<WrittenBundle> {
  const { issuer, lease, begun, t0 } = slot
  const ready = await ports.signers.ready(issuer, t0, algorithm)
  const own = ready.responder.algorithm
  // What was signed while the default was another one is kept: it stands under the other key.
  const mine = bearing(standing, issuer, own)
  const beside = () => readPrevious(ports, lease, own)
  const previous =
    algorithm === undefined
      ? (mine ?? (standing === undefined ? undefined : await beside()))
      : ((await beside()) ?? mine)
  const built = await buildSlot({ ...slot, ready, previous })
  const bytes = await encodeBundle(built.content)
  await checkBundle(bytes, built.content, issuer, t0)
  const now = seconds(ports.clock)
  if (now - begun > LAST_PUT_SECONDS)
    throw new SigningError('signFailed', 'building took too long for its lease')
  const expiration = Math.max(built.nextUpdate + KEEP_SECONDS, now + MIN_EXPIRATION_SECONDS)
  await ports.derived.writeBundle(issuer.id, lease.k, lease.slot, bytes, expiration, algorithm)
  const cost = built.signatures * signatureCost(own, ready.responder.spki.length)
  return { ...built, algorithm: own, bytes: bytes.length, cost }
}

/** The bundle if it has anything that was signed with the algorithm. */
function bearing(
  bundle: Bundle | undefined,
  issuer: IssuerRecord,
  algorithm: SignatureAlgorithm,
): Bundle | undefined {
  const isOurs = ({ id }: { id: number }) =>
    issuer.responders.some((responder) => responder.id === id && responder.algorithm === algorithm)
  return bundle?.responders.some(isOurs) === true ? bundle : undefined
}

/** A bundle as it stands, whose signatures may be used again. Whatever is wrong with it, we sign afresh. */
async function readPrevious(
  ports: PresignPorts,
  { issuer, k, slot }: LeasedSlot,
  algorithm: SignatureAlgorithm | undefined,
): Promise<Bundle | undefined> {
  try {
    const bytes = await ports.derived.readBundle(issuer, k, slot, algorithm)
    if (bytes === null) return undefined
    const bundle = Bundle.open(bytes)
    const ours = bundle.issuer === issuer && bundle.k === k && bundle.slot === slot
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
