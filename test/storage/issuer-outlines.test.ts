/** What readiness is judged by is the record, less its octets. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { IssuerRecord } from '../../src/ports/records.ts'
import { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { manyIssuers } from '../overlay/issuers.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { NOW, NOW_MS, newResponder, POLICY } from './fixtures.ts'

let db: SqliteD1
let admin: D1AdminStore

beforeEach(() => {
  db = new SqliteD1({ now: () => NOW })
  admin = new D1AdminStore(db)
})
afterEach(() => db.close())

function outline({ id, name, policy, compromisedAt, finalAt, responders }: IssuerRecord) {
  return {
    id,
    name,
    policy: { profile: policy.profile, validitySeconds: policy.validitySeconds },
    ...(compromisedAt === undefined ? {} : { compromisedAt }),
    ...(finalAt === undefined ? {} : { finalAt }),
    responders: responders.map(({ custody, secretName, notBefore, notAfter, retired }) => ({
      ...{ custody, secretName, notBefore, notAfter, retired },
    })),
  }
}

test('outlines say of every issuer what its record says', async () => {
  const policies = [POLICY, { ...POLICY, profile: 'public-trust' as const, validitySeconds: 86_400 }, POLICY]
  for (const [n, issuer] of manyIssuers(3).entries()) {
    const { id } = await admin.addIssuer({ ...issuer, policy: policies[n] ?? POLICY }, NOW_MS)
    for (let i = 0; i < n; i += 1) {
      const secret = { custody: 'secret', secretName: `KEY_${i}` } as const
      const responder = newResponder({ name: `ocsp-${i}`, ...(i === 0 ? {} : secret) })
      await admin.addResponder(id, responder, i === 0 ? new Uint8Array(40) : undefined, NOW_MS)
    }
  }
  await admin.compromiseIssuer(1, NOW - 5, NOW_MS)
  const [, , third] = await admin.listIssuers()
  await admin.retireResponder(3, third?.responders[0]?.id ?? 0, NOW_MS)
  const records = await admin.listIssuers()
  expect(records.flatMap(({ responders }) => responders)).toHaveLength(3)
  expect(await admin.issuerOutlines()).toEqual(records.map(outline))
})
