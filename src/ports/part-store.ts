/** One database of several (ADR 0016), as administration over all of them uses it. */
import type { AdminStore, NewIssuer } from './admin-store.ts'
import { StorageError } from './errors.ts'
import type { MassRequest, MassRun, MassStep } from './mass-store.ts'
import type { IssuerRecord } from './records.ts'

export const MAX_DATABASES = 16
/** Ids that a database gives to issuers: those above its number times this. */
export const IDS_PER_DATABASE = 16_777_216
/** Every hex digit that the hash of a serial can begin with. */
export const ALL_DIGITS = 65_535

/** Its binding: `DB`, `DB_1`, ... */
export function databaseName(database: number): string {
  return database === 0 ? 'DB' : `DB_${database}`
}

/** Of several databases one was not there, or gives up just now what was to be written. The message is for the operator. */
export class ShardError extends StorageError {
  constructor(message: string, options?: ErrorOptions) {
    super('unavailable', message, options)
  }
}

/** Where a new issuer goes. */
export interface NewPart {
  /** undefined: the next one of this database. */
  readonly id: number | undefined
  /** Mask of the digits that other databases have. */
  readonly away: number
}

export interface PartStore extends AdminStore {
  /** As AdminStore.addIssuer, in this database alone. */
  addPart(issuer: NewIssuer, part: NewPart, nowMs: number): Promise<IssuerRecord>
  /** With the one part that is here. */
  readIssuer(id: number): Promise<IssuerRecord | undefined>
  /** The run of this request that is not done. */
  openMass(issuer: number, request: MassRequest): Promise<MassRun | undefined>
  /** A step that another database has done for this run. @param from where it began */
  passMass(run: number, from: number, step: MassStep, nowMs: number): Promise<void>
}
