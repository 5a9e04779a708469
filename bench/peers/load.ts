/**
 * The load, the same for all rows: wrk on a core of its own, else a client in Node (node-load.ts) that does the same and takes
 * more of that core. Both count statuses, keep some of the answers, and say how much of the core they used.
 */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Exchange } from '../load.ts'
import type { Load, LoadOptions } from './contest.ts'
import { pinned } from './cores.ts'

export const CONNECTIONS = 16
/** Answers kept of one measurement: the first ones, then each a third later than the one before. */
export const SAMPLE_GROWTH = 1.35

export const LOAD_GENERATOR: 'wrk' | 'node' =
  spawnSync('wrk', ['--version']).error === undefined ? 'wrk' : 'node'

/**
 * Requests as octets, each after a line with its length: `args[1]`. A response function makes wrk keep bodies for it. What wrk does by
 * itself before it begins is to connect and say nothing, which hangs a responder that takes one connection at a time.
 */
const WRK_SCRIPT = `
function wrk.resolve(host, service) wrk.addrs = wrk.lookup(host, service) end
local made, at, next, threads = {}, 0, 1, {}
answers, others, kept = 0, 0, ""
function setup(thread) threads[#threads + 1] = thread end
function init(args)
  local file = io.open(args[1], "rb")
  for line in function() return file:read("*l") end do made[#made + 1] = file:read(tonumber(line)) end
  file:close()
end
function request() at = at % #made + 1; return made[at] end
function response(status, headers, body)
  answers = answers + 1
  if status ~= 200 then others = others + 1 end
  if answers >= next then
    next = math.ceil(next * ${SAMPLE_GROWTH})
    kept = kept .. body:gsub(".", function(octet) return ("%02x"):format(octet:byte()) end) .. "\\n"
  end
end
function done(summary, latency)
  local answers, others, kept = 0, 0, ""
  for _, thread in ipairs(threads) do
    answers, others = answers + thread:get("answers"), others + thread:get("others")
    kept = kept .. thread:get("kept")
  end
  local e = summary.errors
  print(("RESULT %d %d %d %d %d %d %f"):format(answers, others, e.connect + e.read + e.write + e.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99), os.clock()))
  io.write(kept)
end
`

/** @returns a function that measures, its generator pinned to the core */
export function loader(core: number | undefined): (options: LoadOptions) => Promise<Load> {
  return async ({ port, exchanges, seconds, close }) => {
    const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-load-'))
    try {
      const list = join(folder, 'requests')
      const requests = exchanges.map((exchange) => requestOctets(exchange, port, close))
      writeFileSync(list, Buffer.concat(requests.flatMap((made) => [Buffer.from(`${made.length}\n`), made])))
      if (LOAD_GENERATOR === 'node') {
        const script = join(import.meta.dirname, 'node-load.ts')
        return parse(await run(core, process.execPath, [script, `${port}`, `${seconds}`, list]))
      }
      const script = join(folder, 'load.lua')
      writeFileSync(script, WRK_SCRIPT)
      const options = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script]
      return parse(await run(core, 'wrk', [...options, `http://127.0.0.1:${port}/`, list]))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** @throws Error when the generator did not say what it saw */
export function parse(output: string): Load {
  const [, line, rest] = /^RESULT (.*)\n([\s\S]*)/m.exec(output) ?? []
  const [answers, not200, broken, duration, p50, p99, processor] = (line ?? '').split(' ').map(Number)
  if (
    answers === undefined ||
    not200 === undefined ||
    broken === undefined ||
    duration === undefined ||
    p50 === undefined ||
    p99 === undefined ||
    processor === undefined
  )
    throw new Error(`the load generator gave no result: ${output.slice(0, 200)}`)
  const samples = (rest ?? '')
    .split('\n')
    .filter((hex) => hex !== '')
    .map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
  return {
    answers,
    not200,
    broken,
    duration: duration / 1e6,
    p50: p50 / 1000,
    p99: p99 / 1000,
    processor,
    samples,
  }
}

export function requestOctets({ path, body }: Exchange, port: number, close: boolean): Buffer {
  const head = [
    `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    ...(close ? ['Connection: close'] : []),
    ...(body === undefined
      ? []
      : ['Content-Type: application/ocsp-request', `Content-Length: ${body.length}`]),
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body ?? Buffer.alloc(0)])
}

function run(core: number | undefined, command: string, args: readonly string[]): Promise<string> {
  const [program, line] = pinned(core, command, args)
  return new Promise((resolve, reject) => {
    execFile(program, line, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    )
  })
}
