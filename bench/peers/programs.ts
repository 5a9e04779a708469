/** The peers as Debian has them, each a process of its own on the servers' core. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { formatPEM } from '../../src/pkix/pem.ts'
import type { TestPKI } from '../../test/support/pki.ts'
import { processorTime } from '../servers.ts'
import { pinned } from './cores.ts'

const START_MS = 60_000
const DAY = 86_400

export interface Program {
  readonly port: number
  /** What it says of itself. */
  readonly version: string
  processorTime(): number
  /** Ends it and starts it again, behind the same port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface ProgramOptions {
  /** An empty folder of its own. */
  readonly folder: string
  readonly core: number | undefined
  readonly pki: TestPKI
  readonly serials: readonly Uint8Array[]
  /** One pre-signed answer each, in the same order. */
  readonly answers: readonly Uint8Array[]
}

export interface Peer {
  readonly name: 'openssl ocsp' | 'cfssl ocspserve' | 'nginx'
  /** @returns why it cannot be here */
  missing(): string | undefined
  start(options: ProgramOptions): Promise<Program>
}

/**
 * `openssl ocsp -port`: one process, one connection at a time, one exchange each; signs every answer. A connection that ends
 * without a request makes OpenSSL 3.0 read it for ever, and nobody else is answered: the load must not make one, and when it
 * stops it may, so the program runs only while it is measured: what hangs takes the whole core.
 */
const OPENSSL: Peer = {
  name: 'openssl ocsp',
  missing: () => absent('openssl', ['version'], 'openssl'),
  async start({ folder, core, pki, serials }) {
    const file = (name: string) => join(folder, name)
    const { certificate, pkcs8 } = pki.responder
    if (certificate === undefined) throw new Error('the responder has no certificate')
    writeFileSync(file('ca.pem'), formatPEM('CERTIFICATE', pki.issuer.certificate))
    writeFileSync(file('responder.pem'), formatPEM('CERTIFICATE', certificate))
    writeFileSync(file('key.pem'), formatPEM('PRIVATE KEY', pkcs8), { mode: 0o600 })
    const expiry = indexTime(Math.floor(Date.now() / 1000) + 90 * DAY)
    const line = (serial: Uint8Array, i: number) =>
      `V\t${expiry}\t\t${Buffer.from(serial).toString('hex').toUpperCase()}\tunknown\t/CN=${i}.example\n`
    writeFileSync(file('index.txt'), serials.map(line).join(''))
    const port = await freePort()
    const signer = ['-rsigner', file('responder.pem'), '-rkey', file('key.pem'), '-CA', file('ca.pem')]
    const args = ['ocsp', '-port', `${port}`, '-index', file('index.txt'), ...signer, '-ndays', '7']
    return await run(
      'openssl',
      [...args, '-ignore_err'],
      { port, core, folder },
      printed('openssl', ['version']),
    )
  },
}

/** `cfssl ocspserve`: pre-signed answers from a file, by serial number, in memory. Go: HTTP with kept connections. */
const CFSSL: Peer = {
  name: 'cfssl ocspserve',
  missing: () => absent('cfssl', ['version'], 'golang-cfssl'),
  async start({ folder, core, answers }) {
    const responses = join(folder, 'responses')
    writeFileSync(responses, answers.map((der) => `${Buffer.from(der).toString('base64')}\n`).join(''))
    const port = await freePort()
    const args = ['ocspserve', '-address', '127.0.0.1', '-port', `${port}`, '-responses', responses]
    return await run(
      'cfssl',
      [...args, '-loglevel', '5'],
      { port, core, folder },
      printed('cfssl', ['version']),
    )
  },
}

/** nginx with one file for every question: what this machine can do at all. */
const NGINX: Peer = {
  name: 'nginx',
  missing: () => absent(nginxProgram(), ['-v'], 'nginx-light'),
  async start({ folder, core, answers }) {
    for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi', 'site']) mkdirSync(join(folder, name))
    writeFileSync(join(folder, 'site/answer'), answers[0] ?? new Uint8Array())
    const port = await freePort()
    const configuration = join(folder, 'nginx.conf')
    // A static file takes no POST, so the 405 is turned into the file; the body is read and thrown away.
    writeFileSync(
      configuration,
      `daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log ${folder}/error.log;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    open_file_cache max=10;
    sendfile on;
    tcp_nopush on;
    server {
        listen 127.0.0.1:${port};
        root ${folder}/site;
        default_type application/ocsp-response;
        error_page 405 =200 /answer;
        location / { rewrite ^ /answer break; }
        location = /answer { }
    }
}
`,
    )
    const args = ['-p', folder, '-c', configuration, '-e', join(folder, 'error.log')]
    return await run(nginxProgram(), args, { port, core, folder }, printed(nginxProgram(), ['-v']))
  },
}

export const PEERS: readonly Peer[] = [OPENSSL, CFSSL, NGINX]

/** Not in everybody's PATH. */
function nginxProgram(): string {
  return existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'
}

function absent(program: string, args: readonly string[], debianPackage: string): string | undefined {
  const { error } = spawnSync(program, args)
  return error === undefined
    ? undefined
    : `${program} is not installed (Debian: apt-get install ${debianPackage})`
}

export function printed(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return `${stdout}${stderr}`.trim().split('\n')[0]?.trim() ?? ''
}

/** @throws Error with what it wrote, when it ends or does not listen within a minute */
export async function run(
  program: string,
  args: readonly string[],
  { port, core, folder }: { port: number; core: number | undefined; folder: string },
  version: string,
): Promise<Program> {
  const [command, line] = pinned(core, program, args)
  // A file, because some write a line for each exchange, and a pipe would have to be emptied by the process that measures.
  const log = join(folder, 'stderr')
  let running = await launch(command, line, port, log)
  return {
    port,
    version,
    processorTime: () => processorTime(running.child.pid),
    async restart() {
      await end(running)
      running = await launch(command, line, port, log)
    },
    stop: () => end(running),
  }
}

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<void>
}

async function launch(command: string, args: readonly string[], port: number, log: string): Promise<Running> {
  const stderr = openSync(log, 'w')
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', stderr] })
  closeSync(stderr)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  // Whatever ends this process ends the peers.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  void ended.then(() => process.off('exit', kill))
  const running = { child, ended }
  const deadline = Date.now() + START_MS
  while (!(await listens(port))) {
    if (child.pid === undefined || child.exitCode !== null || Date.now() > deadline) {
      await end(running)
      throw new Error(`${command} did not come up: ${readFileSync(log, 'utf8').trim().slice(-500)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return running
}

async function end({ child, ended }: Running): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await ended
  clearTimeout(timer)
}

/** From the kernel's list where there is one: a connection made to see would be the first of a server that takes one at a time. */
async function listens(port: number): Promise<boolean> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  try {
    return ['/proc/net/tcp', '/proc/net/tcp6'].some((file) =>
      new RegExp(`^ *\\d+: [0-9A-F]+:${hex} [0-9A-F:]+ 0A `, 'm').test(readFileSync(file, 'latin1')),
    )
  } catch {
    return await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}

/** UTCTime, as in index.txt. */
function indexTime(time: number): string {
  return `${new Date(time * 1000).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`
}
