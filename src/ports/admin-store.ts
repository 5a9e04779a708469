/**
 * What administration needs of the record (D1 primary): issuers, responders, certificates, audit, state of the machine.
 * Serializable, read-after-write. Every change is one transaction and leaves one audit row or more. The adapter is
 * src/storage/d1-admin-store.ts; every method may reject with StorageError.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { StorageError } from './errors.ts'
import type { MassStore } from './mass-store.ts'
import type {
  CertificateRow,
  IssuerPart,
  IssuerPolicy,
  IssuerRecord,
  ResponderRecord,
  Sequence,
} from './records.ts'

/** The name or key is taken by another record. Nothing was changed. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError'
  readonly field: 'name' | 'ski' | 'databases'
  constructor(field: ConflictError['field'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.field = field
  }
}

/** No issuer or responder of that id. Nothing was changed. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError'
}

/** The issuer is in a state that does not allow it: its responses are final, or cannot become so. Nothing was changed. */
export class IssuerStateError extends Error {
  override readonly name = 'IssuerStateError'
  readonly state: 'final' | 'frozen' | 'publicTrust'
  constructor(state: IssuerStateError['state'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.state = state
  }
}

export interface NewIssuer
  extends Omit<IssuerRecord, 'id' | 'configRev' | 'responders' | 'parts' | 'partsDiffer'> {
  /**
   * Databases for its certificates, 1 to 16, distinct: the sixteen hex digits that the hash of a serial can begin with are dealt
   * to them evenly, the lowest to the first. Default: the first database.
   */
  readonly databases?: readonly number[] | undefined
}
export type NewResponder = Omit<ResponderRecord, 'id' | 'retired'>

export interface IssuerPatch {
  readonly policy?: IssuerPolicy | undefined
  readonly enabled?: boolean | undefined
  readonly name?: string | undefined
}

/** A certificate as an import or the CA's issuance hook reports it. */
export interface NewCertificate {
  /** Minimal content octets of the INTEGER. */
  readonly serial: Uint8Array
  /** `reserved` only for a serial that has no row: what is recorded is not reserved again (R1.42). */
  readonly status: 'good' | 'revoked' | 'hold' | 'reserved'
  /** Default: what is recorded already, else now truncated to the minute. Up to 5 minutes ahead: clamped to now; beyond: refused. */
  readonly revocationTime?: UnixSeconds | undefined
  /** CRLReason number (1-5, 9, 10; 0 = unspecified). Default: what is recorded already. */
  readonly reason?: number | undefined
  /** 0 or left out = unknown; an unknown one can be filled in later, a known one never changes. */
  readonly notBefore?: UnixSeconds | undefined
  readonly notAfter?: UnixSeconds | undefined
  /** Default: what is recorded already; once true it stays. */
  readonly isCA?: boolean | undefined
  /** DER of Extensions for singleExtensions, merged with what is recorded: the newer of each kind stays. */
  readonly extensions?: Uint8Array | undefined
}

/** `refused` says why, in words for the operator; the row stands as it was. */
export type RowOutcome = 'added' | 'changed' | 'unchanged' | { readonly refused: string }

export interface StatusChange {
  readonly to: 'revoked' | 'hold' | 'released'
  /**
   * Default: what is recorded already (so that a repeated call is `unchanged`), else now truncated to the minute. Ignored
   * for `released`. Another time or reason for a revoked certificate revises it (R4.23).
   */
  readonly revocationTime?: UnixSeconds | undefined
  /** CRLReason number (1-5, 9, 10; 0 = unspecified); only for `revoked`. Default: what is recorded already. */
  readonly reason?: number | undefined
  /** As of NewCertificate. */
  readonly extensions?: Uint8Array | undefined
}

export interface ChangeResult {
  readonly outcome: 'changed' | 'unchanged' | 'notFound' | { readonly refused: string }
  /** The row's rev after the call; 0 when there is no row. Published when readPublished(issuer) >= revision. */
  readonly revision: Sequence
  /** Until when the overlay names this serial; 0 when it does not. */
  readonly keepUntil: UnixSeconds
  /** Where it was changed, of several databases. */
  readonly database?: number
}

export interface AuditRow {
  readonly id: number
  readonly atMs: number
  /** Such as `certificate.revoked`, `certificates.added`, `issuer.added`, `issuer.floor`, `responder.retired`. */
  readonly action: string
  readonly issuer: number | undefined
  /** Lower-case hex of the serial's content octets. */
  readonly serial: string | undefined
  /** The issuer's sequence after the change; 0 when it has none. */
  readonly seq: Sequence
  readonly detail: Readonly<Record<string, unknown>>
}

/** One run of a job (cron or on demand). The last 100 are kept. */
export interface RunRecord {
  readonly job: string
  readonly startedMs: number
  readonly finishedMs: number
  readonly ok: boolean
  readonly built: number
  readonly signatures: number
  readonly failed: number
  readonly remaining: number
  readonly error?: string | undefined
  /** Where it ran, of several databases. */
  readonly database?: number
}

export interface IssuerState {
  readonly id: number
  readonly name: string
  readonly enabled: boolean
  readonly frozen: boolean
  readonly head: Sequence
  readonly published: Sequence
  readonly floor: Sequence
  readonly k: number
  /** Set while the slots are being doubled. */
  readonly kNext: number | undefined
  readonly activeResponders: number
  /** Nearest notAfter of a responder that is not retired; undefined without one. */
  readonly responderNotAfter: UnixSeconds | undefined
  readonly slots: number
  readonly slotsDue: number
  readonly slotsFailing: number
  /** Certificates in the bundles built, and those recorded since. */
  readonly entries: number
  readonly added: number
  /** Of the bundles built; undefined when there is none. */
  readonly oldestThisUpdate: UnixSeconds | undefined
  readonly nearestNextUpdate: UnixSeconds | undefined
  /** As of IssuerRecord. */
  readonly parts?: readonly IssuerPart[]
  /** Of several databases only: what parts are told apart by, the second undefined when all of it is here. */
  readonly ski?: string
  readonly configuration?: string | undefined
}

/** One of several databases. */
export interface DatabaseState {
  readonly database: number
  /** undefined: it answers. */
  readonly fault?: StorageError['reason'] | undefined
  readonly schema: boolean
  readonly slotsDue: number
  readonly publisher: Globals['publisher']
}

/** What is the matter between databases. */
export interface PartFault {
  readonly code: 'issuerTwice' | 'partsDiffer' | 'digitsUnclaimed' | 'digitsTwice'
  /** Short name. */
  readonly issuer: string
  readonly message: string
  readonly step: string
}

/** State of the machine for /readyz, /metrics and `status`. */
export interface Globals {
  /** false: the migrations are not applied; everything else is then empty. */
  readonly schema: boolean
  readonly issuers: readonly IssuerState[]
  readonly slotsDue: number
  readonly slotsFailing: number
  readonly oldestThisUpdate: UnixSeconds | undefined
  readonly nearestNextUpdate: UnixSeconds | undefined
  readonly overlayItems: number
  /** Immutable values of older changes, and how many changes are in them. */
  readonly overlaySegments: number
  readonly overlaySegmentItems: number
  readonly publisher: { readonly version: number; readonly publishedAtMs: number }
  /** The last run of each job. */
  readonly lastRuns: readonly RunRecord[]
  /** Totals since the database was made: bundles_built, signatures_made, builds_failed. */
  readonly counters: Readonly<Record<string, number>>
  /** What the last runs that had something to sign did, and in what time: the rate to expect. */
  readonly signing?:
    | { readonly built: number; readonly signatures: number; readonly milliseconds: number }
    | undefined
  /** Re-signing over a queue; undefined: there never was one. */
  readonly fanOut?: FanOutState | undefined
  /** Where there are several. Sums are then of those that answer, `publisher` is the one that is furthest behind. */
  readonly databases?: readonly DatabaseState[]
  readonly faults?: readonly PartFault[]
}

/** Times in Unix milliseconds, 0 = never. */
export interface FanOutState {
  /** Slots that are in the queue now, and slots that somebody builds now (also without a queue). */
  readonly waiting: number
  readonly building: number
  /** The last plan: when, slots due, slots sent, in how many messages. */
  readonly plannedMs: number
  readonly due: number
  readonly planned: number
  readonly messages: number
  /** A plan found slots that were sent and taken by nobody in time; the queue did not take all of a plan. */
  readonly lostMs: number
  readonly refusedMs: number
  /** The last message that was handled, the last that was given up. */
  readonly handledMs: number
  readonly deadMs: number
}

/** What readiness is judged by. */
export interface IssuerOutline extends Pick<IssuerRecord, 'id' | 'name' | 'compromisedAt' | 'finalAt'> {
  readonly policy: Pick<IssuerRecord['policy'], 'profile' | 'validitySeconds'>
  readonly responders: readonly Pick<
    ResponderRecord,
    'custody' | 'secretName' | 'notBefore' | 'notAfter' | 'retired'
  >[]
}

/** Issuers read at once: some kilobytes each. */
export const MAX_LISTED = 500

/**
 * Over several databases what concerns an issuer as a whole is done in each that has some of it, the lowest first. When one fails,
 * the error says where it was done; repeating the call completes it, and changes nothing twice. What is returned is then the
 * record of the lowest database.
 */
export interface AdminStore extends MassStore {
  /** Numbers of the databases, where there are several. */
  readonly databases?: readonly number[]
  /**
   * With `databases`, a call that has failed half-way is completed by the same call.
   * @throws ConflictError when name or ski is taken, or there are no such databases
   */
  addIssuer(issuer: NewIssuer, nowMs: number): Promise<IssuerRecord>
  /** @throws NotFoundError; ConflictError when the new name is taken; IssuerStateError for a policy once the issuer is final */
  updateIssuer(id: number, patch: IssuerPatch, nowMs: number): Promise<IssuerRecord>
  /** Key compromise: every artefact older than now is unusable, all slots are due. @throws NotFoundError */
  raiseFloor(id: number, nowMs: number): Promise<Sequence>
  /**
   * The CA's key is compromised since `at`: every serial is revoked (R1.41). Raises the floor, makes all slots due; an earlier
   * `at` replaces a later one, else nothing changes. @param at above 0 @throws NotFoundError; IssuerStateError once it is final
   */
  compromiseIssuer(id: number, at: UnixSeconds, nowMs: number): Promise<IssuerRecord>
  /**
   * Responses become final, the record stands still (R4.52). All slots are due. A second time changes nothing.
   * @throws NotFoundError; IssuerStateError when it is frozen or its profile is public-trust
   */
  finalizeIssuer(id: number, nowMs: number): Promise<IssuerRecord>
  /** After a freeze, once the lost changes are replayed: raises the floor too, as nobody knows what the lost past signed. @throws NotFoundError */
  thaw(id: number, nowMs: number): Promise<Sequence>
  /** With ids above `after`, ascending. Responders included, retired ones too. @param limit 1..MAX_LISTED, the default */
  listIssuers(after?: number, limit?: number): Promise<IssuerRecord[]>
  /** All of them, however many, for judging readiness. */
  issuerOutlines(): Promise<readonly IssuerOutline[]>
  /** Short name first, then SKI (hex, any case), then decimal id. */
  findIssuer(nameOrSkiOrId: string): Promise<IssuerRecord | undefined>
  /** @throws NotFoundError for the issuer; ConflictError when it has a responder of that name; IssuerStateError once it is final */
  addResponder(
    issuer: number,
    responder: NewResponder,
    wrappedKey: Uint8Array | undefined,
    nowMs: number,
  ): Promise<ResponderRecord>
  /** Signs no new window from now on. @param responder its name; or id, which differs from database to database @throws NotFoundError */
  retireResponder(issuer: number, responder: number | string, nowMs: number): Promise<IssuerRecord>
  /**
   * Records and reconciles; outcome per row in the order given. Rows are applied in order, in chunks of at most 1,000 rows
   * or 90 KB, each all or nothing: after a StorageError the earlier chunks stand, and those of other databases; calling again is
   * safe.
   * @throws NotFoundError
   */
  addCertificates(issuer: number, rows: readonly NewCertificate[], nowMs: number): Promise<RowOutcome[]>
  /** @throws NotFoundError for the issuer (an unknown serial is the outcome `notFound`) */
  changeStatus(issuer: number, serial: Uint8Array, change: StatusChange, nowMs: number): Promise<ChangeResult>
  readCertificate(issuer: number, serial: Uint8Array): Promise<CertificateRow | undefined>
  /** Rows with id > afterId, oldest first. @param limit 1..1000 @param database each has ids of its own; default 0 @throws NotFoundError */
  audit(afterId: number, limit: number, database?: number): Promise<AuditRow[]>
  globals(now: UnixSeconds): Promise<Globals>
  recordRun(run: RunRecord): Promise<void>
}
