/** What the interop matrix asks of a client: a real program, unmodified, that judges one answer of this responder. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * Conclusions a client can come to, as the table of the README prints them. refused: it goes no further, for want of an
 * answer that it can use (an error status, a hard fail, a handshake refused).
 */
export type Verdict = 'good' | 'revoked' | 'unknown' | 'refused' | 'no staple'

/** Columns of the table. `never` was issued but never recorded; in brackets the issuer's policy for that. */
export const ANSWERS = [
  'good',
  'revoked',
  'hold',
  'expired',
  'never (unauthorized)',
  'never (unknown)',
] as const
export type Answer = (typeof ANSWERS)[number]

export const SIGNERS = ['RSA delegate', 'ECDSA delegate', 'CA itself'] as const
export type Signer = (typeof SIGNERS)[number]

export interface MatrixCase {
  readonly answer: Answer
  readonly signer: Signer
  /** Path of the issuing CA's certificate, PEM: a root, so it is the chain as well. */
  readonly issuer: string
  /** Path of the certificate asked about, PEM: serverAuth, DNS:localhost, IP:127.0.0.1, the responder in its AIA. */
  readonly certificate: string
  /** Path of its PKCS#8 key, PEM. */
  readonly key: string
  /** notAfter of the certificate, seconds since 1970: in the past for `expired`. */
  readonly notAfter: number
  /** Of the running Worker, with the final slash. */
  readonly url: string
  /** Scratch folder of this case, there already. */
  readonly folder: string
}

export interface MatrixClient {
  /** First cell of its row. */
  readonly title: string
  /** Looked up in PATH, or absolute. When one is absent the client is skipped with the reason, or fails under EDGE_OCSP_REQUIRE_CLIENTS=1. */
  readonly programs: readonly string[]
  /** As it stands in docs/clients.md. @throws Error when something else that it needs is missing: then it counts as absent */
  version(): string
  /** Once, before the first question: compile, start. `folder` is the client's own. */
  prepare?(folder: string): Promise<void>
  /**
   * @returns its one conclusion, and what it printed, for error messages. An answer that does not verify is refused.
   * @throws Error when its ways of asking disagree
   */
  ask(question: MatrixCase): Promise<{ readonly verdict: Verdict; readonly output: string }>
  stop?(): Promise<void>
  /** What each answer must come to, by the client's documentation; `answer/signer` overrides. */
  readonly expected: Readonly<Record<Answer, Verdict>> &
    Readonly<Partial<Record<`${Answer}/${Signer}`, Verdict>>>
  /** What its output must have in it besides, such as the reason of a revocation or the error that it was refused by. */
  readonly says?: Readonly<Partial<Record<Answer, RegExp>>>
  /** What it must come to, and say, when the signature of an answer is wrong. */
  readonly forged: { readonly verdict: Exclude<Verdict, 'good'>; readonly says?: RegExp }
}

/** One way of asking, and where it led. */
export interface Run {
  readonly way: string
  readonly verdict: Verdict
  readonly output: string
}

/** What a client that tells all answers apart must say. */
export const TELLS_ALL: Readonly<Record<Answer, Verdict>> = {
  good: 'good',
  revoked: 'revoked',
  hold: 'revoked',
  expired: 'good',
  'never (unauthorized)': 'refused',
  'never (unknown)': 'unknown',
}

/** @returns why a client cannot be asked here; undefined when it can */
export function absence({ title, programs, version }: MatrixClient): string | undefined {
  const missing = programs.filter((program) => !isProgram(program))
  if (missing.length > 0) return `${missing.join(', ')} not installed: nothing is known about ${title} here`
  try {
    version()
    return undefined
  } catch (error) {
    return `${error instanceof Error ? error.message : error}: nothing is known about ${title} here`
  }
}

function isProgram(program: string): boolean {
  const folders = program.startsWith('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter)
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** First match (its first group, if there is one) of what a program prints, both streams. @throws Error when there is none */
export function printedVersion(
  program: string,
  args: readonly string[],
  pattern: RegExp,
  env?: NodeJS.ProcessEnv,
): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  const match = status === 0 ? pattern.exec(`${stdout}${stderr}`) : null
  if (match === null) throw new Error(`${program} ${args.join(' ')} prints no version: ${stderr}`)
  return match[1] ?? match[0]
}

/** One conclusion of several ways of asking. @throws Error with what each printed when they differ */
export function agreed(runs: readonly Run[]): { readonly verdict: Verdict; readonly output: string } {
  const output = runs.map((run) => `${run.way}: ${run.verdict}\n${run.output}`).join('\n')
  const [first, ...others] = new Set(runs.map(({ verdict }) => verdict))
  if (first === undefined || others.length > 0) throw new Error(`not of one mind:\n${output}`)
  return { verdict: first, output }
}
