/**
 * One slot, leased to us: read, built, checked, written, recorded. The cron run and the consumers of the queue do the same
 * here. A slot has one bundle for each algorithm that the issuer's responders sign with (R1.87). Any step may run twice or die
 * half-way.
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
import { checked, type SignerPool } from './signers.ts'
import { withoutBroken } from './without-broken.ts'

/** Above the wall limit of a run of the cron or of a consumer (15 min): whoever holds a lease longer is dead. */
export const LEASE_SECONDS = 20 * 60
/** No put starts later than this into a lease (attack 7). */
const LAST_PUT_SECONDS = 10 * 60
/** A value outlives its last nextUpdate by this much, then KV drops it for nothing. */
const KEEP_SECONDS = 3_600
/** KV refuses an expiration less than a minute ahead. */
const MIN_EXPIRATION_SECONDS = 90

export interface ResignPorts {
  readonly slots: Pick<SlotStore, 'readSlot' | 'record' | 'release'>
  readonly status: Pick<StatusStore, 'readIssuer'>
  readonly derived: Pick<DerivedStore, 'readBundle' | 'writeBundle'>
  readonly signers: SignerPool
  readonly clock: Clock
  readonly log: EventLog
}

/** What became of a slot. */
export interface SlotOutcome {
  readonly built: boolean
  readonly bundles: number
  readonly signatures: number
  /** In units of one P-256 signature, at least 1. */
  readonly cost: number
  /** In words for the operator, beginning with the name of the issuer. */
  readonly problems: readonly string[]
}

/**
 * Reads each issuer once, also when several ask for it at a time; a failure is not kept. An issuer that cannot be read stops
 * no other one: the error is handed out in its place.
 * @throws StorageError when D1 is away
 */
export function issuersOnce(
  status: ResignPorts['status'],
): (id: number) => Promise<IssuerRecord | StorageError> {
  const known = new Map<number, Promise<IssuerRecord | StorageError>>()
  const read = async (id: number) => {
    try {
      return (await status.readIssuer(id)) ?? new StorageError('corrupt', `issuer ${id} is gone`)
    } catch (error) {
      if (error instanceof StorageError && error.reason === 'corrupt') return error
      known.delete(id)
      throw error
    }
  }
  return (id) => {
    const reading = known.get(id) ?? read(id)
    known.set(id, reading)
    return reading
  }
}

/**
 * Never throws: a slot that fails is given back with its error, stays due, and comes after the others.
 * @param issuer or why it cannot be read
 */
export async function resignSlot(
  ports: ResignPorts,
  issuer: IssuerRecord | StorageError,
  lease: LeasedSlot,
): Promise<SlotOutcome> {
  const name = issuer instanceof StorageError ? `issuer ${lease.issuer}` : issuer.name
  const tell = (what: string, problem: string) => {
    const { k, slot } = lease
    ports.log.event('error', { what, issuer: lease.issuer, k, slot, problem })
  }
  try {
    if (issuer instanceof StorageError) throw issuer
    const { bundles, signatures, cost, problems, broken } = await build(ports, issuer, lease)
    for (const problem of problems) tell('bundle failed', problem)
    if (broken > 0) tell('rows left out', 'the record has certificates that cannot be signed for')
    return {
      built: true,
      bundles,
      signatures,
      cost: Math.max(cost, 1),
      problems: [...problems, ...leftOut(broken)].map((problem) => `${name}: ${problem}`),
    }
  } catch (error) {
    const problem = describe(error)
    tell('slot failed', problem)
    await ports.slots.release(lease, problem).catch(() => undefined) // the lease runs out by itself
    return { built: false, bundles: 1, signatures: 0, cost: 1, problems: [`${name}: ${problem}`] }
  }
}

function leftOut(broken: number): string[] {
  return broken === 0 ? [] : [`${broken} certificates cannot be signed for: their rows are broken`]
}

interface Built {
  readonly bundles: number
  readonly signatures: number
  readonly cost: number
  /** Why there is no bundle of an algorithm other than the default one. */
  readonly problems: readonly string[]
  /** Certificates that are in no bundle because their rows make no sense. */
  readonly broken: number
}

/**
 * Builds the bundles of one slot, all from the same reading of its rows, the default one first. Another one that cannot be
 * signed is left out: a slot without it is complete for whoever asks for no algorithm, and the rest get the default or are
 * signed for one by one.
 * @throws when the slot could not be built, checked, written or recorded: it stays due
 */
async function build(ports: ResignPorts, known: IssuerRecord, lease: LeasedSlot): Promise<Built> {
  const begun = seconds(ports.clock) // before the rows are read: what we sign was true then
  const { asOf, floor, configRev, rows, broken: unreadable } = await ports.slots.readSlot(lease)
  // Who is compromised says no more what its rows say (R1.41): a record older than the rows would pass for as new as they are.
  const issuer = known.configRev < configRev ? await ports.status.readIssuer(known.id) : known
  if (issuer === undefined) throw new StorageError('corrupt', `issuer ${known.id} is gone`)
  // Unless one changed meanwhile: all of them stand as at the last change, and thisUpdate must not lie before it (attack 15).
  const changedAt = rows.reduce((latest, row) => Math.max(latest, row.changedAt), 0)
  const t0 = Math.max(begun, Math.min(changedAt, seconds(ports.clock)))
  const slot = { issuer, lease, asOf, floor, t0 }
  const standing = await readPrevious(ports, lease, undefined)
  const { rows: sound, made: first } = await withoutBroken(
    rows,
    (some) => makeBundle(ports, { ...slot, rows: some }, standing, undefined),
    () => signsWell(ports, issuer, t0),
  )
  const broken = unreadable + rows.length - sound.length
  await putBundle(ports, lease, first, undefined)
  const bundles = [first]
  const problems: string[] = []
  for (const algorithm of activeAlgorithms(issuer, t0)) {
    if (algorithm === first.algorithm) continue
    try {
      const another = await makeBundle(ports, { ...slot, rows: sound }, standing, algorithm)
      await putBundle(ports, lease, another, algorithm)
      bundles.push(another)
    } catch (error) {
      if (!(error instanceof SigningError)) throw error
      problems.push(`${algorithm}: ${describe(error)}`)
    }
  }
  const signatures = bundles.reduce((sum, bundle) => sum + bundle.signatures, 0)
  const [note] = leftOut(broken)
  const recorded = await ports.slots.record(lease, {
    asOf,
    entries: first.content.entries.length,
    bytes: Math.max(...bundles.map(({ bytes }) => bytes.length)),
    thisUpdate: Math.min(...bundles.map(({ thisUpdate }) => thisUpdate)),
    nextUpdate: Math.max(...bundles.map(({ nextUpdate }) => nextUpdate)),
    refreshAt: Math.min(...bundles.map(({ refreshAt }) => refreshAt)),
    builtAt: seconds(ports.clock),
    signatures,
    ...(note === undefined ? {} : { note }),
  })
  if (!recorded) throw new SigningError('signFailed', 'the lease was lost while the slot was being built')
  const cost = bundles.reduce((sum, bundle) => sum + bundle.cost, 0)
  return { bundles: bundles.length, signatures, cost, problems, broken }
}

async function signsWell({ signers }: ResignPorts, issuer: IssuerRecord, now: UnixSeconds): Promise<boolean> {
  try {
    const { signer, responder } = await signers.ready(issuer, now)
    await checked(signer, responder)
    return true
  } catch {
    return false
  }
}

type MadeBundle = BuiltSlot & {
  readonly algorithm: SignatureAlgorithm
  readonly bytes: Uint8Array
  readonly cost: number
}

/**
 * Builds and checks one bundle.
 * @param standing the default bundle as it was before this build
 * @param algorithm undefined for the default
 */
async function makeBundle(
  ports: ResignPorts,
  slot: Omit<SlotToBuild, 'ready' | 'previous'> & { readonly lease: LeasedSlot },
  standing: Bundle | undefined,
  algorithm: SignatureAlgorithm | undefined,
): Promise<MadeBundle> {
  const { issuer, lease, t0 } = slot
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
  const cost = built.signatures * signatureCost(own, ready.responder.spki.length)
  return { ...built, algorithm: own, bytes, cost }
}

async function putBundle(
  ports: ResignPorts,
  { issuer, k, slot, since }: LeasedSlot,
  { bytes, nextUpdate }: MadeBundle,
  algorithm: SignatureAlgorithm | undefined,
): Promise<void> {
  const now = seconds(ports.clock)
  if (now - since > LAST_PUT_SECONDS)
    throw new SigningError('signFailed', 'building took too long for its lease')
  const expiration = Math.max(nextUpdate + KEEP_SECONDS, now + MIN_EXPIRATION_SECONDS)
  await ports.derived.writeBundle(issuer, k, slot, bytes, expiration, algorithm)
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
  ports: ResignPorts,
  { issuer, k, slot, isFirst }: LeasedSlot,
  algorithm: SignatureAlgorithm | undefined,
): Promise<Bundle | undefined> {
  if (isFirst) return undefined // whoever put one and died before he noted it has signed for nothing
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

export function seconds(clock: Clock): UnixSeconds {
  return Math.floor(clock.nowMs() / 1000)
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
