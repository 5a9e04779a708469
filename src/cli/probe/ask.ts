/** One exchange of a probe: as it is on the wire, so a redirect is an answer too, and there is a limit of time. */
import { systemReason } from '../client.ts'
import { getURL, readBody } from '../ocsp-exchange.ts'
import { base64, type Probe } from './plan.ts'

export interface Reply {
  readonly httpStatus: number
  readonly headers: Headers
  readonly body: Uint8Array
  readonly milliseconds: number
}

/** @returns a text when there was no answer: why */
export async function ask(url: string, probe: Probe, timeoutMs: number): Promise<Reply | string> {
  const started = performance.now()
  const signal = AbortSignal.timeout(timeoutMs)
  const accept = { accept: 'application/ocsp-response' }
  try {
    const response = await (probe.method === 'GET'
      ? fetch(targetOf(url, probe), { headers: accept, redirect: 'manual', signal })
      : fetch(url, {
          method: 'POST',
          headers: { ...accept, 'content-type': 'application/ocsp-request' },
          body: new Uint8Array(probe.question.der),
          redirect: 'manual',
          signal,
        }))
    const body = await readBody(response)
    const milliseconds = performance.now() - started
    return { httpStatus: response.status, headers: response.headers, body, milliseconds }
  } catch (error) {
    if (signal.aborted) return `nothing within ${timeoutMs} ms`
    return systemReason(error)
  }
}

export function targetOf(url: string, { question, isRaw }: Probe): string {
  return isRaw ? `${url.replace(/\/+$/, '')}/${base64(question)}` : getURL(url, question.der)
}
