/**
 * The whole Worker with its bindings counted and timed, for `npm run bench:cycle`. The product's code is as it is deployed:
 * only D1, KV and crypto.subtle are laid in. Locally workerd's clock runs on while we compute; its steps are coarse, so that
 * single times say nothing and sums do.
 */
import { env, waitUntil } from 'cloudflare:workers'
import {
  BARE_PATH,
  type BareSigning,
  METER_PATH,
  type MeterReading,
  type Spent,
} from '../../bench/cycle/meter.ts'
import { compose } from '../../src/compose.ts'
import { SIGNATURE_ALGORITHMS, type SignParameters } from '../../src/signing/algorithms.ts'
import { decodeAlgorithm } from '../../src/storage/record-codec.ts'

type Counts = Omit<MeterReading, 'spent' | 'bundlesByK'>

const NOTHING: Counts = {
  signatures: 0,
  queries: 0,
  statements: 0,
  rowsRead: 0,
  rowsWritten: 0,
  reads: 0,
  writes: 0,
  bundleWrites: 0,
}
const NO_TIME = (): Record<Spent, number> => ({
  rows: 0,
  record: 0,
  leases: 0,
  read: 0,
  write: 0,
  sign: 0,
  check: 0,
  rest: 0,
})

let counts = { ...NOTHING }
let spent = NO_TIME()
/** Octets of each bundle as it was last put. */
const bundles = new Map<string, number>()
let last = performance.now()
/** What the slot at hand was last seen doing: decides what the time up to the next event was for. */
let stage: 'signing' | 'checking' | 'elsewhere' = 'elsewhere'

function took(what: Spent): void {
  const now = performance.now()
  spent[what] += now - last
  last = now
}

/** Own work up to here. */
function worked(): void {
  took(stage === 'signing' ? 'sign' : stage === 'checking' ? 'check' : 'rest')
}

/** The inspector is heard when workerd has nothing else to do: with storage in the same process that may be never. */
const BREATHE_EVERY_MS = 90
let breathed = 0

/** Time from the beginning of the call, or from what was done in the meantime, to its end. */
async function waited<T>(what: Spent, call: () => Promise<T>): Promise<T> {
  worked()
  if (last - breathed > BREATHE_EVERY_MS) {
    breathed = last
    await scheduler.wait(1)
    took('rest')
  }
  try {
    return await call()
  } finally {
    took(what)
    stage = what === 'rows' ? 'signing' : 'elsewhere'
  }
}

const subtle = crypto.subtle
const sign = subtle.sign.bind(subtle)
const digest = subtle.digest.bind(subtle)
// Counted and not timed: two looks at the clock would cost a tenth of a P-256 signature.
Object.defineProperty(subtle, 'sign', {
  value: (algorithm: SignParameters, key: CryptoKey, data: BufferSource) => {
    counts.signatures += 1
    return sign(algorithm, key, data)
  },
})
Object.defineProperty(subtle, 'digest', {
  value: (...input: Parameters<typeof digest>) => {
    if (stage !== 'signing') return digest(...input)
    const value = digest(...input)
    took('sign')
    stage = 'checking'
    return value
  },
})

function purposeOf(sql: string): Spent {
  if (/^\s*SELECT\b.*\bFROM certificates\b.*\bBETWEEN\b/s.test(sql)) return 'rows'
  return /^\s*UPDATE slots SET\s+built_seq/.test(sql) ? 'record' : 'leases'
}

const prepared = new WeakMap<object, { statement: D1PreparedStatement; purpose: Spent }>()

function billed(results: readonly { readonly meta: D1Meta }[]): void {
  counts.queries += 1
  counts.statements += results.length
  for (const { meta } of results) {
    counts.rowsRead += meta.rows_read
    counts.rowsWritten += meta.rows_written
  }
}

function meteredStatement(statement: D1PreparedStatement, purpose: Spent): D1PreparedStatement {
  const proxy = new Proxy(statement, {
    get(target, name) {
      if (name === 'bind') return (...values: unknown[]) => meteredStatement(target.bind(...values), purpose)
      if (name === 'all')
        return () =>
          waited(purpose, async () => {
            const result = await target.all()
            billed([result])
            return result
          })
      return unmetered('a D1 statement', name)
    },
  })
  prepared.set(proxy, { statement, purpose })
  return proxy
}

const database = new Proxy(env.DB, {
  get(target, name) {
    if (name === 'prepare') return (sql: string) => meteredStatement(target.prepare(sql), purposeOf(sql))
    if (name === 'batch')
      return (batch: readonly D1PreparedStatement[]) => {
        const known = batch.map((one) => prepared.get(one) ?? unmetered('a batch', 'statement'))
        const purposes = known.map(({ purpose }) => purpose)
        const purpose = purposes.find((one) => one !== 'leases') ?? 'leases'
        return waited(purpose, async () => {
          const results = await target.batch(known.map(({ statement }) => statement))
          billed(results)
          return results
        })
      }
    return unmetered('D1', name)
  },
})

const kv = new Proxy(env.RESPONSES, {
  get(target, name) {
    if (name === 'get')
      return (key: string, options: { type: 'arrayBuffer'; cacheTtl?: number }) => {
        counts.reads += 1
        return waited('read', () => target.get(key, options))
      }
    if (name === 'put')
      return (key: string, value: ArrayBuffer | ArrayBufferView, options?: KVNamespacePutOptions) => {
        counts.writes += 1
        if (key.startsWith('b/')) {
          counts.bundleWrites += 1
          bundles.set(key, value.byteLength)
        }
        return waited('write', () => target.put(key, value, options))
      }
    return unmetered('KV', name)
  },
})

/** An operation that nobody counts would be missing in the sums. */
function unmetered(what: string, name: string | symbol): never {
  throw new Error(`${what} is used in a way that is not metered: ${String(name)}`)
}

/** What was counted since the last reading. */
function reading(): MeterReading {
  took('rest')
  const bundlesByK: Record<string, { bundles: number; bytes: number }> = {}
  for (const [key, bytes] of bundles) {
    const k = key.split('/')[2] ?? ''
    const era = bundlesByK[k] ?? { bundles: 0, bytes: 0 }
    bundlesByK[k] = { bundles: era.bundles + 1, bytes: era.bytes + bytes }
  }
  const result = { ...counts, spent, bundlesByK }
  counts = { ...NOTHING }
  spent = NO_TIME()
  return result
}

const keys = new Map<string, CryptoKey>()

async function bare(name: string, count: number): Promise<BareSigning> {
  const { importParameters, signParameters } = SIGNATURE_ALGORITHMS[decodeAlgorithm(name)]
  let key = keys.get(name)
  if (key === undefined) {
    const parameters =
      'hash' in importParameters
        ? { ...importParameters, modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
        : importParameters
    const pair = await subtle.generateKey(parameters, false, ['sign', 'verify'])
    if (!('privateKey' in pair)) throw new TypeError(`${name} makes no key pair`)
    key = pair.privateKey
    keys.set(name, key)
  }
  // As long as the data of a response with one certificate and SHA-256.
  const tbs = crypto.getRandomValues(new Uint8Array(190))
  for (let i = 0; i < Math.min(count, 50); i++) await sign(signParameters, key, tbs)
  const start = performance.now()
  for (let i = 0; i < count; i++) await sign(signParameters, key, tbs)
  return { count, milliseconds: performance.now() - start }
}

const worker = compose({ ...env, DB: database, RESPONSES: kv }, waitUntil)

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === METER_PATH) return Response.json(reading())
    if (pathname === BARE_PATH)
      return Response.json(
        await bare(searchParams.get('algorithm') ?? '', Number(searchParams.get('count') ?? '0')),
      )
    return worker.fetch(request)
  },
  scheduled: () => worker.scheduled(),
} satisfies ExportedHandler
