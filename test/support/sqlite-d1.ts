/**
 * A D1 database over node:sqlite, so that the adapters' real SQL and the migrations' real triggers run in plain Node, with
 * hooks to make it fail, hang, be late, or be restored from a backup.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Database, QueryResult, Statement, Value } from '../../src/storage/database.ts'

const MIGRATIONS = join(import.meta.dirname, '../../migrations')

interface Prepared {
  readonly statement: StatementSync
  /** Highest ?NNN. */
  readonly wanted: number
  readonly onlyReads: boolean
}

export interface SqliteD1Options {
  /** Unix seconds for unixepoch() in the SQL; the machine's clock unless given. */
  readonly now?: () => number
  /** false: an empty database, as before `wrangler d1 migrations apply`. */
  readonly migrate?: boolean
}

export class SqliteD1 implements Database {
  #sqlite: DatabaseSync
  readonly #now: (() => number) | undefined
  #failures: { left: number; error: Error } = { left: 0, error: new Error() }
  #hung: (() => void)[] | undefined
  #delayMs = 0
  #commitThenFail = 0
  /** By SQL: to prepare costs more than to run. */
  #prepared = new Map<string, Prepared>()
  /** Calls that reached the database (a batch is one). */
  calls = 0
  /** Called before each call runs; a test can slip another writer in. */
  beforeCall: ((sql: readonly string[]) => void | Promise<void>) | undefined

  constructor(options: SqliteD1Options = {}) {
    this.#now = options.now
    this.#sqlite = this.#open()
    if (options.migrate !== false) this.migrate()
  }

  migrate(): void {
    const files = readdirSync(MIGRATIONS)
      .filter((file) => file.endsWith('.sql'))
      .sort()
    for (const file of files) this.#sqlite.exec(readFileSync(join(MIGRATIONS, file), 'utf8'))
  }

  /** The next `count` calls reject without touching the database. */
  failNext(count: number, message = 'D1_ERROR: Network connection lost.'): void {
    this.#failures = { left: count, error: new Error(message) }
  }

  /** The next `count` calls take effect, and then reject: the answer is lost on its way. */
  loseAnswers(count: number): void {
    this.#commitThenFail = count
  }

  /** Calls never settle (and do nothing) until resume(). */
  hang(): void {
    this.#hung ??= []
  }

  resume(): void {
    const waiting = this.#hung ?? []
    this.#hung = undefined
    for (const go of waiting) go()
  }

  /** Every call takes this long. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Everything, to be put back by restore(). */
  backup(): () => void {
    const tables = this.#sqlite.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    const copies = tables.all().map(({ name }) => ({
      name: String(name),
      rows: this.#sqlite.prepare(`SELECT * FROM ${String(name)}`).all(),
    }))
    return () => {
      this.#sqlite.close()
      this.#sqlite = this.#open()
      this.migrate()
      this.#sqlite.exec('PRAGMA foreign_keys = OFF')
      for (const { name, rows } of copies) {
        this.#withoutTriggers(() => {
          this.#sqlite.exec(`DELETE FROM ${name}`)
          for (const row of rows) {
            const columns = Object.keys(row)
            const marks = columns.map(() => '?').join(', ')
            const insert = this.#sqlite.prepare(
              `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${marks})`,
            )
            insert.run(...columns.map((column) => row[column] ?? null))
          }
        })
      }
      this.#sqlite.exec('PRAGMA foreign_keys = ON')
    }
  }

  /** From here on everything happens within one transaction that ends with the returned function, as if it never had. */
  tentatively(): () => void {
    this.#sqlite.exec('BEGIN')
    return () => this.#sqlite.exec('ROLLBACK')
  }

  /** Straight to SQLite, past faults and adapters: what somebody at `wrangler d1 execute` could do. */
  exec(sql: string): void {
    this.#sqlite.exec(sql)
  }

  /** Rows, straight from SQLite. */
  rows(sql: string, ...values: Value[]): Record<string, unknown>[] {
    return this.#statement(sql).statement.all(...values)
  }

  prepare(sql: string): SqliteStatement {
    return new SqliteStatement(this, sql, [])
  }

  batch(statements: Statement[]): Promise<QueryResult[]> {
    return this.call(
      statements.map((statement) => {
        if (!(statement instanceof SqliteStatement)) throw new TypeError('a statement of another database')
        return statement
      }),
    )
  }

  /** Runs the statements as one transaction, subject to the faults that were set. */
  async call(statements: readonly SqliteStatement[]): Promise<QueryResult[]> {
    this.calls += 1
    await this.beforeCall?.(statements.map(({ sql }) => sql))
    const waiting = this.#hung
    if (waiting !== undefined) await new Promise<void>((resolve) => waiting.push(resolve))
    if (this.#delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#delayMs))
    if (this.#failures.left > 0) {
      this.#failures.left -= 1
      throw this.#failures.error
    }
    const results = this.#transaction(statements)
    if (this.#commitThenFail > 0) {
      this.#commitThenFail -= 1
      throw new Error('D1_ERROR: the answer was lost')
    }
    return results
  }

  close(): void {
    this.#sqlite.close()
  }

  #transaction(statements: readonly SqliteStatement[]): QueryResult[] {
    const isInner = this.#sqlite.isTransaction
    this.#sqlite.exec(isInner ? 'SAVEPOINT call' : 'BEGIN IMMEDIATE')
    try {
      const results = statements.map(({ sql, values }) => this.#runOne(sql, values))
      this.#sqlite.exec(isInner ? 'RELEASE call' : 'COMMIT')
      return results
    } catch (error) {
      if (this.#sqlite.isTransaction)
        this.#sqlite.exec(isInner ? 'ROLLBACK TO call; RELEASE call' : 'ROLLBACK')
      const message = error instanceof Error ? error.message : String(error)
      const kind = /no such|syntax error/.test(message) ? 'SQLITE_ERROR' : 'SQLITE_CONSTRAINT'
      throw new Error(`D1_ERROR: ${message}: ${kind}`, { cause: error })
    }
  }

  #runOne(sql: string, values: readonly Value[]): QueryResult {
    const { statement, wanted, onlyReads } = this.#statement(sql)
    if (wanted !== values.length)
      throw new Error(`Wrong number of parameter bindings for SQL query: ${values.length}, not ${wanted}`)
    const before = onlyReads ? 0 : this.#totalChanges()
    const results = statement.all(...values)
    return { results, meta: { changes: onlyReads ? 0 : this.#totalChanges() - before } }
  }

  #totalChanges(): number {
    return Number(this.#statement('SELECT total_changes() AS n').statement.get()?.['n'] ?? 0)
  }

  #statement(sql: string): Prepared {
    const known = this.#prepared.get(sql)
    if (known !== undefined) return known
    const onlyReads = /^\s*SELECT\b/i.test(sql)
    const made = { statement: this.#sqlite.prepare(sql), wanted: parameterCount(sql), onlyReads }
    this.#prepared.set(sql, made)
    return made
  }

  #open(): DatabaseSync {
    const sqlite = new DatabaseSync(':memory:')
    this.#prepared = new Map()
    const now = this.#now
    if (now !== undefined)
      sqlite.function('unixepoch', { varargs: true }, (...args: unknown[]) =>
        args[0] === 'subsec' ? now() : Math.floor(now()),
      )
    return sqlite
  }

  #withoutTriggers(work: () => void): void {
    const triggers = this.#sqlite.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all()
    for (const { name } of triggers) this.#sqlite.exec(`DROP TRIGGER ${String(name)}`)
    work()
    for (const { sql } of triggers) this.#sqlite.exec(String(sql))
  }
}

/** A D1PreparedStatement, as far as it goes. */
export class SqliteStatement implements Statement {
  readonly sql: string
  readonly values: readonly Value[]
  readonly #db: SqliteD1

  constructor(db: SqliteD1, sql: string, values: readonly Value[]) {
    this.#db = db
    this.sql = sql
    this.values = values
  }

  bind(...values: Value[]): SqliteStatement {
    return new SqliteStatement(this.#db, this.sql, values)
  }

  async all(): Promise<QueryResult> {
    const [result] = await this.#db.call([this])
    if (result === undefined) throw new Error('no result')
    return result
  }

  run(): Promise<QueryResult> {
    return this.all()
  }

  async first(column?: string): Promise<unknown> {
    const row = (await this.all()).results[0]
    if (row === undefined) return null
    return column === undefined ? row : row[column]
  }

  async raw(): Promise<unknown[][]> {
    return (await this.all()).results.map((row) => Object.values(row))
  }
}

/** D1 refuses a call with more or fewer values than the highest ?NNN; node:sqlite would take NULL for the missing ones. */
function parameterCount(sql: string): number {
  const numbered = [...sql.matchAll(/\?(\d+)/g)].map(([, digits]) => Number(digits))
  return numbered.length > 0 ? Math.max(...numbered) : (sql.match(/\?/g) ?? []).length
}
