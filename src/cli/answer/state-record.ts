/**
 * The record of the responder on this machine, in the state folder of `edge-ocsp dev`. It is opened for reading only and in
 * WAL mode, so a running responder may go on writing: an answer sees what was committed when it was read.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseKeyEncryptionKey } from '../../signing/key-custody.ts'
import { fileReason } from '../certificate.ts'
import { CLIError, EXIT, messageOf } from '../exit.ts'
import type { AnswerRecord } from './answering.ts'
import { migrationNames, NodeDatabase } from './node-database.ts'

/** Where Miniflare keeps the D1 databases below its `stores`. */
const DATABASES = 'stores/d1/miniflare-D1DatabaseObject'
const KEY_FILE = 'key-encryption-key'
const OTHERWISE =
  'Start it once with "npm start", name another folder with --state or EDGE_OCSP_STATE, or answer from an index: --index FILE.'

/** @throws CLIError (3) when there is no record in it, or one of another version */
export async function openStateRecord(folder: string): Promise<AnswerRecord> {
  const path = findDatabase(folder)
  const secret = readSecret(join(folder, KEY_FILE))
  let db: NodeDatabase | undefined
  try {
    db = NodeDatabase.openReadOnly(path)
    await checkSchema(db, folder)
  } catch (error) {
    db?.close()
    if (error instanceof CLIError) throw error
    throw unusable(`the record in ${path} cannot be read: ${messageOf(error)}`, error)
  }
  const opened = db
  return {
    db: opened,
    kek: () => parseKeyEncryptionKey(secret),
    close: () => opened.close(),
  }
}

function findDatabase(folder: string): string {
  const databases = join(folder, DATABASES)
  const names = existsSync(databases)
    ? readdirSync(databases).filter((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite')
    : []
  const [name] = names
  if (name === undefined || !existsSync(join(folder, KEY_FILE)))
    throw unusable(`the state folder ${folder} has no record of a responder`)
  if (names.length > 1)
    throw unusable(`there are ${names.length} databases in ${databases}, and only one was expected`)
  return join(databases, name)
}

/** An older record lacks columns, a newer one may mean something else by them: neither is guessed at. */
async function checkSchema(db: NodeDatabase, folder: string): Promise<void> {
  const { results } = await db.prepare('SELECT name FROM d1_migrations').all()
  const applied = new Set(results.map(({ name }) => String(name)))
  const known = migrationNames()
  if (known.every((name) => applied.has(name)) && applied.size === known.length) return
  const age = known.some((name) => !applied.has(name)) ? 'an older' : 'a newer'
  throw new CLIError(
    EXIT.unknown,
    `the record in ${folder} was made by ${age} version of edge-ocsp`,
    age === 'an older'
      ? 'Start it once with "npm start": that brings it up to date.'
      : 'Use the program of that version.',
    { code: 'otherVersion' },
  )
}

function readSecret(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new CLIError(EXIT.unknown, `${path}: cannot read it: ${fileReason(cause)}`, undefined, { cause })
  }
}

function unusable(message: string, cause?: unknown): CLIError {
  return new CLIError(EXIT.unknown, message, OTHERWISE, { code: 'noRecord', cause })
}
