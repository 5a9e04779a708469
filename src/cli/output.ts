/** What the program prints: results on stdout (readable or one JSON value), everything else on stderr. */
import { CLIError, EXIT, messageOf } from './exit.ts'

export interface Output {
  readonly json: boolean
  /** The result: `value` as JSON with --json, otherwise the lines of `text`. */
  result(value: unknown, text: () => string | readonly string[]): void
  /** Raw result bytes or lines, whatever the mode (JSON lines, PEM). */
  line(text: string): void
  /** A remark for the person, on stderr. */
  note(text: string): void
  warn(text: string): void
}

export function createOutput(json: boolean): Output {
  return {
    json,
    result(value, text) {
      const lines = json ? JSON.stringify(value, undefined, 2) : text()
      process.stdout.write(`${typeof lines === 'string' ? lines : lines.join('\n')}\n`)
    },
    line(text) {
      process.stdout.write(`${text}\n`)
    },
    note(text) {
      process.stderr.write(`${text}\n`)
    },
    warn(text) {
      process.stderr.write(`warning: ${text}\n`)
    },
  }
}

/** Prints a failure the one way we print failures and gives its exit code. Unforeseen ones keep their stack with EDGE_OCSP_DEBUG. */
export function reportFailure(error: unknown, json: boolean): number {
  const known = error instanceof CLIError
  const message = messageOf(error)
  const hint = known
    ? error.hint
    : 'This is a fault of edge-ocsp itself; run again with EDGE_OCSP_DEBUG=1 for its stack.'
  const exitCode = known ? error.exitCode : EXIT.unknown
  process.stderr.write(`edge-ocsp: ${message}\n`)
  if (hint !== undefined) process.stderr.write(`${hint}\n`)
  if (process.env['EDGE_OCSP_DEBUG'] !== undefined && error instanceof Error) {
    process.stderr.write(
      `${error.stack ?? ''}\n${error.cause === undefined ? '' : `cause: ${String(error.cause)}\n`}`,
    )
  }
  if (json) {
    const code = known ? error.code : 'internal'
    process.stdout.write(`${JSON.stringify({ error: { code, message, hint } }, undefined, 2)}\n`)
  }
  return exitCode
}

/** Columns padded to their widest cell; the header only where there are rows. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** "Label:   value" lines; entries without a value are left out. */
export function formatFields(fields: readonly (readonly [string, string | number | undefined])[]): string[] {
  const present = fields.filter(([, value]) => value !== undefined)
  const width = Math.max(0, ...present.map(([label]) => label.length))
  return present.map(([label, value]) => `${`${label}:`.padEnd(width + 1)} ${value}`)
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}
