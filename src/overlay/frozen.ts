/**
 * What a root may still say of issuers whose record was restored from a backup. The lost changes are known only from roots
 * published before: those keep what they name (`carried`). Where no such root is at hand, nothing of the issuer is usable until
 * the operator has replayed what was lost and thawed it: rather no answer than one from before a revocation (law 2).
 */
import type { OverlaySnapshot } from '../ports/records.ts'
import type { Carried, OverlayRoot, RootIssuer } from './root.ts'

export interface FrozenView {
  readonly snapshot: OverlaySnapshot
  readonly carried: Carried | undefined
}

/**
 * @param frozen ids of the issuers that must not sign
 * @param last the newest root at hand
 * @param paged issuers as the pages of `last` have them, where it does not name them itself
 * @param vouches whether `last` knew the issuer up to its loss, should it not be a root of the frozen state itself
 */
export function frozenView(
  snapshot: OverlaySnapshot,
  frozen: ReadonlySet<number>,
  last: OverlayRoot | undefined,
  timeMs: number,
  vouches: (issuer: OverlaySnapshot['issuers'][number]) => boolean,
  paged: ReadonlyMap<number, RootIssuer> = new Map(),
): FrozenView {
  if (frozen.size === 0) return { snapshot, carried: undefined }
  const issuers = snapshot.issuers.map((issuer) => {
    if (!frozen.has(issuer.id)) return issuer
    const known = last?.issuer(issuer.id) ?? paged.get(issuer.id)
    if (known?.frozen !== true && (known === undefined || !vouches(issuer)))
      return { ...issuer, floor: timeMs * 1000 }
    return { ...issuer, floor: Math.max(issuer.floor, known.floor) } // it may have been raised since the backup
  })
  return { snapshot: { ...snapshot, issuers }, carried: last?.carried }
}
