/**
 * `npm test`: the checks (format and lint, types, generated types), then the tests of every project, then one summary
 * whose last line adds everything up. `npm test -- unit worker` runs only what is named.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { TALLY_FILE, type Tally } from './vitest-tally.ts'

const ROOT = join(import.meta.dirname, '..')

interface Step {
  readonly name: string
  readonly command: readonly string[]
  /** Runs vitest, which says how many; any other counts as one. */
  readonly counts?: boolean
}

/** In real time: runs beside everything else, mostly asleep, and is shown at the end. */
const SLOW_FILE = 'test/e2e/slow-validity.test.ts'

const CHECKS: readonly Step[] = [
  {
    name: 'format and lint',
    command: ['biome', 'ci', ...(process.stdout.isTTY ? [] : ['--colors=off']), '.'],
  },
  { name: 'types of the Worker', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'types of CLI and scripts', command: ['tsc', '-p', 'src/cli/tsconfig.json'] },
  { name: 'types of tests', command: ['tsc', '-p', 'test/tsconfig.json'] },
  {
    name: 'worker-configuration.d.ts is as wrangler.toml says',
    command: ['wrangler', 'types', '--include-runtime=false', '--check'],
  },
]

/** vitest leaves a core to others; on two cores that is half of the machine, so where files may run side by side, they do. */
const BESIDE = `--maxWorkers=${Math.max(2, availableParallelism() - 1)}`
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  unit: [BESIDE],
  laws: [BESIDE],
  cli: [BESIDE],
  chaos: [BESIDE],
  e2e: ['--exclude', SLOW_FILE],
}

const TESTS: readonly Step[] = ['unit', 'laws', 'cli', 'worker', 'e2e', 'interop', 'chaos'].map((name) => ({
  name,
  counts: true,
  command: ['vitest', 'run', '--project', name, ...(OPTIONS[name] ?? [])],
}))

const SLOW: Step = { name: 'slow', counts: true, command: ['vitest', 'run', '--project', 'e2e', SLOW_FILE] }

interface Outcome extends Tally {
  readonly name: string
  readonly seconds: number
}

const wanted = process.argv.slice(2)
const all = [
  ...CHECKS.map((step) => ({ ...step, group: 'check' })),
  ...[...TESTS, SLOW].map((step) => ({ ...step, group: step.name })),
]
const unknown = wanted.filter((name) => !all.some(({ group }) => group === name))
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(', ')}. One or more of ${[...new Set(all.map(({ group }) => group))].join(', ')}`,
  )
  process.exit(2)
}
const chosen = all.filter(({ group }) => wanted.length === 0 || wanted.includes(group))
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-tally-'))
try {
  const slow = chosen.find(({ name }) => name === SLOW.name)
  const slowOutcome = slow === undefined ? undefined : run(slow, 'at the end')
  const outcomes: Outcome[] = []
  for (const step of chosen) if (step !== slow) outcomes.push(await run(step, 'now'))
  if (slowOutcome !== undefined) outcomes.push(await slowOutcome)
  process.exitCode = summarize(outcomes)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function run(step: Step, show: 'now' | 'at the end'): Promise<Outcome> {
  const [program = '', ...args] = step.command
  const title = `\n=== ${step.name}: ${step.command.join(' ')}\n`
  const tallyFile = join(folder, `${step.name}.json`)
  const reporters = step.counts === true ? ['--reporter=default', '--reporter=./scripts/vitest-tally.ts'] : []
  if (show === 'now') process.stdout.write(title)
  const started = performance.now()
  const { code, output } = await execute(program, [...args, ...reporters], tallyFile, show === 'now')
  const seconds = (performance.now() - started) / 1000
  if (show === 'at the end') process.stdout.write(`${title}${output}`)
  const tally = step.counts === true ? readTally(step, tallyFile, code) : checkTally(step, code)
  return { name: step.name, seconds, ...tally }
}

async function execute(
  program: string,
  args: readonly string[],
  tallyFile: string,
  inherit: boolean,
): Promise<{ code: number; output: string }> {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', inherit ? 'inherit' : 'pipe', inherit ? 'inherit' : 'pipe'],
    env: {
      ...process.env,
      PATH: `${join(ROOT, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
      WRANGLER_SEND_METRICS: 'false',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      [TALLY_FILE]: tallyFile,
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 127, output: `${output}${error.message}\n` }))
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

function checkTally({ name }: Step, code: number): Tally {
  return code === 0
    ? { passed: 1, failed: [], skipped: [] }
    : { passed: 0, failed: [`${name}: exit code ${code}`], skipped: [] }
}

/** A run that died, or said nothing, or found no test, has failed whatever it counted. */
function readTally({ name }: Step, path: string, code: number): Tally {
  if (!existsSync(path))
    return { passed: 0, failed: [`${name}: vitest ended with ${code} before it could count`], skipped: [] }
  const tally: Tally = JSON.parse(readFileSync(path, 'utf8'))
  const none = tally.passed + tally.failed.length + tally.skipped.length === 0
  if (none) tally.failed.push(`${name}: there are no tests`)
  else if (code !== 0 && tally.failed.length === 0) tally.failed.push(`${name}: vitest ended with ${code}`)
  return tally
}

function summarize(outcomes: readonly Outcome[]): number {
  const lines = ['', '=== summary', '']
  for (const { name, passed, failed, skipped, seconds } of outcomes) {
    lines.push(
      `${failed.length === 0 ? 'ok    ' : 'FAILED'} ${name}: ${counts(passed, failed.length, skipped.length)} in ${seconds.toFixed(1)} s`,
    )
  }
  const failed = outcomes.flatMap((outcome) => outcome.failed)
  const skipped = outcomes.flatMap((outcome) => outcome.skipped)
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)
  if (skipped.length > 0) lines.push('', 'Skipped:', ...reasons(), ...skipped.map((name) => `  ${name}`))
  if (failed.length > 0) lines.push('', 'Failed:', ...failed.map((name) => `  ${name}`))
  lines.push('', counts(passed, failed.length, skipped.length))
  process.stdout.write(`${lines.join('\n')}\n`)
  return failed.length === 0 ? 0 : 1
}

/** What makes tests skip on a machine without saying why themselves. */
function reasons(): readonly string[] {
  return process.env['EDGE_OCSP_VECTORS'] === undefined
    ? ['  (EDGE_OCSP_VECTORS is not set: no vectors of other projects)']
    : []
}

function counts(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
