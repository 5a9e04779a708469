/**
 * Rows of the record that nobody can sign for: edited by hand, or by a program that knew better. One such row must not keep a
 * thousand others from being signed. It is found by halves and left out; who asks for it is answered by a fault.
 */
import { DERError } from '../asn1/error.ts'
import { SigningError, StorageError } from '../ports/errors.ts'

/** Attempts to find what is broken, beyond which a slot fails as a whole: some six rows of a thousand. */
const MAX_ATTEMPTS = 120

/**
 * @param make throws when a row cannot be signed for; called once when all is well
 * @param isKeyWell asked before any row is blamed: a wrong signature is not its fault
 * @returns what was made, and of which rows
 * @throws what `make` throws when that is no row's fault: for every row alone, or of a kind that rows cannot cause
 */
export async function withoutBroken<Row, Made>(
  rows: readonly Row[],
  make: (rows: readonly Row[]) => Promise<Made>,
  isKeyWell: () => Promise<boolean>,
): Promise<{ readonly rows: readonly Row[]; readonly made: Made }> {
  try {
    return { rows, made: await make(rows) }
  } catch (error) {
    if (!mayBeOfARow(error) || rows.length < 2 || !(await isKeyWell())) throw error
    const sound = await siftHalves(rows, make, { left: MAX_ATTEMPTS, error })
    if (sound.length === 0 || sound.length === rows.length) throw error
    return { rows: sound, made: await make(sound) }
  }
}

interface Search {
  left: number
  readonly error: unknown
}

async function siftHalves<Row>(
  rows: readonly Row[],
  make: (rows: readonly Row[]) => Promise<unknown>,
  search: Search,
): Promise<readonly Row[]> {
  const middle = rows.length >>> 1
  return [
    ...(await sift(rows.slice(0, middle), make, search)),
    ...(await sift(rows.slice(middle), make, search)),
  ]
}

async function sift<Row>(
  rows: readonly Row[],
  make: (rows: readonly Row[]) => Promise<unknown>,
  search: Search,
): Promise<readonly Row[]> {
  if (search.left <= 0) throw search.error
  search.left -= 1
  try {
    await make(rows)
    return rows
  } catch (error) {
    if (!mayBeOfARow(error)) throw error
    return rows.length === 1 ? [] : siftHalves(rows, make, search)
  }
}

/** Not a key, not a store that is away: those are nobody's row. */
function mayBeOfARow(error: unknown): boolean {
  if (error instanceof SigningError) return error.reason === 'selfCheckFailed'
  if (error instanceof StorageError) return error.reason === 'corrupt' || error.reason === 'reserved'
  return error instanceof DERError || error instanceof RangeError
}
