/**
 * The Worker in workerd, through Miniflare: the real D1, KV and Cache API, kept in the state folder, behind a plain
 * HTTP socket. The socket is workerd's own (`unsafeDirectSockets`): Miniflare's main port takes a second hop through a
 * router Worker, which costs two thirds of the throughput and rewrites requests.
 */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Log, LogLevel, Miniflare } from 'miniflare'
import { messageOf, usageError } from '../exit.ts'
import { STATE_VARIABLE } from './lock.ts'
import type { MigrationDatabase } from './migrations.ts'
import { isWorkerd, ownChildren, type ProcessInfo } from './processes.ts'
import { makePrivateFolder } from './state.ts'
import type { WorkerBundle } from './worker-bundle.ts'

export interface RuntimeOptions {
  readonly bundle: WorkerBundle
  /** Absolute path of the state folder. */
  readonly folder: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Text bindings: variables and secrets. */
  readonly variables: Readonly<Record<string, string>>
  /** D1 databases: DB, DB_1 and so on. Default 1. */
  readonly databases?: number
  /** What the Worker writes to its console. */
  readonly onLog: (line: { level: string; message: string }) => void
  /** workerd died and runs again, as another process. */
  readonly onRestart: () => void
  /** Opens the inspector of the Worker's isolate: for what measures it. Default closed. */
  readonly inspect?: boolean
}

export interface Runtime {
  readonly url: string
  readonly database: MigrationDatabase
  /** All of them, the first included. */
  readonly databases: readonly MigrationDatabase[]
  workerd(): ProcessInfo | undefined
  /** WebSocket address of the inspector. @throws when it was not opened */
  inspector(): Promise<string>
  /** Runs the scheduled handler once. @throws what it throws */
  runScheduled(at: Date): Promise<void>
  dispose(): Promise<void>
}

/** @throws CLIError (usage) when the port is taken or the host is not ours */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { bundle, folder, host } = options
  const port = await checkPort(host, options.port)
  const bindings = Array.from({ length: options.databases ?? 1 }, (_, i) => (i === 0 ? 'DB' : `DB_${i}`))
  const temporary = join(folder, 'tmp')
  // What a killed predecessor left; ours alone, we hold the lock.
  rmSync(temporary, { recursive: true, force: true })
  makePrivateFolder(temporary)
  // Miniflare makes its folder in the system's temporary one, where a kill would leave one more each time.
  process.env['TMPDIR'] = temporary
  const signals = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]))
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    // No look-up of our own whereabouts on the Internet.
    cf: false,
    ...(options.inspect === true ? { inspectorPort: 0 } : {}),
    log: new Log(LogLevel.NONE),
    logRequests: false,
    telemetry: { enabled: false },
    enableDevRegistry: false,
    resourcePersistencePath: join(folder, 'stores'),
    unsafeRuntimeEnv: { [STATE_VARIABLE]: folder },
    unsafeHandleRuntimeRestart: options.onRestart,
    handleStructuredLogs: ({ level, message }) => options.onLog({ level, message }),
    workers: [
      {
        config: {
          name: 'edge-ocsp',
          compatibilityDate: bundle.compatibilityDate,
          compatibilityFlags: [...bundle.compatibilityFlags],
          manifest: {
            mainModule: 'index.js',
            modules: { 'index.js': { type: 'esm', contents: bundle.code } },
          },
          env: {
            ...Object.fromEntries(
              Object.entries(options.variables).map(([name, value]) => [
                name,
                { type: 'text' as const, value },
              ]),
            ),
            ...Object.fromEntries(
              bindings.map((name, i) => [name, { type: 'd1' as const, id: databaseID(i) }]),
            ),
            RESPONSES: { type: 'kv', id: 'edge-ocsp' },
          },
        },
        dev: { rootPath: folder, unsafeDirectSockets: [{ host, port }] },
      },
    ],
  })
  // Miniflare ends the process on a signal before anything else can finish; the dev command disposes in order instead.
  for (const signal of SIGNALS) {
    for (const listener of process.listeners(signal)) {
      if (!signals.get(signal)?.includes(listener)) process.removeListener(signal, listener)
    }
  }
  try {
    await miniflare.ready
    const direct = await miniflare.unsafeGetDirectURL()
    const databases = await Promise.all(bindings.map((name) => miniflare.getD1Database(name)))
    const [database] = databases
    if (database === undefined) throw new RangeError('no database')
    const worker = await miniflare.getWorker()
    return {
      url: `http://${urlHost(host)}:${direct.port}`,
      database,
      databases,
      workerd: () => ownChildren().find(isWorkerd),
      inspector: async () => new URL('/core:user:edge-ocsp', await miniflare.getInspectorURL()).href,
      async runScheduled(at) {
        const { outcome } = await worker.scheduled({ scheduledTime: at, cron: '* * * * *' })
        if (outcome !== 'ok') throw new Error(`the scheduled handler ended with "${outcome}"`)
      },
      async dispose() {
        await miniflare.dispose()
        rmSync(temporary, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await miniflare.dispose().catch(() => undefined)
    if (/address already in use|EADDRINUSE/i.test(messageOf(error))) throw portTaken(host, port, error)
    throw error
  }
}

/** Of the store in the state folder. */
function databaseID(index: number): string {
  return index === 0 ? 'edge-ocsp' : `edge-ocsp-${index}`
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Listens for a moment, to say in words what workerd would say in a stack trace. @returns the port, a free one for 0 */
async function checkPort(host: string, port: number): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      const code = 'code' in error ? error.code : undefined
      if (code === 'EADDRINUSE') return reject(portTaken(host, port, error))
      const hint =
        code === 'EACCES'
          ? 'Ports below 1024 need privileges: choose another with --port N.'
          : 'Check --host and --port.'
      reject(usageError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`, hint, { cause: error }))
    })
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      const found = typeof address === 'object' && address !== null ? address.port : port
      server.close(() => resolve(found))
    })
  })
}

function portTaken(host: string, port: number, cause: unknown): Error {
  return usageError(
    `port ${port} on ${host} is in use by another program`,
    `Choose another port: npm start -- --port ${port === 65_535 ? port - 1 : port + 1}`,
    { cause },
  )
}

/** How the host stands in a URL that is opened from this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '*') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
