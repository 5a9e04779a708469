/**
 * `npm run bench:issuers`: the first answer of an isolate that has just started, with one issuer in the deployment and with many:
 * what it reads and how long it takes. Two deployments in one run, asked in turns.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyMigrations } from '../src/cli/dev/migrations.ts'
import { type Runtime, startRuntime } from '../src/cli/dev/runtime.ts'
import { buildWorker, PACKAGE_ROOT } from '../src/cli/dev/worker-bundle.ts'
import { requestFor } from '../test/support/world-requests.ts'
import { type CA, makeCA } from './cycle/ca.ts'
import { addIssuer, importIndex } from './cycle/cycle.ts'
import { COLD_PATH, PAGING_PATH } from './issuer-paths.ts'
import { atMost, judge, type Measurement } from './measurement.ts'
import { table } from './table.ts'
import { fromCommandLine, readCount } from './usage.ts'

const ALGORITHM = 'ecdsa-with-SHA256'
const CERTIFICATES = 1_000
/** Rows of one statement. */
const BATCH = 500
const WARM_UP = 20
/** A root is put once a second at most. */
const gap = () => new Promise((resolve) => setTimeout(resolve, 1_200))
const HASHES = { 'SHA-1': 'sha1', 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' }
const HELP = `usage: npm run bench:issuers -- [--issuers N] [--rounds N]
  --issuers N   issuers of the large deployment, 2 to 20000 (default 10000)
  --rounds N    first answers of each deployment (default 300)`

const { issuers, rounds } = fromCommandLine(HELP, () => {
  const { values } = parseArgs({
    options: { issuers: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '300' } },
  })
  return {
    issuers: readCount('--issuers', values.issuers, 2, 20_000),
    rounds: readCount('--rounds', values.rounds, 1, 1_000_000),
  }
})
const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-issuers-'))
const token = randomBytes(32).toString('hex')
const bundle = await buildWorker(PACKAGE_ROOT, 'test/support/cold-start-worker.ts')

interface Deployment {
  readonly runtime: Runtime
  readonly ca: CA
  readonly addMs: number
  readonly pagingMs: number
  readonly pages: number
  readonly cronMs: number
  readonly milliseconds: number[]
}

interface Reads {
  readonly kv: number
  readonly bytes: number
  readonly d1: number
}

const deployments: Deployment[] = []
try {
  const one = await deploy('one', 1)
  deployments.push(one)
  const many = await deploy('many', issuers)
  deployments.push(many)
  const reads = [await firstAnswer(one), await firstAnswer(many)] as const
  for (let round = -WARM_UP; round < rounds; round += 1)
    for (const at of round % 2 === 0 ? [one, many] : [many, one]) {
      const begun = performance.now()
      await firstAnswer(at)
      if (round >= 0) at.milliseconds.push(performance.now() - begun)
    }
  const [few, lots] = [median(one.milliseconds), median(many.milliseconds)]
  const rows: Measurement[] = [
    { name: 'reads of KV for a first answer, one issuer', value: reads[0].kv, unit: '' },
    { name: `  with ${issuers}`, value: reads[1].kv, unit: '', limit: atMost(reads[0].kv) },
    { name: 'reads of D1 for a first answer, one issuer', value: reads[0].d1, unit: '' },
    { name: `  with ${issuers}`, value: reads[1].d1, unit: '', limit: atMost(reads[0].d1) },
    { name: 'octets read for a first answer, one issuer', value: reads[0].bytes, unit: '' },
    { name: `  with ${issuers}`, value: reads[1].bytes, unit: '' },
    { name: 'median first answer, one issuer', value: few, unit: 'ms' },
    { name: `  with ${issuers}`, value: lots, unit: 'ms' },
    { name: '  ratio', value: lots / few, unit: '', limit: atMost(1.25), detail: `${rounds} of each` },
    { name: 'issuer add, one issuer', value: one.addMs, unit: 'ms' },
    { name: `  with ${issuers}`, value: many.addMs, unit: 'ms' },
    {
      name: `moving ${issuers} issuers into pages`,
      value: many.pagingMs,
      unit: 'ms',
      detail: `${many.pages} pages`,
    },
    { name: 'a run of the cron, one issuer', value: one.cronMs, unit: 'ms' },
    { name: `  with ${issuers}`, value: many.cronMs, unit: 'ms' },
  ]
  process.stdout.write(`${table(rows.map(judge))}\n`)
} finally {
  for (const { runtime } of deployments) await runtime.dispose()
  rmSync(folder, { recursive: true, force: true })
}

/** One CA whose certificates are asked for, and others beside it; all of them in directory pages. */
async function deploy(name: string, count: number): Promise<Deployment> {
  const state = join(folder, name)
  mkdirSync(state, { mode: 0o700 })
  const runtime = await startRuntime({
    bundle,
    folder: state,
    host: '127.0.0.1',
    port: 0,
    variables: { ADMIN_TOKEN: token, KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64') },
    onLog: ({ level, message }) => level === 'error' && say(message),
    onRestart: () => say('workerd died and was started again'),
  })
  await applyMigrations(runtime.database, join(PACKAGE_ROOT, 'migrations'))
  const index = join(folder, `${name}.txt`)
  const ca = await makeCA(CERTIFICATES, ALGORITHM, index)
  await record(runtime, count - 1)
  say(`${count} issuers: one with ${CERTIFICATES} certificates`)
  const begun = performance.now()
  await addIssuer(ca, runtime.url, token)
  const addMs = performance.now() - begun
  await importIndex(index, runtime.url, token, CERTIFICATES)
  // The paging is measured by itself, so the cron leaves it to us.
  await runtime.database.prepare('UPDATE directory SET paged_ms = ?1').bind(Date.now()).all()
  await gap()
  await runtime.runScheduled(new Date())
  const started = performance.now()
  const response = await fetch(runtime.url + PAGING_PATH)
  const { issuers: moved, pages }: { issuers: number; pages: number } = JSON.parse(await response.text())
  if (moved !== count) throw new Error(`${moved} of ${count} issuers were moved into pages`)
  const pagingMs = performance.now() - started
  await gap()
  const before = performance.now()
  await runtime.runScheduled(new Date())
  const cronMs = performance.now() - before
  return { runtime, ca, addMs, pagingMs, pages, cronMs, milliseconds: [] }
}

/** Issuers that are there and nobody asks about, straight into the record. */
async function record(runtime: Runtime, count: number): Promise<void> {
  const policy = JSON.stringify({
    unknown: 'unauthorized',
    nonce: 'echo',
    profile: 'private',
    validitySeconds: 604_800,
    maxAge: 'next-update',
    hashes: ['SHA-1', 'SHA-256'],
    retainSeconds: 2_592_000,
    signedRequests: 'ignore',
    requestors: [],
    archiveCutoff: 'none',
  })
  const now = Math.floor(Date.now() / 1000)
  const seq = (now - 7_200) * 1_000_000
  for (let from = 0; from < count; from += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => {
      const hash = (what: string, by: string) =>
        createHash(by)
          .update(`${what} ${from + i}`)
          .digest('hex')
      const pairs = Object.entries(HASHES).map(([name, by]) => [name, [hash('name', by), hash('key', by)]])
      return [`many-${from + i}`, hash('ski', 'sha1'), Object.fromEntries(pairs)]
    })
    await runtime.database
      .prepare(
        `INSERT INTO issuers (name, ski, certificate, hashes, not_before, not_after, policy, config_rev, seq, floor,
          longest_validity, unknown_signed, published)
        SELECT value->>0, value->>1, zeroblob(700), value->>2, ?2, ?2 + 315360000, ?3, ?4, ?4, ?4, 604800, 0, ?4
        FROM json_each(?1)`,
      )
      .bind(JSON.stringify(rows), now - 7_200, policy, seq)
      .all()
  }
}

/** @throws Error when it is not answered */
async function firstAnswer({ runtime, ca }: Deployment): Promise<Reads> {
  const body = requestFor(ca.pki.issuerRecord(), [ca.serial(1)])
  const response = await fetch(runtime.url + COLD_PATH, { method: 'POST', body: new Uint8Array(body) })
  const octets = new Uint8Array(await response.arrayBuffer())
  if (response.status !== 200 || octets.length < 100) throw new Error(`HTTP ${response.status}`)
  return JSON.parse(response.headers.get('x-reads') ?? '{}')
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function say(what: string): void {
  process.stderr.write(`${what}\n`)
}
