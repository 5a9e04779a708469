/**
 * A deployment with several databases (ADR 0016): which of them has the certificate that is asked about. Each has an overlay
 * root of its own, and says there which certificates it claims. Almost always the first look at the roots in memory tells.
 */
import { serialHash } from '../bundle/slot.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import type { RootIssuer } from '../overlay/root.ts'
import type { OverlayView } from '../overlay/view.ts'
import { type HashAlgorithm, hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { FreshnessError, RequestRefused, StorageError } from '../ports/errors.ts'
import type { Clock } from '../ports/ports.ts'
import { type Answer, errorAnswer } from './answer.ts'
import { isElsewhere, type Query } from './query.ts'
import { isForRequestors } from './requestors.ts'
import { admitted, answerAlone, forWhomItIs, mayLeave, type ResponderPorts } from './respond.ts'
import type { LocatedRecord } from './signer-judge.ts'

/** While a move ends, roots change under a request. */
const ATTEMPTS = 2

/** What one database says of the issuer of a certificate. */
interface Claim {
  readonly ports: ResponderPorts
  readonly at: RootIssuer
  readonly isHere: boolean
}

/** What one database has to tell of a request for several certificates. */
interface Part {
  readonly ports: ResponderPorts
  /** By which the query was resolved. */
  readonly root: OverlayView
  readonly query: Query
  /** Of its certificates, in the request. */
  readonly places: readonly number[]
}

export class Shards {
  readonly #shards: readonly ResponderPorts[]
  readonly #clock: Clock

  /** @param shards in the order of their databases */
  constructor(shards: readonly ResponderPorts[], clock: Clock) {
    this.#shards = shards
    this.#clock = clock
  }

  /** Never rejects. @throws RequestRefused, as answerAlone */
  answer(request: OCSPRequest): Answer | Promise<Answer> {
    const { requestList } = request.tbsRequest
    const only = requestList.length === 1 ? requestList[0] : undefined
    const home = only === undefined ? undefined : this.#homeAtOnce(only.reqCert)
    return home === undefined ? this.#find(request) : answerAlone(request, home)
  }

  /** Where a certificate's status is. @throws RequestRefused.unknownIssuer, StorageError */
  async locate(certID: CertID): Promise<LocatedRecord> {
    const home = await this.#homeOf(certID)
    const { issuers, status, seen } = home
    return { issuers, status, seen, root: await this.#rootOf(home) }
  }

  /** @throws StorageError.overlayUnreadable */
  async #rootOf({ overlay }: ResponderPorts): Promise<OverlayView> {
    return overlay.fresh(this.#clock.nowMs()) ?? overlay.refresh()
  }

  /** undefined when that takes a look at something that is not in memory. @throws RequestRefused */
  #homeAtOnce(certID: CertID): ResponderPorts | undefined {
    const algorithm = algorithmOf(certID)
    const nowMs = this.#clock.nowMs()
    const hash = serialHash(certID.serialNumber)
    const claims: Claim[] = []
    let isOpen = false
    for (const ports of this.#shards) {
      const root = ports.overlay.fresh(nowMs)
      const at = root === undefined ? null : ports.issuers.findAtOnce(certID, algorithm, root)
      if (at === null) isOpen = true
      else if (at !== undefined) {
        const claim = { ports, at, isHere: !isElsewhere(at, hash) }
        if (isEnough(claim)) return ports
        claims.push(claim)
      }
    }
    return isOpen ? undefined : best(claims).ports
  }

  async #find(request: OCSPRequest): Promise<Answer> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const { requestList } = request.tbsRequest
        const homes = await Promise.all(requestList.map(({ reqCert }) => this.#homeOf(reqCert)))
        const answer = await this.#from(request, homes)
        if (answer !== undefined) return answer
      }
      throw new FreshnessError('overtaken', 'the certificates are being moved to another database')
    } catch (error) {
      return errorAnswer(error)
    }
  }

  /** @throws RequestRefused, StorageError: a database that might have it cannot be asked */
  async #homeOf(certID: CertID): Promise<ResponderPorts> {
    const algorithm = algorithmOf(certID)
    const hash = serialHash(certID.serialNumber)
    const looks = this.#shards.map(async (ports): Promise<Claim | undefined> => {
      const root = await this.#rootOf(ports)
      const at = await ports.issuers.find(certID, algorithm, root)
      return at === undefined ? undefined : { ports, at, isHere: !isElsewhere(at, hash) }
    })
    // Nobody waits for a database that is away when another is sure.
    const sure = looks.map(async (look) => {
      const claim = await look
      if (claim === undefined || !isEnough(claim)) throw NOT_SURE
      return claim
    })
    try {
      return (await Promise.any(sure)).ports
    } catch {
      return best((await Promise.all(looks)).filter((claim) => claim !== undefined)).ports
    }
  }

  /** @returns undefined: overtaken */
  async #from(request: OCSPRequest, homes: readonly ResponderPorts[]): Promise<Answer | undefined> {
    const [home] = homes
    if (home !== undefined && homes.every((one) => one === home)) {
      const answer = await answerAlone(request, home)
      return 'error' in answer && answer.error instanceof StorageError && answer.error.reason === 'elsewhere'
        ? undefined
        : answer
    }
    return this.#fromSeveral(request, homes)
  }

  /** Statuses from several databases, one signature. */
  async #fromSeveral(request: OCSPRequest, homes: readonly ResponderPorts[]): Promise<Answer | undefined> {
    const now = Math.floor(this.#clock.nowMs() / 1000)
    const parts: Part[] = []
    for (const ports of new Set(homes)) {
      const places = homes.flatMap((home, place) => (home === ports ? [place] : []))
      const root = await this.#rootOf(ports)
      const query = await ports.issuers.resolve(only(request, places), root, ports.seen, now)
      parts.push({ ports, places, root, query })
    }
    const [lead] = parts
    if (lead === undefined) throw new RequestRefused('unknownIssuer')
    if (parts.some(({ query }) => query.issuer.id !== lead.query.issuer.id))
      throw new RequestRefused('mixedIssuers') // R1.11
    const { ports, root } = lead
    const whole = { ...lead.query, asked: homes.map((_, place) => askedAt(parts, place)) }
    const query = isForRequestors(request, whole.issuer.policy)
      ? await admitted(request, whole, root, now, ports)
      : whole
    const answer = await ports.live.answer(
      query,
      parts.map((part) => ({ live: part.ports.live, query: part.query })),
    )
    for (const part of parts) {
      const told = part.places.flatMap((place) => answer.told[place] ?? [])
      if (!(await mayLeave({ ...answer, told }, part.query, part.ports))) return undefined
    }
    return forWhomItIs(answer, query)
  }
}

const NOT_SURE = new Error('not sure')

/** Nobody can have a newer claim: no move is under way, and the database was not restored from a backup. */
function isEnough({ at, isHere }: Claim): boolean {
  return isHere && !at.frozen && at.share?.moving !== true
}

/**
 * Of what all databases say. @throws RequestRefused.unknownIssuer: nobody knows the issuer; StorageError.elsewhere: somebody does,
 * and nobody claims the certificate
 */
function best(claims: readonly Claim[]): Claim {
  const here = claims.filter(({ isHere }) => isHere)
  const found =
    here.find(({ at }) => at.share?.fresh === true && !at.frozen) ??
    here.find(({ at }) => at.share?.fresh === true) ??
    here.find(({ at }) => !at.frozen) ??
    here[0]
  if (found !== undefined) return found
  if (claims.length === 0) throw new RequestRefused('unknownIssuer')
  throw new StorageError('elsewhere', 'no database claims the certificate')
}

/** @throws RequestRefused.unsupportedHash */
function algorithmOf({ hashAlgorithm }: CertID): HashAlgorithm {
  const algorithm = hashAlgorithmOf(hashAlgorithm.algorithm)
  if (algorithm === undefined) throw new RequestRefused('unsupportedHash') // R5.42
  return algorithm
}

/** The same request for some of its certificates. */
function only(request: OCSPRequest, places: readonly number[]): OCSPRequest {
  const { tbsRequest } = request
  const requestList = places.flatMap((place) => tbsRequest.requestList[place] ?? [])
  return { ...request, tbsRequest: { ...tbsRequest, requestList } }
}

function askedAt(parts: readonly Part[], place: number): Query['first'] {
  for (const { places, query } of parts) {
    const asked = query.asked[places.indexOf(place)]
    if (asked !== undefined) return asked
  }
  throw new RequestRefused('unknownIssuer')
}
