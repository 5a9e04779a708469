/**
 * The overlay as a request sees it: one root, and the immutable values that it names as far as they are in memory. What is
 * missing has a name, and `load` fetches it; nothing else here waits.
 */
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import { StorageError } from '../ports/errors.ts'
import type { OverlaySegment, Sequence } from '../ports/records.ts'
import { type DirectoryPage, directoryPageName } from './directory-page.ts'
import type { PageMemory } from './page-memory.ts'
import type { OverlayRoot, RootIssuer } from './root.ts'
import { firstHash, pageOf, type SegmentPage, secondHash, segmentPageName } from './segment.ts'

/** Memories of the values that roots name. */
export interface OverlayPages {
  readonly directory: PageMemory<DirectoryPage>
  readonly segments: PageMemory<SegmentPage>
}

/** An issuer, and by what it was found: enough to find it again under another root. */
export interface IssuerPlace {
  readonly id: number
  readonly algorithm: HashAlgorithm
  readonly keyHash: Uint8Array
}

/** A value that has to be loaded before one can tell. */
export interface MissingPage {
  readonly missing: string
}

/** Values of segments that would tell more; without them a serial needs more than it might. */
export interface UnreadPages {
  readonly unread: readonly string[]
}

const NONE: readonly RootIssuer[] = []
const NOTHING_TRIED: ReadonlySet<string> = new Set()

export class OverlayView {
  readonly root: OverlayRoot
  readonly #pages: OverlayPages
  /** Names of directory pages, made when first asked for; null: there is none. */
  readonly #names = new Map<number, string | null>()

  constructor(root: OverlayRoot, pages: OverlayPages) {
    this.root = root
    this.#pages = pages
  }

  get version(): number {
    return this.root.version
  }

  get timeMs(): number {
    return this.root.timeMs
  }

  get position(): Sequence {
    return this.root.position
  }

  get itemCount(): number {
    return this.root.itemCount
  }

  /** Of those that the root itself names. */
  issuer(id: number): RootIssuer | undefined {
    return this.root.issuer(id)
  }

  /** Ids of enabled issuers that the root itself names and whose key hash begins like this one. */
  candidates(algorithm: HashAlgorithm, keyHash: Uint8Array): readonly number[] {
    return this.root.candidates(algorithm, keyHash)
  }

  /** Enabled issuers that have not changed for long, of the page that the root names for such a key hash. */
  pagedCandidates(algorithm: HashAlgorithm, keyHash: Uint8Array): readonly RootIssuer[] | MissingPage {
    const name = this.#pageName(algorithm, keyHash)
    if (name === null) return NONE
    const page = this.#pages.directory.get(name)
    if (page === undefined) return { missing: name }
    // What the root itself names has changed since the page was written.
    return page.issuersOf(keyHash).filter(({ id, enabled }) => enabled && this.root.issuer(id) === undefined)
  }

  /** The issuer by now; undefined also when the page where it stands is not in memory. */
  standing({ id, algorithm, keyHash }: IssuerPlace): RootIssuer | undefined {
    const named = this.root.issuer(id)
    if (named !== undefined) return named
    const name = this.#pageName(algorithm, keyHash)
    return name === null ? undefined : this.#pages.directory.get(name)?.issuer(id, keyHash)
  }

  /**
   * The lowest asOf that an artefact about this serial must have. Where a segment that may name it is not in memory: that of its
   * end, so that the answer comes from the record.
   * @param hash the serial's uint32
   */
  need(issuer: RootIssuer, serial: Uint8Array, hash: number): Sequence {
    let need = this.root.need(issuer, serial, hash)
    if (this.root.segments.length === 0) return need
    for (const segment of this.root.segments) {
      if (!mayTellMore(segment, issuer, need)) continue
      const h1 = firstHash(segment, issuer.id, serial)
      const page = this.#pages.segments.get(segmentPageName(segment.version, pageOf(segment.bits, h1)))
      const told = page?.need(h1, secondHash(segment, issuer.id, serial), segment.lastSeq)
      need = Math.max(need, told ?? endFor(segment, issuer))
    }
    return need
  }

  /**
   * What has to be loaded for `need` to say no more than it must; undefined: nothing, which is the usual.
   * @param tried what is not asked for again, there or not
   */
  unread(
    issuer: RootIssuer,
    serial: Uint8Array,
    hash: number,
    tried: ReadonlySet<string> = NOTHING_TRIED,
  ): UnreadPages | undefined {
    if (this.root.segments.length === 0) return undefined
    const need = this.root.need(issuer, serial, hash)
    const unread: string[] = []
    for (const segment of this.root.segments) {
      if (!mayTellMore(segment, issuer, need)) continue
      const page = pageOf(segment.bits, firstHash(segment, issuer.id, serial))
      const name = segmentPageName(segment.version, page)
      if (!tried.has(name) && this.#pages.segments.get(name) === undefined) unread.push(name)
    }
    return unread.length === 0 ? undefined : { unread }
  }

  /** All at the same time. Whether they are there shows in `need`. */
  async read({ unread }: UnreadPages): Promise<void> {
    await Promise.all(unread.map((name) => this.#pages.segments.load(name)))
  }

  /** @throws StorageError.unavailable: nobody has it, and without it nothing can be told (law 4) */
  async load({ missing }: MissingPage): Promise<void> {
    if ((await this.#pages.directory.load(missing)) === undefined)
      throw new StorageError(
        'unavailable',
        `${missing} is in the published overlay, but neither KV nor D1 has it`,
      )
  }

  #pageName(algorithm: HashAlgorithm, keyHash: Uint8Array): string | null {
    const octet = keyHash[0] ?? 0
    const index = (HASH_ALGORITHMS.indexOf(algorithm) << 8) | octet
    const known = this.#names.get(index)
    if (known !== undefined) return known
    const version = this.root.directoryPage(algorithm, keyHash)
    const name = version === undefined ? null : directoryPageName({ algorithm, octet, version })
    this.#names.set(index, name)
    return name
  }
}

/** Whoever has seen all up to `need` knows what an older segment holds. */
function mayTellMore(segment: OverlaySegment, issuer: RootIssuer, need: Sequence): boolean {
  return segment.lastSeq > need && (segment.issuer === undefined || segment.issuer === issuer.id)
}

/**
 * As new as this an artefact knows whatever the segment may hold of the issuer. Its head is enough, but for that of a record that
 * has lost changes, or one that is not known (0).
 */
function endFor({ lastSeq }: OverlaySegment, { head, frozen }: RootIssuer): Sequence {
  return frozen || head === 0 ? lastSeq : Math.min(lastSeq, head)
}
