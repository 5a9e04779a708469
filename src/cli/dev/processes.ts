/**
 * What we need to know of other processes: whether one lives, whether it is still the one we wrote down (process ids are
 * given out again), and which are ours. From /proc where there is one, from `ps` elsewhere.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  /** The arguments, separated by spaces. */
  readonly command: string
  /** When it began, in the system's own spelling: with the pid it names one process. */
  readonly started: string
}

const HAS_PROC = existsSync('/proc/self/stat')

/** @returns undefined when there is no such process (a zombie is none) */
export function processInfo(pid: number): ProcessInfo | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  return HAS_PROC ? fromProc(pid) : fromPs(['-p', String(pid)])[0]
}

/** Direct children of this process. */
export function ownChildren(): readonly ProcessInfo[] {
  return allProcesses().filter((process_) => process_.parent === process.pid)
}

/** Processes that carry `variable=value` in their environment; empty where the system does not tell. */
export function processesWithEnvironment(variable: string, value: string): readonly ProcessInfo[] {
  if (!HAS_PROC) return []
  const wanted = `${variable}=${value}`
  return allProcesses().filter(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(wanted)
    } catch {
      // Gone meanwhile, or another user's: not ours.
      return false
    }
  })
}

export function isWorkerd({ command }: ProcessInfo): boolean {
  return /\bworkerd(\.exe)? serve\b/.test(command)
}

/** The npm that runs us (`npm start`, `npx edge-ocsp dev`), past the shell that it may have put in between. */
export function launcher(): ProcessInfo | undefined {
  if (process.env['npm_lifecycle_event'] === undefined) return undefined
  const parent = processInfo(process.ppid)
  const isShell = parent !== undefined && /^(\S*\/)?(sh|dash|ash|bash|zsh) /.test(parent.command)
  return isShell ? processInfo(parent.parent) : parent
}

function allProcesses(): readonly ProcessInfo[] {
  if (!HAS_PROC) return fromPs(['-A'])
  return readdirSync('/proc').flatMap((name) => {
    const found = /^\d+$/.test(name) ? fromProc(Number(name)) : undefined
    return found === undefined ? [] : [found]
  })
}

/** @see proc_pid_stat(5): the second field is in parentheses and may itself hold some */
function fromProc(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    return { pid, parent: Number(fields[1]), command, started: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

function fromPs(selection: readonly string[]): readonly ProcessInfo[] {
  try {
    // lstart is five words: "Sat Nov 21 03:41:09 2026".
    const table = execFileSync('ps', [...selection, '-o', 'pid=,ppid=,lstart=,command='], {
      encoding: 'utf8',
    })
    return table.split('\n').flatMap((line) => {
      const match = /^\s*(\d+)\s+(\d+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)$/.exec(line)
      if (match === null) return []
      return [
        { pid: Number(match[1]), parent: Number(match[2]), started: match[3] ?? '', command: match[4] ?? '' },
      ]
    })
  } catch {
    return []
  }
}
