/** A list of serial numbers: `serial [reason [time]]` a line, columns parted by TAB, comma or spaces; # begins a comment. */
import type { ListedRevocation } from '../admin-api/contract.ts'
import type { ByteSource } from '../importers/importer.ts'
import { readLines } from '../importers/lines.ts'
import { SerialIndex } from '../importers/serial-index.ts'
import { crlReasonName, crlReasonNumber } from '../pkix/crl-reason.ts'
import { parseTime } from './duration.ts'
import { CLIError, EXIT } from './exit.ts'
import { parseSerialArgument } from './serial.ts'

const MAX_LINE_BYTES = 4_096

/** `duplicateOf` names an earlier line with the same serial. */
export type ListRow =
  | { readonly line: number; readonly input: ListedRevocation; readonly duplicateOf?: number }
  | { readonly line: number; readonly problem: string }

/** Lazily, in the order of the file. A bad line becomes a problem and ends nothing. */
export async function* readSerialList(
  source: ByteSource,
  { decimal, fromLine = 1 }: { readonly decimal: boolean; readonly fromLine?: number },
): AsyncGenerator<ListRow> {
  const seen = new SerialIndex()
  for await (const { number: line, text } of readLines(source, MAX_LINE_BYTES)) {
    if (line < fromLine) continue
    if (text === undefined) {
      yield { line, problem: `the line is longer than ${MAX_LINE_BYTES} octets` }
      continue
    }
    const columns = text
      .replace(/#.*/, '')
      .trim()
      .split(/\s*,\s*|\s+/)
    if (columns[0] === '' && columns.length === 1) continue
    let input: ListedRevocation
    try {
      input = parseColumns(columns, decimal)
    } catch (error) {
      if (!(error instanceof CLIError)) throw error
      yield { line, problem: error.message }
      continue
    }
    const duplicateOf = seen.remember(input.serial, line)
    yield duplicateOf === undefined ? { line, input } : { line, input, duplicateOf }
  }
}

/** @throws CLIError that says which column is wrong */
function parseColumns(columns: readonly string[], decimal: boolean): ListedRevocation {
  const [serial = '', reason = '', time = '', ...more] = columns
  if (more.length > 0)
    throw new CLIError(EXIT.usage, `${columns.length} columns, not one to three (serial, reason, time)`)
  return {
    serial: parseSerialArgument(serial, decimal, 'is not a serial number'),
    ...(reason === '' ? {} : { reason: parseReason(reason) }),
    ...(time === '' ? {} : { at: parseTime(time, 'column 3 (time)') }),
  }
}

function parseReason(text: string): string {
  const name = crlReasonName(crlReasonNumber(text) ?? -1)
  if (name === undefined || name === 'removeFromCRL')
    throw new CLIError(EXIT.usage, `column 2 (reason): "${text}" is not a reason to revoke of RFC 5280`)
  return name
}
