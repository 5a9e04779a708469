/** The test CA with its delegated responder, put on record as an operator does it. */
import type { AdminClient } from '../src/cli/client.ts'
import { formatPEM } from '../src/pkix/pem.ts'
import type { TestPKI } from '../test/support/pki.ts'

export async function recordIssuer(client: AdminClient, name: string, pki: TestPKI): Promise<void> {
  const { certificate, pkcs8 } = pki.responder
  if (certificate === undefined) throw new Error('the responder has no certificate')
  await client.call('addIssuer', {
    body: {
      name,
      certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
      responder: {
        certificate: formatPEM('CERTIFICATE', certificate),
        key: formatPEM('PRIVATE KEY', pkcs8),
      },
    },
  })
}
