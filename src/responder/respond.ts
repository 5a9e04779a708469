/** The request path. Nothing above it knows OCSP; nothing in it knows HTTP. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import { decodeOCSPRequest } from '../ocsp/ocsp-request.ts'
import type { OverlayReader } from '../overlay/reader.ts'
import type { OverlayRoot } from '../overlay/root.ts'
import { FreshnessError, RequestRefused, SigningError, StorageError } from '../ports/errors.ts'
import type { Clock } from '../ports/ports.ts'
import type { Answer, StatusAnswer } from './answer.ts'
import { errorAnswer } from './answer.ts'
import type { AnswerMemory } from './answer-memory.ts'
import { questionKey } from './answer-memory.ts'
import type { BundleSource } from './bundle-source.ts'
import type { IssuerDirectory } from './issuers.ts'
import type { LiveCopies } from './live-copies.ts'
import type { Query } from './query.ts'
import type { Seen } from './seen.ts'
import { isCurrent } from './windows.ts'

/** An answer that is overtaken on its way is looked up once more. */
const ATTEMPTS = 2

/** Answers signed on demand. */
export interface LivePort {
  answer(query: Query): Promise<StatusAnswer>
}

export interface ResponderPorts {
  readonly clock: Clock
  readonly overlay: Pick<OverlayReader, 'fresh' | 'refresh'>
  readonly issuers: IssuerDirectory
  readonly memory: AnswerMemory
  readonly bundles: BundleSource
  readonly copies: LiveCopies
  readonly seen: Seen
  readonly live: LivePort
}

/**
 * One OCSP exchange. Never throws or rejects: every failure becomes an encoded OCSPResponse, with the error for the log.
 * @returns no promise for what is in memory: the hops of one would cost as much as the answer
 */
export function respond(der: Uint8Array, ports: ResponderPorts): Answer | Promise<Answer> {
  try {
    const request = decodeOCSPRequest(der)
    return fromMemory(request, ports) ?? fromAnyTier(request, ports)
  } catch (error) {
    return errorAnswer(error)
  }
}

/** @throws RequestRefused */
function fromMemory(request: OCSPRequest, ports: ResponderPorts): StatusAnswer | undefined {
  const nowMs = ports.clock.nowMs()
  const root = ports.overlay.fresh(nowMs)
  if (root === undefined) return undefined
  const now = Math.floor(nowMs / 1000)
  const query = ports.issuers.resolveAtOnce(request, root, ports.seen, now)
  if (query === undefined || query.asked.length > 1 || query.nonce !== undefined) return undefined
  const answer = ports.memory.find(questionKey(query), query.first.need, now)
  return answer !== undefined && isUsable(answer, query, root, now, ports.seen) ? answer : undefined
}

async function fromAnyTier(request: OCSPRequest, ports: ResponderPorts): Promise<Answer> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const nowMs = ports.clock.nowMs()
      const root = ports.overlay.fresh(nowMs) ?? (await ports.overlay.refresh())
      const now = Math.floor(nowMs / 1000)
      const query = await ports.issuers.resolve(request, root, ports.seen, now)
      const answer = await lookUp(query, now, ports)
      if (await mayLeave(answer, query, ports)) return answer
    }
    throw new FreshnessError('overtaken', 'the answer was overtaken while it was on its way')
  } catch (error) {
    return errorAnswer(error)
  }
}

/**
 * The same for a GET whose slashes a proxy has merged: several requests fit the octets that are left, and the one is meant
 * whose certificate we know.
 */
export async function respondToAny(
  candidates: readonly Uint8Array[],
  ports: ResponderPorts,
): Promise<Answer> {
  let refusal: Answer | undefined
  for (const der of candidates) {
    const answer = await respond(der, ports)
    if (answer.responseStatus === 'successful' && !answer.unrecorded) return answer
    const known =
      'error' in answer && answer.error instanceof RequestRefused && answer.error.reason === 'unknownSerial'
    if (refusal === undefined || known || answer.responseStatus === 'successful') refusal = answer
  }
  return refusal ?? errorAnswer(new StorageError('corrupt', 'no candidate'))
}

/** Asked once more after any wait. @throws StorageError.overlayUnreadable */
async function mayLeave(answer: StatusAnswer, query: Query, ports: ResponderPorts): Promise<boolean> {
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
  { issuer, asked }: Query,
  root: OverlayRoot,
  now: UnixSeconds,
  seen: Seen,
): boolean {
  if (!isCurrent(answer, answer.profile, now)) return false
  const at = root.issuer(issuer.id)
  if (at === undefined) return false
  const isOlder = answer.told.some(({ asOf }, i) => {
    const serial = asked[i]?.serial
    return serial === undefined || asOf < Math.max(root.need(at, serial), seen.need(at, serial))
  })
  if (isOlder) return false
  for (const [i, { serial }] of asked.entries()) seen.note(at, serial, answer.told[i]?.revision ?? 0)
  return true
}

/** Memory, bundle, cache copy, signature now: every tier but the last is optional. */
async function lookUp(query: Query, now: number, ports: ResponderPorts): Promise<StatusAnswer> {
  if (query.asked.length > 1) return ports.live.answer(query)
  if (query.nonce !== undefined) {
    try {
      return await ports.live.answer(query)
    } catch (error) {
      // No key, or no more of it for nonces: the most complete answer possible is one without (R2.3, R3.13).
      const without = isUnableToSign(error) ? await stored(query, now, ports) : undefined
      if (without === undefined) throw error
      return without
    }
  }
  return (await stored(query, now, ports)) ?? (await signed(query, now, ports))
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
