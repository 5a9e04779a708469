/** What the CA/Browser Forum, root programs and ETSI ask of answers, and how soon a change shows everywhere. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HASH_ALGORITHMS } from '../../src/pkix/algorithm-identifier.ts'
import { CRL_REASONS } from '../../src/pkix/crl-reason.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { hex, seq, toHex } from '../fixtures/octets.ts'
import { request, SHA1, SHA256 } from '../fixtures/requests.ts'
import { EPOCH } from '../support/clock.ts'
import { about, type CA, DATES, DAY, ORIGIN, pathOf, question, type Reply, Rig, singleOf } from './harness.ts'

const GOOD = hex('41 01')
const REVOKED = hex('41 02')
const NEVER = hex('7f 01')
const HOUR = 3_600

/** A fresh responder with one CA and its certificates, all signed. */
async function withCA<T>(
  options: Omit<Parameters<Rig['addCA']>[0], 'name'>,
  use: (rig: Rig, ca: CA) => Promise<T>,
): Promise<T> {
  const rig = new Rig()
  try {
    const ca = await rig.addCA({ name: 'main', ...options })
    await rig.add(ca, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', reason: 1, revocationTime: EPOCH - HOUR, ...DATES },
    ])
    await rig.presign()
    return await use(rig, ca)
  } finally {
    rig.close()
  }
}

describe('windows', () => {
  test.each([
    ['public-trust', 16 * HOUR],
    ['public-trust', 7 * DAY],
    ['private', 8 * HOUR],
    ['private', 10 * DAY],
  ] as const)(
    '%s, %i s: from 8 hours to 10 days counted with both ends, with nextUpdate (R4.1, R4.30, R6.17)',
    async (profile, validitySeconds) => {
      await withCA({ policy: { profile, validitySeconds } }, async (rig, ca) => {
        for (const hash of HASH_ALGORITHMS) {
          const { thisUpdate, nextUpdate } = singleOf(await rig.get(question(ca, GOOD, hash)))
          const inclusive = nextUpdate - thisUpdate + 1
          expect(inclusive).toBeLessThanOrEqual(validitySeconds)
          expect(inclusive).toBeGreaterThanOrEqual(validitySeconds * 0.95) // jitter only shortens
          expect(inclusive).toBeLessThanOrEqual(10 * DAY)
        }
      })
    },
  )

  test('public-trust: no answer is ever older than seven days, or four, nor has less than 8 hours left when signed (R4.32, R4.34, R4.35)', async () => {
    const policy = { profile: 'public-trust', validitySeconds: 7 * DAY } as const
    await withCA({ policy }, async (rig, ca) => {
      let asked = 0
      for (let day = 0; day < 12; day += 1) {
        const reply = await rig.get(question(ca, GOOD), {}, rig.newIsolate())
        const { thisUpdate, nextUpdate, producedAt } = singleOf(reply)
        expect(rig.clock.seconds - thisUpdate).toBeLessThanOrEqual(4 * DAY)
        expect(nextUpdate - thisUpdate).toBeLessThan(7 * DAY)
        expect(nextUpdate - producedAt).toBeGreaterThanOrEqual(8 * HOUR)
        asked += 1
        await rig.pass(DAY)
      }
      expect(asked).toBe(12)
    })
  })

  test('the certificate of a subordinate CA is renewed like any other, and its revocation shows at once (R4.4)', async () => {
    await withCA({}, async (rig, ca) => {
      const { nextUpdate, thisUpdate } = singleOf(await rig.get(question(ca, GOOD)))
      expect(nextUpdate - thisUpdate).toBeLessThan(366 * DAY)
      await rig.change(ca, GOOD, { to: 'revoked', reason: 5 })
      expect(singleOf(await rig.get(question(ca, GOOD))).certStatus).toMatchObject({ revocationReason: 5 })
    })
  })

  test('a client whose clock is five minutes slow takes a stored answer as valid already (R6.16, R1.67)', async () => {
    await withCA({}, async (rig, ca) => {
      for (const hash of HASH_ALGORITHMS) {
        const { thisUpdate } = singleOf(await rig.get(question(ca, GOOD, hash)))
        expect(thisUpdate).toBeLessThanOrEqual(rig.clock.seconds - 300)
      }
    })
  })

  test('slots of many issuers do not fall due together: jitter shortens windows by up to a twentieth (R6.19)', async () => {
    const rig = new Rig()
    const lengths = new Set<number>()
    for (let n = 0; n < 6; n += 1) {
      const ca = await rig.addCA({ name: `ca-${n}`, freshKeys: true })
      await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
      await rig.presign()
      const { thisUpdate, nextUpdate } = singleOf(await rig.get(question(ca, GOOD)))
      expect(nextUpdate - thisUpdate).toBeGreaterThan(7 * DAY * 0.95 - 2)
      lengths.add(nextUpdate - thisUpdate)
    }
    expect(lengths.size).toBeGreaterThan(3)
    rig.close()
  })
})

describe('records', () => {
  test('a revoked certificate stays revoked until after its expiry, a good one is answered as long (R4.10, R4.50)', async () => {
    const policy = { retainSeconds: 30 * DAY }
    await withCA({ policy, responder: { notAfter: EPOCH + 400 * DAY } }, async (rig, ca) => {
      for (const at of [-1, 1, 29 * DAY]) {
        rig.clock.moveTo(DATES.notAfter + at)
        await rig.publish()
        expect(await rig.isolate.slots.pruneCertificates(rig.clock.seconds, 100)).toBe(0)
        const isolate = rig.newIsolate()
        expect((await rig.get(question(ca, REVOKED), {}, isolate)).said).toBe('revoked')
        expect((await rig.get(question(ca, GOOD), {}, isolate)).said).toBe('good')
      }
    })
  })

  test('when retention ends the record goes, and the answer is unauthorized (R1.26, R2.6)', async () => {
    const policy = { retainSeconds: 0, validitySeconds: HOUR }
    await withCA({ policy, responder: { notAfter: EPOCH + 400 * DAY } }, async (rig, ca) => {
      rig.clock.moveTo(DATES.notAfter + DAY)
      await rig.publish()
      expect((await rig.get(question(ca, REVOKED))).said).toBe('revoked')
      expect(await rig.isolate.slots.pruneCertificates(rig.clock.seconds, 100)).toBe(2)
      await rig.pass(2 * HOUR)
      for (const isolate of [rig.isolate, rig.newIsolate()])
        expect((await rig.get(question(ca, REVOKED), {}, isolate)).said).toBe('unauthorized')
    })
  })

  test('a serial that was never issued is not good for a qualified issuer, whichever policy it chose (R4.13, R4.54)', async () => {
    for (const unknown of ['unauthorized', 'unknown'] as const)
      await withCA({ policy: { unknown } }, async (rig, ca) => {
        for (const hash of HASH_ALGORITHMS)
          expect((await rig.get(question(ca, NEVER, hash))).said).toBe(unknown)
      })
  })

  test('no singleExtensions, reasonCode least of all, whatever the reason (R4.20)', async () => {
    await withCA({}, async (rig, ca) => {
      for (const reason of Object.values(CRL_REASONS).filter((n) => n !== 6 && n !== 8)) {
        const serial = Uint8Array.of(0x50, reason)
        await rig.add(ca, [{ serial, status: 'revoked', reason, revocationTime: EPOCH - HOUR, ...DATES }])
        const reply = await rig.get(question(ca, serial))
        expect(singleOf(reply).singleExtensions).toBeUndefined()
        expect(toHex(reply.body)).not.toContain('0603551d15')
      }
    })
  })
})

describe('signatures', () => {
  const identifiers = SIGNATURE_ALGORITHM_NAMES.map((name) => toHex(SIGNATURE_ALGORITHMS[name].identifier))

  test('no algorithm on offer hashes with SHA-1 or MD5 what a nonce may choose (R3.14)', () => {
    for (const identifier of identifiers)
      for (const weak of ['2a864886f70d010105', '2a864886f70d010104', '2a8648ce3d0401', '2b0e03021a'])
        expect(identifier).not.toContain(weak)
  })

  test('no algorithm on offer is post-quantum, so that none can sign under the Baseline Requirements (R7.3)', () => {
    for (const identifier of identifiers) expect(identifier).not.toContain('6086480165030403')
  })

  test('RSA keys sign with sha256WithRSAEncryption, which every client must verify (R1.89)', async () => {
    await withCA({ algorithm: 'sha256WithRSAEncryption' }, async (rig, ca) => {
      const { body } = await rig.get(question(ca, GOOD))
      expect(toHex(body)).toContain('300d06092a864886f70d01010b0500')
    })
  })
})

describe('HTTP', () => {
  let rig: Rig
  let ca: CA
  beforeAll(async () => {
    rig = new Rig()
    ca = await rig.addCA({ name: 'main' })
    await rig.add(ca, [
      { serial: GOOD, status: 'good', ...DATES },
      { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - HOUR, ...DATES },
    ])
    await rig.presign()
  })
  afterAll(() => rig.close())

  test('status 200 for whatever is an OCSPResponse, over plain HTTP and without a redirect (R1.103, R1.104)', async () => {
    const replies: [string, Reply][] = [
      ['good', await rig.get(question(ca, GOOD))],
      ['revoked', await rig.post(question(ca, REVOKED))],
      ['unauthorized', await rig.get(question(ca, NEVER))],
      ['malformedRequest', await rig.post(hex('00'))],
      ['malformedRequest', await rig.exchange(new Request(`${ORIGIN}/%ZZ`))],
    ]
    rig.faults.set('d1', 'fail')
    replies.push(['tryLater', await rig.post(question(ca, hex('7f 02')))])
    rig.faults.clear()
    rig.faults.set('signer', 'fail')
    replies.push(['internalError', await rig.post(question(ca, GOOD, 'SHA-384'))])
    rig.faults.clear()
    for (const [expected, { said, status, headers }] of replies) {
      expect([said, status]).toEqual([expected, 200])
      for (const name of ['Location', 'Strict-Transport-Security']) expect(headers.has(name)).toBe(false)
    }
  })

  test('nothing lets a cache serve what is stale: must-revalidate, no stale-if-error (R6.9)', async () => {
    for (const serial of [GOOD, REVOKED]) {
      const cacheControl = (await rig.get(question(ca, serial))).headers.get('Cache-Control') ?? ''
      expect(cacheControl).toContain('must-revalidate')
      expect(cacheControl).not.toContain('stale-')
    }
  })

  test('two serials POSTed to one URL get each its own answer, also in turns (R6.14)', async () => {
    for (let n = 0; n < 5; n += 1) {
      expect(singleOf(await rig.post(question(ca, GOOD))).certID.serialNumber).toEqual(GOOD)
      expect(singleOf(await rig.post(question(ca, REVOKED))).certID.serialNumber).toEqual(REVOKED)
    }
  })

  test('two isolates, one of them without a key, give the same octets and ETag (R6.15)', async () => {
    const first = await rig.get(question(ca, GOOD))
    for (const isolate of [rig.newIsolate(), rig.newIsolate(false)]) {
      const second = await rig.get(question(ca, GOOD), {}, isolate)
      expect(second.body).toEqual(first.body)
      expect(second.headers.get('ETag')).toBe(first.headers.get('ETag'))
    }
  })

  test('a thousand answers from every tier take less than ten seconds each (R4.11)', async () => {
    let slowest = 0
    for (let n = 0; n < 1_000; n += 1) {
      const asked = question(ca, [GOOD, REVOKED, NEVER][n % 3] ?? GOOD, HASH_ALGORITHMS[n % 4])
      const from = performance.now()
      await rig.get(asked, {}, n % 100 === 0 ? rig.newIsolate() : rig.isolate)
      slowest = Math.max(slowest, performance.now() - from)
    }
    expect(slowest).toBeLessThan(10_000)
  })
})

test('a revocation shows within the bound in every form that was answered good before: GET, POST, each hash, each spelling (R6.4, R6.5, R6.6)', async () => {
  await withCA({}, async (rig, ca) => {
    const forms = HASH_ALGORITHMS.flatMap((hash) => [question(ca, GOOD, hash)])
    forms.push(request({ ...about(ca, GOOD, 'SHA-1'), algorithm: seq(SHA1) }))
    forms.push(request({ ...about(ca, GOOD, 'SHA-256'), algorithm: seq(SHA256) }))
    const raw = (der: Uint8Array) => `/ocsp/${Buffer.from(der).toString('base64')}`
    const askAll = async (isolate = rig.isolate) => {
      const said = new Set<string>()
      for (const der of forms) {
        said.add((await rig.post(der, {}, isolate)).said)
        for (const path of [pathOf(der), raw(der)])
          said.add((await rig.exchange(new Request(ORIGIN + path), isolate)).said)
      }
      return [...said]
    }
    const elsewhere = rig.newIsolate()
    expect(await askAll()).toEqual(['good'])
    expect(await askAll(elsewhere)).toEqual(['good'])
    await rig.change(ca, GOOD, { to: 'revoked', reason: 1 })
    for (let minute = 0; minute < 5; minute += 1) await rig.pass(60)
    expect(await askAll(), 'where it was made').toEqual(['revoked'])
    expect(await askAll(elsewhere), 'elsewhere, where good is still in memory').toEqual(['revoked'])
    expect(await askAll(rig.newIsolate())).toEqual(['revoked'])
    expect(rig.cache.size).toBeGreaterThan(0) // the old copies are still there, and are not believed
  })
})
