/** `edge-ocsp dev` in a process group of its own, which is killed as a whole: command, runtime and all. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../support/server.ts'

const READY_MS = 60_000

export class RealServer {
  readonly state: string
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #output = ''
  /** Where it answers; '' before the first start. It keeps its port. */
  url = ''
  starts = 0

  constructor(state: string) {
    this.state = state
  }

  get output(): string {
    return this.#output
  }

  /** @returns whether it became ready before it was killed. @throws Error with its output when it ended by itself */
  async start(): Promise<boolean> {
    const port = this.url === '' ? '0' : new URL(this.url).port
    const { EDGE_OCSP_STATE: _state, EDGE_OCSP_URL: _url, EDGE_OCSP_TOKEN: _token, ...rest } = process.env
    const main = join(PROJECT_ROOT, 'src/cli/main.ts')
    const child = spawn(
      process.execPath,
      [main, 'dev', '--no-demo', '--port', port, '--state', this.state],
      // As if npm had started it: then it ends by itself when this process is gone.
      {
        cwd: PROJECT_ROOT,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...rest, npm_lifecycle_event: 'chaos' },
      },
    )
    this.#child = child
    this.starts += 1
    const ended = new Promise<'ended'>((resolve) => child.once('exit', () => resolve('ended')))
    this.#ended = ended
    let output = ''
    const ready = new Promise<'ready'>((resolve) => {
      const read = (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-20_000)
        this.#output = output
        const url = /^ready (http:\S+)$/m.exec(output)?.[1]
        if (url === undefined) return
        this.url = url
        resolve('ready')
      }
      child.stdout.on('data', read)
      child.stderr.on('data', read)
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), READY_MS)
    })
    const outcome = await Promise.race([ready, ended, late])
    clearTimeout(timer)
    if (outcome === 'ready') return true
    if (outcome === 'ended' && child.signalCode === 'SIGKILL') return false
    await this.kill()
    throw new Error(`the server is not ready: ${outcome}\n${output}`)
  }

  /** SIGKILL of the whole group, and wait for the end. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await this.#ended
  }

  async stop(): Promise<void> {
    if (this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null)
      this.#child.kill('SIGTERM')
    await this.#ended
    this.#signal('SIGKILL') // whatever of the group is left
  }

  #signal(name: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, name)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }

  /** One admin call; POST when there is a body. @throws Error when it is not 2xx, or the connection breaks */
  async admin(path: string, body?: unknown): Promise<unknown> {
    const token = readFileSync(join(this.state, 'admin-token'), 'utf8').trim()
    const response = await fetch(`${this.url}/admin/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new RefusedCall(response.status, `${path}: HTTP ${response.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
}

/** The server has answered, and says no. */
export class RefusedCall extends Error {
  override readonly name = 'RefusedCall'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
