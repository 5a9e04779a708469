/** Responders of an issuer: several may overlap, so that 90-day delegates roll without a gap. */
import type { Hono } from 'hono'
import { ADMIN_ROUTES, type Finding } from '../admin-api/contract.ts'
import type { IssuerRecord, ResponderRecord, Sequence, SignatureAlgorithm } from '../ports/records.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { prepareResponder } from './admin-responder-input.ts'
import { mount, publishIssuer, requireIssuer } from './admin-routes.ts'
import { activeResponder, issuerView, isUsable, responderView } from './admin-views.ts'

function requireResponder(issuer: IssuerRecord, named: string): ResponderRecord {
  const found =
    issuer.responders.find(({ name }) => name === named) ??
    issuer.responders.find(({ id }) => String(id) === named)
  if (found !== undefined) return found
  throw new AdminError(404, 'notFound', `issuer ${issuer.name} has no responder "${named.slice(0, 64)}"`, {
    field: 'responder',
    hint: `name it by name or id; GET /admin/v1/issuers/${issuer.name}/responders lists them`,
  })
}

function sameResponder(
  issuer: IssuerRecord,
  record: Omit<ResponderRecord, 'id' | 'retired'>,
): string | undefined {
  const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? 'ca' : bytes.join())
  const certificate = hex(record.certificate)
  return issuer.responders.find(
    (one) => !one.retired && hex(one.certificate) === certificate && hex(one.spki) === hex(record.spki),
  )?.name
}

const signsWith =
  (wanted: SignatureAlgorithm) =>
  ({ algorithm }: ResponderRecord): boolean =>
    algorithm === wanted

export function mountResponders(app: Hono, deps: AdminDeps): void {
  const { store } = deps

  mount(app, deps, 'listResponders', async ({ now, param }) => {
    const issuer = await requireIssuer(deps, param('issuer'))
    return {
      issuer: issuer.name,
      responders: issuer.responders.map((responder) => responderView(responder, issuer, now)),
    }
  })

  mount(app, deps, 'addResponder', async ({ request, now, nowMs, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.addResponder.request)
    const before = await requireIssuer(deps, param('issuer'))
    const { readCertificate } = await import('../x509/index.ts')
    const signer = { view: readCertificate(before.certificate), ski: before.ski }
    const prepared = await prepareResponder(input, signer, before.policy.profile, now, deps)
    const known = sameResponder(before, prepared.record)
    // Of several databases the store knows whether it is in all of them.
    const isKnown = store.databases === undefined || known !== prepared.record.name
    if (known !== undefined && isKnown) {
      throw new AdminError(409, 'conflict', `this certificate and key are responder ${known} already`, {
        field: 'certificate',
        hint: 'nothing is to be done; to replace a broken key, retire that responder first',
      })
    }
    const added = await store.addResponder(before.id, prepared.record, prepared.wrappedKey, nowMs)
    const issuer = await requireIssuer(deps, String(before.id))
    const warnings: Finding[] = [...prepared.warnings]
    const active = activeResponder(issuer, now)
    if (active !== undefined && active.id !== added.id) {
      const message = `responder ${active.name} has the later notBefore and keeps signing; ${added.name} stands by`
      warnings.push({ level: 'warning', code: 'notActive', message })
    }
    return {
      responder: responderView(added, issuer, now),
      issuer: issuerView(issuer, now),
      warnings,
      ...(await publishIssuer(deps, issuer)),
    }
  })

  mount(app, deps, 'retireResponder', async ({ request, now, nowMs, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.retireResponder.request)
    const before = await requireIssuer(deps, param('issuer'))
    const target = requireResponder(before, param('responder'))
    const left = before.responders.filter((one) => one.id !== target.id && isUsable(one, now))
    const isLast = isUsable(target, now) && left.length === 0
    // A stolen key is worse than no key: `compromised` needs no second word.
    if (isLast && input.force !== true && input.compromised !== true) {
      throw new AdminError(
        409,
        'lastResponder',
        `${target.name} is the last usable responder of ${before.name}`,
        {
          field: 'force',
          hint: 'add its successor first, or send force: true: nothing will be signed then',
        },
      )
    }
    let issuer = target.retired ? before : await store.retireResponder(before.id, target.name, nowMs)
    let floor: Sequence | undefined
    if (input.compromised === true) {
      floor = await store.raiseFloor(before.id, nowMs)
      issuer = await requireIssuer(deps, String(before.id))
    }
    const warnings: Finding[] = []
    if (left.length === 0) {
      const message = `no usable responder is left: ${before.name} answers tryLater when what is signed has expired`
      warnings.push({ level: 'warning', code: 'noResponder', message })
    } else if (target.algorithm === issuer.policy.algorithm && !left.some(signsWith(target.algorithm))) {
      const message = `no responder signs with ${target.algorithm} any more, as policy.algorithm asks: the newest signs now`
      warnings.push({ level: 'warning', code: 'algorithmGone', message })
    }
    return {
      responder: responderView(requireResponder(issuer, target.name), issuer, now),
      issuer: issuerView(issuer, now),
      warnings,
      ...(await publishIssuer(deps, issuer, floor)),
    }
  })
}
