/** Law 4: a fault is never an answer. Every port fails in every way, alone and in pairs; what is true comes, or tryLater. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OID } from '../../src/asn1/oid.ts'
import { decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { respond } from '../../src/responder/respond.ts'
import { EPOCH } from '../support/clock.ts'
import { type FaultMode, type PortName, StandingFaults } from '../support/faults.ts'
import { World } from '../support/world.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { requestFor } from '../support/world-requests.ts'

const GOOD = Uint8Array.of(0x31, 1)
const REVOKED = Uint8Array.of(0x31, 2)
/** Recorded after the bundle was built: only the record knows it. */
const YOUNG = Uint8Array.of(0x31, 3)
const NEVER_ISSUED = Uint8Array.of(0x31, 4)
/** A real deadline, since what hangs hangs in real time. */
const DEADLINE_MS = 15

let world: World
let faults: StandingFaults
let place: Isolate

beforeEach(async () => {
  world = await World.create({ seed: 3, maxLagSeconds: 0 }, ['unauthorized'])
  faults = new StandingFaults()
  place = cold()
  const dates = { notBefore: EPOCH - 86_400, notAfter: EPOCH + 90 * 86_400 }
  const add = (serials: Uint8Array[]) =>
    world.add(
      place,
      world.issuer,
      serials.map((serial) => ({ serial, status: 'good' as const, ...dates })),
    )
  await add([GOOD, REVOKED])
  world.clock.advance(2_000)
  await world.change(place, world.history(world.issuer, REVOKED), { to: 'revoked', reason: 4 })
  world.clock.advance(2_000)
  await world.presign(place, { all: true })
  await add([YOUNG])
  world.clock.advance(2_000)
  for (const cache of world.caches) cache.clear()
})
afterEach(() => world.close())

const cold = (special = {}) => world.isolate(0, faults, { timeoutMs: DEADLINE_MS, ...special })

async function answer(
  serial: Uint8Array,
  at = place,
  hash: HashAlgorithm = 'SHA-256',
  nonce?: Uint8Array,
): Promise<Answer> {
  const der = requestFor(world.issuer.record, [serial], { hash, ...(nonce === undefined ? {} : { nonce }) })
  const result = await respond(der, at.responder)
  await Promise.allSettled(at.background)
  return result
}

async function ask(serial: Uint8Array, at = place, hash: HashAlgorithm = 'SHA-256'): Promise<string> {
  const result = await answer(serial, at, hash)
  return result.responseStatus === 'successful' ? result.certStatus : result.responseStatus
}

const askAll = async (at = place) => ({
  good: await ask(GOOD, at),
  revoked: await ask(REVOKED, at, 'SHA-1'),
  young: await ask(YOUNG, at),
  never: await ask(NEVER_ISSUED, at),
})

const TRUE = { good: 'good', revoked: 'revoked', young: 'good', never: 'unauthorized' }
const NOTHING = { good: 'tryLater', revoked: 'tryLater', young: 'tryLater', never: 'tryLater' }
const BUNDLES_ALONE = { ...NOTHING, good: 'good', revoked: 'revoked' }

/** Half a minute later everything is asked again, and nothing of the fault is left. */
async function heal(at = place): Promise<void> {
  faults.clear()
  world.clock.advance(61_000)
  await publish(world.isolate(0, new StandingFaults()).publisher)
  expect(await askAll(at)).toEqual(TRUE)
}

const READS: PortName[] = ['kv.root', 'kv.page', 'kv.bundle', 'cache.match']
const CALLS: FaultMode[] = ['fail', 'loseAnswer', 'hang']
const VALUES: FaultMode[] = ['absent', 'garbage', 'truncated', 'flipped', 'stale']

describe('each tier of derived state is optional (law 3)', () => {
  const cases = READS.flatMap((port) =>
    [...CALLS, ...VALUES].map((mode): [PortName, FaultMode] => [port, mode]),
  )

  test.each(cases)('%s: %s; a cold isolate answers all the same (R6.18)', async (port, mode) => {
    if (port === 'cache.match') await askAll(cold()) // so that there is something to spoil
    faults.set(port, mode)
    expect(await askAll(cold())).toEqual(TRUE)
    await heal()
  })

  test.each(['fail', 'loseAnswer', 'hang'] as const)('the edge cache refuses puts (%s)', async (mode) => {
    faults.set('cache.put', mode)
    expect(await askAll()).toEqual(TRUE)
    await heal()
  })
})

describe('the record is away', () => {
  test.each(CALLS)('warm and cold isolates answer what bundles know (%s)', async (mode) => {
    await ask(GOOD)
    faults.set('d1', mode)
    expect(await askAll(cold())).toEqual(BUNDLES_ALONE)
    expect(await askAll()).toEqual(BUNDLES_ALONE)
    await heal()
  })

  test('a serial that no bundle knows is tryLater, never unauthorized (R1.22, R1.28)', async () => {
    faults.set('d1', 'fail')
    for (const serial of [YOUNG, NEVER_ISSUED]) {
      const result = await answer(serial, cold())
      expect(result.der).toEqual(Uint8Array.of(0x30, 3, 0x0a, 1, 3))
    }
  })

  test('what was answered before from the record is still answered from memory, until B', async () => {
    expect(await ask(YOUNG)).toBe('good')
    faults.set('d1', 'fail')
    world.clock.advance(29_000)
    expect(await ask(YOUNG)).toBe('good')
    world.clock.advance(300_000) // no publisher either: nobody knows what has changed
    expect(await askAll()).toEqual(NOTHING)
  })

  test('a missing schema is tryLater', async () => {
    world.record.exec('ALTER TABLE certificates RENAME TO gone')
    expect(await ask(YOUNG)).toBe('tryLater')
    world.record.exec('ALTER TABLE gone RENAME TO certificates')
    expect(await ask(YOUNG)).toBe('good')
  })
})

describe('KV is away', () => {
  beforeEach(() => {
    for (const port of ['kv.root', 'kv.page', 'kv.bundle', 'kv.put'] as const) faults.set(port, 'fail')
  })

  test('the record and the live signer answer everything', async () => {
    expect(await askAll(cold())).toEqual(TRUE)
    await heal()
  })

  test('and the record too: tryLater to everything, unauthorized to nothing', async () => {
    faults.set('d1', 'fail')
    expect(await askAll(cold())).toEqual(NOTHING)
    await heal()
  })

  test('a revocation is committed all the same, and the record makes it known', async () => {
    await expect(
      world.change(place, world.history(world.issuer, GOOD), { to: 'revoked', reason: 1 }),
    ).rejects.toThrow(/KV/)
    world.clock.advance(301_000)
    expect(await ask(GOOD, cold())).toBe('revoked')
    expect(await ask(GOOD)).toBe('revoked')
  })
})

test('a revocation while the record is away fails loudly (law 4)', async () => {
  faults.set('d1', 'fail')
  const change = world.change(place, world.history(world.issuer, GOOD), { to: 'revoked', reason: 1 })
  await expect(change).rejects.toThrow(/D1 failed/)
  await heal()
})

describe('the signer fails', () => {
  test.each(CALLS.slice(0, 2))('pre-signed answers come; the others are internalError (%s)', async (mode) => {
    faults.set('signer', mode)
    expect(await askAll(cold())).toEqual({ ...TRUE, young: 'internalError' })
    await heal()
  })

  test('a bundle with a wrong signature is not put (law 5, R8.1)', async () => {
    const at = cold()
    const { ready } = at.signers
    at.signers.ready = async (issuer, now) => {
      const key = await ready.call(at.signers, issuer, now)
      const sign = async (tbs: Uint8Array) => {
        const signature = await key.signer.sign(tbs)
        return signature.map((octet, i) => (i === 10 ? octet ^ 1 : octet))
      }
      return { ...key, signer: { ...key.signer, sign } }
    }
    const puts = world.kv.puts
    const outcome = await world.presign(at, { all: true })
    expect(outcome).toMatchObject({ built: 0, failed: 1 })
    expect(outcome.problems.join()).toMatch(/does not verify/)
    expect(world.kv.puts).toBe(puts)
  })
})

describe('without the signing key', () => {
  test.each(['SHA-1', 'SHA-256'] as const)(
    'every pre-signed answer comes byte for byte (%s)',
    async (hash) => {
      for (const serial of [GOOD, REVOKED]) {
        const withKey = await answer(serial, cold(), hash)
        const without = await answer(serial, cold({ kek: undefined }), hash)
        expect(withKey.responseStatus === 'successful' && withKey.origin).toMatch(/bundle|cache/)
        expect(without.der).toEqual(withKey.der)
      }
    },
  )

  test('a nonce gets the stored answer without nonce, for everybody (R2.3)', async () => {
    const result = await answer(
      GOOD,
      cold({ kek: undefined }),
      'SHA-256',
      Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    )
    expect(result).toMatchObject({ responseStatus: 'successful', personal: false })
    expect(decodeSuccessfulResponse(result.der).tbsResponseData.responseExtensions).toBeUndefined()
    expect(result.der).toEqual((await answer(GOOD, cold())).der)
  })

  test('with the key the same nonce is echoed, in an answer that nobody keeps (R3.10)', async () => {
    const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    const before = world.caches[0]?.size
    const result = await answer(GOOD, place, 'SHA-1', nonce)
    expect(result).toMatchObject({ responseStatus: 'successful', origin: 'live', personal: true, etag: '' })
    const [echo] = decodeSuccessfulResponse(result.der).tbsResponseData.responseExtensions ?? []
    expect(echo).toMatchObject({
      extnID: OID.ocspNonce,
      critical: false,
      extnValue: Uint8Array.of(4, 8, ...nonce),
    })
    expect((world.caches[0]?.size ?? 0) - (before ?? 0)).toBeLessThanOrEqual(1) // the bundle that proved it
    expect((await answer(GOOD, place, 'SHA-1')).der).not.toEqual(result.der)
  })

  test('a serial that no bundle knows, and SHA-384, are internalError: the key is missing', async () => {
    const at = cold({ kek: undefined })
    expect(await ask(YOUNG, at)).toBe('internalError')
    expect(await ask(GOOD, at, 'SHA-384')).toBe('internalError')
    expect(await ask(NEVER_ISSUED, at)).toBe('unauthorized') // the record is authoritative without a key
  })
})

describe('faults in pairs', () => {
  const ports: PortName[] = ['kv.root', 'kv.page', 'kv.bundle', 'cache.match', 'cache.put', 'd1', 'signer']
  const pairs = ports.flatMap((one, i) => ports.slice(i + 1).map((two): [PortName, PortName] => [one, two]))
  const may = { good: ['good'], revoked: ['revoked'], young: ['good'], never: ['unauthorized'] }

  test.each(pairs)('%s and %s: the truth, or an error that says "later"', async (one, two) => {
    for (const [first, second] of [
      ['fail', 'fail'],
      ['garbage', 'fail'],
      ['fail', 'absent'],
      ['truncated', 'flipped'],
      ['hang', two === 'signer' ? 'fail' : 'hang'],
    ] as const) {
      faults.set(one, first)
      faults.set(two, second)
      const given = await askAll(cold())
      for (const [what, status] of Object.entries(given)) {
        const allowed = [
          ...(Object.entries(may).find(([key]) => key === what)?.[1] ?? []),
          'tryLater',
          'internalError',
        ]
        expect(allowed, `${what} under ${first} and ${second}`).toContain(status)
      }
      if (one !== 'd1' && two !== 'd1' && two !== 'signer') expect(given).toEqual(TRUE)
      faults.clear()
    }
    await heal()
  })
})

test('nothing of a fault is kept: errors leave no trace in memory, cache or KV (law 7, R6.7)', async () => {
  faults.set('d1', 'fail')
  const kept = () => [world.caches[0]?.keys().length, world.kv.puts]
  await ask(GOOD)
  const before = kept()
  for (let i = 0; i < 3; i += 1) expect(await ask(YOUNG)).toBe('tryLater')
  expect(kept()).toEqual(before)
  faults.clear()
  expect(await ask(YOUNG)).toBe('good')
})
