/**
 * Pre-signed answers: the bundle of a slot from isolate memory, the data centre's cache, or KV. Each tier is optional; a
 * fault in one is a miss. What a bundle says is believed only if it is current and as new as the overlay demands. A client
 * that prefers an algorithm is answered from the bundle of that algorithm (R1.87).
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BundleEntry, BundleWindow } from '../bundle/bundle-format.ts'
import { Bundle } from '../bundle/bundle-format.ts'
import { bundleKey, slotOf } from '../bundle/slot.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { DerivedStore, EdgeCache } from '../ports/ports.ts'
import { RecentlyUsed } from '../ports/recently-used.ts'
import type { Sequence, SignatureAlgorithm } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import type { Origin, StatusAnswer } from './answer.ts'
import { statusAnswer } from './answer.ts'
import type { MissedBundles } from './missed-bundles.ts'
import type { Asked, Query } from './query.ts'
import { responderFor, signatureAlgorithmIn } from './signature-choice.ts'
import { isCurrent, refreshAt } from './windows.ts'

/** A slot is not looked up in KV again within this time, whatever the last look-up gave. */
const RECHECK_SECONDS = 30
/** Bundles in memory together: an eighth of an isolate's 128 MB, of which V8 takes half before it collects what is garbage. */
const MAX_BYTES = 16 * 1024 * 1024
/** What a slot weighs beyond its bundle, and an absent one by itself: 10,000 are remembered at most. */
const SLOT_BYTES = Math.ceil(MAX_BYTES / 10_000)
/** Reads in flight in one isolate (attack 14: cold slots in flight exhaust the memory). */
const MAX_READS = 64
/** Bundles on their way into the data centre's cache: each is a copy, and a slow cache must not gather them. */
const MAX_PUTS = 16
/** What took longer has failed, or the runtime dropped it with its request. */
const MAX_PUT_SECONDS = 5
/** Longest stay of a bundle in the data centre's cache. */
const MAX_CACHE_SECONDS = 3_600

export interface BundlePorts {
  readonly derived: Pick<DerivedStore, 'readBundle'>
  readonly cache: EdgeCache
  readonly missed: Pick<MissedBundles, 'note'>
  readonly background: (work: Promise<unknown>) => void
  /** How many of these share an isolate's memory, as with several databases. Default 1. */
  readonly of?: number
}

interface Held {
  readonly bundle: Bundle | undefined
  /** Last look-up in KV; what came from the data centre's cache may be old, and KV has not been asked. */
  readonly checkedAt: UnixSeconds
  /** KV said so, rather than not answering. */
  readonly absent: boolean
}

/** A status that a usable bundle entry proves. */
export interface ProvenStatus {
  readonly certStatus: CertStatus
  /** Not before this: the window in which the status was signed. */
  readonly since: UnixSeconds
  readonly asOf: Sequence
  /** DER of Extensions as the entry has them. */
  readonly singleExtensions: Uint8Array | undefined
}

interface Found {
  readonly bundle: Bundle
  readonly entry: BundleEntry
  readonly window: BundleWindow
  readonly origin: Origin
}

/** Which bundle is looked at, and what its answer has to be signed with. */
interface Place {
  readonly key: string
  readonly issuer: number
  readonly k: number
  readonly slot: number
  /** In the key; undefined for the bundle of the default algorithm. */
  readonly algorithm: SignatureAlgorithm | undefined
}

export class BundleSource {
  readonly #ports: BundlePorts
  /**
   * What makes room is given back at once. V8 sees little of a bundle but its handle: left to itself it kept 110 MB of those
   * that had gone, beside 32 that had not.
   */
  readonly #held: RecentlyUsed<Held>
  readonly #flights: SingleFlight<{ bundle: Bundle | undefined; origin: Origin }>
  /** Key -> when it was begun. */
  readonly #puts = new Map<string, UnixSeconds>()

  constructor(ports: BundlePorts) {
    this.#ports = ports
    this.#held = new RecentlyUsed(MAX_BYTES / (ports.of ?? 1), ({ bundle }) => bundle?.release())
    this.#flights = new SingleFlight(ports.background)
  }

  /** The pre-signed answer to a question of one CertID, if there is a usable one. Never rejects. */
  async find(query: Query, now: UnixSeconds): Promise<StatusAnswer | undefined> {
    const { issuer, first, algorithm } = query
    const found =
      algorithm === undefined
        ? await this.#find(query, first, now, undefined)
        : await this.#preferred(query, algorithm, now)
    if (found === undefined) return undefined
    const variant = found.bundle.variants.findIndex((v) => v.hashAlgorithm === first.hashAlgorithm)
    const der = variant < 0 ? undefined : rebuilt(found, variant)
    if (der === undefined) return undefined
    return statusAnswer({
      der,
      origin: found.origin,
      issuer: issuer.id,
      certStatus: found.entry.certStatus.type,
      hashAlgorithm: first.hashAlgorithm,
      window: found.window,
      told: [{ asOf: found.bundle.asOf, revision: found.bundle.asOf }],
      personal: false,
      policy: issuer.policy,
    })
  }

  /** What a usable entry proves about one CertID under a fresh overlay, so that D1 need not be asked. Never rejects. */
  async prove(query: Query, asked: Asked, now: UnixSeconds): Promise<ProvenStatus | undefined> {
    const found = await this.#find(query, asked, now, undefined)
    if (found === undefined) return undefined
    const { certStatus, singleExtensions } = found.entry
    // The bundle may be released before the signer has done.
    const own = singleExtensions?.slice()
    return { certStatus, since: found.window.thisUpdate, asOf: found.bundle.asOf, singleExtensions: own }
  }

  /**
   * The default algorithm stands in the default bundle, and where another was the default when that was built, in a bundle of
   * its own still.
   */
  async #preferred(
    query: Query,
    algorithm: SignatureAlgorithm,
    now: UnixSeconds,
  ): Promise<Found | undefined> {
    const isDefault = responderFor(query.issuer, now)?.algorithm === algorithm
    for (const place of isDefault ? [undefined, algorithm] : [algorithm]) {
      const found = await this.#find(query, query.first, now, place)
      if (found !== undefined && algorithmOf(found) === algorithm) return found
    }
    return undefined
  }

  async #find(
    query: Query,
    asked: Asked,
    now: UnixSeconds,
    algorithm: SignatureAlgorithm | undefined,
  ): Promise<Found | undefined> {
    const { issuer, at } = query
    const slot = slotOf(asked.hash, at.k)
    const key = bundleKey(issuer.id, at.k, slot, algorithm)
    const held = this.#held.get(key)
    const profile = issuer.policy.profile
    const inMemory =
      held?.bundle === undefined ? undefined : usable(held.bundle, asked, profile, now, 'memory')
    if (held?.absent === true && algorithm === undefined) this.#ports.missed.note(issuer.id, at.k, slot, now)
    const settled = inMemory !== undefined && now < refreshAt(inMemory.window)
    if (settled || (held !== undefined && now - held.checkedAt < RECHECK_SECONDS)) return inMemory
    if (this.#flights.size >= MAX_READS) return inMemory

    const place: Place = { key, issuer: issuer.id, k: at.k, slot, algorithm }
    const preferKV = held !== undefined // what this data centre gave before was not enough
    const read = await this.#flights.run(key, () => this.#read(place, preferKV, now)).catch(() => undefined)
    const fetched =
      read?.bundle === undefined ? undefined : usable(read.bundle, asked, profile, now, read.origin)
    if (fetched !== undefined || read?.origin !== 'cache') return fetched ?? inMemory
    const again = await this.#flights.run(key, () => this.#read(place, true, now)).catch(() => undefined)
    return again?.bundle === undefined
      ? inMemory
      : (usable(again.bundle, asked, profile, now, again.origin) ?? inMemory)
  }

  async #read(
    place: Place,
    skipCache: boolean,
    now: UnixSeconds,
  ): Promise<{ bundle: Bundle | undefined; origin: Origin }> {
    const { key, issuer, k, slot, algorithm } = place
    if (!skipCache) {
      const cached = opened(await this.#ports.cache.match(key).catch(() => undefined), issuer, k, slot)
      if (cached !== undefined) {
        this.#hold(key, cached, this.#held.get(key)?.checkedAt ?? 0, false)
        return { bundle: cached, origin: 'cache' }
      }
    }
    const bytes = await this.#ports.derived.readBundle(issuer, k, slot, algorithm).catch(() => undefined)
    const bundle = opened(bytes ?? undefined, issuer, k, slot)
    const absent = bytes !== undefined && bundle === undefined
    this.#hold(key, bundle, now, absent)
    if (absent && algorithm === undefined) this.#ports.missed.note(issuer, k, slot, now)
    if (bundle !== undefined && bytes !== null && bytes !== undefined) {
      this.#offer(key, bytes, cacheSeconds(bundle, now), now)
    }
    return { bundle, origin: 'bundle' }
  }

  /** To the data centre's cache, which takes a copy: the octets may be released at any time. */
  #offer(key: string, bytes: Uint8Array, seconds: number, now: UnixSeconds): void {
    if (seconds <= 0) return
    for (const [begun, at] of this.#puts) if (now - at > MAX_PUT_SECONDS) this.#puts.delete(begun)
    if (this.#puts.size >= MAX_PUTS) return
    this.#puts.set(key, now)
    const put = this.#ports.cache.put(key, bytes, seconds).catch(() => undefined)
    this.#ports.background(put.then(() => this.#puts.delete(key)))
  }

  /** Never gives up a bundle for an older one: no isolate goes back (law 2). */
  #hold(key: string, bundle: Bundle | undefined, checkedAt: UnixSeconds, absent: boolean): void {
    const old = this.#held.peek(key)?.bundle
    const kept = old !== undefined && (bundle === undefined || isOlder(bundle, old)) ? old : bundle
    this.#held.set(key, { bundle: kept, checkedAt, absent }, SLOT_BYTES + (kept?.byteLength ?? 0))
    if (kept !== old) old?.release()
  }
}

function opened(bytes: Uint8Array | undefined, issuer: number, k: number, slot: number): Bundle | undefined {
  if (bytes === undefined) return undefined
  try {
    const bundle = Bundle.open(bytes)
    return bundle.issuer === issuer && bundle.k === k && bundle.slot === slot ? bundle : undefined
  } catch {
    return undefined // torn or foreign: a miss
  }
}

function usable(
  bundle: Bundle,
  asked: Asked,
  profile: 'private' | 'public-trust',
  now: UnixSeconds,
  origin: Origin,
): Found | undefined {
  if (bundle.asOf < asked.need) return undefined
  try {
    const entry = bundle.find(asked.serial, asked.hash)
    const window = entry === undefined ? undefined : bundle.windows[entry.window]
    if (entry === undefined || window === undefined || !isCurrent(window, profile, now)) return undefined
    return { bundle, entry, window, origin }
  } catch {
    return undefined // a corrupt entry is a miss
  }
}

/** Octets of its own: a view would keep the whole bundle alive in the memory of answers, or lose it with the bundle. */
function rebuilt({ bundle, entry }: Found, variant: number): Uint8Array | undefined {
  try {
    const der = bundle.response(entry, variant)
    return entry.signatures[variant] === undefined ? der?.slice() : der
  } catch {
    return undefined
  }
}

/** What the entry's signature was made with; undefined when that cannot be read. */
function algorithmOf({ bundle, window }: Found): SignatureAlgorithm | undefined {
  const identifier = bundle.responders[window.responder]?.signatureAlgorithm
  try {
    return identifier === undefined ? undefined : signatureAlgorithmIn(identifier)
  } catch {
    return undefined
  }
}

function isOlder(bundle: Bundle, held: Bundle): boolean {
  return bundle.asOf < held.asOf || (bundle.asOf === held.asOf && newest(bundle) < newest(held))
}

function newest(bundle: Bundle): UnixSeconds {
  return bundle.windows.reduce((latest, window) => Math.max(latest, window.producedAt), 0)
}

/** Until the first of its windows should be replaced. */
function cacheSeconds(bundle: Bundle, now: UnixSeconds): number {
  const soonest = bundle.windows.reduce(
    (first, window) => Math.min(first, refreshAt(window)),
    Number.POSITIVE_INFINITY,
  )
  return Number.isFinite(soonest) ? Math.min(Math.max(soonest - now, 30), MAX_CACHE_SECONDS) : 0
}
