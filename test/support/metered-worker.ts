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
import { DATABASE_PATH, KV_PATH, type RelayedStatement, STORAGE_VARIABLE } from '../../bench/cycle/storage.ts'
import { compose } from '../../src/compose.ts'
import { SIGNATURE_ALGORITHMS, type SignParameters } from '../../src/signing/algorithms.ts'
import { decodeAlgorithm } from '../../src/storage/record-codec.ts'

const storageURL = Object.entries(env).flatMap(([name, value]: [string, unknown]) =>
  name === STORAGE_VARIABLE && typeof value === 'string' ? value : [],
)[0]

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
    stage = what === 'rows' || what === 'read' ? 'signing' : 'elsewhere'
  }
}

const subtle = crypto.subtle
const sign = subtle.sign.bind(subtle)
const digest = subtle.digest.bind(subtle)
// Counted and not timed: two looks at the clock would cost a tenth of a P-256 signature.
Object.defineProperty(subtle, 'sign', {
  value: (algorithm: SignParameters, key: CryptoKey, data: BufferSource) => {
    counts.signatures += 1
    stage = 'signing'
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

interface Prepared extends RelayedStatement {
  readonly statement: D1PreparedStatement
  readonly purpose: Spent
}
const prepared = new WeakMap<object, Prepared>()

/** What the Worker uses of D1's results. */
type Results = { readonly results: Record<string, unknown>[]; readonly meta: D1Meta }[]

async function execute(list: readonly Prepared[]): Promise<Results> {
  const results = await (storageURL === undefined ? executeHere(list) : executeApart(list, storageURL))
  counts.queries += 1
  counts.statements += results.length
  for (const { meta } of results) {
    counts.rowsRead += meta.rows_read
    counts.rowsWritten += meta.rows_written
  }
  return results
}

async function executeHere(list: readonly Prepared[]): Promise<Results> {
  const [only] = list
  return list.length === 1 && only !== undefined
    ? [await only.statement.all<Record<string, unknown>>()]
    : await env.DB.batch<Record<string, unknown>>(list.map(({ statement }) => statement))
}

async function executeApart(list: readonly Prepared[], url: string): Promise<Results> {
  const body = JSON.stringify(list.map(({ sql, values }) => ({ sql, values })))
  const answer = await fetch(url + DATABASE_PATH, { method: 'POST', body })
  if (!answer.ok) throw new Error(await answer.text())
  return await answer.json()
}

function meteredStatement(made: Prepared): D1PreparedStatement {
  const proxy = new Proxy(made.statement, {
    get(target, name) {
      if (name === 'bind')
        return (...values: unknown[]) =>
          meteredStatement({ ...made, statement: target.bind(...values), values })
      if (name === 'all')
        return () => waited(made.purpose, async () => (await execute([made]))[0] ?? unmetered('D1', name))
      return unmetered('a D1 statement', name)
    },
  })
  prepared.set(proxy, made)
  return proxy
}

const database = new Proxy(env.DB, {
  get(target, name) {
    if (name === 'prepare')
      return (sql: string) =>
        meteredStatement({ sql, values: [], statement: target.prepare(sql), purpose: purposeOf(sql) })
    if (name === 'batch')
      return (batch: readonly D1PreparedStatement[]) => {
        const known = batch.map((one) => prepared.get(one) ?? unmetered('a batch', 'statement'))
        const purpose = known.find((one) => one.purpose !== 'leases')?.purpose ?? 'leases'
        return waited(purpose, () => execute(known))
      }
    return unmetered('D1', name)
  },
})

async function getValue(key: string, options: { type: 'arrayBuffer'; cacheTtl?: number }) {
  if (storageURL === undefined) return await env.RESPONSES.get(key, options)
  const answer = await fetch(storageURL + KV_PATH + encodeURIComponent(key))
  if (answer.status === 404) {
    await answer.arrayBuffer()
    return null
  }
  return await answer.arrayBuffer()
}

async function putValue(
  key: string,
  body: ArrayBuffer | ArrayBufferView,
  options: KVNamespacePutOptions = {},
): Promise<void> {
  if (storageURL === undefined) return await env.RESPONSES.put(key, body, options)
  const query = options.expiration === undefined ? '' : `?expiration=${options.expiration}`
  const target = storageURL + KV_PATH + encodeURIComponent(key) + query
  const answer = await fetch(target, { method: 'PUT', body })
  await answer.text()
  if (!answer.ok) throw new Error(`KV was not written: ${answer.status}`)
}

const kv = new Proxy(env.RESPONSES, {
  get(_target, name) {
    if (name === 'get')
      return (key: string, options: { type: 'arrayBuffer'; cacheTtl?: number }) => {
        counts.reads += 1
        return waited('read', () => getValue(key, options))
      }
    if (name === 'put')
      return (key: string, value: ArrayBuffer | ArrayBufferView, options?: KVNamespacePutOptions) => {
        counts.writes += 1
        if (key.startsWith('b/')) {
          counts.bundleWrites += 1
          bundles.set(key, value.byteLength)
        }
        return waited('write', () => putValue(key, value, options))
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
  const { signatures } = counts
  // By way of the counter, as the product: what counting costs stands on both sides.
  for (let i = 0; i < Math.min(count, 50); i++) await subtle.sign(signParameters, key, tbs)
  const start = performance.now()
  for (let i = 0; i < count; i++) await subtle.sign(signParameters, key, tbs)
  const milliseconds = performance.now() - start
  counts.signatures = signatures
  stage = 'elsewhere'
  return { count, milliseconds }
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
