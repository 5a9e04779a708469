/**
 * `npm run bench`: every figure that this project promises, measured on this machine. docs/benchmarks.md explains the rows.
 * Exit code 0 when everything was measured, also when a limit is missed (the table says so); 1 when a row is void; 2 for
 * wrong usage.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildWorker, PACKAGE_ROOT, type WorkerBundle } from '../src/cli/dev/worker-bundle.ts'
import * as answers from './answers.ts'
import * as bundle from './bundle.ts'
import * as decode from './decode.ts'
import { LOAD_GENERATOR } from './load.ts'
import { judge, type Measurement, type Row, voidRow } from './measurement.ts'
import * as signing from './signing.ts'
import * as size from './size.ts'
import { table } from './table.ts'
import { fromCommandLine } from './usage.ts'

const HELP = `usage: npm run bench -- [--quick] [--json] [--only PART]...
  --quick      short measurements, fewer rounds: to see that all rows work, not for figures
  --json       the report as JSON on standard output
  --only PART  one of size, decode, bundle, signing, answers; may be repeated
example: npm run bench -- --only decode --only bundle`

interface Report {
  readonly startedAt: string
  readonly seconds: number
  readonly quick: boolean
  readonly machine: {
    readonly processor: string
    readonly cores: number
    readonly node: string
    readonly loadGenerator: string
    /** One-minute load average before and after: above the number of cores, others were at work. */
    readonly load: readonly [before: number, after: number]
  }
  readonly rows: readonly Row[]
}

interface Part {
  readonly name: string
  readonly run: () => Promise<Row[]> | Row[]
}

const options = fromCommandLine(HELP, readOptions)
const started = new Date()
const [loadBefore = 0] = loadavg()
let worker: Promise<WorkerBundle> | undefined
const builtWorker = () => {
  worker ??= buildWorker()
  return worker
}
const rounds = options.quick ? 2 : 5
const parts: readonly Part[] = [
  { name: 'size', run: () => size.run().map(judge) },
  { name: 'decode', run: async () => judgeAll(await decode.run()) },
  { name: 'bundle', run: async () => judgeAll(await bundle.run()) },
  { name: 'signing', run: async () => judgeAll(await signing.run(await builtWorker(), 3 * rounds)) },
  {
    name: 'answers',
    run: async () =>
      await answers.run(await builtWorker(), { rounds, seconds: options.quick ? 1 : 4, progress }),
  },
]

const rows: Row[] = []
for (const { name, run } of parts) {
  if (options.only.length > 0 && !options.only.includes(name)) continue
  progress(name)
  try {
    rows.push(...(await run()))
  } catch (error) {
    rows.push(voidRow(name, error))
  }
}
const report = makeReport(rows)
const file = keep(report)
if (options.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
else process.stdout.write(`${table(report.rows)}\n${summary(report)}\nkept in ${file}\n`)
process.exitCode = rows.some(({ verdict }) => verdict === 'void') ? 1 : 0

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
    },
  })
  const unknown = values.only.find(
    (name) => !['size', 'decode', 'bundle', 'signing', 'answers'].includes(name),
  )
  if (unknown !== undefined) throw new Error(`there is no part "${unknown}"`)
  return values
}

function judgeAll(measurements: readonly Measurement[]): Row[] {
  return measurements.map(judge)
}

function progress(text: string): void {
  process.stderr.write(`... ${text}\n`)
}

function makeReport(measured: readonly Row[]): Report {
  const [processor] = cpus()
  const [loadAfter = 0] = loadavg()
  return {
    startedAt: started.toISOString(),
    seconds: Math.round((Date.now() - started.getTime()) / 1000),
    quick: options.quick,
    machine: {
      processor: processor?.model ?? 'unknown',
      cores: cpus().length,
      node: process.version,
      loadGenerator: LOAD_GENERATOR,
      load: [loadBefore, loadAfter],
    },
    rows: measured,
  }
}

/** @returns the path of the file, relative to the package */
function keep(made: Report): string {
  const folder = join(PACKAGE_ROOT, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const name = `${made.startedAt.replace(/[:.]/g, '-')}${made.quick ? '-quick' : ''}.json`
  writeFileSync(join(folder, name), `${JSON.stringify(made, undefined, 2)}\n`)
  return `bench/results/${name}`
}

function summary({ rows: all, quick, machine }: Report): string {
  const count = (verdict: Row['verdict']) => all.filter((row) => row.verdict === verdict).length
  const [missed, empty] = [count('fail'), count('void')]
  const lines = [`${count('pass')} limits held, ${missed} missed, ${empty} rows void`]
  for (const { verdict, name } of all) {
    if (verdict === 'fail') lines.push(`LIMIT MISSED: ${name}`)
    if (verdict === 'void') lines.push(`VOID: ${name}`)
  }
  if (quick) lines.push('a quick run: its figures are rough')
  if (Math.max(...machine.load) > machine.cores)
    lines.push(
      `the machine was busy (load ${machine.load.map((load) => load.toFixed(1)).join(' and ')} on ${machine.cores} cores)`,
    )
  return lines.join('\n')
}
