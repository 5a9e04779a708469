/** What can be the matter between databases: nothing that one of them would notice by itself. */
import type { IssuerState, PartFault } from '../ports/admin-store.ts'
import { formatDigits } from '../ports/moves.ts'
import { ALL_DIGITS, databaseName } from '../ports/part-store.ts'
import type { IssuerPart } from '../ports/records.ts'

/** @param states of all databases @param isAll every database is among them */
export function findPartFaults(states: readonly IssuerState[], isAll: boolean): PartFault[] {
  return [
    ...twice(states, ({ ski }) => ski, 'for the same CA'),
    ...twice(states, ({ name }) => name, 'of the same name'),
    ...[...Map.groupBy(states, ({ id }) => id).values()].flatMap((parts) => [
      ...differing(parts),
      ...(isAll ? unclaimed(parts) : []),
      ...claimedTwice(parts),
    ]),
  ]
}

/** Two who added it at the same moment, each in another database: nothing locks them both. */
function twice(
  states: readonly IssuerState[],
  keyOf: (state: IssuerState) => string | undefined,
  what: string,
): PartFault[] {
  return [...Map.groupBy(states, keyOf).values()].flatMap((same) => {
    const other = same.find(({ id }) => id !== same[0]?.id)
    if (other === undefined || !same[0]?.enabled || !other.enabled) return []
    const names = [same[0], other].map(({ id, parts }) => `${id} in ${namesOf(parts)}`).join(' and ')
    return {
      code: 'issuerTwice' as const,
      issuer: other.name,
      message: `there are two issuers ${what}: ${names}. Either may answer, and knows only its own certificates`,
      step: `record in one of them what the other has, then: edge-ocsp issuer set ${other.id} --rename ${other.name}-unused && edge-ocsp issuer disable ${other.id}`,
    }
  })
}

function differing(parts: readonly IssuerState[]): PartFault[] {
  const [first] = parts
  // A part that has all of the issuer again, as when a move was given up, tells nothing to compare.
  const told = new Set(parts.flatMap(({ configuration }) => configuration ?? []))
  if (first === undefined || told.size < 2) return []
  return [
    {
      code: 'partsDiffer',
      issuer: first.name,
      message: `issuer ${first.name} is not configured alike in ${namesOf(parts.flatMap((one) => one.parts ?? []))}: a change of it was not completed`,
      step: 'repeat the last command that failed: issuer add, issuer set, responder add, responder retire, compromise or finalize',
    },
  ]
}

function unclaimed(states: readonly IssuerState[]): PartFault[] {
  const parts = states.flatMap((one) => one.parts ?? [])
  const away = parts.reduce((mask, part) => mask & part.away, ALL_DIGITS)
  const [first] = states
  if (first === undefined || away === 0) return []
  const restored = parts.find(({ frozen }) => frozen)
  return [
    {
      code: 'digitsUnclaimed',
      issuer: first.name,
      message: `issuer ${first.name}: no database has the certificates whose hash begins with ${formatDigits(away)}; they are answered tryLater`,
      step:
        restored === undefined
          ? 'repeat the issuer add that was not completed, with the same --databases; or add the binding of the database that is missing'
          : `${execute(restored, first.id, [`arriving = ${away}`, `away = away & ~${away}, arriving = 0`])}, then record them again: they went with the restore`,
    },
  ]
}

/** One of the two was restored to a time before a move: it does not know that it gave them up. */
function claimedTwice(states: readonly IssuerState[]): PartFault[] {
  const [first] = states
  const stale = staleClaim(states.flatMap((one) => one.parts ?? []))
  if (first === undefined || stale === undefined) return []
  const { part, digits } = stale
  const changes = [`leaving = leaving | ${digits}`, `away = away | ${digits}, leaving = leaving & ~${digits}`]
  return [
    {
      code: 'digitsTwice',
      issuer: first.name,
      message: `issuer ${first.name}: two databases have the certificates whose hash begins with ${formatDigits(digits)}, and none of them moves; ${databaseName(part.database)} was restored to a time before it gave them up`,
      step: `before the thaw: ${execute(part, first.id, changes)}`,
    },
  ]
}

/** @returns the part that was restored to a time before it gave up digits that another has; undefined when there is none */
export function staleClaim(
  parts: readonly IssuerPart[],
): { readonly part: IssuerPart; readonly digits: number } | undefined {
  for (const part of parts) {
    if (!part.frozen) continue
    const others = parts.filter((other) => other !== part && !other.frozen)
    const digits = others.reduce((mask, { away }) => mask | (ALL_DIGITS & ~away), 0) & ~part.away
    if (digits !== 0 && !part.moving && !part.fresh) return { part, digits }
  }
  return undefined
}

/** What no command does, since it is true only after a restore. */
function execute({ database }: IssuerPart, issuer: number, changes: readonly string[]): string {
  const sql = changes.map((columns) => `UPDATE issuers SET ${columns}, seq = seq + 1 WHERE id = ${issuer}`)
  return `wrangler d1 execute ${databaseName(database)} --remote --command "${sql.join('; ')}"`
}

function namesOf(parts: readonly IssuerPart[] = []): string {
  return parts.map(({ database }) => databaseName(database)).join(', ')
}
