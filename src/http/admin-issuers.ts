/** Issuers: add, change, list, show, floor, thaw. */
import type { Hono } from 'hono'
import type * as z from 'zod/mini'
import { ADMIN_ROUTES, type Finding, IssuersQuery, type PolicyInput } from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { MAX_LISTED, type NewIssuer } from '../ports/admin-store.ts'
import type { IssuerPolicy, IssuerRecord } from '../ports/records.ts'
import type { CertificateView } from '../x509/index.ts'
import { checkInput, readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import {
  algorithmFindings,
  DEFAULT_POLICY,
  nextPolicy,
  refuseErrors,
  requireAlgorithm,
} from './admin-policy.ts'
import { type Requestors, readRequestors } from './admin-requestors.ts'
import { prepareResponder, readCertificateText, sizeFindings } from './admin-responder-input.ts'
import { mount, publishIssuer, requireIssuer } from './admin-routes.ts'
import { issuerView } from './admin-views.ts'

/** `CN=Issuing CA 1,O=...` -> `issuing-ca-1`; undefined when nothing is left of it. */
function slugOf(subject: string): string | undefined {
  const name = /(?:^|[,+]\s*)CN=((?:\\.|[^,+\\])*)/i.exec(subject)?.[1] ?? subject
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 48)
  return /^(\d*|[0-9a-f]{40,})$/.test(slug) ? undefined : slug
}

async function freeName(deps: AdminDeps, view: CertificateView, ski: string): Promise<string> {
  const slug = slugOf(view.subject) ?? 'ca'
  return (await deps.store.findIssuer(slug)) === undefined ? slug : `${slug}-${ski.slice(0, 8)}`
}

async function newIssuer(
  deps: AdminDeps,
  input: Pick<z.output<typeof ADMIN_ROUTES.addIssuer.request>, 'name' | 'databases'>,
  view: CertificateView,
  policy: IssuerPolicy,
): Promise<NewIssuer> {
  const { issuerHashes, subjectKeyIdentifierHex } = await import('../x509/index.ts')
  const [hashes, ski] = await Promise.all([issuerHashes(view), subjectKeyIdentifierHex(view)])
  // A name that was chosen by us in the first attempt is not chosen anew when it is repeated.
  const known = input.databases === undefined ? undefined : await deps.store.findIssuer(ski)
  return {
    name: input.name ?? known?.name ?? (await freeName(deps, view, ski)),
    ski,
    certificate: view.der,
    hashes,
    notBefore: view.notBefore,
    notAfter: view.notAfter,
    policy,
    enabled: true,
    databases: input.databases,
  }
}

/** Responders that were lawful under `private` may not be so under `public-trust` (R1.60, R4.6-R4.8). */
async function checkRespondersUnder(
  issuer: IssuerRecord,
  profile: IssuerPolicy['profile'],
  now: UnixSeconds,
): Promise<Finding[]> {
  if (profile === issuer.policy.profile || profile === 'private') return []
  const { checkResponderCertificate, readCertificate } = await import('../x509/index.ts')
  const view = readCertificate(issuer.certificate)
  const findings: Finding[] = []
  for (const responder of issuer.responders.filter(({ retired, notAfter }) => !retired && notAfter > now)) {
    // The issuer's own certificate is checked as that of a CA which signs itself (R1.59, R4.6).
    const certificate = responder.certificate === undefined ? view : readCertificate(responder.certificate)
    const found = [
      ...(await checkResponderCertificate(certificate, view, profile, now)),
      ...algorithmFindings(responder.algorithm, profile),
      ...sizeFindings(responder, profile),
    ]
    findings.push(...found.map((one) => ({ ...one, message: `responder ${responder.name}: ${one.message}` })))
  }
  refuseErrors(findings, 'policyRefused', `profile ${profile} is refused`, 'policy.profile')
  return findings
}

async function requestorsOf(
  policy: z.output<typeof PolicyInput> | undefined,
  now: UnixSeconds,
): Promise<Requestors | undefined> {
  return policy?.requestors === undefined
    ? undefined
    : readRequestors(policy.requestors, now, 'policy.requestors')
}

export function mountIssuers(app: Hono, deps: AdminDeps): void {
  const { store } = deps

  mount(app, deps, 'listIssuers', async ({ now, query }) => {
    const { after = 0, limit = MAX_LISTED } = checkInput(query(), IssuersQuery)
    const issuers = await store.listIssuers(after, limit)
    const next = issuers.length < limit ? null : (issuers.at(-1)?.id ?? null)
    return { issuers: issuers.map((issuer) => issuerView(issuer, now)), next }
  })

  mount(app, deps, 'showIssuer', async ({ now, param }) => {
    const issuer = await requireIssuer(deps, param('issuer'))
    const { readCertificate } = await import('../x509/index.ts')
    return issuerView(issuer, now, readCertificate(issuer.certificate).subject)
  })

  mount(app, deps, 'addIssuer', async ({ request, now, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.addIssuer.request)
    const { checkIssuerCertificate } = await import('../x509/index.ts')
    const view = await readCertificateText(input.certificate, 'certificate')
    const warnings: Finding[] = [...checkIssuerCertificate(view, now)]
    refuseErrors(warnings, 'certificateRefused', 'the issuer certificate is refused', 'certificate')
    const context = { requestors: await requestorsOf(input.policy, now), ca: view }
    const { policy, warnings: policyWarnings } = nextPolicy(DEFAULT_POLICY, input.policy, context)
    warnings.push(...policyWarnings)
    const record = await newIssuer(deps, input, view, policy)
    // Everything that can be refused is checked before the first write.
    const signer = { view, ski: record.ski }
    const responder =
      input.responder === undefined
        ? undefined
        : await prepareResponder(input.responder, signer, policy.profile, now, deps, 'responder.')
    warnings.push(...(responder?.warnings ?? []))
    const algorithms = responder === undefined ? [] : [responder.record.algorithm]
    requireAlgorithm(input.policy?.algorithm, policy.profile, algorithms)
    let issuer = await store.addIssuer(record, nowMs)
    if (responder !== undefined) {
      await store.addResponder(issuer.id, responder.record, responder.wrappedKey, nowMs)
      issuer = await requireIssuer(deps, issuer.name)
    } else {
      warnings.push({
        level: 'warning',
        code: 'noResponder',
        message: 'no responder yet: this issuer answers tryLater until one is added',
      })
    }
    return { issuer: issuerView(issuer, now, view.subject), warnings, ...(await publishIssuer(deps, issuer)) }
  })

  mount(app, deps, 'patchIssuer', async ({ request, now, nowMs, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.patchIssuer.request)
    const before = await requireIssuer(deps, param('issuer'))
    const context = { requestors: await requestorsOf(input.policy, now), ca: before }
    const { policy, warnings } = nextPolicy(before.policy, input.policy, context)
    const signing = before.responders.filter(({ retired, notAfter }) => !retired && notAfter > now)
    const algorithms = [...new Set(signing.map(({ algorithm }) => algorithm))]
    requireAlgorithm(input.policy?.algorithm, policy.profile, algorithms)
    warnings.push(...(await checkRespondersUnder(before, policy.profile, now)))
    if (policy.profile === 'public-trust' && before.policy.profile !== 'public-trust') {
      warnings.push({
        level: 'warning',
        code: 'holdsRemain',
        message:
          'certificates on hold stay on hold, which public-trust forbids: release or revoke them (R4.13); revoked CA certificates need a reason (R4.21)',
      })
    }
    const patch = {
      name: input.name,
      enabled: input.enabled,
      policy: input.policy === undefined ? undefined : policy,
    }
    const issuer = await store.updateIssuer(before.id, patch, nowMs)
    return { issuer: issuerView(issuer, now), warnings, ...(await publishIssuer(deps, issuer)) }
  })

  mount(app, deps, 'raiseFloor', async ({ now, nowMs, param }) => {
    const { id } = await requireIssuer(deps, param('issuer'))
    const floor = await store.raiseFloor(id, nowMs)
    const issuer = await requireIssuer(deps, String(id))
    return {
      floor,
      issuer: issuerView(issuer, now),
      warnings: [],
      ...(await publishIssuer(deps, issuer, floor)),
    }
  })

  mount(app, deps, 'thawIssuer', async ({ now, nowMs, param }) => {
    const { id, name } = await requireIssuer(deps, param('issuer'))
    const state = (await store.globals(now)).issuers.find((one) => one.id === id)
    if (state?.frozen === false) {
      throw new AdminError(409, 'changeRefused', `issuer ${name} is not frozen`, {
        hint: 'nothing is to be done',
      })
    }
    const floor = await store.thaw(id, nowMs)
    const issuer = await requireIssuer(deps, name)
    return { issuer: issuerView(issuer, now), warnings: [], ...(await publishIssuer(deps, issuer, floor)) }
  })
}
