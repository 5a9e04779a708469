/** Who may use the admin API: the bearer of ADMIN_TOKEN, over TLS (or from the same machine), on the host it is bound to. */
import type { MiddlewareHandler } from 'hono'
import { AdminError } from './admin-error.ts'

export interface AuthConfig {
  readonly adminToken: string | undefined
  readonly adminHost: string | undefined
}

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])
const encoder = new TextEncoder()

/**
 * Compares by SHA-256 digest: neither length nor the place of the first difference shows in the time it takes.
 * Not `crypto.subtle.timingSafeEqual`: that one exists in Workers only.
 */
export async function secretsEqual(given: string, expected: string): Promise<boolean> {
  const [a, b] = await Promise.all([
    crypto.subtle.digest('SHA-256', encoder.encode(given)),
    crypto.subtle.digest('SHA-256', encoder.encode(expected)),
  ])
  const left = new Uint8Array(a)
  const right = new Uint8Array(b)
  let difference = 0
  for (const [index, octet] of left.entries()) difference |= octet ^ (right[index] ?? 0xff)
  return difference === 0
}

/** The token of `Authorization: Bearer ...`; '' when there is none. */
function bearerToken(header: string | undefined): string {
  return /^bearer +([^\s]+)\s*$/i.exec(header ?? '')?.[1] ?? ''
}

function isBoundTo(url: URL, adminHost: string): boolean {
  const wanted = adminHost.trim().toLowerCase()
  return wanted === url.host || wanted === url.hostname
}

/**
 * @throws AdminError notFound 404 (another host), insecureTransport 403, secretMissing 503, unauthorized 401 — in that
 *   order, so that a token is never looked at on a connection that carried it in clear
 */
export function requireAdmin(config: AuthConfig): MiddlewareHandler {
  return async (c, next) => {
    const url = new URL(c.req.url)
    if (config.adminHost !== undefined && config.adminHost !== '' && !isBoundTo(url, config.adminHost)) {
      throw new AdminError(404, 'notFound', 'there is nothing here')
    }
    if (url.protocol !== 'https:' && !LOOPBACK.has(url.hostname)) {
      throw new AdminError(403, 'insecureTransport', 'the admin API does not answer over plain HTTP', {
        hint: 'use https:// and replace the token: it has just travelled in clear',
      })
    }
    const expected = config.adminToken?.trim() ?? ''
    if (expected === '') {
      throw new AdminError(503, 'secretMissing', 'the secret ADMIN_TOKEN is not set', {
        hint: 'wrangler secret put ADMIN_TOKEN (32 random octets or more, e.g. openssl rand -hex 32)',
      })
    }
    const given = bearerToken(c.req.header('Authorization'))
    if (!(await secretsEqual(given, expected))) {
      const challenge =
        given === '' ? 'Bearer realm="edge-ocsp"' : 'Bearer realm="edge-ocsp", error="invalid_token"'
      throw new AdminError(
        401,
        'unauthorized',
        given === '' ? 'a bearer token is needed' : 'the token is wrong',
        {
          hint: 'send Authorization: Bearer <ADMIN_TOKEN>',
          headers: { 'WWW-Authenticate': challenge },
        },
      )
    }
    await next()
  }
}
