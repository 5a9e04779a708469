/** What a row says beyond its status: reserved, a CA's, extensions (migration 0006). */
import { beforeEach, describe, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { certHash, crlReference, invalidityDate, sctList } from '../../src/ocsp/single-extensions.ts'
import { decodeExtensions, type Extension, encodeExtensions } from '../../src/pkix/extensions.ts'
import type { NewCertificate } from '../../src/ports/admin-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, key, NOW, NOW_MS, POLICY, serial, setUp } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore
let issuer: number
let ms = NOW_MS
const tick = () => {
  ms += 1007
  return ms
}
const sec = () => Math.floor(ms / 1000)

beforeEach(async () => {
  db = new SqliteD1({ now: () => ms / 1000 })
  ms = NOW_MS
  admin = new D1AdminStore(db)
  issuer = await setUp(admin)
})

const row = (n: number) => admin.readCertificate(issuer, serial(n))
const add = (...rows: readonly NewCertificate[]) => admin.addCertificates(issuer, rows, tick())
const reserved = (n: number): NewCertificate => ({ serial: serial(n), status: 'reserved' })
const actions = async () => (await admin.audit(0, 100)).map(({ action }) => action).slice(2)
const detailOf = async (wanted: string) =>
  (await admin.audit(0, 100)).findLast(({ action }) => action === wanted)?.detail
const items = async () => (await new D1OverlayStore(db).readOverlay()).items.map((item) => item.serial)
const slot = () => db.rows('SELECT changed_seq > 0 AS changed, added FROM slots')[0]

const HASH = certHash('SHA-256', new Uint8Array(32).fill(1))
const OTHER_HASH = certHash('SHA-256', new Uint8Array(32).fill(2))
const SCTS = sctList(Uint8Array.of(0, 3, 0, 1, 9))
const CRL = crlReference({ number: 7 })
const der = (...list: readonly Extension[]) => encodeExtensions(list)
const kinds = async (n: number) =>
  decodeExtensions((await row(n))?.extensions ?? Uint8Array.of(0x30, 0)).map(({ extnID }) => extnID)

describe('a reserved serial (R1.42)', () => {
  test('is recorded where nothing was, by itself: no bundle is due for it, no overlay names it', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, unknown: 'unknown' } }, tick())
    expect(await add(reserved(1))).toEqual(['added'])
    expect(await row(1)).toMatchObject({ status: 'reserved', revocationTime: 0, changedAt: 0 })
    const read = await new D1StatusStore(db).readStatuses(issuer, [key(serial(1))])
    expect(read.rows[0]?.status).toBe('reserved')
    expect([slot(), await items()]).toEqual([{ changed: 0, added: 0 }, []])
    expect((await admin.audit(0, 10)).at(-1)).toMatchObject({
      action: 'certificate.reserved',
      serial: Buffer.from(serial(1)).toString('hex'),
    })
    expect(await add(reserved(1))).toEqual(['unchanged'])
  })

  test('never comes out of what is recorded already', async () => {
    await add(good(1), good(2, { status: 'revoked' }), good(3, { status: 'hold' }))
    for (const n of [1, 2, 3])
      expect(await add(reserved(n))).toEqual([{ refused: expect.stringContaining('recorded already') }])
    expect([(await row(1))?.status, (await row(2))?.status]).toEqual(['good', 'revoked'])
    expect(() => db.exec('UPDATE certificates SET reserved = 1, rev = rev + 1 WHERE status = 0')).toThrow(
      'what was recorded is not reserved again',
    )
  })

  test('becomes good when its issuance is reported, with its dates; that is new for its slot', async () => {
    await add(reserved(1))
    expect(await add(good(1))).toEqual(['changed'])
    expect(await row(1)).toMatchObject({ status: 'good', notAfter: NOW + 90 * DAY, changedAt: 0 })
    expect([slot(), await actions()]).toEqual([
      { changed: 0, added: 1 },
      ['certificate.reserved', 'certificate.issued'],
    ])
  })

  test.each(['revoked', 'hold'] as const)('becomes %s before it is reported', async (to) => {
    await add(reserved(1), reserved(2))
    const byCall = await admin.changeStatus(issuer, serial(1), { to, revocationTime: NOW - 60 }, tick())
    expect(byCall.outcome).toBe('changed')
    expect(await add(good(2, { status: to }))).toEqual(['changed'])
    for (const n of [1, 2]) expect((await row(n))?.status).toBe(to)
    expect(slot()).toEqual({ changed: 1, added: 2 })
    expect((await detailOf(to === 'hold' ? 'certificate.held' : 'certificate.revoked'))?.['to']).toBe(
      to === 'hold' ? 2 : 1,
    )
  })

  test('is overtaken by its revocation where something was signed for serials not recorded (law 1)', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, unknown: 'revoked-extended' } }, tick())
    await add(reserved(1))
    await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, tick())
    expect(await items()).toEqual([serial(1)])
  })

  test('cannot be released, and keeps the dates that it was reserved with', async () => {
    await add({ ...reserved(1), notAfter: NOW + 5 * DAY })
    const released = await admin.changeStatus(issuer, serial(1), { to: 'released' }, tick())
    expect(released.outcome).toEqual({ refused: expect.stringContaining('not on hold') })
    expect(await add(good(1))).toEqual([
      { refused: expect.stringContaining('another notBefore or notAfter') },
    ])
    expect(await add(good(1, { notAfter: NOW + 5 * DAY }))).toEqual(['changed'])
  })

  test('does not make its slot due again once that was built', async () => {
    await add(good(1))
    const slots = new D1SlotStore(db)
    const lease = await slots.lease({ issuer, k: 0, slot: 0 }, sec(), 60)
    const { asOf } = await slots.readSlot({ issuer, k: 0, slot: 0 })
    await add(reserved(2), good(3))
    if (lease === undefined) throw new Error('no lease')
    const times = { thisUpdate: sec(), nextUpdate: sec() + DAY, refreshAt: sec() + DAY, builtAt: sec() }
    await slots.record(lease, { asOf, entries: 1, bytes: 100, signatures: 2, ...times })
    expect(slot()?.['added']).toBe(1)
  })
})

describe('the certificate of a CA (R4.21)', () => {
  test('is marked once, and stays so; the mark alone leaves what is signed as it is', async () => {
    await add(good(1))
    expect(await add(good(1, { isCA: true }))).toEqual(['changed'])
    expect(await add(good(1, { isCA: false }))).toEqual(['unchanged'])
    expect((await row(1))?.isCA).toBe(true)
    expect([slot(), await items(), (await actions()).at(-1)]).toEqual([
      { changed: 0, added: 1 },
      [],
      'certificates.dated',
    ])
  })

  test('needs a reason to be revoked under public-trust, however it is revoked or marked', async () => {
    await admin.updateIssuer(issuer, { policy: { ...POLICY, profile: 'public-trust' } }, tick())
    await add(good(1, { isCA: true }), good(2, { status: 'revoked' }))
    const refused = { refused: expect.stringContaining('needs a reason') }
    expect((await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, tick())).outcome).toEqual(refused)
    expect(
      (await admin.changeStatus(issuer, serial(1), { to: 'revoked', reason: 0 }, tick())).outcome,
    ).toEqual(refused)
    expect(await add(good(2, { status: 'revoked', isCA: true }))).toEqual([refused])
    expect(await add(good(3, { status: 'revoked', isCA: true }))).toEqual([refused])
    expect((await admin.changeStatus(issuer, serial(1), { to: 'revoked', reason: 4 }, tick())).outcome).toBe(
      'changed',
    )
    expect((await detailOf('certificate.revoked'))?.['isCA']).toBe(1)
  })

  test('needs none under private', async () => {
    await add(good(1, { isCA: true }))
    expect((await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, tick())).outcome).toBe('changed')
  })
})

describe('extensions of a certificate (R4.53, R1.81, R1.84, R1.91)', () => {
  test('come back octet for octet, by every way of reading', async () => {
    await add(good(1, { extensions: der(HASH, SCTS) }))
    expect((await row(1))?.extensions).toEqual(der(HASH, SCTS))
    const { rows } = await new D1SlotStore(db).readSlot({ issuer, k: 0, slot: 0 })
    expect(rows[0]?.extensions).toEqual(der(HASH, SCTS))
    expect(await add(good(2))).toEqual(['added'])
    expect((await row(2))?.extensions).toBeUndefined()
  })

  test('are merged, the newer of each kind; the same again is unchanged', async () => {
    await add(good(1, { extensions: der(HASH, SCTS) }))
    expect(await add(good(1, { extensions: der(OTHER_HASH, CRL) }))).toEqual(['changed'])
    expect((await row(1))?.extensions).toEqual(der(OTHER_HASH, SCTS, CRL))
    expect(await add(good(1, { extensions: der(SCTS) }), good(1))).toEqual(['unchanged', 'unchanged'])
    expect((await row(1))?.extensions).toEqual(der(OTHER_HASH, SCTS, CRL))
  })

  test('of a good certificate its slot is due; the answer that is out is not wrong, so nothing overtakes it', async () => {
    await add(good(1))
    const { rev } = (await row(1)) ?? {}
    await add(good(1, { extensions: der(HASH) }))
    expect([slot(), await items()]).toEqual([{ changed: 1, added: 1 }, []])
    expect((await row(1))?.rev).toBeGreaterThan(rev ?? Number.POSITIVE_INFINITY)
    expect([(await row(1))?.changedAt, (await actions()).at(-1)]).toEqual([0, 'certificates.extended'])
  })

  test('of a revocation are a revision: overlay, slot and audit follow (R4.23)', async () => {
    await add(good(1))
    const since = invalidityDate(NOW - DAY)
    const revoke = (extensions: Uint8Array) =>
      admin.changeStatus(issuer, serial(1), { to: 'revoked', extensions }, tick())
    expect((await revoke(der(CRL))).outcome).toBe('changed')
    const { revocationTime, changedAt } = (await row(1)) ?? {}
    const revised = await revoke(der(since))
    expect([revised.outcome, revised.keepUntil > sec()]).toEqual(['changed', true])
    expect(await kinds(1)).toEqual([OID.ocspCRL, OID.invalidityDate])
    expect(await row(1)).toMatchObject({ revocationTime, changedAt })
    expect((await revoke(der(since))).outcome).toBe('unchanged')
    expect((await detailOf('certificate.revised'))?.['extensions']).toBe(
      Buffer.from(der(CRL, since)).toString('hex'),
    )
    expect(db.rows('SELECT count(*) AS n FROM changes WHERE seq = (SELECT seq FROM issuers)')).toEqual([
      { n: 1 },
    ])
  })

  test('stand in the audit only where there are any, like the mark of a CA', async () => {
    await add(good(1), good(2, { isCA: true, extensions: der(HASH) }))
    const detail = async (n: number) => {
      await admin.changeStatus(issuer, serial(n), { to: 'revoked' }, tick())
      return (await detailOf('certificate.revoked')) ?? {}
    }
    const plain = Object.keys(await detail(1))
    expect(plain).toContain('previousTime')
    for (const name of ['isCA', 'extensions']) expect(plain).not.toContain(name)
    expect(await detail(2)).toMatchObject({ isCA: 1, extensions: Buffer.from(der(HASH)).toString('hex') })
  })

  test('are merged with what another has just written, not over it', async () => {
    await add(good(1, { extensions: der(HASH) }), good(2))
    let raced = 0
    db.beforeCall = async (sql) => {
      if (!sql.some((one) => one.includes('UPDATE certificates')) || raced > 0) return
      raced += 1
      db.beforeCall = undefined
      await add(good(1, { extensions: der(SCTS) }))
    }
    const outcomes = await admin.addCertificates(
      issuer,
      [good(1, { extensions: der(CRL) }), good(2, { extensions: der(CRL) }), good(3)],
      tick(),
    )
    expect([raced, outcomes]).toEqual([1, ['changed', 'changed', 'added']])
    expect(await kinds(1)).toEqual([OID.certHash, OID.sctList, OID.ocspCRL])
    expect(await kinds(2)).toEqual([OID.ocspCRL])
  })

  test('that race without an end are refused as unavailable, and nothing is half written', async () => {
    await add(good(1))
    let n = 0
    db.beforeCall = (sql) => {
      if (sql.some((one) => one.includes('UPDATE certificates')))
        db.exec(`UPDATE issuers SET seq = seq + 1; UPDATE certificates SET rev = rev + 1, reason = NULL`)
      n += 1
    }
    await expect(add(good(1, { extensions: der(CRL) }))).rejects.toMatchObject({ reason: 'unavailable' })
    expect(n).toBeLessThan(20)
    db.beforeCall = undefined
    expect((await row(1))?.extensions).toBeUndefined()
  })

  test.each([
    ['no DER', Uint8Array.of(1, 2, 3), 'not DER'],
    ['an empty list', Uint8Array.of(0x30, 0), 'empty'],
    ['two of a kind', der(HASH, OTHER_HASH), 'twice'],
    ['a critical one', der({ ...HASH, critical: true }), 'critical'],
    ['too many octets', der(sctList(new Uint8Array(4100))), 'more than 4096'],
  ])('are refused with the row alone: %s', async (_, extensions, why) => {
    expect(await add(good(1, { extensions }), good(2))).toEqual([
      { refused: expect.stringContaining(why) },
      'added',
    ])
    expect(await row(1)).toBeUndefined()
  })

  test('beyond the octets of a row when merged are refused, and the row stands', async () => {
    await add(good(1, { extensions: der(sctList(new Uint8Array(4000))) }))
    const [outcome] = await add(good(1, { extensions: der(crlReference({ url: 'x'.repeat(400) })) }))
    expect(outcome).toEqual({ refused: expect.stringContaining('4096') })
    expect(await kinds(1)).toEqual([OID.sctList])
  })
})
