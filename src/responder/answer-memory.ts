/**
 * Finished answers in isolate memory, least recently used out first. Whether one may still leave is asked at every use:
 * its window and the overlay decide, not the memory.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { RecentlyUsed } from '../ports/recently-used.ts'
import type { IssuerRecord, Sequence, SignatureAlgorithm } from '../ports/records.ts'
import type { StatusAnswer } from './answer.ts'
import type { Asked } from './query.ts'
import { isCurrent, refreshAt, UNKNOWN_MAX_AGE_SECONDS } from './windows.ts'

/** What all entries may weigh together; an isolate has 128 MB for everything. */
export const ANSWER_BYTES = 16 * 1024 * 1024
/** What an entry weighs beyond its DER: key, header strings, object. */
const ENTRY_OVERHEAD_BYTES = 600
/** A copy past its refresh time is looked up again after this long, because a newer one should be on its way. */
const RECHECK_SECONDS = 30

interface Held {
  readonly answer: StatusAnswer
  readonly checkedAt: UnixSeconds
}

export class AnswerMemory {
  readonly #answers: RecentlyUsed<Held>

  constructor(maxBytes = ANSWER_BYTES) {
    this.#answers = new RecentlyUsed(maxBytes)
  }

  /** The answer if it is usable: current, and as new as the overlay demands. */
  find(key: string, need: Sequence, now: UnixSeconds): StatusAnswer | undefined {
    const held = this.#answers.get(key)
    if (held === undefined) return undefined
    const { answer } = held
    if (answer.asOf < need || !isCurrent(answer, answer.profile, now) || isOldUnknown(answer, now)) {
      this.#answers.delete(key)
      return undefined
    }
    const wantedAt = refreshAt(answer)
    // Looked up a moment before its time, it is looked up again when it comes: a max-age may end there (R2.11).
    if (now >= wantedAt && (held.checkedAt < wantedAt || now - held.checkedAt >= RECHECK_SECONDS))
      return undefined
    return answer
  }

  put(key: string, answer: StatusAnswer, now: UnixSeconds): void {
    const kept: StatusAnswer = answer.origin === 'memory' ? answer : { ...answer, origin: 'memory' }
    this.#answers.set(key, { answer: kept, checkedAt: now }, weight(answer))
  }

  /** After certificates were recorded by this isolate: they are known from now on. */
  forgetUnknown(): void {
    this.#answers.deleteAll(({ answer }) => answer.unrecorded)
  }
}

/** What tells one answer that can be shared from another. */
export interface Question {
  readonly issuer: Pick<IssuerRecord, 'id' | 'configRev'>
  readonly first: Pick<Asked, 'hashAlgorithm' | 'serial'>
  readonly algorithm?: SignatureAlgorithm
}

/**
 * One key for every spelling of the same question. With the configuration: under another policy for serials that are not
 * recorded, or for caching, answers differ. With the algorithm when the client prefers one; what follows begins with a digit,
 * so no serial number can look like one.
 */
export function questionKey({ issuer, first, algorithm }: Question): string {
  const key = answerKey(issuer.id, first.hashAlgorithm, first.serial)
  return algorithm === undefined ? `${issuer.configRev}/${key}` : `${issuer.configRev}/${algorithm}/${key}`
}

/** One key for every spelling of the same question: POST, GET, NULL or absent parameters. */
export function answerKey(issuer: number, hash: HashAlgorithm, serial: Uint8Array): string {
  let key = `${issuer}${hash}`
  for (const octet of serial) key += String.fromCharCode(octet)
  return key
}

/** The overlay names what changed, not what is new: only time tells that an `unknown` may be over (R6.8). */
function isOldUnknown({ unrecorded, producedAt }: StatusAnswer, now: UnixSeconds): boolean {
  return unrecorded && now - producedAt >= UNKNOWN_MAX_AGE_SECONDS
}

function weight(answer: StatusAnswer): number {
  return answer.der.length + ENTRY_OVERHEAD_BYTES
}
