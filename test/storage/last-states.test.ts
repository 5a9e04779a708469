/** What is never taken back: a compromised CA (R1.41) and a final issuer (R4.52). */
import { beforeEach, describe, expect, test } from 'vitest'
import { certHash } from '../../src/ocsp/single-extensions.ts'
import { encodeExtensions } from '../../src/pkix/extensions.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { D1SlotStore } from '../../src/storage/d1-slot-store.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { decodeIssuerPage, encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { DAY, good, NOW, NOW_MS, newResponder, POLICY, serial, setUp } from './fixtures.ts'

const YEAR = 365 * DAY
let db: SqliteD1
let admin: D1AdminStore
let slots: D1SlotStore
let issuer: number
let ms = NOW_MS
const tick = () => {
  ms += 1013
  return ms
}
const sec = () => Math.floor(ms / 1000)

beforeEach(async () => {
  ms = NOW_MS
  db = new SqliteD1({ now: () => ms / 1000 })
  admin = new D1AdminStore(db)
  slots = new D1SlotStore(db)
  issuer = await setUp(admin)
  await admin.addCertificates(issuer, [good(1), good(2, { status: 'revoked' })], tick())
  await build()
})

/** Every slot is built now, for a day. */
async function build(): Promise<number> {
  const due = await slots.dueSlots(sec(), 100, { all: true })
  for (const name of due) {
    const { asOf } = await slots.readSlot(name)
    const lease = await slots.lease(name, sec(), 60)
    if (lease === undefined) throw new Error('no lease')
    const times = { thisUpdate: sec(), nextUpdate: sec() + DAY, refreshAt: sec() + DAY, builtAt: sec() }
    await slots.record(lease, { asOf, entries: 2, bytes: 100, signatures: 2, ...times })
  }
  return due.length
}

const overlay = async () => (await new D1OverlayStore(db).readOverlay()).issuers[0]
const audit = async (action: string) => (await admin.audit(0, 100)).filter((row) => row.action === action)
const changes = () => db.rows('SELECT count(*) AS n FROM audit')[0]?.['n']
const final = { name: 'IssuerStateError', state: 'final' }

describe('a compromised CA (R1.41)', () => {
  test('is told to every reader: floor, configuration and head move together, all slots are due', async () => {
    const before = await overlay()
    const record = await admin.compromiseIssuer(issuer, NOW - 60, tick())
    expect(record.compromisedAt).toBe(NOW - 60)
    const at = await overlay()
    expect([at?.floor, at?.configRev, at?.head]).toEqual([ms * 1000, ms * 1000, ms * 1000])
    expect(at?.floor).toBeGreaterThan(before?.head ?? Number.POSITIVE_INFINITY)
    expect(record.configRev).toBe(at?.configRev)
    expect(await new D1StatusStore(db).readIssuer(issuer)).toEqual(record)
    expect(decodeIssuerPage(encodeIssuerPage(record))).toEqual(record)
    expect(await build()).toBe(1)
    expect(await build()).toBe(0)
  })

  test('since an earlier time replaces a later one; a later one changes nothing at all', async () => {
    await admin.compromiseIssuer(issuer, NOW - 60, tick())
    const before = [changes(), await overlay()]
    for (const later of [NOW - 60, NOW])
      expect((await admin.compromiseIssuer(issuer, later, tick())).compromisedAt).toBe(NOW - 60)
    expect([changes(), await overlay()]).toEqual(before)
    expect((await admin.compromiseIssuer(issuer, NOW - 90, tick())).compromisedAt).toBe(NOW - 90)
    expect((await audit('issuer.compromised')).map(({ detail }) => detail)).toEqual([
      { at: NOW - 60, previously: null },
      { at: NOW - 90, previously: NOW - 60 },
    ])
    expect((await audit('issuer.compromised'))[1]?.seq).toBe((await overlay())?.head)
  })

  test('is never taken back, by whatever statement', async () => {
    await admin.compromiseIssuer(issuer, NOW - 60, tick())
    for (const value of [0, NOW])
      expect(() => db.exec(`UPDATE issuers SET compromised_at = ${value}`)).toThrow('not taken back')
  })

  test('was signed for serials not recorded: one recorded as revoked then overtakes that (law 1)', async () => {
    await admin.addCertificates(issuer, [good(7, { status: 'revoked' })], tick())
    expect((await new D1OverlayStore(db).readOverlay()).items).toEqual([])
    await admin.compromiseIssuer(issuer, NOW - 60, tick())
    await admin.addCertificates(issuer, [good(8, { status: 'revoked' })], tick())
    expect((await new D1OverlayStore(db).readOverlay()).items.map((item) => item.serial)).toEqual([serial(8)])
  })

  test.each([0, -1, 1.5, Number.NaN])('%d is no time', async (at) => {
    await expect(async () => admin.compromiseIssuer(issuer, at, tick())).rejects.toThrow(RangeError)
  })

  test('has to be there', async () => {
    await expect(admin.compromiseIssuer(99, NOW, tick())).rejects.toMatchObject({ name: 'NotFoundError' })
  })
})

describe('a final issuer (R4.52)', () => {
  test('is told to every reader, and all slots are due once; a second time changes nothing', async () => {
    const record = await admin.finalizeIssuer(issuer, tick())
    expect([record.finalAt, record.configRev, (await overlay())?.configRev]).toEqual([
      sec(),
      ms * 1000,
      ms * 1000,
    ])
    expect(decodeIssuerPage(encodeIssuerPage(record))).toEqual(record)
    expect(await build()).toBe(1)
    const before = [changes(), await overlay()]
    expect((await admin.finalizeIssuer(issuer, tick())).finalAt).toBe(record.finalAt)
    expect([changes(), await overlay()]).toEqual(before)
    expect(await audit('issuer.finalized')).toMatchObject([{ issuer, detail: { at: record.finalAt } }])
  })

  test('takes no certificate and no change of one; what it holds already is unchanged', async () => {
    await admin.addCertificates(issuer, [{ serial: serial(5), status: 'reserved' }], tick())
    await admin.finalizeIssuer(issuer, tick())
    const before = [changes(), db.rows('SELECT * FROM certificates'), await overlay()]
    const refused = { refused: expect.stringContaining('final') }
    const hash = encodeExtensions([certHash('SHA-1', new Uint8Array(20))])
    expect(
      await admin.addCertificates(
        issuer,
        [
          good(3),
          { serial: serial(4), status: 'reserved' },
          good(5),
          good(1, { extensions: hash }),
          good(1, { isCA: true }),
          good(1),
        ],
        tick(),
      ),
    ).toEqual([refused, refused, refused, refused, refused, 'unchanged'])
    expect((await admin.changeStatus(issuer, serial(1), { to: 'revoked' }, tick())).outcome).toEqual(refused)
    expect((await admin.changeStatus(issuer, serial(2), { to: 'revoked' }, tick())).outcome).toBe('unchanged')
    expect([changes(), db.rows('SELECT * FROM certificates'), await overlay()]).toEqual(before)
  })

  test('keeps policy and responders, and is not compromised any more; nothing is half done', async () => {
    await admin.finalizeIssuer(issuer, tick())
    const before = [changes(), db.rows('SELECT * FROM slots'), await overlay()]
    const policy = { ...POLICY, validitySeconds: DAY }
    await expect(admin.updateIssuer(issuer, { policy }, tick())).rejects.toMatchObject(final)
    await expect(admin.compromiseIssuer(issuer, NOW, tick())).rejects.toMatchObject(final)
    const added = admin.addResponder(issuer, newResponder({ name: 'late' }), Uint8Array.of(1), tick())
    await expect(added).rejects.toMatchObject(final)
    expect([changes(), db.rows('SELECT * FROM slots'), await overlay()]).toEqual(before)
    expect((await admin.updateIssuer(issuer, { name: 'ended', enabled: false }, tick())).name).toBe('ended')
  })

  test('can lose its responders, and be built anew from the record that stands', async () => {
    await admin.finalizeIssuer(issuer, tick())
    await build()
    await admin.raiseFloor(issuer, tick())
    expect(await build()).toBe(1)
    const [responder] = (await admin.findIssuer(String(issuer)))?.responders ?? []
    expect((await admin.retireResponder(issuer, responder?.id ?? 0, tick())).responders[0]?.retired).toBe(
      true,
    )
  })

  test.each([
    `INSERT INTO certificates (issuer, hash, serial, status, rev) VALUES (1, 5, x'05', 0, 9007199254740000)`,
    `UPDATE certificates SET status = 1, revoked_at = 5, rev = 9007199254740000 WHERE status = 0`,
    `UPDATE issuers SET policy = '{"profile":"private"}'`,
    `UPDATE issuers SET final_at = 0`,
    `UPDATE issuers SET final_at = final_at + 1`,
    `UPDATE issuers SET compromised_at = 5`,
  ])('stands still, whoever writes: %s', async (sql) => {
    await admin.finalizeIssuer(issuer, tick())
    expect(() => db.exec(sql)).toThrow(/is final/)
  })

  test('keeps every certificate, however long it has expired', async () => {
    await admin.finalizeIssuer(issuer, tick())
    ms += 30 * YEAR * 1000
    expect(await slots.pruneCertificates(sec(), 100)).toBe(0)
    expect(await admin.readCertificate(issuer, serial(2))).toMatchObject({ status: 'revoked' })
  })

  test('is not public-trust, whose responses end, and not frozen, when nobody knows what was lost', async () => {
    const open = () => db.rows('SELECT final_at FROM issuers')[0]?.['final_at']
    await admin.updateIssuer(issuer, { policy: { ...POLICY, profile: 'public-trust' } }, tick())
    await expect(admin.finalizeIssuer(issuer, tick())).rejects.toMatchObject({ state: 'publicTrust' })
    await admin.updateIssuer(issuer, { policy: POLICY }, tick())
    await new D1OverlayStore(db).freeze([issuer], tick())
    await expect(admin.finalizeIssuer(issuer, tick())).rejects.toMatchObject({ state: 'frozen' })
    expect([open(), await audit('issuer.finalized')]).toEqual([0, []])
    await admin.thaw(issuer, tick())
    expect((await admin.finalizeIssuer(issuer, tick())).finalAt).toBe(sec())
    await expect(admin.finalizeIssuer(99, tick())).rejects.toMatchObject({ name: 'NotFoundError' })
  })
})

describe('a policy that changes what is signed', () => {
  test.each([
    [{ archiveCutoff: 'issuer' }, 1],
    [{ archiveCutoff: 'retention' }, 1],
    [{ profile: 'public-trust' }, 1],
    [{ retainSeconds: 90 * DAY }, 0],
    [{ signedRequests: 'verify', requestors: [Uint8Array.of(0x30, 0)], algorithm: 'Ed25519' }, 0],
    [{ nonce: 'rfc8954', maxAge: 60 }, 0],
  ] as const)('%j makes %i slots due (R1.83, R4.1)', async (patch, due) => {
    const policy = { ...POLICY, ...patch }
    expect((await admin.updateIssuer(issuer, { policy }, tick())).policy).toEqual(policy)
    expect(await slots.countDue(sec(), { all: true })).toBe(due)
  })

  test('another retention is told by the cutoff that is made of it (R1.83)', async () => {
    const policy = { ...POLICY, archiveCutoff: 'retention' } as const
    await admin.updateIssuer(issuer, { policy }, tick())
    await build()
    await admin.updateIssuer(issuer, { policy: { ...policy, retainSeconds: 10 * YEAR } }, tick())
    expect(await build()).toBe(1)
  })
})

test('ten years after its end a certificate is still there, when the policy says so; then it goes (R4.50)', async () => {
  await admin.updateIssuer(issuer, { policy: { ...POLICY, retainSeconds: 10 * YEAR } }, tick())
  ms = (NOW + 90 * DAY + 10 * YEAR) * 1000
  expect(await slots.pruneCertificates(sec(), 100)).toBe(0)
  expect(await admin.readCertificate(issuer, serial(2))).toMatchObject({ status: 'revoked' })
  ms += 1000
  expect(await slots.pruneCertificates(sec(), 100)).toBe(2)
})
