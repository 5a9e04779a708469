/** A small run of `npm run bench:cycle`: what it counts must hold on any machine; its times are not judged. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Cycle } from '../../bench/cycle/cycle.ts'
import { OPENSSL_VERSION } from '../support/openssl.ts'

const ROOT = join(import.meta.dirname, '../..')
const CERTIFICATES = 50_000
const ANSWERS = 100
/** Twenty times what it takes when nobody else is at work. */
const PATIENCE_MS = 600_000

describe.skipIf(OPENSSL_VERSION === undefined)(`${CERTIFICATES} certificates`, () => {
  let cycle: Cycle
  beforeAll(async () => {
    const args = ['--certs', String(CERTIFICATES), '--verify', String(ANSWERS), '--json']
    const { stdout } = await promisify(execFile)(process.execPath, ['bench/cycle/main.ts', ...args], {
      cwd: ROOT,
      maxBuffer: 16 * 1024 * 1024,
      timeout: PATIENCE_MS,
    })
    const report: { cycles: Cycle[] } = JSON.parse(stdout)
    const [first] = report.cycles
    if (first === undefined) throw new Error('no cycle was reported')
    cycle = first
  }, PATIENCE_MS)

  test('each is signed once for each hash, and the cron then has nothing left to do', () => {
    const { signReading, hashes, unsettled } = cycle
    expect(hashes).toBe(2)
    // Beside the responses, a key signs once before its first use.
    const beside = signReading.signatures - CERTIFICATES * hashes
    expect(beside).toBeGreaterThanOrEqual(0)
    expect(beside).toBeLessThanOrEqual(10)
    expect(unsettled).toBe(0)
  })

  test('at most 2,000 KV writes per million responses and hash, growth included', () => {
    const { signReading, hashes } = cycle
    expect((signReading.writes / (CERTIFICATES * hashes)) * 1e6).toBeLessThanOrEqual(2_000)
  })

  test('at most 130 octets are stored per response and hash', () => {
    const { signReading, hashes, k } = cycle
    const { bundles, bytes } = signReading.bundlesByK[k] ?? { bundles: 0, bytes: 0 }
    expect(bundles).toBe(2 ** k)
    expect(bytes).toBeGreaterThan(0)
    expect(bytes / (CERTIFICATES * hashes)).toBeLessThanOrEqual(130)
  })

  test('an isolate needs 96 MB at most, ArrayBuffers included', () => {
    expect(cycle.heap.samples).toBeGreaterThan(10)
    expect(cycle.heap.peak).toBeLessThanOrEqual(96_000_000)
  })

  test('random answers come from bundles, and openssl verifies them', () => {
    expect(cycle.verified.answers).toBe(ANSWERS)
    expect(cycle.signedLive).toBe(0)
  })
})
