/** Every answer of a world is held against the laws (architecture.md section 2) and against what truly happened. */

import { OID } from '../../src/asn1/oid.ts'
import { type BasicOCSPResponse, type SingleResponse, signedOctets } from '../../src/ocsp/basic-response.ts'
import type { CertStatus } from '../../src/ocsp/cert-status.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { type HashAlgorithm, hashAlgorithmOf } from '../../src/pkix/algorithm-identifier.ts'
import type { UnknownPolicy } from '../../src/ports/records.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { equalOctets } from '../../src/responder/equal-octets.ts'
import { hex } from './pki.ts'
import { type Bounds, type CertificateHistory, SKEW_MS, sameStatus, timesProblem } from './world-history.ts'
import type { WorldIssuer, WorldSigner } from './world-setup.ts'

/** One CertID of a question. */
export interface AskedCertificate {
  readonly history: CertificateHistory
  readonly hash: HashAlgorithm
}

export interface Question {
  readonly issuer: WorldIssuer
  /** In the order of the CertIDs. */
  readonly asked: readonly AskedCertificate[]
  readonly nonce: Uint8Array | undefined
  /** What it shall be signed with, if that can be (R1.86). */
  readonly prefers?: 'Ed25519' | 'sha256WithRSAEncryption'
}

export interface JudgeOptions {
  readonly bounds: Bounds
  readonly nowMs: number
  /** When the question came; default now. A refusal says what was so then: nobody keeps it. */
  readonly askedMs?: number
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
  const problem = await judgeOctets(question, answer.der, options)
  if (problem !== undefined || answer.responseStatus !== 'successful') return problem
  const { producedAt, responses } = decodeSuccessfulResponse(answer.der).tbsResponseData
  const nextUpdate = Math.min(...responses.map((single) => single.nextUpdate ?? 0))
  return answer.nextUpdate !== nextUpdate || answer.producedAt !== producedAt
    ? 'the headers would tell other times than the response'
    : undefined
}

/** The same for what reached a client, whoever sent it. */
export async function judgeOctets(
  question: Question,
  der: Uint8Array,
  options: JudgeOptions,
): Promise<string | undefined> {
  const { issuer, asked, nonce } = question
  const { nowMs } = options
  const response = decodeOCSPResponse(der)
  switch (response.responseStatus) {
    case 'tryLater':
    case 'internalError':
      return undefined // never wrong; a world that says nothing else fails by its share of answers
    case 'malformedRequest':
    case 'sigRequired':
      return `${response.responseStatus} to a good request`
    case 'unauthorized':
      return issuer.unknown === 'unauthorized' &&
        asked.some(({ history }) => history.mayBeRefused(options.askedMs ?? nowMs))
        ? undefined
        : 'unauthorized for a recorded serial (law 4)'
    case 'successful':
  }
  const basic = decodeSuccessfulResponse(der)
  const { responses, responseExtensions = [] } = basic.tbsResponseData
  if (responses.length !== asked.length)
    return `${responses.length} SingleResponses to ${asked.length} questions (law 6)`
  const echoed = responseExtensions.find(({ extnID }) => extnID === OID.ocspNonce)
  if (echoed !== undefined && (nonce === undefined || !equalOctets(echoed.extnValue.subarray(2), nonce)))
    return 'a nonce that was not asked for: an answer made for somebody else (law 7)'
  const signer = signerOf(issuer, basic)
  if (signer === undefined) return 'its signer is no responder of the issuer (law 5)'
  const { producedAt } = basic.tbsResponseData
  const { retiredMs = Number.POSITIVE_INFINITY } = signer
  if (producedAt * 1000 > retiredMs + options.bounds.boundMs + SKEW_MS)
    return `signed ${producedAt - retiredMs / 1000} s after its responder was retired (law 2, bound)`
  for (const [i, one] of asked.entries()) {
    const single = responses[i]
    const problem =
      single === undefined ? 'no answer' : judgeSingle(issuer, one, basic, single, options, signer.notAfter)
    if (problem !== undefined) return problem
  }
  if (
    options.verify &&
    !(await signer.verify(signedOctets(response.responseBytes.response), basic.signature))
  )
    return 'the signature does not verify (law 5)'
  return undefined
}

function judgeSingle(
  issuer: WorldIssuer,
  { history, hash }: AskedCertificate,
  basic: BasicOCSPResponse,
  single: SingleResponse,
  { bounds, nowMs, seen }: JudgeOptions,
  signerNotAfter: number,
): string | undefined {
  const { producedAt } = basic.tbsResponseData
  const { certID } = single
  const expected = issuer.record.hashes[hash]
  if (
    hashAlgorithmOf(certID.hashAlgorithm.algorithm) !== hash ||
    !equalOctets(certID.issuerNameHash, expected.issuerNameHash) ||
    !equalOctets(certID.issuerKeyHash, expected.issuerKeyHash) ||
    !equalOctets(certID.serialNumber, history.serial)
  )
    return 'the CertID is not the one asked about (law 6)'
  const notAfter = Math.min(signerNotAfter, issuer.pki.issuer.notAfter)
  const times = timesProblem(basic, single, bounds, notAfter, nowMs, issuer.finalMs !== undefined)
  if (times !== undefined) return times

  // Its row was deleted after notAfter and retention: the policy for what is not recorded answers too.
  const unrecorded = unrecordedStatus(issuer.unknown)
  const isGone = history.prunedMs !== undefined && !history.isCompromised(nowMs)
  if (isGone && unrecorded !== undefined && sameStatus(single.certStatus, unrecorded)) return undefined
  const matching = history.matching(single, producedAt, nowMs)
  const newest = matching.at(-1)
  const oldest = matching[0]
  if (newest === undefined || oldest === undefined)
    return history.recordedMs === undefined
      ? `${single.certStatus.type} for a serial that was never issued (law 4)`
      : `${single.certStatus.type}, thisUpdate ${single.thisUpdate}, was never true, or no more when it was signed (law 2)`
  const allowed = history.oldestAllowed(nowMs)
  if (newest < allowed) {
    const late = nowMs - (history.revisions[newest + 1]?.committedMs ?? nowMs)
    return `revision ${newest} of ${allowed}, ${late / 1000} s after the next one was committed (law 2, bound)`
  }
  const before = seen.get(history.key) ?? -1
  if (newest < before && !history.isUnrecordedUntilGood(newest))
    return `revision ${newest} after revision ${before} from the same isolate (law 2, monotone)`
  // What follows the end of a row never has to be known: who told it may still tell the row.
  if (history.revisions[oldest]?.enforcedMs !== Number.POSITIVE_INFINITY)
    seen.set(history.key, Math.max(before, oldest))
  return undefined
}

function signerOf(issuer: WorldIssuer, { tbsResponseData }: BasicOCSPResponse): WorldSigner | undefined {
  const { responderID } = tbsResponseData
  return 'byKey' in responderID ? issuer.signers.get(hex(responderID.byKey)) : undefined
}

/** What the policy says of a serial that is not recorded; undefined = unauthorized. */
export function unrecordedStatus(policy: UnknownPolicy): CertStatus | undefined {
  switch (policy) {
    case 'unauthorized':
      return undefined
    case 'revoked-extended':
      return { type: 'revoked', revocationTime: 0, revocationReason: 6 }
    case 'good':
    case 'unknown':
      return { type: policy }
  }
}

/** Index of the newest revision that an answer can be taken for; -1 when it is none. */
export function newestRevision(history: CertificateHistory, answer: Answer, nowMs: number): number {
  if (answer.responseStatus !== 'successful') return -1
  const { responses, producedAt } = decodeSuccessfulResponse(answer.der).tbsResponseData
  const [single] = responses
  return single === undefined ? -1 : (history.matching(single, producedAt, nowMs).at(-1) ?? -1)
}
