import { expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import { addIssuer, withIssuer } from './admin-pki.ts'
import { adminWorld } from './admin-world.ts'

test('rebuild publishes, makes all bundles due and writes the pages of all issuers (law 3)', async () => {
  const world = adminWorld()
  await addIssuer(world, { name: 'demo' })
  world.happened.length = 0
  const answer = await world.call('POST', '/rebuild', {})
  expect(answer.at('')).toEqual({
    publishedAt: '2026-11-21T03:00:30Z',
    rootVersion: 7,
    boundSeconds: 300,
    slots: 4,
    issuerPages: 1,
    next: null,
  })
  expect(world.happened).toEqual(['publish', 'lost all', 'page demo'])
})

test('rebuild of one issuer leaves the others alone, and one that is not there is told so', async () => {
  const world = adminWorld()
  await addIssuer(world, { name: 'demo' })
  world.happened.length = 0
  expect((await world.call('POST', '/rebuild', { issuer: 'demo' })).at('issuerPages')).toBe(1)
  expect(world.happened).toEqual(['publish', 'lost 1', 'page demo'])
  expect((await world.call('POST', '/rebuild', { issuer: 'nobody' })).status).toBe(404)
  expect((await world.call('POST', '/rebuild', { everything: true })).status).toBe(400)
})

test('the pages of many issuers are written in parts, and bundles are marked once', async () => {
  const written: number[] = []
  const marked: (number | undefined)[] = []
  const world = adminWorld({
    recovery: {
      async markLost(issuer) {
        marked.push(issuer)
        return 7
      },
      issuersAfter: async (after, limit) =>
        Array.from({ length: 450 }, (_, i) => i + 1)
          .filter((id) => id > after)
          .slice(0, limit),
    },
    async writeIssuerPage(issuer) {
      written.push(issuer.id)
    },
  })
  await addIssuer(world, { name: 'demo' })
  written.length = 0
  const found = world.store.findIssuer.bind(world.store)
  world.store.findIssuer = async (named) => {
    const demo = await found('demo')
    return demo === undefined ? undefined : { ...demo, id: Number(named) }
  }
  const ends: unknown[] = []
  for (let after: unknown = null; ends.length < 5; ) {
    const answer = await world.call('POST', '/rebuild', after === null ? {} : { after })
    after = answer.at('next')
    ends.push([answer.at('slots'), answer.at('issuerPages'), after])
    if (after === null) break
  }
  expect(ends).toEqual([
    [7, 200, 200],
    [0, 200, 400],
    [0, 50, null],
  ])
  expect(marked).toEqual([undefined])
  expect(written.sort((a, b) => a - b)).toEqual(Array.from({ length: 450 }, (_, i) => i + 1))
})

test('a page that cannot be written is a fault that is said, and the call can be made again', async () => {
  const world = await withIssuer()
  world.pageFault = new StorageError('unavailable', 'KV put failed')
  expect((await world.call('POST', '/rebuild', {})).status).toBe(503)
  world.pageFault = undefined
  expect((await world.call('POST', '/rebuild', {})).status).toBe(200)
})
