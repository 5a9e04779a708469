/** Administration of the record in D1's primary. SQL: certificate-plan.ts, issuer-sql.ts; of the state: globals.ts. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { serialHash } from '../bundle/slot.ts'
import {
  type AuditRow,
  type ChangeResult,
  ConflictError,
  type Globals,
  type IssuerOutline,
  type IssuerPatch,
  IssuerStateError,
  MAX_LISTED,
  type NewCertificate,
  type NewIssuer,
  type NewResponder,
  NotFoundError,
  type RowOutcome,
  type RunRecord,
  type StatusChange,
} from '../ports/admin-store.ts'
import type {
  ListedChange,
  ListedOutcome,
  MassRequest,
  MassRun,
  MassStep,
  MassTally,
  SlotNumber,
} from '../ports/mass-store.ts'
import { databaseName, IDS_PER_DATABASE, type NewPart, type PartStore } from '../ports/part-store.ts'
import type { CertificateRow, IssuerRecord, ResponderRecord, Sequence } from '../ports/records.ts'
import { applyWishes } from './certificate-changes.ts'
import { addCertificates, toWish } from './certificate-import.ts'
import { refusalOf } from './certificate-plan.ts'
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
import { readIssuerOutlines } from './issuer-outlines.ts'
import {
  ADD_FIRST_SLOT,
  ADD_ISSUER,
  ADD_RESPONDER,
  AUDIT_ISSUER,
  COMPROMISE,
  FINALIZE,
  FIND_ISSUER,
  MARK_ALL_SLOTS,
  MARK_FOR_POLICY,
  RAISE_FLOOR,
  READ_ISSUERS,
  READ_RESPONDER,
  READ_RESPONDERS,
  RETIRE,
  STATES,
  STRETCH_ITEMS,
  TOUCH_ISSUER,
  UPDATE_ISSUER,
} from './issuer-sql.ts'
import { changeListed } from './listed-revocation.ts'
import { listMass, noteMass, openMass, passMass, startMass, stepMass, tallyMass } from './mass-revocation.ts'
import {
  CERTIFICATE_COLUMNS,
  corrupt,
  decodeCertificateRow,
  decodeIssuerRow,
  decodePart,
  decodeResponderRow,
  encodeHashes,
  encodePolicy,
  parseJSON,
  recordOf,
} from './record-codec.ts'

const READ_CERTIFICATE = `
  SELECT ${CERTIFICATE_COLUMNS} FROM certificates c WHERE c.issuer = ?1 AND c.hash = ?2 AND c.serial = unhex(?3)`
const READ_HEAD = 'SELECT seq FROM issuers WHERE id = ?1'
const READ_AUDIT = `
  SELECT id, at_ms, action, issuer, lower(hex(serial)) AS serial, seq, detail FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2`

export interface AdminStoreOptions extends StoreOptions {
  /** Number of the database, where there are several. */
  readonly database?: number | undefined
}

export class D1AdminStore implements PartStore {
  readonly #db: Database
  readonly #options: AdminStoreOptions
  readonly #timeoutMs: number | undefined

  constructor(db: Database, options: AdminStoreOptions = {}) {
    this.#db = db
    this.#options = options
    this.#timeoutMs = options.timeoutMs
  }

  async addIssuer(issuer: NewIssuer, nowMs: number): Promise<IssuerRecord> {
    const other = (issuer.databases ?? []).find((database) => database !== this.#database)
    if (other !== undefined || issuer.databases?.length === 0)
      throw new ConflictError('databases', `there is one database, ${databaseName(this.#database)}`)
    return this.addPart(issuer, { id: undefined, away: 0 }, nowMs)
  }

  async addPart(issuer: NewIssuer, part: NewPart, nowMs: number): Promise<IssuerRecord> {
    const away = part.away === 0 ? undefined : part.away
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
          part.id ?? null,
          this.#database * IDS_PER_DATABASE,
          part.away,
        ),
      this.#db.prepare(ADD_FIRST_SLOT).bind(ski),
      this.#audit(ski, nowMs, 'issuer.added', { name, ski, policy: parseJSON(encodePolicy(policy)), away }),
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

  listIssuers(after = 0, limit = MAX_LISTED): Promise<IssuerRecord[]> {
    return this.#readIssuers(after + 1, Number.MAX_SAFE_INTEGER, limit)
  }

  issuerOutlines(): Promise<readonly IssuerOutline[]> {
    return readIssuerOutlines(this.#db, this.#timeoutMs)
  }

  async findIssuer(nameOrSkiOrId: string): Promise<IssuerRecord | undefined> {
    const [row] = await query(this.#db, this.#db.prepare(FIND_ISSUER).bind(nameOrSkiOrId), this.#timeoutMs)
    if (row === undefined) return undefined
    return this.readIssuer(numberIn(row, 'id'))
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

  async retireResponder(issuer: number, responder: number | string, nowMs: number): Promise<IssuerRecord> {
    const { responders } = await this.#readIssuer(issuer)
    const known = responders.find((one) => one.id === responder || one.name === responder)
    if (known === undefined) throw new NotFoundError(`issuer ${issuer} has no responder ${responder}`)
    const { id } = known
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

  startMass(issuer: number, request: MassRequest, nowMs: number): Promise<MassRun> {
    return startMass(this.#db, issuer, request, nowMs, this.#options)
  }

  openMass(issuer: number, request: MassRequest): Promise<MassRun | undefined> {
    return openMass(this.#db, issuer, request, this.#options)
  }

  stepMass(run: MassRun, request: MassRequest, nowMs: number, until?: number): Promise<MassStep> {
    return stepMass(this.#db, run, request, nowMs, { ...this.#options, until })
  }

  passMass(run: number, from: number, step: MassStep, nowMs: number): Promise<void> {
    return passMass(this.#db, run, from, step, nowMs, this.#options)
  }

  noteMass(id: number, busyMs: number): Promise<MassRun> {
    return noteMass(this.#db, id, busyMs, this.#options)
  }

  listMass(issuer: number, limit: number): Promise<MassRun[]> {
    return listMass(this.#db, issuer, limit, this.#options)
  }

  tallyMass(
    issuer: number,
    request: MassRequest,
    cursor: number,
    nowMs: number,
    until?: number,
  ): Promise<MassTally> {
    return tallyMass(this.#db, issuer, request, cursor, nowMs, { ...this.#options, until })
  }

  changeListed(
    issuer: number,
    rows: readonly ListedChange[],
    options: { readonly add: boolean; readonly dryRun: boolean },
    nowMs: number,
  ): Promise<{ outcomes: ListedOutcome[]; slots: SlotNumber[] }> {
    return changeListed(this.#db, issuer, rows, options, nowMs, this.#options)
  }

  async readCertificate(issuer: number, serial: Uint8Array): Promise<CertificateRow | undefined> {
    const statement = this.#db.prepare(READ_CERTIFICATE).bind(issuer, serialHash(serial), encodeHex(serial))
    const [row] = await query(this.#db, statement, this.#timeoutMs)
    return row === undefined ? undefined : decodeCertificateRow(row)
  }

  async audit(afterId: number, limit: number, database = this.#database): Promise<AuditRow[]> {
    if (database !== this.#database) throw new NotFoundError(`there is no database ${database}`)
    const rows = await query(this.#db, this.#db.prepare(READ_AUDIT).bind(afterId, limit), this.#timeoutMs)
    return rows.map(decodeAuditRow)
  }

  globals(now: UnixSeconds): Promise<Globals> {
    return readGlobals(this.#db, now, this.#options)
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

  async readIssuer(id: number): Promise<IssuerRecord | undefined> {
    return (await this.#readIssuers(id, id, 1))[0]
  }

  /** The issuer's sequence as it stands. @throws NotFoundError */
  async readHead(id: number): Promise<Sequence> {
    const [row] = await query(this.#db, this.#db.prepare(READ_HEAD).bind(id), this.#timeoutMs)
    if (row === undefined) throw noIssuer(id)
    return numberIn(row, 'seq')
  }

  get #database(): number {
    return this.#options.database ?? 0
  }

  async #readIssuer(id: number): Promise<IssuerRecord> {
    const issuer = await this.readIssuer(id)
    if (issuer === undefined) throw noIssuer(id)
    return issuer
  }

  async #readIssuers(from: number, to: number, limit: number): Promise<IssuerRecord[]> {
    const statements = [READ_ISSUERS, READ_RESPONDERS].map((sql) =>
      this.#db.prepare(sql).bind(from, to, limit),
    )
    const [issuers, responders] = await transact(this.#db, statements, this.#timeoutMs)
    const byIssuer = Map.groupBy(responders?.results ?? [], ({ issuer }) => issuer)
    return (issuers?.results ?? []).map((row) => {
      const own = (byIssuer.get(row['id']) ?? []).map(decodeResponderRow)
      const part = decodePart(row, this.#options.database)
      return { ...decodeIssuerRow(row, own), ...(part === undefined ? undefined : { parts: [part] }) }
    })
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
