/** Answers signed on demand, as the request path asks for them. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertStatus } from '../ocsp/cert-status.ts'
import type { Extension } from '../pkix/extensions.ts'
import type { Sequence } from '../ports/records.ts'
import type { StatusAnswer } from './answer.ts'
import type { Asked, Query } from './query.ts'

/** What one certificate's status is, and on which ground. */
export interface Status {
  readonly asked: Asked
  readonly certStatus: CertStatus
  readonly since: UnixSeconds
  readonly asOf: Sequence
  /** Extensions recorded with the certificate; undefined: it is not recorded. */
  readonly recorded: readonly Extension[] | undefined
  /** Position of the last change; asOf when only that is known, 0 for a serial that is not recorded. */
  readonly revision: Sequence
}

/** Of a question, what one database has to tell. */
export interface LivePart {
  readonly live: LivePort
  readonly query: Query
}

export interface LivePort {
  /**
   * One signed answer to everything that was asked, nonce included.
   * @param parts who tells which statuses, when it is not ourselves all of them; their `asked` are those of the query
   * @throws RequestRefused.unknownSerial, StorageError, SigningError, FreshnessError.overtaken
   */
  answer(query: Query, parts?: readonly LivePart[]): Promise<StatusAnswer>
  /** @param mayProve whether a bundle entry will do instead of the record. @throws as answer */
  tell(query: Query, t0: UnixSeconds, mayProve: boolean): Promise<readonly Status[]>
  /** Whether the overlay by now demands more than they know. */
  overtaken(query: Query, statuses: readonly Status[]): boolean
}
