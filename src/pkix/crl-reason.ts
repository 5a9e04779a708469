/** CRLReason ::= ENUMERATED, by number; 7 is not used. @see RFC 5280 5.3.1 */
export const CRL_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const

export type CRLReasonName = keyof typeof CRL_REASONS

const NAMES = new Map<number, string>(Object.entries(CRL_REASONS).map(([name, number]) => [number, name]))
const NUMBERS = new Map<string, number>(
  Object.entries(CRL_REASONS).map(([name, number]) => [name.toLowerCase(), number]),
)

/** The RFC's name of a reason, undefined for a number it does not define. */
export function crlReasonName(reason: number): string | undefined {
  return NAMES.get(reason)
}

/** The number of a reason, its name in any letter case (openssl writes `CACompromise`); undefined when there is none. */
export function crlReasonNumber(name: string): number | undefined {
  return NUMBERS.get(name.toLowerCase())
}
