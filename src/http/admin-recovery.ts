/** After KV was lost: everything derived is written again from the record, and nothing becomes unusable by it (law 3). */
import type { Hono } from 'hono'
import { ADMIN_ROUTES } from '../admin-api/contract.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { mount, publishNow, requireIssuer } from './admin-routes.ts'

/** Pages of one call: two reads of D1 and a write each. */
const PAGES_A_CALL = 200
/** A Worker has six connections. */
const AT_ONCE = 5

export function mountRecovery(app: Hono, deps: AdminDeps): void {
  mount(app, deps, 'rebuild', async ({ request, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.rebuild.request)
    const only = input.issuer === undefined ? undefined : (await requireIssuer(deps, input.issuer)).id
    const isFirst = input.after === undefined
    const publication = await publishNow(deps) // what every answer waits for comes first
    const slots = isFirst ? await deps.recovery.markLost(only, nowMs) : 0
    const ids = only === undefined ? await deps.recovery.issuersAfter(input.after ?? 0, PAGES_A_CALL) : [only]
    for (let at = 0; at < ids.length; at += AT_ONCE)
      await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => writePage(deps, id)))
    const next = only === undefined && ids.length === PAGES_A_CALL ? (ids.at(-1) ?? null) : null
    return { ...publication, slots, issuerPages: ids.length, next }
  })
}

async function writePage(deps: AdminDeps, id: number): Promise<void> {
  await deps.writeIssuerPage(await requireIssuer(deps, String(id)))
}
