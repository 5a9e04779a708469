/** The admin API, readiness and metrics of a deployment with several databases; and that nothing of it shows where there is one. */
import { beforeEach, describe, expect, test } from 'vitest'
import { healthApp } from '../../src/http/health.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { HIGH, LOW, numbersIn, type Several, several } from '../shards/support.ts'
import { serial } from '../storage/fixtures.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { addIssuer, addResponder, delegate } from './admin-pki.ts'
import { type AdminWorld, adminWorld, NOW, ORIGIN } from './admin-world.ts'

const hexOf = (n: number) => formatSerial(serial(n))
const low = numbersIn(LOW, 3).map(hexOf)
const high = numbersIn(HIGH, 3).map(hexOf)

let place: Several
let world: AdminWorld
let published: unknown[]

beforeEach(() => {
  place = several(2)
  published = []
  const { store, canaries, recovery } = place
  world = adminWorld({
    store,
    canaries,
    recovery,
    async publish(change) {
      published.push(change)
      return { published: true, publishedAtMs: NOW * 1000 }
    },
  })
})

const shared = (extra: Record<string, unknown> = {}) =>
  addIssuer(world, { databases: [0, 1], responder: delegate(), ...extra })
const certificates = (serials: readonly string[], status = 'good') =>
  world.call('POST', '/issuers/demo/certificates', {
    certificates: serials.map((one) => ({ serial: one, status })),
  })
const health = async (path: string) => {
  const response = await healthApp(world.deps).fetch(new Request(`${ORIGIN}${path}`))
  return { status: response.status, text: await response.text() }
}
const problems = async () => {
  const { text } = await health('/readyz')
  return (JSON.parse(text) as { problems: { code: string; message: string; step: string }[] }).problems
}
/** The calls that write go wrong. */
const cutOff = (database: number) => {
  place.db(database).beforeCall = ([sql = '']) => {
    if (/^\s*(INSERT|UPDATE)/.test(sql)) throw new Error('D1_ERROR: secret words of a driver')
  }
}
const mend = (database: number) => {
  place.db(database).beforeCall = undefined
}

describe('an issuer in two databases', () => {
  test('is shown with what each has', async () => {
    const added = await shared()
    expect(added.status).toBe(201)
    const databases = [
      { database: 0, digits: '0-7', moving: false, fresh: false },
      { database: 1, digits: '8-f', moving: false, fresh: false },
    ]
    expect(added.at('issuer.databases')).toEqual(databases)
    expect((await world.call('GET', '/issuers/demo')).at('databases')).toEqual(databases)
    expect((await world.call('GET', '/issuers')).at('issuers.0.databases')).toEqual(databases)
    expect((await world.call('GET', '/status')).at('issuers.0.databases')).toEqual(databases)
    expect(added.at('issuer.partsDiffer')).toBeUndefined()
  })

  test.each([
    [[0, 2], 409, 'conflict'],
    [[0, 0], 409, 'conflict'],
    [[], 400, 'invalidField'],
    [[16], 400, 'invalidField'],
    ['0', 400, 'invalidField'],
  ])('is refused with the databases %j', async (databases, status, code) => {
    const answer = await shared({ databases })
    expect([answer.status, answer.at('error.code')]).toEqual([status, code])
    expect(answer.at('error.field')).toMatch(/^databases/)
  })

  test('that was added halfway is told as 503, and completed by the same call without a name of its own', async () => {
    cutOff(1)
    const cut = await shared({ name: undefined })
    expect([cut.status, cut.at('error.code')]).toEqual([503, 'storageUnavailable'])
    expect(cut.at('error.message')).toMatch(/^DB_1 \(unavailable\): .*repeat the call/)
    expect(cut.text).not.toContain('secret words')
    expect((await problems()).map(({ code }) => code)).toContain('digitsUnclaimed')
    mend(1)
    const again = await shared({ name: undefined })
    expect(again.status).toBe(201)
    expect(again.at('issuer.partsDiffer')).toBeUndefined()
    for (const database of [0, 1])
      expect(place.db(database).rows('SELECT name FROM responders')).toHaveLength(1)
    expect((await shared({ name: undefined })).status).toBe(409)
  })

  test('whose second responder came into one database alone gets it by the same call', async () => {
    await shared()
    const second = { ...delegate(), name: 'second' }
    const body = { ...second, certificate: delegate().certificate }
    await world.call('POST', `/issuers/demo/responders/${await onlyResponder()}/retire`, { force: true })
    cutOff(1)
    expect((await addResponder(world, body)).status).toBe(503)
    expect((await world.call('GET', '/issuers/demo')).at('partsDiffer')).toBe(true)
    const found = (await problems()).find(({ code }) => code === 'partsDiffer')
    expect(found?.step).toContain('repeat the last command')
    mend(1)
    expect((await addResponder(world, body)).status).toBe(201)
    expect((await world.call('GET', '/issuers/demo')).at('partsDiffer')).toBeUndefined()
    expect((await addResponder(world, body)).status).toBe(409)
  })

  test('is thawed where it is frozen', async () => {
    await shared()
    place.db(1).exec('UPDATE issuers SET frozen = 1')
    expect((await world.call('POST', '/issuers/demo/thaw')).status).toBe(200)
    expect((await world.call('POST', '/issuers/demo/thaw')).status).toBe(409)
  })
})

async function onlyResponder(): Promise<string> {
  return String((await world.call('GET', '/issuers/demo')).at('responders.0.name'))
}

describe('certificates', () => {
  beforeEach(async () => {
    await shared()
    await certificates([...low, ...high])
    published.length = 0
  })

  test('a revocation is published by the database it was made in', async () => {
    for (const [database, one] of [
      [0, low[0]],
      [1, high[0]],
    ]) {
      const answer = await world.call('POST', '/issuers/demo/revocations', { serial: one })
      expect(answer.status).toBe(200)
      expect(published.at(-1)).toEqual({ issuer: 1, revision: answer.at('revision'), database })
    }
  })

  test('changes of many are published by all databases of the issuer', async () => {
    const answer = await certificates([low[1] ?? '', high[1] ?? ''], 'revoked')
    expect(answer.at('changed')).toBe(2)
    expect(published).toEqual([{ issuer: 1, revision: expect.any(Number) }])
    const listed = await world.call('POST', '/issuers/demo/mass-revocations/serials', {
      certificates: [{ serial: low[2] }, { serial: high[2] }],
    })
    expect(listed.at('changed')).toBe(2)
  })

  test('a mass revocation goes through both', async () => {
    const answer = await world.call('POST', '/issuers/demo/mass-revocations', { where: { all: true } })
    expect(answer.at('changed')).toBe(6)
    expect(answer.at('run')).toMatchObject({ id: 1, done: true, changed: 6 })
    expect((await world.call('GET', '/issuers/demo/mass-revocations')).at('runs.0.changed')).toBe(6)
  })

  test('while one database is away the other is administered, and the rest says which is away', async () => {
    place.db(0).failNext(99)
    expect((await world.call('POST', '/issuers/demo/revocations', { serial: high[0] })).status).toBe(200)
    const refused = await world.call('POST', '/issuers/demo/revocations', { serial: low[0] })
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, '5'])
    expect(refused.at('error.message')).toBe('DB (unavailable): nothing was changed')
  })

  test('what a move bars just now is 503, and says so', async () => {
    place.db(1).exec('UPDATE issuers SET leaving = 0xff00')
    const barred = await world.call('POST', '/issuers/demo/revocations', { serial: high[0] })
    expect([barred.status, barred.at('error.code')]).toEqual([503, 'storageUnavailable'])
    expect(barred.at('error.message')).toContain('being moved to another database')
  })

  test('the audit is of one database, and names them all', async () => {
    await world.call('POST', '/issuers/demo/revocations', { serial: high[0] })
    const actions = async (query: string) => {
      const answer = await world.call('GET', `/audit${query}`)
      expect(answer.at('databases')).toEqual([0, 1])
      const rows = answer.at('rows')
      return Array.isArray(rows) ? rows.map((row: { action: string }) => row.action) : []
    }
    expect(await actions('')).not.toContain('certificate.revoked')
    expect(await actions('?database=1')).toContain('certificate.revoked')
    expect((await world.call('GET', '/audit?database=2')).status).toBe(404)
    expect((await world.call('GET', '/audit?database=16')).status).toBe(400)
  })
})

describe('readiness and metrics', () => {
  const isWell = () => {
    for (const db of place.dbs) {
      db.exec(`UPDATE publisher SET published_version = 1, published_at = ${NOW * 1000 - 2000}`)
      db.exec(
        `INSERT INTO runs (job, started_ms, finished_ms, ok, built, signatures, failed, remaining) VALUES ('cron', ${NOW}000, ${NOW}000, 1, 0, 0, 0, 0)`,
      )
    }
  }
  beforeEach(async () => {
    await shared()
    isWell()
  })

  test('are good when every database is', async () => {
    expect(await problems()).toEqual([])
    await certificates(high)
    const { text } = await health('/metrics')
    expect(text).toContain('edge_ocsp_database_up{database="DB"} 1\n')
    expect(text).toContain('edge_ocsp_database_up{database="DB_1"} 1\n')
    expect(text).toContain('edge_ocsp_database_slots_due{database="DB"} 0\n')
    expect(text).toContain('edge_ocsp_database_slots_due{database="DB_1"} 1\n')
    expect(text).toContain('edge_ocsp_database_root_age_seconds{database="DB_1"} 2\n')
    expect(text).toContain('edge_ocsp_job_last_run_ok{job="cron",database="DB_1"} 1\n')
    expect(text).toContain('edge_ocsp_issuers 1\n')
  })

  test('name the database that is away, and still judge the other', async () => {
    place.db(1).failNext(99)
    expect(await problems()).toEqual([
      {
        code: 'storageUnavailable',
        message: 'the record in DB_1 cannot be read (unavailable)',
        step: 'check the D1 binding DB_1, its region and its limits',
      },
    ])
    const { text } = await health('/metrics')
    expect(text).toContain('edge_ocsp_database_up{database="DB_1"} 0\n')
    expect(text).not.toContain('edge_ocsp_database_slots_due{database="DB_1"}')
    const status = await world.call('GET', '/status')
    expect(status.at('databases')).toEqual([
      expect.objectContaining({ database: 0, name: 'DB', up: true, slotsDue: 0, rootVersion: 1 }),
      expect.objectContaining({ database: 1, name: 'DB_1', up: false, lastPublishedAt: null }),
    ])
  })

  test('are judged by the database that is furthest behind', async () => {
    place.db(1).exec(`UPDATE runs SET finished_ms = ${NOW * 1000 - 600_000}`)
    place.db(1).exec(`UPDATE publisher SET published_at = ${NOW * 1000 - 400_000}`)
    expect((await problems()).map(({ code }) => code)).toEqual(['cronLate', 'publisherLate'])
    place.db(1).exec('DELETE FROM runs')
    expect((await problems()).map(({ code }) => code)).toEqual(['cronNeverRan', 'publisherLate'])
  })

  test('name the database without a schema', async () => {
    const empty = new SqliteD1({ migrate: false })
    const db = place.db(1)
    db.prepare = (sql) => empty.prepare(sql)
    db.batch = (statements) => empty.batch(statements)
    expect(await problems()).toEqual([
      {
        code: 'migrationsMissing',
        message: 'the database DB_1 has no schema',
        step: 'wrangler d1 migrations apply DB_1 --remote',
      },
    ])
  })
})

describe('with one database', () => {
  let db: SqliteD1
  beforeEach(() => {
    db = new SqliteD1({ now: () => NOW })
    world = adminWorld({ store: new D1AdminStore(db) })
  })

  test('answers name none, and 0 is the only one', async () => {
    const added = await addIssuer(world, { databases: [0], responder: delegate() })
    expect(added.status).toBe(201)
    expect(added.at('issuer.databases')).toBeUndefined()
    for (const path of ['/issuers/demo', '/issuers', '/status', '/audit'])
      expect((await world.call('GET', path)).text).not.toContain('database')
    expect((await health('/metrics')).text).not.toContain('database=')
    expect((await world.call('GET', '/audit?database=0')).status).toBe(200)
    expect((await world.call('GET', '/audit?database=1')).status).toBe(404)
  })

  test('an issuer for others is refused', async () => {
    const refused = await addIssuer(world, { databases: [0, 1] })
    expect([refused.status, refused.at('error.field')]).toEqual([409, 'databases'])
    expect(db.rows('SELECT * FROM issuers')).toEqual([])
  })

  test('that others have some of an issuer is shown', async () => {
    await addIssuer(world)
    db.exec('UPDATE issuers SET away = 0xfe10, seq = seq + 1')
    expect((await world.call('GET', '/issuers/demo')).at('databases')).toEqual([
      { database: 0, digits: '0-3,5-8', moving: false, fresh: false },
    ])
    const found = (await problems()).find(({ code }) => code === 'digitsUnclaimed')
    expect(found?.message).toMatch(/issuer demo: .* binding is missing/)
  })
})
