/**
 * Mass revocation over several databases: one run, kept by the first of them that had some of the issuer, with one cursor over all
 * hashes. Each stretch is handled by the database that claims its digits then, so that digits may move in the middle of a run. The
 * id of a run says which database keeps it.
 */
import type { MassRequest, MassRun, MassStep, MassTally } from '../ports/mass-store.ts'
import { askAll, askParts, claimant, merged, type Parts, valuesOf } from './asked.ts'
import type { RecordShard } from './record-shard.ts'

const IDS_OF_RUNS = 2 ** 40
const DIGIT = 2 ** 28
const DIGITS = 16

export class ShardedMass {
  readonly #shards: readonly RecordShard[]

  constructor(shards: readonly RecordShard[]) {
    this.#shards = shards
  }

  async start(issuer: number, request: MassRequest, nowMs: number): Promise<MassRun> {
    const parts = await askParts(this.#shards, issuer)
    valuesOf(parts) // whoever is away may keep a run of it
    merged(parts, issuer)
    const shards = parts.answers.map(({ shard }) => shard)
    const open = valuesOf(await askAll(shards, ({ record }) => record.openMass(issuer, request)))
    const keeper =
      shards[
        Math.max(
          0,
          open.findIndex((run) => run !== undefined),
        )
      ] ?? this.#keeper(0)
    return told(keeper, await keeper.record.startMass(issuer, request, nowMs))
  }

  /** In another database than the keeper's, the cursor follows in a transaction of its own: a stretch may be walked twice. */
  async step(run: MassRun, request: MassRequest, nowMs: number): Promise<MassStep> {
    const { shard, until } = stretch(await askParts(this.#shards, run.issuer), run.issuer, run.cursor)
    const keeper = this.#keeper(run.id)
    const id = run.id % IDS_OF_RUNS
    if (shard === keeper) return keeper.record.stepMass({ ...run, id }, request, nowMs, until)
    const step = await shard.record.stepMass({ ...run, id: 0 }, request, nowMs, until)
    await keeper.record.passMass(id, run.cursor, step, nowMs)
    return step
  }

  async note(id: number, busyMs: number): Promise<MassRun> {
    const keeper = this.#keeper(id)
    return told(keeper, await keeper.record.noteMass(id % IDS_OF_RUNS, busyMs))
  }

  async list(issuer: number, limit: number): Promise<MassRun[]> {
    const lists = await askAll(this.#shards, async (shard) =>
      (await shard.record.listMass(issuer, limit)).map((run) => told(shard, run)),
    )
    return valuesOf(lists)
      .flat()
      .sort((a, b) => b.startedMs - a.startedMs)
      .slice(0, limit)
  }

  async tally(issuer: number, request: MassRequest, cursor: number, nowMs: number): Promise<MassTally> {
    const { shard, until } = stretch(await askParts(this.#shards, issuer), issuer, cursor)
    return shard.record.tallyMass(issuer, request, cursor, nowMs, until)
  }

  #keeper(run: number): RecordShard {
    const database = Math.floor(run / IDS_OF_RUNS)
    const shard = this.#shards.find((one) => one.database === database)
    if (shard === undefined) throw new RangeError(`there is no database ${database}`)
    return shard
  }
}

function told({ database }: RecordShard, run: MassRun): MassRun {
  return { ...run, id: database * IDS_OF_RUNS + run.id }
}

/** Who has the hashes from here on, and up to where. @throws NotFoundError; ShardError */
function stretch(parts: Parts, issuer: number, from: number): { shard: RecordShard; until: number } {
  let digit = Math.floor(from / DIGIT)
  const shard = claimant(parts, issuer, digit)
  do digit += 1
  while (digit < DIGITS && isOf(shard, parts, issuer, digit))
  return { shard, until: digit * DIGIT }
}

function isOf(shard: RecordShard, parts: Parts, issuer: number, digit: number): boolean {
  try {
    return claimant(parts, issuer, digit) === shard
  } catch {
    return false // it is told when the walk comes there
  }
}
