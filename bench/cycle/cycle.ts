/** One whole cycle in a fresh workerd: import, plan, sign, write, verify. Stages are timed, and what they cost is counted. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AdminClient } from '../../src/cli/client.ts'
import { applyMigrations } from '../../src/cli/dev/migrations.ts'
import { type Runtime, startRuntime } from '../../src/cli/dev/runtime.ts'
import { PACKAGE_ROOT, type WorkerBundle } from '../../src/cli/dev/worker-bundle.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { recordIssuer } from '../record-issuer.ts'
import { processorTime, type Server, startServer } from '../servers.ts'
import { type CA, makeCA } from './ca.ts'
import { type HeapPeak, type HeapSize, HeapWatch } from './heap-watch.ts'
import { BARE_PATH, type BareSigning, METER_PATH, type MeterReading } from './meter.ts'
import { addReadings } from './readings.ts'
import { relayedDatabase, STORAGE_VARIABLE } from './storage.ts'
import { type Verified, verifyAnswers } from './verify.ts'

const ISSUER = 'cycle'
/** As it is before a runtime sets it to a folder of its own, which goes with it. */
const TEMPORARY = tmpdir()
/** Each about 300 ms of bare signing, before and after each run of the cron job. */
const BARE_SIGNATURES = { ecdsa: 8_000, rsa: 400 }

export interface CycleOptions {
  readonly bundle: WorkerBundle
  readonly certificates: number
  readonly algorithm: SignatureAlgorithm
  /** Answers for openssl. */
  readonly verify: number
  /** Worker in front of D1 and KV in a process of their own (test/support/storage-relay.ts); undefined: in the Worker's process. */
  readonly relay: WorkerBundle | undefined
  /** Variables of the Worker beside its defaults. */
  readonly variables: Readonly<Record<string, string>>
  readonly progress: (text: string) => void
}

export interface Cycle {
  readonly certificates: number
  readonly algorithm: SignatureAlgorithm
  /** CertID hashes of the policy: a certificate has as many responses. */
  readonly hashes: number
  readonly importMs: number
  readonly importReading: MeterReading
  /** Runs of the cron job until nothing was left to build, and the time inside them. */
  readonly runs: number
  readonly signMs: number
  readonly signReading: MeterReading
  /** Processor time of workerd in them, ms; NaN where /proc does not tell. */
  readonly signProcessorMs: number
  /** Bare signing in the same isolate, between the runs. */
  readonly bare: BareSigning & { readonly processorMs: number }
  /** What bare signing of as many as were signed takes: of each run at the pace that was measured right before and right after it. */
  readonly bareSignMs: number
  /** As it is at the end; the issuer began with 0. */
  readonly k: number
  /** What an additional run of the cron job still signed: 0 when everything is settled. */
  readonly unsettled: number
  readonly verified: Verified
  /** Signatures made while the answers were asked for: 0 when all came from bundles. */
  readonly signedLive: number
  readonly heap: HeapPeak
  readonly heapByStage: { readonly import: HeapSize; readonly sign: HeapSize; readonly verify: HeapSize }
}

/** @throws Error when a stage does not do what it should: the figures would mean nothing */
export async function runCycle(options: CycleOptions): Promise<Cycle> {
  const folder = mkdtempSync(join(TEMPORARY, 'edge-ocsp-cycle-'))
  let runtime: Runtime | undefined
  let storage: Server | undefined
  try {
    const { certificates, algorithm, progress } = options
    progress(`${certificates} certificates: the CA and its index`)
    const index = join(folder, 'index.txt')
    const ca = await makeCA(certificates, algorithm, index)
    const token = randomBytes(32).toString('hex')
    const state = join(folder, 'state')
    mkdirSync(state, { mode: 0o700 })
    const faults: string[] = []
    if (options.relay !== undefined) {
      const apart = join(folder, 'storage')
      mkdirSync(apart, { mode: 0o700 })
      storage = await startServer({ bundle: options.relay, folder: apart })
    }
    runtime = await startRuntime({
      bundle: options.bundle,
      folder: state,
      host: '127.0.0.1',
      port: 0,
      inspect: true,
      variables: {
        ADMIN_TOKEN: token,
        KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
        ...(storage === undefined ? {} : { [STORAGE_VARIABLE]: storage.url }),
        ...options.variables,
      },
      onLog: ({ level, message }) => level === 'error' && faults.push(message),
      onRestart: () => faults.push('workerd died and was started again'),
    })
    const database = storage === undefined ? runtime.database : relayedDatabase(storage.url)
    const cycle = await runStages(options, { ...runtime, database }, ca, {
      index,
      token,
      answers: join(folder, 'answers'),
    })
    if (faults.length > 0) throw new Error(`the Worker had ${faults.length} faults, the first: ${faults[0]}`)
    return cycle
  } finally {
    await runtime?.dispose()
    await storage?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runStages(
  options: CycleOptions,
  runtime: Runtime,
  ca: CA,
  files: { readonly index: string; readonly token: string; readonly answers: string },
): Promise<Cycle> {
  await applyMigrations(runtime.database, join(PACKAGE_ROOT, 'migrations'))
  await runtime.runScheduled(new Date())
  const { hashes } = await addIssuer(ca, runtime.url, files.token)
  const watch = await HeapWatch.start(await runtime.inspector())
  try {
    return await runWatched(options, runtime, ca, { ...files, hashes }, watch)
  } finally {
    watch.close()
  }
}

async function runWatched(
  { certificates, algorithm, verify, progress }: CycleOptions,
  runtime: Runtime,
  ca: CA,
  files: {
    readonly index: string
    readonly token: string
    readonly answers: string
    readonly hashes: number
  },
  watch: HeapWatch,
): Promise<Cycle> {
  const { hashes } = files
  await meter(runtime)
  progress('import')
  let start = performance.now()
  await importIndex(files.index, runtime.url, files.token, certificates)
  const importMs = performance.now() - start
  const importReading = await meter(runtime)

  const heapInImport = watch.lap()
  progress('plan, sign, write')
  const signing = await signAll(runtime, algorithm, progress)
  const k = await checkRecord(runtime, certificates)
  await runtime.runScheduled(new Date())
  const { signatures: unsettled } = await meter(runtime)

  const heapInSign = watch.lap()
  progress(`verify ${verify} answers by openssl`)
  start = performance.now()
  const verified = await verifyAnswers(ca, runtime.url, files.answers, verify)
  const { signatures: signedLive } = await meter(runtime)
  return {
    ...{ certificates, algorithm, hashes, importMs, importReading, ...signing, k, unsettled },
    ...{ verified, signedLive, heap: watch.peak() },
    heapByStage: { import: heapInImport, sign: heapInSign, verify: watch.lap() },
  }
}

export async function addIssuer({ pki }: CA, url: string, token: string): Promise<{ hashes: number }> {
  const client = new AdminClient({ url, token, tokenFile: '' })
  await recordIssuer(client, ISSUER, pki)
  const { policy } = await client.call('showIssuer', { params: { issuer: ISSUER } })
  return { hashes: policy.hashes.length }
}

/** By the command line, as an operator does it. */
export async function importIndex(file: string, url: string, token: string, rows: number): Promise<void> {
  const program = join(PACKAGE_ROOT, 'src/cli/main.ts')
  const command = ['import', 'openssl-index', file, '--issuer', ISSUER, '--url', url, '--json']
  const child = spawn(process.execPath, [program, ...command], {
    env: { ...process.env, EDGE_OCSP_TOKEN: token },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const added = /"added": ?(\d+)/.exec(printed)?.[1]
  if (code !== 0 || Number(added) !== rows)
    throw new Error(`the import ended with ${code}, ${added} of ${rows} rows were added`)
}

/** Runs the cron job until nothing is left, with a little bare signing before each run and after the last. */
export async function signAll(
  runtime: Runtime,
  algorithm: SignatureAlgorithm,
  progress: (text: string) => void,
): Promise<Pick<Cycle, 'runs' | 'signMs' | 'signProcessorMs' | 'signReading' | 'bare' | 'bareSignMs'>> {
  const pid = runtime.workerd()?.pid
  let signReading: MeterReading | undefined
  let [runs, signMs, signProcessorMs, bareSignMs] = [0, 0, 0, 0]
  let bare = { count: 0, milliseconds: 0, processorMs: 0 }
  const signBare = async () => {
    const before = processorTime(pid)
    const { count, milliseconds } = await bareSigning(runtime, algorithm)
    bare = {
      count: bare.count + count,
      milliseconds: bare.milliseconds + milliseconds,
      processorMs: bare.processorMs + (processorTime(pid) - before) / 1000,
    }
    return milliseconds / count
  }
  let pace = await signBare()
  for (;;) {
    await meter(runtime)
    const [start, before] = [performance.now(), processorTime(pid)]
    await runtime.runScheduled(new Date())
    signMs += performance.now() - start
    signProcessorMs += (processorTime(pid) - before) / 1000
    const reading = await meter(runtime)
    signReading = signReading === undefined ? reading : addReadings(signReading, reading)
    const next = await signBare()
    bareSignMs += (reading.signatures * (pace + next)) / 2
    pace = next
    runs += 1
    const left = await unbuilt(runtime)
    if (left === 0) return { runs, signMs, signProcessorMs, signReading, bare, bareSignMs }
    if (reading.signatures === 0) throw new Error(`the cron job builds nothing, and ${left} slots are left`)
    progress(`  run ${runs}: ${signReading.signatures} signatures, ${left} slots left`)
  }
}

/** Slots that have never been built or have changed since, and 1 more while an issuer grows. */
async function unbuilt({ database }: Runtime): Promise<number> {
  const { results } = await database
    .prepare(
      `SELECT (SELECT count(*) FROM slots WHERE built_seq < changed_seq OR added > 0)
        + (SELECT count(*) FROM issuers WHERE k_next IS NOT NULL) AS left`,
    )
    .all<{ left: number }>()
  return results[0]?.left ?? Number.NaN
}

/** @returns k. @throws Error unless every certificate is in a bundle */
async function checkRecord({ database }: Runtime, certificates: number): Promise<number> {
  const { results } = await database
    .prepare(
      'SELECT i.k AS k, sum(s.entries) AS entries FROM issuers i JOIN slots s ON s.issuer = i.id AND s.k = i.k GROUP BY i.id',
    )
    .all<{ k: number; entries: number }>()
  const { k, entries } = results[0] ?? {}
  if (k === undefined || entries !== certificates)
    throw new Error(`${entries} of ${certificates} certificates are in bundles`)
  return k
}

export async function meter({ url }: Runtime): Promise<MeterReading> {
  return await (await fetch(url + METER_PATH)).json()
}

async function bareSigning({ url }: Runtime, algorithm: SignatureAlgorithm): Promise<BareSigning> {
  const count = algorithm.includes('RSA') ? BARE_SIGNATURES.rsa : BARE_SIGNATURES.ecdsa
  return await (await fetch(`${url}${BARE_PATH}?algorithm=${algorithm}&count=${count}`)).json()
}
