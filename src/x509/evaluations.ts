/** How often index.ts was evaluated. A request must not cause it: pkijs is a quarter of a megabyte to parse and run. */
export const evaluations = { count: 0 }
