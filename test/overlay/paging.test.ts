/** Issuers move from the root into pages, over a real record: what root and pages say together is what the record says. */
import { isDeepStrictEqual } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DirectoryPage, directoryPageName } from '../../src/overlay/directory-page.ts'
import { PAGING_RULES, type PagingPorts, pageIssuers } from '../../src/overlay/paging.ts'
import { type PublisherPorts, publish } from '../../src/overlay/publisher.ts'
import { OverlayRoot, type RootIssuer } from '../../src/overlay/root.ts'
import { HASH_ALGORITHMS } from '../../src/pkix/algorithm-identifier.ts'
import type { DirectoryStore } from '../../src/ports/ports.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1DirectoryStore } from '../../src/storage/d1-directory-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { good } from '../storage/fixtures.ts'
import { VirtualClock } from '../support/clock.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { manyHashes, manyIssuers } from './issuers.ts'

const HOUR = 3_600_000
const COUNT = 12

let clock: VirtualClock
let db: SqliteD1
let admin: D1AdminStore
let directory: D1DirectoryStore
let kv: Map<string, Uint8Array>
let expirations: number[]
let beforePut: (name: string) => void | Promise<void>

const paging = (over: Partial<PagingPorts> = {}): PagingPorts => ({
  directory,
  derived: {
    readPage: async (name) => kv.get(name) ?? null,
    async writePage(name, bytes, expiration) {
      await beforePut(name)
      if (kv.has(name)) throw new Error(`${name} was used twice`)
      kv.set(name, bytes)
      expirations.push(expiration ?? 0)
    },
  },
  clock,
  ...over,
})

const publisher = (): PublisherPorts => ({
  overlay: new D1OverlayStore(db),
  derived: {
    readRoot: async () => kv.get('o/root') ?? null,
    readPage: async (name) => kv.get(name) ?? null,
    async writeRoot(bytes) {
      kv.set('o/root', bytes)
    },
  },
  clock,
  random: () => 7,
  sleep: async (ms) => clock.advance(ms),
})

beforeEach(async () => {
  clock = new VirtualClock()
  db = new SqliteD1({ now: () => clock.nowMs() / 1000 })
  admin = new D1AdminStore(db)
  directory = new D1DirectoryStore(db)
  kv = new Map()
  expirations = []
  beforePut = () => undefined
  for (const issuer of manyIssuers(COUNT)) {
    clock.advance(1_000)
    await admin.addIssuer(issuer, clock.nowMs())
  }
  clock.advance(1_000)
  await publish(publisher())
})
afterEach(() => db.close())

async function publishLater(ms = 2_000): Promise<OverlayRoot> {
  clock.advance(ms)
  await publish(publisher())
  return rootNow()
}

const rootNow = () => OverlayRoot.open(kv.get('o/root') ?? new Uint8Array())

const change = (issuer: number) => admin.addCertificates(issuer, [good(issuer)], clock.nowMs())

/** What root and pages say of an issuer, under each hash algorithm. */
function standing(root: OverlayRoot, id: number): (RootIssuer | undefined)[] {
  return HASH_ALGORITHMS.map((algorithm) => {
    const named = root.issuer(id)
    if (named !== undefined) return named
    const { issuerKeyHash } = manyHashes(id)[algorithm]
    const version = root.directoryPage(algorithm, issuerKeyHash)
    if (version === undefined) return undefined
    const name = directoryPageName({ algorithm, octet: issuerKeyHash[0] ?? 0, version })
    const bytes = kv.get(name)
    if (bytes === undefined) throw new Error(`the root names ${name}, which was never written`)
    return DirectoryPage.open(bytes, name).issuer(id, issuerKeyHash)
  })
}

/** Differences between the record and what a root, published after its last change, says with its pages. */
function differences(root: OverlayRoot): string[] {
  return db.rows('SELECT * FROM issuers').flatMap((row) => {
    const id = Number(row['id'])
    const expected = {
      id,
      k: row['k'],
      enabled: row['enabled'] === 1,
      frozen: row['frozen'] === 1,
      head: row['seq'],
      floor: row['floor'],
      configRev: row['config_rev'],
    }
    return standing(root, id)
      .filter((said) => said === undefined || !isDeepStrictEqual(said, expected))
      .map((said) => `${id}: ${JSON.stringify(said)}, not ${JSON.stringify(expected)}`)
  })
}

describe('paging', () => {
  test('leaves the root without any issuer, and root and pages say together what the record says', async () => {
    expect([...rootNow().issuers]).toHaveLength(COUNT)
    clock.advance(HOUR)
    const paged = await pageIssuers(paging())
    expect(paged).toEqual({ issuers: COUNT, pages: kv.size - 1 })
    const root = await publishLater()
    expect([...root.issuers]).toEqual([])
    expect(differences(root)).toEqual([])
    expect(standing(root, 1)[0]).toMatchObject({ id: 1, enabled: true })
  })

  test('waits until an issuer has not changed for an hour, and an hour after the last time', async () => {
    expect(await pageIssuers(paging())).toBeUndefined()
    clock.advance(HOUR - COUNT * 500) // half of them
    const half = await pageIssuers(paging())
    expect(half?.issuers).toBeGreaterThan(0)
    expect(half?.issuers).toBeLessThan(COUNT)
    clock.advance(HOUR / 2)
    expect(await pageIssuers(paging())).toBeUndefined()
    expect(differences(await publishLater())).toEqual([])
    clock.advance(HOUR / 2)
    expect(await pageIssuers(paging())).toMatchObject({ issuers: COUNT - (half?.issuers ?? 0) })
    expect(differences(await publishLater())).toEqual([])
    clock.advance(HOUR)
    expect(await pageIssuers(paging())).toBeUndefined() // there is nothing left to do
  })

  test('is done after ten minutes where the root names a crowd', async () => {
    clock.advance(600_000)
    expect(await pageIssuers(paging(), { ...PAGING_RULES, crowd: COUNT })).toBeUndefined()
    expect(await pageIssuers(paging(), { ...PAGING_RULES, crowd: COUNT - 1 })).toMatchObject({
      issuers: COUNT,
    })
  })

  test('an issuer that changes is named by the root again, until it is quiet once more', async () => {
    clock.advance(HOUR)
    await pageIssuers(paging())
    await publishLater()
    await change(3)
    await admin.updateIssuer(5, { enabled: false }, clock.nowMs())
    const root = await publishLater()
    expect([...root.issuers].map(({ id }) => id)).toEqual([3, 5])
    expect(differences(root)).toEqual([])
    clock.advance(2 * HOUR)
    await pageIssuers(paging())
    const after = await publishLater()
    expect([...after.issuers]).toEqual([])
    expect(differences(after)).toEqual([])
  })

  test('leaves out whose last change no root has named yet', async () => {
    await change(3)
    clock.advance(2 * HOUR) // and no publisher is at work
    expect(await pageIssuers(paging())).toMatchObject({ issuers: COUNT - 1 })
    const root = await publishLater()
    expect([...root.issuers].map(({ id }) => id)).toEqual([3])
    expect(differences(root)).toEqual([])
  })

  test('renews pages before KV drops them, though nothing has changed', async () => {
    clock.advance(HOUR)
    await pageIssuers(paging())
    const before = kv.size
    const writtenAt = clock.seconds
    expect(new Set(expirations)).toEqual(new Set([writtenAt + 7 * 86_400]))
    clock.advance(3 * 86_400_000 - HOUR)
    expect(await pageIssuers(paging())).toBeUndefined()
    clock.advance(2 * HOUR)
    expect(await pageIssuers(paging())).toEqual({ issuers: 0, pages: before - 1 })
    expect(differences(await publishLater())).toEqual([])
  })

  test('writes all pages anew when KV has lost them (law 3)', async () => {
    clock.advance(HOUR)
    const { pages } = (await pageIssuers(paging())) ?? {}
    await publishLater()
    clock.advance(600_000)
    expect(await pageIssuers(paging())).toBeUndefined()
    kv.clear()
    expect(await pageIssuers(paging())).toEqual({ issuers: 0, pages })
    expect(differences(await publishLater())).toEqual([])
    expect(await pageIssuers(paging())).toBeUndefined()
  })

  test('whose put fails changes nothing, and is made up for', async () => {
    clock.advance(HOUR)
    let puts = 0
    beforePut = () => {
      puts += 1
      if (puts === 5) throw new Error('KV is away')
    }
    await expect(pageIssuers(paging())).rejects.toThrow('KV is away')
    expect([...(await publishLater()).issuers]).toHaveLength(COUNT)
    beforePut = () => undefined
    expect(await pageIssuers(paging())).toMatchObject({ issuers: COUNT })
    expect(differences(await publishLater())).toEqual([])
  })

  test.each([0, 1, 2, 3])('when call %i of D1 fails changes nothing, and is made up for', async (call) => {
    clock.advance(HOUR)
    const calls = db.calls
    db.beforeCall = () => {
      if (db.calls === calls + 1 + call) db.failNext(1)
    }
    await expect(pageIssuers(paging())).rejects.toThrow('Network connection lost')
    db.beforeCall = undefined
    expect([...(await publishLater()).issuers]).toHaveLength(COUNT)
    expect(await pageIssuers(paging())).toMatchObject({ issuers: COUNT })
    expect(differences(await publishLater())).toEqual([])
  })

  test('of which the answer is lost has happened', async () => {
    clock.advance(HOUR)
    const calls = db.calls
    db.beforeCall = () => {
      if (db.calls === calls + 4) db.loseAnswers(1)
    }
    await expect(pageIssuers(paging())).rejects.toThrow('the answer was lost')
    db.beforeCall = undefined
    const root = await publishLater()
    expect([...root.issuers]).toEqual([])
    expect(differences(root)).toEqual([])
  })
})

describe('whoever is overtaken', () => {
  /** One reads; before it writes its pages something changes, and another pages and is done; then the first goes on. */
  async function overtaken(first: DirectoryStore, between: () => Promise<unknown>): Promise<OverlayRoot> {
    clock.advance(HOUR)
    let isFirst = true
    beforePut = async () => {
      if (!isFirst) return
      isFirst = false
      await between()
    }
    await pageIssuers(paging({ directory: first }))
    return publishLater()
  }

  const raisedAndPaged = async () => {
    await admin.raiseFloor(3, clock.nowMs())
    await publishLater()
    clock.advance(2 * HOUR)
    await pageIssuers(paging())
  }

  test('changes nothing: what the other wrote stands', async () => {
    const root = await overtaken(directory, raisedAndPaged)
    expect([...root.issuers]).toEqual([])
    expect(differences(root)).toEqual([])
  })

  test('by a change alone leaves the issuer to the root', async () => {
    const root = await overtaken(directory, () => change(3))
    expect([...root.issuers].map(({ id }) => id)).toEqual([3])
    expect(differences(root)).toEqual([])
  })

  test('by a freeze leaves the frozen to the root', async () => {
    const root = await overtaken(directory, () => new D1OverlayStore(db).freeze('all', clock.nowMs()))
    expect([...root.issuers]).toHaveLength(COUNT)
    expect([...root.issuers].every(({ frozen }) => frozen)).toBe(true)
  })

  test('and commits all the same, since it reserved its version after it had read, is found out', async () => {
    const reservedLate: DirectoryStore = {
      readDirectoryPage: (...of) => directory.readDirectoryPage(...of),
      readPagingState: (...of) => directory.readPagingState(...of),
      readUnpaged: (...of) => directory.readUnpaged(...of),
      commitPaging: (...of) => directory.commitPaging(...of),
      async beginPaging(buckets) {
        const { issuers } = await directory.beginPaging(buckets)
        await raisedAndPaged()
        return { version: (await directory.beginPaging(buckets)).version, issuers }
      },
    }
    const root = await overtaken(reservedLate, async () => undefined)
    expect(differences(root)).not.toEqual([])
  })
})

describe('a record restored from a backup (attack 4)', () => {
  async function pagedAndRestored(lost: () => Promise<unknown>): Promise<OverlayRoot> {
    clock.advance(HOUR)
    await pageIssuers(paging())
    await publishLater()
    const restore = db.backup()
    await lost()
    restore()
    clock.advance(60_000)
    return publishLater()
  }

  test('freezes issuers that stand in pages too, and the root names them', async () => {
    const root = await pagedAndRestored(async () => {
      await change(3)
      await publishLater()
    })
    expect([...root.issuers]).toHaveLength(COUNT)
    expect([...root.issuers].every(({ frozen }) => frozen)).toBe(true)
    // Pages vouch for whoever had not changed: what is out already can be used.
    expect(root.issuer(1)?.floor).toBe(db.rows('SELECT floor FROM issuers WHERE id = 1')[0]?.['floor'])
    expect(await pageIssuers(paging())).toBeUndefined() // none of them is paged before the thaw
  })

  test('keeps a floor that only a page knows of (law 2)', async () => {
    let floor = 0
    const root = await pagedAndRestored(async () => {
      floor = await admin.raiseFloor(3, clock.nowMs())
      await publishLater()
      clock.advance(2 * HOUR)
      await pageIssuers(paging())
      expect([...(await publishLater()).issuers]).toEqual([])
    })
    expect(root.issuer(3)).toMatchObject({ frozen: true, floor })
  })

  test('lets nothing be used of whom no page can be read', async () => {
    const root = await pagedAndRestored(async () => {
      await change(3)
      await publishLater()
      for (const name of kv.keys()) if (name !== 'o/root') kv.delete(name)
    })
    expect(root.issuer(1)?.floor).toBe(root.timeMs * 1000)
  })

  test('is paged again after the thaw, under versions that were never used', async () => {
    await pagedAndRestored(async () => {
      await change(3)
      await publishLater()
      clock.advance(2 * HOUR)
      await pageIssuers(paging())
      await publishLater()
    })
    for (let id = 1; id <= COUNT; id += 1) await admin.thaw(id, clock.nowMs())
    await publishLater()
    clock.advance(2 * HOUR)
    expect(await pageIssuers(paging())).toMatchObject({ issuers: COUNT }) // writePage refuses a name used twice
    expect(differences(await publishLater())).toEqual([])
  })
})

describe('the record defends itself', () => {
  test('an issuer that changes without its seq is named by the root again', async () => {
    clock.advance(HOUR)
    await pageIssuers(paging())
    await publishLater()
    db.exec('UPDATE issuers SET k = k + 1 WHERE id = 4')
    const root = await publishLater()
    expect([...root.issuers].map(({ id }) => id)).toEqual([4])
    expect(differences(root)).toEqual([])
  })

  test('hashes never change, versions never fall', () => {
    expect(() => db.exec(`UPDATE issuers SET hashes = '{}' WHERE id = 1`)).toThrow('hashes never change')
    db.exec('UPDATE directory SET version = 9')
    expect(() => db.exec('UPDATE directory SET version = 8')).toThrow('version never falls')
  })

  test('every issuer stands under its four key hashes', () => {
    const rows = db.rows('SELECT algorithm, hex(key_hash) AS hash, issuer FROM issuer_keys')
    expect(rows).toHaveLength(4 * COUNT)
    const keyHash = Buffer.from(manyHashes(2)['SHA-384'].issuerKeyHash).toString('hex').toUpperCase()
    expect(rows).toContainEqual({ algorithm: 2, hash: keyHash, issuer: 2 })
  })
})
