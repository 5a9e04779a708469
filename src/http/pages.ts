/** What a browser may find here: a page that says what this is, and the issuers' certificates (the AIA of what they issued). */
import type { Context } from 'hono'
import { Hono } from 'hono/tiny'
import { bufferSource } from '../pkix/buffer-source.ts'
import { StorageError } from '../ports/errors.ts'
import type { Clock } from '../ports/ports.ts'

export interface PagesDeps {
  /** DER by short name or subject key identifier. @throws StorageError */
  issuerCertificate(nameOrSKI: string): Promise<Uint8Array | undefined>
  readonly clock: Clock
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>OCSP responder</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}code{background:#8882;padding:.1em .3em}</style>
<h1>OCSP responder</h1>
<p>This address tells programs whether certificates are still good (Online Certificate Status Protocol, RFC 6960 and
RFC 9919). There is nothing to see here for people.</p>
<p>Ask it with <code>openssl ocsp -issuer issuer.pem -cert certificate.pem -url</code> and this address, by GET or POST.
Answers are signed, so plain HTTP is right.</p>
</html>
`

const NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'"
/** The public can ask for any name: what was found, or not, is kept for so long, so that D1 is not asked each time. */
const MEMO_MS = 60_000
const MEMO_SIZE = 256
/** Names that are not remembered may cost the record so many reads in a memo's time; then it is 503. */
const LOOKUP_BUDGET = 120
const ISSUER_FILE = /^([a-z0-9-]{1,64})\.cer$/

function nothingHere(): Response {
  return new Response('not found\n', {
    status: 404,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' },
  })
}

export function pagesApp(deps: PagesDeps): Hono {
  const app = new Hono()
  let budget = { sinceMs: deps.clock.nowMs(), left: LOOKUP_BUDGET }
  const memo = new Map<string, { atMs: number; der: Uint8Array | undefined }>()

  async function certificate(name: string): Promise<Uint8Array | undefined> {
    const nowMs = deps.clock.nowMs()
    const known = memo.get(name)
    if (known !== undefined && nowMs - known.atMs < MEMO_MS) return known.der
    if (nowMs - budget.sinceMs >= MEMO_MS) budget = { sinceMs: nowMs, left: LOOKUP_BUDGET }
    if (budget.left === 0) throw new StorageError('overBudget', 'too many look-ups of issuer certificates')
    budget.left -= 1
    const der = await deps.issuerCertificate(name)
    if (memo.size >= MEMO_SIZE) memo.clear()
    memo.set(name, { atMs: nowMs, der })
    return der
  }

  app.get(
    '/',
    () =>
      new Response(PAGE, {
        headers: {
          'Content-Type': 'text/html; charset=utf-8',
          'Cache-Control': 'public, max-age=60',
          'Content-Security-Policy': NOTHING_ELSE,
          'X-Content-Type-Options': 'nosniff',
        },
      }),
  )

  app.get('/issuers/:file', async (c: Context) => {
    const name = ISSUER_FILE.exec(c.req.param('file')?.toLowerCase() ?? '')?.[1]
    const der = name === undefined ? undefined : await certificate(name)
    if (der === undefined) return nothingHere()
    return new Response(bufferSource(der), {
      headers: {
        'Content-Type': 'application/pkix-cert',
        'Cache-Control': 'public, max-age=3600',
        'X-Content-Type-Options': 'nosniff',
      },
    })
  })

  app.get('/favicon.ico', nothingHere)
  app.get('/robots.txt', nothingHere)
  app.notFound(nothingHere)
  app.onError((error) => {
    if (!(error instanceof StorageError)) throw error
    return new Response('try again later\n', {
      status: 503,
      headers: {
        'Content-Type': 'text/plain; charset=utf-8',
        'Cache-Control': 'no-store',
        'Retry-After': '5',
      },
    })
  })
  return app
}
