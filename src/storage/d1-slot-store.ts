/** Re-signing: which slots are due, who builds them, what was built (D1 primary). */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { slotRange } from '../bundle/slot.ts'
import { StorageError } from '../ports/errors.ts'
import type { DueSlot, IssuerSigning, LeasedSlot, SlotStore, SlotSurvey } from '../ports/ports.ts'
import type { CertificateRow } from '../ports/records.ts'
import { type Database, numberIn, query, type Row, type StoreOptions, textIn, transact } from './database.ts'
import { decodePackedCertificate, PACKED_CERTIFICATE } from './packed-certificate.ts'
import { pruneCertificates } from './prune.ts'
import { corrupt, parseJSON, SIGNATURE_ALGORITHMS } from './record-codec.ts'
import { finishGrowth, startGrowth } from './slot-growth.ts'
import { COUNT_DUE, isPlanned, SURVEY } from './slot-rules.ts'

/**
 * The holder of an expired lease may be alive and put an old bundle over ours: one more build is then owed (attack 7). Nobody
 * held a place in the queue.
 */
const LEASE = `
  UPDATE slots SET lease = hex(randomblob(16)), lease_until = ?4 + ?5,
    again = iif(lease IS NULL OR ${isPlanned('lease')}, again, 1)
  WHERE issuer = ?1 AND k = ?2 AND slot = ?3 AND (lease IS NULL OR lease_until <= ?4)
  RETURNING lease, built_seq`

const READ_HEAD = 'SELECT seq, floor, config_rev FROM issuers WHERE id = ?1'
const READ_ROWS = `
  SELECT ${PACKED_CERTIFICATE} FROM certificates c
  WHERE c.issuer = ?1 AND c.hash BETWEEN ?2 AND ?3 ORDER BY c.hash, c.serial`

/** Certificates recorded after the rows were read stay counted as added: added_seq tells whether there are any. */
/** Whoever lost the lease may have a put under way still: the build that is owed for it comes after that. */
const OWED_AFTER_SECONDS = 60
const RECORD = `
  UPDATE slots SET
    built_seq = ?5, entries = ?6, bytes = ?7, this_update = ?8, next_update = ?9, built_at = ?11,
    refresh_at = iif(again = 1, min(?10, ?11 + ${OWED_AFTER_SECONDS}), ?10),
    added = iif(added_seq <= ?5, 0, (
      SELECT count(*) FROM certificates c WHERE c.issuer = ?1 AND c.hash BETWEEN ?12 AND ?13 AND c.rev > ?5 AND c.reserved = 0)),
    added_since = iif(added_seq <= ?5, 0, ?11),
    lease = NULL, lease_until = 0, again = 0, missed = 0, failures = 0, last_error = ?14
  WHERE issuer = ?1 AND k = ?2 AND slot = ?3 AND lease = ?4 AND built_seq <= ?5
  RETURNING slot`
const COUNT_SIGNATURES = `
  UPDATE counters SET value = value + CASE name WHEN 'bundles_built' THEN 1 ELSE ?1 END
  WHERE name IN ('bundles_built', 'signatures_made')`

const RELEASE = `
  UPDATE slots SET lease = NULL, lease_until = 0, failures = failures + (?5 <> ''), last_error = nullif(?5, '')
  WHERE issuer = ?1 AND k = ?2 AND slot = ?3 AND lease = ?4`
const COUNT_FAILURE = "UPDATE counters SET value = value + 1 WHERE name = 'builds_failed' AND ?1 <> ''"

/** Where k stands in rows of a survey that are no slots. */
const SUMS = -1
/** Some two seconds when each of 200,000 slots is due. */
const SURVEY_TIMEOUT_MS = 25_000

const READ_SIGNING = `
  SELECT i.id, coalesce(json_array_length(i.policy, '$.hashes'), 1) AS hashes, (
    SELECT json_group_array(json_array(r.algorithm, length(r.spki))) FROM responders r
    WHERE r.issuer = i.id AND r.retired = 0) AS keys
  FROM json_each(?1) j CROSS JOIN issuers i WHERE i.id = j.value`

interface SlotName {
  readonly issuer: number
  readonly k: number
  readonly slot: number
}

export class D1SlotStore implements SlotStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async dueSlots(
    now: UnixSeconds,
    limit: number,
    options: { all: boolean; issuer?: number },
  ): Promise<SlotName[]> {
    const { slots } = await this.survey(now, limit, options)
    return slots.map(({ issuer, k, slot }) => ({ issuer, k, slot }))
  }

  async survey(
    now: UnixSeconds,
    limit: number,
    options: { all: boolean; issuer?: number },
  ): Promise<SlotSurvey> {
    const statement = this.#db.prepare(SURVEY).bind(now, options.all ? 1 : 0, options.issuer ?? null, limit)
    const rows = await query(this.#db, statement, this.#timeoutMs ?? SURVEY_TIMEOUT_MS)
    const sums = rows.filter((row) => row['k'] === SUMS)
    const sumOf = (column: string) => sums.reduce((sum, row) => sum + numberIn(row, column), 0)
    return {
      slots: rows.filter((row) => row['k'] !== SUMS).map(decodeDueSlot),
      due: sumOf('due'),
      waiting: sums
        .map((row) => ({
          issuer: numberIn(row, 'issuer'),
          slots: numberIn(row, 'slot'),
          size: numberIn(row, 'size'),
        }))
        .filter(({ slots }) => slots > 0),
      oversized: sumOf('lost') > 0,
    }
  }

  async readSigning(issuers: readonly number[]): Promise<IssuerSigning[]> {
    const statement = this.#db.prepare(READ_SIGNING).bind(JSON.stringify(issuers))
    const rows = await query(this.#db, statement, this.#timeoutMs)
    return rows.map((row) => ({
      issuer: numberIn(row, 'id'),
      hashes: numberIn(row, 'hashes'),
      keys: decodeKeys(textIn(row, 'keys')),
    }))
  }

  async countDue(now: UnixSeconds, options: { all: boolean; issuer?: number }): Promise<number> {
    const statement = this.#db.prepare(COUNT_DUE).bind(now, options.all ? 1 : 0, options.issuer ?? null)
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined ? 0 : numberIn(row, 'due')
  }

  async lease(name: SlotName, now: UnixSeconds, seconds: number): Promise<LeasedSlot | undefined> {
    const { issuer, k, slot } = name
    const statement = this.#db.prepare(LEASE).bind(issuer, k, slot, now, seconds)
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined ? undefined : decodeLease({ issuer, k, slot }, row, now)
  }

  async readSlot(name: SlotName): ReturnType<SlotStore['readSlot']> {
    const { from, to } = slotRange(name.slot, name.k)
    const statements = [
      this.#db.prepare(READ_HEAD).bind(name.issuer),
      this.#db.prepare(READ_ROWS).bind(name.issuer, from, to),
    ]
    const [head, rows] = await transact(this.#db, statements, this.#timeoutMs)
    const first = head?.results[0]
    if (first === undefined) throw corrupt(`issuer ${name.issuer}`)
    return {
      asOf: numberIn(first, 'seq'),
      floor: numberIn(first, 'floor'),
      configRev: numberIn(first, 'config_rev'),
      ...decodeRows(rows?.results ?? []),
    }
  }

  async record(lease: LeasedSlot, built: Parameters<SlotStore['record']>[1]): Promise<boolean> {
    const { from, to } = slotRange(lease.slot, lease.k)
    const { asOf, entries, bytes, thisUpdate, nextUpdate, refreshAt, builtAt, signatures, note } = built
    const name = [lease.issuer, lease.k, lease.slot, lease.lease]
    const record = [...name, asOf, entries, bytes, thisUpdate, nextUpdate, refreshAt, builtAt, from, to]
    const statement = this.#db.prepare(RECORD).bind(...record, note?.slice(0, 500) ?? null)
    const [recorded] = await transact(
      this.#db,
      [statement, this.#db.prepare(COUNT_SIGNATURES).bind(signatures)],
      this.#timeoutMs,
    )
    return recorded?.results.length === 1
  }

  /** @param error '' gives the slot back without noting a failure */
  async release(lease: LeasedSlot, error: string): Promise<void> {
    const note = error.slice(0, 500)
    await transact(
      this.#db,
      [
        this.#db.prepare(RELEASE).bind(lease.issuer, lease.k, lease.slot, lease.lease, note),
        this.#db.prepare(COUNT_FAILURE).bind(note),
      ],
      this.#timeoutMs,
    )
  }

  startGrowth(now: UnixSeconds, maxEntries: number): Promise<readonly number[]> {
    return startGrowth(this.#db, now, maxEntries)
  }

  finishGrowth(): Promise<readonly number[]> {
    return finishGrowth(this.#db)
  }

  pruneCertificates(now: UnixSeconds, limit: number): Promise<number> {
    return pruneCertificates(this.#db, now, limit, this.#timeoutMs)
  }
}

/** @param row lease, built_seq */
export function decodeLease({ issuer, k, slot }: SlotName, row: Row, now: UnixSeconds): LeasedSlot {
  const isFirst = numberIn(row, 'built_seq') === 0
  return { issuer, k, slot, lease: textIn(row, 'lease'), since: now, isFirst }
}

function decodeDueSlot(row: Row): DueSlot {
  return {
    issuer: numberIn(row, 'issuer'),
    k: numberIn(row, 'k'),
    slot: numberIn(row, 'slot'),
    size: numberIn(row, 'size'),
    urgency: numberIn(row, 'urgency'),
    lost: numberIn(row, 'lost') === 1,
  }
}

/** A row that cannot be read stops no other: whoever asks for it is told that it is broken. */
function decodeRows(found: readonly Row[]): { rows: readonly CertificateRow[]; broken: number } {
  const rows = found.flatMap((row) => {
    try {
      return [decodePackedCertificate(row)]
    } catch (error) {
      if (error instanceof StorageError) return []
      throw error
    }
  })
  return { rows, broken: found.length - rows.length }
}

/** @param text JSON of pairs: name of an algorithm, octets of the public key. One that cannot be read costs nothing: it signs nothing */
function decodeKeys(text: string): IssuerSigning['keys'] {
  const pairs = parseJSON(text)
  if (!Array.isArray(pairs)) return []
  return pairs.flatMap((pair: unknown) => {
    const [name, spkiBytes]: unknown[] = Array.isArray(pair) ? pair : []
    const algorithm = SIGNATURE_ALGORITHMS.find((known) => known === name)
    return algorithm !== undefined && typeof spkiBytes === 'number' ? [{ algorithm, spkiBytes }] : []
  })
}
