/**
 * `npm run bench:mass -- --revoke 1000000`: a mass revocation by `edge-ocsp revoke-many` over a CA whose certificates are all signed for.
 * A certificate that it does not concern is asked about each 100 ms meanwhile, and the cron job runs each minute, as deployed. Exit
 * code 0 when everything was measured and each answer was right; 1 when not; 2 for wrong usage.
 */
import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyMigrations } from '../src/cli/dev/migrations.ts'
import { type Runtime, startRuntime } from '../src/cli/dev/runtime.ts'
import { buildWorker, PACKAGE_ROOT } from '../src/cli/dev/worker-bundle.ts'
import { decodeSuccessfulResponse } from '../src/ocsp/index.ts'
import { type CA, makeCA } from './cycle/ca.ts'
import { addIssuer, importIndex } from './cycle/cycle.ts'
import { METER_PATH, type MeterReading } from './cycle/meter.ts'
import { indices, isSpared, Probe, post, SPARED_FROM, SPARED_SHARE } from './mass-probe.ts'
import { fromCommandLine, readCount } from './usage.ts'
import { question } from './world.ts'

const HELP = `usage: npm run bench:mass -- [--revoke N]
  --revoke N  certificates to revoke, 1000 to 5000000 (default 20000); a million takes about a quarter of an hour
example: npm run bench:mass -- --revoke 200000`

/** The index says of one in 50 that it is revoked already. */
const GOOD_SHARE = 0.98
const CRON_MS = 60_000
const CHECKED_AFTERWARDS = 1_000

const revoke = fromCommandLine(HELP, () => {
  const { values } = parseArgs({ options: { revoke: { type: 'string', default: '20000' } } })
  return readCount('--revoke', values.revoke, 1_000, 5_000_000)
})
const startedAt = new Date().toISOString()
const [loadBefore = 0] = loadavg()
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-mass-'))
let runtime: Runtime | undefined
try {
  const certificates = Math.ceil((revoke / (1 - SPARED_SHARE) / GOOD_SHARE) * 1.002)
  progress(`${certificates} certificates: the CA and its index`)
  const index = join(folder, 'index.txt')
  const ca = await makeCA(certificates, 'ecdsa-with-SHA256', index)
  const token = randomBytes(32).toString('hex')
  const state = join(folder, 'state')
  mkdirSync(state, { mode: 0o700 })
  runtime = await startRuntime({
    bundle: await buildWorker(PACKAGE_ROOT, 'test/support/metered-worker.ts'),
    folder: state,
    host: '127.0.0.1',
    port: 0,
    variables: {
      ADMIN_TOKEN: token,
      KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      SIGNATURES_PER_RUN: '50000',
    },
    onLog: ({ level, message }) => level === 'error' && progress(message),
    onRestart: () => progress('workerd died and was started again'),
  })
  const report = await measure(runtime, ca, { index, token, certificates })
  const text = `${JSON.stringify({ startedAt, load: [loadBefore, loadavg()[0]], ...report }, undefined, 2)}\n`
  mkdirSync(join(PACKAGE_ROOT, 'bench/results'), { recursive: true })
  writeFileSync(join(PACKAGE_ROOT, `bench/results/mass-${startedAt.replace(/[:.]/g, '-')}.json`), text)
  process.stdout.write(text)
  if (report.probe.wrong > 0) process.exitCode = 1
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  await runtime?.dispose()
  rmSync(folder, { recursive: true, force: true })
}

async function measure(
  server: Runtime,
  ca: CA,
  { index, token, certificates }: { index: string; token: string; certificates: number },
) {
  await applyMigrations(server.database, join(PACKAGE_ROOT, 'migrations'))
  await server.runScheduled(new Date())
  await addIssuer(ca, server.url, token)
  progress('import')
  const importSeconds = await timed(() => importIndex(index, server.url, token, certificates))
  progress('plan, sign, write')
  const signSeconds = await timed(async () => {
    do await server.runScheduled(new Date())
    while ((await unbuilt(server)) > 0)
  })
  await meter(server)
  progress('revoke')
  const probe = new Probe(server.url, ca)
  const cron = setInterval(() => void server.runScheduled(new Date()).catch(() => undefined), CRON_MS)
  let printed = ''
  const revokeSeconds = await timed(async () => {
    printed = await revokeMany(server.url, token)
  })
  clearInterval(cron)
  const seen = await probe.stop()
  const reading = await meter(server)
  const counts: Readonly<Record<string, unknown>> = JSON.parse(printed)
  const revoked = Number(counts['changed'])
  progress(`${CHECKED_AFTERWARDS} of the revoked`)
  await checkRevoked(server.url, ca)
  return {
    certificates,
    importSeconds,
    signSeconds,
    counts,
    revokeSeconds,
    revokedPerSecond: Math.round(revoked / revokeSeconds),
    rowsWrittenEach: reading.rowsWritten / revoked,
    rowsReadEach: reading.rowsRead / revoked,
    kvWrites: reading.writes,
    slotsLeft: await unbuilt(server),
    probe: seen,
    checkedRevoked: CHECKED_AFTERWARDS,
  }
}

/** @throws Error unless all that are asked for are told as revoked */
async function checkRevoked(url: string, ca: CA): Promise<void> {
  const concerned = indices(ca).filter((i) => !isSpared(ca, i))
  for (let n = 0; n < CHECKED_AFTERWARDS; n++) {
    const serial = ca.serial(concerned[randomInt(concerned.length)] ?? 0)
    const [told] = decodeSuccessfulResponse(await post(url, question(ca.pki, [serial]))).tbsResponseData
      .responses
    if (told?.certStatus.type !== 'revoked') throw new Error(`one of the revoked is ${told?.certStatus.type}`)
  }
}

/** @returns what the command prints, JSON */
async function revokeMany(url: string, token: string): Promise<string> {
  const last = `${(SPARED_FROM - 1).toString(16)}${'ff'.repeat(15)}`
  const program = join(PACKAGE_ROOT, 'src/cli/main.ts')
  const command = [
    'revoke-many',
    '--serial-to',
    last,
    '--reason',
    'keyCompromise',
    '--yes',
    '--url',
    url,
    '--json',
  ]
  const child = spawn(process.execPath, [program, ...command], {
    env: { ...process.env, EDGE_OCSP_TOKEN: token },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`revoke-many ended with ${code}`)
  return printed
}

async function meter({ url }: Runtime): Promise<MeterReading> {
  const reading: MeterReading = await (await fetch(url + METER_PATH)).json()
  return reading
}

async function unbuilt({ database }: Runtime): Promise<number> {
  const { results } = await database
    .prepare(
      `SELECT (SELECT count(*) FROM slots WHERE built_seq < changed_seq OR added > 0)
        + (SELECT count(*) FROM issuers WHERE k_next IS NOT NULL) AS left`,
    )
    .all<{ left: number }>()
  return results[0]?.left ?? Number.NaN
}

/** @returns seconds */
async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

function progress(text: string): void {
  process.stderr.write(`... ${text}\n`)
}
