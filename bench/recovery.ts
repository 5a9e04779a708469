/**
 * `npm run bench:recovery`: everything in KV, in the caches and in the memory of isolates is lost, and clients go on asking. How
 * soon the first right answer comes, that all of them are right meanwhile, and how long it takes until they come from bundles.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { applyMigrations } from '../src/cli/dev/migrations.ts'
import { type Runtime, startRuntime } from '../src/cli/dev/runtime.ts'
import { buildWorker, PACKAGE_ROOT } from '../src/cli/dev/worker-bundle.ts'
import { requestFor } from '../test/support/world-requests.ts'
import { type CA, makeCA } from './cycle/ca.ts'
import { addIssuer, importIndex, meter, signAll } from './cycle/cycle.ts'
import { verifyAnswers } from './cycle/verify.ts'
import { judge, type Measurement } from './measurement.ts'
import { table } from './table.ts'
import { fromCommandLine, readCount } from './usage.ts'

const ALGORITHM = 'ecdsa-with-SHA256'
/** Questions of one sample: few certificates are asked for often, most of them seldom (Zipf). */
const SAMPLE = 1_000
const AT_ONCE = 8
/** The rest are certificates that are asked for once in a long time. */
const ENOUGH = 0.99
const MAX_RUNS = 60
/** An isolate looks into KV again after half a minute. */
const RECHECK_MS = 31_000
/** Of answers judged by openssl right after the loss. */
const JUDGED = 200
const HELP = `usage: npm run bench:recovery -- [--certs N]
  --certs N   certificates, 1000 to 1000000 (default 50000)`

const certificates = fromCommandLine(HELP, () => {
  const { values } = parseArgs({ options: { certs: { type: 'string', default: '50000' } } })
  return readCount('--certs', values.certs, 1_000, 1_000_000)
})
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-recovery-'))
const token = randomBytes(32).toString('hex')
const variables = { ADMIN_TOKEN: token, KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64') }
const bundle = await buildWorker(PACKAGE_ROOT, 'test/support/metered-worker.ts')
const state = join(folder, 'state')
mkdirSync(state, { mode: 0o700 })
let runtime = await start()
try {
  const index = join(folder, 'index.txt')
  say(`${certificates} certificates: imported and signed`)
  const ca = await makeCA(certificates, ALGORITHM, index)
  await applyMigrations(runtime.database, join(PACKAGE_ROOT, 'migrations'))
  await runtime.runScheduled(new Date())
  await addIssuer(ca, runtime.url, token)
  await importIndex(index, runtime.url, token, certificates)
  await signAll(runtime, ALGORITHM, say)
  // What was built a moment ago is not taken for lost.
  await runtime.database.prepare('UPDATE slots SET built_at = built_at - 3600').all()
  const before = await sample(runtime, ca)

  say('everything derived is lost')
  await runtime.dispose()
  for (const store of ['kv', 'cache']) rmSync(join(state, 'stores', store), { recursive: true, force: true })
  runtime = await start()
  const lostAt = performance.now()
  await ask(runtime, ca, 0)
  const firstMs = performance.now() - lostAt
  await verifyAnswers(ca, runtime.url, join(folder, 'answers'), JUDGED)
  const after = await sample(runtime, ca)

  const rows: Measurement[] = [
    { name: 'answers from bundles before', value: 100 * before.fromBundles, unit: '%' },
    {
      name: 'first answer after the loss',
      value: firstMs,
      unit: 'ms',
      detail: 'a cold isolate, D1 and a signature',
    },
    { name: 'right right after the loss, by openssl', value: JUDGED, unit: `of ${JUDGED}` },
    {
      name: 'an answer meanwhile',
      value: after.microseconds / before.microseconds,
      unit: 'times as long',
      detail: `${after.microseconds.toFixed(0)} us against ${before.microseconds.toFixed(0)} us`,
    },
  ]
  let [runs, spentMs, signatures] = [0, 0, 0]
  for (;;) {
    await runtime.database.prepare('UPDATE slots SET built_at = built_at - 3600 WHERE missed = 0').all()
    await meter(runtime)
    const begun = performance.now()
    await runtime.runScheduled(new Date())
    spentMs += performance.now() - begun
    signatures += (await meter(runtime)).signatures
    runs += 1
    const left = await bundlesLeft(runtime)
    await pause(RECHECK_MS)
    const now = await sample(runtime, ca)
    rows.push({
      name: `  after run ${runs} of the cron`,
      value: 100 * now.fromBundles,
      unit: '% of answers from bundles',
      detail: `${signatures} signatures in ${(spentMs / 1000).toFixed(1)} s so far, ${left} bundles are missed`,
    })
    if (now.fromBundles >= ENOUGH || runs === MAX_RUNS) break
  }
  rows.push({
    name: 'capacity is back after',
    value: spentMs / 1000,
    unit: 's of signing',
    detail: `${runs} ${runs === 1 ? 'run' : 'runs'} of the cron, one a minute`,
  })
  const judged = rows.map(judge)
  const report = { startedAt: new Date().toISOString(), certificates, rows: judged }
  mkdirSync(join(PACKAGE_ROOT, 'bench/results'), { recursive: true })
  const name = `recovery-${report.startedAt.replace(/[:.]/g, '-')}.json`
  writeFileSync(join(PACKAGE_ROOT, 'bench/results', name), `${JSON.stringify(report, undefined, 2)}\n`)
  process.stdout.write(`${table(judged)}\nkept in bench/results/${name}\n`)
} finally {
  await runtime.dispose()
  rmSync(folder, { recursive: true, force: true })
}

function start(): Promise<Runtime> {
  return startRuntime({
    bundle,
    folder: state,
    host: '127.0.0.1',
    port: 0,
    variables,
    onLog: ({ level, message }) => level === 'error' && say(message),
    onRestart: () => say('workerd died and was started again'),
  })
}

/** @throws Error when it is not answered */
async function ask(at: Runtime, ca: CA, index: number): Promise<void> {
  const body = requestFor(ca.pki.issuerRecord(), [ca.serial(index)])
  const response = await fetch(at.url, { method: 'POST', body: new Uint8Array(body) })
  const [, , , , status] = new Uint8Array(await response.arrayBuffer())
  if (response.status !== 200 || status === undefined) throw new Error(`HTTP ${response.status}`)
}

/** Asks, and sees how many answers had to be signed. */
async function sample(at: Runtime, ca: CA): Promise<{ fromBundles: number; microseconds: number }> {
  await meter(at)
  const begun = performance.now()
  for (let done = 0; done < SAMPLE; done += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, () => ask(at, ca, popular())))
  const microseconds = ((performance.now() - begun) * 1000) / SAMPLE
  const { signatures } = await meter(at)
  return { fromBundles: 1 - signatures / SAMPLE, microseconds }
}

/** Index of a certificate: the n-th is asked for n times less than the first. */
function popular(): number {
  return Math.min(certificates - 1, Math.floor(certificates ** Math.random()) - 1)
}

async function bundlesLeft({ database }: Runtime): Promise<number> {
  const { results } = await database
    .prepare(
      'SELECT count(*) AS missed FROM slots s JOIN issuers i ON i.id = s.issuer AND i.k = s.k WHERE missed > 0',
    )
    .all<{ missed: number }>()
  return results[0]?.missed ?? Number.NaN
}

function say(text: string): void {
  process.stderr.write(`... ${text}\n`)
}
