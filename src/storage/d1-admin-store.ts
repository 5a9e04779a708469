/** Administration of the record in D1's primary. SQL of certificates: certificate-changes.ts; of the state: globals.ts. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { serialHash } from '../bundle/slot.ts'
import {
  type AdminStore,
  type AuditRow,
  type ChangeResult,
  ConflictError,
  type Globals,
  type IssuerPatch,
  IssuerStateError,
  type NewCertificate,
  type NewIssuer,
  type NewResponder,
  NotFoundError,
  type RowOutcome,
  type RunRecord,
  type StatusChange,
} from '../ports/admin-store.ts'
import type { CertificateRow, IssuerRecord, ResponderRecord, Sequence } from '../ports/records.ts'
import { applyWishes, refusalOf } from './certificate-changes.ts'
import { addCertificates, toWish } from './certificate-import.ts'
import {
  type Database,
  driverMessage,
  numberIn,
  optionalNumberIn,
  optionalTextIn,
  type QueryResult,
  query,
  type Row,
  type Statement,
  type StoreOptions,
  textIn,
  transact,
} from './database.ts'
import { readGlobals, recordRun } from './globals.ts'
import { encodeHex } from './hex.ts'
import {
  CERTIFICATE_COLUMNS,
  corrupt,
  decodeCertificateRow,
  decodeIssuerRow,
  decodeResponderRow,
  encodeHashes,
  encodePolicy,
  ISSUER_COLUMNS,
  parseJSON,
  RESPONDER_COLUMNS,
  recordOf,
} from './record-codec.ts'

/**
 * The floor of a new issuer is its first sequence: should a restored database hand out an id a second time, whatever the first
 * bearer left in KV is below it.
 */
const ADD_ISSUER = `
  INSERT INTO issuers (name, ski, certificate, hashes, not_before, not_after, policy, enabled, config_rev, seq, floor,
    longest_validity, unknown_signed)
  VALUES (?1, ?2, unhex(?3), ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9, ?7->>'validitySeconds', ?7->>'unknown' <> 'unauthorized')`
const ADD_FIRST_SLOT = 'INSERT INTO slots (issuer, k, slot) SELECT id, 0, 0 FROM issuers WHERE ski = ?1'
const AUDIT_ISSUER = `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, ?3, id, seq, ?4 FROM issuers WHERE id = ?1 OR ski = ?1`

/**
 * Old values still stand: a longer validity stretches what is kept; other hashes make every bundle incomplete, a shorter
 * validity or another profile makes its windows wrong, and another cutoff its extensions. ?3 = policy.
 */
const STRETCH_ITEMS = `
  UPDATE changes SET keep_until = max(keep_until, CAST(?2 / 1000 AS INTEGER) + (?3->>'validitySeconds') + 3600)
  WHERE issuer = ?1 AND (?3->>'validitySeconds') > (SELECT longest_validity FROM issuers WHERE id = ?1)`
const MARK_FOR_POLICY = `
  UPDATE slots SET changed_seq = (SELECT max(seq + 1, ?2 * 1000) FROM issuers WHERE id = ?1)
  WHERE issuer = ?1 AND EXISTS (
    SELECT 1 FROM issuers
    WHERE id = ?1 AND (policy->>'hashes' <> ?3->>'hashes' OR policy->>'validitySeconds' > ?3->>'validitySeconds'
      OR policy->>'profile' <> ?3->>'profile'
      OR coalesce(policy->>'archiveCutoff', 'none') <> ?3->>'archiveCutoff'
      OR (?3->>'archiveCutoff' = 'retention' AND policy->>'retainSeconds' <> ?3->>'retainSeconds'))
  )`
const UPDATE_ISSUER = `
  UPDATE issuers SET
    seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000),
    policy = coalesce(?3, policy), enabled = coalesce(?4, enabled), name = coalesce(?5, name),
    longest_validity = max(longest_validity, coalesce(?3->>'validitySeconds', 0)),
    unknown_signed = max(unknown_signed, coalesce(?3->>'unknown' <> 'unauthorized', 0))
  WHERE id = ?1`

const RAISE_FLOOR = `
  UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), floor = max(seq + 1, ?2 * 1000), frozen = iif(?3, 0, frozen)
  WHERE id = ?1 RETURNING seq`
const MARK_ALL_SLOTS =
  'UPDATE slots SET changed_seq = (SELECT seq FROM issuers WHERE id = ?1) WHERE issuer = ?1'

/** The last states of an issuer: marks and audit look at the row as it was, so that they happen when it changes. ?3 = when. */
const NEXT_SEQ = '(SELECT max(seq + 1, ?2 * 1000) FROM issuers WHERE id = ?1)'
const markFor = (condition: string) => `
  UPDATE slots SET changed_seq = ${NEXT_SEQ}
  WHERE issuer = ?1 AND EXISTS (SELECT 1 FROM issuers WHERE id = ?1 AND ${condition})`
const auditFor = (condition: string, action: string, detail: string) => `
  INSERT INTO audit (at_ms, action, issuer, seq, detail)
  SELECT ?2, '${action}', id, ${NEXT_SEQ}, ${detail} FROM issuers WHERE id = ?1 AND ${condition}`

const EARLIER = '(compromised_at = 0 OR compromised_at > ?3)'
/** Serials that are not recorded are signed for from now on. */
const COMPROMISE = [
  markFor(EARLIER),
  auditFor(EARLIER, 'issuer.compromised', "json_object('at', ?3, 'previously', nullif(compromised_at, 0))"),
  `UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000), floor = max(seq + 1, ?2 * 1000),
    unknown_signed = 1, compromised_at = ?3
  WHERE id = ?1 AND ${EARLIER}`,
] as const

/** D1 wants every value that is bound to be used. */
const NOT_FINAL = 'final_at = 0 AND ?3 > 0'
const FINALIZE = [
  markFor(NOT_FINAL),
  auditFor(NOT_FINAL, 'issuer.finalized', "json_object('at', ?3)"),
  `UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000), final_at = ?3
  WHERE id = ?1 AND ${NOT_FINAL}`,
] as const

const TOUCH_ISSUER = `
  UPDATE issuers SET seq = max(seq + 1, ?2 * 1000), config_rev = max(seq + 1, ?2 * 1000) WHERE id = ?1 RETURNING id`
const ADD_RESPONDER = `
  INSERT INTO responders (issuer, name, certificate, key_hash, algorithm, custody, secret_name, wrapped_key, spki,
    not_before, not_after)
  SELECT id, ?2, unhex(?3), unhex(?4), ?5, ?6, ?7, unhex(?8), unhex(?9), ?10, ?11 FROM issuers WHERE id = ?1`
const READ_RESPONDER = `SELECT ${RESPONDER_COLUMNS} FROM responders WHERE issuer = ?1 AND name = ?2`
const RETIRE = 'UPDATE responders SET retired = 1 WHERE issuer = ?1 AND id = ?2 RETURNING id'

const READ_ISSUERS = `SELECT ${ISSUER_COLUMNS} FROM issuers WHERE ?1 IS NULL OR id = ?1 ORDER BY id`
const READ_RESPONDERS = `SELECT ${RESPONDER_COLUMNS} FROM responders WHERE ?1 IS NULL OR issuer = ?1 ORDER BY id`
const FIND_ISSUER = `
  SELECT id FROM issuers WHERE name = ?1 OR ski = lower(?1) OR CAST(id AS TEXT) = ?1
  ORDER BY name = ?1 DESC, ski = lower(?1) DESC LIMIT 1`

const READ_CERTIFICATE = `
  SELECT ${CERTIFICATE_COLUMNS} FROM certificates c WHERE c.issuer = ?1 AND c.hash = ?2 AND c.serial = unhex(?3)`
const READ_AUDIT = `
  SELECT id, at_ms, action, issuer, lower(hex(serial)) AS serial, seq, detail FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2`

export class D1AdminStore implements AdminStore {
  readonly #db: Database
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: StoreOptions = {}) {
    this.#db = db
    this.#timeoutMs = options.timeoutMs
  }

  async addIssuer(issuer: NewIssuer, nowMs: number): Promise<IssuerRecord> {
    const { name, ski, certificate, hashes, notBefore, notAfter, policy, enabled } = issuer
    await this.#change([
      this.#db
        .prepare(ADD_ISSUER)
        .bind(
          name,
          ski,
          encodeHex(certificate),
          encodeHashes(hashes),
          notBefore,
          notAfter,
          encodePolicy(policy),
          enabled ? 1 : 0,
          nowMs * 1000,
        ),
      this.#db.prepare(ADD_FIRST_SLOT).bind(ski),
      this.#audit(ski, nowMs, 'issuer.added', { name, ski, policy: parseJSON(encodePolicy(policy)) }),
    ])
    const added = await this.findIssuer(ski)
    if (added === undefined) throw corrupt(`issuer ${name}, just added,`)
    return added
  }

  async updateIssuer(id: number, patch: IssuerPatch, nowMs: number): Promise<IssuerRecord> {
    const policy = patch.policy === undefined ? null : encodePolicy(patch.policy)
    const enabled = patch.enabled === undefined ? null : patch.enabled ? 1 : 0
    const detail = {
      name: patch.name,
      enabled: patch.enabled,
      policy: policy === null ? undefined : parseJSON(policy),
    }
    const statements = [
      this.#db.prepare(UPDATE_ISSUER).bind(id, nowMs, policy, enabled, patch.name ?? null),
      this.#audit(id, nowMs, 'issuer.updated', detail),
    ]
    if (policy !== null) {
      statements.unshift(
        this.#db.prepare(STRETCH_ITEMS).bind(id, nowMs, policy),
        this.#db.prepare(MARK_FOR_POLICY).bind(id, nowMs, policy),
      )
    }
    await this.#change(statements)
    return this.#readIssuer(id)
  }

  raiseFloor(id: number, nowMs: number): Promise<Sequence> {
    return this.#raiseFloor(id, nowMs, 'issuer.floor')
  }

  thaw(id: number, nowMs: number): Promise<Sequence> {
    return this.#raiseFloor(id, nowMs, 'issuer.thawed')
  }

  compromiseIssuer(id: number, at: UnixSeconds, nowMs: number): Promise<IssuerRecord> {
    if (!Number.isSafeInteger(at) || at < 1) throw new RangeError(`${at} is not a time in Unix seconds`)
    return this.#end(COMPROMISE, id, at, nowMs)
  }

  finalizeIssuer(id: number, nowMs: number): Promise<IssuerRecord> {
    return this.#end(FINALIZE, id, Math.floor(nowMs / 1000), nowMs)
  }

  async #end(sql: readonly string[], id: number, at: UnixSeconds, nowMs: number): Promise<IssuerRecord> {
    await this.#change(sql.map((one) => this.#db.prepare(one).bind(id, nowMs, at)))
    return this.#readIssuer(id)
  }

  listIssuers(): Promise<IssuerRecord[]> {
    return this.#readIssuers(null)
  }

  async findIssuer(nameOrSkiOrId: string): Promise<IssuerRecord | undefined> {
    const [row] = await query(this.#db, this.#db.prepare(FIND_ISSUER).bind(nameOrSkiOrId), this.#timeoutMs)
    if (row === undefined) return undefined
    const [issuer] = await this.#readIssuers(numberIn(row, 'id'))
    return issuer
  }

  async addResponder(
    issuer: number,
    responder: NewResponder,
    wrappedKey: Uint8Array | undefined,
    nowMs: number,
  ): Promise<ResponderRecord> {
    const r = responder
    const hexOrNull = (octets: Uint8Array | undefined) => (octets === undefined ? null : encodeHex(octets))
    const values = [
      hexOrNull(r.certificate),
      encodeHex(r.keyHash),
      r.algorithm,
      r.custody,
      r.secretName ?? null,
    ]
    const [touched, , , added] = await this.#change([
      this.#db.prepare(TOUCH_ISSUER).bind(issuer, nowMs),
      this.#db
        .prepare(ADD_RESPONDER)
        .bind(issuer, r.name, ...values, hexOrNull(wrappedKey), encodeHex(r.spki), r.notBefore, r.notAfter),
      this.#audit(issuer, nowMs, 'responder.added', {
        name: r.name,
        keyHash: encodeHex(r.keyHash),
        custody: r.custody,
        notAfter: r.notAfter,
      }),
      this.#db.prepare(READ_RESPONDER).bind(issuer, r.name),
    ])
    const row = added?.results[0]
    if (touched?.results.length !== 1 || row === undefined) throw noIssuer(issuer)
    return decodeResponderRow(row)
  }

  async retireResponder(issuer: number, id: number, nowMs: number): Promise<IssuerRecord> {
    const known = (await this.#readIssuer(issuer)).responders.find((responder) => responder.id === id)
    if (known === undefined) throw new NotFoundError(`issuer ${issuer} has no responder of the id ${id}`)
    await this.#change([
      this.#db.prepare(RETIRE).bind(issuer, id),
      this.#db.prepare(TOUCH_ISSUER).bind(issuer, nowMs),
      this.#audit(issuer, nowMs, 'responder.retired', { id, name: known.name }),
    ])
    return this.#readIssuer(issuer)
  }

  async addCertificates(
    issuer: number,
    rows: readonly NewCertificate[],
    nowMs: number,
  ): Promise<RowOutcome[]> {
    return addCertificates(this.#db, issuer, rows, nowMs)
  }

  async changeStatus(
    issuer: number,
    serial: Uint8Array,
    change: StatusChange,
    nowMs: number,
  ): Promise<ChangeResult> {
    const { to, revocationTime, reason, extensions } = change
    const wish = toWish({ serial, status: to, revocationTime, reason, extensions }, nowMs)
    if ('refused' in wish) return { outcome: wish, revision: 0, keepUntil: 0 }
    const options = { add: false, timeoutMs: this.#timeoutMs }
    const [applied] = await applyWishes(this.#db, issuer, [wish], nowMs, options)
    if (applied === undefined) throw corrupt('plan of a change')
    const { act, rev, keepUntil } = applied
    const refused = refusalOf(act, wish.goal)
    if (refused !== undefined) return { outcome: { refused }, revision: rev, keepUntil }
    const outcome = act === 'absent' ? 'notFound' : act === 'same' ? 'unchanged' : 'changed'
    return { outcome, revision: rev, keepUntil }
  }

  async readCertificate(issuer: number, serial: Uint8Array): Promise<CertificateRow | undefined> {
    const statement = this.#db.prepare(READ_CERTIFICATE).bind(issuer, serialHash(serial), encodeHex(serial))
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined ? undefined : decodeCertificateRow(row)
  }

  async audit(afterId: number, limit: number): Promise<AuditRow[]> {
    const rows = await query(this.#db, this.#db.prepare(READ_AUDIT).bind(afterId, limit), this.#timeoutMs)
    return rows.map(decodeAuditRow)
  }

  globals(now: UnixSeconds): Promise<Globals> {
    return readGlobals(this.#db, now, this.#timeoutMs)
  }

  recordRun(run: RunRecord): Promise<void> {
    return recordRun(this.#db, run, this.#timeoutMs)
  }

  async #raiseFloor(id: number, nowMs: number, action: 'issuer.floor' | 'issuer.thawed'): Promise<Sequence> {
    const [raised] = await this.#change([
      this.#db.prepare(RAISE_FLOOR).bind(id, nowMs, action === 'issuer.thawed' ? 1 : 0),
      this.#db.prepare(MARK_ALL_SLOTS).bind(id),
      this.#audit(id, nowMs, action, {}),
    ])
    const row = raised?.results[0]
    if (row === undefined) throw noIssuer(id)
    return numberIn(row, 'seq')
  }

  async #readIssuer(id: number): Promise<IssuerRecord> {
    const [issuer] = await this.#readIssuers(id)
    if (issuer === undefined) throw noIssuer(id)
    return issuer
  }

  async #readIssuers(id: number | null): Promise<IssuerRecord[]> {
    const statements = [this.#db.prepare(READ_ISSUERS).bind(id), this.#db.prepare(READ_RESPONDERS).bind(id)]
    const [issuers, responders] = await transact(this.#db, statements, this.#timeoutMs)
    const all = responders?.results ?? []
    return (issuers?.results ?? []).map((row) =>
      decodeIssuerRow(
        row,
        all.filter((responder) => responder['issuer'] === row['id']).map(decodeResponderRow),
      ),
    )
  }

  #audit(issuer: number | string, nowMs: number, action: string, detail: Record<string, unknown>): Statement {
    return this.#db.prepare(AUDIT_ISSUER).bind(issuer, nowMs, action, JSON.stringify(detail))
  }

  /** As transact; what is taken becomes a ConflictError, what a last state forbids an IssuerStateError. */
  async #change(statements: readonly Statement[]): Promise<QueryResult[]> {
    try {
      return await transact(this.#db, statements, this.#timeoutMs)
    } catch (error) {
      const state = STATES.find(([words]) => driverMessage(error).includes(words))
      if (state !== undefined) throw new IssuerStateError(state[1], state[2], { cause: error })
      const taken = /\b(issuers|responders)\.(?:issuer, responders\.)?(name|ski)\b/.exec(driverMessage(error))
      if (taken === null) throw error
      const field = taken[2] === 'ski' ? 'ski' : 'name'
      const what = taken[1] === 'issuers' ? 'an issuer' : 'a responder of this issuer'
      throw new ConflictError(field, `${what} of that ${field} is recorded already`, { cause: error })
    }
  }
}

/** What the triggers of the migrations say, and what it means. */
const STATES: readonly (readonly [string, IssuerStateError['state'], string])[] = [
  ['the issuer is final', 'final', 'the responses of this issuer are final: its record stands still'],
  [
    'final while frozen',
    'frozen',
    'the issuer is frozen: what it signs now may be behind what was published',
  ],
  ['final under public-trust', 'publicTrust', 'final responses outlive what the profile public-trust allows'],
]

function decodeAuditRow(row: Row): AuditRow {
  return {
    id: numberIn(row, 'id'),
    atMs: numberIn(row, 'at_ms'),
    action: textIn(row, 'action'),
    issuer: optionalNumberIn(row, 'issuer'),
    serial: optionalTextIn(row, 'serial') || undefined,
    seq: numberIn(row, 'seq'),
    detail: recordOf(parseJSON(textIn(row, 'detail')), 'audit.detail'),
  }
}

function noIssuer(id: number): NotFoundError {
  return new NotFoundError(`no issuer has the id ${id}`)
}
