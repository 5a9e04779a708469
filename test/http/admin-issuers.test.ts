import { beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { StorageError } from '../../src/ports/errors.ts'
import { unwrapKey } from '../../src/signing/key-custody.ts'
import { hex, makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminWorld, adminWorld, NOW } from './admin-world.ts'

const DAY = 86_400
let pki: TestPKI
let other: TestPKI
let direct: TestPKI

const certificate = (der: Uint8Array) => formatPEM('CERTIFICATE', der)
const privateKey = (der: Uint8Array) => formatPEM('PRIVATE KEY', der)

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW })
  other = await makeTestPKI({ now: NOW, caName: 'Other CA', freshKeys: true })
  direct = await makeTestPKI({ now: NOW, caName: 'Direct CA', delegated: false, freshKeys: true })
})

const delegate = () => ({
  certificate: certificate(pki.responder.certificate ?? new Uint8Array()),
  key: privateKey(pki.responder.pkcs8),
})
const addIssuer = (world: AdminWorld, extra: Record<string, unknown> = {}) =>
  world.call('POST', '/issuers', { certificate: certificate(pki.issuer.certificate), name: 'demo', ...extra })

describe('POST /issuers', () => {
  test('records an issuer with the defaults, writes its page, then publishes', async () => {
    const world = adminWorld()
    const answer = await addIssuer(world, { responder: delegate() })
    expect(answer.status).toBe(201)
    expect(answer.at('issuer.name')).toBe('demo')
    expect(answer.at('issuer.ski')).toBe(hex(pki.issuer.keyHash))
    expect(answer.at('issuer.policy')).toEqual({
      profile: 'private',
      unknown: 'unauthorized',
      nonce: 'echo',
      validitySeconds: 7 * DAY,
      maxAge: 'next-update',
      hashes: ['SHA-1', 'SHA-256'],
      retainSeconds: 30 * DAY,
    })
    expect(answer.at('issuer.responders.0.state')).toBe('active')
    expect(answer.at('publishedAt')).toBe('2026-11-21T03:00:30Z')
    expect(answer.at('boundSeconds')).toBe(300)
    expect(world.happened).toEqual(['page demo', expect.stringMatching(/^publish 1@/)])
    const [record] = await world.store.listIssuers()
    expect(record?.hashes).toEqual(pki.issuer.hashes)
    expect(record?.certificate).toEqual(pki.issuer.certificate)
  })

  test('takes base64 of DER as well as PEM, and names the issuer after its common name', async () => {
    const world = adminWorld()
    const body = { certificate: Buffer.from(pki.issuer.certificate).toString('base64') }
    expect((await world.call('POST', '/issuers', body)).at('issuer.name')).toBe('test-ca')
  })

  test('wraps the key under KEY_ENCRYPTION_KEY, bound to issuer, responder and public key', async () => {
    const world = adminWorld()
    await addIssuer(world, { responder: { ...delegate(), name: 'first' } })
    const [blob] = [...world.store.wrapped.values()]
    const context = { issuerSKI: hex(pki.issuer.keyHash), responderName: 'first', spki: pki.responder.spki }
    expect(blob).toBeDefined()
    if (blob === undefined || world.deps.kek === undefined) return
    expect(await unwrapKey(blob, world.deps.kek, context)).toEqual(pki.responder.pkcs8)
  })

  test('records nothing when the first responder is refused', async () => {
    const world = adminWorld()
    const answer = await addIssuer(world, {
      responder: { ...delegate(), key: privateKey(other.responder.pkcs8) },
    })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'keyMismatch',
      'responder.key',
    ])
    expect(await world.store.listIssuers()).toEqual([])
    expect(world.happened).toEqual([])
  })

  test('says 409 to the same key again and to a name that is taken', async () => {
    const world = adminWorld()
    await addIssuer(world)
    const again = await addIssuer(world, { name: 'again' })
    expect([again.status, again.at('error.code'), again.at('error.field')]).toEqual([409, 'conflict', 'ski'])
    const taken = await world.call('POST', '/issuers', {
      certificate: certificate(other.issuer.certificate),
      name: 'demo',
    })
    expect([taken.status, taken.at('error.field')]).toEqual([409, 'name'])
  })

  test('refuses a certificate that is no CA, and one that is no certificate', async () => {
    const world = adminWorld()
    const leaf = await pki.leaf()
    const notCA = await world.call('POST', '/issuers', { certificate: certificate(leaf.certificate) })
    expect([notCA.status, notCA.at('error.code'), notCA.at('error.findings.0.code')]).toEqual([
      422,
      'certificateRefused',
      'notCA',
    ])
    for (const text of [
      'garbage',
      formatPEM('CERTIFICATE', Uint8Array.of(0x30, 0x01)),
      privateKey(pki.issuer.pkcs8),
    ]) {
      const answer = await world.call('POST', '/issuers', { certificate: text })
      expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
        422,
        'certificateUnreadable',
        'certificate',
      ])
    }
  })

  test.each([['12'], ['A'], ['a b'], ['a'.repeat(65)], ['ab'.repeat(20)]])(
    'refuses the name %j',
    async (name) => {
      const answer = await addIssuer(adminWorld(), { name })
      expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
        400,
        'invalidField',
        'name',
      ])
    },
  )
})

describe('the policy of an issuer (R8.3)', () => {
  const HOUR = 3600
  test.each([
    ['private', 59, 422],
    ['private', 60, 201],
    ['private', 10 * DAY, 201],
    ['private', 10 * DAY + 1, 422],
    ['public-trust', 16 * HOUR - 1, 422],
    ['public-trust', 16 * HOUR, 201],
    ['public-trust', 7 * DAY, 201], // nextUpdate = thisUpdate + 7 d - 1 s (R4.35)
    ['public-trust', 7 * DAY + 1, 422],
  ])('%s with a validity of %i s: %i (R4.1, R4.35)', async (profile, validitySeconds, status) => {
    const answer = await addIssuer(adminWorld(), { policy: { profile, validitySeconds } })
    expect(answer.status).toBe(status)
    if (status === 422)
      expect([answer.at('error.code'), answer.at('error.findings.0.code')]).toEqual([
        'policyRefused',
        'validityOutOfRange',
      ])
  })

  test('warns of a validity below 8 hours', async () => {
    const answer = await addIssuer(adminWorld(), { policy: { validitySeconds: 8 * HOUR - 1 } })
    expect(answer.text).toContain('validityShort')
    expect((await addIssuer(adminWorld(), { policy: { validitySeconds: 8 * HOUR } })).text).not.toContain(
      'validityShort',
    )
  })

  test.each([
    [{ unknown: 'good' }, 422, 'unknownGoodUnasked'],
    [{ unknown: 'good', crlOnly: true }, 201, 'unknownGood'],
    [{ crlOnly: true }, 422, 'crlOnlyUnused'],
    [{ unknown: 'good', crlOnly: true, profile: 'public-trust' }, 422, 'unknownGoodForbidden'],
    [{ unknown: 'unknown' }, 201, undefined],
  ])(
    'good for what was never recorded has to be asked for in words: %j gives %i (R1.33, R1.35)',
    async (policy, status, code) => {
      const answer = await addIssuer(adminWorld(), { policy })
      expect(answer.status).toBe(status)
      if (code !== undefined) expect(answer.text).toContain(code)
    },
  )

  test.each(['unauthorised', 'revoked-extended'])(
    'refuses unknown "%s" by field (R1.37)',
    async (unknown) => {
      const answer = await addIssuer(adminWorld(), { policy: { unknown } })
      expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
        400,
        'invalidField',
        'policy.unknown',
      ])
    },
  )

  test('a PATCH changes what it names and keeps the rest', async () => {
    const world = adminWorld()
    await addIssuer(world, { policy: { nonce: 'ignore' } })
    const answer = await world.call('PATCH', '/issuers/demo', {
      policy: { validitySeconds: DAY, hashes: ['SHA-256', 'SHA-1', 'SHA-1'] },
    })
    expect(answer.status).toBe(200)
    expect(answer.at('issuer.policy.nonce')).toBe('ignore')
    expect(answer.at('issuer.policy.validitySeconds')).toBe(DAY)
    expect(answer.at('issuer.policy.hashes')).toEqual(['SHA-1', 'SHA-256'])
  })

  test('a PATCH to public-trust checks validity, unknown and responders again', async () => {
    const world = adminWorld()
    const noCheckLess = await pki.responderCertificate({ extensions: pki.responderExtensions.slice(0, 1) })
    await addIssuer(world, { responder: { ...delegate(), certificate: certificate(noCheckLess) } })
    const answer = await world.call('PATCH', '/issuers/demo', { policy: { profile: 'public-trust' } })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'policyRefused',
      'policy.profile',
    ])
    expect(answer.text).toContain('noNoCheck')
    expect((await world.call('GET', '/issuers/demo')).at('policy.profile')).toBe('private')
  })

  test('an issuer can be disabled and renamed', async () => {
    const world = adminWorld()
    await addIssuer(world)
    const answer = await world.call('PATCH', '/issuers/demo', { enabled: false, name: 'old-demo' })
    expect([answer.at('issuer.enabled'), answer.at('issuer.name')]).toEqual([false, 'old-demo'])
    expect((await world.call('GET', '/issuers/demo')).status).toBe(404)
  })
})

describe('naming an issuer', () => {
  test('by short name, SKI in any spelling, or id', async () => {
    const world = adminWorld()
    await addIssuer(world)
    const ski = hex(pki.issuer.keyHash)
    const colons = ski.toUpperCase().replace(/..(?=.)/g, '$&:')
    for (const name of ['demo', ski, ski.toUpperCase(), colons, '1']) {
      const answer = await world.call('GET', `/issuers/${encodeURIComponent(name)}`)
      expect([name, answer.status, answer.at('name')]).toEqual([name, 200, 'demo'])
    }
    const none = await world.call('GET', '/issuers/nobody')
    expect([none.status, none.at('error.code'), none.at('error.field')]).toEqual([404, 'notFound', 'issuer'])
  })
})

describe('responders', () => {
  const addResponder = (world: AdminWorld, body: unknown) =>
    world.call('POST', '/issuers/demo/responders', body)

  async function withIssuer(policy: Record<string, unknown> = {}, overrides = {}) {
    const world = adminWorld(overrides)
    await addIssuer(world, { policy })
    world.happened.length = 0
    return world
  }

  test('a second responder overlaps the first; the newest valid one is active (90-day delegates roll without a gap)', async () => {
    const world = await withIssuer()
    const renewed = await pki.responderCertificate({ notBefore: NOW - 60, notAfter: NOW + 90 * DAY })
    await addResponder(world, { ...delegate(), name: 'first' })
    const answer = await addResponder(world, {
      ...delegate(),
      certificate: certificate(renewed),
      name: 'second',
    })
    expect([answer.status, answer.at('responder.state')]).toEqual([201, 'active'])
    const list = await world.call('GET', '/issuers/demo/responders')
    expect([list.at('responders.0.state'), list.at('responders.1.state')]).toEqual(['standby', 'active'])
    const retired = await world.call('POST', '/issuers/demo/responders/first/retire', {})
    expect([retired.status, retired.at('responder.state'), retired.at('issuer.responders.1.state')]).toEqual([
      200,
      'retired',
      'active',
    ])
  })

  test('the CA key signs itself: no certificate, byKey of the CA (R1.59)', async () => {
    const world = adminWorld()
    await world.call('POST', '/issuers', {
      certificate: certificate(direct.issuer.certificate),
      name: 'demo',
    })
    const answer = await addResponder(world, { signWithCA: true, key: privateKey(direct.issuer.pkcs8) })
    expect([answer.status, answer.at('responder.kind'), answer.at('responder.keyHash')]).toEqual([
      201,
      'ca',
      hex(direct.issuer.keyHash),
    ])
    expect(answer.at('responder.certificate')).toBeUndefined()
  })

  test('custody secret: only the name of the secret is kept, and its key has to match', async () => {
    const secrets: Record<string, string> = {
      OCSP_KEY: privateKey(pki.responder.pkcs8),
      OTHER_KEY: privateKey(other.responder.pkcs8),
    }
    const world = await withIssuer({}, { secret: (name: string) => secrets[name], kek: undefined })
    const { certificate: text } = delegate()
    const missing = await addResponder(world, { certificate: text, secretName: 'NO_KEY' })
    expect([missing.status, missing.at('error.code'), missing.at('error.field')]).toEqual([
      422,
      'secretMissing',
      'secretName',
    ])
    const wrong = await addResponder(world, { certificate: text, secretName: 'OTHER_KEY' })
    expect([wrong.status, wrong.at('error.code')]).toEqual([422, 'keyMismatch'])
    const own = await addResponder(world, { certificate: text, secretName: 'ADMIN_TOKEN' })
    expect([own.status, own.at('error.code')]).toEqual([422, 'keyUnreadable'])
    const answer = await addResponder(world, { certificate: text, secretName: 'OCSP_KEY' })
    expect([answer.status, answer.at('responder.custody'), answer.at('responder.secretName')]).toEqual([
      201,
      'secret',
      'OCSP_KEY',
    ])
    expect([...world.store.wrapped.values()]).toEqual([undefined])
  })

  test('names KEY_ENCRYPTION_KEY with 503 when it is missing', async () => {
    const world = await withIssuer({}, { kek: undefined })
    const answer = await addResponder(world, delegate())
    expect([answer.status, answer.at('error.code')]).toEqual([503, 'secretMissing'])
    expect(answer.at('error.message')).toContain('KEY_ENCRYPTION_KEY')
  })

  test.each([
    ['neither certificate nor signWithCA', () => ({ key: 'x' }), 400, 'invalidField', 'certificate'],
    ['both', () => ({ ...delegate(), signWithCA: true }), 400, 'invalidField', 'certificate'],
    ['no key', () => ({ certificate: delegate().certificate }), 400, 'invalidField', 'key'],
    ['an unreadable key', () => ({ ...delegate(), key: 'garbage' }), 422, 'keyUnreadable', 'key'],
    [
      'a certificate for a key',
      () => ({ ...delegate(), key: delegate().certificate }),
      422,
      'keyUnreadable',
      'key',
    ],
    [
      'an algorithm that the key has not',
      () => ({ ...delegate(), algorithm: 'Ed25519' }),
      422,
      'certificateRefused',
      'algorithm',
    ],
  ])('refuses %s', async (_what, body, status, code, field) => {
    const answer = await addResponder(await withIssuer(), body())
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([status, code, field])
  })

  test('refuses a delegate of another CA with all findings (R1.55, R1.61)', async () => {
    const foreign = {
      certificate: certificate(other.responder.certificate ?? new Uint8Array()),
      key: privateKey(other.responder.pkcs8),
    }
    const answer = await addResponder(await withIssuer(), foreign)
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'certificateRefused',
      'certificate',
    ])
    expect(answer.text).toContain('wrongIssuer')
    expect(answer.text).toContain('badSignature')
  })

  test('an expired delegate is refused; a missing nocheck warns, or refuses under public-trust (R1.60, R1.61)', async () => {
    const expired = await pki.responderCertificate({ notBefore: NOW - 2 * DAY, notAfter: NOW - DAY })
    const refused = await addResponder(await withIssuer(), {
      ...delegate(),
      certificate: certificate(expired),
    })
    expect([refused.status, refused.at('error.findings.0.code')]).toEqual([422, 'expired'])
    const bare = {
      ...delegate(),
      certificate: certificate(
        await pki.responderCertificate({ extensions: pki.responderExtensions.slice(0, 1) }),
      ),
    }
    const warned = await addResponder(await withIssuer(), bare)
    expect(warned.status).toBe(201)
    expect(warned.text).toContain('noNoCheck')
    const strict = await addResponder(await withIssuer({ profile: 'public-trust' }), bare)
    expect([strict.status, strict.at('error.code')]).toEqual([422, 'certificateRefused'])
  })

  test('public-trust refuses Ed25519, private takes it (R4.8)', async () => {
    const edwards = await makeTestPKI({ now: NOW, algorithm: 'Ed25519' })
    const body = {
      certificate: certificate(edwards.responder.certificate ?? new Uint8Array()),
      key: privateKey(edwards.responder.pkcs8),
    }
    expect((await addResponder(await withIssuer(), body)).status).toBe(201)
    const strict = await addResponder(await withIssuer({ profile: 'public-trust' }), body)
    expect(strict.status).toBe(422)
    expect(strict.text).toContain('algorithmForbidden')
  })

  test('refuses the same certificate twice', async () => {
    const world = await withIssuer()
    await addResponder(world, delegate())
    const again = await addResponder(world, { ...delegate(), name: 'again' })
    expect([again.status, again.at('error.code')]).toEqual([409, 'conflict'])
  })

  test('refuses to retire the last usable responder unless forced, or the key leaked', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'only' })
    const refused = await world.call('POST', '/issuers/demo/responders/only/retire', {})
    expect([refused.status, refused.at('error.code')]).toEqual([409, 'lastResponder'])
    const forced = await world.call('POST', '/issuers/demo/responders/only/retire', { force: true })
    expect([forced.status, forced.at('responder.state')]).toEqual([200, 'retired'])
    expect(forced.text).toContain('noResponder')
  })

  test('a compromised key raises the floor, also when the first attempt died half-way', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'leaked' })
    world.store.faults.set('raiseFloor', new StorageError('unavailable', 'down'))
    const first = await world.call('POST', '/issuers/demo/responders/leaked/retire', { compromised: true })
    expect([first.status, first.headers.get('Retry-After')]).toEqual([503, '5'])
    world.store.faults.clear()
    const before = (await world.store.findIssuer('demo'))?.configRev ?? 0
    const second = await world.call('POST', '/issuers/demo/responders/leaked/retire', { compromised: true })
    expect(second.status).toBe(200)
    expect(world.happened.at(-1)).toBe(`publish 1@${before + 1}`)
  })

  test('an unknown responder is 404', async () => {
    const answer = await (await withIssuer()).call('POST', '/issuers/demo/responders/9/retire', {})
    expect([answer.status, answer.at('error.field')]).toEqual([404, 'responder'])
  })
})

describe('keys do not come out (law 8)', () => {
  /** Every run of 24 octets of the key's secret part, in each spelling that a leak would have. */
  function traces(pkcs8: Uint8Array): string[] {
    const bytes = Buffer.from(pkcs8)
    const whole = bytes.toString('base64')
    return [
      whole.slice(48, 80),
      whole.slice(8, 40),
      bytes.subarray(36, 60).toString('hex'),
      bytes.subarray(36, 60).toString('base64'),
    ]
  }

  test('not in an answer, an error or the log, whatever is wrong with the request', async () => {
    const world = adminWorld()
    const key = privateKey(pki.responder.pkcs8)
    const base64 = Buffer.from(pki.responder.pkcs8).toString('base64')
    const all: string[] = []
    const say = async (method: string, path: string, body?: unknown) => {
      all.push((await world.call(method, path, body)).text)
    }
    await addIssuer(world)
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: `${key}x` })
    await say('POST', '/issuers/demo/responders', {
      ...delegate(),
      key: key.replace('PRIVATE KEY', 'EC PRIVATE KEY'),
    })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: key.slice(0, -60) })
    await say('POST', '/issuers/demo/responders', {
      ...delegate(),
      key: Buffer.from(pki.responder.pkcs8).subarray(1).toString('base64'),
    })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: [key] })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: undefined, secretName: key })
    await say('POST', '/issuers/demo/responders', { ...delegate(), algorithm: key })
    await say('POST', '/issuers/demo/responders', { ...delegate(), name: key, [key]: 1 })
    await say('POST', '/issuers/demo/responders', JSON.stringify(delegate()).slice(0, -3))
    await say('POST', '/issuers/demo/responders', `x${JSON.stringify(delegate())}`)
    await say('POST', '/issuers', { certificate: key })
    await say('POST', '/issuers/demo/revocations', { serial: key, reason: key, at: key })
    for (const field of ['secretName', 'algorithm', 'name', 'certificate']) {
      await say('POST', '/issuers/demo/responders', { ...delegate(), [field]: base64 })
    }
    await say('POST', '/issuers/demo/responders', { ...delegate(), [base64]: 1 })
    await say('POST', '/issuers/demo/revocations', { serial: base64, reason: base64, at: base64 })
    await say('POST', '/issuers/demo/revocations', { serial: '1', reason: base64, at: base64 })
    await say('POST', '/presign', { issuer: base64 })
    world.store.faults.set('addResponder', new Error(`boom ${key}`))
    await say('POST', '/issuers/demo/responders', delegate())
    world.store.faults.clear()
    await say('POST', '/issuers/demo/responders', delegate())
    await say('GET', '/issuers/demo')
    await say('GET', '/issuers')
    await say('GET', '/issuers/demo/responders')
    await say('GET', '/status')
    expect(all.some((text) => text.includes('"state":"active"'))).toBe(true)
    const everything = all.join('\n') + JSON.stringify(world.logged)
    for (const trace of traces(pki.responder.pkcs8)) expect(everything).not.toContain(trace)
    expect(everything).not.toContain(Buffer.from(new Uint8Array(32).fill(7)).toString('base64'))
  })
})
