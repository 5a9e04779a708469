import type { MeterReading, Spent } from './meter.ts'
import { SPENT } from './meter.ts'

/** Two readings in a row as one. */
export function addReadings(a: MeterReading, b: MeterReading): MeterReading {
  const spent = { ...a.spent }
  for (const what of SPENT) spent[what] += b.spent[what]
  return {
    spent,
    signatures: a.signatures + b.signatures,
    queries: a.queries + b.queries,
    statements: a.statements + b.statements,
    rowsRead: a.rowsRead + b.rowsRead,
    rowsWritten: a.rowsWritten + b.rowsWritten,
    reads: a.reads + b.reads,
    writes: a.writes + b.writes,
    bundleWrites: a.bundleWrites + b.bundleWrites,
    // As they stand: the later reading has all of them.
    bundlesByK: b.bundlesByK,
  }
}

export const sumOf = ({ spent }: MeterReading, ...what: readonly Spent[]): number =>
  what.reduce((sum, one) => sum + spent[one], 0)
