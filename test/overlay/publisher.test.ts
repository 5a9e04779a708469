import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { type PublisherPorts, publish, publishChange } from '../../src/overlay/publisher.ts'
import { OverlayRoot } from '../../src/overlay/root.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { D1OverlayStore } from '../../src/storage/d1-overlay-store.ts'
import { good, serial, setUp } from '../storage/fixtures.ts'
import { VirtualClock } from '../support/clock.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'

let clock: VirtualClock
let db: SqliteD1
let admin: D1AdminStore
let issuer: number
let kv: Uint8Array | null
/** Roots put, in the order they arrived. */
let puts: OverlayRoot[]
let beforePut: () => void | Promise<void>
let slept: number[]

function ports(over: Partial<PublisherPorts> = {}): PublisherPorts {
  return {
    overlay: new D1OverlayStore(db),
    derived: {
      readRoot: async () => kv,
      readPage: async () => null,
      async writeRoot(bytes) {
        await beforePut()
        kv = bytes
        puts.push(OverlayRoot.open(bytes))
      },
    },
    clock,
    random: () => 77,
    async sleep(ms) {
      slept.push(ms)
      clock.advance(ms)
    },
    ...over,
  }
}

beforeEach(async () => {
  clock = new VirtualClock()
  db = new SqliteD1({ now: () => clock.nowMs() / 1000 })
  admin = new D1AdminStore(db)
  kv = null
  puts = []
  slept = []
  beforePut = () => undefined
  issuer = await setUp(admin, {}, clock.nowMs())
  await admin.addCertificates(issuer, [good(0), good(1)], clock.nowMs())
  clock.advance(5_000)
})
afterEach(() => db.close())

const revoke = (n: number) => admin.changeStatus(issuer, serial(n), { to: 'revoked' }, clock.nowMs())
const published = () => new D1OverlayStore(db).readPublished(issuer)

describe('publishing', () => {
  test('puts a root with a time from before D1 was read, and records what is in it', async () => {
    const { revision } = await revoke(0)
    const result = await publish(ports())
    const [root] = puts
    const at = root?.issuer(issuer)
    expect(result).toMatchObject({ version: root?.version, frozen: [] })
    expect(root?.timeMs).toBe(clock.nowMs())
    expect(at && root?.need(at, serial(0), serialHash(serial(0)))).toBe(revision)
    expect(await published()).toBe(at?.head)
  })

  test('is done at most once a second, and by one at a time (attack 3)', async () => {
    expect(await publish(ports())).toBeDefined()
    expect(await publish(ports())).toBeUndefined()
    clock.advance(999)
    expect(await publish(ports())).toBeUndefined()
    clock.advance(1)
    let second: unknown = 'not asked'
    beforePut = async () => {
      beforePut = () => undefined
      clock.advance(3_000)
      second = await publish(ports({ random: () => 78 }))
    }
    expect(await publish(ports())).toBeDefined()
    expect(second).toBeUndefined()
    expect(puts).toHaveLength(2)
  })

  test('with nothing changed is a heartbeat all the same: a newer root of the same content', async () => {
    await publish(ports())
    clock.advance(60_000)
    await publish(ports())
    const [first, second] = puts
    expect(second?.timeMs).toBe((first?.timeMs ?? 0) + 60_000)
    expect(second?.version).toBeGreaterThan(first?.version ?? 0)
    expect(second?.issuer(issuer)).toEqual(first?.issuer(issuer))
  })

  test('after a lost lease publishes again, later than whoever took it', async () => {
    beforePut = async () => {
      beforePut = () => undefined
      clock.advance(15_001) // the lease runs out during the put
      await publish(ports({ random: () => 78 }))
    }
    const result = await publish(ports())
    expect(puts).toHaveLength(3)
    const versions = puts.map(({ version }) => version)
    expect(Math.max(...versions)).toBe(versions.at(-1))
    expect(result?.version).toBe(versions.at(-1))
  })

  test('a put that fails rejects; what was to be published stays unpublished, and the next one does it', async () => {
    const { revision } = await revoke(0)
    beforePut = () => {
      throw new StorageError('unavailable', 'KV is away')
    }
    await expect(publish(ports())).rejects.toThrow('KV is away')
    expect(await published()).toBeLessThan(revision)
    beforePut = () => undefined
    clock.advance(15_000) // the dead publisher's lease
    expect(await publish(ports())).toBeDefined()
    expect(await published()).toBeGreaterThanOrEqual(revision)
  })

  test.each([0, 1, 2])('when call %i of D1 fails rejects, and recovers within a lease', async (call) => {
    const calls = db.calls
    db.beforeCall = () => {
      if (db.calls === calls + 1 + call) db.failNext(1)
    }
    await expect(publish(ports())).rejects.toThrow(StorageError)
    db.beforeCall = undefined
    clock.advance(15_000)
    expect(await publish(ports())).toBeDefined()
  })

  test('a corrupt root in KV is replaced', async () => {
    kv = new Uint8Array(100)
    expect(await publish(ports())).toBeDefined()
    expect(OverlayRoot.open(kv ?? new Uint8Array()).issuer(issuer)).toBeDefined()
  })
})

describe('publishing a change', () => {
  test('waits for its turn when another has just published', async () => {
    await publish(ports())
    const { revision } = await revoke(0)
    expect(await publishChange(ports(), issuer, revision)).toMatchObject({ publishedAtMs: clock.nowMs() })
    expect(slept.length).toBeGreaterThan(0)
    expect(await published()).toBeGreaterThanOrEqual(revision)
  })

  test('is content when another publisher has taken it along', async () => {
    const { revision } = await revoke(0)
    await publish(ports())
    expect(await publishChange(ports(), issuer, revision)).toBeDefined()
    expect(puts).toHaveLength(1)
    expect(slept).toEqual([])
  })

  test('says so when it could not be done within some seconds', async () => {
    const { revision } = await revoke(0)
    db.exec(`UPDATE publisher SET lease = 'dead', lease_until = ${clock.nowMs() + 60_000}`)
    expect(await publishChange(ports(), issuer, revision)).toBeUndefined()
    expect(slept.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(6_000)
  })
})

describe('a record restored from a backup (attack 4)', () => {
  test('freezes the issuers, keeps the lost items, and goes on doing so until the thaw', async () => {
    const restore = db.backup()
    const { revision } = await revoke(0)
    await publish(ports())
    restore()
    clock.advance(60_000)
    for (let heartbeat = 0; heartbeat < 3; heartbeat += 1) {
      expect((await publish(ports()))?.frozen).toEqual([issuer])
      const root = puts.at(-1)
      const at = root?.issuer(issuer)
      expect(at).toMatchObject({ frozen: true, floor: expect.any(Number) })
      expect(at && root?.need(at, serial(0), serialHash(serial(0)))).toBe(revision)
      expect(at && root?.need(at, serial(1), serialHash(serial(1)))).toBe(at?.floor) // the others stay as they are
      clock.advance(60_000)
    }
    expect(puts.at(-1)?.itemCount).toBe(1)
    const thawed = await admin.thaw(issuer, clock.nowMs())
    expect((await publish(ports()))?.frozen).toEqual([])
    expect(puts.at(-1)?.issuer(issuer)).toMatchObject({ frozen: false, floor: thawed })
    expect(thawed).toBeGreaterThan(revision)
  })

  test('that changed again before the next root is still found out by its version', async () => {
    const restore = db.backup()
    await revoke(0)
    await publish(ports())
    restore()
    clock.advance(60_000)
    await revoke(1) // the head is above the lost one now
    expect((await publish(ports()))?.frozen).toEqual([issuer])
  })

  test('keeps a floor that was raised after the backup (law 2)', async () => {
    const restore = db.backup()
    const raised = await admin.raiseFloor(issuer, clock.nowMs())
    await publish(ports())
    restore()
    clock.advance(60_000)
    for (let heartbeat = 0; heartbeat < 2; heartbeat += 1) {
      expect((await publish(ports()))?.frozen).toEqual([issuer])
      expect(puts.at(-1)?.issuer(issuer)?.floor).toBe(raised)
      clock.advance(60_000)
    }
  })

  test('a publisher that sees no root of the frozen state lets nothing of the issuer be used', async () => {
    await publish(ports())
    const old = kv
    const restore = db.backup()
    clock.advance(60_000)
    await revoke(0)
    await publish(ports())
    restore()
    clock.advance(60_000)
    expect((await publish(ports()))?.frozen).toEqual([issuer])
    kv = old // what a colo that is behind would read
    clock.advance(60_000)
    await publish(ports())
    expect(puts.at(-1)?.issuer(issuer)?.floor).toBe(clock.nowMs() * 1000)
    clock.advance(60_000)
    await publish(ports()) // and it stays so
    expect(puts.at(-1)?.issuer(issuer)?.floor).toBe((clock.nowMs() - 60_000) * 1000)
  })
})
