/** The request path. Nothing above it knows OCSP; nothing in it knows HTTP. */
import { decodeOCSPRequest } from '../ocsp/ocsp-request.ts'
import type { OverlayReader } from '../overlay/reader.ts'
import { RequestRefused, SigningError, StorageError } from '../ports/errors.ts'
import type { Clock } from '../ports/ports.ts'
import type { Answer, StatusAnswer } from './answer.ts'
import { errorAnswer } from './answer.ts'
import type { AnswerMemory } from './answer-memory.ts'
import { answerKey } from './answer-memory.ts'
import type { BundleSource } from './bundle-source.ts'
import type { IssuerDirectory } from './issuers.ts'
import type { LiveCopies } from './live-copies.ts'
import type { Query } from './query.ts'

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
  readonly live: LivePort
}

/** One OCSP exchange. Never rejects: every failure becomes an encoded OCSPResponse, with the error for the log. */
export async function respond(der: Uint8Array, ports: ResponderPorts): Promise<Answer> {
  try {
    const request = decodeOCSPRequest(der)
    const nowMs = ports.clock.nowMs()
    const root = ports.overlay.fresh(nowMs) ?? (await ports.overlay.refresh())
    const query = await ports.issuers.resolve(request, root)
    return await lookUp(query, Math.floor(nowMs / 1000), ports)
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
    if (answer.responseStatus === 'successful' && answer.certStatus !== 'unknown') return answer
    const known =
      'error' in answer && answer.error instanceof RequestRefused && answer.error.reason === 'unknownSerial'
    if (refusal === undefined || known || answer.responseStatus === 'successful') refusal = answer
  }
  return refusal ?? errorAnswer(new StorageError('corrupt', 'no candidate'))
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
  const { issuer, first } = query
  const key = answerKey(issuer.id, first.hashAlgorithm, first.serial)
  const remembered = ports.memory.find(key, first.need, now)
  if (remembered !== undefined) return remembered
  const found = (await ports.bundles.find(query, now)) ?? (await ports.copies.find(query, now))
  if (found !== undefined) ports.memory.put(key, found, now)
  return found
}

async function signed(query: Query, now: number, ports: ResponderPorts): Promise<StatusAnswer> {
  const { issuer, first } = query
  const answer = await ports.live.answer(query)
  ports.memory.put(answerKey(issuer.id, first.hashAlgorithm, first.serial), answer, now)
  ports.copies.keep(query, answer, now)
  return answer
}

function isUnableToSign(error: unknown): boolean {
  return (
    error instanceof SigningError || (error instanceof StorageError && error.reason !== 'overlayUnreadable')
  )
}
