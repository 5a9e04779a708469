/** Load: wrk when it is installed, else a client of our own that keeps the same number of connections busy. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CONNECTIONS = 16

/** One HTTP exchange to repeat: a GET, or a POST when it has a body. */
export interface Exchange {
  readonly path: string
  readonly body?: Uint8Array
}

export interface LoadResult {
  readonly perSecond: number
  /** Other statuses than 2xx, and broken connections. */
  readonly errors: number
}

export const LOAD_GENERATOR: 'wrk' | 'node' =
  spawnSync('wrk', ['--version']).error === undefined ? 'wrk' : 'node'

/** Repeats the exchanges in turn for so many seconds. */
export async function load(
  port: number,
  exchanges: readonly Exchange[],
  seconds: number,
): Promise<LoadResult> {
  return LOAD_GENERATOR === 'wrk' ? await wrk(port, exchanges, seconds) : await node(port, exchanges, seconds)
}

/** One line an exchange: path, and the body in hex. */
const WRK_SCRIPT = `
local made, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local path, hex = line:match("^(%S+) ?(%x*)$")
    if hex == "" then made[#made + 1] = wrk.format("GET", path)
    else
      local body = hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)
      made[#made + 1] = wrk.format("POST", path, { ["Content-Type"] = "application/ocsp-request" }, body)
    end
  end
end
function request() at = at % #made + 1; return made[at] end
function done(summary)
  local e = summary.errors
  print(("RESULT %d %d %d"):format(summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout))
end
`

async function wrk(port: number, exchanges: readonly Exchange[], seconds: number): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-load-'))
  try {
    const script = join(folder, 'load.lua')
    const list = join(folder, 'exchanges')
    writeFileSync(script, WRK_SCRIPT)
    writeFileSync(
      list,
      exchanges.map(({ path, body }) => `${path} ${Buffer.from(body ?? []).toString('hex')}\n`).join(''),
    )
    const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, `http://127.0.0.1:${port}/`, list]
    const output = await new Promise<string>((resolve, reject) => {
      execFile('wrk', args, (error, stdout) => (error === null ? resolve(stdout) : reject(error)))
    })
    const [, requests, microseconds, errors] = /RESULT (\d+) (\d+) (\d+)/.exec(output) ?? []
    if (requests === undefined) throw new Error(`wrk gave no result: ${output.slice(0, 200)}`)
    return { perSecond: Number(requests) / (Number(microseconds) / 1e6), errors: Number(errors) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function node(port: number, exchanges: readonly Exchange[], seconds: number): Promise<LoadResult> {
  const requests = exchanges.map(requestBytes)
  const end = performance.now() + seconds * 1000
  const start = performance.now()
  let next = 0
  let answers = 0
  let errors = 0
  const connection = () =>
    new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      let held = Buffer.alloc(0)
      const ask = () => socket.write(requests[next++ % requests.length] ?? '')
      socket.setNoDelay(true)
      socket.on('connect', ask)
      socket.on('error', () => {
        errors++
      })
      socket.on('close', () => resolve())
      socket.on('data', (chunk) => {
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
        const headerEnd = held.indexOf('\r\n\r\n')
        if (headerEnd < 0) return
        const header = held.toString('latin1', 0, headerEnd)
        const length = Number(/content-length: (\d+)/i.exec(header)?.[1] ?? Number.NaN)
        if (held.length < headerEnd + 4 + length) return
        held = Buffer.alloc(0)
        answers++
        if (!/^HTTP\/1.1 2/.test(header) || Number.isNaN(length)) errors++
        if (performance.now() < end) ask()
        else socket.destroy()
      })
    })
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
  return { perSecond: answers / ((performance.now() - start) / 1000), errors }
}

function requestBytes({ path, body }: Exchange): Buffer {
  if (body === undefined) return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  const header = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/ocsp-request\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(header), body])
}
