/** HTTP by the octet: what no HTTP library lets a test send or see. */
import { once } from 'node:events'
import { connect } from 'node:net'

export interface WireAnswer {
  readonly status: number
  readonly statusLine: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Without chunked framing, if there was any. */
  readonly body: Uint8Array
  /** Status of each answer before the last one, such as 100. */
  readonly before: readonly number[]
  /** The server closed the connection. */
  readonly closed: boolean
}

const SILENCE_MS = 15_000

/**
 * Sends the parts, each in a write of its own; a part that is a function is made of what has come so far (it may wait).
 * @throws Error when nothing complete comes back in time
 */
export async function wire(
  url: string,
  parts: readonly (string | Uint8Array | (() => Promise<string | Uint8Array>))[],
): Promise<WireAnswer> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  let received = Buffer.alloc(0)
  let closed = false
  const finished = new Promise<WireAnswer>((resolve, reject) => {
    const look = () => {
      const answer = parse(received, closed)
      if (answer !== undefined) resolve(answer)
      else if (closed) reject(new Error(`closed after ${JSON.stringify(received.toString('latin1'))}`))
    }
    socket.on('data', (data) => {
      received = Buffer.concat([received, data])
      look()
    })
    const end = () => {
      closed = true
      look()
    }
    socket.on('end', end).on('close', end)
    // A server that has seen enough may reset; what it said before counts.
    socket.on('error', end)
    socket.setTimeout(SILENCE_MS, () => reject(new Error('nothing complete came back')))
  })
  finished.catch(() => undefined)
  try {
    await once(socket, 'connect')
    for (const part of parts) {
      if (closed) break
      socket.write(typeof part === 'function' ? await part() : part)
    }
    return await finished
  } finally {
    socket.destroy()
  }
}

/** Head of a request, with the empty line. */
export function head(method: string, path: string, headers: readonly string[] = [], version = '1.1'): string {
  return [`${method} ${path} HTTP/${version}`, 'Host: ocsp.example', ...headers, '', ''].join('\r\n')
}

function parse(received: Buffer, closed: boolean): WireAnswer | undefined {
  const before: number[] = []
  let rest = received
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const [statusLine = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const status = Number(statusLine.split(' ')[1])
    rest = rest.subarray(end + 4)
    if (status < 200) {
      before.push(status)
      continue
    }
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const body = readBody(rest, headers, status, closed)
    return body === undefined ? undefined : { status, statusLine, headers, body, before, closed }
  }
}

function readBody(
  rest: Buffer,
  headers: ReadonlyMap<string, string>,
  status: number,
  closed: boolean,
): Uint8Array | undefined {
  if (status === 304 || status === 204) return new Uint8Array(0)
  if (headers.get('transfer-encoding') === 'chunked') return unchunk(rest)
  const length = headers.get('content-length')
  if (length === undefined) return closed ? rest : undefined
  return rest.length < Number(length) && !closed ? undefined : rest.subarray(0, Number(length))
}

function unchunk(rest: Buffer): Uint8Array | undefined {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = rest.indexOf('\r\n', at)
    if (end < 0) return undefined
    const length = Number.parseInt(rest.subarray(at, end).toString('latin1'), 16)
    if (rest.length < end + 4 + length) return undefined
    if (length === 0) return Buffer.concat(parts)
    parts.push(rest.subarray(end + 2, end + 2 + length))
    at = end + 4 + length
  }
}

/** Numbers of 31 bits, the same in each run. */
export function xorshift(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 1
  }
}
