/** Types of shake-pkijs.mjs, which is plain JavaScript because it runs before anything is installed. */
export function rewrite(code: string): { code: string; changed: number; already: number }
export function shakePkijs(root: string): string | undefined
