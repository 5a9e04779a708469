/** Certification authorities and bodies of requests, for tests of the admin API. */
import { formatPEM } from '../../src/pkix/pem.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminWorld, type Answered, adminWorld, NOW } from './admin-world.ts'

export const DAY = 86_400

export const pki: TestPKI = await makeTestPKI({ now: NOW })
export const other: TestPKI = await makeTestPKI({ now: NOW, caName: 'Other CA', freshKeys: true })

export const certificate = (der: Uint8Array): string => formatPEM('CERTIFICATE', der)
export const privateKey = (der: Uint8Array): string => formatPEM('PRIVATE KEY', der)

/** Certificate and key of a responder. */
export const delegate = (of: TestPKI = pki): { certificate: string; key: string } => ({
  certificate: certificate(of.responder.certificate ?? new Uint8Array()),
  key: privateKey(of.responder.pkcs8),
})

export const addIssuer = (world: AdminWorld, extra: Record<string, unknown> = {}): Promise<Answered> =>
  world.call('POST', '/issuers', { certificate: certificate(pki.issuer.certificate), name: 'demo', ...extra })

export const addResponder = (world: AdminWorld, body: unknown): Promise<Answered> =>
  world.call('POST', '/issuers/demo/responders', body)

/** A world with the issuer `demo`, and nothing noted yet. */
export async function withIssuer(
  policy: Record<string, unknown> = {},
  overrides: Parameters<typeof adminWorld>[0] = {},
): Promise<AdminWorld> {
  const world = adminWorld(overrides)
  await addIssuer(world, { policy })
  world.happened.length = 0
  return world
}
