/** A typed client of /admin/v1: routes, bodies and answers by the contract; every failure told with what to do. */

import * as z from 'zod/mini'
import { ADMIN_ROUTES, type AdminRouteName, adminPath, ErrorBody } from '../admin-api/contract.ts'
import { CLIError, EXIT, type ExitCode, messageOf } from './exit.ts'

export interface ClientOptions {
  /** Origin (and prefix), without a slash at the end. */
  readonly url: string
  readonly token: string | undefined
  /** Where a token would have been found, for the hint. */
  readonly tokenFile: string
  /** Instead of the network: an admin API in this process. */
  readonly fetch?: (target: URL, init: RequestInit) => Promise<Response>
}

export interface CallOptions {
  /** Values of the path's {parameters}. */
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly body?: unknown
}

/** What each route answers. */
type Answers = { readonly [Name in AdminRouteName]: z.output<(typeof ADMIN_ROUTES)[Name]['response']> }
export type Answer<Name extends AdminRouteName> = Answers[Name]

/** The routes once more, typed so that the checked body of a route is known to be its answer. */
const CHECKS: {
  readonly [Name in AdminRouteName]: {
    readonly response: { safeParse(body: unknown): z.util.SafeParseResult<Answers[Name]> }
  }
} = ADMIN_ROUTES

const TIMEOUT_MS = 120_000
/** Attempts of a call that may be repeated, when the other side says 503. */
const MAX_ATTEMPTS = 4
const MAX_RETRY_AFTER_SECONDS = 30

export class AdminClient {
  readonly url: string
  readonly #token: string | undefined
  readonly #tokenFile: string
  readonly #fetch: NonNullable<ClientOptions['fetch']>

  constructor(options: ClientOptions) {
    this.url = options.url
    this.#token = options.token
    this.#tokenFile = options.tokenFile
    this.#fetch = options.fetch ?? fetch
  }

  /** One call. @throws CLIError with exit code 1 (refused, not found), 2 (bad field) or 3 (could not find out) */
  async call<Name extends AdminRouteName>(name: Name, options: CallOptions = {}): Promise<Answer<Name>> {
    const response = await this.#send(name, options)
    const body = await this.#readJSON(response)
    if (!response.ok) throw this.#failure(response.status, body, requestLine(name, options))
    return this.#check(name, CHECKS[name].response.safeParse(body))
  }

  /** As `call`, but a 503 is waited out a few times: for calls that may run twice. */
  async callPatiently<Name extends AdminRouteName>(
    name: Name,
    options: CallOptions = {},
  ): Promise<Answer<Name>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.call(name, options)
      } catch (error) {
        const transient = error instanceof CLIError && error.code === 'storageUnavailable'
        if (!transient || attempt === MAX_ATTEMPTS) throw error
        await new Promise((done) =>
          setTimeout(done, Math.min(2 ** attempt * 250, MAX_RETRY_AFTER_SECONDS * 1000)),
        )
      }
    }
  }

  async #send(name: AdminRouteName, { params, query, body }: CallOptions): Promise<Response> {
    const target = new URL(`${this.url}${adminPath(name, params)}`)
    for (const [key, value] of Object.entries(query ?? {})) {
      if (value !== undefined) target.searchParams.set(key, String(value))
    }
    this.#checkTransport(target)
    const headers = new Headers({ accept: 'application/json' })
    if (this.#token !== undefined) headers.set('authorization', `Bearer ${this.#token}`)
    if (body !== undefined) headers.set('content-type', 'application/json')
    try {
      return await this.#fetch(target, {
        method: ADMIN_ROUTES[name].method,
        headers,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  /** The token is not sent in clear over a network, whatever the other side would have answered. */
  #checkTransport(target: URL): void {
    if (target.protocol === 'https:' || this.#token === undefined || isLoopback(target.hostname)) return
    throw new CLIError(
      EXIT.usage,
      `${this.url} is plain HTTP to another machine: the admin token would travel in clear`,
      'Use its https address (--url or EDGE_OCSP_URL). Only OCSP itself is asked over plain HTTP.',
    )
  }

  #unreachable(error: unknown): CLIError {
    const reason = systemReason(error)
    const hint =
      reason === 'timeout'
        ? 'Try again; "edge-ocsp status" shows whether it is well.'
        : 'Start one here with "npm start", or name another with --url or EDGE_OCSP_URL.'
    const what = reason === 'timeout' ? `no answer within ${TIMEOUT_MS / 1000} s` : reason
    return new CLIError(EXIT.unknown, `cannot reach the responder at ${this.url}: ${what}`, hint, {
      cause: error,
    })
  }

  async #readJSON(response: Response): Promise<unknown> {
    let text: string
    try {
      text = await response.text()
    } catch (error) {
      throw this.#unreachable(error)
    }
    try {
      return text === '' ? undefined : JSON.parse(text)
    } catch (cause) {
      throw new CLIError(
        EXIT.unknown,
        `${this.url} answered HTTP ${response.status} with something that is not JSON`,
        'Is this the address of an edge-ocsp responder? Check --url and EDGE_OCSP_URL.',
        { cause },
      )
    }
  }

  #failure(status: number, body: unknown, line: string): CLIError {
    if (status === 401) return this.#unauthenticated()
    const parsed = ErrorBody.safeParse(body)
    if (!parsed.success) {
      return new CLIError(
        EXIT.unknown,
        `${this.url} answered HTTP ${status} to ${line}, not in the form of the admin API`,
        'Is this the address of an edge-ocsp responder, of the same version? Check --url and EDGE_OCSP_URL.',
      )
    }
    const { code, message, field, hint, findings } = parsed.data.error
    const told = (findings ?? []).filter((finding) => finding.message !== message)
    const lines = [
      // Most messages begin with the field already.
      field === undefined || message.startsWith(`${field}: `) ? message : `${field}: ${message}`,
      ...told.map((finding) => `  ${finding.level}: ${finding.message}`),
    ]
    return new CLIError(exitCodeOf(status), lines.join('\n'), hint, { code })
  }

  #unauthenticated(): CLIError {
    const which = this.#token === undefined ? 'there is no admin token' : 'the admin token was not accepted'
    return new CLIError(
      EXIT.unknown,
      `${which} for ${this.url} (HTTP 401)`,
      `The token comes from EDGE_OCSP_TOKEN, else from the file ${this.#tokenFile}\n` +
        '("npm start" writes it; --state or EDGE_OCSP_STATE name another folder). For a deployed responder it is the secret ADMIN_TOKEN.',
      { code: 'unauthorized' },
    )
  }

  #check<T>(name: AdminRouteName, parsed: z.util.SafeParseResult<T>): T {
    if (parsed.success) return parsed.data
    throw new CLIError(
      EXIT.unknown,
      `${this.url} gave an answer to ${name} that does not fit the admin API:\n${z.prettifyError(parsed.error)}`,
      'The responder and this program are probably of different versions: use the program of the deployed one.',
    )
  }
}

function requestLine(name: AdminRouteName, options: CallOptions): string {
  return `${ADMIN_ROUTES[name].method} ${adminPath(name, options.params)}`
}

function exitCodeOf(status: number): ExitCode {
  if (status === 400 || status === 413 || status === 415) return EXIT.usage
  if (status === 404 || status === 409 || status === 422) return EXIT.no
  return EXIT.unknown
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** What the system said: fetch hides it in `cause`. */
export function systemReason(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'timeout'
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : ''
  if (code === 'ECONNREFUSED') return 'connection refused'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'no such host'
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET') return 'connection closed'
  return code === '' ? messageOf(cause) : `${messageOf(cause)} (${code})`
}
