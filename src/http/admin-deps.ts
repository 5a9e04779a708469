/** What the admin API needs of the composition root. */
import type { AdminStore } from '../ports/admin-store.ts'
import type { Canary, CanaryChange, CanaryStore } from '../ports/canary-store.ts'
import type { MoveService } from '../ports/moves.ts'
import type { Clock, EventLog } from '../ports/ports.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import type { RecoveryStore } from '../ports/recovery-store.ts'

/** How putting the overlay root went. */
export interface PublishOutcome {
  /** False: another publisher held the lease, or the put failed. What was committed stays committed. */
  readonly published: boolean
  readonly version?: number | undefined
  /** Unix milliseconds. */
  readonly publishedAtMs?: number | undefined
  /** Why not, for the operator. */
  readonly problem?: string | undefined
}

/** What has to be published at least. */
export interface PublishedChange {
  readonly issuer: number
  readonly revision: Sequence
  /** Of several databases. Without it: whatever stands in those that have some of the issuer, whose sequences are not the same. */
  readonly database?: number | undefined
}

export interface PresignOptions {
  readonly issuer?: number
  /** Also slots whose new certificates are not due yet. */
  readonly all: boolean
  /** Budget in units of one P-256 signature. */
  readonly signatures?: number
}

export interface PresignOutcome {
  readonly built: number
  readonly signatures: number
  readonly failed: number
  readonly remaining: number
  /** Why slots failed, one line each. */
  readonly problems?: readonly string[]
}

export interface AdminDeps {
  readonly store: AdminStore
  readonly canaries: Pick<CanaryStore, 'listCanaries' | 'setCanary'>
  /** On hold, or released, and published; undefined: another was faster. */
  changeCanary(canary: Canary): Promise<CanaryChange | undefined>
  /** Of several databases; undefined: there is one. */
  readonly moves?: MoveService | undefined
  readonly recovery: Pick<RecoveryStore, 'markLost' | 'issuersAfter'>
  readonly clock: Clock
  /** @param change with it: done once a root that holds this change is published, by us or by another publisher */
  publish(change?: PublishedChange): Promise<PublishOutcome>
  presign(options: PresignOptions): Promise<PresignOutcome>
  /** KEY_ENCRYPTION_KEY, 32 octets; undefined = missing or not 32 octets of base64. */
  readonly kek: Uint8Array | undefined
  /** Value of a Worker secret. */
  secret(name: string): string | undefined
  readonly adminToken: string | undefined
  /** Host name (with port, if one is given) that alone serves the API. */
  readonly adminHost: string | undefined
  readonly boundSeconds: number
  writeIssuerPage(record: IssuerRecord): Promise<void>
  /** Certificates were recorded: whatever this isolate remembers as never issued may be wrong now. */
  certificatesRecorded?(): void
  readonly log?: EventLog
}
