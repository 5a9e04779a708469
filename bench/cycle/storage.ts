/** D1 and KV in a process of their own, as they are at the edge: how the Worker and the benchmark speak to them. */
import type { MigrationDatabase } from '../../src/cli/dev/migrations.ts'

/** POST: statements, one transaction. GET and PUT below KV_PATH: a value. */
export const DATABASE_PATH = '/d1'
export const KV_PATH = '/kv/'
/** Variable of the metered Worker: address of the relay in front of the storage. Without it, it uses its own bindings. */
export const STORAGE_VARIABLE = 'STORAGE_URL'

export interface RelayedStatement {
  readonly sql: string
  readonly values: readonly unknown[]
}

/** The database behind a relay, for migrations and questions of the benchmark. */
export function relayedDatabase(url: string): MigrationDatabase {
  const known = new WeakMap<object, RelayedStatement>()
  const send = async (statements: readonly RelayedStatement[]) => {
    const body = JSON.stringify(statements)
    const answer = await fetch(url + DATABASE_PATH, { method: 'POST', body })
    if (!answer.ok) throw new Error(await answer.text())
    return answer
  }
  const statement = (sql: string, values: readonly unknown[]) => {
    const made = {
      bind: (...bound: unknown[]) => statement(sql, bound),
      async all<T>(): Promise<{ results: T[] }> {
        const results: { results: T[] }[] = await (await send([{ sql, values }])).json()
        return results[0] ?? { results: [] }
      },
    }
    known.set(made, { sql, values })
    return made
  }
  return {
    prepare: (sql) => statement(sql, []),
    async batch(statements) {
      const plain = statements.flatMap((one) => known.get(one) ?? [])
      return await (await send(plain)).json()
    },
  }
}
