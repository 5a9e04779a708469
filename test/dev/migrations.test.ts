import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { readD1Migrations } from '@cloudflare/vitest-plugin'
import { describe, expect, test } from 'vitest'
import { applyMigrations, splitStatements } from '../../src/cli/dev/migrations.ts'

describe('an SQL script as statements', () => {
  test.each([
    ['two statements', 'SELECT 1; SELECT 2;', ['SELECT 1;', 'SELECT 2;']],
    ['the last without its end', 'SELECT 1;\nSELECT 2', ['SELECT 1;', 'SELECT 2']],
    ['a semicolon in a string', `SELECT 'a;''b'; SELECT ";"`, [`SELECT 'a;''b';`, 'SELECT ";"']],
    ['a semicolon in a comment', '-- a;b\nSELECT 1 /* c;d */ + 1;', ['SELECT 1   + 1;']],
    ['nothing but comments', '-- nothing;\n/* ; */ ;', []],
    [
      'a trigger whose body ends a CASE',
      "CREATE TRIGGER t BEFORE DELETE ON a BEGIN SELECT CASE WHEN 1 THEN RAISE(ABORT, 'x') END; END; SELECT 1;",
      [
        "CREATE TRIGGER t BEFORE DELETE ON a BEGIN SELECT CASE WHEN 1 THEN RAISE(ABORT, 'x') END; END;",
        'SELECT 1;',
      ],
    ],
  ])('%s', (_what, script, statements) => {
    expect(splitStatements(script)).toEqual(statements)
  })

  test('cuts our migrations into as many statements as wrangler does, each complete for SQLite', async () => {
    const db = new DatabaseSync(':memory:')
    for (const { name, queries } of await readD1Migrations('migrations')) {
      const statements = splitStatements(readFileSync(join('migrations', name), 'utf8'))
      expect(statements.length, name).toBe(queries.length)
      for (const sql of statements) expect(() => db.prepare(sql).run(), sql).not.toThrow()
    }
  })
})

describe('migrations of the local database', () => {
  test('are applied once each, in order, and recorded where wrangler records them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'migrations-'))
    writeFileSync(join(folder, '0002_b.sql'), 'INSERT INTO a VALUES (2);')
    writeFileSync(join(folder, '0001_a.sql'), 'CREATE TABLE a(x INTEGER) STRICT; INSERT INTO a VALUES (1);')
    writeFileSync(join(folder, 'notes.txt'), 'not SQL')
    const world = database()
    expect(await applyMigrations(world.db, folder)).toEqual(['0001_a.sql', '0002_b.sql'])
    writeFileSync(join(folder, '0003_c.sql'), 'INSERT INTO a VALUES (3);')
    expect(await applyMigrations(world.db, folder)).toEqual(['0003_c.sql'])
    expect(world.rows('SELECT x FROM a')).toEqual([{ x: 1 }, { x: 2 }, { x: 3 }])
    expect(world.rows('SELECT name FROM d1_migrations ORDER BY id')).toEqual(
      ['0001_a.sql', '0002_b.sql', '0003_c.sql'].map((name) => ({ name })),
    )
  })

  test('leave nothing behind when one fails, and name it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'migrations-'))
    writeFileSync(
      join(folder, '0001_a.sql'),
      'CREATE TABLE a(x INTEGER) STRICT; INSERT INTO missing VALUES (1);',
    )
    const world = database()
    await expect(applyMigrations(world.db, folder)).rejects.toThrow(
      /^migration 0001_a\.sql failed: .*missing/,
    )
    expect(world.rows("SELECT name FROM sqlite_schema WHERE name = 'a'")).toEqual([])
    expect(world.rows('SELECT name FROM d1_migrations')).toEqual([])
  })

  test('exist', () => {
    expect(readdirSync('migrations').filter((name) => name.endsWith('.sql')).length).toBeGreaterThan(0)
  })
})

/** The part of D1 that is used, over SQLite: a batch is one transaction. */
function database() {
  const sqlite = new DatabaseSync(':memory:')
  interface Statement {
    bind(...values: unknown[]): Statement
    all<T>(): Promise<{ results: T[] }>
    run(): void
  }
  const prepare = (query: string, values: readonly unknown[] = []): Statement => ({
    bind: (...more) => prepare(query, more),
    all: async () => ({ results: JSON.parse(JSON.stringify(sqlite.prepare(query).all())) }),
    run: () => void sqlite.prepare(query).run(...values.map(String)),
  })
  const statements = new Map<object, Statement>()
  return {
    db: {
      prepare(query: string) {
        const keep = (statement: Statement): Statement => {
          const kept: Statement = { ...statement, bind: (...values) => keep(statement.bind(...values)) }
          statements.set(kept, statement)
          return kept
        }
        return keep(prepare(query))
      },
      async batch(batch: object[]) {
        sqlite.exec('BEGIN')
        try {
          for (const statement of batch) statements.get(statement)?.run()
          sqlite.exec('COMMIT')
        } catch (error) {
          sqlite.exec('ROLLBACK')
          throw error
        }
      },
    },
    rows: (sql: string): unknown => JSON.parse(JSON.stringify(sqlite.prepare(sql).all())),
  }
}
