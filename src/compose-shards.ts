/** Several databases behind one Worker: each does its own work, and what concerns all of them is asked of all (ADR 0016). */
import { type Composed, clock, composeShard, type Shard, type ShardResources } from './compose-shard.ts'
import type { PresignOptions, PresignOutcome, PublishOutcome } from './http/admin-deps.ts'
import { consoleLog } from './http/observe.ts'
import type { QueueMessage } from './jobs/consumer.ts'
import { databaseOf } from './jobs/resign-message.ts'
import type { IssuerRecord } from './ports/records.ts'
import { Shards } from './responder/shards.ts'
import { Moves } from './shards/move.ts'
import { ShardedAdminStore } from './shards/sharded-admin-store.ts'
import { ShardedCanaryStore } from './shards/sharded-canary-store.ts'
import { ShardedRecoveryStore } from './shards/sharded-recovery-store.ts'

/** @param databases DB first, two or more */
export function composeShards(
  databases: readonly [D1Database, ...D1Database[]],
  resources: Omit<ShardResources, 'database' | 'db' | 'locate'>,
): Composed {
  const make = (db: D1Database, database: number): Shard =>
    composeShard({ ...resources, database, db, locate: (certID) => router.locate(certID) })
  const [db, ...others] = databases
  const first = make(db, 0)
  const shards = [first, ...others.map((other, index) => make(other, index + 1))]
  const router = new Shards(
    shards.map(({ responder }) => responder),
    clock,
  )
  const store = new ShardedAdminStore(shards)
  const canaries = new ShardedCanaryStore(shards)
  /** In every database that has something of the issuer, as it stands there. One that is away keeps none of the others. */
  const wherever = async <T>(
    id: number,
    work: (shard: Shard, issuer: IssuerRecord) => Promise<T>,
  ): Promise<T[]> => {
    const done = await Promise.allSettled(
      shards.map(async (shard) => {
        const issuer = await shard.record.readIssuer(id)
        return issuer === undefined ? [] : [await work(shard, issuer)]
      }),
    )
    const failed = done.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return done.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  }
  const shardOf = (database: number): Shard | undefined => shards.find((shard) => shard.database === database)

  return {
    responder: { ...first.responder, shards: router },
    store,
    canaries,
    recovery: new ShardedRecoveryStore(shards),
    moves: new Moves({
      databases: shards.map((shard) => ({
        database: shard.database,
        moves: shard.moveStore,
        publish: (change) => shard.publish(change),
        async writeIssuerPage(id) {
          const issuer = await shard.record.readIssuer(id)
          if (issuer !== undefined) await shard.writeIssuerPage(issuer)
        },
      })),
      clock,
      boundSeconds: resources.settings.boundSeconds,
      newId: () => crypto.randomUUID(),
    }),
    async changeCanary(canary) {
      const home = shardOf(await canaries.databaseOf(canary.issuer))
      return home?.changeCanary(canary)
    },
    async publish(change) {
      if (change?.database !== undefined) return (shardOf(change.database) ?? first).publish(change)
      if (change === undefined) return together(await Promise.all(shards.map((shard) => shard.publish())))
      return together(
        await wherever(change.issuer, async (shard, { id }) =>
          shard.publish({ issuer: id, revision: await shard.record.readHead(id) }),
        ),
      )
    },
    presign: (options) => presignAll(shards, options),
    async writeIssuerPage({ id }) {
      await wherever(id, (shard, issuer) => shard.writeIssuerPage(issuer))
    },
    certificatesRecorded() {
      for (const shard of shards) shard.certificatesRecorded()
    },
    async scheduled() {
      await Promise.all(shards.map((shard) => shard.scheduled()))
    },
    async queue(name, messages) {
      for (const [database, own] of Map.groupBy(messages, ({ body }) => databaseOf(body))) {
        const shard = shardOf(database)
        if (shard === undefined) giveBack(own, database)
        else await shard.queue(name, own)
      }
    },
  }
}

/** One after the other, within one budget. */
async function presignAll(
  shards: readonly Shard[],
  { signatures, ...scope }: PresignOptions,
): Promise<PresignOutcome> {
  let [built, made, failed, remaining] = [0, 0, 0, 0]
  const problems: string[] = []
  for (const shard of shards) {
    const left = signatures === undefined ? {} : { signatures: Math.max(0, signatures - made) }
    const outcome = await shard.presign({ ...scope, ...left })
    built += outcome.built
    made += outcome.signatures
    failed += outcome.failed
    remaining += outcome.remaining
    problems.push(...(outcome.problems ?? []))
  }
  return { built, signatures: made, failed, remaining, problems }
}

/** Published when all are; the first that is not says why. */
function together(outcomes: readonly PublishOutcome[]): PublishOutcome {
  const failed = outcomes.find(({ published }) => !published)
  if (failed !== undefined) return failed
  const publishedAtMs = Math.max(...outcomes.map((one) => one.publishedAtMs ?? 0))
  return { published: true, version: outcomes[0]?.version, publishedAtMs }
}

/** A database that was taken out of the configuration: after its retries the queue gives the message up. */
function giveBack(messages: readonly QueueMessage[], database: number): void {
  for (const message of messages) {
    consoleLog.event('error', { what: 'message of an unknown database', message: message.id, database })
    message.retry()
  }
}
