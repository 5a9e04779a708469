/** What `wrangler deploy` would upload. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { PACKAGE_ROOT } from '../src/cli/dev/worker-bundle.ts'
import { atMost, type Measurement } from './measurement.ts'

export function run(): Measurement[] {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-size-'))
  try {
    const printed = execFileSync('wrangler', ['deploy', '--dry-run', '--outdir', folder], {
      cwd: PACKAGE_ROOT,
      encoding: 'utf8',
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1', CLOUDFLARE_CF_FETCH_ENABLED: 'false' },
    })
    const code = readFileSync(join(folder, 'index.js'))
    const told = /gzip: ([\d.]+ KiB)/.exec(printed)?.[1]
    if (told === undefined) throw new Error('wrangler tells no size')
    return [
      {
        name: 'Worker as uploaded, gzip',
        value: gzipSync(code, { level: 9 }).length / 1000,
        unit: 'KB',
        limit: atMost(190),
        detail: `${(code.length / 1000).toFixed(0)} KB before; wrangler says ${told}`,
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
