/** `edge-ocsp dev` as a child process: what end-to-end tests talk to. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const PROJECT_ROOT = join(import.meta.dirname, '../..')

export interface ServerOptions {
  /** With the demonstration CA; default true. */
  readonly demo?: boolean
  /** Such as "4m". */
  readonly validity?: string
  /** State folder of an earlier server; default: a new temporary one, removed by `stop`. */
  readonly state?: string
  /** Default: any free one. */
  readonly port?: number
  /** D1 databases; default 1. */
  readonly databases?: number
}

export interface TestServer {
  readonly url: string
  /** Absolute path of the state folder. */
  readonly state: string
  /** Of the admin API. */
  readonly token: string
  readonly pid: number
  /** Everything it has written so far, both streams. */
  output(): string
  /** The `openssl ocsp` lines as printed. */
  openssl(): readonly string[]
  /** One admin call. `path` is what follows /admin/v1; POST when there is a body. @throws Error when it is not 2xx */
  admin(path: string, body?: unknown, method?: string): Promise<unknown>
  /** SIGTERM and wait; removes the state folder unless it was given or `keep` is set. @returns the exit code */
  stop(options?: { keep?: boolean }): Promise<number | null>
  /** SIGKILL of the dev command alone, and wait for its end. */
  kill9(): Promise<void>
}

const READY_MS = 60_000

/** @throws Error with the output when it ends, or is not ready within a minute */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const state = options.state ?? mkdtempSync(join(tmpdir(), 'edge-ocsp-test-'))
  const args = [
    join(PROJECT_ROOT, 'src/cli/main.ts'),
    'dev',
    ...['--port', String(options.port ?? 0)],
    ...['--state', state],
    ...(options.demo === false ? ['--no-demo'] : []),
    ...(options.databases === undefined ? [] : ['--databases', String(options.databases)]),
    ...(options.validity === undefined ? [] : ['--validity', options.validity]),
  ]
  const child = spawn(process.execPath, args, {
    cwd: PROJECT_ROOT,
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`not ready within ${READY_MS / 1000} s:\n${output}`))
    }, READY_MS)
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      const ready = /^ready (http:\S+)$/m.exec(output)?.[1]
      if (ready === undefined) return
      clearTimeout(timer)
      resolve(ready)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    void ended.then((code) => {
      clearTimeout(timer)
      reject(new Error(`ended with ${code} before it was ready:\n${output}`))
    })
  })
  return {
    url,
    state,
    token: readFileSync(join(state, 'admin-token'), 'utf8').trim(),
    pid: child.pid ?? -1,
    output: () => output,
    openssl: () => output.split('\n').filter((line) => line.startsWith('openssl ocsp')),
    admin: (path, body, method) => callAdmin(url, state, path, body, method),
    async stop({ keep = false } = {}) {
      const code = await end(child, 'SIGTERM', ended)
      if (options.state === undefined && !keep) rmSync(state, { recursive: true, force: true })
      return code
    },
    async kill9() {
      await end(child, 'SIGKILL', ended)
    },
  }
}

async function end(
  child: ChildProcess,
  signal: NodeJS.Signals,
  ended: Promise<number | null>,
): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal)
  return await ended
}

async function callAdmin(
  url: string,
  state: string,
  path: string,
  body?: unknown,
  method?: string,
): Promise<unknown> {
  const token = readFileSync(join(state, 'admin-token'), 'utf8').trim()
  const response = await fetch(`${url}/admin/v1${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method ?? ''} ${path}: HTTP ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** As if npm had started it: then it ends by itself, shortly after the test's process, even when a test never got to `stop`. */
function environment(): NodeJS.ProcessEnv {
  const { EDGE_OCSP_STATE: _state, EDGE_OCSP_URL: _url, EDGE_OCSP_TOKEN: _token, ...rest } = process.env
  return { ...rest, npm_lifecycle_event: 'edge-ocsp-test' }
}
