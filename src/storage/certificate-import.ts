/** Checks of what is to be recorded, and the cutting of an import into transactions. */
import type { NewCertificate, RowOutcome } from '../ports/admin-store.ts'
import type { CertificateStatus } from '../ports/records.ts'
import { type ApplyOptions, applyWishes, encodeWish, type Wish } from './certificate-changes.ts'
import { type Act, isWritten, refusalOf } from './certificate-plan.ts'
import type { Database } from './database.ts'
import { encodeHex } from './hex.ts'
import { extensionsRefusal } from './merged-extensions.ts'
import { STATUSES } from './record-codec.ts'

/** Bounds of one transaction: rows, and characters of JSON (D1 takes 100 KB a statement, 2 MB a value). */
export const CHUNK_ROWS = 1_000
export const CHUNK_CHARACTERS = 90_000

/** How far ahead the CA's clock may be (architecture.md section 5). */
const MAX_AHEAD_SECONDS = 300
const MAX_SERIAL_OCTETS = 127
/** 9999-12-31T23:59:59Z, the last moment that GeneralizedTime can name. */
const MAX_TIME = 253_402_300_799
/** RFC 5280 5.3.1 without 6 (certificateHold is the status hold), 7 (unused) and 8 (removeFromCRL is the status released). */
const REASONS: readonly number[] = [0, 1, 2, 3, 4, 5, 9, 10]

/** What may be asked about a certificate: the union of an import's row and a change of status. */
export interface Request {
  readonly serial: Uint8Array
  readonly status: CertificateStatus
  readonly revocationTime?: number | undefined
  readonly reason?: number | undefined
  readonly notBefore?: number | undefined
  readonly notAfter?: number | undefined
  readonly isCA?: boolean | undefined
  readonly extensions?: Uint8Array | undefined
}

/** The request as a wish, times clamped; or why it cannot be. */
export function toWish(r: Request, nowMs: number): Wish | { refused: string } {
  const now = Math.floor(nowMs / 1000)
  const { serial, status, revocationTime, reason, notBefore = 0, notAfter = 0 } = r
  if (serial.length < 1 || serial.length > MAX_SERIAL_OCTETS)
    return { refused: `the serial number has ${serial.length} octets, not 1 to ${MAX_SERIAL_OCTETS}` }
  if (!isTime(notBefore)) return { refused: `notBefore ${notBefore} is not a time in Unix seconds` }
  if (!isTime(notAfter)) return { refused: `notAfter ${notAfter} is not a time in Unix seconds` }
  if (notBefore !== 0 && notAfter !== 0 && notAfter < notBefore)
    return { refused: 'notAfter is before notBefore' }
  const refused = r.extensions === undefined ? undefined : extensionsRefusal(r.extensions)
  if (refused !== undefined) return { refused }
  const reserved = status === 'reserved'
  const goal = status === 'reserved' ? 0 : STATUSES.indexOf(status)
  const dates = {
    serial,
    goal,
    reserved,
    notBefore,
    notAfter,
    isCA: r.isCA === true,
    extensions: r.extensions,
  }
  if (reserved || status === 'good' || status === 'released')
    return { ...dates, revocationTime: undefined, reason: undefined }
  if (revocationTime !== undefined && !isTime(revocationTime))
    return { refused: `the revocation time ${revocationTime} is not a time in Unix seconds` }
  if (revocationTime !== undefined && revocationTime > now + MAX_AHEAD_SECONDS)
    return { refused: `the revocation time is ${revocationTime - now} s in the future` }
  const time = revocationTime === undefined ? undefined : Math.min(revocationTime, now)
  if (status === 'hold') return { ...dates, revocationTime: time, reason: 6 }
  if (reason !== undefined && !REASONS.includes(reason)) return { refused: reasonRefusal(reason) }
  return { ...dates, revocationTime: time, reason }
}

/** Records and reconciles rows in their order; see AdminStore.addCertificates. */
export async function addCertificates(
  db: Database,
  issuer: number,
  rows: readonly NewCertificate[],
  nowMs: number,
): Promise<RowOutcome[]> {
  const outcomes = new Array<RowOutcome>(rows.length).fill('unchanged')
  await applyRows(db, issuer, rows, nowMs, { add: true }, (position, result) => {
    outcomes[position] = 'refused' in result ? result : outcomeOf(result)
  })
  return outcomes
}

/**
 * Applies rows in their order, in transactions of at most CHUNK_ROWS or CHUNK_CHARACTERS.
 * @param tell what became of the row at a position; called once for each
 */
export async function applyRows(
  db: Database,
  issuer: number,
  rows: readonly Request[],
  nowMs: number,
  options: ApplyOptions,
  tell: (position: number, result: { act: Act; goal: number } | { refused: string }) => void,
): Promise<void> {
  let chunk = new Chunk()
  const flush = async () => {
    if (chunk.wishes.length === 0) return
    const { wishes, positions } = chunk
    chunk = new Chunk()
    const applied = await applyWishes(db, issuer, wishes, nowMs, options)
    applied.forEach(({ act }, i) => {
      tell(positions[i] ?? 0, { act, goal: wishes[i]?.goal ?? 0 })
    })
  }
  for (const [position, row] of rows.entries()) {
    const wish = toWish(row, nowMs)
    if ('refused' in wish) {
      tell(position, wish)
      continue
    }
    if (!chunk.fits(wish)) await flush()
    chunk.push(wish, position)
  }
  await flush()
}

/** One transaction's worth of rows. A serial that comes twice opens the next one, so that rows apply in their order. */
class Chunk {
  readonly wishes: Wish[] = []
  readonly positions: number[] = []
  readonly #serials = new Set<string>()
  #characters = 2

  fits(wish: Wish): boolean {
    return (
      this.wishes.length < CHUNK_ROWS &&
      this.#characters + encodeWish(wish).length < CHUNK_CHARACTERS &&
      !this.#serials.has(encodeHex(wish.serial))
    )
  }

  push(wish: Wish, position: number): void {
    this.wishes.push(wish)
    this.positions.push(position)
    this.#serials.add(encodeHex(wish.serial))
    this.#characters += encodeWish(wish).length + 1
  }
}

function outcomeOf({ act, goal }: { act: Act; goal: number }): RowOutcome {
  if (act === 'add') return 'added'
  if (isWritten(act)) return 'changed'
  const refused = refusalOf(act, goal)
  return refused === undefined ? 'unchanged' : { refused }
}

function isTime(time: number): boolean {
  return Number.isInteger(time) && time >= 0 && time <= MAX_TIME
}

function reasonRefusal(reason: number): string {
  if (reason === 6) return 'reason certificateHold (6) belongs to a hold, not to a revocation'
  if (reason === 8) return 'reason removeFromCRL (8) is a release, not a revocation'
  return `reason ${reason} is not a CRLReason`
}
