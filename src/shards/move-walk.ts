/** Where digits are and are to be, the walk over the rows of a move, and what is not the same on both sides. */
import type { Move, MovePlace, RowKey, RowText } from '../ports/move-store.ts'
import { DIGITS, digitsOf, MoveRefused, type PlannedMove } from '../ports/moves.ts'

const HASHES = 2 ** 28
/** Above every serial. */
const LAST_SERIAL = 'FF'.repeat(128)

/** Of two that have a digit, the fresh one; one that bars it has it still. */
export function placesOf(
  sides: readonly { readonly database: number; readonly place: MovePlace | undefined }[],
): number[] {
  return DIGITS.map((digit) => {
    const holders = sides.filter(({ place }) => place !== undefined && ((place.away >> digit) & 1) === 0)
    const holder = holders.find(({ place }) => place?.fresh === true) ?? holders[0]
    if (holder === undefined)
      throw new MoveRefused(`no database has the digit ${digit.toString(16)} of this issuer`)
    return holder.database
  })
}

export function planned(places: readonly number[], wanted: readonly number[]): PlannedMove[] {
  const moves = new Map<string, PlannedMove>()
  for (const [digit, from] of places.entries()) {
    const to = wanted[digit] ?? from
    if (to === from) continue
    const name = `${from}/${to}`
    moves.set(name, { from, to, digits: (moves.get(name)?.digits ?? 0) | (1 << digit) })
  }
  return [...moves.values()]
}

/** Of the walk that is under way. */
export function shareOf({ cursor, digits }: Move): number {
  const all = digitsOf(digits)
  const walked = all.reduce(
    (sum, digit) => sum + Math.min(1, Math.max(0, (cursor.hash + 1 - digit * HASHES) / HASHES)),
    0,
  )
  return walked / all.length
}

/** What of the digits lies behind the cursor, up to the end of one. */
export function nextRange(cursor: RowKey, digits: number): { from: RowKey; to: RowKey } | undefined {
  for (const digit of digitsOf(digits)) {
    const from = { hash: digit * HASHES - 1, serial: LAST_SERIAL }
    const to = { hash: from.hash + HASHES, serial: LAST_SERIAL }
    if (isAbove(to, cursor)) return { from: isAbove(cursor, from) ? cursor : from, to }
  }
  return undefined
}

/** Hex in one case is ordered as its octets are. */
function isAbove(a: RowKey, b: RowKey): boolean {
  return a.hash > b.hash || (a.hash === b.hash && a.serial > b.serial)
}

export function keyOf(row: RowText | undefined): RowKey {
  const [hash, serial]: unknown[] = row === undefined ? [] : Object.values<unknown>(JSON.parse(row))
  if (typeof hash !== 'number' || typeof serial !== 'string') throw new RangeError('not a row')
  return { hash, serial }
}

/** Keys of rows that are not the same in both, or in one only. */
export function differences(rows: readonly RowText[], copies: readonly RowText[]): RowKey[] {
  if (rows.length === copies.length && rows.every((row, i) => row === copies[i])) return []
  const [here, copied] = [new Set(rows), new Set(copies)]
  const differing = [
    ...rows.filter((row) => !copied.has(row)),
    ...copies.filter((row) => !here.has(row)),
  ].map(keyOf)
  return [...new Map(differing.map((key) => [`${key.hash}/${key.serial}`, key])).values()]
}
