/**
 * The admin API as both sides know it: routes, what they take, what they answer. The Worker validates requests with it
 * and makes openapi.json of it; the CLI builds requests and reads answers with it. Depends on zod alone.
 */
import type * as z from 'zod/mini'
import * as answer from './answers.ts'
import * as mass from './mass.ts'
import * as moves from './moves.ts'
import * as request from './requests.ts'

export * from './answers.ts'
export * from './fields.ts'
export * from './mass.ts'
export * from './moves.ts'
export * from './requests.ts'
export { formatTime, parseTime } from './time.ts'

/** All paths below start with it. */
export const ADMIN_PREFIX = '/admin/v1'

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** Below ADMIN_PREFIX, with {parameters}. `{issuer}` is a short name, an SKI in hex, or an id. */
  readonly path: string
  readonly summary: string
  /** Of the JSON body; none = no body is read. */
  readonly request?: z.ZodMiniType
  /** Of the query string. */
  readonly query?: z.ZodMiniType
  /** Of the 2xx body. */
  readonly response: z.ZodMiniType
  /** Of success; 200 unless told. */
  readonly status?: 201
}

export const ADMIN_ROUTES = {
  status: {
    method: 'GET',
    path: '/status',
    summary: 'State of the whole deployment',
    response: answer.Status,
  },
  listIssuers: {
    method: 'GET',
    path: '/issuers',
    summary: 'Issuers by id, 500 at a time',
    query: request.IssuersQuery,
    response: answer.IssuerList,
  },
  addIssuer: {
    method: 'POST',
    path: '/issuers',
    summary: 'Answer for one more issuer',
    request: request.IssuerInput,
    response: answer.IssuerChange,
    status: 201,
  },
  showIssuer: { method: 'GET', path: '/issuers/{issuer}', summary: 'One issuer', response: answer.Issuer },
  patchIssuer: {
    method: 'PATCH',
    path: '/issuers/{issuer}',
    summary: 'Change name, policy or enabled',
    request: request.IssuerPatch,
    response: answer.IssuerChange,
  },
  raiseFloor: {
    method: 'POST',
    path: '/issuers/{issuer}/floor',
    summary: 'Make everything signed so far unusable (key compromise)',
    response: answer.FloorRaised,
  },
  thawIssuer: {
    method: 'POST',
    path: '/issuers/{issuer}/thaw',
    summary: 'Let a frozen issuer sign again, after D1 was checked',
    response: answer.IssuerChange,
  },
  compromiseIssuer: {
    method: 'POST',
    path: '/issuers/{issuer}/compromise',
    summary: "Answer revoked for every serial: the CA's key is compromised. Never taken back",
    request: request.CompromiseInput,
    response: answer.IssuerChange,
  },
  finalizeIssuer: {
    method: 'POST',
    path: '/issuers/{issuer}/finalize',
    summary: 'Make the last responses, without an end; the record stands still. Never taken back',
    request: request.FinalizeInput,
    response: answer.IssuerChange,
  },
  listResponders: {
    method: 'GET',
    path: '/issuers/{issuer}/responders',
    summary: 'Responders of an issuer, retired ones included',
    response: answer.ResponderList,
  },
  addResponder: {
    method: 'POST',
    path: '/issuers/{issuer}/responders',
    summary: 'Add a responder: certificate and key',
    request: request.ResponderInput,
    response: answer.ResponderChange,
    status: 201,
  },
  retireResponder: {
    method: 'POST',
    path: '/issuers/{issuer}/responders/{responder}/retire',
    summary: 'Stop signing with a responder, named by id or name',
    request: request.RetireInput,
    response: answer.ResponderChange,
  },
  addCertificates: {
    method: 'POST',
    path: '/issuers/{issuer}/certificates',
    summary: 'Record certificates; a bad row is refused alone',
    request: request.CertificatesInput,
    response: answer.CertificatesResult,
  },
  showCertificate: {
    method: 'GET',
    path: '/issuers/{issuer}/certificates/{serial}',
    summary: 'Recorded status of one certificate',
    response: answer.Certificate,
  },
  revoke: {
    method: 'POST',
    path: '/issuers/{issuer}/revocations',
    summary: 'Revoke a certificate, or put it on hold',
    request: request.RevocationInput,
    response: answer.StatusChange,
  },
  massRevoke: {
    method: 'POST',
    path: '/issuers/{issuer}/mass-revocations',
    summary: 'Revoke all certificates that match, a part of them a call: repeat it until the run is done',
    request: mass.MassRevocationInput,
    response: mass.MassRevocationResult,
  },
  planMassRevoke: {
    method: 'POST',
    path: '/issuers/{issuer}/mass-revocations/dry-run',
    summary: 'Count what a mass revocation would change, a part of the record a call',
    request: mass.MassTallyInput,
    response: mass.MassTallyResult,
  },
  listMassRevocations: {
    method: 'GET',
    path: '/issuers/{issuer}/mass-revocations',
    summary: 'The last mass revocations by query, and how fast they were',
    response: mass.MassRuns,
  },
  revokeSerials: {
    method: 'POST',
    path: '/issuers/{issuer}/mass-revocations/serials',
    summary: 'Revoke the certificates of a list; a bad row is refused alone',
    request: mass.ListedInput,
    response: mass.ListedResult,
  },
  moveIssuer: {
    method: 'POST',
    path: '/issuers/{issuer}/moves',
    summary: 'Move certificates between databases, a part of them a call: repeat it until it is done',
    request: moves.MoveInput,
    response: moves.MoveState,
  },
  planMove: {
    method: 'POST',
    path: '/issuers/{issuer}/moves/dry-run',
    summary: 'What would be moved',
    request: moves.MovePlanInput,
    response: moves.MovePlan,
  },
  listMoves: {
    method: 'GET',
    path: '/issuers/{issuer}/moves',
    summary: 'Which database answers for what, and the last moves',
    response: moves.MoveList,
  },
  abortMove: {
    method: 'POST',
    path: '/issuers/{issuer}/moves/abort',
    summary: 'Give up a move, before its target answers: repeat it until it is done',
    response: moves.MoveState,
  },
  release: {
    method: 'POST',
    path: '/issuers/{issuer}/releases',
    summary: 'Release a certificate from hold',
    request: request.ReleaseInput,
    response: answer.StatusChange,
  },
  presign: {
    method: 'POST',
    path: '/presign',
    summary: 'Sign what is due now',
    request: request.PresignInput,
    response: answer.PresignResult,
  },
  rebuild: {
    method: 'POST',
    path: '/rebuild',
    summary:
      'KV was lost: write root and issuer pages again, make every bundle due. Nothing becomes unusable',
    request: request.RebuildInput,
    response: answer.RebuildResult,
  },
  listCanaries: {
    method: 'GET',
    path: '/canaries',
    summary: 'How long changes take to be seen, measured by certificates that change all the time',
    response: answer.CanaryList,
  },
  setCanary: {
    method: 'POST',
    path: '/issuers/{issuer}/canary',
    summary: 'Switch the canary of an issuer on or off',
    request: request.CanaryInput,
    response: answer.Canary,
  },
  changeCanary: {
    method: 'POST',
    path: '/issuers/{issuer}/canary/change',
    summary: 'Put the canary on hold, or release it, now',
    response: answer.CanaryChange,
  },
  publish: {
    method: 'POST',
    path: '/publish',
    summary: 'Publish the overlay root now',
    response: answer.Publication,
  },
  audit: {
    method: 'GET',
    path: '/audit',
    summary: 'Every change, oldest first',
    query: request.AuditQuery,
    response: answer.AuditList,
  },
} as const satisfies Record<string, AdminRoute>

export type AdminRouteName = keyof typeof ADMIN_ROUTES

/**
 * @param params values of the path's {parameters}, not yet escaped
 * @returns path with prefix, e.g. `/admin/v1/issuers/demo/floor`
 * @throws RangeError when a parameter is missing
 */
export function adminPath(name: AdminRouteName, params: Readonly<Record<string, string>> = {}): string {
  const path = ADMIN_ROUTES[name].path.replace(/\{(\w+)\}/g, (_, key: string) => {
    const value = params[key]
    if (value === undefined || value === '') throw new RangeError(`${name}: parameter ${key} is missing`)
    return encodeURIComponent(value)
  })
  return ADMIN_PREFIX + path
}
