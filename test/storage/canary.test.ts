import { beforeEach, expect, test } from 'vitest'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../src/storage/d1-canary-store.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { NOW_MS, serial, setUp } from './fixtures.ts'

let canaries: D1CanaryStore
let issuer: number

beforeEach(async () => {
  const db = new SqliteD1()
  canaries = new D1CanaryStore(db)
  issuer = await setUp(new D1AdminStore(db))
})

test('a canary keeps its serial, whatever it is enabled with later', async () => {
  expect(await canaries.setCanary(issuer, serial(1), true)).toMatchObject({
    serial: serial(1),
    enabled: true,
  })
  expect(await canaries.setCanary(issuer, serial(2), false)).toMatchObject({
    serial: serial(1),
    enabled: false,
  })
  expect(await canaries.listCanaries()).toHaveLength(1)
})

test('one change at a time: the next only after the last was seen', async () => {
  await canaries.setCanary(issuer, serial(1), true)
  expect(await canaries.noteChange(issuer, 10, NOW_MS)).toBe(true)
  expect(await canaries.noteChange(issuer, 11, NOW_MS)).toBe(false)
  await canaries.noteSeen(issuer, 9, NOW_MS + 5) // of another change
  expect((await canaries.listCanaries())[0]?.seenMs).toBe(0)
  await canaries.noteSeen(issuer, 10, NOW_MS + 1_500)
  expect(await canaries.noteChange(issuer, 10, NOW_MS)).toBe(false)
  expect(await canaries.noteChange(issuer, 12, NOW_MS + 60_000)).toBe(true)
  await canaries.noteSeen(issuer, 12, NOW_MS + 60_700)
  expect((await canaries.listCanaries())[0]).toMatchObject({ rounds: 2, lastLagMs: 700, worstLagMs: 1_500 })
})

test('late is counted once a change, and not for what was seen', async () => {
  await canaries.setCanary(issuer, serial(1), true)
  await canaries.noteChange(issuer, 10, NOW_MS)
  await canaries.noteLate(issuer, 10)
  await canaries.noteLate(issuer, 10)
  expect((await canaries.listCanaries())[0]?.late).toBe(1)
  await canaries.noteSeen(issuer, 10, NOW_MS + 400_000)
  await canaries.noteLate(issuer, 10)
  expect((await canaries.listCanaries())[0]).toMatchObject({ late: 1, lastLagMs: 400_000 })
})
