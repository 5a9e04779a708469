/** OCSP over HTTP (RFC 6960 appendix A, RFC 9919 section 6): octets in, `respond`, one exit. */
import { OCSPDecodeError } from '../ocsp/error.ts'
import { decodeGetTarget } from '../ocsp/get-path.ts'
import type { Answer } from '../responder/answer.ts'
import { errorAnswer } from '../responder/answer.ts'
import type { ResponderPorts } from '../responder/respond.ts'
import { respond, respondToAny } from '../responder/respond.ts'
import { answerHeaders, notModified, servedHeaders } from './cache-headers.ts'

/** A request with 100 CertIDs, nonce and signature stays well below (R5.37). */
export const MAX_REQUEST_BYTES = 64 * 1024
/** Longest GET target (R5.16). */
export const MAX_TARGET_CHARS = 8 * 1024

/** Told of every exchange after the answer is made; must not throw. */
export type Observe = (answer: Answer, method: string, octets: number) => void

/** One exchange. Never rejects. */
export async function serveOCSP(
  request: Request,
  ports: ResponderPorts,
  observe: Observe,
): Promise<Response> {
  const { method } = request
  if (method === 'POST') {
    const body = await bodyOf(request)
    if (body === undefined) return plain(400, 'Bad Request')
    return exit(request, method, await fromPost(body, ports), ports, observe)
  }
  if (method === 'GET' || method === 'HEAD') {
    const { url } = request
    if (url.length > MAX_TARGET_CHARS) return plain(414, 'URI Too Long')
    return exit(request, method, await fromGet(url, ports), ports, observe)
  }
  return plain(405, 'Method Not Allowed', { Allow: 'GET, HEAD, POST' })
}

/** Judged by the body, whatever its Content-Type (R5.34). */
async function fromPost(body: Uint8Array | OCSPDecodeError, ports: ResponderPorts): Promise<Answer> {
  return body instanceof OCSPDecodeError ? errorAnswer(body) : respond(body, ports)
}

function fromGet(url: string, ports: ResponderPorts): Answer | Promise<Answer> {
  try {
    const candidates = decodeGetTarget(url)
    const only = candidates.length === 1 ? candidates[0] : undefined
    return only === undefined ? respondToAny(candidates, ports) : respond(only, ports)
  } catch (error) {
    return errorAnswer(error)
  }
}

/** The one exit: headers, 304, and one observation. HTTP status 200 whatever the OCSPResponseStatus (R1.103, ADR 0003). */
function exit(
  request: Request,
  method: string,
  answer: Answer,
  ports: ResponderPorts,
  observe: Observe,
): Response {
  const now = Math.floor(ports.clock.nowMs() / 1000)
  observe(answer, method, answer.der.length)
  if (method !== 'POST' && notModified(request.headers, answer, now)) {
    const { 'Content-Type': _, ...headers } = answerHeaders(answer, now)
    return new Response(null, { status: 304, headers })
  }
  return new Response(answer.der, { headers: servedHeaders(answer, now) })
}

/** undefined when there is no reading it: broken chunks, or a client that went away. No fault of ours to count. */
async function bodyOf(request: Request): Promise<Uint8Array | OCSPDecodeError | undefined> {
  try {
    return await readBody(request)
  } catch (error) {
    return error instanceof OCSPDecodeError ? error : undefined
  }
}

/** @throws OCSPDecodeError.requestTooLarge; stops reading at the cap */
async function readBody(request: Request): Promise<Uint8Array> {
  const length = request.headers.get('Content-Length')
  if (length !== null) {
    if (Number(length) > MAX_REQUEST_BYTES) throw new OCSPDecodeError('requestTooLarge', MAX_REQUEST_BYTES)
    return new Uint8Array(await request.arrayBuffer())
  }
  const parts: Uint8Array[] = []
  let total = 0
  if (request.body !== null)
    for await (const part of request.body) {
      total += part.length
      if (total > MAX_REQUEST_BYTES) throw new OCSPDecodeError('requestTooLarge', MAX_REQUEST_BYTES)
      parts.push(part)
    }
  const body = new Uint8Array(total)
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return body
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', ...headers },
  })
}
