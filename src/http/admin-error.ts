/** What an admin request fails with, and the one place where it becomes HTTP. */
import type { ErrorBody, ErrorCode, Finding } from '../admin-api/contract.ts'
import { ConflictError, IssuerStateError, NotFoundError } from '../ports/admin-store.ts'
import { SigningError, StorageError } from '../ports/errors.ts'
import { ShardError } from '../ports/part-store.ts'

export type AdminStatus = 400 | 401 | 403 | 404 | 405 | 409 | 413 | 422 | 500 | 503

export interface AdminErrorFacts {
  /** Path of the field at fault, e.g. `policy.validitySeconds`. */
  readonly field?: string
  /** What to do about it. */
  readonly hint?: string
  readonly findings?: readonly Finding[]
  readonly headers?: Readonly<Record<string, string>>
}

/** A refusal that the operator reads. The message must not quote a key, a token or the request's body. */
export class AdminError extends Error {
  override readonly name = 'AdminError'
  readonly status: AdminStatus
  readonly code: ErrorCode
  readonly facts: AdminErrorFacts
  constructor(status: AdminStatus, code: ErrorCode, message: string, facts: AdminErrorFacts = {}) {
    super(message)
    this.status = status
    this.code = code
    this.facts = facts
  }
}

const STORAGE_HINTS: Record<StorageError['reason'], string> = {
  unavailable: 'nothing was changed, or it is not known: repeat the call, it changes nothing twice',
  overBudget: 'repeat the call in a few seconds',
  corrupt: 'see GET /readyz and the log; the record in D1 needs a look before anything else is changed',
  overlayUnreadable: 'repeat the call in a few seconds',
  elsewhere: 'its certificates are being moved to another database: repeat the call in a minute',
  reserved: 'report the certificate first: issue it or revoke it',
  notSetUp: 'apply the migrations: wrangler d1 migrations apply DB --remote',
}

const CONFLICT_HINTS: Record<ConflictError['field'], string> = {
  name: 'choose another name',
  ski: 'this certificate is known already: change that issuer',
  databases: 'name databases that there are, each once: edge-ocsp status shows them',
}

const STATE_HINTS: Record<IssuerStateError['state'], string> = {
  final: 'that cannot be taken back: its last responses are out, and stay valid',
  frozen: 'thaw it first: edge-ocsp issuer thaw, or POST .../thaw',
  publicTrust: 'only issuers of the profile private can end like that (R4.52)',
}

/** Any error to one that may be shown. What we did not foresee shows nothing of itself: its message may quote anything. */
export function toAdminError(error: unknown): AdminError {
  if (error instanceof AdminError) return error
  if (error instanceof StorageError) {
    const message =
      error instanceof ShardError ? error.message : `the record could not be used (${error.reason})`
    return new AdminError(503, 'storageUnavailable', message, {
      hint: STORAGE_HINTS[error.reason],
      headers: { 'Retry-After': '5' },
    })
  }
  if (error instanceof SigningError) {
    return new AdminError(503, 'signerUnavailable', `the signer could not be used (${error.reason})`, {
      hint: 'see GET /readyz for the responder at fault',
      headers: { 'Retry-After': '60' },
    })
  }
  if (error instanceof ConflictError) {
    const hint = CONFLICT_HINTS[error.field]
    return new AdminError(409, 'conflict', error.message, { field: error.field, hint })
  }
  if (error instanceof IssuerStateError)
    return new AdminError(409, 'changeRefused', error.message, { hint: STATE_HINTS[error.state] })
  if (error instanceof NotFoundError) return new AdminError(404, 'notFound', error.message)
  return new AdminError(500, 'internalError', 'an error we did not foresee; the log has its class', {
    hint: 'repeat the call; if it stays, report it with the log line',
  })
}

export function errorResponse(error: AdminError): Response {
  const { field, hint, findings, headers } = error.facts
  const body: ErrorBody = {
    error: {
      code: error.code,
      message: error.message,
      ...(field !== undefined && { field }),
      ...(hint !== undefined && { hint }),
      ...(findings !== undefined && { findings: [...findings] }),
    },
  }
  return Response.json(body, { status: error.status, headers: { 'Cache-Control': 'no-store', ...headers } })
}
