/** Real processes, killed at any moment: a script of changes that are repeated until they are acknowledged, and clients that ask all the time. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { signedOctets } from '../../src/ocsp/basic-response.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { importVerifier, type Verifier } from '../../src/signing/webcrypto-signer.ts'
import { Random } from '../support/clock.ts'
import { PROJECT_ROOT } from '../support/server.ts'
import { requestFor } from '../support/world-requests.ts'
import {
  type RealCertificate,
  type RealOperation,
  type RealScript,
  realScript,
  type Told,
} from './real-script.ts'
import { RealServer, RefusedCall } from './real-server.ts'

const CLIENTS = 3
/** Of what is killed, how often before it was ready. */
const DURING_START = 0.2
/** How long it stays up at most, in times of its start: on a slow machine everything takes longer. */
const UP_STARTS = 0.8
const LEASE_SECONDS = 1_200
const PATIENCE_MS = 120_000
const ROUNDS_A_KILL = 0.8

export interface RealReport {
  readonly kills: number
  readonly killsDuringStart: number
  readonly restarts: number
  readonly operations: number
  /** Calls that a kill has cut off, and that were made again. */
  readonly repeated: number
  /** Acknowledged without being published yet. */
  readonly unpublished: number
  readonly answers: Readonly<Record<string, number>>
  readonly certificates: number
  readonly violations: readonly string[]
  readonly trail: readonly string[]
}

export interface RealOptions {
  readonly kills: number
  readonly seed: number
  readonly onEvent?: (line: string) => void
}

/** The script under kills, and once more without; both have to end the same. */
export async function realChaos(options: RealOptions): Promise<RealReport> {
  const rounds = Math.max(8, Math.ceil(options.kills * ROUNDS_A_KILL))
  const now = Math.floor(Date.now() / 1000)
  const script = await realScript(rounds, now)
  const disturbed = new RealRun(script, options)
  const undisturbed = new RealRun(await sameScript(script), { ...options, kills: 0 })
  try {
    await Promise.all([disturbed.live(), undisturbed.live()])
    const [found, expected] = [await disturbed.state(), await undisturbed.state()]
    for (const name of new Set([...expected.keys(), ...found.keys()]))
      if (expected.get(name) !== found.get(name))
        disturbed.accuse(`${name}: ${found.get(name)}, undisturbed ${expected.get(name)}`)
    for (const violation of undisturbed.report().violations) disturbed.accuse(`undisturbed: ${violation}`)
    return disturbed.report()
  } finally {
    await disturbed.end()
    await undisturbed.end()
  }
}

/** With nothing acknowledged yet. */
async function sameScript({ certificates, ...script }: RealScript): Promise<RealScript> {
  const fresh = new Map(
    certificates.map((certificate): [RealCertificate, RealCertificate] => [
      certificate,
      { ...certificate, acknowledged: { type: 'unauthorized' }, pending: undefined, previous: undefined },
    ]),
  )
  const operations = script.operations.map(
    (operation): RealOperation => ({
      ...operation,
      changes: operation.changes.map(([certificate, to]) => [fresh.get(certificate) ?? certificate, to]),
    }),
  )
  return { ...script, certificates: [...fresh.values()], operations }
}

class RealRun {
  readonly #script: RealScript
  readonly #options: RealOptions
  readonly #dice: Random
  readonly #server: RealServer
  readonly #verifiers = new Map<string, Verifier>()
  readonly #answers: Record<string, number> = {}
  readonly #violations: string[] = []
  readonly #trail: string[] = []
  /** Counts kills and starts: whoever has seen it change has been cut off. */
  #generation = 0
  #isUp = false
  #isOver = false
  /** What the last start took. */
  #startMs = 2_000
  #kills = 0
  #killsDuringStart = 0
  #operations = 0
  #repeated = 0
  #unpublished = 0

  constructor(script: RealScript, options: RealOptions) {
    this.#script = script
    this.#options = options
    this.#dice = new Random(options.seed)
    this.#server = new RealServer(mkdtempSync(join(tmpdir(), 'edge-ocsp-chaos-')))
  }

  report(): RealReport {
    return {
      kills: this.#kills,
      killsDuringStart: this.#killsDuringStart,
      restarts: this.#server.starts - 1,
      operations: this.#operations,
      repeated: this.#repeated,
      unpublished: this.#unpublished,
      answers: this.#answers,
      certificates: this.#script.certificates.length,
      violations: this.#violations,
      trail: this.#trail,
    }
  }

  accuse(violation: string): void {
    this.#say(`VIOLATION ${violation}`)
    this.#violations.push(violation)
  }

  #say(line: string): void {
    this.#options.onEvent?.(line)
    this.#trail.push(line)
    if (this.#trail.length > 200) this.#trail.shift()
  }

  async live(): Promise<void> {
    for (const { pki } of this.#script.issuers) {
      const { spki, algorithm, keyHash } = pki.responder
      this.#verifiers.set(Buffer.from(keyHash).toString('hex'), await importVerifier(spki, algorithm))
    }
    await this.#start()
    const clients = Array.from({ length: CLIENTS }, (_, n) =>
      this.#client(new Random(this.#options.seed + n + 1)),
    )
    const killer = this.#killer()
    await Promise.all(
      [...Map.groupBy(this.#script.operations, ({ lane }) => lane).values()].map((own) => this.#lane(own)),
    )
    await killer
    this.#isOver = true
    await Promise.all(clients)
    await this.#settle()
    await this.#askAll()
  }

  async end(): Promise<void> {
    this.#isOver = true
    await this.#server.stop()
    rmSync(this.#server.state, { recursive: true, force: true })
  }

  async #start(): Promise<void> {
    if (this.#isOver && this.#kills < this.#options.kills) return // it was given up
    this.#generation += 1
    const begun = performance.now()
    this.#isUp = await this.#server.start()
    if (this.#isUp) this.#startMs = performance.now() - begun
    this.#generation += 1
  }

  async #kill(): Promise<void> {
    this.#isUp = false
    this.#generation += 1
    this.#kills += 1
    await this.#server.kill()
  }

  async #killer(): Promise<void> {
    while (this.#kills < this.#options.kills && !this.#isOver) {
      if (this.#dice.chance(DURING_START)) {
        await this.#kill()
        const starting = this.#start()
        await sleep(this.#dice.fraction() * this.#startMs)
        const wasUp = this.#isUp
        await this.#kill()
        await starting
        if (!wasUp) this.#killsDuringStart += 1
        this.#say(`killed ${wasUp ? 'as soon as it was up' : 'during its start'}`)
      } else {
        await sleep(this.#dice.fraction() * this.#startMs * UP_STARTS)
        await this.#kill()
        this.#say('killed')
      }
      this.#isUp = false
      await this.#start()
    }
  }

  /** One after the other. */
  async #lane(operations: readonly RealOperation[]): Promise<void> {
    for (const operation of operations) await this.#operate(operation)
  }

  /** Until it is acknowledged. */
  async #operate({ name, changes, isNew, run }: RealOperation): Promise<void> {
    for (const [certificate, to] of changes) certificate.pending = to
    let deadline = performance.now() + PATIENCE_MS
    for (;;) {
      await this.#untilUp()
      const generation = this.#generation
      try {
        const result = await run(this.#server)
        this.#operations += 1
        const isPublished = !(publishedAt(result) === null)
        if (!isPublished) this.#unpublished += 1
        this.#say(`${name}${isPublished ? '' : ', not yet published'}`)
        for (const [certificate, to] of changes) {
          certificate.previous = isPublished || isNew ? undefined : certificate.acknowledged
          certificate.acknowledged = to
          certificate.pending = undefined
        }
        return
      } catch (error) {
        const wasCut = generation !== this.#generation
        const message = error instanceof Error ? error.message : String(error)
        if (error instanceof RefusedCall && error.status < 500) throw error
        if (!wasCut && error instanceof RefusedCall) this.#say(`${name}: ${message}`)
        // As long as it is being killed nobody knows how long it takes.
        if (this.#kills < this.#options.kills) deadline = performance.now() + PATIENCE_MS
        if (performance.now() > deadline) throw new Error(`${name} is never acknowledged: ${message}`)
        this.#repeated += 1
        await sleep(20)
      }
    }
  }

  async #untilUp(): Promise<void> {
    while (!this.#isUp) await sleep(5)
  }

  async #client(dice: Random): Promise<void> {
    while (!this.#isOver) {
      await this.#untilUpOrOver()
      if (this.#isOver) return
      const known = this.#script.certificates.filter(
        ({ acknowledged, pending }) => acknowledged.type !== 'unauthorized' || pending !== undefined,
      )
      if (known.length === 0) await sleep(5)
      else await this.#ask(dice.chance(0.5) ? dice.pick(known.slice(-24)) : dice.pick(known), dice)
      await sleep(2)
    }
  }

  async #untilUpOrOver(): Promise<void> {
    while (!(this.#isUp || this.#isOver)) await sleep(5)
  }

  /** What it says must be what was acknowledged, or what a call under way is making of it. */
  async #ask(certificate: RealCertificate, dice: Random, again = false): Promise<void> {
    const { pki } = certificate.issuer
    const hash = dice.pick(['SHA-1', 'SHA-256'] as const)
    const der = requestFor({ hashes: pki.issuer.hashes }, [certificate.serial], { hash })
    const generation = this.#generation
    const before = allowedNow(certificate)
    let body: Uint8Array
    try {
      body = await send(this.#server.url, der, dice.chance(0.5))
    } catch (error) {
      if (generation !== this.#generation) return this.#count('cut off')
      // A connection of the process before: whoever is up takes a new one.
      if (!again) return this.#ask(certificate, dice, true)
      return this.accuse(`no answer about ${certificate.name} while it was up: ${String(error)}`)
    }
    const told = await this.#judge(certificate, body)
    if (typeof told === 'string') return this.accuse(`${certificate.name}: ${told}`)
    this.#count(told.type)
    const allowed = [...before, ...allowedNow(certificate)]
    if (!allowed.some((one) => isSame(one, told)))
      this.accuse(`${certificate.name} is ${JSON.stringify(told)}, recorded ${JSON.stringify(allowed)}`)
  }

  /** @returns what the answer says, or what is wrong with it */
  async #judge({ serial }: RealCertificate, der: Uint8Array): Promise<Told | string> {
    const response = decodeOCSPResponse(der)
    if (response.responseStatus === 'unauthorized') return { type: 'unauthorized' }
    if (response.responseStatus !== 'successful') return `${response.responseStatus} while it was up`
    const basic = decodeSuccessfulResponse(der)
    const { responses, responderID } = basic.tbsResponseData
    const [single] = responses
    if (single === undefined || responses.length !== 1) return 'another number of answers'
    if (Buffer.compare(single.certID.serialNumber, serial) !== 0) return 'about another certificate'
    const now = Date.now() / 1000
    if (single.thisUpdate > now + 1 || (single.nextUpdate ?? 0) <= now) return 'not in time'
    const key = 'byKey' in responderID ? Buffer.from(responderID.byKey).toString('hex') : ''
    const verify = this.#verifiers.get(key)
    if (verify === undefined) return 'signed by nobody known'
    return (await verify(signedOctets(response.responseBytes.response), basic.signature))
      ? single.certStatus
      : 'its signature does not verify'
  }

  #count(name: string): void {
    this.#answers[name] = (this.#answers[name] ?? 0) + 1
  }

  /** Twenty minutes pass for the leases of whoever was killed, and everything is signed. */
  async #settle(): Promise<void> {
    await this.#server.stop()
    this.#isUp = false
    for (const file of databases(this.#server.state)) {
      const db = new DatabaseSync(file)
      db.exec(`UPDATE slots SET lease_until = max(0, lease_until - ${LEASE_SECONDS}) WHERE lease IS NOT NULL`)
      db.close()
    }
    await this.#start()
    for (let round = 0; round < 60; round += 1) {
      const outcome: unknown = await this.#server.admin('/presign', { all: true })
      await this.#server.admin('/publish', {})
      const status: unknown = await this.#server.admin('/status')
      if (
        numberOf(outcome, 'remaining') === 0 &&
        numberOf(status, 'slotsDue') === 0 &&
        numberOf(outcome, 'built') === 0
      )
        return
      await sleep(500)
    }
    this.accuse('slots are due although nothing stands in the way')
  }

  async #askAll(): Promise<void> {
    const dice = new Random(this.#options.seed)
    for (const certificate of this.#script.certificates) {
      certificate.previous = undefined
      await this.#ask(certificate, dice)
      await this.#ask(certificate, dice)
    }
  }

  /** What the record, the audit and the status say, by name, without positions and times of day. */
  async state(): Promise<Map<string, string>> {
    const state = new Map<string, string>()
    for (const { issuer, name } of this.#script.certificates) {
      const view = await this.#server.admin(`/issuers/${issuer.name}/certificates/${name}`)
      state.set(`certificate ${name}`, JSON.stringify(withoutTimes(view)))
    }
    for (let after = 0; ; ) {
      const page: unknown = await this.#server.admin(`/audit?after=${after}&limit=1000`)
      for (const row of listOf(page, 'rows')) {
        const [action, serial] = [Reflect.get(row, 'action'), Reflect.get(row, 'serial')]
        if (typeof action !== 'string' || !action.startsWith('certificate')) continue
        const name = `audit ${action} ${String(serial)}`
        state.set(name, String(Number(state.get(name) ?? 0) + 1))
      }
      const next = numberOf(page, 'next')
      if (next === undefined) break
      after = next
    }
    const printed: unknown = JSON.parse(await runCLI('status', '--json', '--state', this.#server.state))
    for (const issuer of listOf(printed, 'issuers')) {
      const facts = ['slotsDue', 'slotsFailing', 'entries', 'added', 'usableResponders', 'frozen', 'k']
      const said = facts.map((name) => `${name} ${String(Reflect.get(issuer, name))}`)
      state.set(`issuer ${String(Reflect.get(issuer, 'name'))}`, said.join(', '))
    }
    return state
  }
}

function allowedNow({ acknowledged, pending, previous }: RealCertificate): Told[] {
  return [
    acknowledged,
    ...(pending === undefined ? [] : [pending]),
    ...(previous === undefined ? [] : [previous]),
  ]
}

function isSame(a: Told, b: Told): boolean {
  return a.type === 'revoked' && b.type === 'revoked'
    ? a.revocationTime === b.revocationTime && a.revocationReason === b.revocationReason
    : a.type === b.type
}

async function send(url: string, der: Uint8Array, byGET: boolean): Promise<Uint8Array> {
  const response = byGET
    ? await fetch(`${url}/${encodeURIComponent(Buffer.from(der).toString('base64'))}`)
    : await fetch(`${url}/`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/ocsp-request' },
        body: new Uint8Array(der),
      })
  const body = new Uint8Array(await response.arrayBuffer())
  if (response.status !== 200) throw new Error(`HTTP ${response.status}`)
  return body
}

/** SQLite files of the local D1. */
function databases(state: string): string[] {
  const folder = join(state, 'stores', 'd1')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite') && !name.endsWith('metadata.sqlite'))
    .map((name) => join(folder, name))
}

function runCLI(...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const program = join(PROJECT_ROOT, 'bin/edge-ocsp.js')
    execFile(process.execPath, [program, ...args], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      // `status` ends with 1 when something is not ready; what it prints is what is compared.
      if (stdout === '') reject(new Error(`${args.join(' ')}: ${error?.message ?? ''} ${stderr}`))
      else resolve(stdout)
    })
  })
}

function withoutTimes(view: unknown): unknown {
  if (typeof view !== 'object' || view === null) return view
  return Object.fromEntries(
    Object.entries(view).filter(
      ([name]) => !['changedAt', 'rev', 'revision', 'published', 'publishedAt'].includes(name),
    ),
  )
}

function publishedAt(result: unknown): unknown {
  return typeof result === 'object' && result !== null && 'publishedAt' in result
    ? result.publishedAt
    : undefined
}

function numberOf(value: unknown, name: string): number | undefined {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  return typeof found === 'number' ? found : undefined
}

function listOf(value: unknown, name: string): object[] {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  const items: unknown[] = Array.isArray(found) ? found : []
  return items.flatMap((item) => (typeof item === 'object' && item !== null ? [item] : []))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
