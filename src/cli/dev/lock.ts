/**
 * One responder per state folder. The file `lock` holds the pids of the dev command and of its workerd: SIGKILL of the
 * former leaves the latter alive, with the port and the databases, and the next start has to end it.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { usageError } from '../exit.ts'
import { isWorkerd, launcher, type ProcessInfo, processesWithEnvironment, processInfo } from './processes.ts'
import { writeFileWhole } from './state.ts'

/** Carried by our workerd processes, so that one whose pid was never written down is still found (where /proc tells). */
export const STATE_VARIABLE = 'EDGE_OCSP_DEV_STATE'

interface Owner {
  readonly pid: number
  /** Start time of `pid`, so that a pid given out again is not taken for us. */
  readonly started: string
  /** The npm that started us: when it is gone, so are we, shortly. */
  readonly launcher?: ProcessName
  readonly url?: string
  readonly workerd?: ProcessName
}

type ProcessName = Pick<ProcessInfo, 'pid' | 'started'>

/** How long a responder whose npm was killed gets to end by itself. */
const ABANDONED_MS = 10_000

export class StateLock {
  readonly #folder: string
  readonly #path: string
  #owner: Owner
  #held = true

  private constructor(folder: string, owner: Owner) {
    this.#folder = folder
    this.#path = join(folder, 'lock')
    this.#owner = owner
  }

  /**
   * Takes the folder, after ending the workerd that a killed predecessor left behind.
   * @throws CLIError (usage) when a live instance has it
   */
  static async acquire(folder: string): Promise<StateLock> {
    const npm = launcher()
    const lock = new StateLock(folder, {
      pid: process.pid,
      started: processInfo(process.pid)?.started ?? '',
      ...(npm === undefined ? {} : { launcher: { pid: npm.pid, started: npm.started } }),
    })
    while (!lock.#create()) {
      const text = readOrUndefined(lock.#path)
      if (text === undefined) continue
      const owner = parseOwner(text)
      if (owner !== undefined && isAlive(owner)) {
        if (!(await endAbandoned(owner))) throw lock.#refusal(owner)
        continue
      }
      if (lock.#removeStale(text) && owner?.workerd !== undefined) await endWorkerd(owner.workerd)
    }
    for (const orphan of processesWithEnvironment(STATE_VARIABLE, folder)) await endWorkerd(orphan)
    return lock
  }

  /** Writes down who serves, as soon as workerd runs and whenever it runs anew. */
  recordServing(workerd: ProcessName | undefined, url: string): void {
    if (!this.#held) return
    const { workerd: _gone, ...own } = this.#owner
    this.#owner = {
      ...own,
      url,
      ...(workerd === undefined ? {} : { workerd: { pid: workerd.pid, started: workerd.started } }),
    }
    writeFileWhole(this.#path, this.#text())
  }

  /** Removes the file if it is still ours. Synchronous: it also runs when the process ends. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    if (parseOwner(readOrUndefined(this.#path) ?? '')?.pid === process.pid) unlinkSync(this.#path)
  }

  /** A hard link appears with all its text, so that nobody ever reads half a lock. */
  #create(): boolean {
    const draft = `${this.#path}.${process.pid}.new`
    writeFileSync(draft, this.#text(), { mode: 0o600 })
    try {
      linkSync(draft, this.#path)
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    } finally {
      unlinkSync(draft)
    }
  }

  /** @returns whether it was us who removed it. Another start may have taken the folder since we looked: put its lock back. */
  #removeStale(judged: string): boolean {
    const aside = `${this.#path}.${process.pid}.stale`
    try {
      renameSync(this.#path, aside)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false
      throw error
    }
    const same = readFileSync(aside, 'utf8') === judged
    if (!same) linkSync(aside, this.#path)
    unlinkSync(aside)
    return same
  }

  #text(): string {
    return `${JSON.stringify(this.#owner)}\n`
  }

  #refusal(owner: Owner): Error {
    const where = owner.url === undefined ? 'and is still starting' : `and serves ${owner.url}`
    return usageError(
      `another "edge-ocsp dev" (process ${owner.pid}) uses the state folder ${this.#folder} ${where}`,
      `Stop it (Ctrl-C in its terminal, or "kill ${owner.pid}"), or start this one with its own folder: --state DIR --port N`,
    )
  }
}

function isAlive(owner: ProcessName): boolean {
  return owner.pid !== process.pid && processInfo(owner.pid)?.started === owner.started
}

/** SIGKILL of `npm start` does not reach the responder under it, which ends when it notices: ask it to, and wait. */
async function endAbandoned(owner: Owner): Promise<boolean> {
  if (owner.launcher === undefined || isAlive(owner.launcher)) return false
  if (!signal(owner.pid, 'SIGTERM')) return true
  const deadline = performance.now() + ABANDONED_MS
  while (isAlive(owner)) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}

/** @returns false when there is no such process any more */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false
    throw error
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Ends a workerd, but only if the process of that pid is still the one, and is a workerd by its command line. */
async function endWorkerd(orphan: ProcessName): Promise<void> {
  const running = processInfo(orphan.pid)
  if (running === undefined || running.started !== orphan.started || !isWorkerd(running)) return
  // Its parent is gone and nobody waits for its answers; its stores are SQLite databases and whole files, made for this.
  signal(orphan.pid, 'SIGKILL')
  for (let tries = 0; tries < 250 && isAlive(orphan); tries += 1) await sleep(20)
}

function parseOwner(text: string): Owner | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Torn by a kill while it was written: nobody's.
    return undefined
  }
  const own = parseProcess(value)
  if (own === undefined) return undefined
  const url = property(value, 'url')
  const workerd = parseProcess(property(value, 'workerd'))
  const npm = parseProcess(property(value, 'launcher'))
  return {
    ...own,
    ...(npm === undefined ? {} : { launcher: npm }),
    ...(typeof url === 'string' ? { url } : {}),
    ...(workerd === undefined ? {} : { workerd }),
  }
}

function parseProcess(value: unknown): ProcessName | undefined {
  const pid = property(value, 'pid')
  const started = property(value, 'started')
  return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
