/** Where workerd's time goes: a CPU profile of the Worker's isolate, taken through its inspector while it is under load. */

/** The part of a V8 profile that is read here. */
export interface CPUProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** Node ids. */
  readonly samples?: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas?: readonly number[]
}

export interface SelfTime {
  readonly name: string
  /** Of all samples. */
  readonly share: number
}

const INTERVAL_MICROSECONDS = 250

/**
 * Time in each function itself, most first. `(program)` is native code that no JavaScript waits in: HTTP, sockets, the event loop of
 * workerd; `(idle)` is left out.
 */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: CPUProfile): SelfTime[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const spent = new Map<string, number>()
  let total = 0
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? '(unknown)'
    const time = Math.max(0, timeDeltas[i] ?? 0)
    if (name === '(idle)') continue
    total += time
    spent.set(name, (spent.get(name) ?? 0) + time)
  }
  return [...spent]
    .map(([name, time]) => ({ name, share: total === 0 ? 0 : time / total }))
    .sort((a, b) => b.share - a.share)
}

/** Takes a profile of what happens while `work` runs. @throws Error when the inspector does not do it */
export async function profileOf(inspector: string, work: () => Promise<void>): Promise<CPUProfile> {
  const socket = new WebSocket(inspector)
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true })
    socket.addEventListener('error', () => reject(new Error('no inspector')), { once: true })
  })
  try {
    const call = caller(socket)
    await call('Profiler.enable')
    await call('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS })
    await call('Profiler.start')
    await work()
    const stopped = await call('Profiler.stop')
    if (!isProfile(stopped)) throw new Error('the inspector gave no profile')
    return stopped.profile
  } finally {
    socket.close()
  }
}

type Call = (method: string, params?: Readonly<Record<string, number>>) => Promise<unknown>

function caller(socket: WebSocket): Call {
  let last = 0
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data))
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(result)
    else call?.reject(new Error(`the inspector says ${JSON.stringify(error)}`))
  })
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the inspector went away'))
  })
  return (method, params = {}) => {
    last += 1
    const id = last
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      socket.send(JSON.stringify({ id, method, params }))
    })
  }
}

function isProfile(value: unknown): value is { readonly profile: CPUProfile } {
  if (typeof value !== 'object' || value === null || !('profile' in value)) return false
  const { profile } = value
  return typeof profile === 'object' && profile !== null && 'nodes' in profile && Array.isArray(profile.nodes)
}

function nameOf({ functionName, url, lineNumber }: CPUProfile['nodes'][number]['callFrame']): string {
  if (functionName !== '') return functionName
  return url === '' ? '(anonymous)' : `(anonymous, line ${lineNumber + 1})`
}
