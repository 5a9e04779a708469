/** The record defends itself, whoever writes and with whatever statement (architecture.md section 4; attacks 4 and 5). */
import { beforeEach, describe, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, NOW_MS, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let issuer: number
let ms = NOW_MS
const tick = () => {
  ms += 1009
  return ms
}
const hex = (n: number) => `x'${Buffer.from(serial(n)).toString('hex')}'`
const status = async (n: number) => (await admin.readCertificate(issuer, serial(n)))?.status

beforeEach(async () => {
  ms = NOW_MS
  db = new SqliteD1({ now: () => ms / 1000 })
  admin = new D1AdminStore(db)
  issuer = await setUp(admin)
  await admin.addCertificates(
    issuer,
    [good(0), good(1, { status: 'revoked' }), good(2, { status: 'hold' }), good(3)],
    tick(),
  )
  await admin.changeStatus(issuer, serial(3), { to: 'hold' }, tick())
  await admin.changeStatus(issuer, serial(3), { to: 'released' }, tick())
})

describe('what a row may become, by hand as by code (attack 5)', () => {
  const CASES = [0, 1, 2, 3].flatMap((from) => [0, 1, 2, 3].map((to) => [from, to] as const))
  const LAWFUL = ['0>0', '0>1', '0>2', '1>1', '2>1', '2>2', '2>3', '3>1', '3>2', '3>3']
  test.each(CASES)('status %i -> %i', (from, to) => {
    const held = to === 2 ? 6 : 'NULL'
    const time = to === 1 || to === 2 ? NOW : 0
    const sql = `UPDATE certificates SET status = ${to}, reason = ${held}, revoked_at = ${time}, rev = rev + 1 WHERE serial = ${hex(from)}`
    if (LAWFUL.includes(`${from}>${to}`)) db.exec(sql)
    else expect(() => db.exec(sql)).toThrow(/^certificates: /)
    const now = db.rows(`SELECT status FROM certificates WHERE serial = ${hex(from)}`)
    expect(now).toEqual([{ status: LAWFUL.includes(`${from}>${to}`) ? to : from }])
  })

  test('rev grows with every update', () => {
    expect(() => db.exec(`UPDATE certificates SET reason = 1 WHERE serial = ${hex(1)}`)).toThrow('rev grows')
    expect(() => db.exec(`UPDATE certificates SET rev = rev - 1 WHERE serial = ${hex(0)}`)).toThrow(
      'rev grows',
    )
  })

  test.each(['INSERT OR REPLACE', 'REPLACE', 'INSERT OR IGNORE', 'INSERT'])(
    '%s over an existing row changes nothing',
    (insert) => {
      const before = db.rows('SELECT * FROM certificates ORDER BY hash')
      db.exec(`${insert} INTO certificates (issuer, hash, serial, status, rev)
        SELECT issuer, hash, serial, 0, 9007199254740991 FROM certificates WHERE status IN (1, 2)`)
      expect(db.rows('SELECT * FROM certificates ORDER BY hash')).toEqual(before)
    },
  )

  test('an upsert is held to the same rules', () => {
    const upsert = `INSERT INTO certificates (issuer, hash, serial, status, rev)
      SELECT issuer, hash, serial, 0, rev + 1 FROM certificates WHERE status = 1
      ON CONFLICT DO UPDATE SET status = 0, revoked_at = 0, reason = NULL, rev = excluded.rev`
    try {
      db.exec(upsert)
    } catch (error) {
      expect(String(error)).toContain('revoked is final')
    }
    expect(db.rows('SELECT count(*) AS n FROM certificates WHERE status = 1')).toEqual([{ n: 1 }])
  })

  test('a row is not moved onto another, nor to another issuer', () => {
    const onto = `(SELECT hash FROM certificates WHERE serial = ${hex(1)})`
    expect(() =>
      db.exec(
        `UPDATE OR REPLACE certificates SET hash = ${onto}, serial = ${hex(1)}, rev = rev + 1 WHERE serial = ${hex(0)}`,
      ),
    ).toThrow('the key never changes')
    expect(db.rows('SELECT count(*) AS n FROM certificates')).toEqual([{ n: 4 }])
  })

  describe('another certificate in the row of one', () => {
    /** Past its notAfter by 90 days, and by the retention of 30. */
    const past = () => {
      ms = NOW_MS + 121 * DAY * 1000
    }
    const moveTo = (key: string, n = 0, rev = 'rev + 1') =>
      db.exec(`UPDATE certificates SET ${key}, rev = ${rev} WHERE serial = ${hex(n)}`)
    const another = "hash = hash + 1, serial = x'10ffff', status = 0, revoked_at = 0, reason = NULL"

    test('is refused within its retention, and let in after it', () => {
      ms = NOW_MS + 120 * DAY * 1000
      expect(() => moveTo(another)).toThrow('the key never changes before the row is past its retention')
      past()
      moveTo(another)
      expect(db.rows(`SELECT status FROM certificates WHERE serial = x'10ffff'`)).toEqual([{ status: 0 }])
      expect(db.rows('SELECT count(*) AS n FROM certificates')).toEqual([{ n: 4 }])
    })

    test.each([
      ['of a policy that keeps revoked ones (law 2)', `policy = json_set(policy, '$.unknown', 'good')`, 1],
      ['of a policy that keeps held ones (law 2)', `policy = json_set(policy, '$.unknown', 'good')`, 2],
      ['of a policy without a retention', `policy = json_remove(policy, '$.retainSeconds')`, 0],
      ['of a longer retention', `policy = json_set(policy, '$.retainSeconds', ${60 * DAY})`, 0],
      ['of an issuer that moves', 'moving = 1, seq = seq + 1', 0],
    ])('is refused %s', (_, change, n) => {
      past()
      db.exec(`UPDATE issuers SET ${change}`)
      expect(() => moveTo(another, n)).toThrow('the key never changes')
    })

    test('is refused of a final issuer, and of a row without an end', async () => {
      await admin.addCertificates(issuer, [{ serial: serial(9), status: 'good' }], tick())
      past()
      expect(() => moveTo(another, 9)).toThrow('the key never changes')
      db.exec('UPDATE issuers SET final_at = 1')
      expect(() => moveTo(another)).toThrow(/is final|the key never changes/)
    })

    test.each([
      ['of another issuer', 'issuer = issuer + 1'],
      ['of another digit of the hash', 'hash = (hash + 268435456) & 4294967295'],
    ])('is refused %s', (_, key) => {
      past()
      db.exec('PRAGMA foreign_keys = OFF')
      expect(() => moveTo(key)).toThrow('the key never changes')
    })

    test('is refused with the key of a third, which REPLACE would delete unasked', () => {
      past()
      db.exec(`UPDATE certificates SET serial = x'10fffe', rev = rev + 1 WHERE serial = ${hex(1)}`)
      db.exec(`INSERT INTO certificates (issuer, hash, serial, status, rev)
        SELECT issuer, hash, x'10fffd', 1, rev FROM certificates WHERE serial = x'10fffe'`)
      expect(() =>
        db.exec(
          `UPDATE OR REPLACE certificates SET serial = x'10fffd', rev = rev + 1 WHERE serial = x'10fffe'`,
        ),
      ).toThrow('another row has that key')
    })

    test('is refused with a rev that does not grow', () => {
      past()
      expect(() => moveTo(another, 0, 'rev')).toThrow('rev grows')
    })
  })

  test('a row is not deleted before notAfter, nor ever without one; nor is notAfter brought forward', async () => {
    expect(() => db.exec('DELETE FROM certificates')).toThrow('not deleted before notAfter')
    expect(() => db.exec('UPDATE certificates SET not_after = 1, rev = rev + 1')).toThrow(
      'notAfter never changes',
    )
    await admin.addCertificates(issuer, [{ serial: serial(9), status: 'revoked' }], tick())
    ms = NOW_MS + 400 * DAY * 1000
    expect(() => db.exec(`DELETE FROM certificates WHERE serial = ${hex(9)}`)).toThrow(
      'not deleted before notAfter',
    )
    db.exec(`DELETE FROM certificates WHERE serial = ${hex(1)}`)
    expect(await status(1)).toBeUndefined()
  })

  test('a release that read the hold before the revocation is refused (attack 5)', async () => {
    let raced = false
    db.beforeCall = async () => {
      if (raced) return
      raced = true
      await admin.changeStatus(issuer, serial(2), { to: 'revoked', reason: 1 }, tick())
    }
    const late = await admin.changeStatus(issuer, serial(2), { to: 'released' }, tick())
    expect(late.outcome).toEqual({ refused: expect.stringContaining('final') })
    expect(await status(2)).toBe('revoked')
  })

  test('revoked -> hold -> released does not launder a revocation', async () => {
    for (const to of ['hold', 'released'] as const) {
      expect((await admin.changeStatus(issuer, serial(1), { to }, tick())).outcome).toHaveProperty('refused')
    }
    expect(await status(1)).toBe('revoked')
  })

  test('an importer with an old list cannot bring back good', async () => {
    await admin.addCertificates(issuer, [good(0), good(1), good(2), good(3)], tick())
    expect(await Promise.all([0, 1, 2, 3].map(status))).toEqual(['good', 'revoked', 'hold', 'released'])
  })
})

describe('issuers, audit, publisher', () => {
  test.each(['seq', 'floor', 'horizon', 'longest_validity', 'published', 'unknown_signed', 'k'])(
    '%s never falls',
    (column) => {
      db.exec(`UPDATE issuers SET horizon = 5, published = 5, unknown_signed = 1, k = 1`)
      expect(() => db.exec(`UPDATE issuers SET ${column} = ${column} - 1`)).toThrow(`${column} never falls`)
    },
  )

  test('an issuer is neither deleted nor replaced, by id, name or SKI', async () => {
    const before = await admin.listIssuers()
    expect(() => db.exec('DELETE FROM issuers')).toThrow()
    const columns =
      'certificate, hashes, not_before, not_after, policy, config_rev, seq, floor, longest_validity, unknown_signed'
    for (const [id, name, ski] of [
      [`${issuer}`, "'x'", "'aa'"],
      ['NULL', "'demo-ca'", "'aa'"],
      ['NULL', "'x'", 'ski'],
    ]) {
      expect(() =>
        db.exec(
          `INSERT OR REPLACE INTO issuers (id, name, ski, ${columns}) SELECT ${id}, ${name}, ${ski}, ${columns} FROM issuers`,
        ),
      ).toThrow('is taken')
    }
    expect(await admin.listIssuers()).toEqual(before)
  })

  test('audit is append only', () => {
    expect(() => db.exec('DELETE FROM audit')).toThrow('append only')
    expect(() => db.exec("UPDATE audit SET action = 'x'")).toThrow('append only')
    expect(() => db.exec("REPLACE INTO audit (id, at_ms, action) VALUES (1, 0, 'x')")).toThrow('append only')
  })

  test('the overlay forgets nothing before its time, and no version is taken back', () => {
    expect(() => db.exec('DELETE FROM changes')).toThrow('not deleted before keep_until')
    expect(() => db.exec('UPDATE changes SET keep_until = 0')).toThrow('never fall')
    expect(() => db.exec('UPDATE publisher SET version = version - 1')).toThrow('version never falls')
    expect(() => db.exec('DELETE FROM publisher')).toThrow('its one row stays')
  })

  test('two additions in one millisecond have two sequences', async () => {
    const at = tick()
    const first = await admin.changeStatus(issuer, serial(0), { to: 'hold' }, at)
    const second = await admin.changeStatus(issuer, serial(0), { to: 'released' }, at)
    expect([first.revision, second.revision]).toEqual([at * 1000, at * 1000 + 1])
  })

  test('a clock that runs back does not bring back a number', async () => {
    const first = await admin.changeStatus(issuer, serial(0), { to: 'hold' }, tick())
    const second = await admin.changeStatus(issuer, serial(0), { to: 'released' }, NOW_MS - 1_000_000)
    expect(second.revision).toBe(first.revision + 1)
  })
})

describe('a database restored from a backup (attack 4)', () => {
  test('hands out no number a second time: sequences, versions, issuer ids', async () => {
    const overlay = new D1OverlayStore(db)
    const slots = new D1SlotStore(db)
    const restore = db.backup()
    await admin.changeStatus(issuer, serial(0), { to: 'hold' }, tick())
    const released = await admin.changeStatus(issuer, serial(0), { to: 'released' }, tick())
    const lost = await overlay.leasePublisher('a', tick(), 15_000, 1_000, 0)
    const lostIssuer = await admin.addIssuer({ ...(await issuerRecord()), name: 'other', ski: 'ab' }, tick())
    const lostHead = (await overlay.readOverlay()).issuers.find(({ id }) => id === lostIssuer.id)?.head ?? 0

    restore()
    expect(await status(0)).toBe('good')
    const revoked = await admin.changeStatus(issuer, serial(0), { to: 'revoked' }, tick())
    expect(revoked.revision).toBeGreaterThan(released.revision)

    const lease = await overlay.leasePublisher('b', tick(), 15_000, 1_000, lost?.version ?? 0)
    expect(lease?.version).toBeGreaterThan(lost?.version ?? Number.POSITIVE_INFINITY)
    // The root that was put with the lost version is above every version that this database knows of.
    expect(lease?.restored).toBe(true)

    const another = await admin.addIssuer({ ...(await issuerRecord()), name: 'third', ski: 'cd' }, tick())
    expect(another.id).toBe(lostIssuer.id)
    const { floor } = (await overlay.readOverlay()).issuers.find(({ id }) => id === another.id) ?? {
      floor: 0,
    }
    expect(floor).toBeGreaterThan(lostHead)
    expect(await slots.countDue(ms / 1000, { all: true })).toBe(1)
  })

  test('freezing stops signing until the thaw, which makes all of the past unusable', async () => {
    const overlay = new D1OverlayStore(db)
    const slots = new D1SlotStore(db)
    const count = () => slots.countDue(Math.floor(ms / 1000), { all: false })
    expect(await count()).toBe(1)
    await overlay.freeze([issuer], tick())
    await overlay.freeze([issuer], tick())
    expect(await count()).toBe(0)
    expect((await overlay.readOverlay()).issuers[0]?.frozen).toBe(true)
    const floor = await admin.thaw(issuer, tick())
    expect((await overlay.readOverlay()).issuers[0]).toMatchObject({ frozen: false, floor, head: floor })
    expect(await count()).toBe(1)
    const actions = (await admin.audit(0, 100)).map(({ action }) => action)
    expect(actions.filter((action) => action === 'issuer.frozen')).toHaveLength(1)
    expect(actions.at(-1)).toBe('issuer.thawed')
  })
})

async function issuerRecord() {
  const record = await admin.findIssuer('demo-ca')
  if (record === undefined) throw new Error('no issuer')
  return record
}
