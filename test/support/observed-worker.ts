/**
 * The whole Worker under a clock that is set from outside, with every operation counted: `npm run plan:check` drives it
 * (scripts/plan/observe.ts). What is counted is what the product does: only the bindings, the clock and the data centre's cache
 * are laid around it.
 */
import { env } from 'cloudflare:workers'
import {
  COLD_HEADER,
  COUNTS_PATH,
  CRON_PATH,
  type KeyCount,
  NOW_HEADER,
  type Observation,
  PHASE_HEADER,
  type Phase,
  type StatementCount,
} from '../../scripts/plan/observation.ts'
import { compose } from '../../src/compose.ts'

const PHASES: readonly Phase[] = ['record', 'revoke', 'cron', 'request', 'setup']

let phase: Phase = 'setup'
let nowMs = Date.now()
let statements = new Map<string, StatementCount>()
let keys = new Map<string, KeyCount>()
let signatures: Partial<Record<Phase, number>> = {}
let databaseBytes = 0
let pending: Promise<unknown>[] = []
const cached = new Map<string, { response: Response; until: number }>()

Date.now = () => nowMs

const sign = crypto.subtle.sign.bind(crypto.subtle)
Object.defineProperty(crypto.subtle, 'sign', {
  value: (...input: Parameters<typeof sign>) => {
    signatures[phase] = (signatures[phase] ?? 0) + 1
    return sign(...input)
  },
})

/** One data centre's cache, under the virtual clock. */
const cache = {
  async match(key: string) {
    const held = cached.get(key)
    return held === undefined || held.until <= nowMs ? undefined : held.response.clone()
  },
  async put(key: string, response: Response) {
    const seconds = Number(/max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1] ?? 0)
    cached.set(key, { response, until: nowMs + seconds * 1000 })
  },
}
Object.defineProperty(globalThis, 'caches', { value: { default: cache } })

const prepared = new WeakMap<object, { statement: D1PreparedStatement; sql: string }>()

function countStatement(sql: string, meta: D1Meta): void {
  const key = `${phase}\n${sql}`
  const count = statements.get(key) ?? { phase, sql, calls: 0, rowsRead: 0, rowsWritten: 0 }
  count.calls += 1
  count.rowsRead += meta.rows_read
  count.rowsWritten += meta.rows_written
  databaseBytes = meta.size_after
  statements.set(key, count)
}

function observedStatement(statement: D1PreparedStatement, sql: string): D1PreparedStatement {
  const proxy = new Proxy(statement, {
    get(target, name) {
      if (name === 'bind') return (...values: unknown[]) => observedStatement(target.bind(...values), sql)
      if (name === 'all')
        return async () => {
          const result = await target.all()
          countStatement(sql, result.meta)
          return result
        }
      return unobserved('a D1 statement', name)
    },
  })
  prepared.set(proxy, { statement, sql })
  return proxy
}

function observedDatabase(db: D1Database): D1Database {
  return new Proxy(db, {
    get(target, name) {
      if (name === 'prepare') return (sql: string) => observedStatement(target.prepare(sql), sql)
      if (name === 'batch')
        return async (batch: readonly D1PreparedStatement[]) => {
          const known = batch.map((one) => prepared.get(one) ?? unobserved('a batch', 'statement'))
          const results = await target.batch(known.map(({ statement }) => statement))
          results.forEach(({ meta }, i) => {
            countStatement(known[i]?.sql ?? '', meta)
          })
          return results
        }
      return unobserved('D1', name)
    },
  })
}

function keyCount(key: string): KeyCount {
  const kind = key === 'o/root' ? key : (key.split('/')[0] ?? key)
  const found = keys.get(`${phase} ${kind}`) ?? {
    phase,
    kind,
    reads: 0,
    writes: 0,
    bytesRead: 0,
    bytesWritten: 0,
  }
  keys.set(`${phase} ${kind}`, found)
  return found
}

/** Expiration is left out: virtual time is in the past, and the keys are overwritten while they are in use. */
function observedKV(kv: KVNamespace): KVNamespace {
  return new Proxy(kv, {
    get(target, name) {
      if (name === 'get')
        return async (key: string) => {
          const count = keyCount(key)
          const value = await target.get(key, 'arrayBuffer')
          count.reads += 1
          count.bytesRead += value?.byteLength ?? 0
          return value
        }
      if (name === 'put')
        return async (key: string, value: ArrayBuffer | ArrayBufferView) => {
          const count = keyCount(key)
          count.writes += 1
          count.bytesWritten += value.byteLength
          await target.put(key, value)
        }
      return unobserved('KV', name)
    },
  })
}

/** An operation that nobody counts would be missing in the sums. */
function unobserved(what: string, name: string | symbol): never {
  throw new Error(`${what} is used in a way that is not observed: ${String(name)}`)
}

/** A queue that hands its messages over as soon as whoever sent them has finished. */
let sent: unknown[] = []
let queueMessages = 0
const nothingWaits = { backlogCount: 0, backlogBytes: 0 }
const queue: Queue = {
  metrics: async () => nothingWaits,
  async send(body) {
    sent.push(body)
    return { metadata: { metrics: nothingWaits } }
  },
  async sendBatch(messages) {
    for (const { body } of messages) sent.push(body)
    return { metadata: { metrics: nothingWaits } }
  },
}
/** Set by the driver as a variable: the deployment has a queue. */
const withQueue = Reflect.get(env, 'PLAN_QUEUE') === 'yes'

async function deliver(): Promise<void> {
  while (sent.length > 0) {
    const messages = sent.map((body, i) => ({
      id: `${nowMs}-${i}`,
      body: JSON.parse(JSON.stringify(body)),
      attempts: 1,
      ack: () => undefined,
      retry: () => {
        throw new Error('a message of the queue could not be handled')
      },
    }))
    queueMessages += messages.length
    sent = []
    await settled(worker.queue({ queue: 'observed', messages }))
  }
}

const { RESIGN: _, ...bindings } = env
const observed = {
  ...bindings,
  DB: observedDatabase(env.DB),
  RESPONSES: observedKV(env.RESPONSES),
  ...(withQueue && { RESIGN: queue }),
}
const isolate = () => compose(observed, (work) => pending.push(work))
let worker = isolate()

/** What was left to the background belongs to the exchange that left it. */
async function settled<T>(work: Promise<T> | T): Promise<T> {
  const result = await work
  while (pending.length > 0) {
    const some = pending
    pending = []
    await Promise.allSettled(some)
  }
  return result
}

function counts(): Observation {
  const result = {
    statements: [...statements.values()],
    keys: [...keys.values()],
    signatures,
    queueMessages,
    databaseBytes,
  }
  queueMessages = 0
  statements = new Map()
  keys = new Map()
  signatures = {}
  return result
}

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url)
    if (pathname === COUNTS_PATH) return Response.json(counts())
    nowMs = Number(request.headers.get(NOW_HEADER) ?? nowMs)
    phase = PHASES.find((one) => one === request.headers.get(PHASE_HEADER)) ?? 'setup'
    if (request.headers.has(COLD_HEADER)) {
      worker = isolate()
      cached.clear()
    }
    if (pathname === CRON_PATH) {
      await settled(worker.scheduled())
      await deliver()
      return new Response('done')
    }
    return settled(worker.fetch(request))
  },
} satisfies ExportedHandler
