/**
 * `npm run bench:cycle`: certificates are imported, planned, signed, written and asked for, in a fresh workerd, and every
 * figure that this project promises of it is measured. Exit code 0 when everything was measured, also when a limit is missed
 * (the table says so); 1 when a stage failed; 2 for wrong usage.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildWorker, PACKAGE_ROOT } from '../../src/cli/dev/worker-bundle.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import type { Row } from '../measurement.ts'
import { table } from '../table.ts'
import { fromCommandLine, readCount } from '../usage.ts'
import { type Cycle, runCycle } from './cycle.ts'
import { curveRows, cycleRows } from './rows.ts'

const ALGORITHMS: Readonly<Record<string, SignatureAlgorithm>> = {
  'P-256': 'ecdsa-with-SHA256',
  'RSA-2048': 'sha256WithRSAEncryption',
}
const SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000]
/** Of the smaller cycles of a curve. */
const CURVE_ANSWERS = 200
const MAX_CERTIFICATES = 10_000_000

const HELP = `usage: npm run bench:cycle -- [--certs N] [--alg P-256|RSA-2048] [--verify N] [--curve] [--storage apart|inside] [--var NAME=VALUE]... [--json]
  --certs N         certificates, 1000 to ${MAX_CERTIFICATES} (default 50000); a million takes about ten minutes
  --alg ALGORITHM   of the responder's key (default P-256)
  --verify N        random answers for openssl (default 10000)
  --curve           ${SIZES.join(', ')} certificates, up to --certs, and how the costs grow
  --storage WHERE   "apart": D1 and KV in a process of their own, as at the edge (default); "inside": in the Worker's
  --var NAME=VALUE  a variable of the Worker, such as SIGNATURES_PER_RUN
  --json            the report as JSON on standard output
example: npm run bench:cycle -- --certs 1000000`

const options = fromCommandLine(HELP, readOptions)
const startedAt = new Date().toISOString()
const [loadBefore = 0] = loadavg()
const bundle = await buildWorker(PACKAGE_ROOT, 'test/support/metered-worker.ts')
const relay = options.isApart ? await buildWorker(PACKAGE_ROOT, 'test/support/storage-relay.ts') : undefined
const sizes = options.curve
  ? [...SIZES.filter((size) => size < options.certificates), options.certificates]
  : [options.certificates]
const cycles: Cycle[] = []
try {
  for (const certificates of sizes) {
    const verify = verifyOf(certificates)
    const { algorithm, variables } = options
    cycles.push(await runCycle({ bundle, relay, certificates, algorithm, verify, variables, progress }))
    keep()
  }
  const { json, rows, file } = keep()
  process.stdout.write(options.json ? json : `${table(rows)}\n${summary(rows)}\nkept in ${file}\n`)
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/** After each cycle: what was measured is not lost when a later one fails. */
function keep(): { readonly json: string; readonly rows: readonly Row[]; readonly file: string } {
  const last = cycles.at(-1)
  const rows = [
    ...(last === undefined ? [] : cycleRows(last, verifyOf(last.certificates))),
    ...(cycles.length > 1 ? curveRows(cycles) : []),
  ]
  const [loadAfter = 0] = loadavg()
  const [processor] = cpus()
  const machine = {
    ...{ processor: processor?.model ?? 'unknown', cores: cpus().length, node: process.version },
    load: [loadBefore, loadAfter],
  }
  const storage = options.isApart ? 'apart' : 'inside'
  const report = { startedAt, algorithm: options.algorithm, storage, machine, rows, cycles }
  const json = `${JSON.stringify(report, undefined, 2)}\n`
  const folder = join(PACKAGE_ROOT, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const name = `cycle-${startedAt.replace(/[:.]/g, '-')}.json`
  writeFileSync(join(folder, name), json)
  return { json, rows, file: `bench/results/${name}` }
}

function verifyOf(size: number): number {
  return size === options.certificates ? options.verify : CURVE_ANSWERS
}

function summary(rows: readonly Row[]): string {
  const demanded = rows.filter(({ limit }) => limit !== undefined)
  const told = demanded.map(
    ({ verdict, name }) => `${verdict === 'pass' ? 'reached' : 'NOT REACHED'}: ${name.trim()}`,
  )
  return told.join('\n')
}

function progress(text: string): void {
  process.stderr.write(`... ${text}\n`)
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      certs: { type: 'string', default: '50000' },
      alg: { type: 'string', default: 'P-256' },
      verify: { type: 'string', default: '10000' },
      curve: { type: 'boolean', default: false },
      storage: { type: 'string', default: 'apart' },
      var: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  })
  const algorithm = ALGORITHMS[values.alg]
  if (algorithm === undefined) throw new Error(`--alg is "${values.alg}", not P-256 or RSA-2048`)
  if (values.storage !== 'apart' && values.storage !== 'inside')
    throw new Error(`--storage is "${values.storage}", not apart or inside`)
  return {
    isApart: values.storage === 'apart',
    certificates: readCount('--certs', values.certs, 1_000, MAX_CERTIFICATES),
    verify: readCount('--verify', values.verify, 1, MAX_CERTIFICATES),
    ...{ algorithm, curve: values.curve, json: values.json, variables: readVariables(values.var) },
  }
}

function readVariables(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    settings.map((setting) => {
      const at = setting.indexOf('=')
      if (at < 1) throw new Error(`--var is "${setting}", not NAME=VALUE`)
      return [setting.slice(0, at), setting.slice(at + 1)]
    }),
  )
}
