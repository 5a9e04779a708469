/** The request path. Nothing above it knows OCSP; nothing in it knows HTTP. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import { decodeOCSPRequest } from '../ocsp/ocsp-request.ts'
import { preferredSignatureAlgorithms } from '../ocsp/preferred-algorithms.ts'
import type { OverlayReader } from '../overlay/reader.ts'
import type { OverlayView } from '../overlay/view.ts'
import { FreshnessError, RequestRefused, SigningError, StorageError } from '../ports/errors.ts'
import type { Clock, StatusStore } from '../ports/ports.ts'
import type { Answer, StatusAnswer } from './answer.ts'
import { errorAnswer } from './answer.ts'
import type { AnswerMemory } from './answer-memory.ts'
import { questionKey } from './answer-memory.ts'
import type { BundleSource } from './bundle-source.ts'
import type { IssuerDirectory } from './issuers.ts'
import type { LivePort } from './live.ts'
import type { LiveCopies } from './live-copies.ts'
import { isElsewhere, placeOf, type Query } from './query.ts'
import { isForRequestors, type Requestors } from './requestors.ts'
import type { Seen } from './seen.ts'
import { chooseAlgorithm } from './signature-choice.ts'
import { isCurrent } from './windows.ts'

/** An answer that is overtaken on its way is looked up once more. */
const ATTEMPTS = 2

export interface ResponderPorts {
  readonly clock: Clock
  readonly overlay: Pick<OverlayReader, 'fresh' | 'refresh'>
  readonly issuers: IssuerDirectory
  readonly memory: AnswerMemory
  readonly bundles: BundleSource
  /** For whoever asks about a certificate of this database in the name of another one. */
  readonly status: Pick<StatusStore, 'readStatuses'>
  readonly copies: LiveCopies
  readonly seen: Seen
  readonly live: LivePort
  readonly requestors: Pick<Requestors, 'admit'>
  /** Of a deployment with several databases: who finds out which of them has what is asked. */
  readonly shards?: { answer(request: OCSPRequest): Answer | Promise<Answer> }
}

/**
 * One OCSP exchange. Never throws or rejects: every failure becomes an encoded OCSPResponse, with the error for the log.
 * @returns no promise for what is in memory: the hops of one would cost as much as the answer
 */
export function respond(der: Uint8Array, ports: ResponderPorts): Answer | Promise<Answer> {
  try {
    const request = decodeOCSPRequest(der)
    return ports.shards === undefined ? answerAlone(request, ports) : ports.shards.answer(request)
  } catch (error) {
    return errorAnswer(error)
  }
}

/** From one database and what is derived of it. @throws RequestRefused */
export function answerAlone(request: OCSPRequest, ports: ResponderPorts): Answer | Promise<Answer> {
  return fromMemory(request, ports) ?? fromAnyTier(request, ports)
}

/** @throws RequestRefused */
function fromMemory(request: OCSPRequest, ports: ResponderPorts): StatusAnswer | undefined {
  const nowMs = ports.clock.nowMs()
  const root = ports.overlay.fresh(nowMs)
  if (root === undefined) return undefined
  const now = Math.floor(nowMs / 1000)
  const query = ports.issuers.resolveAtOnce(request, root, ports.seen, now)
  if (query === undefined || query.asked.length > 1 || query.nonce !== undefined) return undefined
  if (isForRequestors(request, query.issuer.policy)) return undefined
  const answer = ports.memory.find(questionKey(query), query.first.need, now)
  return answer !== undefined && isUsable(answer, query, root, now, ports.seen) ? answer : undefined
}

async function fromAnyTier(request: OCSPRequest, ports: ResponderPorts): Promise<Answer> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const nowMs = ports.clock.nowMs()
      const root = ports.overlay.fresh(nowMs) ?? (await ports.overlay.refresh())
      const now = Math.floor(nowMs / 1000)
      const resolved = await ports.issuers.resolve(request, root, ports.seen, now)
      const query = isForRequestors(request, resolved.issuer.policy)
        ? await admitted(request, resolved, root, now, ports)
        : resolved
      const answer = await lookUp(query, now, ports)
      if (await mayLeave(answer, query, ports)) return forWhomItIs(answer, query)
    }
    throw new FreshnessError('overtaken', 'the answer was overtaken while it was on its way')
  } catch (error) {
    return errorAnswer(error)
  }
}

/**
 * A signed request, or one that should be, after its requestor was found to be one of ours.
 * @returns the query, with the algorithm of the request's signature if nothing was asked for that we have (R1.86)
 * @throws RequestRefused.{signatureMissing, signatureRefused}, StorageError
 */
export async function admitted(
  request: OCSPRequest,
  query: Query,
  root: OverlayView,
  now: UnixSeconds,
  ports: ResponderPorts,
): Promise<Query> {
  const signedWith = await ports.requestors.admit(request, query, root)
  const preferred = preferredSignatureAlgorithms(request)
  const algorithm = chooseAlgorithm(query.issuer, preferred, signedWith, now)
  return algorithm === undefined ? byDefault(query) : { ...query, algorithm }
}

/** An issuer that answers its requestors alone: every answer is personal, so that no cache gives it to others (R1.97). */
export function forWhomItIs(answer: StatusAnswer, { issuer }: Query): StatusAnswer {
  return issuer.policy.signedRequests === 'require' ? { ...answer, personal: true, etag: '' } : answer
}

/** The same question without the wish for an algorithm. */
function byDefault({ algorithm: _, ...query }: Query): Query {
  return query
}

/**
 * The same for a GET whose slashes a proxy has merged: several requests fit the octets that are left, and the one is meant
 * whose certificate we know.
 */
export async function respondToAny(
  candidates: readonly Uint8Array[],
  ports: ResponderPorts,
): Promise<Answer> {
  let best: Answer | undefined
  for (const der of candidates) {
    const answer = await respond(der, ports)
    if (answer.responseStatus === 'successful' && !answer.unrecorded) return answer
    const weight = weightOf(answer)
    if (best === undefined || (weight > 0 && weight >= weightOf(best))) best = answer
  }
  return best ?? errorAnswer(new StorageError('corrupt', 'no candidate'))
}

/** Of candidates that are no good answer: a fault may hide one, so it is never passed over for a refusal (law 4). */
function weightOf(answer: Answer): 0 | 1 | 2 {
  if (answer.responseStatus === 'successful') return 1
  const { responseStatus, error } = answer
  if (responseStatus === 'tryLater' || responseStatus === 'internalError') return 2
  return error instanceof RequestRefused && OF_A_KNOWN_ISSUER.has(error.reason) ? 1 : 0
}

const OF_A_KNOWN_ISSUER: ReadonlySet<RequestRefused['reason']> = new Set([
  'unknownSerial',
  'signatureMissing',
  'signatureRefused',
])

/** Asked once more after any wait. @throws StorageError.overlayUnreadable */
export async function mayLeave(answer: StatusAnswer, query: Query, ports: ResponderPorts): Promise<boolean> {
  const nowMs = ports.clock.nowMs()
  const root = ports.overlay.fresh(nowMs) ?? (await ports.overlay.refresh())
  return isUsable(answer, query, root, Math.floor(nowMs / 1000), ports.seen)
}

/**
 * Asked of every answer as it leaves, since any tier may have kept it waiting: is it current still, and as new as the overlay
 * and this isolate's own answers demand by now (laws 1 and 2)? If so it is noted as seen.
 */
function isUsable(
  answer: StatusAnswer,
  query: Query,
  root: OverlayView,
  now: UnixSeconds,
  seen: Seen,
): boolean {
  if (!isCurrent(answer, answer.profile, now)) return false
  const { issuer, asked } = query
  const at = root.issuer(issuer.id) ?? root.standing(placeOf(query)) // absent: a page to be loaded first
  if (at === undefined || issuer.configRev < at.configRev) return false // compromised meanwhile, perhaps (R1.41)
  if (at.share !== undefined && asked.some(({ hash }) => isElsewhere(at, hash))) return false
  const isOlder = answer.told.some(({ asOf }, i) => {
    const of = asked[i]
    if (of === undefined) return true
    return asOf < Math.max(root.need(at, of.serial, of.hash), seen.need(at, of.serial))
  })
  if (isOlder) return false
  for (const [i, { serial }] of asked.entries()) seen.note(at, serial, answer.told[i]?.revision ?? 0)
  return true
}

/** Memory, bundle, cache copy, signature now: every tier but the last is optional. */
async function lookUp(query: Query, now: number, ports: ResponderPorts): Promise<StatusAnswer> {
  const { asked, nonce, algorithm } = query
  try {
    if (asked.length > 1 || nonce !== undefined) return await ports.live.answer(query)
    return (await stored(query, now, ports)) ?? (await signed(query, now, ports))
  } catch (error) {
    if (!isUnableToSign(error)) throw error
    if (algorithm !== undefined) return lookUp(byDefault(query), now, ports) // the next that is possible (R1.86)
    // No key, or no more of it for nonces: the most complete answer possible is one without (R2.3, R3.13).
    const without = asked.length === 1 && nonce !== undefined ? await stored(query, now, ports) : undefined
    if (without === undefined) throw error
    return without
  }
}

async function stored(query: Query, now: number, ports: ResponderPorts): Promise<StatusAnswer | undefined> {
  const { first } = query
  const key = questionKey(query)
  const remembered = ports.memory.find(key, first.need, now)
  if (remembered !== undefined) return remembered
  const found = (await ports.bundles.find(query, now)) ?? (await ports.copies.find(query, now))
  if (found !== undefined) ports.memory.put(key, found, now)
  return found
}

async function signed(query: Query, now: number, ports: ResponderPorts): Promise<StatusAnswer> {
  const answer = await ports.live.answer(query)
  ports.memory.put(questionKey(query), answer, now)
  ports.copies.keep(query, answer, now)
  return answer
}

function isUnableToSign(error: unknown): boolean {
  return (
    error instanceof SigningError || (error instanceof StorageError && error.reason !== 'overlayUnreadable')
  )
}
