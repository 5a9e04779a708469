/** Administration of the record over several databases (ADR 0016): who has what is read anew for each call. */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { serialHash } from '../bundle/slot.ts'
import {
  type AdminStore,
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
import { StorageError } from '../ports/errors.ts'
import type {
  ListedChange,
  ListedOutcome,
  MassRequest,
  MassRun,
  MassStep,
  MassTally,
  SlotNumber,
} from '../ports/mass-store.ts'
import { dealt } from '../ports/moves.ts'
import { databaseName, MAX_DATABASES, ShardError } from '../ports/part-store.ts'
import type { CertificateRow, IssuerRecord, ResponderRecord, Sequence } from '../ports/records.ts'
import {
  askAll,
  askParts,
  claimant,
  configurationOf,
  type Fault,
  merged,
  type Parts,
  unreached,
  valuesOf,
} from './asked.ts'
import { mergeGlobals } from './merged-globals.ts'
import { staleClaim } from './part-faults.ts'
import type { RecordShard } from './record-shard.ts'
import { ShardedMass } from './sharded-mass.ts'

export class ShardedAdminStore implements AdminStore {
  readonly databases: readonly number[]
  readonly #shards: readonly RecordShard[]
  readonly #mass: ShardedMass

  /** @param shards two or more, in the order of their databases */
  constructor(shards: readonly RecordShard[]) {
    this.#shards = shards
    this.databases = shards.map(({ database }) => database)
    this.#mass = new ShardedMass(shards)
  }

  async addIssuer(issuer: NewIssuer, nowMs: number): Promise<IssuerRecord> {
    const { name, ski, databases = [0] } = issuer
    const masks = this.#deal(databases)
    const known = async (named: string) =>
      valuesOf(await askAll(this.#shards, ({ record }) => record.findIssuer(named))).filter(
        (one) => one !== undefined,
      )
    if ((await known(name)).some((one) => one.name === name && one.ski !== ski))
      throw new ConflictError('name', 'an issuer of that name is recorded already')
    const there = (await known(ski)).filter((one) => one.ski === ski)
    const [first] = there
    const has = (database: number) => there.find(({ parts }) => parts?.[0]?.database === database)
    const isAsAsked = there.every(
      ({ id, name: named, parts }) =>
        id === first?.id && named === name && parts?.every((part) => part.away === masks.get(part.database)),
    )
    const isMissing = databases.some((database) => has(database) === undefined)
    if (first !== undefined && !(isAsAsked && (isMissing || isUnfinished(there))))
      throw new ConflictError('ski', 'an issuer of that ski is recorded already')
    // What was changed since the first attempt counts.
    const { policy, enabled } = first ?? issuer
    let id = first?.id
    for (const database of databases) {
      if (has(database) !== undefined) continue
      const shard = this.#shard(database)
      try {
        id = (
          await shard.record.addPart(
            { ...issuer, policy, enabled },
            { id, away: masks.get(database) ?? 0 },
            nowMs,
          )
        ).id
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        throw unreached(
          [{ shard, error }],
          'the issuer is not in all of its databases, and answers for some of its certificates with tryLater: repeat the call',
        )
      }
    }
    return this.#read(id ?? 0)
  }

  updateIssuer(id: number, patch: IssuerPatch, nowMs: number): Promise<IssuerRecord> {
    const policy = patch.policy && sorted(patch.policy)
    return this.#inEach(
      id,
      ({ record }) => record.updateIssuer(id, patch, nowMs),
      (part) =>
        (patch.name ?? part.name) === part.name &&
        (patch.enabled ?? part.enabled) === part.enabled &&
        (policy ?? sorted(part.policy)) === sorted(part.policy),
      async () => {
        if (patch.name === undefined) return
        const named = valuesOf(
          await askAll(this.#shards, ({ record }) => record.findIssuer(patch.name ?? '')),
        )
        if (named.some((one) => one?.name === patch.name && one?.id !== id))
          throw new ConflictError('name', 'an issuer of that name is recorded already')
      },
    )
  }

  async raiseFloor(id: number, nowMs: number): Promise<Sequence> {
    return this.#raised(id, ({ record }) => record.raiseFloor(id, nowMs))
  }

  thaw(id: number, nowMs: number): Promise<Sequence> {
    return this.#raised(
      id,
      ({ record }) => record.thaw(id, nowMs),
      ({ parts }) => parts?.[0]?.frozen === false,
      ({ answers }) => {
        const stale = staleClaim(answers.flatMap(({ value }) => value.parts ?? []))
        if (stale === undefined) return
        const name = databaseName(stale.part.database)
        throw new ShardError(
          `${name} claims what it had given up before it was restored: do first what GET /readyz says`,
        )
      },
    )
  }

  compromiseIssuer(id: number, at: UnixSeconds, nowMs: number): Promise<IssuerRecord> {
    return this.#inEach(id, ({ record }) => record.compromiseIssuer(id, at, nowMs))
  }

  finalizeIssuer(id: number, nowMs: number): Promise<IssuerRecord> {
    return this.#inEach(
      id,
      ({ record }) => record.finalizeIssuer(id, nowMs),
      ({ finalAt }) => finalAt !== undefined,
      ({ answers, faults }) => {
        // Never taken back: not begun unless it can be done everywhere.
        if (faults.length > 0) throw unreached(faults)
        if (answers.some(({ value }) => value.parts?.[0]?.frozen && value.finalAt === undefined))
          throw new IssuerStateError('frozen', 'the issuer is frozen in one of its databases')
      },
    )
  }

  async addResponder(
    issuer: number,
    responder: NewResponder,
    wrappedKey: Uint8Array | undefined,
    nowMs: number,
  ): Promise<ResponderRecord> {
    const named = ({ responders }: IssuerRecord) => responders.find(({ name }) => name === responder.name)
    const isSame = (part: IssuerRecord) => isSameResponder(named(part), responder)
    const after = await this.#inEach(
      issuer,
      ({ record }) => record.addResponder(issuer, responder, wrappedKey, nowMs),
      isSame,
      ({ answers, faults }) => {
        const others = answers.filter(({ value }) => named(value) !== undefined)
        const isEverywhere = others.length === answers.length && faults.length === 0
        if (isEverywhere || others.some(({ value }) => !isSame(value)))
          throw new ConflictError('name', 'a responder of this issuer of that name is recorded already')
      },
    )
    const added = named(after)
    if (added === undefined) throw new NotFoundError(`issuer ${issuer} has no responder ${responder.name}`)
    return added
  }

  async retireResponder(issuer: number, responder: number | string, nowMs: number): Promise<IssuerRecord> {
    const { responders } = await this.#read(issuer)
    const name = responders.find((one) => one.id === responder)?.name ?? responder
    const named = (part: IssuerRecord) => part.responders.find((one) => one.name === name)
    return this.#inEach(
      issuer,
      ({ record }) => record.retireResponder(issuer, name, nowMs),
      (part) => named(part)?.retired ?? true,
      ({ answers }) => {
        if (!answers.some(({ value }) => named(value)))
          throw new NotFoundError(`issuer ${issuer} has no responder ${responder}`)
      },
    )
  }

  async listIssuers(after = 0, limit = MAX_LISTED): Promise<IssuerRecord[]> {
    const { answers, faults } = await askAll(this.#shards, ({ record }) => record.listIssuers(after, limit))
    if (faults.length > 0) throw unreached(faults, 'there may be issuers that nobody else knows')
    const all = answers.flatMap(({ shard, value }) => value.map((issuer) => ({ shard, value: issuer })))
    return [...Map.groupBy(all, ({ value }) => value.id)]
      .sort(([a], [b]) => a - b)
      .slice(0, limit) // of those each database has named all its parts
      .map(([id, parts]) => merged({ answers: parts, faults }, id))
  }

  /** Of the databases that answer. */
  async issuerOutlines(): Promise<readonly IssuerOutline[]> {
    const { answers, faults } = await askAll(this.#shards, ({ record }) => record.issuerOutlines())
    if (answers.length === 0) throw unreached(faults)
    const all = answers.flatMap(({ value }) => value)
    return [...Map.groupBy(all, ({ id }) => id).values()]
      .flatMap(([first]) => first ?? [])
      .sort((a, b) => a.id - b.id)
  }

  async findIssuer(nameOrSkiOrId: string): Promise<IssuerRecord | undefined> {
    const { answers, faults } = await askAll(this.#shards, ({ record }) => record.findIssuer(nameOrSkiOrId))
    const found = answers.flatMap(({ value }) => value ?? [])
    const best =
      found.find(({ name }) => name === nameOrSkiOrId) ??
      found.find(({ ski }) => ski === nameOrSkiOrId.toLowerCase()) ??
      found[0]
    if (best === undefined && faults.length > 0) throw unreached(faults)
    return best && this.#read(best.id)
  }

  async addCertificates(
    issuer: number,
    rows: readonly NewCertificate[],
    nowMs: number,
  ): Promise<RowOutcome[]> {
    return this.#dealt(issuer, rows, ({ record }, own) => record.addCertificates(issuer, own, nowMs))
  }

  async changeListed(
    issuer: number,
    rows: readonly ListedChange[],
    options: { readonly add: boolean; readonly dryRun: boolean },
    nowMs: number,
  ): Promise<{ outcomes: ListedOutcome[]; slots: SlotNumber[] }> {
    const slots: SlotNumber[] = []
    const outcomes = await this.#dealt(issuer, rows, async ({ record }, own) => {
      const part = await record.changeListed(issuer, own, options, nowMs)
      slots.push(...part.slots)
      return part.outcomes
    })
    return { outcomes, slots }
  }

  async changeStatus(
    issuer: number,
    serial: Uint8Array,
    change: StatusChange,
    nowMs: number,
  ): Promise<ChangeResult> {
    const { record, database } = await this.#home(issuer, serial)
    return { ...(await record.changeStatus(issuer, serial, change, nowMs)), database }
  }

  async readCertificate(issuer: number, serial: Uint8Array): Promise<CertificateRow | undefined> {
    return (await this.#home(issuer, serial)).record.readCertificate(issuer, serial)
  }

  startMass(issuer: number, request: MassRequest, nowMs: number): Promise<MassRun> {
    return this.#mass.start(issuer, request, nowMs)
  }

  stepMass(run: MassRun, request: MassRequest, nowMs: number): Promise<MassStep> {
    return this.#mass.step(run, request, nowMs)
  }

  noteMass(id: number, busyMs: number): Promise<MassRun> {
    return this.#mass.note(id, busyMs)
  }

  listMass(issuer: number, limit: number): Promise<MassRun[]> {
    return this.#mass.list(issuer, limit)
  }

  tallyMass(issuer: number, request: MassRequest, cursor: number, nowMs: number): Promise<MassTally> {
    return this.#mass.tally(issuer, request, cursor, nowMs)
  }

  async audit(afterId: number, limit: number, database = 0): Promise<AuditRow[]> {
    return this.#shard(database).record.audit(afterId, limit)
  }

  async globals(now: UnixSeconds): Promise<Globals> {
    return mergeGlobals(await askAll(this.#shards, ({ record }) => record.globals(now)))
  }

  /** In the first database. */
  async recordRun(run: RunRecord): Promise<void> {
    await this.#shards[0]?.record.recordRun(run)
  }

  /** Mask of the digits that are not in it, for each database: the sixteen digits in contiguous runs, as even as can be. */
  #deal(databases: readonly number[]): ReadonlyMap<number, number> {
    const count = databases.length
    if (count < 1 || count > MAX_DATABASES || new Set(databases).size < count)
      throw new ConflictError('databases', `an issuer is in 1 to ${MAX_DATABASES} databases, each named once`)
    const unknown = databases.find((database) => !this.databases.includes(database))
    if (unknown !== undefined) throw new ConflictError('databases', this.#noDatabase(unknown))
    const homes = dealt(databases)
    const awayFrom = (database: number) =>
      homes.reduce((mask, home, digit) => (home === database ? mask : mask | (1 << digit)), 0)
    return new Map(databases.map((database) => [database, awayFrom(database)]))
  }

  #shard(database: number): RecordShard {
    const shard = this.#shards.find((one) => one.database === database)
    if (shard === undefined) throw new NotFoundError(this.#noDatabase(database))
    return shard
  }

  #noDatabase(database: number): string {
    return `there is no database ${database}: there are ${this.databases.map(databaseName).join(', ')}`
  }

  async #read(id: number): Promise<IssuerRecord> {
    return merged(await askParts(this.#shards, id), id)
  }

  async #home(issuer: number, serial: Uint8Array): Promise<RecordShard> {
    return claimant(await askParts(this.#shards, issuer), issuer, serialHash(serial) >>> 28)
  }

  async #raised(
    id: number,
    work: (shard: RecordShard) => Promise<Sequence>,
    isDone?: (part: IssuerRecord) => boolean,
    check?: (parts: Parts) => void,
  ): Promise<Sequence> {
    const raised: Sequence[] = []
    await this.#inEach(id, async (shard) => raised.push(await work(shard)), isDone, check)
    return Math.max(...raised)
  }

  /**
   * The same in every database that has some of the issuer and where it is not done, the lowest first; where one fails the others
   * are still tried. Done everywhere, it is done once more.
   * @param check before anything is changed
   */
  async #inEach(
    id: number,
    work: (shard: RecordShard) => Promise<unknown>,
    isDone: (part: IssuerRecord) => boolean = () => false,
    check: (parts: Parts) => void | Promise<void> = () => undefined,
  ): Promise<IssuerRecord> {
    const parts = await askParts(this.#shards, id)
    merged(parts, id) // there is such an issuer
    await check(parts)
    const open = parts.answers.filter(({ value }) => !isDone(value))
    const failed: Fault[] = [...parts.faults]
    const done: string[] = []
    for (const { shard } of open.length + failed.length === 0 ? parts.answers : open) {
      try {
        await work(shard)
        done.push(databaseName(shard.database))
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        failed.push({ shard, error })
      }
    }
    if (failed.length === 0) return this.#read(id)
    throw unreached(
      failed,
      done.length === 0
        ? 'it is not known to be done anywhere: repeat the call'
        : `done in ${done.join(', ')}; repeat the call`,
    )
  }

  /** Rows to the databases that claim them, each with its own at the same time. @returns one result a row, in order */
  async #dealt<R extends { readonly serial: Uint8Array }, T>(
    issuer: number,
    rows: readonly R[],
    work: (shard: RecordShard, own: readonly R[]) => Promise<readonly T[]>,
  ): Promise<T[]> {
    const parts = await askParts(this.#shards, issuer)
    const digits = Map.groupBy(
      rows.keys(),
      (place) => serialHash(rows[place]?.serial ?? new Uint8Array()) >>> 28,
    )
    const homes = new Map<RecordShard, number[]>()
    for (const [digit, places] of digits) {
      const shard = claimant(parts, issuer, digit)
      homes.set(shard, [...(homes.get(shard) ?? []), ...places])
    }
    const results = new Map<number, T>()
    const { faults, answers } = await askAll([...homes.keys()], async (shard) => {
      const places = homes.get(shard) ?? []
      const told = await work(
        shard,
        places.flatMap((place) => rows[place] ?? []),
      )
      for (const [i, result] of told.entries()) results.set(places[i] ?? -1, result)
    })
    if (faults.length > 0) {
      const done = answers.map(({ shard }) => databaseName(shard.database)).join(', ')
      throw unreached(
        faults,
        `repeat the call, it changes nothing twice${done === '' ? '' : `; all is done in ${done}`}`,
      )
    }
    return rows.map((_, place) => {
      const result = results.get(place)
      if (result === undefined) throw new ShardError(`nothing is known of row ${place}`)
      return result
    })
  }
}

/** Nobody can sign for it, or not everywhere: adding it has failed after its parts were made. */
function isUnfinished(parts: readonly IssuerRecord[]): boolean {
  return (
    parts.length > 1 &&
    (new Set(parts.map(configurationOf)).size > 1 || parts.every(({ responders }) => responders.length === 0))
  )
}

function sorted(policy: object): string {
  return JSON.stringify(Object.entries(policy).sort())
}

function isSameResponder(known: ResponderRecord | undefined, wanted: NewResponder): boolean {
  return (
    known !== undefined &&
    known.keyHash.join() === wanted.keyHash.join() &&
    known.certificate?.join() === wanted.certificate?.join()
  )
}
