/** Files that are replaced whole or not at all. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { fileReason } from './certificate.ts'
import { CLIError, EXIT } from './exit.ts'

/**
 * Puts a file in the place of another, or where there was none: whoever reads it finds the old octets or the new ones, and
 * the old ones stay when anything fails. Mode and owner stay as they were; a symbolic link stays and its target is replaced.
 * What is no file (/dev/stdout, a pipe) is written to as it is.
 * @throws CLIError (3)
 */
export function replaceFile(path: string, bytes: Uint8Array): void {
  try {
    const before = statSync(path, { throwIfNoEntry: false })
    if (before === undefined || before.isFile())
      replace(before === undefined ? path : realpathSync(path), bytes, before)
    else writeFileSync(path, bytes)
  } catch (cause) {
    throw new CLIError(EXIT.unknown, `${path}: cannot write it: ${fileReason(cause)}`, undefined, { cause })
  }
}

function replace(path: string, bytes: Uint8Array, before: Stats | undefined): void {
  const draft = `${path}.${process.pid}.tmp`
  const file = openSync(draft, 'wx')
  try {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    if (before !== undefined) keepAccess(draft, before)
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

/** The one who waits for the file must be able to read it still. Only root can give a file away. */
function keepAccess(draft: string, { uid, gid, mode }: Stats): void {
  try {
    chownSync(draft, uid, gid)
  } catch {
    // It is ours then; its mode says who else may read it.
  }
  chmodSync(draft, mode & 0o777)
}
