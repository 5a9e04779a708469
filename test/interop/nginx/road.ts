/** The way between nginx and the Worker: passes everything on as it is, notes what went by, and can be slow or closed. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { pause } from '../matrix/tls-programs.ts'

/** One exchange with the Worker. */
export interface Passage {
  readonly method: string
  /** Request target, as it came. */
  readonly target: string
  readonly asked: IncomingHttpHeaders
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** When the answer was handed on, milliseconds since 1970. */
  readonly at: number
}

export interface Road {
  readonly url: string
  /** So far, in their order. */
  readonly passages: readonly Passage[]
  /** How long answers to a request target are on their way; 0 when it does not stand here. */
  readonly delays: Map<string, number>
  /** True: nobody gets through. */
  isClosed: boolean
  close(): Promise<void>
}

export async function startRoad(target: string): Promise<Road> {
  const passages: Passage[] = []
  const server = createServer((asked, response) => {
    if (road.isClosed) {
      asked.socket.destroy()
      return
    }
    forward(target, asked)
      .then(async (passage) => {
        await pause(road.delays.get(passage.target) ?? 0)
        passages.push({ ...passage, at: Date.now() })
        const { connection: _, ...headers } = passage.headers
        response.writeHead(passage.status, headers).end(passage.body)
      })
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const road: Road = {
    url: `http://127.0.0.1:${address.port}`,
    passages,
    delays: new Map(),
    isClosed: false,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
  return road
}

async function forward(target: string, asked: IncomingMessage): Promise<Omit<Passage, 'at'>> {
  const { method = '', url = '', headers } = asked
  const question = await buffer(asked)
  const { hostname, port, host } = new URL(target)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request({ hostname, port, method, path: url, headers: { ...headers, host } }, resolve)
    sent.once('error', reject)
    sent.end(question)
  })
  const body = await buffer(answer)
  return {
    method,
    target: url,
    asked: headers,
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body,
  }
}
