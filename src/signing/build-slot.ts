/**
 * The content of one bundle: what may be kept of the bundle before, and the rest signed. Pure but for the signer.
 *
 * A build opens at most two windows: the usual one, a little backdated, and one that starts at t0 for certificates whose
 * status changed within the backdating (R1.31, attack 15). A signature is kept when status and CertID are unchanged, its
 * responder still signs for the issuer, with the algorithm of this bundle, and most of its window is left.
 */
import { NO_END, type UnixSeconds } from '../asn1/generalized-time.ts'
import type {
  Bundle,
  BundleEntry,
  BundleResponder,
  BundleVariant,
  BundleWindow,
} from '../bundle/bundle-format.ts'
import type { BundleContent } from '../bundle/bundle-writer.ts'
import { hash32 } from '../bundle/hash32.ts'
import { serialHash } from '../bundle/slot.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import { SingleResponseTemplate } from '../ocsp/single-response-template.ts'
import type { CertificateRow, IssuerRecord, Sequence } from '../ports/records.ts'
import { equalOctets } from '../responder/equal-octets.ts'
import { backdate, isTooShort, resignAt, windowOf } from '../responder/windows.ts'
import { certStatusOf, earliestThisUpdate } from './cert-status.ts'
import { sameStatus } from './check-response.ts'
import type { ReadySigner } from './signers.ts'
import { encodedExtensions } from './single-extensions.ts'

/** Windows in one bundle (architecture of the format), two of them for the present build. */
export const MAX_KEPT_WINDOWS = 14
/**
 * What is built anyway also signs what would make it due within this share of a window. Otherwise every build that adds something
 * leaves a window with a turn of its own, for ever, and a slot comes to be built for fifteen of them (ADR 0008, docs/scale.md).
 */
export const EARLY_SHARE = 4

export interface SlotToBuild {
  readonly issuer: IssuerRecord
  readonly lease: { readonly k: number; readonly slot: number }
  /** Ordered by hash and serial. */
  readonly rows: readonly CertificateRow[]
  readonly asOf: Sequence
  readonly t0: UnixSeconds
  readonly ready: ReadySigner
  readonly previous: Bundle | undefined
  /** Nothing signed before this position is kept: the issuer's floor. */
  readonly floor: Sequence
}

export interface BuiltSlot {
  readonly content: BundleContent
  readonly signatures: number
  /** The oldest thisUpdate, the nearest refresh time and the last nextUpdate of all windows in use. */
  readonly thisUpdate: UnixSeconds
  readonly refreshAt: UnixSeconds
  readonly nextUpdate: UnixSeconds
}

/** @throws SigningError */
export async function buildSlot(slot: SlotToBuild): Promise<BuiltSlot> {
  const { issuer, lease, rows, asOf, t0, ready } = slot
  const variants: BundleVariant[] = issuer.policy.hashes.map((hashAlgorithm) => ({
    hashAlgorithm,
    ...issuer.hashes[hashAlgorithm],
  }))
  const plan = new WindowPlan(slot)
  const keep = keeper(slot, variants)
  const entries: BundleEntry[] = []
  let signatures = 0
  for (const row of rows) {
    if (row.notBefore > t0) continue // not before its time: producedAt must lie inside its validity (R1.65)
    if (row.status === 'reserved' && issuer.compromisedAt === undefined) continue // not answered yet (R1.42)
    const certStatus = certStatusOf(row, issuer)
    const kept = keep(row, certStatus)
    const window = kept === undefined ? undefined : plan.keep(kept.window)
    if (kept !== undefined && window !== undefined) {
      entries.push({ ...kept, serial: row.serial, certStatus, window })
      continue
    }
    const fresh = plan.open(earliestThisUpdate(row, issuer))
    const singleExtensions = fresh.extensions(row)
    const signed: Uint8Array[] = []
    for (const template of fresh.templates(variants))
      signed.push(await ready.signer.sign(template.view(row.serial, certStatus, singleExtensions)))
    signatures += signed.length
    entries.push({
      serial: row.serial,
      certStatus,
      window: fresh.index,
      signatures: signed,
      ...(singleExtensions === undefined ? {} : { singleExtensions }),
    })
  }
  const { windows, responders } = plan
  return {
    content: {
      issuer: issuer.id,
      k: lease.k,
      slot: lease.slot,
      asOf,
      variants,
      responders,
      windows,
      entries,
    },
    signatures,
    thisUpdate: windows.reduce((oldest, { thisUpdate }) => Math.min(oldest, thisUpdate), t0),
    refreshAt: windows.reduce(
      (first, window) => Math.min(first, resignAt(window)),
      issuer.finalAt === undefined ? t0 + issuer.policy.validitySeconds : NO_END,
    ),
    nextUpdate: windows.reduce((last, { nextUpdate }) => Math.max(last, nextUpdate), t0),
  }
}

interface FreshWindow {
  readonly index: number
  readonly extensions: ReturnType<typeof encodedExtensions>
  templates(variants: readonly BundleVariant[]): readonly SingleResponseTemplate[]
}

/** The windows and responders that the new bundle names, in the order they came to be needed. */
class WindowPlan {
  readonly windows: BundleWindow[] = []
  readonly responders: BundleResponder[] = []
  readonly #slot: SlotToBuild
  readonly #kept = new Map<number, number>()
  #backdated: FreshWindow | undefined
  #current: FreshWindow | undefined

  constructor(slot: SlotToBuild) {
    this.#slot = slot
  }

  /** Index in the new bundle of a window of the bundle before; undefined when there is no room for it. */
  keep(index: number): number | undefined {
    const known = this.#kept.get(index)
    const { previous } = this.#slot
    const window = previous?.windows[index]
    const responder = window === undefined ? undefined : previous?.responders[window.responder]
    if (known !== undefined || window === undefined || responder === undefined) return known
    if (this.#kept.size >= MAX_KEPT_WINDOWS) return undefined
    const added = this.windows.push({ ...window, responder: this.#responder(responder) }) - 1
    this.#kept.set(index, added)
    return added
  }

  /** @param latest thisUpdate must not lie before this */
  open(latest: UnixSeconds): FreshWindow {
    const { t0, issuer } = this.#slot
    if (latest <= t0 - backdate(issuer.policy)) {
      this.#backdated ??= this.#fresh(0)
      return this.#backdated
    }
    this.#current ??= this.#fresh(t0)
    return this.#current
  }

  #fresh(latest: UnixSeconds): FreshWindow {
    const { issuer, t0, ready, lease } = this.#slot
    const jitter = hash32(new Uint8Array([lease.slot >>> 16, lease.slot >>> 8, lease.slot]), issuer.id)
    const window = windowOf(issuer, t0, latest, ready.notAfter, jitter)
    const { responder, signer } = ready
    const index =
      this.windows.push({
        ...window,
        responder: this.#responder({
          id: responder.id,
          keyHash: responder.keyHash,
          signatureAlgorithm: signer.signatureAlgorithm,
          certs: responder.certificate === undefined ? [] : [responder.certificate],
        }),
      }) - 1
    let made: readonly SingleResponseTemplate[] | undefined
    const responderID = { byKey: responder.keyHash }
    return {
      index,
      extensions: encodedExtensions(issuer, t0),
      templates: (variants) => {
        made ??= variants.map((variant) => new SingleResponseTemplate({ ...window, responderID, variant }))
        return made
      },
    }
  }

  #responder(responder: BundleResponder): number {
    const known = this.responders.findIndex(({ id }) => id === responder.id)
    return known >= 0 ? known : this.responders.push(responder) - 1
  }
}

/** Which entry of the bundle before still says the truth about a row, and for long enough. */
function keeper(
  { issuer, t0, previous, floor, ready }: SlotToBuild,
  variants: readonly BundleVariant[],
): (
  row: CertificateRow,
  certStatus: CertStatus,
) => Pick<BundleEntry, 'window' | 'signatures' | 'singleExtensions'> | undefined {
  if (previous === undefined || previous.asOf < floor || !sameVariants(previous.variants, variants))
    return () => undefined
  const active = new Set(
    issuer.responders.flatMap(({ id, retired, algorithm }) =>
      retired || algorithm !== ready.responder.algorithm ? [] : [id],
    ),
  )
  const lasting = previous.windows.map((window) => {
    const responder = previous.responders[window.responder]
    const isLonger = window.nextUpdate - window.thisUpdate >= issuer.policy.validitySeconds // it was shortened since
    const isShorter = isTooShort(window, issuer.policy.profile)
    const fits = issuer.finalAt === undefined ? !isLonger && !isShorter : window.nextUpdate === NO_END
    const early = Math.floor((window.nextUpdate - window.thisUpdate) / EARLY_SHARE)
    if (responder === undefined || !active.has(responder.id) || resignAt(window) - early <= t0 || !fits)
      return undefined
    return { ...window, extensions: encodedExtensions(issuer, window.producedAt) }
  })
  return (row, certStatus) => {
    if (row.rev > previous.asOf) return undefined
    const entry = previous.find(row.serial, serialHash(row.serial))
    if (entry === undefined || entry.verbatim !== undefined || !sameStatus(entry.certStatus, certStatus))
      return undefined
    const window = lasting[entry.window]
    if (window === undefined || window.thisUpdate < earliestThisUpdate(row, issuer)) return undefined
    if (entry.signatures.some((signature) => signature === undefined)) return undefined
    const { singleExtensions } = entry
    if (!sameExtensions(singleExtensions, window.extensions(row))) return undefined
    const { signatures } = entry
    return {
      window: entry.window,
      signatures,
      ...(singleExtensions === undefined ? {} : { singleExtensions }),
    }
  }
}

function sameExtensions(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalOctets(a, b)
}

function sameVariants(a: readonly BundleVariant[], b: readonly BundleVariant[]): boolean {
  return (
    a.length === b.length &&
    a.every((variant, i) => {
      const other = b[i]
      return (
        other !== undefined &&
        variant.hashAlgorithm === other.hashAlgorithm &&
        equalOctets(variant.issuerKeyHash, other.issuerKeyHash) &&
        equalOctets(variant.issuerNameHash, other.issuerNameHash)
      )
    })
  )
}
