/**
 * `npm run bench:peers`: our Worker beside what a CA would otherwise run, in one run. docs/benchmarks.md explains the rows. Exit
 * code 0 when everything was measured, also when a target is not reached (the output says so); 1 when a row is void; 2 for wrong usage.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildWorker, PACKAGE_ROOT } from '../src/cli/dev/worker-bundle.ts'
import { type Contestant, contest, nameOf, outcomesOf } from './peers/contest.ts'
import { chooseCores, pinSelf } from './peers/cores.ts'
import { judge } from './peers/figures.ts'
import { LOAD_GENERATOR, loader } from './peers/load.ts'
import { profileOf, selfTimes } from './peers/profile.ts'
import { type Profiled, type Report, text } from './peers/report.ts'
import { enter, isUnbudgeted, targets, WITHOUT_BUDGET } from './peers/rows.ts'
import { makeWorld, type World } from './world.ts'

const HELP = `usage: npm run bench:peers -- [--quick] [--seconds N] [--json] [--profile] [--only WORDS]
  --quick    one round of a second for each row: to see that all rows work, not for figures
  --seconds  of one measurement, 2 unless told; there are five of each row
  --json     the report as JSON on standard output
  --profile  profiles of all rows that a target is about, and not only where one is not reached
  --only     rows whose name has these words in it, as a regular expression
example: npm run bench:peers -- --quick`

/** More than the answer memory holds (16 MB), so that asking for all in turn always misses it. */
const CERTIFICATES = 20_000
const PROFILE_SECONDS = 3

const options = readOptions()
const started = new Date()
const [loadBefore = 0] = loadavg()
const secondsOfOne = options.quick ? 1 : Number(options.seconds)
const results = join(PACKAGE_ROOT, 'bench/results')
const stem = `peers-${started.toISOString().replace(/[:.]/g, '-')}${options.quick ? '-quick' : ''}`
mkdirSync(results, { recursive: true })

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
const cores = chooseCores()
const [serverCore, loadCore] = 'reason' in cores ? [undefined, undefined] : [cores.server, cores.load]
if (loadCore !== undefined) pinSelf(loadCore)
const load = loader(loadCore)
progress(`recording and signing ${CERTIFICATES} certificates`)
const bundle = await buildWorker()
const world = await makeWorld(bundle, CERTIFICATES)
try {
  const report = await measure(world)
  const file = join(results, `${stem}.json`)
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
  if (options.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  else process.stdout.write(`${text(report)}\nkept in bench/results/${stem}.json\n`)
  process.exitCode = report.rows.some((row) => row.void !== undefined) ? 1 : 0
} finally {
  world.close()
}

async function measure(over: World): Promise<Report> {
  const field = await enter(bundle, over, serverCore, progress)
  const contestants = field.contestants.filter((each) => new RegExp(options.only).test(nameOf(each)))
  try {
    const rows = await contest(contestants, {
      rounds: options.quick ? 1 : 5,
      seconds: secondsOfOne,
      load,
      progress,
    })
    const outcomes = outcomesOf(rows)
    const judged = targets().map((target) => judge(target, outcomes))
    await field.stop()
    const wanted = judged.filter(({ verdict }) => options.profile || verdict === 'not reached')
    const profiles: Profiled[] = []
    for (const name of new Set(wanted.map(({ ours }) => ours))) {
      const contestant = field.contestants.find((each) => nameOf(each) === name)
      if (contestant !== undefined) profiles.push(await profile(over, contestant, profiles.length + 1))
    }
    const [processor] = cpus()
    const [loadAfter = 0] = loadavg()
    return {
      startedAt: started.toISOString(),
      seconds: Math.round((Date.now() - started.getTime()) / 1000),
      quick: options.quick,
      secondsOfOne,
      machine: {
        processor: processor?.model ?? 'unknown',
        cores: cpus().length,
        pinned:
          'reason' in cores
            ? `nothing is pinned to a core: ${cores.reason}`
            : `servers on core ${cores.server}, load on core ${cores.load}`,
        node: process.version,
        loadGenerator: LOAD_GENERATOR,
        load: [loadBefore, loadAfter],
      },
      certificates: over.serials.length,
      versions: field.versions,
      absent: field.absent,
      rows,
      targets: judged,
      profiles,
    }
  } finally {
    await field.stop()
  }
}

/** The same load as the row's, on a server of its own, built with the names that the source has. */
async function profile(over: World, contestant: Contestant, number: number): Promise<Profiled> {
  const row = nameOf(contestant)
  progress(`profiling ${row}`)
  const readable = await buildReadable(isUnbudgeted(contestant) ? WITHOUT_BUDGET : undefined)
  const server = await over.start({ bundle: readable, core: serverCore, inspect: true })
  try {
    if (server.inspector === undefined) throw new Error('the server has no inspector')
    const { port } = server
    const close = contestant.connections === 'one each'
    const ask = async (seconds: number) => {
      const { answers } = await load({ port, exchanges: contestant.exchanges(), seconds, close })
      contestant.asked(answers)
    }
    await ask(1)
    const taken = await profileOf(server.inspector, () => ask(PROFILE_SECONDS))
    const file = `bench/results/${stem}-${number}.cpuprofile`
    writeFileSync(join(PACKAGE_ROOT, file), JSON.stringify(taken))
    return { row, top: selfTimes(taken), file }
  } finally {
    await server.stop()
  }
}

/** The Worker as it is deployed, but for its names: wrangler.toml without `minify`. */
async function buildReadable(entry: string | undefined) {
  const root = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-readable-'))
  try {
    const settings = readFileSync(join(PACKAGE_ROOT, 'wrangler.toml'), 'utf8')
    writeFileSync(join(root, 'wrangler.toml'), settings.replace(/^minify = true$/m, 'minify = false'))
    for (const name of ['src', 'node_modules', 'bench'])
      symlinkSync(join(PACKAGE_ROOT, name), join(root, name))
    return await buildWorker(root, entry)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '2' },
        json: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (!/^[1-9][0-9]?$/.test(values.seconds)) throw new Error('--seconds wants a whole number from 1 to 99')
    if (values.help) {
      process.stdout.write(`${HELP}\n`)
      process.exit(0)
    }
    return values
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${HELP}\n`)
    process.exit(2)
  }
}

function progress(words: string): void {
  process.stderr.write(`... ${words}\n`)
}
