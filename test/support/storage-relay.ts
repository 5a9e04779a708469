/** A Worker in front of D1 and KV, for `npm run bench:cycle -- --storage apart`: see bench/cycle/storage.ts. */
import { env } from 'cloudflare:workers'
import { DATABASE_PATH, KV_PATH, type RelayedStatement } from '../../bench/cycle/storage.ts'

async function runStatements(request: Request): Promise<Response> {
  const statements: RelayedStatement[] = await request.json()
  try {
    const results = await env.DB.batch(
      statements.map(({ sql, values }) => env.DB.prepare(sql).bind(...values)),
    )
    return Response.json(results.map(({ results, meta }) => ({ results, meta })))
  } catch (error) {
    return new Response(error instanceof Error ? error.message : String(error), { status: 500 })
  }
}

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === DATABASE_PATH) return await runStatements(request)
    if (!pathname.startsWith(KV_PATH)) return new Response('not found', { status: 404 })
    const key = decodeURIComponent(pathname.slice(KV_PATH.length))
    if (request.method === 'PUT') {
      const expiration = searchParams.get('expiration')
      const options = expiration === null ? {} : { expiration: Number(expiration) }
      await env.RESPONSES.put(key, await request.arrayBuffer(), options)
      return new Response('done')
    }
    const value = await env.RESPONSES.get(key, { type: 'arrayBuffer' })
    return value === null ? new Response('no such key', { status: 404 }) : new Response(value)
  },
} satisfies ExportedHandler
