/** The admin API over a store in memory: enough of the record's rules to see what the API makes of each outcome. */
import { type AdminDeps, adminApp, type PublishOutcome } from '../../src/http/admin.ts'
import {
  type AdminStore,
  type AuditRow,
  ConflictError,
  type Globals,
  type NewCertificate,
  NotFoundError,
} from '../../src/ports/admin-store.ts'
import type { CertificateRow, IssuerRecord, ResponderRecord } from '../../src/ports/records.ts'
import { hex } from '../support/pki.ts'

export const TOKEN = 'token-for-tests-0123456789abcdef'
export const ORIGIN = 'https://ocsp.example'
/** 2026-11-21T03:00:30Z */
export const NOW = 1_795_230_030

export const EMPTY_GLOBALS: Globals = {
  schema: true,
  issuers: [],
  slotsDue: 0,
  slotsFailing: 0,
  oldestThisUpdate: undefined,
  nearestNextUpdate: undefined,
  overlayItems: 0,
  overlaySegments: 0,
  overlaySegmentItems: 0,
  publisher: { version: 0, publishedAtMs: 0 },
  lastRuns: [],
  counters: {},
}

async function unsupported(): Promise<never> {
  throw new Error('not in this store')
}

export class FakeStore implements AdminStore {
  readonly issuers = new Map<number, IssuerRecord>()
  readonly rows = new Map<string, CertificateRow>()
  readonly wrapped = new Map<number, Uint8Array | undefined>()
  readonly auditRows: AuditRow[] = []
  readonly frozen = new Set<number>()
  state: Globals = EMPTY_GLOBALS
  /** Thrown by the next call of each method named. */
  readonly faults = new Map<keyof AdminStore, Error>()
  globalsCalls = 0
  #seq = 1
  #nextId = 1

  #call(method: keyof AdminStore): void {
    const fault = this.faults.get(method)
    if (fault !== undefined) throw fault
  }
  #need(id: number): IssuerRecord {
    const issuer = this.issuers.get(id)
    if (issuer === undefined) throw new NotFoundError(`no issuer ${id}`)
    return issuer
  }
  #put(issuer: IssuerRecord): IssuerRecord {
    this.#seq += 1
    const stored = { ...issuer, configRev: this.#seq }
    this.issuers.set(stored.id, stored)
    return stored
  }

  async addIssuer(issuer: Omit<IssuerRecord, 'id' | 'configRev' | 'responders'>) {
    this.#call('addIssuer')
    for (const one of this.issuers.values()) {
      if (one.name === issuer.name) throw new ConflictError('name', `issuer ${one.name} exists`)
      if (one.ski === issuer.ski) throw new ConflictError('ski', `issuer ${one.name} has this key`)
    }
    return this.#put({ ...issuer, id: this.#nextId++, configRev: 0, responders: [] })
  }
  async updateIssuer(id: number, patch: Parameters<AdminStore['updateIssuer']>[1]) {
    this.#call('updateIssuer')
    const before = this.#need(id)
    const { policy = before.policy, enabled = before.enabled, name = before.name } = patch
    return this.#put({ ...before, policy, enabled, name })
  }
  async raiseFloor(id: number) {
    this.#call('raiseFloor')
    return this.#floor(id)
  }
  async thaw(id: number) {
    this.frozen.delete(id)
    return this.#floor(id)
  }
  async compromiseIssuer(id: number, at: number) {
    this.#call('compromiseIssuer')
    const before = this.#need(id)
    if (before.compromisedAt !== undefined && before.compromisedAt <= at) return before
    return this.#put({ ...before, compromisedAt: at })
  }
  async finalizeIssuer(id: number, nowMs: number) {
    this.#call('finalizeIssuer')
    const before = this.#need(id)
    return before.finalAt === undefined ? this.#put({ ...before, finalAt: Math.floor(nowMs / 1000) }) : before
  }
  /** As in D1: a position of its own; the configuration keeps its own. */
  #floor(id: number): number {
    this.#need(id)
    this.#seq += 1
    return this.#seq
  }
  async listIssuers(after = 0, limit = 500) {
    this.#call('listIssuers')
    const later = [...this.issuers.values()].filter(({ id }) => id > after)
    return later.sort((a, b) => a.id - b.id).slice(0, limit)
  }
  async issuerOutlines() {
    this.#call('issuerOutlines')
    return [...this.issuers.values()]
  }
  async findIssuer(named: string) {
    this.#call('findIssuer')
    const all = [...this.issuers.values()]
    return (
      all.find(({ name }) => name === named) ??
      all.find(({ ski }) => ski === named.toLowerCase()) ??
      all.find(({ id }) => String(id) === named)
    )
  }
  async addResponder(
    id: number,
    responder: Omit<ResponderRecord, 'id' | 'retired'>,
    wrappedKey: Uint8Array | undefined,
  ) {
    this.#call('addResponder')
    const issuer = this.#need(id)
    if (issuer.responders.some(({ name }) => name === responder.name)) {
      throw new ConflictError('name', `responder ${responder.name} exists`)
    }
    const added = { ...responder, id: this.#nextId++, retired: false }
    this.wrapped.set(added.id, wrappedKey)
    this.#put({ ...issuer, responders: [...issuer.responders, added] })
    return added
  }
  async retireResponder(id: number, responder: number | string) {
    const issuer = this.#need(id)
    const responders = issuer.responders.map((one) =>
      one.id === responder || one.name === responder ? { ...one, retired: true } : one,
    )
    return this.#put({ ...issuer, responders })
  }
  async addCertificates(issuer: number, rows: readonly NewCertificate[], nowMs: number) {
    this.#call('addCertificates')
    return rows.map((row) => {
      const key = `${issuer}/${hex(row.serial)}`
      const before = this.rows.get(key)
      if (before?.status === row.status) return 'unchanged' as const
      if (before !== undefined && row.status === 'good') return { refused: `recorded as ${before.status}` }
      this.#setRow(issuer, row.serial, row.status, row, nowMs)
      return before === undefined ? ('added' as const) : ('changed' as const)
    })
  }
  #setRow(
    issuer: number,
    serial: Uint8Array,
    status: CertificateRow['status'],
    facts: Partial<NewCertificate>,
    nowMs: number,
  ): CertificateRow {
    const key = `${issuer}/${hex(serial)}`
    const before = this.rows.get(key)
    const now = Math.floor(nowMs / 1000)
    const ended = status === 'revoked' || status === 'hold'
    this.#seq += 1
    const row: CertificateRow = {
      serial,
      status,
      revocationTime: ended ? (facts.revocationTime ?? now - (now % 60)) : 0,
      reason: status === 'hold' ? 6 : ended ? facts.reason || undefined : undefined,
      notBefore: facts.notBefore ?? before?.notBefore ?? 0,
      notAfter: facts.notAfter ?? before?.notAfter ?? 0,
      changedAt: before === undefined ? 0 : now,
      rev: this.#seq,
      ...(facts.isCA === true || before?.isCA === true ? { isCA: true } : {}),
      ...(facts.extensions === undefined ? {} : { extensions: facts.extensions }),
    }
    this.rows.set(key, row)
    return row
  }
  async changeStatus(
    issuer: number,
    serial: Uint8Array,
    change: Parameters<AdminStore['changeStatus']>[2],
    nowMs: number,
  ): ReturnType<AdminStore['changeStatus']> {
    this.#call('changeStatus')
    const row = this.rows.get(`${issuer}/${hex(serial)}`)
    if (row === undefined) return { outcome: 'notFound', revision: 0, keepUntil: 0 }
    const same = row.status === change.to
    const lawful =
      change.to === 'released' ? row.status === 'hold' : change.to === 'revoked' || row.status !== 'revoked'
    if (same) return { outcome: 'unchanged', revision: row.rev, keepUntil: 0 }
    if (!lawful) return { outcome: { refused: `recorded as ${row.status}` }, revision: row.rev, keepUntil: 0 }
    const changed = this.#setRow(issuer, serial, change.to, change, nowMs)
    return { outcome: 'changed', revision: changed.rev, keepUntil: 0 }
  }
  async readCertificate(issuer: number, serial: Uint8Array) {
    this.#call('readCertificate')
    return this.rows.get(`${issuer}/${hex(serial)}`)
  }
  /** Revocations by query and list are shown over the real record (admin-mass.test.ts). */
  startMass = unsupported
  stepMass = unsupported
  noteMass = unsupported
  listMass = unsupported
  tallyMass = unsupported
  changeListed = unsupported
  async audit(afterId: number, limit: number) {
    return this.auditRows.filter(({ id }) => id > afterId).slice(0, limit)
  }
  async globals(): Promise<Globals> {
    this.globalsCalls += 1
    this.#call('globals')
    const issuers = [...this.issuers.values()].map((issuer) => ({
      id: issuer.id,
      name: issuer.name,
      enabled: issuer.enabled,
      frozen: this.frozen.has(issuer.id),
      head: issuer.configRev,
      published: issuer.configRev,
      floor: 0,
      k: 0,
      kNext: undefined,
      activeResponders: issuer.responders.filter(({ retired }) => !retired).length,
      responderNotAfter: issuer.responders[0]?.notAfter,
      slots: 1,
      slotsDue: 0,
      slotsFailing: 0,
      entries: 0,
      added: 0,
      oldestThisUpdate: undefined,
      nearestNextUpdate: undefined,
    }))
    return { ...this.state, issuers: this.state.issuers.length > 0 ? this.state.issuers : issuers }
  }
  async recordRun() {}
}

export interface AdminWorld {
  readonly store: FakeStore
  readonly deps: AdminDeps
  /** Names of issuers whose page was written, and changes that were published, in order. */
  readonly happened: string[]
  readonly logged: Record<string, unknown>[]
  publishing: PublishOutcome | Error
  pageFault: Error | undefined
  /** An authenticated call. `body` undefined = none; text and octets are sent as they are. */
  call(method: string, path: string, body?: unknown, origin?: string): Promise<Answered>
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Value at a path of the JSON, e.g. `issuer.responders.0.state`; undefined when there is none. */
  at(path: string): unknown
}

/** Walks JSON: `error.findings.0.code`; '' is the whole. */
export function at(value: unknown, path: string): unknown {
  let here = value
  for (const key of path === '' ? [] : path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined
    here = new Map<string, unknown>(Object.entries(here)).get(key)
  }
  return here
}

export function adminWorld(overrides: Partial<AdminDeps> = {}): AdminWorld {
  const store = new FakeStore()
  const world: AdminWorld = {
    store,
    happened: [],
    logged: [],
    publishing: { published: true, version: 7, publishedAtMs: NOW * 1000 + 400 },
    pageFault: undefined,
    deps: {
      store,
      changeCanary: unsupported,
      canaries: { listCanaries: async () => [], setCanary: unsupported },
      recovery: {
        async markLost(issuer) {
          world.happened.push(`lost ${issuer ?? 'all'}`)
          return 4
        },
        issuersAfter: async (after, limit) =>
          [...store.issuers.keys()].filter((id) => id > after).slice(0, limit),
      },
      clock: { nowMs: () => NOW * 1000 },
      async publish(change) {
        world.happened.push(change === undefined ? 'publish' : `publish ${change.issuer}@${change.revision}`)
        if (world.publishing instanceof Error) throw world.publishing
        return world.publishing
      },
      async presign(options) {
        world.happened.push(`presign ${JSON.stringify(options)}`)
        return { built: 1, signatures: 2, failed: 0, remaining: 3 }
      },
      kek: new Uint8Array(32).fill(7),
      secret: () => undefined,
      adminToken: TOKEN,
      adminHost: undefined,
      boundSeconds: 300,
      async writeIssuerPage(record) {
        if (world.pageFault !== undefined) throw world.pageFault
        world.happened.push(`page ${record.name}`)
      },
      log: { event: (level, fields) => world.logged.push({ level, ...fields }) },
      ...overrides,
    },
    async call(method, path, body, origin = ORIGIN) {
      const response = await adminApp(world.deps).fetch(
        new Request(`${origin}/admin/v1${path}`, {
          method,
          headers: { Authorization: `Bearer ${TOKEN}` },
          ...(body !== undefined && {
            body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
          }),
        }),
      )
      const text = await response.text()
      const isJSON = response.headers.get('Content-Type')?.startsWith('application/json') === true
      const json: unknown = isJSON && text !== '' ? JSON.parse(text) : undefined
      return { status: response.status, headers: response.headers, text, at: (where) => at(json, where) }
    },
  }
  return world
}
