/** The blocks of wrangler.toml for a queue and a second database: as they stand they are no part of the deployment; uncommented they are right. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEAD_LETTER_SUFFIX } from '../../src/jobs/consumer.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
const TOML = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')
const FOLDER = join(ROOT, '.wrangler', 'blocks-test')
/** Beside the real one: paths in it are relative to it. */
const CONFIG = join(ROOT, '.wrangler-blocks-test.toml')
const env = {
  ...process.env,
  CI: '1',
  WRANGLER_SEND_METRICS: 'false',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  NO_COLOR: '1',
}
const wrangler = (...args: string[]) =>
  run(process.execPath, [join(ROOT, 'node_modules/wrangler/bin/wrangler.js'), ...args], { cwd: ROOT, env })

/** As the comments say: the "#" off every line that has no space after it. */
const uncommented = TOML.replace(/^#(?! )/gm, '')
const setting = (name: string) => Number(new RegExp(`^${name} = (\\d+)$`, 'm').exec(uncommented)?.[1])

beforeAll(() => {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(CONFIG, uncommented)
})
afterAll(() => {
  rmSync(FOLDER, { recursive: true, force: true })
  rmSync(CONFIG, { force: true })
})

test('without them neither a queue nor a second database is needed', { timeout: 60_000 }, async () => {
  expect(TOML).not.toMatch(/^\[\[queues/m)
  const { stdout } = await wrangler('deploy', '--dry-run', '--outdir', join(FOLDER, 'without'))
  expect(stdout).toContain('env.DB')
  expect(stdout).not.toMatch(/RESIGN|DB_1/)
})

describe('uncommented', () => {
  test('it deploys with the producer and the database bound', { timeout: 60_000 }, async () => {
    const { stdout } = await wrangler(
      'deploy',
      '--dry-run',
      '--config',
      CONFIG,
      '--outdir',
      join(FOLDER, 'with'),
    )
    expect(stdout).toMatch(/env\.RESIGN\s*\(edge-ocsp-resign\)/)
    expect(stdout).toMatch(/env\.DB_1\s*\(edge-ocsp-1\)/)
  })

  test('the Worker type checks against the types that are generated from it', {
    timeout: 120_000,
  }, async () => {
    const types = join(FOLDER, 'worker-configuration.d.ts')
    await wrangler('types', '--config', CONFIG, '--include-runtime=false', types)
    expect(readFileSync(types, 'utf8')).toMatch(/DB_1: D1Database[\s\S]*RESIGN: Queue/)
    const project = join(FOLDER, 'tsconfig.json')
    writeFileSync(
      project,
      JSON.stringify({
        extends: '../../tsconfig.json',
        include: ['../../src/index.ts', './worker-configuration.d.ts'],
      }),
    )
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await expect(run(process.execPath, [tsc, '-p', project], { cwd: ROOT })).resolves.toMatchObject({
      stdout: '',
    })
  })

  test('messages are retried and given up before their places in the queue run out', () => {
    expect(setting('max_retries') * setting('retry_delay')).toBeLessThan(15 * 60)
    expect(setting('max_batch_size')).toBe(1)
  })

  test('dead letters go to a queue that the Worker knows by its name, and consumes', () => {
    const dead = /^dead_letter_queue = "(.+)"$/m.exec(uncommented)?.[1] ?? ''
    expect(dead.endsWith(DEAD_LETTER_SUFFIX)).toBe(true)
    expect(uncommented).toContain(`[[queues.consumers]]\nqueue = "${dead}"`)
  })
})
