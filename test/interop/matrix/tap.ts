/** Between a client and the Worker: sees what goes over the wire, and may alter the answers. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface Exchange {
  readonly method: string
  /** DER of the request. */
  readonly question: Uint8Array
  /** As the Worker gave it. */
  readonly answer: Uint8Array
}

export interface Tap {
  /** With the final slash. */
  readonly url: string
  /** So far. */
  readonly seen: readonly Exchange[]
  close(): Promise<void>
}

/** @param alter what the client gets for what the Worker answered */
export async function startTap(
  target: string,
  alter: (answer: Uint8Array, seen: readonly Exchange[]) => Uint8Array = (answer) => answer,
): Promise<Tap> {
  const seen: Exchange[] = []
  const server = createServer((request, response) => {
    const { method = '' } = request
    const forwarded = async () => {
      const question = await readQuestion(request)
      const answer = await forward(target, request, question)
      seen.push({ method, question, answer })
      response.setHeader('Content-Type', 'application/ocsp-response').end(alter(answer, seen))
    }
    forwarded().catch((error) => response.writeHead(502).end(String(error)))
  })
  const url = await listen(server)
  const close = () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    return closed
  }
  return { url, seen, close }
}

/** Breaks the signature that ends a response: of the CA over the delegate's certificate, or else of the response itself. */
export function forge(answer: Uint8Array): Uint8Array {
  const forged = Uint8Array.from(answer)
  forged.set([(answer.at(-1) ?? 0) ^ 1], answer.length - 1)
  return forged
}

async function readQuestion(request: IncomingMessage): Promise<Uint8Array> {
  if (request.method === 'GET') {
    const encoded = decodeURIComponent((request.url ?? '').slice(1))
    return Uint8Array.from(Buffer.from(encoded, 'base64'))
  }
  return Uint8Array.from(await buffer(request))
}

async function forward(
  target: string,
  { method, url = '/' }: IncomingMessage,
  question: Uint8Array,
): Promise<Uint8Array> {
  const init =
    method === 'GET'
      ? {}
      : {
          method: 'POST',
          headers: { 'Content-Type': 'application/ocsp-request' },
          body: new Uint8Array(question),
        }
  const response = await fetch(`${target.replace(/\/$/, '')}${url}`, init)
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`)
  return new Uint8Array(await response.arrayBuffer())
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return `http://127.0.0.1:${address.port}/`
}
