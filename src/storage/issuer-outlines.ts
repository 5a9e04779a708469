/** Issuers as readiness is judged by them: without their octets, so that thousands fit into an isolate. */
import type { IssuerOutline } from '../ports/admin-store.ts'
import { type Database, numberIn, optionalTextIn, textIn, transact } from './database.ts'
import { corrupt, timesOf } from './record-codec.ts'

const READ_ISSUERS = `
  SELECT id, name, policy->>'profile' AS profile, policy->>'validitySeconds' AS validity, compromised_at, final_at
  FROM issuers ORDER BY id`
const READ_RESPONDERS =
  'SELECT issuer, custody, secret_name, not_before, not_after, retired FROM responders ORDER BY id'

/** @throws StorageError */
export async function readIssuerOutlines(
  db: Database,
  timeoutMs: number | undefined,
): Promise<IssuerOutline[]> {
  const statements = [READ_ISSUERS, READ_RESPONDERS].map((sql) => db.prepare(sql))
  const [issuers, responders] = await transact(db, statements, timeoutMs)
  const byIssuer = new Map<number, IssuerOutline['responders'][number][]>()
  for (const row of responders?.results ?? []) {
    const custody = textIn(row, 'custody')
    if (custody !== 'wrapped' && custody !== 'secret') throw corrupt('responders.custody')
    const responder = {
      custody,
      secretName: optionalTextIn(row, 'secret_name'),
      notBefore: numberIn(row, 'not_before'),
      notAfter: numberIn(row, 'not_after'),
      retired: numberIn(row, 'retired') === 1,
    } as const
    const known = byIssuer.get(numberIn(row, 'issuer'))
    if (known === undefined) byIssuer.set(numberIn(row, 'issuer'), [responder])
    else known.push(responder)
  }
  return (issuers?.results ?? []).map((row) => {
    const profile = textIn(row, 'profile')
    if (profile !== 'private' && profile !== 'public-trust') throw corrupt('policy.profile')
    const id = numberIn(row, 'id')
    return {
      id,
      name: textIn(row, 'name'),
      policy: { profile, validitySeconds: numberIn(row, 'validity') },
      ...timesOf(numberIn(row, 'compromised_at'), numberIn(row, 'final_at')),
      responders: byIssuer.get(id) ?? [],
    }
  })
}
