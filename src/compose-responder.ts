/**
 * The parts that answer, wired together. What the Worker does (compose.ts) and what `edge-ocsp answer` does without one is
 * this: they differ only in what they lay under it.
 */
import { directoryMemory } from './overlay/directory.ts'
import { OverlayReader } from './overlay/reader.ts'
import { segmentMemory } from './overlay/segment.ts'
import type { Clock, DerivedStore, EdgeCache } from './ports/ports.ts'
import { ANSWER_BYTES, AnswerMemory } from './responder/answer-memory.ts'
import { BundleSource } from './responder/bundle-source.ts'
import { IssuerDirectory } from './responder/issuers.ts'
import { LiveCopies } from './responder/live-copies.ts'
import { MissedBundles } from './responder/missed-bundles.ts'
import { Requestors } from './responder/requestors.ts'
import type { ResponderPorts } from './responder/respond.ts'
import { Seen } from './responder/seen.ts'
import { type JudgePorts, SignerJudge } from './responder/signer-judge.ts'
import { LiveSource } from './signing/live-source.ts'
import { SignerPool } from './signing/signers.ts'
import { D1DirectoryStore } from './storage/d1-directory-store.ts'
import { D1OverlayStore } from './storage/d1-overlay-store.ts'
import { D1RecoveryStore } from './storage/d1-recovery-store.ts'
import { D1StatusStore } from './storage/d1-status-store.ts'
import type { Database } from './storage/database.ts'
import { decodeIssuerPage } from './storage/issuer-page.ts'

export interface ResponderResources {
  /** The record. */
  readonly db: Database
  /** The other tiers: optional by nature, absence is a miss. */
  readonly derived: DerivedStore
  readonly cache: EdgeCache
  readonly clock: Clock
  /** uint32 */
  readonly random: () => number
  /** The propagation bound B. */
  readonly boundMs: number
  /** @throws SigningError */
  readonly kek: () => Uint8Array
  readonly secret: (name: string) => string | undefined
  readonly sleep: (ms: number) => Promise<void>
  /** Keeps work alive after the answer has left. */
  readonly background: (work: Promise<unknown>) => void
  /** How many of these share the memory of an isolate. Default 1. */
  readonly of?: number
  /** With several databases: where the certificate of a requestor is. */
  readonly locate?: JudgePorts['locate']
}

/** The responder, and the parts of it that others need. */
export interface ComposedResponder {
  readonly ports: ResponderPorts
  readonly status: D1StatusStore
  readonly overlayStore: D1OverlayStore
  readonly directory: D1DirectoryStore
  readonly overlay: OverlayReader
  readonly signers: SignerPool
  readonly live: LiveSource
}

export function composeResponder(resources: ResponderResources): ComposedResponder {
  const {
    db,
    derived,
    cache,
    clock,
    random,
    boundMs,
    kek,
    secret,
    sleep,
    background,
    of = 1,
    locate,
  } = resources
  const status = new D1StatusStore(db)
  const overlayStore = new D1OverlayStore(db)
  const directory = new D1DirectoryStore(db)
  const latestPosition = () => overlay.latest?.position ?? 0
  const pages = {
    directory: directoryMemory({ derived, cache, clock, background, record: directory, latestPosition, of }),
    segments: segmentMemory({ derived, cache, clock, background, of }),
  }
  const overlay: OverlayReader = new OverlayReader(
    { derived, overlay: overlayStore, pages, clock, random, background },
    boundMs,
  )
  const signers = new SignerPool({ keys: status, kek, secret })
  const missed = new MissedBundles({ recovery: new D1RecoveryStore(db), sleep, background })
  const bundles = new BundleSource({ derived, cache, missed, background, of })
  const live = new LiveSource({
    status,
    bundles,
    signers,
    clock,
    latestRoot: () => overlay.latest,
    background,
  })
  const issuers = new IssuerDirectory({ derived, status, decodePage: decodeIssuerPage, background, of })
  const seen = new Seen()
  const judge = new SignerJudge({ issuers, status, seen, locate })
  const ports = {
    clock,
    overlay,
    issuers,
    memory: new AnswerMemory(ANSWER_BYTES / of),
    bundles,
    status,
    copies: new LiveCopies(cache, background),
    seen,
    live,
    requestors: new Requestors({ judge, seen, clock, background }),
  }
  return { ports, status, overlayStore, directory, overlay, signers, live }
}
