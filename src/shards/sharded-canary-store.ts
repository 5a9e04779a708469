/** Canaries of several databases: each is in the one that has its serial, and measures that one. */
import { serialHash } from '../bundle/slot.ts'
import type { Canary, CanaryStore } from '../ports/canary-store.ts'
import { type Asked, askAll, askParts, claimant, unreached, valuesOf } from './asked.ts'
import type { RecordShard } from './record-shard.ts'

export class ShardedCanaryStore implements Pick<CanaryStore, 'listCanaries' | 'setCanary'> {
  readonly #shards: readonly RecordShard[]

  constructor(shards: readonly RecordShard[]) {
    this.#shards = shards
  }

  /** One of an issuer: an enabled one, in the lowest database. Of the databases that answer. */
  async listCanaries(): Promise<readonly Canary[]> {
    const all = (await this.#all()).answers.flatMap(({ value }) => value)
    const issuers = [...Map.groupBy(all, ({ issuer }) => issuer).values()]
    return issuers
      .flatMap((some) => some.find(({ enabled }) => enabled) ?? some[0] ?? [])
      .sort((a, b) => a.issuer - b.issuer)
  }

  /** Where there is one already, else where the serial belongs. */
  async setCanary(issuer: number, serial: Uint8Array, enabled: boolean): Promise<Canary> {
    const all = await this.#all()
    valuesOf(all)
    const known = this.#homes(all, issuer)
    const [first] = known
    const { canaries } =
      first ?? claimant(await askParts(this.#shards, issuer), issuer, serialHash(serial) >>> 28)
    const canary = await canaries.setCanary(issuer, serial, enabled)
    for (const other of known.slice(1)) await other.canaries.setCanary(issuer, serial, false)
    return canary
  }

  /** Where the canary of an issuer is; the first database when there is none. */
  async databaseOf(issuer: number): Promise<number> {
    return this.#homes(await this.#all(), issuer)[0]?.database ?? 0
  }

  async #all(): Promise<Asked<readonly Canary[]>> {
    const all = await askAll(this.#shards, ({ canaries }) => canaries.listCanaries())
    if (all.answers.length === 0) throw unreached(all.faults)
    return all
  }

  /** Those that have one of it, an enabled one first. */
  #homes({ answers }: Asked<readonly Canary[]>, issuer: number): RecordShard[] {
    return answers
      .flatMap(({ shard, value }) =>
        value.filter((one) => one.issuer === issuer).map(({ enabled }) => ({ shard, enabled })),
      )
      .sort((a, b) => Number(b.enabled) - Number(a.enabled))
      .map(({ shard }) => shard)
  }
}
