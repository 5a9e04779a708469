/**
 * Signed requests (RFC 6960 4.1.2; R1.24, R1.25, R1.95-R1.97): whether whoever asks may. Only issuers whose policy wants it get
 * here, and X.509 is loaded for them alone. The policy names the certificates that may sign, and CAs whose certificates may;
 * a signer whose issuer this responder serves must stand in the record, and not be revoked.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { serialHash } from '../bundle/slot.ts'
import { encodeTBSRequest, type OCSPRequest } from '../ocsp/ocsp-request.ts'
import type { OverlayView } from '../overlay/view.ts'
import { encodeAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import { RequestRefused, StorageError } from '../ports/errors.ts'
import type { Clock } from '../ports/ports.ts'
import type { IssuerPolicy, SignatureAlgorithm } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import { Budget } from './budget.ts'
import type { Query } from './query.ts'
import { certificateNamed, directoryName, isStrongAlgorithm } from './request-signature.ts'
import type { Seen } from './seen.ts'
import { signatureAlgorithmOf } from './signature-choice.ts'
import type { Judgement, SignerJudge, TrustedSigner } from './signer-judge.ts'

/** How long it is believed what a signer was found to be: a revocation that the overlay names ends it at once. */
const KEEP_SECONDS = 60
/** Of each kind: those trusted and those not are kept apart, so that a flood of strangers evicts no good one. */
const MAX_KEPT = 500
/** Certificates looked at, a second and isolate: each may cost two signatures and a look-up. */
const STRANGERS_PER_SECOND = 50
const STRANGERS_BURST = 100
/** Signatures of trusted signers verified, a second and isolate. */
const SIGNATURES_PER_SECOND = 500
const SIGNATURES_BURST = 1_000

export interface RequestorPorts {
  readonly judge: Pick<SignerJudge, 'judge'>
  readonly seen: Seen
  readonly clock: Clock
  readonly background: (work: Promise<unknown>) => void
}

interface Held {
  readonly judgement: Judgement
  readonly until: UnixSeconds
}

/** Whether this request must pass `admit` before it may be answered. */
export function isForRequestors({ optionalSignature }: OCSPRequest, policy: IssuerPolicy): boolean {
  if (policy.signedRequests === 'ignore') return false
  return policy.signedRequests === 'require' || optionalSignature !== undefined
}

export class Requestors {
  readonly #ports: RequestorPorts
  readonly #trusted = new Map<string, Held>()
  readonly #refused = new Map<string, Held>()
  readonly #strangers = new Budget(STRANGERS_PER_SECOND, STRANGERS_BURST)
  readonly #signatures = new Budget(SIGNATURES_PER_SECOND, SIGNATURES_BURST)
  readonly #flights: SingleFlight<Judgement>

  constructor(ports: RequestorPorts) {
    this.#ports = ports
    this.#flights = new SingleFlight(ports.background)
  }

  /**
   * Lets a request pass that the issuer's policy lets pass.
   * @returns the algorithm of its signature, if it has one that is right and that a responder could have
   * @throws RequestRefused.{signatureMissing, signatureRefused}; StorageError when it cannot be told, or is over budget
   */
  async admit(
    request: OCSPRequest,
    query: Query,
    root: OverlayView,
  ): Promise<SignatureAlgorithm | undefined> {
    const { tbsRequest, optionalSignature } = request
    if (!isForRequestors(request, query.issuer.policy)) return undefined
    if (optionalSignature === undefined) throw new RequestRefused('signatureMissing')
    const { signatureAlgorithm, signature, certs = [] } = optionalSignature
    const name = directoryName(tbsRequest.requestorName)
    const certificate = name === undefined ? undefined : certificateNamed(name, certs)
    if (certificate === undefined || !isStrongAlgorithm(signatureAlgorithm)) return refused()

    const nowMs = this.#ports.clock.nowMs()
    const { spki } = await this.#signer(certificate, query, root, nowMs)
    if (!this.#signatures.take(nowMs)) throw overBudget()
    const { verifySigned } = await import('../x509/index.ts')
    const verdict = await verifySigned(
      {
        tbs: encodeTBSRequest(tbsRequest),
        signatureAlgorithm: encodeAlgorithmIdentifier(signatureAlgorithm),
        signatureAlgorithmOID: signatureAlgorithm.algorithm,
        signature,
      },
      spki,
    )
    return verdict === 'good' ? signatureAlgorithmOf(signatureAlgorithm) : refused()
  }

  /** @throws RequestRefused.signatureRefused, StorageError */
  async #signer(
    certificate: Uint8Array,
    query: Query,
    root: OverlayView,
    nowMs: number,
  ): Promise<TrustedSigner> {
    const now = Math.floor(nowMs / 1000)
    const key = await keyOf(certificate, query)
    let judgement = this.#find(key, root, now)
    if (judgement === undefined) {
      const judge = async () => {
        // Whoever was trusted until now does not stand in line with strangers.
        const budget = this.#trusted.has(key) ? this.#signatures : this.#strangers
        if (!budget.take(nowMs)) throw overBudget()
        return this.#ports.judge.judge(certificate, query, root, now)
      }
      judgement = await this.#flights.run(key, judge)
      // One that was under way may have begun before a change that this root names.
      if (this.#isOvertaken(judgement, root)) judgement = await judge()
      this.#keep(key, judgement, now)
    }
    const { signer } = judgement
    return signer === undefined || now < signer.notBefore || now > signer.notAfter ? refused() : signer
  }

  #find(key: string, root: OverlayView, now: UnixSeconds): Judgement | undefined {
    const held = this.#trusted.get(key) ?? this.#refused.get(key)
    if (held === undefined || held.until <= now || this.#isOvertaken(held.judgement, root)) return undefined
    return held.judgement
  }

  /** Whether the overlay, or an answer of this isolate, knows of a change to the signer's certificate that this does not. */
  #isOvertaken({ recorded }: Judgement, root: OverlayView): boolean {
    if (recorded === undefined) return false
    const at = root.standing(recorded.issuer)
    if (at === undefined) return true
    const { serial, asOf } = recorded
    return asOf < Math.max(root.need(at, serial, serialHash(serial)), this.#ports.seen.need(at, serial))
  }

  #keep(key: string, judgement: Judgement, now: UnixSeconds): void {
    this.#trusted.delete(key)
    this.#refused.delete(key)
    const kept = judgement.signer === undefined ? this.#refused : this.#trusted
    kept.set(key, { judgement, until: now + KEEP_SECONDS })
    const oldest = kept.size > MAX_KEPT ? kept.keys().next() : undefined
    if (oldest?.done === false) kept.delete(oldest.value)
  }
}

/** By the policy as well: another one may name other requestors. */
async function keyOf(certificate: Uint8Array, { issuer }: Query): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bufferSource(certificate))
  return `${issuer.id}/${issuer.configRev}/${String.fromCharCode(...new Uint8Array(digest))}`
}

function refused(): never {
  throw new RequestRefused('signatureRefused')
}

function overBudget(): StorageError {
  return new StorageError('overBudget', 'too many signed requests')
}
