/** What one of several databases does, over workerd's own D1: test/shards shows all of it on SQLite. */
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import type { MassRequest } from '../../src/ports/mass-store.ts'
import { ShardError } from '../../src/ports/part-store.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { good, newIssuer, newResponder, serial } from '../storage/fixtures.ts'

const RANGE = 2 ** 24
const admin = new D1AdminStore(env.DB, { database: 1 })
const canaries = new D1CanaryStore(env.DB)
const NOW_MS = Date.now()
const numberIn = (from: number) => {
  for (let n = 0; ; n += 1) if (serialHash(serial(n)) >>> 28 >= from) return n
}
const low = Array.from({ length: 99 }, (_, n) => n).find((n) => serialHash(serial(n)) >>> 28 < 8) ?? 0
const high = numberIn(8)

test('a part of an issuer: ids, share, what bars a write, a run kept elsewhere, state to compare by', async () => {
  const own = await admin.addPart(newIssuer(), { id: undefined, away: 0xff00 }, NOW_MS)
  expect(own).toMatchObject({ id: RANGE + 1, parts: [{ database: 1, away: 0xff00, moving: false }] })
  const other = newIssuer({ name: 'other', ski: 'ab'.repeat(20) })
  expect((await admin.addPart(other, { id: 5, away: 0 }, NOW_MS)).id).toBe(5)
  const third = newIssuer({ name: 'third', ski: 'cd'.repeat(20) })
  expect((await admin.addPart(third, { id: undefined, away: 0 }, NOW_MS)).id).toBe(RANGE + 2)
  await admin.addResponder(own.id, newResponder(), Uint8Array.of(1), NOW_MS)

  expect(await admin.addCertificates(own.id, [good(low)], NOW_MS)).toEqual(['added'])
  const barred = admin.addCertificates(own.id, [good(high)], NOW_MS)
  await expect(barred).rejects.toBeInstanceOf(ShardError)
  await expect(barred).rejects.toThrow(/being moved to another database/)

  const request: MassRequest = {
    where: { reserved: false },
    to: 'revoked',
    reason: 1,
    revocationTime: undefined,
  }
  expect(await admin.openMass(own.id, request)).toBeUndefined()
  const run = await admin.startMass(own.id, request, NOW_MS)
  expect(await admin.openMass(own.id, request)).toEqual(run)
  const step = await admin.stepMass({ ...run, id: 0 }, request, NOW_MS, 2 ** 31)
  expect(step).toMatchObject({ cursor: 2 ** 31, changed: 1 })
  await admin.passMass(run.id, 0, step, NOW_MS)
  expect(await admin.noteMass(run.id, 0)).toMatchObject({ cursor: 2 ** 31, changed: 1, refused: 0 })

  await canaries.setCanary(own.id, serial(high), true)
  await canaries.setCanary(5, serial(high), true)
  expect((await canaries.listCanaries()).map(({ issuer }) => issuer)).toEqual([5])

  const { issuers } = await admin.globals(Math.floor(NOW_MS / 1000))
  expect(issuers.map(({ id, ski }) => [id, ski])).toEqual([
    [5, other.ski],
    [RANGE + 1, own.ski],
    [RANGE + 2, third.ski],
  ])
  expect(issuers.map(({ configuration }) => typeof configuration)).toEqual([
    'undefined',
    'string',
    'undefined',
  ])
  expect(JSON.parse(issuers[1]?.configuration ?? '')).toEqual([
    'demo-ca',
    expect.stringContaining('"validitySeconds"'),
    1,
    0,
    0,
    [expect.stringContaining('ocsp-1')],
  ])
})
