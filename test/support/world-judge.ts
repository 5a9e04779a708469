/** Every answer of a world is held against the laws (architecture.md section 2) and against what truly happened. */

import { OID } from '../../src/asn1/oid.ts'
import { signedOctets } from '../../src/ocsp/basic-response.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { type HashAlgorithm, hashAlgorithmOf } from '../../src/pkix/algorithm-identifier.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { equalOctets } from '../../src/responder/equal-octets.ts'
import { type Bounds, type CertificateHistory, timesProblem } from './world-history.ts'
import type { WorldIssuer } from './world-setup.ts'

export interface Question {
  readonly history: CertificateHistory
  readonly issuer: WorldIssuer
  readonly hash: HashAlgorithm
  readonly nonce: Uint8Array | undefined
}

export interface JudgeOptions {
  readonly bounds: Bounds
  readonly nowMs: number
  /** Verify the signature too. */
  readonly verify: boolean
  /** By certificate: the oldest revision that this isolate may still answer (law 2). */
  readonly seen: Map<string, number>
}

/** @returns what law is broken and how; undefined when none is */
export async function judge(
  question: Question,
  answer: Answer,
  options: JudgeOptions,
): Promise<string | undefined> {
  const { history, issuer, hash, nonce } = question
  const { bounds, nowMs, seen } = options
  switch (answer.responseStatus) {
    case 'tryLater':
    case 'internalError':
      return undefined // never wrong; a world that says nothing else fails by its share of answers
    case 'malformedRequest':
    case 'sigRequired':
      return `${answer.responseStatus} to a good request`
    case 'unauthorized':
      return issuer.unknown === 'unauthorized' && history.mayBeRefused(nowMs)
        ? undefined
        : 'unauthorized for a recorded serial (law 4)'
    case 'successful':
  }
  const basic = decodeSuccessfulResponse(answer.der)
  const { responses, producedAt, responseExtensions = [] } = basic.tbsResponseData
  const [single] = responses
  if (single === undefined || responses.length !== 1)
    return `${responses.length} SingleResponses to one question`
  const { certID } = single
  const expected = issuer.record.hashes[hash]
  if (
    hashAlgorithmOf(certID.hashAlgorithm.algorithm) !== hash ||
    !equalOctets(certID.issuerNameHash, expected.issuerNameHash) ||
    !equalOctets(certID.issuerKeyHash, expected.issuerKeyHash) ||
    !equalOctets(certID.serialNumber, history.serial)
  )
    return 'the CertID is not the one asked about (law 6)'
  const echoed = responseExtensions.find(({ extnID }) => extnID === OID.ocspNonce)
  if (echoed !== undefined && (nonce === undefined || !equalOctets(echoed.extnValue.subarray(2), nonce)))
    return 'a nonce that was not asked for: an answer made for somebody else'
  const notAfter = Math.min(issuer.pki.responder.notAfter, issuer.pki.issuer.notAfter)
  const times = timesProblem(basic, single, bounds, notAfter, nowMs)
  if (times !== undefined) return times
  if (answer.nextUpdate !== single.nextUpdate || answer.producedAt !== producedAt)
    return 'the headers would tell other times than the response'
  if (options.verify && !(await issuer.verify(tbsOctets(answer.der), basic.signature)))
    return 'the signature does not verify'

  // Its row was deleted after notAfter and retention: the policy for what is not recorded answers too.
  if (history.prunedMs !== undefined && single.certStatus.type === issuer.unknown) return undefined
  const matching = history.matching(single, producedAt, nowMs)
  const newest = matching.at(-1)
  const oldest = matching[0]
  if (newest === undefined || oldest === undefined)
    return history.recordedMs === undefined
      ? `${single.certStatus.type} for a serial that was never issued (law 4)`
      : `${single.certStatus.type}, thisUpdate ${single.thisUpdate}, was never true, or no more when it was signed`
  const allowed = history.oldestAllowed(nowMs)
  if (newest < allowed) {
    const late = nowMs - (history.revisions[newest + 1]?.committedMs ?? nowMs)
    return `revision ${newest} of ${allowed}, ${late / 1000} s after the next one was committed (law 2, bound)`
  }
  const before = seen.get(history.key) ?? -1
  if (newest < before)
    return `revision ${newest} after revision ${before} from the same isolate (law 2, monotone)`
  seen.set(history.key, Math.max(before, oldest))
  return undefined
}

/** Index of the newest revision that an answer can be taken for; -1 when it is none. */
export function newestRevision(history: CertificateHistory, answer: Answer, nowMs: number): number {
  if (answer.responseStatus !== 'successful') return -1
  const { responses, producedAt } = decodeSuccessfulResponse(answer.der).tbsResponseData
  const [single] = responses
  return single === undefined ? -1 : (history.matching(single, producedAt, nowMs).at(-1) ?? -1)
}

function tbsOctets(der: Uint8Array): Uint8Array {
  const response = decodeOCSPResponse(der)
  if (response.responseStatus !== 'successful') throw new TypeError('an error response has nothing signed')
  return signedOctets(response.responseBytes.response)
}
