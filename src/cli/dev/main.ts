/** `edge-ocsp dev`: the Worker on this machine, with a demonstration CA, until a signal ends it. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { AdminClient, isLoopback } from '../client.ts'
import { TOKEN_FILE, URL_FILE } from '../context.ts'
import { EXIT, messageOf, usageError } from '../exit.ts'
import { Cron } from './cron.ts'
import { type Demo, setUpDemo } from './demo.ts'
import { demoCommands, demoText } from './demo-text.ts'
import { StateLock } from './lock.ts'
import { formatLogLine } from './log-lines.ts'
import { applyMigrations } from './migrations.ts'
import { launcher, processInfo } from './processes.ts'
import type { Runtime } from './runtime.ts'
import { openState, type State, writeFileWhole } from './state.ts'
import { buildWorker, PACKAGE_ROOT } from './worker-bundle.ts'

export interface DevOptions {
  /** 0: any free one. */
  readonly port: number
  readonly host: string
  /** State folder. */
  readonly state: string
  /** Make and record the demonstration CA. */
  readonly demo: boolean
  /** Validity of the demonstration issuer's responses. */
  readonly validitySeconds?: number | undefined
  /** D1 databases. */
  readonly databases: number
  /** One JSON object a line on stdout instead of text. */
  readonly json?: boolean | undefined
}

/** How long an orderly end may take. */
const STOP_MS = 5_000

/** Resolves when it was stopped. @throws CLIError (usage) when port or state folder are taken */
export async function runDev(options: DevOptions): Promise<number> {
  if (options.demo && !isAdministrable(options.host)) {
    throw usageError(
      `--host ${options.host}: the demonstration records itself through the admin API, which answers plain HTTP on loopback only`,
      'Use --host 127.0.0.1, or --host 0.0.0.0 to be reached from other machines too, or --no-demo',
    )
  }
  const state = openState(options.state)
  const lock = await StateLock.acquire(state.folder)
  const release = () => {
    rmSync(join(state.folder, URL_FILE), { force: true })
    lock.release()
  }
  process.once('exit', release)
  try {
    await serve(options, state, lock)
    return EXIT.good
  } finally {
    release()
    process.removeListener('exit', release)
  }
}

async function serve(options: DevOptions, state: State, lock: StateLock): Promise<void> {
  const print = printer(options.json === true)
  // esbuild is another process: it works while we load Miniflare, the two longest waits of a start.
  const [bundle, { startRuntime }] = await Promise.all([buildWorker(), import('./runtime.ts')])
  const stopped = stopRequested()
  let running: Runtime | undefined
  const recordServing = () => {
    if (running !== undefined) lock.recordServing(running.workerd(), running.url)
  }
  const runtime = await startRuntime({
    bundle,
    folder: state.folder,
    host: options.host,
    port: options.port,
    databases: options.databases,
    variables: {
      ADMIN_TOKEN: state.adminToken,
      KEY_ENCRYPTION_KEY: state.keyEncryptionKey,
      LOG_SAMPLE_RATE: '1',
    },
    onLog: print.log,
    onRestart: recordServing,
  })
  running = runtime
  const cron = new Cron(runtime.runScheduled, (error) =>
    print.log({ level: 'error', message: `the scheduled run failed: ${messageOf(error)}` }),
  )
  try {
    recordServing()
    for (const database of runtime.databases)
      await applyMigrations(database, join(PACKAGE_ROOT, 'migrations'))
    writeFileWhole(join(state.folder, URL_FILE), `${runtime.url}\n`)
    const demo = options.demo ? await startDemo(options, state, runtime.url) : undefined
    cron.fire(new Date())
    cron.start()
    print.ready(runtime.url, state.folder, demo)
    await stopped
  } finally {
    cron.stop()
    // The port is free and the databases are closed when this returns.
    await Promise.race([runtime.dispose(), new Promise((resolve) => setTimeout(resolve, STOP_MS).unref())])
  }
}

async function startDemo(options: DevOptions, state: State, url: string): Promise<Demo> {
  const client = new AdminClient({ url, token: state.adminToken, tokenFile: join(state.folder, TOKEN_FILE) })
  const now = Math.floor(Date.now() / 1000)
  return await setUpDemo({ state: state.folder, url, client, validitySeconds: options.validitySeconds, now })
}

function isAdministrable(host: string): boolean {
  return isLoopback(host) || ['::1', '0.0.0.0', '::'].includes(host)
}

/** Settles at SIGINT, SIGTERM or SIGHUP, or when the npm that started us is gone. */
function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
    const npm = launcher()
    if (npm === undefined) return
    // A SIGKILL of npm reaches nobody below it; without it nobody would know how to end us.
    const timer = setInterval(() => {
      if (processInfo(npm.pid)?.started === npm.started) return
      clearInterval(timer)
      resolve()
    }, 500)
    timer.unref()
  })
}

function printer(json: boolean) {
  const line = (text: string) => process.stdout.write(`${text}\n`)
  return {
    log(entry: { level: string; message: string }): void {
      line(json ? JSON.stringify({ event: 'log', ...entry }) : formatLogLine(entry, new Date()))
    },
    ready(url: string, folder: string, demo: Demo | undefined): void {
      const text = { url, state: folder, directory: process.cwd() }
      if (json) {
        const commands = demo === undefined ? [] : demoCommands(demo, text)
        line(JSON.stringify({ event: 'ready', url, state: folder, commands }))
        return
      }
      const made = demo?.isNew === true ? ', with a new demonstration CA' : ''
      // In one write: whoever waits for "ready" has all of it.
      line(
        [
          `Edge OCSP answers at ${url}${made}`,
          '',
          ...(demo === undefined ? empty(url) : demoText(demo, text)),
          '',
          `ready ${url}`,
        ].join('\n'),
      )
    },
  }
}

function empty(url: string): readonly string[] {
  return [
    'No demonstration. Give it an issuer:',
    'npx edge-ocsp issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key' +
      (url.endsWith(':8787') ? '' : ` --url ${url}`),
  ]
}
