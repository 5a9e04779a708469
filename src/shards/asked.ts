/** Every database asked the same, and what follows from those that answered. */
import { NotFoundError } from '../ports/admin-store.ts'
import { StorageError } from '../ports/errors.ts'
import { databaseName, ShardError } from '../ports/part-store.ts'
import type { IssuerPart, IssuerRecord } from '../ports/records.ts'
import type { RecordShard } from './record-shard.ts'

export interface Answered<T> {
  readonly shard: RecordShard
  readonly value: T
}

export interface Fault {
  readonly shard: RecordShard
  readonly error: StorageError
}

/** In the order of the databases. */
export interface Asked<T> {
  readonly answers: readonly Answered<T>[]
  readonly faults: readonly Fault[]
}

/** All at once. @throws whatever is no StorageError */
export async function askAll<T>(
  shards: readonly RecordShard[],
  ask: (shard: RecordShard) => Promise<T>,
): Promise<Asked<T>> {
  const answers: Answered<T>[] = []
  const faults: Fault[] = []
  const settled = await Promise.all(
    shards.map((shard) =>
      ask(shard).then(
        (value) => () => answers.push({ shard, value }),
        (error: unknown) => {
          if (!(error instanceof StorageError)) throw error
          return () => faults.push({ shard, error })
        },
      ),
    ),
  )
  for (const note of settled) note()
  return { answers, faults }
}

/** @throws ShardError when one has not answered */
export function valuesOf<T>({ answers, faults }: Asked<T>): T[] {
  if (faults.length > 0) throw unreached(faults)
  return answers.map(({ value }) => value)
}

/** An error that names who did not answer. @param what else the operator has to know */
export function unreached(faults: readonly Fault[], what = 'nothing was changed'): ShardError {
  const names = faults.map(({ shard, error }) => {
    // A driver's message may quote anything.
    const why = error instanceof ShardError ? error.message : error.reason
    return `${databaseName(shard.database)} (${why})`
  })
  return new ShardError(`${names.join(', ')}: ${what}`, { cause: faults[0]?.error })
}

/** Parts of one issuer, the lowest database first. */
export type Parts = Asked<IssuerRecord>

export async function askParts(shards: readonly RecordShard[], id: number): Promise<Parts> {
  const { answers, faults } = await askAll(shards, ({ record }) => record.readIssuer(id))
  return {
    answers: answers.flatMap(({ shard, value }) => (value === undefined ? [] : { shard, value })),
    faults,
  }
}

/** As one record: that of the lowest database, with all parts. @throws NotFoundError; ShardError when nobody who answers has it */
export function merged({ answers, faults }: Parts, id: number | string): IssuerRecord {
  const [lowest] = answers
  if (lowest === undefined) {
    if (faults.length > 0) throw unreached(faults)
    throw new NotFoundError(`no issuer has the id ${id}`)
  }
  const parts = answers.flatMap(({ value }) => value.parts ?? [])
  const others = answers.slice(1)
  const partsDiffer = others.some(({ value }) => configurationOf(value) !== configurationOf(lowest.value))
  return { ...lowest.value, parts, ...(partsDiffer ? { partsDiffer } : undefined) }
}

/** What all parts of an issuer have in common, as text. */
export function configurationOf(issuer: IssuerRecord): string {
  const responders = issuer.responders.map(({ name, keyHash, retired }) =>
    [name, keyHash.join(), retired].join(),
  )
  return JSON.stringify([
    issuer.name,
    Object.entries(issuer.policy).sort(),
    issuer.enabled,
    issuer.compromisedAt ?? 0,
    issuer.finalAt ?? 0,
    responders.sort(),
  ])
}

/** The database that has the certificates whose hash begins with this digit. @throws NotFoundError; ShardError when that is not certain */
export function claimant({ answers, faults }: Parts, id: number, digit: number): RecordShard {
  const claims = answers.flatMap(({ shard, value }) =>
    (value.parts ?? [])
      .filter(({ away: mask }) => ((mask >> digit) & 1) === 0)
      .map((part) => ({ shard, part })),
  )
  const [best] = claims.toSorted((a, b) => rankOf(a.part) - rankOf(b.part))
  // Whoever says that another may have a newer claim, or has lost its last changes, is sure only when all have been asked.
  if (best !== undefined && (faults.length === 0 || claims.some(({ part }) => !part.moving && !part.frozen)))
    return best.shard
  if (faults.length > 0) throw unreached(faults)
  if (answers.length === 0) throw new NotFoundError(`no issuer has the id ${id}`)
  throw new ShardError(
    `no database has the certificates whose hash begins with ${digit.toString(16)}: repeat the issuer add that was not completed`,
  )
}

/** Of several claims, sorted: the fresh one, then one that is not frozen, then the lowest. */
function rankOf({ fresh, frozen }: IssuerPart): number {
  return (fresh ? 0 : 2) + (frozen ? 1 : 0)
}
