/** Where a command finds the responder, its token and its output: options, then environment, then the state folder. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { AdminClient } from './client.ts'
import { usageError } from './exit.ts'
import { createOutput, type Output } from './output.ts'

export const DEFAULT_URL = 'http://127.0.0.1:8787'
export const DEFAULT_STATE = '.edge-ocsp'
/** File of the state folder that holds the bearer token; `edge-ocsp dev` writes it. */
export const TOKEN_FILE = 'admin-token'
/** File of the state folder that holds the address of the running responder. */
export const URL_FILE = 'url'

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean
  readonly state?: string
  readonly url?: string
}

export interface Context {
  readonly stateDirectory: string
  /** Origin of the responder, without a slash at the end. */
  readonly url: string
  readonly output: Output
  readonly client: AdminClient
}

export type Environment = Readonly<Record<string, string | undefined>>

/** @throws CLIError (usage) when the address is not one */
export function createContext(options: CommonOptions, env: Environment = process.env): Context {
  const stateDirectory = resolveState(options, env)
  const url = resolveURL(options, env)
  const token = nonEmpty(env['EDGE_OCSP_TOKEN']) ?? readStateFile(stateDirectory, TOKEN_FILE)
  return {
    stateDirectory,
    url,
    output: createOutput(options.json === true),
    client: new AdminClient({ url, token, tokenFile: join(stateDirectory, TOKEN_FILE) }),
  }
}

export function resolveState(options: CommonOptions, env: Environment = process.env): string {
  return resolve(options.state ?? nonEmpty(env['EDGE_OCSP_STATE']) ?? DEFAULT_STATE)
}

/** Address of the responder. @throws CLIError (usage) */
export function resolveURL(options: CommonOptions, env: Environment = process.env): string {
  const candidates: readonly (readonly [string, string | undefined])[] = [
    ['--url', options.url],
    ['EDGE_OCSP_URL', nonEmpty(env['EDGE_OCSP_URL'])],
    [
      `the file ${join(resolveState(options, env), URL_FILE)}`,
      readStateFile(resolveState(options, env), URL_FILE),
    ],
  ]
  const [source, text] = candidates.find(([, value]) => value !== undefined) ?? ['', DEFAULT_URL]
  return parseOrigin(text ?? DEFAULT_URL, source)
}

/** Checks an http(s) address and drops the slash at its end. */
export function parseOrigin(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usageError(`${source}: "${text}" is not an http or https address`, `Write it like ${DEFAULT_URL}`)
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

function readStateFile(directory: string, name: string): string | undefined {
  try {
    return nonEmpty(readFileSync(join(directory, name), 'utf8').trim())
  } catch {
    return undefined
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text
}
