/** Whole exchanges over HTTP: our Worker beside a bare one that knows the answer, each in a Miniflare process of its own. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorkerBundle } from '../src/cli/dev/worker-bundle.ts'
import { type Exchange, LOAD_GENERATOR, load } from './load.ts'
import { atLeast, atMost, interleave, judge, type Measurement, type Row, voidRow } from './measurement.ts'
import { type Server, startServer } from './servers.ts'
import { checkAnswer, getPath, makeWorld, question, type World } from './world.ts'

export interface AnswerOptions {
  readonly rounds: number
  /** Of one measurement under load. */
  readonly seconds: number
  readonly progress: (text: string) => void
}

/** More than the answer memory holds (16 MB), so that asking for all in turn always misses it. */
const CERTIFICATES = 20_000
const SINGLE_EXCHANGES = 1000
/** Index of the first serial that those have not asked for. */
const FIRST_UNASKED = SINGLE_EXCHANGES
/** Exchanges that were under way when a measurement ended: asked, and not counted. */
const UNCOUNTED = 64
/** Below the publisher's heartbeat: a root older than a minute would be refreshed while somebody waits. */
const HEARTBEAT_MS = 45_000
/** Exchanges of one measurement of latency; the budget of personal answers allows a burst of 500. */
const LATENCY_EXCHANGES = 60

export async function run(bundle: WorkerBundle, options: AnswerOptions): Promise<Row[]> {
  options.progress(`recording and signing ${CERTIFICATES} certificates`)
  const world = await makeWorld(bundle, CERTIFICATES)
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-bare-'))
  const servers: Server[] = []
  try {
    const ours = await world.start()
    servers.push(ours)
    const rows = [await attempt(X509_ROW, () => x509Row(ours, world))]
    const bare = await startServer({
      bundle: { ...bundle, code: await bareWorker(ours, world, asked(world)) },
      folder,
    })
    servers.push(bare)
    const bench = new Bench(ours, bare, world, options)
    rows.push(
      await attempt(GET_ROW, () => bench.fromMemory(GET_ROW, (request) => ({ path: getPath(request) }))),
    )
    rows.push(await attempt(POST_ROW, () => bench.fromMemory(POST_ROW, (body) => ({ path: '/', body }))))
    rows.push(await attempt(BUNDLE_ROW, () => bench.fromBundles()))
    rows.push(...(await bench.latencies()))
    return rows
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    rmSync(folder, { recursive: true, force: true })
    world.close()
  }
}

const X509_ROW = `X.509 module evaluated after ${SINGLE_EXCHANGES} OCSP requests`
const GET_ROW = 'GET answered from isolate memory, beside a bare Worker'
const POST_ROW = 'POST answered from isolate memory, beside a bare Worker'
const BUNDLE_ROW = `GET answered from bundles (${CERTIFICATES} serials), beside a bare Worker`

async function attempt(name: string, measure: () => Promise<Measurement>): Promise<Row> {
  try {
    return judge(await measure())
  } catch (error) {
    return voidRow(name, error)
  }
}

/** The serial number that the memory rows ask for. */
function asked({ serials }: World): Uint8Array {
  return serials[0] ?? new Uint8Array()
}

/** A Worker that knows one answer: the octets and the headers of ours, in a closure; a POST is read to its end. */
export async function bareWorker(ours: Server, world: World, serial: Uint8Array): Promise<string> {
  const response = await fetch(ours.url + getPath(question(world.pki, [serial])))
  const body = [...new Uint8Array(await response.arrayBuffer())]
  const named = ['Content-Type', 'Cache-Control', 'ETag', 'Expires', 'Last-Modified', 'Date']
  const headers = Object.fromEntries(named.map((name) => [name, response.headers.get(name) ?? '']))
  return `const BODY = new Uint8Array(${JSON.stringify(body)})
const HEADERS = ${JSON.stringify(headers)}
export default {
  async fetch(request) {
    if (request.method === 'POST') await request.arrayBuffer()
    return new Response(BODY, { headers: HEADERS })
  },
}
`
}

class Bench {
  readonly #ours: Server
  readonly #bare: Server
  readonly #world: World
  readonly #options: AnswerOptions
  #publishedAt = Number.NEGATIVE_INFINITY
  /** Index of a serial that is not in our answer memory, and the ones after it. */
  #next = FIRST_UNASKED
  /** Exchanges that each server has had in the present row. */
  #asked = new Map<Server, number>()

  constructor(ours: Server, bare: Server, world: World, options: AnswerOptions) {
    this.#ours = ours
    this.#bare = bare
    this.#world = world
    this.#options = options
  }

  async fromMemory(name: string, exchangeOf: (request: Uint8Array) => Exchange): Promise<Measurement> {
    const serial = asked(this.#world)
    const exchange = exchangeOf(question(this.#world.pki, [serial]))
    await this.#compare(exchange, serial)
    const measurement = await this.#underLoad(name, () => [exchange], ['memory'])
    await this.#compare(exchange, serial)
    return { ...measurement, limit: atLeast(0.8) }
  }

  async fromBundles(): Promise<Measurement> {
    const { serials, pki } = this.#world
    const exchanges = serials.map((serial) => ({ path: getPath(question(pki, [serial])) }))
    // Each measurement goes on where the one before ended: what comes next has not been asked for the longest.
    const onwards = (asked: number) => {
      const from = (FIRST_UNASKED + asked) % exchanges.length
      return [...exchanges.slice(from), ...exchanges.slice(0, from)]
    }
    // A bundle that this isolate holds counts as memory, too: that the answer was not there follows from the numbers.
    const measurement = await this.#underLoad(BUNDLE_ROW, onwards, ['memory', 'bundle', 'cache'])
    this.#next = FIRST_UNASKED + (this.#asked.get(this.#ours) ?? 0)
    for (const serial of serials.filter((_, i) => i % 1000 === 500))
      checkAnswer((await send(this.#ours, { path: getPath(question(pki, [serial])) })).body, pki, [serial])
    return measurement
  }

  /** Milliseconds of single exchanges, one at a time; the best round's median. */
  async latencies(): Promise<Row[]> {
    const { serials } = this.#world
    const one = asked(this.#world)
    const other = serials[1] ?? one
    const kinds: readonly [name: string, ask: () => Promise<number>][] = [
      ['bare Worker', () => this.#timed(this.#bare, [one])],
      ['from memory', () => this.#timed(this.#ours, [one])],
      ['from a bundle', () => this.#timed(this.#ours, [serials[this.#next++ % serials.length] ?? one])],
      ['signed live: two CertIDs', () => this.#timed(this.#ours, [one, other])],
      ['signed live: nonce', () => this.#timed(this.#ours, [one], new Uint8Array(randomBytes(32)))],
    ]
    const rows: Row[] = []
    this.#options.progress('single exchanges')
    try {
      await this.#heartbeat()
      for (const [, ask] of kinds) await ask()
      const times = await interleave(
        kinds.map(([name, ask]) => ({
          name,
          measure: async () => {
            const each: number[] = []
            for (let i = 0; i < LATENCY_EXCHANGES; i++) each.push(await ask())
            return each.sort((a, b) => a - b)[LATENCY_EXCHANGES >> 1] ?? Number.NaN
          },
        })),
        this.#options.rounds,
      )
      for (const [i, [name]] of kinds.entries())
        rows.push(
          judge({ name: `one POST at a time, ${name}`, value: Math.min(...(times[i] ?? [])), unit: 'ms' }),
        )
    } catch (error) {
      rows.push(voidRow('one POST at a time', error))
    }
    return rows
  }

  async #timed(server: Server, serials: readonly Uint8Array[], nonce?: Uint8Array): Promise<number> {
    const { pki } = this.#world
    const body = question(pki, serials, nonce)
    const start = performance.now()
    const answer = await send(server, { path: '/', body })
    const milliseconds = performance.now() - start
    checkAnswer(answer.body, pki, server === this.#bare ? [asked(this.#world)] : serials, nonce)
    return milliseconds
  }

  /** Requests a second of ours over those of the bare one, best of the rounds, taken in turns. */
  async #underLoad(
    name: string,
    /** What to repeat, given how many exchanges the server has had in this row. */
    exchanges: (asked: number) => readonly Exchange[],
    origins: readonly string[],
  ): Promise<Measurement> {
    const { rounds, seconds, progress } = this.#options
    progress(name)
    const processor = new Map<Server, number[]>()
    this.#asked = new Map()
    const measure = async (server: Server, duration: number) => {
      await this.#heartbeat()
      const earlier = this.#asked.get(server) ?? 0
      const list = exchanges(earlier)
      const before = server.processorTime()
      const { perSecond, errors } = await load(server.port, list, duration)
      if (errors > 0) throw new Error(`${errors} exchanges failed or were not answered 200`)
      const count = Math.round(perSecond * duration)
      this.#asked.set(server, earlier + count + UNCOUNTED)
      const each = (server.processorTime() - before) / count
      processor.set(server, [...(processor.get(server) ?? []), each])
      return perSecond
    }
    for (const server of [this.#ours, this.#bare]) await measure(server, Math.max(1, seconds / 2))
    await this.#ours.origins()
    const [ours = [], bare = []] = await interleave(
      [
        { name: 'ours', measure: () => measure(this.#ours, seconds) },
        { name: 'bare', measure: () => measure(this.#bare, seconds) },
      ],
      rounds,
    )
    await this.#checkOrigins(origins)
    const [best, bestBare] = [Math.max(...ours), Math.max(...bare)]
    const least = (server: Server) => Math.min(...(processor.get(server) ?? []))
    const list = (values: readonly number[]) => values.map((value) => value.toFixed(0)).join(' ')
    return {
      name,
      value: best / bestBare,
      unit: 'ratio',
      detail: `best ${best.toFixed(0)}/s of ${bestBare.toFixed(0)}/s (ours ${list(ours)}; bare ${list(bare)}; ${LOAD_GENERATOR}); processor ${least(this.#ours).toFixed(0)} us an answer, bare ${least(this.#bare).toFixed(0)} us: ${(least(this.#bare) / least(this.#ours)).toFixed(2)}`,
    }
  }

  /** The log samples one exchange in a hundred: all of them must have come from where the row says. */
  async #checkOrigins(wanted: readonly string[]): Promise<void> {
    const { origins, faults } = await this.#ours.origins()
    if (faults.length > 0) throw new Error(`our Worker had faults: ${faults[0]}`)
    const others = Object.keys(origins).filter((origin) => !wanted.includes(origin))
    if (others.length > 0)
      throw new Error(
        `of the sampled answers came ${JSON.stringify(origins)}, not all from ${wanted.join(' or ')}`,
      )
    if (Object.keys(origins).length === 0) throw new Error('no exchange was logged: origin not known')
  }

  /** Both give the same octets under the same headers, and they are a true answer. */
  async #compare(exchange: Exchange, serial: Uint8Array): Promise<void> {
    const [ours, bare] = [await send(this.#ours, exchange), await send(this.#bare, exchange)]
    checkAnswer(ours.body, this.#world.pki, [serial])
    if (Buffer.compare(ours.body, bare.body) !== 0) throw new Error('the two Workers give different octets')
    if (ours.headers !== bare.headers)
      throw new Error(`the two Workers give different headers: ${ours.headers} and ${bare.headers}`)
  }

  async #heartbeat(): Promise<void> {
    if (performance.now() - this.#publishedAt < HEARTBEAT_MS) return
    await this.#ours.cron()
    this.#publishedAt = performance.now()
  }
}

interface Answered {
  readonly body: Uint8Array
  /** Names and values; without what the moment decides. */
  readonly headers: string
}

async function send(server: Server, { path, body }: Exchange): Promise<Answered> {
  const headers = { 'Content-Type': 'application/ocsp-request' }
  const init = body === undefined ? {} : { method: 'POST', headers, body: Buffer.from(body) }
  const response = await fetch(server.url + path, init)
  if (response.status !== 200) throw new Error(`HTTP ${response.status}`)
  const fixed = [...response.headers].map(([name, value]) =>
    name === 'date' ? name : `${name}: ${value.replace(/max-age=\d+/, 'max-age=N')}`,
  )
  return { body: new Uint8Array(await response.arrayBuffer()), headers: fixed.join('\n') }
}

/** Everything a client may send, 1,000 times, to an isolate that has done nothing else. */
async function x509Row(ours: Server, { pki, serials }: World): Promise<Measurement> {
  const one = serials[0] ?? new Uint8Array()
  const unrecorded = new Uint8Array(18).fill(0x55)
  const kinds: readonly ((i: number) => Exchange)[] = [
    (i) => ({ path: getPath(question(pki, [serials[i % serials.length] ?? one])) }),
    (i) => ({ path: '/', body: question(pki, [serials[i % 50] ?? one]) }),
    () => ({ path: '/', body: question(pki, [one], new Uint8Array(randomBytes(32))) }),
    (i) => ({ path: '/', body: question(pki, [one, serials[(i % 50) + 1] ?? one]) }),
    () => ({ path: getPath(question(pki, [unrecorded])) }),
    () => ({ path: '/', body: new Uint8Array(randomBytes(84)) }),
  ]
  for (let i = 0; i < SINGLE_EXCHANGES; i++) {
    const exchange = kinds[i % kinds.length]?.(i)
    if (exchange === undefined) continue
    const { body } = await send(ours, exchange)
    if (i < 2) checkAnswer(body, pki, [serials[i] ?? one])
  }
  const health: unknown = await (await fetch(`${ours.url}/healthz`)).json()
  const found = typeof health === 'object' && health !== null && 'x509Evaluations' in health
  const count = found ? health.x509Evaluations : undefined
  if (typeof count !== 'number') throw new Error('/healthz does not tell x509Evaluations')
  return { name: X509_ROW, value: count, unit: 'times', limit: atMost(0) }
}
