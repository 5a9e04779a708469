/** Revocations and holds by a list of serials: an import that adds only on request, and can be tried first. */
import { serialHash, slotOf } from '../bundle/slot.ts'
import type { ListedChange, ListedOutcome, SlotNumber } from '../ports/mass-store.ts'
import { applyRows } from './certificate-import.ts'
import { isWritten, refusalOf } from './certificate-plan.ts'
import { type Database, numberIn, optionalNumberIn, query, type StoreOptions } from './database.ts'

const READ_ERAS = 'SELECT k, k_next FROM issuers WHERE id = ?1'

/** See MassStore.changeListed. */
export async function changeListed(
  db: Database,
  issuer: number,
  rows: readonly ListedChange[],
  options: { readonly add: boolean; readonly dryRun: boolean },
  nowMs: number,
  store: StoreOptions,
): Promise<{ outcomes: ListedOutcome[]; slots: SlotNumber[] }> {
  const outcomes = new Array<ListedOutcome>(rows.length).fill('unchanged')
  await applyRows(db, issuer, rows, nowMs, { ...store, ...options }, (position, result) => {
    if ('refused' in result) {
      outcomes[position] = result
      return
    }
    const { act, goal } = result
    const refused = refusalOf(act, goal)
    if (refused !== undefined) outcomes[position] = { refused }
    else if (act === 'absent') outcomes[position] = 'notFound'
    else if (isWritten(act)) outcomes[position] = act === 'add' ? 'added' : 'changed'
  })
  const changed = rows.filter((_, i) => outcomes[i] === 'added' || outcomes[i] === 'changed')
  return { outcomes, slots: options.dryRun ? await slotsOf(db, issuer, changed, store) : [] }
}

async function slotsOf(
  db: Database,
  issuer: number,
  rows: readonly ListedChange[],
  { timeoutMs }: StoreOptions,
): Promise<SlotNumber[]> {
  const [row] = await query(db, db.prepare(READ_ERAS).bind(issuer), timeoutMs)
  if (row === undefined) return []
  const hashes = rows.map(({ serial }) => serialHash(serial))
  return [numberIn(row, 'k'), optionalNumberIn(row, 'k_next')].flatMap((k) =>
    k === undefined
      ? []
      : [...new Set(hashes.map((hash) => slotOf(hash, k)))]
          .sort((a, b) => a - b)
          .map((slot): SlotNumber => ({ k, slot })),
  )
}
