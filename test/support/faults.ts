/**
 * Interference at the drivers below the real adapters: what is called can fail, lose its answer, hang, be paused and go on
 * later, or hand out something else than was stored.
 */
import type { IssuerRecord, SignatureAlgorithm } from '../../src/ports/records.ts'
import { type ReadySigner, SignerPool, type SignerPorts } from '../../src/signing/signers.ts'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'
import type { ResponseCache } from '../../src/storage/edge-cache.ts'
import type { KeyValue } from '../../src/storage/kv-derived-store.ts'

export type PortName =
  | 'kv.root'
  | 'kv.page'
  | 'kv.bundle'
  | 'kv.put'
  | 'cache.match'
  | 'cache.put'
  | 'd1'
  | 'signer'
  | 'queue'

/** What comes between a caller and a driver. Each part may throw or take its time. */
export interface Interference {
  /** Before the driver is called: throwing means that nothing was done. */
  before?(port: PortName, what: string): void | Promise<void>
  /** After it took effect: throwing means that the answer was lost. */
  after?(port: PortName, what: string): void | Promise<void>
  /** What is read instead of the value that is there. */
  value?(port: PortName, key: string, bytes: Uint8Array | undefined): Uint8Array | undefined
  /** What is written instead of the value that was to be. */
  written?(key: string, bytes: Uint8Array): Uint8Array
  /** Instead of `before` and `after`: the driver does its part when `work` is called, now, later or never. */
  around?<T>(port: PortName, what: string, work: () => Promise<T>): Promise<T>
}

async function through<T>(
  hook: Interference,
  port: PortName,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  if (hook.around !== undefined) return hook.around(port, what, work)
  await hook.before?.(port, what)
  const result = await work()
  await hook.after?.(port, what)
  return result
}

export function interferedKV(kv: KeyValue, hook: Interference): KeyValue {
  return {
    get: (key, options) => {
      const port = portOf(key)
      return through(hook, port, key, async () => {
        const bytes = await kv.get(key, options)
        if (hook.value === undefined) return bytes
        const seen = hook.value(port, key, bytes === null ? undefined : new Uint8Array(bytes))
        return seen === undefined ? null : Uint8Array.from(seen).buffer
      })
    },
    put: (key, value, options) =>
      through(hook, 'kv.put', key, () => kv.put(key, hook.written?.(key, octetsOf(value)) ?? value, options)),
  }
}

function octetsOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value)
}

function portOf(key: string): PortName {
  return key.startsWith('o/') ? 'kv.root' : key.startsWith('i/') ? 'kv.page' : 'kv.bundle'
}

export function interferedCache(cache: ResponseCache, hook: Interference): ResponseCache {
  return {
    match: (request) =>
      through(hook, 'cache.match', request, async () => {
        const found = await cache.match(request)
        if (hook.value === undefined) return found
        const bytes = found === undefined ? undefined : new Uint8Array(await found.arrayBuffer())
        const seen = hook.value('cache.match', request, bytes)
        return seen === undefined ? undefined : new Response(Uint8Array.from(seen))
      }),
    put: (request, response) => through(hook, 'cache.put', request, () => cache.put(request, response)),
  }
}

export class InterferedDatabase implements Database {
  readonly #db: Database
  readonly #hook: Interference

  constructor(db: Database, hook: Interference) {
    this.#db = db
    this.#hook = hook
  }

  prepare(sql: string): Statement {
    return new InterferedStatement(this.#db.prepare(sql), this.#hook, sql)
  }

  batch(statements: Statement[]): Promise<QueryResult[]> {
    const inner = statements.map((statement) =>
      statement instanceof InterferedStatement ? statement.inner : statement,
    )
    const first = statements[0]
    const what = first instanceof InterferedStatement ? first.sql : ''
    return through(this.#hook, 'd1', what, () => this.#db.batch(inner))
  }
}

class InterferedStatement implements Statement {
  readonly inner: Statement
  readonly sql: string
  readonly #hook: Interference

  constructor(inner: Statement, hook: Interference, sql: string) {
    this.inner = inner
    this.#hook = hook
    this.sql = sql
  }

  bind(...values: Value[]): InterferedStatement {
    return new InterferedStatement(this.inner.bind(...values), this.#hook, this.sql)
  }

  all(): Promise<QueryResult> {
    return through(this.#hook, 'd1', this.sql, () => this.inner.all())
  }
}

/** Keys that can be slow, fail, or be gone. */
export class InterferedSignerPool extends SignerPool {
  readonly #hook: Interference

  constructor(ports: SignerPorts, hook: Interference) {
    super(ports)
    this.#hook = hook
  }

  override async ready(
    issuer: IssuerRecord,
    now: number,
    algorithm?: SignatureAlgorithm,
  ): Promise<ReadySigner> {
    const ready = await super.ready(issuer, now, algorithm)
    const { signer } = ready
    const hook = this.#hook
    return {
      ...ready,
      signer: {
        algorithm: signer.algorithm,
        signatureAlgorithm: signer.signatureAlgorithm,
        sign: (tbs) => through(hook, 'signer', 'sign', () => signer.sign(tbs)),
      },
    }
  }
}

export type FaultMode =
  | 'fail'
  | 'loseAnswer'
  | 'hang'
  | 'absent'
  | 'garbage'
  | 'truncated'
  | 'flipped'
  | 'stale'

/** Ports with a standing fault each: what faults.test.ts sets and takes away. */
export class StandingFaults implements Interference {
  readonly #modes = new Map<PortName, FaultMode>()
  readonly #firstSeen = new Map<string, Uint8Array | undefined>()
  /** Calls by port since the last `forget`. */
  readonly calls = new Map<PortName, number>()

  set(port: PortName, mode: FaultMode): void {
    this.#modes.set(port, mode)
  }

  clear(): void {
    this.#modes.clear()
  }

  forget(): void {
    this.calls.clear()
  }

  async before(port: PortName): Promise<void> {
    this.calls.set(port, (this.calls.get(port) ?? 0) + 1)
    const mode = this.#modes.get(port)
    if (mode === 'fail') throw new Error(`${port}: network connection lost`)
    if (mode === 'hang') await new Promise<never>(() => {}) // until the adapter's deadline gives up
  }

  after(port: PortName): void {
    if (this.#modes.get(port) === 'loseAnswer') throw new Error(`${port}: the answer was lost`)
  }

  value(port: PortName, key: string, bytes: Uint8Array | undefined): Uint8Array | undefined {
    const at = `${port} ${key}`
    if (!this.#firstSeen.has(at)) this.#firstSeen.set(at, bytes)
    switch (this.#modes.get(port)) {
      case 'absent':
        return undefined
      case 'garbage':
        return Uint8Array.from({ length: 400 }, (_, i) => (i * 73 + 41) & 0xff)
      case 'truncated':
        return bytes?.subarray(0, bytes.length >>> 1)
      case 'flipped':
        return bytes === undefined ? undefined : flipped(bytes)
      case 'stale':
        return this.#firstSeen.get(at)
      case 'fail':
      case 'loseAnswer':
      case 'hang':
      case undefined:
        return bytes
    }
  }
}

/** One bit is another, at two thirds of the value: in the entries of a bundle, in the body of a page or root. */
export function flipped(bytes: Uint8Array, at = Math.floor((bytes.length * 2) / 3)): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0x10
  return copy
}

/** Something that is under way: a request, a publisher, a builder. It can be stopped at any port call and go on later, or never. */
export class Actor implements Interference {
  #waiting: { where: string; go: () => void; fail: (error: Error) => void }[] = []
  #onPause: (() => void) | undefined
  readonly #decide: (port: PortName, phase: 'before' | 'after', what: string) => 'go' | 'pause' | 'fail'

  constructor(decide: (port: PortName, phase: 'before' | 'after', what: string) => 'go' | 'pause' | 'fail') {
    this.#decide = decide
  }

  get isPaused(): boolean {
    return this.#waiting.length > 0
  }

  before(port: PortName, what: string): void | Promise<void> {
    return this.#at(port, 'before', what)
  }

  after(port: PortName, what: string): void | Promise<void> {
    return this.#at(port, 'after', what)
  }

  /** Until `work` is done or something in it is paused. @returns whether it is done */
  async run(work: Promise<unknown>): Promise<boolean> {
    if (this.isPaused) return false
    const { promise: paused, resolve } = Promise.withResolvers<boolean>()
    this.#onPause = () => resolve(false)
    const done = work.then(
      () => true,
      () => true,
    )
    return Promise.race([done, paused])
  }

  resume(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { go } of waiting) go()
  }

  /** What it waited for fails at last, as by a deadline. */
  expire(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { where, fail } of waiting) fail(new Error(`${where}: timed out`))
  }

  #at(port: PortName, phase: 'before' | 'after', what: string): void | Promise<void> {
    switch (this.#decide(port, phase, what)) {
      case 'go':
        return
      case 'fail':
        throw new Error(`${port}: connection lost ${phase} the call`)
      case 'pause': {
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        this.#waiting.push({ where: `${phase} ${port}`, go: resolve, fail: reject })
        this.#onPause?.()
        return promise
      }
    }
  }
}
