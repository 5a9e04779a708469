/** The real program as a child process, and a real admin API (its app over its SQL) behind node:http for it to talk to. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminApp } from '../../src/http/admin.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { type AdminWorld, adminWorld, NOW, TOKEN } from '../http/admin-world.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

export const PROGRAM = join(import.meta.dirname, '../../bin/edge-ocsp.js')

export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** stdout as JSON. */
  json(): unknown
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string | Uint8Array
  readonly cwd?: string
}

/** Runs `edge-ocsp ...` with none of our own environment that it reads. */
export function runProgram(
  args: readonly string[],
  { env = {}, input = '', cwd }: RunOptions = {},
): Promise<Run> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('EDGE_OCSP_'))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: { ...Object.fromEntries(inherited), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr, json: (): unknown => JSON.parse(stdout) }))
    // A program that does not read its input closes the pipe: that is no failure of the test.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** A folder of its own, with the state folder of a running responder in it. */
export class Workplace {
  readonly folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-cli-'))
  readonly state = join(this.folder, 'state')

  constructor(url: string) {
    mkdirSync(this.state)
    this.write('state/admin-token', `${TOKEN}\n`)
    this.write('state/url', `${url}\n`)
  }

  /** @returns the path */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name)
    writeFileSync(path, content)
    return path
  }

  writeCertificate(name: string, der: Uint8Array): string {
    return this.write(name, formatPEM('CERTIFICATE', der))
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return runProgram(args, {
      cwd: this.folder,
      ...options,
      env: { EDGE_OCSP_STATE: this.state, ...options.env },
    })
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A loopback server that answers with what `handle` gives. */
export class LocalServer {
  readonly #server: Server
  readonly #handle: (request: Request) => Promise<Response>

  constructor(handle: (request: Request) => Promise<Response>) {
    this.#handle = handle
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((listening) => {
      this.#server.listen(0, '127.0.0.1', listening)
    })
    return this.url
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `http://127.0.0.1:${address.port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((closed) => this.#server.close(closed))
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const { method = 'GET', url = '/', headers } = incoming
    const request = new Request(`${this.url}${url}`, {
      method,
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
      ...(method === 'GET' ? {} : { body: Buffer.concat(chunks) }),
    })
    const response = await this.#handle(request)
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    outgoing.end(new Uint8Array(await response.arrayBuffer()))
  }
}

export interface AdminServer {
  readonly url: string
  readonly world: AdminWorld
  /** `METHOD path` of every request, in order. */
  readonly requests: string[]
  /** Answers instead of the API while set. */
  intercept: ((request: Request) => Response | undefined | Promise<Response | undefined>) | undefined
  close(): Promise<void>
}

export async function adminServer(): Promise<AdminServer> {
  const store = new D1AdminStore(new SqliteD1({ now: () => NOW }))
  const world = adminWorld({ store })
  const app = adminApp(world.deps)
  const requests: string[] = []
  const server = new LocalServer(async (request) => {
    requests.push(`${request.method} ${new URL(request.url).pathname}`)
    return (await made.intercept?.(request)) ?? app.fetch(request)
  })
  const made: AdminServer = {
    url: await server.listen(),
    world,
    requests,
    intercept: undefined,
    close: () => server.close(),
  }
  return made
}
