/**
 * Answers signed now. The status comes from a usable bundle entry or from D1's primary; t0 is taken before it is read, and
 * after signing the overlay is asked once more, because a revocation may have been published meanwhile (attack 8).
 */
import { DERError } from '../asn1/error.ts'
import { NO_END, type UnixSeconds } from '../asn1/generalized-time.ts'
import type { SingleResponse } from '../ocsp/basic-response.ts'
import { encodeResponseData } from '../ocsp/basic-response.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import { nonceExtension } from '../ocsp/nonce.ts'
import { EXTENDED_REVOKE } from '../ocsp/single-extensions.ts'
import { assembleOCSPResponse } from '../ocsp/single-response-template.ts'
import type { OverlayView } from '../overlay/view.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { type Extension, encodeExtensions } from '../pkix/extensions.ts'
import { FreshnessError, RequestRefused, SigningError, StorageError } from '../ports/errors.ts'
import type { Clock, StatusStore } from '../ports/ports.ts'
import type { CertificateRow, Sequence } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import type { StatusAnswer } from '../responder/answer.ts'
import { statusAnswer } from '../responder/answer.ts'
import { questionKey } from '../responder/answer-memory.ts'
import { Budget } from '../responder/budget.ts'
import type { BundleSource, ProvenStatus } from '../responder/bundle-source.ts'
import type { LivePart, LivePort, Status } from '../responder/live.ts'
import { type Asked, placeOf, type Query } from '../responder/query.ts'
import type { Window } from '../responder/windows.ts'
import { unknownWindow, windowOf } from '../responder/windows.ts'
import { AbsentSerials } from './absent-serials.ts'
import { certStatusOf, compromiseOf, earliestThisUpdate } from './cert-status.ts'
import type { MeantSingle } from './check-response.ts'
import { checkResponse, gateContext } from './check-response.ts'
import type { ReadySigner, SignerPool } from './signers.ts'
import { recordedExtensions, recordedIn, singleExtensions } from './single-extensions.ts'

/** Look-ups of D1 for serials that may not exist, a second and isolate (attack 17). Found ones do not count. */
const MISSES_PER_SECOND = 50
const MISSES_BURST = 200
/** Signatures for nonces and for several CertIDs, a second and isolate (attack 18, R3.13). */
const PERSONAL_PER_SECOND = 200
const PERSONAL_BURST = 500

export interface LivePorts {
  readonly status: StatusStore
  readonly bundles: Pick<BundleSource, 'prove'>
  readonly signers: SignerPool
  readonly clock: Clock
  /** The newest overlay root this isolate has. */
  readonly latestRoot: () => OverlayView | undefined
  readonly background: (work: Promise<unknown>) => void
}

/** What a serial that is not recorded is under the policy `revoked-extended` (RFC 6960 2.2, R1.36): 1970, on hold. */
const NON_ISSUED: CertStatus = { type: 'revoked', revocationTime: 0, revocationReason: 6 }

/** A CRL-only issuer says good for whatever it does not list, for as long as it says anything. */
function isUnrecorded({ certStatus }: Status): boolean {
  return certStatus.type === 'unknown' || certStatus === NON_ISSUED
}

function provenStatus(asked: Asked, { singleExtensions, ...proven }: ProvenStatus): Status {
  return { asked, ...proven, revision: proven.asOf, recorded: recordedIn(singleExtensions) }
}

export class LiveSource implements LivePort {
  readonly #ports: LivePorts
  readonly #misses = new Budget(MISSES_PER_SECOND, MISSES_BURST)
  readonly #personal = new Budget(PERSONAL_PER_SECOND, PERSONAL_BURST)
  readonly #flights: SingleFlight<StatusAnswer>
  readonly absent = new AbsentSerials()

  constructor(ports: LivePorts) {
    this.#ports = ports
    this.#flights = new SingleFlight(ports.background)
  }

  async answer(query: Query, parts: readonly LivePart[] = [{ live: this, query }]): Promise<StatusAnswer> {
    const { first, asked, nonce } = query
    if (parts.some((part) => part.query.at.frozen))
      throw new SigningError('frozen', 'the record was restored from a backup and is not thawed')
    if (nonce === undefined && asked.length === 1) {
      const shared = await this.#flights.run(questionKey(query), () => this.#produce(query, parts, false))
      return shared.asOf >= first.need ? shared : this.#produce(query, parts, false)
    }
    if (!this.#personal.take(this.#ports.clock.nowMs()))
      throw new StorageError('overBudget', 'too many answers with a nonce or several CertIDs')
    return this.#produce(query, parts, true)
  }

  /** @param mayProve whether a bundle entry will do instead of the record: for what no bundle can answer itself */
  async #produce(query: Query, parts: readonly LivePart[], mayProve: boolean): Promise<StatusAnswer> {
    try {
      return await this.#produceOnce(query, parts, mayProve)
    } catch (error) {
      // The request was read long before: it is what is recorded that makes no sense (law 4).
      if (!(error instanceof DERError)) throw error
      throw new StorageError('corrupt', 'the record cannot be put into a response', { cause: error })
    }
  }

  async #produceOnce(query: Query, parts: readonly LivePart[], mayProve: boolean): Promise<StatusAnswer> {
    for (const fromBundles of [mayProve, false]) {
      const t0 = Math.floor(this.#ports.clock.nowMs() / 1000)
      const told = await Promise.all(parts.map((part) => part.live.tell(part.query, t0, fromBundles)))
      const answer = await this.#sign(query, inOrder(query, told.flat()), t0)
      if (!parts.some((part, i) => part.live.overtaken(part.query, told[i] ?? []))) return answer
    }
    throw new FreshnessError('overtaken', 'the status changed while it was being signed')
  }

  async tell(query: Query, t0: UnixSeconds, mayProve: boolean): Promise<readonly Status[]> {
    const { asked } = query
    const proven = new Map<Asked, Status>()
    if (mayProve)
      for (const one of asked) {
        const found = await this.#ports.bundles.prove(query, one, t0)
        if (found !== undefined) proven.set(one, provenStatus(one, found))
      }
    const open = asked.filter((one) => !proven.has(one))
    if (open.length > 0)
      for (const status of await this.#fromRecord(query, open, t0)) proven.set(status.asked, status)
    return inOrder(query, [...proven.values()])
  }

  async #fromRecord(query: Query, open: readonly Asked[], t0: UnixSeconds): Promise<readonly Status[]> {
    const { issuer, at } = query
    for (const one of open) if (this.absent.has(issuer, one, t0)) throw new RequestRefused('unknownSerial')
    if (!this.#misses.take(this.#ports.clock.nowMs()))
      throw new StorageError('overBudget', 'too many look-ups of serials that are not recorded')
    const { asOf, rows } = await this.#ports.status.readStatuses(issuer.id, open)
    if (asOf < at.head) throw new StorageError('unavailable', 'D1 is behind the published overlay')
    if (rows.every((row) => row !== undefined)) this.#misses.refund()
    return open.map((one, i) => this.#status(query, one, rows[i], asOf, t0))
  }

  #status(
    query: Query,
    asked: Asked,
    row: CertificateRow | undefined,
    asOf: Sequence,
    t0: UnixSeconds,
  ): Status {
    const { issuer } = query
    if (row !== undefined) {
      const [certStatus, since] = [certStatusOf(row, issuer), earliestThisUpdate(row, issuer)]
      return { asked, certStatus, since, asOf, revision: row.rev, recorded: recordedExtensions(row) }
    }
    const absent = { asked, since: 0, asOf, revision: 0, recorded: undefined }
    const compromise = compromiseOf(issuer)
    if (compromise !== undefined)
      return { ...absent, certStatus: compromise, since: issuer.compromisedAt ?? 0 }
    switch (issuer.policy.unknown) {
      case 'unauthorized':
        this.absent.add(issuer, asked, asOf, t0)
        throw new RequestRefused('unknownSerial')
      case 'unknown':
        return { ...absent, certStatus: { type: 'unknown' } }
      case 'revoked-extended':
        return { ...absent, certStatus: NON_ISSUED }
      case 'good': // the operator said in words that only revoked certificates are recorded (R1.33)
        return { ...absent, certStatus: { type: 'good' } }
    }
  }

  async #sign(query: Query, statuses: readonly Status[], t0: UnixSeconds): Promise<StatusAnswer> {
    const { issuer, nonce, asked, algorithm } = query
    const ready = await this.#ports.signers.ready(issuer, t0, algorithm)
    const windows = statuses.map((status) => {
      const window = windowOf(issuer, t0, status.since, ready.notAfter)
      if (status.since > t0) return { ...window, until: status.since } // it is not valid yet, and then producedAt would lie outside (R1.65)
      if (!isUnrecorded(status)) return window
      const nextUpdate = Math.min(window.nextUpdate, ready.notAfter) // nothing of it is final, whatever the issuer is (R1.66)
      return unknownWindow({ ...window, nextUpdate })
    })
    const responses = statuses.map(({ asked, certStatus, recorded }, i) => {
      const extensions = recorded === undefined ? undefined : singleExtensions(issuer, recorded, t0)
      return single(asked, certStatus, windows[i] ?? noWindow(), extensions)
    })
    const responseExtensions = [
      ...(nonce === undefined ? [] : [nonceExtension(nonce)]),
      ...(statuses.some(({ certStatus }) => certStatus === NON_ISSUED) ? [EXTENDED_REVOKE] : []), // R1.36, R1.90
    ]
    const der = await signResponses(ready, t0, responses, responseExtensions)
    const meant = responses.map((response, i) => meantSingle(response, asked[i]?.hashAlgorithm ?? 'SHA-1'))
    const notAfter = issuer.finalAt === undefined ? ready.notAfter : NO_END
    checkResponse(der, meant, notAfter, {
      ...gateContext(issuer, ready.responder, t0),
      meantExtensions: responseExtensions,
      question: { certIDs: asked.map(({ certID }) => certID), nonce: nonce?.extnValue },
    })
    const only = statuses.length === 1 ? statuses[0] : undefined
    return statusAnswer({
      der,
      origin: 'live',
      issuer: issuer.id,
      certStatus: only?.certStatus.type ?? 'several',
      unrecorded: statuses.some(isUnrecorded),
      hashAlgorithm: query.first.hashAlgorithm,
      window: intersection(windows, t0),
      told: statuses.map(({ asOf, revision }) => ({ asOf, revision })),
      personal: nonce !== undefined,
      policy: issuer.policy,
    })
  }

  overtaken(query: Query, statuses: readonly Status[]): boolean {
    const root = this.#ports.latestRoot()
    const at = root?.issuer(query.issuer.id) ?? root?.standing(placeOf(query))
    if (root === undefined || at === undefined) return false
    return statuses.some(({ asked, asOf }) => root.need(at, asked.serial, asked.hash) > asOf)
  }
}

/** Encodes and signs; responseExtensions only when there are any (R2.4). */
export async function signResponses(
  ready: ReadySigner,
  producedAt: UnixSeconds,
  responses: readonly SingleResponse[],
  responseExtensions: readonly Extension[],
): Promise<Uint8Array> {
  const { responder, signer } = ready
  const tbs = encodeResponseData({
    versionExplicit: false,
    responderID: { byKey: responder.keyHash },
    producedAt,
    responses,
    ...(responseExtensions.length > 0 ? { responseExtensions } : {}),
  })
  const certs = responder.certificate === undefined ? [] : [responder.certificate] // R1.57-R1.59
  return assembleOCSPResponse(tbs, signer.signatureAlgorithm, await signer.sign(tbs), certs)
}

function single(
  { certID }: Asked,
  certStatus: CertStatus,
  { thisUpdate, nextUpdate }: Window,
  extensions: readonly Extension[] | undefined,
): SingleResponse {
  const response = { certID, certStatus, thisUpdate, nextUpdate }
  return extensions === undefined ? response : { ...response, singleExtensions: extensions }
}

function meantSingle(response: SingleResponse, hashAlgorithm: HashAlgorithm): MeantSingle {
  const { certID, certStatus, thisUpdate, nextUpdate, singleExtensions } = response
  const { issuerNameHash, issuerKeyHash, serialNumber } = certID
  const until = nextUpdate ?? thisUpdate // always there; the check refuses it otherwise
  return {
    hashAlgorithm,
    issuerNameHash,
    issuerKeyHash,
    serialNumber,
    certStatus,
    thisUpdate,
    nextUpdate: until,
    ...(singleExtensions === undefined ? {} : { singleExtensions: encodeExtensions(singleExtensions) }),
  }
}

/** The window in which all of them hold: what the HTTP headers may promise. */
function intersection(windows: readonly Window[], t0: UnixSeconds): Window {
  const ends = windows.flatMap(({ until }) => until ?? [])
  return {
    thisUpdate: Math.max(...windows.map(({ thisUpdate }) => thisUpdate)),
    producedAt: t0,
    nextUpdate: Math.min(...windows.map(({ nextUpdate }) => nextUpdate)),
    ...(ends.length === 0 ? {} : { until: Math.min(...ends) }),
  }
}

/** One for each that was asked, in the order of the request (R1.10). */
function inOrder({ asked, issuer }: Query, statuses: readonly Status[]): readonly Status[] {
  if (statuses.length === 1) return statuses
  const of = new Map(statuses.map((status) => [status.asked, status]))
  return asked.map((one) => of.get(one) ?? unproven(issuer.id))
}

function unproven(issuer: number): never {
  throw new StorageError('corrupt', `the store left out a row of issuer ${issuer}`)
}

function noWindow(): never {
  throw new StorageError('corrupt', 'a status without a window')
}
