import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Cron } from '../../src/cli/dev/cron.ts'
import { formatLogLine } from '../../src/cli/dev/log-lines.ts'
import { openState } from '../../src/cli/dev/state.ts'
import { buildWorker, readTopLevel } from '../../src/cli/dev/worker-bundle.ts'

const mode = (path: string) => statSync(path).mode & 0o777

describe('the state folder', () => {
  test('is 0700 and its secrets 0600, made once and kept', () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'state-')), 'deep', 'state')
    const first = openState(folder)
    expect([
      mode(folder),
      mode(join(folder, 'admin-token')),
      mode(join(folder, 'key-encryption-key')),
    ]).toEqual([0o700, 0o600, 0o600])
    expect(Buffer.from(first.keyEncryptionKey, 'base64').length).toBe(32)
    expect(first.adminToken).toMatch(/^[0-9a-f]{64}$/)
    chmodSync(join(folder, 'admin-token'), 0o644)
    expect(openState(folder)).toEqual(first)
    expect(mode(join(folder, 'admin-token'))).toBe(0o600)
    expect(readFileSync(join(folder, 'admin-token'), 'utf8')).toBe(`${first.adminToken}\n`)
  })

  test('that cannot be made is named, with what to do', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'state-')), 'file')
    writeFileSync(file, '')
    expect(() => openState(join(file, 'state'))).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(join(file, 'state')) }),
    )
  })
})

describe('the console of the Worker', () => {
  const at = new Date(2026, 10, 21, 4, 5, 6)
  test.each([
    [
      {
        what: 'ocsp',
        method: 'POST',
        status: 'successful',
        origin: 'bundle',
        issuer: 1,
        certStatus: 'good',
        hashAlgorithm: 'SHA-1',
        personal: false,
        octets: 492,
      },
      '04:05:06  POST good from bundle, SHA-1, 492 octets',
    ],
    [
      {
        what: 'ocsp',
        method: 'GET',
        status: 'unauthorized',
        octets: 5,
        error: 'RequestRefused',
        reason: 'unknownSerial',
        message: 'unknownSerial',
      },
      '04:05:06  GET unauthorized: RequestRefused unknownSerial',
    ],
    [
      { what: 'slot failed', level: 'error', issuer: 1, problem: 'no key' },
      '04:05:06  error: slot failed issuer=1 problem="no key"',
    ],
  ])('%j is one line', (fields, line) => {
    expect(formatLogLine({ level: 'log', message: JSON.stringify({ level: 'info', ...fields }) }, at)).toBe(
      line,
    )
  })

  test('keeps what is not ours as it is', () => {
    expect(formatLogLine({ level: 'error', message: 'Uncaught: {no JSON}\n' }, at)).toBe(
      '04:05:06  error: Uncaught: {no JSON}',
    )
  })
})

describe('the cron of the local responder', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('fires on the minute, every minute, until it is stopped', async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 21, 4, 0, 42, 500) })
    const fired: string[] = []
    const cron = new Cron(
      async (at) => void fired.push(`${at.toISOString()} at ${new Date().toISOString()}`),
      () => undefined,
    )
    cron.start()
    await vi.advanceTimersByTimeAsync(17_499)
    expect(fired).toEqual([])
    await vi.advanceTimersByTimeAsync(120_001)
    cron.stop()
    await vi.advanceTimersByTimeAsync(300_000)
    expect(fired).toEqual(
      ['01', '02', '03'].map(
        (minute) => `2026-11-21T04:${minute}:00.000Z at 2026-11-21T04:${minute}:00.000Z`,
      ),
    )
  })

  test('does not begin a run while one is under way, and reports one that fails', async () => {
    const failures: unknown[] = []
    let finish: (reason: Error) => void = () => undefined
    let runs = 0
    const cron = new Cron(
      () => {
        runs += 1
        return new Promise((_resolve, reject) => {
          finish = reject
        })
      },
      (error) => failures.push(error),
    )
    cron.fire(new Date())
    cron.fire(new Date())
    expect(runs).toBe(1)
    finish(new Error('no D1'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(failures).toEqual([new Error('no D1')])
    cron.fire(new Date())
    expect(runs).toBe(2)
  })
})

describe('the bundle of the Worker', () => {
  test('is built from what wrangler.toml says', () => {
    expect(
      readTopLevel(
        '# x = "y"\nmain = "src/index.ts" # entry\nminify = true\nkeep_names=false\nflags = ["a", "b"]\n[vars]\nmain = "no"',
      ),
    ).toEqual({ main: 'src/index.ts', minify: true, keep_names: false, flags: ['a', 'b'] })
  })

  test('is one module that imports nothing but the platform', async () => {
    const { code, compatibilityDate } = await buildWorker()
    const imports = [...code.matchAll(/\bimport\s*(?:[\w*{][^"';]*from\s*)?\(?["']([^"']+)["']/g)].map(
      (match) => match[1],
    )
    expect(imports.filter((name) => !name?.startsWith('cloudflare:'))).toEqual([])
    expect(compatibilityDate).toMatch(/^\d{4}-\d\d-\d\d$/)
  })
})
