/**
 * Revoking many certificates in the record: by query, walked in the order of hashes; or by a list of serials. The rules are
 * those of a single change (AdminStore.changeStatus). Every method may reject with StorageError.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { NewCertificate, StatusChange } from './admin-store.ts'
import type { Sequence } from './records.ts'

/**
 * Which certificates; all that is given must hold. A certificate whose date is not known matches no condition on it. What is
 * revoked already (or held, when the wish is to hold) is never matched.
 */
export interface MassWhere {
  /** notBefore, inclusive. */
  readonly issuedAfter?: UnixSeconds | undefined
  /** notBefore, exclusive; as expiresBefore. */
  readonly issuedBefore?: UnixSeconds | undefined
  /** notAfter, inclusive. */
  readonly expiresAfter?: UnixSeconds | undefined
  readonly expiresBefore?: UnixSeconds | undefined
  /** Content octets; as numbers, inclusive. */
  readonly serialFrom?: Uint8Array | undefined
  readonly serialTo?: Uint8Array | undefined
  /** Upper-case hex digits that the serial begins with, written with an even number of them and no 00 in front. */
  readonly serialPrefix?: string | undefined
  /** Also serials that are only reserved. */
  readonly reserved: boolean
}

export interface MassRequest {
  readonly where: MassWhere
  readonly to: 'revoked' | 'hold'
  /** As of StatusChange. */
  readonly reason: StatusChange['reason']
  /** Default: the minute in which the run is started, however long it takes. Ahead of the clock: the start. */
  readonly revocationTime: UnixSeconds | undefined
}

/** A run of a request. Asking for the same again goes on with it until it is done, and then starts another. */
export interface MassRun {
  readonly id: number
  readonly issuer: number
  /** What was asked for, as JSON. */
  readonly request: Readonly<Record<string, unknown>>
  readonly revocationTime: UnixSeconds
  /** The next hash of a serial to look at; 2^32 = done. */
  readonly cursor: number
  readonly changed: number
  /** Rows that the rules did not let change. */
  readonly refused: number
  readonly startedMs: number
  readonly updatedMs: number
  /** Spent at the record. */
  readonly busyMs: number
}

export interface MassRefusal {
  /** Lower-case hex of the content octets. */
  readonly serial: string
  readonly message: string
}

/** One transaction of a run. */
export interface MassStep {
  readonly cursor: number
  readonly changed: number
  readonly refused: readonly MassRefusal[]
  /** Sequence of the change; 0 when nothing changed. */
  readonly revision: Sequence
}

/** What a request would do to a stretch of the record. */
export interface MassTally {
  /** Goes on here; 2^32 = the end. */
  readonly cursor: number
  readonly toChange: number
  /** Of those that would change: on hold, reserved. */
  readonly held: number
  readonly reserved: number
  readonly refused: readonly MassRefusal[]
  /** Match, but are left as they are: revoked (or held) already; reserved. */
  readonly already: number
  readonly leftReserved: number
  /** Would match if a date were known that is not. */
  readonly undated: number
  /** Slots that would become due, ascending. */
  readonly slots: readonly SlotNumber[]
}

export interface SlotNumber {
  readonly k: number
  readonly slot: number
}

/** A listed serial; as of an import's row, but it need not be recorded. */
export type ListedChange = Pick<NewCertificate, 'serial' | 'revocationTime' | 'reason'> & {
  readonly status: 'revoked' | 'hold'
}

export type ListedOutcome = 'added' | 'changed' | 'unchanged' | 'notFound' | { readonly refused: string }

export interface MassStore {
  /** The run of this request that is not done, or a new one. @throws NotFoundError */
  startMass(issuer: number, request: MassRequest, nowMs: number): Promise<MassRun>
  /** One transaction of a bounded number of rows, walked and changed. @param until goes no further; default: the end */
  stepMass(run: MassRun, request: MassRequest, nowMs: number, until?: number): Promise<MassStep>
  /** Adds to the time spent. @returns the run as it stands */
  noteMass(id: number, busyMs: number): Promise<MassRun>
  /** Newest first. */
  listMass(issuer: number, limit: number): Promise<readonly MassRun[]>
  /** Changes nothing. @param cursor where to begin; 0 = the beginning @param until as of stepMass */
  tallyMass(
    issuer: number,
    request: MassRequest,
    cursor: number,
    nowMs: number,
    until?: number,
  ): Promise<MassTally>
  /**
   * Outcome for each serial, in order; applied in transactions as AdminStore.addCertificates.
   * @param options add: serials that are not recorded are recorded; dryRun: nothing is changed
   * @returns slots: that become due, of a dry run only
   */
  changeListed(
    issuer: number,
    rows: readonly ListedChange[],
    options: { readonly add: boolean; readonly dryRun: boolean },
    nowMs: number,
  ): Promise<{ readonly outcomes: readonly ListedOutcome[]; readonly slots: readonly SlotNumber[] }>
}
