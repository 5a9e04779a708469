/** Issuers of several databases: what is in each, and that a command which was cut off is completed by repeating it. */
import { beforeEach, describe, expect, test } from 'vitest'
import { ConflictError } from '../../src/ports/admin-store.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { NOW, newIssuer, newResponder, POLICY } from '../storage/fixtures.ts'
import { auditOf, faultAt, recordOf, type Several, setUp, several } from './support.ts'

const SKI = 'aa7dc2edafb9abbd01ff2dc7fb5c7c2c45930470'
const RANGE = 2 ** 24

let world: Several

beforeEach(() => {
  world = several(3)
})

const masks = (ski: string) =>
  world.dbs.map((db) => db.rows('SELECT away FROM issuers WHERE ski = ?1', ski)[0]?.['away'])

describe('a new issuer', () => {
  test.each([
    [[0], [0, undefined, undefined]],
    [
      [0, 1],
      [0xff00, 0x00ff, undefined],
    ],
    [
      [2, 0],
      [0x00ff, undefined, 0xff00],
    ],
    [
      [0, 1, 2],
      [0xffc0, 0xf83f, 0x07ff],
    ],
  ])('in %j has the sixteen digits dealt evenly, the lowest to the first', async (databases, wanted) => {
    const issuer = newIssuer({ databases })
    const { parts } = await world.store.addIssuer(issuer, world.tick())
    expect(masks(issuer.ski)).toEqual(wanted)
    expect(parts?.map(({ database }) => database)).toEqual(databases.toSorted((a, b) => a - b))
    const away = wanted.filter((mask) => mask !== undefined)
    expect(away.reduce((both, mask) => both & mask, 0xffff)).toBe(0) // every digit is somewhere
    const here = away.map((mask) => 0xffff & ~mask)
    expect(here.reduce((sum, mask) => sum + mask, 0)).toBe(0xffff) // and in one place
  })

  test('has the same id everywhere, of the range of the first database', async () => {
    const first = await world.store.addIssuer(newIssuer({ databases: [1, 2] }), world.tick())
    const second = await world.store.addIssuer(newIssuer({ name: 'b', ski: SKI }), world.tick())
    const third = await world.store.addIssuer(
      newIssuer({ name: 'c', ski: `${SKI}01`, databases: [2, 0, 1] }),
      world.tick(),
    )
    const fourth = await world.store.addIssuer(newIssuer({ name: 'd', ski: `${SKI}02` }), world.tick())
    expect([first, second, third, fourth].map(({ id }) => id)).toEqual([RANGE + 1, 1, 2 * RANGE + 1, 2])
    expect(
      world.dbs.map((db) => db.rows('SELECT id FROM issuers ORDER BY id').map((row) => row['id'])),
    ).toEqual([
      [1, 2, 2 * RANGE + 1],
      [RANGE + 1, 2 * RANGE + 1],
      [RANGE + 1, 2 * RANGE + 1],
    ])
    expect((await world.store.listIssuers()).map(({ id }) => id)).toEqual([1, 2, RANGE + 1, 2 * RANGE + 1])
    // A page is as one database would give it, each issuer with all its parts.
    const page = await world.store.listIssuers(1, 2)
    expect(page.map(({ id, parts }) => [id, parts?.length])).toEqual([
      [2, 1],
      [RANGE + 1, 2],
    ])
  })

  test.each([[[]], [[0, 0]], [[3]], [Array.from({ length: 17 }, (_, i) => i)]])(
    'is refused with the databases %j',
    async (databases) => {
      await expect(world.store.addIssuer(newIssuer({ databases }), world.tick())).rejects.toMatchObject({
        name: 'ConflictError',
        field: 'databases',
      })
      expect(masks(newIssuer().ski)).toEqual([undefined, undefined, undefined])
    },
  )

  test('takes no name and no key that any database knows', async () => {
    await world.store.addIssuer(newIssuer({ databases: [2] }), world.tick())
    const conflict = (field: string) => ({ name: 'ConflictError', field })
    await expect(world.store.addIssuer(newIssuer({ ski: SKI }), world.tick())).rejects.toMatchObject(
      conflict('name'),
    )
    await expect(
      world.store.addIssuer(newIssuer({ name: 'other', databases: [0] }), world.tick()),
    ).rejects.toMatchObject(conflict('ski'))
    await expect(world.store.addIssuer(newIssuer({ databases: [2] }), world.tick())).rejects.toMatchObject(
      conflict('ski'),
    )
    expect(masks(SKI)).toEqual([undefined, undefined, undefined])
  })

  test('is not begun while a database is away that might know it', async () => {
    world.db(2).failNext(9)
    await expect(world.store.addIssuer(newIssuer(), world.tick())).rejects.toThrow(/DB_2 \(unavailable\)/)
    expect(masks(newIssuer().ski)).toEqual([undefined, undefined, undefined])
  })

  test('that was made in one of its databases gets what it is now in the other', async () => {
    const issuer = newIssuer({ databases: [0, 1] })
    world.db(1).beforeCall = ([sql = '']) => {
      if (sql.includes('INSERT')) throw new Error('D1_ERROR: overloaded')
    }
    await expect(world.store.addIssuer(issuer, world.tick())).rejects.toThrow(
      /DB_1 \(unavailable\): .*repeat the call/,
    )
    world.db(1).beforeCall = undefined
    const [made] = await world.store.listIssuers()
    await world.store.updateIssuer(made?.id ?? 0, { enabled: false }, world.tick())
    const completed = await world.store.addIssuer(issuer, world.tick())
    expect(completed).toMatchObject({ id: 1, enabled: false, parts: [{ database: 0 }, { database: 1 }] })
    expect(completed.partsDiffer).toBeUndefined()
    expect(masks(issuer.ski)).toEqual([0xff00, 0x00ff, undefined])
  })

  test('is completed only as it was begun: other databases are a conflict', async () => {
    await world.store.addIssuer(newIssuer({ databases: [0, 1] }), world.tick())
    for (const databases of [[0, 2], [1, 0], [0], [0, 1, 2]])
      await expect(world.store.addIssuer(newIssuer({ databases }), world.tick())).rejects.toMatchObject({
        field: 'ski',
      })
  })
})

describe('a change of an issuer', () => {
  test('is made in every database that has some of it, and nowhere else', async () => {
    const id = await setUp(world, { databases: [0, 2] })
    const policy = { ...POLICY, validitySeconds: 3600 }
    await world.store.updateIssuer(id, { policy, name: 'renamed' }, world.tick())
    await world.store.compromiseIssuer(id, NOW - 5, world.tick())
    const shown = await world.store.findIssuer('renamed')
    expect(shown).toMatchObject({ policy: { validitySeconds: 3600 }, compromisedAt: NOW - 5 })
    for (const database of [0, 2])
      expect(await world.shard(database).record.readIssuer(id)).toMatchObject({
        name: 'renamed',
        policy: { validitySeconds: 3600 },
        compromisedAt: NOW - 5,
        responders: [{ name: 'ocsp-1', retired: false }],
      })
    expect(world.db(1).rows('SELECT * FROM audit')).toEqual([])
  })

  test('to a name that another database knows is a conflict', async () => {
    const id = await setUp(world, { databases: [0] })
    await setUp(world, { databases: [2], name: 'taken', ski: SKI })
    await expect(world.store.updateIssuer(id, { name: 'taken' }, world.tick())).rejects.toMatchObject({
      field: 'name',
    })
  })

  test('goes where it can while a database is away, and says where it is missing', async () => {
    const id = await setUp(world, { databases: [0, 1] })
    world.db(0).failNext(1)
    await expect(world.store.raiseFloor(id, world.tick())).rejects.toThrow(
      'DB (unavailable): done in DB_1; repeat the call',
    )
    expect(world.db(1).rows("SELECT 1 FROM audit WHERE action = 'issuer.floor'")).toHaveLength(1)
  })

  test('retires a responder by its name: ids differ from database to database', async () => {
    await setUp(world, { databases: [1], name: 'other', ski: SKI })
    const id = await setUp(world, { databases: [0, 1] })
    const before = await world.store.findIssuer(String(id))
    const ids = await Promise.all(
      [0, 1].map(async (database) => (await world.shard(database).record.readIssuer(id))?.responders[0]?.id),
    )
    expect(ids).toEqual([1, 2])
    await world.store.retireResponder(id, before?.responders[0]?.id ?? 0, world.tick())
    const retired = world.dbs.map((db) => db.rows('SELECT issuer, retired FROM responders ORDER BY issuer'))
    expect(retired).toEqual([
      [{ issuer: id, retired: 1 }],
      [
        { issuer: id, retired: 1 },
        { issuer: RANGE + 1, retired: 0 },
      ],
      [],
    ])
    await expect(world.store.retireResponder(id, 'none', world.tick())).rejects.toMatchObject({
      name: 'NotFoundError',
    })
  })

  test('a responder of the same name and another key is a conflict in all', async () => {
    const id = await setUp(world)
    const another = newResponder({ keyHash: new Uint8Array(20).fill(9) })
    await expect(world.store.addResponder(id, another, undefined, world.tick())).rejects.toMatchObject({
      name: 'ConflictError',
      field: 'name',
    })
  })

  test('to its last state is not begun while one of its databases is frozen', async () => {
    const id = await setUp(world)
    world.db(1).exec('UPDATE issuers SET frozen = 1, seq = seq + 1')
    await expect(world.store.finalizeIssuer(id, world.tick())).rejects.toMatchObject({
      name: 'IssuerStateError',
      state: 'frozen',
    })
    expect((await world.store.findIssuer(String(id)))?.finalAt).toBeUndefined()
    await world.store.thaw(id, world.tick())
    expect((await world.store.finalizeIssuer(id, world.tick())).finalAt).toBeGreaterThan(NOW)
    // Only what was frozen was thawed, and lost what it had signed.
    const thawed = world.dbs.map((db) => db.rows("SELECT 1 FROM audit WHERE action = 'issuer.thawed'").length)
    expect(thawed).toEqual([0, 1, 0])
  })

  test('of nobody is not found', async () => {
    await expect(world.store.updateIssuer(7, {}, world.tick())).rejects.toMatchObject({
      name: 'NotFoundError',
    })
  })
})

describe('finding an issuer', () => {
  test('by name, key identifier or id, in whichever database it is', async () => {
    const id = await setUp(world, { databases: [2] })
    for (const named of ['demo-ca', newIssuer().ski.toUpperCase(), String(id)])
      expect((await world.store.findIssuer(named))?.id).toBe(id)
    expect(await world.store.findIssuer('nobody')).toBeUndefined()
  })

  test('needs no database that is away once one knows it, and is not certain when none does', async () => {
    const id = await setUp(world, { databases: [0, 1] })
    world.db(0).failNext(2)
    expect((await world.store.findIssuer('demo-ca'))?.id).toBe(id)
    world.db(0).failNext(1)
    await expect(world.store.findIssuer('nobody')).rejects.toThrow(/^DB \(unavailable\)/)
    world.db(0).failNext(1)
    await expect(world.store.listIssuers()).rejects.toThrow(/^DB \(unavailable\)/)
  })

  test('tells what is not configured alike', async () => {
    const id = await setUp(world)
    expect(await world.store.findIssuer('demo-ca')).not.toHaveProperty('partsDiffer')
    await world.shard(1).record.updateIssuer(id, { enabled: false }, world.tick())
    expect(await world.store.findIssuer('demo-ca')).toMatchObject({ enabled: true, partsDiffer: true })
  })
})

interface Command {
  readonly title: string
  /** Repeated although it is done everywhere: an error that says so is as good. */
  readonly again?: 'conflict'
  readonly prepare?: (world: Several) => Promise<unknown>
  readonly run: (world: Several, id: number) => Promise<unknown>
}

const second = newResponder({ name: 'second', keyHash: new Uint8Array(20).fill(8) })
const COMMANDS: readonly Command[] = [
  {
    title: 'addIssuer and its first responder',
    again: 'conflict',
    run: async ({ store, tick }) => {
      const { id } = await store.addIssuer(newIssuer({ name: 'new', ski: SKI, databases: [0, 1] }), tick())
      return store.addResponder(id, newResponder(), Uint8Array.of(1), tick())
    },
  },
  {
    title: 'updateIssuer',
    run: ({ store, tick }, id) => store.updateIssuer(id, { name: 'renamed', enabled: false }, tick()),
  },
  { title: 'compromiseIssuer', run: ({ store, tick }, id) => store.compromiseIssuer(id, NOW - 60, tick()) },
  { title: 'finalizeIssuer', run: ({ store }, id) => store.finalizeIssuer(id, (NOW + 600) * 1000) },
  { title: 'raiseFloor', run: ({ store, tick }, id) => store.raiseFloor(id, tick()) },
  {
    title: 'thaw',
    prepare: async ({ dbs }) => {
      for (const db of dbs) db.exec('UPDATE issuers SET frozen = 1, seq = seq + 1')
    },
    run: ({ store, tick }, id) => store.thaw(id, tick()),
  },
  {
    title: 'addResponder',
    again: 'conflict',
    run: ({ store, tick }, id) => store.addResponder(id, second, Uint8Array.of(5), tick()),
  },
  { title: 'retireResponder', run: ({ store, tick }, id) => store.retireResponder(id, 'ocsp-1', tick()) },
]

/** Done everywhere but for the answer, they are done once more when repeated, as with one database. */
const REDONE = new Set(['updateIssuer', 'raiseFloor', 'thaw', 'retireResponder'])

describe('a command that a fault cuts off is completed by the same command, and nothing is done twice', () => {
  const begin = async ({ prepare }: Command) => {
    const place = several(2)
    const id = await setUp(place)
    await prepare?.(place)
    return { place, id }
  }

  test.each(COMMANDS)('$title', async (command) => {
    const whole = await begin(command)
    await command.run(whole.place, whole.id)
    const wanted = { record: recordOf(whole.place), audit: auditOf(whole.place) }
    let faults = 0
    for (const database of [0, 1])
      for (const kind of ['refused', 'answerLost'] as const)
        for (let nth = 0; ; nth += 1) {
          const { place, id } = await begin(command)
          const ended = faultAt(place.db(database), nth, kind)
          const failed = await command.run(place, id).then(
            () => undefined,
            (error: unknown) => error,
          )
          if (!ended()) break
          faults += 1
          if (failed !== undefined) {
            expect(failed).toBeInstanceOf(StorageError)
            const again = await command.run(place, id).then(
              () => undefined,
              (error: unknown) => error,
            )
            if (again !== undefined)
              expect([command.again, again]).toMatchObject(['conflict', { name: 'ConflictError' }])
          }
          const what = `${kind} at call ${nth} of database ${database}`
          expect(recordOf(place), what).toEqual(wanted.record)
          if (!REDONE.has(command.title)) expect(auditOf(place), what).toEqual(wanted.audit)
        }
    expect(faults).toBeGreaterThan(7)
  })

  test.each(COMMANDS)(
    '$title, repeated until it comes through, however often it is cut off',
    async (command) => {
      const whole = await begin(command)
      await command.run(whole.place, whole.id)
      const wanted = recordOf(whole.place)
      let cuts = 0
      for (let seed = 1; seed <= 4; seed += 1) {
        const { place, id } = await begin(command)
        let state = seed
        const random = () => {
          state = (state * 48_271) % 2_147_483_647
          return state / 2_147_483_647
        }
        for (const db of place.dbs)
          db.beforeCall = () => {
            if (random() < 0.15) throw new Error('D1_ERROR: Network connection lost.')
            if (random() < 0.15) db.loseAnswers(1)
          }
        for (let done = false; !done; cuts += 1)
          done = await command.run(place, id).then(
            () => true,
            (error: unknown) => error instanceof ConflictError,
          )
        for (const db of place.dbs) db.beforeCall = undefined
        expect(recordOf(place), `seed ${seed}`).toEqual(wanted)
      }
      expect(cuts).toBeGreaterThan(4)
    },
  )
})
