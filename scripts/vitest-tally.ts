/** A reporter for scripts/test.ts: how many tests passed, failed and were skipped, and which, as one JSON file. */
import { writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/** Environment variable with the path of the file to write. */
export const TALLY_FILE = 'EDGE_OCSP_TALLY'

export interface Tally {
  passed: number
  failed: string[]
  /** Names, with the reason where the test gave one. */
  skipped: string[]
}

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tally: Tally = { passed: 0, failed: [], skipped: [] }
    for (const module of modules) {
      const file = module.moduleId.replace(`${process.cwd()}/`, '')
      // A file that could not be loaded has no tests that could fail.
      if (module.errors().length > 0) tally.failed.push(`${file}: could not be loaded`)
      for (const test of module.children.allTests()) {
        const result = test.result()
        const name = `${file}: ${test.fullName}`
        if (result.state === 'passed') tally.passed += 1
        else if (result.state === 'skipped')
          tally.skipped.push(result.note === undefined ? name : `${name} [${result.note}]`)
        else tally.failed.push(name)
      }
    }
    for (const _ of unhandledErrors) tally.failed.push('an error outside of any test')
    const path = process.env[TALLY_FILE]
    if (path !== undefined) writeFileSync(path, JSON.stringify(tally))
  }
}
