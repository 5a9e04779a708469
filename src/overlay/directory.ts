/** Pages of the issuer directory: in an isolate's memory, out of the record where no tier has one, and as the publisher reads them. */
import { StorageError } from '../ports/errors.ts'
import type { DerivedStore, DirectoryStore } from '../ports/ports.ts'
import type { OverlayIssuer, Sequence } from '../ports/records.ts'
import {
  DirectoryPage,
  directoryPageName,
  encodeDirectoryPage,
  parseDirectoryPageName,
} from './directory-page.ts'
import { inParallel } from './in-parallel.ts'
import { PageMemory, type PageMemoryPorts } from './page-memory.ts'
import type { OverlayRoot, RootIssuer } from './root.ts'

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

/** Any of the four will do: an issuer is in all of them or in none. */
const ALGORITHM = 'SHA-1'
/** Calls under way at once: what a Worker may have. */
const PARALLEL = 6

/**
 * Issuers as the pages of a root have them. Never rejects: what cannot be read is left out.
 * @param issuers those that the root does not name itself
 */
export async function pagedIssuers(
  issuers: readonly OverlayIssuer[],
  root: OverlayRoot,
  derived: Pick<DerivedStore, 'readPage'>,
): Promise<ReadonlyMap<number, RootIssuer>> {
  const byName = new Map<string, OverlayIssuer[]>()
  for (const issuer of issuers) {
    const keyHash = issuer.hashes[ALGORITHM].issuerKeyHash
    const version = root.directoryPage(ALGORITHM, keyHash)
    if (version === undefined) continue
    const name = directoryPageName({ algorithm: ALGORITHM, octet: keyHash[0] ?? 0, version })
    byName.set(name, [...(byName.get(name) ?? []), issuer])
  }
  const found = new Map<number, RootIssuer>()
  await inParallel([...byName], PARALLEL, async ([name, wanted]) => {
    const page = await readPage(name, derived)
    for (const { id, hashes } of wanted) {
      const known = page?.issuer(id, hashes[ALGORITHM].issuerKeyHash)
      if (known !== undefined) found.set(id, known)
    }
  })
  return found
}

async function readPage(
  name: string,
  derived: Pick<DerivedStore, 'readPage'>,
): Promise<DirectoryPage | undefined> {
  try {
    const bytes = await derived.readPage(name)
    return bytes === null ? undefined : DirectoryPage.open(bytes, name)
  } catch {
    return undefined
  }
}
