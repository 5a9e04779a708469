/** What is never taken back: a CA whose key is compromised (R1.41), and an issuer whose responses become final (R4.52). */
import type { Hono } from 'hono'
import { ADMIN_ROUTES, type Finding, formatTime } from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { IssuerRecord } from '../ports/records.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { mount, pastTime, publishIssuer, requireIssuer } from './admin-routes.ts'
import { issuerView, isUsable } from './admin-views.ts'

export function mountLastStates(app: Hono, deps: AdminDeps): void {
  const { store } = deps

  mount(app, deps, 'compromiseIssuer', async ({ request, now, nowMs, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.compromiseIssuer.request)
    const before = await requireIssuer(deps, param('issuer'))
    const at = pastTime(input.time, now, 'time') ?? now
    if (at < before.notBefore) {
      const begin = formatTime(before.notBefore)
      throw new AdminError(422, 'changeRefused', `time: the CA is not older than ${begin}`, {
        field: 'time',
        hint: `send ${begin} when it never was trustworthy`,
      })
    }
    const issuer = await store.compromiseIssuer(before.id, at, nowMs)
    const warnings: Finding[] = []
    if (issuer.compromisedAt !== undefined && issuer.compromisedAt < at) {
      const message = `${issuer.name} is compromised since ${formatTime(issuer.compromisedAt)} already: an earlier time stays`
      warnings.push({ level: 'warning', code: 'earlierStays', message })
    }
    return { issuer: issuerView(issuer, now), warnings, ...(await publishIssuer(deps, issuer)) }
  })

  mount(app, deps, 'finalizeIssuer', async ({ request, now, nowMs, param }) => {
    await readInput(request, ADMIN_ROUTES.finalizeIssuer.request)
    const before = await requireIssuer(deps, param('issuer'))
    if (before.finalAt === undefined) requireSigning(before, now)
    const issuer = await store.finalizeIssuer(before.id, nowMs)
    const publication = await publishIssuer(deps, issuer)
    return { issuer: issuerView(issuer, now), warnings: lastSteps(issuer), ...publication }
  })
}

/** The last responses have to be signed by somebody. @throws AdminError changeRefused */
function requireSigning(issuer: IssuerRecord, now: UnixSeconds): void {
  if (!issuer.enabled) {
    throw new AdminError(409, 'changeRefused', `issuer ${issuer.name} is disabled: it signs nothing`, {
      hint: 'enable it first: PATCH the issuer with enabled: true',
    })
  }
  if (!issuer.responders.some((responder) => isUsable(responder, now))) {
    throw new AdminError(409, 'changeRefused', `issuer ${issuer.name} has no responder that can sign`, {
      hint: 'add one first: it signs the last responses',
    })
  }
}

function lastSteps({ name, policy }: IssuerRecord): Finding[] {
  const warnings: Finding[] = [
    {
      level: 'warning',
      code: 'signLastResponses',
      message: `keep the responder's key until POST /admin/v1/presign says that nothing remains: only then every certificate of ${name} has its last response`,
    },
  ]
  if (policy.unknown !== 'unauthorized') {
    const message =
      'serials that are not recorded are answered only as long as a responder can sign; no last response is made for them'
    warnings.push({ level: 'warning', code: 'unknownNeedsSigner', message })
  }
  return warnings
}
