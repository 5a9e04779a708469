import { expect, test } from 'vitest'
import { SIGNATURE_ALGORITHM_NAMES } from '../../src/signing/algorithms.ts'
import { unwrapSigner, wrapKey } from '../../src/signing/key-custody.ts'
import { parsePrivateKey } from '../../src/signing/private-key.ts'
import { importSigner, importVerifier, keyMatches } from '../../src/signing/webcrypto-signer.ts'
import { checkResponderCertificate, readCertificate } from '../../src/x509/index.ts'
import { makeTestPKI } from '../support/pki.ts'

const now = 1_800_000_000
const tbs = new TextEncoder().encode('tbsResponseData')

test.each(SIGNATURE_ALGORITHM_NAMES)(
  'workerd signs and verifies with %s, and checks its certificate',
  async (algorithm) => {
    const pki = await makeTestPKI({ now, algorithm, caAlgorithm: algorithm })
    const { pkcs8, spki, certificate } = pki.responder
    const signer = await importSigner(parsePrivateKey(pkcs8), algorithm)
    const verify = await importVerifier(spki, algorithm)
    expect(await verify(tbs, await signer.sign(tbs))).toBe(true)
    expect(await verify(tbs.subarray(1), await signer.sign(tbs))).toBe(false)
    const responder = readCertificate(certificate ?? new Uint8Array())
    const issuer = readCertificate(pki.issuer.certificate)
    expect(await checkResponderCertificate(responder, issuer, 'public-trust', now)).toEqual([])
  },
)

test('workerd opens a wrapped key, and only in its own context (law 8)', async () => {
  const { responder } = await makeTestPKI({ now })
  const kek = crypto.getRandomValues(new Uint8Array(32))
  const context = { issuerSKI: 'a1', responderName: 'ocsp', spki: responder.spki }
  const blob = await wrapKey(responder.pkcs8, kek, context)
  const signer = await unwrapSigner(blob, kek, context, responder.algorithm)
  expect(await (await importVerifier(responder.spki, responder.algorithm))(tbs, await signer.sign(tbs))).toBe(
    true,
  )
  await expect(
    unwrapSigner(blob, kek, { ...context, responderName: 'other' }, responder.algorithm),
  ).rejects.toMatchObject({ reason: 'keyUnreadable' })
})

test('workerd refuses a key for another algorithm and a key of another pair', async () => {
  const [one, two] = [
    await makeTestPKI({ now, freshKeys: true }),
    await makeTestPKI({ now, freshKeys: true }),
  ]
  await expect(importSigner(one.responder.pkcs8, 'Ed25519')).rejects.toMatchObject({
    reason: 'keyUnreadable',
  })
  await expect(importVerifier(one.responder.spki, 'Ed25519')).rejects.toMatchObject({
    reason: 'keyUnreadable',
  })
  expect(await keyMatches(one.responder.pkcs8, two.responder.spki, one.responder.algorithm)).toBe(false)
})
