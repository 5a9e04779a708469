/** The directory of issuers that have not changed for long, in D1's primary: what its pages are made of, and which there are. */
import { HASH_ALGORITHMS, type HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import type { DirectoryBucket, DirectoryStore, PagingState, StandingIssuer } from '../ports/ports.ts'
import type { DirectoryPage, OverlayIssuer, Sequence, Share } from '../ports/records.ts'
import { type Database, numberIn, type Row, type StoreOptions, textIn, transact } from './database.ts'
import { corrupt, decodeHashes, parseJSON } from './record-codec.ts'

/** What a root or a page says of an issuer. */
export const STANDING =
  'id, seq, floor, k, config_rev, enabled, frozen, away, moving, fresh, hashes, paged_seq'

/** Issuers that changed since their pages were written. */
export const RECENT = 'issuers INDEXED BY issuers_recent WHERE seq > paged_seq'

const READ_POSITION = 'SELECT position FROM publisher WHERE id = 1'
const READ_VERSION = 'SELECT version FROM directory_pages WHERE algorithm = ?1 AND octet = ?2'
/** ?2 and ?3 in hex: where the page begins, and where the next would. */
const READ_PAGE = `
  SELECT ${STANDING} FROM issuers WHERE id IN (
    SELECT issuer FROM issuer_keys WHERE algorithm = ?1 AND key_hash >= unhex(?2) AND key_hash < unhex(?3))`

const READ_STATE = `SELECT paged_ms, (SELECT count(*) FROM ${RECENT}) AS recent FROM directory WHERE id = 1`
const READ_SAMPLE =
  'SELECT algorithm, octet, version FROM directory_pages WHERE written_ms < ?1 ORDER BY random() LIMIT 1'
const READ_SETTLED = `SELECT ${STANDING} FROM ${RECENT} AND seq < ?1 AND published = seq AND frozen = 0
  AND moving = 0 AND fresh = 0`
const READ_OLD = 'SELECT algorithm, octet FROM directory_pages WHERE written_ms < ?1'

/** By the clock of D1, so that no Worker's decides whether a restored database uses a version a second time. */
const RESERVE = `
  UPDATE directory SET version = max(version + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE id = 1
  RETURNING version`
const READ_BUCKETS = `
  SELECT ${STANDING} FROM issuers WHERE id IN (
    SELECT k.issuer FROM json_each(?1) b CROSS JOIN issuer_keys k
    WHERE k.algorithm = b.value->>0 AND k.key_hash >= unhex(b.value->>1) AND k.key_hash < unhex(b.value->>2))`

const IS_MINE = 'EXISTS (SELECT 1 FROM directory WHERE id = 1 AND version = ?1)'
const NAME_PAGES = `
  INSERT INTO directory_pages (algorithm, octet, version, written_ms)
  SELECT value->>0, value->>1, ?1, ?3 FROM json_each(?2) WHERE ${IS_MINE}
  ON CONFLICT (algorithm, octet) DO UPDATE SET version = excluded.version, written_ms = excluded.written_ms`
/** Whoever has changed since stays recent: its seq is above the one that was read. */
const LEAVE_TO_PAGES = `
  UPDATE issuers SET paged_seq = p.seq
  FROM (SELECT value->>0 AS id, value->>1 AS seq FROM json_each(?2)) p
  WHERE issuers.id = p.id AND frozen = 0 AND moving = 0 AND fresh = 0 AND paged_seq < p.seq AND issuers.seq >= p.seq AND ${IS_MINE}`
const RECORD_PAGING = 'UPDATE directory SET paged_ms = ?2 WHERE id = 1 AND version = ?1 RETURNING version'

/** A deployment with 10,000 issuers reads or changes a row of each. */
const TIMEOUT_MS = 30_000

export class D1DirectoryStore implements DirectoryStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async readDirectoryPage(
    algorithm: HashAlgorithm,
    octet: number,
  ): Promise<{ position: Sequence; version: number; issuers: readonly StandingIssuer[] }> {
    const [of, from, to] = rangeOf({ algorithm, octet })
    const statements = [
      this.#db.prepare(READ_PAGE).bind(of, from, to),
      this.#db.prepare(READ_VERSION).bind(of, octet),
      this.#db.prepare(READ_POSITION),
    ]
    const [issuers, page, publisher] = await transact(this.#db, statements, this.#timeoutMs)
    const row = publisher?.results[0]
    if (row === undefined) throw corrupt('publisher')
    const named = page?.results[0]
    return {
      position: numberIn(row, 'position'),
      version: named === undefined ? 0 : numberIn(named, 'version'),
      issuers: (issuers?.results ?? []).map(standingIssuer),
    }
  }

  async readPagingState(settledMs: number): Promise<PagingState> {
    const statements = [this.#db.prepare(READ_STATE), this.#db.prepare(READ_SAMPLE).bind(settledMs)]
    const [state, pages] = await transact(this.#db, statements, this.#timeoutMs)
    const row = state?.results[0]
    if (row === undefined) throw corrupt('directory')
    const page = pages?.results[0]
    return {
      pagedAtMs: numberIn(row, 'paged_ms'),
      recent: numberIn(row, 'recent'),
      sample: page === undefined ? undefined : namedPage(page),
    }
  }

  async readUnpaged(
    settledMs: number,
    writtenMs: number,
  ): Promise<{ settled: readonly OverlayIssuer[]; old: readonly DirectoryBucket[] }> {
    const statements = [
      this.#db.prepare(READ_SETTLED).bind(settledMs * 1000),
      this.#db.prepare(READ_OLD).bind(writtenMs),
    ]
    const [settled, old] = await transact(this.#db, statements, this.#timeoutMs ?? TIMEOUT_MS)
    return {
      settled: (settled?.results ?? []).map(overlayIssuer),
      old: (old?.results ?? []).map((row) => ({
        algorithm: algorithmOf(numberIn(row, 'algorithm')),
        octet: numberIn(row, 'octet'),
      })),
    }
  }

  async beginPaging(
    buckets: readonly DirectoryBucket[],
  ): Promise<{ version: number; issuers: readonly OverlayIssuer[] }> {
    const statements = [
      this.#db.prepare(RESERVE),
      this.#db.prepare(READ_BUCKETS).bind(JSON.stringify(buckets.map(rangeOf))),
    ]
    const [reserved, issuers] = await transact(this.#db, statements, this.#timeoutMs ?? TIMEOUT_MS)
    const row = reserved?.results[0]
    if (row === undefined) throw corrupt('directory')
    return { version: numberIn(row, 'version'), issuers: (issuers?.results ?? []).map(overlayIssuer) }
  }

  async commitPaging(
    version: number,
    buckets: readonly DirectoryBucket[],
    issuers: readonly { id: number; head: Sequence }[],
    nowMs: number,
  ): Promise<boolean> {
    const pages = JSON.stringify(buckets.map(({ algorithm, octet }) => [indexOf(algorithm), octet]))
    const heads = JSON.stringify(issuers.map(({ id, head }) => [id, head]))
    const statements = [
      this.#db.prepare(NAME_PAGES).bind(version, pages, nowMs),
      this.#db.prepare(LEAVE_TO_PAGES).bind(version, heads),
      this.#db.prepare(RECORD_PAGING).bind(version, nowMs),
    ]
    const results = await transact(this.#db, statements, this.#timeoutMs ?? TIMEOUT_MS)
    return results[2]?.results.length === 1
  }
}

/** @throws StorageError.corrupt */
export function overlayIssuer(row: Row): OverlayIssuer {
  const share = shareIn(row)
  const issuer = {
    id: numberIn(row, 'id'),
    head: numberIn(row, 'seq'),
    floor: numberIn(row, 'floor'),
    k: numberIn(row, 'k'),
    configRev: numberIn(row, 'config_rev'),
    enabled: numberIn(row, 'enabled') === 1,
    frozen: numberIn(row, 'frozen') === 1,
    hashes: decodeHashes(parseJSON(textIn(row, 'hashes'))),
  }
  return share === undefined ? issuer : { ...issuer, share }
}

/** Columns away, moving and fresh. @returns undefined: everything is here, for good */
function shareIn(row: Row): Share | undefined {
  const away = numberIn(row, 'away')
  const moving = numberIn(row, 'moving') === 1
  const fresh = numberIn(row, 'fresh') === 1
  return away === 0 && !moving && !fresh ? undefined : { away, moving, fresh }
}

/** @throws StorageError.corrupt */
export function namedPage(row: Row): DirectoryPage {
  return {
    algorithm: algorithmOf(numberIn(row, 'algorithm')),
    octet: numberIn(row, 'octet'),
    version: numberIn(row, 'version'),
  }
}

function standingIssuer(row: Row): StandingIssuer {
  return { issuer: overlayIssuer(row), pagedSeq: numberIn(row, 'paged_seq') }
}

function algorithmOf(index: number): HashAlgorithm {
  return HASH_ALGORITHMS[index] ?? unknownAlgorithm(index)
}

function unknownAlgorithm(index: number): never {
  throw corrupt(`hash algorithm ${index}`)
}

function indexOf(algorithm: HashAlgorithm): number {
  return HASH_ALGORITHMS.indexOf(algorithm)
}

/** Algorithm, and in hex the first key hash of the page and the first beyond it. */
function rangeOf({ algorithm, octet }: DirectoryBucket): [algorithm: number, from: string, to: string] {
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  return [indexOf(algorithm), hex(octet), octet === 255 ? 'ff'.repeat(65) : hex(octet + 1)]
}
