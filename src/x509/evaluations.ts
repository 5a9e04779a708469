/** How often index.ts was evaluated. A request must not cause it: pkijs and asn1js are 130 kilobytes to parse and run. */
export const evaluations = { count: 0 }
