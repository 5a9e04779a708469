/** What `lint --json` says. */
import { at } from '../http/admin-world.ts'
import type { Run } from './support.ts'

/** Names of the checks that found something, those of errors and those of warnings. */
export function found({ json }: Run): { errors: string[]; warnings: string[] } {
  const findings = at(json(), 'findings')
  if (!Array.isArray(findings)) throw new Error('no findings')
  const named = (level: string) =>
    findings.filter((one) => at(one, 'level') === level).map((one) => String(at(one, 'check')))
  return { errors: named('error'), warnings: named('warning') }
}

/** Check -> why it was not run. */
export function notRun({ json }: Run): Map<unknown, unknown> {
  const list = at(json(), 'notRun')
  if (!Array.isArray(list)) throw new Error('no list')
  return new Map(list.map((one) => [at(one, 'check'), at(one, 'reason')]))
}
