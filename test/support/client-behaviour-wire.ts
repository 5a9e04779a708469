/** Question after question over one connection, as a client keeps it. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Sent } from './client-behaviour-octets.ts'

export interface Said extends Sent {
  readonly isHEAD: boolean
  /** The body waits for 100 Continue. */
  readonly expects: boolean
  /** The next one follows without waiting. */
  readonly pipelined: boolean
  /** Share of the octets in the first of two parts. */
  readonly cut: number
}

export interface Heard {
  readonly status: number
  readonly version: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** There was a 100 before it. */
  readonly continued: boolean
}

export interface Conversed {
  /** One for each question, in order. */
  readonly heard: readonly Heard[]
  /** The server ended the connection after the last. */
  readonly closed: boolean
}

const SILENCE_MS = 15_000
const END_MS = 5_000

/** @param waitsForEnd wait for the server to end the connection. @throws Error when an answer is missing, or one is too many */
export async function converse(url: string, all: readonly Said[], waitsForEnd: boolean): Promise<Conversed> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  const listener = new Listener(socket)
  try {
    await once(socket, 'connect')
    const heard: Heard[] = []
    const waiting: Said[] = []
    const hear = async (continued: boolean) => {
      for (const { isHEAD } of waiting.splice(0)) heard.push(await listener.answer(isHEAD, continued))
    }
    for (const said of all) {
      if (said.expects) await hear(false)
      const continued = await say(socket, listener, said)
      waiting.push(said)
      if (!said.pipelined || said.expects) await hear(continued)
    }
    await hear(false)
    return { heard, closed: waitsForEnd && (await listener.end()) }
  } finally {
    socket.destroy()
  }
}

/** @returns whether the server said 100 */
async function say(socket: Socket, listener: Listener, { head, body, expects, cut }: Said): Promise<boolean> {
  if (expects) {
    socket.write(head)
    await listener.goAhead()
    socket.write(body)
    return true
  }
  const octets = Buffer.concat([Buffer.from(head, 'latin1'), body])
  const at = Math.floor(octets.length * cut)
  socket.write(octets.subarray(0, at))
  if (at > 0) await new Promise((resolve) => setImmediate(resolve))
  socket.write(octets.subarray(at))
  return false
}

class Listener {
  #received = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => undefined

  constructor(socket: Socket) {
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data])
      this.#wake()
    })
    const end = () => {
      this.#ended = true
      this.#wake()
    }
    socket.on('end', end).on('close', end).on('error', end)
  }

  /** 100 Continue. */
  async goAhead(): Promise<void> {
    const head = await this.#head()
    if (!/^HTTP\/1\.1 100 /.test(head)) throw new Error(`no 100 but ${JSON.stringify(head)}`)
  }

  async answer(isHEAD: boolean, continued: boolean): Promise<Heard> {
    const [statusLine = '', ...lines] = (await this.#head()).split('\r\n')
    const [, version = '', code = ''] = /^HTTP\/(1\.\d) (\d{3})/.exec(statusLine) ?? []
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const status = Number(code)
    // Clients of HTTP/1.0 know no chunks, and some read by Content-Length alone: it must be there (R1.102, R5.30).
    const length = isHEAD || status === 304 ? 0 : Number(headers.get('content-length') ?? Number.NaN)
    if (Number.isNaN(length))
      throw new Error(`an answer without a length: ${statusLine}, ${JSON.stringify(lines)}`)
    await this.#until(() => this.#received.length >= length)
    return { status, version, headers, body: this.#take(length), continued }
  }

  /** Whether the server ends the connection, with nothing before. */
  async end(): Promise<boolean> {
    await this.#until(() => this.#ended || this.#received.length > 0, END_MS)
    if (this.#received.length > 0)
      throw new Error(`more than was asked for: ${this.#received.toString('latin1')}`)
    return this.#ended
  }

  async #head(): Promise<string> {
    await this.#until(() => this.#received.includes('\r\n\r\n'))
    const end = this.#received.indexOf('\r\n\r\n')
    const head = this.#take(end).toString('latin1')
    this.#take(4)
    return head
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length)
    this.#received = this.#received.subarray(length)
    return taken
  }

  async #until(isThere: () => boolean, timeoutMs = SILENCE_MS): Promise<void> {
    const end = Date.now() + timeoutMs
    while (!isThere()) {
      if (this.#ended) throw new Error(`ended after ${JSON.stringify(this.#received.toString('latin1'))}`)
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`nothing more after ${JSON.stringify(this.#received.toString('latin1'))}`)),
          end - Date.now(),
        )
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}
