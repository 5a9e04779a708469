/** SQL of the overlay's tail, segments and range floors. */
import type { OverlayItem, OverlaySegment, OverlaySnapshot, RangeFloor } from '../ports/records.ts'
import { numberIn, octetsIn, optionalNumberIn, type Row } from './database.ts'

/** What the root can hold of the tail: beyond that, issuers with the longest tails get a floor instead. 1 MiB. */
export const MAX_TAIL = 65_536

/** Of ten thousand issuers few have changed lately: the others are not looked at. */
const TAILED = 'issuers i INDEXED BY issuers_with_tail'
const IN_TAIL = 'changes c ON c.issuer = i.id AND c.seq > i.segmented_seq'

/** One row an issuer with a tail; `last` is the highest seq in it. */
export const READ_TAILS = `
  SELECT i.id AS issuer, count(*) AS items, max(c.seq) AS last
  FROM ${TAILED} CROSS JOIN ${IN_TAIL} WHERE i.has_tail = 1 GROUP BY i.id`
/** What /metrics and `status` show: rows as many as the tail has. */
export const COUNT_OVERLAY = `
  SELECT (SELECT count(*) FROM ${TAILED} CROSS JOIN ${IN_TAIL} WHERE i.has_tail = 1) AS tail, count(*) AS segments,
    coalesce(sum(count), 0) AS items
  FROM segments`
/** The shortest tails first, each whole or not at all: a mass event does not take the place of the others, nor all memory. */
export const READ_TAIL = `
  WITH tails AS MATERIALIZED (
    SELECT i.id, i.segmented_seq, count(*) AS items
    FROM ${TAILED} CROSS JOIN ${IN_TAIL} WHERE i.has_tail = 1 GROUP BY i.id
  ), kept AS MATERIALIZED (SELECT id, segmented_seq, sum(items) OVER (ORDER BY items, id) AS room FROM tails)
  SELECT c.issuer, hex(c.serial) AS serial, c.seq
  FROM kept i CROSS JOIN ${IN_TAIL} WHERE i.room <= ${MAX_TAIL} ORDER BY c.issuer, c.seq, c.hash, c.serial`
const SEGMENTS =
  'SELECT version, kind, issuer, bits, probes, seed, count, last_seq, keep_until, stale FROM segments'
export const READ_SEGMENTS = `${SEGMENTS} ORDER BY version`
/** Those that a root has to name: of the others nothing matters any more, and KV may have dropped them. */
export const READ_LASTING = `${SEGMENTS} WHERE stale = 1 OR keep_until > unixepoch() ORDER BY version`
export const READ_FLOORS = 'SELECT issuer, sixteenth, floor FROM range_floors ORDER BY issuer, sixteenth'

/** ?1 now. */
const survey = (issuers: string, column: 'segmented_seq' | 'filtered_seq') => `
  SELECT i.id, i.seq, i.segmented_seq, i.filtered_seq, max(?1 + i.longest_validity + 3600, i.horizon) AS keep_until,
    coalesce(sum(c.seq > i.segmented_seq), 0) AS tail, count(c.seq) AS live
  FROM ${issuers} LEFT JOIN changes c ON c.issuer = i.id AND c.seq > i.${column}
  GROUP BY i.id HAVING live > 0 OR i.id IN (SELECT issuer FROM segments WHERE issuer IS NOT NULL) ORDER BY i.id`
/** Once a minute: only those with a tail or a filter. */
const MARKED = `(
    SELECT i.id FROM ${TAILED} WHERE i.has_tail = 1
    UNION SELECT issuer FROM segments WHERE issuer IS NOT NULL
  ) marked CROSS JOIN issuers i ON i.id = marked.id`
export const SURVEY_TAIL = survey(MARKED, 'segmented_seq')
export const SURVEY_LIVE = survey('issuers i', 'filtered_seq')

/** The one who is reserved last may commit. ?1 now, ?2 how long, both ms. */
export const BEGIN = `
  UPDATE publisher SET segmenting = max(segmenting + 1, ?1), segmenting_until = ?1 + ?2
  WHERE id = 1 AND segmenting_until <= ?1 RETURNING segmenting`

/** Small ranges together, so that ten thousand issuers are not as many queries. ?1 = JSON of [issuer, from, to]. */
export const READ_RANGES = `
  SELECT c.issuer, hex(c.serial) AS serial, c.seq
  FROM json_each(?1) r CROSS JOIN changes c
    ON c.issuer = r.value->>0 AND c.seq > r.value->>1 AND c.seq <= r.value->>2`
/** A large one page by page: (?3, ?4, ?5) is the last row of the page before. ?1 issuer, ?2 to, ?6 rows. */
export const READ_RANGE = `
  SELECT issuer, hash, hex(serial) AS serial, seq FROM changes
  WHERE issuer = ?1 AND seq <= ?2 AND (seq, hash, serial) > (?3, ?4, unhex(?5))
  ORDER BY changes.seq, changes.hash, changes.serial LIMIT ?6`

/** Of everything that a commit does. ?1 = version. */
const MINE = 'EXISTS (SELECT 1 FROM publisher WHERE id = 1 AND segmenting = ?1 AND segmenting_until > 0)'
export const ADD_SEGMENT = `
  INSERT INTO segments (version, kind, issuer, bits, probes, seed, count, last_seq, keep_until)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE ${MINE}`
export const REPLACE_SEGMENTS = `
  DELETE FROM segments WHERE version IN (SELECT value FROM json_each(?2)) AND ${MINE}`
/** ?3 = 1 for a filter. */
export const ADVANCE_SEGMENTED = `
  UPDATE issuers SET segmented_seq = max(segmented_seq, r.upto), filtered_seq = iif(?3, max(filtered_seq, r.upto), filtered_seq),
    has_tail = EXISTS (SELECT 1 FROM changes c WHERE c.issuer = issuers.id AND c.seq > max(segmented_seq, r.upto))
  FROM (SELECT value->>0 AS id, value->>2 AS upto FROM json_each(?2)) r
  WHERE issuers.id = r.id AND ${MINE}`
/**
 * Slots that were built while the mass event went on: what a filter holds needs lastSeq, which their bundles do not have. ?2
 * issuer, ?3 lastSeq, ?4 the end of the filters before.
 */
export const MARK_HALFWAY = `
  UPDATE slots SET changed_seq = ?3
  WHERE issuer = ?2 AND changed_seq > ?4 AND built_seq >= changed_seq AND built_seq < ?3 AND ${MINE}`
export const MARK_STALE = `UPDATE segments SET stale = 1 WHERE issuer IS NULL AND version <> ?1 AND ${MINE}`
export const END = `
  UPDATE publisher SET segmenting_until = 0 WHERE id = 1 AND segmenting = ?1 AND segmenting_until > 0 RETURNING segmenting`

/** A segment that is to be written anew is not dropped before it was. */
export const DROP_SEGMENTS = `
  DELETE FROM segments WHERE (stale = 0 AND keep_until <= unixepoch())
    OR last_seq <= (SELECT floor FROM issuers i WHERE i.id = segments.issuer)
  RETURNING version`
export const DROP_FLOORS =
  'DELETE FROM range_floors WHERE floor <= (SELECT floor FROM issuers i WHERE i.id = range_floors.issuer) RETURNING issuer'

/**
 * A slot that is built past the end of the filters, some time ago; one that never had anything to build has no bundle. While
 * slots double those of the coming era may be older, so nothing is raised then. ?1 = settled.
 */
export const RAISE_RANGES = `
  WITH RECURSIVE filtered AS MATERIALIZED (
    SELECT i.id, i.k, max(f.last_seq) AS last FROM segments f JOIN issuers i ON i.id = f.issuer
    WHERE i.k_next IS NULL AND i.frozen = 0 GROUP BY i.id
  ), built AS MATERIALIZED (
    SELECT f.id, f.last, s.slot, f.k,
      (s.built_seq >= f.last AND s.built_at <= ?1) OR (s.built_seq = 0 AND s.entries = 0 AND s.added = 0) AS fit
    FROM filtered f CROSS JOIN slots s ON s.issuer = f.id AND s.k = f.k
  ), ranges (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ranges WHERE n < 15)
  INSERT INTO range_floors (issuer, sixteenth, floor)
  SELECT b.id, r.n, b.last FROM ranges r CROSS JOIN built b
  WHERE iif(b.k >= 4, b.slot >> (b.k - 4) = r.n, b.slot = r.n >> (4 - b.k))
  GROUP BY b.id, r.n HAVING min(b.fit) = 1
  ON CONFLICT (issuer, sixteenth) DO UPDATE SET floor = excluded.floor WHERE floor < excluded.floor
  RETURNING issuer`
/** All sixteenths that this database has are there. seq rises too: what a directory page says of the issuer is outdated. ?1 = now, ms. */
export const RAISE_ISSUERS = `
  UPDATE issuers SET floor = max(floor, f.last), seq = max(seq + 1, ?1 * 1000)
  FROM (
    SELECT s.issuer, max(s.last_seq) AS last FROM segments s WHERE s.issuer IS NOT NULL GROUP BY s.issuer
  ) f
  WHERE issuers.id = f.issuer AND issuers.k_next IS NULL AND issuers.frozen = 0 AND issuers.floor < f.last
    AND NOT EXISTS (
      SELECT 1 FROM json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]') n
      WHERE ((~away | arriving) >> n.value) & 1 AND NOT EXISTS (
        SELECT 1 FROM range_floors r WHERE r.issuer = f.issuer AND r.sixteenth = n.value AND r.floor >= f.last))
  RETURNING id`

export function decodeSegment(row: Row): OverlaySegment & { readonly stale: boolean } {
  const stale = numberIn(row, 'stale') === 1
  return {
    version: numberIn(row, 'version'),
    kind: numberIn(row, 'kind') === 1 ? 'filter' : 'items',
    bits: numberIn(row, 'bits'),
    probes: numberIn(row, 'probes'),
    issuer: optionalNumberIn(row, 'issuer'),
    seed: numberIn(row, 'seed'),
    count: numberIn(row, 'count'),
    lastSeq: numberIn(row, 'last_seq'),
    keepUntil: stale ? undefined : numberIn(row, 'keep_until'),
    stale,
  }
}

function decodeFloor(row: Row): RangeFloor {
  const from = numberIn(row, 'sixteenth') * 2 ** 28
  return { issuer: numberIn(row, 'issuer'), from, to: from + 2 ** 28 - 1, floor: numberIn(row, 'floor') }
}

/** An issuer whose tail is too long for the root has a floor in its stead: slower, never wrong, and gone when it is cut. */
export function decodeTail(
  tails: readonly Row[],
  items: readonly Row[],
  floors: readonly Row[],
): Pick<OverlaySnapshot, 'items' | 'floors'> {
  const read = items.map(
    (row): OverlayItem => ({
      issuer: numberIn(row, 'issuer'),
      serial: octetsIn(row, 'serial'),
      seq: numberIn(row, 'seq'),
    }),
  )
  const whole = new Set(read.map(({ issuer }) => issuer))
  const left = tails.filter((row) => !whole.has(numberIn(row, 'issuer')))
  return {
    items: read,
    floors: [
      ...floors.map(decodeFloor),
      ...left.map((row) => ({
        issuer: numberIn(row, 'issuer'),
        from: 0,
        to: 0xffff_ffff,
        floor: numberIn(row, 'last'),
      })),
    ],
  }
}
