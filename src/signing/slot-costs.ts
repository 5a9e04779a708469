/**
 * What slots cost to sign, in units of one P-256 signature, and who comes first: within one urgency every issuer gets the same
 * share of signing, whatever it costs, so that one with large keys or many certificates does not starve the others.
 */
import type { DueSlot, IssuerSigning } from '../ports/ports.ts'
import { signatureCost } from './algorithms.ts'

export interface PricedSlot extends DueSlot {
  /** At most: signatures that are kept cost nothing. At least 1. */
  readonly cost: number
}

/** Of one certificate, by issuer: all hashes, with every algorithm. */
export function certificateCosts(signing: readonly IssuerSigning[]): ReadonlyMap<number, number> {
  return new Map(
    signing.map(({ issuer, hashes, keys }) => {
      const byAlgorithm = new Map<string, number>()
      for (const { algorithm, spkiBytes } of keys) {
        const cost = signatureCost(algorithm, spkiBytes)
        byAlgorithm.set(algorithm, Math.max(cost, byAlgorithm.get(algorithm) ?? 0))
      }
      return [issuer, hashes * [...byAlgorithm.values()].reduce((sum, cost) => sum + cost, 0)] as const
    }),
  )
}

/**
 * Priced, and ordered within each urgency by what its issuer was given before it.
 * @param slots by urgency, those of an issuer in their own order
 */
export function inFairOrder(
  slots: readonly DueSlot[],
  costs: ReadonlyMap<number, number>,
): readonly PricedSlot[] {
  const given = new Map<string, number>()
  const placed = slots.map((slot) => {
    const cost = Math.max(1, slot.size * (costs.get(slot.issuer) ?? 1))
    const share = `${slot.urgency}/${slot.issuer}`
    const before = given.get(share) ?? 0
    given.set(share, before + cost)
    return { before, slot: { ...slot, cost } }
  })
  return placed
    .sort((a, b) => a.slot.urgency - b.slot.urgency || a.before - b.before) // equal ones keep their order
    .map(({ slot }) => slot)
}
