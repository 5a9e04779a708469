/** Header lines of an answer: what caches and clients make of them (RFC 9919 section 6 and 7, R1.102-R1.104, R2.7-R2.18, R6.x). */
import { createHash } from 'node:crypto'
import type { Reply } from './ask.ts'

export interface ProbeFinding {
  /** Number of the requirement. */
  readonly id: string
  readonly level: 'error' | 'warning'
  readonly message: string
}

const OCSP_RESPONSE = 'application/ocsp-response'

/** @param isError of the OCSPResponse, not of HTTP; undefined when the body is none */
export function judgeHTTP(
  { httpStatus, headers, body }: Reply,
  isError: boolean | undefined,
): ProbeFinding[] {
  const findings: ProbeFinding[] = []
  const add = (id: string, message: string) => findings.push({ id, level: 'error', message })
  if (httpStatus >= 300 && httpStatus < 400)
    add(
      'R1.104',
      `HTTP ${httpStatus} to ${headers.get('location') ?? 'nowhere'}: OCSP clients follow no redirect`,
    )
  else if (isError === false && httpStatus !== 200)
    add('R1.103', `HTTP ${httpStatus} with an answer, not 200`)
  else if (isError === undefined) add('R1.103', `HTTP ${httpStatus} without an OCSP response in it`)
  const type = headers.get('content-type')
  if (isError !== undefined && type !== OCSP_RESPONSE)
    add(
      'R1.102',
      `Content-Type is ${type ?? 'missing'}, not ${OCSP_RESPONSE}; stapling servers compare all of it`,
    )
  const length = headers.get('content-length')
  if (length !== null && Number(length) !== body.length && headers.get('content-encoding') === null)
    add('R1.102', `Content-Length is ${length}, and there are ${body.length} octets`)
  for (const name of ['date', 'expires', 'last-modified']) {
    const value = headers.get(name)
    if (value !== null && !value.endsWith(' GMT')) add('R2.18', `${name} has to end with GMT: ${value}`)
  }
  return findings
}

/** Of what caches may do with an error: nothing. */
export function judgeErrorCaching({ headers }: Reply): ProbeFinding[] {
  const control = directives(headers)
  if (control.has('no-store')) return []
  const isKept = Number(control.get('max-age') ?? 0) > 0
  const message = `an error has to be no-store: Cache-Control is ${headers.get('cache-control') ?? 'missing'}`
  return [{ id: 'R6.7', level: isKept ? 'error' : 'warning', message }]
}

/** Of what caches may do with an answer: keep it, and never longer than it is valid. @param nextUpdate Unix seconds */
export function judgeCaching(
  { headers, body }: Reply,
  nextUpdate: number | undefined,
  now: number,
): ProbeFinding[] {
  const findings: ProbeFinding[] = []
  const add = (id: string, level: ProbeFinding['level'], message: string) =>
    findings.push({ id, level, message })
  const control = directives(headers)
  const text = headers.get('cache-control') ?? 'missing'
  const barred = ['no-cache', 'no-store', 'private'].filter((name) => control.has(name))
  if (barred.length > 0 || headers.get('pragma') === 'no-cache')
    add('R2.13', 'error', `an answer may be cached, and Cache-Control is ${text}`)
  else {
    const missing = ['max-age', 'public', 'no-transform', 'must-revalidate'].filter(
      (name) => !control.has(name),
    )
    if (missing.length > 0) add('R2.7', 'warning', `Cache-Control (${text}) lacks ${missing.join(', ')}`)
  }
  for (const name of ['stale-if-error', 'stale-while-revalidate'])
    if (control.has(name)) add('R6.9', 'error', `${name} lets caches serve what is over`)
  if (nextUpdate !== undefined) {
    const date = seconds(headers.get('date')) ?? now
    const maxAge = Number(control.get('max-age') ?? 0)
    if (date + maxAge >= nextUpdate && maxAge > 0)
      add(
        'R2.10',
        'error',
        `max-age=${maxAge} lets caches keep it ${date + maxAge - nextUpdate} s past its nextUpdate`,
      )
    const expires = seconds(headers.get('expires'))
    if (expires !== undefined && expires > nextUpdate)
      add('R2.9', 'error', `Expires is ${expires - nextUpdate} s after nextUpdate`)
  }
  const tag = headers.get('etag')
  const digest = createHash('sha256').update(body).digest('hex')
  if (tag === null) add('R2.12', 'warning', 'there is no ETag')
  else if (tag.toLowerCase() !== `"${digest}"`)
    add('R2.12', 'warning', `ETag should be the SHA-256 of the response, in quotes: ${tag}`)
  if (headers.get('vary') !== null) add('R6.10', 'warning', `Vary splits caches: ${headers.get('vary')}`)
  return findings
}

function directives(headers: Headers): Map<string, string | undefined> {
  const parts = (headers.get('cache-control') ?? '').split(',').map((part) => part.trim().toLowerCase())
  return new Map(
    parts
      .filter((part) => part !== '')
      .map((part) => {
        const [name = '', value] = part.split('=')
        return [name, value?.replaceAll('"', '')] as const
      }),
  )
}

function seconds(text: string | null): number | undefined {
  const milliseconds = text === null ? Number.NaN : Date.parse(text)
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000)
}
