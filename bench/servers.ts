/** Starts Workers in processes of their own (server.ts). */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WorkerBundle } from '../src/cli/dev/worker-bundle.ts'
import type { Command, Report, ServerSettings } from './server.ts'

const START_MS = 60_000

export interface Server {
  readonly url: string
  readonly port: number
  /** The scheduled handler, once: publishes the overlay and signs what is due. */
  cron(): Promise<void>
  /** What the log has told since the last call: share LOG_SAMPLE_RATE of all exchanges, and every fault. */
  origins(): Promise<{ origins: Readonly<Record<string, number>>; faults: readonly string[] }>
  /** Microseconds of processor time that workerd has used so far; NaN where /proc does not tell. */
  processorTime(): number
  /** WebSocket address of the inspector, if it was asked for. */
  readonly inspector: string | undefined
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly bundle: WorkerBundle
  /** Exists already. */
  readonly folder: string
  readonly variables?: Readonly<Record<string, string>>
  readonly migrate?: boolean
  /** The one core that it may use, workerd and all. */
  readonly core?: number | undefined
  /** Opens the inspector of the Worker's isolate. Default closed. */
  readonly inspect?: boolean
}

/** @throws Error when it is not ready within a minute */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { folder, variables = {}, migrate = false, inspect = false, core } = options
  const bundleFile = join(folder, 'worker.json')
  writeFileSync(bundleFile, JSON.stringify(options.bundle))
  const settings: ServerSettings = { bundleFile, folder, variables, migrate, inspect }
  const child = fork(join(import.meta.dirname, 'server.ts'), [JSON.stringify(settings)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    ...(core === undefined
      ? {}
      : { execPath: 'taskset', execArgv: ['-c', `${core}`, process.execPath, ...process.execArgv] }),
  })
  const {
    ready: url,
    pid,
    inspector,
  } = await next(child, (report) => ('ready' in report ? report : undefined))
  const ask = async <T>(command: Command, pick: (report: Report) => T | undefined): Promise<T> => {
    const answer = next(child, pick)
    child.send(command)
    return await answer
  }
  return {
    url,
    port: Number(new URL(url).port),
    cron: async () => {
      await ask('cron', (report) => ('done' in report ? report : undefined))
    },
    origins: () => ask('origins', (report) => ('origins' in report ? report : undefined)),
    processorTime: () => processorTime(pid),
    inspector,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve())
        child.disconnect()
      }),
  }
}

/** Linux counts in ticks of 10 ms. */
const TICK_MICROSECONDS = 10_000

/** Microseconds that a process has used so far; NaN where /proc does not tell. */
export function processorTime(pid: number | undefined): number {
  try {
    // The name in brackets may hold spaces; utime and stime are the 14th and 15th field, the 12th and 13th after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * TICK_MICROSECONDS
  } catch {
    return Number.NaN
  }
}

function next<T>(child: ChildProcess, pick: (report: Report) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      stop()
      reject(new Error(`a server ${why}`))
    }
    const timer = setTimeout(() => fail(`said nothing for ${START_MS / 1000} s`), START_MS)
    const exit = () => fail('ended too early')
    const message = (report: Report) => {
      const value = pick(report)
      if (value === undefined) return
      stop()
      resolve(value)
    }
    const stop = () => {
      clearTimeout(timer)
      child.off('exit', exit)
      child.off('message', message)
    }
    child.on('exit', exit)
    child.on('message', message)
  })
}
