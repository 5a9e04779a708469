/** Exit codes of the program (documented interface) and the error that carries one. */

export const EXIT = {
  /** Done; good. */
  good: 0,
  /** The answer is "no": revoked, refused, a line was bad, a check failed. */
  no: 1,
  /** The command was not understood, or what it names does not exist here. */
  usage: 2,
  /** Could not find out: no connection, no permission, a fault on the other side. */
  unknown: 3,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A failure told to the person at the keyboard: what and where in `message`, what to do in `hint`. */
export class CLIError extends Error {
  override readonly name = 'CLIError'
  readonly exitCode: ExitCode
  readonly hint: string | undefined
  /** Machine-readable name of the failure, for --json. */
  readonly code: string
  constructor(
    exitCode: ExitCode,
    message: string,
    hint?: string,
    options: ErrorOptions & { code?: string } = {},
  ) {
    super(message, options)
    this.exitCode = exitCode
    this.hint = hint
    this.code = options.code ?? DEFAULT_CODES[exitCode]
  }
}

const DEFAULT_CODES: Readonly<Record<ExitCode, string>> = {
  0: 'ok',
  1: 'no',
  2: 'usage',
  3: 'unknown',
}

export function usageError(message: string, hint?: string, options?: ErrorOptions): CLIError {
  return new CLIError(EXIT.usage, message, hint, options)
}

/** Text of anything thrown, with the system's code (ENOENT ...) where there is one. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message === '' ? error.name : error.message
}
