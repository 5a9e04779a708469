/** What is answered to whom: requests through respond(), over a real record, KV and cache of one data centre. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { signedOctets } from '../../src/ocsp/basic-response.ts'
import { encodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { publish } from '../../src/overlay/publisher.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import {
  HASH_ALGORITHMS,
  hashAlgorithmIdentifier,
  NULL_PARAMETERS,
} from '../../src/pkix/algorithm-identifier.ts'
import { RequestRefused } from '../../src/ports/errors.ts'
import { respond } from '../../src/responder/respond.ts'
import { EPOCH } from '../support/clock.ts'
import { type Place, World } from '../support/world.ts'
import { requestFor } from '../support/world-requests.ts'
import { addIssuer, type WorldIssuer } from '../support/world-setup.ts'

const serial = (n: number) => Uint8Array.of(0x71, n >>> 8, n & 0xff)
const UNRECORDED = Uint8Array.of(0x7e, 1)

let world: World
let place: Place
let ca: WorldIssuer
let other: WorldIssuer

beforeEach(async () => {
  world = await World.create({ seed: 11, maxLagSeconds: 0, colos: 1 }, ['unauthorized', 'unknown'])
  place = world.makePlace(0)
  const [one, two] = world.issuers
  if (one === undefined || two === undefined) throw new Error('two issuers')
  ca = one
  other = two
  const rows = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      serial: serial(n),
      status: 'good' as const,
      notBefore: EPOCH - 60,
      notAfter: EPOCH + 9e6,
    }))
  await world.add(place, ca, rows(100))
  world.clock.advance(2_000)
  await world.add(place, other, rows(3))
  world.clock.advance(2_000)
  await world.change(place, world.history(other, serial(1)), { to: 'revoked', reason: 3 })
  world.clock.advance(2_000)
  await world.presign(place, { all: true })
})
afterEach(() => world.close())

async function ask(der: Uint8Array) {
  const answer = await respond(der, place.responder)
  if (answer.responseStatus === 'successful')
    return { answer, data: decodeSuccessfulResponse(answer.der).tbsResponseData }
  return {
    answer,
    data: undefined,
    reason: answer.error instanceof RequestRefused ? answer.error.reason : undefined,
  }
}

async function statuses(der: Uint8Array): Promise<string[] | string> {
  const { answer, data } = await ask(der)
  return data === undefined ? answer.responseStatus : data.responses.map(({ certStatus }) => certStatus.type)
}

/** A request about CertIDs of any issuers. */
function mixed(...parts: [WorldIssuer, Uint8Array, HashAlgorithm?][]): Uint8Array {
  const requestList = parts.map(([{ record }, serialNumber, hash = 'SHA-256']) => ({
    reqCert: { hashAlgorithm: hashAlgorithmIdentifier(hash), ...record.hashes[hash], serialNumber },
  }))
  return encodeOCSPRequest({ tbsRequest: { versionExplicit: false, requestList } })
}

describe('several CertIDs', () => {
  test.each([2, 5, 100])(
    'of one issuer: one SingleResponse each, in their order (R1.10; %i)',
    async (count) => {
      const serials = Array.from({ length: count }, (_, n) => serial((n * 37) % 100))
      const { answer, data } = await ask(requestFor(ca.record, serials))
      expect(data?.responses.map(({ certID }) => certID.serialNumber)).toEqual(serials)
      const whole = decodeOCSPResponse(answer.der)
      if (whole.responseStatus !== 'successful') throw new Error(whole.responseStatus)
      const { signature } = decodeSuccessfulResponse(answer.der)
      const [signer] = ca.signers.values()
      expect(await signer?.verify(signedOctets(whole.responseBytes.response), signature)).toBe(true)
    },
  )

  test('the same one twice, and under two hashes, is answered as often (R1.10, R1.69, R1.70)', async () => {
    const { data } = await ask(mixed([ca, serial(1)], [ca, serial(1)], [ca, serial(1), 'SHA-1']))
    expect(data?.responses.map(({ certID }) => certID.hashAlgorithm.algorithm)).toEqual([
      hashAlgorithmIdentifier('SHA-256').algorithm,
      hashAlgorithmIdentifier('SHA-256').algorithm,
      hashAlgorithmIdentifier('SHA-1').algorithm,
    ])
    expect(new Set(data?.responses.map(({ certStatus }) => certStatus.type))).toEqual(new Set(['good']))
  })

  test('of two issuers are refused, whichever comes first (R1.11)', async () => {
    for (const der of [
      mixed([ca, serial(1)], [other, serial(1)]),
      mixed([other, serial(1)], [ca, serial(1)]),
    ])
      expect(await ask(der)).toMatchObject({
        answer: { responseStatus: 'unauthorized' },
        reason: 'mixedIssuers',
      })
  })

  test('one of which is not recorded: nothing is said of the others either (R1.26)', async () => {
    expect(await statuses(requestFor(ca.record, [serial(1), UNRECORDED]))).toBe('unauthorized')
    expect(await statuses(requestFor(other.record, [serial(0), UNRECORDED, serial(1)]))).toEqual([
      'good',
      'unknown',
      'revoked',
    ])
  })
})

describe('the issuer', () => {
  test.each(HASH_ALGORITHMS)('is found by %s, name and key hash both (R1.16, R2.1, R5.43)', async (hash) => {
    expect(await statuses(requestFor(ca.record, [serial(1)], { hash }))).toEqual(['good'])
    const { issuerNameHash, issuerKeyHash } = ca.record.hashes[hash]
    const foreign = other.record.hashes[hash]
    const halves = [
      { issuerNameHash, issuerKeyHash: foreign.issuerKeyHash },
      { issuerNameHash: foreign.issuerNameHash, issuerKeyHash },
      { issuerNameHash: issuerNameHash.map((octet) => octet ^ 1), issuerKeyHash },
      {
        issuerNameHash,
        issuerKeyHash: issuerKeyHash.map((octet, i) => (i === issuerKeyHash.length - 1 ? octet ^ 1 : octet)),
      },
    ]
    for (const half of halves) {
      const hashes = { ...ca.record.hashes, [hash]: half }
      const { answer, reason } = await ask(requestFor({ hashes }, [serial(1)], { hash }))
      expect([answer.responseStatus, reason]).toEqual(['unauthorized', 'unknownIssuer'])
    }
  })

  test('that we do not serve gets 30 03 0a 01 06, and no signature of another CA (R1.40)', async () => {
    const stranger = await World.create({ seed: 1, colos: 1 }, ['good'])
    const { answer } = await ask(requestFor(stranger.issuer.record, [serial(1)]))
    stranger.close()
    expect(answer.der).toEqual(Uint8Array.of(0x30, 3, 0x0a, 1, 6))
  })

  test('that is added later is answered once a root names it, also without its page (attack 11)', async () => {
    const added = await addIssuer(place.admin, 'good', {}, world.clock.nowMs())
    expect(await statuses(requestFor(added.record, [serial(1)]))).toBe('unauthorized')
    world.clock.advance(2_000)
    await publish(place.publisher)
    expect(await statuses(requestFor(added.record, [serial(1)]))).toEqual(['good'])
  })

  test('that is disabled is not ours', async () => {
    await place.admin.updateIssuer(ca.record.id, { enabled: false }, world.clock.nowMs())
    world.clock.advance(2_000)
    await publish(place.publisher)
    expect(await statuses(requestFor(ca.record, [serial(1)]))).toBe('unauthorized')
    expect(await statuses(requestFor(other.record, [serial(0)]))).toEqual(['good'])
  })
})

describe('a serial', () => {
  test('is looked up with its issuer: the same number of another CA is another certificate (R8.2)', async () => {
    expect(await statuses(requestFor(ca.record, [serial(1)]))).toEqual(['good'])
    expect(await statuses(requestFor(other.record, [serial(1)]))).toEqual(['revoked'])
    expect(await statuses(requestFor(ca.record, [serial(50)]))).toEqual(['good'])
    expect(await statuses(requestFor(other.record, [serial(50)]))).toEqual(['unknown'])
  })

  test.each([
    ['unauthorized', 'unauthorized'],
    ['unknown', ['unknown']],
    ['good', ['good']],
  ] as const)('that is not recorded, under the policy %s (R1.33-R1.35)', async (unknown, expected) => {
    const policy = { ...ca.record.policy, unknown }
    await place.admin.updateIssuer(ca.record.id, { policy }, world.clock.nowMs())
    world.clock.advance(2_000)
    await publish(place.publisher)
    expect(await statuses(requestFor(ca.record, [UNRECORDED]))).toEqual(expected)
  })

  test('under a policy that was stricter or laxer a moment ago is answered by the new one at once', async () => {
    for (const unknown of ['good', 'unauthorized', 'unknown', 'good', 'unauthorized'] as const) {
      const policy = { ...ca.record.policy, unknown }
      await place.admin.updateIssuer(ca.record.id, { policy }, world.clock.nowMs())
      world.clock.advance(2_000)
      await publish(place.publisher)
      const given = await statuses(requestFor(ca.record, [UNRECORDED]))
      expect(given).toEqual(unknown === 'unauthorized' ? unknown : [unknown])
    }
  })

  const odd: [string, Uint8Array][] = [
    ['0', Uint8Array.of(0)],
    ['1', Uint8Array.of(1)],
    ['127', Uint8Array.of(0x7f)],
    ['128', Uint8Array.of(0, 0x80)],
    ['-1', Uint8Array.of(0xff)],
    ['-128', Uint8Array.of(0x80)],
    ['20 octets and a sign octet', Uint8Array.of(0, ...new Uint8Array(20).fill(0xee))],
    ['21 octets', new Uint8Array(21).fill(0x55)],
    ['127 octets', new Uint8Array(127).fill(0x66)],
  ]
  test.each(odd)('of odd form is found exactly and echoed octet for octet (%s; R5.44)', async (_, number) => {
    expect(await statuses(requestFor(ca.record, [number]))).toBe('unauthorized')
    place.live.absent.clear()
    await world.add(place, ca, [
      { serial: number, status: 'good', notBefore: EPOCH - 60, notAfter: EPOCH + 9e6 },
    ])
    const { data } = await ask(requestFor(ca.record, [number]))
    expect(data?.responses[0]?.certID.serialNumber).toEqual(number)
    world.clock.advance(2_000)
    await world.presign(place, { all: true })
    const cold = world.makePlace(0)
    const answer = await respond(requestFor(ca.record, [number], { hash: 'SHA-1' }), cold.responder)
    expect(answer).toMatchObject({ responseStatus: 'successful', certStatus: 'good' })
    // Cut to 64 or 160 bits it would be another.
    if (number.length > 9)
      expect(await statuses(requestFor(ca.record, [number.subarray(number.length - 8)]))).toBe('unauthorized')
  })
})

describe('the hash of a CertID', () => {
  const sha256 = hashAlgorithmIdentifier('SHA-256').algorithm

  test('with parameters NULL or absent asks the same question (R5.40)', async () => {
    for (const parameters of [NULL_PARAMETERS, undefined]) {
      const hashAlgorithm = { algorithm: sha256, parameters }
      expect(await statuses(requestFor(ca.record, [serial(1)], { hashAlgorithm }))).toEqual(['good'])
      const { data } = await ask(requestFor(ca.record, [serial(1), serial(2)], { hashAlgorithm }))
      expect(data?.responses[0]?.certID.hashAlgorithm.parameters).toEqual(parameters) // live answers echo the form
    }
  })

  test('with other parameters is malformed (R5.41)', async () => {
    const hashAlgorithm = { algorithm: sha256, parameters: Uint8Array.of(2, 1, 5) }
    expect(await statuses(requestFor(ca.record, [serial(1)], { hashAlgorithm }))).toBe('malformedRequest')
  })

  test.each([
    ['MD5', '1.2.840.113549.2.5'],
    ['SHA3-256', '2.16.840.1.101.3.4.2.8'],
  ])(
    '%s is refused as unauthorized: the syntax is fine, we just cannot answer (R5.42)',
    async (_, algorithm) => {
      const hashAlgorithm = { algorithm, parameters: undefined }
      expect(await ask(requestFor(ca.record, [serial(1)], { hashAlgorithm }))).toMatchObject({
        answer: { responseStatus: 'unauthorized' },
        reason: 'unsupportedHash',
      })
    },
  )

  test('is that of the answer: never another (R1.69)', async () => {
    for (const hash of HASH_ALGORITHMS) {
      const { data } = await ask(requestFor(ca.record, [serial(7)], { hash }))
      const [single] = data?.responses ?? []
      expect(single?.certID).toMatchObject({ ...ca.record.hashes[hash], serialNumber: serial(7) })
      expect(single?.certID.hashAlgorithm.algorithm).toBe(hashAlgorithmIdentifier(hash).algorithm)
    }
  })
})

describe('budgets (attacks 17, 18)', () => {
  test('random serials soon get tryLater, while known ones are answered as ever (R8.5)', async () => {
    const given = new Map<string, number>()
    const calls = world.record.calls
    for (let n = 0; n < 400; n += 1) {
      const status = await statuses(requestFor(ca.record, [Uint8Array.of(0x44, n >>> 8, n & 0xff)]))
      given.set(String(status), (given.get(String(status)) ?? 0) + 1)
    }
    expect(given.get('unauthorized')).toBe(200)
    expect(given.get('tryLater')).toBe(200)
    expect(world.record.calls - calls).toBe(200)
    expect(await statuses(requestFor(ca.record, [serial(1)]))).toEqual(['good'])
    world.clock.advance(1_000)
    expect(await statuses(requestFor(ca.record, [Uint8Array.of(0x45)]))).toBe('unauthorized')
  })

  test('the same absent serial costs one look-up a minute', async () => {
    const calls = world.record.calls
    for (let n = 0; n < 20; n += 1)
      expect(await statuses(requestFor(ca.record, [UNRECORDED]))).toBe('unauthorized')
    expect(world.record.calls - calls).toBe(1)
  })

  test('nonces over budget get the stored answer (R3.13)', async () => {
    const personal: boolean[] = []
    for (let n = 0; n < 520; n += 1) {
      const { answer } = await ask(
        requestFor(ca.record, [serial(1)], { nonce: Uint8Array.of(1, 2, 3, 4, n >>> 8, n & 0xff) }),
      )
      personal.push(answer.responseStatus === 'successful' && answer.personal)
    }
    expect(personal.filter(Boolean)).toHaveLength(500)
    expect(personal.slice(500)).toEqual(new Array(20).fill(false))
  })

  test('a nonce is signed from a usable bundle entry without asking the record (attack 18)', async () => {
    const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    await ask(requestFor(ca.record, [serial(1)], { nonce })) // the key is unwrapped
    const calls = world.record.calls
    const { answer } = await ask(requestFor(ca.record, [serial(2)], { nonce }))
    expect(answer).toMatchObject({ responseStatus: 'successful', personal: true, certStatus: 'good' })
    expect(world.record.calls).toBe(calls)
  })
})
