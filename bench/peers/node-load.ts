/** The load generator for where wrk is not installed: `node node-load.ts PORT SECONDS LIST`, says what wrk's script says. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { percentile } from './figures.ts'
import { CONNECTIONS, SAMPLE_GROWTH } from './load.ts'

const [, , port, seconds, list] = process.argv
const requests = readRequests(readFileSync(list ?? ''))
const times: number[] = []
const kept: string[] = []
let next = 0
let others = 0
let broken = 0
let sampleAt = 1
const start = performance.now()
const end = start + Number(seconds) * 1000

await Promise.all(Array.from({ length: CONNECTIONS }, keepBusy))
const duration = performance.now() - start
times.sort((a, b) => a - b)
const { user, system } = process.cpuUsage()
const micro = (milliseconds: number) => Math.round(milliseconds * 1000)
const figures = [times.length, others, broken, micro(duration)]
const ranks = [0.5, 0.99].map((share) => (times.length === 0 ? 0 : micro(percentile(times, share))))
process.stdout.write(`RESULT ${[...figures, ...ranks, (user + system) / 1e6].join(' ')}\n`)
process.stdout.write(kept.map((hex) => `${hex}\n`).join(''))

/** One connection after the other until the time is over. */
async function keepBusy(): Promise<void> {
  while (performance.now() < end) if (!(await connection())) broken++
}

/** @returns whether it ended between two exchanges */
function connection(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1')
    let held = Buffer.alloc(0)
    let asked: number | undefined
    const ask = () => {
      if (performance.now() >= end) {
        socket.destroy()
        return
      }
      asked = performance.now()
      socket.write(requests[next++ % requests.length] ?? '')
    }
    const answered = (status: number, body: Buffer, goesOn: boolean) => {
      times.push(performance.now() - (asked ?? 0))
      asked = undefined
      if (status !== 200) others++
      if (times.length >= sampleAt) {
        sampleAt = Math.ceil(sampleAt * SAMPLE_GROWTH)
        kept.push(body.toString('hex'))
      }
      held = Buffer.alloc(0)
      if (goesOn) ask()
      else socket.destroy()
    }
    socket.setNoDelay(true)
    socket.on('connect', ask)
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(asked === undefined))
    socket.on('data', (chunk) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const headerEnd = held.indexOf('\r\n\r\n')
      if (headerEnd < 0) return
      const header = held.toString('latin1', 0, headerEnd)
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(header)?.[1] ?? Number.NaN)
      if (Number.isNaN(length)) {
        socket.destroy() // counted as broken: every responder here tells it
        return
      }
      if (held.length < headerEnd + 4 + length) return
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(header)?.[1])
      const goesOn = header.startsWith('HTTP/1.1') && !/\r\nconnection: *close/i.test(header)
      answered(status, held.subarray(headerEnd + 4, headerEnd + 4 + length), goesOn)
    })
  })
}

/** Each after a line with its length. */
function readRequests(octets: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < octets.length; ) {
    const line = octets.indexOf('\n', at)
    const length = Number(octets.toString('latin1', at, line))
    found.push(octets.subarray(line + 1, line + 1 + length))
    at = line + 1 + length
  }
  return found
}
