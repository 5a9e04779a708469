/**
 * The Worker as it is deployed, for `npm run bench:issuers`: what is asked under COLD_PATH is answered by an isolate that knows
 * nothing yet, in a data centre that has cached nothing, with the reads of KV and D1 counted; and issuers can be moved into
 * directory pages without waiting until they are quiet.
 */
import { env, waitUntil } from 'cloudflare:workers'
import { COLD_PATH, PAGING_PATH } from '../../bench/issuer-paths.ts'
import { compose } from '../../src/compose.ts'
import { PAGING_RULES, pageIssuers } from '../../src/overlay/paging.ts'
import { D1DirectoryStore } from '../../src/storage/d1-directory-store.ts'
import { KVDerivedStore } from '../../src/storage/kv-derived-store.ts'

Object.defineProperty(caches.default, 'match', { value: async () => undefined })

const clock = { nowMs: () => Date.now() }
const NOW = { ...PAGING_RULES, quietMs: 0, crowdedMs: 0 }
const worker = compose(env, waitUntil)

/** Reads are counted; everything else is what it wraps. */
function counted<T extends object>(
  inner: T,
  methods: Readonly<Record<string, (result: unknown) => void>>,
): T {
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      const note = typeof name === 'string' ? methods[name] : undefined
      if (note === undefined) return value.bind(target)
      return async (...args: unknown[]) => {
        const result: unknown = await value.apply(target, args)
        note(result)
        return result
      }
    },
  })
}

async function cold(request: Request): Promise<Response> {
  const reads = { kv: 0, bytes: 0, d1: 0 }
  const kv = counted(env.RESPONSES, {
    get(value) {
      reads.kv += 1
      reads.bytes += value instanceof ArrayBuffer ? value.byteLength : 0
    },
  })
  const d1 = new Proxy(env.DB, {
    get(target, name) {
      reads.d1 += 1
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const own = compose({ ...env, RESPONSES: kv, DB: d1 }, waitUntil)
  const answer = await own.fetch(new Request(new URL('/', request.url), request))
  const response = new Response(answer.body, answer)
  response.headers.set('x-reads', JSON.stringify(reads))
  return response
}

async function page(): Promise<Response> {
  const directory = new D1DirectoryStore(env.DB, { timeoutMs: 60_000 })
  const derived = new KVDerivedStore(env.RESPONSES, clock)
  return Response.json((await pageIssuers({ directory, derived, clock }, NOW)) ?? { issuers: 0, pages: 0 })
}

export default {
  fetch(request) {
    const { pathname } = new URL(request.url)
    if (pathname === COLD_PATH) return cold(request)
    return pathname === PAGING_PATH ? page() : worker.fetch(request)
  },
  scheduled: () => worker.scheduled(),
} satisfies ExportedHandler
