/**
 * Serials that D1 said are not recorded, remembered for a minute so that repeating the question costs nothing. Kept apart
 * from answers, so that a flood of random serials evicts no good one (attack 17).
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import { questionKey } from '../responder/answer-memory.ts'
import type { Asked } from '../responder/query.ts'

const SECONDS = 60
const MAX_ENTRIES = 10_000

export class AbsentSerials {
  readonly #until = new Map<string, { asOf: Sequence; until: UnixSeconds }>()

  has(issuer: IssuerRecord, asked: Asked, now: UnixSeconds): boolean {
    const found = this.#until.get(keyOf(issuer, asked))
    return found !== undefined && found.until > now && found.asOf >= asked.need
  }

  add(issuer: IssuerRecord, asked: Asked, asOf: Sequence, now: UnixSeconds): void {
    if (this.#until.size >= MAX_ENTRIES) {
      const oldest = this.#until.keys().next()
      if (oldest.done !== true) this.#until.delete(oldest.value)
    }
    this.#until.set(keyOf(issuer, asked), { asOf, until: now + SECONDS })
  }

  /** After certificates were recorded by this isolate. */
  clear(): void {
    this.#until.clear()
  }
}

/** Keyed by configuration as well: another policy for serials that are not recorded starts afresh. */
function keyOf(issuer: IssuerRecord, asked: Asked): string {
  return questionKey({ issuer, first: { hashAlgorithm: 'SHA-1', serial: asked.serial } })
}
