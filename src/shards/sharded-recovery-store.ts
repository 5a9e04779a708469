/** After KV was lost: the same in every database. */
import type { RecoveryStore } from '../ports/recovery-store.ts'
import { askAll, askParts, unreached, valuesOf } from './asked.ts'
import type { RecordShard } from './record-shard.ts'

export class ShardedRecoveryStore implements Pick<RecoveryStore, 'markLost' | 'issuersAfter'> {
  readonly #shards: readonly RecordShard[]

  constructor(shards: readonly RecordShard[]) {
    this.#shards = shards
  }

  /** Where it was done it stays done; a second time finds the same. */
  async markLost(issuer: number | undefined, nowMs: number): Promise<number> {
    // A database that has nothing of it has nothing to note.
    const parts = issuer === undefined ? undefined : await askParts(this.#shards, issuer)
    if (parts !== undefined) valuesOf(parts)
    const shards = parts?.answers.map(({ shard }) => shard) ?? this.#shards
    const { answers, faults } = await askAll(shards, ({ recovery }) => recovery.markLost(issuer, nowMs))
    if (faults.length > 0) throw unreached(faults, 'all is due in the other databases; repeat the call')
    return answers.reduce((sum, { value }) => sum + value, 0)
  }

  async issuersAfter(id: number, limit: number): Promise<readonly number[]> {
    const ids = valuesOf(await askAll(this.#shards, ({ recovery }) => recovery.issuersAfter(id, limit)))
    return [...new Set(ids.flat())].sort((a, b) => a - b).slice(0, limit)
  }
}
