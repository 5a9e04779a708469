/** As much of a D1 database as the adapters of src/storage use, over node:sqlite. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Database, QueryResult, Statement, Value } from '../../storage/database.ts'

export const MIGRATIONS = join(import.meta.dirname, '../../../migrations')
/** How long a writer elsewhere may hold us up; in WAL mode none does. */
const BUSY_MS = 5_000

export class NodeDatabase implements Database {
  readonly #sqlite: DatabaseSync

  private constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite
  }

  /** An empty database of the present schema that is gone with the process. */
  static inMemory(): NodeDatabase {
    const sqlite = new DatabaseSync(':memory:')
    for (const name of migrationNames()) sqlite.exec(readFileSync(join(MIGRATIONS, name), 'utf8'))
    return new NodeDatabase(sqlite)
  }

  /** Only for reading: nothing here can change the file, whoever else has it open. @throws what SQLite says */
  static openReadOnly(path: string): NodeDatabase {
    return new NodeDatabase(new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS }))
  }

  prepare(sql: string): NodeStatement {
    return new NodeStatement(this, sql, [])
  }

  async batch(statements: Statement[]): Promise<QueryResult[]> {
    return this.run(
      statements.map((statement) => {
        if (!(statement instanceof NodeStatement)) throw new TypeError('a statement of another database')
        return statement
      }),
    )
  }

  /** One transaction, which sees one state of the file. */
  run(statements: readonly NodeStatement[]): QueryResult[] {
    this.#sqlite.exec('BEGIN')
    try {
      const results = statements.map(({ sql, values }) => {
        const before = this.#totalChanges()
        const rows = this.#sqlite.prepare(sql).all(...values)
        return { results: rows, meta: { changes: this.#totalChanges() - before } }
      })
      this.#sqlite.exec('COMMIT')
      return results
    } catch (error) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK')
      throw error
    }
  }

  close(): void {
    this.#sqlite.close()
  }

  #totalChanges(): number {
    return Number(this.#sqlite.prepare('SELECT total_changes() AS n').get()?.['n'] ?? 0)
  }
}

class NodeStatement implements Statement {
  readonly sql: string
  readonly values: readonly Value[]
  readonly #db: NodeDatabase

  constructor(db: NodeDatabase, sql: string, values: readonly Value[]) {
    this.#db = db
    this.sql = sql
    this.values = values
  }

  bind(...values: Value[]): NodeStatement {
    return new NodeStatement(this.#db, this.sql, values)
  }

  async all(): Promise<QueryResult> {
    const [result] = this.#db.run([this])
    return result ?? { results: [], meta: { changes: 0 } }
  }
}

/** In the order in which they are applied. */
export function migrationNames(): readonly string[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
}
