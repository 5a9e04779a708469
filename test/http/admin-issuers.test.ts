import { describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { unwrapKey } from '../../src/signing/key-custody.ts'
import { hex } from '../support/pki.ts'
import { addIssuer, certificate, DAY, delegate, other, pki, privateKey } from './admin-pki.ts'
import { adminWorld } from './admin-world.ts'

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
      signedRequests: 'ignore',
      requestors: [],
      archiveCutoff: 'none',
      algorithm: null,
    })
    expect(answer.at('issuer.responders.0.state')).toBe('active')
    expect(answer.at('publishedAt')).toBe('2026-11-21T03:00:30Z')
    expect(answer.at('boundSeconds')).toBe(300)
    expect(world.happened).toEqual(['page demo', expect.stringMatching(/^publish 1@/)])
    const [record] = await world.store.listIssuers()
    expect(record?.hashes).toEqual(pki.issuer.hashes)
    expect(record?.certificate).toEqual(pki.issuer.certificate)
  })

  test('is listed by id, so many at a time, with where the next page begins', async () => {
    const world = adminWorld()
    const record = pki.issuerRecord()
    for (const id of [7, 3, 5])
      world.store.issuers.set(id, { ...record, id, name: `ca-${id}`, ski: `${record.ski}0${id}` })
    const pages = ['', '?limit=2', '?limit=2&after=5', '?after=7', '?limit=501', '?page=2']
    const answers = await Promise.all(pages.map((page) => world.call('GET', `/issuers${page}`)))
    expect(
      answers.map((answer) => [
        answer.status,
        answer.at('issuers.0.id'),
        answer.at('issuers.1.id'),
        answer.at('next'),
      ]),
    ).toEqual([
      [200, 3, 5, null],
      [200, 3, 5, 5],
      [200, 7, undefined, null],
      [200, undefined, undefined, null],
      [400, undefined, undefined, undefined],
      [400, undefined, undefined, undefined],
    ])
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

describe('an issuer that is there', () => {
  test('is named by short name, SKI in any spelling, or id', async () => {
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

  test('an issuer can be disabled and renamed', async () => {
    const world = adminWorld()
    await addIssuer(world)
    const answer = await world.call('PATCH', '/issuers/demo', { enabled: false, name: 'old-demo' })
    expect([answer.at('issuer.enabled'), answer.at('issuer.name')]).toEqual([false, 'old-demo'])
    expect((await world.call('GET', '/issuers/demo')).status).toBe(404)
  })
})
