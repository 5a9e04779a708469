/**
 * The admin API under /admin/v1: authentication first, then the routes of src/admin-api/contract.ts. One exit for errors.
 * Loaded lazily: an OCSP request never evaluates this module, zod or X.509.
 */
import { Hono } from 'hono/tiny'
import { ADMIN_PREFIX, ADMIN_ROUTES, type AdminRoute } from '../admin-api/contract.ts'
import { mountCanaries } from './admin-canaries.ts'
import { mountCertificates } from './admin-certificates.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError, errorResponse, toAdminError } from './admin-error.ts'
import { mountIssuers } from './admin-issuers.ts'
import { mountLastStates } from './admin-last-states.ts'
import { mountMass } from './admin-mass.ts'
import { mountMoves } from './admin-moves.ts'
import { mountOperations } from './admin-operations.ts'
import { mountRecovery } from './admin-recovery.ts'
import { mountResponders } from './admin-responders.ts'
import { requireAdmin } from './auth.ts'

export type { AdminDeps, PresignOptions, PresignOutcome, PublishOutcome } from './admin-deps.ts'

/** Methods of the contract at this path; empty = no such path. */
function methodsAt(path: string): string[] {
  return Object.values<AdminRoute>(ADMIN_ROUTES)
    .filter((route) => new RegExp(`^${ADMIN_PREFIX}${route.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path))
    .map(({ method }) => method)
}

/** Answers every path below /admin; everything it does not know is 404. */
export function adminApp(deps: AdminDeps): Hono {
  const app = new Hono()
  app.onError((error, c) => {
    const shown = toAdminError(error)
    if (shown.status >= 500) {
      // The class, not the message: an unforeseen message may quote what must not be logged.
      deps.log?.event('error', {
        event: 'adminFailed',
        route: `${c.req.method} ${c.req.routePath}`,
        status: shown.status,
        code: shown.code,
        error: error.name,
      })
    }
    return errorResponse(shown)
  })
  app.use('*', requireAdmin(deps))
  mountOperations(app, deps)
  mountIssuers(app, deps)
  mountLastStates(app, deps)
  mountResponders(app, deps)
  mountCertificates(app, deps)
  mountMass(app, deps)
  mountMoves(app, deps)
  mountRecovery(app, deps)
  mountCanaries(app, deps)
  app.notFound((c) => {
    const methods = methodsAt(c.req.path)
    if (methods.length === 0) {
      return errorResponse(
        new AdminError(404, 'notFound', 'there is nothing here', {
          hint: `${ADMIN_PREFIX}/openapi.json lists the paths`,
        }),
      )
    }
    return errorResponse(
      new AdminError(405, 'methodNotAllowed', `${c.req.method} is not allowed here`, {
        hint: `use ${methods.join(' or ')}`,
        headers: { Allow: methods.join(', ') },
      }),
    )
  })
  return app
}
