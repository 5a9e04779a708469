/** A vitest plugin that breaks one clause in memory; the working tree is never touched. */
import { join } from 'node:path'
import { PROJECT_ROOT } from '../support/server.ts'
import type { Mutant } from './mutants.ts'

export function mutantPlugin(mutant: Mutant): {
  name: string
  enforce: 'pre'
  transform(code: string, id: string): string | undefined
} {
  const file = join(PROJECT_ROOT, mutant.file)
  return {
    name: 'mutant',
    enforce: 'pre',
    transform: (code, id) => (id === file ? mutated(code, mutant) : undefined),
  }
}

/** @throws when the text to replace does not occur exactly once */
export function mutated(code: string, { id, file, find, replace }: Mutant): string {
  const at = code.indexOf(find)
  if (at < 0 || code.includes(find, at + 1))
    throw new Error(`${id}: the text to break does not occur once in ${file}: ${find}`)
  return code.slice(0, at) + replace + code.slice(at + find.length)
}
