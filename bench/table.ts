import { format, type Row } from './measurement.ts'

/** For people: one line a row, columns under each other. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ verdict, name, value, unit, limit, detail }) => [
    verdict,
    name,
    `${format(value)} ${unit}`,
    limit === undefined ? '' : `${limit.relation} ${limit.value}`,
    detail ?? '',
  ])
  const lines = [['', 'row', 'value', 'limit', ''], ...cells]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
