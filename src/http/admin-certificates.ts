/** Certificates: record, show, revoke, hold, release. The store guards the lawful transitions; here is what can be told by looking. */
import type { Hono } from 'hono'
import type * as z from 'zod/mini'
import {
  ADMIN_ROUTES,
  CertificateInput,
  type CertificateOutcome,
  type Finding,
  type Publication,
  type ReasonName,
} from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { crlReasonNumber } from '../pkix/crl-reason.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import type { NewCertificate, StatusChange } from '../ports/admin-store.ts'
import type { IssuerPolicy, IssuerRecord } from '../ports/records.ts'
import { checkInput, readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { extensionsOf } from './admin-extensions.ts'
import { reasonRefusal } from './admin-policy.ts'
import { type Call, mount, pastTime, publishNow, readSerial, requireIssuer } from './admin-routes.ts'
import { certificateView } from './admin-views.ts'

const HOLD = 6

/** CRLReason number; undefined when none was given. */
function reasonNumber(name: ReasonName | undefined): number | undefined {
  return name === undefined ? undefined : crlReasonNumber(name)
}

function refuse(field: string, message: string, hint: string): never {
  throw new AdminError(422, 'changeRefused', `${field}: ${message}`, { field, hint })
}

/** @throws AdminError invalidField, unknownField, changeRefused */
function readRow(
  value: unknown,
  now: UnixSeconds,
  profile: IssuerPolicy['profile'],
): { row: NewCertificate; line?: number } {
  const input = checkInput(value, CertificateInput)
  const serial = readSerial(input.serial, 'serial')
  const { status, notBefore, notAfter } = input
  const reason = reasonNumber(input.reason)
  if (status === 'good' && (input.revocationTime !== undefined || reason !== undefined)) {
    refuse(
      'status',
      'good, yet with revocationTime or reason',
      'send status revoked or hold, or leave both out',
    )
  }
  if (status === 'hold' && reason !== undefined && reason !== HOLD) {
    refuse('reason', 'a hold has the reason certificateHold', 'leave the reason out')
  }
  if (status === 'revoked' && reason === HOLD) {
    refuse('reason', 'certificateHold is not a revocation', 'send status hold')
  }
  if (status === 'reserved') checkReserved(input)
  if (status === 'good' && (input.invalidityDate !== undefined || input.crl !== undefined)) {
    refuse('status', 'good, yet with invalidityDate or crl', 'send status revoked or hold, or leave both out')
  }
  const forbidden = reasonRefusal(status === 'hold' ? HOLD : reason, profile)
  if (forbidden !== undefined) refuse(status === 'hold' ? 'status' : 'reason', forbidden, 'correct the row')
  if (notBefore !== undefined && notAfter !== undefined && notAfter < notBefore) {
    refuse('notAfter', 'before notBefore', 'correct the row')
  }
  return {
    row: {
      serial,
      status,
      revocationTime: pastTime(input.revocationTime, now, 'revocationTime'),
      ...(status === 'revoked' && reason !== undefined && { reason }),
      notBefore,
      notAfter,
      isCA: input.ca,
      extensions: extensionsOf(input, now),
    },
    ...(input.line !== undefined && { line: input.line }),
  }
}

/** There is no certificate yet that anything could be said of, its dates apart (R1.42). */
function checkReserved(input: z.output<typeof CertificateInput>): void {
  const fields = ['revocationTime', 'reason', 'certHash', 'scts', 'invalidityDate', 'crl'] as const
  const field = fields.find((name) => input[name] !== undefined)
  if (field === undefined) return
  refuse(field, 'of a serial that is only reserved', 'report the certificate with it once it is issued')
}

/** What a refused row was about, as far as it can be read. */
function rowLabel(value: unknown): { serial: string; line?: number } {
  const facts: object = typeof value === 'object' && value !== null ? value : {}
  const serial = 'serial' in facts && typeof facts.serial === 'string' ? facts.serial.slice(0, 130) : ''
  return 'line' in facts && typeof facts.line === 'number' ? { serial, line: facts.line } : { serial }
}

interface CheckedRows {
  readonly results: CertificateOutcome[]
  /** Rows to hand to the store, and where in `results` each belongs. */
  readonly rows: NewCertificate[]
  readonly places: number[]
}

/** Each row by itself: a bad one is refused alone. */
function checkRows(
  values: readonly unknown[],
  now: UnixSeconds,
  profile: IssuerPolicy['profile'],
): CheckedRows {
  const checked: CheckedRows = { results: [], rows: [], places: [] }
  const seen = new Map<string, number>()
  for (const [index, value] of values.entries()) {
    try {
      const { row, line } = readRow(value, now, profile)
      const serial = formatSerial(row.serial)
      const earlier = seen.get(serial)
      if (earlier !== undefined) refuse('serial', `the same as in row ${earlier}`, 'send each serial once')
      seen.set(serial, index)
      checked.rows.push(row)
      checked.places.push(index)
      checked.results.push({ serial, outcome: 'unchanged', ...(line !== undefined && { line }) })
    } catch (error) {
      if (!(error instanceof AdminError)) throw error
      checked.results.push({ ...rowLabel(value), outcome: 'refused', message: error.message })
    }
  }
  return checked
}

/** Tells every row's field and place in the errors of the change call. */
function refusedChange(refused: string, serial: string): AdminError {
  return new AdminError(409, 'changeRefused', `${serial}: ${refused}`, {
    field: 'serial',
    hint: 'GET the certificate and its issuer to see what is recorded; only a hold can be released, and revoked stays revoked',
  })
}

export function mountCertificates(app: Hono, deps: AdminDeps): void {
  const { store } = deps

  mount(app, deps, 'addCertificates', async ({ request, now, nowMs, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.addCertificates.request)
    const issuer = await requireIssuer(deps, param('issuer'))
    const { results, rows, places } = checkRows(input.certificates, now, issuer.policy.profile)
    const outcomes = rows.length === 0 ? [] : await store.addCertificates(issuer.id, rows, nowMs)
    deps.certificatesRecorded?.()
    let changed: Uint8Array | undefined
    for (const [index, outcome] of outcomes.entries()) {
      const result = results[places[index] ?? -1]
      if (result === undefined) continue
      if (typeof outcome === 'string') result.outcome = outcome
      else Object.assign(result, { outcome: 'refused', message: outcome.refused })
      const row = rows[index]
      const isEnded = row?.status === 'revoked' || row?.status === 'hold'
      if (isEnded && (outcome === 'added' || outcome === 'changed')) changed = row?.serial
    }
    const count = (outcome: CertificateOutcome['outcome']) =>
      results.filter((one) => one.outcome === outcome).length
    const nothingToPublish: Publication = {
      publishedAt: null,
      rootVersion: null,
      boundSeconds: deps.boundSeconds,
    }
    const publication =
      changed === undefined || input.publish === false
        ? nothingToPublish
        : await publishNow(deps, {
            issuer: issuer.id,
            revision: (await requireRow(deps, issuer, changed)).rev,
          })
    return {
      results,
      added: count('added'),
      changed: count('changed'),
      unchanged: count('unchanged'),
      refused: count('refused'),
      needsPublish: changed !== undefined && publication.publishedAt === null,
      ...publication,
    }
  })

  mount(app, deps, 'showCertificate', async ({ param }) => {
    const issuer = await requireIssuer(deps, param('issuer'))
    const serial = readSerial(param('serial'), 'serial')
    return certificateView(await requireRow(deps, issuer, serial), issuer)
  })

  mount(app, deps, 'revoke', async (call) => {
    const input = await readInput(call.request, ADMIN_ROUTES.revoke.request)
    const issuer = await requireIssuer(deps, call.param('issuer'))
    const reason = reasonNumber(input.reason)
    const forbidden = reasonRefusal(reason, issuer.policy.profile)
    if (forbidden !== undefined) refuse('reason', forbidden, 'choose another reason, or none')
    const revocationTime = pastTime(input.at, call.now, 'at')
    const extensions = extensionsOf(input, call.now)
    const facts = {
      ...(revocationTime !== undefined && { revocationTime }),
      ...(extensions !== undefined && { extensions }),
    }
    const change: StatusChange =
      reason === HOLD
        ? { to: 'hold', ...facts }
        : { to: 'revoked', ...facts, ...(reason !== undefined && { reason }) }
    return changeStatus(deps, call, issuer, readSerial(input.serial, 'serial'), change)
  })

  mount(app, deps, 'release', async (call) => {
    const input: z.output<typeof ADMIN_ROUTES.release.request> = await readInput(
      call.request,
      ADMIN_ROUTES.release.request,
    )
    const issuer = await requireIssuer(deps, call.param('issuer'))
    return changeStatus(deps, call, issuer, readSerial(input.serial, 'serial'), { to: 'released' })
  })
}

async function requireRow(deps: AdminDeps, issuer: IssuerRecord, serial: Uint8Array) {
  const row = await deps.store.readCertificate(issuer.id, serial)
  if (row !== undefined) return row
  throw new AdminError(
    404,
    'notFound',
    `issuer ${issuer.name} has no certificate ${formatSerial(serial)} on record`,
    {
      field: 'serial',
      hint: 'record it first: edge-ocsp cert add, or POST .../certificates with its status',
    },
  )
}

/** Commits, then publishes; publishes as well when nothing changed, since the last call may have failed at just that. */
async function changeStatus(
  deps: AdminDeps,
  call: Call,
  issuer: IssuerRecord,
  serial: Uint8Array,
  change: StatusChange,
) {
  const { outcome, revision, database } = await deps.store.changeStatus(issuer.id, serial, change, call.nowMs)
  if (typeof outcome === 'object') throw refusedChange(outcome.refused, formatSerial(serial))
  const row = await requireRow(deps, issuer, serial)
  const publication = await publishNow(deps, { issuer: issuer.id, revision, database })
  const warnings: Finding[] = []
  if (row.status === 'revoked' && row.notBefore > 0 && row.revocationTime < row.notBefore) {
    const message = 'the revocation time is before notBefore: the certificate was never good'
    warnings.push({ level: 'warning', code: 'beforeNotBefore', message })
  }
  if (publication.problem !== undefined) {
    warnings.push({ level: 'warning', code: 'notPublished', message: publication.problem })
  }
  return {
    issuer: issuer.name,
    serial: formatSerial(serial),
    outcome: outcome === 'changed' ? ('changed' as const) : ('unchanged' as const),
    revision,
    certificate: certificateView(row, issuer),
    warnings,
    ...publication,
  }
}
