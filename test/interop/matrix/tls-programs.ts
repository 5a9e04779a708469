/** Programs around TLS as children of a test: servers in the foreground, on ports of their own, and clients without input. */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect, createServer } from 'node:net'

export interface ProgramRun {
  readonly code: number | null
  /** Both streams, as they came. */
  readonly output: string
}

/** Programs are as slow as the machine is busy; this is for those that hang. */
const PATIENCE_MS = 30_000

/** Runs a client to its end; its standard input is empty, so it hangs up after the handshake. Never rejects. */
export function runWithoutInput(program: string, args: readonly string[], cwd: string): Promise<ProgramRun> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS })
  const read = collect(child)
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, output: error.message }))
    child.once('close', (code) => resolve({ code, output: read() }))
  })
}

export interface RunningServer {
  /** What it printed so far. */
  output(): string
  /** SIGTERM, and its end; SIGKILL when that does not come. */
  stop(): Promise<void>
}

/**
 * Starts a server that stays in the foreground, and waits until it listens on the port of 127.0.0.1.
 * @throws Error when it ends before that
 */
export async function startTLSServer(
  program: string,
  args: readonly string[],
  port: number,
  cwd: string,
): Promise<RunningServer> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const read = collect(child)
  let over: string | undefined
  child.once('error', (error) => {
    over = error.message
  })
  const ended = new Promise<void>((resolve) =>
    child.once('close', (code, signal) => {
      over ??= `ended with ${code ?? signal}`
      resolve()
    }),
  )
  const stop = async () => {
    if (over !== undefined) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    await ended
    clearTimeout(timer)
  }
  const deadline = Date.now() + PATIENCE_MS
  while (!(await listens(port))) {
    if (over !== undefined) throw new Error(`${program} ${over}:\n${read()}`)
    if (Date.now() > deadline) {
      await stop()
      throw new Error(`${program} does not listen on ${port}:\n${read()}`)
    }
    await pause(20)
  }
  return { output: read, stop }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return address.port
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function collect(child: ChildProcess): () => string {
  let output = ''
  const add = (chunk: Buffer) => {
    output += chunk.toString()
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return () => output
}
