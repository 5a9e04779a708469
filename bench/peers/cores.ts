/** Servers on one core, load on another, by taskset: else who is asked and who asks take each other's time. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface Cores {
  readonly server: number
  readonly load: number
}

/** @returns the two cores, or why there are none to pin to */
export function chooseCores(): Cores | { readonly reason: string } {
  if (spawnSync('taskset', ['--version']).error !== undefined) return { reason: 'taskset is not installed' }
  const cores = allowedCores()
  const [server] = cores
  const load = cores.at(-1)
  if (server === undefined || load === undefined || server === load)
    return { reason: `there are ${cores.length} cores, and two are needed` }
  return { server, load }
}

/** Those that this process may use. */
function allowedCores(): number[] {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return parseCoreList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '')
  } catch {
    return []
  }
}

/** The kernel's way to write a set: "0-3,6". */
export function parseCoreList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) return []
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])]
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}

/** The command that runs this one on the core. */
export function pinned(
  core: number | undefined,
  command: string,
  args: readonly string[],
): readonly [command: string, args: string[]] {
  return core === undefined ? [command, [...args]] : ['taskset', ['-c', `${core}`, command, ...args]]
}

/** This process, all of its threads, and whatever it starts without a word about cores. */
export function pinSelf(core: number): void {
  spawnSync('taskset', ['-a', '-p', '-c', `${core}`, `${process.pid}`])
}
