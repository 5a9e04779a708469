/** Pages of the issuer directory in an isolate's memory, and what stands in for one that neither cache nor KV has. */
import { StorageError } from '../ports/errors.ts'
import type { DirectoryStore } from '../ports/ports.ts'
import type { Sequence } from '../ports/records.ts'
import { DirectoryPage, encodeDirectoryPage, parseDirectoryPageName } from './directory-page.ts'
import { PageMemory, type PageMemoryPorts } from './page-memory.ts'

/** Ten thousand issuers are 1.6 MB of pages. */
const MAX_BYTES = 4 * 1024 * 1024

export interface DirectoryMemoryPorts extends PageMemoryPorts {
  readonly record: Pick<DirectoryStore, 'readDirectoryPage'>
  /** Of the newest root of this isolate: a record that stands lower has lost something. */
  readonly latestPosition: () => Sequence
}

export function directoryMemory(ports: DirectoryMemoryPorts): PageMemory<DirectoryPage> {
  return new PageMemory(ports, {
    open: (bytes, name) => DirectoryPage.open(bytes, name),
    rebuild: (name) => rebuilt(name, ports),
    maxBytes: MAX_BYTES,
  })
}

/**
 * The page out of the record as it is now. What has changed since the page was written is newer here than the root that named
 * the page can vouch for: of those issuers the head is left at 0, so that nothing passes for known to that root which is not.
 * A root that knows of the change names the issuer itself.
 * @throws StorageError
 */
async function rebuilt(name: string, ports: DirectoryMemoryPorts): Promise<DirectoryPage> {
  const wanted = parseDirectoryPageName(name)
  const least = ports.latestPosition()
  const { position, version, issuers } = await ports.record.readDirectoryPage(wanted.algorithm, wanted.octet)
  if (position < least) throw new StorageError('unavailable', 'D1 is behind the published overlay')
  const standing = issuers.map(({ issuer, pagedSeq }) =>
    version === wanted.version && pagedSeq === issuer.head ? issuer : { ...issuer, head: 0 },
  )
  return DirectoryPage.open(encodeDirectoryPage(wanted, standing), name)
}
