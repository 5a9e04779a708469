/**
 * The state folder of the local responder (default .edge-ocsp/): databases, secrets, demonstration files, lock.
 * The folder is 0700 and every secret 0600, whatever the umask.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { messageOf, usageError } from '../exit.ts'

export interface State {
  /** Absolute path. */
  readonly folder: string
  /** Of the admin API; a line of its own in `admin-token`. */
  readonly adminToken: string
  /** Base64 of 32 random octets. Losing it loses the wrapped keys. */
  readonly keyEncryptionKey: string
}

/** Opens the folder, making it and its secrets on the first run. @throws CLIError (usage) naming the path that is in the way */
export function openState(folder: string): State {
  let path = resolve(folder)
  try {
    makePrivateFolder(path)
    // One folder, one name: it is compared with what the orphans of a predecessor carry.
    path = realpathSync(path)
    return {
      folder: path,
      adminToken: readOrMakeSecret(join(path, 'admin-token'), 'hex'),
      keyEncryptionKey: readOrMakeSecret(join(path, 'key-encryption-key'), 'base64'),
    }
  } catch (error) {
    throw usageError(
      `the state folder ${path} cannot be used: ${messageOf(error)}`,
      'Name another one with --state DIR, or give it back to you (owner and mode).',
      { cause: error },
    )
  }
}

/** @throws what mkdir and chmod throw */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
}

/** Writes a whole file or nothing: a kill in between leaves the old one. */
export function writeFileWhole(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`
  const file = openSync(temporary, 'w', mode)
  try {
    writeSync(file, typeof content === 'string' ? new TextEncoder().encode(content) : content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  chmodSync(temporary, mode)
  renameSync(temporary, path)
}

/** The text of a file without the white space around it; undefined when there is none. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function readOrMakeSecret(path: string, encoding: 'hex' | 'base64'): string {
  const present = readIfThere(path)
  if (present !== undefined && present !== '') {
    chmodSync(path, 0o600)
    return present
  }
  const made = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString(encoding)
  writeFileWhole(path, `${made}\n`)
  return made
}
