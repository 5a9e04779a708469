/**
 * A Worker in a process of its own, with D1 and KV, behind workerd's own socket. Started by `startServer` in servers.ts,
 * told what to do by messages, and ends when its parent does.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { applyMigrations } from '../src/cli/dev/migrations.ts'
import { startRuntime } from '../src/cli/dev/runtime.ts'
import { PACKAGE_ROOT, type WorkerBundle } from '../src/cli/dev/worker-bundle.ts'

export interface ServerSettings {
  /** JSON file with a WorkerBundle. */
  readonly bundleFile: string
  /** State folder, kept from one start to the next. */
  readonly folder: string
  readonly variables: Readonly<Record<string, string>>
  readonly migrate: boolean
  /** Opens the inspector of the Worker's isolate. */
  readonly inspect: boolean
}

/** `cron` runs the scheduled handler; `origins` asks for what the log has said since the last time. */
export type Command = 'cron' | 'origins'

export type Report =
  /** Address, workerd's process, and the WebSocket address of the inspector. */
  | { readonly ready: string; readonly pid: number | undefined; readonly inspector: string | undefined }
  | { readonly done: 'cron' }
  /** Origins of sampled exchanges, and lines that were faults. */
  | { readonly origins: Readonly<Record<string, number>>; readonly faults: readonly string[] }

const settings: ServerSettings = JSON.parse(process.argv[2] ?? '')
const bundle: WorkerBundle = JSON.parse(readFileSync(settings.bundleFile, 'utf8'))
let origins: Record<string, number> = {}
let faults: string[] = []

const runtime = await startRuntime({
  bundle,
  folder: settings.folder,
  host: '127.0.0.1',
  port: 0,
  variables: settings.variables,
  inspect: settings.inspect,
  onLog: ({ level, message }) => {
    const origin = /"origin":"(\w+)"/.exec(message)?.[1]
    if (origin !== undefined) origins[origin] = (origins[origin] ?? 0) + 1
    else if (level === 'error' && faults.length < 10) faults.push(message)
  },
  onRestart: () => faults.push('workerd died and was started again'),
})
if (settings.migrate) await applyMigrations(runtime.database, join(PACKAGE_ROOT, 'migrations'))

process.on('message', (command: Command) => {
  if (command === 'cron') void runScheduled().then(() => report({ done: 'cron' }))
  else {
    report({ origins, faults })
    origins = {}
    faults = []
  }
})
process.on('disconnect', () => void runtime.dispose().finally(() => process.exit(0)))
report({
  ready: runtime.url,
  pid: runtime.workerd()?.pid,
  inspector: settings.inspect ? await runtime.inspector() : undefined,
})

/** On a busy machine workerd may close an idle connection while Miniflare takes it up again; the handler may run twice. */
async function runScheduled(): Promise<void> {
  try {
    await runtime.runScheduled(new Date())
  } catch {
    await runtime.runScheduled(new Date())
  }
}

function report(message: Report): void {
  process.send?.(message)
}
