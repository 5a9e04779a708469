/** Binds handlers to the routes of the contract: path, method and status come from there, the answer's type too. */
import type { Hono } from 'hono'
import * as z from 'zod/mini'
import type { Publication } from '../admin-api/contract.ts'
import {
  ADMIN_PREFIX,
  ADMIN_ROUTES,
  type AdminRoute,
  type AdminRouteName,
  formatTime,
} from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { parseSerial } from '../pkix/serial-number.ts'
import { StorageError } from '../ports/errors.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps, PublishedChange } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'

/** One authenticated call. */
export interface Call {
  readonly request: Request
  readonly now: UnixSeconds
  readonly nowMs: number
  /** Path parameter, unescaped. */
  param(name: string): string
  query(): Record<string, string>
}

type AnswerOf<N extends AdminRouteName> = z.output<(typeof ADMIN_ROUTES)[N]['response']>

/** A clock of the CA may be ahead of ours by so much; further is a typing error. */
const MAX_AHEAD_SECONDS = 300

const NoInput = z.strictObject({})

export function mount<N extends AdminRouteName>(
  app: Hono,
  deps: AdminDeps,
  name: N,
  handler: (call: Call) => Promise<AnswerOf<N>>,
): void {
  const route: AdminRoute = ADMIN_ROUTES[name]
  const path = ADMIN_PREFIX + route.path.replace(/\{(\w+)\}/g, ':$1')
  app.on(route.method, path, async (c) => {
    const nowMs = deps.clock.nowMs()
    if (route.method !== 'GET' && route.request === undefined) await readInput(c.req.raw, NoInput)
    const answer = await handler({
      request: c.req.raw,
      nowMs,
      now: Math.floor(nowMs / 1000),
      param: (key) => c.req.param(key) ?? '',
      query: () => c.req.query(),
    })
    return Response.json(answer, { status: route.status ?? 200, headers: { 'Cache-Control': 'no-store' } })
  })
}

/** @throws AdminError notFound */
export async function requireIssuer(deps: AdminDeps, named: string): Promise<IssuerRecord> {
  const bare = named.replaceAll(':', '')
  const issuer = await deps.store.findIssuer(/^[0-9a-f]{40,}$/i.test(bare) ? bare.toLowerCase() : named)
  if (issuer !== undefined) return issuer
  throw new AdminError(404, 'notFound', `there is no issuer "${named.slice(0, 128)}"`, {
    field: 'issuer',
    hint: 'name it by short name, subject key identifier or id; GET /admin/v1/issuers lists them',
  })
}

/** @throws AdminError invalidField */
export function readSerial(text: string, field: string): Uint8Array {
  try {
    return parseSerial(text)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new AdminError(400, 'invalidField', `${field}: ${error.message}`, {
      field,
      hint: 'write the serial number in hex, as openssl x509 -serial prints it',
    })
  }
}

/** @throws AdminError changeRefused. A time a little ahead of our clock becomes now. */
export function pastTime(
  time: UnixSeconds | undefined,
  now: UnixSeconds,
  field: string,
): UnixSeconds | undefined {
  if (time === undefined || time <= now) return time
  if (time <= now + MAX_AHEAD_SECONDS) return now
  throw new AdminError(422, 'changeRefused', `${field}: ${time - now} s in the future`, {
    field,
    hint: 'leave the time out, or send one that has passed',
  })
}

/** Publishes what was committed. Never throws: the commit stands, and the answer has to say so. */
export async function publishNow(deps: AdminDeps, change?: PublishedChange): Promise<Publication> {
  const { boundSeconds } = deps
  const pending = (problem: string): Publication => ({
    publishedAt: null,
    rootVersion: null,
    boundSeconds,
    problem: `committed, not yet published: ${problem}. The cron publishes every minute; POST /admin/v1/publish tries now`,
  })
  try {
    const { published, publishedAtMs, version, problem } = await deps.publish(change)
    if (!published) return pending(problem ?? 'another publisher was at work')
    return {
      publishedAt: formatTime(Math.floor((publishedAtMs ?? deps.clock.nowMs()) / 1000)),
      rootVersion: version ?? null,
      boundSeconds,
    }
  } catch (error) {
    const reason = error instanceof StorageError ? `storage ${error.reason}` : 'the publisher failed'
    deps.log?.event('error', {
      event: 'publishFailed',
      error: error instanceof Error ? error.name : 'unknown',
      reason,
    })
    return pending(reason)
  }
}

/**
 * After a change of an issuer's configuration: its page first, then the root that asks for the page. Never throws.
 * @param revision position that the root must hold: a raised floor is newer than the configuration
 */
export async function publishIssuer(
  deps: AdminDeps,
  issuer: IssuerRecord,
  revision: Sequence = issuer.configRev,
): Promise<Publication> {
  try {
    await deps.writeIssuerPage(issuer)
  } catch (error) {
    const reason = error instanceof StorageError ? `storage ${error.reason}` : 'unknown'
    deps.log?.event('error', { event: 'issuerPageFailed', issuer: issuer.name, reason })
    return {
      publishedAt: null,
      rootVersion: null,
      boundSeconds: deps.boundSeconds,
      problem: `committed, not yet published: the issuer's page could not be written (${reason}). PATCH the issuer with {} to try again`,
    }
  }
  return publishNow(deps, { issuer: issuer.id, revision })
}
