/** Applies migrations/*.sql to a D1 database in order, and records them where wrangler does (table d1_migrations). */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The part of D1Database that is used. */
export interface MigrationDatabase {
  prepare(query: string): MigrationStatement
  batch(statements: MigrationStatement[]): Promise<unknown>
}
interface MigrationStatement {
  bind(...values: unknown[]): MigrationStatement
  all<T>(): Promise<{ results: T[] }>
}

const RECORD_TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`

/**
 * Each file is one transaction together with its record: after a kill it is applied or it is not.
 * @returns names of the files applied now
 * @throws Error naming the file
 */
export async function applyMigrations(db: MigrationDatabase, folder: string): Promise<readonly string[]> {
  await db.batch([db.prepare(RECORD_TABLE)])
  const { results } = await db.prepare('SELECT name FROM d1_migrations').all<{ name: string }>()
  const applied = new Set(results.map(({ name }) => name))
  const pending = (await readdir(folder)).filter((name) => name.endsWith('.sql') && !applied.has(name)).sort()
  for (const name of pending) {
    const statements = splitStatements(await readFile(join(folder, name), 'utf8'))
    try {
      await db.batch([
        ...statements.map((sql) => db.prepare(sql)),
        db.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name),
      ])
    } catch (error) {
      throw new Error(`migration ${name} failed: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      })
    }
  }
  return pending
}

// Comments, quoted things, words, and any other single character.
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|\w+|\s+|[\s\S]/g

/** Statements of an SQL script, without comments. A trigger ends with "; END;" (as sqlite3_complete has it). */
export function splitStatements(script: string): readonly string[] {
  const statements: string[] = []
  let text = ''
  let words: string[] = []
  for (const [token] of script.matchAll(TOKEN)) {
    if (/^(--|\/\*)/.test(token)) {
      text += ' '
      continue
    }
    text += token
    if (/^\s+$/.test(token)) continue
    words.push(token.toUpperCase())
    const inTrigger = /^CREATE (TEMP |TEMPORARY )?TRIGGER\b/.test(words.slice(0, 3).join(' '))
    if (token !== ';' || (inTrigger && words.slice(-3).join('') !== ';END;')) continue
    if (words.length > 1) statements.push(text.trim())
    text = ''
    words = []
  }
  if (words.length > 0) statements.push(text.trim())
  return statements
}
