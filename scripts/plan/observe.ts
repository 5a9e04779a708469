/**
 * A scaled-down deployment, run for some days of virtual time: the whole Worker in workerd with real D1 and KV, every operation
 * counted (test/support/observed-worker.ts). Virtual time ends now, since SQL deletes nothing whose time has not come by its own
 * clock.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getPath, question } from '../../bench/world.ts'
import { AdminClient } from '../../src/cli/client.ts'
import { applyMigrations } from '../../src/cli/dev/migrations.ts'
import { startRuntime } from '../../src/cli/dev/runtime.ts'
import { buildWorker, PACKAGE_ROOT } from '../../src/cli/dev/worker-bundle.ts'
import { decodeOCSPResponse } from '../../src/ocsp/index.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { makeTestPKI, type TestPKI } from '../../test/support/pki.ts'
import {
  COLD_HEADER,
  COUNTS_PATH,
  CRON_PATH,
  NOW_HEADER,
  type Observation,
  PHASE_HEADER,
  type Phase,
} from './observation.ts'

const DAY = 86_400
const TOKEN = 'observed'
const ISSUER = 'observed'

export interface ObservedRun {
  readonly certificates: number
  readonly issuedPerDay: number
  readonly revokedPerDay: number
  readonly validitySeconds: number
  readonly hashes: number
  /** Rows of one call that records certificates. */
  readonly importBatch: number
  readonly queue: boolean
  /** Between two runs of cron. In production a minute; more to walk through days quickly. */
  readonly cronSeconds: number
  /** Walked through, and not counted: the first cycle after an import is not like the others. */
  readonly settleDays: number
  readonly days: number
  /** Each in a new isolate and data centre. */
  readonly requests: number
}

export interface Observed {
  readonly observation: Observation
  /** Slots in use at the end. */
  readonly slots: number
  readonly recorded: number
  readonly revoked: number
  readonly cronRuns: number
  /** Cold. */
  readonly requests: number
}

/** @throws Error when a call is refused, an answer is not good, or a slot could not be built */
export async function observe(
  run: ObservedRun,
  progress: (text: string) => void = () => undefined,
): Promise<Observed> {
  const temporary = process.env['TMPDIR']
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-plan-'))
  const faults: string[] = []
  const runtime = await startRuntime({
    bundle: await buildWorker(PACKAGE_ROOT, 'test/support/observed-worker.ts'),
    folder,
    host: '127.0.0.1',
    port: 0,
    variables: {
      ADMIN_TOKEN: TOKEN,
      KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      LOG_SAMPLE_RATE: '0',
      PLAN_QUEUE: run.queue ? 'yes' : 'no',
    },
    onLog: ({ level, message }) => {
      if (level === 'error') faults.push(message)
    },
    onRestart: () => faults.push('workerd died and was started again'),
  })
  try {
    await applyMigrations(runtime.database, join(PACKAGE_ROOT, 'migrations'))
    const observed = await new Deployment(runtime.url, run).walk(progress)
    if (faults.length > 0) throw new Error(`the Worker reports: ${faults.slice(0, 3).join(' | ')}`)
    return observed
  } finally {
    await runtime.dispose()
    // startRuntime moved it into the folder that goes now.
    if (temporary === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = temporary
    rmSync(folder, { recursive: true, force: true })
  }
}

class Deployment {
  readonly #url: string
  readonly #run: ObservedRun
  readonly #client: AdminClient
  #phase: Phase = 'setup'
  #now: number
  readonly #serials: Uint8Array[] = []
  /** Serials made so far. */
  #made = 0
  #recorded = 0
  #revoked = 0
  #cronRuns = 0

  constructor(url: string, run: ObservedRun) {
    this.#url = url
    this.#run = run
    // On the minute in which slots are looked over for growth.
    const start = Math.floor(Date.now() / 1000) - Math.ceil((run.settleDays + run.days) * DAY) - 7_200
    this.#now = start - (start % 3_600)
    this.#client = new AdminClient({
      url,
      token: TOKEN,
      tokenFile: '',
      fetch: (target, init) => {
        const headers = new Headers(init.headers)
        for (const [name, value] of Object.entries(this.#headers())) headers.set(name, value)
        return fetch(target, { ...init, headers })
      },
    })
  }

  async walk(progress: (text: string) => void): Promise<Observed> {
    const run = this.#run
    const pki = await makeTestPKI({ now: this.#now, freshKeys: true })
    await this.#setUp(pki)
    progress(`${run.certificates} certificates recorded`)
    await this.#days(run.settleDays)
    await this.#counts()
    this.#recorded = this.#revoked = this.#cronRuns = 0
    progress('settled')
    for (let day = 0; day < run.days; day += 1) {
      await this.#days(Math.min(1, run.days - day))
      progress(`day ${day + 1} of ${run.days}`)
    }
    // Of the middle: they have not ended, and their slots were built since they were recorded.
    const middle = Math.floor(this.#serials.length / 2)
    await this.#ask(pki, this.#serials.slice(middle, middle + run.requests))
    const { slots } = await this.#state()
    return {
      observation: await this.#counts(),
      slots,
      recorded: this.#recorded,
      revoked: this.#revoked,
      cronRuns: this.#cronRuns,
      requests: run.requests,
    }
  }

  async #setUp(pki: TestPKI): Promise<void> {
    const { certificate, pkcs8 } = pki.responder
    if (certificate === undefined) throw new Error('the responder has no certificate')
    await this.#client.call('addIssuer', {
      body: {
        name: ISSUER,
        certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
        policy: {
          validitySeconds: this.#run.validitySeconds,
          retainSeconds: 0,
          hashes: ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'].slice(0, this.#run.hashes),
        },
        responder: {
          certificate: formatPEM('CERTIFICATE', certificate),
          key: formatPEM('PRIVATE KEY', pkcs8),
        },
      },
    })
    // Those recorded first end first, evenly over the lifetime that keeps their number.
    const { certificates, issuedPerDay } = this.#run
    const lifetime = (certificates / issuedPerDay) * DAY
    await this.#record(
      Array.from(
        { length: certificates },
        (_, i) => this.#now + Math.ceil(((i + 1) / certificates) * lifetime),
      ),
      1_000,
    )
    // Twice with nothing left: what was built by the queue in one run counts for the switch to more slots in the next.
    for (let quiet = 0; quiet < 2; ) {
      await this.#cron()
      quiet = (await this.#state()).due === 0 ? quiet + 1 : 0
      this.#now += 1
    }
    this.#now += 600 - (this.#now % 600)
  }

  /** Some days: certificates recorded and revoked evenly, cron at its interval. */
  async #days(days: number): Promise<void> {
    const { cronSeconds, issuedPerDay, revokedPerDay, certificates, importBatch } = this.#run
    const lifetime = (certificates / issuedPerDay) * DAY
    const from = this.#now
    const steps = Math.round((days * DAY) / cronSeconds)
    let [issued, revoked] = [0, 0]
    for (let step = 1; step <= steps; step += 1) {
      this.#now = from + Math.round((step - 0.5) * cronSeconds)
      const share = (step * cronSeconds) / DAY
      for (; revoked + 1 <= revokedPerDay * share; revoked += 1) {
        this.#phase = 'revoke'
        // Of the younger half: it must not have ended.
        const at = Math.floor(this.#serials.length * (0.5 + 0.45 * fraction(step * 17 + revoked)))
        const [serial] = this.#serials.splice(at, 1)
        if (serial === undefined) throw new Error('nothing is left to revoke')
        await this.#client.call('revoke', {
          params: { issuer: ISSUER },
          body: { serial: formatSerial(serial), reason: 'superseded' },
        })
        this.#revoked += 1
        this.#now += 2 // the publisher writes at most once a second
      }
      for (; issued + importBatch <= issuedPerDay * share; issued += importBatch) {
        this.#phase = 'record'
        await this.#record(new Array<number>(importBatch).fill(this.#now + Math.round(lifetime)), importBatch)
      }
      this.#now = from + step * cronSeconds
      await this.#cron()
    }
  }

  async #record(ends: readonly number[], batch: number): Promise<void> {
    for (let from = 0; from < ends.length; from += batch) {
      const serials = ends.slice(from, from + batch).map((_, i) => serialOf(this.#made + i))
      const certificates = serials.map((serial, i) => ({
        serial: formatSerial(serial),
        status: 'good',
        notBefore: this.#now - 3_600,
        notAfter: ends[from + i],
      }))
      const { added } = await this.#client.call('addCertificates', {
        params: { issuer: ISSUER },
        body: { certificates, publish: false },
      })
      if (added !== serials.length) throw new Error(`${added} of ${serials.length} certificates were added`)
      this.#made += added
      this.#serials.push(...serials)
      this.#recorded += added
    }
  }

  async #cron(): Promise<void> {
    this.#phase = 'cron'
    const response = await fetch(`${this.#url}${CRON_PATH}`, { headers: this.#headers() })
    await response.text()
    if (!response.ok) throw new Error(`cron answered ${response.status}`)
    this.#cronRuns += 1
  }

  /** Each in an isolate of its own in a data centre of its own, with nothing in memory. */
  async #ask(pki: TestPKI, serials: readonly Uint8Array[]): Promise<void> {
    this.#phase = 'request'
    for (const serial of serials) {
      const response = await fetch(`${this.#url}${getPath(question(pki, [serial]))}`, {
        headers: { ...this.#headers(), [COLD_HEADER]: '1' },
      })
      const answer = decodeOCSPResponse(new Uint8Array(await response.arrayBuffer()))
      if (answer.responseStatus !== 'successful') throw new Error(`an answer is ${answer.responseStatus}`)
    }
  }

  async #state(): Promise<{ slots: number; due: number }> {
    const phase = this.#phase
    this.#phase = 'setup'
    const { issuers, slotsDue } = await this.#client.call('status')
    this.#phase = phase
    return { slots: issuers.reduce((sum, { k }) => sum + 2 ** k, 0), due: slotsDue }
  }

  async #counts(): Promise<Observation> {
    return (await fetch(`${this.#url}${COUNTS_PATH}`)).json()
  }

  #headers(): Record<string, string> {
    return { [NOW_HEADER]: `${this.#now * 1000}`, [PHASE_HEADER]: this.#phase }
  }
}

/** 0 to 1, the same in every run. */
function fraction(n: number): number {
  return ((Math.imul(n, 0x9e3779b1) >>> 0) % 10_007) / 10_007
}

/** 16 octets, positive; the same in every run, and by chance as to slots. */
function serialOf(n: number): Uint8Array {
  const serial = new Uint8Array(createHash('sha256').update(`${n}`).digest().subarray(0, 16))
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f)
  return serial
}
