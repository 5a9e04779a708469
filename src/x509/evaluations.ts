/** How often index.ts was evaluated. A request must not cause it: with asn1js it is sixty kilobytes to parse and run. */
export const evaluations = { count: 0 }
