import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
/** Octets; a kilobyte has 1,000 of them here. */
const LIMIT = 190_000

const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-size-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the Worker that wrangler would upload has at most 190 KB gzip', () => {
  const printed = execFileSync('wrangler', ['deploy', '--dry-run', '--outdir', folder], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1', CLOUDFLARE_CF_FETCH_ENABLED: 'false' },
  })
  const code = readFileSync(join(folder, 'index.js'))
  const size = gzipSync(code, { level: 9 }).length
  expect(size).toBeLessThanOrEqual(LIMIT)
  // What wrangler counts is the code without its source map.
  const kibibytes = Number(/gzip: ([\d.]+) KiB/.exec(printed)?.[1])
  expect(Math.abs(kibibytes * 1024 - size)).toBeLessThan(2000)
  expect(kibibytes * 1024).toBeLessThanOrEqual(LIMIT)
})
