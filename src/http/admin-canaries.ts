/** Canaries: certificates that are not there, and change all the time, so that what a change takes to be seen is measured. */
import type { Hono } from 'hono'
import type * as answer from '../admin-api/contract.ts'
import { ADMIN_ROUTES, formatTime } from '../admin-api/contract.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import type { Canary } from '../ports/canary-store.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { mount, requireIssuer } from './admin-routes.ts'

const SERIAL_OCTETS = 16

export function mountCanaries(app: Hono, deps: AdminDeps): void {
  const { canaries, store } = deps

  mount(app, deps, 'listCanaries', async () => {
    const names = new Map((await store.issuerOutlines()).map(({ id, name }) => [id, name]))
    const all = await canaries.listCanaries()
    return { canaries: all.map((canary) => view(canary, names.get(canary.issuer) ?? String(canary.issuer))) }
  })

  mount(app, deps, 'setCanary', async ({ request, param, nowMs }) => {
    const { enabled } = await readInput(request, ADMIN_ROUTES.setCanary.request)
    const issuer = await requireIssuer(deps, param('issuer'))
    if (enabled && issuer.policy.profile === 'public-trust') {
      throw new AdminError(
        422,
        'changeRefused',
        'certificateHold is forbidden under public-trust (BR 4.9.13)',
        {
          hint: 'add a private issuer of your own for the canary: the bound is that of the whole deployment',
        },
      )
    }
    if (enabled && issuer.finalAt !== undefined) {
      throw new AdminError(
        409,
        'changeRefused',
        `the responses of ${issuer.name} are final: nothing changes any more`,
        {
          hint: 'choose another issuer: the bound is that of the whole deployment',
        },
      )
    }
    const canary = await canaries.setCanary(issuer.id, newSerial(), enabled)
    // Recorded when it is first wanted, and again by any later call: it is then unchanged.
    const { serial } = canary
    const { notAfter } = issuer
    if (enabled) await store.addCertificates(issuer.id, [{ serial, status: 'good', notAfter }], nowMs)
    return view(canary, issuer.name)
  })

  mount(app, deps, 'changeCanary', async ({ param }) => {
    const issuer = await requireIssuer(deps, param('issuer'))
    const canary = (await canaries.listCanaries()).find((one) => one.issuer === issuer.id)
    if (canary?.enabled !== true) {
      throw new AdminError(404, 'notFound', `issuer ${issuer.name} has no canary`, {
        hint: `switch it on: edge-ocsp canary enable ${issuer.name}`,
      })
    }
    const change = await deps.changeCanary(canary)
    if (change === undefined) {
      throw new AdminError(409, 'changeRefused', 'the canary was changed by another at this very moment', {
        hint: 'try again',
      })
    }
    return {
      issuer: issuer.name,
      serial: formatSerial(canary.serial),
      status: change.to,
      revision: change.seq,
      boundSeconds: deps.boundSeconds,
    }
  })
}

function view(canary: Canary, issuer: string): answer.Canary {
  const { serial, enabled, changedMs, rounds, late, lastLagMs, worstLagMs } = canary
  const seconds = (ms: number) => (rounds === 0 ? null : ms / 1000)
  return {
    issuer,
    serial: formatSerial(serial),
    enabled,
    changedAt: changedMs === 0 ? null : formatTime(Math.floor(changedMs / 1000)),
    rounds,
    late,
    lastSeconds: seconds(lastLagMs),
    worstSeconds: seconds(worstLagMs),
  }
}

/** Positive, and of the full length: 0x4f says so, and that it is none of a CA's. */
function newSerial(): Uint8Array {
  const serial = crypto.getRandomValues(new Uint8Array(SERIAL_OCTETS))
  serial[0] = 0x4f
  return serial
}
